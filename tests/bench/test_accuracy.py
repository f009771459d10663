"""Time to accuracy: the clock runs for training alone, the limit ends it anywhere, and the curve is fit_classifier's."""

from dataclasses import replace

import pytest
import torch

from msda_analysis import fit_classifier
from msda_analysis.bench import accuracy
from msda_analysis.bench.timing import COLUMNS
from msda_analysis.data import Dataset
from msda_analysis.models import logits_over_views
from msda_analysis.report.sections.speed import accuracy_section
from msda_analysis.results import Source, to_rows, to_table
from msda_analysis.rng import stream
from msda_analysis.studies import Store
from msda_analysis.studies.context import Context
from msda_analysis.studies.names import check_names
from msda_analysis.studies.plan import DataSpec
from msda_analysis.studies.plans import BenchPlan
from msda_analysis.studies.steps import bench
from msda_analysis.training import FAST_CLASSIFIER_FIT, ClassifierFit

FIT = ClassifierFit(epochs=2, batch_size=8)


def shades(n, seed):
    """Dark and bright pictures under noise."""
    labels = torch.arange(n) % 2
    images = 60 + 120 * labels.view(-1, 1, 1, 1) + torch.randint(60, (n, 3, 8, 8), generator=stream(seed, "shades"))
    return Dataset.from_arrays(images.to(torch.uint8), labels, ["dark", "bright"], mean=[0.5] * 3, std=[0.3] * 3)


TRAIN, TEST = shades(24, 0), shades(10, 1)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a step of training moves by 1 s, and scoring by 100."""
    clock = {"now": 0.0}
    loss, scores = accuracy.cross_entropy, accuracy.test_scores

    def get_loss(*arguments, **settings):
        clock["now"] += 1.0
        return loss(*arguments, **settings)

    def get_scores(*arguments):
        clock["now"] += 100.0
        return scores(*arguments)

    monkeypatch.setattr(accuracy, "read_clock", lambda device: clock["now"])
    monkeypatch.setattr(accuracy, "cross_entropy", get_loss)
    monkeypatch.setattr(accuracy, "test_scores", get_scores)
    monkeypatch.setattr(accuracy, "recipe_of", lambda network: replace(FIT, model=network))
    return clock


def measured(**settings):
    rows = accuracy.bench_rows(TRAIN, TEST, "small_cnn", **settings)
    assert all(tuple(row) == COLUMNS and row["network"] == "small_cnn" for row in rows)
    return rows


def test_the_curve_is_that_of_fit_classifier_by_time_of_training_alone(clock):
    *epochs, views, time = measured(seed=3)
    assert [(row["name"], row["x"], row["note"]) for row in epochs] == [
        ("accuracy", 3.0, "epoch 1"), ("accuracy", 6.0, "epoch 2")
    ]  # fmt: skip
    assert (time["name"], time["value"], time["note"]) == ("training_time", 6.0, "the whole recipe, 2 epochs")
    trained, history = fit_classifier(TRAIN, None, FIT, seed=3, test=TEST, progress=False)
    assert [row["value"] for row in epochs] == [entry["test_top1"] for entry in history.epochs]
    with torch.no_grad():
        right = logits_over_views(trained, TEST.unit_images(), "mirror_shift").argmax(1) == TEST.labels
    assert (views["name"], views["x"], views["value"]) == ("accuracy_over_views", 6.0, float(right.double().mean()))
    assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 1 and row["n"] == 10 for row in (*epochs, views))
    assert epochs[0]["low"] < epochs[0]["high"]


def test_the_limit_ends_a_training_in_the_middle_of_an_epoch(clock):
    epoch, time = measured(limit_s=4.0)
    assert (epoch["name"], epoch["x"], time["value"]) == ("accuracy", 3.0, 4.0)
    assert time["note"] == (
        "stopped by the limit of 4 s after 1 of 2 epochs and 1 of 3 steps of the next, before its learning rate had come down"
    )


def test_where_no_epoch_ends_within_the_limit_this_is_said(clock):
    (time,) = measured(limit_s=2.0)
    assert (time["name"], time["value"]) == ("training_time", 2.0)
    assert time["note"] == "no epoch ended within the limit of 2 s, only 2 of 3 steps of the first"


def test_what_a_process_loads_at_its_first_step_is_loaded_before_the_clock_starts(monkeypatch):
    seen = []
    real = accuracy.fit_classifier
    monkeypatch.setattr(accuracy, "fit_classifier", lambda *args, **more: seen.append("warm") or real(*args, **more))
    monkeypatch.setattr(accuracy, "read_clock", lambda device: seen.append("clock") or 0.0)
    measured(epochs=1, n_images=8)
    assert seen[:2] == ["warm", "clock"] and seen.count("warm") == 1


def test_parts_and_recipes():
    *_, time = measured(epochs=1, n_images=8)
    assert time["note"] == "the whole recipe, 1 epochs" and time["batch"] == 128 and time["value"] > 0
    assert accuracy.recipe_of("small_cnn") == ClassifierFit() and accuracy.recipe_of("fast_cnn") == FAST_CLASSIFIER_FIT
    other = accuracy.recipe_of("preact_resnet18")
    assert (other.model, other.augment, other.epochs) == ("preact_resnet18", "crop_flip", 15)
    with pytest.raises(ValueError, match="limit_s"):
        measured(limit_s=0.0)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"what": ("accuracy",)}, "dataset: expected the images .*--dataset cifar10 or --dataset folder:PATH"),
        (
            {"what": ("masks", "load"), "data": DataSpec("digits")},
            "dataset: only accuracy takes images, not masks, load",
        ),
        ({"what": ("accuracy",), "data": DataSpec("digits"), "networks": ()}, "networks: expected at least one"),
        ({"what": ("accuracy",), "data": DataSpec("digits"), "networks": ("small_cn",)}, "got 'small_cn'"),
        ({"what": ("accuracy",), "data": DataSpec("digits"), "limit_s": -1.0}, "limit_s"),
        ({"what": ("accuracy",), "data": DataSpec("digits"), "epochs": 0}, "epochs: expected .*got 0"),
    ],
)
def test_a_plan_refuses_what_cannot_be(wrong, words):
    with pytest.raises(ValueError, match=words):
        BenchPlan(**wrong, device="cpu")


def test_a_typo_is_answered_from_names_alone():
    class Asked:
        splits, networks, data = ("train",), ("small_cnn", "preact"), DataSpec("digits")

    with pytest.raises(ValueError, match=r"model: expected one of .*got 'preact'"):
        check_names(Asked)


def test_other_benchmarks_are_known_as_before_and_load_no_images():
    plan = BenchPlan(device="cpu")
    assert set(plan.identity()) == {"kind", "what", "smoke", "seed", "device"} and plan.splits == ()
    assert [cell.settings.keys() for cell in bench.plan(plan)] == [{"machine", "commit", "smoke", "what"}]


def test_other_epochs_are_other_cells_and_reach_the_training(tmp_path, monkeypatch):
    plan = BenchPlan(("accuracy",), device="cpu", data=DataSpec("digits"), networks=("small_cnn",), epochs=3)
    (cell,), (default,) = bench.plan(plan), bench.plan(replace(plan, epochs=None))
    assert cell.name != default.name and "epochs" not in default.settings
    context = Context(plan, Store(tmp_path, plan), progress=False)
    monkeypatch.setitem(context.__dict__, "train", TRAIN)
    monkeypatch.setitem(context.__dict__, "test", TEST)
    asked = []
    monkeypatch.setattr(accuracy, "bench_rows", lambda **more: asked.append(more["epochs"]) or [])
    for each in (cell, default):
        bench.run(context, each, context.store.start(each))
    assert asked == [3, None]


def test_a_varied_recipe_is_another_cell_with_a_name_of_its_own(tmp_path, monkeypatch):
    varied = ("label_smoothing=0.0", "averaging='none', lr=0.1")
    plan = BenchPlan(
        ("accuracy",), device="cpu", data=DataSpec("digits"), networks=("small_cnn", "fast_cnn"), vary=varied
    )
    cells = bench.plan(plan)
    assert [cell.settings.get("vary", "") for cell in cells] == ["", *varied] * 2
    assert len({cell.name for cell in cells}) == 6
    monkeypatch.setattr(accuracy, "recipe_of", lambda network: replace(FIT, model=network))
    *_, time = accuracy.bench_rows(TRAIN, TEST, "small_cnn", vary="epochs=1", n_images=8)
    assert time["network"] == "small_cnn, epochs=1" and time["note"] == "the whole recipe, 1 epochs"


def test_recipes_vary_in_settings_that_they_have():
    changed = accuracy.vary_recipe(FIT, "label_smoothing=0.1, averaging='lookahead'")
    assert changed == replace(FIT, label_smoothing=0.1, averaging="lookahead") and accuracy.vary_recipe(FIT, "") == FIT
    for text, words in {
        "smoothing=0.1": "'smoothing=0.1' has no setting 'smoothing', only epochs",
        "averaging=none": "vary: expected settings such as",
        "label_smoothing=2.0": "label_smoothing: expected a number in",
    }.items():
        with pytest.raises(ValueError, match=words):
            accuracy.vary_recipe(FIT, text)
        with pytest.raises(ValueError, match=words):
            BenchPlan(("accuracy",), device="cpu", data=DataSpec("digits"), vary=(text,))


def test_each_network_is_a_cell_and_the_folder_has_one_table_of_all(tmp_path, monkeypatch):
    plan = BenchPlan(("accuracy",), True, device="cpu", data=DataSpec("digits"), networks=("small_cnn", "fast_cnn"))
    context = Context(plan, Store(tmp_path, plan), progress=False)
    monkeypatch.setitem(context.__dict__, "train", TRAIN)
    monkeypatch.setitem(context.__dict__, "test", TEST)
    asked = []

    def bench_rows(train_split, test_split, network, device, **more):
        asked.append((len(train_split), len(test_split), network, more))
        return [accuracy.make_row("training_time", 1.0, "s", network=network, device=device, note="the whole recipe")]

    monkeypatch.setattr(accuracy, "bench_rows", bench_rows)
    cells = bench.plan(plan)
    for cell in cells:
        rows = bench.run(context, cell, context.store.start(cell))
        context.store.finish(cell, rows, 1.0)
        assert [(row["model"], row["augmentation"], row["dataset"]) for row in rows] == [
            (cell.settings["network"], "baseline", "digits")
        ]
    bench.collect(context, cells)
    more = {"limit_s": 480.0, "seed": 0, "epochs": 1, "vary": "", "n_images": 24}
    assert asked == [(24, 10, "small_cnn", more), (24, 10, "fast_cnn", more)]
    head, *lines = (tmp_path / "bench_accuracy_cpu.csv").read_text().splitlines()
    assert head.startswith("name,network") and [line.split(",")[1] for line in lines] == ["small_cnn", "fast_cnn"]


def table_of(rows):
    return to_table(
        line for row in rows for line in to_rows(
            Source("bench", "cell", "shades", row["network"], "baseline", 0, device="cpu"), [bench._measured(row)]
        )
    )  # fmt: skip


def test_the_page_draws_a_line_a_network_and_says_how_far_each_came(clock):
    slow = {
        "network": "preact_resnet18",
        "note": "no epoch ended within the limit of 9 s, only 2 of 3 steps of the first",
    }
    rows = measured()
    section = accuracy_section(table_of([*rows, rows[-1] | slow]), None)
    (item,), (listed,) = section.figures, section.tables
    (axes,) = item.figure().axes
    assert list(item.numbers["x"]) == [3.0, 6.0] and set(item.numbers["model"]) == {"small_cnn"}
    assert axes.get_xlabel() == "processor time of training (s)"
    assert section.findings == (
        "small_cnn: the whole recipe, 2 epochs, in 6 s.",
        "preact_resnet18: no epoch ended within the limit of 9 s, only 2 of 3 steps of the first, in 6 s.",
    )
    first, second = listed.rows
    assert first[1].value == rows[1]["value"] and first[2].value == rows[2]["value"] and second[1] is second[2] is None
    only = accuracy_section(table_of([rows[-1] | slow]), None)
    assert only.figures == () and len(only.findings) == 1
