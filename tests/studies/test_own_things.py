"""Mixers and data of one's own in studies: part of a cell's identity, described where masks can be read, pictured."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from msda_analysis import ClassifierFit, VaeFit, load_dataset
from msda_analysis.report.sections.masks import masks_section
from msda_analysis.report.sections.notes import other_section
from msda_analysis.results import read_table
from msda_analysis.studies import AttackSpec, DataSpec, StudyPlan, cells_of, run_study
from msda_analysis.studies.context import Context
from msda_analysis.studies.plans import AuditPlan
from msda_analysis.studies.steps import train_vae
from msda_analysis.studies.store import Store

OWN = """
import numpy as np
import torch
from msda_analysis import Dataset, Mixed

def load(split, root, length=16):
    images = np.random.default_rng(len(split)).random((24, 1, length))
    return Dataset.from_arrays(images, np.arange(24) % 2)

def fade(images, labels, generator, weight=0.5):
    order = torch.randperm(len(images), generator=generator)
    mixed = torch.lerp(images[order], images, weight)
    return Mixed(mixed, labels, labels[order], torch.full((len(images),), weight), order)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write my_things.py into a current directory that is not on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(source=OWN):
        (tmp_path / "my_things.py").write_text(source, encoding="utf-8")
        sys.modules.pop("my_things", None)
        for cached in tmp_path.rglob("*.pyc"):
            cached.unlink()

    write()
    yield write
    sys.modules.pop("my_things", None)


def plan_of(**more) -> StudyPlan:
    settings = {"augmentations": ("resizemix", "saliencymix", "my_things:fade(weight=0.75)"), "n_seeds": 1, "vae": None}
    settings |= {"classifier": None, "attack": None, "n_masks": 60, "more_masks": ()}
    return StudyPlan("own", "Own", more.pop("data", DataSpec("digits")), **{**settings, **more})


def test_changed_code_is_another_cell(own):
    plan = plan_of(
        data=DataSpec("my_things:load(length=20)"), augmentations=("baseline", "fmix", "my_things:fade"),
        classifier=ClassifierFit(epochs=1),
    )  # fmt: skip

    def trained():
        return {cell.augmentation: cell.name for cell in cells_of(plan) if cell.kind == "train_classifier"}

    before = trained()
    assert before == trained() and set(before) == {"baseline", "fmix", "my_things:fade"}
    own(OWN.replace("images[order], images, weight", "images[order], images, weight / 2"))
    after = trained()
    assert [name for name in before if before[name] != after[name]] == ["my_things:fade"]
    own(OWN.replace("default_rng(len(split))", "default_rng(1 + len(split))"))
    assert not set(trained().values()) & set(before.values()), "other data: every cell is another"


def test_mixers_are_described_and_pictured(own, tmp_path, monkeypatch):
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    summary = run_study(plan_of(), tmp_path / "out", progress=False)
    assert summary.n_failed == 0
    table = read_table(tmp_path / "out" / "results.csv")
    described = table[table["metric"] == "kept_fraction"].set_index("augmentation")["value"]
    assert described["my_things:fade(weight=0.75)"] == pytest.approx(0.75, abs=1e-5)
    assert "resizemix" in described and "saliencymix" not in described
    (said,) = table[table["metric"] == "masks_recovered"].to_dict("records")
    assert (
        said["augmentation"] == "saliencymix"
        and said["value"] == 0
        and "depend on what the images show" in said["note"]
    )
    made = masks_section(table, tmp_path / "out")
    told = [line for line in made.findings if "could not be read back" in line]
    assert len(told) == 1 and told[0].startswith("saliencymix: ") and "depend on what the images show" in told[0]
    only = masks_section(table[table["augmentation"] == "saliencymix"], tmp_path)
    assert only is not None and told[0] in only.findings and other_section(table, tmp_path) is None
    with np.load(tmp_path / "out" / "pictures" / "mixed.npz", allow_pickle=False) as mixed:
        assert {"resizemix", "saliencymix", "my_things:fade(weight=0.75)"} <= set(mixed.files)
        expected = 0.75 * mixed["image_a"] + 0.25 * mixed["image_b"]
        np.testing.assert_allclose(mixed["my_things:fade(weight=0.75)"], expected, atol=1e-5)


LOOKING = """
def look(images, labels, generator, network):
    network(images)
    return images, labels, labels, 1.0
"""


def test_mixers_that_look_at_a_classifier(own, tmp_path, monkeypatch):
    """With one they are trained; for VAEs and pictures there is none."""
    own(OWN + LOOKING)
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    fit, data = ClassifierFit(epochs=1, batch_size=12), DataSpec("digits", train_size=24, test_size=20)
    asked = {"classifier": fit, "data": data, "n_masks": 0}
    plan = plan_of(**asked, augmentations=("sage(n_shifts=4)", "my_things:look"))
    with pytest.raises(ValueError, match="look: needs a classifier that is trained, and here is none"):
        run_study(replace(plan, vae=VaeFit(epochs=1)), tmp_path / "out", progress=False)
    assert not (tmp_path / "out" / "cells").exists()
    assert run_study(plan, tmp_path / "out", progress=False).n_failed == 0
    with np.load(tmp_path / "out" / "pictures" / "mixed.npz", allow_pickle=False) as mixed:
        assert set(mixed.files) == {"image_a", "image_b", "sage(n_shifts=4)"}
    plan = replace(plan, augmentations=("sage(n_shifts=4)",), vae=VaeFit(1, batch_size=12))
    context = Context(plan, Store(tmp_path / "vae", plan), progress=False)
    rows = train_vae.run(context, train_vae.plan(plan)[0], tmp_path)
    assert [row["metric"] for row in rows if row["note"].startswith("trained without the classifier")] == ["train_loss"]


def test_an_audit_knows_what_is_claimed(own):
    plans = [AuditPlan(callables=("my_things:fade", "resizemix"), alpha=alpha) for alpha in (None, 0.5)]
    settings = [{cell.augmentation: cell.settings for cell in cells_of(plan) if cell.kind == "audit"} for plan in plans]
    assert settings[0]["my_things:fade"] | {"alpha": 0.5} == settings[1]["my_things:fade"]
    assert settings[0]["my_things:fade"]["code"] and not settings[0]["resizemix"]["code"]
    assert settings[0]["msda_analysis MixUp"] == settings[1]["msda_analysis MixUp"], "nothing is claimed of the others"
    assert json.dumps(settings[1])
    with pytest.raises(ValueError, match="alpha: expected a finite number > 0, got -1"):
        AuditPlan(alpha=-1)


NETWORK = """
from torch import nn

def build(num_classes, in_channels, width=2):
    return nn.Sequential(nn.Conv2d(in_channels, width, 8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, num_classes))
"""


def classifiers_of(network, data, **more) -> StudyPlan:
    fit = ClassifierFit(model=network, epochs=2, batch_size=10, lr=0.02)
    attack = AttackSpec(attacks=("fgsm",), epsilons=(0.0, 0.1), n_images=30)
    return plan_of(data=data, augmentations=("baseline", "fmix"), classifier=fit, attack=attack, n_masks=0, **more)


@pytest.mark.parametrize(
    ("network", "data"),
    [
        ("my_things:build(width=3)", DataSpec("digits", train_size=100, test_size=40)),
        ("torchvision:squeezenet1_1", DataSpec("digits", train_size=100, test_size=40)),
        ("small_cnn", DataSpec("voxels(n=24, n_test=30)")),
        ("small_cnn", DataSpec("waveforms(n=24, n_test=30)")),
    ],
    ids=["own", "torchvision", "volumes", "signals"],
)
def test_networks_and_images_of_any_kind_are_measured(own, tmp_path, monkeypatch, network, data):
    own(NETWORK)
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    summary = run_study(classifiers_of(network, data), tmp_path / "out", progress=False)
    table = read_table(tmp_path / "out" / "results.csv")
    assert summary.n_failed == 0 and summary.n_done == summary.n_cells, table["note"].tolist()
    robust = table[table["metric"] == "robust_accuracy"]
    assert set(robust["augmentation"]) == {"baseline", "fmix"} and set(robust["model"]) == {network.partition("(")[0]}
    test = load_dataset(data.name, "test")
    ending = ("_1d", "", "_3d")[len(test.image_size) - 1]
    own_images = {image.tobytes() for image in test.unit_images().numpy()}
    with np.load(tmp_path / "out" / "pictures" / f"mixed{ending}.npz", allow_pickle=False) as mixed:
        assert {image.tobytes() for image in mixed["image_a"]} < own_images
    with np.load(tmp_path / "out" / "pictures" / f"masks_half{ending}.npz", allow_pickle=False) as masks:
        assert masks["fmix"].shape == (3, 1, *test.image_size)
        np.testing.assert_allclose(masks["fmix"].reshape(3, -1).mean(1), 0.5, atol=0.01)


def test_changed_code_of_a_network_is_another_cell(own):
    def names(plan):
        return {(cell.kind, cell.augmentation): cell.name for cell in cells_of(plan) if "classifier" in cell.kind}

    own(NETWORK)
    plan = classifiers_of("my_things:build", DataSpec("digits"))
    before = names(plan)
    assert before == names(plan)
    own(NETWORK.replace("nn.ReLU()", "nn.GELU()"))
    assert not set(names(plan).values()) & set(before.values())


def test_pictures_of_mixed_sizes_are_resized_as_they_are_read(tmp_path):
    for split in ("train", "test"):
        for i, kind in enumerate(("cat", "dog")):
            (tmp_path / "data" / split / kind).mkdir(parents=True)
            for n in range(3):
                shape = (20 + i, 30 + n, 3)
                Image.fromarray(np.full(shape, 40 * n, np.uint8)).save(tmp_path / "data" / split / kind / f"{n}.png")
    data = DataSpec(f"folder:{tmp_path / 'data'}", tmp_path / "cache", resize=16)
    plan = plan_of(data=data, augmentations=("fmix",), classifier=ClassifierFit(epochs=1))
    context = Context(plan, Store(tmp_path / "out", plan), progress=False)
    assert context.train.image_size == context.test.image_size == (16, 16)
    names = {
        size: [c.name for c in cells_of(replace(plan, data=replace(data, resize=size)))] for size in (None, 16, 20)
    }
    assert len({name for found in names.values() for name in found if name.startswith("train")}) == 3
    with pytest.raises(ValueError, match="resize: expected an integer >= 1, got 0"):
        DataSpec("digits", resize=0)
