"""The audit catches deliberately broken implementations, and finds nothing in right ones."""

from typing import Any

import numpy as np
import pytest
import torch

from msda_analysis import CutMix, FMix, MixTransform, MixUp
from msda_analysis.audit import (
    CHECKS,
    FAULTS,
    VERDICTS,
    Subject,
    audit,
    audit_rows,
    audit_table,
    known_subjects,
    subject_from_path,
)
from msda_analysis.audit.laws import clipped_kept_share
from msda_analysis.audit.peers import own_subjects, torchvision_subjects
from msda_analysis.audit.probe import Undecodable, decode_images, decode_labels, probe_images, split_result
from msda_analysis.audit.seeds import global_seeds

K = 8  # classes and batch size of the probes


def findings_of(subject, **settings):
    return {finding.check: finding for finding in audit(subject, **{"alpha": 1.0, "n_masks": 240, **settings})}


def one_hot(labels):
    return labels.float() if labels.ndim == 2 else torch.nn.functional.one_hot(labels, K).float()


def soft(labels, weight, permutation, n_axes=1):
    weight = torch.as_tensor(weight, dtype=torch.float32).reshape(-1, 1)
    return weight * one_hot(labels) + (1 - weight) * one_hot(labels[permutation])


def blend(images, permutation, masks):
    return masks * images + (1 - masks) * images[permutation]


def reference_cutmix(
    images, labels, *, weigh="kept", even=False, inside=False, root=True, other_labels=False, form="soft"
):
    """CutMix for one or two axes, with switches for each known mistake. Draws from torch's global generator."""
    n, size = len(images), images.shape[2:]
    permutation = torch.randperm(n)
    lam = torch.rand(n)
    masks = torch.ones(n, 1, *size)
    for i in range(n):
        ratio = (1 - lam[i]) ** (0.5 if root or len(size) > 1 else 1.0)
        cut = []
        for length in size:
            side = 2 * int(length * ratio / 2) if even else int(torch.round(length * ratio))
            if inside:
                start = int(torch.randint(length - side + 1, ()))
            else:
                start = int(torch.floor(torch.rand(()) * length - side / 2 + 0.5))
            cut.append(slice(max(start, 0), max(start + side, 0)))
        masks[(i, 0, *cut)] = 0
    kept = masks.flatten(1).mean(1)
    weight = {"kept": kept, "nominal": lam, "complement": 1 - kept}[weigh]
    others = torch.randperm(n) if other_labels else permutation
    info = (labels, labels[others], weight) if form == "triple" else soft(labels, weight, others)
    return blend(images, permutation, masks), info


def right_cutmix(images, labels):
    return reference_cutmix(images, labels, root=False)


def right_mixup(images, labels):
    permutation, lam = torch.randperm(len(images)), torch.rand(len(images))
    return blend(images, permutation, lam.view(-1, *[1] * (images.ndim - 1))), soft(labels, lam, permutation)


class TestRightOnesPass:
    @pytest.mark.parametrize("subject", [right_cutmix, right_mixup], ids=["cutmix", "mixup"])
    def test_a_right_implementation_has_no_fault(self, subject):
        findings = findings_of(subject)
        assert set(findings) == set(CHECKS)
        assert not [f for f in findings.values() if f.verdict == "fault" or f.fault]
        assert findings["seed"].answer == "torch"
        assert findings["pairing"].answer == "random permutation"
        assert findings["odd_batch"].verdict == findings["soft_labels"].verdict == "ok"

    @pytest.mark.parametrize(
        "family", [MixUp(), CutMix(), FMix(), FMix(max_soft=0.2), CutMix(per_batch=True)], ids=repr
    )
    def test_our_families_differ_in_nothing(self, family):
        findings = findings_of(MixTransform(family, K))
        # one transform moves on from call to call, so only a fresh one repeats a batch; soft labels need that too
        stateful = {"seed", "soft_labels"}
        assert [f for f in findings.values() if f.check not in stateful and f.verdict in ("fault", "differs")] == []

    def test_a_fresh_transform_repeats_itself_without_global_seeds(self):
        findings = findings_of(own_subjects()[1])
        assert findings["seed"].answer == "own seed"
        assert findings["own_generator"].verdict == findings["soft_labels"].verdict == "ok"
        assert findings["apply_probability"].verdict == "ok"


class TestBrokenOnesAreCaught:
    def caught(self, subject, check, fault, **settings):
        finding = findings_of(subject, **settings)[check]
        assert finding.fault == fault
        assert finding.verdict in ("fault", "differs")
        return finding

    def test_b1_nominal_weight(self):
        broken = self.caught(lambda x, y: reference_cutmix(x, y, weigh="nominal"), "label_weight", "B1")
        assert broken.verdict == "fault"
        assert broken.value == pytest.approx(0.18, abs=0.04)  # mean error of uncorrected clipped boxes

    def test_b2_complement(self):
        broken = self.caught(lambda x, y: reference_cutmix(x, y, weigh="complement"), "label_weight", "B2")
        assert broken.verdict == "fault"
        triple = self.caught(
            lambda x, y: reference_cutmix(x, y, weigh="complement", form="triple"), "label_weight", "B2"
        )
        assert triple.verdict == "differs"

    def test_b3_probability_squared(self):
        def with_probability(p):
            def mixer(images, labels):
                return right_mixup(images, labels) if torch.rand(()) < p else (images, one_hot(labels))

            return mixer

        wrong = Subject("twice", lambda k: right_mixup, 1.0, lambda k: with_probability(0.25))
        right = Subject("once", lambda k: right_mixup, 1.0, lambda k: with_probability(0.5))
        self.caught(wrong, "apply_probability", "B3", n_masks=60)
        assert findings_of(right, n_masks=60)["apply_probability"].verdict == "ok"

    def test_b4_even_sides(self):
        assert self.caught(lambda x, y: reference_cutmix(x, y, even=True), "box_sides", "B4").value == 0

    def test_b5_inside(self):
        broken = self.caught(lambda x, y: reference_cutmix(x, y, inside=True), "box_area", "B5")
        assert broken.value == pytest.approx(0.5, abs=0.1)

    def test_b7_folded(self):
        def folded(images, labels):
            permutation, lam = torch.randperm(len(images)), torch.rand(len(images))
            lam = torch.minimum(lam, 1 - lam)
            mixed = blend(images, permutation, 1 - lam.view(-1, 1, 1, 1))
            return mixed, (labels, labels[permutation], lam)

        assert self.caught(folded, "lambda_law", "B7").answer == "folded: at least 1/2"
        self.caught(folded, "label_weight", "B2")  # and the coefficient weights the second image

    def test_b9_averaged_numbers(self):
        def averaged(images, labels):
            permutation, lam = torch.randperm(len(images)), torch.rand(len(images))
            return blend(images, permutation, lam.view(-1, 1, 1, 1)), lam * labels + (1 - lam) * labels[permutation]

        assert self.caught(averaged, "integer_labels", "B9").note.startswith("for example class ")
        assert findings_of(averaged)["label_weight"].verdict == "not applicable"

    def test_b10_other_seeds(self):
        def from_numpy(images, labels):
            lam = torch.tensor(np.random.rand(len(images)), dtype=torch.float32)  # noqa: NPY002 - the mistake itself
            flipped = torch.arange(len(images) - 1, -1, -1)
            return blend(images, flipped, lam.view(-1, 1, 1, 1)), soft(labels, lam, flipped)

        broken = self.caught(from_numpy, "seed", "B10")
        assert (broken.verdict, broken.answer) == ("differs", "NumPy")

        source = np.random.default_rng(0)

        def unrepeatable(images, labels):
            lam = torch.tensor(source.random(len(images)), dtype=torch.float32)
            flipped = torch.arange(len(images) - 1, -1, -1)
            return blend(images, flipped, lam.view(-1, 1, 1, 1)), soft(labels, lam, flipped)

        assert self.caught(unrepeatable, "seed", "B10").verdict == "fault"

    def test_b12_released_spectrum(self):
        released = MixTransform(FMix(spectrum="released", lam_policy="nominal", per_batch=True), K)
        broken = self.caught(released, "spectrum", "B12")
        assert broken.answer == "one circular run along the width: bins 0 and 1 only"
        assert broken.value is not None and broken.value > 2

    def test_b12_a_transposed_slip_and_a_lost_half_plane_column(self):
        released = MixTransform(FMix(spectrum="released"), K)

        def transposed(images, labels):
            mixed, info = released(images.transpose(2, 3), labels)
            return mixed.transpose(2, 3), info

        assert self.caught(transposed, "spectrum", "B12").answer.startswith("one circular run along the height")

        def half_plane(images, labels):
            n, size = len(images), images.shape[2:]
            noise = torch.randn(n, size[0], size[1] // 2 + 1, dtype=torch.complex64)
            f = torch.hypot(torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])[None, :])
            field = torch.fft.irfft2(noise * f.clamp(min=1 / size[0]) ** -3, s=size).flatten(1)
            lam = torch.rand(n, 1)
            masks = (field.argsort(1).argsort(1) < torch.round(lam * field.shape[1])).float().view(n, 1, *size)
            permutation = torch.randperm(n)
            return blend(images, permutation, masks), soft(labels, masks.flatten(1).mean(1), permutation)

        assert self.caught(half_plane, "spectrum", "B12", n_masks=1500).answer == "not isotropic"

    def test_b13_root_in_one_dimension(self):
        self.caught(reference_cutmix, "one_dimension", "B13")
        assert findings_of(right_cutmix)["one_dimension"].answer == "side is a length"

    def test_b14_other_permutation(self):
        broken = self.caught(lambda x, y: reference_cutmix(x, y, other_labels=True), "labels_follow_images", "B14")
        assert broken.value is not None and broken.value > 0.5

    def test_changed_inputs_lost_soft_labels_and_refused_odd_batches(self):
        def careless(images, labels):
            assert len(images) % 2 == 0, "even batches only"
            mixed, info = right_mixup(images, labels if labels.ndim == 1 else labels.argmax(1))
            images.copy_(mixed)
            return images, info

        findings = findings_of(careless)
        assert (findings["inputs"].verdict, findings["inputs"].answer) == ("differs", "images changed in place")
        assert findings["soft_labels"].verdict == "fault"
        assert "even batches only" in findings["odd_batch"].note

    def test_weights_that_do_not_add_up(self):
        def dim(images, labels):
            mixed, info = right_mixup(images, labels)
            return mixed, 0.9 * info

        assert findings_of(dim)["label_weight"].answer == "weights do not add up to 1"

    def test_what_is_no_mix_of_two_images(self):
        def brighter(images, labels):
            mixed, info = right_mixup(images, labels)
            return mixed + 0.1, info

        assert findings_of(brighter)["two_images"].verdict == "fault"

    def test_uneven_coverage_and_a_law_that_is_not_beta(self):
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

    def test_pairs_that_share_a_mask(self):
        def mixer(images, labels):
            n = len(images)
            lam = torch.rand(n // 2)
            lam = torch.cat([lam, lam.flip(0)])
            rule = torch.arange(n - 1, -1, -1)
            return blend(images, rule, lam.view(-1, 1, 1, 1)), soft(labels, lam, rule)

        assert findings_of(mixer)["mask_sharing"].answer == "one mask per pair"


class TestPeers:
    """What installed third-party packages do; these hold for the versions the project is tested with."""

    def test_torchvision(self):
        mixup, cutmix = (findings_of(subject, n_masks=120) for subject in torchvision_subjects())
        assert not [f for f in mixup.values() if f.fault]
        assert {f.fault for f in cutmix.values() if f.fault} == {"B4"}
        assert mixup["pairing"].answer == "roll by 1"

    def test_timm(self):
        pytest.importorskip("timm")
        subjects = {s.name.split(" ", 2)[2]: s for s in known_subjects() if s.name.startswith("timm")}
        faults = {
            name: {f.fault for f in findings_of(s, n_masks=120).values() if f.fault} for name, s in subjects.items()
        }
        assert faults["CutMix elem correct_lam=False"] == {"B1", "B10"}
        assert all(found == {"B10"} for name, found in faults.items() if "correct_lam" not in name)
        assert len(faults) == 7

    def test_kornia(self):
        pytest.importorskip("kornia")
        subjects = {s.name.split(" ", 2)[2]: s for s in known_subjects() if s.name.startswith("kornia")}
        faults = {
            name: {f.fault for f in findings_of(s, n_masks=120).values() if f.fault} for name, s in subjects.items()
        }
        assert faults == {"MixUp": {"B2"}, "CutMix": {"B2", "B5"}, "CutMix use_correct_lambda": {"B5"}}


class TestProbe:
    def test_masks_and_partners_come_back_as_they_were(self):
        torch.manual_seed(0)
        permutation = torch.tensor([1, 2, 3, 4, 5, 6, 7, 0])
        masks = torch.rand(8, 1, 5, 6)
        mixed = blend(probe_images(8, (5, 6)), permutation, masks)
        found, partner, is_mix = decode_images(mixed.double(), 8)
        assert is_mix
        assert partner.tolist() == permutation.tolist()
        assert torch.allclose(found, masks[:, 0].double(), atol=1e-5)

    def test_every_form_of_labels_says_the_same(self):
        labels, permutation = torch.arange(4), torch.tensor([1, 0, 3, 2])
        lam = torch.tensor([0.9, 0.8, 0.7, 0.6])
        rows = torch.stack([labels.float(), permutation.float(), lam], 1)
        matrix = torch.diag(lam)
        matrix[labels, permutation] = 1 - lam
        for info in (matrix, rows, rows[None], (labels, permutation, lam)):
            decoded = decode_labels(info, 4, 4)
            assert decoded.partner.tolist() == permutation.tolist()
            assert decoded.weight.tolist() == pytest.approx(lam.tolist())
        shared = decode_labels((labels, permutation, 0.5), 4, 4)
        assert shared.weight.tolist() == [0.5] * 4

    def test_results_of_another_form_are_refused(self):
        with pytest.raises(Undecodable, match=r"expected soft labels \(4, 6\).*got \(2, 2\)"):
            decode_labels(torch.zeros(2, 2), 4, 6)
        with pytest.raises(Undecodable, match=r"expected \(mixed images, label information\), got Tensor"):
            split_result(torch.zeros(3))
        assert "result not understood" in audit(lambda x, y: (x[:, :, :4], y), "short")[0].answer
        bare: Any = lambda x, y: x  # noqa: E731 - returns no labels
        assert audit(bare, "bare")[0].verdict == "not applicable"

    def test_an_implementation_that_fails_is_one_finding(self):
        def failing(images, labels):
            raise RuntimeError("no such backend")

        (finding,) = audit(failing)
        assert (finding.subject, finding.verdict, finding.answer) == ("failing", "fault", "failed")
        assert "no such backend" in finding.note

    def test_global_random_state_is_put_back(self):
        import random

        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        random.seed(1)
        expected = torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        random.seed(1)
        with global_seeds(5, 5, 5):
            _ = torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
        audit(right_mixup, n_masks=50)
        assert (torch.rand(1), np.random.rand(), random.random()) == expected  # noqa: NPY002

    def test_the_mean_of_clipped_boxes_agrees_with_simulation(self):
        random = np.random.default_rng(0)
        for alpha in (0.2, 1.0, 3.0):
            side = np.sqrt(1 - random.beta(alpha, alpha, 200_000))
            cut = np.ones_like(side)
            for _ in range(2):
                centre = random.random(len(side))
                cut *= np.minimum(centre + side / 2, 1) - np.maximum(centre - side / 2, 0)
            assert clipped_kept_share(alpha) == pytest.approx(1 - cut.mean(), abs=4.5 * cut.std() / len(cut) ** 0.5)
        assert clipped_kept_share(1.0) == pytest.approx(0.6791667, abs=1e-6)


class TestTable:
    def test_one_row_per_subject_and_one_column_per_check(self):
        rows = audit_rows([right_mixup, right_cutmix], n_masks=60, alpha=1.0)
        assert len(rows) == 2 * len(CHECKS)
        assert {row["verdict"] for row in rows} <= set(VERDICTS)
        assert {row["fault"] for row in rows} <= {"", *FAULTS}
        table = audit_table(rows)
        assert list(table.index) == ["right_mixup", "right_cutmix"]
        assert list(table.columns) == list(CHECKS)
        assert table.loc["right_mixup", "pairing"] == "random permutation"
        assert audit_table(rows, content="verdict").loc["right_cutmix", "label_weight"] == "ok"

    def test_the_same_seed_gives_the_same_rows(self):
        assert audit_rows([right_cutmix], n_masks=60) == audit_rows([right_cutmix], n_masks=60)

    def test_bad_arguments_are_refused(self):
        with pytest.raises(ValueError, match="rows: expected the rows of an audit"):
            audit_table([])
        with pytest.raises(ValueError, match="content: expected one of 'answer'"):
            audit_table([{"subject": "a"}], content="colour")
        with pytest.raises(ValueError, match="num_classes: expected an even number"):
            audit(right_mixup, num_classes=7)
        with pytest.raises(ValueError, match="n_masks: expected an integer >= 50"):
            audit(right_mixup, n_masks=3)
        with pytest.raises(ValueError, match="subject: expected a callable, a Subject or a path, got int"):
            audit(3)  # type: ignore[arg-type]

    def test_subjects_by_path(self):
        square_root: Any = subject_from_path("math:sqrt").make(8)
        assert square_root(4) == 2
        for path, words in (
            ("math", "expected a path such as"),
            ("math:nothing", "cannot find 'math:nothing'"),
            ("no_such_module_here:f", "cannot find"),
            ("math:pi", "to be callable, got float"),
        ):
            with pytest.raises(ValueError, match=words):
                subject_from_path(path)
