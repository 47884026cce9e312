"""Displays of a real population: opening readings, a month's end, roll-over, swaps, checkpoints, memory."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow.compute as pc
import pytest

from tests.planning_day import planned_state
from tests.runs import TINY
from tests.unit.test_meter_devices import NONE, day_kwh, population
from twin.demand.weather import day_number
from twin.meters.register import gained_wh, opening_wh, register_wh, rollover_wh
from twin.results.storage import Storage
from twin.scenario import load_scenario
from twin.simulation.billing_month import register_rows
from twin.simulation.block import BlockSolver
from twin.simulation.checkpoint import read_meters, write_meters
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.meter_displays import TAKEN_AS, open_displays
from twin.simulation.meter_state import MeterState
from twin.simulation.plan import plans
from twin.simulation.reading_tables import rows_of_ids
from twin.simulation.replicate import ReplicateWorld, open_world

FIRST, JUNE, JULY = dt.date(2026, 6, 28), dt.date(2026, 6, 30), dt.date(2026, 7, 2)
PLAN = plans(load_scenario(TINY, ("meters.devices=true", f"time.start={FIRST}", "time.days=5")))[0]
ARMS = len(PLAN.arms)
READ, ROLLED_OVER, FELL, SWAPPED, ESTIMATED = range(len(TAKEN_AS))


@pytest.fixture(scope="module")
def people():
    return population(planned_state(1), 8)


@pytest.fixture
def world(people) -> ReplicateWorld:
    return open_world(PLAN, 0, people)


class Life:
    """Meters that live through days without networks; everybody uses the same every day."""

    def __init__(self, world: ReplicateWorld, digits: int | None = None, use: float = 1.0) -> None:
        self.world, self.used = world, day_kwh(world, use)
        self.devices = MeterDevices(world)
        self.meters = MeterState.begin(PLAN, 0.0 * self.used + 27.0 * day_kwh(world), self.devices)
        solver = BlockSolver(world.population, PLAN.steps)
        self.displays = self.meters.displays = open_displays(world, solver, self.meters, {})
        if digits is not None:
            self.displays.digits[:] = digits
            self.displays.rollover_wh = rollover_wh(self.displays.digits)
        self.all = np.arange(len(self.used))

    def live(self, first: dt.date, last: dt.date) -> None:
        for day in range((last - first).days + 1):
            date = first + dt.timedelta(days=day)
            assert self.meters.recorded_kwh is not None
            self.displays.swap(day_number(date), self.meters.recorded_kwh)
            self.devices.advance(date, [self.used] * ARMS, self.meters.recorded_kwh, NONE)
        self.meters.close_window(last)

    def window(self, date: dt.date, arm: int = 0):
        found = self.meters.readings(self.world, arm, date, slice(None))
        assert found is not None
        return found

    def table(self, date: dt.date, arm: int = 0):
        return register_rows(self.world, self.meters, arm, date, slice(0, len(self.all))).to_pandas()


def test_opening_readings_are_age_times_the_expected_day(world):
    life = Life(world)
    solver = BlockSolver(world.population, PLAN.steps)
    daily = world.expected_day_kwh(solver, FIRST)
    age = day_number(FIRST) - life.devices.state.installed_day.astype(np.int64)
    digits = np.array([int(sheet.model.register_.digits.value) for sheet in life.devices.types.sheets])
    rollover = 1000 * 10 ** digits[life.devices.fleet.kind]
    expected = opening_wh(daily, age, life.devices.resolution_wh, rollover)
    for arm in range(ARMS):
        window = life.window(FIRST, arm)
        assert np.array_equal(window.start_wh, expected)
        assert np.array_equal(
            gained_wh(window.month_wh, window.start_wh, rollover), life.meters.start_wh(world, slice(None))
        )
    # the oldest counters have rolled over by then
    old = np.array([sheet.maker == "electromechanical" for sheet in life.devices.types.sheets])[life.devices.fleet.kind]
    counted = (daily * age[:, None]).sum(axis=1)
    assert np.any(counted[old] > 1e5)
    shown = life.meters.display_kwh(0, life.all)
    assert shown[old].max() < 1e5
    assert np.all(np.abs(np.mod(counted, rollover / 1000) - shown)[shown > 1] < 0.1 * daily.shape[1] + 1e-6)


def test_a_month_s_end_is_the_next_one_s_start(world):
    life = Life(world)
    life.live(FIRST, JUNE)
    june = [life.window(JUNE, arm) for arm in range(ARMS)]
    shown = life.meters.display_kwh(1, life.all)
    life.meters.next_month(JUNE)
    assert np.array_equal(life.meters.display_kwh(1, life.all), shown)
    life.live(dt.date(2026, 7, 1), JULY)
    for arm in range(ARMS):
        july = life.window(JULY, arm)
        assert np.array_equal(july.start_wh, june[arm].end_wh)
        assert np.array_equal(july.month_wh, july.start_wh)
        turns = (july.start_wh + july.gained_wh - july.end_wh)[~july.swapped]
        assert set(np.unique(turns // life.displays.rollover_wh[~july.swapped, None])) <= {0, 1}
        assert np.array_equal(turns > 0, (july.end_wh < july.start_wh)[~july.swapped]), "it falls where it rolls over"
        assert np.mean(july.end_wh > july.start_wh) > 0.9


@pytest.mark.parametrize("digits", [None, 2])
def test_energy_from_displays_is_that_of_the_bill(world, digits):
    """With two digits many meters roll over within two days, and no bill knows of it."""
    life = Life(world, digits)
    life.live(FIRST, JUNE)
    life.meters.next_month(JUNE)
    life.live(dt.date(2026, 7, 1), JULY)
    window, table, small = life.window(JULY), life.table(JULY), life.used.sum(axis=1) * 3 < 100
    recorded = register_wh(life.meters.recorded_kwh[0], life.devices.resolution_wh)
    assert 0.5 < small.mean() < 1
    assert np.array_equal(window.gained_wh[small], recorded[small])
    billed = (life.meters.end_wh(world, 0, slice(None)) - life.meters.start_wh(world, slice(None))).ravel()
    energy = table.billed_wh.where(table.billed_wh.notna(), window.gained_wh.ravel())
    assert np.array_equal(energy, billed), "above 100 kWh the table says what was billed"
    as_read = table.taken_as.isin(["read", "rolled_over"]).to_numpy().reshape(recorded.shape).all(axis=1) & small
    assert as_read.mean() > 0.4
    rolled = (table.taken_as == "rolled_over").to_numpy().reshape(recorded.shape)
    by_zone, by_counter = as_read & life.displays.has_zones, as_read & ~life.displays.has_zones
    assert np.array_equal(rolled[by_zone], (window.end_wh < window.start_wh)[by_zone])
    start, end = (np.mod(part.sum(axis=1), life.displays.rollover_wh) for part in (window.start_wh, window.end_wh))
    assert np.array_equal(rolled[by_counter], np.repeat((end < start)[by_counter, None], rolled.shape[1], axis=1))
    if digits == 2:
        assert 0.01 < rolled[by_zone].mean() < 0.9
        assert 0.01 < rolled[by_counter].mean() < 0.9


def test_a_fall_that_no_load_explains_is_flagged_and_billed_as_shown(world):
    """Forty hours of the sanctioned load a day: a counter that falls did not simply roll over, says the rule."""
    life = Life(world, digits=4, use=20.0)
    life.live(FIRST, JUNE)
    window, most = life.window(JUNE), 3 * 24 * 1000 * life.devices.load_kw()
    fell, rolled = window.taken_as == FELL, window.taken_as == ROLLED_OVER
    one = ~life.displays.has_zones
    assert fell[one].any()
    assert np.all(window.gained_wh.sum(axis=1)[fell[:, 0] & one] > most[fell[:, 0] & one])
    assert np.all(window.gained_wh.sum(axis=1)[rolled[:, 0] & one] <= most[rolled[:, 0] & one])
    zoned = ~one[:, None] & np.ones_like(fell)
    assert not np.any(fell & zoned), "no single zone holds as many hours"
    assert np.any(rolled & zoned)
    shown = gained_wh(window.start_wh, window.end_wh, life.displays.rollover_wh)
    assert np.array_equal(window.gained_wh[fell], shown[fell])
    modest = Life(world, digits=4)
    modest.live(FIRST, JUNE)
    taken = modest.window(JUNE).taken_as
    assert np.any(taken == ROLLED_OVER)
    assert not np.any(taken == FELL)


def test_a_new_meter_starts_at_zero_and_is_billed_with_the_old_one(world):
    """Some are swapped once, some of them twice in a month, one of them in the next month too."""
    life = Life(world)
    once, twice = np.arange(10, 40), np.arange(20, 25)
    devices, before = life.devices, life.window(FIRST)
    works = devices.state.swap_day[once] < day_number(FIRST)
    devices.state.swap_day[once] = day_number(FIRST) + 1
    life.live(FIRST, FIRST + dt.timedelta(days=1))
    first_day = life.window(FIRST)
    devices.state.swap_day[twice] = day_number(JUNE)
    life.displays.swap(day_number(JUNE), life.meters.recorded_kwh)
    fresh = life.displays.now_wh(
        0, twice, register_wh(life.meters.recorded_kwh[0, twice], devices.resolution_wh[twice])
    )
    assert not fresh.any()
    devices.advance(JUNE, [life.used] * ARMS, life.meters.recorded_kwh, NONE)
    life.meters.close_window(JUNE)
    window = life.window(JUNE)
    assert set(once) <= set(np.flatnonzero(window.swapped))
    assert np.all(window.taken_as[once] == SWAPPED)
    recorded = register_wh(life.meters.recorded_kwh[0], devices.resolution_wh)
    start = life.meters.start_wh(world, slice(None))
    assert np.array_equal(window.gained_wh, recorded - start)
    others = np.setdiff1d(once, twice)
    two_days = 2.5 * life.used[others] * 1000 + devices.resolution_wh[others, None]
    assert np.all(window.end_wh[others] <= two_days)
    assert np.all(window.removed_wh[once][works] >= before.start_wh[once][works])
    assert np.array_equal(window.start_wh, first_day.start_wh), "what was there at the start does not change"
    table = life.table(JUNE)
    mine = table.consumer_id.isin(devices.fleet.ids[once])
    assert table.removed_wh[mine].notna().all()
    assert table.removed_wh[~mine & (table.taken_as == "read")].isna().all()
    life.meters.next_month(JUNE)
    assert np.array_equal(life.window(dt.date(2026, 7, 1)).start_wh, window.end_wh)
    assert not life.window(dt.date(2026, 7, 1)).swapped.any()


@pytest.mark.parametrize("last", [dt.date(2026, 6, 29), JULY])
def test_a_checkpoint_of_either_month_carries_what_is_shown(world, people, tmp_path, last):
    """Through the real files, read by a shard that owns a part."""
    life = Life(world)
    life.devices.state.swap_day[5:9] = day_number(FIRST) + 1
    if last > JUNE:
        life.live(FIRST, JUNE)
        life.meters.next_month(JUNE)
        life.devices.state.swap_day[7:12] = day_number(last)
        life.live(dt.date(2026, 7, 1), last)
    else:
        life.live(FIRST, last)
    ids = people.consumers.consumer_id
    storage = Storage(str(tmp_path))
    record = write_meters(storage, "checkpoints/one", ids, life.meters.arrays())
    part = open_world(PLAN, 0, population(planned_state(1), 3, skip=2))
    own = part.population.consumers.consumer_id
    rows = rows_of_ids(ids, own)
    arrays = read_meters(storage, [record], own)
    again = MeterState.restore(PLAN, arrays, MeterDevices(part))
    again.displays = open_displays(part, BlockSolver(part.population, PLAN.steps), again, arrays)
    for arm in range(ARMS):
        mine, whole = again.readings(part, arm, last, slice(None)), life.window(last, arm)
        assert mine is not None
        assert whole.swapped.any()
        for name in mine._fields:
            assert np.array_equal(getattr(mine, name), getattr(whole, name)[rows]), name


def test_displays_take_no_memory_beyond_one_arm_s(world):
    """The first month holds nothing, later ones 8 bytes a zone and arm, and the window's start none any more."""
    life = Life(world)
    n_bytes = 8 * life.used.size
    assert life.displays.nbytes == 0
    life.live(FIRST, JUNE)
    assert life.displays.nbytes < 0.01 * n_bytes
    life.meters.next_month(JUNE)
    assert life.displays.nbytes == ARMS * n_bytes
    assert life.meters.recorded_start_kwh is not None
    assert set(life.meters.recorded_start_kwh.strides) == {0}, "zeros that take no memory"
    assert MeterState.begin(PLAN, 0.0 * life.used).displays is None


def test_without_devices_registers_are_the_month_to_date(people):
    plan = plans(load_scenario(TINY, (f"time.start={FIRST}", "time.days=3")))[0]
    world = open_world(plan, 0, people)
    used = day_kwh(world)
    meters = MeterState.begin(plan, 27.0 * used)
    meters.kwh += 3.0 * used
    table = register_rows(world, meters, 1, JUNE, slice(0, len(used)))
    assert pc.all(pc.is_null(table["digits"])).as_py()
    assert pc.all(pc.is_null(table["billed_wh"])).as_py()
    assert set(table["taken_as"].to_pylist()) == {"read"}
    assert not any(table["month_wh"].to_pylist())
    assert np.array_equal(table["start_wh"], meters.start_wh(world, slice(None)).ravel())
    assert np.array_equal(table["end_wh"], meters.end_wh(world, 1, slice(None)).ravel())
