"""The long table: what is written comes back, in one step or not at all."""

import csv
import dataclasses
import json
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msda_analysis import FMix, MixUp, VaeFit
from msda_analysis.estimate import Estimate, Measured
from msda_analysis.results import (
    COLUMNS,
    SETTINGS_FILE,
    Source,
    make_failure_row,
    read_rows,
    read_table,
    to_rows,
    write_table,
)
from msda_analysis.settings import to_settings

SOURCE = Source("trial", "cell-1", "digits", "vae", "fmix", 3, {"epochs": 2, "family": FMix()}, "cpu")


def row_of(value, **more):
    return to_rows(SOURCE, [Measured("rate", Estimate(value, "nats"), **more)])[0]


def test_a_row_holds_everything_in_order(tmp_path):
    estimate = Estimate(1.5, "nats", 1.0, 2.0, 10, "upper", ("ceiling reached", "few images"))
    write_table(to_rows(SOURCE, [Measured("rate", estimate, "pgd", epsilon=0.03, x=2.0)]), tmp_path / "t.csv")
    (row,) = read_rows(tmp_path / "t.csv")
    assert tuple(row) == COLUMNS
    expected = {
        "study": "trial", "cell": "cell-1", "dataset": "digits", "model": "vae", "augmentation": "fmix", "seed": "3",
        "metric": "rate", "attack": "pgd", "epsilon": "0.03", "x": "2.0", "value": "1.5", "unit": "nats", "low": "1.0",
        "high": "2.0", "n": "10", "bound": "upper", "status": "ok", "note": "ceiling reached; few images", "device": "cpu",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    stored = json.loads(row["settings"])
    assert stored["epochs"] == 2 and stored["family"]["kind"] == "FMix" and stored["family"]["spectrum"] == "isotropic"
    assert row["version"] and row["version"] != "unknown"


def test_every_made_row_has_exactly_the_columns():
    assert set(row_of(1.0)) == set(make_failure_row(SOURCE, ValueError("x"))) == set(COLUMNS)


def test_a_failure_row_says_what_happened(tmp_path):
    write_table([make_failure_row(SOURCE, RuntimeError("the loss is nan"))], tmp_path / "t.csv")
    table = read_table(tmp_path / "t.csv")
    assert table.loc[0, "status"] == "failed" and table.loc[0, "note"] == "RuntimeError: the loss is nan"
    assert math.isnan(table.loc[0, "value"]) and table.loc[0, "metric"] == "failure"


@settings(deadline=None, max_examples=50)
@given(st.floats())
def test_numbers_come_back_bit_for_bit(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    write_table([row_of(value)], path)
    found = float(read_rows(path)[0]["value"])
    assert found == value or (math.isnan(found) and math.isnan(value))
    assert math.copysign(1, found) == math.copysign(1, value) or math.isnan(value)


@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_numbers_of_numpy_are_written_as_numbers(tmp_path, kind):
    write_table([row_of(kind(0.25), epsilon=kind(0.5))], tmp_path / "t.csv")
    assert read_rows(tmp_path / "t.csv")[0]["value"] == "0.25"
    table = read_table(tmp_path / "t.csv")
    assert (table.loc[0, "value"], table.loc[0, "epsilon"]) == (0.25, 0.5)


def test_nan_is_told_from_nothing(tmp_path):
    write_table([row_of(math.nan), row_of(math.inf)], tmp_path / "t.csv")
    first, second = read_rows(tmp_path / "t.csv")
    assert first["value"] == "nan" and first["low"] == "" and second["value"] == "inf"
    table = read_table(tmp_path / "t.csv")
    assert math.isnan(table.loc[0, "value"]) and table.loc[1, "value"] == math.inf


def test_read_table_keeps_text_as_text_and_counts_as_integers(tmp_path):
    source = Source("NA", "null", "None", "", "baseline", None)
    write_table(to_rows(source, [Measured("nan", Estimate(1.0, "nats", n=7))]), tmp_path / "t.csv")
    table = read_table(tmp_path / "t.csv")
    assert list(table.loc[0, ["study", "cell", "dataset", "model", "metric"]]) == ["NA", "null", "None", "", "nan"]
    assert table["n"].dtype == "Int64" and table.loc[0, "n"] == 7
    assert table["seed"].isna().all() and table["value"].dtype == float


def test_awkward_text_survives(tmp_path):
    text = 'a "quoted", comma\nand a line; Grüße'
    row = make_failure_row(SOURCE, ValueError(text))
    write_table([row], tmp_path / "t.csv")
    assert read_rows(tmp_path / "t.csv")[0]["note"] == f"ValueError: {text}"
    write_table(read_rows(tmp_path / "t.csv"), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()


def test_a_column_that_does_not_exist_is_an_error_and_keeps_the_old_table(tmp_path):
    path = tmp_path / "t.csv"
    write_table([row_of(1.0)], path)
    with pytest.raises(ValueError, match="colour"):
        write_table([row_of(2.0), {**row_of(3.0), "colour": "red"}], path)
    assert read_rows(path)[0]["value"] == "1.0" and len(read_rows(path)) == 1
    assert sorted(os.listdir(tmp_path)) == ["settings.json", "t.csv"]


def test_a_foreign_csv_is_named(tmp_path):
    path = tmp_path / "foreign.csv"
    path.write_text("name,value\na,1\n")
    with pytest.raises(
        ValueError, match=r"foreign.csv: expected a results table with columns study, .*missing: study, cell"
    ):
        read_table(path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00\x01binary", b"value\nhigh up\n"], ids=["empty", "binary", "words"]
)
def test_a_file_that_is_no_table_is_named(tmp_path, content):
    path = tmp_path / "foreign.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"foreign.csv: expected a results table"):
        read_table(path)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv"):
        read_table(tmp_path / "nothing.csv")


def test_each_settings_object_is_stored_once(tmp_path):
    other = dataclasses.replace(SOURCE, settings={"epochs": 3})
    rows = [*[row_of(float(i)) for i in range(5)], *to_rows(other, [Measured("rate", Estimate(1.0, "nats"))])]
    write_table(rows, tmp_path / "t.csv")
    stored = json.loads((tmp_path / SETTINGS_FILE).read_text())
    text = (tmp_path / "t.csv").read_text()
    assert len(stored) == 2 and {"epochs": 3} in stored.values() and "epochs" not in text
    assert all(digest in text for digest in stored)
    table = read_table(tmp_path / "t.csv")
    assert [json.loads(settings)["epochs"] for settings in table["settings"]] == [2] * 5 + [3]


def test_copied_rows_take_their_settings_along(tmp_path):
    write_table([row_of(1.0)], tmp_path / "cell" / "rows.csv")
    write_table(read_rows(tmp_path / "cell" / "rows.csv"), tmp_path / "study" / "results.csv")
    assert json.loads(read_rows(tmp_path / "study" / "results.csv")[0]["settings"])["epochs"] == 2


def test_a_table_without_its_settings_is_still_read(tmp_path):
    write_table([row_of(1.0)], tmp_path / "t.csv")
    (digest,) = json.loads((tmp_path / SETTINGS_FILE).read_text())
    (tmp_path / SETTINGS_FILE).unlink()
    assert read_table(tmp_path / "t.csv").loc[0, "settings"] == digest


@pytest.mark.parametrize("content", ["{", "[]", b"\xff\xfe".decode("latin-1")])
def test_damaged_settings_are_named(tmp_path, content):
    write_table([row_of(1.0)], tmp_path / "t.csv")
    (tmp_path / SETTINGS_FILE).write_text(content)
    with pytest.raises(ValueError, match=r"settings\.json: expected settings by digest"):
        read_table(tmp_path / "t.csv")


def test_a_table_of_an_older_version_says_what_it_does_not_know(tmp_path):
    path, newer = tmp_path / "t.csv", ("norm", "label", "reference", "p_value", "verdict")
    write_table([row_of(1.5, attack="pgd")], path)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, [name for name in COLUMNS if name not in newer], extrasaction="ignore")
        writer.writeheader()
        writer.writerows([{**rows[0], "settings": '{"epochs": 7}'}])
    table = read_table(path)
    assert (table.loc[0, "value"], table.loc[0, "attack"], table.loc[0, "settings"]) == (1.5, "pgd", '{"epochs": 7}')
    assert list(table.columns) == list(COLUMNS) and math.isnan(table.loc[0, "p_value"])
    assert [table.loc[0, name] for name in newer if name != "p_value"] == ["", "", "", ""]


def test_everything_that_a_number_is_of_has_its_column(tmp_path):
    number = Measured(
        "accuracy_difference", Estimate(0.1, "fraction"), "pgd", "linf", 0.03, 2.0, "kept", "baseline", 0.04, "fmix"
    )
    write_table(to_rows(SOURCE, [number]), tmp_path / "t.csv")
    row = read_table(tmp_path / "t.csv").iloc[0]
    for name in ("attack", "norm", "epsilon", "x", "label", "reference", "p_value", "verdict"):
        assert row[name] == getattr(number, name)


def test_settings_name_their_class():
    assert to_settings(MixUp(alpha=0.2)) == {
        "kind": "MixUp", "alpha": 0.2, "per_batch": False, "reformulate": False, "lam_policy": "mask_mean",
    }  # fmt: skip
    nested = to_settings({"fit": VaeFit(), "sizes": ((1, 2), [FMix()]), "n": None})
    assert (
        nested["fit"]["kind"] == "VaeFit" and nested["sizes"][0] == [1, 2] and nested["sizes"][1][0]["kind"] == "FMix"
    )
    assert nested["n"] is None
    assert json.loads(json.dumps(nested)) == nested


def test_the_header_is_fixed(tmp_path):
    write_table([], tmp_path / "t.csv")
    with open(tmp_path / "t.csv", newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS
    assert len(read_table(tmp_path / "t.csv")) == 0
