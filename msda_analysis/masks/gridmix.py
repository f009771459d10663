"""GridMix: cells of a grid."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from msda_analysis.checks import check_count
from msda_analysis.masks.draws import draw_uniforms
from msda_analysis.masks.family import MaskFamily
from msda_analysis.rng import Key


@dataclass(frozen=True)
class GridMix(MaskFamily):
    """Each cell of a regular grid comes from one of the two images; lambda says how many from the first.

    Attributes:
        alpha: lambda ~ Beta(alpha, alpha).
        cells: of the grid along each axis; fewer where an axis is shorter. round(lambda * number of cells) of them, any
            with the same chance, are kept.

    Source: Baek, Bang & Shim 2021, "GridMix: Strong regularization through local context mapping", Pattern Recognition
    109: its mixing; the loss on labels of single cells, which belongs to the method too, is not here.
    """

    alpha: float = 1.0
    cells: int = 4
    is_symmetric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("cells", self.cells)

    def sample(self, lam: Tensor, size: tuple[int, ...], *, key: Key, device: torch.device) -> Tensor:
        """Cells ranked by uniform numbers from the key; the first are kept."""
        grid = [min(self.cells, length) for length in size]
        n_cells = torch.Size(grid).numel()
        ranks = draw_uniforms(key, len(lam), n_cells, device).argsort(1).argsort(1)
        masks = (ranks < torch.round(lam * n_cells)[:, None]).to(torch.float32).view(len(lam), 1, *grid)
        for axis, (length, count) in enumerate(zip(size, grid, strict=True), start=2):
            cell = torch.arange(length, device=device) * count // length
            masks = masks.index_select(axis, cell)
        return masks
