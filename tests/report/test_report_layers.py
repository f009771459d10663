"""Information by depth, from rows made up here: layers by name, ceilings, tables."""

import math
from dataclasses import replace

import pytest

from msda_analysis.estimate import Estimate
from msda_analysis.information import measured_all, measured_numbers
from msda_analysis.report.sections.information import bounds_section
from msda_analysis.report.sections.layers import ceiling_of, layer_names, layer_tables, layers_figure, layers_section
from msda_analysis.results import Source, to_rows, to_table

LAYERS = ("f1", "f2", "c1")
CEILINGS = {"mine": math.log(500), "mine_tanh": 2.0}


def layer_rows(seeds=(0, 1), *, named=True):
    for method, ceiling in CEILINGS.items():
        for family in ("mixup", "baseline"):
            for seed in seeds:
                for depth, layer in enumerate(LAYERS, start=1):
                    source = Source("depth", f"{family}-{seed}", "digits", "vgg11_bn", family, seed)
                    value = 1.5 / depth + 0.1 * seed
                    found = Estimate(value, "nats", value - 0.05, value + 0.05, 500, "lower")
                    found = replace(found, details={"ceiling_nats": ceiling} if named else {})
                    numbers = measured_numbers(f"layer_{method}", found, label=layer if named else "", x=depth)
                    yield from to_rows(source, numbers)


@pytest.fixture
def table():
    return to_table(layer_rows())


def test_every_panel_names_its_layers_and_its_ceiling(table):
    item = layers_figure(table, ("layer_mine", "layer_mine_tanh", "layer_js"))
    figure, numbers = item.figure(), item.numbers
    assert len(figure.axes) == 2
    for axes, words, height in zip(
        figure.axes, ("ceiling ln K = 6.21", "tanh cap = 2.00"), CEILINGS.values(), strict=True
    ):
        assert [label.get_text() for label in axes.get_xticklabels()] == list(LAYERS)
        assert [text.get_text() for text in axes.texts] == [words]
        assert any(list(line.get_ydata()) == [height, height] for line in axes.lines)
    assert set(numbers["layer"]) == set(LAYERS) and set(numbers["level"]) == {"seed", "mean"}


def test_tables_hold_means_over_seeds_by_layer(table):
    plain, capped = layer_tables(table, ("layer_mine", "layer_mine_tanh", "layer_js"))
    assert plain.headers == ("Augmentation", *LAYERS) and [row[0] for row in plain.rows] == ["Baseline", "MixUp"]
    first, second = plain.rows[0][1:3]
    assert first.value == pytest.approx(1.55) and second.value == pytest.approx(0.8) and first.n == 2
    assert "at most 6.21 nats" in plain.caption and "at most 2 nats" in capped.caption
    (single, _) = layer_tables(to_table(layer_rows(seeds=(0,))), tuple(f"layer_{name}" for name in CEILINGS))
    assert single.rows[0][1].low is None and single.rows[0][1].value == 1.5


def test_rows_without_names_still_draw():
    table = to_table(layer_rows(named=False))
    assert layer_names(table) == {1.0: "1", 2.0: "2", 3.0: "3"} and ceiling_of(table, "layer_mine") is None
    figure = layers_figure(table, ("layer_mine",)).figure()
    assert not figure.axes[0].texts


def test_section_says_how_to_read_it(table):
    section = layers_section(table, None)
    assert [item.name for item in section.figures] == ["layers"] and len(section.tables) == 2
    assert "evaluation mode" in section.text[0] and "deterministic" in section.limits[0]
    assert layers_section(table[:0], None) is None
    with pytest.raises(ValueError, match="expected finished rows"):
        layers_figure(table[:0], ("layer_mine",))


def test_bounds_list_how_loose_they_are_and_what_they_can_show():
    gap = {"gap_nats": 0.5, "gap_low": 0.4, "gap_high": 0.6}
    found = {
        "fitted": Estimate(2.5, "nats", 2.4, 2.6, 100, "upper"),
        "flow": Estimate(2.0, "nats", 1.9, 2.1, 100, "upper", details=gap),
        "info_nce": Estimate(1.0, "nats", 0.9, 1.1, 100, "lower", details={"ceiling_nats": 4.6}),
    }
    table = to_table(to_rows(Source("made", "cell", "digits", "vae", "mixup", 0), measured_all(found)))
    row = table.set_index("metric").loc["flow_gap"]
    assert (row["value"], row["low"], row["high"], row["bound"]) == (0.5, 0.4, 0.6, "")
    shown = bounds_section(table, None).tables[0].frame()
    assert shown["Looseness shown (nats)"].item() == 0.5 and shown["InfoNCE, ceiling (nats)"].item() == 4.6
