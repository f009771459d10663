"""Estimates beside their truth, as the sections on known answers read, name and list them."""

import math
from typing import Any

from msda_analysis.estimate import Estimate
from msda_analysis.report.select import has_metric, select_rows
from msda_analysis.report.tables import ResultTable
from msda_analysis.report.words import Table, metric_of

_ROUNDING = 1e-12  # nats


def read_answers(table: Table, check: str) -> Table:
    """Rows of one check with what a reader compares.

    Args:
        table: the long table of an estimator study.
        check: one of known_answers.CHECKS.

    Returns:
        A table with case, method, truth, value, low, high, error (nats), tolerance (0.1 nats or 10 %), good (within
        it), covered (the truth lies in the interval), warned, warnings, bound, ceiling (nats, NaN for none), gaussian
        (a Gaussian copula by construction), dim (of both variables), chosen (by the default) and n.

    Raises:
        ValueError: the table has no finished row of the check.
    """
    metric = f"known_{check}"
    rows = select_rows(table, metric)
    found = rows.rename(
        columns={"dataset": "case", "model": "method", "x": "truth", "note": "warnings", "verdict": "chosen"}
    )
    found = found[["case", "method", "truth", "value", "low", "high", "n", "bound", "warnings", "seed", "chosen"]]
    error = found["value"] - found["truth"]
    tolerance = (0.1 * found["truth"]).clip(lower=0.1)
    ceilings = _by(table, f"{metric}_ceiling", ["dataset", "model"], "value")
    dims, kinds = (_by(table, "case_dimensions", ["dataset"], column) for column in ("value", "label"))
    return found.assign(
        error=error,
        tolerance=tolerance,
        good=error.abs() <= tolerance,
        covered=(found["low"] <= found["truth"]) & (found["truth"] <= found["high"]),
        gaussian=[kinds.get((case,)) == "gaussian_copula" for case in found["case"]],
        dim=[dims.get((case,), 0) for case in found["case"]],
        warned=found["warnings"] != "",
        ceiling=[ceilings.get(key, math.nan) for key in zip(found["case"], found["method"], strict=True)],
    ).reset_index(drop=True)


def _by(table: Table, metric: str, columns: list[str], value: str) -> dict[tuple, Any]:
    """A column of a metric's finished rows by other columns; empty where the table does not have the metric."""
    if not has_metric(table, metric):
        return {}
    rows = select_rows(table, metric)
    return dict(zip(zip(*(rows[name] for name in columns), strict=True), rows[value], strict=True))


def label_of_method(method: str) -> str:
    """Name of an estimator or bound in tables and sentences; no VAE stands behind these."""
    if method == "rate":
        return "Rate"
    label = metric_of(method).label
    if "between" not in method:
        return label
    label = label.removeprefix("Between VAEs (").removesuffix(")")
    return label[:1].upper() + label[1:]


def symbol_of(method: str) -> str:
    """Short name of an estimator or bound; no VAE stands behind a rate here, so it does not get the paper's symbol."""
    return "rate" if method == "rate" else metric_of(method).symbol.removeprefix("between VAEs, ")


def wide_table(answers: Table, name: str, caption: str) -> ResultTable:
    """Cases by methods: truth, then every estimate."""
    methods = list(dict.fromkeys(answers["method"]))
    rows = []
    for case, mine in answers.sort_values("truth", kind="stable").groupby("case", sort=False):
        found = {row["method"]: answer_of(row) for row in mine.to_dict("records")}
        rows.append(
            (str(case), Estimate(_exact(mine["truth"].iloc[0]), "nats"), *(found.get(name) for name in methods))
        )
    headers = ("Case", "Truth", *(label_of_method(method) for method in methods))
    return ResultTable(name, caption, headers, tuple(rows))


def _exact(truth: float) -> float:
    """0 nats where a difference of logarithms left what rounding leaves of it."""
    return float(truth) if abs(truth) > _ROUNDING else 0.0


def answer_of(row: dict) -> Estimate:
    """A row's estimate with its warnings."""
    return Estimate(
        row["value"],
        "nats",
        row["low"],
        row["high"],
        int(row["n"]),
        warnings=(row["warnings"],) if row["warned"] else (),
    )
