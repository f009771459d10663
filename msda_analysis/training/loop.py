"""The one training loop: batches, mixing, loss, step. What differs between models is the loss."""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from msda_analysis.checks import check_finite
from msda_analysis.data import Batch, Dataset, iterate_batches
from msda_analysis.endings import answered_in_steps
from msda_analysis.masks import check_family, family_settings
from msda_analysis.mixing import Augmentation, Mixed
from msda_analysis.rng import derive_key, stream
from msda_analysis.settings import to_settings
from msda_analysis.training.averaging import make_average
from msda_analysis.training.schedule import lr_factor, set_lr
from msda_analysis.training.settings import LoopSettings
from msda_analysis.training.state import STATE_FORMAT, Keeper, State
from msda_analysis.training.step import mix_batch, take_step
from msda_analysis.training.together import current

#: (model, images [n, channel, *size] normalized and perhaps mixed, batch, mixed or None, noise) -> (loss, parts)
LossFunction = Callable[[nn.Module, Tensor, Batch, Mixed | None, torch.Generator], tuple[Tensor, dict[str, Tensor]]]


class TrainingDivergedError(RuntimeError):
    """The loss became NaN or infinite; the message says when and what to try."""


@dataclass
class History:
    """What happened during training, one entry per epoch.

    Attributes:
        epochs: mean of the loss and of its parts (nats), and seconds of training, by epoch; of a classifier with a test split
            also test_top1, test_top5, test_nll, test_ece, test_brier (see training.scoring).
        threads: torch's on the CPU, on which the last digits of sums depend, and so the weights that a CPU finds.
        seconds: wall time of all epochs.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    threads: int = field(default_factory=torch.get_num_threads)

    @property
    def seconds(self) -> float:
        return math.fsum(entry["seconds"] for entry in self.epochs)


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    dataset: Dataset,
    family: Augmentation | None,
    *,
    settings: LoopSettings,
    compute_loss: LossFunction,
    seed: int,
    rank: int = 0,
    progress: bool = True,
    label: str = "training",
    look: Callable[[nn.Module], dict[str, float]] = lambda model: {},
    resume: str | os.PathLike[str] | None = None,
    guide: nn.Module | None = None,
) -> History:
    """Train a model in place; afterwards it is in evaluation mode.

    Every random draw (order, augmentation, mixing, latent noise) is a function of (seed, purpose, epoch, step, rank).
    So weights, buffers, their average, the optimizer's state and that of torch's own generators are all that a state in `resume`
    holds, and a run that goes on from one ends on a CPU with the same weights, bit for bit, as one that was never stopped.

    Args:
        dataset: on the model's device.
        family: mask family, mixer (see mixing.Mixer), Alternate, or None for no mixing.
        rank: of this process among several that train with one seed, which then draw different batches and masks.
        label: of the progress bar, which is silent when not a terminal.
        look: what else the history is to hold of each epoch; it leaves the model, and all that draws, as they were.
        resume: see fit_classifier.
        guide: the classifier that mixers may look at, where the model is one; see mixing.Mixer.

    Raises:
        TrainingDivergedError: the loss became NaN or infinite.
        ValueError: images that hold NaN or infinite values, or `resume` holds the state of another training.
        OSError: the folder `resume` cannot be written.
    """
    if family is not None:
        check_family(family, mixer=True)
    check_finite("dataset.images", dataset.images)
    model.train()
    n_steps = max(1, len(dataset) // settings.batch_size)
    average, together = make_average(settings, model), current()
    progress = progress and together.rank == 0
    bar = tqdm(total=settings.epochs * n_steps, desc=label, unit="step", disable=None if progress else True)
    with (
        bar,
        _seeded_layers(dataset.images.device, seed, rank or together.rank),
        _kept(resume, model, optimizer, average, dataset, family, settings, seed, rank) as keeper,
    ):
        state = keeper.load()
        history = History(state.history, torch.get_num_threads())
        compute = together.compute(model, compute_loss)
        bar.update(state.epoch * n_steps + state.step)
        if progress and (state.epoch or state.step):
            tqdm.write(f"{label} goes on after {_place(state, settings, n_steps)}, from {resume}", file=sys.stderr)
        for epoch in range(state.epoch, settings.epochs):
            meter = _Meter(epoch, 1 if dataset.images.device.type == "cpu" else 50, state)
            batches = iterate_batches(
                dataset, settings.batch_size, seed=seed, epoch=epoch, augment=settings.augment, rank=rank
            )
            for batch in islice(batches, state.step, None):
                set_lr(optimizer, settings.lr * lr_factor(settings, epoch + batch.step / n_steps))
                images, mixed = mix_batch(
                    batch, family, seed=seed, rank=rank, epoch=epoch, n_steps=n_steps, guide=guide
                )
                place = {"epoch": epoch, "step": batch.step, "rank": rank or together.rank}
                noise = stream(seed, "latent", **place, device=images.device)
                meter.add(take_step(compute, optimizer, images, batch, mixed, noise, settings, together))
                if average is not None:
                    average.after_step(model, epoch * n_steps + batch.step + 1, settings.epochs * n_steps)
                bar.update()
                keeper.save_when_due(partial(meter.state, history.epochs))
            means = meter.means()
            seconds = meter.seconds()
            history.epochs.append({**means, **look(model), "seconds": seconds})
            bar.set_postfix(loss=f"{means['loss']:.4g}")
            state = State(epoch + 1, history=history.epochs)
            keeper.save(state)
    model.eval()
    return history


@contextmanager
def _kept(folder, model, optimizer, average, dataset, family, settings, seed, rank) -> Iterator[Keeper]:
    """What keeps the state of a training in a folder; without one, nothing is kept and a signal ends the block at once."""
    device = dataset.images.device
    if folder is None:
        yield Keeper(None, model, optimizer, average, device)
        return
    asked = {
        **to_settings(settings), "seed": seed, "rank": rank,
        "family": family_settings(family), "images": dataset.digest,
    }  # fmt: skip
    count = current().count
    placed = {"format": STATE_FORMAT, "device": device.type, "torch": torch.__version__}
    placed |= {"processes": count} if count > 1 else {}
    threads = torch.get_num_threads()
    with answered_in_steps() as request:
        try:
            yield Keeper(Path(folder), model, optimizer, average, device, asked, placed, request)
        finally:
            torch.set_num_threads(threads)  # a state brings its own


def _place(state: State, settings: LoopSettings, n_steps: int) -> str:
    return f"{state.epoch} of {settings.epochs} epochs and {state.step} of {n_steps} steps"


@contextmanager
def _seeded_layers(device: torch.device, seed: int, rank: int) -> Iterator[None]:
    """Seed what layers such as dropout draw from torch's default generators, and put those back after."""
    is_cuda = device.type == "cuda"
    key = derive_key(seed, "layers", *((rank,) if rank else ()))
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        torch.default_generator.manual_seed(key)
        if is_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(key)
        yield


class _Meter:
    """Collects per-step losses on the device and looks at them now and then, so that a GPU seldom waits."""

    def __init__(self, epoch: int, check_every: int, start: State):
        self.epoch, self.check_every = epoch, check_every
        self.steps = [{name: values[i] for name, values in start.losses.items()} for i in range(start.step)]
        self.checked = len(self.steps)
        self.started = time.perf_counter() - start.seconds

    def add(self, parts: dict[str, Tensor]) -> None:
        self.steps.append(parts)
        if len(self.steps) - self.checked >= self.check_every:
            self._check()

    def means(self) -> dict[str, float]:
        self._check()
        return {name: float(values.double().mean()) for name, values in self._losses().items()}

    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def state(self, history: list[dict[str, float]]) -> State:
        """After the last step that was added, within this epoch."""
        self._check()  # what has diverged is not worth going on from
        return State(self.epoch, len(self.steps), history, self._losses(), self.seconds())

    def _losses(self) -> dict[str, Tensor]:
        return {name: torch.stack([step[name] for step in self.steps]) for name in self.steps[0]}

    def _check(self) -> None:
        if self.checked == len(self.steps):
            return
        losses = torch.stack([step["loss"] for step in self.steps[self.checked :]])
        finite = torch.isfinite(losses).tolist()
        if not all(finite):
            step = self.checked + finite.index(False)
            raise TrainingDivergedError(
                f"the loss is {float(losses[finite.index(False)])} at epoch {self.epoch}, step {step}; "
                "lower the learning rate (lr), or use precision float32"
            )
        self.checked = len(self.steps)
