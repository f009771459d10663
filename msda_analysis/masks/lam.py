"""The law of lambda, the share of the first image: Beta(alpha, alpha), or Beta(alpha + 1, alpha) if reformulated."""

import torch
from torch import Tensor

from msda_analysis.masks.families import Family
from msda_analysis.rng import numpy_from_key


def draw_lam(family: Family, n: int, key: int) -> Tensor:
    """Draw lambdas on the host; the first k of n equal a draw of k.

    NumPy draws them because torch's Beta takes no generator; n numbers cost microseconds.

    Returns:
        [n] float64 in [0, 1].
    """
    first = family.alpha + 1 if family.reformulate else family.alpha
    return torch.from_numpy(numpy_from_key(key).beta(first, family.alpha, size=n))
