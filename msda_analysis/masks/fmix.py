"""FMix: thresholded low-frequency Fourier images."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from msda_analysis.checks import check_choice, check_in_range, check_positive
from msda_analysis.masks import fourier, fourier_cpu
from msda_analysis.masks.backends import choose_backend
from msda_analysis.masks.draws import draw_coins
from msda_analysis.masks.family import Keys, MaskFamily
from msda_analysis.rng import Key, split_key


@dataclass(frozen=True)
class FMix(MaskFamily):
    """Thresholded low-frequency Fourier images.

    Attributes:
        alpha: lambda ~ Beta(alpha, alpha).
        decay_power: delta of the 1 / f^delta amplitude decay; any finite number above 0.
        max_soft: half-width of the soft edge, as a share of the pixels, in [0, 0.5]; 0 gives masks of zeros and ones.
        spectrum: "isotropic", Re(IFFT(f^-delta Z)) as the paper describes; or "released", what the released code
            samples: only the bins 0 and +-1 along the last axis.

    Source: Harris et al. 2020 (arXiv 2002.12047).
    """

    alpha: float = 1.0
    decay_power: float = 3.0
    max_soft: float = 0.0
    spectrum: Literal["isotropic", "released"] = "isotropic"
    is_symmetric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("decay_power", self.decay_power)
        check_in_range("max_soft", self.max_soft, 0.0, 0.5)
        check_choice("spectrum", self.spectrum, fourier.SPECTRA)

    def sample(self, lam: Tensor, size: tuple[int, ...], *, key: Key, device: torch.device) -> Tensor:
        """Fields whose noise is drawn from the key, thresholded; by the fastest way there is on the device."""
        round_up = self._round_up(len(lam), split_key(key, 1)[0], device)
        return _sampler(choose_backend("auto", device))(self, lam, size=size, key=key, round_up=round_up)

    def masks_and_kept(
        self, lam: Tensor, size: tuple[int, ...], *, keys: Keys, device: torch.device, backend: str
    ) -> tuple[Tensor, Tensor]:
        """What hard masks keep is exact by construction: no mask is read."""
        round_up = self._round_up(len(lam), keys["rounding"], device)
        masks = _sampler(backend)(self, lam, size=size, key=keys["noise"], round_up=round_up)
        if self.max_soft > 0:
            return masks, masks.flatten(1).mean(1)
        n_cells = math.prod(size)
        return masks, (fourier.keep_counts(lam, n_cells, round_up) / n_cells).to(torch.float32)

    def _round_up(self, n: int, key: Key, device: torch.device) -> Tensor | None:
        """The released code rounds lambda times the number of cells up or down by a coin; we round to the nearest."""
        return None if self.spectrum == "isotropic" else draw_coins(key, n, device) < 0.5


def _sampler(backend: str) -> Callable[..., Tensor]:
    if backend == "triton":
        from msda_analysis.masks import fourier_triton  # only where it is used: importing Triton takes a second

        return fourier_triton.sample_masks
    return {"numpy": fourier_cpu, "torch": fourier}[backend].sample_masks
