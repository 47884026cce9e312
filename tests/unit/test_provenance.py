"""Everything that is not known stands in the manifest: no file of the data pack with marks is forgotten."""

from collections import Counter
from importlib.resources import files

import pytest
import yaml

from tests.runs import TINY
from twin.scenario import load_scenario, parse_scenario
from twin.simulation.plan import plans
from twin.simulation.provenance import (
    MARKED_SETTINGS,
    MARKED_TABLES,
    READ_ELSEWHERE,
    SURE,
    MarkedTable,
    assumed_numbers,
    settings_numbers,
    table_marks,
    worst_mark,
)

NO_INPUT = {
    "calibration": "compared with results, never read by the model",
    "calibration_keep": "ranges that a fit keeps, never read by the model",
    "calibration_split": "which published numbers are fitted and which are held out",
    "rates": "measured; predicts what a run costs",
    "report": "what the page shows; it lists its conventions itself",
    "search": "bounds of the search for a design, never read by the model",
    "tables": "the dictionary of results",
}
NO_MARKS = {
    "blocks": "census counts, all found (data README)",
    "district_aliases": "spellings",
    "kinds": "names",
}


@pytest.fixture(scope="module")
def rows():
    return assumed_numbers(plans(load_scenario(TINY)))


def pack_files():
    data = files("twin").joinpath("data")
    folders = {"": data, "demand/": data / "demand"}
    return {
        start + entry.name.rpartition(".")[0]: entry.read_text(encoding="utf-8")
        for start, folder in folders.items()
        for entry in folder.iterdir()
        if entry.name.endswith((".yaml", ".csv"))
    }


def test_every_file_of_the_pack_is_listed_or_said_to_be_no_input():
    listed = {*MARKED_SETTINGS, *(table.file for table in MARKED_TABLES), *READ_ELSEWHERE}
    assert not listed & {*NO_INPUT, *NO_MARKS}
    assert set(pack_files()) == listed | {*NO_INPUT, *NO_MARKS}


def test_files_without_marks_have_no_column_of_them():
    texts = pack_files()
    for name in NO_MARKS:
        assert "confidence" not in texts[name].splitlines()[0], name


def test_every_listed_file_has_rows(rows):
    starts = {
        *MARKED_SETTINGS.values(), *(table.name for table in MARKED_TABLES), "tariff.bihar-2026-27", "purchase",
        "substitution_rural_home", "daily_farm", "response.forecast_cv", "synthesis.counts.pss", "registers.smart",
        "transmission.sizing.peak_mw", "categories.smart_share.domestic",
    }  # fmt: skip
    names = [row["name"] for row in rows]
    for start in starts:
        assert any(name.startswith(start) for name in names), start


def test_rows_are_complete_and_no_two_alike(rows):
    assert all(row["name"] and row["value"] and row["source"] for row in rows)
    assert {row["confidence"] for row in rows} <= set(SURE[1:])
    assert max(Counter(row["name"] for row in rows).values()) == 1


def test_all_marked_columns_are_read():
    """A column of marks that the list does not know would hide what it marks."""
    for table in MARKED_TABLES:
        header = pack_files()[table.file].splitlines()[0].split(",")
        assert set(table.marks) == {column for column in header if "confidence" in column}, table.file


def test_settings_files_say_how_sure_they_are_and_their_marks_point_at_numbers():
    for file, start in MARKED_SETTINGS.items():
        settings = yaml.safe_load(pack_files()[file])
        assert worst_mark(settings["source"]) in SURE
        for path in settings.get("marks", {}):
            bare = {**settings, "marks": {path: "recalled: only here"}}
            assert any(row["confidence"] == "recalled" for row in settings_numbers(bare, start)), f"{file}: {path}"


def test_a_settings_file_number_by_number():
    settings = {
        "source": "assumed: by hand",
        "marks": {"b.c": "found: somewhere", "d": "recalled: a book"},
        "a": 1.5,
        "b": {"c": 2, "e": [1, 2], "on": True, "text": "x"},
        "d": [{"signal": "fan", "share": 0.5}, {"signal": "lamp", "share": 0.1}],
    }
    rows = settings_numbers(settings, "top")
    assert [(row["name"], row["value"], row["confidence"]) for row in rows] == [
        ("top.a", "1.5", "assumed"),
        ("top.b.e", "[1, 2]", "assumed"),
        ("top.d.fan.share", "0.5", "recalled"),
        ("top.d.lamp.share", "0.1", "recalled"),
    ]


def test_a_table_by_degrees():
    table = MarkedTable("t", "grid.t", ("r_confidence",), "name")
    marks = {"p": "found", "q": "recalled-low", "r": "ownership found; power assumed", "s": "recalled", "t": ""}
    rows = table_marks(table, [{"name": name, "r_confidence": mark} for name, mark in marks.items()])
    assert [(row["name"], row["value"], row["source"]) for row in rows] == [
        ("grid.t.r.recalled", "2 of 4 rows", "twin/data/t.csv: q, s"),
        ("grid.t.r.assumed", "1 of 4 rows", "twin/data/t.csv: r"),
    ]


def test_what_a_scenario_sets_is_not_called_a_default():
    text = TINY.read_text() + "meters: {smart_share: {domestic: 0.9}}\n"
    settings = ["experiment.parameters.daily_farm=[-0.02, -0.01]"]
    rows = {row["name"]: row for row in assumed_numbers(plans(parse_scenario(text, overrides=settings)))}
    assert "categories.smart_share.domestic" not in rows
    assert "categories.smart_share.non_domestic" in rows
    assert (rows["daily_farm"]["value"], rows["daily_farm"]["source"]) == ("-0.02 to -0.01", "scenario")


def test_factors_that_a_scenario_sets_are_listed():
    text = TINY.read_text() + "\ncalibrated: {ht: 1.25}\n"
    listed = {row["name"]: row for row in assumed_numbers(plans(parse_scenario(text)))}
    assert listed["calibrated.ht"]["value"] == "1.25"
