"""Kill a small real study at random moments of every phase, and see that nothing is lost, done twice, or left behind.

    python tests/studies/kills.py FOLDER [N] [SEED]     # 50 kills -9 of the command and its two workers

An undisturbed run comes first, and tells how much processor time each phase takes (which other programs do not stretch).
Then the same command is killed, all its processes at once, in one phase after the other: as soon as the phase shows in
the folder, and a random time after that. What they were really at is looked up while they are stopped, right before the
kill. Then the command is called again, until it ends by itself. Such rounds go on, in folders of their own, until there were
N kills; each must leave what the undisturbed run left.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msda_analysis.results import read_rows
from msda_analysis.training import state as states

ROOT = Path(__file__).parents[2]
EPOCHS = 4
N_FAMILIES = 2
#: A study that draws masks, trains, measures, attacks and compares: a minute on two idle cores.
STUDY = (
    "study --dataset digits --train-size 100 --test-size 40 --augmentations baseline mixup --seeds 1 --vae-batch-size 25 "
    f"--vae-epochs {EPOCHS} --vae.latent 4 --classifier-epochs {EPOCHS} --classifier.batch-size 25 --attacks fgsm pgd "
    "--epsilons 0 0.05 0.1 --attack-images 20 --likeness-images 0 --n-masks 50 --more-masks fmix --no-attribution "
    "--device cpu --threads 2"
)
#: Phases, with the locks that are held in them; at the start none is yet, and a file is written in any of them.
LOCKS = {"training": ("train_vae", "train_classifier"), "attacks": ("measure_classifier",), "reporting": ("outputs",)}
PHASES = ("start-up", *LOCKS, "writing")
_PER_ROUND = 25
_FINISHED = re.compile(r"^(\S+) finished in ", re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")
_POLL_S = 0.02


@dataclass
class Tally:
    """What the kills met.

    Attributes:
        aimed: phase -> kills that waited for it.
        hit: those of them that met it.
        met: phase -> kills that met it, whatever they waited for; one may meet several, as there are two workers.
        rounds: studies that came to their end.
        faults: what was done twice, left behind, or became other than in the undisturbed run.
    """

    aimed: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    faults: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """A table: of each phase, how many kills were aimed at it, met it then, and met it at all."""
        rows = [("phase", "aimed", "met then", "met in all")]
        rows += [(name, *map(str, (self.aimed[name], self.hit[name], self.met[name]))) for name in (*PHASES, "other")]
        return [f"{name:<10}{a:>8}{b:>10}{c:>12}" for name, a, b, c in rows]


def kill_often(folder: Path, n: int, seed: int, workers: int = 2) -> Tally:
    """Kill the study n times, the phases in turn, in as many rounds as that takes."""
    quiet, draws, tally = folder / "quiet", random.Random(seed), Tally()
    start = time.monotonic()
    spans = watch(quiet, workers)
    took = ", ".join(f"{name} {span:.1f}" for name, span in spans.items())
    print(f"undisturbed: {time.monotonic() - start:.0f} s; seconds of processor time: {took}", flush=True)
    aims = [PHASES[i % len(PHASES)] for i in range(n)]
    while aims:
        out, now = folder / f"round{tally.rounds}", aims[:_PER_ROUND]
        aims = _play_round(Round(out, spans, draws, workers, tally), _in_order(now, draws)) + aims[_PER_ROUND:]
        tally.faults += [f"{out.name}: {fault}" for fault in differences(quiet, out)]
        tally.rounds += 1
        print(f"round {tally.rounds}: {tally.aimed.total()} kills so far, {len(tally.faults)} faults", flush=True)
    return tally


def _in_order(aims: list[str], draws: random.Random) -> list[str]:
    """As a study can meet them; it starts and writes all the time."""
    middle = {"training": (0, 1), "attacks": (1, 2), "reporting": (2, 3)}
    return [aim for _, aim in sorted((draws.uniform(*middle.get(aim, (0, 3))), aim) for aim in aims)]


def watch(out: Path, workers: int) -> dict[str, float]:
    """Run undisturbed. Processor time until the first cell, of one cell's training and attacks, of the report, of all."""
    process, spans, held = run(out, workers), dict.fromkeys((*PHASES, "all"), 0.0), ["nothing"]
    before, is_begun = 0.0, False
    while process.poll() is None:
        now = processor_time(process.pid)
        for name in ["start-up"] if not is_begun else [name for name in LOCKS if set(held) & set(LOCKS[name])]:
            spans[name] += max(0.0, now - before)
        spans["all"], before, held = max(spans["all"], now), now, held_in(out)
        is_begun = is_begun or bool(set(held) - {"study"})
        time.sleep(_POLL_S)
    if process.returncode != 0:
        raise RuntimeError(process.communicate()[0])
    return spans | {name: spans[name] / N_FAMILIES / len(LOCKS[name]) for name in ("training", "attacks")}


@dataclass
class Round:
    """One study in a folder of its own, killed now and then, and what is known of it.

    Attributes:
        spans: see watch().
        finished: how often each cell was said to be.
        sealed: what was finished -> which file says so, and when it was written.
        epochs: training -> seconds of those that were saved.
    """

    out: Path
    spans: dict[str, float]
    draws: random.Random
    workers: int
    tally: Tally
    finished: Counter[str] = field(default_factory=Counter)
    sealed: dict[str, tuple[int, int]] = field(default_factory=dict)
    epochs: dict[str, list[float]] = field(default_factory=dict)

    def call(self, aim: str | None) -> tuple[int, str, Iterator[str]]:
        """The command once, killed in a phase or not at all: exit code, what it said, and faults."""
        left, process = set(files_of(self.out)), run(self.out, self.workers)
        if aim is not None and self._wait(process, aim, left):
            self._kill(process, aim, left)
        said = process.communicate()[0]
        self.finished.update(_FINISHED.findall(said))
        return process.returncode, said, self._look()

    def can_meet(self, aim: str) -> bool:
        """Whether a phase is still to come."""
        if aim not in ("training", "attacks"):
            return True
        n_done = sum(name.startswith(f"{kind}-") for kind in LOCKS[aim] for name in seals(self.out))
        return n_done < N_FAMILIES * len(LOCKS[aim])

    def _wait(self, process: subprocess.Popen[str], aim: str, left: set[str]) -> bool:
        """Until the phase shows, and a random time of it after that; False where the command ends before."""
        if aim == "writing":
            moment = self.draws.uniform(0, self.spans["all"] / 3)
            return self._until(process, lambda: processor_time(process.pid) > moment) and self._until(
                process, lambda: self._stopped_in_writing(process, left), pause=0.0
            )
        if not self._until(process, lambda: aim == "start-up" or self._shows(aim, left)):
            return False
        span = self.spans[aim] / (EPOCHS if aim == "training" else 1)
        moment = processor_time(process.pid) + self.draws.uniform(0, span)
        return self._until(process, lambda: processor_time(process.pid) >= moment)

    def _shows(self, aim: str, left: set[str]) -> bool:
        """Whether a phase's lock is held; of training, also whether an epoch was saved since the command began."""
        if not set(held_in(self.out)) & set(LOCKS[aim]):
            return False
        return aim != "training" or any(_names(self.out, "cells/train_*/resume/state-*.pt") - left)

    def _stopped_in_writing(self, process: subprocess.Popen[str], left: set[str]) -> bool:
        """Whether a file is half written, and stays so, as all are stopped then."""
        if not _half_written(self.out, left):
            return False
        _stop(process)
        if _half_written(self.out, left):
            return True
        os.killpg(process.pid, signal.SIGCONT)
        return False

    @staticmethod
    def _until(process: subprocess.Popen[str], has_come: Callable[[], bool], pause: float = _POLL_S) -> bool:
        while not has_come():
            if process.poll() is not None:
                return False
            time.sleep(pause)
        return process.poll() is None

    def _kill(self, process: subprocess.Popen[str], aim: str, left: set[str]) -> None:
        _stop(process)
        held = held_in(self.out)
        met = [name for name, locks in LOCKS.items() if set(held) & set(locks)]
        met += ["writing"] if _half_written(self.out, left) else []
        met += ["start-up"] if not set(held) - {"study"} and not _is_begun(self.out, left) else []
        os.killpg(process.pid, signal.SIGKILL)
        self.tally.aimed[aim] += 1
        self.tally.hit[aim] += aim in met
        self.tally.met.update(met or ["other"])
        print(
            f"kill {self.tally.aimed.total()} for {aim}: {', '.join(met or ['other'])} ({', '.join(held)})", flush=True
        )

    def _look(self) -> Iterator[str]:
        """What was finished before is what it was; what a training saved is kept in mind."""
        for name, seal in seals(self.out).items():
            if self.sealed.setdefault(name, seal) != seal:
                yield f"{self.out.name}: {name} was done again after it was done"
                self.sealed[name] = seal
        for name, seconds in saved_epochs(self.out).items():
            if seconds[: len(before := self.epochs.get(name, []))] != before:
                yield f"{self.out.name}: {name} repeated an epoch that was saved"
            self.epochs[name] = seconds

    def look_at_trainings(self) -> Iterator[str]:
        """The epochs of a finished training are those that were saved before it was killed, by their seconds."""
        for name, before in self.epochs.items():
            rows = read_rows(self.out / "cells" / name / "rows.csv")
            found = [float(row["value"]) for row in rows if row["metric"] == "epoch_seconds"]
            if len(found) != EPOCHS or found[: len(before)] != before:
                yield f"{self.out.name}: {name} repeated an epoch that was saved"


def _play_round(study: Round, aims: list[str]) -> list[str]:
    """One study to its end; the aims that it could not meet."""
    faults, unmet = study.tally.faults, []
    while aims:
        if not study.can_meet(aims[0]):
            unmet.append(aims.pop(0))
            continue
        code, said, found = study.call(aims[0])
        faults += found
        if code != -signal.SIGKILL:  # it ended before; the next call will only look and report
            faults += [f"{study.out.name}: exit code {code}: {said[-500:]}"] if code else []
            unmet.append(aims[0])
        del aims[0]
    code, said, found = study.call(None)
    faults += [*found, *study.look_at_trainings()]
    faults += [f"{study.out.name}: {name} finished {k} times" for name, k in study.finished.items() if k > 1]
    faults += [f"{study.out.name}: exit code {code}: {said[-500:]}"] if code else []
    return unmet


def run(out: Path, workers: int) -> subprocess.Popen[str]:
    """The command, in a process group of its own."""
    out.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "msda_analysis.cli", *STUDY.split(), "--workers", str(workers), "--out", str(out)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _stop(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(_POLL_S)  # until all have stopped


def processor_time(group: int) -> float:
    """Seconds that the living processes of a group have used (Linux)."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[2]) == group:
            total += sum(map(int, fields[11:15]))  # with its children that have ended
    return total / _TICKS


def held_in(folder: Path) -> list[str]:
    """Kinds of cells, or parts of a study's folder, whose locks are held now (Linux)."""
    inodes = {int(number) for number in re.findall(r":(\d+) \d+ \S+$", Path("/proc/locks").read_text(), re.MULTILINE)}
    locks = folder.glob("locks/*.lock")
    return [path.name.split("-")[0].removesuffix(".lock") for path in locks if path.stat().st_ino in inodes]


def _names(folder: Path, pattern: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob(pattern)}


def _half_written(folder: Path, left: set[str]) -> set[str]:
    """Files that are being written now, and were not there before."""
    found = [Path(place, name) for place, _, names in os.walk(folder) for name in names if name.endswith(".part")]
    return {path.relative_to(folder).as_posix() for path in found} - left


def _is_begun(folder: Path, left: set[str]) -> bool:
    """Whether something was finished or saved since."""
    kinds = ("cells/*/*", "cells/*/resume/*", "kept/*/*")
    return any(name for kind in kinds for name in _names(folder, kind) - left if not name.endswith("resume"))


def seals(folder: Path) -> dict[str, tuple[int, int]]:
    """What is finished, cells and batches of attacks -> which file says so: another one after it was done again."""
    cells = {path.parent.name: path for path in folder.glob("cells/*/done.json")}
    batches = {f"{path.parent.name}/{path.name}": path for path in folder.glob("kept/*/[!.]*.npz")}
    found = {name: path.stat() for name, path in {**cells, **batches}.items()}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def saved_epochs(folder: Path) -> dict[str, list[float]]:
    """Training that is not done -> seconds of each epoch of its newest state, which no other run of them would take."""
    found: dict[str, list[float]] = {}
    for path in sorted(folder.glob("cells/train_*/resume/state-*.pt")):
        content: dict[str, Any] = states._read(path)[1]
        found[path.parents[1].name] = [epoch["seconds"] for epoch in content["state"]["history"]]
    return found


def differences(quiet: Path, out: Path) -> list[str]:
    """What two folders of one study do not share, but for times: files there, and bytes of numbers, pictures, weights."""
    a, b = files_of(quiet), files_of(out)
    lines = [f"{name} is there in one only" for name in sorted(a ^ b)]
    for name in sorted(a & b):
        if is_timeless(name) and content(quiet / name) != content(out / name):
            lines.append(f"{name} differs")
    return lines


def files_of(folder: Path) -> set[str]:
    """All files below, by their path in it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def is_timeless(name: str) -> bool:
    """Whether a file of a study holds no time, no command, and no checksum of what holds one."""
    return (
        Path(name).suffix in (".csv", ".npz", ".safetensors") and "training_time" not in name
    ) or name == "settings.json"


def content(path: Path) -> bytes:
    """Bytes of a file; of rows, without times."""
    data = path.read_bytes()
    if path.name not in ("results.csv", "rows.csv"):
        return data
    return re.sub(rb"(,epoch_seconds,.*?,,,)[^,]+,s,", rb"\1,s,", data)


def main(folder: str, n: str = "50", seed: str = "0") -> int:
    start = time.monotonic()
    tally = kill_often(Path(folder), int(n), int(seed))
    print("\n".join(tally.lines()))
    print(f"{tally.aimed.total()} kills in {tally.rounds} studies, {(time.monotonic() - start) / 60:.0f} min")
    print(
        "\n".join(tally.faults) or "every table, picture and weight as undisturbed; nothing done twice or left behind"
    )
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
