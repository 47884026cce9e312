"""Events: zones of their own on called days, notice, and what a scenario may not ask of them."""

from datetime import date

import numpy as np
import pytest

from twin.economics.windows import Programme, refine
from twin.errors import ScenarioError
from twin.scenario import parse_scenario
from twin.scenario.zones import tariff_zones
from twin.simulation.plan import plans
from twin.simulation.response import Response

CALLED, OTHER = date(2026, 6, 10), date(2026, 6, 11)
BASE = """\
name: events
grid: {resolve: all}
time: {start: 2026-06-09, days: 4}
tariff: bihar-2026-27
experiment:
  arms:
    flat: {}
"""
TOD = 'time_of_day: {applies_to: gross, peak: {hours: "17-23", multiplier: 1.2}}'
CRITICAL = 'critical_peak: {hours: "19-22", dates: [2026-06-10], multiplier: 4, notice_hours: NOTICE}'
REBATE = 'peak_rebate: {hours: "HOURS", dates: [2026-06-10, 2026-06-11], inr_per_kwh: 5}'


def scenario_with(tariff, **words):
    for name, value in words.items():
        tariff = tariff.replace(name, value)
    return parse_scenario(BASE + f"    events: {{tariff: {{{tariff}}}}}\n")


def test_event_hours_are_a_zone_of_called_days_only():
    programme = Programme("19-22", frozenset([CALLED]))
    zones = refine([{"peak": "17-23"}], 24, [programme])
    assert zones.on(OTHER).tolist() == [0] * 17 + [1] * 6 + [0]
    assert zones.on(CALLED).tolist() == [0] * 17 + [1] * 2 + [2] * 3 + [1] + [0]
    assert zones.n_zones == 3
    assert [zones.has_event(zone, programme) for zone in range(3)] == [False, False, True]
    assert [zones.first_minute(zone) for zone in range(3)] == [0, 17 * 60, 19 * 60]


def test_programmes_on_one_day_are_kept_apart():
    early, late = Programme("17-20", frozenset([CALLED])), Programme("19-22", frozenset([CALLED, OTHER]))
    zones = refine([], 24, [early, late])
    assert zones.on(CALLED)[16:23].tolist() == [0, 1, 1, 2, 3, 3, 0]
    assert zones.under[2] == {early, late}
    assert zones.on(OTHER)[16:23].tolist() == [0, 0, 0, 3, 3, 3, 0]


def test_zones_of_a_run_without_events_are_as_before():
    zones = tariff_zones(scenario_with(TOD))
    assert (zones.event_days, zones.under) == ({}, ())
    assert zones.on(CALLED) is zones.zone_of_step


def test_too_many_zones_and_days_out_of_the_run_are_refused():
    many = TOD.replace('peak: {hours: "17-23", multiplier: 1.2}', ", ".join(
        f'p{h}: {{hours: "{h:02d}-{h + 1:02d}", multiplier: 1.{h}}}' for h in range(1, 8)))  # fmt: skip
    with pytest.raises(ScenarioError, match="meters keep at most 8"):
        scenario_with(f"{many}, {CRITICAL}", NOTICE="24")
    with pytest.raises(ScenarioError, match=r"peak_rebate.dates holds 2026-06-14, which is no day of the run"):
        scenario_with(REBATE.replace("2026-06-11", "2026-06-14"), HOURS="19-22")


@pytest.mark.parametrize(
    ("tariff", "words"),
    [
        (CRITICAL.replace("NOTICE", "24"), "critical_peak is for the consumers of a time_of_day or day_ahead"),
        (REBATE.replace("HOURS", "19:10-22"), "19:10"),
        (REBATE.replace("HOURS", "19-22").replace("2026-06-11", "2026-06-10"), "names 2026-06-10 twice"),
        (TOD + ", day_ahead: {applies_to: gross, pass_through: 1}", "cannot stand in the same arm"),
        (
            "day_ahead: {applies_to: gross, pass_through: 1}, free_units: {per_period: {evning: 25}}",
            "did you mean 'evening'",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_words(tariff, words):
    with pytest.raises(ScenarioError, match=words):
        scenario_with(tariff)


def test_a_scenario_with_events_is_written_back_and_read_again():
    scenario = scenario_with(f"{TOD}, {CRITICAL}, {REBATE}", NOTICE="6", HOURS="19-22")
    again = type(scenario).model_validate(scenario.resolved(), context={"step_minutes": 15})
    assert again == scenario


@pytest.mark.parametrize(("notice", "share"), [("0", 0.0), ("3", 0.25), ("12", 1.0), ("24", 1.0)])
def test_a_short_notice_leaves_the_response_of_a_usual_day(notice, share):
    """A quarter of the full notice: a quarter of the response follows the event's price, the rest the period's."""
    plan = plans(scenario_with(f"{TOD}, {CRITICAL}", NOTICE=notice))[0]
    response = object.__new__(Response)  # only what the notice needs: a population takes seconds to build
    response.parameters = {}
    response.plan, response.full_notice_h = plan, 12.0
    zones = plan.zones
    after = np.arange(3.0 * zones.n_zones).reshape(3, 1, zones.n_zones)
    known = response._known_prices(1, CALLED, after)
    assert sum(part for part, _ in known) == 1.0
    assert known[0][0] == share
    assert (known[0][1] == after).all()
    if share < 1.0:
        event = next(zone for zone in range(zones.n_zones) if zones.under[zone])
        peak = int(zones.zone_of_step[19 * 4])
        assert (known[1][1][:, :, event] == after[:, :, peak]).all()
        assert (np.delete(known[1][1], event, axis=2) == np.delete(after, event, axis=2)).all()
    assert response._known_prices(1, OTHER, after) == [(1.0, after)]
