"""rng.philox_uniforms in one Triton kernel: the same words, hence the same numbers to the last bit.

Shown equal to the definition through Triton's interpreter, and compiled for compute capability 9.0; not measured on a
GPU.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from msda_analysis.rng import Key


def philox_uniforms(key: Key, n: int, count: int, device: torch.device, block: int = 256) -> Tensor:
    """rng.philox_uniforms."""
    out = torch.empty(n, count, dtype=torch.float64, device=device)
    _philox_uniforms_kernel[(triton.cdiv(n * count, block),)](
        out, key_on_device(key, device), count, n * count, BLOCK=block
    )
    return out


def key_on_device(key: Key, device: torch.device) -> Tensor:
    """The key where kernels load it, so that a captured graph reads its value at each replay; filled without a copy."""
    return key if isinstance(key, Tensor) else torch.full((), key, dtype=torch.int64, device=device)


@triton.jit
def _philox_uniforms_kernel(out, key, count, n_values, BLOCK: tl.constexpr):
    """Every value takes the whole counter that its lane belongs to: these draws are few."""
    value = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row, column = value // count, value % count
    zero = value * 0
    first, second, third, fourth = tl.philox(tl.load(key), column // 4, row, zero, zero)
    lane = column % 4
    word = tl.where(lane == 0, first, tl.where(lane == 1, second, tl.where(lane == 2, third, fourth)))
    tl.store(out + value, (word.to(tl.float64) + 0.5) / 4294967296.0, mask=value < n_values)
