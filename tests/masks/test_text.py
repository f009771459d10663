"""Families as text: what is read, what is written, and what is refused."""

import pytest

from msda_analysis import Alternate, CutMix, FMix, MixUp
from msda_analysis.masks import FAMILIES, family_from_text, family_to_text

TEXTS = {
    "baseline": None,
    "fmix": FMix(),
    "fmix(decay_power=1.5)": FMix(decay_power=1.5),
    "fmix(alpha=0.5, decay_power=1e+30)": FMix(alpha=0.5, decay_power=1e30),
    "fmix_released(max_soft=0.2)": FMix(spectrum="released", max_soft=0.2),
    "mixup(alpha=0.2)": MixUp(0.2),
    "cutmix_nominal(geometry='inside')": CutMix(geometry="inside", lam_policy="nominal"),
    "cutmix(per_batch=True)": CutMix(per_batch=True),
    "fmix+mixup": Alternate(FMix(), MixUp()),
    "fmix(decay_power=1e+30)+mixup(alpha=0.2)+cutmix": Alternate(FMix(decay_power=1e30), MixUp(0.2), CutMix()),
}


@pytest.mark.parametrize("text", [*TEXTS, *FAMILIES])
def test_a_text_stands_for_a_family_and_back(text):
    expected = TEXTS.get(text, FAMILIES.get(text))
    assert family_from_text(text) == expected
    assert family_to_text(expected) == text


@pytest.mark.parametrize(
    ("text", "shortest"),
    [
        (" fmix ( decay_power = 1.50 ) ", "fmix(decay_power=1.5)"),
        ("fmix(decay_power=3.0)", "fmix"),
        ("fmix()+ mixup", "fmix+mixup"),
        ("fmix(spectrum='released')", "fmix_released"),
        ("fmix_released(spectrum='isotropic')", "fmix"),
        ('cutmix(geometry="inside",)', "cutmix_inside"),
        ("mixup(alpha=+0.2)", "mixup(alpha=0.2)"),
    ],
)
def test_other_spellings_have_one_text(text, shortest):
    assert family_to_text(family_from_text(text)) == shortest


def test_per_batch_is_of_the_text_or_of_the_caller():
    assert family_from_text("fmix(per_batch=True)") == FMix(per_batch=True)
    assert family_from_text("fmix(per_batch=True)", per_batch=False) == FMix()
    assert family_from_text("cutmix+fmix_released", per_batch=True) == Alternate(
        CutMix(per_batch=True), FMix(spectrum="released", per_batch=True)
    )
    assert family_from_text("baseline", per_batch=True) is None


@pytest.mark.parametrize(
    "text",
    ["fmx", "", "+", "fmix+", "fmix++mixup", "fmix+baseline", "baseline()", "FMix", "fmix mixup", "fmix(", "fmix)", "fmix(alpha=1",
     "fmix(alpha='", "fmix\n", "fmix+\nmixup", "fmix.alpha", ":Stripes", "my_masks:", "fmix(" + "(" * 5000],
)  # fmt: skip
def test_what_names_no_family(text):
    with pytest.raises(
        ValueError, match=r"augmentation: expected one of baseline, mixup, .*, one with settings such as"
    ):
        family_from_text(text)


@pytest.mark.parametrize(
    "settings",
    ["alpha=__import__('os')", "alpha=open('x', 'w')", "alpha=[].__class__", "alpha=(lambda: 1)()", "alpha=1 if True else 2",
     "alpha=2**3", "alpha=alpha", "alpha=f'{1}'", "alpha=(x:=1)", "1.0", "*[1]", "**{'alpha': 1}", "alpha=1, alpha=2",
     "alpha=1)(alpha=2", "alpha=1).__class__(", "alpha", "alpha=", "alpha=1;", "alpha=[i for i in (1, 2)]"],
)  # fmt: skip
def test_settings_are_literals(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"augmentation: expected settings such as \(decay_power=1.5, .*each named once"
    ):
        family_from_text(f"fmix({settings})")
    assert not list(tmp_path.iterdir()), "nothing ran"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "mixup(decay_power=2)",
            r"augmentation: 'mixup\(decay_power=2\)' has no setting 'decay_power', only per_batch",
        ),
        ("mixup(is_symmetric=False)", r"has no setting 'is_symmetric', only"),
        (
            "fmix(alpha=-1)+mixup",
            r"alpha: expected a finite number > 0, got -1; in augmentation 'fmix\(alpha=-1\)\+mixup'",
        ),
        ("fmix(alpha=1e999)", r"alpha: expected a finite number > 0, got inf; in augmentation"),
        ("fmix(spectrum='white')", r"spectrum: expected one of 'isotropic', 'released'; got 'white'; in augmentation"),
        ("os:system", r"expected os:system to be a subclass of MaskFamily, got <built-in function system>"),
        (
            "builtins:eval(source='1')",
            r"expected builtins:eval to be a subclass of MaskFamily, got <built-in function eval>",
        ),
    ],
)
def test_bad_settings_are_named(text, words):
    with pytest.raises(ValueError, match=words):
        family_from_text(text)
