"""Resizing and convolving in another order is the same linear map, forwards and backwards."""

import pytest
import torch
from torch import nn

from msda_analysis.models.resize_conv import resize_convolve


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size, target", [((16, 16), (33, 33)), ((7, 14), (15, 29)), ((5, 3), (12, 4))])
def test_it_equals_the_two_modules_and_has_their_gradients(size, target, bias):
    generator = torch.Generator().manual_seed(0)
    resize = nn.Upsample(size=target, mode="bilinear")
    convolution = nn.Conv2d(6, 3, (4, 3), padding=(1, 2), bias=bias).double()
    x = torch.randn(5, 6, *size, dtype=torch.float64, generator=generator, requires_grad=True)
    expected, got = convolution(resize(x)), resize_convolve(x, resize, convolution)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    direction = torch.randn(expected.shape, dtype=torch.float64, generator=generator)
    wanted = (x, *convolution.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(got, wanted, direction), torch.autograd.grad(expected, wanted, direction), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_in_lower_precision_it_is_the_two_modules():
    resize, convolution = nn.Upsample(size=(9, 9), mode="bilinear"), nn.Conv2d(4, 3, 4, padding=1)
    x = torch.randn(2, 4, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(resize_convolve(x, resize, convolution), convolution(resize(x)))


def test_a_first_call_without_gradients_does_not_spoil_a_later_one_with_them():
    resize, convolution = nn.Upsample(size=(11, 11), mode="bilinear"), nn.Conv2d(2, 3, 4, padding=1)
    x = torch.randn(2, 2, 3, 3)
    with torch.inference_mode():
        first = resize_convolve(x, resize, convolution)
    second = resize_convolve(x, resize, convolution)
    second.sum().backward()
    assert torch.equal(first, second) and convolution.weight.grad is not None
