"""Hard rank threshold without sorting: the step that dominates FMix. Its definition is fourier.binarize."""

import numpy as np
import torch
from torch import Tensor


def keep_brightest(fields: Tensor, counts: Tensor) -> Tensor:
    """Masks with exactly counts[i] ones at the largest values of field i; ties go to the lower cell index.

    On a CPU each field's k-th value is found by NumPy's partition (a quickselect, vectorized where the processor
    allows), elsewhere by a sort; neither waits for a GPU.

    Args:
        fields: [n, cells] float.
        counts: [n] int64 in 0..cells, on the host or on the fields' device.

    Returns:
        [n, cells] float32 of zeros and ones.
    """
    if fields.device.type != "cpu":
        return _keep_by_sort(fields, counts.to(fields.device, non_blocking=True))
    thresholds = _kth_largest(fields, counts)
    masks = (fields >= thresholds[:, None]).to(torch.float32)
    surplus = masks.sum(dim=1).to(torch.int64) - counts
    for row in surplus.nonzero().flatten().tolist():
        _drop_last_ties(masks[row], fields[row], thresholds[row], int(surplus[row]))
    return masks


def _kth_largest(fields: Tensor, counts: Tensor) -> Tensor:
    """[n] value of the counts[i]-th largest cell of each field; infinity where none is kept."""
    scratch = fields.numpy().copy()
    n_cells = scratch.shape[1]
    thresholds = np.full(len(scratch), np.inf, dtype=scratch.dtype)
    for row, count in enumerate(counts.tolist()):
        if count:
            cells = scratch[row]
            cells.partition(n_cells - count)
            thresholds[row] = cells[n_cells - count]
    return torch.from_numpy(thresholds)


def _drop_last_ties(mask: Tensor, field: Tensor, threshold: Tensor, surplus: int) -> None:
    """Clear the last `surplus` cells that equal the threshold."""
    ties = (field == threshold).nonzero().flatten()
    mask[ties[len(ties) - surplus :]] = 0.0


def _keep_by_sort(fields: Tensor, counts: Tensor) -> Tensor:
    order = torch.argsort(fields, dim=1, descending=True, stable=True)
    keep = torch.arange(fields.shape[1], device=fields.device) < counts[:, None]
    return torch.empty_like(fields, dtype=torch.float32).scatter_(1, order, keep.to(torch.float32))
