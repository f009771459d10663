"""Each broken behavior is caught: seeds, odd batches, soft and integer labels, inputs, one axis, apply probability."""

import numpy as np
import torch
from audit_cases import blend, caught, findings_of, one_hot, reference_cutmix, right_cutmix, right_mixup, soft

from msda_analysis.audit import Subject


def test_b3_probability_squared():
    def with_probability(p):
        def mixer(images, labels):
            return right_mixup(images, labels) if torch.rand(()) < p else (images, one_hot(labels))

        return mixer

    wrong = Subject("twice", lambda k: right_mixup, 1.0, lambda k: with_probability(0.25))
    right = Subject("once", lambda k: right_mixup, 1.0, lambda k: with_probability(0.5))
    caught(wrong, "apply_probability", "B3", n_masks=60)
    assert findings_of(right, n_masks=60)["apply_probability"].verdict == "ok"


def test_b9_averaged_numbers():
    def averaged(images, labels):
        permutation, lam = torch.randperm(len(images)), torch.rand(len(images))
        return blend(images, permutation, lam.view(-1, 1, 1, 1)), lam * labels + (1 - lam) * labels[permutation]

    assert caught(averaged, "integer_labels", "B9").note.startswith("for example class ")
    assert findings_of(averaged)["label_weight"].verdict == "not applicable"


def test_b10_other_seeds():
    def from_numpy(images, labels):
        lam = torch.tensor(np.random.rand(len(images)), dtype=torch.float32)  # noqa: NPY002 - the mistake itself
        flipped = torch.arange(len(images) - 1, -1, -1)
        return blend(images, flipped, lam.view(-1, 1, 1, 1)), soft(labels, lam, flipped)

    broken = caught(from_numpy, "seed", "B10")
    assert (broken.verdict, broken.answer) == ("differs", "NumPy")

    source = np.random.default_rng(0)

    def unrepeatable(images, labels):
        lam = torch.tensor(source.random(len(images)), dtype=torch.float32)
        flipped = torch.arange(len(images) - 1, -1, -1)
        return blend(images, flipped, lam.view(-1, 1, 1, 1)), soft(labels, lam, flipped)

    assert caught(unrepeatable, "seed", "B10").verdict == "fault"


def test_b13_root_in_one_dimension():
    caught(reference_cutmix, "one_dimension", "B13")
    assert findings_of(right_cutmix)["one_dimension"].answer == "side is a length"


def test_changed_inputs_lost_soft_labels_and_refused_odd_batches():
    def careless(images, labels):
        assert len(images) % 2 == 0, "even batches only"
        mixed, info = right_mixup(images, labels if labels.ndim == 1 else labels.argmax(1))
        images.copy_(mixed)
        return images, info

    findings = findings_of(careless)
    assert (findings["inputs"].verdict, findings["inputs"].answer) == ("differs", "images changed in place")
    assert findings["soft_labels"].verdict == "fault"
    assert "even batches only" in findings["odd_batch"].note
