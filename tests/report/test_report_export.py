"""One figure as its author needs it: the page's numbers in the width, order, colors and words that were asked for."""

import itertools
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest

import msda_analysis
from msda_analysis.cli import main
from msda_analysis.report.export import (
    Presentation,
    figures_of,
    make_figure,
    paper_figure,
    presented,
    read_labels,
    read_palette,
)
from msda_analysis.report.files import open_study
from msda_analysis.report.fitting import fit_texts, texts_outside
from msda_analysis.report.style import looks_for, paper_style, styled
from msda_analysis.results import read_table, write_table
from msda_analysis.studies.verify import carried_line, verify


@pytest.fixture(scope="module")
def study(tmp_path_factory, study_maker):
    """One seed and few budgets: quickly drawn."""
    folder = study_maker(1).write(tmp_path_factory.mktemp("small"))
    table = read_table(folder / "results.csv")
    kept = table[table["epsilon"].isna() | table["epsilon"].isin([0.0, 0.01, 0.1])]
    write_table(kept.to_dict("records"), folder / "results.csv")
    return folder


def all_texts(figure) -> list[str]:
    figure.draw_without_rendering()
    found = [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_visible()]
    return [text for text in found if text]


def line_colors(figure) -> set[str]:
    return {mpl.colors.to_hex(line.get_color()) for ax in figure.axes for line in ax.lines if len(line.get_xdata()) > 2}


def test_the_numbers_are_those_of_the_page(study):
    """Leaving families out corrects nothing again: what is drawn are the page's own rows."""
    (item,) = (item for item in figures_of(open_study(study)) if item.name == "robustness")
    figure = paper_figure("robustness", study, width="single", families=["fmix", "baseline"])
    ax = next(ax for ax in figure.axes if ax.get_title() == "PGD")
    page = item.numbers[(item.numbers["attack"] == "pgd") & (item.numbers["level"] == "seed")]
    drawn = {mpl.colors.to_hex(line.get_color()): line.get_ydata().tolist() for line in ax.lines}
    for name in ("baseline", "fmix"):
        rows = page[page["augmentation"] == name].sort_values("epsilon")
        assert drawn.pop(looks_for([name])[name].color.lower()) == rows["value"].tolist()
    assert not drawn, "and of no other family"
    assert figure.get_figwidth() == 3.3 and len(item.numbers["augmentation"].unique()) == 4


def test_families_come_in_the_order_asked_for(study):
    figure = paper_figure("robustness", study, families=["fmix", "baseline", "mixup"])
    (legend,) = [ax.get_legend() for ax in figure.axes if ax.get_legend()] + figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["FMix (isotropic)", "Baseline", "MixUp"]
    rows = paper_figure("information", study, families=["fmix", "baseline"]).axes[0]
    assert [tick.get_text() for tick in rows.get_yticklabels()] == ["FMix (isotropic)", "Baseline"]


def test_pictures_are_chosen_and_narrowed_too(study):
    figure = paper_figure("mixed", study, width=3.3, families=["cutmix"])
    assert [text for text in all_texts(figure) if text.strip("0123456789")] == ["Image A", "Image B", "CutMix"]
    assert figure.get_figwidth() == 3.3


@pytest.mark.parametrize(("width", "size"), [(3.3, 11)])
def test_every_legend_and_text_lies_inside_the_box(study, width, size):
    """With a name that is longer than a column."""
    with presented(Presentation(width, scale=size / 8)):
        for item in figures_of(open_study(study)):
            numbers = item.numbers
            if numbers is not None and "augmentation" in numbers and width == 3.3:
                longer = numbers["augmentation"].replace(
                    "cutmix", "my_masks:Stripes(period=8, direction='along both axes')"
                )
                numbers = numbers.assign(augmentation=longer)
            figure = styled(replace(item, numbers=numbers).figure)()
            styled(fit_texts)(figure)
            assert not texts_outside(figure), item.name
            assert figure.get_figwidth() == width
            plots = [ax.get_window_extent() for ax in figure.axes if ax.axison]
            assert all(box.width > 0.15 * figure.bbox.width and box.height > 20 for box in plots), item.name


def test_titles_beside_each_other_do_not_touch(study):
    figure = paper_figure("mask_details", study, width=3.3)
    labels = [ax.xaxis.label.get_window_extent() for ax in figure.axes if ax.axison and ax.get_xlabel()]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(labels, 2))


def test_sizes_and_fonts(study):
    small, large = (paper_figure("robustness", study, font_size=size, font="serif") for size in (8, 12))
    sizes = [next(ax.title.get_fontsize() for ax in figure.axes if ax.get_title()) for figure in (small, large)]
    assert sizes == [8, 12]
    assert {ax.title.get_fontfamily()[0] for ax in large.axes} == {"serif"}
    with pytest.raises(
        ValueError, match="font: expected serif, sans-serif, monospace or an installed font, got 'No Such'"
    ):
        paper_figure("robustness", study, font="No Such")


@pytest.mark.parametrize(("palette", "colors"), [
    ({"fmix": "red"}, {"#222222", "#ff0000"}), (["black", "#777777"], {"#000000", "#777777"}),
])  # fmt: skip
def test_palettes(study, palette, colors):
    assert line_colors(paper_figure("robustness", study, families=["baseline", "fmix"], palette=palette)) == colors


def test_a_named_palette_gives_each_family_one_color_in_all_figures(study):
    chosen = [line_colors(paper_figure("robustness", study, palette="colorblind", families=list(names)))
              for names in (("baseline", "fmix"), ("baseline", "fmix", "mixup"))]  # fmt: skip
    assert len(chosen[0]) == 2 and chosen[0] < chosen[1]
    with pytest.raises(ValueError, match=r"palette: expected a name that seaborn knows, .* got 'no such'"):
        paper_figure("robustness", study, palette="no such")


def test_the_users_own_settings_hold_where_nothing_else_is_asked(study):
    """Those of a matplotlibrc and of rcParams are one thing to matplotlib."""
    own = {"font.size": 12, "axes.facecolor": "#eeeeee", "lines.linewidth": 3.0, "figure.figsize": (5, 4), "axes.prop_cycle": mpl.cycler(color=["#ff0000", "#0000ff"])}  # fmt: skip
    with mpl.rc_context(own):
        figure = paper_figure("robustness", study, families=["baseline", "fmix"])
        asked = paper_figure("robustness", study, families=["baseline", "fmix"], width=4, font_size=7, palette=["k"])
    ax = figure.axes[0]
    assert (
        figure.get_figwidth() == 5
        and ax.title.get_fontsize() == 12
        and mpl.colors.to_hex(ax.get_facecolor()) == "#eeeeee"
    )
    assert {line.get_linewidth() for line in ax.lines if line.get_marker() not in ("", "None")} == {3.0}
    assert line_colors(figure) == {"#ff0000", "#0000ff"}
    assert asked.get_figwidth() == 4 and asked.axes[0].title.get_fontsize() == 7 and line_colors(asked) == {"#000000"}
    assert paper_style()["font.size"] == 8, "the page stays the same on every machine"


def test_language(study, tmp_path):
    file = tmp_path / "labels.toml"
    file.write_text(
        '"Uniform noise" = "Gleichverteiltes Rauschen"\n"Baseline" = "ohne"\naccuracy = "Genauigkeit"\nCutMax = "?"\n'
    )
    made = make_figure("robustness", study, labels=file)
    texts = all_texts(made.figure)
    assert "Gleichverteiltes Rauschen" in [text.replace("\n", " ") for text in texts] and "ohne" in texts
    assert "Genauigkeit (fraction)" in [text.replace("\n", " ") for text in texts] and not any(
        "accuracy" in text for text in texts
    )
    assert made.unused == ("CutMax",) and "Uniform noise" in made.texts
    dots = paper_figure("information", study, labels={"Baseline": "ohne"})
    assert "ohne" in [tick.get_text() for tick in dots.axes[0].get_yticklabels()]


@pytest.mark.parametrize(("content", "message"), [
    ("no toml", "labels: .* is not TOML .* expected lines such as"), ("a = 3", "labels: expected text for each text, .* 'a'"),
])  # fmt: skip
def test_labels_that_cannot_be_read(tmp_path, content, message):
    (tmp_path / "labels.toml").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / "labels.toml")
    with pytest.raises(FileNotFoundError, match="labels: no such file"):
        read_labels(tmp_path / "none.toml")


@pytest.mark.parametrize("kind", ["pdf", "png", "svg"])
def test_files_carry_what_made_them(study, tmp_path, kind):
    """In the study's folder they are held against its table; elsewhere they still say where they come from."""
    inside, away = study / "figures" / f"mine.{kind}", tmp_path / f"fig2.{kind}"
    for path in (inside, away):
        paper_figure("information", study, path, width="single", families=["baseline", "fmix"])
    assert "drawn: figure information, width 3.3 in, families baseline fmix" in carried_line(inside)
    assert f"{inside.name} was made from results.csv as it is" in verify(inside).agrees
    trace = verify(away)
    assert "study: synthetic" in trace.made_by and "lies outside its study" in trace.unknown[0]
    inside.unlink()


def test_the_written_figure_has_the_width_asked_for(study, tmp_path):
    from PIL import Image

    paper_figure("robustness", study, tmp_path / "fig.png", width="double")
    with Image.open(tmp_path / "fig.png") as image:
        assert image.width == round(6.9 * 300)


@pytest.mark.parametrize(("more", "message"), [
    ({"name": "robustnes"}, "name: .* has no figure 'robustnes'; it has .*information, .*robustness"),
    ({"families": ["fmx"]}, "families: expected some of baseline, mixup, cutmix, fmix, fmix_released; got 'fmx'"),
    ({"families": ["fmix_released"]}, "families: figure 'robustness' shows baseline, mixup, cutmix, fmix; none of these was asked for"),
    ({"width": "wide"}, "width: expected 1 to 40 inches, single or double; got 'wide'"),
    ({"width": 0.2}, "width: expected 1 to 40 inches"),
    ({"font_size": 100}, "font_size: expected 2 to 40 points, got 100"),
    ({"palette": {"fmx": "red"}}, "palette: expected some of baseline, .*; got 'fmx'"),
    ({"palette": ["nocolor"]}, "palette: expected colors such as black or #1B9E77, got 'nocolor'"),
    ({"out": "fig.docx"}, r"out: expected a file that ends in .pdf, .png, .svg, got 'fig.docx'"),
])  # fmt: skip
def test_what_cannot_be_done_is_said(study, more, message):
    with pytest.raises(ValueError, match=message):
        paper_figure(**{"name": "robustness", "folder": study, **more})


def test_the_command(study, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [
        "figure",
        "information",
        str(study),
        "--width",
        "3.3",
        "--families",
        "baseline",
        "fmix",
        "--palette",
        "fmix=red",
    ]
    assert (
        main(words) == 0
        and capsys.readouterr().out == "information.pdf\n"
        and Path("information.pdf").stat().st_size > 1000
    )
    Path("labels.toml").write_text('Nothing = "x"')
    assert main([*words, "--labels", "labels.toml", "--out", "two.svg"]) == 0
    assert "not in this figure: 'Nothing'; its texts are" in capsys.readouterr().err and Path("two.svg").exists()
    assert main(["figure", "inform", str(study)]) == 2
    assert "has no figure 'inform'; it has" in capsys.readouterr().err


def test_palettes_from_words():
    assert (
        read_palette(None) is None and read_palette(["Greys_d"]) == "Greys_d" and read_palette(["black"]) == ["black"]
    )
    assert read_palette(["baseline=k", "my:M(a=1)=red"]) == {"baseline": "k", "my:M(a=1)": "red"}


def test_it_is_public():
    assert msda_analysis.paper_figure is paper_figure
