"""DT meters and what is mapped to them."""

import datetime as dt

import numpy as np
import pytest

from tests.meter_cases import IDS, near_share
from tests.planning_day import planned_state
from tests.unit.test_meter_devices import DATE, PLAN, day_kwh, opened, population
from twin.meters.communication import NO_BREAKDOWN
from twin.meters.failure import begin_failures, cumulative_hazard, draw_frailties, pass_failures
from twin.meters.reads import Validation
from twin.simulation import meter_devices
from twin.simulation.dt_meters import mapped_dts
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.meter_tables import feeder_rows
from twin.simulation.replicate import open_world

DAY, NONE = 9656, np.zeros(0, np.int64)


@pytest.fixture(scope="module")
def world():
    return open_world(PLAN, 0, population(planned_state(1), 8))


def test_a_wrong_mapping_stays_on_its_feeder_and_has_its_share(world):
    devices, people = MeterDevices(world), world.population
    own, mapped = devices.place.dt, mapped_dts(world.seed, people, devices.place.dt, 0.05)
    has_dt = own < people.n_dts
    assert np.array_equal(mapped[~has_dt], own[~has_dt])
    choice = np.zeros(len(own), bool)
    for part in people.feeders:
        assert np.all((mapped[part.rows] >= part.dts.start) & (mapped[part.rows] < part.dts.stop))
        choice[part.rows] = part.dts.stop - part.dts.start > 1
    assert near_share(np.sum(mapped != own), choice.sum(), 0.05)
    assert np.array_equal(mapped_dts(world.seed, people, own, 0.0), own)


def test_a_dt_meter_is_of_its_class_and_as_often_there_as_asked(world):
    devices = opened(world)
    meters, sent = devices.dt_meters, np.full(world.population.n_dts, 500.0)
    assert near_share(meters.there.sum(), len(meters.there), 0.73)
    error = meters.metered_kwh(devices.context(DATE), devices.first_day, sent) / sent - 1
    assert 0.0005 < error.std() < 0.003, "0.5S with some years and warm boxes"
    assert np.all(np.abs(error) < 0.01)


def test_mapped_sums_are_those_of_all_consumers(world):
    devices, used = opened(world), day_kwh(world)
    registers = np.zeros((1, *used.shape))
    everyone = np.arange(len(used))
    day = devices.advance(DATE, [used], registers, everyone)
    mapped, metered = day.arms[0].mapped, day.arms[0].metered_kwh
    assert mapped.metered_kwh.sum() == pytest.approx(metered.sum(), rel=1e-12)
    assert mapped.meters.sum() == len(used)
    assert mapped.read_meters.sum() == np.isfinite(day.devices.arrival_h).sum()
    row = 3
    mine = devices.dt_meters.mapped_dt == row
    assert mapped.metered_kwh[row] == pytest.approx(metered[mine].sum())


def test_a_failed_dt_meter_records_nothing_until_it_is_swapped_and_tables_say_so(world):
    devices = opened(world)
    meters, sent = devices.dt_meters, np.full(world.population.n_dts, 500.0)
    failing = meters.params.failure._replace(random_per_year=np.full(len(devices.types), 20.0))
    meters.params = meters.params._replace(failure=failing)
    first = devices.first_day
    works = np.array([meters.works(first + k, first) for k in range(120)])
    assert meters._swap_day.dtype == np.int32
    wait = failing.repair_median_days[0] * np.exp(failing.repair_log_sd[0] ** 2 / 2) + 0.5
    up = 365.25 / 20.0
    assert abs(works[30:].mean() - up / (up + wait)) < 0.05, "time up over time up and waiting"
    assert works[0].mean() < 0.95, "some are found failed"
    begun = np.diff(works.astype(int), axis=0)
    assert (begun == 1).sum() > 50, "swapped again"
    day = int(np.argmin(works.mean(axis=1)))
    date = DATE + dt.timedelta(days=day)
    mapped = devices.advance(DATE, [day_kwh(world)], np.zeros((1, *day_kwh(world).shape)), NONE).arms[0].mapped
    table = meters.rows(0, np.datetime64(date, "D"), devices.context(date), first, sent, mapped).to_pandas()
    there = np.flatnonzero(meters.there)
    assert np.array_equal(table.sent_metered_kwh.notna(), works[day][there])
    assert not table.read[table.sent_metered_kwh.isna()].any()
    assert table.sent_metered_kwh.min() > 490.0
    assert np.array_equal(meters.works(first + 50, first), works[50]), "a restart passes the days again"


def test_failures_of_dt_meters_follow_their_law(world):
    """A year of many meters that are as old as in a run: hazard of the datasheet, cells by hand."""
    devices = opened(world)
    n, failure = len(IDS), devices.params.failure
    ids, code = -1 - IDS, devices.dt_meters.kind[0]
    kind = np.full(n, code, np.uint8)
    frailty = draw_frailties(3, ids, kind, failure)
    installed, swap = np.full(n, DAY - 730, np.int32), np.full(n, DAY - 730, np.int32)
    failed = np.zeros(n, bool)
    for day in range(DAY, DAY + 60):
        pass_failures(np.uint64(3), ids, kind, frailty, day, 1.5, failure, installed, swap)
        failed |= swap > day
    rise = [cumulative_hazard(age, code, failure) for age in (730 / 365.25, 790 / 365.25)]
    mean = 1.5 * (rise[1] - rise[0])
    shape = 1.0 / failure.frailty_cv[code] ** 2
    want = 1.0 - (1.0 + mean / shape) ** -shape
    assert near_share(failed.sum(), n, want)
    again = np.empty(n, np.int32)
    begin_failures(np.uint64(3), ids, kind, frailty, np.full(n, DAY - 730, np.int32), DAY, failure, again)
    waits = 1.0 + failure.repair_median_days[code] * np.exp(failure.repair_log_sd[code] ** 2 / 2)
    day_chance = cumulative_hazard(731 / 365.25, code, failure) - rise[0]
    assert abs(np.mean(again > DAY) / (day_chance * waits) - 1) < 0.35


def test_a_dt_meter_is_read_but_for_silent_links_and_dead_gateways(world):
    devices = opened(world)
    meters = devices.dt_meters
    days = np.array([meters.read(devices.first_day + 40 * k, NO_BREAKDOWN) for k in range(6)])
    assert days[:, meters.link >= 0.3].mean() > 0.97


def test_a_feeder_s_balance_is_that_of_its_own_meter(world, monkeypatch):
    """Errors of its own (0.5S), and the read registers of its consumers beside them."""
    nothing_wrong = Validation(corrupted_share=0.0, factor=1.0, most_hours=1e9)
    monkeypatch.setattr(meter_devices, "_validation", lambda: nothing_wrong)
    devices, used = opened(world), day_kwh(world)
    day = devices.advance(DATE, [used], np.zeros((1, *used.shape)), np.arange(len(used)))
    sent = np.full(len(world.population.feeders), 9000.0)
    rows = feeder_rows(0, 0, devices, day, sent).to_pandas()
    error = rows.sent_metered_kwh / sent - 1
    assert np.all(np.abs(error.dropna()) < 0.01)
    assert error.nunique() == error.notna().sum() > 5
    for row, part in zip(rows.itertuples(), world.population.feeders, strict=True):
        read = np.isfinite(day.devices.arrival_h[part.rows])
        assert row.meters_read == read.sum()
        assert row.read_kwh == pytest.approx(day.arms[0].metered_kwh[part.rows][read].sum())
