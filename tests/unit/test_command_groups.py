"""Whom commands address (makers, categories, districts, firmware, keys), and what queues make of many of them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.meter_cases import IDS, near_share
from tests.planning_day import planned_state
from tests.runs import TINY
from tests.unit.test_meter_commands import DATE, day_of, opened
from tests.unit.test_meter_devices import population
from twin.demand.weather import day_number
from twin.errors import ScenarioError
from twin.grid.tables import districts
from twin.meters.commands import deliver, draw_addressed
from twin.meters.communication import NO_BREAKDOWN, CommunicationParams, days_in_a_row
from twin.meters.datasheets import catalogue
from twin.meters.firmware import FirmwareParams, draw_bricked, draw_older
from twin.meters.keys import OWN, lots
from twin.scenario import load_scenario
from twin.scenario.names import category_names
from twin.simulation.addressing import check_keys
from twin.simulation.meter_commands import BRICKED, EXECUTED
from twin.simulation.population import Population

SHARED = ("meters.vendors=shared_key",)
KEY = "{vendor: shared_key, installed: 2024-08-15}"


@pytest.fixture(scope="module")
def people() -> Population:
    return population(planned_state(1), 8)


def addressed(devices, days: int = 1, campaign: int = 0):
    parts = [day_of(devices, after) for after in range(days)]
    return np.sort(np.concatenate([day.rows[day.campaign == campaign] for day in parts]))


def test_a_command_goes_to_all_of_its_categories_and_districts_and_to_nobody_else(people):
    here = [districts()[code].name for code in np.unique(people.consumers.district)]
    devices = opened(
        people,
        {"command": "ping", "day": DATE, "hour": 1.0, "categories": "[ds1]"},
        {"command": "ping", "day": DATE, "hour": 1.0, "districts": f"[{here[0]}]"},
    )
    smart = devices.fleet.hops > 0
    ds1 = people.consumers.category == category_names().index("ds1")
    first = people.consumers.district == np.unique(people.consumers.district)[0]
    assert 0 < (smart & ds1).sum() < smart.sum()
    assert np.array_equal(addressed(devices, 2), np.flatnonzero(smart & ds1))
    assert np.array_equal(addressed(devices, 2, 1), np.flatnonzero(smart & first))


def test_a_stolen_key_opens_exactly_its_lot(people):
    theft = {"command": "disconnect", "day": DATE, "hour": 20.0, "key_of": KEY, "sender": "attacker"}
    devices = opened(people, theft, more=SHARED)
    put_up = devices.state.installed_day
    when = np.datetime64("2000-01-01") + put_up.astype("timedelta64[D]")
    lot = (when >= np.datetime64("2024-07-01")) & (when < np.datetime64("2025-01-01")) & (devices.fleet.hops > 0)
    sheets = np.array([sheet.maker for sheet in devices.types.sheets])[devices.fleet.kind]
    assert np.array_equal(addressed(devices, 2), np.flatnonzero(lot & (sheets == "shared_key")))
    assert near_share(lot.sum(), int((devices.fleet.hops > 0).sum()), 184 / (5 * 365.25)), "half a year of five"
    assert len(addressed(opened(people, theft), 2)) == 0, "no real maker's meters obey it"


def test_lots_are_half_years_and_a_maker_may_share_one_key_or_none():
    days = np.array([day_number(dt.date(*ymd)) for ymd in ((2024, 6, 30), (2024, 7, 1), (2024, 12, 31), (2025, 1, 1))])
    days = days.astype(np.int32)
    assert np.array_equal(np.diff(lots(days, np.full(4, 6.0))), [1, 0, 1])
    assert np.array_equal(np.diff(lots(days, np.full(4, 1.0))), [1, 5, 1])
    assert set(lots(days, np.full(4, 1200.0))) == {0}
    assert set(lots(days, np.zeros(4))) == {OWN}


def test_who_shares_no_key_cannot_lose_one():
    overrides = ("meters.devices=true", "meters.commands=[{command: ping, day: 2026-06-09, hour: 1.0, key_of: %s}]")
    good = load_scenario(TINY, (overrides[0], overrides[1] % KEY))
    check_keys(good)
    bad = load_scenario(TINY, (overrides[0], overrides[1] % KEY.replace("shared_key", "eesl")))
    with pytest.raises(ScenarioError, match=r"commands\[0\].key_of.vendor: 'eesl' is no maker.*shared_key"):
        check_keys(bad)


def test_an_attacker_needs_somebody_s_meters_and_waits_in_no_queue():
    def scenario(rest: str) -> None:
        command = f"{{command: disconnect, day: 2026-06-09, hour: 1.0, {rest}}}"
        load_scenario(TINY, ("meters.devices=true", f"meters.commands=[{command}]"))

    scenario(f"sender: attacker, key_of: {KEY}, jitter_s: 300.0")
    with pytest.raises(ScenarioError, match=r"commands\[0\].*nothing says whose meters.*add `key_of"):
        scenario("sender: attacker")
    with pytest.raises(ScenarioError, match=r"does not wait in the head-end's queue of 9 min.*jitter_s"):
        scenario("sender: attacker, firmware: older, queue_min: 9.0")
    with pytest.raises(ScenarioError, match=r"has `multiple`, which a `disconnect` does not take"):
        scenario("multiple: 0.5")
    with pytest.raises(ScenarioError, match=r"command 0 addresses firmware 'v2', which no earlier.*current, older"):
        scenario("firmware: v2")


def test_versions_move_with_those_whom_campaigns_reach(people):
    """Older ones are brought up on the first day, everybody but them gets v2 on the second, and v2 is pinged later."""
    later = [DATE + dt.timedelta(days=days) for days in range(4)]
    devices = opened(
        people,
        {"command": "ping", "day": later[3], "hour": 12.0, "firmware": "v2"},
        {"command": "firmware", "day": later[0], "hour": 2.0, "firmware": "older"},
        {"command": "firmware", "day": later[1], "hour": 2.0, "firmware": "current", "version": "v2"},
    )
    versions, start = devices.commands.versions, 24.0 * day_number(DATE)
    assert versions.names == ["older", "current", "v2"]
    smart = devices.fleet.hops > 0
    at_first = versions.at(start)
    params = devices.types.params(FirmwareParams, "firmware")
    p = params.older_share[devices.fleet.kind[smart]]
    assert abs((at_first[smart] == 0).sum() - p.sum()) < 4.9 * np.sqrt((p * (1 - p)).sum()) + 1
    evening = versions.at(start + 18.0)
    moved = smart & (at_first == 0) & (evening == 1)
    assert 0.8 < moved.sum() / (smart & (at_first == 0)).sum() < 1.0
    assert np.array_equal(evening[~moved], at_first[~moved])
    before = versions.at(start + 24.0 + 2.0)
    days = [day_of(devices, after) for after in range(16)]
    got = [np.sort(np.concatenate([day.rows[day.campaign == number] for day in days])) for number in range(3)]
    assert np.array_equal(got[1], np.flatnonzero(smart & (at_first == 0)))
    assert np.array_equal(got[2], np.flatnonzero(smart & (before == 1)))
    assert np.array_equal(got[0], np.flatnonzero(smart & (versions.at(start + 72.0 + 12.0) == 2)))
    assert 0.9 < len(got[0]) / len(got[2]) < 1.0
    table = devices.commands.versions.table(0, later[3]).to_pandas()
    lv = smart & (devices.place.feeder < len(people.feeders))
    assert table.meters.sum() == lv.sum()
    by_version = table.groupby("version").meters.sum()
    final = versions.at(start + 96.0)[lv]
    assert {name: int((final == i).sum()) for i, name in enumerate(versions.names)} == by_version.to_dict()
    assert 0 < (table.meters - table.working).sum() < 0.02 * lv.sum()


def test_a_bad_image_breaks_its_share_and_they_wait_for_new_meters(people):
    devices = opened(people, {"command": "firmware", "day": DATE, "hour": 2.0, "version": "v2", "bricks": 0.8})
    today = day_number(DATE)
    used = np.full((len(devices.fleet.ids), len(devices.stretches.zone_hours)), 1.0)
    registers = np.zeros((2, *used.shape))
    day = devices.advance(DATE, [used, used], registers, np.zeros(0, np.int64))
    commands = day.commands
    broken = commands.rows[commands.result[0] == BRICKED]
    taken = np.isin(commands.result[0], (BRICKED, EXECUTED)).sum()
    assert near_share(len(broken), int(taken), 0.8)
    assert day.devices.failed[broken].all()
    assert np.all(devices.state.swap_day[broken] > today)
    assert not registers[:, broken].any(), "a failure takes its whole day"
    assert np.isinf(day.devices.arrival_h[broken]).all()
    fine = commands.rows[commands.result[0] == EXECUTED]
    assert np.mean(devices.state.swap_day[fine] > today) < 0.01
    codes = devices.commands.events(0, commands)
    assert np.array_equal(np.sort(np.concatenate([ids for ids, *_ in codes])), np.sort(devices.fleet.ids[fine]))
    other = np.empty(len(IDS), bool)
    draws = [other.copy() for _ in range(2)]
    for number, out in enumerate(draws):
        draw_bricked(np.uint64(3), IDS, number, 0.3, out)
    assert near_share((draws[0] & draws[1]).sum(), len(IDS), 0.09), "the fault is the version's, not the meter's"
    draw_older(np.uint64(3), IDS, np.zeros(len(IDS), np.uint8), catalogue().params(FirmwareParams, "firmware"), other)
    assert near_share((draws[0] & other).sum(), len(IDS), 0.03)


def test_a_command_s_settings_are_set_and_swept_by_its_place_in_the_list():
    one, two = (f"{{command: ping, day: 2026-06-09, hour: {hour}}}" for hour in (1.0, 2.0))
    given = ("meters.devices=true", f"meters.commands=[{one}, {two}]", "meters.commands.0.hour=3.5")
    scenario = load_scenario(TINY, (*given, "sweep={meters.commands.1.share: [0.0, 0.5]}"))
    points = [point.meters.commands for _, point in scenario.points()]
    assert [[command.share for command in commands] for commands in points] == [[1.0, 0.0], [1.0, 0.5]]
    assert [command.hour for command in points[0]] == [3.5, 2.0]
    with pytest.raises(ScenarioError, match=r"sweep.*commands"):
        load_scenario(TINY, (*given, "sweep={meters.commands.2.share: [0.0, 0.5]}"))


def sent(campaign: int, ids, start_h: float, queue_h: float, jitter_s: float, within_h: float):
    """Way of a command to cellular meters, each with a good link; hours of leaving and of arrival."""
    n = len(ids)
    code = catalogue().code("eesl", "single_phase")
    params = catalogue().params(CommunicationParams, "communication")
    issued, reached = np.empty(n), np.empty(n)
    deliver(
        np.uint64(3), ids, ids // 800, np.full(n, code, np.uint8), np.full(n, 0.97, np.float32), np.ones(n, np.uint8),
        params, NO_BREAKDOWN, campaign, start_h, queue_h, jitter_s, within_h, days_in_a_row(0, []),
        np.zeros(n, np.int32), issued, np.empty(n), reached,
    )  # fmt: skip
    return issued, reached


def steepest_per_s(reached_h, start_h: float, seconds: float = 400.0) -> float:
    times_s = (reached_h[np.isfinite(reached_h)] - start_h) * 3600.0
    return float(np.histogram(times_s, bins=np.arange(0.0, seconds, 1.0))[0].max())


def test_without_jitter_an_attacker_s_command_is_a_step_and_jitter_flattens_it_tenfold():
    start = 24.0 * day_number(DATE) + 20.0
    _, step = sent(0, IDS, start, 0.0, 0.0, 0.5)
    _, spread = sent(0, IDS, start, 0.0, 300.0, 0.5)
    reached = np.isfinite(step)
    assert np.mean(reached) > 0.95
    assert np.mean((step[reached] - start) * 3600.0 < 5.0) > 0.99, "seconds of latency are all that spreads it"
    assert steepest_per_s(step, start) >= 10.0 * steepest_per_s(spread, start)
    assert np.array_equal(np.isfinite(spread), reached), "jitter loses nobody"
    assert (spread[reached] - step[reached]).max() * 3600.0 <= 300.0
    _, queued = sent(0, IDS, start, len(IDS) / 500.0 / 3600.0, 0.0, 0.5)
    rate = steepest_per_s(queued, start)
    assert rate < 500.0 + 4.9 * np.sqrt(500.0) + 20.0, "a head-end's rate is its limit"


def test_the_12th_of_august_2020_opens_within_minutes_and_is_over_in_three_hours():
    """Uttar Pradesh: over 300,000 of about 1.1 million meters opened by one faulty command, repaired in about 3 h."""
    ids = np.arange(1_100_000, dtype=np.int64)
    hit = np.empty(len(ids), bool)
    draw_addressed(np.uint64(3), ids, 0, 300 / 1100, hit)
    assert near_share(hit.sum(), len(ids), 300 / 1100)
    mine, start = ids[hit], 24.0 * day_number(DATE) + 12.0
    rate_per_s, found_h = 1000.0, 0.75
    queue_h = len(mine) / rate_per_s / 3600.0
    _, off = sent(0, mine, start, queue_h, 0.0, 24.0)
    _, on = sent(1, mine, start + found_h, queue_h, 0.0, 24.0)

    def open_at(hour: float) -> float:
        opened_by, closed_by = off <= start + hour, (on <= start + hour) & (on > off)
        return float(np.sum(opened_by & ~closed_by)) / len(ids)

    assert open_at(10 / 60) > 0.95 * 300 / 1100
    assert open_at(found_h) > 0.95 * 300 / 1100
    assert 0.0 < open_at(found_h + queue_h + 0.1) < 0.02, "those whose network is down wait for the next try"
    assert open_at(3.0) < 0.005
