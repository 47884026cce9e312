"""Tariff files: complete, consistent, and every problem reported at once."""

import copy
import csv
from datetime import date
from importlib.resources import files

import pytest
import yaml

from twin.datapack import categories
from twin.economics.tariffs import assumed_numbers, load_tariff, numbers_of, parse_tariff, tariff_names
from twin.errors import DataPackError

NAMES = ("bihar-2024-25", "bihar-2025-26", "bihar-2026-27")


def raw(name="bihar-2025-26"):
    text = files("twin").joinpath("data", "tariffs", f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text), text


def test_three_years_with_every_category():
    assert tariff_names() == NAMES
    for name in NAMES:
        assert set(load_tariff(name).categories) == {row.category for row in categories()}


def test_free_units_begin_in_august_2025():
    tariff = load_tariff("bihar-2025-26")
    assert tariff.free_kwh("ds1", date(2025, 7, 31)) == 0
    assert tariff.free_kwh("ds1", date(2025, 8, 1)) == 125
    assert tariff.free_kwh("nds1", date(2025, 8, 1)) == 0
    assert load_tariff("bihar-2024-25").free_kwh("ds1", date(2026, 1, 1)) == 0


@pytest.mark.parametrize("name", NAMES)
def test_assumed_numbers_are_exactly_those_not_found(name):
    tariff = load_tariff(name)
    listed = assumed_numbers(tariff)
    assert {row.confidence for row in listed} <= {"recalled", "derived", "assumed"}
    assert all(row.source and row.name.startswith(f"tariff.{name}.") for row in listed)
    assert len(listed) == sum(number.confidence != "found" for _, number in numbers_of(tariff))
    assert len({row.name for row in listed}) == len(listed)


def test_a_fuel_surcharge_starts_with_a_month_and_once():
    data, text = raw()
    row = data["fuel_surcharge"][0]
    data["fuel_surcharge"] = [row, dict(row), row | {"start": date(2025, 6, 2), "exempt": ["ds9"]}]
    with pytest.raises(DataPackError) as caught:
        parse_tariff(data, "tariff.yaml", text)
    assert [(problem.path, problem.what) for problem in caught.value.problems] == [
        ("fuel_surcharge.2", "no such billing category 'ds9'"),
        ("fuel_surcharge.1.start", "2025-04-01 has two rows"),
        ("fuel_surcharge.2.start", "must be the first of a month"),
    ]


def test_all_problems_of_a_file_with_their_lines():
    data, text = raw()
    broken = copy.deepcopy(data)
    broken["categories"]["ds1"]["slabs"][0]["energy"]["value"] = "cheap"
    broken["duty"]["percent"]["confidence"] = "sure"
    broken["categories"]["ds2"]["fixed"]["bases"] = "kw"
    with pytest.raises(DataPackError) as caught:
        parse_tariff(broken, "tariff.yaml", text)
    assert [problem.path for problem in caught.value.problems] == [
        "duty.percent.confidence", "categories.ds1.slabs.0.energy.value", "categories.ds2.fixed.bases",
    ]  # fmt: skip
    line = int(caught.value.problems[1].where.split(":")[1])
    assert "7.42" in text.splitlines()[line - 1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["categories"].pop("ds1"), "category 'ds1' has no rates"),
        (lambda d: d["categories"].update(ds9=d["categories"]["ds1"]), "no such billing category"),
        (lambda d: d["categories"]["ds1"].update(tariff_row="DS-2"), "categories.csv says"),
        (lambda d: d["categories"]["ds1"]["slabs"][0].update(up_to_kwh=50), "must be open"),
        (lambda d: d["categories"]["ds2"]["slabs"].insert(0, d["categories"]["ds2"]["slabs"][0]), "slabs must rise"),
        (lambda d: d["categories"]["ds1"]["slabs"][0]["subsidy"].update(value=8.0), "above the energy rate"),
        (lambda d: d["categories"]["ds1"]["slabs"][0]["energy"].update(value=7.425), "whole paise"),
        (lambda d: d["duty"]["percent"].update(source="nowhere"), "not listed under sources"),
        (lambda d: d["prepaid_rebate"].update(inr_per_kwh=None), "exactly one of"),
        (lambda d: d["free_units"][0].update(categories=["ds7"]), "no such billing category 'ds7'"),
        (lambda d: d["free_units"][0]["kwh"].update(value=12.5), "whole kWh"),
        (lambda d: d["time_of_day"][1].update(categories=["hts1"]), "two time-of-day rows"),
        (lambda d: d["time_of_day"][0]["periods"]["peak"].update(hours="16-23"), "overlap"),
        (lambda d: d["time_of_day"][0]["periods"]["peak"].update(hours="25-26"), "leaves the day"),
        (
            lambda d: d["time_of_day"][0]["periods"].update(normal=d["time_of_day"][0]["periods"].pop("peak")),
            "uncovered",
        ),
    ],
)
def test_inconsistent_tariffs_are_refused(change, says):
    data = copy.deepcopy(raw()[0])
    change(data)
    with pytest.raises(DataPackError, match=says):
        parse_tariff(data, "tariff.yaml")


def test_an_unknown_tariff_suggests_a_known_one():
    with pytest.raises(DataPackError, match="did you mean 'bihar-2026-27'"):
        load_tariff("bihar-2026-72")


def test_rates_are_those_of_the_facts():
    """The rows of the public table that carry numbers, as they stand there (two discoms' retail rates, INR/kWh)."""
    facts = """2024-25,ds1,0,7.42,2.45
2024-25,ds2,0,7.42,4.12
2024-25,ds2,1,8.95,5.52
2025-26,kutir_jyoti,0,7.42,1.97
2025-26,kutir_jyoti,1,7.42,2.45
2025-26,ds1,0,7.42,2.45
2025-26,ds2,1,8.95,5.52
2025-26,irrigation_rural,0,6.74,0.55
2025-26,irrigation_urban,0,7.17,0.55
2025-26,street_light,0,9.03,9.03
2025-26,hts3,0,7.85,7.85
2026-27,ds2,0,7.42,4.12"""
    for year, category, slab, gross, net in csv.reader(facts.splitlines()):
        row = load_tariff(f"bihar-{year}").categories[category].slabs[int(slab)]
        assert row.energy.value == float(gross)
        assert row.energy.value - row.subsidy.value == pytest.approx(float(net))
