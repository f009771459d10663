"""Train a classifier with or without a mask family."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from msda_analysis.checks import check_labels
from msda_analysis.data import Batch, Dataset
from msda_analysis.masks import Alternate, MaskFamily
from msda_analysis.mixing import Mixed
from msda_analysis.models import Normalized, create
from msda_analysis.training.loop import History, train
from msda_analysis.training.settings import ClassifierFit


def fit_classifier(
    dataset: Dataset,
    family: MaskFamily | Alternate | None,
    settings: ClassifierFit | None = None,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: bool = True,
) -> tuple[Normalized, History]:
    """Train a classifier with the mixed loss lam * CE(a) + (1 - lam) * CE(b), or plain cross-entropy without a family.

    Args:
        dataset: training split.
        family: mask family, Alternate, or None for no mixing.
        settings: ClassifierFit() if None.
        seed: of weights, order, augmentation and mixing.

    Returns:
        The classifier in evaluation mode on `device`; it takes images in [0, 1] and normalizes inside, as attacks
        need it. And the history.

    Raises:
        TrainingDivergedError: the loss became NaN or infinite.
        ValueError: images without height and width, labels that do not index dataset.classes, or fewer than two images.

    Source: Harris et al. 2020 (arXiv 2002.12047).
    """
    settings = settings or ClassifierFit()
    device = torch.device(device)
    if dataset.images.ndim != 4:
        raise ValueError(
            f"dataset: expected images [n, channel, height, width], as every model takes; got {list(dataset.images.shape)}"
        )
    check_labels(dataset.labels, len(dataset), num_classes=len(dataset.classes))
    network = create(settings.model, len(dataset.classes), dataset.in_channels, seed=seed)
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(
        network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay,
        momentum=settings.momentum, nesterov=settings.nesterov and settings.momentum > 0, fused=True,
    )  # fmt: skip
    history = train(
        network, optimizer, dataset.to(device), family,
        settings=settings, compute_loss=cross_entropy, seed=seed, progress=progress, label=settings.model,
    )  # fmt: skip
    return Normalized(network, dataset.mean, dataset.std).to(device).eval(), history


def cross_entropy(
    model: nn.Module, images: Tensor, batch: Batch, mixed: Mixed | None, noise: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean cross-entropy in nats, mixed where the batch was mixed."""
    del noise
    logits = model(images).float()
    return (functional.cross_entropy(logits, batch.labels) if mixed is None else mixed.loss(logits)), {}
