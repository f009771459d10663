"""Settings of the families are checked when made; names and alternation."""

import dataclasses

import pytest

from msda_analysis.masks import FAMILIES, Alternate, CutMix, FMix, MixUp, check_family, family_at


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixUp(alpha=0.0), r"alpha: expected a finite number > 0, got 0.0"),
        (lambda: FMix(alpha=float("nan")), r"alpha: expected a finite number > 0, got nan"),
        (lambda: CutMix(alpha="1"), r"alpha: expected a finite number > 0, got '1'"),
        (lambda: CutMix(geometry="round"), r"geometry: expected one of 'clipped', 'inside'; got 'round'"),
        (lambda: FMix(spectrum="white"), r"spectrum: expected one of 'isotropic', 'released'; got 'white'"),
        (lambda: FMix(max_soft=0.6), r"max_soft: expected a number in \[0.0, 0.5\], got 0.6"),
        (lambda: FMix(decay_power=-1.0), r"decay_power: expected a finite number > 0, got -1.0"),
        (lambda: MixUp(lam_policy="kept"), r"lam_policy: expected one of 'mask_mean', 'nominal'; got 'kept'"),
        (lambda: Alternate(FMix()), r"families: expected at least two to alternate between, got 1"),
    ],
)
def test_bad_settings_raise(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_something_else_than_a_family_raises():
    with pytest.raises(TypeError, match=r"family: expected one of MixUp\(\), .*, or Alternate\(...\); got 'fmix'"):
        check_family("fmix")
    with pytest.raises(
        TypeError, match=r"family: expected one of MixUp\(\), .*, a MaskFamily of yours, a mixer .*; got Alternate"
    ):
        Alternate(FMix(), Alternate(FMix(), MixUp()))


def test_families_are_frozen_and_compare_by_value():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FMix().alpha = 2.0  # type: ignore[misc]
    assert FMix() == FMix(1.0, 3.0, 0.0, "isotropic") and hash(FMix()) == hash(FMix())
    assert Alternate(FMix(), MixUp()) == Alternate(FMix(), MixUp()) != Alternate(MixUp(), FMix())


def test_alternate_starts_with_the_first_and_counts_or_takes_a_step():
    turn = Alternate(FMix(), MixUp())
    assert [family_at(turn) for _ in range(4)] == [FMix(), MixUp(), FMix(), MixUp()]
    assert [family_at(turn, step) for step in (5, 0, 1)] == [MixUp(), FMix(), MixUp()]
    assert repr(turn).startswith("Alternate(FMix(")


def test_names():
    assert list(FAMILIES) == ["mixup", "cutmix", "cutmix_inside", "cutmix_nominal", "fmix", "fmix_released", "gridmix"]
    assert [FAMILIES[name] for name in ("mixup", "cutmix", "fmix")] == [MixUp(), CutMix(), FMix()]
    assert FAMILIES["fmix_released"] == FMix(spectrum="released")
    assert FAMILIES["cutmix_inside"] == CutMix(geometry="inside")
    assert FAMILIES["cutmix_nominal"] == CutMix(lam_policy="nominal")
