"""Code that decides a step's numbers does not change in silence; see formats.py."""

import formats
import pytest


def test_changed_code_is_owned_up_to():
    found = formats.unowned(formats.read_record())
    assert not found, (
        f"{found}: where numbers move raise FORMAT in studies/steps/STEP.py and run `python tests/studies/formats.py`; "
        'where none does, run `python tests/studies/formats.py "why"`'
    )


def test_the_record_is_of_today():
    record, today = formats.read_record(), formats.take_stock()
    assert {name: record[name] for name in today} == today, "run `python tests/studies/formats.py`"


@pytest.mark.parametrize(
    "step, modules",
    [
        ("train_vae", {"training.vae", "training.loop", "training.settings", "masks.fmix", "masks.fourier", "mixing.mix", "rng"}),
        ("measure_vae", {"information.vae", "information.encoder_bounds", "information.flows"}),
        ("measure_classifier", {"robustness.evaluate", "robustness.trust", "estimate", "attacks.fmn", "attacks.noise"}),
        ("train_classifier", {"models.densenet", "models.small_cnn"}),
        ("estimators", {"information.neighbors", "information.gaussian"}),
        ("masks", {"mask_stats.describe", "masks.sampling"}),
    ],
)  # fmt: skip
def test_what_decides_a_steps_numbers_is_found(step, modules):
    found = {name.removeprefix("msda_analysis.") for name in formats.drawn_on(step)}
    assert modules | {f"studies.steps.{step}"} <= found
    assert not {name for name in found if name.startswith(("results", "report", "cli"))}


def test_a_change_is_seen_until_the_number_is_raised(monkeypatch):
    record, real = formats.take_stock(), formats._source
    assert formats.unowned(record) == {}
    monkeypatch.setattr(formats, "_source", lambda name: real(name) + "x = 1" * name.endswith("masks.lam"))
    assert {"train_vae", "train_classifier", "masks"} <= set(formats.unowned(record))
    assert all(changed == ["msda_analysis.masks.lam"] for changed in formats.unowned(record).values())
    assert "train_vae" not in formats.unowned(record | {"formats": record["formats"] | {"train_vae": 0}})


def test_comments_and_docstrings_do_not_count(monkeypatch):
    code = '"""Words."""\nFORMAT = 1\ndef f():\n    """More."""\n    return 1\n'
    variants = [
        code,
        '"""Other."""\nFORMAT = 2\ndef f():\n    "Less."\n    return 1  # why\n',
        code.replace("return 1", "return 2"),
    ]
    found = []
    for variant in variants:
        monkeypatch.setattr(formats, "_source", lambda _, variant=variant: variant)
        found.append(formats.digest("any"))
    assert found[0] == found[1] != found[2]
