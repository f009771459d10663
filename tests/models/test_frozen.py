"""The one helper that holds a model still."""

import pytest
import torch
from torch import nn

from msda_analysis.models.frozen import frozen


@pytest.fixture
def model():
    """A dropout in train mode, a layer in eval mode whose bias is not trained."""
    model = nn.Sequential(nn.Dropout(), nn.Linear(1, 1)).train()
    model[1].eval()
    model[1].bias.requires_grad_(False)
    return model


def test_inside_nothing_trains_but_pixels_have_gradients(model):
    other = nn.Linear(1, 1).train()
    pixels = torch.ones(2, 1, requires_grad=True)
    with frozen(model, other):
        assert not any(module.training for part in (model, other) for module in part.modules())
        other(model(pixels)).sum().backward()
    assert pixels.grad is not None
    assert all(parameter.grad is None for part in (model, other) for parameter in part.parameters())
    assert other.training and all(parameter.requires_grad for parameter in other.parameters())


@pytest.mark.parametrize("times", [1, 2], ids=["once", "the same model twice"])
def test_each_part_is_put_back_even_after_an_error(model, times):
    with pytest.raises(RuntimeError, match="inside"), frozen(*[model] * times):
        raise RuntimeError("inside")
    assert model.training and model[0].training and not model[1].training
    assert model[1].weight.requires_grad and not model[1].bias.requires_grad


def test_a_model_that_refuses_eval_mode_is_put_back_as_well(model):
    class Stubborn(nn.Module):
        def train(self, mode=True):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"), frozen(model, Stubborn()):
        pass
    assert model[0].training and model[1].weight.requires_grad
