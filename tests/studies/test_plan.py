"""Plans: names stand for all that decides a result, and for nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from msda_analysis import ClassifierFit, FMix, VaeFit
from msda_analysis.masks import FAMILIES, family_from_text, family_settings
from msda_analysis.studies import AttackSpec, Cell, DataSpec, StudyPlan, cells_of
from msda_analysis.studies.steps import STEPS

PLAN = StudyPlan("trial", "A trial", DataSpec("digits"), n_seeds=2, attack=AttackSpec(likeness_images=5))


def names(plan: StudyPlan, kind: str = "") -> set[str]:
    return {cell.name for cell in cells_of(plan) if cell.kind.startswith(kind)}


def test_cells_of_the_default_plan():
    kinds = [cell.kind for cell in cells_of(PLAN)]
    expected = {
        "pictures": 1, "masks": 4, "train_vae": 8, "measure_vae": 8, "train_classifier": 8, "measure_classifier": 8,
        "measure_likeness": 8, "compare_classifiers": 1,
    }  # fmt: skip
    assert {kind: kinds.count(kind) for kind in set(kinds)} == expected
    assert set(kinds) <= set(STEPS)


def test_names_are_distinct_readable_and_repeat():
    listed = [cell.name for cell in cells_of(PLAN)]
    assert len(set(listed)) == len(listed) == 46
    assert listed == [cell.name for cell in cells_of(replace(PLAN))]
    assert any(name.startswith("train_vae-fmix-1-") for name in listed)
    for name in listed:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-"), "safe in every file system"


def test_all_settings_of_the_family_decide_the_name(monkeypatch):
    """A changed default must not show numbers of the old one."""
    before = cells_of(PLAN)
    monkeypatch.setitem(FAMILIES, "fmix", FMix(decay_power=2.5))
    after = cells_of(PLAN)
    changed = {(a.kind, a.augmentation) for a, b in zip(before, after, strict=True) if a.name != b.name}
    kinds = {"masks", "train_vae", "measure_vae", "train_classifier", "measure_classifier", "measure_likeness"}
    assert changed == {("pictures", "all"), ("compare_classifiers", "all")} | {(kind, "fmix") for kind in kinds}


@pytest.mark.parametrize("name", ["mixup", "cutmix_nominal", "fmix", "fmix+mixup", "baseline"])
def test_the_family_is_among_the_settings(name):
    plan = replace(PLAN, augmentations=(name,), per_batch=True)
    expected = family_settings(family_from_text(name, per_batch=True))
    for cell in cells_of(plan):
        if cell.kind.startswith(("train", "measure")):
            assert cell.settings["family"] == json.loads(json.dumps(expected))
    if name == "fmix":
        assert expected == {
            "kind": "FMix", "per_batch": True, "reformulate": False, "lam_policy": "mask_mean", "alpha": 1.0,
            "decay_power": 3.0, "max_soft": 0.0, "spectrum": "isotropic",
        }  # fmt: skip
    if name == "fmix+mixup":
        assert [part["kind"] for part in expected["families"]] == ["FMix", "MixUp"]


def test_needs_come_before():
    place = {cell.name: i for i, cell in enumerate(cells_of(PLAN))}
    needed = 0
    for cell in cells_of(PLAN):
        for need in cell.needs:
            assert place[need.name] < place[cell.name]
            needed += 1
    assert needed == 2 * 8 + 8 + 8 + 8, "measure_vae (the baseline VAEs, too), measure_classifier, likeness, comparison"


def test_a_vae_is_measured_through_the_baseline_of_another_seed():
    for cell in cells_of(PLAN):
        if cell.kind != "measure_vae":
            continue
        measured, other = cell.needs
        assert (measured.augmentation, measured.seed) == (cell.augmentation, cell.seed)
        assert other.augmentation == "baseline" and other.seed == 1 - cell.seed
    without = replace(PLAN, augmentations=("mixup",))
    assert all(len(cell.needs) == 1 for cell in cells_of(without) if cell.kind == "measure_vae")


@pytest.mark.parametrize(
    "change",
    [
        {"data": DataSpec("digits", root=Path("/elsewhere"))},
        {"name": "other"},
        {"title": "Other"},
        {"n_seeds": 2},
    ],
)
def test_names_do_not_depend_on_what_decides_no_number(change):
    assert names(replace(PLAN, **change)) == names(PLAN)


@pytest.mark.parametrize(
    "kind, change",
    [
        ("train_", {"data": DataSpec("digits", train_size=100)}),
        ("train_", {"data": DataSpec("fashion_mnist")}),
        ("measure_", {"data": DataSpec("digits", test_size=100)}),
        ("train_vae", {"vae": VaeFit(latent=8)}),
        ("train_vae", {"vae": VaeFit(epochs=3)}),
        ("measure_vae", {"vae": VaeFit(lr=1e-4)}),
        ("train_classifier", {"classifier": ClassifierFit(augment="flip")}),
        ("measure_classifier", {"classifier": ClassifierFit(momentum=0.5)}),
        ("measure_classifier", {"attack": AttackSpec(epsilons=(0.0, 0.2))}),
        ("measure_classifier", {"attack": AttackSpec(norm="l2")}),
        ("measure_classifier", {"attack": AttackSpec(mode="independent")}),
        ("compare_classifiers", {"attack": AttackSpec(n_images=7, likeness_images=5)}),
        ("train_", {"per_batch": True}),
        ("train_", {"first_seed": 10}),
        ("masks", {"n_masks": 7}),
        ("masks", {"data": DataSpec("fashion_mnist")}),
        ("pictures", {"augmentations": ("baseline", "mixup")}),
    ],
)
def test_names_depend_on_what_decides_numbers(kind, change):
    before, after = names(PLAN, kind), names(replace(PLAN, **change), kind)
    if "per_batch" in change:  # nothing is mixed in the baseline
        before, after = ({name for name in some if "baseline" not in name} for some in (before, after))
    assert before and after and not before & after


def test_whole_budgets_are_the_same_as_integers():
    plans = (replace(PLAN, attack=AttackSpec(epsilons=epsilons)) for epsilons in ((0, 1), (0.0, 1.0), ("0", "255/255")))
    first, second, third = map(names, plans)
    assert first == second == third


def test_more_seeds_or_augmentations_keep_the_trained_cells():
    assert names(PLAN, "train_") < names(replace(PLAN, n_seeds=3), "train_")
    assert names(PLAN, "train_") < names(replace(PLAN, augmentations=(*PLAN.augmentations, "fmix+mixup")), "train_")


def test_an_attack_does_not_change_what_is_trained():
    assert names(replace(PLAN, attack=None), "train_") == names(PLAN, "train_")
    assert not names(replace(PLAN, attack=None), "compare_") | names(replace(PLAN, attack=None), "measure_likeness")


def test_parts_can_be_left_out():
    assert not names(replace(PLAN, vae=None), "train_vae") | names(replace(PLAN, vae=None), "measure_vae")
    assert {cell.kind for cell in cells_of(replace(PLAN, classifier=None, n_masks=0))} == {
        "pictures",
        "train_vae",
        "measure_vae",
    }


def test_alternation_is_trained_but_has_no_masks_of_its_own():
    plan = replace(PLAN, augmentations=("fmix", "fmix+mixup"))
    assert [cell.augmentation for cell in cells_of(plan) if cell.kind == "masks"] == ["fmix", "fmix_released"]
    assert any(name.startswith("train_vae-fmix-and-mixup-0-") for name in names(plan))


def test_a_cell_depends_on_what_it_needs():
    first, second = Cell("a", "x", 0, {"epochs": 1}), Cell("a", "x", 0, {"epochs": 2})
    assert Cell("b", "x", 0, {}, (first,)).name != Cell("b", "x", 0, {}, (second,)).name


def test_identity_is_plain_and_without_the_root():
    identity = replace(PLAN, data=DataSpec("digits", root=Path("/somewhere"))).identity()
    assert identity == PLAN.identity() and "/somewhere" not in str(identity)
    assert identity != replace(PLAN, n_seeds=3).identity()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"augmentations": ("mixpu",)}, "augmentation: expected one of baseline, mixup, .*; got 'mixpu'"),
        ({"augmentations": ("baseline+mixup",)}, r"got 'baseline\+mixup'"),
        ({"augmentations": ()}, "augmentations: expected at least one name, got none"),
        ({"augmentations": ("fmix", "mixup", "fmix")}, "augmentations: expected each name once, got 'fmix' twice"),
        ({"n_seeds": 0}, "seeds: expected an integer >= 1, got 0"),
        ({"n_masks": -1}, "n_masks: expected an integer >= 0, got -1"),
    ],
)  # fmt: skip
def test_bad_plans(change, words):
    with pytest.raises(ValueError, match=words):
        replace(PLAN, **change)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"attacks": ("fgsm", "gremlin")}, "attacks: expected one of .*'fgsm'.*; got 'gremlin'"),
        ({"norm": "l1"}, "norm: expected one of 'linf', 'l2'; got 'l1'"),
        ({"mode": "sloppy"}, "mode: expected one of 'cascade', 'independent'; got 'sloppy'"),
        ({"epsilons": ()}, r"epsilons: expected at least one finite number, each >= 0, got \(\)"),
        ({"epsilons": (0.1, float("nan"))}, "epsilons: expected at least one finite number, each >= 0"),
        ({"epsilons": (-0.1,)}, "epsilons: expected at least one finite number, each >= 0"),
        ({"epsilons": ("0", "8;255")}, "epsilons: expected a number such as 0.03, or a fraction such as 8/255, got '8;255'"),
        ({"likeness_images": -1}, "likeness_images: expected an integer >= 0, got -1"),
        ({"n_images": 0}, "n_images: expected an integer >= 1, got 0"),
    ],
)  # fmt: skip
def test_bad_attacks(change, words):
    with pytest.raises(ValueError, match=words):
        AttackSpec(**change)


@pytest.mark.parametrize("name", ["train_size", "test_size"])
def test_bad_sizes(name):
    with pytest.raises(ValueError, match=f"{name}: expected an integer >= 1, got 0"):
        DataSpec(**{name: 0})
