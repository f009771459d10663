"""One figure of a study's page as its author needs it: width, families, palette, fonts and language; nothing is drawn twice."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import colors as mpl_colors
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter

from msda_analysis.report import all_sections
from msda_analysis.report.files import Provenance, StudyFolder, open_study, render, write_bytes
from msda_analysis.report.fitting import fit_texts, named_ticks, texts_outside
from msda_analysis.report.presentation import Presentation, presented
from msda_analysis.report.section import FigureItem
from msda_analysis.report.style import DOUBLE_COLUMN, SINGLE_COLUMN, order_augmentations, paper_style, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTHS = {"single": SINGLE_COLUMN, "double": DOUBLE_COLUMN}
KINDS = ("pdf", "png", "svg")
Palette = str | Sequence[str] | Mapping[str, str]
_OWN_SIZE = 8.0  # points: size of the page's figures
_NOT_TAKEN = ("backend", "interactive", "toolbar", "figure.figsize", "savefig.bbox", "font.size")
_MATH = re.compile(r"(\$[^$]*\$)")


@dataclass(frozen=True)
class Made:
    """A figure and what its author may want to know of it.

    Attributes:
        figure: matplotlib's.
        texts: all that can be translated, as they stood before.
        unused: keys of the labels that are in none of them.
        outside: texts that do not fit into the figure, whatever was tried.
    """

    figure: "Figure"
    texts: tuple[str, ...]
    unused: tuple[str, ...]
    outside: tuple[str, ...]


def paper_figure(
    name: str, folder: str | Path, out: str | Path | None = None, *, width: float | str | None = None,
    families: Sequence[str] = (), palette: Palette | None = None, labels: Mapping[str, str] | str | Path | None = None,
    font: str | None = None, font_size: float | None = None,
) -> "Figure":  # fmt: skip
    """One figure of a study's page as an author needs it. The numbers are the page's: nothing is measured or corrected again.

    What is not asked for is taken from the user's own settings of matplotlib (matplotlibrc or rcParams) where they differ from
    matplotlib's, and else from the page.

    Args:
        name: of the figure: that of its files in figures/.
        folder: a study's output folder.
        out: file to write, .pdf, .png or .svg, with the provenance that `msda-analysis verify` reads; None writes none.
        width: in inches, or "single" (3.3) or "double" (6.9) column.
        families: augmentations to show, in this order, as the table names them; () shows all in the page's order.
        palette: a palette's name for seaborn (such as "colorblind" or "Greys_d"), colors in the order of the families, or
            augmentation -> color.
        labels: text of the figure -> text to show, or a TOML file of such lines; whole texts first, then words within them.
        font: family, such as "serif" or "Times New Roman".
        font_size: of most texts, in points; smaller ones keep their ratio to it.

    Returns:
        The figure, which can be changed further.

    Raises:
        FileNotFoundError: the folder has no results.csv, or there is no file of labels.
        ValueError: a figure that the study does not have, a family that it lacks, or a setting that cannot be read.
    """
    made = make_figure(
        name,
        folder,
        out,
        width=width,
        families=families,
        palette=palette,
        labels=labels,
        font=font,
        font_size=font_size,
    )
    return made.figure


def make_figure(
    name: str, folder: str | Path, out: str | Path | None = None, *, width: float | str | None = None,
    families: Sequence[str] = (), palette: Palette | None = None, labels: Mapping[str, str] | str | Path | None = None,
    font: str | None = None, font_size: float | None = None, left_out: Sequence[str] = (),
) -> Made:  # fmt: skip
    """The same as paper_figure, with what its author may want to know, and without the rows of cells that are left out."""
    kind = _kind_of(out)
    texts = read_labels(labels)
    study = open_study(Path(folder), left_out)
    known = _families_of(study)
    _check_families(families, known)
    order = [*families, *(each for each in order_augmentations(known) if each not in families)]
    presentation = _presentation(width, order, palette, font, font_size, is_ordered=bool(families))
    with presented(presentation):
        item = choose_families(_find_item(study, name), families)
        figure = styled(item.figure)()
        before, unused = translate(figure, texts)
        styled(fit_texts)(figure)
        outside = tuple(texts_outside(figure))
        if out is not None:
            drawn = _describe(name, presentation, families, palette, bool(texts))
            _write(figure, Path(out), kind, name, replace(study.provenance, drawn=drawn))
    return Made(figure, before, unused, outside)


def figures_of(study: StudyFolder) -> Iterator[FigureItem]:
    """All figures of a study's page, in its order; a section that cannot be made has none."""
    for maker in all_sections():
        try:
            section = maker(study.table, study.path)
        except ValueError:  # the page says so; other figures can be drawn
            continue
        yield from section.figures if section is not None else ()


def choose_families(item: FigureItem, families: Sequence[str]) -> FigureItem:
    """The same figure of some families alone.

    Raises:
        ValueError: the figure shows none of them, or is not drawn by family.
    """
    if not families:
        return item
    if item.pictures is not None:
        given = [key for key in item.pictures if key in families]
        shown = {key: rows for key, rows in item.pictures.items() if key in families or key in _SOURCES}
        _check_any(given, item, [key for key in item.pictures if key not in _SOURCES])
        item = replace(item, pictures=shown)
    if item.numbers is None:
        return item
    if "augmentation" not in item.numbers:
        raise ValueError(f"families: figure {item.name!r} is not drawn by family; leave them out")
    numbers = item.numbers
    is_chosen = numbers["augmentation"].isin(families)
    if "reference" in numbers and set(numbers["reference"]) & set(numbers["augmentation"]):  # a matrix: of both sides
        is_chosen &= numbers["reference"].isin(families)
    _check_any(numbers[is_chosen].index, item, order_augmentations(numbers["augmentation"]))
    return replace(item, numbers=numbers[is_chosen].reset_index(drop=True))


_SOURCES = ("original", "image_a", "image_b")


def read_labels(labels: Mapping[str, str] | str | Path | None) -> dict[str, str]:
    """Text -> text, from a mapping or a TOML file of lines such as "clean accuracy" = "Genauigkeit".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not TOML, or holds something else than text.
    """
    if labels is None:
        return {}
    if isinstance(labels, (str, Path)):
        path = Path(labels)
        if not path.is_file():
            raise FileNotFoundError(f'labels: no such file, {path}; expected TOML lines such as "MixUp" = "mixup"')
        try:
            labels = tomllib.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(
                f'labels: {path} is not TOML ({error}); expected lines such as "MixUp" = "mixup"'
            ) from None
    wrong = [key for key, text in labels.items() if not (isinstance(text, str) and key)]
    if wrong:
        raise ValueError(f"labels: expected text for each text, got something else for {', '.join(map(repr, wrong))}")
    return dict(labels)


def read_palette(words: Sequence[str] | None) -> Palette | None:
    """From words of a command line: one name of a palette or color, several colors, or family=color.

    >>> read_palette(["fmix=black"]), read_palette(["colorblind"]), read_palette(["black", "#888888"])
    ({'fmix': 'black'}, 'colorblind', ['black', '#888888'])
    """
    if not words:
        return None
    if any("=" in word for word in words):
        return {word.rpartition("=")[0]: word.rpartition("=")[2] for word in words}
    return words[0] if len(words) == 1 and not mpl_colors.is_color_like(words[0]) else list(words)


def translate(figure: "Figure", labels: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put words in place of others in all texts of a figure; returns the texts as they stood, and the keys found in none."""
    found: dict[str, None] = {}
    used: set[str] = set()

    def said(text: str) -> str:
        found.setdefault(text)
        return _translated(text, labels, used)

    for text in figure.findobj(Text):
        if text.get_text().strip():
            text.set_text(said(text.get_text()))
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            names = named_ticks(axis)
            if names:
                axis.set_major_formatter(FixedFormatter([said(name) for name in names]))
    return tuple(text for text in found if text), tuple(key for key in labels if key not in used)


def _translated(text: str, labels: Mapping[str, str], used: set[str]) -> str:
    """The whole text if it has an entry, else the longest words within it that have; formulas stay."""
    if text in labels:
        used.add(text)
        return labels[text]
    keys = sorted(labels, key=len, reverse=True)
    words = re.compile("|".join(rf"(?<!\w){re.escape(key)}(?!\w)" for key in keys)) if keys else None

    def put(match: re.Match[str]) -> str:
        used.add(match[0])
        return labels[match[0]]

    parts = _MATH.split(text)
    return "".join(part if part.startswith("$") or words is None else words.sub(put, part) for part in parts)


def _presentation(
    width: float | str | None, order: list[str], palette: Palette | None, font: str | None, font_size: float | None, *,
    is_ordered: bool,
) -> Presentation:  # fmt: skip
    own = _own_settings()
    size = font_size if font_size is not None else own.get("font.size", _OWN_SIZE)
    if not 2 <= size <= 40:
        raise ValueError(f"font_size: expected 2 to 40 points, got {size!r}")
    asked = {} if font is None else _font_settings(font)
    colors = _colors(palette, order, own.get("axes.prop_cycle"))
    taken = {key: value for key, value in own.items() if key not in _NOT_TAKEN}
    if font_size is not None:  # what is asked for goes before a user's own sizes
        taken = {key: value for key, value in taken.items() if not key.endswith("size")}
    own_width = own["figure.figsize"][0] if "figure.figsize" in own else None
    return Presentation(
        _inches(width, own_width), tuple(order) if is_ordered else (), colors, size / _OWN_SIZE, {**taken, **asked}
    )


def _own_settings() -> dict[str, Any]:
    """The user's settings of matplotlib, from a matplotlibrc or rcParams: those that are not matplotlib's own."""
    usual = mpl.rcParamsDefault
    return {
        key: mpl.rcParams[key]
        for key in mpl.rcParams
        if key not in ("backend",) and mpl.rcParams[key] != usual.get(key)
    }


def _font_settings(font: str) -> dict[str, Any]:
    """A generic family, or one font before those of the paper style."""
    from matplotlib.font_manager import findfont

    if font in ("serif", "sans-serif", "monospace", "cursive", "fantasy"):
        return {"font.family": [font]}
    try:
        findfont(font, fallback_to_default=False)
    except ValueError:
        raise ValueError(f"font: expected serif, sans-serif, monospace or an installed font, got {font!r}") from None
    return {"font.family": [font, *paper_style()["font.sans-serif"]]}


def _colors(palette: Palette | None, order: Sequence[str], cycle: Any) -> dict[str, str]:
    """Augmentation -> color, as asked for, or from a color cycle of the user's own."""
    import seaborn as sns

    if palette is None:
        return {} if cycle is None else _in_turn([each["color"] for each in cycle], order)
    if isinstance(palette, Mapping):
        _check_families(list(palette), order, "palette")
        return {key: _color(each) for key, each in palette.items()}
    if isinstance(palette, str):
        try:
            return _in_turn([mpl_colors.to_hex(color) for color in sns.color_palette(palette, len(order))], order)
        except ValueError:
            raise ValueError(
                f"palette: expected a name that seaborn knows, such as colorblind, deep, viridis or Greys_d; got {palette!r}"
            ) from None
    return _in_turn([_color(each) for each in palette], order)


def _in_turn(colors: Sequence[str], order: Sequence[str]) -> dict[str, str]:
    return {name: colors[i % len(colors)] for i, name in enumerate(order)}


def _color(text: str) -> str:
    try:
        return mpl_colors.to_hex(text)
    except ValueError:
        raise ValueError(f"palette: expected colors such as black or #1B9E77, got {text!r}") from None


def _inches(width: float | str | None, own: float | None) -> float | None:
    if width is None:
        return own
    try:
        inches = WIDTHS.get(str(width)) or float(width)
    except ValueError:
        inches = 0.0
    if not 1 <= inches <= 40:
        raise ValueError(f"width: expected 1 to 40 inches, {' or '.join(WIDTHS)}; got {width!r}")
    return inches


def _kind_of(out: str | Path | None) -> str:
    kind = "" if out is None else Path(out).suffix.removeprefix(".").lower()
    if out is not None and kind not in KINDS:
        raise ValueError(f"out: expected a file that ends in .{', .'.join(KINDS)}, got {str(out)!r}")
    return kind


def _families_of(study: StudyFolder) -> list[str]:
    return sorted({*study.table["augmentation"], *study.table["reference"]} - {"", "shuffled"})


def _check_families(names: Sequence[str], known: Sequence[str], what: str = "families") -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{what}: expected some of {', '.join(order_augmentations(known))}; got {name!r}")


def _check_any(found: Any, item: FigureItem, shown: Sequence[str]) -> None:
    if len(found) == 0:
        raise ValueError(f"families: figure {item.name!r} shows {', '.join(shown)}; none of these was asked for")


def _find_item(study: StudyFolder, name: str) -> FigureItem:
    names = []
    for item in figures_of(study):
        if item.name == name:
            return item
        names.append(item.name)
    raise ValueError(f"name: {study.path} has no figure {name!r}; it has {', '.join(names) or 'none'}")


def _describe(
    name: str, presentation: Presentation, families: Sequence[str], palette: Palette | None, has_labels: bool
) -> str:
    """What was asked, in one line of the provenance."""
    parts = [
        f"figure {name}", f"width {presentation.width:g} in" if presentation.width else "",
        f"families {' '.join(families)}" if families else "", "palette of its own" if palette is not None else "",
        "labels of its own" if has_labels else "",
    ]  # fmt: skip
    return ", ".join(part for part in parts if part)


def _write(figure: "Figure", path: Path, kind: str, name: str, provenance: Provenance) -> None:
    layout = figure.get_layout_engine()
    figure.set_layout_engine("none")
    write_bytes(path, styled(render)(figure, kind, name, provenance))
    figure.set_layout_engine(layout)
