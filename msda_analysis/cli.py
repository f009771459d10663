"""The command line: from a command to what runs it. torch and friends are imported when a command runs, not for --help."""

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msda_analysis.endings import run_guarded, show_interrupt
from msda_analysis.environment import package_version

if sys.excepthook is sys.__excepthook__:  # a debugger's or a notebook's stays
    sys.excepthook = show_interrupt

from msda_analysis.commands import Door, Running, read
from msda_analysis.settings import make_again
from msda_analysis.studies import plans, presets
from msda_analysis.studies.plan import Plan

if TYPE_CHECKING:
    from msda_analysis.studies.cluster import Cluster

_SUMMARY = "Analyze mixed-sample data augmentation: masks, mutual information, robustness."
#: Every command that runs a plan.
DOORS: Mapping[str, tuple[Door, str]] = {
    "quickstart": (
        Door(presets.quickstart, "quickstart", {"--smoke": presets.quickstart_smoke}),
        "From images to report on handwritten digits: 4 augmentations x 4 seeds, offline, a few minutes on 2 cores.",
    ),
    "study": (
        Door(
            presets.study, "study", {"--released-attacks": presets.with_released_attacks},
            {
                "--vae-preset": {"default": presets.as_it_is, "paper": presets.with_paper_vae},
                "--classifier-preset": {
                    "auto": presets.by_images, "default": presets.as_it_is, "fast": presets.with_fast_classifier,
                    "paper": presets.with_paper_classifier,
                },
            },
            announce=presets.describe_classifier, guesses={"--classifier-preset": presets.classifier_preset},
        ),
        "Train VAEs and classifiers under each augmentation, measure them, describe the masks, write a report.",
    ),
    "masks": (Door(plans.MasksPlan, "masks"), "Sample masks: their statistics as a table, a picture, and the masks."),
    "information": (
        Door(plans.InformationPlan, "information", short={"--vae": "--model"}),
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
_REPORT = (
    "Draw figures, tables and report.html again from a folder's results.csv, or one page of several studies; nothing is "
    "trained or measured."
)
_VERIFY = (
    "Which study, settings, commit and cells made a figure, a table or a folder, and whether all of it still agrees."
)
_FIGURE = (
    "One figure of a study's page as a paper needs it: its width, families, palette, fonts and words. What is not asked for is "
    "taken from your own matplotlibrc, where you have one, and else from the page; the numbers are the page's."
)
_CITE = "BibTeX of the methods that a study's table holds numbers of."
_COMPARE = "Which settings of two studies differ, and which numbers moved by more than their intervals."
_STATUS = "How far a study's folder is: cells done, running, failed, damaged, missing, and the time that is left."


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Exit code: 0 all went well, 1 some cells failed or are not done, what was compared differs, or the disk is
    full, 2 bad arguments, 99 SIGUSR1, 130 Ctrl-C, 143 SIGTERM.
    """
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser("msda-analysis", description=_SUMMARY, epilog=_ENDINGS)
    parser.add_argument("--version", action="version", version=package_version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, summary) in DOORS.items():
        commands.add_parser(name, help=summary, add_help=False)
    for name, (_, summary, paths) in FOLDER_COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        for path, what in paths.items():
            more: dict[str, Any] = {"type": Path} | _ARGUMENTS.get(path, {})
            command.add_argument(path, help=what, **more)
    figure = commands.add_parser("figure", help=_FIGURE.partition(":")[0] + ".", description=_FIGURE)
    for flag, settings in FIGURE_OPTIONS.items():
        figure.add_argument(flag, **settings)
    if words and words[0] in DOORS:
        door, summary = DOORS[words[0]]
        return run_door(door, words[1:], prog=f"msda-analysis {words[0]}", description=summary)
    asked = parser.parse_args(words)
    if asked.command == "figure":
        return run_guarded(
            lambda: _draw_figure(**{name: value for name, value in vars(asked).items() if name != "command"}), 0
        )
    act, _, paths = FOLDER_COMMANDS[asked.command]
    return run_guarded(lambda: act(*(getattr(asked, path.lstrip("-")) for path in paths)), 0)


def run_door(door: Door, arguments: list[str], *, prog: str, description: str) -> int:
    """Read a plan from words and run it, with the messages and exit codes of every command."""
    from msda_analysis.studies.names import check_names

    plan, running = read(door, arguments, prog=prog, description=description)
    return run_guarded(
        lambda: _carry_out(make_again(plan), running, door),
        running.threads,
        running.out,
        before=lambda: check_names(plan),
    )


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


def _carry_out(plan: Plan, running: Running, door: Door) -> int:
    from msda_analysis.studies.run import on_usable_device

    for line in door.announce(on_usable_device(plan)):
        print(line, flush=True)
    if running.dry_run:
        return _list_cells(plan, running)
    from msda_analysis.studies import run_study
    from msda_analysis.studies.runner import describe_missing

    shard, command = _parse_shard(running.shard), command_line()
    summary = run_study(
        plan, running.out, shard=shard, workers=running.workers, cluster=_cluster(running), command=command
    )
    print(f"{summary.n_done} of {summary.n_cells} cells done, {summary.n_failed} failed")
    for line in describe_missing(summary.missing):
        print(f"  missing: {line}")
    if summary.report is not None:
        print(f"report: {summary.report}")
    else:
        print("no report yet: run it once without --shard when all shards have ended")
    return 1 if any(why != "shard" for why in summary.missing.values()) else 0


def _cluster(running: Running) -> "Cluster | None":
    from msda_analysis.studies.cluster import Cluster

    if running.engine == "ray":
        return Cluster(running.address, running.cell_cpus, running.cell_gpus)
    if running.address:
        raise ValueError("address: the local engine joins no cluster; add --engine ray")
    return None


def _report(folders: list[Path], names: list[str], out: Path | None) -> int:
    if len(folders) == 1:
        if names or out is not None:
            raise ValueError(
                "names, out: they are for one page of several studies; give two folders, or neither of them"
            )
        return _draw_again(folders[0])
    if out is None:
        raise ValueError("out: expected a folder for the page of several studies; add --out")
    from msda_analysis.studies.damage import find_all_damage
    from msda_analysis.studies.join import join_studies

    damage = {folder: find_all_damage(folder) for folder in folders}
    wrong = join_studies(
        folders, names, out, command_line(), {folder: found.doubtful for folder, found in damage.items()}
    )
    return _draw(out, [*wrong, *(line for found in damage.values() for line in found.lines)])


def _draw_again(folder: Path) -> int:
    from msda_analysis.studies.damage import find_all_damage
    from msda_analysis.studies.join import contradictions_of

    damage = find_all_damage(folder)
    return _draw(folder, [*contradictions_of(folder), *damage.lines], damage.doubtful)


def _draw(folder: Path, wrong: list[str], left_out: Sequence[str] = ()) -> int:
    from msda_analysis.report import write_report
    from msda_analysis.studies.damage import vouched

    wrong = _say_damage(wrong, left_out)
    with vouched(folder, whole=False):
        page = write_report(folder, wrong, left_out)
    print(page)
    return 0


def _say_damage(lines: Sequence[str], left_out: Sequence[str]) -> list[str]:
    """Say what is wrong, and of which cells no row is shown; all of it, for the page."""
    told = "the rows of these cells are left out: {}; run the study again to collect them"
    lines = [*lines, *([told.format(", ".join(left_out))] if left_out else [])]
    for line in lines:
        print(f"msda-analysis: {line}", file=sys.stderr)
    return lines


def _draw_figure(name: str, folder: Path, out: Path | None, palette: list[str] | None, **asked: Any) -> int:
    from msda_analysis.report.export import make_figure, read_palette
    from msda_analysis.studies.damage import find_all_damage

    path, damage = out or Path(f"{name}.pdf"), find_all_damage(folder)
    _say_damage(damage.lines, damage.doubtful)
    made = make_figure(name, folder, path, palette=read_palette(palette), left_out=damage.doubtful, **asked)
    if made.unused:
        shown = "; ".join(repr(text) for text in made.texts)
        print(
            f"msda-analysis: not in this figure: {', '.join(map(repr, made.unused))}; its texts are {shown}",
            file=sys.stderr,
        )
    if made.outside:
        cut = ", ".join(map(repr, made.outside))
        print(f"msda-analysis: does not fit, give the figure more width or a smaller font: {cut}", file=sys.stderr)
    print(path)
    return 1 if made.outside else 0


def _list_cells(plan: Plan, running: Running) -> int:
    from msda_analysis.studies import Store, cells_of
    from msda_analysis.studies.run import on_usable_device, suited_workers
    from msda_analysis.studies.status import describe_dry_run, survey

    store, (i, n) = Store(running.out, on_usable_device(plan)), _parse_shard(running.shard)
    cells = cells_of(store.plan)[i - 1 :: n]
    workers = running.workers or suited_workers(store.plan, store, cells)
    print("\n".join(describe_dry_run(survey(store, cells), workers)))
    return 0


def _show_status(folder: Path) -> int:
    from msda_analysis.studies.status import describe_status, survey_folder

    status = survey_folder(folder)
    print("\n".join(describe_status(status)))
    return 1 if status.count("failed") or status.count("damaged") else 0


def _verify(path: Path) -> int:
    from msda_analysis.studies.verify import describe_trace, verify

    trace = verify(path)
    print("\n".join(describe_trace(trace)))
    return 1 if trace.differs else 0


def _compare(first: Path, second: Path) -> int:
    from msda_analysis.studies.differences import compare_studies, describe_differences

    found = compare_studies(first, second)
    print("\n".join(describe_differences(found)))
    return 1 if len(found.moved) else 0


def _cite(folder: Path) -> int:
    from msda_analysis.studies.cite import cite

    entries, unknown = cite(folder)
    print("\n\n".join(entries))
    if unknown:
        print(f"msda-analysis: no reference is known here for {', '.join(unknown)}", file=sys.stderr)
    return 0


def _parse_shard(text: str) -> tuple[int, int]:
    parts = text.split("/")
    if len(parts) != 2 or not all(part.isdigit() for part in parts) or not 1 <= int(parts[0]) <= int(parts[1]):
        raise ValueError(f"shard: expected i/n with 1 <= i <= n, such as 1/4; got {text!r}")
    return int(parts[0]), int(parts[1])


#: Words of the command `figure`.
FIGURE_OPTIONS: Mapping[str, dict[str, Any]] = {
    "name": {"help": "of the figure: that of its files in FOLDER/figures"},
    "folder": {"type": Path, "help": "an output folder"},
    "--width": {"help": "in inches, or single (3.3) or double (6.9) for a paper's column", "metavar": "INCHES"},
    "--families": {"nargs": "+", "default": [], "help": "which to show, in this order, as the table names them"},
    "--palette": {
        "nargs": "+",
        "help": "a name that seaborn knows (colorblind, Greys_d), colors in the order of the families, or family=color",
    },
    "--labels": {"type": Path, "help": 'a TOML file of lines such as "clean accuracy" = "Genauigkeit"'},
    "--font": {"help": "family, such as serif or an installed font"},
    "--font-size": {"type": float, "help": "of most texts, in points", "metavar": "POINTS"},
    "--out": {"type": Path, "help": "file to write, .pdf, .png or .svg (default: NAME.pdf)"},
}
_FOLDER = {"folder": "an output folder"}
_ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "folders": {"nargs": "+"},
    "--names": {"nargs": "+", "type": str, "default": []},
}
#: Commands about what is there: what they do, in words, and the paths that they take.
FOLDER_COMMANDS: Mapping[str, tuple[Callable[..., int], str, Mapping[str, str]]] = {
    "report": (
        _report,
        _REPORT,
        {"folders": "an output folder, or several", "--names": "of several studies", "--out": "of their page"},
    ),
    "status": (_show_status, _STATUS, _FOLDER),
    "verify": (_verify, _VERIFY, {"path": "a figure (pdf, png, svg), a table (csv, tex), or an output folder"}),
    "compare": (_compare, _COMPARE, {"first": "an output folder", "second": "another one"}),
    "cite": (_cite, _CITE, _FOLDER),
}


if __name__ == "__main__":
    sys.exit(main())
