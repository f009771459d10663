"""A study that compares with something else than the baseline: every sentence, table and figure speaks of that."""

import json

import pytest
from matplotlib.figure import Figure

from msda_analysis.estimate import Estimate, Measured
from msda_analysis.report.files import open_study
from msda_analysis.report.sections import claims, comparisons, information, robustness
from msda_analysis.report.select import reference_of, select_rows, split_parts
from msda_analysis.report.sentences import pairs_of
from msda_analysis.results import Source, read_rows, to_rows, write_table

_SIDES = ("augmentation", "reference", "verdict")


def compared_rows():
    """What cells that compare attacked classifiers add: claims, curves and budgets, and likeness to MixUp."""
    for family, value, verdict in (("mixup", 0.1, "mixup"), ("cutmix", 0.01, "undecided"), ("fmix", -0.2, "baseline")):
        for attack in ("deepfool", "uniform_noise"):
            estimate = Estimate(
                value, "accuracy", value - 0.04, value + 0.04, 1000, warnings=("3 seeds; epsilon 0.01",)
            )
            more = {"reference": "baseline", "verdict": verdict}
            for metric in ("curve_accuracy", "curve_kept"):
                yield family, Measured(metric, estimate, attack, "linf", p_value=0.004, **more)
            if family == "mixup":
                yield family, Measured("claim_accuracy", estimate, attack, "linf", **more)
            yield family, Measured("accuracy_difference", estimate, attack, "linf", 0.01, p_value=0.004, **more)
    for seed in range(3):
        for family, share in (("baseline", 0.9), ("mixup", 0.1)):
            likeness = Estimate(share + seed / 100, "share of a MixUp step", share - 0.02, share + 0.02, 100)
            yield family, Measured("mixup_likeness", likeness, "deepfool", "linf"), seed


@pytest.fixture(scope="module")
def studies(full_study, tmp_path_factory):
    """One study twice: against the baseline, and with "plain" in its place."""
    rows = [row for row in read_rows(full_study / "results.csv") if row["status"] == "ok"]
    for family, number, *seed in compared_rows():
        source = Source("synthetic", f"compare-{family}", "cifar10", "small_cnn", family, *seed or (0,))
        rows += to_rows(source, [number])
    found = {}
    for name in ("baseline", "plain"):
        folder = tmp_path_factory.mktemp(name)
        renamed = [
            row | {column: name for column in _SIDES if row[column] == "baseline"} | {"cell": row["cell"].replace("baseline", name)}
            for row in rows
        ]  # fmt: skip
        write_table(renamed, folder / "results.csv")
        manifest = json.loads((full_study / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(manifest | {"reference": name}))
        found[name] = folder
    return found


def said(section, name):
    """What a section says in words and tables, without order: names decide it."""
    words = [*section.text, *section.findings, *(item.caption + item.alt for item in section.figures)]
    words += [str(cell) for table in section.tables for row in table.rows for cell in row]
    words += [table.caption for table in section.tables]
    label = {"baseline": "Baseline", "plain": "plain"}[name]
    return sorted(text.replace("the baseline", "REFERENCE").replace(label, "REFERENCE") for text in words)


@pytest.mark.parametrize(
    "maker",
    [
        claims.claims_section, information.information_section, robustness.robustness_section,
        comparisons.comparisons_section,
    ],
    ids=lambda maker: maker.__name__,
)  # fmt: skip
def test_all_is_said_of_the_reference(studies, maker):
    sections = {name: maker(open_study(folder).table, folder) for name, folder in studies.items()}
    first, second = (said(section, name) for name, section in sections.items())
    assert first == second and any("REFERENCE" in text for text in first)
    assert not [text for text in second if "aseline" in text]


def texts_of(figure: Figure) -> str:
    return " ".join(ax.get_xlabel() + ax.get_ylabel() for ax in figure.axes)


def test_figures_name_what_they_subtract(studies):
    for name, label in (("baseline", "minus Baseline"), ("plain", "minus plain")):
        table = open_study(studies[name]).table
        (forest,) = claims.claims_section(table, studies[name]).figures
        assert label in texts_of(forest.figure())
        (difference,) = comparisons.difference_figures(select_rows(table, "accuracy_difference"))
        assert label in texts_of(difference.figure()) and set(difference.numbers["reference"]) == {name}


def test_the_reference_stays_with_every_part_of_a_table(studies):
    table = open_study(studies["plain"]).table
    for _, _, part in split_parts(select_rows(table, ["rate", "accuracy"])):
        assert reference_of(part) == "plain"
    assert reference_of(select_rows(table, "accuracy", seed=0).sort_values("value").assign(more=1)) == "plain"


@pytest.mark.parametrize("reference", ["baseline", "mixup", "fmix", "cutmix"])
def test_no_pair_is_made_twice_or_both_ways_round(reference):
    pairs = pairs_of(["baseline", "mixup", "cutmix", "fmix"], reference)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) and all(len(set(pair)) == 2 for pair in pairs)
    assert [a for a, b in pairs if b == reference] == [
        name for name in ("baseline", "mixup", "cutmix", "fmix") if name != reference
    ]
