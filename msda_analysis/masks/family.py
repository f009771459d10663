"""What a mask family is: settings that all share, one method to write, and all that follows from it."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from msda_analysis.checks import check_choice, check_positive
from msda_analysis.masks.draws import draw_coins
from msda_analysis.masks.lam import draw_beta
from msda_analysis.rng import Key

LAM_POLICIES = ("mask_mean", "nominal")
#: One key for each purpose that a family draws for, see sampling.PURPOSES.
Keys = Mapping[str, Key]


@dataclass(frozen=True)
class MaskBatch:
    """Masks and the label weights that go with them.

    Attributes:
        masks: [n, 1, *size] float32 in [0, 1]; 1 keeps the first image. MixUp's share one value per mask in memory.
        lam: [n] float32, label weight of the first image (see lam_policy; 1 where reformulated).
        drawn_lam: [n] float32, the lambda that was drawn; 1 - lambda where a reformulated family swapped its mask.
    """

    masks: Tensor
    lam: Tensor
    drawn_lam: Tensor


@dataclass(frozen=True, kw_only=True)
class MaskFamily(ABC):
    """A law over masks in [0, 1]: subclass it as a frozen dataclass and write `sample`, the rest follows.

        @dataclass(frozen=True)
        class Stripes(MaskFamily):
            period: int = 4

            def sample(self, lam, size, *, key, device):
                phase = philox_uniforms(key, len(lam), 1, device) * self.period  # from msda_analysis.rng
                place = (torch.arange(size[-1], device=device) + phase) % self.period
                masks = (place < lam[:, None] * self.period).to(torch.float32)
                return masks.view(len(lam), *[1] * len(size), size[-1]).expand(len(lam), 1, *size)

    Settings are plain values (numbers, names, tuples of them): they are part of what results are known by.

    Attributes:
        per_batch: one lambda for the whole batch, as the paper's runs did, and one mask (see shares_mask).
        reformulate: use only the first label (label weight 1), with the same loss in expectation: with lambda from
            Beta(alpha + 1, alpha) where is_symmetric; otherwise a mask turns into its complement with the probability
            that the second label would weigh.
        lam_policy: label weight of the first image: "mask_mean", what the mask really keeps, or "nominal", the drawn
            lambda, as the released code.
        alpha: lambda ~ Beta(alpha, alpha).
        is_symmetric: of the class: complements of the masks for lambda have the law of the masks for 1 - lambda.
        shares_mask: of the class: with per_batch the whole batch gets one mask; otherwise one lambda, but a mask for
            each image.
    """

    per_batch: bool = False
    reformulate: bool = False
    lam_policy: Literal["mask_mean", "nominal"] = "mask_mean"
    alpha: float = 1.0
    is_symmetric: ClassVar[bool] = False
    shares_mask: ClassVar[bool] = True

    def __init_subclass__(cls, **arguments: Any) -> None:
        """A class with a `sample` of its own takes over nothing that a base class knows of another `sample`."""
        super().__init_subclass__(**arguments)
        if "sample" in vars(cls):
            for name in {"masks_and_kept", "is_symmetric", "shares_mask"} - set(vars(cls)):
                setattr(cls, name, vars(MaskFamily)[name])

    def __post_init__(self) -> None:
        kind = type(self)
        if inspect.get_annotations(kind) and "__dataclass_fields__" not in vars(kind):
            raise TypeError(f"{kind.__name__}: expected a dataclass; put @dataclass(frozen=True) before the class")
        check_positive("alpha", self.alpha)
        check_choice("lam_policy", self.lam_policy, LAM_POLICIES)

    @abstractmethod
    def sample(self, lam: Tensor, size: tuple[int, ...], *, key: Key, device: torch.device) -> Tensor:
        """Masks that keep about the share lambda of the first image, a pure function of the arguments.

        Mask i should depend on lam[i], the key and i alone: then the first k masks of n equal a batch of k.

        Args:
            lam: [n] float64 in [0, 1], on the device.
            size: one, two or three lengths.
            key: source of all that is drawn: rng.philox_uniforms(key, n, count, device), or philox_normals.
            device: where the masks are made.

        Returns:
            [n, 1, *size] float32 in [0, 1], on the device.
        """

    def draw_lam(self, n: int, key: Key, device: torch.device) -> Tensor:
        """[n] float64 in [0, 1]: lambdas from Beta(alpha, alpha), or Beta(alpha + 1, alpha), see reformulate."""
        is_shifted = self.reformulate and self.is_symmetric
        return draw_beta(self.alpha + 1 if is_shifted else self.alpha, self.alpha, n, key, device)

    def masks_and_kept(
        self, lam: Tensor, size: tuple[int, ...], *, keys: Keys, device: torch.device, backend: str
    ) -> tuple[Tensor, Tensor]:
        """Masks for these lambdas, and [n] float32 what each keeps of the first image.

        The package's families override it where they know a faster way or an exact count.

        Args:
            keys: one for each purpose; "masks" is what `sample` gets.
            backend: "numpy", "torch" or "triton", for families that can be made in several ways.

        Raises:
            TypeError, ValueError: `sample` returned something else than such masks. Values are looked at on a CPU
                only, because a GPU would have to wait.
        """
        del backend
        masks = self.sample(lam, size, key=keys["masks"], device=device)
        _check_masks(f"{type(self).__name__}.sample", masks, (len(lam), 1, *size), lam.device)
        return masks, masks.flatten(1).mean(1)

    def draw(self, n: int, size: tuple[int, ...], *, keys: Keys, device: torch.device, backend: str) -> MaskBatch:
        """n masks and their label weights, a pure function of the arguments; sampling.sample_masks is the door to it."""
        lam = self.draw_lam(1 if self.per_batch else n, keys["lam"], device).expand(n)
        masks, kept = self.masks_and_kept(lam, size, keys=keys, device=device, backend=backend)
        drawn = lam.to(torch.float32)
        weights = kept if self.lam_policy == "mask_mean" else drawn
        if not self.reformulate:
            return MaskBatch(masks, weights, drawn)
        if not self.is_symmetric:
            masks, drawn = swap_masks(masks, drawn, weights, keys["swap"])
        return MaskBatch(masks, torch.ones_like(drawn), drawn)


def swap_masks(masks: Tensor, drawn: Tensor, weights: Tensor, key: Key) -> tuple[Tensor, Tensor]:
    """Masks of a reformulated family, and their lambdas: complements where a coin of the first label's weight fails.

    A pair (a, b) under m is the pair (b, a) under 1 - m, and pairs come in both orders alike. So one label, kept with
    its weight or left to its partner, gives the loss of two weighted labels in expectation, for any law of masks.
    """
    is_swapped = draw_coins(key, len(masks), masks.device) >= weights
    shape = (-1, *[1] * (masks.ndim - 1))
    return torch.where(is_swapped.view(shape), 1 - masks, masks), torch.where(is_swapped, 1 - drawn, drawn)


def _check_masks(name: str, masks: object, shape: tuple[int, ...], device: torch.device) -> None:
    """Raise unless these are masks of this shape, on this device."""
    expected = f"{name}: expected a torch.float32 tensor of shape {shape} on {device}"
    if not isinstance(masks, Tensor):
        raise TypeError(f"{expected}, got {type(masks).__name__}")
    if (tuple(masks.shape), masks.dtype, masks.device) != (shape, torch.float32, device):
        raise ValueError(f"{expected}, got {masks.dtype} of shape {tuple(masks.shape)} on {masks.device}")
    if device.type == "cpu":
        low, high = (float(value) for value in torch.aminmax(masks.detach()))
        if not 0 <= low <= high <= 1:  # NaN fails
            raise ValueError(
                f"{name}: expected values in [0, 1], 1 where the first image is kept; got [{low:.4g}, {high:.4g}]"
            )
