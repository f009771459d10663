"""Image folders: decoded as PIL reads them, cached until a file changes, and clear about what is wrong."""

import os
import struct
import zlib

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
    monkeypatch.setattr(folder, "_decode", lambda path, size: (seen.append(path.name), real(path, size))[1])
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


ORIENTATION = 0x0112
#: What sets a picture upright that was stored in one of the eight EXIF orientations.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def one_class(tmp_path, name="x.png"):
    """Where the only image of a folder goes."""
    place = tmp_path / "pictures" / "train" / "thing"
    place.mkdir(parents=True, exist_ok=True)
    return place / name


def stored(seed=0, height=6, width=9):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def turned(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp"])
def test_pictures_are_set_upright(tmp_path, orientation, suffix):
    pixels = stored()
    more = {"lossless": True} if suffix == ".webp" else {}
    path = one_class(tmp_path, f"x{suffix}")
    Image.fromarray(pixels).save(path, exif=turned(orientation), **more)
    found = load(tmp_path / "pictures").images[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(found, UPRIGHT[orientation](pixels))


def test_a_turned_photograph_has_the_size_of_the_upright_ones(tmp_path):
    pixels = np.kron(stored(height=2, width=3), np.ones((8, 8, 1), np.uint8))  # flat blocks, so that JPEG keeps them
    Image.fromarray(pixels).save(one_class(tmp_path, "a.jpg"), quality=95, subsampling=0)
    Image.fromarray(np.rot90(pixels)).save(one_class(tmp_path, "b.jpg"), quality=95, subsampling=0, exif=turned(6))
    first, second = load(tmp_path / "pictures").images.int()
    assert first.shape == (3, 16, 24) and int((first - second).abs().max()) < 12
    assert int((first - second.flip(2)).abs().max()) > 50


def test_sizes_after_turning_are_compared_too(tmp_path):
    Image.fromarray(stored()).save(one_class(tmp_path, "a.png"))
    Image.fromarray(stored()).save(one_class(tmp_path, "b.png"))
    Image.fromarray(stored()).save(one_class(tmp_path, "c.png"), exif=turned(6))
    with pytest.raises(ValueError, match=r"c.png: expected all images to be 9x6 pixels like a.png, got 6x9"):
        load(tmp_path / "pictures")


def transparent(kind):
    rgba = np.dstack([stored(), np.full((6, 9), 255, np.uint8)])
    if kind == "half":
        rgba[2, 3, 3] = 128
    picture = Image.fromarray(rgba)
    return picture.convert("LA") if kind == "grey" else picture


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_transparent_pixels_are_refused(tmp_path, suffix):
    path = one_class(tmp_path, f"x{suffix}")
    transparent("half").save(path)
    with pytest.raises(
        ValueError, match=rf"thing/x{suffix}: .*transparent pixels.*flatten it onto a background, for ex"
    ):
        load(tmp_path / "pictures")


def test_an_opaque_alpha_channel_is_dropped(tmp_path):
    transparent("opaque").save(one_class(tmp_path))
    np.testing.assert_array_equal(load(tmp_path / "pictures").images[0].permute(1, 2, 0).numpy(), stored())


@pytest.mark.parametrize("is_used", [True, False])
def test_transparency_of_a_palette_counts_where_it_is_used(tmp_path, is_used):
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([255, 0, 0, 10, 200, 30])
    if is_used:
        picture.putpixel((2, 2), 0)
    picture.save(one_class(tmp_path), transparency=0)
    if is_used:
        with pytest.raises(ValueError, match=r"x.png: .*transparent pixels"):
            load(tmp_path / "pictures")
    else:
        assert load(tmp_path / "pictures").images[0, :, 2, 2].tolist() == [10, 200, 30]


@pytest.mark.parametrize("name", ["x.gif", "photo.HEIC", "drawing.svg", "x.avif", "scan.jp2"])
def test_pictures_of_other_kinds_are_refused_and_not_passed_over(image_folder, name):
    (image_folder / "train" / "class_0" / name).write_bytes(b"whatever")
    with pytest.raises(ValueError, match=rf"class_0/{name}: expected images \(.png, .*\); convert it to .png, or move"):
        load(image_folder)


def test_every_suffix_that_pil_reads_as_a_picture_is_either_read_or_refused():
    assert not set(folder.SUFFIXES) & set(folder.UNREAD_SUFFIXES)
    known = {".gif", ".ico", ".jp2", ".jfif", ".tga", ".avif", ".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm"}
    assert known <= {*folder.SUFFIXES, *folder.UNREAD_SUFFIXES}


def test_a_gif_under_another_name_is_refused(tmp_path):
    Image.fromarray(stored()).save(one_class(tmp_path), format="GIF")
    with pytest.raises(ValueError, match=r"x.png: cannot be decoded as an image"):
        load(tmp_path / "pictures")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_several_frames_are_refused(tmp_path, suffix):
    first, second = (Image.fromarray(stored(seed)) for seed in (0, 1))
    first.save(one_class(tmp_path, f"x{suffix}"), save_all=True, append_images=[second])
    with pytest.raises(ValueError, match=rf"x{suffix}: .*expected one picture, got 2 frames"):
        load(tmp_path / "pictures")


def test_the_preview_that_cameras_add_is_no_second_frame(tmp_path):
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ("white", "black"))
    first.save(one_class(tmp_path, "x.jpg"), format="MPO", save_all=True, append_images=[second])
    assert (load(tmp_path / "pictures").images == 255).all()


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_class_is_refused(image_folder, split):
    for path in (image_folder / split / "class_1").iterdir():
        path.unlink()
    (image_folder / split / "class_1" / "notes.txt").write_text("to do")
    with pytest.raises(
        ValueError, match=rf"{split}: expected images .* in its class folders, found none in class_1; put"
    ):
        load(image_folder, split)


def png_header(width, height):
    """A PNG that says how large it is and has no pixels: whoever decodes it fails."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("name", ["000.png", "zzz.png"], ids=["first", "last"])
def test_a_huge_file_is_refused_by_its_header(image_folder, count_decoded, name):
    (image_folder / "train" / "class_0" / name).write_bytes(png_header(10_000, 10_000))
    with pytest.raises(
        ValueError,
        match=rf"class_0/{name}: expected all images to be 32x32 pixels like 00.\.png, got 10000x10000; resize",
    ):
        load(image_folder)
    assert count_decoded == []


def test_a_fifo_is_no_image_and_is_never_opened(image_folder):
    fifo = image_folder / "train" / "class_0" / "x.png"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)  # so that a reader would find this instead of waiting for ever
    try:
        os.write(held, b"garbage" * 5)
        with pytest.raises(
            ValueError, match=r"class_0/x.png: expected an image file, got a folder, a broken link, a FIFO"
        ):
            load(image_folder)
        assert os.read(held, 100) == b"garbage" * 5
    finally:
        os.close(held)


@pytest.mark.parametrize("target", ["/dev/zero", "nowhere", None], ids=["device", "broken link", "folder"])
def test_what_is_no_file_is_no_image(image_folder, target):
    path = image_folder / "train" / "class_0" / "x.png"
    path.mkdir() if target is None else path.symlink_to(target)
    with pytest.raises(ValueError, match=r"class_0/x.png: expected an image file, got .*; remove it"):
        load(image_folder)


def test_a_change_that_keeps_size_and_date_is_seen(tmp_path, count_decoded):
    path = one_class(tmp_path, "0.pgm")
    for value in (1, 2):
        Image.fromarray(np.full((16, 16), value, np.uint8)).save(path)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        assert (load(tmp_path / "pictures").images == value).all()


def test_a_moved_folder_is_not_decoded_again(image_folder, count_decoded):
    images = load(image_folder).images
    count_decoded.clear()
    moved = image_folder.rename(image_folder.with_name("elsewhere"))
    for path in moved.glob("*/*/*.png"):
        os.utime(path, (1, 1))
    assert torch.equal(load(moved).images, images) and count_decoded == []


def test_one_wrong_byte_in_the_cache_is_noticed(image_folder, count_decoded):
    good = load(image_folder)
    (cached,) = (image_folder.parent / "cache" / "folders").iterdir()
    content = bytearray(cached.read_bytes())
    content[-1] ^= 1
    cached.write_bytes(content)
    count_decoded.clear()
    assert torch.equal(load(image_folder).images, good.images) and len(count_decoded) == 24


def test_what_changes_while_it_is_read_is_not_cached(image_folder, monkeypatch):
    path, real = image_folder / "train" / "class_0" / "000.png", folder._decode

    def decode(each, size):
        if each == path:
            Image.fromarray(np.full((32, 32, 3), 7, np.uint8)).save(path)
        return real(each, size)

    old = path.read_bytes()
    monkeypatch.setattr(folder, "_decode", decode)
    assert (load(image_folder).images[0] == 7).all()
    monkeypatch.setattr(folder, "_decode", real)
    path.write_bytes(old)
    assert not (load(image_folder).images[0] == 7).all()


def test_a_file_cut_short_in_its_header_is_named(image_folder):
    path = image_folder / "train" / "class_1" / "003.png"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=r"class_1/003.png: cannot be decoded as an image \(.*\); remove or replace"):
        load(image_folder)


def write_mixed_sizes(root):
    """A wide, a tall and a small picture, black with a white middle."""
    for split in ("train", "test"):
        for label, (height, width) in enumerate([(30, 90), (120, 40), (20, 20)]):
            pixels = np.zeros((height, width, 3), np.uint8)
            pixels[height // 3 : -(height // 3), width // 3 : -(width // 3)] = 255
            (root / split / f"class_{label}").mkdir(parents=True)
            Image.fromarray(pixels).save(root / split / f"class_{label}" / "0.png")
    return root


def test_pictures_of_several_sizes_are_resized_as_they_are_read(tmp_path):
    place = write_mixed_sizes(tmp_path / "mixed")
    with pytest.raises(
        ValueError, match=r"got \d+x\d+; resize the folder first, or as it is read \(resize=, --resize\)"
    ):
        load_dataset(f"folder:{place}", root=tmp_path)
    dataset = load_dataset(f"folder:{place}", root=tmp_path, resize=16)
    assert dataset.images.shape == (3, 3, 16, 16)
    assert dataset.images[:, :, 8, 8].tolist() == [[255] * 3] * 3, "cut around the center"
    # proportions are kept: the white middle third of the short side is a third of the square
    assert int((dataset.images[0, 0, :, 8] > 127).sum()) in (5, 6) and int((dataset.images[1, 0, 8] > 127).sum()) in (
        5,
        6,
    )
    assert load_dataset(f"folder:{place}", "test", root=tmp_path, resize=(12, 20)).image_size == (12, 20)
    again = load_dataset(f"folder:{place}", root=tmp_path, resize=16)
    assert torch.equal(again.images, dataset.images) and again.mean == dataset.mean


@pytest.mark.parametrize(
    "name, resize, words",
    [
        ("digits", 16, r"resize: expected a dataset folder:PATH, .*got 'digits'"),
        ("folder:x", 0, "resize: expected an integer >= 1, got 0"),
        (
            "folder:x",
            (1, 2, 3),
            r"resize: expected the side of a square or \(height, width\) in pixels, got \(1, 2, 3\)",
        ),
    ],
)
def test_bad_sizes(name, resize, words):
    with pytest.raises(ValueError, match=words):
        load_dataset(name, resize=resize)


def test_caches_that_nobody_reads_are_removed(image_folder):
    """By the next one that is written, whether their folder has changed or is gone."""
    caches = image_folder.parent / "cache" / "folders"
    load(image_folder, resize=8)
    (unused,) = caches.iterdir()
    load(image_folder)
    (read,) = set(caches.iterdir()) - {unused}
    for path in (unused, read):
        os.utime(path, (1, 1))
    load(image_folder)
    assert unused.exists(), "nothing was written"
    assert read.stat().st_mtime > 1e9
    load(image_folder, "test")
    assert read.exists() and not unused.exists()
