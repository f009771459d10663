"""A made-up study folder with the shape of a real one; its numbers are drawn here and mean nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from msda_analysis.estimate import Estimate, Measured
from msda_analysis.results import Source, make_failure_row, read_table, to_rows, write_table


def make_row(source, metric, estimate, **more):
    """One number as a row."""
    return to_rows(source, [Measured(metric, estimate, **more)])[0]


FAMILIES = ("baseline", "mixup", "cutmix", "fmix")
MASK_FAMILIES = ("mixup", "cutmix", "fmix", "fmix_released")
EPSILONS = (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.1, 0.3, 0.5, 1.0)
ATTACKS = ("fgsm", "bim", "pgd", "uniform_noise", "deepfool")
_RATE = {"baseline": 45.9, "mixup": 41.6, "cutmix": 47.0, "fmix": 46.1}


class StudyMaker:
    """Writes study folders; leave parts out to see what a report says about it."""

    def __init__(self, n_seeds: int = 3, families: tuple[str, ...] = FAMILIES):
        self.seeds, self.families = range(n_seeds), families
        self.random = np.random.default_rng(0)

    def write(self, folder: Path, *parts: str, failures: bool = False, dataset: str = "cifar10") -> Path:
        """Write results.csv, manifest.json and pictures for the named parts (all without names)."""
        makers = {"vae": self.vae_rows, "classifier": self.classifier_rows, "masks": self.mask_rows}
        makers["attacked"] = self.attacked_rows
        rows = [row for part in parts or tuple(makers)[:3] for row in makers[part](dataset)]
        if failures:
            rows.append(
                make_failure_row(self.source("vae", "fmix", 9, dataset), RuntimeError("loss is not finite at step 12"))
            )
        write_table(rows, folder / "results.csv")
        (folder / "manifest.json").write_text(json.dumps(self.manifest(dataset, failures)))
        self.write_pictures(folder / "pictures")
        return folder

    def source(self, model: str, family: str, seed: int, dataset: str = "cifar10", **settings) -> Source:
        law = {"spectrum": "released" if "released" in family else "isotropic"} if "fmix" in family else {}
        return Source(
            "synthetic", f"{model}-{family}-{seed}", dataset, model, family, seed, {"family": law, **settings}
        )

    def vae_rows(self, dataset: str) -> Iterator[dict]:
        for family in self.families:
            for seed in self.seeds:
                source = self.source("vae", family, seed, dataset)
                rate = _RATE[family] + self.random.normal(0, 0.3)
                yield make_row(source, "rate", Estimate(rate, "nats", rate - 0.2, rate + 0.2, 10000, "upper"))
                yield make_row(source, "rate_reconstructed", Estimate(rate - 3, "nats", rate - 3.2, rate - 2.8, 10000))
                mse = 0.3 + self.random.normal(0, 0.003)
                yield make_row(
                    source, "mse", Estimate(mse, "squared normalized pixels", mse - 0.004, mse + 0.004, 10000)
                )
                for epoch in range(1, 16):
                    loss = 800 + 500 / epoch + self.random.normal(0, 4)
                    yield make_row(source, "train_loss", Estimate(loss, "nats"), x=epoch)
                    yield make_row(source, "train_rate", Estimate(40 - 30 / epoch, "nats"), x=epoch)
                    yield make_row(source, "epoch_seconds", Estimate(2 + 0.1 * self.random.random(), "s"), x=epoch)

    def classifier_rows(self, dataset: str) -> Iterator[dict]:
        for family in self.families:
            for seed in self.seeds:
                source = self.source("small_cnn", family, seed, dataset)
                clean = 0.9 + self.random.normal(0, 0.005)
                yield make_row(source, "accuracy", Estimate(clean, "fraction", clean - 0.01, clean + 0.01, 1000))
                scale = {"mixup": 0.03, "cutmix": 0.012}.get(family, 0.015)
                for attack in ATTACKS:
                    for epsilon in EPSILONS:
                        value = clean * float(np.exp(-epsilon / scale / (8 if "noise" in attack else 1)))
                        estimate = Estimate(value, "fraction", max(value - 0.02, 0), value + 0.02, 1000)
                        yield from to_rows(source, [Measured("robust_accuracy", estimate, attack, "linf", epsilon)])
                for epoch in range(1, 11):
                    yield make_row(
                        source, "train_loss", Estimate(2.3 / epoch + self.random.normal(0, 0.02), "nats"), x=epoch
                    )
        flag = Estimate(1.0, "share", warnings=("accuracy rises by 0.03 between epsilon 0.1 and 0.3",))
        doubt = Measured("flag", flag, "deepfool", "linf", label="not monotone")
        yield from to_rows(self.source("small_cnn", "mixup", 0, dataset), [doubt])

    def attacked_rows(self, dataset: str) -> Iterator[dict]:
        """What cells that compare attacked classifiers add; made only when asked for."""
        for family, difference, verdict in (("mixup", -0.1, "mixup"), ("cutmix", 0.01, "undecided")):
            for epsilon in (0.01, 0.03):
                estimate = Estimate(difference, "accuracy", difference - 0.04, difference + 0.04, 1000)
                number = Measured(
                    "accuracy_difference", estimate, "pgd", "linf", epsilon, reference=family, p_value=0.004,
                    verdict=verdict,
                )  # fmt: skip
                yield from to_rows(self.source("small_cnn", "baseline", 0, dataset), [number])
        for family in self.families:
            for seed in self.seeds:
                source = self.source("small_cnn", family, seed, dataset)
                for attack, reference in (("pgd", ""), ("pgd", "shuffled"), ("gaussian", "")):
                    cosine = Estimate(0.05 + 0.01 * self.random.random(), "cosine")
                    power = Estimate(0.25, "share")
                    yield from to_rows(source, [
                        Measured("cosine_mean_abs", cosine, attack, reference=reference),
                        *(Measured("perturbation_power", power, attack, x=x, reference=reference) for x in range(4)),
                    ])  # fmt: skip

    def mask_rows(self, dataset: str) -> Iterator[dict]:
        for family in MASK_FAMILIES:
            for seed in self.seeds:
                source = self.source("", family, seed, dataset)
                yield from self.mask_scalars(source, family)
                yield from self.mask_spectra(source, family)

    def mask_scalars(self, source: Source, family: str) -> Iterator[dict]:
        shapes = {"mixup": (0.5, 0, 1, 0, 0), "cutmix": (0.68, 62, 1, 31, 31), "fmix": (0.5, 120, 2.1, 60, 60),
                  "fmix_released": (0.5, 116, 2.0, 46, 68)}  # fmt: skip
        names = ("kept_fraction", "perimeter", "components", "transitions_axis0", "transitions_axis1")
        units = ("fraction", "pixels", "count", "per mask", "per mask")
        for name, unit, mean in zip(names, units, shapes[family], strict=True):
            value = mean + (self.random.normal(0, 0.01) * mean if mean else 0.0)
            yield make_row(source, name, Estimate(value, unit, value * 0.98, value * 1.02, 2000))
        if family == "mixup":
            nothing = Estimate(float("nan"), "ratio", n=0, warnings=("undefined for all 2000 masks",))
            yield make_row(source, "axis_power_ratio", nothing)
        else:
            ratio = 0.1 if family == "fmix_released" else 1 + self.random.normal(0, 0.01)
            yield make_row(source, "axis_power_ratio", Estimate(ratio, "ratio", ratio - 0.05, ratio + 0.05, 2000))
        counts = self.random.beta(1, 1, 2000) if family != "cutmix" else 1 - self.random.beta(1, 2, 2000)
        shares = np.histogram(counts, 20, (0, 1))[0] / 2000
        for i, share in enumerate(shares):
            yield make_row(source, "kept_fraction_histogram", Estimate(float(share), "share", n=2000), x=(i + 0.5) / 20)

    def mask_spectra(self, source: Source, family: str) -> Iterator[dict]:
        slope = {"cutmix": 2.6, "fmix": 3.4, "fmix_released": 3.3}.get(family)
        for i in range(17):
            noise = float(np.exp(self.random.normal(0, 0.05)))
            radial = 0.0 if slope is None else noise * max(i, 0.7) ** -slope
            width = radial if family != "fmix_released" or i < 2 else radial / 20
            yield make_row(
                source, "radial_power", Estimate(radial, "power", radial * 0.9, radial * 1.1, 2000), x=i / 32
            )
            for axis, line in enumerate((radial, width)) if i else ():
                power = Estimate(line, "power", line * 0.9, line * 1.1, 2000)
                yield make_row(source, f"line_power_axis{axis}", power, x=i / 32)
            yield make_row(source, "power_axis0", Estimate(radial, "power", radial * 0.9, radial * 1.1, 2000), x=i)
            yield make_row(source, "power_axis1", Estimate(width, "power", width * 0.9, width * 1.1, 2000), x=i)

    def manifest(self, dataset: str, failures: bool) -> dict:
        return {
            "study": "synthetic",
            "title": "Synthetic study with made-up numbers",
            "command": "msda-analysis study --dataset cifar10 --train-size 10000 --seeds 3 --out results/synthetic",
            "created": "2026-01-01T00:00:00+00:00",
            "dataset": {"name": dataset, "classes": 10, "train": 10000, "test": 10000, "size": [3, 32, 32]},
            "settings": {
                "vae": {"epochs": 15, "batch_size": 128},
                "attacks": {"norm": "linf", "epsilons": list(EPSILONS)},
            },
            "cells": {"total": 36, "done": 35 if failures else 36, "failed": int(failures)},
            "environment": {"python": "3.11.7", "torch": "2.15.0", "device": "cpu", "commit": "0123456789ab"},
            "cells_s": 1234.5,
        }

    def write_pictures(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        images = smooth_images(self.random, 8)
        other = smooth_images(self.random, 8)
        masks = {family: blob_masks(self.random, family, 8) for family in MASK_FAMILIES}
        np.savez(folder / "masks_half.npz", **{family: mask[:3, None] for family, mask in masks.items()})
        mixed = {family: mask[:, None] * images + (1 - mask[:, None]) * other for family, mask in masks.items()}
        np.savez(folder / "mixed.npz", image_a=images, image_b=other, **mixed)
        blurred = dict.fromkeys(self.families, images * 0.8 + 0.1)
        np.savez(folder / "reconstructions.npz", classes=np.array(list("abcdefgh")), original=images, **blurred)


def smooth_images(random: np.random.Generator, count: int) -> np.ndarray:
    """Colour gradients [count, 3, 32, 32] in [0, 1]."""
    ramp = np.linspace(0, 1, 32)
    weights = random.dirichlet((1, 1, 1), (count, 3))
    fields = np.stack([np.broadcast_to(ramp, (32, 32)), np.broadcast_to(ramp[:, None], (32, 32)), np.ones((32, 32))])
    return np.einsum("nck,khw->nchw", weights, fields)


def blob_masks(random: np.random.Generator, family: str, count: int) -> np.ndarray:
    """Masks [count, 32, 32] that look roughly like the family's."""
    if family == "mixup":
        return np.broadcast_to(random.random((count, 1, 1)), (count, 32, 32)).copy()
    rows, columns = np.mgrid[:32, :32] / 32
    center = random.random((count, 2, 1, 1))
    if family == "cutmix":
        return (np.maximum(abs(rows - center[:, 0]), abs(columns - center[:, 1])) > 0.25).astype(float)
    wave = np.cos(6.28 * (rows + center[:, 0])) + np.cos(
        6.28 * (columns * (1 if "released" in family else 2) + center[:, 1])
    )
    return (wave > 0).astype(float)


@pytest.fixture(scope="session")
def full_study(tmp_path_factory) -> Path:
    """A whole study folder: 4 augmentations, 3 seeds, VAEs, classifiers and masks, one failed cell."""
    return StudyMaker().write(tmp_path_factory.mktemp("study"), failures=True)


@pytest.fixture(scope="session")
def full_table(full_study):
    """Its table. Tests must not change it."""
    return read_table(full_study / "results.csv")


@pytest.fixture(scope="session")
def study_maker() -> type[StudyMaker]:
    """Makes study folders of any number of seeds, in fixtures that last."""
    return StudyMaker


@pytest.fixture
def write_study():
    """Writes a study of some seeds and parts into a folder: write_study(folder, "vae", n_seeds=2)."""

    def write(folder: Path, *parts: str, n_seeds: int = 2) -> Path:
        return StudyMaker(n_seeds).write(folder, *parts)

    return write
