"""How often the trust checks raise a flag on sound runs: other networks, images and seeds, attacks that work."""

from collections import Counter

import pytest
import torch
from robustness_cases import CLASSES, make_patterns
from scipy import stats
from torch import nn

from msda_analysis.robustness import create_attack, evaluate
from msda_analysis.robustness.trust import CHECKS

# the largest budget is within reach of a constant gray image
BUDGETS = (0.0, 0.01, 0.04, 0.5)
RUNS = 500
SEARCHES = (("pgd", "apgd_dlr"), ("apgd_ce", "apgd_dlr"), ("pgd", "apgd_ce"))


def make_trained(seed, steps=25):
    """A small network, right on most images of this seed's patterns; every tenth is convolutional, which costs more."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Flatten(), nn.BatchNorm1d(432), nn.Linear(432, 24), nn.ReLU(), nn.Linear(24, CLASSES)
        )
        if seed % 10 == 0:
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
    """Outcome on 60 images of three sound searches by gradient, two blind attacks and, every other time, one by queries.

    Without that one, the checks make a short search of their own.
    """
    images, labels = make_patterns(60, 1000 * seed + 999)
    searches = [
        "deepfool",
        *(create_attack(name, steps=20) for name in SEARCHES[seed % 3]),
        "uniform_noise",
        "gaussian_noise",
    ]
    if seed % 4 < 2:
        searches.append(create_attack("square", queries=40))
    mode = ("cascade", "independent")[seed % 2]
    return evaluate(make_trained(seed), images, labels, searches, BUDGETS, seed=seed, mode=mode)


def exact_upper_limit(count, n, confidence=0.95):
    """One-sided limit of a share of which `count` of `n` were seen (Clopper and Pearson 1934)."""
    return stats.beta.ppf(confidence, count + 1, n - count)


@pytest.mark.slow
def test_each_flag_is_raised_on_fewer_than_one_sound_run_in_a_hundred():
    counts = Counter(name for seed in range(RUNS) for name in {flag.name for flag in sound_run(seed).flags})
    limits = {name: exact_upper_limit(counts[name], RUNS) for name in CHECKS}
    for name, limit in limits.items():
        print(f"{name}: {counts[name]} of {RUNS} sound runs, at most {limit:.2%} with 95 % confidence")
    assert all(limit < 0.01 for limit in limits.values()), limits


def test_ten_sound_runs_raise_no_flag():
    assert [sound_run(seed).flags for seed in range(10)] == [()] * 10
