"""Information between images and the layers of a network, by depth, with the paper's critics."""

import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from msda_analysis.checks import check_choice, check_count, check_finite, check_image_batch
from msda_analysis.estimate import Estimate, mean_estimate
from msda_analysis.information.ceiling import NEAR_CEILING
from msda_analysis.information.fitting import CriticFit, initialize, make_mlp
from msda_analysis.information.neural import OBJECTIVES, fit_critic, js_loss
from msda_analysis.rng import derive_key, numpy_from_key

_TANH_CEILING = 2.0  # nats: scores between -1 and 1 differ by at most two
_CHUNK = 500  # images per pass when nothing is trained
_MINIMUM_IMAGES = 64


class ConvCritic(nn.Module):
    """Score of an image, folded to the size of a feature map, with that map."""

    def __init__(self, in_channels: int, hidden: int, seed: int):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(in_channels, 256, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        self.head = nn.Sequential(nn.Linear(1024, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        initialize(self, seed)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """[n] scores."""
        return self.head(self.conv(torch.cat([x, z], dim=1)).flatten(1))[:, 0]


class FlatCritic(nn.Module):
    """Score of a flattened image with a feature vector."""

    def __init__(self, n_in: int, hidden: int, seed: int):
        super().__init__()
        self.body = make_mlp(n_in, hidden, 1, seed=seed)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """[n] scores."""
        return self.body(torch.cat([x, z], dim=1))[:, 0]


def layer_information(
    features: dict[str, Tensor],
    images: Tensor,
    method: str = "mine",
    seed: int = 0,
    *,
    cap: Literal["tanh"] | None = None,
    epochs: int = 20,
    batch_size: int = 1000,
    hidden: int = 512,
    learning_rate: float = 5e-4,
) -> dict[str, Estimate]:
    """Information between images and each layer's features, by a critic per layer, in nats.

    Half of the images train the critic (a fifth of them decides when to stop), the other half gives the value. A
    network in evaluation mode is deterministic, so its true information is that of the image itself until a layer
    throws some away, far above the ceiling of any critic: read the numbers as what such a critic can find.

    Args:
        features: by layer, [n, channel, height, width] or [n, unit], of the same images; take them in evaluation mode
            (dropout off, fixed batch statistics), as layer_features does of any network.
        images: [n, channel, *size] float, as the network saw them.
        method: "mine", "nwj", "js" or "smile".
        seed: stream seed of the split, the weights and the batches.
        cap: None, or "tanh" as in the released script: scores go through tanh, so no value exceeds 2 nats.
        epochs, batch_size, hidden, learning_rate: training of each critic; the released script's.

    Returns:
        Estimate by layer, in the order given: lower bound except for "mine" and "smile"; details["ceiling_nats"] is ln K for the
        K images evaluated, or 2 with the cap.

    Raises:
        TypeError, ValueError: a setting out of range, features of other images, or of a size that does not divide the
            image's.

    Source: Harris et al. 2020 (arXiv 2002.12047), versions 1 and 2; critics, folding and schedule of the released
    script. Differs: the wrong partner comes from a shift of the batch, never the sample itself; held-out images.
    """
    check_image_batch(images, minimum=_MINIMUM_IMAGES)
    check_choice("method", method, tuple(OBJECTIVES))
    check_choice("cap", cap, (None, "tanh"))
    check_count("epochs", epochs)
    n_train = len(images) // 2 - len(images) // 2 // 5
    per_epoch = max(n_train // batch_size, 1)
    fit = CriticFit(hidden, learning_rate, batch_size, epochs * per_epoch, per_epoch, epochs)
    order = torch.from_numpy(numpy_from_key(derive_key(seed, "layers/halves")).permutation(len(images)))
    found = {}
    for name, feature in features.items():
        x, z = pair_with_features(name, images, feature)
        train, test = ((x[rows], z[rows]) for rows in order.chunk(2))
        found[name] = _estimate_layer(train, test, method, derive_key(seed, "layers", name), cap, fit)
    return found


def pair_with_features(name: str, images: Tensor, feature: Tensor) -> tuple[Tensor, Tensor]:
    """Images in the form that fits a layer: folded (space to depth, nothing lost) to its height, or flat.

    Args:
        name: of the layer, for messages.
        images: [n, channel, height, width].
        feature: [n, channel, height, width] or [n, unit].

    Returns:
        Two maps of one height and width, or two matrices when the feature is a vector or a single pixel, or the images are
        signals or volumes.
    """
    check_finite(name, feature)
    if len(feature) != len(images):
        raise ValueError(f"{name}: expected features of {len(images)} images, got {len(feature)}")
    if images.ndim != 4 or feature.ndim == 2 or feature.shape[2:].numel() == 1:
        return images.flatten(1), feature.flatten(1)
    height, width = images.shape[2:]
    fold = height // feature.shape[2] if feature.ndim == 4 else 0
    if feature.ndim != 4 or (fold * feature.shape[2], fold * feature.shape[3]) != (height, width):
        raise ValueError(
            f"{name}: expected [n, unit], or a map whose height and width divide the image's {height}x{width} alike, "
            f"got shape {tuple(feature.shape)}; flatten it to use the fully connected critic"
        )
    return pixel_unshuffle(images, fold), feature


def _estimate_layer(train: tuple, test: tuple, method: str, seed: int, cap: str | None, fit: CriticFit) -> Estimate:
    train, test = _standardize(train, test)
    x, z = train
    if x.ndim == 4:
        critic: nn.Module = ConvCritic(x.shape[1] + z.shape[1], fit.hidden, seed)
    else:
        critic = FlatCritic(x.shape[1] + z.shape[1], fit.hidden, seed)
    critic = critic.to(x.device)

    def score(data: tuple, partner: Tensor | None) -> Tensor:
        first, second = data[0], data[1] if partner is None else data[1][partner]
        size = len(first) if torch.is_grad_enabled() else _CHUNK
        parts = [critic(*pair) for pair in zip(first.split(size), second.split(size), strict=True)]
        raw = torch.cat(parts)
        return raw.tanh() if cap == "tanh" else raw

    loss = OBJECTIVES[method].make_loss() if method not in ("js", "smile") else js_loss
    terms, notes = fit_critic(score, critic, train, test, loss, method, seed, fit)
    ceiling = min(math.log(len(test[0])), _TANH_CEILING if cap == "tanh" else math.inf)
    estimate = mean_estimate(terms.tolist(), "nats", bound=OBJECTIVES[method].bound)
    near = estimate.value > NEAR_CEILING * ceiling or math.isnan(estimate.value)
    kind = "the tanh cap" if ceiling == _TANH_CEILING else f"ln K for K = {len(test[0])} images"
    warnings = (f"near its ceiling {ceiling:.4g} nats ({kind})",) if near else ()
    return replace(estimate, warnings=warnings, details={**notes, "ceiling_nats": ceiling, "cap": cap or "none"})


def _standardize(train: tuple, test: tuple) -> tuple[tuple, tuple]:
    """Every channel or unit to zero mean and unit spread over the training half; loses nothing."""
    made = []
    for learned, applied in zip(train, test, strict=True):
        axes = [0, *range(2, learned.ndim)]
        std, mean = torch.std_mean(learned.float(), dim=axes, keepdim=True, correction=0)
        std = torch.where(std > 0, std, torch.ones_like(std))  # a dead unit stays constant
        made.append([(part.float() - mean) / std for part in (learned, applied)])
    return (made[0][0], made[1][0]), (made[0][1], made[1][1])
