"""How much of a perturbation's energy is MixUp: the share along a direction to another image, with fading and beyond it.

Every MixUp direction x_b - x_a holds the fading of x_a, and after that little but the other image tells it apart. Fading
alone therefore scores as a MixUp step does: a small share denies likeness, a large one shows it only beyond fading.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from msda_analysis.estimate import Estimate, mean_estimate

#: Unit of share_of_step.
STEP = "share of a MixUp step"


def energy_shares(
    images: Tensor, perturbation: Tensor, directions: Iterable[Tensor], *, is_beyond_fading: bool = False
) -> Tensor:
    """Largest share of each perturbation's energy along a MixUp direction: the squared cosine.

    Shares along a direction taken backwards, away from the other image, are negative.

    Args:
        images: [n, channel, *size].
        perturbation: the same shape, none of them zero.
        directions: each [n, channel, *size], towards one other image.
        is_beyond_fading: count the part of the direction outside the span of the image, the mean image, and a constant per
            channel alone: outside all changes of contrast, brightness and tint and all fading towards the mean image.

    Returns:
        [n] float64 in [-1, 1].
    """
    change, shares = perturbation.flatten(1).double(), []
    basis = _fading_basis(images) if is_beyond_fading else None
    for direction in directions:
        flat = direction.flatten(1).double()
        if basis is not None:
            flat = flat - (basis @ (basis.mT @ flat[:, :, None])).squeeze(2)
        cosine = torch.nn.functional.cosine_similarity(change, flat, dim=1, eps=1e-30)
        shares.append(cosine * cosine.abs())
    return torch.stack(shares).amax(0)


def share_of_step(found: Tensor, chance: Tensor, step: Tensor) -> Estimate:
    """How far energy shares lie from chance (0) to a MixUp step (1), with Student's 95 % interval over paired images.

    The ratio of mean(found - chance) to mean(step - chance); its interval is that of the mean of its linearization.

    Args:
        found, chance, step: [n] shares on the same images.
    """
    reached, whole = found - chance, step - chance
    ratio = reached.mean() / whole.mean()
    return mean_estimate((ratio + (reached - ratio * whole) / whole.mean()).tolist(), STEP)


def _fading_basis(images: Tensor) -> Tensor:
    """[n, values, 2 + channels] orthonormal: what fading, contrast, brightness and tint can do to each image."""
    n, channels = images.shape[:2]
    constant = torch.zeros(channels, *images.shape[1:], dtype=torch.float64, device=images.device)
    constant[range(channels), range(channels)] = 1.0
    shared = torch.cat([images.double().mean(0, keepdim=True), constant]).flatten(1)
    columns = torch.cat([images.double().flatten(1)[:, None], shared.expand(n, -1, -1)], dim=1)
    # a constant image adds no direction of its own: what the factorization puts in its place is one of thousands
    return torch.linalg.qr(columns.mT)[0]
