"""What mixing costs a step: every way is timed as a whole and alone, shares are of the plain step of the same round."""

import numpy as np
import pytest
import torch

from msda_analysis.bench import cost, steps
from msda_analysis.bench.timing import COLUMNS
from msda_analysis.mixing import Mixed
from msda_analysis.report.sections.speed import cost_section
from msda_analysis.results import Source, to_rows, to_table
from msda_analysis.studies.steps.bench import _measured
from msda_analysis.training import ClassifierFit

CPU = torch.device("cpu")
FAMILIES = ("mixup", "cutmix", "fmix", "fmix_released")
WAYS = [
    ("baseline", "no mixing"), *((name, f"ours, per {what}") for name in FAMILIES for what in ("image", "batch")),
    ("mixup", "torchvision"), ("cutmix", "torchvision"), ("fmix_released", "NumPy, per batch"),
]  # fmt: skip


def without_peers(monkeypatch):
    """torchvision alone, whatever is installed."""
    monkeypatch.setattr("msda_analysis.bench.peers.find_spec", lambda name: None)
    monkeypatch.setattr(cost, "find_spec", lambda name: None)


@pytest.fixture
def timed(monkeypatch):
    """Rows of made-up times, in seconds: 2 and 4 of a plain step, 3 and 5 of others, 0.5 of mixing alone."""
    without_peers(monkeypatch)
    calls = {}

    def time_together(candidates, *, rounds, device):
        calls.update(candidates)
        times = {name: 0.5 if "alone" in name else (2.0 if "baseline" in name else 3.0) for name in candidates}
        return {
            name: np.array([first, first if first == 0.5 else first + 2.0] * (rounds // 2))
            for name, first in times.items()
        }

    monkeypatch.setattr(cost, "time_together", time_together)
    rows = cost.bench_rows(networks={"small_cnn": (6, 2)}, size=(8, 8))
    return rows, calls


def test_every_way_is_timed_as_a_step_and_alone(timed, capsys):
    rows, calls = timed
    assert all(tuple(row) == COLUMNS and row["network"] == "small_cnn" and row["batch"] == 6 for row in rows)
    found = {(row["name"], row["family"], row["note"]): row for row in rows}
    assert len(found) == len(rows) == 1 + 4 * (len(WAYS) - 1)
    assert {way for name, *way in found if name == "training_step" for way in [tuple(way)]} == set(WAYS)
    assert len(calls) == 2 * len(WAYS) - 1
    for way in WAYS[1:]:
        values = {
            name: found[name, *way]
            for name in ("training_step", "mixing_call", "step_difference", "mixing_overhead")
        }  # fmt: skip
        assert values["training_step"]["value"] == 4000 and values["mixing_call"]["value"] == 500
        # 25 % and 12.5 % of the plain step, 50 % and 25 % more than it: each of its own round
        share, longer = values["mixing_overhead"], values["step_difference"]
        assert (share["value"], share["low"], share["high"]) == (18.75, 15.625, 21.875)
        assert (longer["value"], longer["low"], longer["high"], longer["n"]) == (37.5, 31.25, 43.75, 2)


def test_every_call_does_what_its_name_says(timed):
    _, calls = timed
    for family, by in WAYS[1:]:
        found = calls[f"{family}|{by}|alone"]()
        if by == "torchvision":
            assert found[0].shape == (6, 3, 8, 8) and found[1].shape == (6, 10)
        else:
            one_mask = by.endswith("batch") and family != "cutmix"  # whose boxes stick out of images by other amounts
            assert isinstance(found, Mixed) and (len(set(found.lam.tolist())) == 1) == one_mask
    step = calls["baseline|no mixing"].args[0]
    for name, call in calls.items():
        if not name.endswith("alone"):
            before = [weight.clone() for weight in step.network.parameters()]
            call()
            pairs = zip(before, step.network.parameters(), strict=True)
            assert not any(torch.equal(old, new) for old, new in pairs), name


def test_real_times_and_no_global_draws(monkeypatch, quiet_random_state):
    without_peers(monkeypatch)
    rows = cost.bench_rows(networks={"small_cnn": (4, 1)}, size=(8, 8))
    assert all(row["value"] > 0 for row in rows if row["name"] != "step_difference")


def test_timm_is_timed_where_it_is_and_named_where_not(monkeypatch, capsys):
    without_peers(monkeypatch)
    assert "timm" not in {by for _, by in cost.mixing_ways(0)}
    assert "timm is not installed" in capsys.readouterr().out
    monkeypatch.setattr(cost, "find_spec", lambda name: name)
    monkeypatch.setattr(cost, "peer_transforms", lambda num_classes: {"mixup timm": lambda *batch: batch})
    assert ("mixup", "timm") in cost.mixing_ways(0) and not capsys.readouterr().out


def test_it_refuses_what_cannot_be():
    with pytest.raises(ValueError, match="batch: expected"):
        cost.bench_rows(networks={"small_cnn": (1, 2)})
    with pytest.raises(ValueError, match="rounds: expected"):
        cost.bench_rows(networks={"small_cnn": (4, 0)})
    with pytest.raises(ValueError, match=r"expected one of .*'small_cnn'.*got 'small_cn'"):
        cost.bench_rows(networks={"small_cn": (4, 2)})


def test_the_numpy_mask_is_one_for_the_batch_and_weighs_the_labels():
    images, labels = torch.rand(5, 3, 8, 8), torch.arange(5)
    mixed = steps.one_numpy_mask(0)(images, labels)
    mask = (mixed.images == images).all(1) & ~(mixed.images == images[mixed.permutation]).all(1)
    moved = mixed.permutation != torch.arange(5)
    assert bool(moved.any()) and len({tuple(each.flatten().tolist()) for each in mask[moved]}) == 1
    assert torch.allclose(mixed.lam[moved], mask[moved].float().mean((1, 2)))
    assert torch.equal(mixed.labels_b, labels[mixed.permutation])


def test_the_page_shows_steps_and_shares_by_way(timed):
    rows, _ = timed
    table = to_table(
        line for row in rows
        for line in to_rows(Source("bench", "cell", model=row["network"], seed=0), [_measured(row)])
    )  # fmt: skip
    section = cost_section(table, None)
    (item,), (listed,) = section.figures, section.tables
    assert set(item.numbers["metric"]) == {"bench_training_step", "bench_mixing_overhead"}
    left, right = item.figure().axes
    assert [label.get_text() for label in left.get_yticklabels()] == list(dict.fromkeys(way for _, way in WAYS))
    assert left.get_xlim()[0] == right.get_xlim()[0] == 0 and "share" in right.get_xlabel()
    assert len(listed.rows) == len(WAYS) and listed.rows[0][:2] == ("Baseline", "no mixing")
    (said,) = section.findings
    assert said.count(" with ") == 4 and said.startswith(
        "Mixing takes this much of a plain step of small_cnn, batches of 6: 19 % with FMix (isotropic) per image [16, 22], 19 % with"
    )
    assert cost_section(table[table["metric"] == "bench_training_step"], None) is None


def test_our_step_is_that_of_fit_classifier():
    """One epoch of one batch, taken here and there: the same weights."""
    from msda_analysis import FMix, fit_classifier

    data = steps.noise_pictures(12, (8, 8), 0, CPU)
    fit = ClassifierFit(model="small_cnn", epochs=1, batch_size=12, augment="crop_flip", schedule="constant", lr=0.01)
    trained, _ = fit_classifier(data, FMix(), fit, seed=3, progress=False)
    run = steps.our_loop(data, fit, FMix(), seed=3)
    run()
    found = run.__closure__ and next(
        cell.cell_contents for cell in run.__closure__ if isinstance(cell.cell_contents, steps.OurStep)
    )
    for name, weight in trained.network.named_parameters():
        assert torch.equal(weight, found.network.get_parameter(name)), name
