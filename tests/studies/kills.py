"""Kill a small real study at random moments and see that nothing is lost, done twice, or left behind.

    python tests/studies/kills.py FOLDER [N] [SEED]     # 50 kills -9 of the command and its two workers

An undisturbed run comes first; then the same command is killed, all its processes at once, at moments drawn over its
start-up and its work (in processor time, which other programs do not stretch), and called again, until it ends by itself. Such rounds go on, in folders of their own, until there
were N kills; each must leave what the undisturbed run left.
"""

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: A study of every kind of cell that trains, measures, attacks and compares: a minute on two idle cores.
_STUDY = (
    "study --dataset digits --train-size 100 --test-size 40 --augmentations baseline mixup --seeds 1 --vae-epochs 4 "
    "--vae-batch-size 25 --vae.latent 4 --classifier-epochs 4 --classifier.batch-size 25 --attacks fgsm pgd "
    "--epsilons 0 0.05 0.1 --attack-images 20 --likeness-images 0 --n-masks 50 --more-masks fmix --device cpu --threads 2"
)
_FINISHED = re.compile(r"^(\S+) finished in ", re.MULTILINE)
_REACH = 0.35  # of the processor time of an undisturbed run: the latest moment of a kill; start-up is a third of that
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Tally:
    """What the kills met.

    Attributes:
        kills: number so far.
        at: what the processes were at when they were killed, by the locks that they held -> how often.
        rounds: studies that came to their end.
        faults: what was done twice, left behind, or became other than in the undisturbed run.
    """

    kills: int = 0
    at: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    faults: list[str] = field(default_factory=list)


def kill_often(folder: Path, n: int, seed: int, workers: int = 2) -> Tally:
    """Kill the study n times, in as many rounds as that takes."""
    quiet, draws, tally = folder / "quiet", random.Random(seed), Tally()
    start = time.monotonic()
    _run(quiet, workers).communicate()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = used.ru_utime + used.ru_stime
    print(f"undisturbed: {time.monotonic() - start:.0f} s, {whole:.0f} s of processor time", flush=True)
    while tally.kills < n:
        out = folder / f"round{tally.rounds}"
        tally.faults += _play_round(out, n, draws, _REACH * whole, workers, tally)
        tally.faults += [f"{out.name}: {fault}" for fault in differences(quiet, out)]
        tally.rounds += 1
        print(f"round {tally.rounds}: {tally.kills} kills so far, {len(tally.faults)} faults", flush=True)
    return tally


def _play_round(out: Path, n: int, draws: random.Random, longest: float, workers: int, tally: Tally) -> Iterator[str]:
    """One study to its end; faults on the way."""
    finished, sealed = Counter[str](), dict[str, tuple[int, int]]()
    while True:
        process = _run(out, workers)
        moment = draws.uniform(0, longest)
        if tally.kills < n and _reaches(process, moment):
            at = held_in(out)
            os.killpg(process.pid, signal.SIGKILL)
            tally.kills += 1
            tally.at.update(at or ["nothing held"])
            print(f"kill {tally.kills} after {moment:.1f} s: {', '.join(at) or 'nothing held'}", flush=True)
        said = process.communicate()[0]
        finished.update(_FINISHED.findall(said))
        for name, seal in seals(out).items():
            if sealed.setdefault(name, seal) != seal:
                yield f"{out.name}: {name} was done again after it was done"
                sealed[name] = seal
        if process.returncode != -signal.SIGKILL:
            break
    yield from (f"{out.name}: {name} finished {k} times" for name, k in finished.items() if k > 1)
    if process.returncode != 0:
        yield f"{out.name}: exit code {process.returncode}: {said[-500:]}"


def _run(out: Path, workers: int) -> subprocess.Popen[str]:
    out.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "msda_analysis.cli", *_STUDY.split(), "--workers", str(workers), "--out", str(out)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _reaches(process: subprocess.Popen[str], moment: float) -> bool:
    """Wait until a process and those that it started have used so much processor time; False where it ends before."""
    while processor_time(process.pid) < moment:
        if process.poll() is not None:
            return False
        time.sleep(0.05)
    return process.poll() is None


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
    """Kinds of cells, or parts of a study's folder, whose locks are held now; nothing where the system does not list them."""
    table = Path("/proc/locks").read_text() if Path("/proc/locks").is_file() else ""
    inodes = {int(number) for number in re.findall(r":(\d+) \d+ \S+$", table, re.MULTILINE)}
    locks = folder.glob("locks/*.lock")
    return [path.name.split("-")[0].removesuffix(".lock") for path in locks if path.stat().st_ino in inodes]


def seals(folder: Path) -> dict[str, tuple[int, int]]:
    """Cell -> which file says that it is done: another one after it was done again."""
    found = {path.parent.name: path.stat() for path in folder.glob("cells/*/done.json")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


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
    tally = kill_often(Path(folder), int(n), int(seed))
    print(f"{tally.kills} kills in {tally.rounds} studies; at: {dict(tally.at)}")
    print(
        "\n".join(tally.faults) or "every table, picture and weight as undisturbed; nothing done twice or left behind"
    )
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
