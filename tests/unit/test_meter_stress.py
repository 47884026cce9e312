"""Model M9 by place and time: what multiplies failures, and crews that fall behind."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.planning_day import planned_state
from tests.unit.test_meter_devices import NONE, PLAN, day_kwh, population
from twin.demand.climate import places
from twin.demand.weather import GeneratedWeather
from twin.meters.datasheets import catalogue
from twin.meters.failure import YEAR_DAYS, FailureParams, fails_within, mean_rates, waiting_days
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.meter_stress import Stress, age_ranges
from twin.simulation.replicate import open_world

TYPES = catalogue()
PARAMS = TYPES.params(FailureParams, "failure")
BAD = [code for code, name in enumerate(TYPES.names) if name.startswith("bad_batch")]
MAY, JULY, JANUARY = dt.date(2026, 5, 10), dt.date(2026, 7, 10), dt.date(2026, 1, 10)


@pytest.fixture(scope="module")
def world():
    return open_world(PLAN, 0, population(planned_state(1), 8))


@pytest.fixture(scope="module")
def stress():
    """Of enough feeders for towns to be among them."""
    return Stress(population(planned_state(1), 60), TYPES, PARAMS)


class Storms:
    """Weather of which only thunderstorms are asked."""

    def __init__(self, districts):
        self.start = np.full(len(places()), np.nan)
        self.start[list(districts)] = 17.0

    def storms(self, date):
        return self.start


CALM = Storms([])


def test_crews_fall_behind_by_what_fails_beyond_their_number():
    """Two a day for crews of one: a day behind for every day; then none fails, and a day is made up for every day."""
    wait = waiting_days(np.array([36.5, 3.65]), np.array([36.5, 36.5]), np.array([2.0] * 10))
    assert wait.tolist() == pytest.approx([10.0, 0.0])
    later = waiting_days(np.array([36.5]), np.array([36.5]), np.array([2.0] * 10 + [0.0] * 4))
    assert later[0] == pytest.approx(6.0)
    over = waiting_days(np.array([36.5]), np.array([36.5]), np.array([2.0] * 10 + [0.0] * 30 + [1.5] * 4))
    assert over[0] == pytest.approx(2.0), "nothing is done ahead"
    assert waiting_days(np.array([1.0]), np.array([2.0]), np.zeros(0)).tolist() == [0.0]


def test_crews_behind_are_the_fluid_queue_day_by_day():
    days = np.random.default_rng(3).uniform(0.0, 2.2, 800)
    want = 0.0
    for share in days:
        want = max(want + share - 1.0, 0.0)
    assert waiting_days(np.array([4.0]), np.array([4.0]), days)[0] == pytest.approx(want)


def test_mean_rates_are_the_hazard_s():
    low, high = age_ranges(TYPES)
    rates = mean_rates(low, high, PARAMS)
    for code in (0, TYPES.names.index("electromechanical.single_phase")):
        ages = low[code] + (high[code] - low[code]) * (np.arange(2000) + 0.5) / 2000
        chance = np.mean([fails_within(a, a + 1e-4, 1.0, 1.0, code, PARAMS) for a in ages]) / 1e-4
        assert rates[code] == pytest.approx(chance, rel=1e-3)


def test_real_makers_keep_up_all_year_and_a_bad_batch_falls_behind_in_summer(stress):
    others = np.setdiff1d(np.arange(len(TYPES)), BAD)
    by_month = np.array([stress.crew_wait_days(dt.date(2026, month, 28)) for month in range(1, 13)])
    assert not by_month[:, others].any()
    assert by_month[5, BAD].min() > 7.0, "the end of June"
    assert not by_month[0, BAD].any(), "made up for by January"
    assert stress.crew_wait_days(dt.date(2028, 6, 28))[BAD] == pytest.approx(by_month[5, BAD], abs=0.1), "every year"


def test_villages_floods_and_storms_wear_on_the_meters_that_are_there(stress):
    district, is_flooded = stress.district, stress.floods
    assert 0 < np.sum(stress.place > 1.0) < len(stress.place)
    assert 1.2 <= stress.place.max() / stress.place.min() <= 1.5
    calm, flood = stress.by_feeder(CALM, MAY), stress.by_feeder(CALM, JULY)
    assert np.array_equal(calm[:-1], stress.by_month[4] * stress.place)
    assert calm[-1] == stress.by_month[4], "meters without a feeder are of no place"
    assert np.allclose(flood[:-1] / stress.place / stress.by_month[6], np.where(is_flooded, 2.0, 1.0))
    hit = int(district[0])
    storm = stress.by_feeder(Storms([hit]), MAY)
    assert np.array_equal(storm[:-1] / calm[:-1], np.where(district == hit, 2.0, 1.0))


def test_a_flooded_district_s_meters_fail_twice_as_often(world, monkeypatch):
    """In a run: the same draws, so that whoever fails in calm fails in the flood, and as many more as the law says."""
    devices = MeterDevices(world)
    devices.begin(JULY, 0.0 * day_kwh(world))
    everywhere = np.ones(len(devices.stress.district), bool)
    failed = {}
    for name, flooded in (("calm", ~everywhere), ("flood", everywhere)):
        monkeypatch.setattr(devices.stress, "floods", flooded)
        before = devices.state.swap_day.copy()
        today = devices.context(JULY)
        day = devices.advance(JULY, [day_kwh(world)], np.zeros((1, *day_kwh(world).shape)), NONE)
        failed[name] = day.devices.failed
        age = (today.day - devices.state.installed_day) / YEAR_DAYS
        works, stress = before <= today.day, today.stress[devices.place.feeder]
        chance = np.array([
            fails_within(a, a + 1 / YEAR_DAYS, z, s, k, devices.params.failure)
            for a, z, s, k in zip(age[works], devices.fleet.frailty[works], stress[works], devices.fleet.kind[works],
                                  strict=True)
        ])  # fmt: skip
        assert abs(failed[name].sum() - chance.sum()) < 4.9 * np.sqrt(chance.sum()) + 1
        devices.state.swap_day[:] = before
    assert np.all(failed["flood"][failed["calm"]])


def test_who_fails_while_crews_are_behind_waits_for_them_too(world, monkeypatch):
    """With a wait of 40 days on everybody, the same meters fail and each waits 40 days longer."""
    waits = {}
    for late in (0.0, 40.0):
        devices = MeterDevices(world)
        devices.begin(MAY, 0.0 * day_kwh(world))
        monkeypatch.setattr(devices.stress, "crew_wait_days", lambda date, late=late: np.full(len(TYPES), late))
        high = devices.params.failure._replace(random_per_year=np.full(len(TYPES), 10.0))
        devices.params = devices.params._replace(failure=high)
        devices.state.swap_day[:] = devices.state.installed_day
        day = devices.advance(MAY, [day_kwh(world)], np.zeros((1, *day_kwh(world).shape)), NONE)
        waits[late] = np.where(day.devices.failed, devices.state.swap_day, 0)
    assert (waits[0.0] > 0).sum() > 100
    assert np.array_equal(waits[40.0] > 0, waits[0.0] > 0)
    hit = waits[0.0] > 0
    assert np.array_equal(waits[40.0][hit], waits[0.0][hit] + 40)


def test_storms_are_those_of_the_weather(stress):
    weather = GeneratedWeather(7)
    days = [dt.date(2026, 5, 1) + dt.timedelta(days=k) for k in range(31)]
    ratio = np.array([stress.by_feeder(weather, day)[:-1] / stress.place / stress.by_month[4] for day in days])
    assert set(np.unique(np.round(ratio, 9))) == {1.0, 2.0}
    assert 0.02 < np.mean(ratio > 1.5) < 0.6
