"""Commands of a head-end: who is reached and when, what switches make of them, and the state that stays."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from tests.meter_cases import near_share
from tests.planning_day import planned_state
from tests.runs import TINY
from tests.unit.test_meter_devices import day_kwh, population
from twin.errors import ScenarioError
from twin.meters.communication import one_shot
from twin.meters.firmware import NEW_FIRMWARE, FirmwareParams
from twin.meters.relay import OPEN, WELDED
from twin.scenario import load_scenario
from twin.simulation.meter_commands import (
    EXECUTED,
    METER_FAILED,
    NOT_REACHED,
    RESULTS,
    SWITCH_FAILED,
    CommandDay,
    Commands,
)
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.plan import plans
from twin.simulation.population import Population
from twin.simulation.relays import Relays
from twin.simulation.replicate import open_world

DATE = dt.date(2026, 6, 9)
ALL_SMART = tuple(f"meters.smart_share.{g}=1.0" for g in ("domestic", "non_domestic", "industrial", "agricultural"))


@pytest.fixture(scope="module")
def people() -> Population:
    return population(planned_state(1), 8)


def opened(people: Population, *commands: dict[str, Any], more: tuple[str, ...] = ()) -> MeterDevices:
    texts = [", ".join(f"{key}: {value}" for key, value in command.items()) for command in commands]
    joined = ", ".join(f"{{{text}}}" for text in texts)
    overrides = ("meters.devices=true", *ALL_SMART, *more, f"meters.commands=[{joined}]")
    world = open_world(plans(load_scenario(TINY, overrides))[0], 0, people)
    devices = MeterDevices(world)
    devices.begin(DATE, day_kwh(world, 8.0))
    return devices


def day_of(devices: MeterDevices, after: int = 0) -> CommandDay:
    assert devices.commands is not None
    return devices.commands.prepare(DATE + dt.timedelta(days=after))


def test_a_disconnection_opens_who_is_reached_until_the_connection(people):
    off = {"command": "disconnect", "day": DATE, "hour": 11.0, "share": 0.4, "queue_min": 60, "jitter_s": 300}
    on = {"command": "connect", "day": DATE + dt.timedelta(days=2), "hour": 15.0}
    devices = opened(people, off, on)
    smart = devices.fleet.hops > 0
    first = day_of(devices)
    assert near_share(len(first.rows), int(smart.sum()), 0.4)
    good = first.result[0] == EXECUTED
    assert np.mean(good) > 0.9
    assert np.all(first.done_h[good] >= first.issued_h[good])
    hour = first.issued_h % 24
    assert 11.0 <= hour.min() < 11.05
    assert 11.95 < hour.max() <= 12.0
    off_from, off_until = first.off_steps(0, 96)
    assert np.all(off_from[first.rows[good]] >= 44)
    assert np.all(off_until[first.rows[good & (off_from[first.rows] < 96)]] == 96)
    untouched = np.setdiff1d(np.arange(len(smart)), first.rows)
    assert not off_from[untouched].any()
    assert not off_until[untouched].any()
    after, position = day_of(devices, 1), devices.commands.relays.state.position
    late = after.rows[after.result[0] == EXECUTED]
    whole_day = np.setdiff1d(first.rows[good], late)
    assert np.all(after.off_steps(0, 96)[0][whole_day] == 0)
    assert np.all(after.off_steps(0, 96)[1][whole_day] == 96)
    assert np.all(position[:, whole_day] == OPEN), "in every arm"
    third = day_of(devices, 2)
    back = third.rows[(third.campaign == 1) & (third.result[0] == EXECUTED)]
    again = np.intersect1d(back, whole_day)
    assert np.all(third.off_steps(0, 96)[0][again] == 0)
    assert np.all(third.off_steps(0, 96)[1][again] >= 60)
    assert np.mean(position[0, whole_day] == OPEN) < 0.1
    assert day_of(devices, 2) is third, "asked again, nothing moves"


def test_the_share_reached_at_once_is_that_of_one_attempt(people):
    """With a time shorter than the first retry, the chance is the link's one-shot probability, the gateway being up."""
    ping = {"command": "ping", "day": DATE, "hour": 3.0, "within_h": 0.01}
    devices = opened(people, ping)
    day = day_of(devices)
    params = devices.params.communication
    hit = day.result[0] != NOT_REACHED
    q = np.array(
        [one_shot(devices.fleet.link[i], devices.fleet.hops[i], params.sends[devices.fleet.kind[i]]) for i in day.rows]
    )
    by_gateway = np.unique(devices.fleet.gateway[day.rows][hit])
    alive = np.isin(devices.fleet.gateway[day.rows], by_gateway)
    sd = np.sqrt((q * (1 - q))[alive].sum())
    assert abs(hit[alive].sum() - q[alive].sum()) < 4.9 * sd + 1
    assert alive.mean() > 0.9


def test_a_welded_switch_stays_closed_and_a_failed_meter_hears_nothing(people):
    devices = opened(people, {"command": "disconnect", "day": DATE, "hour": 1.0, "within_h": 12})
    rows = np.flatnonzero(devices.fleet.hops > 0)[:50]
    devices.commands.relays.state.health[0, rows] = WELDED
    dead = np.flatnonzero(devices.state.swap_day > devices.context(DATE).day)
    day = day_of(devices)
    tried = np.isin(day.rows, rows) & (day.result[0] != NOT_REACHED) & ~np.isin(day.rows, dead)
    assert tried.sum() > 20
    assert set(day.result[0, tried]) == {SWITCH_FAILED}
    assert set(day.result[1, tried & (day.result[1] != SWITCH_FAILED)]) == {EXECUTED}, "the other arm's are sound"
    off_from, off_until = day.off_steps(0, 96)
    assert np.array_equal(off_from[day.rows[tried]], off_until[day.rows[tried]])
    failed = np.isin(day.rows, dead)
    assert set(day.result[0, failed]) <= {METER_FAILED, NOT_REACHED}


def test_one_maker_s_firmware_goes_to_nobody_else(people):
    devices = opened(people, {"command": "firmware", "day": DATE, "hour": 2.0, "vendors": "[eesl]"})
    makers = np.array([sheet.maker for sheet in devices.types.sheets])[devices.fleet.kind]
    rows = np.concatenate([day_of(devices, after).rows for after in range(16)])
    assert np.array_equal(np.sort(rows), np.flatnonzero(makers == "eesl")), "everybody has one outcome"


def test_firmware_comes_day_by_day_and_to_some_never(people):
    devices = opened(people, {"command": "firmware", "day": DATE, "hour": 2.0})
    days = [day_of(devices, after) for after in range(16)]
    addressed = int((devices.fleet.hops > 0).sum())
    assert sum(len(day.rows) for day in days) == addressed
    taken = [int((day.result[0] != NOT_REACHED).sum()) for day in days]
    params = devices.types.params(FirmwareParams, "firmware")
    p, never = (
        column[devices.fleet.kind[devices.fleet.hops > 0]] for column in (params.daily_success, params.never_share)
    )
    for after in (0, 1):
        chance = (1 - never) * p * (1 - p) ** after
        assert abs(taken[after] - chance.sum()) < 4.9 * np.sqrt((chance * (1 - chance)).sum()) + 1
    assert near_share(sum(int((day.result[0] == NOT_REACHED).sum()) for day in days), addressed, float(never.mean()))
    (codes,) = {code for _, _, code, _ in devices.commands.events(0, days[0])}
    assert codes == NEW_FIRMWARE


def test_switches_come_back_from_a_checkpoint(people):
    command = {"command": "disconnect", "day": DATE, "hour": 11.0}
    one, two = opened(people, command), opened(people, command)
    day_of(one)
    two.restore(one.arrays())
    for mine, other in zip(one.commands.relays.state, two.commands.relays.state, strict=True):
        assert mine.dtype == other.dtype
        assert np.array_equal(mine, other)
    assert np.array_equal(day_of(one, 1).off_from_h, day_of(two, 1).off_from_h)


def test_rows_of_the_table_say_what_happened(people):
    devices = opened(people, {"command": "ping", "day": DATE, "hour": 3.0})
    day = day_of(devices)
    rows = devices.commands.table(3, 1, day).to_pandas()
    assert len(rows) == len(day.rows)
    assert set(rows.result) <= set(RESULTS)
    assert np.array_equal(rows.executed.notna(), rows.result == "executed")
    assert rows.issued.dt.hour.eq(3).all()
    assert not devices.commands.events(0, day), "a ping leaves no trace in a meter"


def test_commands_need_devices():
    with pytest.raises(ScenarioError, match="set `devices: true`"):
        load_scenario(TINY, ("meters.commands=[{command: ping, day: 2026-06-09, hour: 1.0}]",))


def test_commands_that_leave_at_once_stand_in_line_at_their_gateways(people):
    """Without a queue at the head-end, jitter and latency the k-th of a gateway waits (k - 1) / rate."""
    devices = opened(people)
    rate = 4.0
    shown = devices.params.communication
    types = len(devices.types)
    quick = shown._replace(
        latency_first_s=np.full(types, 1e-6), latency_hop_s=np.zeros(types), gateway_mtbf_days=np.full(types, 1e12),
        sends=np.where(shown.sends > 0, 400.0, 0.0), gateway_messages_per_s=np.full(types, rate),
    )  # fmt: skip
    devices.params = devices.params._replace(communication=quick)
    ping = {"command": "ping", "day": DATE, "hour": 3.0, "within_h": 0.01}
    wanted = load_scenario(TINY, (f"meters.commands=[{{{', '.join(f'{k}: {v}' for k, v in ping.items())}}}]",
                                  "meters.devices=true")).meters.commands  # fmt: skip
    devices.relays = Relays(devices, 1)
    day = Commands(devices, wanted, devices.relays).prepare(DATE)
    gateway = devices.gateways(day.rows)
    late = 3600.0 * (day.done_h - day.issued_h)
    checked = 0
    for name in np.unique(gateway):
        mine = np.sort(late[(gateway == name) & np.isfinite(day.done_h)])
        assert np.allclose(mine, np.arange(len(mine)) / rate, atol=2e-3), (
            "a second is a part of 1e8 of the hour's number"
        )
        checked += len(mine) > 10
    assert checked > 5
