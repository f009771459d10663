"""Nothing that a mask is drawn from follows another draw: every purpose takes the key made for it."""

import pytest
import torch

from msda_analysis import CutMix, FMix, MaskFamily
from msda_analysis.masks import cutmix, fourier_cpu, sampling
from msda_analysis.masks import family as family_module
from msda_analysis.masks.boxes import draw_boxes

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", [CutMix(reformulate=True), FMix(spectrum="released")], ids=repr)
def test_every_draw_takes_a_key_of_its_own(family, monkeypatch):
    """From lambda's key, the first rounding coin would be the very number that lambda is made of."""
    taken = {}

    def watch(holder, name, place):
        function = getattr(holder, name)

        def run(*arguments, **more):
            taken[name] = more["key"] if place is None else arguments[place]
            return function(*arguments, **more)

        monkeypatch.setattr(holder, name, run)

    watch(MaskFamily, "draw_lam", 2)
    watch(cutmix, "draw_boxes", 3)
    watch(family_module, "swap_masks", 3)
    watch(FMix, "_round_up", 2)
    watch(fourier_cpu, "sample_masks", None)
    sampling.masks_from_key(family, 3, (7, 7), 5, CPU)
    assert len(taken) == len(set(taken.values())) == 3


@pytest.mark.parametrize("size, side", [((1000,), 500), ((100, 100), 71), ((100, 100, 100), 79)])
def test_a_box_of_any_dimension_cuts_one_minus_lambda(size, side):
    sides = draw_boxes(torch.full((3,), 0.5, dtype=torch.float64), size, "inside", 1)[1]
    assert (sides == side).all()
