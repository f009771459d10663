"""What an evaluation found: which image each attack broke at which budget, and the tables made from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from msda_analysis.attacks.registry import MINIMUM_NORM_ATTACKS, STRONG_GRADIENT_ATTACKS
from msda_analysis.estimate import Estimate, Measured, wilson_interval
from msda_analysis.results import Source, to_rows
from msda_analysis.robustness.measured import estimate_of, measured_norms, records
from msda_analysis.robustness.show import draw_accuracy

if TYPE_CHECKING:
    import pandas as pd

    from msda_analysis.robustness.show import Figure


@dataclass(frozen=True)
class Flag:
    """One reason for doubt.

    Attributes:
        name: which check, one of trust.CHECKS.
        attack: attack it speaks of, "" for the model as a whole.
        value: what was measured.
        threshold: the flag is raised where the value lies above it and, for a share, chance does not explain that.
        message: what it means for the reader.
    """

    name: str
    attack: str
    value: float
    threshold: float
    message: str


@dataclass(frozen=True)
class Outcome:
    """Success of every attack at every budget on every image.

    Attributes:
        success: bool [attack, epsilon, image]; True where the image is misclassified after the attack (or was before it).
        minimum_norms: float [attack, image]; length of the smallest perturbation found that fools the model: 0 for images
            misclassified from the start, infinity where none was found.
        is_correct: bool [image]; the clean image is classified correctly, from the same run.
        attacks: names, in the order of `success`.
        epsilons: budgets in [0, 1] pixel units, in the order of `success`.
        norm: "linf" or "l2".
        seed: seed of the attacks' draws.
        mode: "cascade" or "independent", see evaluate(); blind attacks (noise) are independent in both.
        flags: reasons to doubt the numbers, from the trust checks.
    """

    success: Tensor
    minimum_norms: Tensor
    is_correct: Tensor
    attacks: tuple[str, ...]
    epsilons: tuple[float, ...]
    norm: str
    seed: int
    mode: str = "cascade"
    flags: tuple[Flag, ...] = ()

    @property
    def clean_accuracy(self) -> float:
        """Share of clean images classified correctly."""
        return float(self.is_correct.double().mean())

    def worst_case(self) -> Tensor:
        """bool [epsilon, image]; at least one of the attacks succeeds, in a cascade at this budget or a smaller one.

        What breaks an image within a small budget does so within a larger one, whichever attack found it, noise too.
        """
        broken = self.success.any(0)
        if self.mode != "cascade":
            return broken
        order = torch.tensor(self.epsilons).argsort()
        grown = torch.empty_like(broken)
        grown[order] = broken[order].cumsum(0) > 0
        return grown

    def broken_by(self, attack: str) -> Tensor:
        """bool [epsilon, image]; success of one attack, or of at least one of a group.

        Args:
            attack: a name in `attacks`, "worst_case" (any of them) or "strong_gradient" (any of STRONG_GRADIENT_ATTACKS).

        Raises:
            ValueError: neither.
        """
        if attack == "worst_case":
            return self.worst_case()
        group = STRONG_GRADIENT_ATTACKS if attack == "strong_gradient" else (attack,)
        chosen = [i for i, name in enumerate(self.attacks) if name in group]
        if not chosen:
            raise ValueError(f"attack: expected one of {', '.join(self.attacks)} or a group of them, got {attack!r}")
        return self.success[chosen].any(0)

    def rows(self, name: str, *, seed: int | None = None, dataset: str = "", model: str = "") -> list[dict[str, Any]]:
        """All that was measured as rows of the long table, see results.COLUMNS: for write_table, to_table and the report.

        Args:
            name: what the classifier is called, in the column augmentation.
            seed: of its training.
            dataset, model: what they are called.
        """
        return to_rows(Source("", "", dataset, model, name, seed), measured_outcome(self))

    def plot(self, name: str = "classifier") -> "Figure":
        """Accuracy against epsilon with 95 % intervals over images, one panel per attack."""
        return draw_accuracy(self.rows(name))

    def with_flags(self, flags: Iterable[Flag]) -> "Outcome":
        """The same outcome with these flags."""
        return replace(self, flags=tuple(flags))

    def table(self, *, worst_case: bool = False) -> "pd.DataFrame":
        """Robust accuracy per attack and budget with Wilson's 95 % interval over images, one number per row.

        Columns: attack, norm, epsilon, metric, value, low, high, n, unit, flags (names of the checks that speak of the
        model or of that attack, separated by ";").

        Args:
            worst_case: add the attack "worst_case": an image counts as broken when any attack breaks it.
        """
        import pandas as pd

        rows = [
            self._row(attack, epsilon, self.success[i, k])
            for i, attack in enumerate(self.attacks)
            for k, epsilon in enumerate(self.epsilons)
        ]
        if worst_case:
            broken = self.worst_case()
            rows += [self._row("worst_case", epsilon, broken[k]) for k, epsilon in enumerate(self.epsilons)]
        return pd.DataFrame(rows)

    def _row(self, attack: str, epsilon: float, success: Tensor) -> dict[str, object]:
        n = success.numel()
        survived = n - int(success.sum())
        low, high = wilson_interval(survived, n)
        names = dict.fromkeys(flag.name for flag in self.flags if flag.attack in ("", attack) or attack == "worst_case")
        return {
            "attack": attack, "norm": self.norm, "epsilon": epsilon, "metric": "robust_accuracy",
            "value": survived / n, "low": low, "high": high, "n": n, "unit": "accuracy", "flags": ";".join(names),
        }  # fmt: skip


def measured_outcome(outcome: Outcome) -> list[Measured]:
    """Accuracy by attack and budget, flags, and medians and survival curves of the minimum norms that were searched for.

    A flag's label is the name of its check.
    """
    numbers = [
        Measured(row["metric"], estimate_of(row), row["attack"], outcome.norm, row["epsilon"])
        for row in records(outcome.table(worst_case=len(outcome.attacks) > 1))
    ]
    for flag in outcome.flags:
        doubt = Estimate(flag.value, "share", warnings=(flag.message,))
        numbers.append(Measured("flag", doubt, flag.attack, outcome.norm, label=flag.name))
    for attack in _searching(outcome):
        norms = outcome.minimum_norms
        norms = norms.amin(0) if attack == "worst_case" else norms[outcome.attacks.index(attack)]
        numbers += measured_norms(norms, attack, outcome.norm, outcome.epsilons)
    return numbers


def check_outcomes(outcomes: Mapping[str, Sequence[Outcome]]) -> None:
    """Raise unless there are two augmentations or more, all attacked alike on the same images."""
    if len(outcomes) < 2 or not all(len(runs) for runs in outcomes.values()):
        raise ValueError(f"outcomes: expected at least two augmentations with a run each, got {list(outcomes)}")
    first = next(iter(outcomes.values()))[0]
    for name, runs in outcomes.items():
        for run in runs:
            if (run.attacks, run.epsilons, run.norm) != (first.attacks, first.epsilons, first.norm):
                raise ValueError(
                    f"outcomes[{name!r}]: expected the same attacks, epsilons and norm as the first outcome"
                )
            if run.success.shape != first.success.shape:
                shapes = f"{tuple(first.success.shape)}, got {tuple(run.success.shape)}"
                raise ValueError(f"outcomes[{name!r}]: expected the same images as the first outcome, shape {shapes}")


def _searching(outcome: Outcome) -> list[str]:
    """Attacks whose norms are minima, not the budgets that happened to be tried; the smallest over all attacks last."""
    if outcome.minimum_norms.isnan().any():
        return []
    searching = [name for name in outcome.attacks if name in MINIMUM_NORM_ATTACKS]
    return [*searching, "worst_case"] if searching and len(outcome.attacks) > 1 else searching
