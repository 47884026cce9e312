"""Broken load switches: who finds them, when a crew has swapped them, and how the new one stands."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.meter_cases import IDS, near_mean
from tests.planning_day import planned_state
from tests.prepaid_cases import Village
from tests.unit.test_meter_commands import DATE, opened
from tests.unit.test_meter_devices import population
from tests.unit.test_meter_switch import KIND, RELAY, order, switches
from twin.demand.weather import day_number
from twin.economics.wallets import CONNECTED
from twin.meters.datasheets import catalogue
from twin.meters.failure import FailureParams
from twin.meters.relay import CLOSED, HEALTHY, OPEN, STUCK_OPEN, WELDED, draw_swaps, fault_probability, new_switch
from twin.simulation.meter_commands import EXECUTED, NOT_REACHED, SWITCH_FAILED
from twin.simulation.meter_tables import event_rows
from twin.simulation.relays import NOT_FOUND, SWAPPED

DAY = day_number(DATE)
OFF = {"command": "disconnect", "day": DATE, "hour": 1.0, "within_h": 12}
ON = {"command": "connect", "day": DATE + dt.timedelta(days=2), "hour": 1.0, "within_h": 12}
NONE = np.zeros(0, np.int64)


@pytest.fixture(scope="module")
def people():
    return population(planned_state(1), 3)


def healthy_rows(devices, n, skip=0):
    """Meters with a switch that work for long."""
    works = devices.relays.has_switch & (devices.state.swap_day <= DAY)
    return np.flatnonzero(works)[skip : skip + n]


def break_switches(devices, rows, health, arm=0):
    devices.relays.state.health[arm, rows] = health
    devices.relays.state.position[arm, rows] = OPEN if health == STUCK_OPEN else CLOSED


def swap_day_of(devices, rows, arm=0):
    broken = devices.relays.broken[arm]
    at = np.searchsorted(broken.rows, rows)
    assert np.array_equal(broken.rows[at], rows)
    return broken.swap_day[at]


def test_a_new_switch_is_not_worn_and_draws_anew():
    often = RELAY._replace(fault_probability=np.full(len(catalogue()), 0.3))
    first, second = switches(len(IDS)), switches(len(IDS))
    second.cycles[:] = new_switch(second.cycles)
    order(first, OPEN, often)
    order(second, OPEN, often)
    broke = [np.mean(state.health != HEALTHY) for state in (first, second)]
    both = np.mean((first.health != HEALTHY) & (second.health != HEALTHY))
    assert abs(broke[1] - broke[0]) < 4.9 * np.sqrt(2 * 0.3 * 0.7 / len(IDS))
    assert both == pytest.approx(0.09, abs=4.9 * np.sqrt(0.09 * 0.91 / len(IDS))), "as independent switches"
    worn = np.array([2500, (3 << 24) + 17], np.uint32)
    assert new_switch(worn).tolist() == [1 << 24, 4 << 24]
    old = switches(len(IDS))
    old.cycles[:] = new_switch(np.full(len(IDS), 50_000, np.uint32))
    few = RELAY._replace(fault_probability=np.full(len(catalogue()), 1e-4))
    order(old, OPEN, few)
    assert np.mean(old.health != HEALTHY) < 0.001 < fault_probability(1e-4, 50_000, 3000.0)


def test_crews_come_after_the_datasheets_time():
    params, out = catalogue().params(FailureParams, "failure"), np.empty(len(IDS), np.int32)
    kind = np.full(len(IDS), KIND, np.uint8)
    draw_swaps(np.uint64(7), IDS, kind, DAY, params, np.zeros(len(catalogue())), out)
    wait = out - DAY - 1
    assert wait.min() >= 0
    assert np.median(wait) == np.floor(params.repair_median_days[KIND])
    mean = params.repair_median_days[KIND] * np.exp(params.repair_log_sd[KIND] ** 2 / 2)
    sd = mean * np.sqrt(np.exp(params.repair_log_sd[KIND] ** 2) - 1)
    later = np.empty(len(IDS), np.int32)
    draw_swaps(np.uint64(7), IDS, kind, DAY, params, np.full(len(catalogue()), 2.0), later)
    assert np.all(later == out + 2), "crews that are behind"
    assert near_mean(wait + 0.5, mean, sd + 0.1), "whole days, by half a day less on average"


def test_a_disconnection_finds_welded_switches_and_holds_for_the_new_ones(people):
    devices = opened(people, OFF, ON)
    rows = healthy_rows(devices, 60)
    break_switches(devices, rows, WELDED)
    day = devices.commands.prepare(DATE)
    tried = day.rows[(day.result[0] == SWITCH_FAILED) & np.isin(day.rows, rows)]
    assert len(tried) > 40
    swap_day = swap_day_of(devices, tried)
    assert np.all((swap_day > DAY) & (swap_day < DAY + 60))
    assert not np.isin(tried, devices.relays.broken[1].rows).any(), "the other arm's are sound"
    soon = tried[swap_day == DAY + 1]
    later = tried[swap_day > DAY + 2]
    devices.commands.prepare(DATE + dt.timedelta(days=1))
    state = devices.relays.state
    assert np.all(state.health[0, soon] == HEALTHY)
    assert np.all(state.position[0, soon] == OPEN), "the order to disconnect stands, and now it can be carried out"
    assert np.all(state.cycles[0, soon] == 1 << 24)
    assert np.all(state.position[0, later] == CLOSED)
    devices.commands.prepare(DATE + dt.timedelta(days=2))
    for one in range(3, 60):
        devices.commands.prepare(DATE + dt.timedelta(days=one))
    closed = state.position[0, later] == CLOSED
    assert closed.mean() > 0.9, "meanwhile an order to connect has come: it is the last one"
    assert np.all(state.health[0, tried] == HEALTHY)
    assert len(devices.relays.broken[0].rows) < len(rows)


def test_a_switch_stuck_open_is_told_of_when_nobody_holds_it_open(people):
    """While a disconnection stands nobody complains; the order to connect fails and sends the crew."""
    devices = opened(people, OFF, ON)
    devices.relays.begin(DAY)
    rows = healthy_rows(devices, 40)
    sure = devices.relays.params
    devices.relays.params = sure._replace(
        fault_probability=np.where(sure.wear_cycles > 0, 1.0, 0.0), weld_share=np.zeros_like(sure.weld_share)
    )
    assert devices.relays.command(0, rows, OPEN).all(), "stuck open stands as wanted"
    devices.relays.params = sure
    assert set(devices.relays.state.health[0, rows]) == {STUCK_OPEN}
    assert set(swap_day_of(devices, rows)) == {NOT_FOUND}
    assert not devices.relays.in_repair(0, rows).any()
    devices.relays.begin(DAY + 40)
    assert set(devices.relays.state.health[0, rows]) == {STUCK_OPEN}, "nobody knows"
    assert not devices.relays.command(0, rows, CLOSED).any()
    assert np.all(swap_day_of(devices, rows) > DAY + 40)
    assert devices.relays.in_repair(0, rows).all()
    devices.relays.begin(DAY + 200)
    assert set(devices.relays.state.health[0, rows]) == {HEALTHY}
    assert set(devices.relays.state.position[0, rows]) == {CLOSED}
    assert len(devices.relays.broken[0].rows) == 0


def test_wear_that_sticks_a_switch_open_is_complained_of_and_one_that_welds_it_is_not(people):
    devices = opened(people, OFF)
    devices.relays.begin(DAY)
    rows = healthy_rows(devices, 400)
    sure = devices.relays.params
    devices.relays.params = sure._replace(fault_probability=np.where(sure.wear_cycles > 0, 1.0, 0.0))
    devices.relays.wear(0, rows, np.full(len(rows), 2))
    state = devices.relays.state
    stuck, welded = (rows[state.health[0, rows] == health] for health in (STUCK_OPEN, WELDED))
    assert len(stuck) > 60
    assert len(welded) > 200
    assert np.all(swap_day_of(devices, stuck) > DAY)
    assert set(swap_day_of(devices, welded)) == {NOT_FOUND}
    soon = stuck[swap_day_of(devices, stuck) == DAY + 1]
    assert len(soon) > 2
    devices.relays.begin(DAY + 1)
    assert np.all(state.position[0, soon] == CLOSED)
    events = event_rows(0, 0, devices, devices.advance(DATE + dt.timedelta(days=1), *_nothing(devices)))
    told = events.filter(np.array([name == SWAPPED for name in events["event"].to_pylist()]))
    assert sorted(told["consumer_id"].to_pylist()) == sorted(devices.fleet.ids[soon].tolist())
    assert set(told["event_time"].to_pylist()) == {dt.datetime.combine(DATE + dt.timedelta(days=1), dt.time())}
    assert not devices.relays.swapped[1].size


def _nothing(devices):
    shape = len(devices.fleet.ids), devices.estimates.shape[2]
    return [np.zeros(shape)] * 2, np.zeros((2, *shape)), NONE


def test_a_failed_meter_brings_its_new_switch_and_the_crew_waits_for_it(people):
    devices = opened(people, OFF)
    devices.relays.begin(DAY)
    welded, plain = healthy_rows(devices, 10), healthy_rows(devices, 10, 10)
    break_switches(devices, welded, WELDED)
    assert not devices.relays.command(0, welded, OPEN).any()
    assert devices.relays.command(0, plain, OPEN).all()
    devices.relays.state.cycles[0, plain] = 900
    devices.state.swap_day[np.append(welded, plain)] = DAY + 90
    devices.relays.begin(DAY + 89)
    assert set(devices.relays.state.health[0, welded]) == {WELDED}, "the crew that swaps the meter swaps the switch"
    devices.relays.begin(DAY + 90)
    assert set(devices.relays.state.health[0, welded]) == {HEALTHY}
    assert set(devices.relays.state.position[0, np.append(welded, plain)]) == {OPEN}, "disconnected they stay"
    assert set(devices.relays.state.cycles[0, plain]) == {1 << 24}
    assert not devices.relays.swapped[0].size, "the swap of the meter is told already"


def test_what_is_known_of_broken_switches_comes_back_from_a_checkpoint(people):
    one, two = opened(people, OFF), opened(people, OFF)
    rows = healthy_rows(one, 90)
    break_switches(one, rows[::2], WELDED)
    one.relays.begin(DAY)
    one.relays.wear(0, rows, np.zeros(len(rows), np.int64))
    assert set(one.relays.broken[0].swap_day) == {NOT_FOUND}
    one.commands.prepare(DATE)
    assert len(np.unique(one.relays.broken[0].swap_day)) > 4
    assert set(one.relays.broken[0].wanted) == {OPEN, CLOSED}, "not all of them were reached"
    two.restore(one.arrays())
    for arm in (0, 1):
        for mine, other in zip(one.relays.broken[arm], two.relays.broken[arm], strict=True):
            assert mine.dtype == other.dtype
            assert np.array_equal(mine, other)
    for after in range(1, 20):
        days = [made.commands.prepare(DATE + dt.timedelta(days=after)) for made in (one, two)]
        assert np.array_equal(days[0].off_from_h, days[1].off_from_h)
        assert np.array_equal(one.relays.swapped[0], two.relays.swapped[0])
    assert one.relays.columns()[0] is one.relays.state.position
    held = sum(column.nbytes for column in one.relays.columns()[3:])
    assert held <= 13 * len(rows) * 2


def test_nothing_hangs_on_the_cut_into_shards(people):
    whole, part = opened(people, OFF), opened(population(planned_state(1), 1, skip=1), OFF)
    common = np.isin(whole.fleet.ids, part.fleet.ids)
    for devices in (whole, part):
        rows = np.flatnonzero(devices.relays.has_switch)
        break_switches(devices, rows[devices.fleet.ids[rows] % 3 == 0], WELDED)
        for after in range(8):
            devices.commands.prepare(DATE + dt.timedelta(days=after))
    for mine, other in zip(whole.relays.state, part.relays.state, strict=True):
        assert np.array_equal(mine[:, common], other)
    assert (whole.relays.state.cycles[0] >= 1 << 24).sum() > 100


def test_a_wallet_finds_a_hidden_weld_once_and_cuts_after_the_swap(people):
    few = population(planned_state(1), 1)
    never = "meters.prepaid={negative_share: 0.8, recharge: {off_hazard: 0.0, low_hazard: 0.0, daily_hazard: 0.0}}"
    village = Village(few, "time.days=24", never)
    wallets, relays = village.wallets, village.devices.relays
    welded = wallets.rows[::2]
    relays.state.health[0, welded] = WELDED
    tried, cut = np.zeros(len(village.used), int), np.zeros(len(village.used), bool)
    command = relays.command

    def counted(arm, rows, wanted, *, stands=True):
        if arm == 0 and wanted == OPEN:
            tried[rows] += 1
        return command(arm, rows, wanted, stands=stands)

    relays.command = counted
    for _, _ in village.live():
        cut[wallets.rows[wallets.off_since[0] != CONNECTED]] = True
    found = welded[tried[welded] > 0]
    assert len(found) > 30
    assert np.mean(cut[found]) > 0.8, "found on the first order to open, swapped, and cut by the wallet's next batch"
    again = found[cut[found]]
    assert np.mean(tried[again] == 2) > 0.9, "in between nobody sends orders to a switch that is known to be broken"
    assert np.all(relays.state.position[0, again] == OPEN)


def test_a_stuck_switch_keeps_who_has_paid_in_the_dark_until_the_crew_comes(people):
    village = Village(population(planned_state(1), 1), "time.days=24", "meters.prepaid={negative_share: 0.8}")
    wallets, relays, held = village.wallets, village.devices.relays, NONE
    dark = {}
    for number, (date, switches_) in enumerate(village.live()):
        if number == 1:
            off = wallets.rows[wallets.off_since[0] != CONNECTED]
            held = off[relays.state.position[0, off] == OPEN][::3]
            break_switches(village.devices, held, STUCK_OPEN)
        dark[date] = switches_.off_until[0] - switches_.off_from[0]
    assert len(held) > 5
    assert np.all(relays.state.health[0, held] == HEALTHY), "all have paid and complained"
    assert np.all(relays.state.cycles[0, held] >= 1 << 24)
    at = np.searchsorted(wallets.rows, held)
    last = dark[village.dates[-1]][held]
    assert np.all((last < 96) | (wallets.off_since[0, at] != CONNECTED)), "who is dark now is so by his wallet"


def test_results_of_commands_tell_the_repair(people):
    again = {"command": "disconnect", "day": DATE + dt.timedelta(days=30), "hour": 1.0, "within_h": 12}
    devices = opened(people, OFF, {**ON, "day": DATE + dt.timedelta(days=1)}, again)
    rows = healthy_rows(devices, 60)
    break_switches(devices, rows, WELDED)
    first = devices.commands.prepare(DATE)
    for after in range(1, 30):
        devices.commands.prepare(DATE + dt.timedelta(days=after))
    last = devices.commands.prepare(DATE + dt.timedelta(days=30))
    failed = first.rows[(first.result[0] == SWITCH_FAILED) & np.isin(first.rows, rows)]
    mine = np.isin(last.rows, failed) & (last.result[0] != NOT_REACHED)
    assert mine.sum() > 20
    assert np.mean(last.result[0, mine] == EXECUTED) > 0.95
