"""Table ``meter_losses``: energy that meters or bills miss and its worth, by hand."""

import pytest

from tests.analysis_fixture import DAY, arrow
from tests.unit.test_atc import USED_KWH, made_run
from twin.analysis.design import read_experiment
from twin.analysis.frames import read_feeders
from twin.analysis.meter_losses import meter_losses_table

ENERGY_PAISE = {10: 20_000, 11: 70_000}
"""Feeder 1's DT: consumers 10 and 11 use 300 kWh, of which 270 are billed for Rs 900. All others: Rs 5 a kWh."""


def losses_of(run):
    bills = [
        row | {"energy_paise": ENERGY_PAISE.get(row["consumer_id"], round(500 * row["metered_kwh"]))}
        for row in run.tables["bills"].to_pylist()
    ]
    balance = [
        row | {"used_kwh": 100.0, "error_kwh": 3.0 if row["dt_id"] == 1 else -1.0, "date": DAY}
        for row in run.tables["meter_balance"].to_pylist()
    ]
    nobody = [balance[0] | {"dt_id": 99, "theft_kwh": 1e9}]
    run = run.replaced(bills=arrow("bills", bills), meter_balance=arrow("meter_balance", balance + nobody))
    rows = meter_losses_table(run, read_experiment(run), read_feeders(run)).to_pylist()
    return {(row["area"], row["part"]): row for row in rows}


def test_a_district_by_hand():
    """DTs 1 and 2 are the district: 3 kWh missed at Rs 900 / 270, 1 too much at Rs 5; a tenth of 600 stolen."""
    rows = losses_of(made_run(0.9, theft=0.1, unrecorded=0.02, devices=True))
    price = 900 / 270
    error = rows["district:Sheohar", "error"]
    assert error["energy_mwh"] == pytest.approx(0.002)
    assert error["value_inr"] == pytest.approx(3 * price - 1 * 5)
    assert error["percent_of_used"] == pytest.approx(1.0)
    theft = rows["district:Sheohar", "theft"]
    assert theft["energy_mwh"] == pytest.approx(0.060)
    assert theft["value_inr"] == pytest.approx(30 * price + 30 * 5)
    estimate = rows["district:Sheohar", "estimate"]
    assert (estimate["energy_mwh"], estimate["value_inr"]) == (pytest.approx(0.005), pytest.approx(5 * price))
    assert rows["district:Sheohar", "used"]["value_inr"] is None


def test_the_state_weighs_dts_and_leaves_out_those_without_consumers():
    rows = losses_of(made_run(0.9, theft=0.1, devices=True))
    weight = {1: 1, 2: 1, 3: 10, 4: 10, 5: 5, 6: 5}
    used = {1: 300, 2: 300, 3: 900, 4: 2100, 5: 900, 6: 2100}
    assert sum(USED_KWH.values()) == sum(used.values()) + 1200
    stolen = sum(0.1 * weight[dt] * kwh for dt, kwh in used.items())
    assert rows["state", "theft"]["energy_mwh"] == pytest.approx(stolen / 1e3)
    assert rows["state", "theft"]["value_inr"] == pytest.approx((stolen - 30) * 5 + 30 * 900 / 270)
    assert rows["state", "error"]["energy_mwh"] == pytest.approx((3 - 1 - 30) / 1e3)


def test_only_meters_that_are_devices_miss_anything():
    assert losses_of(made_run(0.9)) == {}
    run = made_run(0.9, devices=True)
    run.scenario["output"] = {"tables": ["consumers", "bills", "feeders", "meter_balance"]}
    assert losses_of(run) == {}
    run = made_run(0.9, devices=True)
    without = run.replaced(estimates=run.tables["estimates"].slice(0, 0))
    assert losses_of(without)["state", "estimate"]["energy_mwh"] == 0.0


def test_a_network_without_dts_has_no_such_table():
    run = made_run(0.9, devices=True)
    nobody = [row | {"dt_id": -1} for row in run.tables["consumers"].to_pylist()]
    assert losses_of(run.replaced(consumers=arrow("consumers", nobody))) == {}
