"""Where models look, from rows made up here: pictures, figures from their numbers, tables, sentences."""

import numpy as np
import pytest

from msda_analysis.estimate import Estimate, Measured, mean_estimate, over_seeds
from msda_analysis.report import write_report
from msda_analysis.report.sections.attribution import METRICS, attribution_section, overlay
from msda_analysis.report.words import is_known, is_told
from msda_analysis.results import Source, to_rows, to_table, write_table

FAMILIES = ("baseline", "mixup", "fmix")
N = 40


def estimate(value, unit="share", n=N):
    spread = 0.05
    return mean_estimate([value + spread * (-1) ** i for i in range(n)], unit)


def look_rows(n_seeds=3, zero=0.0):
    for place, family in enumerate(FAMILIES):
        for seed in range(n_seeds):
            source, shift = Source("look", f"{family}-{seed}", "digits", "small_cnn", family, seed), 0.01 * seed
            label, area = "features (4 x 4)", 0.3 + 0.02 * place + shift
            found = [
                Measured("attribution_area", estimate(area, "share of the image"), label=label),
                Measured("attribution_entropy", estimate(2.5 + shift, "nats"), label=label),
                Measured("attribution_evenness", estimate(0.9 + shift, "share of ln N"), label=label),
                Measured("attribution_zero", Estimate(zero, "share of maps", 0.0, 0.2, N), label=label),
                Measured(
                    "attribution_agreement", estimate(0.01 + shift, "rank correlation"), reference="random weights"
                ),
                Measured("attribution_agreement", estimate(0.5 + shift, "rank correlation"), reference="another image"),
            ]
            for mask in ("cutmix", "fmix"):
                found += [
                    Measured("attribution_on_part", estimate(0.6 + shift), label=mask),
                    Measured("attribution_part_area", estimate(0.5), label=mask),
                    Measured("attribution_beyond_area", estimate(0.1 + shift), label=mask),
                ]
            yield from to_rows(source, found)
        pooled = Source("look", "compare", "digits", "small_cnn", family, 0)
        pairs = [(family, "other seeds", 0.8)]
        pairs += [("baseline", "same seed", 0.9), ("baseline", "other seeds", 0.7)] if place else []
        yield from to_rows(pooled, [
            Measured("attribution_agreement", estimate(value, "rank correlation"), reference=reference, label=label)
            for reference, label, value in pairs
        ])  # fmt: skip


@pytest.fixture
def table():
    return to_table(look_rows())


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    random = np.random.default_rng(0)
    maps = {family: random.random((8, 16, 16)) for family in FAMILIES}
    np.savez(tmp_path / "pictures" / "attribution.npz", original=random.random((8, 1, 16, 16)), **maps)
    return tmp_path


def test_every_metric_is_known_and_its_notes_are_told():
    assert all(is_known(name) and is_told(name) for name in METRICS)


def test_the_section_opens_with_the_pictures(table, folder):
    section = attribution_section(table, folder)
    assert [item.name for item in section.figures] == ["attribution", "attribution_maps", "attribution_agreement"]
    assert section.figures[0].numbers is None and len(section.figures[0].figure().axes) == 4
    assert [made.name for made in section.tables] == ["attribution_maps", "attribution_parts", "attribution_agreement"]
    assert any("Adebayo" in limit for limit in section.limits)


def test_without_rows_or_pictures_there_is_less(table, tmp_path):
    assert attribution_section(table[:0], tmp_path) is None
    assert attribution_section(table.assign(value=float("nan")), tmp_path) is None
    assert [item.name for item in attribution_section(table, tmp_path).figures] == [
        "attribution_maps", "attribution_agreement",
    ]  # fmt: skip


def test_what_is_drawn_is_the_table_beside_the_figure(table, folder):
    _, maps, agreement = attribution_section(table, folder).figures
    panels = [axes for axes in maps.figure().axes if axes.get_xlabel()]
    assert [axes.get_xlabel() for axes in panels] == [
        "half area (share of the image)", "entropy, share of ln N", *["attribution beyond area (share)"] * 2,
    ]  # fmt: skip
    assert [axes.get_title() for axes in panels] == ["", "", "CutMix masks", "FMix (isotropic) masks"]
    drawn = {round(float(x), 9) for line in panels[0].lines for x in np.ravel(line.get_xdata())}
    drawn |= {round(float(x), 9) for each in panels[0].collections for x in np.ravel(each.get_offsets()[:, 0])}
    numbers = maps.numbers[maps.numbers["metric"] == "attribution_area"]
    assert {round(value, 9) for value in numbers["value"]} <= drawn
    (axes,) = [axes for axes in agreement.figure().axes if axes.get_xlabel()]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "the same augmentation, other seeds", "Baseline, other seeds", "Baseline, same seed", "random weights",
        "another image",
    ]  # fmt: skip
    assert not agreement.numbers.duplicated(["panel", "augmentation"]).any()


def test_intervals_speak_of_seeds_from_three_on(folder):
    for n_seeds in (1, 2, 3):
        part = to_table(look_rows(n_seeds))
        rows = part[(part["metric"] == "attribution_area") & (part["augmentation"] == "mixup")]
        section = attribution_section(part, folder)
        cell = section.tables[0].rows[1][1]
        found = [estimate(value, "share of the image") for value in rows["value"]]
        images = found[0]
        expected = over_seeds(found) if n_seeds == 3 else images
        assert cell.value == pytest.approx(rows["value"].mean())
        assert cell.high - cell.low == pytest.approx(expected.high - expected.low)
        numbers = section.figures[1].numbers
        mean = numbers[(numbers["metric"] == "attribution_area") & (numbers["augmentation"] == "mixup")].iloc[-1]
        assert (mean["low"], mean["high"]) == pytest.approx((cell.low, cell.high))
        assert mean["level"] == ("seed" if n_seeds == 1 else "mean")


def test_sentences_say_what_came_out(folder):
    said = attribution_section(to_table(look_rows(zero=0.1)), folder).findings
    assert said[0].startswith("On images mixed by CutMix masks (digits, small_cnn)") and "Baseline 11.0 ± " in said[0]
    assert said[2] == (
        "Rank correlation of maps (digits, small_cnn), by augmentation: 0.80 with the same augmentation, other seeds; 0.02 "
        "with random weights; 0.51 with another image."
    )
    assert "zero everywhere" in said[3] and "Baseline 10.0 [" in said[3]
    assert len(attribution_section(to_table(look_rows()), folder).findings) == 3


def test_overlays_are_colors_where_the_map_is_and_the_image_elsewhere():
    images, maps = np.full((2, 3, 4, 4), 0.5), np.zeros((2, 4, 4))
    maps[0, 1, 1] = 7.0
    shown = overlay(images, maps)
    assert shown.shape == (2, 3, 4, 4) and shown.min() >= 0 and shown.max() <= 1
    assert (shown[1] == 0.5).all() and (shown[0, :, 0, 0] == 0.5).all()
    assert np.ptp(shown[0, :, 1, 1]) > 0.2, "the brightest place has a color"
    assert (overlay(images, 9 * maps) == shown).all()


def test_a_page_is_made_of_it(folder):
    write_table(look_rows(), folder / "results.csv")
    page = write_report(folder).read_text()
    assert "Where do the models look?" in page and "could not be made" not in page
    for name in ("attribution_maps", "attribution_agreement"):
        assert (folder / "figures" / f"{name}.csv").exists() and (folder / "tables" / f"{name}.tex").exists()
