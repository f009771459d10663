"""What an evaluation found: which image each attack broke at which budget, and the tables made from it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from msda_analysis.estimate import wilson_interval

if TYPE_CHECKING:
    import pandas as pd


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
    """

    success: Tensor
    minimum_norms: Tensor
    is_correct: Tensor
    attacks: tuple[str, ...]
    epsilons: tuple[float, ...]
    norm: str
    seed: int

    @property
    def clean_accuracy(self) -> float:
        """Share of clean images classified correctly."""
        return float(self.is_correct.double().mean())

    def table(self) -> "pd.DataFrame":
        """Robust accuracy per attack and budget with Wilson's 95 % interval over images, one number per row.

        Columns: attack, norm, epsilon, metric, value, low, high, n, unit.
        """
        import pandas as pd

        return pd.DataFrame([
            self._row(attack, epsilon, self.success[i, k])
            for i, attack in enumerate(self.attacks)
            for k, epsilon in enumerate(self.epsilons)
        ])  # fmt: skip

    def _row(self, attack: str, epsilon: float, success: Tensor) -> dict[str, object]:
        n = success.numel()
        survived = n - int(success.sum())
        low, high = wilson_interval(survived, n)
        return {
            "attack": attack, "norm": self.norm, "epsilon": epsilon, "metric": "robust_accuracy",
            "value": survived / n, "low": low, "high": high, "n": n, "unit": "accuracy",
        }  # fmt: skip
