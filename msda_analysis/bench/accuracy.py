"""Time to accuracy: how good a network is on images that it has not seen, by the processor time of its training."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from msda_analysis.bench.timing import make_row, read_clock
from msda_analysis.checks import check_positive
from msda_analysis.data import Dataset
from msda_analysis.estimate import wilson_interval
from msda_analysis.models import Normalized
from msda_analysis.texts import check_settings, parse_call
from msda_analysis.training import FAST_CLASSIFIER_FIT, ClassifierFit, fit_classifier
from msda_analysis.training.classifier import cross_entropy, set_up, test_scores
from msda_analysis.training.loop import train
from msda_analysis.training.scoring import count_right

Row = dict[str, Any]
_VIEWS = "mirror_shift"
_WARM = 8  # images of a first training, as a process loads seconds' worth of code at its first step


def bench_rows(
    train_split: Dataset,
    test_split: Dataset,
    network: str,
    device: str | torch.device = "cpu",
    *,
    limit_s: float = 480.0,
    epochs: int | None = None,
    vary: str = "",
    n_images: int | None = None,
    seed: int = 0,
) -> list[Row]:
    """Train a network by its recipe, without mixing, until its end or a limit of time, and score it after every epoch.

    Seconds are of training alone, setting up included and scoring left out: processor time of all threads on a CPU, wall time on a
    GPU. What a process loads at its first step is loaded before.

    Args:
        train_split, test_split: on one device.
        network: trained as recipe_of() says.
        device: where that is.
        limit_s: seconds of training after which it stops, in the middle of an epoch, too.
        epochs: in place of the recipe's; None for those.
        vary: what else differs from the recipe, see vary_recipe().
        n_images: part of each split; None for all.
        seed: of weights, order and augmentation.

    Returns:
        Rows with the columns timing.COLUMNS: accuracy, a row an epoch that ended, with the seconds so far as x; accuracy_over_views
        of the logits averaged over views, where the recipe came to its end; low and high are the 95 % interval (Wilson) over
        the n test images. training_time, in seconds, whose note says how far the training came.
    """
    check_positive("limit_s", limit_s)
    settings = vary_recipe(recipe_of(network), vary)
    settings = settings if epochs is None else replace(settings, epochs=epochs)
    if n_images is not None:
        train_split, test_split = (each.take(min(n_images, len(each))) for each in (train_split, test_split))
    few = train_split.take(min(_WARM, len(train_split)))
    fit_classifier(few, None, replace(settings, epochs=1), seed=seed, device=device, progress=False)
    watch = _Watch(train_split, test_split, settings, torch.device(device), limit_s)
    model = watch.train(seed)
    where: dict[str, Any] = {
        "network": f"{network}, {vary}" if vary else network, "size": train_split.image_size, "batch": settings.batch_size,
        "device": watch.device,
    }  # fmt: skip
    rows = [
        _share_row("accuracy", share, len(test_split), where | {"x": seconds, "note": f"epoch {epoch}"})
        for epoch, (seconds, share) in enumerate(watch.scores, start=1)
    ]
    if model is not None and test_split.images.ndim == 4:
        classifier = Normalized(model, train_split.mean, train_split.std).to(watch.device).eval()
        share = count_right(classifier, test_split, _VIEWS) / len(test_split)
        note = {"x": watch.scores[-1][0], "note": f"views: {_VIEWS}"}
        rows.append(_share_row("accuracy_over_views", share, len(test_split), where | note))
    return [*rows, make_row("training_time", watch.trained_s, "s", note=watch.describe_end(), **where)]


def recipe_of(network: str) -> ClassifierFit:
    """How a network is trained here: the fast one by its recipe, the small one as studies train by default, all others with crops
    and flips besides."""
    if network == FAST_CLASSIFIER_FIT.model:
        return FAST_CLASSIFIER_FIT
    default = ClassifierFit()
    return default if network == default.model else replace(default, model=network, augment="crop_flip")


def vary_recipe(recipe: ClassifierFit, text: str) -> ClassifierFit:
    """A recipe with other settings, "label_smoothing=0.0" or several such with commas between; as it is for "".

    Raises:
        ValueError: another form, a setting that recipes do not have, or a value that it cannot take.
    """
    if not text:
        return recipe
    call = parse_call(f"recipe({text})", text, what="vary")
    assert call is not None
    check_settings(call.settings, recipe, text, what="vary")
    return replace(recipe, **call.settings)


class _OutOfTimeError(Exception):
    """The limit is reached."""


@dataclass
class _Watch:
    """One training, its clock and its scores.

    Attributes:
        trained_s: seconds of training so far, known when it is looked at.
        scores: (seconds, share of test images that are right) of each epoch that ended.
        n_steps: steps begun.
    """

    data: Dataset
    test: Dataset
    settings: ClassifierFit
    device: torch.device
    limit_s: float
    trained_s: float = 0.0
    scores: list[tuple[float, float]] = field(default_factory=list)
    n_steps: int = 0
    _since: float = 0.0

    def train(self, seed: int) -> nn.Module | None:
        """The network at the end of its recipe; None where the limit came first."""
        self._since = read_clock(self.device)
        network, optimizer = set_up(self.data, self.settings, seed=seed, device=self.device)
        try:
            train(
                network, optimizer, self.data, None, settings=self.settings, compute_loss=self._loss, look=self._look, seed=seed,
                label=self.settings.model, guide=network,
            )  # fmt: skip
        except _OutOfTimeError:
            return None
        return network

    def describe_end(self) -> str:
        """How far the training came."""
        n_epochs, done = self.settings.epochs, len(self.scores)
        if done == n_epochs:
            return f"the whole recipe, {n_epochs} epochs"
        a_whole = max(1, len(self.data) // self.settings.batch_size)
        steps = f"{self.n_steps - done * a_whole} of {a_whole} steps"
        if done == 0:
            return f"no epoch ended within the limit of {self.limit_s:g} s, only {steps} of the first"
        return (
            f"stopped by the limit of {self.limit_s:g} s after {done} of {n_epochs} epochs and {steps} of the next, before its "
            "learning rate had come down"
        )

    def _stop_clock(self) -> None:
        now = read_clock(self.device)
        self.trained_s, self._since = self.trained_s + now - self._since, now

    def _loss(self, model: nn.Module, *batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        self._stop_clock()
        if self.trained_s >= self.limit_s:
            raise _OutOfTimeError
        self.n_steps += 1
        return cross_entropy(model, *batch, label_smoothing=self.settings.label_smoothing)

    def _look(self, model: nn.Module) -> dict[str, float]:
        self._stop_clock()
        self.scores.append((self.trained_s, test_scores(model, self.data, self.test)["test_top1"]))
        self._since = read_clock(self.device)
        return {}


def _share_row(name: str, share: float, n: int, where: dict[str, Any]) -> Row:
    low, high = wilson_interval(round(share * n), n)
    return make_row(name, share, "accuracy", **where) | {"low": low, "high": high, "n": n}
