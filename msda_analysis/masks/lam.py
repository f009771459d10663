"""The law of lambda, the share of the first image: a Beta law, drawn where it is needed."""

import torch
from torch import Tensor

from msda_analysis.masks.draws import draw_uniforms
from msda_analysis.rng import Key, numpy_from_key


def draw_beta(first: float, second: float, n: int, key: Key, device: torch.device) -> Tensor:
    """Lambdas from Beta(first, second), without waiting for a GPU; the first k of n equal a draw of k.

    NumPy draws them on the host because torch's Beta takes no generator; n numbers cost microseconds. On another device
    Beta(1, 1) and Beta(2, 1), a uniform number and the square root of one, are drawn there.

    Returns:
        [n] float64 in [0, 1] on the device.

    Raises:
        ValueError: a key on a GPU with another law: the host cannot read it without waiting.
    """
    if device.type == "cpu":
        return _draw_on_host(first, second, n, int(key))
    if second == 1 and first in (1, 2):
        uniform = draw_uniforms(key, n, 1, device)[:, 0]
        return torch.sqrt(uniform) if first == 2 else uniform
    if isinstance(key, Tensor):
        raise ValueError(
            f"key: expected an integer, since lambda is drawn on the host at alpha = {second}; got a tensor"
        )
    lam = _draw_on_host(first, second, n, key)
    return lam.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else lam.to(device)


def _draw_on_host(first: float, second: float, n: int, key: int) -> Tensor:
    return torch.from_numpy(numpy_from_key(key).beta(first, second, size=n))
