"""Interruptions as meters live through them: gasps, breaths, events, late reads, clocks; from arrays and in a run."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.meter_cases import IDS, near_mean
from tests.planning_day import planned_state
from tests.runs import TINY
from tests.unit.test_meter_communication import ALWAYS_UP, MESH, PARAMS
from tests.unit.test_meter_devices import day_kwh, population
from twin.grid.strata import choose
from twin.meters.clock import battery_alive
from twin.meters.communication import NO_BREAKDOWN, Dark, arrival_h, dark_h, hours_dark, joined_h, never_dark
from twin.meters.gasp import GaspParams
from twin.meters.memory import fetched
from twin.meters.power import POWER, behind, dark_at_once
from twin.scenario import load_scenario
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.meter_outages import dark_of
from twin.simulation.meter_tables import event_rows
from twin.simulation.plan import plans
from twin.simulation.replicate import open_world
from twin.simulation.supply import Outages

DATE, DAY = dt.date(2026, 6, 9), 9656
NOBODY = np.zeros(0, np.int64)
ALL_SMART = "meters.smart_share={domestic: 1.0, non_domestic: 1.0, industrial: 1.0, agricultural: 1.0}"


def made(n_pss=2, skip=0, *overrides):
    """Meters of some substations, on the first day of a run with outages."""
    plan = plans(load_scenario(TINY, ("meters.devices=true", ALL_SMART, "outages={}", *overrides)))[0]
    state = planned_state(1)
    world = open_world(plan, 0, population(state, n_pss, skip))
    world.outages = Outages(world, state, choose(state, 0.002, 1))
    devices = MeterDevices(world)
    devices.begin(DATE, 0.0 * day_kwh(world))
    return world, devices


@pytest.fixture(scope="module")
def town():
    return made()


def pass_day(world, devices, date=DATE):
    used = day_kwh(world)
    return devices.advance(date, [used], np.zeros((1, *used.shape)), NOBODY)


def interrupted(devices, monkeypatch, row, from_h, until_h, tomorrow=None):
    """Let a day hold given interruptions instead of drawn ones."""
    dark = dark_of(np.array(row), np.array(from_h, float), np.array(until_h, float), devices.population.n_dts)
    after = never_dark(devices.population.n_dts + 1) if tomorrow is None else tomorrow
    monkeypatch.setattr(devices.outages, "dark", lambda date: dark if date == DATE else after)
    return dark


def test_times_without_supply_are_kept_by_place():
    dark = dark_of(np.array([0, 0, 2]), np.array([-2.0, 5.0, 23.0]), np.array([1.0, 6.5, 30.0]), 3)
    assert dark.ptr.tolist() == [0, 2, 2, 3, 3]
    assert [dark_h(dark, place) for place in range(4)] == [2.5, 0.0, 1.0, 0.0]
    assert hours_dark(dark).tolist() == [2.5, 0.0, 1.0, 0.0]


def test_joining_delays_a_read_by_its_time_and_by_nothing_else():
    link, hops, n = 1.0, 4, 3000
    dark = Dark(np.array([0, 1]), np.array([0.0]), np.array([2.0]))
    joins = np.array([joined_h(3, int(i), DAY, 0.0, 2.0, hops, MESH, ALWAYS_UP) for i in IDS[:n]]) - 2.0
    median, log_sd, hop = (getattr(PARAMS, f"join_{name}")[MESH] / unit for name, unit in
                           (("median_min", 60.0), ("log_sd", 1.0), ("hop_min", 60.0)))  # fmt: skip
    assert near_mean(np.log(joins - 2 * hop), np.log(median), log_sd), "5 min more for each hop beyond the second"

    def arrivals(dark, steady):
        found = [arrival_h(3, int(i), 5, DAY, link, hops, MESH, ALWAYS_UP, NO_BREAKDOWN, dark, 0, steady)
                 for i in IDS[:n]]  # fmt: skip
        return np.array(found).T

    late, delayed = arrivals(dark, steady=False)
    soon, never = arrivals(never_dark(1), steady=True)
    assert np.array_equal(delayed == 1.0, late > soon)
    assert not never.any()
    assert np.all(late >= 2.0 + joins), "nothing comes in before a meter is in its network again"
    retry = PARAMS.retry_h[MESH]
    tries = np.ceil(np.maximum(2.0 + joins - soon, 0.0) / retry)
    assert np.allclose(late, soon + retry * tries, atol=1e-9), (
        "the first try of those it would make anyway that is later"
    )


def test_longer_silence_than_the_memory_loses_exactly_the_excess():
    depth = 35
    for days in (1, 34, 35, 36, 60):
        waiting = lost = got = 0
        for day in range(days):
            got, lost, waiting = fetched(waiting, depth, day == days - 1)
        assert (got, lost, waiting) == (min(days, depth), max(0, days - depth), 0)


def test_batteries_run_down_by_age_and_by_running_the_clock():
    assert battery_alive(9.9, 0.0, 10.0, 5.0)
    assert not battery_alive(10.1, 0.0, 10.0, 5.0)
    assert battery_alive(5.0, 2.4, 10.0, 5.0)
    assert not battery_alive(5.0, 2.6, 10.0, 5.0)


def test_meters_dark_at_once_are_counted_by_gateway():
    place = np.array([0, 0, 0, 1, 1, 2])
    gateway = np.array([0, 0, 1, 0, 0, 1])
    meters = behind(place, gateway, 4, 2)
    assert meters.total.tolist() == [4, 2]
    trip = dark_of(np.array([0, 1, 1, 2]), np.array([3.0, 3.0, 9.0, 3.0]), np.array([4.0, 4.0, 10.0, 4.0]), 3)
    ptr, at_once = dark_at_once(trip, meters)
    assert [at_once[a:b].tolist() for a, b in zip(ptr, ptr[1:], strict=False)] == [[4, 2], [4], [2], [2]]


def lone_and_crowd(devices, monkeypatch, rows):
    interrupted(devices, monkeypatch, rows, [10.0] * len(rows), [11.0] * len(rows))
    return devices.outages.pass_day(DATE, devices.outages.cuts(DATE), np.zeros(len(devices.fleet.ids), bool)).counts


def test_a_crowd_s_gasps_spoil_each_other_and_a_lone_dt_s_do_not(town, monkeypatch):
    _, devices = town
    off_h = devices.outages.off_h.copy()
    n = devices.population.n_dts
    sent, arrived = POWER.index("gasps_sent"), POWER.index("gasps_arrived")
    alone = np.zeros(2)
    for row in range(0, n, max(n // 40, 1)):
        counts = lone_and_crowd(devices, monkeypatch, [row])
        alone += counts[:, [sent, arrived]].sum(axis=0)
    all_dark = lone_and_crowd(devices, monkeypatch, list(range(n)))[:, [sent, arrived]].sum(axis=0)
    works = (devices.fleet.hops > 0) & (devices.state.swap_day <= devices.context(DATE).day)
    assert all_dark[0] == np.sum(works & (devices.place.dt < n)), (
        "everybody with a module sends, HT meters hang elsewhere"
    )
    hold = devices.types.params(GaspParams, "last_gasp").hold
    assert 0.1 < alone[1] / alone[0] < hold.max()
    assert all_dark[1] / all_dark[0] < 0.8 * alone[1] / alone[0], "relays are dark too, and frames collide"
    devices.outages.off_h[:] = off_h


def test_failures_and_restorations_are_logged_in_pairs(town, monkeypatch):
    world, devices = town
    watched = np.arange(0, len(devices.fleet.ids), 7)
    begun: dict[int, list[int]] = {}
    for later in range(4):
        date = DATE + dt.timedelta(days=later)
        rows = event_rows(0, 0, devices, pass_day(world, devices, date), None, watched).to_pylist()
        rows = sorted((row for row in rows if row["code"] in (101, 102)), key=lambda row: row["event_time"])
        assert rows
        for row in rows:
            assert row["event"] == ("power_failure" if row["code"] == 101 else "power_restored")
            begun.setdefault(row["consumer_id"], []).append(row["code"])
    alternate = [codes for codes in begun.values() if all(a != b for a, b in zip(codes, codes[1:], strict=False))]
    assert len(alternate) == len(begun), "an occurrence, its restoration, the next occurrence"
    assert max(len(codes) for codes in begun.values()) >= 4


def test_sums_by_feeder_follow_from_the_interruptions(town):
    world, devices = made(1)
    day = pass_day(world, devices)
    power, dark = day.power, devices.outages.dark(DATE)
    works = (devices.fleet.hops > 0) & (devices.state.swap_day <= devices.context(DATE).day)
    hours = hours_dark(dark)[devices.place.dt]
    starts = np.add.reduceat(np.append((dark.from_h >= 0) & (dark.from_h < 24), False), dark.ptr[:-1])
    starts = np.where(np.diff(dark.ptr) > 0, starts, 0)[devices.place.dt]
    for position in range(len(devices.population.feeders)):
        mine = works & (devices.place.feeder == position)
        counts = dict(zip(POWER, power.counts[position], strict=True))
        assert counts["meters"] == mine.sum()
        assert counts["dark_h"] == pytest.approx(hours[mine].sum())
        assert counts["power_failures"] == counts["gasps_sent"] == starts[mine].sum()
        assert counts["gasps_arrived"] <= counts["gasps_sent"]
        assert counts["breaths_arrived"] <= counts["restorations"]
        assert power.delayed[position] <= counts["meters"]
    total = power.counts.sum(axis=0)
    assert total[POWER.index("breaths_arrived")] > 0.8 * total[POWER.index("restorations")]
    table = devices.outages.table(0, power)
    assert table["dark_h"].to_numpy().sum() == pytest.approx(power.counts[:-1, POWER.index("dark_h")].sum())


def test_darkness_after_midnight_delays_reads_of_its_meters_only(monkeypatch):
    world, devices = made(1)
    _, bright = made(1)
    n = devices.population.n_dts
    for one in (devices, bright):
        interrupted(one, monkeypatch, [], [], [])
    after = dark_of(np.array([0, 1]), np.array([0.0, 0.0]), np.array([6.0, 30.0]), n)
    interrupted(devices, monkeypatch, [], [], [], tomorrow=after)
    late, soon = pass_day(world, devices).devices, pass_day(world, bright).devices
    hit = (devices.place.dt <= 1) & (devices.fleet.hops > 0) & np.isfinite(soon.arrival_h)
    assert hit.sum() > 20
    assert np.array_equal(late.arrival_h[~hit], soon.arrival_h[~hit])
    first = hit & (devices.place.dt == 0)
    assert np.all(late.arrival_h[first] > 6.0)
    assert not np.isfinite(late.arrival_h[hit & (devices.place.dt == 1)]).any(), "dark all day"
    assert np.array_equal(late.delayed, hit & (soon.arrival_h < late.arrival_h))
    assert devices.state.waiting[hit & (devices.place.dt == 1)].min() >= 1, "the memory keeps what nobody could fetch"


def test_a_clock_without_battery_stands_still_while_there_is_no_supply(monkeypatch):
    world, devices = made(1)
    dead, never_set = np.full(len(devices.types), 1e-9), np.full(len(devices.types), 1e9)
    clock = devices.params.clock._replace(battery_years=dead, sync_threshold_s=never_set)
    monkeypatch.setattr(devices, "params", devices.params._replace(clock=clock))
    before = devices.state.clock_s.copy()
    interrupted(devices, monkeypatch, [0], [20.0], [26.0])
    pass_day(world, devices)
    works = (devices.fleet.hops > 0) & (devices.state.swap_day <= devices.context(DATE).day)
    works &= devices.state.installed_day < devices.context(DATE).day
    change = (devices.state.clock_s - before)[works]
    dark = devices.place.dt[works] == 0
    assert np.all(np.abs(change[dark] + 4 * 3600.0) < 5.0), "behind by the hours of today"
    assert np.all(np.abs(change[~dark]) < 5.0)
    assert devices.outages.off_h[0] == 4.0
    assert not devices.outages.off_h[1:].any()


def test_nothing_hangs_on_the_cut_and_a_checkpoint_keeps_the_batteries():
    world, whole = made(3)
    part_world, part = made(1, 1)
    day, piece = pass_day(world, whole), pass_day(part_world, part)
    feeders = [feeder.feeder for feeder in whole.population.feeders]
    for position, feeder in enumerate(part.population.feeders):
        assert np.array_equal(piece.power.counts[position], day.power.counts[feeders.index(feeder.feeder)])
        assert piece.power.delayed[position] == day.power.delayed[feeders.index(feeder.feeder)]
    assert day.power.counts[:, POWER.index("gasps_arrived")].sum() > 0
    _, again = made(3)
    again.restore(whole.arrays())
    assert np.array_equal(again.outages.off_h, whole.outages.off_h)
    assert whole.outages.off_h.any()
