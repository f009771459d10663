"""Image folders: decoded as PIL reads them, cached until a file changes, and clear about what is wrong."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from msda_analysis.data import channel_statistics, folder, load_dataset


def load(image_folder, split="train", **more):
    return load_dataset(f"folder:{image_folder}", split, root=image_folder.parent / "cache", **more)


@pytest.fixture
def count_decoded(monkeypatch):
    """How many files were decoded."""
    seen = []
    real = folder._decode
    monkeypatch.setattr(folder, "_decode", lambda path: (seen.append(path.name), real(path))[1])
    return seen


@pytest.mark.parametrize("split", ["train", "test"])
def test_pixels_are_those_of_the_files(image_folder, split):
    dataset = load(image_folder, split)
    paths = sorted((image_folder / split).glob("*/*.png"))
    expected = np.stack([np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1) for path in paths])
    np.testing.assert_array_equal(dataset.images.numpy(), expected)
    assert [dataset.classes[label] for label in dataset.labels] == [path.parent.name for path in paths]
    assert dataset.classes == ("class_0", "class_1") and dataset.name == "folder:pictures"
    assert dataset.images.dtype == torch.uint8 and dataset.labels.dtype == torch.int64


def test_statistics_are_those_of_the_training_split(image_folder):
    train, test = load(image_folder), load(image_folder, "test")
    assert train.mean == test.mean and (test.mean, test.std) == channel_statistics(train.images)


def test_a_second_load_reads_the_cache(image_folder, count_decoded):
    first = load(image_folder)
    assert len(count_decoded) == 24
    count_decoded.clear()
    second = load(image_folder)
    assert count_decoded == [] and torch.equal(first.images, second.images) and torch.equal(first.labels, second.labels)


def test_a_changed_file_is_decoded_again(image_folder, count_decoded):
    before = load(image_folder)
    path = image_folder / "train" / "class_0" / "000.png"
    Image.fromarray(np.full((32, 32, 3), 7, np.uint8)).save(path)
    count_decoded.clear()
    after = load(image_folder)
    assert len(count_decoded) == 24
    assert (after.images[0] == 7).all() and torch.equal(after.images[1:], before.images[1:])


def test_a_change_that_keeps_the_size_is_seen_by_its_date(tmp_path):
    path = tmp_path / "grey" / "train" / "x" / "0.pgm"
    path.parent.mkdir(parents=True)
    for value, date in ((1, 1_000_000_000), (2, 1_000_000_001)):
        Image.fromarray(np.full((16, 16), value, np.uint8)).save(path)
        os.utime(path, (date, date))
        assert (load(tmp_path / "grey").images == value).all()


def test_added_removed_and_renamed_files_are_noticed(image_folder):
    assert len(load(image_folder)) == 24
    place = image_folder / "train" / "class_1"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(place / "999.png")
    assert len(load(image_folder)) == 25
    os.unlink(place / "999.png")
    os.rename(place / "001.png", image_folder / "train" / "class_0" / "001.png")
    dataset = load(image_folder)
    assert torch.bincount(dataset.labels).tolist() == [13, 11]


def test_two_folders_with_files_of_same_name_size_and_date_are_not_mixed_up(tmp_path):
    for name, value in (("a", 1), ("b", 2)):
        place = tmp_path / name / "train" / "x"
        place.mkdir(parents=True)
        Image.fromarray(np.full((16, 16), value, np.uint8)).save(place / "0.pgm")
        os.utime(place / "0.pgm", (1_000_000_000, 1_000_000_000))  # as unpacked from an archive
    values = [
        int(load_dataset(f"folder:{tmp_path / name}", root=tmp_path / "cache").images[0, 0, 0, 0]) for name in "ab"
    ]
    assert values == [1, 2]


@pytest.mark.parametrize("damage", [b"", b"garbage" * 50, None], ids=["empty", "garbage", "cut short"])
def test_a_damaged_cache_is_decoded_again(image_folder, count_decoded, damage):
    good = load(image_folder)
    (cached,) = (image_folder.parent / "cache" / "folders").iterdir()
    cached.write_bytes(cached.read_bytes()[:-100] if damage is None else damage)
    count_decoded.clear()
    again = load(image_folder)
    assert len(count_decoded) == 24 and torch.equal(again.images, good.images)
    count_decoded.clear()
    load(image_folder)
    assert count_decoded == [], "the new cache is good"


def test_a_cache_of_other_content_is_not_used(image_folder, count_decoded):
    from safetensors.torch import save_file

    load(image_folder)
    (cached,) = (image_folder.parent / "cache" / "folders").iterdir()
    for wrong in (
        {"pixels": torch.zeros(24)},
        {"images": torch.zeros(24)},
        {"images": torch.zeros(3, dtype=torch.uint8)},
    ):
        save_file(wrong, cached)
        count_decoded.clear()
        assert load(image_folder).images.shape == (24, 3, 32, 32) and len(count_decoded) == 24


def test_a_cache_that_cannot_be_written_is_no_error(image_folder):
    (image_folder.parent / "cache").write_text("a file where a folder should be")
    assert len(load(image_folder)) == 24


def test_no_space_for_the_cache_leaves_no_temporary(image_folder, monkeypatch):
    def fail(tensors, path):
        with open(path, "wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    assert len(load(image_folder)) == 24
    assert list((image_folder.parent / "cache" / "folders").iterdir()) == []


def test_a_corrupt_file_is_named(image_folder):
    path = image_folder / "train" / "class_1" / "003.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(
        ValueError, match=r"class_1/003.png: cannot be decoded as an image \(.*\); remove or replace the file"
    ):
        load(image_folder)


def test_a_file_that_is_no_image_is_named(image_folder):
    (image_folder / "train" / "class_0" / "notes.jpg").write_text("not an image")
    with pytest.raises(ValueError, match=r"class_0/notes.jpg: cannot be decoded"):
        load(image_folder)


def test_sixteen_bit_files_are_refused_and_not_cut_off(image_folder):
    deep = (np.arange(1024).reshape(32, 32) * 60).astype(np.uint16)
    Image.fromarray(deep).save(image_folder / "train" / "class_0" / "deep.png")
    with pytest.raises(ValueError, match=r"deep.png: cannot be decoded .*8 bits"):
        load(image_folder)


def test_other_files_and_hidden_folders_are_passed_over(image_folder):
    (image_folder / "train" / "class_0" / "readme.txt").write_text("hello")
    (image_folder / "train" / ".hidden").mkdir()
    (image_folder / "train" / "list.csv").write_text("x")
    dataset = load(image_folder)
    assert len(dataset) == 24 and len(dataset.classes) == 2


def test_different_sizes_name_the_file(image_folder):
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(image_folder / "train" / "class_1" / "zzz.png")
    with pytest.raises(
        ValueError, match=r"class_1/zzz.png: expected all images to be 32x32 pixels like 000.png, got 30x20"
    ):
        load(image_folder)


def test_grey_files_give_one_channel(tmp_path, write_image_folder):
    dataset = load(write_image_folder(tmp_path / "grey", channels=1))
    assert dataset.in_channels == 1 and len(dataset.mean) == 1
    first = np.asarray(Image.open(tmp_path / "grey" / "train" / "class_0" / "000.png"))
    np.testing.assert_array_equal(dataset.images[0, 0].numpy(), first)


def test_grey_files_among_colour_fill_all_channels(image_folder):
    pixels = np.arange(1024, dtype=np.uint16).reshape(32, 32).astype(np.uint8)
    Image.fromarray(pixels).save(image_folder / "train" / "class_0" / "000.png")
    dataset = load(image_folder)
    assert dataset.in_channels == 3
    np.testing.assert_array_equal(dataset.images[0].numpy(), np.stack([pixels] * 3))


def test_palette_files_become_colour(image_folder):
    colour = Image.new("RGB", (32, 32), (10, 200, 30))
    colour.convert("P", palette=Image.Palette.ADAPTIVE).save(image_folder / "train" / "class_0" / "000.png")
    assert load(image_folder).images[0, :, 5, 5].tolist() == [10, 200, 30]


def test_missing_parts_are_named(tmp_path, image_folder):
    with pytest.raises(
        FileNotFoundError, match=r"expected a folder .*nowhere/train \(layout: PATH/train/CLASS/\*, PATH/test"
    ):
        load(tmp_path / "nowhere")
    (tmp_path / "bare" / "train").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"bare/train: expected one folder per class, found none"):
        load(tmp_path / "bare")
    (tmp_path / "bare" / "train" / "a").mkdir()
    with pytest.raises(ValueError, match=r"bare/train: expected images \(\.png, .*\) in its class folders, found none"):
        load(tmp_path / "bare")


def test_a_class_without_test_images_is_fine_and_an_unknown_one_is_not(image_folder):
    import shutil

    shutil.rmtree(image_folder / "test" / "class_0")
    test = load(image_folder, "test")
    assert test.classes == ("class_0", "class_1") and set(test.labels.tolist()) == {1}
    (image_folder / "test" / "class_9").mkdir()
    with pytest.raises(ValueError, match=r"test: expected the classes of train, got also class_9"):
        load(image_folder, "test")


def test_train_size_of_a_folder_is_balanced(shared_image_folder, tmp_path):
    dataset = load_dataset(f"folder:{shared_image_folder}", root=tmp_path, train_size=10)
    assert torch.bincount(dataset.labels).tolist() == [5, 5]
