"""SGD that turns the filters of convolutions by Muon."""

import torch
from torch import Tensor

#: Of the quintic polynomial whose repetition brings singular values near 1 (Jordan 2024).
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
_REPEATED = 3
_MOMENTUM = 0.6


class Muon(torch.optim.SGD):
    """SGD, but groups of parameters with "turned" set step along the nearest orthogonal matrix of their momentum.

    Such a weight [channel, ...] is seen as a matrix with a row a channel, and kept at the norm sqrt(channels), so that its rate is an angle;
    it has no weight decay. Momentum is 0.6 (Nesterov), the orthogonal matrix three steps of a quintic iteration.

    Source: Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon), as in Jordan 2024 (arXiv 2404.00498), its later code.
    """

    @torch.no_grad()
    def step(self, closure=None):  # type: ignore[override]
        """One step; see torch.optim.Optimizer."""
        if closure is not None:
            raise TypeError("closure: expected None, as gradients are turned before the step")
        for group in self.param_groups:
            for weight in group["params"] if group.get("turned") else ():
                if weight.grad is not None:
                    self._turn(weight, weight.grad)
        return super().step()

    def _turn(self, weight: Tensor, gradient: Tensor) -> None:
        """Make the gradient what SGD without momentum is to step along."""
        kept = self.state[weight].setdefault("momentum_buffer", torch.zeros_like(gradient))
        kept.mul_(_MOMENTUM).add_(gradient)
        direction = orthogonal(gradient.add(kept, alpha=_MOMENTUM).reshape(len(weight), -1))
        gradient.copy_(direction.view(weight.shape))
        norm = weight.norm().clamp_min(torch.finfo(weight.dtype).tiny)  # filters may start at zero
        weight.mul_(len(weight) ** 0.5 / norm)


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix [row, column] whose singular values are all 1: they lie within 0.3 of it, those near 0 below.

    Source: Jordan et al. 2024, Newton-Schulz iteration.
    """
    if len(matrix) > matrix.shape[1]:
        return orthogonal(matrix.T).T
    a, b, c = _POLYNOMIAL
    found = matrix / (matrix.norm() + 1e-7)
    for _ in range(_REPEATED):
        square = found @ found.T
        found = a * found + (b * square + c * square @ square) @ found
    return found


def is_turned(weight: Tensor) -> bool:
    """Whether Muon turns a weight: the filters of convolutions."""
    return weight.ndim > 2
