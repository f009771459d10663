"""The benchmark's yardstick is the released algorithm; rows are complete; a failed parity check stops it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from msda_analysis.bench import masks as bench
from msda_analysis.bench.numpy_masks import make_mask, sample_mask
from msda_analysis.bench.timing import COLUMNS, make_row, time_together

STORED = np.load(Path(__file__).parents[1] / "reference" / "fmix_released.npz")
CPU = torch.device("cpu")


@pytest.mark.parametrize("lam", ["0.1", "0.37", "0.5", "0.93"])
@pytest.mark.parametrize("rounding", ["ceil", "floor"])
def test_the_plain_version_replays_the_released_code(lam, rounding):
    noise = STORED["32x32|3.0|noise"]
    mask = make_mask(noise, (32, 32), lam=float(lam), round_up=rounding == "ceil")
    assert np.array_equal(mask, STORED[f"32x32|3.0|mask|{lam}|{rounding}|0.0"])


def test_the_plain_version_samples():
    mask = sample_mask((9, 8), np.random.default_rng(0))
    assert mask.shape == (1, 9, 8) and set(np.unique(mask)) <= {0.0, 1.0}


@pytest.mark.filterwarnings("ignore")  # peers warn about their own affairs
def test_rows_are_complete():
    rows = bench.bench_rows(sizes=((8, 8),), batch=4, rounds=2, compiled=False)
    assert all(tuple(row) == COLUMNS for row in rows)
    names = {row["name"] for row in rows}
    assert {"mask", "mask_rate", "mask_speedup", "peak_memory", "mixing_cost", "stage selection", "batch"} <= names
    assert all(
        (row["value"] > 0 or row["name"] == "load_average") and row["device"] and "torch" in row["versions"]
        for row in rows
    )
    assert any(row["note"] == "torchvision" for row in rows)


def test_nothing_is_timed_when_parity_fails(monkeypatch):
    monkeypatch.setattr(bench, "make_mask", lambda *args, **more: 1 - make_mask(*args, **more))
    monkeypatch.setattr(bench, "time_together", lambda *args, **more: pytest.fail("timed"))
    with pytest.raises(RuntimeError, match=r"parity: released masks of size \(8, 8\) differ .*; nothing was timed"):
        bench.bench_rows(sizes=((8, 8),), batch=4, rounds=2)


def test_a_wrong_count_fails_parity(monkeypatch):
    real = bench.sample_masks

    def off(*args, **more):
        batch = real(*args, **more)
        return type(batch)(batch.masks, batch.lam * 0.5, batch.drawn_lam)

    monkeypatch.setattr(bench, "sample_masks", off)
    with pytest.raises(RuntimeError, match=r"parity: fmix of size \(8, 8\) keeps a wrong number of cells"):
        bench.check_parity((8, 8), CPU)


def compile_with(monkeypatch, compiled):
    monkeypatch.setattr(torch, "compile", lambda function, **more: compiled(function))
    images, permutation = torch.rand(4, 3, 5, 6), torch.tensor([2, 0, 3, 1])
    return bench.compile_blend(images, permutation, torch.rand(4, 1, 5, 6))


def test_compiled_mixing_is_checked_and_left_out_where_there_is_no_compiler(monkeypatch, capsys):
    def fails(function):
        def call(*args):
            raise ValueError("no C++ compiler")

        return call

    assert compile_with(monkeypatch, fails) is None
    assert "not timed under torch.compile: ValueError" in capsys.readouterr().out
    assert compile_with(monkeypatch, lambda function: function) is not None
    with pytest.raises(RuntimeError, match=r"parity: mixing under torch.compile differs"):
        compile_with(monkeypatch, lambda function: lambda *args: 1 - function(*args))


@pytest.mark.filterwarnings("ignore")
def test_compiled_mixing_has_its_row(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **more: function)
    rows = bench.mixing_rows((8, 8), batch=4, rounds=2, device=CPU, compiled=True)
    costs = [row["note"] for row in rows if row["name"] == "mixing_cost"]
    assert costs == [
        "both write to: buffer", "both write to: new memory", "torch.compile, both write to: new memory"
    ]  # fmt: skip


def test_the_plain_form_compiles_as_one_graph():
    images, permutation = torch.rand(4, 3, 5, 6), torch.tensor([2, 0, 3, 1])
    masks = torch.rand(4, 1, 5, 6)
    plain = torch.compile(lambda *args: torch.lerp(args[0][args[1]], args[0], args[2]), fullgraph=True, backend="eager")
    assert torch.equal(plain(images, permutation, masks), bench.blend(images, permutation, masks))


def test_rounds_are_interleaved_after_a_warm_up():
    calls = []
    seconds = time_together({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, device=CPU)
    assert calls == ["a", "b"] * 5 and seconds["a"].shape == (3,) and bool((seconds["b"] > 0).all())


def test_a_row_holds_median_and_quartiles():
    row = make_row("mask", np.array([1.0, 2.0, 3.0, 4.0, 5.0]), "seconds", size=(3, 4), device=CPU)
    assert (row["value"], row["low"], row["high"], row["n"], row["size"]) == (3.0, 2.0, 4.0, 5, "3x4")
    single = make_row("memory", 2.0, "times", device=CPU)
    assert single["low"] is None and single["n"] == 1
