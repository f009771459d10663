"""How often the trust checks raise a flag on sound runs: other networks, images and seeds, attacks that work."""

from collections import Counter

import pytest
import torch
from robustness_cases import CLASSES, make_patterns
from torch import nn

from msda_analysis.robustness import create_attack, evaluate

# the largest budget is within reach of a constant gray image
BUDGETS = (0.0, 0.01, 0.02, 0.04, 0.08, 0.5)


def make_trained(seed, steps=25):
    """A small network, right on most images of this seed's patterns."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(), nn.Flatten(),
            nn.Linear(144, CLASSES),
        )  # fmt: skip
    optimizer = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9)
    for step in range(steps):
        images, labels = make_patterns(32, 1000 * seed + step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    return network.eval()


def sound_run(seed):
    """Flags of one evaluation of 60 images by five sound attacks and two blind ones."""
    images, labels = make_patterns(60, 1000 * seed + 999)
    searches = [create_attack(name, steps=20) for name in ("pgd", "apgd_ce", "apgd_dlr")]
    searches = [*searches, create_attack("square", queries=60), "deepfool", "uniform_noise", "gaussian_noise"]
    mode = ("cascade", "independent")[seed % 2]
    return evaluate(make_trained(seed), images, labels, searches, BUDGETS, seed=seed, mode=mode).flags


@pytest.mark.slow
def test_fewer_than_one_sound_run_in_a_hundred_raises_any_one_flag():
    counts = Counter(name for seed in range(200) for name in {flag.name for flag in sound_run(seed)})
    print(dict(counts))
    assert all(count < 2 for count in counts.values()), counts


def test_ten_sound_runs_raise_no_flag():
    assert [sound_run(seed) for seed in range(10)] == [()] * 10
