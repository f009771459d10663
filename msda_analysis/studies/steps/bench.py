"""How fast are masks, mixing, training and attacks, each next to a plain version in the same run?"""

import csv
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from msda_analysis.bench import timing
from msda_analysis.environment import current_commit, device_name
from msda_analysis.estimate import Estimate, Measured
from msda_analysis.files import replace_file
from msda_analysis.models import network_settings
from msda_analysis.results import to_rows
from msda_analysis.studies.cell import Cell
from msda_analysis.studies.context import Context, Rows
from msda_analysis.studies.plans import BenchPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps.common import data_settings

FORMAT = 1
COLUMNS: tuple[str, ...] = (*timing.COLUMNS, "commit", "date")
_FILE = "bench.csv"
_SMOKE: dict[str, dict[str, Any]] = {
    "masks": {"sizes": ((16, 16),), "batch": 8, "rounds": 2, "compiled": False},
    "training": {
        "repeats": 1,
        "steps": 1,
        "networks": {"small_cnn": 1, "fast_cnn": 1},
        "size": (16, 16),
        "batch": 4,
        "compiled": False,
    },
    "robustness": {"n_images": 8, "batch_size": 4, "repeats": 1, "train_steps": 2},
    "trust": {"networks": ("small_cnn",), "n_images": 8, "repeats": 1, "train_steps": 2},
    "load": {"batch": 4, "size": (8, 8), "rounds": 10},
    "accuracy": {"epochs": 1, "n_images": 24},
    "cost": {"networks": {"small_cnn": (4, 2)}, "size": (8, 8)},
    "coverage": {"repeats": 10, "seeds": (2,), "accuracies": (0.6,)},
}


def plan(asked: BenchPlan) -> list[Cell]:
    """One for each benchmark, or network, on this machine and with this code."""
    where = {"machine": timing.describe_device(torch.device(asked.device)), "commit": current_commit()}
    settings = where | {"smoke": asked.smoke} | versioned(FORMAT)
    return [cell for what in asked.what for cell in _cells(asked, settings | {"what": what})]


def _cells(asked: BenchPlan, settings: dict[str, Any]) -> list[Cell]:
    """One, or one for each network and recipe that is trained: what a training is stopped in is measured again from its start."""
    what = settings["what"]
    if what != "accuracy":
        return [Cell("bench", "", asked.seed, settings, label=what)]
    settings = settings | {"data": data_settings(asked.data), "limit_s": asked.limit_s}
    settings |= {} if asked.epochs is None else {"epochs": asked.epochs}
    return [
        Cell("bench", "baseline", asked.seed, settings | {"network": network, **network_settings(network)} | changed,
             label="-".join((what, network, *changed.values())))
        for network in asked.networks
        for changed in ({}, *({"vary": text} for text in asked.vary))
    ]  # fmt: skip


def run(context: Context, cell: Cell, folder: Path) -> Rows:
    """Parity comes first: where it fails speed means nothing, and nothing is timed."""
    what, device = cell.settings["what"], torch.device(context.plan.device)
    found = import_module(f"msda_analysis.bench.{what}").bench_rows(
        device=device, **_images(context, cell) | (_SMOKE[what] if cell.settings["smoke"] else {})
    )
    origin = {
        "device": timing.describe_device(device), "versions": timing.versions(), "commit": current_commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip
    with replace_file(folder / _FILE) as file:
        writer = csv.DictWriter(file, list(COLUMNS), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **origin} for row in found)
    for row in found:
        label = " ".join(str(row.get(name, "")) for name in ("name", "network", "family", "size") if row.get(name))
        print(f"{label:<58} {row['value']:>12.5g} {row['unit']}")
    return [line for row in found for line in to_rows(context.source(cell, row.get("network", "")), [_measured(row)])]


def _images(context: Context, cell: Cell) -> dict[str, Any]:
    """What a benchmark that trains on images is given of them."""
    if cell.settings["what"] != "accuracy":
        return {}
    return {
        "train_split": context.train, "test_split": context.test, "network": cell.settings["network"],
        "limit_s": cell.settings["limit_s"], "epochs": cell.settings.get("epochs"), "vary": cell.settings.get("vary", ""),
        "seed": cell.seed,
    }  # fmt: skip


def _measured(row: dict[str, Any]) -> Measured:
    """The label begins with the family, where there is one; the notes tell rows apart that have one label."""
    low, high = (None if row[end] is None else float(row[end]) for end in ("low", "high"))
    notes = (row["note"],) if row["note"] else ()
    estimate = Estimate(float(row["value"]), row["unit"], low, high, row["n"], warnings=notes)
    label = ", ".join(str(row[name]) for name in ("family", "size", "batch") if row.get(name))
    return Measured(f"bench_{row['name'].replace(' ', '_')}", estimate, x=row.get("x"), label=label)


def collect(context: Context, cells: Sequence[Cell]) -> None:
    """Each to FOLDER/bench_<what>_<device>.csv, those of one subject after one another."""
    device = context.plan.device
    kind = "cpu" if device == "cpu" else re.sub(r"\W+", "_", device_name(device)).strip("_").lower()
    texts: dict[str, list[str]] = {}
    for cell in cells:
        text = (context.store.cell_folder(cell) / _FILE).read_text(encoding="utf-8")
        texts.setdefault(cell.settings["what"], []).append(text)
    for what, parts in texts.items():
        with replace_file(context.store.folder / f"bench_{what}_{kind}.csv") as file:
            file.write(parts[0] + "".join(part.partition("\n")[2] for part in parts[1:]))


STEPS = (Step("bench", BenchPlan, plan, run, collect=collect),)
