"""How far a folder is: which cells are done, running, failed, damaged or missing, and how long the rest may take."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msda_analysis.settings import from_settings
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.plan import Plan
from msda_analysis.studies.seal import find_damage
from msda_analysis.studies.steps import STEPS, cells_of
from msda_analysis.studies.store import Store, read_study, shorten

STATES = ("done", "running", "failed", "damaged", "missing")


@dataclass(frozen=True)
class Status:
    """The state of every cell of a folder.

    Attributes:
        states: cell -> (one of STATES, why where it failed or is damaged).
        seconds: kind -> what each of its finished cells took.
    """

    states: Mapping[str, tuple[str, str]]
    kinds: Mapping[str, str]
    seconds: Mapping[str, Sequence[float]]

    def count(self, state: str, kind: str | None = None) -> int:
        """Number of cells in a state, of one kind or of all."""
        return sum(found == state and kind in (None, self.kinds[name]) for name, (found, _) in self.states.items())

    def names(self, state: str) -> list[str]:
        """Cells in a state."""
        return [name for name, (found, _) in self.states.items() if found == state]

    def seconds_left(self) -> tuple[float, list[str]]:
        """Work that is left, at the mean of the finished cells of each kind, and kinds of which none is finished."""
        left = [self.kinds[name] for name, (state, _) in self.states.items() if state != "done"]
        known = [math.fsum(self.seconds[kind]) / len(self.seconds[kind]) for kind in left if self.seconds.get(kind)]
        return math.fsum(known), list(dict.fromkeys(kind for kind in left if not self.seconds.get(kind)))


def read_plan(folder: Path) -> Plan:
    """The plan that a study's folder holds.

    Raises:
        FileNotFoundError: it holds none.
        ValueError: it cannot be read, or is of a kind that this version does not know.
    """
    known = read_study(Path(folder))
    classes = {step.serves.__name__: step.serves for step in STEPS.values()}
    kind = known.get("kind") if isinstance(known, dict) else None
    if kind not in classes:
        raise ValueError(f"{folder}: expected a study of a kind among {', '.join(classes)}, got {kind!r}")
    return from_settings(known, classes[kind])


def survey(store: Store, cells: Sequence[Cell]) -> Status:
    """Look at every cell; writes nothing."""
    states = {cell.name: _look(store, cell) for cell in cells}
    seconds: dict[str, list[float]] = {}
    for cell in cells:
        if states[cell.name][0] == "done" and (took := store.seconds([cell])):
            seconds.setdefault(cell.kind, []).append(took)
    return Status(states, {cell.name: cell.kind for cell in cells}, seconds)


def survey_folder(folder: Path) -> Status:
    """Look at every cell of the study that a folder holds.

    Raises:
        FileNotFoundError, ValueError: see read_plan.
    """
    plan = read_plan(folder)
    return survey(Store(folder, plan), cells_of(plan))


def describe_status(status: Status) -> list[str]:
    """Lines: a count by kind and state, what is wrong with which cell, and the time that is left."""
    kinds = list(dict.fromkeys(status.kinds.values()))
    width = max(map(len, (*kinds, "all")), default=0)
    lines = [" " * width + "".join(f"{state:>9}" for state in STATES)]
    for name, kind in (*((kind, kind) for kind in kinds), ("all", None)):
        lines.append(f"{name:<{width}}" + "".join(f"{status.count(state, kind):>9}" for state in STATES))
    for name, (state, why) in status.states.items():
        if state in ("running", "failed", "damaged"):
            lines.append(f"{state}: {name}{f' ({why})' if why else ''}")
    return [*lines, *describe_time(status, max(1, status.count("running")), "that run now")]


def describe_dry_run(status: Status, workers: int) -> list[str]:
    """Lines: what a run would do, by kind, and how long it may take."""
    left = [name for name, (state, _) in status.states.items() if state != "done"]
    lines = [f"{len(left)} of {len(status.states)} cells would run; nothing was written"]
    for kind in dict.fromkeys(status.kinds[name] for name in left):
        names = [name for name in left if status.kinds[name] == kind]
        lines.append(f"  {len(names)} {kind}: {shorten(names)}")
    return [*lines, *describe_time(status, workers, "workers")]


def describe_time(status: Status, n: int, who: str) -> list[str]:
    """The work that is left, in words; nothing where all is done."""
    seconds, unknown = status.seconds_left()
    if not status.states or status.count("done") == len(status.states):
        return []
    lines = []
    if seconds:
        shared = f", {format_time(seconds / n)} for the {n} {who}" if n > 1 else ""
        lines.append(f"time left: about {format_time(seconds)}{shared}, at the mean of finished cells of each kind")
    if unknown:
        lines.append(f"time not known, as none is finished here: {', '.join(unknown)}")
    return lines


def format_time(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _look(store: Store, cell: Cell) -> tuple[str, str]:
    if store.is_done(cell):
        return "done", ""
    if store.is_held(cell):
        return "running", ""
    if damage := find_damage(store.cell_folder(cell)):
        return "damaged", damage
    return ("failed", store.failure(cell)) if store.has_failed(cell) else ("missing", "")
