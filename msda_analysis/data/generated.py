"""Data of known law in one and in three dimensions, made on the spot: each item is a function of (seed, split, number)."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from msda_analysis.checks import check_count, check_in_range
from msda_analysis.data.datasets import Dataset, channel_statistics
from msda_analysis.rng import derive_key, philox_normals, philox_uniforms

#: One period of each wave: phase [n, length] in [0, 1) -> values in [-1, 1].
WAVES: dict[str, Callable[[Tensor], Tensor]] = {
    "sine": lambda phase: torch.sin(2 * math.pi * phase),
    "square": lambda phase: torch.where(phase < 0.5, 1.0, -1.0),
    "triangle": lambda phase: 1 - 4 * (phase - 0.5).abs(),
    "sawtooth": lambda phase: 2 * phase - 1,
}
_BOXES = {"cube": (0.5, 0.5, 0.5), "plate": (0.75, 0.75, 0.2), "rod": (0.25, 0.25, 0.9)}  # half edges
SOLIDS = ("ball", *_BOXES, "ring", "cross")


def load_waveforms(
    split: str,
    root: Path | None = None,
    *,
    n: int = 2000,
    n_test: int = 1000,
    length: int = 128,
    cycles: int = 4,
    noise: float = 0.25,
    seed: int = 0,
) -> Dataset:
    """One-dimensional waves of random phase in noise: 1/2 + (1/2 - noise) wave(cycles t / length + phase) + noise u.

    The phase is uniform on a period, u uniform on [-1, 1] for each step; so values lie in [0, 1].

    Args:
        n, n_test: waves of the splits; the classes, WAVES, take turns.
        length: steps of a wave.
        cycles: periods in a wave.
        noise: half-width of the noise, in [0, 0.5].

    Raises:
        ValueError: a setting out of its range.
    """
    del root
    check_in_range("noise", noise, 0.0, 0.5)
    for name, value in (("n", n), ("n_test", n_test), ("length", length), ("cycles", cycles)):
        check_count(name, value)

    def make(part: str, count: int) -> Tensor:
        uniform = philox_uniforms(derive_key("waveforms", seed, part), count, 1 + length)
        phase = (cycles * torch.arange(length) / length + uniform[:, :1]) % 1
        waves = torch.empty(count, length, dtype=torch.float64)
        for label, wave in enumerate(WAVES.values()):
            waves[label :: len(WAVES)] = wave(phase[label :: len(WAVES)])
        return (0.5 + (0.5 - noise) * waves + noise * (2 * uniform[:, 1:] - 1))[:, None]

    return _dataset("waveforms", split, make, tuple(WAVES), n, n_test)


def load_voxels(
    split: str,
    root: Path | None = None,
    *,
    n: int = 1200,
    n_test: int = 600,
    side: int = 16,
    noise: float = 0.25,
    seed: int = 0,
) -> Dataset:
    """Three-dimensional solids, rotated at random, in noise: (1 - noise) solid + noise u, with u uniform on [0, 1].

    A voxel's value is 1 inside and 0 outside a solid, and linear over one voxel at its face. Rotations are uniform.

    Args:
        n, n_test: volumes of the splits; the classes, SOLIDS, take turns.
        side: voxels along each axis.
        noise: share of the noise, in [0, 1].

    Raises:
        ValueError: a setting out of its range.
    """
    del root
    check_in_range("noise", noise, 0.0, 1.0)
    for name, value in (("n", n), ("n_test", n_test), ("side", side)):
        check_count(name, value)
    line = (torch.arange(side, dtype=torch.float64) + 0.5) * 2 / side - 1
    grid = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).view(-1, 3)

    def make(part: str, count: int) -> Tensor:
        key = derive_key("voxels", seed, part)
        turns = _rotations(philox_normals(derive_key(key, "rotation"), count, 4).double())
        volumes = torch.empty(count, side**3, dtype=torch.float64)
        for i in range(count):
            distance = _distance(SOLIDS[i % len(SOLIDS)], grid @ turns[i])
            volumes[i] = (0.5 - distance * side / 2).clamp(0, 1)  # the law of a face, see above
        uniform = philox_uniforms(derive_key(key, "noise"), count, side**3)
        return ((1 - noise) * volumes + noise * uniform).view(count, 1, side, side, side)

    return _dataset("voxels", split, make, SOLIDS, n, n_test)


def _dataset(
    name: str, split: str, make: Callable[[str, int], Tensor], classes: tuple[str, ...], n: int, n_test: int
) -> Dataset:
    train = make("train", n).to(torch.float32)
    mean, std = channel_statistics(train)
    images = train if split == "train" else make("test", n_test).to(torch.float32)
    return Dataset(name, split, images, torch.arange(len(images)) % len(classes), classes, mean, std)


def _distance(solid: str, place: Tensor) -> Tensor:
    """[n] distance of places [n, 3] from a solid's surface, negative inside (outside of corners: a lower bound)."""
    if solid == "ball":
        return place.norm(dim=1) - 0.6
    if solid == "ring":
        return torch.hypot(torch.hypot(place[:, 0], place[:, 1]) - 0.6, place[:, 2]) - 0.25
    if solid == "cross":
        ends = torch.tensor([[0.85 if i == axis else 0.2 for i in range(3)] for axis in range(3)], dtype=place.dtype)
        return (place.abs()[:, None] - ends).amax(2).amin(1)
    return (place.abs() - torch.tensor(_BOXES[solid], dtype=place.dtype)).amax(1)


def _rotations(normals: Tensor) -> Tensor:
    """[n, 3, 3] from quaternions of normals [n, 4], uniform over all rotations."""
    w, x, y, z = (normals / normals.norm(dim=1, keepdim=True)).unbind(1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


LOADERS = {"waveforms": load_waveforms, "voxels": load_voxels}
