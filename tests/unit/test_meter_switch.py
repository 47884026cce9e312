"""Models M6, M7, M8 and M12: last gasps, switches, load limits, campaigns and command queues."""

import numpy as np
import pytest

from tests.meter_cases import IDS, near_mean, near_share
from twin.meters.datasheets import catalogue
from twin.meters.firmware import NEVER, FirmwareParams, campaign_days, transfer_s, transfers_s
from twin.meters.gasp import GaspParams, arrives, delivery
from twin.meters.load_limit import (
    BEGINS,
    ENDS,
    LOCKED,
    LimitChanges,
    LoadLimitParams,
    above_limit,
    cut_load,
    idle,
    limit_load,
    no_changes,
    room,
)
from twin.meters.relay import (
    CLOSED,
    HEALTHY,
    OPEN,
    STUCK_OPEN,
    WELDED,
    RelayParams,
    RelayState,
    fault_probability,
    operate,
    wear,
)

KIND = catalogue().names.index("genus.single_phase")
RELAY = catalogue().params(RelayParams, "relay")
LIMIT = catalogue().params(LoadLimitParams, "load_limit")
DAY_S = 86_400


def switches(n, cycles=0):
    return RelayState(np.full(n, CLOSED, np.uint8), np.zeros(n, np.uint8), np.full(n, cycles, np.uint32))


def order(state, wanted, params=RELAY, ids=IDS, overload=False):
    n, done = len(ids), np.empty(len(ids), bool)
    operate(7, ids, np.full(n, KIND, np.uint8), np.full(n, wanted, np.uint8), np.full(n, overload), params, state, done)
    return done


def test_operations_are_counted_and_a_standing_switch_does_not_move():
    sure = RELAY._replace(fault_probability=np.zeros(len(catalogue())))
    state = switches(len(IDS))
    assert order(state, CLOSED, sure).all()
    assert not state.cycles.any()
    for k in range(6):
        assert order(state, OPEN if k % 2 == 0 else CLOSED, sure).all()
    assert np.all(state.cycles == 6)


@pytest.mark.parametrize("cycles", [0, 3000, 9000])
def test_faults_grow_with_wear_and_split_into_welded_and_stuck(cycles):
    params = RELAY._replace(fault_probability=np.full(len(catalogue()), 0.002))
    state = switches(len(IDS), cycles)
    done = order(state, OPEN, params)
    p = fault_probability(0.002, cycles, 3000.0)
    assert p == pytest.approx(0.002 * (1 + (cycles / 3000) ** 2))
    welded, stuck = np.sum(state.health == WELDED), np.sum(state.health == STUCK_OPEN)
    assert near_share(welded + stuck, len(IDS), p)
    assert near_share(welded, len(IDS), p * RELAY.weld_share[KIND])
    assert np.array_equal(~done, state.health == WELDED), "welded switches still let load flow; stuck ones are open"


def test_a_broken_switch_never_moves_again():
    state = switches(3)
    state.health[:] = [HEALTHY, WELDED, STUCK_OPEN]
    state.position[:] = [CLOSED, CLOSED, OPEN]
    assert order(state, OPEN, ids=IDS[:3]).tolist() == [True, False, True]
    assert order(state, CLOSED, ids=IDS[:3]).tolist() == [True, True, False]
    assert state.cycles.tolist() == [2, 0, 0]


def test_switches_that_chatter_break_as_often_as_their_operations_say():
    """3,000 operations, 19 days of the facts' constant overload."""
    params = RELAY._replace(fault_probability=np.full(len(catalogue()), 5e-5))
    ids, n = IDS[:20_000], 3000
    state, kind = switches(len(ids)), np.full(len(ids), KIND, np.uint8)
    wear(7, ids, kind, np.full(len(ids), n), params, state)
    chance = 1 - np.prod([1 - fault_probability(5e-5, c, 3000.0) for c in range(n)])
    assert near_share(np.sum(state.health != HEALTHY), len(ids), chance)
    assert np.all(state.cycles[state.health == HEALTHY] == n)
    assert np.all(state.cycles[state.health != HEALTHY] <= n)
    assert np.array_equal(state.position == OPEN, state.health == STUCK_OPEN)
    one, two = switches(len(ids)), switches(len(ids))
    wear(7, ids, kind, np.full(len(ids), 2), params, one)
    order(two, OPEN, params, ids)
    order(two, CLOSED, params, ids)
    assert np.array_equal(one.health, two.health), "whoever moves it"


def test_closing_onto_overload_welds_some():
    sure = RELAY._replace(fault_probability=np.zeros(len(catalogue())))
    state = switches(len(IDS))
    state.position[:] = OPEN
    assert order(state, CLOSED, sure, overload=True).all()
    assert near_share(np.sum(state.health == WELDED), len(IDS), RELAY.weld_on_overload[KIND])


def test_meters_without_a_switch_ignore_commands():
    state, done = switches(1), np.empty(1, bool)
    static = np.array([catalogue().names.index("static.single_phase")], np.uint8)
    operate(7, IDS[:1], static, np.array([OPEN], np.uint8), np.array([False]), RELAY, state, done)
    assert not done[0]
    assert state.position[0] == CLOSED


def limited(demand, limit=2.0, step_s=30.0, state=None, kind=KIND, changes=None):
    demand = np.atleast_2d(np.asarray(demand, np.float32))
    n, state = len(demand), idle(len(demand)) if state is None else state
    day = room(*demand.shape)
    timers = np.full(n, kind)
    limit_load(demand, np.arange(n), np.full(n, limit), timers, step_s, LIMIT, changes or no_changes(n), state, day)
    served = demand.copy()
    cut_load(served, np.arange(n), day.open_share)
    return served, day.opened, state, day


def test_a_constant_overload_chatters_as_the_formula_says():
    t1, t2, n, t3 = (getattr(LIMIT, name)[KIND] for name in ("persistence_s", "retry_s", "tries", "lockout_s"))
    cycle = (n + 1) * t1 + n * t2 + t3
    served, opened, _, _ = limited(np.full(int(30 * cycle / 30.0), 3.0))
    assert opened[0] == 30 * (n + 1)
    assert served.mean() == pytest.approx(3.0 * (n + 1) * t1 / cycle)
    assert (n + 1) * DAY_S / cycle == pytest.approx(160, rel=0.12), "the facts reckon about 160 a day"
    long_steps, openings, _, _ = limited(np.full(int(30 * cycle / 900.0), 3.0), step_s=900.0)
    assert openings[0] == 30 * (n + 1)
    assert long_steps.mean() == pytest.approx(served.mean(), rel=1e-6), "the length of a step changes nothing"


def second_by_second(above, params):
    """What a switch does, written as a clock would tell it: open or closed in each second, and its openings."""
    is_open, opened, open_for, over, calm, tries, locked = [], 0, 0, 0, 0, 0, False
    for now in above:
        if open_for > 0:
            is_open.append(True)
            open_for -= 1
            continue
        is_open.append(False)
        over, calm = (over + 1, 0) if now else (0, calm + 1)
        tries = 0 if calm >= params["calm_s"] else tries
        if over == params["persistence_s"]:
            opened, tries, over = opened + 1, tries + 1, 0
            locked = tries > params["tries"]
            open_for = params["lockout_s"] if locked else params["retry_s"]
            tries = 0 if locked else tries
    return np.array(is_open), opened


def test_a_new_limit_closes_the_switch_and_counts_from_its_step():
    """Three sorts of meters under a steady 3 kW: limited from the 20th step on, until it, and raised."""
    step_s, steps, at = 900.0, 40, 20
    free, low = np.inf, 2.0
    changes = LimitChanges(np.arange(4), np.full(3, at), np.array([low, free, 4.0]), np.full(3, KIND))
    demand, start = np.full((3, steps), 3.0, np.float32), np.array([free, low, low])
    state, day = idle(3), room(3, steps)
    limit_load(demand, np.arange(3), start, np.full(3, KIND), step_s, LIMIT, changes, state, day)
    all_day = limited(np.full((1, steps), 3.0), low, step_s)[3].open_share[0]
    assert not day.open_share[0, :at].any()
    assert np.array_equal(day.open_share[0, at:], all_day[: steps - at]), "as if the day began with it"
    assert np.array_equal(day.open_share[1, :at], all_day[:at])
    assert not day.open_share[1:, at:].any()
    assert list(day.episode[1, :at]).count(BEGINS) == 1
    assert list(day.episode[1, at:]).count(ENDS) == 1, "half an hour of calm ends it"
    assert state.mode[1] == 0
    late = LimitChanges(np.array([0, 1]), np.array([steps]), np.array([low]), np.array([KIND]))
    end, quiet = idle(1), room(1, steps)
    end.mode[:], end.above_s[:] = LOCKED, LIMIT.lockout_s[KIND] - 1.0
    limit_load(demand[:1], np.arange(1), start[:1], np.full(1, KIND), step_s, LIMIT, late, end, quiet)
    assert quiet.open_share[0, 0] == pytest.approx(1.0 / step_s)
    assert not quiet.open_share[0, 1:].any(), "rounded to midnight it holds tomorrow"


def test_a_day_with_a_new_limit_is_two_parts_of_a_day_with_a_closed_switch_between():
    rng = np.random.default_rng(8)
    n, steps = 40, 48
    demand = rng.choice([1.0, 2.5, 5.0], size=(n, steps)).astype(np.float32)
    at, low, high = rng.integers(0, steps + 1, n), np.full(n, 2.0), rng.choice([1.5, 4.0, np.inf], n)
    timers = np.full(n, KIND)
    both, day = idle(n), room(n, steps)
    changes = LimitChanges(np.arange(n + 1), at, high, timers)
    limit_load(demand, np.arange(n), low, timers, 900.0, LIMIT, changes, both, day)
    for i in range(n):
        state, row = idle(1), np.arange(1)
        parts = [room(1, int(at[i])), room(1, steps - int(at[i]))]
        for part, limit, kw in zip(parts, (low, high), np.split(demand[i : i + 1], [at[i]], axis=1), strict=True):
            wanted = np.ascontiguousarray(kw)
            limit_load(wanted, row, limit[i : i + 1], timers[:1], 900.0, LIMIT, no_changes(1), state, part)
            if part is parts[0]:
                state.mode[0], state.tries[0], state.above_s[0] = 0, 0, 0.0
        assert np.array_equal(day.open_share[i], np.hstack([part.open_share[0] for part in parts]))
        assert day.opened[i] == sum(part.opened[0] for part in parts)
        assert [column[i] for column in both] == [column[0] for column in state]
    assert day.opened.sum() > 100


def test_steps_of_a_quarter_hour_are_exactly_the_sum_of_their_seconds():
    params = {name: int(getattr(LIMIT, name)[KIND]) for name in LIMIT._fields}
    demand = np.random.default_rng(8).choice([1.0, 2.5], size=(6, 48), p=[0.5, 0.5])
    served, opened, state, day = limited(demand, step_s=900.0)
    for i, row in enumerate(demand):
        is_open, openings = second_by_second(np.repeat(row > 2.0, 900), params)
        assert np.allclose(day.open_share[i], is_open.reshape(-1, 900).mean(axis=1), atol=1e-7)
        assert opened[i] == openings
        assert served[i].sum() + (row * day.open_share[i]).sum() == pytest.approx(row.sum(), rel=1e-6)
    assert opened.min() > 4
    halves = limited(demand[:, :24], step_s=900.0)
    later = limited(demand[:, 24:], step_s=900.0, state=halves[2])
    assert np.array_equal(np.hstack([halves[3].open_share, later[3].open_share]), day.open_share)
    for name, column in zip(state._fields, later[2], strict=True):
        assert np.array_equal(column, getattr(state, name)), name


def test_below_the_limit_nothing_happens_and_short_peaks_pass():
    assert limited(np.full(2880, 1.99))[1][0] == 0
    spikes = np.where(np.arange(2880) % 4 == 0, 9.0, 0.5).astype(np.float32)
    served, opened, _, _ = limited(spikes)
    assert opened[0] == 0
    assert np.array_equal(served[0], spikes)
    near = np.empty(2, bool)
    above_limit(np.array([[1.0, 2.0], [1.0, 2.5]], np.float32), 2, np.array([2.0, 2.0]), near)
    assert near.tolist() == [False, True]
    above_limit(np.array([[9.0, 2.0], [1.0, 2.5]], np.float32), 1, np.array([np.inf, 2.0]), near)
    assert near.tolist() == [False, False]


def test_calm_forgets_attempts_and_ends_the_episode():
    one_trip, calm = np.full(2, 3.0), np.zeros(4 + 61)
    _, opened, state, day = limited(np.tile(np.concatenate([one_trip, calm]), 10))
    assert opened[0] == 10
    assert state.mode[0] != 2, "never locked out: each attempt is forgotten after half an hour of calm"
    begins, ends = np.flatnonzero(day.episode[0] == BEGINS), np.flatnonzero(day.episode[0] == ENDS)
    assert len(begins) == len(ends) == 10, "every occurrence has its restoration"
    assert np.all(ends > begins)
    assert np.all(begins[1:] > ends[:-1])
    chatter = limited(np.full(2880, 3.0))[3]
    assert (chatter.episode == BEGINS).sum() == 1, "a long overload is one episode"
    assert not (chatter.episode == ENDS).any()


def test_a_lone_gasp_arrives_and_a_crowd_s_does_not():
    hold, frame, sends, window = (column[KIND] for column in catalogue().params(GaspParams, "last_gasp"))
    assert delivery(hold, frame, sends, window, 1, 1.0, 1) == pytest.approx(hold * np.exp(-2 * sends * frame / window))
    chances = [delivery(hold, frame, sends, window, n, 1.0, 1) for n in (1, 10, 100, 1000, 10_000)]
    assert all(a > b for a, b in zip(chances, chances[1:], strict=False))
    assert chances[-1] < 1e-6
    through = [n * delivery(1.0, frame, sends, window, n, 1.0, 1) for n in range(1, 2000)]
    assert np.argmax(through) + 1 == pytest.approx(window / (2 * sends * frame), abs=1), "most get through at 2 G = 1"
    assert delivery(hold, frame, sends, window, 10, 0.0, 2) == 0.0
    hits = sum(arrives(3, int(i), 12, 0.35) for i in IDS)
    assert near_share(hits, len(IDS), 0.35)


def test_what_gets_through_of_a_crowd_falls_with_its_size_and_with_its_sends():
    """A lone meter's chance is hold; half of it is left at ``ln 2 W / (2 k tau)`` meters, and all that gets through
    together is at most ``W / (2 e k tau)`` messages, however many are dark.
    """
    frame, window = 0.02, 20.0
    assert delivery(0.8, 1e-9, 2.0, window, 1, 1.0, 1) == pytest.approx(0.8)
    for sends in (1.0, 2.0, 4.0):
        half = np.log(2) * window / (2 * sends * frame)
        assert delivery(0.8, frame, sends, window, half, 1.0, 1) == pytest.approx(0.4)
        crowd = np.arange(1, 5000)
        through = crowd * np.array([delivery(1.0, frame, sends, window, float(n), 1.0, 1) for n in crowd])
        assert through.max() == pytest.approx(window / (2 * np.e * sends * frame), rel=1e-3)
    assert delivery(0.8, frame, 2.0, window, 50, 0.5, 3) == pytest.approx(
        0.25 * delivery(0.8, frame, 2.0, window, 50, 1.0, 3)
    )


def test_a_campaign_reaches_its_shares():
    params = catalogue().params(FirmwareParams, "firmware")
    days = campaign_days(3, IDS, np.full(len(IDS), KIND, np.uint8), 1, params)
    p, never = params.daily_success[KIND], params.never_share[KIND]
    for day in (0, 1, 3):
        assert near_share(np.sum(days <= day), len(IDS), (1 - never) * (1 - (1 - p) ** (day + 1)))
    assert near_share(np.sum(days == NEVER), len(IDS), never)
    other = campaign_days(3, IDS, np.full(len(IDS), KIND, np.uint8), 2, params)
    assert near_share(np.sum((days == NEVER) & (other == NEVER)), len(IDS), never**2)


def test_an_image_takes_a_quarter_of_an_hour():
    assert transfer_s(300.0, 200.0, 0.6, 1.0) == pytest.approx(900.0)
    assert transfer_s(300.0, 200.0, 0.6, 0.25) == pytest.approx(225.0)


def test_later_tries_send_only_the_blocks_that_are_missing():
    params, failures = catalogue().params(FirmwareParams, "firmware"), (np.arange(len(IDS)) % 2).astype(np.int32)
    sent = transfers_s(3, IDS, np.full(len(IDS), KIND, np.uint8), 1, failures, params)
    whole = transfer_s(params.image_kb[KIND], params.block_bytes[KIND], params.block_s[KIND], 1.0)
    assert set(sent[failures == 0]) == {whole}
    later = sent[failures == 1]
    assert later.max() <= whole
    blocks = later / params.block_s[KIND]
    assert np.allclose(blocks, np.rint(blocks)), "whole blocks"
    half_a_block = 0.5 * params.block_s[KIND]
    assert near_mean(later - half_a_block, 0.5 * whole, whole / np.sqrt(12))
