"""Run the cells of a folder, alone or beside other processes that run the same ones."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from msda_analysis.environment import cpu_threads
from msda_analysis.files import is_out_of_room
from msda_analysis.results import Source, make_failure_row
from msda_analysis.studies.store import NamedCell, Store, shorten

#: Why a cell is not done at the end of a run, and in which words that is said.
REASONS = {
    "failed": "failed",
    "elsewhere": "run in another process",
    "needs": "need cells that are not done",
    "shard": "are of other shards",
    "damaged": "were damaged since they were done",
}
_POLL_S = 0.5
_Cell = TypeVar("_Cell", bound=NamedCell)


@dataclass
class Runner(Generic[_Cell]):
    """Runs every cell once, whoever else works in the folder: a cell that another process runs is come back to.

    Attributes:
        store: where the cells are kept.
        work: does a cell in its folder and returns its rows.
        source: columns of the row of a cell that failed.
        noted: errors that are noted while the other cells go on; of an OSError, only that something did not fit on the disk,
            as long as at least this can be noted there: any other would hit all cells.
        waits: at the end, wait for cells that other processes run instead of leaving them.
        tell: takes what happens: event, name of a cell, words; see progress.Progress.
        run_name: what the processes that one command started share: a cell that failed in one is not tried in another.
        missing: name -> key of REASONS of each cell that is not done, after run().
    """

    store: Store
    work: Callable[[_Cell, Path], Sequence[Mapping[str, Any]]]
    source: Callable[[_Cell], Source]
    noted: type[Exception] = Exception
    waits: bool = True
    tell: Callable[[str, str, str], None] = lambda event, cell, words: None
    run_name: str = ""
    missing: dict[str, str] = field(default_factory=dict)
    _has_waited: bool = False

    def run(self, cells: Sequence[_Cell]) -> dict[str, str]:
        """Run the cells, each after those it needs; those whose needs nobody finishes are left.

        Returns:
            `missing`.

        Raises:
            OSError: the folder cannot be written; finished cells stay.
        """
        rest = list(cells)
        while rest:
            left = [cell for cell in rest if not self._settle(cell)]
            if len(left) == len(rest) and not self._wait(left):
                break
            rest = left
        return self.missing

    def _settle(self, cell: _Cell) -> bool:
        """Whether nothing is left to do for a cell; runs it where it is free."""
        is_settled = self._is_done(cell) or self._try(cell)
        if is_settled:
            self.tell("settled", cell.name, "")
        return is_settled

    def _is_done(self, cell: _Cell) -> bool:
        if not self.store.is_done(cell):
            return False
        self.missing.pop(cell.name, None)
        return True

    def _try(self, cell: _Cell) -> bool:
        failed = [need.name for need in cell.needs if self._has_failed(need)]
        if not failed and not all(self.store.is_done(need) for need in cell.needs):
            self.missing[cell.name] = "needs"
            return False
        with self.store.hold(cell.name, wait=False) as is_held:
            if not is_held:
                self.missing[cell.name] = "elsewhere"
                return False
            if self._is_done(cell):  # by another process, before this one held it
                return True
            was_elsewhere = self.missing.pop(cell.name, "") == "elsewhere"
            if self.store.has_failed(cell, None if was_elsewhere else self.run_name):  # and would fail here too
                self.missing[cell.name] = "failed"
                return True
            self.tell("started", cell.name, "")
            self._run(cell, failed)
        return True

    def _has_failed(self, need: NamedCell) -> bool:
        """Whether a cell failed in this run, here or in another process of it."""
        return self.missing.get(need.name) == "failed" or self.store.has_failed(need, self.run_name)

    def _run(self, cell: _Cell, failed_needs: Sequence[str]) -> None:
        folder, start = self.store.start(cell), time.perf_counter()
        try:
            if failed_needs:
                raise RuntimeError(f"needs {', '.join(failed_needs)}, which did not finish")
            rows = self.work(cell, folder)
            self.store.finish(cell, rows, time.perf_counter() - start, cpu_threads())
        except OSError as error:
            if not is_out_of_room(error):
                raise  # a lost folder, say: going on would fail everywhere
            self.give_up(cell, error, traceback.format_exc())  # raises where not even this fits
            return
        except self.noted as error:  # one cell's fault must not take the others down; it is stored and counted
            self.give_up(cell, error, traceback.format_exc())
            return
        self.tell("finished", cell.name, f"{time.perf_counter() - start:.1f}")

    def give_up(self, cell: _Cell, error: BaseException, trace: str = "") -> None:
        """Note that a cell failed, and why."""
        self.store.fail(cell, make_failure_row(self.source(cell), error), trace, self.run_name)
        self.missing[cell.name] = "failed"
        self.tell("failed", cell.name, str(error))

    def _wait(self, left: Sequence[_Cell]) -> bool:
        """Wait a moment for another process; False where there is none to wait for."""
        busy = [cell.name for cell in left if self.missing[cell.name] == "elsewhere"]
        if not (self.waits and busy):
            return False
        if not self._has_waited:
            self.tell("waiting", "", f"waiting for {len(busy)} cells that run in another process: {shorten(busy)}")
        self._has_waited = True
        time.sleep(_POLL_S)
        return True


def describe_missing(missing: Mapping[str, str]) -> list[str]:
    """One line for each reason: how many cells are not done for it, and the first few names."""
    lines = []
    for reason, words in REASONS.items():
        if names := [name for name, why in missing.items() if why == reason]:
            lines.append(f"{len(names)} {words}: {shorten(names)}")
    return lines
