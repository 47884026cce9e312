"""How a response comes about: hand-worked shares, and energy that only moves."""

import datetime as dt
import re

import numpy as np
import pytest
from pydantic import ValidationError

from tests.runs import ROOT
from twin.datapack import scenario_parameters
from twin.economics.arms import CriticalPeak
from twin.economics.windows import after_event, refine
from twin.report.catalogue import Catalogue
from twin.scenario.arms import Arm, Behaviour
from twin.simulation.behaviour import ArmBehaviour

DAYS = (dt.date(2026, 6, 2), dt.date(2026, 6, 5))
EVENT = CriticalPeak(hours="18-21", dates=DAYS, multiplier=3.0)
START = dt.date(2026, 6, 1)


def arm(values, **settings):
    return ArmBehaviour(Behaviour(**settings), values, START)


def test_learning_leaves_its_share_after_one_time_constant():
    one = arm({"learning_start": 0.4, "learning_weeks": 2.0}, learning=True)
    factors = np.array([[0.9, 1.2]])
    assert np.allclose(one.learned(START, factors), 1 + 0.4 * (factors - 1))
    share = 1 - 0.6 * np.exp(-1)
    assert np.allclose(one.learned(START + dt.timedelta(14), factors), 1 + share * (factors - 1))


def test_events_tire_from_one_to_the_next():
    one = arm({"event_retention": 0.8}, fatigue=True)
    assert [one.not_tired(day, [EVENT]) for day in DAYS] == [1.0, 0.8]


def test_what_snaps_back_is_moved_energy_and_nothing_is_lost():
    zones = refine([], 24, (EVENT.programme, after_event(EVENT.programme)))
    one = arm({"snap_back_share": 0.5}, snap_back=True)
    kwh = np.bincount(zones.on(DAYS[0]), minlength=zones.n_zones)[None].astype(float)  # 1 kWh an hour
    during = next(z for z in range(zones.n_zones) if zones.has_event(z, EVENT.programme))
    after = next(z for z in range(zones.n_zones) if zones.has_event(z, after_event(EVENT.programme)))
    factors = np.full_like(kwh, 1 + 0.3 / 21)  # the event's 3 kWh fall by 0.3, shared by the other 21
    factors[:, during] = 0.9
    one.snap_back(zones, DAYS[0], [EVENT], kwh, np.ones_like(kwh), factors)
    assert (kwh * factors).sum() == pytest.approx(24.0)
    assert factors[0, during] == 0.9
    # half of 0.3 kWh goes to the two hours after, beside half of what had moved there
    assert factors[0, after] == pytest.approx(1 + 0.15 / 2 + 0.15 / 21)


@pytest.mark.parametrize("design", ["critical_peak", "peak_rebate"])
def test_an_event_that_ends_with_its_day_has_no_hours_to_snap_back_in(design):
    plain = {"applies_to": "gross", "peak": {"hours": "17-23", "multiplier": 1.2}}
    event = {"hours": "21-24", "dates": DAYS}
    event |= {"multiplier": 3.0} if design == "critical_peak" else {"inr_per_kwh": 10.0}
    arm_of = {"tariff": {"time_of_day": plain, design: event}, "behaviour": {"snap_back": True}}
    with pytest.raises(ValidationError, match=f"{design} ends with its day"):
        Arm.model_validate(arm_of)
    event["hours"] = "20-23"
    assert Arm.model_validate(arm_of).behaviour.snap_back


def documented_parameters():
    """Rows of the tables of ``docs/tariffs.md`` about behaviour: name, and its prior and limits as text."""
    text = (ROOT / "docs" / "tariffs.md").read_text(encoding="utf-8")
    section = text.partition("## What is unsure about behaviour")[2].partition("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in re.findall(r"`(\w+)`", cells[0]) if line.startswith("| `") else ():
            yield name, (cells[2], cells[3])


def test_the_docs_list_every_parameter_with_its_prior():
    told = dict(documented_parameters())
    known = {
        name: (f"{own.low:g} to {own.high:g}", f"{own.least:g} to {own.most:g}")
        for name, own in scenario_parameters().items()
    }
    assert told == known


def test_the_report_has_a_name_for_every_parameter():
    catalogue = Catalogue()
    assert [name for name in scenario_parameters() if not catalogue.has(f"parameter.{name}")] == []
