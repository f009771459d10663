"""Each broken law of lambda, masks, pairs and labels is caught."""

import numpy as np
import pytest
import torch
from audit_cases import K, blend, caught, findings_of, reference_cutmix, right_mixup, soft

from msda_analysis import FMix, MixTransform
from msda_analysis.audit.laws import clipped_kept_share


def test_b1_nominal_weight():
    broken = caught(lambda x, y: reference_cutmix(x, y, weigh="nominal"), "label_weight", "B1")
    assert broken.verdict == "fault"
    assert broken.value == pytest.approx(0.18, abs=0.04)  # mean error of uncorrected clipped boxes


def test_b2_complement():
    broken = caught(lambda x, y: reference_cutmix(x, y, weigh="complement"), "label_weight", "B2")
    assert broken.verdict == "fault"
    triple = caught(lambda x, y: reference_cutmix(x, y, weigh="complement", form="triple"), "label_weight", "B2")
    assert triple.verdict == "differs"


def test_b4_even_sides():
    assert caught(lambda x, y: reference_cutmix(x, y, even=True), "box_sides", "B4").value == 0


def test_b5_inside():
    broken = caught(lambda x, y: reference_cutmix(x, y, inside=True), "box_area", "B5")
    assert broken.value == pytest.approx(0.5, abs=0.1)


def test_b7_folded():
    def folded(images, labels):
        permutation, lam = torch.randperm(len(images)), torch.rand(len(images))
        lam = torch.minimum(lam, 1 - lam)
        mixed = blend(images, permutation, 1 - lam.view(-1, 1, 1, 1))
        return mixed, (labels, labels[permutation], lam)

    assert caught(folded, "lambda_law", "B7").answer == "folded: at least 1/2"
    caught(folded, "label_weight", "B2")  # and the coefficient weights the second image


def test_b12_released_spectrum():
    released = MixTransform(FMix(spectrum="released", lam_policy="nominal", per_batch=True), K)
    broken = caught(released, "spectrum", "B12")
    assert broken.answer == "one circular run along the width: bins 0 and 1 only"
    assert broken.value is not None and broken.value > 2


def test_b12_a_transposed_slip_and_a_lost_half_plane_column():
    released = MixTransform(FMix(spectrum="released"), K)

    def transposed(images, labels):
        mixed, info = released(images.transpose(2, 3), labels)
        return mixed.transpose(2, 3), info

    assert caught(transposed, "spectrum", "B12").answer.startswith("one circular run along the height")

    def half_plane(images, labels):
        n, size = len(images), images.shape[2:]
        noise = torch.randn(n, size[0], size[1] // 2 + 1, dtype=torch.complex64)
        f = torch.hypot(torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])[None, :])
        field = torch.fft.irfft2(noise * f.clamp(min=1 / size[0]) ** -3, s=size).flatten(1)
        lam = torch.rand(n, 1)
        masks = (field.argsort(1).argsort(1) < torch.round(lam * field.shape[1])).float().view(n, 1, *size)
        permutation = torch.randperm(n)
        return blend(images, permutation, masks), soft(labels, masks.flatten(1).mean(1), permutation)

    assert caught(half_plane, "spectrum", "B12", n_masks=1500).answer == "not isotropic"


@pytest.mark.parametrize(("axis", "ratio"), [(2, 0.0), (3, np.inf)], ids=["top and bottom", "left and right"])
def test_halves_put_together_have_no_power_along_the_other_axis(axis, ratio):
    def concatenated(images, labels):
        permutation, share = torch.randperm(len(images)), torch.rand(len(images), 1, 1, 1)
        place = torch.arange(images.shape[axis]).view([-1 if k == axis else 1 for k in range(4)])
        masks = (place >= share * images.shape[axis]).float().expand(len(images), 1, *images.shape[2:])
        return blend(images, permutation, masks), soft(labels, masks.flatten(1).mean(1), permutation)

    findings = findings_of(concatenated, n_masks=60)
    assert findings["label_weight"].answer == "kept share"
    assert (findings["spectrum"].answer, findings["spectrum"].value) == ("not isotropic", ratio)


def test_b14_other_permutation():
    broken = caught(lambda x, y: reference_cutmix(x, y, other_labels=True), "labels_follow_images", "B14")
    assert broken.value is not None and broken.value > 0.5


def test_weights_that_do_not_add_up():
    def dim(images, labels):
        mixed, info = right_mixup(images, labels)
        return mixed, 0.9 * info

    assert findings_of(dim)["label_weight"].answer == "weights do not add up to 1"


def test_what_is_no_mix_of_two_images():
    def brighter(images, labels):
        mixed, info = right_mixup(images, labels)
        return mixed + 0.1, info

    assert findings_of(brighter)["two_images"].verdict == "fault"


def test_uneven_coverage_and_a_law_that_is_not_beta():
    def top_only(images, labels):
        n, permutation = len(images), torch.randperm(len(images))
        masks = torch.ones(n, 1, *images.shape[2:])
        masks[:, :, :16] = (torch.rand(n, 1, 16, images.shape[3]) < 0.5).float()
        return blend(images, permutation, masks), soft(labels, masks.flatten(1).mean(1), permutation)

    findings = findings_of(top_only)
    assert findings["coverage"].verdict == "differs"
    assert findings["lambda_law"].answer == "not Beta(1, 1)"


class TestPairing:
    @pytest.mark.parametrize(("shift", "answer"), [(1, "roll by 1"), (None, "flip (i with n - 1 - i)")])
    def test_fixed_rules_are_named(self, shift, answer):
        def mixer(images, labels):
            n, lam = len(images), torch.rand(())
            rule = torch.arange(n - 1, -1, -1) if shift is None else torch.arange(n).roll(shift)
            return blend(images, rule, lam), soft(labels, lam, rule)

        findings = findings_of(mixer)
        assert (findings["pairing"].verdict, findings["pairing"].answer) == ("differs", answer)
        assert findings["mask_sharing"].answer == "one mask per batch"

    def test_draws_with_repeats_are_no_permutation(self):
        def mixer(images, labels):
            n, lam = len(images), torch.rand(len(images))
            drawn = torch.randint(n, (n,))
            return blend(images, drawn, lam.view(-1, 1, 1, 1)), soft(labels, lam, drawn)

        assert findings_of(mixer)["pairing"].answer == "random, with repeats"

    def test_images_that_came_back_unchanged_are_no_repeats(self):
        """Boxes of no pixel: image i keeps all of itself, and another image has its partner."""

        def mixer(images, labels):
            n = len(images)
            rule, lam = torch.randperm(n), torch.rand(n)
            lam[0] = 1.0
            return blend(images, rule, lam.view(-1, 1, 1, 1)), soft(labels, lam, rule)

        assert findings_of(mixer, n_masks=60)["pairing"].answer == "random permutation"

    def test_pairs_that_share_a_mask(self):
        def mixer(images, labels):
            n = len(images)
            lam = torch.rand(n // 2)
            lam = torch.cat([lam, lam.flip(0)])
            rule = torch.arange(n - 1, -1, -1)
            return blend(images, rule, lam.view(-1, 1, 1, 1)), soft(labels, lam, rule)

        assert findings_of(mixer)["mask_sharing"].answer == "one mask per pair"


def test_the_mean_of_clipped_boxes_agrees_with_simulation():
    random = np.random.default_rng(0)
    for alpha in (0.2, 1.0, 3.0):
        side = np.sqrt(1 - random.beta(alpha, alpha, 200_000))
        cut = np.ones_like(side)
        for _ in range(2):
            centre = random.random(len(side))
            cut *= np.minimum(centre + side / 2, 1) - np.maximum(centre - side / 2, 0)
        assert clipped_kept_share(alpha) == pytest.approx(1 - cut.mean(), abs=4.5 * cut.std() / len(cut) ** 0.5)
    assert clipped_kept_share(1.0) == pytest.approx(0.6791667, abs=1e-6)
