"""The command line: one dataclass per subcommand. torch and friends are imported when a command runs, not for --help."""

import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal


def _show_error(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """One line for Ctrl-C outside run_guarded: during the imports below, and those of experiment scripts."""
    if issubclass(kind, KeyboardInterrupt):
        print("\nmsda-analysis: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.excepthook is sys.__excepthook__:  # a debugger's or a notebook's stays
    sys.excepthook = _show_error

import tyro  # noqa: E402
from tyro.conf import subcommand  # noqa: E402

if TYPE_CHECKING:
    from msda_analysis.studies import StudyPlan

_PAPER_EPSILONS = (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.1, 0.3, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every command takes."""

    seed: int = 0
    """First seed; everything random is a function of it."""
    device: str = "auto"
    """"cpu", "cuda", "cuda:1", or "auto": a GPU if there is one."""
    threads: int = 0
    """CPU threads; 0 takes as many as there are cores."""


@dataclass(frozen=True, kw_only=True)
class Trained(Common):
    """What every command and experiment takes that trains models."""

    dataset: str = "digits"
    """digits, cifar10, cifar100, fashion_mnist, or folder:PATH with PATH/train/CLASS/* and PATH/test/CLASS/*."""
    root: Path | None = None
    """Where downloaded files and the cache of decoded folders live (~/.cache/msda_analysis)."""
    train_size: int | None = None
    """Use a class-balanced part of the training images."""
    seeds: int = 2
    """Number of training seeds."""
    shard: str = "1/1"
    """i/n: run the i-th of n parts, on machines that share the folder; a last run without it completes the report."""


@dataclass(frozen=True, kw_only=True)
class Experiment(Trained):
    """What every experiment script takes."""

    seeds: int = 3
    """Number of training seeds."""
    smoke: bool = False
    """Seconds instead of minutes, to see that all works: the numbers mean nothing."""


@dataclass(frozen=True)
class Quickstart(Common):
    """From images to report on handwritten digits: 4 augmentations x 2 seeds, offline, a few minutes on 2 cores."""

    out: Path = Path("quickstart")
    """Output folder. A run that was interrupted goes on where it stopped."""
    smoke: bool = False
    """Seconds instead of minutes, to see that all works: the numbers mean nothing."""

    def run(self) -> int:
        from msda_analysis.studies.presets import quickstart

        return _run_study(quickstart(seed=self.seed, device=usable_device(self.device), smoke=self.smoke), self.out)


@dataclass(frozen=True)
class Study(Trained):
    """Train VAEs and classifiers under each augmentation, measure them, describe the masks, write a report."""

    out: Path = Path("study")
    """Output folder. A run that was interrupted goes on where it stopped."""
    test_size: int | None = None
    """Use a class-balanced part of the test images."""
    augmentations: tuple[str, ...] = ("baseline", "mixup", "cutmix", "fmix")
    """baseline, mixup, cutmix, cutmix_inside, cutmix_nominal, fmix, fmix_released; a+b alternates every batch."""
    vae_epochs: int | None = None
    """Epochs of the VAEs (15; 100 with the paper's preset); 0 leaves them out."""
    vae_preset: Literal["default", "paper"] = "default"
    """"paper": the released script's settings (100 epochs unless --vae-epochs is given), one lambda per batch is not implied."""
    vae_precision: Literal["float32", "bfloat16"] = "float32"
    """Of forward and backward passes; bfloat16 is faster where the processor has it."""
    between: bool = False
    """Also estimate the information that each VAE shares with a baseline VAE of another seed."""
    vae_batch_size: int = 128
    """Images per step of the VAEs."""
    classifier: str = "small_cnn"
    """small_cnn, preact_resnet18, wide_resnet28_10, densenet190, pyramidnet272, vgg11_bn."""
    classifier_epochs: int = 15
    """Epochs of the classifiers; 0 leaves them and the attacks out."""
    classifier_augment: str = "crop_flip"
    """Ordinary augmentation of the classifiers: none, flip, crop (2 pixels), crop_flip (4 pixels), jitter_flip."""
    attacks: tuple[str, ...] = ("fgsm", "bim", "pgd", "uniform_noise", "deepfool")
    """Attacks by name; see robustness.ATTACKS."""
    epsilons: tuple[float, ...] = _PAPER_EPSILONS
    """Budgets, in [0, 1] pixel units."""
    norm: Literal["linf", "l2"] = "linf"
    """Norm of the budgets."""
    attack_images: int | None = 500
    """Test images attacked, a class-balanced part."""
    mode: Literal["cascade", "independent"] = "cascade"
    """cascade: an image broken at a budget stays broken at larger ones (robust accuracy); independent: the released curves."""
    released_attacks: bool = False
    """Replay the released experiment instead of --attacks: its five attacks, foolbox alone, its defaults and success."""
    likeness_images: int = 200
    """Test images on which perturbations are compared with MixUp directions; 0 leaves that out."""
    n_masks: int = 2000
    """Masks described per family; 0 leaves them out."""
    name: str = "study"
    """Short name that every row carries."""

    def run(self) -> int:
        from msda_analysis.studies.presets import study

        return _run_study(study(self, device=usable_device(self.device)), self.out, _parse_shard(self.shard))


@dataclass(frozen=True)
class Masks(Common):
    """Sample masks of one family: their statistics as a table, a picture, and the masks themselves."""

    out: Path = Path("masks")
    """Output folder."""
    family: str = "fmix"
    """mixup, cutmix, cutmix_inside, cutmix_nominal, fmix, fmix_released."""
    size: tuple[int, ...] = (32, 32)
    """One, two or three lengths in pixels."""
    n: int = 1000
    """Number of masks."""
    alpha: float = 1.0
    """lambda ~ Beta(alpha, alpha)."""
    decay_power: float = 3.0
    """FMix: power of the 1/f decay."""
    max_soft: float = 0.0
    """FMix: half-width of the soft edge, as a share of the pixels, in [0, 0.5]."""

    def run(self) -> int:
        from msda_analysis.studies.masks import write_masks

        print(write_masks(self, usable_device(self.device)))
        return 0


@dataclass(frozen=True)
class Report:
    """Draw figures, tables and report.html again from a folder's results.csv; nothing is trained or measured."""

    folder: Annotated[Path, tyro.conf.Positional]
    """A study's output folder."""

    def run(self) -> int:
        from msda_analysis.figures.pages import sections_for
        from msda_analysis.figures.report import write_report
        from msda_analysis.studies.store import find_damaged_cells, find_lost_rows

        page = write_report(self.folder, sections_for(self.folder))
        for line in (*find_damaged_cells(self.folder), *find_lost_rows(self.folder)):
            print(f"msda-analysis: {line}", file=sys.stderr)
        print(page)
        return 0


@dataclass(frozen=True)
class Information(Common):
    """What VAE checkpoints know about the test images: the paper's figures and tighter bounds, in nats."""

    checkpoints: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """VAE checkpoints, such as STUDY/cells/train_vae-*/model.safetensors."""
    out: Path = Path("information")
    """Output folder, for results.csv."""
    baseline: Path | None = None
    """Baseline VAE of another seed, for the paper's second figure."""
    dataset: str = "digits"
    """Whose test split; as in `study`."""
    root: Path | None = None
    """Where downloaded files live."""
    test_size: int | None = None
    """Use a class-balanced part of the test images."""

    def run(self) -> int:
        from msda_analysis.studies.measure import measure_information

        print(measure_information(self, usable_device(self.device)))
        return 0


@dataclass(frozen=True)
class Robustness(Common):
    """Attack classifier checkpoints on the test images."""

    checkpoints: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Classifier checkpoints, such as STUDY/cells/train_classifier-*/model.safetensors."""
    out: Path = Path("robustness")
    """Output folder, for results.csv."""
    dataset: str = "digits"
    """Whose test split; as in `study`."""
    root: Path | None = None
    """Where downloaded files live."""
    test_size: int | None = None
    """Use a class-balanced part of the test images."""
    attacks: tuple[str, ...] = ("fgsm", "pgd", "apgd_ce", "apgd_dlr", "deepfool", "square", "uniform_noise")
    """Attacks by name."""
    epsilons: tuple[float, ...] = _PAPER_EPSILONS
    """Budgets, in [0, 1] pixel units."""
    norm: Literal["linf", "l2"] = "linf"
    """Norm of the budgets."""
    mode: Literal["cascade", "independent"] = "cascade"
    """cascade: an image broken at a budget stays broken at larger ones; independent: every budget for itself."""

    def run(self) -> int:
        from msda_analysis.studies.measure import measure_robustness

        print(measure_robustness(self, usable_device(self.device)))
        return 0


@dataclass(frozen=True)
class Audit(Common):
    """Who samples what: our families, torchvision, timm and kornia (if installed), and any callable of yours."""

    out: Path = Path("audit")
    """Output folder."""
    callables: tuple[str, ...] = ()
    """package.module:function, each taking (images, labels) and returning mixed images with labels."""
    n_masks: int = 800
    """Independent masks to look at per implementation."""

    def run(self) -> int:
        from msda_analysis.studies.audit import write_audit

        page = write_audit(
            self.out, callables=self.callables, n_masks=self.n_masks, seed=self.seed, command=command_line()
        )
        print(page)
        return 0


@dataclass(frozen=True)
class Bench(Common):
    """Speed, as ratios to a plain version in the same run; parity is checked first."""

    what: Annotated[Literal["masks", "training", "robustness"], tyro.conf.Positional]
    """masks: sampling and mixing; training: VAE steps; robustness: DeepFool and whole evaluations."""
    out: Path = Path("bench")
    """Output folder, for bench_<what>_<device>.csv."""
    smoke: bool = False
    """Seconds instead of minutes: the numbers mean nothing."""

    def run(self) -> int:
        from msda_analysis.studies.bench import write_bench

        print(write_bench(self.what, self.out, usable_device(self.device), smoke=self.smoke))
        return 0


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
    return run_guarded(command.run, getattr(command, "threads", 0), study)


def run_plan(make_plan: Callable[[], "StudyPlan"], settings: Trained, out: Path) -> int:
    """Make a plan and run it as the commands do: same messages, same exit codes. For experiment scripts."""
    return run_guarded(lambda: _run_study(make_plan(), out, _parse_shard(settings.shard)), settings.threads, out)


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


def _run_study(plan, out: Path, shard: tuple[int, int] = (1, 1)) -> int:
    from msda_analysis.studies import run_study
    from msda_analysis.studies.runner import describe_missing

    summary = run_study(plan, out, shard=shard, command=command_line())
    print(f"{summary.n_done} of {summary.n_cells} cells done, {summary.n_failed} failed")
    for line in describe_missing(summary.missing):
        print(f"  missing: {line}")
    if summary.report is not None:
        print(f"report: {summary.report}")
    return 1 if summary.n_failed else 0


def _set_threads(threads: int) -> None:
    if threads < 0:
        raise ValueError(f"threads: expected an integer >= 0, got {threads}")
    if threads:
        import torch

        torch.set_num_threads(threads)


def _parse_shard(text: str) -> tuple[int, int]:
    parts = text.split("/")
    if len(parts) != 2 or not all(part.isdigit() for part in parts) or not 1 <= int(parts[0]) <= int(parts[1]):
        raise ValueError(f"shard: expected i/n with 1 <= i <= n, such as 1/4; got {text!r}")
    return int(parts[0]), int(parts[1])


if __name__ == "__main__":
    sys.exit(main())
