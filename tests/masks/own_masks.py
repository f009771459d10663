"""A family from outside the package, as a user would write it; tests copy this file to where they want it."""

from dataclasses import dataclass

import torch

from msda_analysis import MaskFamily
from msda_analysis.rng import philox_uniforms


def phases(key, n, device):
    return philox_uniforms(key, n, 1, device)


@dataclass(frozen=True)
class Stripes(MaskFamily):
    period: int = 4

    def sample(self, lam, size, *, key, device):
        place = torch.arange(size[-1], device=device) / self.period + phases(key, len(lam), device)
        masks = (place % 1 < lam[:, None]).to(torch.float32)
        return masks.view(len(lam), *[1] * len(size), size[-1]).expand(len(lam), 1, *size)


class Unrelated:
    period = 4
