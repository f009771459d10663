"""A step: one kind of work, such as training VAEs or measuring them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msda_analysis.results import Source
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows


def _do_nothing(*_: Any) -> None:
    pass


def _source(context: Context, cell: Cell) -> Source:
    return context.source(cell, "")


@dataclass(frozen=True)
class Step:
    """Which cells a plan has of one kind of work, and what each does.

    Attributes:
        kind: name that its cells carry.
        serves: class of the plans that have such cells.
        plan: the cells of a plan, in order.
        run: does a cell in its folder and returns its rows.
        check: raises ValueError where the plan's cells of this kind cannot work; asked before the folder is taken.
        source: columns of the row of a cell that failed.
        collect: after a run, puts what its finished cells left into the study's folder.
        describe: what the manifest says of the data, where the plan names no data set.
    """

    kind: str
    serves: type
    plan: Callable[[Any], list[Cell]]
    run: Callable[[Context, Cell, Path], Rows]
    check: Callable[[Context, Sequence[Cell]], None] = _do_nothing
    source: Callable[[Context, Cell], Source] = _source
    collect: Callable[[Context, Sequence[Cell]], None] = _do_nothing
    describe: Callable[[Any], dict[str, Any]] = lambda plan: {}


def versioned(number: int, key: str = "format") -> dict[str, int]:
    """A step's FORMAT as it stands among a cell's settings, and so in its name; the first is left out.

    Args:
        number: raised when a change makes old finished cells wrong.
        key: two older ones have names of their own.
    """
    return {} if number == 1 else {key: number}
