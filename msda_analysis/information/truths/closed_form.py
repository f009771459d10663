"""Distributions whose mutual information is known, to judge estimators by."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Sampler = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Case:
    """One known answer.

    Attributes:
        name: unique among `cases()`.
        dim_x, dim_z: dimensions of the two variables.
        truth: mutual information, nats.
        sample: (n, generator) -> x [n, dim_x], z [n, dim_z] float64.
        gaussian_copula: whether all variables together have one, by construction.
    """

    name: str
    dim_x: int
    dim_z: int
    truth: float
    sample: Sampler
    gaussian_copula: bool = False


def gaussian_information(covariance: np.ndarray, dim_x: int) -> float:
    """Information between the first `dim_x` and the other variables of a normal, nats."""
    parts = covariance[:dim_x, :dim_x], covariance[dim_x:, dim_x:], covariance
    return float(0.5 * np.dot((1, 1, -1), [np.linalg.slogdet(part)[1] for part in parts]))


def student_information(dispersion: np.ndarray, dim_x: int, degrees: float) -> float:
    """Information between parts of a multivariate Student t: the normal's plus what the shared scale adds, nats."""
    dims = (dim_x, len(dispersion) - dim_x, len(dispersion))
    return gaussian_information(dispersion, dim_x) + float(
        np.dot((1, 1, -1), [_student_entropy(d, degrees) for d in dims])
    )


def uniform_noise_information(half_width: float) -> float:
    """Information between X uniform on [0, 1] and X plus uniform noise on [-half_width, half_width], nats."""
    return half_width - math.log(2 * half_width) if half_width <= 0.5 else 1 / (4 * half_width)


def noisy_uniform_information(half_width: float, noise_std: float) -> float:
    """As `uniform_noise_information` with normal noise added to the sum as well, nats; by quadrature, to about 1e-8."""
    from scipy.integrate import quad
    from scipy.special import entr, ndtr

    def ramp(t: float) -> float:
        """Integral of the normal noise's distribution function."""
        return t * ndtr(t / noise_std) + noise_std * math.exp(-0.5 * (t / noise_std) ** 2) / math.sqrt(2 * math.pi)

    def noise_density(z: float) -> float:
        return (ndtr((z + half_width) / noise_std) - ndtr((z - half_width) / noise_std)) / (2 * half_width)

    def sum_density(z: float) -> float:
        first, second = (ramp(z + end) - ramp(z + end - 1) for end in (half_width, -half_width))
        return (first - second) / (2 * half_width)

    reach = 1 + half_width + 8 * noise_std
    # rounding leaves densities of -1e-17 in the tails, whose logarithm does not exist
    of_sum, of_noise = (
        quad(lambda z, density=density: entr(max(density(z), 0.0)), -reach, reach, limit=500, epsabs=1e-9)[0]
        for density in (sum_density, noise_density)
    )
    return of_sum - of_noise


def linear_encoder_information(weights: np.ndarray, noise_std: float) -> float:
    """Information between a standard normal source and weights @ source + noise, nats."""
    gram = weights @ weights.T / noise_std**2
    return float(0.5 * np.linalg.slogdet(np.eye(len(gram)) + gram)[1])


def dense_covariance(dim: int, correlation: float) -> np.ndarray:
    """All pairs of the 2 dim variables correlated alike."""
    return correlation * np.ones((2 * dim, 2 * dim)) + (1 - correlation) * np.eye(2 * dim)


def sparse_covariance(dim: int, correlations: list[float]) -> np.ndarray:
    """Variable i of x correlated with variable i of z, for the first few i; all else independent."""
    covariance = np.eye(2 * dim)
    for i, correlation in enumerate(correlations):
        covariance[i, dim + i] = covariance[dim + i, i] = correlation
    return covariance


def gaussian_case(name: str, covariance: np.ndarray) -> Case:
    """A normal whose variables are split into halves."""
    dim = len(covariance) // 2
    factor = torch.as_tensor(np.linalg.cholesky(covariance))

    def sample(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        joint = torch.randn(n, 2 * dim, generator=generator, dtype=torch.float64) @ factor.T
        return joint[:, :dim], joint[:, dim:]

    return Case(name, dim, dim, gaussian_information(covariance, dim), sample, gaussian_copula=True)


def student_case(dim: int, degrees: int, covariance: np.ndarray) -> Case:
    """A multivariate Student t whose variables are split into halves."""
    normal = gaussian_case("", covariance)

    def sample(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, z = normal.sample(n, generator)
        chi_square = torch.randn(n, degrees, generator=generator, dtype=torch.float64).square().sum(dim=1, keepdim=True)
        scale = (degrees / chi_square).sqrt()
        return x * scale, z * scale

    return Case(f"student_{dim}x{dim}_df{degrees}", dim, dim, student_information(covariance, dim, degrees), sample)


def mapped_case(name: str, case: Case, map_x: Callable[[Tensor], Tensor], map_z: Callable[[Tensor], Tensor]) -> Case:
    """The same information seen through maps that can be undone; maps of each variable by itself keep the copula."""

    def sample(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, z = case.sample(n, generator)
        return map_x(x), map_z(z)

    x, z = sample(2, torch.Generator().manual_seed(0))
    keeps = case.gaussian_copula and all(_is_monotone(*pair) for pair in ((map_x, case.dim_x), (map_z, case.dim_z)))
    return Case(name, x.shape[1], z.shape[1], case.truth, sample, gaussian_copula=keeps)


def uniform_noise_case(half_width: float) -> Case:
    """X uniform on [0, 1], Z = X + uniform noise."""

    def sample(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, noise = torch.rand(2, n, 1, generator=generator, dtype=torch.float64)
        return x, x + half_width * (2 * noise - 1)

    return Case(f"uniform_noise_{half_width}", 1, 1, uniform_noise_information(half_width), sample)


def noisy_uniform_case(half_width: float, noise_std: float) -> Case:
    """As `uniform_noise_case`, Z blurred by normal noise: by data processing it holds less."""
    clear = uniform_noise_case(half_width)

    def sample(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, z = clear.sample(n, generator)
        return x, z + noise_std * torch.randn(n, 1, generator=generator, dtype=torch.float64)

    return Case(f"noisy_{clear.name}", 1, 1, noisy_uniform_information(half_width, noise_std), sample)


def stacked_case(name: str, *cases: Case) -> Case:
    """Independent cases side by side: their information adds up."""

    def sample(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, z = zip(*(case.sample(n, generator) for case in cases), strict=True)
        return torch.cat(x, dim=1), torch.cat(z, dim=1)

    dims = sum(case.dim_x for case in cases), sum(case.dim_z for case in cases)
    gaussian = all(case.gaussian_copula for case in cases)
    return Case(name, *dims, sum(case.truth for case in cases), sample, gaussian_copula=gaussian)


def cube_root(values: Tensor) -> Tensor:
    """Signed cube root: heavy slope at zero."""
    return values.sign() * values.abs() ** (1 / 3)


def wiggly(values: Tensor) -> Tensor:
    """Increasing with waves; the slope stays above 0.1."""
    return values + 0.4 * values.sin() + 0.2 * (1.7 * values + 1).sin() + 0.03 * (3.3 * values - 2.5).sin()


def spiral(values: Tensor, *, speed: float = 1 / 3) -> Tensor:
    """Turn the first two variables by an angle that grows with the squared norm of all; keeps volumes."""
    angle = speed * values.square().sum(dim=1)
    cosine, sine = angle.cos(), angle.sin()
    first, second = values[:, 0], values[:, 1]
    turned = torch.stack([cosine * first - sine * second, sine * first + cosine * second], dim=1)
    return torch.cat([turned, values[:, 2:]], dim=1)


def swiss_roll(values: Tensor) -> Tensor:
    """[n, 1] normal values rolled up into a plane, [n, 2]."""
    angle = 1.5 * math.pi * (1 + 2 * torch.special.ndtr(values))
    return torch.cat([angle * angle.cos(), angle * angle.sin()], dim=1) / 21


def cases() -> list[Case]:
    """All cases, from one to 50 dimensions and 0 to 17 nats.

    Source: after the benchmark of Czyz et al. 2023 (arXiv 2306.11078), settings of our own.
    """
    pair = gaussian_case("", dense_covariance(1, 0.75))
    two_pairs = {dim: gaussian_case("", sparse_covariance(dim, [0.8, 0.8])) for dim in (3, 5, 25)}
    dense = gaussian_case("", dense_covariance(3, 0.5))
    uniform = uniform_noise_case(0.75)
    return [
        *(gaussian_case(f"gaussian_1x1_{rho}", dense_covariance(1, rho)) for rho in (0.3, 0.75, 0.95)),
        *(gaussian_case(f"gaussian_dense_{dim}x{dim}", dense_covariance(dim, 0.5)) for dim in (2, 3, 5, 25, 50)),
        *(gaussian_case(f"gaussian_sparse_{d}x{d}", sparse_covariance(d, [0.8, 0.8])) for d in (2, 3, 5, 25, 50)),
        gaussian_case("gaussian_pairs_10x10", sparse_covariance(10, [0.5] * 10)),
        gaussian_case("gaussian_pairs_5x5_0.9", sparse_covariance(5, [0.9] * 5)),
        gaussian_case("gaussian_pairs_20x20_0.9", sparse_covariance(20, [0.9] * 20)),
        mapped_case("cube_root_1x1", pair, cube_root, cube_root),
        mapped_case("cube_root_sparse_5x5", two_pairs[5], cube_root, cube_root),
        mapped_case("normal_cdf_1x1", pair, torch.special.ndtr, torch.special.ndtr),
        mapped_case("normal_cdf_sparse_25x25", two_pairs[25], torch.special.ndtr, torch.special.ndtr),
        mapped_case("wiggly_1x1", pair, wiggly, wiggly),
        mapped_case("wiggly_dense_3x3", dense, wiggly, wiggly),
        mapped_case("asinh_student_1x1_df1", student_case(1, 1, dense_covariance(1, 0.75)), torch.asinh, torch.asinh),
        mapped_case("asinh_student_3x3_df3", student_case(3, 3, dense_covariance(3, 0.5)), torch.asinh, torch.asinh),
        *(uniform_noise_case(half_width) for half_width in (0.1, 0.4, 0.75)),
        student_case(1, 1, np.eye(2)),
        student_case(2, 2, dense_covariance(2, 0.5)),
        student_case(3, 3, sparse_covariance(3, [0.8, 0.8])),
        student_case(5, 3, dense_covariance(5, 0.5)),
        student_case(5, 10, np.eye(10)),
        mapped_case("swiss_roll_2x1", gaussian_case("", dense_covariance(1, 0.8)), swiss_roll, torch.special.ndtr),
        mapped_case("spiral_2x2", gaussian_case("", sparse_covariance(2, [0.8, 0.8])), spiral, spiral),
        mapped_case("spiral_3x3", two_pairs[3], spiral, spiral),
        mapped_case("spiral_5x5", two_pairs[5], spiral, spiral),
        *(gaussian_case(f"independent_{dim}x{dim}", np.eye(2 * dim)) for dim in (1, 5, 25)),
        mapped_case("independent_cubes_3x3", gaussian_case("", np.eye(6)), cube_root, lambda z: z**3),
        noisy_uniform_case(0.75, 0.5),
        stacked_case("additivity_2x2", uniform, uniform),
        stacked_case("noise_added_3x3", uniform, gaussian_case("", np.eye(4))),
    ]


def _is_monotone(one_to_one: Callable[[Tensor], Tensor], dim: int) -> bool:
    """Whether each output increases with its own input and ignores the others, tried on a few points."""
    points = torch.randn(50, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mapped = one_to_one(points)
    return mapped.shape == points.shape and torch.equal(mapped.argsort(dim=0), points.argsort(dim=0))


def _student_entropy(dim: int, degrees: float) -> float:
    """Differential entropy of a standard multivariate t, less the normal's log determinant part, nats."""
    from scipy.special import digamma, gammaln

    half = (degrees + dim) / 2
    constant = gammaln(degrees / 2) - gammaln(half) + 0.5 * dim * math.log(degrees * math.pi)
    return float(constant + half * (digamma(half) - digamma(degrees / 2)))
