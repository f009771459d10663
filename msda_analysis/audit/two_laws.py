"""Released FMix against the paper's FMix: the numbers of one figure.

The paper describes Re(IFFT(f^-delta Z)). The released code takes real and imaginary parts from the wrong axis, which
leaves two frequency bins along the last axis: one-dimensional masks are always one circular run, and at weak decay the
two laws hardly resemble each other.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from msda_analysis.checks import check_count
from msda_analysis.estimate import Estimate, mean_estimate, wilson_interval
from msda_analysis.mask_stats import circular_runs, count_components, power_spectra, transitions
from msda_analysis.masks import fourier
from msda_analysis.rng import stream

#: Decays compared: the default of the paper, and a weaker one where the difference is plain to see.
DECAYS = (3.0, 1.5)


def released_versus_paper(n: int = 400, seed: int = 0) -> list[dict[str, Any]]:
    """Compare both laws at lambda = 1/2, where masks are busiest.

    Args:
        n: images and masks per law and case, at least 2.
        seed: stream seed.

    Returns:
        Records with law ("isotropic", the paper's, or "released"), metric, decay, axis, row, column, value, unit, low,
        high, n. Metrics: power_share by (row, column) bin of 32x32 grey images, signs folded, without bin (0, 0);
        runs_mean and runs_share (column = number of runs) of 64-cell 1-D masks on a circle; regions (kept and other
        regions together, face-connected) and transitions by axis of 64x64 masks; example_mask by (row, column).

    Raises:
        ValueError: n below 2.

    Source: Harris et al. 2020 (arXiv 2002.12047), section 4, and the code released with it.
    """
    check_count("n", n, 2)
    records: list[dict[str, Any]] = []
    for law in fourier.SPECTRA:
        records += _spectrum_records(law, n, seed)
        records += _run_records(law, n, seed)
        for decay in DECAYS:
            records += _shape_records(law, decay, n, seed)
    return records


def folded_power(fields: Tensor) -> Tensor:
    """[height // 2 + 1, width // 2 + 1] share of the mean power by absolute row and column frequency; 2-D."""
    power = power_spectra(fields).to(torch.float64).mean(0)
    for axis in (0, 1):
        length = power.shape[axis]
        half = length // 2 + 1
        folded = power.narrow(axis, 0, half).clone()
        mirrored = power.narrow(axis, half, length - half).flip(axis)
        folded.narrow(axis, 1, length - half).add_(mirrored)
        power = folded
    return power / power.sum()


def _spectrum_records(law: str, n: int, seed: int) -> Iterator[dict[str, Any]]:
    shares = folded_power(_fields(law, (32, 32), DECAYS[0], n, seed))
    for row in range(shares.shape[0]):
        for column in range(shares.shape[1]):
            if row or column:
                estimate = Estimate(float(shares[row, column]), "share of power", n=n)
                yield _record(law, "power_share", DECAYS[0], estimate, row=row, column=column)


def _run_records(law: str, n: int, seed: int) -> Iterator[dict[str, Any]]:
    for decay in DECAYS:
        runs = circular_runs(_half_masks(law, (64,), decay, n, seed), 0).flatten()
        yield _record(law, "runs_mean", decay, mean_estimate(runs.tolist(), "runs"))
        for count, many in enumerate(torch.bincount(runs).tolist()):
            if many:
                low, high = wilson_interval(many, n)
                yield _record(
                    law, "runs_share", decay, Estimate(many / n, "share of masks", low, high, n), column=count
                )


def _shape_records(law: str, decay: float, n: int, seed: int) -> Iterator[dict[str, Any]]:
    masks = _half_masks(law, (64, 64), decay, n, seed)
    regions = count_components(masks) + count_components(1 - masks)
    yield _record(law, "regions", decay, mean_estimate(regions.tolist(), "regions"))
    for axis in (0, 1):
        counts = transitions(masks, axis).tolist()
        yield _record(law, "transitions", decay, mean_estimate(counts, "pixels"), axis=axis)
    for row, line in enumerate(masks[0, 0].tolist()):
        for column, value in enumerate(line):
            yield _record(law, "example_mask", decay, Estimate(value, "mask"), row=row, column=column)


def _half_masks(law: str, size: tuple[int, ...], decay: float, n: int, seed: int) -> Tensor:
    """[n, 1, *size] hard masks of lambda = 1/2."""
    fields = _fields(law, size, decay, n, seed)
    return fourier.binarize(fields, torch.full((n,), 0.5, dtype=torch.float64))


def _fields(law: str, size: tuple[int, ...], decay: float, n: int, seed: int) -> Tensor:
    generator = stream(seed, f"released versus paper {law} {len(size)} {decay}")
    noise = torch.randn(n, *fourier.noise_shape(size, law), generator=generator, dtype=torch.float64)
    return (fourier.isotropic_fields if law == "isotropic" else fourier.released_fields)(noise, size, decay)


def _record(law: str, metric: str, decay: float, estimate: Estimate, **place: int) -> dict[str, Any]:
    empty = {"axis": None, "row": None, "column": None}
    return {
        "law": law, "metric": metric, "decay": decay, **empty, **place, "value": estimate.value, "unit": estimate.unit,
        "low": estimate.low, "high": estimate.high, "n": estimate.n,
    }  # fmt: skip
