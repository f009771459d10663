"""Information by depth of any classifier, at the layers that a user names."""

import sys

import pytest
import torch

from msda_analysis import ClassifierFit, information, load_dataset
from msda_analysis.cli import main
from msda_analysis.estimate import Estimate
from msda_analysis.models import create, load_classifier
from msda_analysis.results import read_table
from msda_analysis.studies import StudyPlan

WORDS = (
    "study --classifier small_cnn --vae-epochs 0 --classifier-epochs 1 --no-attack --n-masks 0 --train-size 100 --test-size 70 "
    "--seeds 1 --augmentations baseline --device cpu --layer-methods js --layers"
)


def test_layers_are_found_by_their_names(tmp_path, monkeypatch):
    """What the critics are given; what they make of it is information.layer_information's business."""

    def mean_of(features, images, method, seed, cap=None):
        return {name: Estimate(float(found.mean()), "nats", n=len(images)) for name, found in features.items()}

    monkeypatch.setattr("msda_analysis.studies.steps.layers.layer_information", mean_of)
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    assert main([*WORDS.split(), "features.2", "linear", "--out", str(tmp_path / "out")]) == 0
    table = read_table(tmp_path / "out" / "results.csv")
    rows = table[table["metric"] == "layer_js"]
    assert rows[["label", "x", "model"]].values.tolist() == [["features.2", 1, "small_cnn"], ["linear", 2, "small_cnn"]]
    (path,) = (tmp_path / "out").glob("cells/train_classifier-*/model.safetensors")
    test = load_dataset("digits", "test").take(70)
    network = load_classifier(path).network
    features = information.layer_features(network, test.normalize(test.images), ["features.2", "linear"])
    assert rows["value"].tolist() == pytest.approx([float(found.mean()) for found in features.values()], rel=1e-4)
    assert features["features.2"].ndim == 4 and rows["value"].nunique() == 2


GIVEN_NET = """
from torch import nn

def build(num_classes, in_channels, width=3):
    return nn.Sequential(nn.Conv2d(in_channels, width, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(64 * width, num_classes))
"""
GIVEN = (
    "robustness --model my_given:build --dataset digits --test-size 70 --attacks fgsm --epsilons 0 0.1 --attack-images 8 --device cpu "
    "--mean 0.25 --std 0.5 --weights plain={} --out out"
)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A command about weights alone of a network of one's own, and that network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_given.py").write_text(GIVEN_NET, encoding="utf-8")
    network = create("my_given:build", 10, 1, seed=3)
    torch.save(network.state_dict(), tmp_path / "plain.pt")
    yield GIVEN.format("plain.pt").split(), network.eval()
    sys.modules.pop("my_given", None)


def test_layers_of_given_weights(given, tmp_path, monkeypatch):
    """On images as that network is said to take them."""
    words, network = given
    found = {}

    def mean_of(features, images, method, seed, cap=None):
        found.update(features | {"images": images})
        return {name: Estimate(float(each.mean()), "nats", n=len(images)) for name, each in features.items()}

    monkeypatch.setattr("msda_analysis.studies.steps.layers.layer_information", mean_of)
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    assert main([*words, "--layer-methods", "js", "--layers", "0", "3"]) == 0
    table = read_table(tmp_path / "out" / "results.csv")
    rows = table[table["metric"] == "layer_js"]
    assert rows[["augmentation", "label", "x", "model"]].values.tolist() == [
        ["plain", "0", 1, "my_given:build"], ["plain", "3", 2, "my_given:build"],
    ]  # fmt: skip
    images = (load_dataset("digits", "test").take(70).unit_images() - 0.25) / 0.5
    torch.testing.assert_close(found["images"], images)
    torch.testing.assert_close(found["3"], network(images).detach())
    assert {"accuracy", "robust_accuracy"} <= set(table["metric"]), "and they are attacked"


@pytest.mark.parametrize(
    "words, said",
    [
        ("--layer-methods js --layers nowhere", "layers: expected names of network.named_modules(), such as "),
        ("--layer-methods js", "layers: expected names of layers of my_given:build, such as layer3.1"),
        ("--layers 0", "layer_methods: expected at least one critic"),
        ("--layer-methods mime --layers 0", "layer_methods: expected one of 'mine'"),
    ],
)
def test_what_given_weights_do_not_have_is_refused(given, tmp_path, capsys, words, said):
    assert main([*given[0], *words.split()]) == 2
    assert f"error: {said}" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        ("nowhere", "layers: expected names of network.named_modules(), such as "),
        ("linear --layer-methods mime", "layer_methods: expected one of 'mine'"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_trained(tmp_path, capsys, words, said):
    assert main([*WORDS.split(), *words.split(), "--out", str(tmp_path / "out")]) == 2
    assert f"error: {said}" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change, said",
    [
        ({"layer_methods": ("mine",)}, "layers: expected names of layers of small_cnn"),
        ({"layers": ("linear",)}, "layer_methods: expected at least one critic"),
        (
            {"layer_methods": ("mine",), "layers": ("linear",), "classifier": None},
            "layer_methods: information by depth is of",
        ),
    ],
)
def test_critics_and_layers_go_together(change, said):
    with pytest.raises(ValueError, match=said):
        StudyPlan(**{"classifier": ClassifierFit(model="small_cnn"), **change})
