"""A run that leaves tables out by ``output.tables`` is analysed to its end; what needs them is left out by name."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.analysis_fixture import FakeRun, hand_run, random_run
from tests.unit.test_analysis_tables import swept
from twin.analysis import analyse
from twin.analysis.left_out import left_out
from twin.errors import RunFolderError
from twin.results.schema import arrow_schema

MONEY = {"revenue", "duty", "subsidy", "consumer_payment", "bill_unchanged", "bill_response", "surplus"}
ARMS = {"experiment": {"arms": {"flat": {}, "tod": {}}}}


def only(run: FakeRun, *tables: str) -> FakeRun:
    """The run as it is when only these of the tables that may be left out are written; the rest cannot be read."""
    kept = {"cases", "feeder_list", "population", "system", *tables}
    held = {name: rows for name, rows in run.tables.items() if name in kept}
    return FakeRun(held, {**run.scenario, **ARMS, "output": {"tables": list(tables) or ["system"]}}, run.manifest)


def rows(table: Any, **key: Any) -> list[dict[str, Any]]:
    return [row for row in table.to_pylist() if all(row[name] == value for name, value in key.items())]


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return analyse(hand_run(), {"peak_mw": 8400.0})


@pytest.mark.parametrize(
    "tables",
    [
        ("feeders", "transformers"),
        ("consumers", "feeders", "transformers"),
        ("bills", "feeders", "transformers"),
    ],
)
def test_without_bills_everything_else_is_the_same(whole: dict[str, Any], tables: tuple[str, ...]) -> None:
    """Bills without consumers do not say whose they are."""
    found = analyse(only(hand_run(), *tables), {"peak_mw": 8400.0})
    assert found["gains"].num_rows == 0
    assert found["effects"].to_pylist() == [row for row in whole["effects"].to_pylist() if row["outcome"] not in MONEY]
    for name in ("losses", "calibration", "sensitivity"):
        assert found[name].equals(whole[name]), name


def test_without_transformers_their_outcomes_are_missing(whole: dict[str, Any]) -> None:
    found = analyse(only(hand_run(), "consumers", "bills", "feeders"), {})
    assert found["gains"].equals(whole["gains"])
    missing = {(r["outcome"], r["area"]) for r in whole["effects"].to_pylist()}
    missing -= {(r["outcome"], r["area"]) for r in found["effects"].to_pylist()}
    of_state = {(name, area) for name in ("dt_overload_hours", "voltage_violations") for area in areas(whole)}
    assert missing == {*of_state, ("evening_peak", "dt:worst")}


def areas(tables: dict[str, Any]) -> set[str]:
    """Areas whose loads are told; discoms have bills alone."""
    return {area for area in tables["effects"].column("area").to_pylist() if not area.startswith(("dt:", "discom:"))}


def test_without_feeders_loads_of_the_state_have_no_sampling_error(whole: dict[str, Any]) -> None:
    found = analyse(only(hand_run(), "consumers", "bills", "transformers"), {"peak_mw": 8400.0})
    assert set(found["losses"].column("area").to_pylist()) == {"state"}
    assert rows(found["losses"], area="state") == rows(whole["losses"], area="state")
    (own,), (full,) = (rows(t["effects"], outcome="energy_saved", area="state") for t in (found, whole))
    assert (own["value"], own["reference"]) == (full["value"], full["reference"])
    assert (own["kind"], full["kind"]) == ("none", "sampling")
    assert not rows(found["effects"], outcome="energy_saved", area="district:Sheohar")
    bills = {name: rows(found["effects"], outcome=name) for name in MONEY | {"dt_overload_hours"}}
    assert bills == {name: rows(whole["effects"], outcome=name) for name in bills}
    (peak,), (known,) = (rows(t["calibration"], id="C02") for t in (found, whole))
    assert (peak["value"], peak["low"], peak["high"]) == (8400.0, None, None)
    assert known["low"] is not None
    assert rows(found["calibration"], id="C24s") == rows(whole["calibration"], id="C24s")


def test_the_system_alone_is_enough(whole: dict[str, Any]) -> None:
    found = analyse(only(hand_run()), {})
    assert {row["area"] for row in found["effects"].to_pylist()} == {"state"}
    assert {row["outcome"] for row in found["effects"].to_pylist()} == {
        "evening_peak", "peak_any", "energy_moved", "energy_saved", "technical_loss", "technical_loss_share",
        "purchase_cost", "capacity_value",
    }  # fmt: skip
    for name, table in found.items():
        assert table.schema.equals(arrow_schema(name)), name


def test_a_sweep_without_bills_has_sensitivities_of_the_rest() -> None:
    run, *_ = swept([{"experiment.parameters.home": value} for value in (0.0, 0.1)])
    outcomes = set(analyse(only(run, "feeders"), {})["sensitivity"].column("outcome").to_pylist())
    assert outcomes == {"evening_peak", "energy_moved", "energy_saved", "purchase_cost"}


@pytest.mark.parametrize("table", ["feeders", "transformers", "consumers", "bills", "population"])
def test_a_table_that_is_asked_for_must_be_there(table: str) -> None:
    run = random_run(1)
    run.scenario.update(ARMS, output={"tables": "all"})
    with pytest.raises(RunFolderError, match=f"tables/{table}: has no rows"):
        analyse(run.replaced(**{table: arrow_schema(table).empty_table()}), {})


def test_what_is_left_out_is_named_with_its_tables() -> None:
    day = {"time": {"start": date(2026, 6, 8), "days": 1}}
    two: dict[str, Any] = {"experiment": {"arms": {"flat": {}, "tod": {}}}, **day}
    one: dict[str, Any] = {"experiment": {"arms": {"flat": {}}}, **day}

    def named(scenario: dict[str, Any], tables: Any) -> dict[str, tuple[str, ...]]:
        return {part.name: part.tables for part in left_out({**scenario, "output": {"tables": tables}})}

    assert named(two, "all") == {}
    assert left_out(two) == []
    assert named(two, ["bills", "feeders"]) == {"bills": ("consumers",), "transformers": ("transformers",)}
    assert named(two, ["system"]) == {
        "bills": ("consumers", "bills"), "transformers": ("transformers",), "feeders": ("feeders",)
    }  # fmt: skip
    assert named(one, ["feeders"]) == {"transformers": ("transformers",)}  # one arm: no bills are compared anyway
    month = {"time": {"start": date(2026, 6, 1), "days": 30}}
    held = ["consumers", "feeders", "transformers"]
    assert named(one | month, held) == {"atc": ("bills",), "gap": ("bills",)}
    devices = month | {"meters": {"devices": True}}
    assert named(one | devices, [*held, "bills", "meter_reads", "meter_balance", "estimates"]) == {
        "utility": ("feeder_meters",),
        "dt_residuals": ("dt_meters",),
    }
    assert named(one | devices, [*held, "bills", "feeder_meters"]) == {
        "meter_losses": ("meter_balance", "estimates"), "meter_reads": ("meter_reads",),
        "dt_residuals": ("dt_meters",),
    }  # fmt: skip
    assert named(one | {"time": {"start": date(2026, 6, 1), "days": 29}}, held) == {}
