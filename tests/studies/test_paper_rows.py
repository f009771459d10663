"""The paper's rows as presets: their settings, their faults, their cost, and that each trains and resumes."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import pytest

from msda_analysis.cli import run_script
from msda_analysis.settings import make_again
from msda_analysis.studies import Store, cells_of, cost, paper_rows, run_study
from msda_analysis.studies.plan import DataSpec
from msda_analysis.training import ClassifierFit, classifier, state

#: Small forms of the networks, so that two steps take a moment; with 4 channels, torch 2.15 corrupts memory on AVX2.
SMALL = {
    "preact_resnet18": "width=8", "wide_resnet28_10": "widen=1", "densenet190": "depth=10, growth=4",
    "pyramidnet272": "depth=29, alpha=8",
}  # fmt: skip
ROWS = list(paper_rows.ROWS)


def script():
    """experiments/classification.py as a module."""
    path = Path(__file__).parents[2] / "experiments" / "classification.py"
    spec = importlib.util.spec_from_file_location("classification", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plans(name: str):
    paper = paper_rows.plan_of(name)
    return make_again(paper), make_again(paper_rows.as_released(paper))


@pytest.mark.parametrize("name", ROWS)
def test_what_all_rows_share(name):
    for plan in plans(name):
        fit = plan.classifier
        assert (plan.n_seeds, plan.per_batch, plan.vae, plan.attack) == (5, True, None, None)
        assert (fit.lr, fit.momentum, fit.nesterov, fit.weight_decay) == (0.1, 0.9, False, 1e-4)
    paper, released = plans(name)
    assert {"baseline", "fmix", "mixup"} <= set(paper.augmentations)
    assert {"baseline", "fmix_released", "mixup"} <= set(
        released.augmentations
    ) and "fmix" not in released.augmentations
    assert paper.name != released.name and paper_rows.row_of(paper) == paper_rows.row_of(released) == name


@pytest.mark.parametrize("name, data, model, epochs, drops, batch_size, augment", [
    ("cifar10_preact_resnet18", "cifar10", "preact_resnet18", 200, (100, 150), 128, "crop_flip"),
    ("cifar10_wide_resnet28_10", "cifar10", "wide_resnet28_10", 200, (100, 150), 128, "crop_flip"),
    ("cifar10_densenet190", "cifar10", "densenet190", 300, (100, 150, 225), 32, "crop_flip"),
    ("cifar10_pyramidnet272", "cifar10", "pyramidnet272", 1800, (), 64, "fast_autoaugment+crop_flip"),
    ("cifar100_densenet190", "cifar100", "densenet190", 300, (100, 150, 225), 32, "crop_flip"),
    ("fashion_preact_resnet18", "fashion_mnist", "preact_resnet18", 200, (100, 150), 128, "crop_flip"),
    ("fashion_wide_resnet28_10", "fashion_mnist", "wide_resnet28_10", 300, (100, 150, 225), 32, "crop_flip"),
    ("tiny_imagenet_preact_resnet18", "folder:tiny-imagenet-200", "preact_resnet18", 200, (150, 180), 128, "flip"),
])  # fmt: skip
def test_settings_as_published(name, data, model, epochs, drops, batch_size, augment):
    plan = plans(name)[0]
    fit = plan.classifier
    found = (plan.data.name, fit.model, fit.epochs, fit.drops, fit.batch_size, fit.augment)
    assert found == (data, model, epochs, drops, batch_size, augment)
    assert (fit.schedule, fit.warm_up) == (("cosine", 0.0) if name == "cifar10_pyramidnet272" else ("steps", 0.05))


def test_what_the_released_code_does_otherwise():
    released = {name: plans(name)[1] for name in ROWS}
    assert released["cifar100_densenet190"].data.name == "cifar10", "its script sets another data set"
    assert released["cifar10_pyramidnet272"].classifier.augment == "crop_flip", "policies are never switched on"
    assert released["cifar10_alternated"].augmentations[-1] == "fmix_released+mixup", "FMix first"
    assert released["cifar10_preact_resnet18"].augmentations == ("baseline", "fmix_released", "mixup", "cutmix_nominal")
    assert "sets CIFAR-10" in " ".join(paper_rows.describe_faults(released["cifar100_preact_resnet18"]))
    assert "auto-augment" in " ".join(paper_rows.describe_faults(released["cifar10_pyramidnet272"]))
    assert plans("cifar10_reduced")[0].data == DataSpec("cifar10", train_size=5000)


def test_published_accuracies_have_a_row_to_stand_beside():
    for name, row in paper_rows.ROWS.items():
        for augmentation, accuracy in row.published:
            assert augmentation in row.augmentations and 0.8 < accuracy < 1, name
    assert dict(paper_rows.ROWS["fashion_preact_resnet18"].published)["fmix"] == pytest.approx(1 - 0.0364)


def test_published_numbers_are_cells_of_their_rows_alone():
    for plan in plans("fashion_preact_resnet18"):
        found = {c.augmentation: c.settings["published"] for c in cells_of(plan) if c.kind == "paper_number"}
        assert list(found) == list(plan.augmentations) and found["mixup"] == 0.9628
        assert found["fmix" if plan.name.endswith("paper") else "fmix_released"] == 0.9636
    others = (plans("cifar10_densenet190")[0], replace(plans("fashion_preact_resnet18")[0], name="study"))
    assert not any(cell.kind == "paper_number" for plan in others for cell in cells_of(plan))


def train_and_resume(plan, folder: Path, monkeypatch) -> None:
    """Two steps, stopped after the first, and then the second."""
    monkeypatch.setattr("msda_analysis.studies.run._write_outputs", lambda context, cells, *_: None)
    monkeypatch.setattr(
        "msda_analysis.studies.run.cells_of", lambda plan: [c for c in cells_of(plan) if c.kind == "train_classifier"]
    )
    monkeypatch.setattr(state, "EVERY_S", 0.0)
    real, steps = classifier.cross_entropy, []

    def watched(*arguments, **more):
        steps.append(len(steps))
        if len(steps) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **more)

    monkeypatch.setattr(classifier, "cross_entropy", watched)
    with pytest.raises(KeyboardInterrupt):
        run_study(plan, folder, workers=1, progress=False)
    run_study(plan, folder, workers=1, progress=False)
    assert len(steps) == 3, "the first step is not done again"
    (cell,) = [cell for cell in cells_of(plan) if cell.kind == "train_classifier"]
    assert Store(folder, plan).is_done(cell)


@pytest.mark.parametrize("name", ROWS)
def test_every_row_trains_two_steps_and_resumes(name, tmp_path, monkeypatch):
    small = paper_rows.smoke(replace(paper_rows.plan_of(name), device="cpu"))
    model = small.classifier.model
    plan = replace(small, classifier=replace(small.classifier, model=f"{model}({SMALL[model]})"))
    train_and_resume(make_again(plan), tmp_path / "out", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["cifar10_preact_resnet18", "cifar10_wide_resnet28_10", "cifar10_densenet190", "cifar10_pyramidnet272"]
)
def test_the_real_networks_do_so_as_well(name, tmp_path, monkeypatch):
    train_and_resume(
        make_again(paper_rows.smoke(replace(paper_rows.plan_of(name), device="cpu"))), tmp_path / "out", monkeypatch
    )


def test_the_cost_is_said_from_a_timed_step(monkeypatch):
    seen = []
    monkeypatch.setattr(cost, "time_step", lambda data, fit, plan: seen.append(fit.batch_size) or 0.5)
    plan = replace(
        paper_rows.plan_of("cifar10_preact_resnet18"), data=DataSpec("digits", train_size=1000), device="cpu",
        classifier=ClassifierFit(epochs=10, batch_size=100),
    )  # fmt: skip
    first, second = cost.describe_cost(plan)
    assert first == "20 trainings (4 augmentations x 5 seeds) of 10 epochs of 1,000 images, 100 steps each"
    assert seen == [8] and "a step of 100 images takes about 6.25 s on cpu (timed with 8," in second
    assert "10.4 minutes a training, 3.47 hours in all" in second
    assert cost.describe_cost(replace(plan, classifier=None)) == []


def test_a_timed_step_is_a_step(tiny_dataset, monkeypatch):
    calls = []
    real = classifier.cross_entropy
    monkeypatch.setattr(classifier, "cross_entropy", lambda *a, **k: calls.append(len(a[1])) or real(*a, **k))
    plan = replace(paper_rows.plan_of("cifar10_preact_resnet18"), device="cpu")
    seconds = cost.time_step(tiny_dataset, ClassifierFit(batch_size=6, epochs=50), plan)
    assert calls == [6, 6] and 0 < seconds < 60


def test_the_script_says_faults_and_cost_before_it_starts(tmp_path, capsys):
    words = "--preset cifar10_pyramidnet272 --settings released --smoke --device cpu --dry-run --model small_cnn"
    assert run_script(script().DOOR, "Rows.", [*words.split(), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("CIFAR-10, PyramidNet-272") and lines[0].endswith("(as the released code runs)")
    assert any("never passes --auto-augment" in line for line in lines)
    start = next(i for i, line in enumerate(lines) if re.match(r"a step of 2 images takes about .* s on cpu", line))
    assert any("train_classifier" in line for line in lines[start:]) and not (tmp_path / "out").exists()
