"""Datasets: fixed splits, torchvision's own files read as they are, balanced parts, statistics."""

import pickle
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from msda_analysis.data import Dataset, channel_statistics, load_dataset


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits"), load_dataset("digits", "test")


def test_digits_have_the_promised_shape(digits):
    train, test = digits
    assert (len(train), len(test)) == (1500, 297)
    for part in digits:
        assert part.images.shape[1:] == (1, 32, 32) and part.images.dtype == torch.uint8
        assert part.labels.dtype == torch.int64 and part.classes == tuple("0123456789")
        assert part.image_size == (32, 32) and part.in_channels == 1
    assert (train.mean, train.std) == (test.mean, test.std) == channel_statistics(train.images)


def test_digits_are_split_the_same_way_every_time(digits):
    torch.manual_seed(99)  # must not matter
    again = load_dataset("digits", "test")
    assert torch.equal(again.images, digits[1].images) and torch.equal(again.labels, digits[1].labels)


def test_digits_splits_are_disjoint_and_complete(digits):
    from sklearn.datasets import load_digits

    def rows(images):
        return sorted(image.tobytes() for image in images.numpy())

    bunch = load_digits()
    small = torch.from_numpy(bunch.images).float()[:, None] / 16
    large = torch.nn.functional.interpolate(small, size=(32, 32), mode="bilinear")
    whole = (large * 255).round().to(torch.uint8)
    # equal as multisets: every image is in exactly one split
    assert rows(torch.cat([digits[0].images, digits[1].images])) == rows(whole)


def test_digits_test_split_is_balanced(digits):
    counts = torch.bincount(digits[1].labels, minlength=10)
    assert int(counts.max()) - int(counts.min()) <= 1


def test_digits_take_a_side(digits):
    small, whole = load_dataset("digits(side=16)", "test"), digits[1]
    assert small.images.shape == (297, 1, 16, 16) and small.name == "digits(side=16)"
    assert torch.equal(small.labels, whole.labels)
    halves = torch.nn.functional.avg_pool2d(whole.images.float(), 2)
    assert float((small.images.float() - halves).abs().mean()) < 8
    with pytest.raises(ValueError, match="side: expected an integer >= 8, got 4"):
        load_dataset("digits(side=4)")


def test_the_test_split_is_always_whole():
    assert len(load_dataset("digits", "test", train_size=20)) == 297


@pytest.mark.parametrize("n", [1, 10, 57, 1500])
def test_train_size_is_balanced_and_seeded(digits, n):
    part = load_dataset("digits", train_size=n, seed=4)
    assert len(part) == n
    if n <= 1400:  # beyond, the smallest class runs out
        counts = torch.bincount(part.labels, minlength=10)
        assert int(counts.max()) - int(counts.min()) <= 1
    assert torch.equal(part.images, load_dataset("digits", train_size=n, seed=4).images)
    assert part.mean == digits[0].mean, "statistics are those of the whole split"
    if n == 57:
        assert not torch.equal(part.images, load_dataset("digits", train_size=n, seed=5).images)


def test_smaller_parts_are_inside_larger_ones(digits):
    def key(part):
        return {image.tobytes() for image in part.images.numpy()}

    assert key(digits[0].take(50)) <= key(digits[0].take(120))


@pytest.mark.parametrize(
    "n, words",
    [
        (0, "train_size: expected an integer >= 1, got 0"),
        (1.5, "train_size: expected an integer >= 1, got 1.5"),
        (1501, "train_size: expected at most 1500, the images of digits train; got 1501"),
    ],
)
def test_bad_train_size(n, words):
    with pytest.raises(ValueError, match=words):
        load_dataset("digits", train_size=n)


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(
        ValueError,
        match=r"expected one of digits, cifar10, cifar100, fashion_mnist, waveforms, voxels, folder:PATH, .*; got 'svhn'",
    ):
        load_dataset("svhn")
    with pytest.raises(ValueError, match=r"split: expected one of 'train', 'test'; got 'val'"):
        load_dataset("digits", "val")


def test_normalize_is_the_same_for_bytes_and_floats(make_dataset):
    dataset = make_dataset(12, channels=3)
    normal = dataset.normalize(dataset.images)
    reference = (dataset.images.numpy() / 255 - np.reshape(dataset.mean, (3, 1, 1))) / np.reshape(
        dataset.std, (3, 1, 1)
    )
    np.testing.assert_allclose(normal.numpy(), reference, atol=1e-5)
    torch.testing.assert_close(dataset.normalize(dataset.unit_images()), normal, atol=1e-5, rtol=0)
    np.testing.assert_allclose(normal.mean(dim=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(normal.std(dim=(0, 2, 3), correction=0), 1, atol=1e-5)


def test_unit_images_and_to(make_dataset):
    dataset = make_dataset(6)
    assert float(dataset.unit_images().max()) <= 1 and dataset.unit_images().dtype == torch.float32
    moved = dataset.to("cpu")
    assert isinstance(moved, Dataset) and torch.equal(moved.images, dataset.images)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_channel_statistics_agree_with_numpy(n, channels, seed):
    images = np.random.default_rng(seed).integers(0, 256, (n, channels, 5, 7), dtype=np.uint8)
    mean, std = channel_statistics(torch.from_numpy(images))
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std(axis=(0, 2, 3)), rtol=1e-9)


@pytest.mark.parametrize("length", [1, 7, 49, 1000])
def test_constant_channels_get_a_divisor_of_one(length):
    for value in range(256):
        _, std = channel_statistics(torch.full((1, 1, 1, length), value, dtype=torch.uint8))
        assert std == (1.0,), value


def floats(dataset):
    return dataset.images.float() / 255


@pytest.mark.parametrize(
    "change, kind, words",
    [
        (lambda d: {"labels": d.labels[:5]}, ValueError, "labels: expected 12 labels, one per image, got 5"),
        (lambda d: {"images": d.images[:5]}, ValueError, "labels: expected 5 labels, one per image, got 12"),
        (lambda d: {"images": floats(d) * 2}, ValueError, r"images: expected values in \[0, 1\], got"),
        (
            lambda d: {"images": d.images.double()},
            TypeError,
            r"got torch.float64; convert with \(x \* 255\).round\(\).to\(",
        ),
        (lambda d: {"images": d.images.numpy()}, TypeError, "images: expected a uint8 torch.Tensor, got ndarray"),
        (
            lambda d: {"images": d.images[:, 0, 0]},
            ValueError,
            r"images: expected \[n, channel, \*size\] .*got \[12, 16\]",
        ),
        (lambda d: {"images": d.images[..., :0]}, ValueError, r"images: .* at least 1, got \[12, 1, 16, 0\]"),
        (lambda d: {"images": d.images[:, 0]}, ValueError, r"mean, std: .* 16 as the images .* have, got 1 and 1"),
        (lambda d: {"labels": d.labels + 1}, ValueError, r"labels: expected classes in 0\.\.2, got 1\.\.3"),
        (lambda d: {"labels": d.labels - 1}, ValueError, r"labels: expected classes in 0\.\.2, got -1\.\.1"),
        (
            lambda d: {"labels": d.labels.int()},
            TypeError,
            r"labels: expected an int64 torch.Tensor \[n\], got torch.int32",
        ),
        (
            lambda d: {"labels": d.labels.numpy()},
            TypeError,
            r"labels: expected an int64 torch.Tensor \[n\], got ndarray",
        ),
        (lambda d: {"labels": d.labels.tolist()}, TypeError, "labels: expected an int64 .* got list"),
        (lambda d: {"labels": d.labels[:, None]}, TypeError, r"labels: .* of shape \(12, 1\)"),
        (lambda d: {"classes": ("a", "b")}, ValueError, r"labels: expected classes in 0\.\.1, got 0\.\.2"),
        (lambda d: {"std": (0.0,)}, ValueError, "std: expected a finite number > 0, got 0.0"),
        (lambda d: {"std": (float("nan"),)}, ValueError, "std: expected a finite number > 0, got nan"),
        (lambda d: {"mean": (float("nan"),)}, ValueError, "mean: expected finite values"),
        (
            lambda d: {"mean": d.mean * 3},
            ValueError,
            "mean, std: expected one number per channel in each, .*got 3 and 1",
        ),
        (lambda d: {"mean": d.mean * 3, "std": d.std * 3}, ValueError, "mean, std: .*, 1 as the images .*got 3 and 3"),
    ],
)
def test_a_dataset_that_does_not_fit_together_is_refused(make_dataset, change, kind, words):
    dataset = make_dataset(12)
    with pytest.raises(kind, match=words):
        replace(dataset, **change(dataset))


@pytest.mark.parametrize("size", [(9,), (4, 5), (2, 3, 4)], ids=str)
def test_one_to_three_spatial_axes_are_normalized_per_channel(size):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 2, *size), dtype=np.uint8)
    dataset = Dataset("x", "train", torch.from_numpy(pixels), torch.tensor([0, 1]), ("a", "b"), (0.2, 0.7), (0.5, 0.1))
    assert dataset.image_size == size and dataset.in_channels == 2
    expected = np.stack([(pixels[:, i] / 255 - dataset.mean[i]) / dataset.std[i] for i in range(2)], axis=1)
    for images in (dataset.images, dataset.unit_images()):
        np.testing.assert_allclose(dataset.normalize(images).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    "convert, kind, words",
    [
        (
            lambda pixels: pixels.double(),
            ValueError,
            r"images: expected values in \[0, 1\], got \[.*; give raw pixels divid",
        ),
        (lambda pixels: pixels.long(), TypeError, r"images: expected a floating dtype, got torch.int64"),
        (lambda pixels: (pixels / 255)[:, :1], ValueError, "images: expected 3 channels, those of tiny; got 1"),
        (lambda pixels: pixels[:, :1], ValueError, "images: expected 3 channels, those of tiny; got 1"),
        (lambda pixels: pixels.numpy(), TypeError, "images: expected a torch.Tensor, got ndarray"),
        (lambda pixels: pixels / 255 * float("nan"), ValueError, "images: expected finite values"),
    ],
)
def test_what_normalize_would_scale_wrongly_is_refused(make_dataset, convert, kind, words):
    dataset = make_dataset(4, channels=3)
    with pytest.raises(kind, match=words):
        dataset.normalize(convert(dataset.images))


def test_a_part_of_images_that_lie_class_after_class_is_balanced_and_drawn(make_dataset):
    dataset = make_dataset(300)
    order = dataset.labels.argsort(stable=True)
    dataset = replace(dataset, images=dataset.images[order], labels=dataset.labels[order])
    part = dataset.take(30, seed=1)
    assert torch.bincount(part.labels).tolist() == [10, 10, 10]
    places = [int((dataset.images == image).flatten(1).all(1).nonzero()[0]) for image in part.images]
    assert max(places[:10]) > 30, "drawn from all of a class, not its first images"
    assert not torch.equal(part.images, dataset.take(30, seed=2).images)


# torchvision's own formats, written small


def cifar_batch(seed: int, n: int, key: str, n_classes: int):
    random = np.random.default_rng(seed)
    return {"data": random.integers(0, 256, (n, 3072), dtype=np.uint8), key: random.integers(0, n_classes, n).tolist()}


def write_cifar10(root):
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    batches = {f"data_batch_{i}": cifar_batch(i, 4, "labels", 10) for i in range(1, 6)}
    batches["test_batch"] = cifar_batch(9, 6, "labels", 10)
    for name, content in batches.items():
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"kind {i}" for i in range(10)]}))
    return batches


def write_cifar100(root):
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    batches = {"train": cifar_batch(1, 7, "fine_labels", 100), "test": cifar_batch(2, 3, "fine_labels", 100)}
    for name, content in batches.items():
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"fine {i}" for i in range(100)]}))
    return batches


@pytest.fixture
def any_checksum(monkeypatch):
    """torchvision takes files that are not the originals."""
    monkeypatch.setattr(
        torchvision.datasets.cifar, "check_integrity", lambda path, md5=None: __import__("os").path.isfile(path)
    )


def test_cifar10_is_read_from_torchvisions_layout(tmp_path, any_checksum):
    batches = write_cifar10(tmp_path)
    train, test = load_dataset("cifar10", root=tmp_path), load_dataset("cifar10", "test", root=str(tmp_path))
    expected = np.concatenate([batches[f"data_batch_{i}"]["data"] for i in range(1, 6)])
    # rows of the file are 1024 red, 1024 green, 1024 blue values
    np.testing.assert_array_equal(train.images.numpy().reshape(20, 3072), expected)
    assert train.labels.tolist() == [label for i in range(1, 6) for label in batches[f"data_batch_{i}"]["labels"]]
    np.testing.assert_array_equal(test.images.numpy().reshape(6, 3072), batches["test_batch"]["data"])
    assert train.images.is_contiguous() and train.images.shape == (20, 3, 32, 32)
    assert train.classes[3] == "kind 3" and train.name == "cifar10"
    assert train.mean == test.mean == (0.4914, 0.4822, 0.4465) and train.std == (0.2023, 0.1994, 0.2010)


def test_cifar100_is_read_with_fine_labels(tmp_path, any_checksum):
    batches = write_cifar100(tmp_path)
    test = load_dataset("cifar100", "test", root=tmp_path)
    np.testing.assert_array_equal(test.images.numpy().reshape(3, 3072), batches["test"]["data"])
    assert test.labels.tolist() == batches["test"]["fine_labels"] and len(test.classes) == 100


def write_fashion_mnist(root):
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    written = {}
    for seed, (prefix, n) in enumerate({"train": 9, "t10k": 5}.items()):
        random = np.random.default_rng(seed)
        images = random.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = random.integers(0, 10, n, dtype=np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, n, 28, 28) + images.tobytes())
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, n) + labels.tobytes())
        written[prefix] = images, labels
    return written


def test_fashion_mnist_is_read_from_idx_files(tmp_path):
    written = write_fashion_mnist(tmp_path)
    train, test = load_dataset("fashion_mnist", root=tmp_path), load_dataset("fashion_mnist", "test", root=tmp_path)
    for dataset, prefix in ((train, "train"), (test, "t10k")):
        images, labels = written[prefix]
        np.testing.assert_array_equal(dataset.images.numpy(), images[:, None])
        assert dataset.labels.tolist() == labels.tolist()
        np.testing.assert_allclose(dataset.mean, (written["train"][0] / 255).mean())
        np.testing.assert_allclose(dataset.std, (written["train"][0] / 255).std())
    assert train.in_channels == 1 and train.image_size == (28, 28) and train.classes[9] == "Ankle boot"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    "name, place",
    [("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python"), ("fashion_mnist", "FashionMNIST/raw")],
)
def test_offline_the_error_says_where_to_put_the_files(tmp_path, network, capsys, name, place):
    with pytest.raises(
        FileNotFoundError, match=f"dataset {name}: no files under {tmp_path}/{place}, .*download failed"
    ) as found:
        load_dataset(name, root=tmp_path)
    assert "name their folder with root= (--root)" in str(found.value)
    assert isinstance(found.value.__cause__, (OSError, RuntimeError))
    assert network, "a download was tried"
    network.clear()
