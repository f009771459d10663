"""The command line: from a command to what runs it. torch and friends are imported when a command runs, not for --help."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msda_analysis.endings import run_guarded, show_interrupt

if sys.excepthook is sys.__excepthook__:  # a debugger's or a notebook's stays
    sys.excepthook = show_interrupt

import tyro
from tyro.conf import subcommand

from msda_analysis.commands import (
    Audit,
    Bench,
    Information,
    Masks,
    Quickstart,
    Report,
    Robustness,
    Study,
    Trained,
)

if TYPE_CHECKING:
    from msda_analysis.studies import StudyPlan

Command = (
    Annotated[Quickstart, subcommand("quickstart")]
    | Annotated[Study, subcommand("study")]
    | Annotated[Masks, subcommand("masks")]
    | Annotated[Information, subcommand("information")]
    | Annotated[Robustness, subcommand("robustness")]
    | Annotated[Audit, subcommand("audit")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Bench, subcommand("bench")]
)


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Exit code: 0 all went well, 1 some cells failed or the disk is full, 2 bad arguments, 130 Ctrl-C, 143 SIGTERM."""
    command = tyro.cli(
        Command,  # type: ignore[arg-type]
        args=arguments,
        prog="msda-analysis",
        description="Analyse mixed-sample data augmentation: masks, mutual information, robustness.",
        config=(tyro.conf.OmitArgPrefixes,),
    )
    study = command.out if isinstance(command, (Quickstart, Study)) else None
    return run_guarded(lambda: _RUN[type(command)](command), getattr(command, "threads", 0), study)


def run_plan(make_plan: Callable[[], "StudyPlan"], settings: Trained, out: Path) -> int:
    """Make a plan and run it as the commands do: same messages, same exit codes. For experiment scripts."""
    return run_guarded(lambda: _carry_out(make_plan(), out, _parse_shard(settings.shard)), settings.threads, out)


def command_line() -> str:
    """The command that is running, as a user would type it from the repository's root."""
    program = Path(sys.argv[0])
    words = ["python", f"{program.parent.name}/{program.name}"] if program.suffix == ".py" else [program.name]
    return shlex.join([*words, *sys.argv[1:]])


def usable_device(device: str) -> str:
    """The device to use: "auto" is a GPU if there is one.

    Raises:
        ValueError: it cannot be used on this machine.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        raise ValueError(f"device: {device!r} cannot be used on this machine; try cpu or auto") from error
    return device


def _run_quickstart(command: Quickstart) -> int:
    from msda_analysis.studies.presets import quickstart

    return _carry_out(
        quickstart(seed=command.seed, device=usable_device(command.device), smoke=command.smoke), command.out
    )


def _run_study(command: Study) -> int:
    from msda_analysis.studies.presets import study

    return _carry_out(study(command, device=usable_device(command.device)), command.out, _parse_shard(command.shard))


def _run_masks(command: Masks) -> int:
    from msda_analysis.studies.masks import write_masks

    print(write_masks(command, usable_device(command.device)))
    return 0


def _run_report(command: Report) -> int:
    from msda_analysis.report import write_report
    from msda_analysis.studies.store import find_damaged_cells, find_lost_rows

    damage = (*find_damaged_cells(command.folder), *find_lost_rows(command.folder))
    page = write_report(command.folder, damage)
    for line in damage:
        print(f"msda-analysis: {line}", file=sys.stderr)
    print(page)
    return 0


def _run_information(command: Information) -> int:
    from msda_analysis.studies.measure import measure_information

    print(measure_information(command, usable_device(command.device)))
    return 0


def _run_robustness(command: Robustness) -> int:
    from msda_analysis.studies.measure import measure_robustness

    print(measure_robustness(command, usable_device(command.device)))
    return 0


def _run_audit(command: Audit) -> int:
    from msda_analysis.studies.audit import write_audit

    page = write_audit(
        command.out, callables=command.callables, n_masks=command.n_masks, seed=command.seed, command=command_line()
    )
    print(page)
    return 0


def _run_bench(command: Bench) -> int:
    from msda_analysis.studies.bench import write_bench

    print(write_bench(command.what, command.out, usable_device(command.device), smoke=command.smoke))
    return 0


def _carry_out(plan, out: Path, shard: tuple[int, int] = (1, 1)) -> int:
    from msda_analysis.studies import run_study
    from msda_analysis.studies.runner import describe_missing

    summary = run_study(plan, out, shard=shard, command=command_line())
    print(f"{summary.n_done} of {summary.n_cells} cells done, {summary.n_failed} failed")
    for line in describe_missing(summary.missing):
        print(f"  missing: {line}")
    if summary.report is not None:
        print(f"report: {summary.report}")
    return 1 if summary.n_failed else 0


def _parse_shard(text: str) -> tuple[int, int]:
    parts = text.split("/")
    if len(parts) != 2 or not all(part.isdigit() for part in parts) or not 1 <= int(parts[0]) <= int(parts[1]):
        raise ValueError(f"shard: expected i/n with 1 <= i <= n, such as 1/4; got {text!r}")
    return int(parts[0]), int(parts[1])


#: What runs each command.
_RUN: dict[type, Callable[[Any], int]] = {
    Quickstart: _run_quickstart,
    Study: _run_study,
    Masks: _run_masks,
    Report: _run_report,
    Information: _run_information,
    Robustness: _run_robustness,
    Audit: _run_audit,
    Bench: _run_bench,
}


if __name__ == "__main__":
    sys.exit(main())
