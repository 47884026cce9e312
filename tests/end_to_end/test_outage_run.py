"""A run whose supply is interrupted: same tables for any number of shards, a closed ledger, indices by hand."""

from __future__ import annotations

import math

import duckdb
import pytest

from tests.runs import run_local
from twin.results.digest import digest_tables

HOURLY = ("time.step_minutes=60", "outages={rate: 2}", "experiment.arms={flat: {}}", "output.readings.consumers=20")


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "run"
    return run_local(out, 1, HOURLY), out


def sql(out, query):
    tables = {name: f"read_parquet('{out}/tables/{name}/*/*.parquet')" for name in ("supply", "system", "readings")}
    tables["feeder_list"] = f"read_parquet('{out}/tables/feeder_list/**/*.parquet')"
    return duckdb.sql(query.format(**tables)).fetchall()


def test_two_shards_write_the_same(one, tmp_path):
    run, _ = one
    assert digest_tables(run_local(tmp_path / "two", 2, HOURLY)) == digest_tables(run)


def test_the_ledger_closes(one):
    run, _ = one
    assert run.manifest["status"] == "complete"
    assert not run.manifest["failed_solves"]
    for level, entry in run.manifest["energy_balance"].items():
        for name in ("closure", "border_mismatch"):
            if name in entry:
                limit = entry["closure_limit" if name == "closure" else "border_limit"]
                assert entry[name] <= limit, level


def test_indices_are_weighted_means_over_consumers(one):
    run, out = one
    rows = run.table("reliability").to_pylist()
    state = {row["measure"]: row for row in rows if row["area"] == "state" and row["feeders"] == "all"}
    ((saifi, saidi, supplied, unserved),) = sql(
        out,
        "select sum(w * interruptions) / sum(w), sum(w * counted_h) / sum(w), sum(w * supplied_h) / sum(w),"
        " sum(weight * unserved_kwh) / sum(w) from (select s.*, f.weight, s.consumers * f.weight as w"
        " from {supply} s join {feeder_list} f using (feeder_id))",
    )
    for name, value in (("saifi", saifi), ("saidi", saidi), ("supplied", supplied), ("unserved", unserved)):
        assert math.isclose(state[name]["value"], value, rel_tol=1e-9), name
        assert state[name]["low"] < value < state[name]["high"]
    assert 18 < supplied < 23.5
    kinds = {row["feeders"]: row["value"] for row in rows if row["area"] == "state" and row["measure"] == "supplied"}
    assert kinds["rural"] < kinds["urban"]


def test_what_is_not_served_stands_in_the_state_s_balance(one):
    """The state's is that of its feeders and of consumers on 11 and 33 kV."""
    _, out = one
    (system_mwh,), (feeders_mwh,) = (
        sql(out, "select sum(unserved_mw) from {system}")[0],
        sql(out, "select sum(unserved_kwh * weight) / 1000 from {supply} join {feeder_list} using (feeder_id)")[0],
    )
    assert 0.95 * feeders_mwh < system_mwh < 1.3 * feeders_mwh


def test_readings_show_the_hours_without_supply(one):
    _, out = one
    (dark,) = sql(out, "select count(*) from {readings} where used_kwh = 0")[0]
    assert dark > 0


def test_unserved_energy_is_a_line_of_the_losses_beside_what_is_sent(one):
    run, out = one
    parts = {row["part"]: row for row in run.table("losses").to_pylist() if row["area"] == "state"}
    (unserved,) = sql(out, "select sum(unserved_mw) from {system}")[0]
    assert math.isclose(parts["unserved"]["energy_mwh"], unserved, rel_tol=1e-9)
    inside = sum(row["energy_mwh"] for name, row in parts.items() if name not in ("sent", "unserved"))
    assert math.isclose(inside, parts["sent"]["energy_mwh"], rel_tol=1e-5)
