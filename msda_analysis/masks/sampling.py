"""sample_masks: the one door to every mask. Draws are functions of one key taken from the generator."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from msda_analysis.checks import check_count, check_size
from msda_analysis.masks.backends import choose_backend
from msda_analysis.masks.family import Keys, MaskBatch, MaskFamily
from msda_analysis.masks.registry import Alternate, family_at
from msda_analysis.rng import Key, derive_key, split_key, take_key

#: What a family may draw for. A new one goes to the end: the keys of the others must not change.
PURPOSES = ("lam", "boxes", "rounding", "noise", "swap", "masks")


def sample_masks(
    family: MaskFamily | Alternate,
    n: int,
    size: tuple[int, ...],
    *,
    generator: torch.Generator,
    device: str | torch.device | None = None,
    step: int | None = None,
    backend: str = "auto",
) -> MaskBatch:
    """Sample n masks of a family.

    One key is taken from the generator; the same generator state gives the same masks whatever ran before, and on one
    device the first k masks of n equal a batch of k.

    Args:
        family: MixUp(), CutMix(), FMix(), any other MaskFamily, or Alternate(...).
        n: number of masks, at least 1. With family.per_batch all n are the same mask, or boxes of one size.
        size: one, two or three lengths, for example (32, 32).
        generator: torch.Generator; its device need not be `device`.
        device: where the masks are made; the generator's device if None.
        step: position in the run, which decides whose turn it is in an Alternate.
        backend: how Fourier masks are made, see backends.choose_backend: "numpy", blocks on the threads of a CPU;
            "torch", plain operations on any device; "triton", kernels for CUDA; or "auto", the fastest on the device.
            On one device "torch" and "triton" draw the same random words; "numpy" has the same law and other draws.

    Returns:
        MaskBatch with masks [n, 1, *size] and lam [n].

    Raises:
        TypeError: not a mask family, or no torch.Generator; a family's own `sample` returned no tensor.
        ValueError: bad n, size or backend, or a backend that cannot run here; a family's own `sample` returned masks of
            another shape, dtype or device, or, on a CPU, values outside [0, 1].

    Source: Harris et al. 2020 (arXiv 2002.12047), section 4; see the families for theirs.
    """
    check_count("n", n)
    check_size("size", size)
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator: expected a torch.Generator (see msda_analysis.rng.stream), got {generator!r}")
    plain = family_at(family, step)
    device = torch.device(device if device is not None else generator.device)
    is_one_mask = plain.per_batch and plain.shares_mask
    key, count = take_key(generator), 1 if is_one_mask else n
    batch = masks_from_key(plain, count, tuple(size), key, device, backend=backend)
    if not is_one_mask:
        return batch
    return MaskBatch(batch.masks.expand(n, *batch.masks.shape[1:]), batch.lam.expand(n), batch.drawn_lam.expand(n))


def masks_at(
    family: MaskFamily, lam: float, n: int, size: tuple[int, ...], *, generator: torch.Generator,
    device: str | torch.device | None = None,
) -> Tensor:  # fmt: skip
    """n masks of a family for one lambda, each drawn for itself: families side by side at equal strength.

    The family's laws of lambda, of batches and of labels play no part. What a mask keeps is lambda where the family keeps it;
    CutMix's boxes that are cut at the border keep more.

    Args:
        family: MixUp(), CutMix(), FMix(), or any other MaskFamily.
        lam: share of the first image that is asked for, in [0, 1].
        n, size, generator, device: see sample_masks.

    Returns:
        [n, 1, *size] float32 in [0, 1].

    Raises:
        TypeError, ValueError: see sample_masks; lam outside [0, 1].
    """
    check_count("n", n)
    check_size("size", size)
    if not 0 <= lam <= 1:
        raise ValueError(f"lam: expected a share in [0, 1], got {lam!r}")
    device = torch.device(device if device is not None else generator.device)
    wanted = torch.full((n,), lam, dtype=torch.float64, device=device)
    keys, backend = _sub_keys(take_key(generator), device), choose_backend("auto", device)
    return family.masks_and_kept(wanted, tuple(size), keys=keys, device=device, backend=backend)[0]


def _without_compiler(function: Callable[..., MaskBatch]) -> Callable[..., MaskBatch]:
    """Between two graphs of a compiled caller, the function as it is: compilers take its NumPy for torch and fail.

    torch.compiler.disable as a decorator would import the compiler, which takes seconds, for all others too.
    """

    @wraps(function)
    def run(*arguments: Any, **more: Any) -> MaskBatch:
        if torch.compiler.is_compiling():
            plain: Any = torch.compiler.disable(function)
            return plain(*arguments, **more)
        return function(*arguments, **more)

    return run


@_without_compiler
def masks_from_key(
    family: MaskFamily, n: int, size: tuple[int, ...], key: Key, device: torch.device, *, backend: str = "auto"
) -> MaskBatch:
    """Masks as a pure function of a key (see sample_masks); with per_batch one lambda, one mask is the caller's business.

    A CUDA graph that captures this with a tensor as key makes new masks at each replay, without waiting for the device,
    and the same as outside a graph. Call it once before the capture: kernels and tables are made then.

        key = torch.zeros((), dtype=torch.int64, device="cuda")
        masks_from_key(family, n, size, key, key.device)
        with torch.cuda.graph(graph):
            batch = masks_from_key(family, n, size, key, key.device)
        key.fill_(take_key(generator))  # before each replay
        graph.replay()

    Args:
        family, n, size, backend: see sample_masks.
        key: 63-bit integer, or a 0-d int64 tensor on `device` of that value, which gives the same masks.
        device: where the masks are made.

    Raises:
        ValueError: a tensor of another shape, dtype or device; or one on a GPU where alpha is not 1.
    """
    backend = choose_backend(backend, device)
    return family.draw(n, size, keys=_sub_keys(key, device), device=device, backend=backend)


def _sub_keys(key: Key, device: torch.device) -> Keys:
    """One key for each purpose: hashed by the host for masks of a CPU, split by Philox where a GPU may hold the key."""
    if isinstance(key, Tensor) and (key.ndim > 0 or key.dtype != torch.int64 or key.device.type != device.type):
        shape, place = tuple(key.shape), f"{key.dtype} on {key.device}"
        raise ValueError(
            f"key: expected an integer or a 0-d torch.int64 tensor on {device}, got {place} of shape {shape}"
        )
    if device.type == "cpu":
        return {purpose: derive_key(int(key), purpose) for purpose in PURPOSES}
    return dict(zip(PURPOSES, split_key(key, len(PURPOSES)), strict=True))
