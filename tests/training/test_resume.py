"""A training that is stopped at any moment goes on to the weights that it would have had."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn

from msda_analysis import ClassifierFit, FMix, MixUp, VaeFit, fit_classifier, fit_vae
from msda_analysis.endings import run_guarded
from msda_analysis.mixing import SAGE
from msda_analysis.training import state

ROOT = Path(state.__file__).parents[2]
N_STEPS, EPOCH = 12, 4  # of all epochs, of one
CLASSIFIER_FIT = ClassifierFit(epochs=3, batch_size=12, lr=0.05, augment="jitter_flip")
VAE_FIT = VaeFit(epochs=3, batch_size=12, latent=3)
both = pytest.mark.parametrize("kind", ["classifier", "vae"])


class Drawing(nn.Module):
    """With all that a training may change: weights, buffers that are kept and one that is not, torch's own generator."""

    def __init__(self):
        super().__init__()
        self.norm, self.dropout, self.linear = nn.BatchNorm2d(1), nn.Dropout(0.2), nn.Linear(256, 3)
        self.register_buffer("scale", torch.ones(()), persistent=False)
        with torch.no_grad():
            self.linear.weight.copy_(torch.linspace(-0.1, 0.1, 768).reshape(3, 256))
            self.linear.bias.zero_()

    def forward(self, images):
        if self.training:
            self.scale *= 0.99
        return self.scale * self.linear(self.dropout(self.norm(images)).flatten(1))


def fit(kind: str, dataset, folder: Path | None, **changes):
    """Weights, buffers and history of a short training."""
    if kind == "vae":
        model, history = fit_vae(dataset, MixUp(), replace(VAE_FIT, **changes), seed=3, progress=False, resume=folder)
    else:
        model, history = fit_classifier(
            dataset,
            FMix(),
            replace(CLASSIFIER_FIT, **changes),
            seed=3,
            progress=False,
            resume=folder,
            network=Drawing(),
        )
    values = torch.cat([x.detach().flatten().double() for x in (*model.parameters(), *model.buffers())])
    return values, [[value for name, value in entry.items() if name != "seconds"] for entry in history.epochs]


def watch(monkeypatch, kind: str, act: Callable[[int], None] = lambda n: None) -> list[int]:
    """Do something in every step, which is told how many there were before; the steps so far."""
    module, name = {"classifier": ("classifier", "cross_entropy"), "vae": ("vae", "negative_elbo")}[kind]
    module = import_module(f"msda_analysis.training.{module}")
    loss, steps = getattr(module, name), []

    def watched(*arguments, **more):
        act(len(steps))
        steps.append(len(steps))
        return loss(*arguments, **more)

    monkeypatch.setattr(module, name, watched)
    return steps


def stop_at(monkeypatch, kind: str, dataset, folder: Path, n: int, **changes) -> None:
    """Train until n steps are done, and no further."""

    def act(done: int) -> None:
        if done == n:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        watch(patch, kind, act)
        with pytest.raises(KeyboardInterrupt):
            fit(kind, dataset, folder, **changes)


@pytest.fixture(scope="module")
def undisturbed(tiny_dataset):
    """What fit() finds without a folder, by kind."""
    return {kind: fit(kind, tiny_dataset, None) for kind in ("classifier", "vae")}


@pytest.mark.parametrize("n", [3, 6])
def test_averages_and_turns_go_on_as_well(tiny_dataset, tmp_path, monkeypatch, n):
    """The slow copy of the weights, the momentum of turned filters, and the epochs in which an image is mirrored."""
    monkeypatch.setattr(state, "EVERY_S", 0.0)
    recipe = {
        "averaging": "lookahead",
        "augment": "shift_flip",
        "bias_lr": 4.0,
        "schedule": "linear",
        "label_smoothing": 0.1,
        "optimizer": "muon",
    }
    expected = fit("classifier", tiny_dataset, None, **recipe)
    stop_at(monkeypatch, "classifier", tiny_dataset, tmp_path, n, **recipe)
    steps = watch(monkeypatch, "classifier")
    assert_same(fit("classifier", tiny_dataset, tmp_path, **recipe), expected)
    assert len(steps) == N_STEPS - n


def assert_same(found, expected) -> None:
    assert torch.equal(found[0], expected[0]) and found[1] == expected[1]


@both
@pytest.mark.parametrize("n", [0, 1, 4, 7, 11])
@pytest.mark.parametrize("every_s", [0.0, 300.0], ids=["each step", "each epoch"])
def test_stopped_after_any_step_it_ends_with_the_same_weights(
    tiny_dataset, tmp_path, monkeypatch, undisturbed, kind, n, every_s
):
    monkeypatch.setattr(state, "EVERY_S", every_s)
    expected = undisturbed[kind]
    stop_at(monkeypatch, kind, tiny_dataset, tmp_path, n)
    steps = watch(monkeypatch, kind)
    assert_same(fit(kind, tiny_dataset, tmp_path), expected)
    kept = n if every_s == 0 else n - n % EPOCH
    assert len(steps) == N_STEPS - kept, "nothing that was kept is done again"
    assert_same(fit(kind, tiny_dataset, tmp_path), expected)
    assert len(steps) == N_STEPS - kept, "the end is kept as well"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_mixer_that_looks_at_the_network_goes_on_with_it(tiny_dataset, tmp_path, monkeypatch):
    """The weights that it looks at are those of that step."""
    monkeypatch.setattr(state, "EVERY_S", 0.0)
    monkeypatch.setitem(globals(), "FMix", lambda: SAGE(n_shifts=4))
    expected = fit("classifier", tiny_dataset, None)
    stop_at(monkeypatch, "classifier", tiny_dataset, tmp_path, 5)
    assert_same(fit("classifier", tiny_dataset, tmp_path), expected)


#: Runs a training in children that are killed, each at a moment of its own; the last one ends and writes what it found.
KILLER = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
import torch, torch._dynamo  # which the optimizer imports, once for all children
torch.set_num_threads(1)
sys.path[:0] = sys.argv[1:3]
from conftest import tiny_images
from test_resume import fit
from msda_analysis.data import Dataset, channel_statistics
from msda_analysis.training import classifier, state, vae

images, labels = tiny_images(48, 3, 1, 0, 16)
pixels = torch.from_numpy(images)
dataset = Dataset("tiny", "train", pixels, torch.from_numpy(labels), tuple("abc"), *channel_statistics(pixels))
write, replace, done = state.replace_file, os.replace, []


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def at_step(n):
    def watched(loss):
        def killed(*arguments, **more):
            die() if len(done) == n else done.append(n)
            return loss(*arguments, **more)
        return killed
    classifier.cross_entropy, vae.negative_elbo = watched(classifier.cross_entropy), watched(vae.negative_elbo)


class Half:
    def __init__(self, file):
        self.file = file
    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        die()


def half_written():
    @contextmanager
    def killed(path, binary):
        with write(path, binary=binary) as file:
            yield Half(file)
    state.replace_file = killed


def before_its_name():
    os.replace = lambda *_: die()


def after_its_name():
    os.replace = lambda *paths: die(replace(*paths))


for kind in ("classifier", "vae"):
    folder = Path(sys.argv[3]) / kind
    for act in (lambda: at_step(1), half_written, lambda: at_step(6), before_its_name, after_its_name, lambda: None):
        child = os.fork()
        if child == 0:
            act()
            torch.save(fit(kind, dataset, folder), folder.with_suffix(".pt"))
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(code, len(list(folder.glob("state-*"))), flush=True)
"""


def test_killed_at_any_moment_it_ends_with_the_same_weights(tmp_path, undisturbed):
    """Before anything is kept, while it is written, before and after it has its name."""
    here = Path(__file__).parent
    end = subprocess.run(
        [sys.executable, "-c", KILLER, str(here.parent), str(here), str(tmp_path)],
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    # exit code of each child, and the states that it left
    assert end.stdout.split("\n")[:-1] == ["-9 0", "-9 0", "-9 1", "-9 1", "-9 2", "0 2"] * 2, end.stderr
    for kind in ("classifier", "vae"):
        assert_same(torch.load(tmp_path / f"{kind}.pt"), undisturbed[kind])
        assert len(list((tmp_path / kind).iterdir())) == 2, "no half of a file is left"


@pytest.mark.parametrize("name, code, word", [("SIGTERM", 143, "terminated"), ("SIGUSR1", 99, "stopped by SIGUSR1")])
def test_a_signal_saves_at_the_next_step_and_ends_with_a_code(
    tiny_dataset, tmp_path, monkeypatch, capsys, name, code, word, undisturbed
):
    expected = undisturbed["classifier"]

    def act(done: int) -> None:
        if done == 5:
            os.kill(os.getpid(), getattr(signal, name))
            os.kill(
                os.getpid(), signal.SIGTERM
            )  # as schedulers do after a warning: the first decides, and nothing tears

    with monkeypatch.context() as patch:
        steps = watch(patch, "classifier", act)
        assert run_guarded(lambda: len(fit("classifier", tiny_dataset, tmp_path)), 0) == code
    assert len(steps) == 6 and capsys.readouterr().err == f"\nmsda-analysis: {word}\n"
    steps = watch(monkeypatch, "classifier")
    assert_same(fit("classifier", tiny_dataset, tmp_path), expected)
    assert len(steps) == N_STEPS - 6


def test_a_signal_in_the_last_step_is_not_lost(tiny_dataset, tmp_path, monkeypatch):
    watch(monkeypatch, "classifier", lambda done: os.kill(os.getpid(), signal.SIGTERM) if done == N_STEPS - 1 else None)
    assert run_guarded(lambda: len(fit("classifier", tiny_dataset, tmp_path)), 0) == 143
    assert len(list(tmp_path.iterdir())) == 2


def test_a_signal_is_not_lost_to_an_error(tiny_dataset, tmp_path, monkeypatch):
    def act(done: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("no")

    watch(monkeypatch, "classifier", act)
    assert run_guarded(lambda: len(fit("classifier", tiny_dataset, tmp_path)), 0) == 143


def test_without_a_folder_a_signal_ends_at_once(tiny_dataset, monkeypatch):
    steps = watch(monkeypatch, "classifier", lambda done: os.kill(os.getpid(), signal.SIGUSR1) if done == 2 else None)
    assert run_guarded(lambda: len(fit("classifier", tiny_dataset, None)), 0) == 99 and len(steps) == 2


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip(data: bytes) -> bytes:
    return data[:-2000] + bytes([data[-2000] ^ 1]) + data[-1999:]


def _flip_header(data: bytes) -> bytes:
    return data.replace(b'"seed": 3', b'"seed": 4', 1)


@pytest.mark.parametrize("damage", [_cut, _flip, _flip_header, lambda _: b""], ids=["cut", "flip", "header", "empty"])
@pytest.mark.parametrize("n_damaged", [1, 2])
def test_a_damaged_state_is_named_and_the_one_before_is_used(
    tiny_dataset, tmp_path, monkeypatch, damage, n_damaged, undisturbed
):
    expected = undisturbed["classifier"]
    stop_at(monkeypatch, "classifier", tiny_dataset, tmp_path, 10)
    paths = sorted(tmp_path.iterdir())
    for path in paths[-n_damaged:]:
        path.write_bytes(damage(path.read_bytes()))
    steps = watch(monkeypatch, "classifier")
    with pytest.warns(UserWarning, match="is damaged .*the state before it is used") as said:
        found = fit("classifier", tiny_dataset, tmp_path)
    assert [str(line.message).split(" ")[0] for line in said] == [str(path) for path in paths[: -n_damaged - 1 : -1]]
    assert_same(found, expected)
    assert len(steps) == N_STEPS - (2 - n_damaged) * EPOCH


def test_a_state_runs_no_code(tiny_dataset, tmp_path, monkeypatch):
    class RunsCode:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    body = b"{}\n" + pickle.dumps(RunsCode(), protocol=2)
    digest = blake2b(body, digest_size=16).hexdigest().encode()
    (tmp_path / "state-000002-00000000.pt").write_bytes(b"msda_analysis training state " + digest + b"\n" + body)
    with pytest.warns(UserWarning, match="damaged"):
        fit("classifier", tiny_dataset, tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"lr": 0.04}, r"lr \(0.05, now 0.04\)"),
        ({"epochs": 4, "augment": "none"}, r"epochs \(3, now 4\), augment \(jitter_flip, now none\)"),
    ],
)
def test_a_state_of_other_settings_is_refused(tiny_dataset, tmp_path, monkeypatch, change, words):
    stop_at(monkeypatch, "classifier", tiny_dataset, tmp_path, 6)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=rf"resume: .*is of another training, which differs in {words}; give another"):
        fit("classifier", tiny_dataset, tmp_path, **change)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before, "which may go on"


@pytest.mark.parametrize("name", ["seed", "family", "images", "network"])
def test_a_state_of_another_training_is_refused(make_dataset, tmp_path, monkeypatch, name):
    stop_at(monkeypatch, "classifier", make_dataset(), tmp_path, 6)
    network, dataset = Drawing(), make_dataset(seed=1 if name == "images" else 0)
    if name == "network":
        nn.init.zeros_(network.linear.weight)
    with pytest.raises(ValueError, match=rf"which differs in {name} \([^)]*\)*; give another"):
        fit_classifier(
            dataset, FMix(alpha=0.5) if name == "family" else FMix(), CLASSIFIER_FIT, seed=4 if name == "seed" else 3,
            progress=False, network=network, resume=tmp_path,
        )  # fmt: skip


def test_a_state_of_another_torch_is_named_and_not_used(tiny_dataset, tmp_path, monkeypatch, undisturbed):
    expected = undisturbed["classifier"]
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "1.0")
        stop_at(patch, "classifier", tiny_dataset, tmp_path, 6)
    steps = watch(monkeypatch, "classifier")
    with pytest.warns(UserWarning, match=r"starts anew: it differs in torch \(1\.0, now"):
        assert_same(fit("classifier", tiny_dataset, tmp_path), expected)
    assert len(steps) == N_STEPS


def test_it_goes_on_with_as_many_threads_as_it_began_with(tiny_dataset, tmp_path, monkeypatch):
    seen = []
    torch.set_num_threads(2)
    try:
        stop_at(monkeypatch, "classifier", tiny_dataset, tmp_path, 6)
        torch.set_num_threads(1)
        watch(monkeypatch, "classifier", lambda _: seen.append(torch.get_num_threads()))
        fit("classifier", tiny_dataset, tmp_path)
        assert set(seen) == {2} and torch.get_num_threads() == 1
        stop_at(monkeypatch, "vae", tiny_dataset, tmp_path / "vae", 5)
        torch.set_num_threads(2)
        histories = [
            fit_vae(tiny_dataset, MixUp(), VAE_FIT, seed=3, resume=each)[1] for each in (tmp_path / "vae", None)
        ]
        assert [history.threads for history in histories] == [1, 2]
    finally:
        torch.set_num_threads(1)


def test_it_says_where_it_goes_on(tiny_dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(state, "EVERY_S", 0.0)
    stop_at(monkeypatch, "vae", tiny_dataset, tmp_path, 7)
    assert "goes on" not in capsys.readouterr().err
    fit_vae(tiny_dataset, MixUp(), VAE_FIT, seed=3, resume=tmp_path)
    assert f"VAE goes on after 1 of 3 epochs and 3 of 4 steps, from {tmp_path}" in capsys.readouterr().err


def test_global_generators_are_left_alone(tiny_dataset, tmp_path, monkeypatch, quiet_random_state):
    stop_at(monkeypatch, "vae", tiny_dataset, tmp_path, 6)
    fit("vae", tiny_dataset, tmp_path)


def test_a_file_is_no_folder(tiny_dataset, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"resume: expected a folder, but .*file is a file"):
        fit("vae", tiny_dataset, tmp_path / "file")
