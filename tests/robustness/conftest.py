"""A linear classifier with known distances, and a small network trained on made-up images."""

import pytest
import torch
from robustness_cases import CLASSES, Linear, make_network, make_patterns
from torch import nn


@pytest.fixture
def linear():
    return Linear()


@pytest.fixture
def gray_images():
    """Images around mid-gray, so that the box [0, 1] never binds on small perturbations."""
    generator = torch.Generator().manual_seed(1)
    return 0.5 + 0.1 * (torch.rand(40, 3, 4, 4, generator=generator) - 0.5)


@pytest.fixture(scope="session")
def trained():
    """A small convolutional network that is right on most of its unseen images but not on all."""
    network = make_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9)
    for step in range(25):
        images, labels = make_patterns(32, 100 + step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    return network.eval()


@pytest.fixture(scope="session")
def patterns(trained):
    """48 unseen images with their classes, the last four labels wrong on purpose."""
    images, labels = make_patterns(48, 1)
    labels[-4:] = (labels[-4:] + 1) % CLASSES
    return images, labels
