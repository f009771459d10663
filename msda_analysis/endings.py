"""How a process ends: what a user can mend in one line and an exit code; Ctrl-C and SIGTERM, too."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def show_interrupt(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """An excepthook with one line for Ctrl-C outside run_guarded: during imports, and those of experiment scripts."""
    if issubclass(kind, KeyboardInterrupt):
        print("\nmsda-analysis: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def run_guarded(run: Callable[[], int], threads: int, study: Path | None = None) -> int:
    """Run, and turn what a user can mend into one line and an exit code: for commands and experiment scripts.

    Args:
        run: returns the exit code.
        threads: of torch; 0 leaves them.
        study: folder of a study that the same command goes on with; None for what starts anew.
    """
    try:
        with _sigterm_raises():
            _set_threads(threads)
            return run()
    except (ValueError, FileNotFoundError) as error:
        print(f"msda-analysis: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        hint = "; what was finished is kept, run the same command again to go on" if _is_begun(study) else ""
        print(f"msda-analysis: {error}{hint}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, _Terminated) as end:
        word, code = ("interrupted", 130) if isinstance(end, KeyboardInterrupt) else ("terminated", 143)
        hint = "; run the same command again to go on where it stopped" if _is_begun(study) else ""
        print(f"\nmsda-analysis: {word}{hint}", file=sys.stderr)
        return code


class _Terminated(BaseException):
    """SIGTERM came: not an Exception, which a cell would note as its failure."""


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that files are closed and a line is printed."""
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield
        return

    def stop(*_: Any) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_begun(study: Path | None) -> bool:
    return study is not None and (study / "study.json").is_file()


def _set_threads(threads: int) -> None:
    if threads < 0:
        raise ValueError(f"threads: expected an integer >= 0, got {threads}")
    if threads:
        import torch

        torch.set_num_threads(threads)
