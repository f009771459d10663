"""Several processes train one model as one process would; they save, stop and end together."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from msda_analysis.training import training_together
from msda_analysis.training.together import share_of

ROOT = Path(__file__).parents[2]

#: Forks processes as torchrun starts them, after the imports that take long, one scenario after another.
FORK = """
import os, signal, socket, sys
from dataclasses import replace
from pathlib import Path
import torch, torch._dynamo, torch.distributed.nn
torch.set_num_threads(1)
sys.path[:0] = sys.argv[1:3]
from conftest import tiny_images
from test_recipe import Plain
from test_resume import Drawing
from msda_analysis import ClassifierFit, FMix, VaeFit, fit_classifier, fit_vae
from msda_analysis.data import Dataset, channel_statistics
from msda_analysis.endings import run_guarded
from msda_analysis.training import classifier, state, training_together

images, labels = tiny_images(26, 3, 1, 0, 16)
pixels = torch.from_numpy(images)
dataset = Dataset("tiny", "train", pixels, torch.from_numpy(labels), tuple("abc"), *channel_statistics(pixels))
out = Path(sys.argv[3])
FIT = ClassifierFit(epochs=2, batch_size=13, lr=0.1, averaging="lookahead", augment="shift_flip", label_smoothing=0.1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def fit(name, make, folder=None, accumulate=1):
    network = make()
    _, history = fit_classifier(
        dataset, FMix(), replace(FIT, accumulate=accumulate), network=network, progress=False, resume=folder
    )
    weights = torch.cat([x.detach().flatten().double() for x in (*network.parameters(), *network.buffers())])
    losses = torch.tensor([entry["loss"] for entry in history.epochs])
    torch.save((weights, losses), out / f"{name}-{os.environ.get('RANK', 'alone')}.pt")


def in_processes(count, act):
    port, children = free_port(), []
    for rank in range(count):
        child = os.fork()
        if child == 0:
            os.environ.update(RANK=str(rank), WORLD_SIZE=str(count), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=port)

            def run():
                with training_together("gloo") as device:
                    assert device.type == "cpu"
                    act(rank)
                return 0

            os._exit(run_guarded(run, 0))
        children.append(child)
    print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children), flush=True)


def at_step(n, act):
    real, done = classifier.cross_entropy, []

    def watched(*arguments, **more):
        if len(done) == n:
            act()
        done.append(n)
        return real(*arguments, **more)

    classifier.cross_entropy = watched


def stopped(rank):
    if rank == 1:
        at_step(1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    fit("never", Drawing, out / "state")


def killed(rank):
    if rank == 1:
        at_step(2, lambda: os.kill(os.getpid(), signal.SIGKILL))
    fit("never", Plain, out / "other")


fit("alone", Plain)
in_processes(2, lambda rank: fit("two", Plain))
in_processes(2, lambda rank: fit("parts", Plain, accumulate=2))
in_processes(2, lambda rank: fit("drawing", Drawing))
in_processes(2, stopped)
in_processes(2, lambda rank: fit("resumed", Drawing, out / "state"))
in_processes(2, killed)
"""


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory):
    """Exit codes of the processes by scenario, what they wrote, and the lines that they said."""
    here, out = Path(__file__).parent, tmp_path_factory.mktemp("together")
    end = subprocess.run(
        [sys.executable, "-c", FORK, str(here.parent), str(here), str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert end.returncode == 0, end.stderr
    names = ("two", "parts", "drawing", "stopped", "resumed", "killed")
    return dict(zip(names, end.stdout.split("\n"), strict=False)), out, end.stderr


def read(out: Path, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.load(out / f"{name}.pt")


@pytest.mark.parametrize("name", ["two", "parts"])
def test_weights_are_those_of_one_process_within_rounding(scenarios, name):
    codes, out, said = scenarios
    assert codes[name] == "0 0", said
    alone = read(out, "alone-alone")
    for rank in (0, 1):
        weights, losses = read(out, f"{name}-{rank}")
        torch.testing.assert_close(weights, alone[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(losses, alone[1], rtol=1e-5, atol=1e-6)
    assert torch.equal(read(out, f"{name}-0")[0], read(out, f"{name}-1")[0])


def test_a_signal_to_one_process_stops_all_and_they_go_on_to_the_same_weights(scenarios):
    """With dropout, whose generators differ by process, and batch statistics; the first process alone writes."""
    codes, out, said = scenarios
    assert codes["drawing"] == "0 0", said
    assert codes["stopped"] == "143 143", said
    assert codes["resumed"] == "0 0", said
    assert not list(out.glob("never*")) and len(list((out / "state").iterdir())) == 2
    for rank in (0, 1):
        for found, expected in zip(read(out, f"resumed-{rank}"), read(out, f"drawing-{rank}"), strict=True):
            assert torch.equal(found, expected)


def test_when_a_process_dies_the_others_end_and_say_so(scenarios):
    codes, _, said = scenarios
    assert codes["killed"] == f"1 {-signal.SIGKILL}", said
    assert said.count("msda-analysis: another process of this training has ended") == 1 and "Traceback" not in said


@pytest.mark.parametrize("n, count, parts", [(13, 2, 1), (13, 2, 3), (4, 3, 2), (8, 1, 8), (5, 2, 9)])
def test_every_image_has_one_place(n, count, parts):
    shares = [share_of(n, rank, count, parts) for rank in range(count)]
    places = [i for share in shares for piece in share for i in range(piece.start, piece.stop)]
    assert places == list(range(n)) and all(len(share) <= parts for share in shares)


def test_without_torchrun_nothing_is_set_up(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with training_together():
        assert not torch.distributed.is_initialized()
