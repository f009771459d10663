"""Models of one dataset on another: refused where they meet, whatever accuracy would come out."""

import pytest

from msda_analysis import models
from msda_analysis.cli import main
from msda_analysis.models import Normalized, save_checkpoint
from msda_analysis.studies import Cell, DataSpec, Store, StudyPlan, cells_of
from msda_analysis.studies.context import MODEL_FILE, Context


def save(path, n_classes):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(Normalized(models.create("small_cnn", n_classes, 1, seed=0, width=4), [0.5], [0.5]), path)


@pytest.mark.parametrize("n_classes", [4, 12])
def test_a_checkpoint_of_other_classes_is_not_attacked(tmp_path, capsys, n_classes):
    path, out = tmp_path / "model.safetensors", tmp_path / "out"
    save(path, n_classes)
    arguments = ["--dataset", "digits", "--test-size", "10", "--attacks", "fgsm", "--device", "cpu", "--out", str(out)]
    assert main(["robustness", str(path), *arguments]) == 2
    found = capsys.readouterr().err
    assert (
        f"{path} does not fit these images: expected 10 logits per image, one per class of the data, got {n_classes}"
        in found
    )
    assert not (out / "results.csv").exists()


@pytest.mark.parametrize("n_classes", [4, 12])
def test_a_trained_cell_of_other_classes_is_not_measured(tmp_path, n_classes):
    plan = StudyPlan("x", "x", DataSpec("digits", test_size=10), ("baseline",), vae=None, device="cpu")
    context = Context(plan, Store(tmp_path, plan), progress=False)
    cell = next(cell for cell in cells_of(plan) if cell.kind == "train_classifier")
    assert isinstance(cell, Cell)
    save(context.store.cell_folder(cell) / MODEL_FILE, n_classes)
    with pytest.raises(ValueError, match=rf"expected a classifier of 10 classes, .*; got one of {n_classes}"):
        context.load_classifier(cell)
