"""The table of estimators by known cases."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from msda_analysis.information.closed_form import Case
from msda_analysis.information.estimators import METHODS, estimate
from msda_analysis.rng import stream

#: Columns of `estimator_rows`.
COLUMNS = ("method", "case", "dim_x", "dim_z", "truth", "value", "low", "high", "error", "seconds", "warnings")


def estimator_rows(
    methods: Iterable[str] = METHODS, cases: Iterable[Case] | None = None, n: int = 4000, seed: int = 0
) -> list[dict[str, Any]]:
    """Every method on every case; all methods see the same samples of a case.

    Args:
        methods: names out of METHODS.
        cases: what to estimate; None: all of `closed_form.cases()`.
        n: samples per case.
        seed: stream seed of samples and estimators.

    Returns:
        One row per case and method with COLUMNS: truth, value, interval and error (value - truth) in nats, seconds of
        wall time, warnings joined by "; ". A method that refuses a case (too few samples for its dimension) has value
        None and its message under "warnings".
    """
    return list(iterate_rows(methods, cases, n, seed))


def iterate_rows(
    methods: Iterable[str] = METHODS, cases: Iterable[Case] | None = None, n: int = 4000, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """As `estimator_rows`, one row at a time, for progress bars."""
    from msda_analysis.information.closed_form import cases as all_cases

    methods = list(methods)
    for case in all_cases() if cases is None else cases:
        x, z = case.sample(n, stream(seed, f"estimator_table/{case.name}"))
        for method in methods:
            start = time.perf_counter()
            numbers: dict[str, float | None] = {"value": None, "low": None, "high": None, "error": None}
            try:
                found = estimate(x, z, method, seed)
                numbers = {
                    "value": found.value,
                    "low": found.low,
                    "high": found.high,
                    "error": found.value - case.truth,
                }
                notes = "; ".join(found.warnings)
            except ValueError as error:
                notes = f"refused: {error}"
            origin = {
                "method": method,
                "case": case.name,
                "dim_x": case.dim_x,
                "dim_z": case.dim_z,
                "truth": case.truth,
            }
            yield {**origin, **numbers, "seconds": time.perf_counter() - start, "warnings": notes}
