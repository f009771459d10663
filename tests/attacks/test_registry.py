"""The table of attacks: what its entries promise, held against what is made from them."""

import pytest

from msda_analysis.attacks import ATTACKS, create_attack, list_attacks
from msda_analysis.report.words import attack_label


@pytest.mark.parametrize("name", ATTACKS)
def test_each_attack_is_made_in_its_norms_and_no_other(name):
    kind = ATTACKS[name]
    for norm in ("linf", "l2"):
        assert (name in list_attacks(norm)) == (norm in kind.norms)
        if norm not in kind.norms:
            with pytest.raises(ValueError, match=f"norm of attack '{name}'"):
                create_attack(name, norm)
            continue
        made = create_attack(name, norm)
        assert (made.name, made.norm) == (name, norm)
        assert (made.is_minimum_norm, made.is_black_box, made.is_blind) == (
            kind.is_minimum_norm,
            kind.is_black_box,
            kind.is_blind,
        )


@pytest.mark.parametrize("name", ATTACKS)
def test_reports_call_an_attack_as_its_entry_does(name):
    """Reports read tables without importing torch, so they keep the names themselves."""
    assert attack_label(name) == ATTACKS[name].label
