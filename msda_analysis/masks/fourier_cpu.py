"""FMix masks on a CPU: the laws of fourier.py in NumPy, block by block on as many threads as torch may use.

A block's noise, field and mask fit the cache. Each block has its own stream, so neither the number of threads nor the
number of masks changes a mask. NumPy's FFT, sort and small products run on the calling thread and let other
threads run; that is why this is not written with torch operations, whose inner threads would get in each other's way.
"""

import math
import threading
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from msda_analysis.masks import fourier
from msda_analysis.masks.blocks import empty_on_cpu, one_blas_thread, run_on_threads
from msda_analysis.rng import Key, derive_key, generator_from_key

# cells of a block: fits the cache, and long enough that two threads seldom wait for the interpreter lock. Each block has
# its own stream, so another value gives other masks
_BLOCK_CELLS = 1 << 17


class Workspace:
    """Arrays of one thread, used again for every block: fresh memory costs more than the arithmetic on it."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, type], np.ndarray] = {}

    def array(self, name: str, *shape: int, dtype: type = np.float32) -> np.ndarray:
        """An uninitialized array; the last one of this name and type is lost."""
        n_values = math.prod(shape)
        array = self._arrays.get((name, dtype))
        if array is None or array.size < n_values:
            array = self._arrays[name, dtype] = np.empty(n_values, dtype)
        return array[:n_values].reshape(shape)


def sample_masks(
    law: fourier.FourierLaw, lam: Tensor, *, size: tuple[int, ...], key: Key, round_up: Tensor | None = None
) -> Tensor:
    """FMix masks as a function of lambda and a key.

    Args:
        law: its spectrum, decay and softness.
        lam: [n] float64 on the host.
        key: of the noise.
        round_up: see fourier.keep_counts.

    Returns:
        [n, 1, *size] float32 in [0, 1].
    """
    n_cells, key = math.prod(size), int(key)
    counts = fourier.keep_counts(lam, n_cells, round_up).numpy()
    masks = empty_on_cpu(len(lam), n_cells)
    rows = max(1, _BLOCK_CELLS // n_cells)
    own = threading.local()

    def fill(block: int) -> None:
        own.workspace = work = getattr(own, "workspace", None) or Workspace()
        part = slice(block * rows, min(len(lam), (block + 1) * rows))
        fields = draw_fields(law, part.stop - part.start, size, derive_key(key, block), work)
        if law.max_soft > 0:
            coins = None if round_up is None else round_up[part]
            masks[part] = fourier.binarize(torch.from_numpy(fields), lam[part], law.max_soft, coins).flatten(1)
        else:
            keep_brightest(fields.reshape(-1, n_cells), counts[part], masks[part].numpy(), work)

    with one_blas_thread():
        run_on_threads(fill, math.ceil(len(lam) / rows))
    return masks.view(len(lam), 1, *size)


def draw_fields(
    law: fourier.FourierLaw, n: int, size: tuple[int, ...], key: int, work: Workspace | None = None
) -> np.ndarray:
    """[n, *size] float32 fields from a stream of their own; the first k of n equal a draw of k."""
    work = work or Workspace()
    noise = draw_normals(n, noise_shape(law, size), key, work)
    if law.spectrum == "released":
        return released_fields(noise, size, law.decay_power, work)
    make_fields = product_fields if fourier.has_short_axes(size) else isotropic_fields
    return make_fields(noise, size, law.decay_power, work)


def noise_shape(law: fourier.FourierLaw, size: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the normals that one mask takes. The released law depends on two rows of its noise only."""
    if law.spectrum == "released":
        first, *rest = fourier.noise_shape(size, "released")
        return (min(first, 2), *rest)
    return size if fourier.has_short_axes(size) else fourier.noise_shape(size, "isotropic")


def draw_normals(n: int, shape: tuple[int, ...], key: int, work: Workspace) -> np.ndarray:
    """[n, *shape] float32 standard normals."""
    used = math.prod(shape)
    # torch fills in blocks of 16: whole blocks per row keep the first rows independent of n
    values = work.array("noise", n, -(-used // 16) * 16)
    torch.from_numpy(values).normal_(generator=generator_from_key(key))
    return values[:, :used].reshape(n, *shape)


def product_fields(noise: np.ndarray, size: tuple[int, ...], decay_power: float, work: Workspace) -> np.ndarray:
    """fourier.product_fields in NumPy; overwrites the noise."""
    noise *= _table(fourier.product_scale, size, decay_power)
    spare = work.array("spare", *noise.shape)
    fields = np.matmul(noise, _table(fourier.real_waves, size[-1]), out=spare)
    if len(size) > 1:
        fields = np.matmul(_table(fourier.real_waves, size[-2]).T, fields, out=noise)
    if len(size) > 2:
        planes, spare = fields.reshape(*fields.shape[:2], -1), spare.reshape(*fields.shape[:2], -1)
        fields = np.matmul(_table(fourier.real_waves, size[0]).T, planes, out=spare)
    return fields.reshape(noise.shape)


def isotropic_fields(noise: np.ndarray, size: tuple[int, ...], decay_power: float, work: Workspace) -> np.ndarray:
    """fourier.isotropic_fields in NumPy; overwrites the noise."""
    noise *= _table(fourier.half_grid_scale, size, decay_power)
    spectrum = noise.view(np.complex64)[..., 0]
    spare = work.array("spare", *spectrum.shape, dtype=np.complex64)
    for axis in range(1, len(size)):
        spectrum, spare = np.fft.ifft(spectrum, axis=axis, out=spare), spectrum  # type: ignore
    return np.fft.irfft(spectrum, n=size[-1], out=work.array("field", len(noise), *size))


def released_fields(noise: np.ndarray, size: tuple[int, ...], decay_power: float, work: Workspace) -> np.ndarray:
    """fourier.released_fields in NumPy; only the first two rows of the noise are needed."""
    if len(size) < 3 and fourier.has_short_axes(size):
        values = noise[:, :2].reshape(len(noise), -1)
        parts = (values @ _table(fourier.released_response, size, decay_power)).reshape(-1, *size[:-1], 3)
    else:
        parts = _released_parts(noise, size, decay_power)
    return np.matmul(parts, _table(fourier.two_bin_waves, size[-1]), out=work.array("field", len(noise), *size))  # type: ignore


def _released_parts(noise: np.ndarray, size: tuple[int, ...], decay_power: float) -> np.ndarray:
    """fourier.released_parts in NumPy."""
    rows = noise[:, :2] * _table(fourier.released_scale, size, decay_power)
    bins = np.zeros((len(rows), *rows.shape[2:]), dtype=np.complex64)
    bins.real = rows[:, 0]
    if rows.shape[1] > 1:
        bins.imag = rows[:, 1]
    if len(size) > 1:
        bins = np.fft.ifftn(bins, s=size[:-1], axes=range(1, len(size)))
    return np.stack([bins[..., 0].real, bins[..., 1].real, bins[..., 1].imag], axis=-1)


def keep_brightest(fields: np.ndarray, counts: np.ndarray, masks: np.ndarray, work: Workspace) -> None:
    """Write masks of exactly counts[i] ones at the largest cells of field i; ties go to the lower index.

    Args:
        fields: [n, cells] float32, finite as are their differences; left as they are.
        counts: [n] in 0..cells.
        masks: [n, cells] float32, overwritten.

    Raises:
        ValueError: fields, or differences of their values, that are not finite.
    """
    thresholds = _kth_largest(fields, counts, work)
    keep = np.greater_equal(fields, thresholds, out=work.array("keep", *fields.shape, dtype=np.bool_))
    np.copyto(masks, keep)
    if np.count_nonzero(keep) != counts.sum():
        _drop_surplus_ties(masks, fields, thresholds, counts)


def _kth_largest(fields: np.ndarray, counts: np.ndarray, work: Workspace) -> np.ndarray:
    """[n, 1] the counts[i]-th largest value of each row, infinity for none.

    Bytes that grow with the values are sorted in place of the values: counting them takes one pass. Only the few cells
    that share the byte of the value sought are then compared as they are.
    """
    n, n_cells = fields.shape
    rows, place = np.arange(n), np.minimum(n_cells - counts, n_cells - 1)
    codes = _codes(fields, work)
    ranked = work.array("ranked", n, n_cells, dtype=np.uint8)
    np.copyto(ranked, codes)
    ranked.sort(axis=1, kind="stable")  # for bytes this is a counting sort
    code = ranked[rows, place][:, None]
    first = np.equal(ranked, code, out=work.array("keep", n, n_cells, dtype=np.bool_)).argmax(axis=1)
    cells = np.flatnonzero(np.equal(codes, code, out=work.array("keep", n, n_cells, dtype=np.bool_)))
    found = _sorted_groups(fields.reshape(-1)[cells], cells // n_cells, n)[rows, place - first]
    return np.where(counts > 0, found, np.float32(np.inf))[:, None]


def _codes(fields: np.ndarray, work: Workspace) -> np.ndarray:
    """[n, cells] uint8 that never fall where the values of a row grow; its extremes get 0 and 255."""
    spare = work.array("spare", *fields.shape)  # whichever of the two the fields are not in: memory is counted
    scratch = work.array("noise", *fields.shape) if np.shares_memory(fields, spare) else spare
    low = fields.min(axis=1, keepdims=True)
    span = fields.max(axis=1, keepdims=True) - low
    if not np.isfinite(span).all():  # NaN and infinity reach the span of their row
        row = int(np.flatnonzero(~np.isfinite(span))[0])
        raise ValueError(f"fields: expected finite values and differences, got a span of {span[row, 0]} in row {row}")
    is_flat = span < np.finfo(np.float32).tiny  # or as good as flat, so that the division would overflow
    np.subtract(fields, low, out=scratch)
    scratch *= np.where(is_flat, 0, 255 / np.where(is_flat, 1, span))
    codes = work.array("codes", *fields.shape, dtype=np.uint8)
    np.copyto(codes, scratch, casting="unsafe")  # 255 (1 + rounding) still is 255
    return codes


def _sorted_groups(values: np.ndarray, group: np.ndarray, n: int) -> np.ndarray:
    """[n, largest group] each group's values in rising order, then infinities; `group` rises."""
    sizes = np.bincount(group, minlength=n)
    table = np.full((n, sizes.max()), np.inf, np.float32)
    table[np.arange(table.shape[1]) < sizes[:, None]] = values
    table.sort(axis=1)
    return table


def _drop_surplus_ties(masks: np.ndarray, fields: np.ndarray, thresholds: np.ndarray, counts: np.ndarray) -> None:
    """Where several cells equal the threshold, clear those of the highest index until the count is right."""
    surplus = np.count_nonzero(masks, axis=1) - counts
    for row in np.flatnonzero(surplus):
        ties = np.flatnonzero(fields[row] == thresholds[row])
        masks[row, ties[len(ties) - surplus[row] :]] = 0


def _table(make: Callable[..., Tensor], *arguments: object) -> np.ndarray:
    return fourier.table(make, *arguments, like=torch.empty(0)).numpy()
