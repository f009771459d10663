"""MixTransform in training loops as they are: modules, tuples, dictionaries, subclasses of tensors, label smoothing."""

from collections import namedtuple

import pytest
import torch
from torch.nn import functional
from torchvision import tv_tensors

from msda_analysis import CutMix, FMix, MixTransform, MixUp, mix
from msda_analysis.rng import stream

IMAGES = torch.rand(8, 3, 6, 7, generator=stream(0, "images"))
LABELS = torch.arange(8) % 4


def expected(**settings):
    return MixTransform(FMix(), 4, **settings)(IMAGES, LABELS)


def test_it_is_a_module():
    model = torch.nn.Sequential(MixTransform(FMix(), 4), torch.nn.Identity())
    images, soft = model((IMAGES, LABELS))
    assert torch.equal(images, expected()[0]) and torch.equal(soft, expected()[1])
    transform = MixTransform(FMix(), 4)
    assert not transform.state_dict() and not list(transform.parameters())
    transform.eval()
    assert torch.equal(transform(IMAGES, LABELS)[0], expected()[0]), "mixing is asked for, not a mode"


def test_batches_of_every_form_come_back_as_they_were():
    images, soft = expected()
    Batch = namedtuple("Batch", "image label name")
    names, numbers = ["a"] * 8, torch.arange(8)
    for batch in ((IMAGES, LABELS, names), [IMAGES, LABELS, names], Batch(IMAGES, LABELS, names)):
        found = MixTransform(FMix(), 4)(batch)
        assert type(found) is type(batch) and torch.equal(found[0], images) and torch.equal(found[1], soft)
        assert found[2] is names and batch[0] is IMAGES
    for key in ("labels", "label", "targets", "target", "y"):
        given = {"pixels": IMAGES, key: LABELS, "index": numbers, "names": names}
        found = MixTransform(FMix(), 4)(given)
        assert list(found) == list(given) and torch.equal(found["pixels"], images) and torch.equal(found[key], soft)
        assert found["index"] is numbers and given[key] is LABELS


def test_a_getter_finds_the_labels():
    images, soft = expected()
    given = {"image": IMAGES, "species": LABELS, "label": torch.zeros(8)}
    for getter in ("species", lambda batch: batch["species"]):
        found = MixTransform(FMix(), 4, labels_getter=getter)(given)
        assert torch.equal(found["species"], soft) and torch.equal(found["image"], images)
        assert found["label"] is given["label"]
    found = MixTransform(FMix(), 4, labels_getter=2)((IMAGES, None, LABELS))
    assert found[1] is None and torch.equal(found[2], soft)


@pytest.mark.parametrize(
    "batch, settings, kind, words",
    [
        ((IMAGES, LABELS, 1), {"labels_getter": "y"}, ValueError, "batch: expected labels under 'y', got 0, 1, 2; give labels_g"),
        ({"image": IMAGES}, {}, ValueError, "expected labels under 'labels', 'label', .*, got 'image'; give labels_getter"),
        ({"a": IMAGES, "b": IMAGES, "y": LABELS}, {}, ValueError, r"one tensor of floats \[n, channel, \*size\] .*got 'a', 'b'"),
        ({"a": LABELS, "y": LABELS.clone()}, {}, ValueError, "one tensor of floats .*got none"),
        ({"a": IMAGES, "y": LABELS}, {"labels_getter": lambda b: b["y"] + 0}, ValueError, "return a tensor of the batch itself"),
        (IMAGES, {}, TypeError, "batch: expected .* a tuple, list or dictionary with both, got Tensor"),
    ],
)  # fmt: skip
def test_what_is_not_found_is_said(batch, settings, kind, words):
    with pytest.raises(kind, match=words):
        MixTransform(FMix(), 4, **settings)(batch)
    with pytest.raises(TypeError, match=r"batch: expected \(images, labels\) or one batch .*got 3 arguments"):
        MixTransform(FMix(), 4)(IMAGES, LABELS, LABELS)


class Scan(torch.Tensor):
    """A subclass that carries something."""

    patient: str


@pytest.mark.parametrize(
    "family", [MixUp(), CutMix(), FMix(), lambda x, y: (x, y, y, 1.0)], ids=["mixup", "cutmix", "fmix", "function"]
)
def test_subclasses_survive(family):
    picture = tv_tensors.Image(IMAGES)
    mixed = mix(picture, LABELS, family, generator=stream(0, "mix")).images
    assert type(mixed) is tv_tensors.Image
    plain = mix(IMAGES, LABELS, family, generator=stream(0, "mix")).images
    assert type(plain) is torch.Tensor and torch.equal(mixed.as_subclass(torch.Tensor), plain)
    scan = IMAGES.clone().as_subclass(Scan)
    scan.patient = "x"
    found = MixTransform(family, 4)(scan, LABELS)[0]
    assert type(found) is Scan and found.patient == "x"
    video = tv_tensors.Video(torch.rand(4, 2, 3, 6, 7, generator=stream(0, "video")))
    found, _ = MixTransform(FMix(), 4, spatial=2)(video, LABELS[:4])
    assert type(found) is tv_tensors.Video and found.shape == video.shape
    parameter = torch.nn.Parameter(IMAGES.clone())
    assert type(mix(parameter, LABELS, MixUp(), generator=stream(0, "mix")).images) is torch.Tensor


def test_label_smoothing_is_cross_entropys():
    mixed = mix(IMAGES, LABELS, FMix(), generator=stream(0, "mix"))
    logits = torch.randn(8, 4, generator=stream(0, "logits"))
    soft = mixed.soft_labels(4, label_smoothing=0.2)
    torch.testing.assert_close(soft, 0.8 * mixed.soft_labels(4) + 0.05)
    by_hand = functional.cross_entropy(logits, mixed.soft_labels(4), label_smoothing=0.2)
    torch.testing.assert_close(functional.cross_entropy(logits, soft), by_hand)
    torch.testing.assert_close(mixed.loss(logits, label_smoothing=0.2), by_hand)
    _, smoothed = MixTransform(FMix(), 4, label_smoothing=0.2)(IMAGES, LABELS)
    torch.testing.assert_close(smoothed, 0.8 * expected()[1] + 0.05)
    _, unmixed = MixTransform(FMix(), 4, label_smoothing=0.2, p=0.0)(IMAGES, LABELS)
    torch.testing.assert_close(unmixed, 0.8 * functional.one_hot(LABELS, 4).float() + 0.05)
    with pytest.raises(ValueError, match=r"label_smoothing: expected a number in \[0.0, 1.0\], got 2"):
        MixTransform(FMix(), 4, label_smoothing=2)
