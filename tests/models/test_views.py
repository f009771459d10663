"""Logits averaged over views: which views, with which weights."""

import pytest
import torch
from torch.nn import functional

from msda_analysis.models import VIEWS, logits_over_views

IMAGES = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).view(2, 3, 4, 5).square()


def corner(images):
    """One logit that tells views apart."""
    return images[:, :1, 0, 0]


def test_none_is_the_model_itself():
    assert torch.equal(logits_over_views(corner, IMAGES, "none"), corner(IMAGES))


def test_mirror_by_hand():
    torch.testing.assert_close(
        logits_over_views(corner, IMAGES, "mirror"), (IMAGES[:, :1, 0, 0] + IMAGES[:, :1, 0, -1]) / 2
    )


def test_mirrors_and_shifts_by_hand():
    """The corner of an image shifted down right is the pixel that reflection brings in: row 1, column 1."""
    plain = (IMAGES[:, :1, 0, 0] + IMAGES[:, :1, 0, -1]) / 2
    down_right = (IMAGES[:, :1, 1, 1] + IMAGES[:, :1, 1, -2]) / 2
    up_left = (IMAGES[:, :1, 1, 1] + IMAGES[:, :1, 1, -2]) / 2  # the mirrored one ends in the padded column
    found = logits_over_views(corner, IMAGES, "mirror_shift")
    torch.testing.assert_close(found, plain / 2 + (down_right + up_left) / 4)


@pytest.mark.parametrize("views", VIEWS)
def test_weights_sum_to_one(views):
    assert torch.allclose(logits_over_views(lambda x: torch.ones(len(x), 2), IMAGES, views), torch.ones(2, 2))


def test_all_views_are_the_size_of_the_images():
    seen = []
    logits_over_views(lambda x: seen.append(x) or torch.zeros(2, 1), IMAGES, "mirror_shift")
    assert [x.shape for x in seen] == [IMAGES.shape] * 6
    padded = functional.pad(IMAGES, (1, 1, 1, 1), mode="reflect")
    assert torch.equal(seen[2], padded[:, :, :4, :5]) and torch.equal(seen[4], padded[:, :, 2:, 2:])


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="views: expected one of 'none', 'mirror', 'mirror_shift'; got 'ten'"):
        logits_over_views(corner, IMAGES, "ten")
    with pytest.raises(ValueError, match=r"views: expected 'none' for images that are not .*, got 'mirror'"):
        logits_over_views(corner, IMAGES[..., 0], "mirror")
