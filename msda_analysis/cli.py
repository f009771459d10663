"""The command line: from a command to what runs it. torch and friends are imported when a command runs, not for --help."""

import argparse
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from msda_analysis.endings import run_guarded, show_interrupt

if sys.excepthook is sys.__excepthook__:  # a debugger's or a notebook's stays
    sys.excepthook = show_interrupt

from msda_analysis.commands import Door, Running, read
from msda_analysis.settings import make_again
from msda_analysis.studies import plans, presets
from msda_analysis.studies.plan import Plan

_SUMMARY = "Analyze mixed-sample data augmentation: masks, mutual information, robustness."
#: Every command that runs a plan.
DOORS: Mapping[str, tuple[Door, str]] = {
    "quickstart": (
        Door(presets.quickstart, "quickstart", {"--smoke": presets.quickstart_smoke}),
        "From images to report on handwritten digits: 4 augmentations x 2 seeds, offline, a few minutes on 2 cores.",
    ),
    "study": (
        Door(
            presets.study, "study", {"--released-attacks": presets.with_released_attacks},
            {"--vae-preset": {"default": presets.as_it_is, "paper": presets.with_paper_vae}},
        ),
        "Train VAEs and classifiers under each augmentation, measure them, describe the masks, write a report.",
    ),
    "masks": (Door(plans.MasksPlan, "masks"), "Sample masks: their statistics as a table, a picture, and the masks."),
    "information": (
        Door(plans.InformationPlan, "information"),
        "What VAE checkpoints know about the test images: the paper's figures and tighter bounds, in nats.",
    ),
    "robustness": (
        Door(plans.RobustnessPlan, "robustness"),
        "Attack classifier checkpoints on the test images, and compare them where they are several.",
    ),
    "audit": (
        Door(plans.AuditPlan, "audit"),
        "Who samples what: our families, torchvision, timm and kornia (if installed), and any callable of yours.",
    ),
    "estimators": (
        Door(plans.EstimatorPlan, "estimators"),
        "Every estimator of mutual information on every case with a known answer.",
    ),
    "bench": (
        Door(plans.BenchPlan, "bench"),
        "Speed, as ratios to a plain version in the same run; parity is checked first.",
    ),
}  # fmt: skip
_ENDINGS = (
    "Each command has a --help of its own. Exit codes: 0 all is well, 1 some cells failed or the disk is full, 2 bad arguments, 130 "
    "Ctrl-C; 143 after SIGTERM and 99 after SIGUSR1, when a training has saved itself: the same command goes on from there, so a "
    "scheduler may requeue on them."
)
_REPORT = "Draw figures, tables and report.html again from a folder's results.csv; nothing is trained or measured."


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Exit code: 0 all went well, 1 some cells failed or the disk is full, 2 bad arguments, 99 SIGUSR1, 130 Ctrl-C, 143 SIGTERM."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser("msda-analysis", description=_SUMMARY, epilog=_ENDINGS)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, summary) in DOORS.items():
        commands.add_parser(name, help=summary, add_help=False)
    report = commands.add_parser("report", help=_REPORT, description=_REPORT)
    report.add_argument("folder", type=Path, help="an output folder")
    if words and words[0] in DOORS:
        door, summary = DOORS[words[0]]
        return run_door(door, words[1:], prog=f"msda-analysis {words[0]}", description=summary)
    folder = parser.parse_args(words).folder
    return run_guarded(lambda: _draw_again(folder), 0)


def run_door(door: Door, arguments: list[str], *, prog: str, description: str) -> int:
    """Read a plan from words and run it, with the messages and exit codes of every command."""
    plan, running = read(door, arguments, prog=prog, description=description)
    return run_guarded(lambda: _carry_out(make_again(plan), running), running.threads, running.out)


def run_script(door: Door, description: str, arguments: list[str] | None = None) -> int:
    """What an experiment script does."""
    words = sys.argv[1:] if arguments is None else arguments
    return run_door(door, words, prog=f"python {_program()}", description=description)


def command_line() -> str:
    """The command that is running, as a user would type it from the repository's root."""
    program = _program()
    return shlex.join([*(["python"] if program.endswith(".py") else []), program, *sys.argv[1:]])


def _program() -> str:
    path = Path(sys.argv[0])
    return f"{path.parent.name}/{path.name}" if path.suffix == ".py" else path.name


def _carry_out(plan: Plan, running: Running) -> int:
    from msda_analysis.studies import run_study
    from msda_analysis.studies.runner import describe_missing

    summary = run_study(plan, running.out, shard=_parse_shard(running.shard), command=command_line())
    print(f"{summary.n_done} of {summary.n_cells} cells done, {summary.n_failed} failed")
    for line in describe_missing(summary.missing):
        print(f"  missing: {line}")
    if summary.report is not None:
        print(f"report: {summary.report}")
    return 1 if summary.n_failed else 0


def _draw_again(folder: Path) -> int:
    from msda_analysis.figures.pages import sections_for
    from msda_analysis.figures.report import write_report
    from msda_analysis.studies.store import find_damaged_cells, find_lost_rows

    page = write_report(folder, sections_for(folder))
    for line in (*find_damaged_cells(folder), *find_lost_rows(folder)):
        print(f"msda-analysis: {line}", file=sys.stderr)
    print(page)
    return 0


def _parse_shard(text: str) -> tuple[int, int]:
    parts = text.split("/")
    if len(parts) != 2 or not all(part.isdigit() for part in parts) or not 1 <= int(parts[0]) <= int(parts[1]):
        raise ValueError(f"shard: expected i/n with 1 <= i <= n, such as 1/4; got {text!r}")
    return int(parts[0]), int(parts[1])


if __name__ == "__main__":
    sys.exit(main())
