"""Square attack: a random search that looks at outputs only, the check on gradients that may be masked."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from msda_analysis.attacks.attack import AttackKind, Run
from msda_analysis.attacks.perturbation import Norm, expand_like
from msda_analysis.checks import check_count, check_in_range, check_positive
from msda_analysis.rng import derive_key, generator_from_key

# parts of the search after which the squares' area is halved
_HALVING_TIMES = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class SquareSettings:
    """Length of the search.

    Attributes:
        queries: model evaluations per image at most (5000 in the published evaluations; 1000 here).
        first_area: share of the pixels that the first squares cover.
    """

    queries: int = 1000
    first_area: float = 0.8

    def __post_init__(self) -> None:
        check_count("queries", self.queries, minimum=2)
        check_in_range("first_area", self.first_area, 0.0, 1.0)


def square_attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    key: int,
    settings: SquareSettings | None = None,
) -> Tensor:
    """Images changed by +-epsilon in random squares (boxes), keeping each change that lowers the margin; L-infinity.

    Args:
        model: maps images in [0, 1] to logits [n, classes], in eval mode; no gradient is asked of it.
        images: [n, channel, *size] float in [0, 1], one to three lengths.
        labels: [n] int64.
        epsilon: budget > 0 in [0, 1] pixel units.
        key: seed of the search; an image's draws depend on its place in the batch, not on how the others fare.
        settings: None for the defaults.

    Returns:
        The images with the lowest margin found.

    Raises:
        ValueError: epsilon is not above zero.

    Source: Andriushchenko et al. 2020 (arXiv 1912.00049), algorithms 1 and 2. Differs: squares lie elsewhere in each
    image of the batch, the halving times are scaled to `queries`.
    """
    check_positive("epsilon", epsilon)
    settings = settings or SquareSettings()
    best = (images + epsilon * _draw_stripes(images, key)).clamp(0.0, 1.0)
    margins = _margins(model, best, labels)
    for query in range(1, settings.queries):
        active = (margins > 0).nonzero().squeeze(1)
        if not len(active):
            break
        change = _draw_boxes(images, active, area=_area(query, settings), key=derive_key(key, "square", query))
        candidate = torch.where(change == 0, best[active], images[active] + epsilon * change).clamp(0.0, 1.0)
        found = _margins(model, candidate, labels[active])
        better = found < margins[active]
        best[active] = torch.where(expand_like(better, candidate), candidate, best[active])
        margins[active] = torch.where(better, found, margins[active])
    return best


def _area(query: int, settings: SquareSettings) -> float:
    done = query / settings.queries
    return settings.first_area / 2 ** sum(done > time for time in _HALVING_TIMES)


@torch.no_grad()
def _margins(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """[n] own logit minus the best other one; at most zero where another class wins or ties."""
    logits = model(images)
    own = logits.gather(1, labels[:, None]).squeeze(1)
    return own - logits.scatter(1, labels[:, None], -torch.inf).amax(1)


def _draw_stripes(images: Tensor, key: int) -> Tensor:
    """Signs [n, channel, ..., width], constant along all lengths but the last."""
    n, channels, *size = images.shape
    shape = (n, channels, *[1] * (len(size) - 1), size[-1])
    signs = torch.randint(2, shape, generator=generator_from_key(derive_key(key, "stripes"))) * 2 - 1
    return signs.to(images)


def _draw_boxes(images: Tensor, active: Tensor, *, area: float, key: int) -> Tensor:
    """Change in {-1, 0, 1} for the active images: one sign per channel inside a box, 0 outside."""
    n, channels, *size = images.shape
    generator = generator_from_key(key)
    side = max(1, round((area * math.prod(size)) ** (1 / len(size))))
    signs = torch.randint(2, (n, channels, *[1] * len(size)), generator=generator) * 2 - 1
    change = signs.to(images)[active]
    for axis, length in enumerate(size):
        edge = min(side, max(length - 1, 1))
        first = torch.randint(length - edge + 1, (n,), generator=generator).to(images.device)[active]
        offset = torch.arange(length, device=images.device) - first[:, None]
        inside = (offset >= 0) & (offset < edge)
        shape = [1] * len(size)
        shape[axis] = length
        change = change * inside.reshape(len(active), 1, *shape)
    return change


def _build(norm: Norm, settings: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    chosen = SquareSettings(**settings)

    def run(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None, key: int) -> Tensor:
        assert epsilon is not None
        return square_attack(model, images, labels, epsilon=epsilon, key=key, settings=chosen)

    return run, asdict(chosen)


ATTACKS = {"square": AttackKind("Square", _build, ("linf",), is_black_box=True)}
