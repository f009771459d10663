"""The cell that measures a VAE: on normalized images, each encoder in its own role."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from msda_analysis.data import Dataset
from msda_analysis.estimate import Estimate
from msda_analysis.information import encode_images, encode_once
from msda_analysis.results import Source
from msda_analysis.studies import DataSpec, StudyPlan, cells_of
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.steps import measure_vae
from msda_analysis.studies.steps.common import names_of_shown, shown_of_each_class


class Scaled(nn.Module):
    """Code = the first colour's pixels times a scale."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def encode(self, images):
        loc = self.scale * images[:, 0].flatten(1)
        return SimpleNamespace(loc=loc, log_std=torch.full_like(loc, -2.0))

    def decode(self, z):
        return (z / self.scale).unflatten(1, (1, 2, 2)).expand(-1, 3, -1, -1)


@pytest.fixture
def dataset():
    images = torch.randint(0, 256, (70, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(70) % 2
    return Dataset("made", "test", images, labels, ("a", "b"), (0.4, 0.5, 0.6), (0.1, 0.2, 0.3))


def test_measured_on_normalized_images_with_every_encoder_in_its_role(dataset, monkeypatch, tmp_path):
    vae, baseline, seen = Scaled(1.0), Scaled(3.0), {}

    def spy(name):
        def found(*args, **settings):
            seen.setdefault(name, []).append((args, settings))
            return {name: Estimate(1.0, "nats", details={"gap_nats": 0.5})}

        return found

    for name in ("vae_information", "between_encoders", "encoder_bounds", "fit_marginals"):
        monkeypatch.setattr(measure_vae, name, spy(name))
    monkeypatch.setattr(measure_vae, "_save_reconstructions", lambda *args: None)
    plan = StudyPlan("made", "Made", DataSpec("digits"), n_seeds=2, between=True, classifier=None)
    cell = next(c for c in cells_of(plan) if c.kind == "measure_vae" and c.augmentation == "mixup")
    models = dict(zip([need.name for need in cell.needs], (vae, baseline), strict=True))
    source = Source("made", cell.name, "made", "vae", "mixup", 0, {}, "cpu")
    context = SimpleNamespace(
        plan=plan, test=dataset, load_vae=lambda need: models[need.name], source=lambda *_: source
    )
    rows = measure_vae.run(context, cell, tmp_path)

    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (dataset.mean, dataset.std))
    images = (dataset.images.float() / 255 - mean) / std
    ((codes,), _) = seen["vae_information"][0]
    expected = encode_once(vae, images, baseline, seed=cell.seed)
    for name in ("own", "baseline", "reconstructed"):
        torch.testing.assert_close(getattr(codes, name), getattr(expected, name), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(codes.baseline, encode_images(baseline, images), rtol=1e-5, atol=1e-5)
    # every code's densities are fitted once, and both measurements are given them
    assert [args for args, _ in seen["fit_marginals"]] == [(codes.own, 0), (codes.baseline, 0)]
    (((base, augmented, seed), settings),) = seen["between_encoders"]
    assert base is codes.baseline and augmented is codes.own and settings["reconstructed"] is codes.reconstructed
    assert seed == cell.seed == 0 and len(settings["marginals"]) == 2
    (((loc, log_std), given),) = seen["encoder_bounds"]
    assert loc is codes.own[0] and log_std is codes.own[1] and given["marginals"] is settings["marginals"][1]
    assert given["seed"] == 0
    found = {row["metric"]: row["value"] for row in rows}
    assert found["between_between_encoders"] == 1 and found["between_between_encoders_gap"] == 0.5


@pytest.mark.parametrize(("n_seeds", "pairs"), [(1, 0), (2, 1), (3, 3), (4, 4)])
def test_a_pair_of_baselines_is_met_once(n_seeds, pairs):
    plan = StudyPlan("made", "Made", DataSpec("digits"), n_seeds=n_seeds, between=True, classifier=None)
    measured = [c for c in cells_of(plan) if c.kind == "measure_vae"]
    assert all(c.settings["information_format"] == measure_vae.FORMAT for c in measured)
    met = [frozenset(need.seed for need in c.needs) for c in measured
           if c.augmentation == "baseline" and c.settings["between"] and len(c.needs) == 2]  # fmt: skip
    assert len(met) == len(set(met)) == pairs
    others = [c for c in measured if c.augmentation != "baseline"]
    assert all(c.settings["between"] for c in others)
    # the paper's second figure still goes through the other baseline
    assert n_seeds == 1 or all(len(c.needs) == 2 for c in measured)
    assert not any(c.settings["between"] for c in cells_of(replace(plan, between=False)) if c.kind == "measure_vae")


@pytest.mark.parametrize(
    ("channels", "size", "name"),
    [
        (4, (9,), "reconstructions_1d"), (3, (4, 5), "reconstructions"), (3, (2, 3, 4), "reconstructions_3d"),
        (4, (4, 5), None),
    ],
)  # fmt: skip
def test_reconstructions_are_kept_in_the_units_of_their_channels(tmp_path, channels, size, name):
    images = torch.randint(0, 256, (12, channels, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = (tuple(0.1 * k for k in range(first, first + channels)) for first in (2, 1))
    data = Dataset("made", "test", images, torch.arange(12) % 2, ("a", "b"), mean, std)

    class Identity(nn.Module):
        def encode(self, images):
            return SimpleNamespace(loc=images)

        def decode(self, z):
            return z

    measure_vae._save_reconstructions(data, Cell("measure_vae", "fmix", 0, {}), Identity(), tmp_path)
    assert [path.stem for path in tmp_path.iterdir()] == ([name] if name else [])
    for path in tmp_path.iterdir():
        with np.load(path) as arrays:
            np.testing.assert_allclose(arrays["fmix"], arrays["original"], atol=1e-6)
            assert arrays["classes"].tolist() == ["a", "b"] * 6


def test_shown_is_what_is_most_like_its_class():
    """By correlation: neither brightness nor contrast makes an image less like the others."""
    left, right = torch.zeros(2, 1, 4, 4)
    left[..., :2], right[..., 2:] = 1.0, 1.0
    odd = torch.eye(4)[None]
    images = torch.stack([odd, left, left * 0.5, right, odd, right * 0.2 + 0.3, left * 0.9, odd.flip(-1) * 0.7, right])
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 0, 1, 1])
    data = Dataset.from_arrays(images, labels, ["left", "right"])
    chosen = shown_of_each_class(data).tolist()
    assert sorted(chosen) == list(range(9)) and labels[chosen].tolist() == [0, 1] * 4 + [1]
    assert chosen[6:7] == [0] and {chosen[7], chosen[8]} == {4, 7}


@pytest.mark.parametrize(
    ("n_images", "n_classes", "shown"),
    [(40, 10, range(10)), (40, 12, range(12)), (40, 5, [*range(5), *range(5)]), (3, 3, range(3)), (40, 40, None)],
)
def test_shown_are_images_of_every_class_in_order_of_class(n_images, n_classes, shown):
    labels = torch.arange(n_images).flip(0) % n_classes
    data = Dataset("made", "test", torch.zeros(n_images, 1, 2, 2, dtype=torch.uint8), labels,
                   tuple(f"class {k}" for k in range(n_classes)), (0.0,), (1.0,))  # fmt: skip
    chosen = shown_of_each_class(data)
    found = labels[chosen].tolist()
    assert len(set(chosen.tolist())) == len(found)
    if shown is None:  # more classes than fit: the first twelve
        assert found == list(range(12))
    else:
        assert found == list(shown)
    assert names_of_shown(data, chosen)["classes"].tolist() == [f"class {k}" for k in found]
