"""How a process ends: what a user can mend in one line and an exit code; Ctrl-C, SIGTERM and SIGUSR1, too."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Signals that stop a run, with the word for it and the exit code. Schedulers send SIGUSR1 when they are told to warn
#: before the time is up; 99 is what Grid Engine requeues on by itself, and others where they are told to.
STOPS = {"SIGTERM": ("terminated", 143), "SIGUSR1": ("stopped by SIGUSR1", 99)}


def show_interrupt(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """An excepthook with one line for Ctrl-C outside run_guarded: during imports, and those of experiment scripts."""
    if issubclass(kind, KeyboardInterrupt):
        print("\nmsda-analysis: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def run_guarded(
    run: Callable[[], int], threads: int, study: Path | None = None, *, before: Callable[[], object] = bool
) -> int:
    """Run, and turn what a user can mend into one line and an exit code: for commands and experiment scripts.

    Args:
        run: returns the exit code.
        threads: of torch; 0 leaves them.
        study: folder of a study that the same command goes on with; None for what starts anew.
        before: called before torch is imported, which takes seconds: what can refuse an argument at once.
    """
    try:
        with _signals_stop():
            before()
            _set_threads(threads)
            return run()
    except (ValueError, FileNotFoundError) as error:
        print(f"msda-analysis: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        hint = "; what was finished is kept, run the same command again to go on" if _is_begun(study) else ""
        print(f"msda-analysis: {error}{hint}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Stopped) as end:
        word, code = STOPS[end.signal] if isinstance(end, Stopped) else ("interrupted", 130)
        hint = "; run the same command again to go on where it stopped" if _is_begun(study) else ""
        print(f"\nmsda-analysis: {word}{hint}", file=sys.stderr)
        return code


class Stopped(BaseException):
    """A signal of STOPS came: not an Exception, which a cell would note as its failure."""

    def __init__(self, signal: str):
        super().__init__(signal)
        self.signal = signal


@dataclass
class Request:
    """Whether the process is to stop.

    Attributes:
        signal: that asked for it, a key of STOPS; empty while none did.
    """

    signal: str = ""

    def answer(self) -> None:
        """Raise Stopped where it is asked for."""
        if self.signal:
            raise Stopped(self.signal)


_request: Request | None = None  # of the block that runs, which answers it


@contextmanager
def answered_in_steps() -> Iterator[Request]:
    """For work that saves itself: signals of STOPS do not end the block at once; it looks at the request at its steps.

    At the end of the block the request is answered in any case.
    """
    global _request
    before, own = _request, Request()
    _request = own
    try:
        yield own
    finally:
        _request = before  # from here on a signal raises at once
        own.answer()


@contextmanager
def _signals_stop() -> Iterator[None]:
    """Let the signals of STOPS end the block as Ctrl-C does, so that files are closed and a line is printed."""
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield
        return

    def stop(number: int, _: Any) -> None:
        name = signal.Signals(number).name
        if _request is None:
            raise Stopped(name)
        _request.signal = _request.signal or name  # the first decides: a warning is often followed by SIGTERM

    known = [getattr(signal, name) for name in STOPS if hasattr(signal, name)]  # not all systems have all
    before = [signal.signal(each, stop) for each in known]
    try:
        yield
    finally:
        for each, handler in zip(known, before, strict=True):
            signal.signal(each, handler)


def _is_begun(study: Path | None) -> bool:
    return study is not None and (study / "study.json").is_file()


def _set_threads(threads: int) -> None:
    if threads < 0:
        raise ValueError(f"threads: expected an integer >= 0, got {threads}")
    if threads:
        import torch

        torch.set_num_threads(threads)
