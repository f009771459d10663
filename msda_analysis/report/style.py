"""How every figure looks: sizes, fonts, and one colour, marker and line per augmentation."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl

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
_LABELS = {"": "(none)", "fmix": "FMix (isotropic)", "cutmix_inside": "CutMix (inside)"}


def label_of(augmentation: str) -> str:
    """The name readers see: "fmix+mixup" becomes "FMix + MixUp", "fmix_released" becomes "FMix (released)"."""
    if augmentation in _LABELS:
        return _LABELS[augmentation]
    if "+" in augmentation:
        return " + ".join(_without_default(label_of(part.strip())) for part in augmentation.split("+"))
    family, _, variant = augmentation.partition("_")
    word = _WORDS.get(family)
    if word is None:
        return augmentation
    return f"{word} ({variant.replace('_', ' ')})" if variant else word


def law_of(augmentation: str) -> set[str]:
    """The mask laws of FMix that a name stands for: "fmix" is isotropic, "fmix_released" released; others have none."""
    parts = [part.strip() for part in augmentation.split("+")]
    return {part.partition("_")[2] or "isotropic" for part in parts if part.partition("_")[0] == "fmix"}


def order_augmentations(names: Iterable[str]) -> list[str]:
    """Unique names in the order of every figure and table: the known ones first, then the others by name."""
    known = list(_LOOKS)
    return sorted(set(names), key=lambda name: (known.index(name) if name in known else len(known), name))


def looks_for(names: Iterable[str]) -> dict[str, Look]:
    """The look of each name, in figure order; known names always keep theirs, others take spare ones by name."""
    ordered = order_augmentations(names)
    unknown = [name for name in ordered if name not in _LOOKS]
    spare = {name: _SPARE[i % len(_SPARE)] for i, name in enumerate(unknown)}
    return {name: _LOOKS.get(name) or spare[name] for name in ordered}


def paper_style() -> dict[Any, Any]:
    """A new dictionary of matplotlib settings for papers: 8 pt, thin lines, fonts kept as text in PDF."""
    return dict(_RC)


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under the paper style and leave matplotlib's global settings as they were."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(paper_style()):
            return draw(*args, **kwargs)

    return wrapper


def _without_default(label: str) -> str:
    return label.removesuffix(" (isotropic)")
