"""Information by depth of any classifier, at the layers that a user names."""

import pytest
import torch

from msda_analysis import ClassifierFit, information, load_dataset
from msda_analysis.cli import main
from msda_analysis.models import load_classifier
from msda_analysis.results import read_table
from msda_analysis.studies import StudyPlan

WORDS = (
    "study --classifier small_cnn --vae-epochs 0 --classifier-epochs 1 --no-attack --n-masks 0 --train-size 100 --test-size 70 "
    "--seeds 1 --augmentations baseline --device cpu --layer-methods js --layers"
)


def test_layers_are_found_by_their_names(tmp_path, monkeypatch):
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    assert main([*WORDS.split(), "features.2", "linear", "--out", str(tmp_path / "out")]) == 0
    table = read_table(tmp_path / "out" / "results.csv")
    rows = table[table["metric"] == "layer_js"]
    assert rows[["label", "x", "model"]].values.tolist() == [["features.2", 1, "small_cnn"], ["linear", 2, "small_cnn"]]
    (path,) = (tmp_path / "out").glob("cells/train_classifier-*/model.safetensors")
    test = load_dataset("digits", "test").take(70)
    images = test.normalize(test.images)
    features = information.layer_features(
        load_classifier(path).network.to(memory_format=torch.channels_last), images, ["features.2", "linear"]
    )
    expected = information.layer_information(features, images, "js", 0)
    assert rows["value"].tolist() == pytest.approx([found.value for found in expected.values()], rel=1e-5)


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
