"""Prepaid wallets in a run: who is cut when, what relays make of it, debits by the bill, restarts."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tests.meter_cases import near_share
from tests.planning_day import planned_state
from tests.prepaid_cases import ALL_SMART, MAY_2025, OUTAGE, Village
from tests.runs import TINY
from tests.unit.test_meter_devices import population
from twin.economics.billing import bill_window, whole_month
from twin.economics.wallets import CONNECTED
from twin.errors import ScenarioError
from twin.meters.relay import CLOSED, OPEN, STUCK_OPEN, WELDED
from twin.results.storage import Storage
from twin.scenario import load_scenario
from twin.simulation.checkpoint import WALLETS, read_meters, write_meters
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.meter_state import MeterState
from twin.simulation.population import Population
from twin.simulation.prepaid import Wallets
from twin.simulation.response import rows_of

MONDAY = dt.date(2025, 5, 19)
STEP_MIN = 15


@pytest.fixture(scope="module")
def people() -> Population:
    return population(planned_state(1), 3)


@pytest.fixture(scope="module")
def may(people):
    """A month with two weeks without debits, day by day: cut, openings in minutes, off at the day's start."""
    village = Village(people, f"meters.prepaid={{debit_outage: {OUTAGE}}}")
    days = {}
    for date, switches in village.live():
        day = village.wallets.prepare(date)[0]
        days[date] = (day.wallets.opened_minute.copy(), switches.off_from[0].copy(), switches.off_until[0].copy(), day)
    return village, days


def test_a_share_of_smart_meters_in_categories_that_pay_in_advance_is_prepaid(people):
    village = Village(people, "meters.prepaid={share: 0.6}")
    consumers, rows = people.consumers, village.wallets.rows
    may_be = Village(people, "meters.prepaid={share: 1.0}").wallets.rows
    assert set(rows) < set(may_be)
    assert near_share(len(rows), len(may_be), 0.6)
    assert not np.isin(np.arange(people.ht.start, people.ht.stop), may_be).any()
    assert np.unique(consumers.category[may_be]).size > 2


def test_nobody_is_cut_outside_the_allowed_hours_and_days(may):
    _, days = may
    cut = 0
    for date, (minute, off_from, off_until, _) in days.items():
        mine = minute >= 0
        cut += mine.sum()
        assert np.all((minute[mine] >= 11 * 60) & (minute[mine] < 17 * 60 + 30))
        begins = off_from[(off_until > off_from) & (off_from > 0)] * STEP_MIN
        assert np.all((begins >= 11 * 60) & (begins <= 12 * 60)), "the queue of an hour"
        if date.weekday() == 6 or dt.date(2025, 5, 2) <= date < MONDAY:
            assert not mine.any()
    assert cut > 100


def test_two_weeks_without_debits_make_one_large_monday(may):
    _, days = may
    cut = {date: int((minute >= 0).sum()) for date, (minute, *_) in days.items()}
    usual = [n for date, n in cut.items() if date > MONDAY + dt.timedelta(days=3) and date.weekday() != 6]
    assert cut[MONDAY] > 4 * max(usual) > 0
    debits = {date: int(day.wallets.debit_paise.sum()) for date, (*_, day) in days.items()}
    assert not any(debits[dt.date(2025, 5, d)] for d in range(2, 16))
    assert debits[dt.date(2025, 5, 16)] > 12 * debits[MONDAY]


def test_without_an_outage_there_is_no_such_monday(people):
    village = Village(people)
    cut = {date: int((village.wallets.prepare(date)[0].wallets.opened_minute >= 0).sum()) for date, _ in village.live()}
    # a Monday has Sunday's cuts to make up for, no more
    assert cut[MONDAY] < 4 * np.mean([cut[MONDAY + dt.timedelta(days=k)] for k in (1, 2, 3, 4, 5)])


def test_debits_are_the_bill_to_the_paisa(people):
    """A window over a month's end, from the 20th: bills as table ``bills`` reckons them."""
    village = Village(people, "time.start=2025-05-20", "time.days=20")
    debited = np.zeros_like(village.wallets.balance)
    start = village.wallets.balance.copy()
    recharged = np.zeros_like(start)
    wallets = village.wallets
    columns = rows_of(people.consumers.bill_columns(village.world.smart), wallets.rows)
    for date, _ in village.live():
        for arm, day in enumerate(wallets.prepare(date)):
            debited[arm] += day.wallets.debit_paise
            recharged[arm] += day.wallets.recharge_paise
    for arm in (0, 1):
        may_period, june = village.periods[0][arm], village.periods[1][arm]
        for period in (may_period, june):
            np.testing.assert_array_equal(period.balance - period.held, period.start + period.recharged - period.billed)
        np.testing.assert_array_equal(june.start, may_period.balance - may_period.held)
        np.testing.assert_array_equal(may_period.start, start[arm])
        np.testing.assert_array_equal(may_period.recharged + june.recharged, recharged[arm])
        np.testing.assert_array_equal(debited[arm] + june.held, may_period.billed + june.billed)
        n = len(wallets.rows)
        end = village.meters.end_wh(village.world, arm, slice(None))[wallets.rows]
        nothing = np.zeros_like(end)
        rates = village.world.plan.rates(arm, dt.date(2025, 6, 8))
        by_hand = bill_window(rates, columns, nothing, whole_month(n, 0, 30), end, whole_month(n, 8, 30)).total
        np.testing.assert_array_equal(june.billed, by_hand)
        assert by_hand.sum() > 0
        assert np.mean(june.held != 0) > 0.9, "the last day waits for the next morning"


def test_a_restart_from_a_checkpoint_changes_nothing(people, tmp_path):
    village = Village(people, "time.days=8")
    for _ in village.live(5):
        pass
    storage, ids = Storage(str(tmp_path)), people.consumers.consumer_id
    wallets, meters = village.wallets, village.meters
    files = [write_meters(storage, "checkpoints/one", ids, meters.arrays())]
    files.append(write_meters(storage, "checkpoints/one-wallets", wallets.ids, {"wallets": wallets.array()}, WALLETS))
    again = Village(people, "time.days=8")
    devices = MeterDevices(again.world)
    restored = MeterState.restore(again.world.plan, read_meters(storage, files, ids), devices)
    restored.wallets = Wallets(again.world, restored)
    restored.wallets.restore(read_meters(storage, files, wallets.ids, WALLETS)["wallets"])
    again.meters, again.devices, again.wallets = restored, devices, restored.wallets
    for (_, mine), (_, other) in zip(village.live(first=5), again.live(first=5), strict=True):
        np.testing.assert_array_equal(mine.off_from, other.off_from)
        np.testing.assert_array_equal(mine.off_until, other.off_until)
    np.testing.assert_array_equal(wallets.array(), again.wallets.array())
    np.testing.assert_array_equal(meters.arrays()["relays"], restored.arrays()["relays"])
    assert (wallets.off_since != CONNECTED).any()


def test_wallets_do_not_hang_on_the_cut_into_shards(people):
    whole, part = Village(people, "time.days=6"), Village(population(planned_state(1), 2, skip=1), "time.days=6")
    common = np.isin(whole.wallets.ids, part.wallets.ids)
    np.testing.assert_array_equal(whole.wallets.ids[common], part.wallets.ids)
    assert 0 < common.sum() < len(common)
    for (date, _), _ in zip(whole.live(), part.live(), strict=True):
        for mine, other in zip(whole.wallets.prepare(date), part.wallets.prepare(date), strict=True):
            np.testing.assert_array_equal(mine.wallets.opened_minute[common], other.wallets.opened_minute)
            np.testing.assert_array_equal(mine.evening_paise[common], other.evening_paise)


def test_asked_twice_a_day_is_the_same(people):
    village = Village(people, "time.days=3")
    first = village.switches(village.dates[0])
    before = village.wallets.array()
    assert village.switches(village.dates[0]) is first
    np.testing.assert_array_equal(before, village.wallets.array())


def test_a_welded_switch_goes_on_drawing_and_a_stuck_one_stays_off(people):
    village = Village(people, "time.days=6", "meters.prepaid={negative_share: 0.8}")
    wallets = village.wallets
    welded, stuck = wallets.rows[::2], wallets.rows[1::20]
    state = village.devices.relays.state
    state.health[0, welded] = WELDED
    off = np.zeros(len(village.used), bool)
    for number, (_, switches) in enumerate(village.live()):
        off |= switches.off_until[0] > switches.off_from[0]
        still = welded[state.health[0, welded] == WELDED]
        assert np.all(state.position[0, still] == CLOSED)
        assert not off[still].any()
        if number == 0:
            held = stuck[state.position[0, stuck] == OPEN]
            state.health[0, held] = STUCK_OPEN
        if number > 0:
            broken = held[state.health[0, held] == STUCK_OPEN]
            assert np.all((switches.off_from[0, broken] == 0) & (switches.off_until[0, broken] == 96))
        assert len(still) > 0.3 * len(welded), "crews need days"
    assert off[wallets.rows[1::2]].mean() > 0.5
    assert len(held) > 3
    assert (wallets.balance[0, np.isin(wallets.rows, welded)] < 0).any(), "in debt, and with supply"


def test_within_the_free_units_nobody_is_cut(people):
    """From August 2025: 125 kWh are free. A little use stays within them in ten days, much does not."""
    later = ("time.start=2025-09-01", "time.days=10", "meters.prepaid={negative_share: 0.8}")
    for use, some in ((0.001, False), (20.0, True)):
        village = Village(people, *later, use=use)
        homes = np.isin(village.wallets.columns.category, (0, 1, 2))
        cut = np.zeros(len(homes), bool)
        for date, _ in village.live():
            cut |= village.wallets.prepare(date)[0].wallets.opened_minute >= 0
        assert cut[~homes].any()
        assert cut[homes].any() == some


def test_a_campaign_reconnects_whom_wallets_cut_and_they_are_due_again(people):
    on = "meters.commands=[{command: connect, day: 2025-05-03, hour: 8.0}]"
    never = "meters.prepaid={negative_share: 0.8, recharge: {off_hazard: 0.0, low_hazard: 0.0}}"
    village = Village(people, on, never, "time.days=4")
    wallets, position = village.wallets, village.devices.relays.state.position
    held = np.zeros(0, np.int64)
    for date, switches in village.live():
        day = wallets.prepare(date)[0]
        if date.day == 2:
            held = wallets.rows[day.off]
            assert len(held) > 50
        if date.day == 3:
            reached = held[switches.off_until[0, held] != 96]
            again = np.isin(wallets.rows, held) & (day.wallets.opened_minute >= 0)
            assert again.sum() > 0.8 * len(held), "their relays closed, so that they open once more"
            assert len(reached) < 0.2 * len(held), "an interval holds both times without supply"
    assert np.all(position[0, wallets.rows[day.off]] == OPEN)


@pytest.mark.parametrize(
    ("text", "path", "what"),
    [
        ("prepaid: {}", "meters", "no devices"),
        ("devices: true, prepaid: {debit_outage: {from: 2025-05-15, to: 2025-05-02}}", "debit_outage", "before it"),
        ("devices: true, prepaid: {debit_outage: {from: 2025-05-02, to: 2025-05-15, cuts_from: 2025-05-10}}",
         "debit_outage", "cuts_from"),
        ("devices: true, prepaid: {debit_outage: {from: 2025-04-02, to: 2025-05-15}}", "", "not within the run"),
        ("devices: true, prepaid: {share: 1.5}", "share", "at most 1"),
        ("devices: true, prepaid: {recharges: {}}", "recharges", "no such setting"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_with_their_line(tmp_path, text, path, what):
    lines = TINY.read_text().replace("2026-06-09, days: 1", "2025-05-01, days: 31").splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    file = tmp_path / "case.yaml"
    file.write_text("\n".join([*lines, f"meters: {{{text}}}"]))
    with pytest.raises(ScenarioError) as caught:
        load_scenario(file)
    problem = caught.value.problems[0]
    assert path in problem.path
    assert what in problem.what.lower()
    assert problem.where.startswith(f"{file}:")


def test_defaults_are_the_data_packs_and_every_share_can_be_swept():
    overrides = ("meters.devices=true", *ALL_SMART, *MAY_2025, "meters.prepaid={}")
    prepaid = load_scenario(TINY, overrides).resolved()["meters"]["prepaid"]
    assert prepaid["share"] == pytest.approx(0.95)
    assert prepaid["recharge"]["off_hazard"] == pytest.approx(0.8)
    swept = load_scenario(TINY, (*overrides, "sweep={meters.prepaid.share: [0.1, 0.9]}"))
    assert [point.meters.prepaid.share for _, point in swept.points()] == [0.1, 0.9]
