"""Batches: order is a function of (seed, epoch), images are normalized, sample pictures are there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from msda_analysis.data import AUGMENTS, iterate_batches, sample_images


@pytest.fixture(scope="module")
def numbered(make_dataset):
    """Image i is filled with the value i, so that batches tell which images they hold."""
    dataset = make_dataset(50)
    images = torch.arange(50, dtype=torch.uint8).view(50, 1, 1, 1).expand(50, 1, 16, 16).contiguous()
    classes = tuple(map(str, range(50)))
    return replace(dataset, images=images, labels=torch.arange(50), classes=classes, mean=(0.0,), std=(1 / 255,))


def order_of(dataset, batch_size=16, **more):
    return [batch.images[:, 0, 8, 8].round().long().tolist() for batch in iterate_batches(dataset, batch_size, **more)]


def test_order_depends_on_seed_and_epoch_alone(numbered, quiet_random_state):
    first = order_of(numbered, seed=3, epoch=2)
    torch.rand(5, generator=torch.Generator().manual_seed(0))
    assert order_of(numbered, seed=3, epoch=2) == first
    others = [order_of(numbered, **change) for change in ({"seed": 4, "epoch": 2}, {"seed": 3, "epoch": 3})]
    others.append(order_of(numbered, seed=3, epoch=2, rank=1))
    assert all(other != first for other in others)


def test_augmentation_does_not_change_the_order(numbered):
    plain = [batch.labels.tolist() for batch in iterate_batches(numbered, 16, seed=0)]
    flipped = [batch.labels.tolist() for batch in iterate_batches(numbered, 16, seed=0, augment="jitter_flip")]
    assert plain == flipped


def test_a_last_partial_batch_is_dropped(numbered):
    batches = list(iterate_batches(numbered, 16, seed=0))
    assert [len(batch.images) for batch in batches] == [16, 16, 16] and [batch.step for batch in batches] == [0, 1, 2]
    seen = [i for batch in order_of(numbered, seed=0) for i in batch]
    assert len(set(seen)) == 48
    assert sorted(i for batch in order_of(numbered, 25, seed=0) for i in batch) == list(range(50))


def test_a_batch_larger_than_the_dataset_holds_it_once(numbered):
    (batch,) = iterate_batches(numbered, 1000, seed=0)
    assert sorted(batch.labels.tolist()) == list(range(50))


def test_labels_stay_with_their_images(numbered):
    for batch in iterate_batches(numbered, 10, seed=1):
        assert batch.images[:, 0, 0, 0].round().long().tolist() == batch.labels.tolist()


def test_batches_are_normalized(make_dataset):
    dataset = make_dataset(12, channels=3)
    (batch,) = iterate_batches(dataset, 12, seed=0)
    # all images are in the batch, so it has the dataset's mean 0 and standard deviation 1
    torch.testing.assert_close(batch.images.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.images.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)
    assert batch.images.dtype == torch.float32


@pytest.mark.parametrize("augment", AUGMENTS)
def test_every_augmentation_repeats_itself(make_dataset, augment):
    dataset = make_dataset(24, channels=3)

    def batches(seed):
        return torch.stack([batch.images for batch in iterate_batches(dataset, 12, seed=seed, augment=augment)])

    assert torch.equal(batches(0), batches(0)) and batches(0).shape == (2, 12, 3, 16, 16)
    assert not torch.equal(batches(0), batches(1))


def test_the_dataset_is_left_alone(make_dataset):
    dataset = make_dataset(24, channels=3)
    before = dataset.images.clone()
    for augment in AUGMENTS:
        for batch in iterate_batches(dataset, 12, seed=0, augment=augment):
            batch.images.zero_()
    assert torch.equal(dataset.images, before)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"batch_size": 1}, "batch_size: expected an integer >= 2, got 1"),
        ({"batch_size": 8.0}, r"batch_size: expected an integer >= 2, got 8\.0"),
        ({"augment": "rotate"}, "augment: expected one of 'none', .*; got 'rotate'"),
    ],
)
def test_bad_settings(numbered, settings, words):
    with pytest.raises(ValueError, match=words):
        next(iterate_batches(numbered, settings.pop("batch_size", 8), seed=0, **settings))


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_images(numbered, n):
    few = replace(numbered, images=numbered.images[:n], labels=numbered.labels[:n])
    with pytest.raises(ValueError, match=f"dataset: expected at least 2 images to train on, got {n}"):
        next(iterate_batches(few, 8, seed=0))


@pytest.mark.parametrize("size", [(16,), (4, 4, 4)], ids=str)
def test_flips_and_crops_are_for_pictures(make_dataset, size):
    images = torch.arange(8 * 16, dtype=torch.uint8).view(8, 1, 16).repeat(1, 1, 4)[..., : int(np.prod(size))]
    dataset = replace(make_dataset(8), images=images.reshape(8, 1, *size))
    (batch,) = iterate_batches(dataset, 8, seed=0)
    assert batch.images.shape == (8, 1, *size)
    for augment in AUGMENTS[1:]:
        with pytest.raises(ValueError, match=rf"augment: expected 'none' for images that are not .*got '{augment}'"):
            next(iterate_batches(dataset, 8, seed=0, augment=augment))


@pytest.mark.parametrize(
    "name, shape",
    [("cifar10", (3, 32, 32)), ("imagenet", (3, 512, 512)), ("fashion_mnist", (1, 28, 28)), ("cifar100", (3, 32, 32))],
)
def test_sample_pictures(name, shape):
    images, labels = sample_images(name, 4)
    assert images.shape == (4, *shape) and images.dtype == torch.uint8 and images.is_contiguous()
    assert labels.shape == (4,) and labels.dtype == torch.int64
    assert len(np.unique(images.numpy())) > 50, "pictures, not blanks"


def test_all_twenty_sample_pictures():
    images, labels = sample_images("cifar10")
    assert len(images) == 20 and set(labels.tolist()) <= set(range(10))
    assert torch.equal(sample_images("cifar10", 3)[0], images[:3])


def test_bad_sample_requests(monkeypatch):
    with pytest.raises(ValueError, match=r"samples: expected one of 'cifar10', .*; got 'mnist'"):
        sample_images("mnist")
    with pytest.raises(ValueError, match="n: expected at most 20 sample pictures, got 21"):
        sample_images("cifar10", 21)
    with pytest.raises(ValueError, match="n: expected an integer >= 1, got 0"):
        sample_images("cifar10", 0)
    monkeypatch.setattr("msda_analysis.data.samples.find_spec", lambda name: None)
    with pytest.raises(
        FileNotFoundError, match=r"samples cifar10: expected foolbox's pictures in .*; install foolbox 3"
    ):
        sample_images("cifar10")
