"""Per-image outcomes on disk, packed and compressed, so that every interval can be computed again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from msda_analysis.files import replace_file
from msda_analysis.robustness.outcome import Outcome


def write_outcomes(
    path: Path,
    outcomes: Mapping[str, Sequence[Outcome]],
    seeds: Mapping[str, Sequence[int]],
    labels: Tensor,
    rows: Tensor,
) -> None:
    """Write outcomes on the same images under the same attacks as one compressed npz file.

    Its arrays, with c the classifiers, one after the other: augmentations [c], seeds [c] of their training, attack_seeds
    [c]; attacks, epsilons, norm, mode; labels and rows [image], the images' classes and places in the test split; success
    [c, attack, epsilon, image] and is_correct [c, image], bits packed along the last axis (numpy.packbits); minimum_norms
    float32 [c, attack, image].

    Args:
        path: file to write.
        outcomes: by augmentation, one per training seed, as compare() takes them.
        seeds: training seeds, by augmentation.
        labels: int64 [image].
        rows: int64 [image], places in the test split.

    Raises:
        ValueError: the outcomes are not of the same attacks, budgets and images.
    """
    flat = [(name, seed, run) for name, runs in outcomes.items() for seed, run in zip(seeds[name], runs, strict=True)]
    first = flat[0][2]
    for name, _, run in flat:
        same = (run.attacks, run.epsilons, run.norm, run.mode) == (
            first.attacks,
            first.epsilons,
            first.norm,
            first.mode,
        )
        if not same or run.success.shape != first.success.shape or len(labels) != first.success.shape[2]:
            raise ValueError(f"outcomes[{name!r}]: expected the same attacks, epsilons and images as the first outcome")
    runs = [run for _, _, run in flat]
    arrays = {
        "augmentations": np.array([name for name, _, _ in flat]),
        "seeds": np.array([seed for _, seed, _ in flat]),
        "attack_seeds": np.array([run.seed for run in runs]),
        "attacks": np.array(first.attacks), "epsilons": np.array(first.epsilons),
        "norm": np.array(first.norm), "mode": np.array(first.mode),
        "labels": labels.cpu().numpy(), "rows": rows.cpu().numpy(),
        "success": np.packbits(torch.stack([run.success for run in runs]).numpy(), axis=-1),
        "is_correct": np.packbits(torch.stack([run.is_correct for run in runs]).numpy(), axis=-1),
        "minimum_norms": torch.stack([run.minimum_norms for run in runs]).float().numpy(),
    }  # fmt: skip
    with replace_file(path, binary=True) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def read_outcomes(path: Path) -> dict[str, list[Outcome]]:
    """Outcomes by augmentation, one per training seed, as compare() and compare_curves() take them; without flags."""
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    n = len(found["labels"])
    success, is_correct = (
        torch.from_numpy(np.unpackbits(found[name], axis=-1, count=n).astype(bool))
        for name in ("success", "is_correct")
    )
    norms, attacks = torch.from_numpy(found["minimum_norms"]), tuple(map(str, found["attacks"]))
    shared = (attacks, tuple(map(float, found["epsilons"])), str(found["norm"]))
    outcomes: dict[str, list[Outcome]] = {}
    for i, name in enumerate(found["augmentations"].tolist()):
        seed = int(found["attack_seeds"][i])
        run = Outcome(success[i], norms[i], is_correct[i], *shared, seed, str(found["mode"]))
        outcomes.setdefault(name, []).append(run)
    return outcomes


def read_images(path: Path) -> tuple[Tensor, Tensor]:
    """Labels and places in the test split of the images that a file's outcomes speak of: int64 [image] each."""
    with np.load(path, allow_pickle=False) as file:
        return torch.from_numpy(file["labels"]), torch.from_numpy(file["rows"])
