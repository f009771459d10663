"""Several classifiers at the prompt: their table, their rows, their figure; budgets as text."""

import pytest
import torch
from torch import nn

from msda_analysis.estimate import ONE_RUN
from msda_analysis.results import COLUMNS, read_table, to_table, write_table
from msda_analysis.rng import stream
from msda_analysis.robustness import Comparison, Outcome, compare, epsilon_from_text, evaluate, measured_outcome
from msda_analysis.robustness.evidence import TrustSettings


def make_outcome(shares, seed=0):
    """Images broken with a share per budget, more at each; two attacks."""
    draws = torch.rand(2, 1, 400, generator=stream(seed, "draws"))
    success = draws < torch.tensor(shares)[None, :, None]
    norms = torch.where(success.any(1), 0.1, torch.inf)
    return Outcome(success, norms, ~success[:, 0].any(0), ("fgsm", "deepfool"), (0.0, 0.1, 0.2), "linf", seed)


@pytest.fixture
def weak_and_strong():
    return {"plain": make_outcome((0.1, 0.8, 0.9)), "mine": make_outcome((0.1, 0.3, 0.5), 1)}


def test_two_outcomes_are_compared_by_a_paired_table(weak_and_strong):
    found = compare(weak_and_strong)
    assert isinstance(found, Comparison) and list(found.outcomes) == ["plain", "mine"]
    row = found.table.set_index(["attack", "epsilon"]).loc["fgsm", 0.1]
    assert (row["a"], row["b"], row["test"], row["verdict"]) == ("plain", "mine", "McNemar exact", ONE_RUN)
    assert row["value"] < -0.3 and row["p_holm"] < 1e-6
    assert {"worst_case", "fgsm", "deepfool"} == set(found.table["attack"])
    assert "plain" in found._repr_html_() and "p_holm" in found._repr_html_()


def test_one_outcome_is_the_same_as_a_list_of_one(weak_and_strong):
    lists = {name: [outcome] for name, outcome in weak_and_strong.items()}
    assert compare(weak_and_strong).table.equals(compare(lists).table)


def test_rows_are_those_of_the_long_table(weak_and_strong, tmp_path):
    outcome = weak_and_strong["plain"]
    rows = outcome.rows("plain", seed=3, dataset="mine", model="net")
    assert [row["metric"] for row in rows] == [number.metric for number in measured_outcome(outcome)]
    assert {(row["augmentation"], row["seed"], row["dataset"], row["model"]) for row in rows} == {
        ("plain", 3, "mine", "net")
    }
    write_table(rows, tmp_path / "results.csv")
    assert tuple(read_table(tmp_path / "results.csv").columns) == COLUMNS


def test_rows_of_a_comparison_hold_every_run_and_every_difference(weak_and_strong):
    runs = {
        name: [make_outcome((0.1, share, 0.9), seed) for seed in (2, 3, 4)]
        for name, share in {"a": 0.3, "b": 0.7}.items()
    }
    found = compare(runs)
    table = to_table(found.rows())
    accuracy = table[(table["metric"] == "robust_accuracy") & (table["attack"] == "fgsm") & (table["epsilon"] == 0.1)]
    assert sorted(zip(accuracy["augmentation"], accuracy["seed"], strict=True)) == [
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("b", 0),
        ("b", 1),
        ("b", 2),
    ]
    differences = table[table["metric"] == "accuracy_difference"]
    assert len(differences) == len(found.table) and set(differences["reference"]) == {"b"}
    assert differences["p_value"].tolist() == pytest.approx(found.table["p_holm"].tolist())
    decided = found.table.loc[found.table["verdict"] == "a"]
    assert len(decided) and set(differences["verdict"]) >= {"a"}


@pytest.mark.parametrize("kind", ["one", "several"])
def test_figures_show_the_measured_accuracy(weak_and_strong, kind):
    figure = weak_and_strong["plain"].plot("plain") if kind == "one" else compare(weak_and_strong).plot()
    expected = float((~weak_and_strong["plain"].success[0, 1]).double().mean())
    drawn = [line.get_ydata() for ax in figure.axes for line in ax.lines]
    assert any(value == pytest.approx(expected) for line in drawn for value in line)
    labels = [
        text.get_text()
        for box in (*figure.legends, *(ax.get_legend() for ax in figure.axes))
        if box
        for text in box.get_texts()
    ]
    assert kind == "one" or {"plain", "mine"} <= set(labels)


def test_the_table_in_latex(weak_and_strong):
    text = compare(weak_and_strong).latex()
    assert text.count("plain") == text.count("mine") == 9 and "\\toprule" in text and "DeepFool" in text


@pytest.mark.parametrize(("text", "value"), [("8/255", 8 / 255), ("0.03", 0.03), (" 1 / 4 ", 0.25), ("1e-3", 1e-3)])
def test_budgets_as_text(text, value):
    assert epsilon_from_text(text) == value


@pytest.mark.parametrize("text", ["8/0", "1/2/3", "8:255", "", "/255", "eight"])
def test_what_is_no_budget(text):
    with pytest.raises(ValueError, match=r"expected a number such as 0.03, or a fraction such as 8/255, got"):
        epsilon_from_text(text)


def test_evaluate_reads_budgets_as_text():
    model, images = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), torch.rand(5, 1, 2, 2)
    outcome = evaluate(model, images, torch.zeros(5).long(), ["fgsm"], ("0", "8/255"), trust=TrustSettings(images=0))
    assert outcome.epsilons == (0.0, 8 / 255)
    with pytest.raises(ValueError, match="fraction such as 8/255, got '8/x'"):
        evaluate(model, images, torch.zeros(5).long(), ["fgsm"], ("8/x",))
