"""sample_masks: the one door to every mask. Draws are functions of one key taken from the generator."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

import torch
from torch import Tensor

from msda_analysis.checks import check_choice, check_count, check_size
from msda_analysis.masks import fourier, fourier_cpu
from msda_analysis.masks.boxes import box_masks, draw_boxes, kept_shares
from msda_analysis.masks.draws import draw_uniforms, has_triton
from msda_analysis.masks.families import Alternate, CutMix, Family, FMix, MixUp, family_at
from msda_analysis.masks.lam import lam_on_device
from msda_analysis.rng import Key, derive_key, numpy_from_key, split_key, take_key

BACKENDS = ("auto", "torch", "triton")
_PURPOSES = ("lam", "boxes", "rounding", "noise", "swap")


@dataclass(frozen=True)
class MaskBatch:
    """Masks and the label weights that go with them.

    Attributes:
        masks: [n, 1, *size] float32 in [0, 1]; 1 keeps the first image. MixUp's share one value per mask in memory.
        lam: [n] float32, label weight of the first image (see lam_policy; 1 where reformulated).
        drawn_lam: [n] float32, the lambda that was drawn; 1 - lambda where a reformulated CutMix swapped its mask.
    """

    masks: Tensor
    lam: Tensor
    drawn_lam: Tensor


def sample_masks(
    family: Family | Alternate,
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
        family: MixUp(), CutMix(), FMix() or Alternate(...).
        n: number of masks, at least 1. With family.per_batch all n are the same mask, or boxes of one size.
        size: one, two or three lengths, for example (32, 32).
        generator: torch.Generator; its device need not be `device`.
        device: where the masks are made; the generator's device if None.
        step: position in the run, which decides whose turn it is in an Alternate.
        backend: how Fourier masks are made: "torch"; "triton", kernels for CUDA; or "auto", the kernels on a CUDA
            device where Triton is installed and "torch" elsewhere. On one device both draw the same random words.

    Returns:
        MaskBatch with masks [n, 1, *size] and lam [n].

    Raises:
        TypeError: not a mask family, or no torch.Generator.
        ValueError: bad n, size or backend, or "triton" where it cannot run.

    Source: Harris et al. 2020 (arXiv 2002.12047), section 4; see the families for theirs.
    """
    check_count("n", n)
    check_size("size", size)
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator: expected a torch.Generator (see msda_analysis.rng.stream), got {generator!r}")
    plain = family_at(family, step)
    device = torch.device(device if device is not None else generator.device)
    is_one_mask = plain.per_batch and not isinstance(plain, CutMix)
    key, count = take_key(generator), 1 if is_one_mask else n
    batch = masks_from_key(plain, count, tuple(size), key, device, backend=backend)
    if not is_one_mask:
        return batch
    return MaskBatch(batch.masks.expand(n, *batch.masks.shape[1:]), batch.lam.expand(n), batch.drawn_lam.expand(n))


def _without_compiler(function: Callable[..., MaskBatch]) -> Callable[..., MaskBatch]:
    """Between two graphs of a compiled caller, the function as it is: compilers take its NumPy for torch and fail.

    torch.compiler.disable as a decorator would import the compiler, which takes seconds, for all others too.
    """

    @wraps(function)
    def run(*arguments: object, **more: object) -> MaskBatch:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*arguments, **more)
        return function(*arguments, **more)

    return run


@_without_compiler
def masks_from_key(
    family: Family, n: int, size: tuple[int, ...], key: Key, device: torch.device, *, backend: str = "auto"
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
    sample_fourier = _fourier_backend(backend, device)
    keys = _sub_keys(key, device)
    lam = lam_on_device(family, 1 if family.per_batch else n, keys["lam"], device).expand(n)  # float64
    drawn = lam.to(torch.float32)
    if isinstance(family, MixUp):
        masks = drawn.view(n, *[1] * (1 + len(size))).expand(n, 1, *size)
        return _batch_of(family, masks, drawn, drawn)
    if isinstance(family, CutMix):
        starts, lengths = draw_boxes(lam, size, family.geometry, keys["boxes"])
        masks, kept = box_masks(starts, lengths, size), kept_shares(starts, lengths, size)
        if family.reformulate:
            masks, drawn = swap_boxes(masks, drawn, _label_weights(family, kept, drawn), keys["swap"])
    else:
        round_up = _round_up(family, n, keys["rounding"], device)
        masks = sample_fourier(family, lam, size=size, key=keys["noise"], round_up=round_up)
        if family.max_soft > 0:
            kept = masks.flatten(1).mean(1)
        else:  # exact by construction: no need to count again
            kept = (fourier.keep_counts(lam, math.prod(size), round_up) / math.prod(size)).to(torch.float32)
    return _batch_of(family, masks, kept, drawn)


def _sub_keys(key: Key, device: torch.device) -> dict[str, Key]:
    """One key for each purpose: hashed by the host for masks of a CPU, split by Philox where a GPU may hold the key."""
    if isinstance(key, Tensor) and (key.ndim > 0 or key.dtype != torch.int64 or key.device.type != device.type):
        shape, place = tuple(key.shape), f"{key.dtype} on {key.device}"
        raise ValueError(
            f"key: expected an integer or a 0-d torch.int64 tensor on {device}, got {place} of shape {shape}"
        )
    if device.type == "cpu":
        return {purpose: derive_key(int(key), purpose) for purpose in _PURPOSES}
    return dict(zip(_PURPOSES, split_key(key, len(_PURPOSES)), strict=True))


def _fourier_backend(backend: str, device: torch.device) -> Callable[..., Tensor]:
    """The sample_masks function that a request stands for."""
    check_choice("backend", backend, BACKENDS)
    if backend == "triton" or (backend == "auto" and device.type == "cuda" and has_triton()):
        return _triton_backend(device)
    return fourier_cpu.sample_masks if device.type == "cpu" else fourier.sample_masks


def _triton_backend(device: torch.device) -> Callable[..., Tensor]:
    if not has_triton():
        raise ValueError('backend: "triton" was asked for, but Triton is not installed; use "auto" or "torch"')
    from msda_analysis.masks import fourier_triton  # only where it is used: importing Triton takes a second

    if device.type != "cuda" and not fourier_triton.IS_INTERPRETED:
        raise ValueError(f'backend: "triton" needs a CUDA device, got {device}; use "auto" or "torch"')
    return fourier_triton.sample_masks


def swap_boxes(masks: Tensor, drawn: Tensor, weights: Tensor, key: Key) -> tuple[Tensor, Tensor]:
    """Masks of a reformulated CutMix, and their lambdas: complements where a coin of the first label's weight fails.

    A pair (a, b) under m is the pair (b, a) under 1 - m, and pairs come in both orders alike. So one label, kept with
    its weight or left to its partner, gives the loss of two weighted labels in expectation, for any law of masks.
    """
    is_swapped = _uniforms(key, len(masks), masks.device) >= weights
    shape = (-1, *[1] * (masks.ndim - 1))
    return torch.where(is_swapped.view(shape), 1 - masks, masks), torch.where(is_swapped, 1 - drawn, drawn)


def _label_weights(family: Family, kept: Tensor, drawn: Tensor) -> Tensor:
    return kept if family.lam_policy == "mask_mean" else drawn


def _batch_of(family: Family, masks: Tensor, kept: Tensor, drawn: Tensor) -> MaskBatch:
    lam = torch.ones_like(drawn) if family.reformulate else _label_weights(family, kept, drawn)
    return MaskBatch(masks, lam, drawn)


def _round_up(family: FMix, n: int, key: Key, device: torch.device) -> Tensor | None:
    """The released code rounds lambda times the number of cells up or down by a coin; we round to the nearest."""
    return None if family.spectrum == "isotropic" else _uniforms(key, n, device) < 0.5


def _uniforms(key: Key, n: int, device: torch.device) -> Tensor:
    """[n] float64 in [0, 1): a coin of chance p falls where they are below p."""
    if device.type == "cpu":
        return torch.from_numpy(numpy_from_key(int(key)).random(n))
    return draw_uniforms(key, n, 1, device)[:, 0]
