"""Estimates of information as measured numbers: each amount of information among their details is a number of its own."""

from collections.abc import Mapping
from typing import Any

from msda_analysis.estimate import Estimate, Measured

_AMOUNT = "_nats"  # how the names of details that are amounts of information end


def measured_numbers(metric: str, estimate: Estimate, **place: Any) -> list[Measured]:
    """One estimate, and beside it what its details hold in nats, under "METRIC_DETAIL" and at the same place.

    "ceiling" is the most that a method can show, "gap" how far "fitted" lies above "flow" or two ways of one estimate
    differ. Other details say how a method was run (steps, seconds, settings); they stay with the estimate.

    Args:
        metric: name of the number.
        estimate: the number.
        place: further fields of Measured, such as x and label.

    >>> [each.metric for each in measured_numbers("flow", Estimate(2.0, "nats", details={"gap_nats": 0.1, "steps": 5}))]
    ['flow', 'flow_gap']
    """
    amounts = {name: value for name, value in estimate.details.items() if name.endswith(_AMOUNT)}
    found = [Measured(metric, estimate, **place)]
    for name, value in amounts.items():
        detail = name.removesuffix(_AMOUNT)
        ends = (estimate.details.get(f"{detail}_{end}") for end in ("low", "high"))
        low, high = (None if end is None else float(end) for end in ends)
        number = Estimate(float(value), "nats", low, high, estimate.n)
        found.append(Measured(f"{metric}_{detail}", number, **{**place, "verdict": ""}))
    return found


def measured_all(estimates: Mapping[str, Estimate], prefix: str = "") -> list[Measured]:
    """Estimates by name as measured numbers, each name with a prefix."""
    return [each for name, found in estimates.items() for each in measured_numbers(prefix + name, found)]


def measured_layers(estimates: Mapping[str, Estimate], method: str) -> list[Measured]:
    """What `layer_information` gave: label is the layer, x its depth from 1.

    Args:
        estimates: by layer, in order of depth.
        method: critic, with its cap; the metric is "layer_METHOD".
    """
    return [
        each
        for depth, (layer, found) in enumerate(estimates.items(), start=1)
        for each in measured_numbers(f"layer_{method}", found, label=layer, x=depth)
    ]
