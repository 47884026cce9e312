"""A usual year's time without supply, from rates and durations alone, against the process that draws them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.meter_cases import SIGMAS
from tests.unit.test_meter_outages import DATE, interrupted, made, pass_day
from tests.unit.test_outages import SEED, places
from twin.meters.failure import YEAR_DAYS
from twin.outages.expected import StormSeason, mean_lognormal_h, mean_planned_h, off_share
from twin.outages.params import CAUSES, RURAL, URBAN, outage_params
from twin.outages.process import Sky, days_back, interruptions
from twin.outages.shares import merged
from twin.units import HOURS_PER_YEAR

CALM = StormSeason(np.zeros(12), 15.0, 20.0)
EVERY_DAY = StormSeason(np.ones(12), 15.0, 20.0)


def test_means_of_cut_times_are_those_of_draws():
    rng = np.random.default_rng(1)
    times = np.minimum(0.583 * np.exp(1.1 * rng.standard_normal(400_000)), 2.0)
    assert abs(times.mean() - mean_lognormal_h(0.583, 1.1, 2.0)) < SIGMAS * times.std() / np.sqrt(len(times))
    params = outage_params()
    start, long_h = 9.0 + 7.0 * rng.random(400_000), 1.0 + 3.0 * rng.random(400_000)
    works = np.minimum(long_h, 18.0 - start)
    assert abs(works.mean() - mean_planned_h(params)) < SIGMAS * works.std() / np.sqrt(len(works))


def test_one_cause_by_hand():
    """Relief: 0.43 a day times the season's mean of 1.033, 2.25 h each."""
    params = outage_params(causes=("relief",))
    share = off_share("feeder", places(RURAL, relieved=True, n=1), params, CALM)[0]
    assert share == pytest.approx(0.43 * params.season.mean() * 2.25 / 24)
    assert off_share("feeder", places(RURAL, n=1), params, CALM)[0] == 0.0
    nothing = outage_params(causes=())
    assert not any(
        off_share(level, places(URBAN, n=3), nothing, CALM).any() for level in ("feeder", "substation", "dt")
    )


@pytest.mark.parametrize(("level", "storm_h"), [("feeder", None), ("feeder", 17.0), ("substation", 17.0), ("dt", None)])
def test_the_process_takes_as_long_as_expected(level, storm_h):
    """Every second month, days apart, within the error of the mean over places and 3 %: overlaps are not at random."""
    params, n, days = outage_params(), 1200, 24
    area, relieved = RURAL, True
    where = places(area, relieved=relieved, n=n)
    lost = np.zeros((days, n))
    for turn in range(days):
        day, month = 9000 + 15 * turn, turn // 2
        back = days_back(level, params)
        storm = np.full((back + 1, 1), np.nan if storm_h is None else storm_h)
        found = interruptions(level, SEED, where, Sky(day, np.full(back + 1, month), storm), params)
        times = merged(n, found.place, found.from_h, found.until_h)
        inside = np.maximum(np.minimum(times.until_h, 24.0) - np.maximum(times.from_h, 0.0), 0.0)
        lost[turn] = np.add.reduceat(np.append(inside, 0.0), times.ptr[:-1]) * (np.diff(times.ptr) > 0)
    storms = CALM if storm_h is None else StormSeason(np.ones(12), storm_h - 1e-3, storm_h + 1e-3)
    want = 24.0 * off_share(level, where, params, storms)
    gap = lost.mean(axis=0) - want
    assert abs(gap.mean()) < SIGMAS * gap.std() / np.sqrt(n) + 0.03 * want.mean()
    assert want.mean() > 0.05


def test_a_bad_feeder_is_expected_to_be_dark_longer_and_storms_add():
    params = outage_params(causes=("trip",))
    bad = places(RURAL, n=2)._replace(multiple=np.array([0.5, 3.0]))
    calm, stormy = (off_share("feeder", bad, params, season) for season in (CALM, EVERY_DAY))
    assert calm[1] > 4 * calm[0]
    assert np.all(stormy > 1.3 * calm)


def test_every_dt_has_the_hours_of_its_feeder_its_substation_and_its_own():
    world, devices = made(2, 0, "outages={causes: [planned], rate: 3}")
    usual = world.outages.usual_off_h()
    assert len(usual) == devices.population.n_dts
    assert 120 < usual.min() < usual.max() < 2500, "the past is the pack's, whatever the scenario lets happen"
    feeder = world.outages._dt_feeder
    for position in range(len(devices.population.feeders)):
        assert len(np.unique(usual[feeder == position])) == 1
    assert len(np.unique(usual)) == len(devices.population.feeders) > 1
    assert devices.outages.usual_h[-1] == 0.0
    assert len(CAUSES) == 6
    assert usual.max() < HOURS_PER_YEAR


def test_batteries_of_old_meters_remember_the_years_before_the_run(monkeypatch):
    """Five years of running the clock empty a battery: half of each year without supply does so in ten."""
    world, devices = made(1)
    clock, n = devices.params.clock, len(devices.types)
    clock = clock._replace(
        battery_years=np.full(n, 1e9), sync_threshold_s=np.full(n, 1e9), battery_off_years=np.full(n, 5.0)
    )
    monkeypatch.setattr(devices, "params", devices.params._replace(clock=clock))
    devices.outages.usual_h[:] = 24.0 * YEAR_DAYS / 2
    first = devices.context(DATE).day
    devices.state.installed_day[:] = first - np.where(np.arange(len(devices.fleet.ids)) % 2, 9.9, 10.1) * YEAR_DAYS
    new = np.arange(len(devices.fleet.ids)) % 7 == 0
    devices.state.installed_day[new] = first
    before = devices.state.clock_s.copy()
    interrupted(devices, monkeypatch, [0], [20.0], [26.0])
    pass_day(world, devices)
    works = (devices.fleet.hops > 0) & (devices.state.swap_day <= first) & (devices.place.dt == 0)
    stood = devices.state.clock_s - before < -3600.0
    old = (np.arange(len(stood)) % 2 == 0) & ~new
    assert (works & old).sum() > 5
    assert stood[works & old].all()
    assert not stood[works & ~old].any()
