"""Data of one's own: arrays, torch datasets, .npz files, functions in a file of one's own."""

import io
import sys
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from msda_analysis.data import Dataset, channel_statistics, dataset_settings, iterate_batches, load_dataset
from msda_analysis.data.npz import read_arrays

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 2, 5, 6), dtype=np.uint8)
LABELS = np.arange(12) % 3


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current directory that is not on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_data", None)


class TestFromArrays:
    @pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
    @pytest.mark.parametrize("shape", [(12, 2, 30), (12, 2, 5, 6), (12, 2, 5, 2, 3)], ids=str)
    def test_one_to_three_axes(self, convert, shape):
        dataset = Dataset.from_arrays(convert(PIXELS.reshape(shape)), LABELS)
        assert dataset.images.dtype == torch.uint8 and dataset.image_size == shape[2:]
        np.testing.assert_array_equal(dataset.images.numpy(), PIXELS.reshape(shape))
        assert dataset.labels.tolist() == LABELS.tolist() and dataset.classes == ("0", "1", "2")
        assert (dataset.mean, dataset.std) == channel_statistics(dataset.images)

    def test_floats_keep_their_values(self):
        values = np.random.default_rng(1).random((12, 2, 7))
        dataset = Dataset.from_arrays(values, LABELS)
        assert dataset.images.dtype == torch.float32
        np.testing.assert_array_equal(dataset.images.numpy(), values.astype(np.float32))
        np.testing.assert_allclose(dataset.mean, values.mean((0, 2)), rtol=1e-6)
        np.testing.assert_allclose(dataset.std, values.std((0, 2)), rtol=1e-6)
        expected = (values - np.reshape(dataset.mean, (2, 1))) / np.reshape(dataset.std, (2, 1))
        np.testing.assert_allclose(dataset.normalize(dataset.images).numpy(), expected, atol=1e-5)
        assert torch.equal(dataset.unit_images(), dataset.images) and dataset.unit_images() is not dataset.images
        (batch,) = iterate_batches(dataset, 12, seed=0)
        torch.testing.assert_close(batch.images.mean((0, 2)), torch.zeros(2), atol=1e-5, rtol=0)

    def test_floats_that_are_pixels_are_kept_as_such(self):
        for floats in (PIXELS / 255, (PIXELS / 255).astype(np.float32), torch.from_numpy(PIXELS) / 255):
            images = Dataset.from_arrays(floats, LABELS).images
            assert images.dtype == torch.uint8 and np.array_equal(images.numpy(), PIXELS)

    def test_a_constant_float_channel_gets_a_divisor_of_one(self):
        assert Dataset.from_arrays(np.full((12, 1, 8), 0.3), LABELS).std == (1.0,)

    def test_arrays_are_copied(self):
        pixels, labels = PIXELS.copy(), LABELS.copy()
        dataset = Dataset.from_arrays(pixels, labels)
        pixels[:], labels[:] = 0, 0
        assert int(dataset.images.max()) > 0 and int(dataset.labels.max()) == 2

    @pytest.mark.parametrize(
        "labels", [LABELS[:, None], LABELS.astype(np.uint8), LABELS.tolist(), torch.arange(12) % 3]
    )
    def test_labels_of_many_kinds(self, labels):
        assert Dataset.from_arrays(PIXELS, labels).labels.tolist() == LABELS.tolist()

    def test_names_as_labels(self):
        names = np.array(["oak", "ash", "elm"])[LABELS]
        dataset = Dataset.from_arrays(PIXELS, names)
        assert dataset.classes == ("ash", "elm", "oak") and dataset.labels[:3].tolist() == [2, 0, 1]
        given = Dataset.from_arrays(PIXELS, names, ("oak", "ash", "elm", "fir"))
        assert given.labels.tolist() == LABELS.tolist() and len(given.classes) == 4
        with pytest.raises(ValueError, match=r"labels: expected names among classes \(oak, ash\), got also elm"):
            Dataset.from_arrays(PIXELS, names, ("oak", "ash"))

    def test_given_statistics_are_kept(self):
        dataset = Dataset.from_arrays(PIXELS, LABELS, mean=(0.1, 0.2), std=(1, 2), name="mine", split="test")
        assert (dataset.mean, dataset.std, dataset.name, dataset.split) == ((0.1, 0.2), (1.0, 2.0), "mine", "test")

    @pytest.mark.parametrize(
        "images, labels, kind, words",
        [
            (PIXELS.tolist(), LABELS, TypeError, "images: expected a NumPy array or a tensor, got list"),
            (PIXELS.astype(int), LABELS, TypeError, "images: expected uint8, or floats .*got torch.int64; convert"),
            (PIXELS.astype(float), LABELS, ValueError, r"images: expected values in \[0, 1\], got \[0, 255\]"),
            (PIXELS[:, 0, 0], LABELS, ValueError, r"images: expected \[n, channel, \*size\]"),
            (PIXELS / 255 * np.nan, LABELS, ValueError, "images: expected finite values"),
            (PIXELS.transpose(0, 2, 3, 1)[..., [0, 0, 1]], LABELS, ValueError, r"looks like \[n, height, width, channel\]"),
            (PIXELS[:, 0, :5, :5], LABELS, ValueError, r"square pictures without a channel; use images\[:, None\]"),
            (PIXELS, LABELS[:5], ValueError, "labels: expected 12 labels, one per image, got 5"),
            (PIXELS, LABELS / 2, TypeError, "labels: expected integers or names, got float64"),
            (PIXELS, LABELS - 1, ValueError, r"labels: expected classes in 0\.\.1, got -1\.\.1"),
            (PIXELS, np.eye(12), ValueError, r"labels: expected one label per image, \[n\] or \[n, 1\], got shape \(12, 12\)"),
            (PIXELS, [], ValueError, "labels: expected one label per image"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit_is_refused(self, images, labels, kind, words):
        with pytest.raises(kind, match=words):
            Dataset.from_arrays(images, labels)

    def test_the_digest_knows_content_not_name(self):
        first = Dataset.from_arrays(PIXELS, LABELS)
        assert first.digest == Dataset.from_arrays(torch.from_numpy(PIXELS), LABELS, name="other").digest
        changed = PIXELS.copy()
        changed[0, 0, 0, 0] ^= 1
        others = [
            Dataset.from_arrays(changed, LABELS),
            Dataset.from_arrays(PIXELS, LABELS[::-1].copy()),
            Dataset.from_arrays(PIXELS, LABELS, "abc"),
            Dataset.from_arrays(PIXELS, LABELS, mean=(0.1, 0.2)),
            Dataset.from_arrays(PIXELS.reshape(12, 2, 30), LABELS),
        ]
        assert len({first.digest, *(other.digest for other in others)}) == 6


class Pictures(torch.utils.data.Dataset):
    """As torchvision's: pairs of a PIL picture and a number."""

    classes = ("ash", "elm", "oak")

    def __init__(self, change=lambda i, image: image):
        self.change = change

    def __len__(self):
        return 12

    def __getitem__(self, i):
        return self.change(i, Image.fromarray(PIXELS[i, 0])), int(LABELS[i])


class TestFromTorch:
    def test_pictures_tensors_and_iterables(self):
        dataset = Dataset.from_torch(Pictures())
        np.testing.assert_array_equal(dataset.images.numpy(), PIXELS[:, :1])
        assert dataset.classes == Pictures.classes and dataset.labels.tolist() == LABELS.tolist()
        floats = Pictures(lambda i, image: torch.from_numpy(np.asarray(image)[None] / 255))
        assert torch.equal(Dataset.from_torch(floats).images, dataset.images)
        tensors = torch.utils.data.TensorDataset(torch.from_numpy(PIXELS), torch.from_numpy(LABELS))
        np.testing.assert_array_equal(Dataset.from_torch(tensors).images.numpy(), PIXELS)
        colored = Dataset.from_torch(
            (image.convert("RGB"), label) for image, label in (Pictures()[i] for i in range(12))
        )
        assert colored.images.shape == (12, 3, 5, 6) and colored.classes == ("0", "1", "2")
        assert torch.equal(colored.images[:, 1:2], dataset.images)

    @pytest.mark.parametrize(
        "items, kind, words",
        [
            ([PIXELS[0]], TypeError, r"dataset: expected items \(image, label\), got ndarray as item 0"),
            ([("a.png", 0)], TypeError, "dataset: expected a PIL picture, an array or a tensor as image, got str in item 0"),
            ([(PIXELS[0], 0), (PIXELS[1, :, 1:], 1)], ValueError, r"\(2, 5, 6\) like the first, got uint8 \(2, 4, 6\) as item 1"),
            ([], ValueError, "dataset: expected at least one item, got none"),
        ],
    )  # fmt: skip
    def test_items_of_another_kind_are_named(self, items, kind, words):
        with pytest.raises(kind, match=words):
            Dataset.from_torch(items)


class TestNpz:
    def test_both_splits(self, folder):
        np.savez("leaves.npz", images=PIXELS, labels=LABELS, test_images=PIXELS[:4] // 2, test_labels=LABELS[:4])
        train, test = load_dataset("npz:leaves.npz"), load_dataset(f"npz:{folder}/leaves.npz", "test")
        np.testing.assert_array_equal(train.images.numpy(), PIXELS)
        np.testing.assert_array_equal(test.images.numpy(), PIXELS[:4] // 2)
        assert (test.mean, test.std, test.classes) == (train.mean, train.std, train.classes)
        assert (train.name, train.split, test.split) == ("npz:leaves", "train", "test")
        assert len(load_dataset("npz:leaves.npz", train_size=6)) == 6

    def test_a_fifth_is_held_out_where_there_is_no_test_split(self, folder):
        labels = np.arange(50) % 5
        images = np.arange(50, dtype=np.uint8)[:, None, None] * np.ones((1, 1, 9), np.uint8)
        np.savez("waves.npz", images=images, labels=labels, classes=np.array(list("vwxyz")))
        train, test = load_dataset("npz:waves.npz"), load_dataset("npz:waves.npz", "test")
        numbers = [set(part.images[:, 0, 0].tolist()) for part in (train, test)]
        assert not numbers[0] & numbers[1] and numbers[0] | numbers[1] == set(range(50))
        assert torch.bincount(test.labels).tolist() == [2] * 5 and test.classes == tuple("vwxyz")
        assert test.mean == train.mean == channel_statistics(train.images)[0]

    def test_changed_files_are_other_data(self, folder):
        np.savez("a.npz", images=PIXELS, labels=LABELS)
        before = dataset_settings("npz:a.npz")
        assert before == dataset_settings("npz:a.npz") and list(before) == ["file"]
        np.savez("a.npz", images=PIXELS ^ 1, labels=LABELS)
        assert dataset_settings("npz:a.npz") != before

    @pytest.mark.parametrize(
        "arrays, words",
        [
            ({"images": PIXELS}, "expected arrays images and labels, and both or none .*; got images"),
            ({"images": PIXELS, "labels": LABELS, "test_images": PIXELS}, "both or none of test_images and test_labels"),
            ({"images": PIXELS, "labels": np.array([None, {}])}, "expected an .npz file of plain arrays, got ValueError: Obj"),
            ({"images": PIXELS, "labels": LABELS[:5]}, "labels: expected 12 labels, one per image, got 5"),
        ],
    )  # fmt: skip
    def test_what_is_missing_or_would_execute_is_refused(self, folder, arrays, words):
        np.savez("a.npz", **arrays)
        with pytest.raises(ValueError, match=words):
            load_dataset("npz:a.npz")

    def test_no_file_or_another_file(self, folder):
        with pytest.raises(FileNotFoundError, match=r"none\.npz"):
            load_dataset("npz:none.npz")
        (folder / "a.npz").write_text("no archive")
        with pytest.raises(ValueError, match=r"a\.npz: expected an \.npz file of plain arrays, got BadZipFile"):
            load_dataset("npz:a.npz")

    def test_archives_that_unpack_without_bound_are_refused_before_they_do(self, folder):
        np.savez_compressed("bomb.npz", images=np.zeros((64, 1, 1 << 14), np.uint8), labels=np.zeros(64, int))
        assert (folder / "bomb.npz").stat().st_size < 10_000
        with pytest.raises(ValueError, match=r"expected at most 100,000 bytes of arrays, unpacked, got 1,049,344;"):
            read_arrays(folder / "bomb.npz", ("images", "labels"), largest=100_000)

    def test_a_header_that_promises_too_much_is_refused(self, folder):
        """NumPy would ask for the memory that the header names, whatever the file holds."""
        header = io.BytesIO()
        shape = (1 << 40, 1, 8)
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile("liar.npz", "w") as archive:
            archive.writestr("images.npy", header.getvalue() + b"0" * 100)
            archive.writestr("labels.npy", header.getvalue())
        with pytest.raises(
            ValueError, match=r"liar\.npz: expected at most [\d,]+ bytes of arrays, unpacked, got 17,592,1"
        ):
            load_dataset("npz:liar.npz")


OWN = """
import numpy as np
from msda_analysis.data import Dataset

def load(split, root, length=8):
    n = {"train": 12, "test": 4}[split]
    waves = np.random.default_rng(n).random((n, 1, length))
    return Dataset.from_arrays(waves, np.arange(n) % 3)

def nothing(split, root):
    return 3

def alone():
    return 3

def other_classes(split, root):
    return Dataset.from_arrays(np.zeros((4, 1, 8), np.uint8), [0, 1, 0, 1], ("a", "b") if split == "train" else ("b", "a"))
"""


class TestOwnFunction:
    @pytest.fixture(autouse=True)
    def _write(self, folder):
        (folder / "my_data.py").write_text(OWN, encoding="utf-8")

    def test_it_is_loaded_from_the_current_directory(self):
        train, test = load_dataset("my_data:load"), load_dataset("my_data:load", "test")
        assert train.images.shape == (12, 1, 8) and len(test) == 4 and test.split == "test"
        assert train.name == test.name == "my_data:load"
        assert (test.mean, test.std) == (train.mean, train.std) == channel_statistics(train.images)
        longer = load_dataset("my_data:load(length=20)")
        assert longer.image_size == (20,) and longer.name == "my_data:load(length=20)"

    def test_changed_code_is_other_data(self, folder):
        before = dataset_settings("my_data:load(length=20)")
        assert before["function"]["module"] == "my_data" and before["function"]["name"] == "load"
        (folder / "my_data.py").write_text(OWN.replace("(n)", "(n + 1)"), encoding="utf-8")
        sys.modules.pop("my_data")
        for cached in folder.rglob("*.pyc"):
            cached.unlink()
        assert dataset_settings("my_data:load(length=20)")["function"]["code"] != before["function"]["code"]

    @pytest.mark.parametrize(
        "name, kind, words",
        [
            ("my_data:none", ValueError, "dataset: cannot find my_data:none of 'my_data:none'"),
            ("no_such_module_here:load", ValueError, "dataset: cannot find no_such_module_here:load .*check the names"),
            ("my_data:load(size=3)", ValueError, r"dataset: 'my_data:load\(size=3\)' has no setting 'size', only length"),
            ("my_data:load(length=open('x'))", ValueError, "dataset: expected settings such as"),
            ("my_data:alone", ValueError, r"to be a function \(split, root\) -> Dataset, got <function alone"),
            ("my_data:np", ValueError, r"to be a function \(split, root\) -> Dataset, got <module"),
            ("my_data:nothing", TypeError, r"to return a Dataset \(see Dataset.from_arrays\), got int"),
        ],
    )  # fmt: skip
    def test_what_is_no_such_function_is_refused(self, name, kind, words):
        with pytest.raises(kind, match=words):
            load_dataset(name)

    def test_splits_with_other_classes_are_refused(self):
        with pytest.raises(
            ValueError, match="expected both splits of 'my_data:other_classes' to have the same classes"
        ):
            load_dataset("my_data:other_classes", "test")


def test_the_packages_own_names_say_nothing_more():
    assert [dataset_settings(name) for name in ("digits", "cifar10", "folder:/nowhere", "voxels(n=6)")] == [{}] * 4
