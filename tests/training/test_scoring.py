"""Scores of a classifier against plain formulas, and where the history holds them."""

import math
from dataclasses import replace

import pytest
import torch

from msda_analysis import ClassifierFit, FMix, fit_classifier
from msda_analysis.training import score, score_logits
from msda_analysis.training.scoring import _BINS

FIT = ClassifierFit(epochs=2, batch_size=12, model="small_cnn(width=4)")


def plain(logits: list[list[float]], labels: list[int]) -> dict[str, float]:
    """The same in loops over images and bins."""
    rows = []
    for row, label in zip(logits, labels, strict=True):
        total = sum(math.exp(x) for x in row)
        p = [math.exp(x) / total for x in row]
        ranked = sorted(range(len(p)), key=lambda i: -p[i])
        rows.append((p, label, ranked))
    n = len(rows)
    gaps = 0.0
    for i in range(_BINS):
        inside = [(max(p), ranked[0] == y) for p, y, ranked in rows if i / _BINS < max(p) <= (i + 1) / _BINS]
        if inside:
            share = sum(right for _, right in inside) / len(inside)
            gaps += len(inside) / n * abs(share - sum(c for c, _ in inside) / len(inside))
    return {
        "top1": sum(ranked[0] == y for _, y, ranked in rows) / n,
        "top5": sum(y in ranked[:5] for _, y, ranked in rows) / n,
        "nll": -sum(math.log(p[y]) for p, y, _ in rows) / n,
        "ece": gaps,
        "brier": sum(sum((q - (k == y)) ** 2 for k, q in enumerate(p)) for p, y, _ in rows) / n,
    }


@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_scores_are_the_plain_formulas(scale):
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(200, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(8, (200,), generator=generator)
    found, expected = score_logits(logits, labels), plain(logits.tolist(), labels.tolist())
    assert found == pytest.approx(expected, rel=1e-12)
    assert expected["ece"] > 0.01 and len({round(value, 3) for value in expected.values()}) == 5


def test_known_answers():
    sure = torch.tensor([[50.0, 0, 0, 0, 0], [50.0, 0, 0, 0, 0]])
    found = score_logits(sure, torch.tensor([0, 1]))
    assert found == pytest.approx({"top1": 0.5, "top5": 1.0, "nll": 25.0, "ece": 0.5, "brier": 1.0})
    edge = torch.tensor([[1000.0, 0.0], [0.0, 3.4761]])  # 1 and 0.97 are of one bin, (14/15, 1]
    assert score_logits(edge, torch.tensor([1, 1]))["ece"] == pytest.approx((1 - 0.03) / 2, abs=1e-4)
    assert score_logits(torch.zeros(4, 10), torch.arange(4))["ece"] == pytest.approx(0.15), "one of four right at 0.1"


def test_top5_needs_five_classes():
    assert set(score_logits(torch.zeros(2, 4), torch.tensor([0, 1]))) == {"top1", "nll", "ece", "brier"}


def test_the_history_has_them_after_every_epoch_and_no_weight_changes(tiny_dataset, make_dataset):
    test = make_dataset(18, seed=1)
    plain, _ = fit_classifier(tiny_dataset, FMix(), FIT, progress=False)
    scored, history = fit_classifier(tiny_dataset, FMix(), FIT, progress=False, test=test)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, scored.state_dict()[name]), name
    assert [set(entry) for entry in history.epochs] == [
        {"loss", "seconds", "test_top1", "test_nll", "test_ece", "test_brier"}
    ] * 2
    with torch.no_grad():
        last = score_logits(scored(test.unit_images()), test.labels)
    assert {f"test_{name}": value for name, value in last.items()} == pytest.approx(
        {name: value for name, value in history.epochs[-1].items() if name.startswith("test")}, rel=1e-5
    )


@pytest.mark.parametrize("mode", [True, False])
def test_scoring_leaves_the_mode_and_the_statistics(tiny_dataset, mode):
    model, _ = fit_classifier(tiny_dataset, None, FIT, progress=False)
    model.train(mode)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    score(model, tiny_dataset)
    assert all(module.training is mode for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_labels_of_the_test_split_are_checked(tiny_dataset):
    bad = replace(tiny_dataset, classes=tuple("abcd"), labels=torch.full_like(tiny_dataset.labels, 3))
    with pytest.raises(ValueError, match=r"test.labels: expected classes in 0\.\.2, got 3"):
        fit_classifier(tiny_dataset, None, FIT, progress=False, test=bad)
