"""What a run says while it goes on: a bar where somebody looks, else one line per cell."""

import sys
from types import TracebackType

from tqdm import tqdm


class Progress:
    """Shows the events that runners tell of, each cell counted once however many runners come by it.

    Args:
        total: number of cells.
        label: of the bar.
        shown: False says nothing but what failed.
    """

    def __init__(self, total: int, label: str, *, shown: bool = True):
        self._shown, self._settled = shown, set[str]()
        self._bar = tqdm(total=total, desc=label, unit="cell", disable=None if shown else True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._bar.close()

    def __call__(self, event: str, cell: str, words: str = "") -> None:
        """Take one event.

        Args:
            event: "started", "finished" in `words` seconds, "failed" for the reason `words`, "settled" before, or, about
                no cell, "said", and "waiting", which is shown with the bar alone.
            cell: its name.
        """
        if event == "started":
            self._bar.set_postfix_str(cell)
        elif event in ("said", "waiting"):
            if event == "said" or self._shown:
                self.say(words)
        elif cell not in self._settled:
            self._settled.add(cell)
            if event == "failed":
                self.say(f"{cell} failed: {words}")
            elif event == "finished" and self._shown and self._bar.disable:
                self.say(f"{cell} finished in {words} s ({len(self._settled)} of {self._bar.total})")
            self._bar.update()

    def say(self, line: str) -> None:
        """A line beside the bar."""
        tqdm.write(line, file=sys.stderr)
        sys.stderr.flush()
