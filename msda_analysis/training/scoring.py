"""How good a classifier's logits are: accuracies, and proper scores of its probabilities."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from msda_analysis.data import Dataset
from msda_analysis.models import logits_over_views
from msda_analysis.models.dimensions import memory_format

_BINS = 15
_BATCH = 500


def score_logits(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Scores of logits [n, class] against labels int64 [n].

    Returns:
        top1, top5: share of images whose label is the largest logit, or among the five largest, in [0, 1]; top5 from five
            classes up.
        nll: mean of -log p(label), in nats.
        ece: expected calibration error, in [0, 1]: over 15 bins of the largest probability, of equal width, the mean over
            images of |share that is right - mean probability| of their bin.
        brier: mean over images of the squared distance between probabilities and the label's ones and zeros, in [0, 2].

    Source: Guo et al. 2017 (arXiv 1706.04599) for the calibration error; Brier 1950.
    """
    logits = logits.double()
    probabilities = logits.softmax(1)
    confidence, predicted = probabilities.max(1)
    is_right = (predicted == labels).double()
    found = {"top1": is_right.mean()}
    if logits.shape[1] >= 5:
        found["top5"] = (logits.topk(5, dim=1).indices == labels[:, None]).any(1).double().mean()
    found["nll"] = functional.cross_entropy(logits, labels)
    found["ece"] = _calibration_error(confidence, is_right)
    found["brier"] = (probabilities - functional.one_hot(labels, logits.shape[1])).square().sum(1).mean()
    return {name: float(value) for name, value in found.items()}


def _calibration_error(confidence: Tensor, is_right: Tensor) -> Tensor:
    place = (confidence * _BINS).ceil().long() - 1  # bins are open on the left
    gaps = torch.zeros(_BINS, dtype=torch.float64, device=confidence.device).index_add_(0, place, is_right - confidence)
    return gaps.abs().sum() / len(confidence)


@torch.no_grad()
def score(model: nn.Module, dataset: Dataset) -> dict[str, float]:
    """score_logits() of a classifier of images in [0, 1] on a whole split; it is in evaluation mode meanwhile."""
    was_training = model.training
    model.eval()
    layout = memory_format(len(dataset.image_size))
    logits = [model(images.contiguous(memory_format=layout)).float() for images in dataset.unit_images().split(_BATCH)]
    model.train(was_training)
    return score_logits(torch.cat(logits), dataset.labels)


@torch.no_grad()
def count_right(model: nn.Module, dataset: Dataset, views: str = "none") -> int:
    """How many of a split's images a classifier of images in [0, 1], in the mode that it is in, gets right.

    Args:
        views: of each image, whose logits are averaged; see models.logits_over_views.
    """
    parts = zip(dataset.unit_images().split(_BATCH), dataset.labels.split(_BATCH), strict=True)
    return sum(int((logits_over_views(model, images, views).argmax(1) == labels).sum()) for images, labels in parts)
