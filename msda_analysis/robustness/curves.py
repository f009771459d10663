"""Whole accuracy curves compared: one test per pair and attack instead of one per budget, and the paper's own claims.

A curve is summed up by its mean over the budgets at which the attack is at work: where the reference classifiers keep 10 to
90 % of their correctly classified images. The choice looks at the reference alone. Two readings are kept apart, as a
classifier that is worse on clean images starts from lower: "accuracy" (share of all images that survive) and "kept" (share
of its correctly classified images that survive).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from msda_analysis.attacks.registry import STRONG_GRADIENT_ATTACKS
from msda_analysis.checks import check_choice, check_in_range
from msda_analysis.estimate import FEWEST_SEEDS, too_few
from msda_analysis.robustness.outcome import Outcome, check_outcomes
from msda_analysis.robustness.statistics import judge_differences, nested_difference

if TYPE_CHECKING:
    import pandas as pd

Reading = Literal["accuracy", "kept"]
Outcomes = Mapping[str, Sequence[Outcome]]

#: Shares of its correct images that the reference keeps where an attack is at work.
WORKING_SHARES = (0.1, 0.9)
#: What a point of a curve is a share of: all images, or those classified correctly without an attack.
READINGS: tuple[Reading, ...] = ("accuracy", "kept")
#: What the paper says of MixUp: more robust to the first two, not to the third; the last is what it is trained on.
CLAIMED_ATTACKS = ("deepfool", "uniform_noise", "strong_gradient", "mixup_direction")


def working_budgets(outcomes: Sequence[Outcome], attack: str) -> list[int]:
    """Indices of the positive budgets at which an attack leaves 10 to 90 % of the correct images, mean over seeds.

    Where there is none, the one that leaves closest to half.

    Args:
        outcomes: of the reference, one per training seed.
        attack: as Outcome.broken_by takes it.

    Raises:
        ValueError: no budget above zero, an unknown attack, or classifiers that are never right.
    """
    epsilons = outcomes[0].epsilons
    positive = [k for k, epsilon in enumerate(epsilons) if epsilon > 0]
    if not positive:
        raise ValueError(f"epsilons: expected at least one above 0, got {epsilons}")
    kept = {k: float(curve_values(outcomes, attack, [k], "kept").mean()) for k in positive}
    working = [k for k in positive if WORKING_SHARES[0] <= kept[k] <= WORKING_SHARES[1]]
    return working or [min(positive, key=lambda k: abs(kept[k] - 0.5))]


def curve_values(
    outcomes: Sequence[Outcome], attack: str, budgets: Sequence[int], reading: Reading = "accuracy"
) -> np.ndarray:
    """Numbers [training seed, image] whose mean over images is each seed's mean over some budgets.

    For "kept", a ratio, each image has its linearized part of it: the ratio plus its influence on numerator and denominator.

    Args:
        outcomes: one per training seed, on the same images.
        attack: as Outcome.broken_by takes it.
        budgets: indices of epsilons, for example from working_budgets.
        reading: "accuracy" or "kept".

    Raises:
        ValueError: an unknown attack or reading, or a classifier that is never right.
    """
    check_choice("reading", reading, READINGS)
    survived = torch.stack([
        (~outcome.broken_by(attack)[list(budgets)]).double().mean(0) for outcome in outcomes
    ]).numpy()  # fmt: skip
    if reading == "accuracy":
        return survived
    correct = torch.stack([outcome.is_correct for outcome in outcomes]).double().numpy()
    clean = correct.mean(1, keepdims=True)
    if not clean.all():
        raise ValueError("outcomes: expected classifiers that are right on some image, got one that never is")
    ratio = survived.mean(1, keepdims=True) / clean
    return ratio + (survived - ratio * correct) / clean


def compare_curves(outcomes: Outcomes, reference: str = "baseline", *, level: float = 0.05) -> "pd.DataFrame":
    """Who is more robust than whom over the working budgets: one row per pair, attack and reading.

    Columns: attack, norm, reading, a, b, value (a minus b), low, high (95 %, uncorrected), n, unit, epsilons (the budgets),
    note, p_value, seeds_a, seeds_b, p_holm (corrected over the whole table), verdict (see judge_differences).
    "worst_case" is added when there are several attacks.

    Args:
        outcomes: by augmentation, one Outcome per training seed, all on the same images, attacks, budgets and norm.
        reference: chooses the budgets; the first of `outcomes` where it is not among them.
        level: chance of any false finding in the table.

    Raises:
        ValueError: fewer than two augmentations, outcomes that do not match, or no budget above zero.
    """
    import pandas as pd

    check_in_range("level", level, 0.0, 1.0)
    check_outcomes(outcomes)
    first = next(iter(outcomes.values()))[0]
    attacks = [*first.attacks, *(["worst_case"] if len(first.attacks) > 1 else [])]
    chooser = outcomes[reference if reference in outcomes else next(iter(outcomes))]
    budgets = {attack: working_budgets(chooser, attack) for attack in attacks}
    rows = [
        _difference_row(outcomes, a, b, attack, budgets[attack], reading)
        for a, b in combinations(outcomes, 2)
        for attack in attacks
        for reading in READINGS
    ]
    return judge_differences(pd.DataFrame(rows), level)


def compare_claims(
    outcomes: Outcomes, augmentation: str = "mixup", reference: str = "baseline", *, level: float = 0.05
) -> "pd.DataFrame":
    """The paper's claims on MixUp against the baseline: differences with intervals that hold for all of them at once.

    Columns as of compare_curves, without a corrected p-value: the intervals themselves are corrected (Bonferroni), and the
    verdict is theirs: "a" or "b" where all of the interval lies on its side of 0. Claims on attacks that were not made are
    left out.

    Args:
        outcomes: as for compare_curves, `augmentation` and `reference` among them.
        level: chance that any of the intervals misses its true difference.

    Raises:
        ValueError: as compare_curves, or one of the two is not among the outcomes.
    """
    import pandas as pd

    check_outcomes(outcomes)
    for name in (augmentation, reference):
        check_choice("augmentation", name, list(outcomes))
    made = next(iter(outcomes.values()))[0].attacks
    has = {"strong_gradient": any(name in STRONG_GRADIENT_ATTACKS for name in made)}
    attacks = [attack for attack in CLAIMED_ATTACKS if has.get(attack, attack in made)]
    budgets = {attack: working_budgets(outcomes[reference], attack) for attack in attacks}
    each = level / max(1, len(attacks) * len(READINGS))
    rows = [
        _difference_row(outcomes, augmentation, reference, attack, budgets[attack], reading, level=each)
        for attack in attacks
        for reading in READINGS
    ]
    return pd.DataFrame([{**row, "verdict": _judge_interval(row)} for row in rows])


def _judge_interval(row: Mapping[str, Any]) -> str:
    n_seeds = min(row["seeds_a"], row["seeds_b"])
    if n_seeds < FEWEST_SEEDS:
        return too_few(n_seeds)
    return "a" if row["low"] > 0 else "b" if row["high"] < 0 else "undecided"


def _difference_row(
    outcomes: Outcomes, a: str, b: str, attack: str, budgets: list[int], reading: Reading, level: float = 0.05
) -> dict[str, Any]:
    sides = [curve_values(outcomes[name], attack, budgets, reading) for name in (a, b)]
    estimate, p_value = nested_difference(sides[0], sides[1], level=level)
    epsilons = outcomes[a][0].epsilons
    return {
        "attack": attack, "norm": outcomes[a][0].norm, "reading": reading, "a": a, "b": b, "value": estimate.value, "low": estimate.low,
        "high": estimate.high, "n": estimate.n, "unit": estimate.unit, "epsilons": tuple(epsilons[k] for k in budgets),
        "note": "; ".join(estimate.warnings), "seeds_a": len(sides[0]), "seeds_b": len(sides[1]), "p_value": p_value,
    }  # fmt: skip
