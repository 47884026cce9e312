"""Commands, images and late reads of meters whose supply is out: they wait for it, and hang on no state."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.meter_cases import IDS
from tests.unit.test_meter_communication import ALWAYS_UP, MESH
from tests.unit.test_meter_outages import DATE, DAY, made
from twin.demand.weather import day_number
from twin.meters.commands import deliver, hold_for_supply, tried_daily_h
from twin.meters.communication import (
    NO_BREAKDOWN,
    Dark,
    days_in_a_row,
    is_silent,
    join_min,
    joined_h,
    never_dark,
    with_supply_h,
)
from twin.meters.firmware import NEVER
from twin.simulation.meter_commands import EXECUTED
from twin.simulation.meter_devices import MeterDevices

N, RETRY_H = 400, float(ALWAYS_UP.retry_h[MESH])
NO_JOINING = ALWAYS_UP._replace(join_median_min=np.full_like(ALWAYS_UP.join_median_min, 1e-9),
                                join_hop_min=np.zeros_like(ALWAYS_UP.join_hop_min))  # fmt: skip
COMMANDS = (
    "meters.commands=[{command: disconnect, day: 2026-06-09, hour: 9.5, share: 0.5, queue_min: 90, jitter_s: 1800},"
    " {command: firmware, day: 2026-06-09, hour: 11.0}]"
)


def one_day(*interruptions):
    """Supply of one place on a day."""
    return Dark(np.array([0, len(interruptions)]), *np.array(interruptions, float).reshape(-1, 2).T.copy())


def sent(days, at_h, *, params=ALWAYS_UP, within_h=24.0, jitter_s=0.0, hops=1, first_day=DAY):
    """When a perfect link's command that is issued at an hour of the first day has been carried out. [h of the day]"""
    issued, reached, ids = np.empty(N), np.empty(N), IDS[:N]
    row, place = days_in_a_row(first_day, days), np.zeros(N, np.int32)
    deliver(
        np.uint64(3), ids, ids, np.full(N, MESH, np.uint8), np.ones(N, np.float32), np.full(N, hops, np.uint8), params,
        NO_BREAKDOWN, 0, first_day * 24.0 + at_h, 0.0, jitter_s, within_h, row, place, issued, np.empty(N), reached,
    )  # fmt: skip
    hold_for_supply(row, place, reached)
    return reached - first_day * 24.0


def test_a_try_in_the_dark_or_before_joining_is_made_again_at_the_datasheet_s_pace():
    dark, hops = one_day((9.0, 11.0)), 4
    joins = np.array([joined_h(np.uint64(3), int(i), DAY, 9.0, 11.0, hops, MESH, ALWAYS_UP) for i in IDS[:N]])
    tries = np.maximum(np.ceil((joins - 10.0) / RETRY_H), 1.0)
    got = sent([dark, never_dark(1)], 10.0, hops=hops)
    assert np.allclose(got, 10.0 + RETRY_H * tries, atol=0.01), (
        "the first try after joining, and its seconds on the way"
    )
    assert len(np.unique(tries)) > 1
    assert np.allclose(sent([one_day((10.1, 11.0))], 10.0), 10.0, atol=0.01), "supply fails after it has come through"
    assert np.all(np.isinf(sent([dark], 10.0, within_h=0.9 * RETRY_H))), "given up before supply is back"
    assert np.array_equal(sent([], 10.0), sent([never_dark(1)], 10.0))


def test_darkness_goes_on_over_midnight_and_joining_too():
    night = [one_day((22.0, 26.0)), one_day((-2.0, 2.0))]
    got = sent(night, 23.0, params=NO_JOINING)
    assert np.allclose(got, 23.0 + RETRY_H * np.ceil(3.0 / RETRY_H), atol=0.01)
    ends = [one_day((22.0, 23.95)), one_day((-2.0, -0.05))]
    late = np.array([join_min(1, ALWAYS_UP.join_median_min[MESH], 0.0, 0.0, 0.0)]) / 60.0
    assert late > 0.2
    early = sent(ends, 24.02 - RETRY_H)
    assert (early > 24.1).mean() > 0.9, "the try two minutes after midnight meets a meter that still joins"
    assert np.array_equal(sent(ends, 24.02 - RETRY_H), early)


def test_a_command_that_waits_in_a_meter_is_carried_out_when_supply_is_back():
    got = sent([one_day((10.2, 13.0))], 10.0, jitter_s=3600.0)
    free = sent([], 10.0, jitter_s=3600.0)
    hit = free >= 10.2
    assert hit.sum() > 100
    assert np.all(got[hit] == 13.0)
    assert np.array_equal(got[~hit], free[~hit])


def test_an_image_waits_for_days_with_supply_at_the_hour_of_its_try():
    days = days_in_a_row(DAY, [one_day((9.0, 11.0)), one_day((9.0, 11.0)), *[never_dark(1)] * 6])
    failures = np.array([0, 1, 2, NEVER, 0, 4], np.int32)
    n = len(failures)
    hour, out = np.full(n, DAY * 24.0 + 10.0), np.empty(n)
    hour[4] = DAY * 24.0 + 4.0  # its try is before supply fails
    tried_daily_h(np.uint64(3), IDS[:n], np.full(n, MESH, np.uint8), np.ones(n, np.uint8), NO_JOINING, failures, days,
                  np.zeros(n, np.int32), 6 * 24.0, hour, out)  # fmt: skip
    assert ((out - hour) / 24.0).tolist() == [2.0, 3.0, 4.0, np.inf, 0.0, np.inf], "the last needs the seventh day"
    bright = np.empty(n)
    tried_daily_h(np.uint64(3), IDS[:n], np.full(n, MESH, np.uint8), np.ones(n, np.uint8), NO_JOINING, failures,
                  days_in_a_row(DAY, []), np.zeros(n, np.int32), 6 * 24.0, hour, bright)  # fmt: skip
    assert ((bright - hour) / 24.0).tolist() == [0.0, 1.0, 2.0, np.inf, 0.0, 4.0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.01, 71.9), min_size=2, max_size=12, unique=True), st.floats(0.0, 71.99))
def test_days_one_by_one_say_what_the_whole_time_says(edges, hour):
    """Interruptions anywhere in three days, cut into days that each tell what touches them."""
    edges = sorted(edges)[: 2 * (len(edges) // 2)]
    whole = [(edges[i], edges[i + 1]) for i in range(0, len(edges), 2)]
    days = []
    for day in range(3):
        mine = [(a - 24 * day, b - 24 * day) for a, b in whole if b > 24 * day - 3.5 and a < 24 * (day + 1)]
        days.append(one_day(*mine))
    row, start = days_in_a_row(DAY, days), DAY * 24.0
    silent = is_silent(np.uint64(3), 1000, start + hour, row, 0, 1, MESH, NO_JOINING)
    eps = 1e-6
    inside = [a <= hour < b for a, b in whole]
    near = any(abs(hour - edge) < eps for edge in edges)
    assert near or silent == any(inside)
    back = with_supply_h(start + hour, row, 0) - start
    assert near or back == pytest.approx(next((b for (a, b), here in zip(whole, inside, strict=True) if here), hour))


def opened(world):
    devices = MeterDevices(world)
    devices.begin(DATE, np.zeros((len(devices.fleet.ids), world.plan.zones.n_zones)))
    return devices


def test_in_a_run_nobody_without_supply_is_reached_and_the_others_as_ever():
    world, devices = made(2, 0, "time.days=3", COMMANDS)
    bright_world, _ = made(2, 0, "time.days=3", COMMANDS)
    bright_world.outages = None
    bright = opened(bright_world)
    off, image = devices.commands._campaigns
    free, free_image = bright.commands._campaigns
    assert np.array_equal(off.rows, free.rows)
    line_h = 1.0 / 60.0  # who is late leaves a place in his gateway's line to others
    assert np.all(off.reached_h >= free.reached_h - line_h)
    assert np.all(image.reached_h >= free_image.reached_h)
    delayed = off.reached_h > free.reached_h + line_h
    assert 10 < delayed.sum() < 0.5 * len(off.rows)
    start = 24.0 * day_number(DATE)
    for later in range(3):
        dark, place = devices.outages.dark(DATE + dt.timedelta(days=later)), devices.place.dt[off.rows]
        for done in (off.reached_h, image.reached_h):
            hours, which = done - start - 24 * later, place if done is off.reached_h else devices.place.dt[image.rows]
            for k in np.flatnonzero((hours >= 0) & (hours < 24)):
                mine = slice(dark.ptr[which[k]], dark.ptr[which[k] + 1])
                assert not np.any((dark.from_h[mine] <= hours[k]) & (hours[k] < dark.until_h[mine]))
    first = devices.commands.prepare(DATE)
    assert (first.result[0] == EXECUTED).sum() > 100


def test_days_of_the_window_may_be_asked_for_in_any_order():
    """Commands ask about days to come before networks ask about today."""
    _, devices = made(1)
    later = DATE + dt.timedelta(days=2)
    ahead = devices.outages.alone(later)
    assert len(ahead.from_h)
    for date in (DATE, later):
        today = devices.outages.dark(date)
        for name in ("ptr", "from_h", "until_h"):
            assert np.array_equal(getattr(devices.outages.alone(date), name), getattr(today, name))
    assert np.array_equal(ahead.from_h, devices.outages.dark(later).from_h)


def test_a_read_that_is_asked_for_late_needs_supply(monkeypatch):
    _, devices = made(1)
    rows = np.flatnonzero((devices.fleet.hops > 0) & (devices.place.dt < devices.outages.n_places - 1))
    n, last = devices.population.n_dts, day_number(DATE)
    monkeypatch.setattr(devices.outages, "alone", lambda _: never_dark(n + 1))
    assert devices.estimates._come_late(rows, last, 2).mean() > 0.9
    half = np.arange(n) < n // 2
    ptr = np.concatenate([[0], np.cumsum(half), [half.sum()]])
    dark = Dark(ptr.astype(np.int64), np.full(half.sum(), -1.0), np.full(half.sum(), 30.0))
    monkeypatch.setattr(devices.outages, "alone", lambda _: dark)
    come = devices.estimates._come_late(rows, last, 2)
    assert not come[devices.place.dt[rows] < n // 2].any()
    assert come[devices.place.dt[rows] >= n // 2].mean() > 0.9
