"""Muon: steps of filters by hand, all else as SGD's, and only where it is asked for."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from msda_analysis import ClassifierFit, fit_classifier
from msda_analysis.rng import stream
from msda_analysis.training.muon import Muon, orthogonal

FIT = ClassifierFit(
    epochs=1,
    batch_size=12,
    lr=0.1,
    schedule="constant",
    optimizer="muon",
    filter_lr=0.3,
    bias_lr=2.0,
    weight_decay=0.01,
)


@pytest.mark.parametrize("shape", [(8, 40), (40, 8)])
def test_singular_values_come_near_one_and_their_vectors_stay(shape):
    matrix = torch.randn(*shape, generator=stream(0, "muon"), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ orthogonal(matrix) @ right.T
    inside = torch.diagonal(turned)
    assert values.min() > 0.1 * values.norm() and inside.min() > 0.65 and inside.max() < 1.25
    torch.testing.assert_close(turned, torch.diag(inside))


def test_two_steps_by_hand():
    weight = nn.Parameter(torch.randn(4, 2, 3, 3, generator=stream(1, "muon")))
    other = nn.Parameter(torch.ones(3))
    optimizer = Muon(
        [{"params": [weight], "turned": True, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}, {"params": [other]}],
        lr=0.5, momentum=0.9, nesterov=True, weight_decay=0.1,
    )  # fmt: skip
    plain = nn.Parameter(torch.ones(3))
    sgd = torch.optim.SGD([plain], lr=0.5, momentum=0.9, nesterov=True, weight_decay=0.1)
    expected, kept = weight.detach().clone(), torch.zeros_like(weight)
    for i in range(2):
        gradient = torch.randn(4, 2, 3, 3, generator=stream(2 + i, "muon"))
        weight.grad, other.grad, plain.grad = gradient.clone(), torch.full((3,), i + 1.0), torch.full((3,), i + 1.0)
        kept = 0.6 * kept + gradient
        direction = orthogonal((gradient + 0.6 * kept).reshape(4, 18)).view_as(expected)
        expected = 2 * expected / expected.norm() - 0.5 * direction
        optimizer.step()
        sgd.step()
        torch.testing.assert_close(weight.detach(), expected)
        assert torch.equal(other, plain)


def test_filters_that_start_at_zero_take_a_step():
    weight = nn.Parameter(torch.zeros(4, 2, 3, 3))
    weight.grad = torch.randn(4, 2, 3, 3, generator=stream(1, "muon"))
    Muon([{"params": [weight], "turned": True, "momentum": 0.0, "nesterov": False}], lr=0.5).step()
    assert weight.isfinite().all() and float(weight.detach().norm()) > 0.5


def test_a_closure_is_refused():
    with pytest.raises(TypeError, match="closure: expected None"):
        Muon([nn.Parameter(torch.ones(1))], lr=0.1).step(lambda: 0.0)


def test_a_training_turns_filters_alone(tiny_dataset, monkeypatch):
    seen = []
    real = Muon.step

    def step(self, *args):
        seen.append([(group.get("turned", False), group["lr"], len(group["params"])) for group in self.param_groups])
        return real(self, *args)

    monkeypatch.setattr(Muon, "step", step)
    make = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    network = nn.Sequential(*make)
    fit_classifier(tiny_dataset, None, FIT, network=network, progress=False)
    assert seen[0] == [(True, pytest.approx(0.3), 1), (False, 0.1, 2), (False, 0.2, 3)]
    n_steps = len(seen)
    fit_classifier(tiny_dataset, None, replace(FIT, optimizer="sgd"), network=network, progress=False)
    assert len(seen) == n_steps


@pytest.mark.parametrize("change, words", [
    ({"optimizer": "adam"}, "optimizer: expected one of 'sgd', 'muon'; got 'adam'"),
    ({"filter_lr": 0.0}, "filter_lr: expected a finite number > 0"),
])  # fmt: skip
def test_bad_settings(change, words):
    with pytest.raises(ValueError, match=words):
        ClassifierFit(**change)
