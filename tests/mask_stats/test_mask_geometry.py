"""Shape statistics against closed forms, scipy and scikit-image."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as scipy_ndimage

from msda_analysis import CutMix, FMix, sample_masks
from msda_analysis.mask_stats import (
    box_counts,
    box_dimensions,
    circular_runs,
    count_components,
    edge_cells,
    euler_numbers,
    mask_fields,
    mean_chords,
    transitions,
)
from msda_analysis.rng import stream

ndimage: Any = scipy_ndimage  # its annotations cover its C functions only loosely


def sample_family(family, n=60, size=(32, 32), seed=0):
    return sample_masks(family, n, size, generator=stream(seed, "test masks")).masks


def perimeters(masks):
    """As the column of describe."""
    return transitions(masks, 0) + transitions(masks, 1)


def noise_masks(n=40, size=(9, 12), share=0.5, seed=1):
    return torch.rand(n, *size, generator=stream(seed, "noise masks")) < share


def box(size, top, left, height, width, *, inverted=False):
    mask = torch.zeros(1, *size)
    mask[0, top : top + height, left : left + width] = 1
    return 1 - mask if inverted else mask


ALL_2D = [
    pytest.param(lambda: sample_family(FMix(decay_power=1.5))[:, 0] > 0.5, id="fmix"),
    pytest.param(lambda: sample_family(CutMix())[:, 0] > 0.5, id="cutmix"),
    pytest.param(noise_masks, id="noise"),
    pytest.param(lambda: noise_masks(size=(7, 5), share=0.7, seed=3), id="dense noise"),
]


class TestBoxesHaveClosedForms:
    def test_an_inner_box_has_the_perimeter_of_a_rectangle(self):
        mask = box((16, 20), 3, 4, 5, 7)
        assert perimeters(mask).item() == 2 * (5 + 7)
        assert transitions(mask, 0).item() == 2 * 7
        assert transitions(mask, 1).item() == 2 * 5

    def test_the_image_border_is_no_edge(self):
        assert perimeters(box((16, 20), 0, 0, 5, 7)).item() == 5 + 7

    def test_a_box_is_one_region_and_its_complement_has_one_hole(self):
        assert euler_numbers(box((16, 20), 3, 4, 5, 7)).item() == 1
        cut = box((16, 20), 3, 4, 5, 7, inverted=True)
        assert euler_numbers(cut).item() == 0
        assert count_components(cut).item() == 1

    def test_cells_that_touch_at_a_corner_connect_only_under_full_connectivity(self):
        corner = torch.eye(2)[None]
        assert count_components(corner).item() == 2
        assert count_components(corner, "full").item() == 1
        assert euler_numbers(corner).item() == 2
        assert euler_numbers(corner, "full").item() == 1

    def test_a_box_has_chords_of_its_own_sides(self):
        mask = box((16, 20), 3, 4, 5, 7)
        assert mean_chords(mask, 0).item() == 5
        assert mean_chords(mask, 1).item() == 7

    def test_a_straight_edge_has_dimension_one(self):
        half = box((32, 32), 0, 0, 32, 11)
        assert box_dimensions(half).item() == pytest.approx(1.0)
        sides, counts = box_counts(half)
        assert sides.tolist() == [1, 2, 4, 8, 16]
        assert counts[0].tolist() == [32, 16, 8, 4, 2]

    def test_the_full_set_has_dimension_two_and_no_edge(self):
        full = torch.ones(1, 32, 32)
        assert box_dimensions(full, "kept").item() == pytest.approx(2.0)
        assert box_dimensions(full).isnan().item()

    def test_a_hollow_cube_encloses_a_cavity(self):
        shell = torch.ones(1, 5, 5, 5)
        shell[0, 1:4, 1:4, 1:4] = 0
        for connectivity in ("face", "full"):
            assert euler_numbers(shell, connectivity).item() == 2  # one region, no tunnel, one cavity
        ring = torch.ones(1, 3, 3, 1)
        ring[0, 1, 1, 0] = 0
        assert euler_numbers(ring).item() == 0  # one region, one tunnel


@pytest.mark.parametrize("make", ALL_2D)
class TestAgreesWithReferences:
    def test_components_with_scipy_mask_by_mask(self, make):
        masks = make()
        for connectivity, order in (("face", 1), ("full", 2)):
            structure = ndimage.generate_binary_structure(2, order)
            expected = [ndimage.label(mask.numpy(), structure)[1] for mask in masks]
            assert count_components(masks, connectivity).tolist() == expected

    def test_euler_number_with_components_minus_holes(self, make):
        masks = make()
        for connectivity, order in (("face", 1), ("full", 2)):
            holes = [self.count_holes(mask.numpy(), 3 - order) for mask in masks]
            expected = count_components(masks, connectivity) - torch.tensor(holes)
            assert euler_numbers(masks, connectivity).tolist() == expected.tolist()

    def test_euler_number_and_components_with_scikit_image(self, make):
        measure = pytest.importorskip("skimage.measure")
        masks = make()
        for connectivity, order in (("face", 1), ("full", 2)):
            images = [mask.numpy() for mask in masks]
            assert euler_numbers(masks, connectivity).tolist() == [measure.euler_number(i, order) for i in images]
            regions = [measure.label(i, connectivity=order).max() for i in images]
            assert count_components(masks, connectivity).tolist() == regions

    def test_perimeter_with_a_loop_over_neighbors(self, make):
        masks = make()[:5]
        for mask, count in zip(masks.numpy(), perimeters(masks).tolist(), strict=True):
            down = sum(mask[i, j] != mask[i + 1, j] for i in range(mask.shape[0] - 1) for j in range(mask.shape[1]))
            right = sum(mask[i, j] != mask[i, j + 1] for i in range(mask.shape[0]) for j in range(mask.shape[1] - 1))
            assert count == down + right

    def test_edge_cells_with_scipy_erosion(self, make):
        masks = make()
        inner = [ndimage.binary_erosion(mask.numpy(), border_value=1) for mask in masks]
        assert np.array_equal(edge_cells(masks).numpy(), masks.numpy() & ~np.stack(inner))

    def test_box_counts_with_a_loop_over_boxes(self, make):
        masks = make()[:5]
        sides, counts = box_counts(masks)
        for mask, row in zip(edge_cells(masks).numpy(), counts, strict=True):
            for side, count in zip(sides.tolist(), row.tolist(), strict=True):
                rows, columns = range(0, mask.shape[0], side), range(0, mask.shape[1], side)
                assert count == sum(mask[i : i + side, j : j + side].any() for i in rows for j in columns)

    def test_chords_with_scipy_labels_of_single_lines(self, make):
        masks = make()[:5]
        for axis in (0, 1):
            along = np.zeros((3, 3), dtype=bool)
            along[(slice(None), 1) if axis == 0 else (1, slice(None))] = True
            for mask, mean in zip(masks, mean_chords(masks, axis).tolist(), strict=True):
                labels, runs = ndimage.label(mask.numpy(), along)
                assert mean == pytest.approx((labels > 0).sum() / runs)

    def test_circular_runs_with_scipy_labels_of_lines_rolled_to_start_in_a_gap(self, make):
        masks = make()[:5]
        for axis in (0, 1):
            lines = masks.numpy().swapaxes(axis + 1, 2).reshape(len(masks), -1, masks.shape[axis + 1])
            for mask, counts in zip(lines, circular_runs(masks, axis).tolist(), strict=True):
                gaps = [int(np.argmin(line)) for line in mask]  # of a line without a gap: 0, and it has no run to count
                runs = [ndimage.label(np.roll(line, -gap))[1] for line, gap in zip(mask, gaps, strict=True)]
                assert counts == [0 if line.all() else run for line, run in zip(mask, runs, strict=True)]

    @staticmethod
    def count_holes(mask, order):
        padded = np.pad(~mask, 1, constant_values=True)
        return ndimage.label(padded, ndimage.generate_binary_structure(2, order))[1] - 1


class TestOtherDimensions:
    def test_euler_number_in_three_dimensions_with_scikit_image(self):
        measure = pytest.importorskip("skimage.measure")
        masks = noise_masks(10, (6, 5, 7), share=0.6, seed=4)
        for connectivity, order in (("face", 1), ("full", 3)):
            expected = [measure.euler_number(mask.numpy(), order) for mask in masks]
            assert euler_numbers(masks, connectivity).tolist() == expected
            regions = [measure.label(mask.numpy(), connectivity=order).max() for mask in masks]
            assert count_components(masks, connectivity).tolist() == regions

    def test_runs_of_a_line_are_its_components(self):
        line = torch.tensor([[1, 1, 0, 1, 0, 0, 1, 1, 1.0]])
        assert count_components(line).item() == euler_numbers(line).item() == 3
        assert transitions(line, 0).item() == 4
        assert mean_chords(line, 0).item() == 2.0

    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 2**20), height=st.integers(2, 9), width=st.integers(2, 9))
    def test_rotation_and_mirror_keep_every_shape_count(self, seed, height, width):
        mask = noise_masks(3, (height, width), seed=seed)
        turned = mask.transpose(1, 2).flip(1)
        for measure in (perimeters, euler_numbers, count_components):
            assert measure(mask).tolist() == measure(turned).tolist()
        assert transitions(mask, 0).tolist() == transitions(turned, 1).tolist()


class TestInputs:
    def test_a_channel_axis_is_dropped(self):
        assert mask_fields(torch.zeros(4, 1, 8, 8)).shape == (4, 8, 8)
        assert mask_fields(torch.zeros(4, 1, 8)).shape == (4, 8)
        assert mask_fields(torch.zeros(4, 8)).shape == (4, 8)

    def test_bad_masks_are_refused(self):
        with pytest.raises(TypeError, match=r"masks: expected a torch\.Tensor, got ndarray"):
            mask_fields(np.zeros((2, 4, 4)))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"masks: expected \[n, 1, \*size\].*got shape \(3,\)"):
            mask_fields(torch.zeros(3))
        with pytest.raises(ValueError, match="none empty"):
            mask_fields(torch.zeros(0, 1, 4, 4))

    def test_an_unknown_axis_or_connectivity_is_refused(self):
        for measure in (transitions, circular_runs, mean_chords):
            with pytest.raises(ValueError, match=r"axis: expected a spatial axis in 0\.\.1, got 2"):
                measure(torch.zeros(1, 4, 4), 2)
        for measure in (euler_numbers, count_components):
            with pytest.raises(ValueError, match="connectivity: expected one of 'face', 'full'"):
                measure(torch.zeros(1, 4, 4), "queen")
        with pytest.raises(ValueError, match="of: expected one of 'edge', 'kept'"):
            box_counts(torch.zeros(1, 4, 4), "rim")
