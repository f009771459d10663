"""Train a classifier with or without a mask family."""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from msda_analysis.checks import check_labels
from msda_analysis.data import Batch, Dataset
from msda_analysis.mixing import Augmentation, Mixed
from msda_analysis.models import Normalized, create, name_of
from msda_analysis.models.dimensions import memory_format
from msda_analysis.training.loop import History, train
from msda_analysis.training.muon import Muon, is_turned
from msda_analysis.training.scoring import score
from msda_analysis.training.settings import ClassifierFit

#: Training images that a network may take weights from.
_SHOWN = 5000


def fit_classifier(
    dataset: Dataset,
    family: Augmentation | None,
    settings: ClassifierFit | None = None,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: bool = True,
    network: nn.Module | None = None,
    test: Dataset | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> tuple[Normalized, History]:
    """Train a classifier with the mixed loss lam * CE(a) + (1 - lam) * CE(b), or plain cross-entropy without a family.

    Args:
        dataset: training split.
        family: mask family, mixer (see mixing.Mixer), Alternate, or None for no mixing.
        settings: ClassifierFit() if None.
        seed: of weights, order, augmentation and mixing.
        network: a module of yours, images normalized by the dataset's mean and std -> logits [n, class], to be trained in
            place of settings.model, in place, from the weights that it has.
        test: a split on which the classifier is scored after every epoch, for the history; it changes no weight.
        resume: a folder of this training's own, in one process at a time, where it saves itself after every epoch and every
            five minutes. After a kill the same call goes on from there, on a CPU to the same weights bit for bit. The end is saved
            as well: remove the folder when you have saved the model.

    Returns:
        The classifier in evaluation mode on `device`; it takes images in [0, 1] and normalizes inside, as attacks
        need it. And the history.

    Raises:
        TrainingDivergedError: the loss became NaN or infinite.
        ValueError: images that are no pictures and a model for pictures only, labels that do not index dataset.classes, or fewer than two images;
            or `resume` holds the state of another training.
        OSError: `resume` cannot be written.

    Source: Harris et al. 2020 (arXiv 2002.12047).
    """
    settings = settings or ClassifierFit()
    device = torch.device(device)
    check_labels(dataset.labels, len(dataset), num_classes=len(dataset.classes))
    if test is not None:
        check_labels(test.labels, len(test), name="test.labels", num_classes=len(dataset.classes))
    network, optimizer = set_up(dataset, settings, seed=seed, device=device, network=network)
    history = train(
        network, optimizer, dataset.to(device), family, settings=settings,
        compute_loss=partial(cross_entropy, label_smoothing=settings.label_smoothing),
        look=lambda network: {} if test is None else test_scores(network, dataset, test.to(device)),
        seed=seed, progress=progress, label=name_of(network), resume=resume, guide=network,
    )  # fmt: skip
    return Normalized(network, dataset.mean, dataset.std).to(device).eval(), history


def set_up(
    dataset: Dataset,
    settings: ClassifierFit,
    *,
    seed: int,
    device: str | torch.device,
    network: nn.Module | None = None,
) -> tuple[nn.Module, torch.optim.SGD]:
    """The network on its device, in the layout that is quickest, and its optimizer, as they are before the first step.

    Raises:
        TypeError, ValueError: see fit_classifier.
    """
    axes = len(dataset.image_size)
    if network is None:
        network = create(
            settings.model, len(dataset.classes), dataset.in_channels, seed=seed, **_options(settings, axes)
        )
        _prepare(network, dataset)
    elif not isinstance(network, nn.Module):
        raise TypeError(f"network: expected a torch.nn.Module, got {type(network).__name__}")
    network = network.to(device).to(memory_format=memory_format(axes))  # type: ignore[call-overload]
    optimizer = (Muon if settings.optimizer == "muon" else torch.optim.SGD)(
        list(_groups(network, settings)), lr=settings.lr, weight_decay=settings.weight_decay,
        momentum=settings.momentum, nesterov=settings.nesterov and settings.momentum > 0, fused=True,
    )  # fmt: skip
    return network, optimizer


def _options(settings: ClassifierFit, axes: int) -> dict[str, int]:
    """What a network is told of images that are no pictures; only small_cnn has other forms."""
    if axes == 2 or ":" in settings.model:  # one of your own is told nothing
        return {}
    if settings.model != "small_cnn":
        raise ValueError(
            f"model: expected 'small_cnn' for images of {axes} axes, since the others take [n, channel, height, width] only; "
            f"got {settings.model!r}"
        )
    return {"axes": axes}


def _prepare(network: nn.Module, dataset: Dataset) -> None:
    """Show a new network that takes some of its weights from the images a part of them, the same for every seed."""
    if hasattr(network, "prepare"):
        part = dataset.take(min(_SHOWN, len(dataset)))
        network.prepare(dataset.normalize(part.images, validate=False))  # type: ignore[operator]


def _groups(network: nn.Module, settings: ClassifierFit) -> Iterator[dict[str, Any]]:
    """What is trained: all at one rate, or the biases at another, with the same decay in a step, and what Muon turns at its own."""
    trained = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    if settings.optimizer == "muon":
        turned = [name for name, weight in trained.items() if is_turned(weight)]
        yield {
            "params": [trained.pop(name) for name in turned], "turned": True, "rate": settings.filter_lr / settings.lr,
            "momentum": 0.0, "nesterov": False, "weight_decay": 0.0,
        }  # fmt: skip
    if settings.bias_lr == 1:
        yield {"params": list(trained.values())}
        return
    yield {"params": [weight for name, weight in trained.items() if not name.endswith("bias")]}
    yield {
        "params": [weight for name, weight in trained.items() if name.endswith("bias")],
        "rate": settings.bias_lr, "weight_decay": settings.weight_decay / settings.bias_lr,
    }  # fmt: skip


def test_scores(network: nn.Module, train: Dataset, test: Dataset) -> dict[str, float]:
    """Of images normalized as they are in training, whatever the test split says."""
    classifier = Normalized(network, train.mean, train.std).to(test.images.device).train(network.training)
    return {f"test_{name}": value for name, value in score(classifier, test).items()}


def cross_entropy(
    model: nn.Module,
    images: Tensor,
    batch: Batch,
    mixed: Mixed | None,
    noise: torch.Generator,
    *,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean cross-entropy in nats, mixed where the batch was mixed, with smoothed labels where they are to be."""
    del noise
    logits = model(images).float()
    if mixed is None:
        return functional.cross_entropy(logits, batch.labels, label_smoothing=label_smoothing), {}
    return mixed.loss(logits, label_smoothing=label_smoothing), {}
