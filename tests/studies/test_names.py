"""Names that nothing can mean are refused before torch is imported; the lists are those of the tables themselves."""

import subprocess
import sys

import pytest

from msda_analysis.studies.names import check_names, names_of


def test_names_are_those_of_the_tables():
    from msda_analysis.attacks import ATTACKS
    from msda_analysis.data.load import LOADERS
    from msda_analysis.information import METHODS
    from msda_analysis.masks import FAMILIES
    from msda_analysis.mixing.text import MIXERS
    from msda_analysis.models.zoo import NETWORKS

    tables = {
        "attacks": ATTACKS,
        "data": LOADERS,
        "methods": METHODS,
        "families": FAMILIES,
        "mixers": MIXERS,
        "networks": NETWORKS,
    }
    assert {kind: names_of(kind) for kind in tables} == {kind: tuple(table) for kind, table in tables.items()}


CALLS = [
    (["study", "--dataset", "digitz"], "dataset: expected one of digits,", "digitz"),
    (
        ["study", "--augmentations", "fmixx(decay_power=1.5)"],
        "augmentation: expected one of baseline, mixup,",
        "fmixx(decay_power=1.5)",
    ),
    (["study", "--augmentations", "fmix+mixupp"], "augmentation: expected one of baseline, mixup,", "mixupp"),
    (["study", "--attacks", "pgdd"], "attacks: expected one of 'fgsm',", "pgdd"),
    (["study", "--classifier.model", "small_cn"], "model: expected one of 'preact_resnet18',", "small_cn"),
    (["masks", "--families", "fmixx"], "augmentation: expected one of baseline, mixup,", "fmixx"),
    (
        ["robustness", "--model", "small_cn", "--weights", "a=b.pt"],
        "model: expected one of 'preact_resnet18',",
        "small_cn",
    ),
    (["estimators", "--methods", "ksg9"], "methods: expected one of 'auto',", "ksg9"),
]


def test_a_typo_is_answered_without_torch(tmp_path):
    """All in one process: the interpreter's start is most of the time."""
    code = f"""
import sys
from msda_analysis.cli import main
for words, *_ in {CALLS!r}:
    print(main([*words, "--out", {str(tmp_path / "out")!r}]), file=sys.stderr)
print(sorted({{"torch", "numpy", "pandas", "scipy"}} & set(sys.modules)), file=sys.stderr)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.splitlines()
    assert said[-1] == "[]" and said[1:-1:2] == ["2"] * len(CALLS)
    for line, (_, opening, wrong) in zip(said[:-1:2], CALLS, strict=True):
        assert line.startswith(f"msda-analysis: error: {opening}") and line.endswith(f"got {wrong!r}")
    assert not (tmp_path / "out").exists()


def test_names_with_a_place_or_settings_pass(monkeypatch):
    class Plan:
        augmentations = (
            "baseline",
            "fmix(decay_power=1.5)+mixup",
            "my_masks:Stripes(period=8)",
            "torchvision:CutMix",
            "resizemix",
        )
        model = "torchvision:resnet18"
        methods = ("auto",)

    check_names(Plan())
    Plan.augmentations = ("fmix(decay_power=1.5)+mixed",)
    with pytest.raises(ValueError, match=r"got 'mixed'$"):
        check_names(Plan())
