"""How every figure looks: sizes, fonts, and one colour, marker and line per augmentation."""

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.colors import to_rgb

from msda_analysis.report.presentation import active, scale_sizes

P = ParamSpec("P")
R = TypeVar("R")

#: Column widths of a two-column paper, in inches.
SINGLE_COLUMN = 3.3
DOUBLE_COLUMN = 6.9

_RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same figure on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "figure.facecolor": "white",
    "pdf.fonttype": 42,  # text stays text in the PDF
    "ps.fonttype": 42,
    "svg.fonttype": "path",  # a report needs no fonts of its reader
    "svg.hashsalt": "msda_analysis",  # same table, same bytes
    "image.interpolation": "nearest",
}


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of one augmentation; marker and line are the second cue, for grey prints."""

    color: str
    marker: str
    line: Any


# lightness (CIE L*) of the four main ones is 13, 39, 57 and 71, so that they stay apart in grey
_LOOKS = {
    "baseline": Look("#222222", "o", "-"),
    "mixup": Look("#E69F00", "s", (0, (5, 1.5))),
    "cutmix": Look("#1F5FA8", "^", (0, (5, 1.5, 1, 1.5))),
    "fmix": Look("#1B9E77", "D", (0, (1, 1))),
    "fmix_released": Look("#CC79A7", "v", (0, (3, 1, 1, 1, 1, 1))),
    "fmix+mixup": Look("#D55E00", "P", (0, (8, 2))),
    "cutmix_inside": Look("#56B4E9", "<", (0, (2, 2))),
    "cutmix+mixup": Look("#7B3F98", "X", (0, (8, 2, 1, 2))),
}
_SPARE = (
    Look("#8C6D31", ">", (0, (4, 1, 1, 1))),
    Look("#777777", "h", (0, (1, 2))),
    Look("#A50026", "p", (0, (6, 1, 2, 1))),
    Look("#4D4D00", "*", (0, (2, 1))),
)
_WORDS = {"baseline": "Baseline", "mixup": "MixUp", "cutmix": "CutMix", "fmix": "FMix"}
_OWN = "._."  # stands between module and class while a text is read
_BY_DEFAULT = {"fmix": "isotropic"}  # the law that a name without one stands for


def label_of(augmentation: str) -> str:
    """The name readers see.

    >>> label_of("fmix"), label_of("fmix_released"), label_of("fmix+mixup")
    ('FMix (isotropic)', 'FMix (released)', 'FMix + MixUp')
    >>> label_of("fmix(decay_power=1.5)"), label_of("my_masks:Stripes(period=8)")
    ('FMix (isotropic, decay power 1.5)', 'Stripes (period 8)')
    """
    families = families_of(augmentation)
    if len(families) > 1:
        return " + ".join(_label(*family, is_alone=False) for family in families)
    return _label(*families[0]) if augmentation else "(none)"


def law_of(augmentation: str) -> set[str]:
    """The mask laws of FMix that a name stands for: "fmix" is isotropic, "fmix_released" released; others have none."""
    return {
        _variant(name, settings) for name, settings in families_of(augmentation) if name.partition("_")[0] == "fmix"
    }


def families_of(augmentation: str) -> list[tuple[str, dict[str, str]]]:
    """Name and settings of each family of an augmentation's text; a text of another kind is one name.

    >>> families_of("fmix(decay_power=1.5)+mixup")
    [('fmix', {'decay_power': '1.5'}), ('mixup', {})]
    """
    try:
        node = ast.parse(re.sub(r"(?<=\w):(?=\w)", _OWN, augmentation.strip()), mode="eval").body
    except (SyntaxError, ValueError):
        return [(augmentation, {})]
    parts = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts, node = [node.right, *parts], node.left
    found = [_read_family(part) for part in (node, *parts)]
    return [family for family in found if family] if all(found) else [(augmentation, {})]


def _read_family(node: ast.expr) -> tuple[str, dict[str, str]] | None:
    settings = {}
    if isinstance(node, ast.Call):
        if node.args:
            return None
        settings, node = {str(each.arg): ast.unparse(each.value) for each in node.keywords}, node.func
    return (ast.unparse(node), settings) if isinstance(node, (ast.Name, ast.Attribute)) else None


def _label(name: str, settings: dict[str, str], *, is_alone: bool = True) -> str:
    family = name.partition("_")[0]
    word = _WORDS.get(family) or name.rpartition(_OWN)[2]
    variant = _variant(name, settings) if family in _WORDS else ""
    if not is_alone and variant == _BY_DEFAULT.get(family):
        variant = ""
    more = [f"{key.replace('_', ' ')} {value}" for key, value in settings.items() if key != "spectrum"]
    said = ", ".join(part for part in (variant.replace("_", " "), *more) if part)
    return f"{word} ({said})" if said else word


def _variant(name: str, settings: dict[str, str]) -> str:
    family, _, variant = name.partition("_")
    return settings.get("spectrum", "").strip("'\"") or variant or _BY_DEFAULT.get(family, "")


def contrast_of(one: Any, other: Any) -> float:
    """Contrast of two of matplotlib's colors, from 1 (none) to 21 (black on white), by WCAG 2."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: Any) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def order_augmentations(names: Iterable[str]) -> list[str]:
    """Unique names in the order of every figure and table: those an author puts first, the known ones, the others by name."""
    known = list(dict.fromkeys((*active().order, *_LOOKS)))
    return sorted(set(names), key=lambda name: (known.index(name) if name in known else len(known), name))


def looks_for(names: Iterable[str]) -> dict[str, Look]:
    """The look of each name, in figure order; known names always keep theirs, others take spare ones by name."""
    ordered = order_augmentations(names)
    unknown = [name for name in ordered if name not in _LOOKS]
    spare = {name: _SPARE[i % len(_SPARE)] for i, name in enumerate(unknown)}
    looks, colors = {name: _LOOKS.get(name) or spare[name] for name in ordered}, active().colors
    return {name: replace(look, color=colors.get(name, look.color)) for name, look in looks.items()}


def spare_looks(names: Iterable[str]) -> dict[str, Look]:
    """Looks of things that are no augmentations, such as methods or attacks, in their order."""
    looks = [*_LOOKS.values(), *_SPARE]
    return {name: looks[i % len(looks)] for i, name in enumerate(dict.fromkeys(names))}


def paper_style() -> dict[Any, Any]:
    """A new dictionary of matplotlib settings for papers: 8 pt, thin lines, fonts kept as text in PDF; or as an author asks."""
    return scale_sizes(_RC)


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under the paper style and leave matplotlib's global settings as they were."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(paper_style()):
            return draw(*args, **kwargs)

    return wrapper
