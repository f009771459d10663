"""The law of lambda, the share of the first image: Beta(alpha, alpha), or Beta(alpha + 1, alpha) if reformulated.

A reformulated CutMix keeps Beta(alpha, alpha), see sampling.swap_boxes.
"""

import torch
from torch import Tensor

from msda_analysis.masks.draws import draw_uniforms
from msda_analysis.masks.families import CutMix, Family
from msda_analysis.rng import Key, numpy_from_key


def draw_lam(family: Family, n: int, key: int) -> Tensor:
    """Draw lambdas on the host; the first k of n equal a draw of k.

    NumPy draws them because torch's Beta takes no generator; n numbers cost microseconds.

    Returns:
        [n] float64 in [0, 1].
    """
    first = family.alpha + 1 if _is_shifted(family) else family.alpha
    return torch.from_numpy(numpy_from_key(key).beta(first, family.alpha, size=n))


def lam_on_device(family: Family, n: int, key: Key, device: torch.device) -> Tensor:
    """Lambdas where they are needed, without waiting for a GPU; on a CPU the same as draw_lam.

    At alpha = 1 the law is that of a uniform number, or of its square root if reformulated, and is drawn on the device.

    Raises:
        ValueError: a key on a GPU with another alpha: the host cannot read it without waiting.
    """
    if device.type == "cpu":
        return draw_lam(family, n, int(key))
    if family.alpha == 1:
        uniform = draw_uniforms(key, n, 1, device)[:, 0]
        return torch.sqrt(uniform) if _is_shifted(family) else uniform
    if isinstance(key, Tensor):
        raise ValueError(
            f"key: expected an integer, since lambda is drawn on the host at alpha = {family.alpha}; got a tensor"
        )
    lam = draw_lam(family, n, key)
    return lam.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else lam.to(device)


def _is_shifted(family: Family) -> bool:
    return family.reformulate and not isinstance(family, CutMix)
