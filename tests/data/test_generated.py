"""Data of known law follow it; real series are read as they are written."""

import numpy as np
import pytest
import torch

from msda_analysis.data import load_dataset
from msda_analysis.data.generated import SOLIDS, WAVES, _rotations
from msda_analysis.data.series import read_series
from msda_analysis.rng import philox_normals


def test_waveforms_are_waves_of_random_phase_in_uniform_noise():
    dataset = load_dataset("waveforms(n=4000, length=64, cycles=2, noise=0.2)")
    assert dataset.images.shape == (4000, 1, 64) and dataset.classes == tuple(WAVES)
    assert torch.bincount(dataset.labels).tolist() == [1000] * 4
    values = dataset.images[:, 0].double()
    assert float(values.min()) >= 0 and float(values.max()) <= 1
    for label, name in enumerate(WAVES):
        waves = values[dataset.labels == label]
        power = {"sine": 1 / 2, "square": 1.0, "triangle": 1 / 3, "sawtooth": 1 / 3}[name]
        expected = (0.3**2) * power + 0.2**2 / 3  # the variance of a step over phases and noise
        squares = (waves - 0.5) ** 2
        error = float(squares.mean(1).std()) / 1000**0.5
        assert abs(float(squares.mean()) - expected) < 5 * error, name
        # two periods: steps half the length apart have one phase, and noise of their own
        difference = waves[:, :32] - waves[:, 32:]
        assert float(difference.abs().max()) < 0.4 + 1e-6
        assert abs(float((difference**2).mean()) - 2 * 0.2**2 / 3) < 1e-3


def test_without_noise_each_class_is_its_wave():
    dataset = load_dataset("waveforms(n=8, length=50, cycles=1, noise=0.0)")
    sine = 2 * dataset.images[0, 0].double() - 1
    turned = torch.fft.fft(sine).abs()
    assert float(turned[1]) == pytest.approx(25, abs=1e-5) and float(turned[2:-1].max()) < 1e-4
    assert set((2 * dataset.images[1, 0] - 1).tolist()) == {-1.0, 1.0}


def test_voxels_are_solids_under_uniform_rotation():
    dataset = load_dataset("voxels(n=600, noise=0.0)")
    assert dataset.images.shape == (600, 1, 16, 16, 16) and dataset.classes == SOLIDS
    volume = dataset.images.double().sum((1, 2, 3, 4)) / 8**3
    expected = {"ball": 4 / 3 * np.pi * 0.6**3, "cube": 1.0, "plate": 8 * 0.75 * 0.75 * 0.2, "rod": 8 * 0.25**2 * 0.9}
    expected |= {"ring": 2 * np.pi**2 * 0.6 * 0.25**2, "cross": 8 * 0.2**2 * (3 * 0.85 - 2 * 0.2)}
    for label, name in enumerate(SOLIDS):
        found = volume[dataset.labels == label]
        assert float(found.mean()) == pytest.approx(expected[name], rel=0.05), name
    rods = dataset.images[dataset.labels == SOLIDS.index("rod")]
    assert len({tuple(rod.flatten().tolist()) for rod in rods}) == 100, "each has its own rotation"
    balls = dataset.images[dataset.labels == 0]
    assert torch.allclose(balls, balls[:1].expand_as(balls), atol=1e-6)


def test_rotations_are_uniform():
    turns = _rotations(philox_normals(3, 20_000, 4).double())
    torch.testing.assert_close(turns @ turns.transpose(1, 2), torch.eye(3).double().expand_as(turns))
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(20_000).double())
    # moments of the uniform law: mean 0 and mean square 1/3 of every entry
    assert float(turns.mean(0).abs().max()) < 5 / (3 * 20_000) ** 0.5
    assert float(((turns**2).mean(0) - 1 / 3).abs().max()) < 5 * 0.3 / 20_000**0.5


@pytest.mark.parametrize("name", ["waveforms", "voxels"])
def test_items_are_a_function_of_their_number_and_of_the_seed(name):
    few, many = load_dataset(f"{name}(n=6)"), load_dataset(f"{name}(n=12)")
    assert torch.equal(few.images, many.images[:6]) and few.split == "train"
    test = load_dataset(f"{name}(n=12, n_test=6)", "test")
    assert len(test) == 6 and not torch.equal(test.images, few.images) and test.mean == many.mean
    assert not torch.equal(load_dataset(f"{name}(n=6, seed=1)").images, few.images)
    assert few.name == f"{name}(n=6)"


@pytest.mark.parametrize(
    "name, words",
    [
        ("waveforms(noise=0.6)", r"noise: expected a number in \[0.0, 0.5\], got 0.6"),
        ("voxels(side=0)", "side: expected an integer >= 1, got 0"),
        ("waveforms(color=1)", r"has no setting 'color', only n, n_test, length, cycles, noise, seed"),
        ("cifar10(n=3)", r"dataset: 'cifar10\(n=3\)' has no setting 'n', only none"),
    ],
)
def test_settings_out_of_range(name, words):
    with pytest.raises(ValueError, match=words):
        load_dataset(name)


HEADER = "#leaves\n@problemName Leaf\n@univariate false\n@classLabel true oak ash\n@data\n"


@pytest.fixture
def aeon(tmp_path, monkeypatch):
    """A package of that name with one data set, laid out as the real one's."""
    place = tmp_path / "aeon" / "datasets" / "data" / "Leaf"
    place.mkdir(parents=True)
    (tmp_path / "aeon" / "__init__.py").write_text("raise ImportError('the library is not imported')")
    (place / "Leaf_TRAIN.ts").write_text(HEADER + "1,2,3:0.5,0.5,0.5:oak\n-1.5E0,0,2.5:0.5,0.5,0.5:ash\n\n")
    (place / "Leaf_TEST.ts").write_text(HEADER + "4,2,3:0.5,0.5,0.5:ash\n")
    monkeypatch.syspath_prepend(tmp_path)
    return place


def test_series_are_read_and_scaled_by_the_range_of_both_splits(aeon):
    train, test = load_dataset("aeon:Leaf"), load_dataset("aeon:Leaf", "test")
    assert train.images.dtype == torch.float32 and train.images.shape == (2, 2, 3)
    expected = (np.array([[1, 2, 3], [-1.5, 0, 2.5]]) + 1.5) / 5.5
    np.testing.assert_allclose(train.images[:, 0].numpy(), expected, rtol=1e-6)
    assert float(train.images[:, 1].abs().max()) == 0, "a constant channel"
    assert train.classes == test.classes == ("ash", "oak") and train.labels.tolist() == [1, 0]
    assert test.images[0, 0, 0] == 1 and test.mean == train.mean and test.labels.tolist() == [0]


def test_series_of_one_length_are_preferred(aeon):
    (aeon / "Leaf_eq_TRAIN.ts").write_text(HEADER + "1,2:oak\n")
    (aeon / "Leaf_eq_TEST.ts").write_text(HEADER + "1,2:ash\n")
    assert load_dataset("aeon:Leaf").image_size == (2,)


@pytest.mark.parametrize(
    "lines, words",
    [
        ("1,2,3:0,0,0:oak\n1,2:0,0:oak\n", r"Leaf_TRAIN.ts, line 7: expected finite series of one shape, got \(2, 2\) after"),
        ("1,?,3:0,0,0:oak\n", r"line 6: expected channels of numbers, all of one length, then a class"),
        ("1,2,3:0,0:oak\n", r"line 6: expected channels of numbers, all of one length"),
        ("1,NaN,3:0,0,0:oak\n", r"line 6: expected finite series"),
        ("", "expected series after a line @data, found none"),
    ],
)  # fmt: skip
def test_damaged_series_name_the_line(aeon, lines, words):
    (aeon / "Leaf_TRAIN.ts").write_text(HEADER + lines)
    with pytest.raises(ValueError, match=words):
        load_dataset("aeon:Leaf")


def test_what_is_not_there_is_said(aeon, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"dataset aeon:Tree: expected one of Leaf, no file .*Tree_TRAIN.ts"):
        load_dataset("aeon:Tree")
    monkeypatch.setattr("msda_analysis.data.series.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"dataset aeon:Leaf: .*`pip install --no-deps aeon` is enough"):
        load_dataset("aeon:Leaf")


def test_a_file_without_data_line_has_no_series(tmp_path):
    (tmp_path / "a.ts").write_text("1,2:x\n")
    with pytest.raises(ValueError, match="expected series after a line @data"):
        read_series(tmp_path / "a.ts")
