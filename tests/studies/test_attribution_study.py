"""Where classifiers look, as cells of a study: what they need, leave and say."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from msda_analysis.results import read_table
from msda_analysis.studies import DataSpec, StudyPlan, cells_of, run_study
from msda_analysis.studies.cite import cite
from msda_analysis.studies.plan import AttributionSpec
from msda_analysis.studies.presets import quickstart, study
from msda_analysis.training import ClassifierFit

pytest.importorskip("captum")

PLAN = StudyPlan(
    "look", "A look", DataSpec("digits", train_size=100, test_size=30), ("baseline", "mixup"), 2, vae=None, attack=None,
    classifier=ClassifierFit(epochs=1, batch_size=50), attribution=AttributionSpec(n_images=20), n_masks=0,
    more_masks=(),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    summary = run_study(PLAN, folder, progress=False)
    assert summary.n_failed == 0
    return folder


@pytest.fixture(scope="module")
def table(folder):
    table = read_table(folder / "results.csv")
    return table[table["metric"].str.startswith("attribution")]


def kinds(plan):
    return [cell.kind for cell in cells_of(plan) if "attribution" in cell.kind]


def test_cells_are_there_when_asked_for():
    assert kinds(PLAN) == ["measure_attribution"] * 4 + ["compare_attribution"]
    assert kinds(replace(PLAN, augmentations=("mixup",), n_seeds=1)) == ["measure_attribution"], "nothing to compare"
    assert not kinds(replace(PLAN, attribution=None)) and not kinds(replace(PLAN, classifier=None))
    assert kinds(quickstart()) and kinds(study())
    for cell in cells_of(PLAN):
        if cell.kind == "measure_attribution":
            assert [(need.kind, need.augmentation, need.seed) for need in cell.needs] == [
                ("train_classifier", cell.augmentation, cell.seed)
            ]


def test_what_is_asked_decides_a_cells_name():
    names = {
        cell.name
        for spec in (AttributionSpec(20), AttributionSpec(21), AttributionSpec(20, "features.2"))
        for cell in cells_of(replace(PLAN, attribution=spec))
        if cell.kind == "measure_attribution"
    }
    assert len(names) == 3 * 4


def test_every_classifier_is_measured(table):
    assert set(table["status"]) == {"ok"}
    per_run = table[table["metric"] == "attribution_area"]
    assert sorted(zip(per_run["augmentation"], per_run["seed"], strict=True)) == [
        ("baseline", 0), ("baseline", 1), ("mixup", 0), ("mixup", 1),
    ]  # fmt: skip
    assert set(per_run["label"]) == {"features (4 x 4)"} and set(per_run["model"]) == {"small_cnn"}
    mixed = table[table["metric"] == "attribution_on_part"]
    assert sorted(set(mixed["label"])) == ["cutmix", "fmix"] and mixed["value"].between(0, 1).all()


def test_agreement_has_what_it_is_held_against(table):
    agreement = table[table["metric"] == "attribution_agreement"]
    pairs = {(row.augmentation, row.reference, row.label) for row in agreement.itertuples()}
    assert pairs == {
        *((name, control, "") for name in PLAN.augmentations for control in ("random weights", "another image")),
        *((name, name, "other seeds") for name in PLAN.augmentations),
        ("mixup", "baseline", "same seed"), ("mixup", "baseline", "other seeds"),
    }  # fmt: skip
    assert agreement["value"].dropna().between(-1, 1).all()


def test_pictures_are_left(folder):
    with np.load(folder / "pictures" / "attribution.npz") as arrays:
        assert set(arrays.files) == {"original", "baseline", "mixup", "classes"}
        assert arrays["original"].shape == (10, 1, 32, 32) and arrays["mixup"].shape == (10, 32, 32)
        assert (arrays["mixup"] >= 0).all() and arrays["classes"].tolist() == list("0123456789")
    page = (folder / "report.html").read_text()
    assert "Classes, from left to right: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9." in page
    assert "Where do the models look?" in page and (folder / "figures" / "attribution.png").exists()


def test_its_methods_are_cited(folder):
    entries = " ".join(cite(folder)[0])
    for key in ("selvaraju2017grad", "kokhlikyan2020captum", "adebayo2018sanity"):
        assert f"{{{key}," in entries


def test_a_study_is_the_same_twice(folder, table, tmp_path, undrawn):
    run_study(PLAN, tmp_path, progress=False)
    again = read_table(tmp_path / "results.csv")
    again = again[again["metric"].str.startswith("attribution")]
    assert again["value"].tolist() == pytest.approx(table["value"].tolist(), nan_ok=True, abs=0)


def test_another_reference_is_followed_without_training_again(folder, tmp_path, undrawn):
    copy = shutil.copytree(folder, tmp_path / "look")
    before = {path.name for path in (copy / "cells").iterdir()}
    run_study(replace(PLAN, reference="mixup"), copy, progress=False)
    new = {path.name for path in (copy / "cells").iterdir()} - before
    assert new and all(name.startswith("compare_") for name in new)
    table = read_table(copy / "results.csv")
    agreement = table[(table["metric"] == "attribution_agreement") & table["label"].ne("")]
    pairs = {(row.augmentation, row.reference, row.label) for row in agreement.itertuples()}
    assert ("baseline", "mixup", "same seed") in pairs and ("mixup", "baseline", "same seed") not in pairs


def test_a_layer_that_is_not_there_is_refused_before_training(tmp_path):
    plan = replace(PLAN, attribution=AttributionSpec(20, "layer4"))
    with pytest.raises(ValueError, match=r"layer: expected a module of SmallCNN .* got 'layer4'"):
        run_study(plan, tmp_path / "out", progress=False)
    assert not (tmp_path / "out" / "cells").exists()


def test_a_network_without_maps_is_no_failure(tmp_path, monkeypatch, undrawn):
    (tmp_path / "my_flat.py").write_text(
        "from torch import nn\n\ndef build(num_classes, in_channels):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(1024 * in_channels, num_classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    fit = ClassifierFit(model="my_flat:build", epochs=1, batch_size=50)
    summary = run_study(replace(PLAN, classifier=fit, n_seeds=1), tmp_path / "out", progress=False)
    assert summary.n_failed == 0
    table = read_table(tmp_path / "out" / "results.csv")
    rows = table[table["metric"].str.startswith("attribution")]
    assert len(rows) == 2 and rows["value"].isna().all()
    assert rows["note"].str.contains("expected a network with a convolutional feature map").all()


def test_signals_are_looked_at_too(tmp_path, undrawn):
    data = DataSpec("waveforms", train_size=60, test_size=20)
    summary = run_study(replace(PLAN, data=data, n_seeds=1), tmp_path, progress=False)
    assert summary.n_failed == 0 and not (tmp_path / "pictures" / "attribution.npz").exists()
    table = read_table(tmp_path / "results.csv")
    assert table[table["metric"] == "attribution_area"]["value"].notna().all()


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="n_images: expected an integer >= 1, got 0"):
        AttributionSpec(n_images=0)
