"""Fixtures for all tests: small images, no network, closed figures, quiet global random state."""

import os
import random
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from msda_analysis.data import Dataset, channel_statistics

_LOCAL = ("127.0.0.1", "::1", "localhost")


class NetworkBlockedError(OSError):
    """What tests get instead of a connection; an OSError, as a real failure would be."""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny models are several times faster on one thread: a second one mostly waits."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def one_process() -> None:
    """Pages are drawn where they are asked for: the other processors run other tests, and a process takes seconds to start."""
    os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # of joblib


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """No page: for tests of numbers, as drawing one takes seconds."""
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")


@pytest.fixture
def sketched(monkeypatch) -> None:
    """Pages whose figures are made and not written: for tests of what a page says, as writing takes most of the time."""
    empty = "<svg xmlns='http://www.w3.org/2000/svg'/>"
    monkeypatch.setattr("msda_analysis.report.page.save_figure", lambda *_: empty)


@pytest.fixture(autouse=True)
def network(monkeypatch) -> Iterator[list[str]]:
    """No connection leaves the machine. A test fails if one was tried and it did not `network.clear()` the list."""
    attempts: list[str] = []
    real_connect, real_lookup = socket.socket.connect, socket.getaddrinfo

    def connect(self, address, *rest):
        if self.family != socket.AF_UNIX and address[0] not in _LOCAL:
            attempts.append(str(address))
            raise NetworkBlockedError(f"tests may not connect to {address}")
        return real_connect(self, address, *rest)

    def look_up(host, *rest, **more):
        if host not in (None, "", *_LOCAL):
            attempts.append(str(host))
            raise NetworkBlockedError(f"tests may not look up {host}")
        return real_lookup(host, *rest, **more)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    yield attempts
    assert not attempts, f"the test reached for the network: {attempts}"


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    """No pyplot figure outlives its test."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def read_random_state() -> Callable[[], tuple]:
    """State of the global generators of random, NumPy and torch, to compare."""

    def read() -> tuple:
        legacy = np.random.get_state()  # noqa: NPY002 - the state to watch
        return random.getstate(), legacy[1].tobytes(), legacy[2:], torch.get_rng_state().numpy().tobytes()

    return read


@pytest.fixture
def quiet_random_state(read_random_state) -> Iterator[None]:
    """Fails when the test, or what it called, drew from or seeded a global generator."""
    before = read_random_state()
    yield
    assert read_random_state() == before, "a global random generator was used"


def tiny_images(
    n: int, n_classes: int, channels: int = 3, seed: int = 0, side: int = 32
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [n, channels, side, side] noise with bright rows whose place is the class, and labels [n], in turn."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    images = generator.integers(0, 100, (n, channels, side, side), dtype=np.uint8)
    height = side // n_classes
    for image, label in zip(images, labels, strict=True):
        image[:, height * label : height * (label + 1)] += 150
    return images, labels


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., Dataset]:
    """Makes tiny datasets that can be learnt: make_dataset(n, n_classes=3, channels=1, side=16)."""

    def make(n: int = 48, n_classes: int = 3, channels: int = 1, seed: int = 0, side: int = 16) -> Dataset:
        images, labels = tiny_images(n, n_classes, channels, seed, side)
        pixels = torch.from_numpy(images)
        mean, std = channel_statistics(pixels)
        return Dataset("tiny", "train", pixels, torch.from_numpy(labels), tuple("abc"[:n_classes]), mean, std)

    return make


@pytest.fixture(scope="session")
def tiny_dataset(make_dataset) -> Dataset:
    """48 grey images 16x16 in 3 classes. Tests must not change it."""
    return make_dataset()


@pytest.fixture(scope="session")
def write_image_folder() -> Callable[..., Path]:
    """Writes PNG files as ROOT/SPLIT/CLASS/NUMBER.png: write_image_folder(root, n_train=24, n_test=12, ...)."""
    from PIL import Image

    def write(root: Path, n_train: int = 24, n_test: int = 12, n_classes: int = 2, channels: int = 3) -> Path:
        for seed, (split, n) in enumerate({"train": n_train, "test": n_test}.items()):
            images, labels = tiny_images(n, n_classes, channels, seed)
            for number, (image, label) in enumerate(zip(images, labels, strict=True)):
                place = root / split / f"class_{label}"
                place.mkdir(parents=True, exist_ok=True)
                pixels = image[0] if channels == 1 else image.transpose(1, 2, 0)
                Image.fromarray(pixels).save(place / f"{number:03d}.png")
        return root

    return write


@pytest.fixture
def image_folder(tmp_path, write_image_folder) -> Path:
    """24 training and 12 test PNGs, 32x32 RGB, in two classes."""
    return write_image_folder(tmp_path / "pictures")


@pytest.fixture(scope="session")
def shared_image_folder(tmp_path_factory, write_image_folder) -> Path:
    """The same for tests that only read."""
    return write_image_folder(tmp_path_factory.mktemp("pictures"))
