"""mix(): one function for every family, m * x_a + (1 - m) * x_b, and for mixers of one's own."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from msda_analysis.checks import check_choice, check_count, check_finite, check_image_batch, check_labels
from msda_analysis.masks.family import MaskFamily
from msda_analysis.masks.registry import Alternate, check_family
from msda_analysis.masks.sampling import sample_masks
from msda_analysis.mixing.blend import blend_and_look
from msda_analysis.mixing.mixed import Mixed
from msda_analysis.mixing.mixer import Augmentation, run_mixer
from msda_analysis.mixing.subclasses import as_plain, like
from msda_analysis.rng import derive_key, generator_from_key, take_key


def mix(
    images: Tensor,
    labels: Tensor,
    family: Augmentation,
    *,
    generator: torch.Generator,
    step: int | None = None,
    spatial: int | None = None,
    validate: bool | None = None,
    out: Tensor | None = None,
    network: nn.Module | None = None,
) -> Mixed:
    """Mix a batch with a permutation of itself.

    Args:
        images: [n, channel, *size] float, n >= 2, one to three spatial axes; left as they are. The mixed images have
            their memory format, channels_last too, and their class, such as torchvision's tv_tensors.Image.
        labels: int64 [n] or float [n, classes].
        family: MixUp(), CutMix(), FMix(), any other MaskFamily, a mixer (see mixing.Mixer), or Alternate(...).
        generator: source of lambda, masks and pairs; advanced by a fixed amount.
        step: position in the run, which decides whose turn it is in an Alternate.
        spatial: how many last axes a mask spans; None for all but the first two. Video [n, time, channel, height,
            width] with spatial=2 gets one mask per video, the same over all its frames and channels.
        validate: look for NaN and infinite values; None does so on a CPU only, because a GPU would have to wait.
        out: buffer for the mixed images, see blend(); families of masks only.
        network: the classifier that is trained, for mixers that look at it; see mixing.Mixer. It stays as it is.

    Returns:
        Mixed, on the images' device.

    Raises:
        TypeError: images or labels of the wrong type or dtype; a mixer's result of another form.
        ValueError: wrong rank, fewer than two images, as many labels as images expected, non-finite values, a bad
            `out`, or five axes of which the third has 1, 3 or 4 entries, as colors of a video would, without `spatial`.

    Source: Zhang et al. 2018 (arXiv 1710.09412); Yun et al. 2019 (arXiv 1905.04899); Harris et al. 2020 (2002.12047).
    """
    check_family(family, mixer=True)
    check_image_batch(images, minimum=2)
    check_labels(labels, images.shape[0])
    size = _spatial_size(images, spatial)
    if validate is None:
        validate = images.device.type == "cpu"
    plain = family.at(step) if isinstance(family, Alternate) else family
    if not isinstance(plain, MaskFamily):
        if out is not None:
            raise ValueError("out: expected None for a mixer, which makes its images by itself")
        flat = as_plain(images).flatten(
            1, -len(size) - 1
        )  # as a mask, a mixer spans the spatial axes; frames are channels to it
        mixed = run_mixer(plain, flat, labels, generator, network=network, validate=validate)
        return replace(mixed, images=like(mixed.images.view(images.shape), images))
    return _mix_by_masks(images, labels, plain, size, generator, validate, out)


def _mix_by_masks(
    images: Tensor,
    labels: Tensor,
    family: MaskFamily,
    size: tuple[int, ...],
    generator: torch.Generator,
    validate: bool,
    out: Tensor | None,
) -> Mixed:
    n = images.shape[0]
    pairs = generator_from_key(derive_key(take_key(generator), "pairs"))
    permutation = torch.randperm(n, generator=pairs).to(images.device, non_blocking=True)
    batch = sample_masks(family, n, size, generator=generator, device=images.device)
    mixed, is_finite = blend_and_look(as_plain(images), permutation, batch.masks, out, look=validate)
    if not is_finite:  # every image is in the mix, so a bad value cannot hide; large finite ones may have overflowed
        check_finite("images", images)
    return Mixed(like(mixed, images), labels, labels[permutation], batch.lam, permutation)


def _spatial_size(images: Tensor, spatial: int | None) -> tuple[int, ...]:
    """Lengths of the axes that a mask spans."""
    if spatial is not None:
        check_count("spatial", spatial)
        check_choice("spatial", spatial, range(1, images.ndim - 1))
        return tuple(images.shape[-spatial:])
    if images.ndim == 5 and images.shape[2] in (1, 3, 4):
        raise ValueError(
            f"images: shape {tuple(images.shape)} may be videos [n, time, channel, height, width] or volumes "
            "[n, channel, depth, height, width]; give spatial=2 for one mask over height and width for each video, or "
            "spatial=3 for masks over depth, height and width"
        )
    return tuple(images.shape[2:])
