"""Known answers that no threshold was chosen on: heavy tails, sparse and irrelevant variables, clusters, curves."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from msda_analysis.information.truths.closed_form import (
    Case,
    cube_root,
    dense_covariance,
    gaussian_case,
    mapped_case,
    sparse_covariance,
    stacked_case,
    student_case,
    uniform_noise_case,
)
from msda_analysis.information.truths.shaped_encoders import ring_information
from msda_analysis.rng import stream

_POINTS = 1200  # of a grid of sources, on whose borders the steps fall; errors far below 1e-6 for smooth densities


def scored_cases() -> list[Case]:
    """The list by which the default estimator is scored: 2 to 50 dimensions of both variables together, 0 to 4 nats."""
    return [*_heavy_tails(), *_sparse(), *_curves(), *_clusters(), *_mixed()]


def curve_case(name: str, curve: Callable[[Tensor], Tensor], noise_std: float) -> Case:
    """X uniform on [-1, 1], Z = curve(X) + normal noise: h(Z) - h(noise), the density of Z a mean over a grid of X."""
    grid = torch.linspace(-1, 1, 2 * _POINTS + 1, dtype=torch.float64)[1::2]
    centers = curve(grid).numpy()
    z = np.linspace(centers.min() - 9 * noise_std, centers.max() + 9 * noise_std, 600)
    density = _normal((z[:, None] - centers) / noise_std).mean(axis=1) / noise_std
    truth = _entropy(density, z) - 0.5 * math.log(2 * math.pi * math.e * noise_std**2)

    def sample(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = 2 * torch.rand(n, 1, generator=generator, dtype=torch.float64) - 1
        return x, curve(x) + noise_std * torch.randn(n, 1, generator=generator, dtype=torch.float64)

    return Case(name, 1, 1, truth, sample)


def spread_case(name: str, slope: float) -> Case:
    """X standard normal, Z = exp(slope X) times a standard normal: h(Z) - E ln exp(slope X) - h(N), on the log axis.

    Z has a sign of no consequence, so h(Z) = h(ln |Z|) + E ln |Z| + ln 2 and ln |Z| = slope X + ln |N|.
    """
    x = np.linspace(-9, 9, 601)
    weight = _normal(x) / _normal(x).sum()
    log_z = np.linspace(-25 - 9 * slope, 3 + 9 * slope, 1500)
    log_n = log_z[:, None] - slope * x  # density of ln |N| is 2 phi(e^t) e^t
    density = (2 * np.exp(-0.5 * np.exp(2 * log_n) + log_n) / math.sqrt(2 * math.pi)) @ weight
    mean_log = float(np.trapezoid(density * log_z, log_z))
    truth = _entropy(density, log_z) + mean_log + math.log(2) - 0.5 * math.log(2 * math.pi * math.e)

    def sample(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, noise = torch.randn(2, n, 1, generator=generator, dtype=torch.float64)
        return x, (slope * x).exp() * noise

    return Case(name, 1, 1, truth, sample)


def ring_case(radius: float) -> Case:
    """X an angle, Z = radius (cos X, sin X) + normal noise: see shaped_encoders.ring_information."""

    def sample(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = 2 * math.pi * torch.rand(n, 1, generator=generator, dtype=torch.float64)
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
        return x, radius * torch.cat([x.cos(), x.sin()], dim=1) + noise

    return Case(f"ring_radius_{radius:g}", 1, 2, ring_information(radius), sample)


def cluster_case(name: str, clusters: int, dim: int, agree: float) -> Case:
    """X and Z lie in boxes around the centers of clusters that agree with a probability; boxes do not meet.

    Inside the boxes they are independent, so the information is that of the labels: ln k - H(agree) with disagreement
    spread evenly, ln k + p ln p + (1 - p) ln((1 - p) / (k - 1)).
    """
    away = 1 - agree
    truth = math.log(clusters) + agree * math.log(agree)
    truth += away * math.log(away / (clusters - 1)) if away else 0.0
    # centers one box apart along the first coordinate, scattered along the others; z's boxes are in another order
    centers = 2 * torch.rand(clusters, dim, generator=stream(0, "clusters/centers"), dtype=torch.float64)
    centers[:, 0] = 1.5 * torch.arange(clusters)
    order = torch.randperm(clusters, generator=stream(0, "clusters/order"))

    def sample(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        first = torch.randint(clusters, (n,), generator=generator)
        moved = torch.rand(n, generator=generator) < away
        step = torch.randint(1, clusters, (n,), generator=generator)
        second = torch.where(moved, (first + step) % clusters, first)
        inside = torch.rand(2, n, dim, generator=generator, dtype=torch.float64)
        return centers[first] + inside[0], centers[order[second]] + inside[1]

    return Case(name, dim, dim, truth, sample)


def turned(name: str, case: Case) -> Case:
    """Both variables turned by fixed random rotations: the same information, spread over all variables."""
    maps = [_rotation(dim, f"{name}/{side}") for side, dim in (("x", case.dim_x), ("z", case.dim_z))]
    return mapped_case(name, case, lambda x: x @ maps[0], lambda z: z @ maps[1])


def _heavy_tails() -> list[Case]:
    return [
        student_case(1, 2, dense_covariance(1, 0.6)),
        student_case(1, 4, np.eye(2)),
        student_case(2, 5, dense_covariance(2, 0.3)),
        student_case(3, 1, np.eye(6)),
        student_case(4, 2, dense_covariance(4, 0.4)),
        student_case(8, 5, sparse_covariance(8, [0.7] * 3)),
        student_case(10, 3, dense_covariance(10, 0.2)),
        student_case(25, 4, sparse_covariance(25, [0.6] * 5)),
        mapped_case("cubed_student_4x4_df3", student_case(4, 3, dense_covariance(4, 0.5)), _cube, _cube),
        spread_case("spread_1x1_0.5", 0.5),
        spread_case("spread_1x1_1", 1.0),
    ]


def _sparse() -> list[Case]:
    pair = gaussian_case("", dense_covariance(1, 0.9))
    return [
        gaussian_case("one_of_12x12", sparse_covariance(12, [0.6])),
        gaussian_case("weak_20x20", sparse_covariance(20, [0.2] * 20)),
        gaussian_case("strong_7x7", sparse_covariance(7, [0.85] * 4)),
        turned("turned_gaussian_6x6", gaussian_case("", sparse_covariance(6, [0.8, 0.6, 0.4]))),
        mapped_case("cube_root_dense_8x8", gaussian_case("", dense_covariance(8, 0.3)), cube_root, _cube),
        *(stacked_case(f"uniform_noise_in_{d}x{d}", uniform_noise_case(0.3), _nothing(d - 1)) for d in (2, 5, 20)),
        stacked_case("student_in_6x6", student_case(1, 1, dense_covariance(1, 0.5)), _nothing(5)),
        stacked_case("sine_in_4x4", curve_case("", lambda x: (2 * math.pi * x).sin(), 0.3), _nothing(3)),
        stacked_case("pair_in_25x25", pair, _nothing(24)),
        stacked_case("nothing_25x25", _nothing(25)),
        turned("turned_uniform_noise_3x3", stacked_case("", uniform_noise_case(0.2), _nothing(2))),
        turned("turned_student_5x5", stacked_case("", student_case(2, 2, dense_covariance(2, 0.5)), _nothing(3))),
    ]


def _curves() -> list[Case]:
    parabola = curve_case("parabola_1x1", lambda x: 2 * x.square(), 0.2)
    return [
        parabola,
        curve_case("sine_1x1", lambda x: (math.pi * x).sin(), 0.2),
        curve_case("waves_1x1", lambda x: (4 * math.pi * x).sin(), 0.3),
        curve_case("steps_1x1", lambda x: (3 * x).round(), 0.2),
        ring_case(3.0),
        ring_case(10.0),
        *(stacked_case(f"parabolas_{k}x{k}", *[parabola] * k) for k in (2, 4, 8)),
        stacked_case("rings_3x6", *[ring_case(4.0)] * 3),
        turned("turned_parabolas_3x3", stacked_case("", *[parabola] * 3)),
    ]


def _clusters() -> list[Case]:
    return [
        cluster_case("clusters_2_1x1", 2, 1, 0.9),
        cluster_case("clusters_5_2x2", 5, 2, 0.8),
        cluster_case("clusters_3_3x3", 3, 3, 1.0),
        cluster_case("clusters_4_5x5", 4, 5, 0.9),
        cluster_case("clusters_8_10x10", 8, 10, 0.95),
        stacked_case("clusters_2_in_10x10", cluster_case("", 2, 2, 0.95), _nothing(8)),
    ]


def _mixed() -> list[Case]:
    sine = curve_case("", lambda x: (math.pi * x).sin(), 0.2)
    pairs = gaussian_case("", sparse_covariance(3, [0.7] * 3))
    return [
        stacked_case("sine_beside_pairs_4x4", sine, pairs),
        stacked_case("student_beside_pairs_5x5", student_case(2, 3, dense_covariance(2, 0.5)), pairs),
        stacked_case("cluster_beside_ring_3x4", cluster_case("", 3, 2, 0.9), ring_case(5.0)),
        turned("turned_spread_and_pairs_4x4", stacked_case("", spread_case("", 0.7), pairs)),
    ]


def _nothing(dim: int) -> Case:
    return gaussian_case("", np.eye(2 * dim))


def _cube(values: Tensor) -> Tensor:
    return values**3


def _rotation(dim: int, name: str) -> Tensor:
    normals = torch.randn(dim, dim, generator=stream(0, f"scoring/{name}"), dtype=torch.float64)
    return torch.linalg.qr(normals)[0]


def _normal(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * np.square(z)) / math.sqrt(2 * math.pi)


def _entropy(density: np.ndarray, z: np.ndarray) -> float:
    from scipy.special import entr

    return float(np.trapezoid(entr(density), z))
