"""Training against the plain loop: rows by round, what the plain loop really does, and what each change changes in it."""

import numpy as np
import pytest
import torch

from msda_analysis.bench import steps, training
from msda_analysis.bench.timing import COLUMNS
from msda_analysis.data import Dataset
from msda_analysis.training import ClassifierFit

CPU = torch.device("cpu")
FIT = ClassifierFit(model="small_cnn", batch_size=4, augment="crop_flip", lr=0.01)
WHAT = ("plain", *(f"plain_{change}" for change in steps.CHANGES), "ours_float32")


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    """What torch.compile was asked to compile; it takes half a minute to do it."""
    seen = []
    monkeypatch.setattr(torch, "compile", lambda network: seen.append(network) or network)
    return seen


def test_rates_and_speedups_are_of_the_same_round(monkeypatch):
    calls = {}

    def time_together(candidates, *, rounds, device):
        assert rounds == 2
        calls.update(candidates)
        return {name: np.array([4.0, 6.0]) if name == "plain" else np.array([1.0, 2.0]) for name in candidates}

    monkeypatch.setattr(training, "time_together", time_together)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    rows = training.bench_rows(
        repeats=2, steps=3, networks={"small_cnn": 2, "fast_cnn": 1}, size=(16, 16), batch=4, seed=1
    )
    assert all(tuple(row) == COLUMNS for row in rows)
    found = {(row["network"], row["name"]): row for row in rows}
    rates = {name for name in found if not name[1].endswith(("speedup", "matmul"))}
    assert rates == {
        *(("", f"vae_training_{what}") for what in ("plain", "ours_float32", "ours_bfloat16")),
        *(("small_cnn", f"classifier_training_{what}") for what in ("plain", "ours_float32")),
        *(("fast_cnn", f"classifier_training_{what}") for what in WHAT),
    }
    assert found["", "vae_training_plain"]["high"] == (3 * 4 / 4 + (3 * 4 / 4 + 3 * 4 / 6) / 2) / 2
    assert found["small_cnn", "classifier_training_ours_float32"]["value"] == (2 * 4 / 1 + 2 * 4 / 2) / 2
    faster = found["fast_cnn", "classifier_training_ours_float32_speedup"]
    assert (faster["value"], faster["low"], faster["high"], faster["n"]) == (3.5, 3.25, 3.75, 2)
    rate = 2 * 1024**3 * 0.75e-9  # a product takes 1 and 2 s
    assert found["small_cnn", "matmul"]["value"] == pytest.approx(rate)
    flops = training.flops_of_image(steps.noise_pictures(4, (16, 16), 1, CPU), FIT, 1)
    share = found["small_cnn", "classifier_training_plain_of_matmul"]
    assert share["value"] == pytest.approx(100 * (2 * 4 * flops) * (1 / 4 + 2 / 6) / 2 / (2 * 1024**3))
    for call in calls.values():
        call()  # of the last network: each is a step that works


def test_arithmetic_of_a_step_by_hand():
    """Forward, and the gradients of weights and of what came in: not of the images, and of fixed filters neither."""
    fit = ClassifierFit(model="fast_cnn(widths=(4, 6, 8))")
    found = training.flops_of_image(steps.noise_pictures(4, (17, 17), 0, CPU), fit, 0)
    conv = [
        (16, 24, 3, 2, 1),
        (16, 4, 24, 3, 2),
        (8, 4, 4, 3, 3),
        (8, 6, 4, 3, 3),
        (4, 6, 6, 3, 3),
        (4, 8, 6, 3, 3),
        (2, 8, 8, 3, 3),
    ]
    by_hand = sum(2 * side**2 * out * into * k**2 * times for side, out, into, k, times in conv) + 3 * 2 * 8 * 10
    assert found == by_hand


@pytest.mark.parametrize("knows, kept", [({}, 1), ({"avx512_bf16": True}, 2), ({"amx_bf16": True}, 2)])
def test_bfloat16_is_timed_where_there_are_instructions_for_it(monkeypatch, capsys, knows, kept):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: knows, raising=False)
    assert training._precisions(CPU) == ("float32", "bfloat16")[:kept]
    assert ("float32 alone" in capsys.readouterr().out) == (kept == 1)


def look_into(monkeypatch, change):
    """One step of the plain loop: what it went through."""
    seen = {"pictures": 0, "masks": 0, "optimizers": [], "layout": [], "lam": []}
    picture, mask, optimizer = steps._Pictures.__getitem__, steps.sample_mask, torch.optim.SGD.__init__
    loss = steps.Mixed.loss

    def take_picture(self, i):
        seen["pictures"] += 1
        return picture(self, i)

    def make_mask(*args):
        seen["masks"] += 1
        return mask(*args)

    def make_optimizer(self, *args, **settings):
        seen["optimizers"].append(settings)
        optimizer(self, *args, **settings)

    def get_loss(self, logits):
        seen["lam"] += self.lam.tolist()
        return loss(self, logits)

    monkeypatch.setattr(steps._Pictures, "__getitem__", take_picture)
    monkeypatch.setattr(steps, "sample_mask", make_mask)
    monkeypatch.setattr(torch.optim.SGD, "__init__", make_optimizer)
    monkeypatch.setattr(steps.Mixed, "loss", get_loss)
    run = steps.plain_loop(steps.noise_pictures(8, (8, 8), 0, CPU), FIT, 0, change)
    first = torch.nn.Conv2d.forward

    def convolve(self, images):
        seen["layout"].append(images.is_contiguous(memory_format=torch.channels_last))
        return first(self, images)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", convolve)
    run()
    return seen


@pytest.mark.parametrize("change", ["", *steps.CHANGES])
def test_the_plain_loop_is_plain_but_for_what_is_changed(monkeypatch, change, compiled):
    seen = look_into(monkeypatch, change)
    assert seen["pictures"] == (0 if change == "batched_augmentation" else 4)
    assert seen["masks"] == (0 if change == "mixing_per_image" else 1)
    assert len(set(seen["lam"])) == (4 if change == "mixing_per_image" else 1)
    assert seen["optimizers"][-1]["fused"] is (True if change == "fused_optimizer" else None)
    assert seen["layout"][0] == (change == "channels_last") and len(compiled) == (change == "compiled")


def test_what_cannot_be_compiled_is_left_out(monkeypatch, capsys):
    def fail(network):
        def forward(images):
            raise RuntimeError("no compiler")

        return forward

    def get_rows(**more):
        rows = training.bench_rows(repeats=1, networks={"fast_cnn": 1}, size=(16, 16), batch=4, **more)
        return any("compiled" in row["name"] for row in rows)

    monkeypatch.setattr(training, "_vae_rows", lambda *args: [])
    monkeypatch.setattr(training, "time_together", lambda found, **more: {name: np.ones(1) for name in found})
    assert get_rows() and not get_rows(compiled=False)
    monkeypatch.setattr(torch, "compile", fail)
    assert not get_rows() and "not timed under torch.compile: RuntimeError" in capsys.readouterr().out


def test_the_plain_loop_learns(monkeypatch):
    """It is not quick because it leaves something out: dark and bright pictures are told apart."""
    losses, real = [], steps.Mixed.loss

    def get_loss(self, logits):
        losses.append(real(self, logits))
        return losses[-1]

    monkeypatch.setattr(steps.Mixed, "loss", get_loss)
    fit = ClassifierFit(model="small_cnn", batch_size=8, lr=0.05)
    shades = np.repeat(np.array([40, 220] * 4, np.uint8), 192).reshape(8, 3, 8, 8)
    run = steps.plain_loop(Dataset.from_arrays(shades, [0, 1] * 4, list("0123456789")), fit, 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(30):
            run()
    found = torch.stack(losses).detach()
    assert float(found[-5:].mean()) < 0.5 * float(found[0])


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"steps": 0}, {"batch": 1}, {"networks": {"small_cnn": 0}}])
def test_it_refuses_what_cannot_be(wrong, monkeypatch):
    monkeypatch.setattr(training, "_vae_rows", lambda *args: [])
    with pytest.raises(ValueError, match=f"{'steps' if 'networks' in wrong else next(iter(wrong))}: expected"):
        training.bench_rows(**wrong)
