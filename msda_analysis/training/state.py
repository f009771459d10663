"""Where a training stands, kept on disk while it runs: a kill costs no more than what came after the last save."""

import hashlib
import io
import json
import pickle
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from msda_analysis.endings import STOPS, Request
from msda_analysis.files import is_leftover, replace_file
from msda_analysis.training.averaging import Lookahead
from msda_analysis.training.together import current

STATE_FORMAT = 1  # raised when a change of the loop makes older states wrong
#: Within an epoch that takes longer, seconds between two saves.
EVERY_S = 300.0
_MAGIC = b"msda_analysis training state "
_KEPT = 2


@dataclass
class State:
    """How far a training is.

    Attributes:
        epoch, step: the first that is not done, from 0.
        history: of the epochs that are done, as History.epochs.
        losses: by part, of each step that is done of the epoch, [step].
        seconds: that these steps took.
    """

    epoch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    losses: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Keeper:
    """Keeps a training's state in a folder, the last two of it; without a folder it keeps nothing.

    A state is a file of its own: a checksum, a line that says whose it is, and what torch.save wrote, which is read
    without executing anything.

    Attributes:
        folder: of one training, in one process at a time; made where it is missing.
        model, optimizer, average: as they are before the first step; load() changes them in place.
        device: of the generator that layers such as dropout draw from, besides the CPU's.
        asked: all that the caller decides about the numbers, as plain values; see load().
        placed: the same of where it runs, and by which code.
        request: whether the process is to stop.
    """

    folder: Path | None
    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: Lookahead | None
    device: torch.device
    asked: Mapping[str, Any] = field(default_factory=dict)
    placed: Mapping[str, Any] = field(default_factory=dict)
    request: Request = field(default_factory=Request)
    _saved_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.folder is None:
            return
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"resume: expected a folder, but {self.folder} is a file")
        # the weights are those before the first step; by way of JSON, so that it all compares with what is read
        self.asked = json.loads(json.dumps({**self.asked, "network": _digest(self.model)}))

    def load(self) -> State:
        """Put the newest state that is whole back into model, optimizer and generators; a new State where there is none.

        A damaged file is named in a warning and removed. A state of another device, version of torch or format, which would give
        other numbers than an undisturbed run, is named, unused and removed. The number of CPU threads becomes what it was when
        the training began, for the same reason.

        Raises:
            ValueError: the state is of another training: other settings, seed, family, images or first weights.
        """
        together = current()
        if together.rank:  # the first one looks first, and removes what is not used
            together.largest(0, self.device)
            return self._load()
        try:
            return self._load()
        finally:
            together.largest(0, self.device)

    def _load(self) -> State:
        if self.folder is None or not self.folder.is_dir():
            return State()
        for path in self.folder.iterdir():
            if path.suffix == ".part" and is_leftover(path):  # of a kill while a state was written
                path.unlink(missing_ok=True)
        for path in reversed(_paths(self.folder)):
            try:
                header, content = _read(path)
            except ValueError as error:
                warnings.warn(f"{path} is damaged ({error}); the state before it is used, if any", stacklevel=2)
                path.unlink()
                continue
            return self._take(path, header, content)
        return State()

    def save_when_due(self, describe: Callable[[], State]) -> None:
        """After a step: save if the process is to stop, and then end it, or if the last save was long ago."""
        if self.folder is None:
            return
        together = current()
        # all processes save at the same step, and end at the same one, whichever was told to
        stop = together.largest(list(STOPS).index(self.request.signal) + 1 if self.request.signal else 0, self.device)
        is_due = stop > 0 or time.monotonic() - self._saved_at >= EVERY_S
        if together.largest(int(is_due), self.device):
            self.save(describe())
        if stop:
            self.request.signal = list(STOPS)[stop - 1]
        self.request.answer()

    def save(self, state: State) -> None:
        """Write a state beside the last one, and remove older ones.

        Raises:
            OSError: the folder cannot be written, or the disk is full; what was there before stays.
        """
        if self.folder is None:
            return
        generators = current().gather(self._generators())
        if current().rank:
            self._saved_at = time.monotonic()
            return
        header = json.dumps({"asked": self.asked, "placed": self.placed}).encode() + b"\n"
        content = io.BytesIO()
        torch.save(self._content(state) | _by_rank(generators), content)
        digest = hashlib.blake2b(header, digest_size=16)
        digest.update(content.getbuffer())
        with replace_file(self.folder / f"state-{state.epoch:06d}-{state.step:08d}.pt", binary=True) as file:
            file.write(_MAGIC + digest.hexdigest().encode() + b"\n" + header)
            file.write(content.getbuffer())
        for path in _paths(self.folder)[:-_KEPT]:
            path.unlink(missing_ok=True)
        self._saved_at = time.monotonic()

    def _generators(self) -> list[torch.Tensor]:
        """States of torch's own generators: that of the CPU, and that of the GPU where there is one."""
        states = [torch.get_rng_state()]
        return [*states, torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else states

    def _content(self, state: State) -> dict[str, Any]:
        average = {} if self.average is None else {"average": self.average.slow}
        return {
            "state": asdict(state), "threads": torch.get_num_threads(),
            "optimizer": self.optimizer.state_dict(), "model": self.model.state_dict(), "buffers": dict(self.model.named_buffers()),
            **average,
        }  # fmt: skip

    def _take(self, path: Path, header: Mapping[str, Any], content: Mapping[str, Any]) -> State:
        if differing := _differing(header["asked"], self.asked):
            raise ValueError(
                f"resume: {path} is of another training, which differs in {differing}; give another folder, or remove it"
            )
        if differing := _differing(header["placed"], self.placed):
            warnings.warn(f"{path} is not used, as the training starts anew: it differs in {differing}", stacklevel=3)
            for old in _paths(path.parent):
                old.unlink()
            return State()
        self.model.load_state_dict(content["model"])
        with torch.no_grad():
            for name, buffer in self.model.named_buffers():  # those that are not persistent, too
                buffer.copy_(content["buffers"][name])
        self.optimizer.load_state_dict(content["optimizer"])
        if self.average is not None:
            self.average.load(content["average"])
        torch.set_num_threads(content["threads"])  # sums on a CPU depend on how they are split
        rank = current().rank
        generators = content["generators_of_others"][rank - 1] if rank else content["generators"]
        torch.set_rng_state(generators[0])
        for generator in generators[1:]:
            torch.cuda.set_rng_state(generator, self.device)
        state = State(**content["state"])
        state.losses = {name: values.to(self.device) for name, values in state.losses.items()}
        return state


def _by_rank(generators: list[Any]) -> dict[str, Any]:
    """States of generators in a state's content: of one process as ever, and of those that train with it."""
    others = {"generators_of_others": generators[1:]} if len(generators) > 1 else {}
    return {"generators": generators[0], **others}


def _paths(folder: Path) -> list[Path]:
    """States, the oldest first."""
    return sorted(folder.glob("state-*.pt"))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and content of a state; ValueError where it is not as it was written."""
    start, _, rest = path.read_bytes().partition(b"\n")
    if start != _MAGIC + hashlib.blake2b(rest, digest_size=16).hexdigest().encode():
        raise ValueError("its checksum does not fit")
    header, _, content = rest.partition(b"\n")
    try:
        return json.loads(header), torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:  # a module's extra state, say, that only code could read
        raise ValueError(str(error).splitlines()[0]) from error


def _digest(model: nn.Module) -> str:
    """What tells a network with these weights from others."""
    digest = hashlib.blake2b(type(model).__qualname__.encode(), digest_size=8)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    names = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
    return ", ".join(f"{name} ({found.get(name)}, now {wanted.get(name)})" for name in names)
