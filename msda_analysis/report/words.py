"""What metrics, attacks and norms are called on axes, in tables and in sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

#: A pandas DataFrame, most often the long table or some of its rows. Named, not imported: without stubs, a type checker
#: rejects nearly every correct use of one.
Table = Any


@dataclass(frozen=True)
class Metric:
    """Words for one metric.

    Attributes:
        label: short name for tables and sentences.
        symbol: the same for an axis (mathtext allowed).
        definition: one or two sentences for a reader who knows the field but not this package.
        kind: what sentences call it beside its name; "" for nothing.
    """

    label: str
    symbol: str
    definition: str = ""
    kind: str = ""


_METRICS: dict[str, Metric] = {}
_TOLD: list[str] = []
#: Attacks that sentences, tables and the matrix speak of where they were made: the two of the paper, and all together.
MAIN_ATTACKS = ("deepfool", "uniform_noise", "worst_case")
#: A difference of at most this share, of images or of the baseline's level, makes no practical difference.
MARGIN = 0.02
_CEILING = "_ceiling"
_ATTACKS = {
    "fgsm": "FGSM", "bim": "BIM", "pgd": "PGD", "uniform_noise": "Uniform noise", "deepfool": "DeepFool",
    "worst_case": "Worst case", "strong_gradient": "Strong gradient attacks", "apgd": "APGD",
    "apgd_ce": "APGD (cross-entropy)", "apgd_dlr": "APGD (margin)", "square": "Square", "ddn": "DDN", "fmn": "FMN",
    "gaussian_noise": "Gaussian noise", "gaussian": "White noise", "fade": "Fading to the mean image",
    "mixup": "A MixUp step", "mixup_direction": "MixUp direction", "carlini_wagner": "Carlini-Wagner",
}  # fmt: skip
#: Attacks whose names are ordinary words, in the middle of a sentence.
_IN_TEXT = {
    "uniform_noise": "uniform noise", "worst_case": "the worst case", "strong_gradient": "strong gradient attacks",
    "gaussian": "white noise",
}  # fmt: skip
_NORM_WORDS = {"linf": "", "l2": "L2"}
_NORMS = {"linf": "$L_\\infty$", "l2": "$L_2$", "l1": "$L_1$", "l0": "$L_0$"}
_LONG_LABEL = 26  # letters that fit under a panel


def define(metrics: Mapping[str, Metric], *, told: Sequence[str] = ()) -> None:
    """Make a section's metrics known: the sections of the page call this once each, when they are imported.

    Args:
        metrics: words by name.
        told: names, with * for any letters, of metrics whose notes the section tells itself.
    """
    _METRICS.update(metrics)
    _TOLD.extend(told)


def metric_of(name: str) -> Metric:
    """Words for a metric; an unknown one is called by its column name and has no definition."""
    if name.endswith(_CEILING):  # in no figure, but in tables
        of = metric_of(name.removesuffix(_CEILING))
        return Metric(f"{of.label}, ceiling", f"{of.symbol}, ceiling", "The most that this number could show.")
    plain = name.replace("_", " ")
    return _METRICS.get(name) or Metric(plain[:1].upper() + plain[1:], plain)


def is_known(name: str) -> bool:
    """Whether a section shows this metric."""
    return name.removesuffix(_CEILING) in _METRICS or is_told(name)


def is_told(name: str) -> bool:
    """Whether a section says itself what is noted with this metric."""
    return any(fnmatchcase(name, pattern) for pattern in _TOLD)


def axis_label(name: str, unit: str) -> str:
    """Axis text with the unit in brackets, where there is one; long ones get two lines."""
    symbol = metric_of(name).symbol
    if not unit or unit.lower() in symbol.lower() or unit == "accuracy":
        return symbol
    break_line = "$" not in symbol and len(symbol) + len(unit) > _LONG_LABEL
    return f"{symbol}{chr(10) if break_line else ' '}({unit})"


def attack_label(name: str, norm: str = "", reference: str = "") -> str:
    """The name readers know an attack by, with a norm that is not the usual one and what its perturbations were turned to."""
    more = (_NORM_WORDS.get(norm, norm), reference)
    return " ".join([_ATTACKS.get(name, name.replace("_", " ")), *(f"({word})" for word in more if word)])


def attack_in_text(name: str, norm: str = "") -> str:
    """The same in the middle of a sentence, where ordinary words have no capital.

    >>> attack_in_text("uniform_noise"), attack_in_text("worst_case"), attack_in_text("deepfool", "l2")
    ('uniform noise', 'the worst case', 'DeepFool (L2)')
    """
    label = attack_label(name, norm)
    return _IN_TEXT.get(name, "") + label.removeprefix(_ATTACKS[name]) if name in _IN_TEXT else label


def norm_label(norm: str) -> str:
    """Mathtext of a norm; "" stays ""."""
    return _NORMS.get(norm, norm)


def in_brackets(words: str) -> str:
    """ " (words)", or nothing for no words."""
    return f" ({words})" if words else ""


def measured_on(words: str) -> str:
    """A sentence on data and model for the middle of a caption, or nothing for no words."""
    return f"Measured on {words}." if words else ""


def sentence(*parts: str) -> str:
    """Parts of a caption joined by spaces, empty ones left out."""
    return " ".join(part for part in parts if part)
