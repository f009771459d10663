"""What the trust checks add to an evaluation, as a share of it."""

import statistics
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from msda_analysis.bench.robustness import patterns, timed, trained_model
from msda_analysis.bench.timing import make_row
from msda_analysis.checks import check_count
from msda_analysis.robustness.evaluate import PAPER_EPSILONS, evaluate
from msda_analysis.robustness.evidence import TrustSettings

Row = dict[str, Any]
# from the cheapest evaluation, of which the checks are the largest share, to one with a search
_ATTACKS = (("fgsm",), ("fgsm", "uniform_noise", "deepfool"))


def bench_rows(
    device: str | torch.device = "cpu",
    *,
    networks: tuple[str, ...] = ("small_cnn", "preact_resnet18"),
    n_images: int = 48,
    repeats: int = 3,
    train_steps: int = 12,
    seed: int = 0,
) -> list[Row]:
    """The cost of the checks for each network and for an evaluation with FGSM alone and one with three attacks.

    Args:
        device: where to run.
        networks: of models.NAMES; trained for a few steps on made-up images.
        n_images: images attacked; times are scaled to 200, as the checks look at a few only.
        repeats: evaluations without and with the checks, in turn.
        train_steps: training steps of 32 images.
        seed: of weights and images.

    Returns:
        Rows with the columns timing.COLUMNS; low and high are the smallest and largest share.
    """
    check_count("repeats", repeats)
    check_count("n_images", n_images, minimum=2)
    device, rows = torch.device(device), []
    images, labels = patterns(n_images, seed, device, step=train_steps + 1)
    for name in networks:
        model = trained_model(name, device, seed, train_steps)
        rows += [checks_cost(model, images, labels, name, attacks, seed, repeats) for attacks in _ATTACKS]
    return rows


def checks_cost(
    model: nn.Module, images: Tensor, labels: Tensor, name: str, attacks: tuple[str, ...], seed: int, repeats: int
) -> Row:
    """What the checks add to an evaluation of 200 images: median of some runs, in turn without and with them."""

    def run(trust: TrustSettings | None) -> float:
        work = partial(evaluate, model, images, labels, attacks, PAPER_EPSILONS, seed=seed, trust=trust)
        return timed(work, images.device)[1]

    shares = []
    for _ in range(repeats):
        without, whole = run(TrustSettings(images=0)), run(None)
        shares.append((whole - without) / (without * 200 / len(images)))
    note = f"{', '.join(attacks)}; {len(PAPER_EPSILONS)} budgets, cascade; {len(images)} images, scaled to 200"
    row = make_row(f"trust_checks_{name}", statistics.median(shares), "share", note=note, device=images.device)
    return row | {"low": min(shares), "high": max(shares), "n": repeats}
