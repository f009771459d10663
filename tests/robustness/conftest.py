"""A linear classifier with known distances, and a small network trained on made-up images."""

import pytest
import torch
from linear_classifier import CLASSES, Linear
from torch import nn


@pytest.fixture
def linear():
    return Linear()


@pytest.fixture
def gray_images():
    """Images around mid-gray, so that the box [0, 1] never binds on small perturbations."""
    generator = torch.Generator().manual_seed(1)
    return 0.5 + 0.1 * (torch.rand(40, 3, 4, 4, generator=generator) - 0.5)


def make_patterns(n, seed):
    generator = torch.Generator().manual_seed(7)
    patterns = nn.functional.interpolate(torch.rand(CLASSES, 3, 3, 3, generator=generator), size=12, mode="bilinear")
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (n,), generator=generator)
    noise = torch.randn(n, 3, 12, 12, generator=generator)
    return (0.5 + 0.35 * (patterns[labels] - 0.5) + 0.12 * noise).clamp(0, 1), labels


def make_network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(144, CLASSES),
        )  # fmt: skip


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
