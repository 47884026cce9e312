"""Table ``gap``: what energy costs and what comes in per unit, by hand."""

import numpy as np
import pytest

from tests.analysis_fixture import arrow, cases, system_rows
from tests.unit.test_atc import _everyone, made_run, with_payments
from twin.analysis.design import read_experiment
from twin.analysis.frames import read_feeders
from twin.analysis.gap import gap_tables
from twin.analysis.loads import CaseLoads

PAISE = {"energy_paise": 700, "fixed_paise": 100, "rebate_paise": 50, "duty_paise": 40, "subsidy_paise": 300}
"""Revenue Rs 7.50 a bill, Rs 3.00 of it from the state."""
CONSUMERS, HT_MWH = 69.0, 1.2
USED_MWH = {"discom:NBPDCL": 31.8, "discom:SBPDCL": 15.0}
"""By weight; the HT consumer hangs on no feeder and counts where its district is."""


def priced(run, purchase=1000.0, **paise):
    money = PAISE | paise
    rows = [row | money for row in run.tables["bills"].to_pylist()]
    system = arrow("system", system_rows(0, [20.0, 20.0, 30.0, 30.0], 1.0, purchase))
    run.scenario["time"]["days"] = 1
    return run.replaced(bills=arrow("bills", rows), system=system)


def gap_of(run):
    feeders = read_feeders(run)
    table, effects = gap_tables(CaseLoads(run, feeders), read_experiment(run), feeders)
    return {(row["arm"], row["area"]): row for row in table.to_pylist()}, effects.to_pylist()


def test_the_state_by_hand():
    """120 MWh are bought for Rs 4,000; 100 are used, 90 billed. Simulated consumers stand for 46.8 of the 100 used."""
    row = gap_of(priced(made_run(0.9)))[0]["flat", "state"]
    ratio = 100.0 / 46.8
    assert (row["input_mwh"], row["billed_mwh"]) == (pytest.approx(120.0), pytest.approx(90.0))
    assert row["purchase_inr_per_kwh_input"] == pytest.approx(4000 / 120e3)
    assert row["purchase_inr_per_kwh"] == pytest.approx(4000 / 90e3)
    assert row["revenue_inr"] == pytest.approx(CONSUMERS * 7.5 * ratio)
    assert row["subsidy_inr_per_kwh"] == pytest.approx(CONSUMERS * 3.0 * ratio / 90e3)
    assert row["collected_inr"] is None
    assert row["collected_inr_per_kwh"] is None
    assert row["gap_inr_per_kwh"] == pytest.approx((4000 - CONSUMERS * 7.5 * ratio) / 90e3)
    assert row["capacity_inr"] == pytest.approx(35.0 * 3000 * 1000 / 365)


def test_discoms_share_the_purchase_by_energy_and_add_up():
    rows = gap_of(priced(made_run(0.9)))[0]
    losses = {"discom:NBPDCL": 22 * 0.12, "discom:SBPDCL": 10 * 0.12}
    intake = {name: USED_MWH[name] * 100 / 46.8 + losses[name] for name in USED_MWH}
    for name, own in intake.items():
        share = own / sum(intake.values())
        assert rows["flat", name]["purchase_inr"] == pytest.approx(4000 * share)
        assert rows["flat", name]["billed_mwh"] == pytest.approx(0.9 * USED_MWH[name] * 100 / 46.8)
    for key in ("input_mwh", "billed_mwh", "purchase_inr", "capacity_inr", "revenue_inr", "subsidy_inr"):
        assert sum(rows["flat", name][key] for name in intake) == pytest.approx(rows["flat", "state"][key], rel=1e-12)


def test_what_is_collected_follows_the_discoms_efficiency(monkeypatch):
    """All pay; the state pays half of its subsidy: received 100 + 30 of 160 billed."""
    _everyone(monkeypatch, {"late": 0.0, "partly": 0.0, "never": 0.0})
    run = with_payments(made_run(0.9), subsidy_received=0.5)
    run.scenario["time"]["days"] = 1
    row = gap_of(run)[0]["flat", "state"]
    assert row["collected_inr"] == pytest.approx(row["revenue_inr"] * 130 / 160)
    run = priced(run, total_paise=10_000, subsidy_paise=6_000)
    row = gap_of(run)[0]["flat", "state"]
    assert row["collected_inr"] == pytest.approx(row["revenue_inr"] * 130 / 160)
    assert row["gap_inr_per_kwh"] == pytest.approx((row["purchase_inr"] - row["collected_inr"]) / 90e3)


def test_arms_differ_by_the_change_of_the_gap():
    run = priced(made_run(0.9))
    dearer = [row | {"case": 1, "energy_paise": 1000} for row in run.tables["bills"].to_pylist()]
    more = {
        name: arrow(name, run.tables[name].to_pylist() + [row | {"case": 1} for row in run.tables[name].to_pylist()])
        for name in ("system", "feeders")
    }
    bills = arrow("bills", run.tables["bills"].to_pylist() + dearer)
    run = run.replaced(bills=bills, cases=cases(("flat", "dear"), 1), **more)
    rows, effects = gap_of(run)
    (effect,) = [row for row in effects if row["area"] == "state"]
    assert (effect["arm"], effect["outcome"], effect["unit"]) == ("dear", "gap_per_kwh", "INR/kWh")
    assert effect["value"] == pytest.approx(-CONSUMERS * 3.0 * (100 / 46.8) / 90e3)
    assert effect["reference"] == pytest.approx(rows["flat", "state"]["gap_inr_per_kwh"])
    assert np.isclose(rows["dear", "state"]["gap_inr_per_kwh"] - effect["reference"], effect["value"])


@pytest.mark.parametrize("gone", ["consumers", "bills", "feeders"])
def test_nothing_is_said_of_less_than_a_month_or_without_its_tables(gone):
    assert gap_of(priced(made_run(complete=False)))[0] == {}
    run = priced(made_run())
    run.scenario["output"] = {"tables": [name for name in ("consumers", "bills", "feeders") if name != gone]}
    assert gap_of(run) == ({}, [])
