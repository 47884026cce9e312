"""AT&C loss taken apart: by hand on a made run, and sums that hold to 1e-9 for any numbers."""

import datetime as dt

import numpy as np
import pytest

from tests.analysis_fixture import (
    CONSUMERS,
    DAY,
    FEEDERS,
    FakeRun,
    arrow,
    bill_row,
    cases,
    consumers,
    feeder_list,
    feeder_rows,
    scenario,
    system_rows,
)
from twin.analysis.atc import atc_tables
from twin.analysis.collection import parse_collection
from twin.analysis.design import read_experiment
from twin.analysis.frames import read_feeders
from twin.analysis.loads import CaseLoads
from twin.analysis.payments import payments_table
from twin.datapack import read_yaml

FEEDER_OF = {consumer: feeder for consumer, feeder, *_ in CONSUMERS}
USED_KWH = {consumer: 100.0 * number for number, consumer in enumerate(FEEDER_OF, start=1)}
SIMULATED = [feeder[0] for feeder in FEEDERS if feeder[4] or feeder[5]]


def made_run(metered_share=0.9, theft=0.0, unrecorded=0.0, devices=False, complete=True, jitter=0.0, heads_read=1.0):
    """One day taken for a month. What a feeder's consumers use is spread over its four hours."""
    rng = np.random.default_rng(4)
    used = {f: sum(kwh for c, kwh in USED_KWH.items() if FEEDER_OF[c] == f) for f in SIMULATED}
    heads = {f: [kwh / 4 * (1.0 + jitter * rng.normal())] * 4 for f, kwh in used.items()}
    bills = [
        bill_row(0, c, 0, 0, 0.0) | {"used_kwh": kwh, "metered_kwh": kwh * metered_share} for c, kwh in USED_KWH.items()
    ]
    balance = [
        {"case": 0, "date": DAY, "dt_id": f, "theft_kwh": theft * used[f], "unrecorded_kwh": unrecorded * used[f]}
        for f in SIMULATED
    ]
    boundary = [
        {
            "case": 0,
            "date": DAY,
            "feeder_id": f,
            "sent_metered_kwh": heads_read * (sum(heads[f]) + 120.0),
            "read": f != 1,
            "meters": 10 * f,
        }
        for f in SIMULATED
    ]
    first = next(iter(USED_KWH))
    billed = metered_share * USED_KWH[first]
    estimates = [
        {
            "case": 0,
            "consumer_id": first,
            "period_start": DAY,
            "period_end": DAY,
            "flag": "missing",
            "rule": "neighbours",
        }
        | {"days_missing": 1, "metered_kwh": billed + 5.0, "billed_kwh": billed}
    ]
    settings = scenario() | {"meters": {"devices": devices}}
    listed = feeder_list().to_pylist()
    tables = {
        "cases": cases(("flat",), 1),
        "feeder_list": arrow("feeder_list", [row | {"code": f"F-{row['feeder_id']}"} for row in listed]),
        "consumers": consumers(),
        "bills": arrow("bills", bills),
        "meter_balance": arrow("meter_balance", balance),
        "estimates": arrow("estimates", estimates),
        "feeder_meters": arrow("feeder_meters", boundary),
        "feeders": arrow("feeders", feeder_rows(0, heads, 10.0)),
        "system": arrow("system", system_rows(0, [20.0, 20.0, 30.0, 30.0], 1.0, 0.0)),
    }
    return FakeRun(tables, settings, {"months_complete": complete})


def with_payments(run, subsidy_received=None, **paise):
    """The run with bills of Rs 100 and a subsidy of Rs 60 each, and payments."""
    asked = {} if subsidy_received is None else {"subsidy_received": subsidy_received}
    run.scenario |= {"payments": asked, "seed": 3}
    rows = run.tables["bills"].to_pylist()
    money = {"total_paise": 10_000, "subsidy_paise": 6_000} | paise
    return run.replaced(bills=arrow("bills", [row | money for row in rows]))


def parts_of(run):
    feeders = read_feeders(run)
    rows = atc_tables(CaseLoads(run, feeders), read_experiment(run), feeders)[0].to_pylist()
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        found.setdefault(row["area"], {})[row["part"]] = row["energy_mwh"]
    return found, rows


def test_a_feeder_by_hand():
    """Feeder 1 holds consumers 10 and 11: 300 kWh used; 30 kW lost for four hours; a tenth stolen, 2 % unrecorded, and
    5 kWh less billed than the register of 10 will show.
    """
    found, rows = parts_of(made_run(0.85, theft=0.1, unrecorded=0.02, devices=True))
    assert found["feeder:F-1"] == pytest.approx(
        {"input": 0.42, "loss_11kv": 0.04, "loss_dt": 0.04, "loss_lv": 0.04, "theft": 0.03, "unrecorded": 0.006,
         "meter_error": 0.004, "estimate": 0.005, "billed": 0.255, "closure": 0.0}, abs=1e-12)  # fmt: skip
    (billed,) = [row for row in rows if row["area"] == "feeder:F-1" and row["part"] == "billed"]
    assert billed["percent_of_input"] == pytest.approx(100 * 0.255 / 0.42)


def utility_of(run):
    feeders = read_feeders(run)
    rows = atc_tables(CaseLoads(run, feeders), read_experiment(run), feeders)[1].to_pylist()
    return {row["area"]: row for row in rows}


def test_what_a_discom_estimates_by_hand():
    """Feeder 1 sends 420 kWh, its meter shows 2 % more; 11 % of 428.4 is normative loss, and 255 are billed. What is
    stolen, not recorded, misread or estimated too low is 45 in truth. A read that came late counts.
    """
    row = utility_of(made_run(0.85, theft=0.1, unrecorded=0.02, devices=True, heads_read=1.02))["feeder:F-1"]
    assert row["input_mwh"] == pytest.approx(0.420)
    assert row["input_metered_mwh"] == pytest.approx(0.4284)
    assert row["billed_mwh"] == pytest.approx(0.255)
    assert row["technical_mwh"] == pytest.approx(0.120)
    assert row["technical_normative_mwh"] == pytest.approx(0.11 * 0.4284)
    assert row["non_technical_mwh"] == pytest.approx(0.045)
    assert row["non_technical_estimated_mwh"] == pytest.approx(0.4284 * 0.89 - 0.255)
    assert row["atc_percent"] == pytest.approx(100 * (1 - 255 / 420))
    assert row["atc_estimated_percent"] == pytest.approx(100 * (1 - 255 / 428.4))


def test_days_on_which_a_head_s_meter_had_failed_are_missing_and_not_zero():
    """Feeder 1 had one day of two, so that it counts twice; feeder 2 none: 20 meters at the others' mean."""
    run = made_run(0.9, devices=True)
    rows = run.tables["feeder_meters"].to_pylist()
    later = [row | {"date": DAY + dt.timedelta(days=1)} for row in rows]
    for row in later:
        row["sent_metered_kwh"] = None if row["feeder_id"] in (1, 2) else row["sent_metered_kwh"]
    gone = [row | ({"sent_metered_kwh": None} if row["feeder_id"] == 2 else {}) for row in rows]
    found = utility_of(run.replaced(feeder_meters=arrow("feeder_meters", gone + later)))
    assert found["feeder:F-1"]["input_metered_mwh"] == pytest.approx(2 * 0.420)
    assert found["feeder:F-1"]["input_estimated_mwh"] == pytest.approx(0.420)
    known = [row for row in gone + later if row["sent_metered_kwh"] is not None]
    usual = sum(row["sent_metered_kwh"] for row in known) / sum(row["meters"] for row in known)
    assert found["feeder:F-2"]["input_estimated_mwh"] == pytest.approx(2 * 20 * usual / 1e3)
    assert found["feeder:F-2"]["input_metered_mwh"] == pytest.approx(2 * 20 * usual / 1e3)
    assert found["feeder:F-3"]["input_estimated_mwh"] == 0.0
    assert found["district:Sheohar"]["input_estimated_mwh"] == pytest.approx(0.420 + 2 * 20 * usual / 1e3)
    whole = utility_of(run)
    assert not any(row["input_estimated_mwh"] for row in whole.values())


@pytest.mark.parametrize("heads_read", [0.97, 1.0, 1.03])
def test_estimate_and_truth_differ_by_named_errors_alone(heads_read):
    run = made_run(0.87, theft=0.05, unrecorded=0.01, devices=True, jitter=0.03, heads_read=heads_read)
    parts, _ = parts_of(run)
    for area, row in utility_of(run).items():
        closure = (
            sum(parts[name]["closure"] for name in parts if name.startswith("discom"))
            if area == "state"
            else parts[area]["closure"]
        )
        meters = row["input_metered_mwh"] - row["input_mwh"]
        norm = row["technical_mwh"] - row["technical_normative_mwh"]
        gap = row["non_technical_estimated_mwh"] - row["non_technical_mwh"]
        assert gap == pytest.approx(meters + norm + closure, abs=1e-12), area


def test_the_state_of_a_discoms_data_is_its_discoms_and_collection_is_known(monkeypatch):
    _everyone(monkeypatch, {"late": 0.0, "partly": 0.0, "never": 0.0})
    rows = utility_of(with_payments(made_run(0.9, devices=True), subsidy_received=0.5))
    for name in ("input_mwh", "billed_mwh", "non_technical_estimated_mwh"):
        own = [row[name] for area, row in rows.items() if area.startswith("discom")]
        assert rows["state"][name] == pytest.approx(sum(own))
    state = rows["state"]
    expected = 100 * (1 - 130 / 160 * state["billed_mwh"] / state["input_metered_mwh"])
    assert state["atc_estimated_percent"] == pytest.approx(expected)


def test_without_meters_at_the_heads_a_discom_estimates_nothing():
    assert utility_of(made_run()) == {}
    run = made_run(devices=True)
    run.scenario["output"] = {"tables": ["feeders", "consumers", "bills", "meter_balance", "estimates"]}
    assert utility_of(run) == {}
    assert parts_of(run)[0]


def test_a_meter_that_reads_too_much_is_a_negative_part():
    found, _ = parts_of(made_run(1.02))
    assert found["feeder:F-1"]["meter_error"] == pytest.approx(-0.006)
    assert found["feeder:F-1"]["theft"] == 0.0


def test_a_district_is_its_feeders_and_a_discom_weighs_them():
    found, _ = parts_of(made_run(0.9))
    for part in found["state"]:
        if part == "loss_33kv":
            continue
        one, two, three, four = (found[f"feeder:F-{k}"][part] for k in (1, 2, 3, 4))
        assert found["district:Sheohar"][part] == pytest.approx(one + two, abs=1e-12)
        assert found["discom:NBPDCL"][part] == pytest.approx(one + two + 10 * (three + four), abs=1e-12)


def test_the_state_bills_the_share_that_its_consumers_show():
    """Sent 100 + 20 MWh, of which 4 are lost at 132 kV and above: input 116; nine tenths of the 100 used are billed."""
    found, _ = parts_of(made_run(0.9))
    state = found["state"]
    assert state["input"] == pytest.approx(116.0)
    assert state["billed"] == pytest.approx(90.0)
    assert state["meter_error"] == pytest.approx(10.0)
    assert [state[name] for name in ("loss_33kv", "loss_11kv", "loss_dt", "loss_lv")] == pytest.approx([4.0] * 4)


def test_what_is_billed_is_taken_apart_by_what_comes_in(monkeypatch):
    """All pay, the state pays half of its 60 in 160: CE = 130/160 in every area, whatever its BE."""
    _everyone(monkeypatch, {"late": 0.0, "partly": 0.0, "never": 0.0})
    found, rows = parts_of(with_payments(made_run(0.9), subsidy_received=0.5))
    for area, parts in found.items():
        be, ce = parts["billed"] / parts["input"], 130 / 160
        loss = sum(v for name, v in parts.items() if name not in ("input", "billed", "collected", "over_collected"))
        assert loss / parts["input"] == pytest.approx((1 - be) + be * (1 - ce), rel=1e-9), area
        assert loss / parts["input"] == pytest.approx(1 - be * ce, rel=1e-9), area
        assert parts["over_collected"] == 0.0
    assert any(row["part"] == "collected" for row in rows)


def test_parts_add_up_and_the_cap_is_a_part_of_its_own(monkeypatch):
    """Half pay late: where more of the month before comes in than of this month goes out, CE passes 1."""
    _everyone(monkeypatch, {"late": 0.5, "partly": 0.1, "never": 0.05})
    found, _ = parts_of(with_payments(made_run(0.87, theft=0.05, unrecorded=0.01, devices=True, jitter=0.03)))
    for area, parts in found.items():
        whole = sum(value for part, value in parts.items() if part not in ("input", "billed"))
        assert whole == pytest.approx(parts["input"], rel=1e-9), area
        assert parts["collected"] <= parts["billed"] * (1 + 1e-12)
        assert parts["over_collected"] == pytest.approx(max(-parts["uncollected"], 0.0), abs=1e-12)
    over = [parts["over_collected"] for parts in found.values()]
    assert max(over) > 0.0
    assert min(over) == 0.0


def _everyone(monkeypatch, habits):
    """All consumers of all categories have these habits."""
    data = dict(read_yaml("collection"))
    data |= {"prepaid": habits, "categories": dict.fromkeys(data["categories"], habits)}
    monkeypatch.setattr("twin.analysis.payments.load_collection", lambda: parse_collection(data))


def test_payments_say_nothing_of_less_than_a_month_and_nothing_unasked():
    for run in (with_payments(made_run(complete=False)), made_run()):
        assert payments_table(run, read_experiment(run), read_feeders(run)).num_rows == 0


def test_table_payments_by_area_and_category():
    """Ten kutir_jyoti homes stand behind each of consumers 13 and 15, and 10 is itself; all bills are alike."""
    run = with_payments(made_run())
    rows = payments_table(run, read_experiment(run), read_feeders(run)).to_pylist()
    state = {row["category"]: row for row in rows if row["area"] == "state"}
    assert state["kutir_jyoti"]["consumers"] == 21
    assert state["kutir_jyoti"]["billed_inr"] == pytest.approx(21 * 160)
    assert state["kutir_jyoti"]["due_inr"] == pytest.approx(21 * 100)
    assert state["kutir_jyoti"]["subsidy_received_inr"] == pytest.approx(21 * 60)
    assert {row["category"] for row in rows if row["area"] == "district:Sheohar"} >= {"kutir_jyoti", "ds1", "nds2"}
    assert {row["month"] for row in rows} == {DAY.replace(day=1)}


@pytest.mark.parametrize("jitter", [0.0, 0.03])
def test_parts_add_up_to_the_input_in_every_area(jitter):
    """Also where the ledger does not close: the gap is a part of its own."""
    found, _ = parts_of(made_run(0.87, theft=0.05, unrecorded=0.01, devices=True, jitter=jitter))
    assert len(found) == len(SIMULATED) + 1 + 2 + 1
    for area, parts in found.items():
        whole = sum(value for part, value in parts.items() if part != "input")
        assert whole == pytest.approx(parts["input"], rel=1e-9), area
    gaps = [abs(parts["closure"]) / parts["input"] for area, parts in found.items() if area.startswith("feeder")]
    assert (max(gaps) > 1e-3) == (jitter > 0)


def test_nothing_is_said_of_less_than_a_month_or_without_bills():
    assert parts_of(made_run(complete=False))[0] == {}
    run = made_run()
    run.scenario["output"] = {"tables": ["feeders", "consumers"]}
    assert parts_of(run)[0] == {}
