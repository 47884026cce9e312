"""Validation and estimation: the stated rule by hand, and the books of meters whose reads do not come in."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.planning_day import planned_state
from tests.runs import TINY
from tests.unit.test_meter_devices import day_kwh, population, without_faults
from twin.meters.head_end import (
    CORRECTED,
    DEFECTIVE,
    DOOR_LOCKED,
    MISREAD,
    MISSING,
    NEIGHBOURS,
    NONE,
    OWN_AVERAGE,
    estimate_wh,
    misread_wh,
    neighbours_daily_wh,
    settle_wh,
)
from twin.meters.register import register_wh
from twin.scenario import load_scenario
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.meter_estimates import Window
from twin.simulation.meter_state import MeterState
from twin.simulation.plan import plans
from twin.simulation.replicate import ReplicateWorld, open_world

FIRST = dt.date(2026, 6, 28)
OVERRIDES = ("meters.devices=true", "time.start=2026-06-28", "time.days=5")
PLAN = plans(load_scenario(TINY, OVERRIDES))[0]
ARMS = len(PLAN.arms)


@pytest.fixture(scope="module")
def world() -> ReplicateWorld:
    return open_world(PLAN, 0, population(planned_state(1), 4))


def test_the_rule_by_hand():
    start, read = np.array([[1000, 0], [0, 0]]), np.array([[3000, 500], [0, 0]])
    estimate = estimate_wh(
        start, read, np.array([4, 0]), np.array([2, 6]), np.array([2.0, 3.0]), np.array([[9.0, 9.0], [70.0, 10.0]]),
        np.array([10, 10]),
    )  # fmt: skip
    # 2,000 Wh in 4 days are 500 a day, two days more; 125 a day; no read: 3 kW x 70 Wh x 6 days, and x 10
    assert estimate.tolist() == [[4000, 750], [1260, 180]]


def test_neighbours_are_those_of_the_group_that_were_read():
    # feeder 0, category 0: three meters, of which one was not read; feeder 1, category 0: one with a contract
    feeder, category = np.array([0, 0, 1, 0], np.int32), np.zeros(4, np.uint8)
    start = np.array([[0.009, 0.0], [1.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    end = start + [[0.1, 0.01], [0.3, 0.03], [0.8, 0.0], [9.0, 9.0]]
    load, contract = np.array([1.0, 3.0, 0.5, 5.0], np.float32), np.array([0.0, 0.0, 2.0, 0.0], np.float32)
    daily = neighbours_daily_wh(
        np.array([True, True, True, False]), feeder, category, 2, start, end, np.array([10.0, 1.0]),
        np.array([0, 1, 1, 1], np.uint8), load, contract, 10, np.zeros((4, 2)),
    )  # fmt: skip
    # what displays gained: 100 and 10 Wh in whole tens, 300 and 30, 800: by day and kW
    assert np.allclose(daily, [[10, 1], [0, 0], [40, 0], [0, 0]])


def test_what_was_billed_of_a_meter_that_works_comes_to_its_register_in_the_end():
    rng = np.random.default_rng(1)
    carried, billed_all, shown_all = np.zeros((50, 3), np.int64), 0, 0
    for month in range(7):
        shown = rng.integers(0, 1000, (50, 3))
        taken = shown if month == 6 else rng.integers(0, 1500, (50, 3))
        billed, carried = settle_wh(taken, shown, carried)
        assert billed.min() >= 0
        billed_all, shown_all = billed_all + billed, shown_all + shown
        assert np.array_equal(billed_all - carried, shown_all), "the books never lose a Wh"


def silenced(world: ReplicateWorld, rows: np.ndarray) -> MeterDevices:
    """Meters without errors of which some never get through."""
    devices = without_faults(world)
    link = devices.fleet.link.copy()
    link[rows] = 0.0
    devices.fleet = devices.fleet._replace(link=link)
    return devices


def smart_rows(world: ReplicateWorld) -> np.ndarray:
    devices = MeterDevices(world)
    return np.flatnonzero((devices.fleet.hops > 0) & (devices.fleet.link > 0.9))


def run_days(meters: MeterState, world: ReplicateWorld, first: dt.date, days: int) -> np.ndarray:
    assert meters.devices is not None
    assert meters.recorded_kwh is not None
    used = day_kwh(world)
    for day in range(days):
        date = first + dt.timedelta(days=day)
        meters.devices.advance(date, [used] * ARMS, meters.recorded_kwh, np.zeros(0, np.int64))
        meters.kwh += used
    return used


def test_a_silent_meter_is_estimated_from_its_neighbours_and_settled_when_it_is_read(world):
    rows = smart_rows(world)[:20]
    devices = silenced(world, rows)
    meters = MeterState.begin(PLAN, 0.0 * day_kwh(world), devices)
    whole = slice(0, len(devices.fleet.ids))
    used = run_days(meters, world, FIRST, 3)
    meters.close_window(dt.date(2026, 6, 30))
    closed = devices.estimates.closed
    assert closed is not None
    at = np.searchsorted(closed.rows, rows)
    assert np.array_equal(closed.rows[at], rows)
    works = devices.state.swap_day[rows] <= devices.context(dt.date(2026, 6, 30)).day
    assert works.sum() > 10
    assert set(closed.flag[at[works]]) == {MISSING}
    assert set(closed.rule[at]) == {NEIGHBOURS}
    assert np.all(closed.days_missing[at] == 3)
    # everybody uses 2 kWh a day and kW of load here, so that neighbours tell the truth within a digit a day
    assert np.allclose(closed.billed_wh[0, at] / 1000, 3 * used[rows], atol=0.03)
    billed = meters.end_wh(world, 0, whole)
    shown = register_wh(meters.recorded_kwh[0], devices.resolution_wh)
    others = np.setdiff1d(np.arange(len(used)), closed.rows)
    assert np.array_equal(billed[others], shown[others])
    june, register = billed[rows].sum(), shown[rows].sum()
    meters.next_month(dt.date(2026, 6, 30))
    devices.fleet = devices.fleet._replace(link=np.ones_like(devices.fleet.link))
    run_days(meters, world, dt.date(2026, 7, 1), 2)
    meters.close_window(dt.date(2026, 7, 2))
    closed = devices.estimates.closed
    at = np.searchsorted(closed.rows, rows)
    settled = (closed.rows[np.minimum(at, len(closed.rows) - 1)] == rows) & works
    assert set(closed.flag[at[settled]]) == {CORRECTED}
    assert set(closed.rule[at[settled]]) == {NONE}
    july = meters.end_wh(world, 0, whole)[rows][works].sum()
    total = register + register_wh(meters.recorded_kwh[0], devices.resolution_wh)[rows].sum()
    defective = (billed[rows][~works].sum(), shown[rows][~works].sum())
    assert june - defective[0] + july == pytest.approx(total - defective[1], abs=200 * (~works).sum() + 1e-9)


def test_a_meter_that_falls_silent_goes_on_as_it_did(world):
    rows = smart_rows(world)[:20]
    devices = without_faults(world)
    devices.fleet = devices.fleet._replace(
        link=np.ones_like(devices.fleet.link), hops=np.minimum(devices.fleet.hops, 1)
    )
    meters = MeterState.begin(PLAN, 0.0 * day_kwh(world), devices)
    used = run_days(meters, world, dt.date(2026, 6, 26), 3)
    unread = np.isin(rows, devices.estimates.unread.rows)
    link = devices.fleet.link.copy()
    link[rows] = 0.0
    devices.fleet = devices.fleet._replace(link=link)
    run_days(meters, world, dt.date(2026, 6, 29), 2)
    window = devices.estimates
    last = devices.context(dt.date(2026, 6, 30)).day
    window.close(Window(last - 4, last), 6, meters.recorded_kwh, meters.recorded_start_kwh)
    at = np.searchsorted(window.closed.rows, rows[~unread])
    assert np.array_equal(window.closed.rows[at], rows[~unread])
    assert set(window.closed.rule[at]) == {OWN_AVERAGE}
    assert set(window.closed.days_missing[at]) == {2}
    assert np.allclose(window.closed.billed_wh[0, at] / 1000, 5 * used[rows[~unread]], atol=0.05)


def test_failed_and_unreachable_legacy_meters_are_estimated(world):
    devices = MeterDevices(world)
    meters = MeterState.begin(PLAN, 0.0 * day_kwh(world), devices)
    run_days(meters, world, FIRST, 3)
    meters.close_window(dt.date(2026, 6, 30))
    closed, legacy = devices.estimates.closed, devices.fleet.hops == 0
    flagged = {flag: closed.rows[closed.flag == flag] for flag in (DEFECTIVE, DOOR_LOCKED)}
    works = devices.state.swap_day <= devices.context(dt.date(2026, 6, 30)).day
    assert np.array_equal(flagged[DEFECTIVE], np.flatnonzero(~works)), "and nobody else"
    assert len(flagged[DEFECTIVE]) > 5
    assert np.all(legacy[flagged[DOOR_LOCKED]])
    assert 0.03 < len(flagged[DOOR_LOCKED]) / legacy.sum() < 0.07
    assert not closed.carry_wh[:, closed.flag == DEFECTIVE].any(), "what no register shows is never given back"
    assert np.median(closed.billed_wh[0, closed.flag == DEFECTIVE].sum(axis=1)) > 0


def test_a_wrong_digit_by_hand():
    """40 kWh in a window, 30 and 10 by zone: 1 kWh too much, 1 and 90 too little; and a window where none is used."""
    start = np.array([[1000, 0], [1000, 0], [1000, 0], [5000, 0]])
    shown = np.array([[31_000, 10_000], [31_000, 10_000], [31_000, 10_000], [5000, 0]])
    drawn = np.array([0.001, 0.5, 0.999, 0.001])
    written = misread_wh(start, shown, drawn, np.full(4, 10))
    assert written.tolist() == [[31_750, 10_250], [30_250, 9_750], [1000, 0], [5500, 500]]


def test_a_misread_legacy_meter_is_billed_wrong_and_settled_by_the_next_read(world):
    devices = MeterDevices(world)
    meters = MeterState.begin(PLAN, 0.0 * day_kwh(world), devices)
    run_days(meters, world, dt.date(2026, 6, 16), 15)
    meters.close_window(dt.date(2026, 6, 30))
    june, legacy = devices.estimates.closed, devices.fleet.hops == 0
    wrong = june.flag == MISREAD
    rows, share = june.rows[wrong], 0.01
    assert np.all(legacy[rows])
    assert abs(len(rows) - share * legacy.sum()) < 5 * np.sqrt(share * legacy.sum())
    assert set(june.rule[wrong]) == {NONE}
    assert not june.days_missing[wrong].any()
    error = (june.billed_wh - june.shown_wh)[0, wrong].sum(axis=1)
    assert 0 < np.abs(error).max() <= 90_500
    assert (error > 0).any()
    assert (error < 0).any()
    meters.next_month(dt.date(2026, 6, 30))
    run_days(meters, world, dt.date(2026, 7, 1), 31)
    meters.close_window(dt.date(2026, 7, 31))
    july = devices.estimates.closed
    at = np.searchsorted(july.rows, rows)
    assert np.array_equal(july.rows[at], rows)
    settled = (july.flag[at] == CORRECTED) & ~july.carry_wh[0, at].any(axis=1)
    both = june.billed_wh[0, wrong] + july.billed_wh[0, at]
    assert settled.sum() > 0.5 * len(rows)
    np.testing.assert_array_equal(both[settled], (june.shown_wh[0, wrong] + july.shown_wh[0, at])[settled])


def test_estimates_do_not_hang_on_the_cut_into_shards(world):
    whole, part_world = MeterDevices(world), open_world(PLAN, 0, population(planned_state(1), 2, skip=1))
    part = MeterDevices(part_world)
    found = []
    for devices, here in ((whole, world), (part, part_world)):
        meters = MeterState.begin(PLAN, 0.0 * day_kwh(here), devices)
        run_days(meters, here, FIRST, 3)
        meters.close_window(dt.date(2026, 6, 30))
        found.append(devices.estimates.table(0, 0, (np.datetime64(FIRST, "D"), np.datetime64(FIRST, "D"))).to_pandas())
    both = found[0][found[0].consumer_id.isin(part.fleet.ids)].sort_values("consumer_id").reset_index(drop=True)
    assert both.equals(found[1].sort_values("consumer_id").reset_index(drop=True))
    assert len(both) > 20
