"""Colours, markers and names, and that drawing leaves matplotlib as it was."""

import itertools

import matplotlib as mpl
import numpy as np
import pytest

from msda_analysis.report.style import (
    DOUBLE_COLUMN,
    SINGLE_COLUMN,
    label_of,
    law_of,
    looks_for,
    order_augmentations,
    paper_style,
    styled,
)

KNOWN = ("baseline", "mixup", "cutmix", "fmix", "fmix_released", "fmix+mixup", "cutmix_inside", "cutmix+mixup")

# linear-RGB simulation of full deuteranopia and protanopia (Machado, Oliveira, Fernandes 2009, severity 1.0)
DEFICIENCIES = {
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}


def linear(color: str) -> np.ndarray:
    channels = np.array(mpl.colors.to_rgb(color))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear RGB, white point D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    scaled = to_xyz @ rgb.clip(0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(scaled > (6 / 29) ** 3, np.cbrt(scaled), scaled / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_main_families_differ_in_lightness_for_grey_prints():
    lightness = [lab(linear(look.color))[0] for look in looks_for(KNOWN[:4]).values()]
    gaps = [abs(a - b) for a, b in itertools.combinations(lightness, 2)]
    assert len(gaps) == 6
    assert min(gaps) > 12


@pytest.mark.parametrize("matrix", DEFICIENCIES.values(), ids=DEFICIENCIES.keys())
def test_main_families_differ_for_colour_blind_readers(matrix):
    seen = [lab(np.array(matrix) @ linear(look.color)) for look in looks_for(KNOWN[:4]).values()]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
    assert min(distances) > 20  # 2.3 is the smallest difference one can see


def test_every_known_augmentation_has_its_own_color_marker_and_line():
    looks = looks_for(KNOWN).values()
    assert len(looks) == len(KNOWN)
    for cue in ("color", "marker", "line"):
        assert len({getattr(look, cue) for look in looks}) == len(KNOWN), cue


def test_a_look_does_not_depend_on_what_else_is_drawn():
    assert looks_for(["fmix"])["fmix"] == looks_for([*KNOWN, "puzzlemix"])["fmix"]


def test_unknown_augmentations_come_last_and_get_different_looks():
    names = order_augmentations(["zmix", "mixup", "amix", "baseline", "mixup"])
    assert names == ["baseline", "mixup", "amix", "zmix"]
    looks = looks_for(names)
    assert looks["amix"] != looks["zmix"]


@pytest.mark.parametrize(("name", "label"), [
    ("baseline", "Baseline"), ("mixup", "MixUp"), ("fmix", "FMix (isotropic)"), ("fmix_released", "FMix (released)"),
    ("fmix+mixup", "FMix + MixUp"), ("fmix_released+mixup", "FMix (released) + MixUp"), ("puzzle_mix", "puzzle_mix"),
    ("", "(none)"), ("fmix_released(alpha=0.2)", "FMix (released, alpha 0.2)"),
    ("fmix(decay_power=1.5)", "FMix (isotropic, decay power 1.5)"), ("fmix(decay_power=1.5)+mixup", "FMix (decay power 1.5) + MixUp"),
    ("fmix(spectrum='released')", "FMix (released)"), ("my_masks:Stripes(period=8)", "Stripes (period 8)"),
    ("my.masks:Stripes(period=8, way='a+b')+fmix", "Stripes (period 8, way 'a+b') + FMix"), ("timm.data.Mixup", "timm.data.Mixup"),
    ("a - b", "a - b"), ("ours (new)", "ours (new)"),
])  # fmt: skip
def test_labels(name, label):
    assert label_of(name) == label


def test_law_of_names_the_law_of_every_fmix_part():
    assert law_of("fmix") == law_of("fmix+mixup") == {"isotropic"}
    assert (
        law_of("fmix_released")
        == law_of("fmix(spectrum='released')")
        == law_of("fmix_released(alpha=0.2)")
        == {"released"}
    )
    assert law_of("fmix(decay_power=1.5)+fmix_released") == {"isotropic", "released"}
    assert law_of("mixup") == law_of("baseline") == law_of("my_masks:Stripes(period=8)") == set()


def test_style_suits_papers():
    style = paper_style()
    assert (SINGLE_COLUMN, DOUBLE_COLUMN) == (3.3, 6.9)
    assert style["font.size"] == 8
    assert style["pdf.fonttype"] == 42
    style["font.size"] = 20
    assert paper_style()["font.size"] == 8


def test_styled_restores_global_settings_even_after_an_error():
    before = dict(mpl.rcParams)

    @styled
    def fail():
        assert mpl.rcParams["pdf.fonttype"] == 42
        raise RuntimeError("drawing failed")

    with pytest.raises(RuntimeError, match="drawing failed"):
        fail()
    assert dict(mpl.rcParams) == before
