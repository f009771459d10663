"""What the trust checks work with: flags, thresholds, the images they look at, and when a share is above a threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from msda_analysis.checks import check_count, check_in_range
from msda_analysis.robustness.outcome import Outcome

if TYPE_CHECKING:
    from msda_analysis.attacks import Attack


@dataclass(frozen=True)
class TrustSettings:
    """Thresholds and effort of the checks; all shares are of the images looked at.

    With the defaults each flag was raised on none of 500 sound runs, so on at most 0.6 % of such runs with 95 % confidence:
    small networks on made-up images, 60 of them, attacks that work (tests/robustness/test_false_alarms.py, 2026-11-26).

    Attributes:
        images: correctly classified images that the checks with further model calls look at, a balanced random part; 0
            leaves those checks out.
        output_change: largest difference between two passes over the same images, relative to the largest logit.
        zero_gradient_share: share of images whose cross-entropy gradient is exactly zero.
        saturated_share: share of images whose top class has probability exactly 1 in the outputs' precision.
        fall_share: share by which success may fall from one budget to a larger one.
        unbroken_share: share that may survive a gradient attack at a budget large enough for a constant gray image.
        black_box_share: share that a black-box attack alone may break at some budget.
        more_steps_share: share that a longer attack may break beside those already broken.
        level: a share counts as above its threshold when so many images, or more, have at most this chance at the
            threshold (exact binomial): of 16 images, 3 for 2 %, 4 for 5 %, 6 for 10 % at the default.
        queries: length of the black-box search made when no such attack was asked for, at most.
        steps: length of the longer attack, at most.
        effort: share of the passes of this evaluation, scaled to 200 images, that each of these two may take; they are
            shortened to it, and left out where it does not pay for three steps.
    """

    images: int = 16
    output_change: float = 1e-4
    zero_gradient_share: float = 0.05
    saturated_share: float = 0.05
    fall_share: float = 0.02
    unbroken_share: float = 0.05
    black_box_share: float = 0.02
    more_steps_share: float = 0.1
    level: float = 0.01
    queries: int = 100
    steps: int = 100
    effort: float = 0.08

    def __post_init__(self) -> None:
        check_count("images", self.images, minimum=0)
        check_count("queries", self.queries, minimum=2)
        check_count("steps", self.steps)
        for name in ("output_change", "zero_gradient_share", "saturated_share", "fall_share", "unbroken_share"):
            check_in_range(name, getattr(self, name), 0.0, 1.0)
        for name in ("black_box_share", "more_steps_share", "level", "effort"):
            check_in_range(name, getattr(self, name), 0.0, 1.0)


@dataclass(frozen=True)
class Evidence:
    """What the checks look at: the whole outcome, and a few correctly classified images for further model calls.

    Attributes:
        model: in the state in which it was attacked.
        images, labels: those few.
        rows: their places in the outcome.
        attacks: in the outcome's order.
        passes: what the evaluation took, see guard.Work.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    rows: Tensor
    attacks: Sequence["Attack"]
    outcome: Outcome
    settings: TrustSettings
    passes: int

    def afford(self, wanted: int, passes: int) -> int:
        """How many calls of so many passes each may be made, at most `wanted`; 0 where fewer than three."""
        allowance = self.settings.effort * self.passes * 200 / self.outcome.success.shape[2]
        count = min(wanted, int(allowance / passes))
        return count if count >= 3 or count == wanted else 0

    @property
    def white_box(self) -> list[int]:
        """Places of the gradient attacks."""
        return [i for i, attack in enumerate(self.attacks) if not attack.is_black_box]

    @property
    def black_box(self) -> list[int]:
        """Places of the others."""
        return [i for i, attack in enumerate(self.attacks) if attack.is_black_box]

    def is_above(self, count: int, n: int, share: float) -> bool:
        """Whether `count` of `n` images are more than `share` of them, and more than chance makes of that share."""
        from scipy.stats import binom

        return count / n > share and float(binom.sf(count - 1, n, share)) <= self.settings.level

    def middle_budget(self) -> int | None:
        """Index of the budget at which the white-box attacks together break nearest to half of the correct images.

        The largest of these where several are as near.
        """
        if not self.white_box or not len(self.rows):
            return None
        correct = self.outcome.success[self.white_box][:, :, self.outcome.is_correct]
        distance = (correct.any(0).double().mean(1) - 0.5).abs()
        usable = [k for k, epsilon in enumerate(self.outcome.epsilons) if epsilon > 0]
        return min(usable, key=lambda k: (float(distance[k]), -self.outcome.epsilons[k])) if usable else None
