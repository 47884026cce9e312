"""Interruptions of supply: the process by its own rates, shares and pick-up by hand, and the networks under them."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest

from tests.planning_day import planned_state
from tests.runs import TINY
from tests.unit.test_meter_devices import population
from tests.unit.test_tile_book import STEPS as LINE_STEPS
from tests.unit.test_tile_book import case as case  # noqa: PLC0414  # the fixture
from tests.unit.test_tile_book import kept, results, stiff_net
from twin.errors import ScenarioError
from twin.grid.strata import choose
from twin.outages.params import AREAS, RURAL, TRIP, URBAN, outage_params
from twin.outages.process import Places, Sky, days_back, feeder_multiples, interruptions
from twin.outages.shares import PickUp, count_day, day_supply, feeder_supply, merged
from twin.powerflow import radial
from twin.scenario import load_scenario
from twin.simulation.block import BlockSolver, BlockState
from twin.simulation.border import WIDE_LIMIT_PU
from twin.simulation.feeder_block import FeederSolver
from twin.simulation.messages import BlockQuestion, Q
from twin.simulation.meter_state import MeterState
from twin.simulation.plan import plans
from twin.simulation.replicate import open_world
from twin.simulation.supply import Outages

N, SEED, DAY, STEPS = 4000, 11, 9000, 96
LAW = PickUp(0.8, 0.7)
NO_STORM = np.nan


def places(area, *, relieved=False, n=N):
    ids, params = np.arange(n), outage_params()
    return Places(ids, np.full(n, area, np.uint8), np.zeros(n, np.int64), np.full(n, relieved),
                  feeder_multiples(SEED, ids, params))  # fmt: skip


def sky(level, params, day=DAY, month=4, storm_h=NO_STORM):
    back = days_back(level, params)
    return Sky(day, np.full(back + 1, month), np.full((back + 1, 1), storm_h))


def day_of(from_h, until_h, k=0.45, steps=STEPS):
    share, factor = np.empty(steps), np.empty(steps, np.float32)
    day_supply(np.array(from_h, float), np.array(until_h, float), k, LAW, share, factor)
    return share, factor


@pytest.mark.parametrize("area", [RURAL, URBAN])
def test_trips_are_as_frequent_as_their_rate_within_four_standard_errors(area):
    """Poisson by hour, 4 x 1.6 rates in 7 hours of the day; a feeder's multiple adds its own variance."""
    params = outage_params(causes=("trip",))
    where, count, days = places(area), 0, 40
    for day in range(DAY, DAY + days):
        found = interruptions("feeder", SEED, where, sky("feeder", params, day), params)
        count += int(((found.from_h >= 0) & (found.from_h < 24)).sum())
        assert set(found.cause) == {TRIP}
    hourly = np.full(24, params.trip_per_h[area])
    hourly[10:17] *= params.trip_day_multiple
    want = (1 - np.exp(-hourly[None, :] * where.multiple[:, None])).sum() * days
    assert abs(count - want) < 4 * math.sqrt(want)
    assert abs(where.multiple.mean() - 1) < 4 * params.feeder_cv / math.sqrt(N)


def test_a_storm_brings_trips_into_its_two_hours_only():
    params = outage_params(causes=("trip",))
    calm = interruptions("feeder", SEED, places(RURAL), sky("feeder", params), params)
    storm = interruptions("feeder", SEED, places(RURAL), sky("feeder", params, storm_h=18.0), params)
    begins = [np.bincount(found.from_h[(found.from_h >= 0) & (found.from_h < 24)].astype(int), minlength=24)
              for found in (calm, storm)]  # fmt: skip
    assert (begins[1][18:20] > 6 * begins[0][18:20]).all()
    assert np.array_equal(np.delete(begins[0], [18, 19]), np.delete(begins[1], [18, 19]))


@pytest.mark.parametrize("level", ["feeder", "substation", "dt"])
def test_any_day_can_be_asked_alone_and_tells_the_same_interruptions(level):
    params = outage_params(rate=3.0)
    today, tomorrow = (
        interruptions(level, SEED, places(RURAL, relieved=True), sky(level, params, day), params)
        for day in (DAY, DAY + 1)
    )
    lasting = today.until_h > 24.0 - params.tail_h + 1e-6
    later = tomorrow.from_h < -1e-9
    assert lasting.sum() > 20
    # Of those that a whole window back began, one may fall out of it; it is over before it matters.
    kept_from = today.from_h[lasting] - 24.0
    assert np.allclose(np.sort(kept_from), np.sort(tomorrow.from_h[later])[-len(kept_from) :], atol=1e-9)
    assert np.array_equal(today.place[lasting][np.argsort(kept_from)],
                          tomorrow.place[later][np.argsort(tomorrow.from_h[later])][-len(kept_from):])  # fmt: skip


def test_a_year_of_all_causes_has_the_published_hours_of_supply():
    """C36: 22 h in villages, 24 in towns; demand facts 8.6 test 21: 20.5 to 23 and 22.4 to 23.7; 7.4: SAIDI, SAIFI."""
    params, bounds = outage_params(), {RURAL: ((20.5, 23.0), (250, 500), (350, 700)),
                                       URBAN: ((22.4, 23.7), (100, 250), (100, 250))}  # fmt: skip
    for area, (hours, often, lost) in bounds.items():
        sums, days, n = np.zeros(4), 24, 1500
        for turn in range(days):
            levels = [
                interruptions(
                    level, SEED, places(area, relieved=area == RURAL, n=n),
                    sky(level, params, DAY + 15 * turn, turn // 2), params,
                )
                for level in ("feeder", "substation", "dt")
            ]  # fmt: skip
            columns = zip(*[(x.place, x.from_h, x.until_h) for x in levels], strict=True)
            times = merged(n, *(np.concatenate(column) for column in columns))
            for i in range(n):
                a, b = times.ptr[i], times.ptr[i + 1]
                sums += np.array(count_day(times.from_h[a:b], times.until_h[a:b], 5 / 60)) / n
        year = sums / days * 365
        assert hours[0] < 24 - year[3] / 365 < hours[1], AREAS[area]
        assert often[0] < year[0] + year[1] < often[1], AREAS[area]
        assert lost[0] < year[2] < lost[1], AREAS[area]


def test_shares_and_pick_up_are_exact_means_of_a_step():
    share, factor = day_of([9.1, 20.0], [11.2, 20.05])
    assert math.isclose((1 - share).sum() / 4, 2.1 + 0.05, rel_tol=1e-12)
    assert share[37] == 0.0
    assert math.isclose(share[36], 0.4)  # 9.0 to 9.1 of a quarter
    hours = np.linspace(11.5, 11.75, 20001)
    pick_up = 0.45 * (1 - math.exp(-2.1 / 0.8)) * np.exp(-(hours - 11.2) / 0.7)
    assert math.isclose(factor[46], 1 + np.trapezoid(pick_up, hours) / 0.25, rel_tol=1e-6)
    assert factor[38] == 0.0
    assert np.all(factor[:36] == 1.0)


def test_pick_up_after_two_hours_is_within_the_facts_ranges():
    """Demand facts 8.6, test 20: outage of 2 h at 21:00 in June: 1.1 to 1.2 rural, 1.3 to 1.55 urban, over in 2 h."""
    for k, low, high in ((0.20, 1.1, 1.2), (0.50, 1.3, 1.55)):
        _, factor = day_of([18.0], [20.0], k)
        assert low < factor[80] < high
        assert factor[88] < 1.05


def test_what_began_yesterday_counts_today_and_is_still_picked_up():
    share, factor = day_of([-3.0], [-0.5])
    assert share.min() == 1.0
    want = 1 + 0.45 * (1 - math.exp(-2.5 / 0.8)) * math.exp(-0.625 / 0.7)
    assert math.isclose(factor[0], want, rel_tol=1e-3)
    share, _ = day_of([-30.0], [50.0])
    assert not share.any()


def test_a_dt_lives_through_its_own_times_and_its_head_s():
    head = merged(1, np.array([0]), np.array([10.0]), np.array([12.0]))
    own = merged(1, np.array([0, 0]), np.array([11.0, 10.0]), np.array([14.0, 12.0]))
    share, factor = np.empty((3, 24)), np.empty((3, 24), np.float32)
    feeder_supply(head, 0, np.array([1]), own, 0, 0.0, LAW, share, factor)
    assert np.array_equal(np.flatnonzero(share[0] == 0), [10, 11])
    assert np.array_equal(np.flatnonzero(share[1] == 0), [10, 11, 12, 13])
    assert np.array_equal(share[0], share[2])
    assert np.array_equal(share.astype(np.float32), factor)


def test_counts_tell_short_interruptions_apart():
    counts = count_day(np.array([-1.0, 5.0, 23.0]), np.array([1.0, 5.05, 25.0]), 5 / 60)
    assert counts.interruptions == 1.0
    assert counts.momentary == 1.0
    assert math.isclose(counts.counted_h, 2.0)
    assert math.isclose(counts.off_h, 2.05)


def test_no_load_power_as_a_load_is_the_shunt_that_it_replaces(case):
    """Supplied throughout, a line is the same line."""
    book, net = kept(case.solve(1.0, tolerance=1e-7)[0]), stiff_net(case, r_pu=0.01)
    solver = FeederSolver([net], LINE_STEPS)
    plain = [column.copy() for column in solver.sweep_line(net, book, np.full(LINE_STEPS, 1.01))]
    ones = solver.sweep_line(net, book, np.full(LINE_STEPS, 1.01), np.ones((3, LINE_STEPS)))
    at = radial.RadialOut._fields.index
    assert np.allclose(ones.p_head_kw, plain[at("p_head_kw")], rtol=1e-9)
    assert np.allclose(ones.v_pu, plain[at("v_pu")], rtol=1e-8)
    assert results(net, book, ones)[4] < 1e-6


# A shard's day.


@pytest.fixture(scope="module")
def state():
    return planned_state(1)


@pytest.fixture(scope="module")
def people(state):
    return population(state, 3)


@pytest.fixture(scope="module")
def solver(people):
    return BlockSolver(people, STEPS)


def begin(state, people, solver, *settings):
    plan = plans(load_scenario(TINY, settings))[0]
    world = open_world(plan, 0, people)
    world.response.expected_day_kwh = world.expected_day_kwh(solver, plan.dates[0])
    if plan.scenario.outages is not None:
        world.outages = Outages(world, state, choose(state, "all", 1))
    month = np.zeros((len(people.consumers), plan.zones.n_zones))
    return BlockState.begin(world, MeterState.begin(plan, month), 0, solver)


def ask(solver, block):
    v = np.ones((2, len(solver.population.owned_pss), STEPS))
    return solver.solve(block, BlockQuestion(0, (0, 1), v, True, WIDE_LIMIT_PU))


@pytest.fixture(scope="module")
def solved(state, people, solver):
    """A day of many interruptions, and the same day without."""
    blocks = begin(state, people, solver, "outages={rate: 8}"), begin(state, people, solver)
    answers = [ask(solver, block) for block in blocks]
    return blocks, answers


def test_a_feeder_s_energy_is_what_is_supplied_and_picked_up(people, solver, solved):
    (block, plain), _ = solved
    touched = 0
    for position, part in enumerate(people.feeders):
        supply = block.supply_of(position, part)
        if supply is None:
            assert np.array_equal(block.arms[0].consumer_kwh[part.rows], plain.arms[0].consumer_kwh[part.rows])
            continue
        touched += 1
        kw = solver.draw(plain, part.rows)[:, :STEPS].astype(float)
        groups = np.repeat(supply.place, np.diff(supply.ptr))
        share, factor = supply.share[groups], supply.factor[groups]
        quantities = block.arms[0].quantities[:, position]
        assert np.allclose(quantities[Q.UNSERVED], (kw * (1 - share)).sum(axis=0), rtol=1e-6, atol=1e-9)
        change = quantities[Q.USED] / np.maximum(plain.arms[0].quantities[Q.USED, position], 1e-9)
        want = (kw * factor).sum(axis=0) / np.maximum(kw.sum(axis=0), 1e-9)
        assert np.allclose(change[kw.sum(axis=0) > 1], want[kw.sum(axis=0) > 1], atol=0.12), "but for the voltage"
        dead = ~share.any(axis=0)
        assert not quantities[[Q.P, Q.QVAR, Q.USED, Q.LOSS_DT, Q.LOSS_LV, Q.LOSS_11KV]][:, dead].any()
        assert np.array_equal(np.isnan(block.arms[0].v_min_pu[position]), dead)
    assert touched > 1


def test_the_ledger_closes_and_all_feeders_are_solved(solved):
    (block, _), _ = solved
    for arm in block.arms:
        assert not arm.all_failures
        assert arm.closure["11kv"] < 1e-6
        assert arm.closure["lv"] < 1e-5


def test_transformers_without_supply_tell_no_voltage_and_no_loss(people, solved):
    (block, plain), _ = solved
    losses = [arms[0].quantities[Q.LOSS_DT].sum() for arms in (block.arms, plain.arms)]
    assert losses[0] < losses[1]
    low = [block.arms[0].dt_day[5], plain.arms[0].dt_day[5]]
    finite = np.isfinite(low[0])
    assert finite.mean() > 0.9
    assert low[0][finite].min() > 0.3


def test_interruptions_of_a_substation_reach_its_consumers_on_11_kv(people, solved):
    (block, _), (answers, _) = solved
    outages, day = block.world.outages, block.supply
    supply = outages.of_stations(day)
    assert (supply.share < 1).any(), "eight times 24 a year on a few PSSs: else choose another day"
    lost = block.arms[0].ht_unserved_kw
    cut = (supply.share[people.ht_pss_row] < 1).any(axis=1) & (people.ht_pss_row >= 0)
    assert np.array_equal(lost.any(axis=1), cut)
    total = block.arms[0].quantities[Q.UNSERVED].sum() + lost[people.ht_pss_row >= 0].sum()
    assert math.isclose(answers[0].pss[Q.UNSERVED].sum(), total, rel_tol=1e-9)


def test_a_feeder_that_stands_for_others_is_supplied_as_their_mean(state, people, solver):
    plan = plans(load_scenario(TINY, ("outages={}",)))[0]
    world = open_world(plan, 0, people)
    selection = choose(state, ["Sheohar"], 1)
    outages = Outages(world, state, selection)
    day = outages.on(dt.date(2026, 6, 9))
    position = next(i for i in range(len(people.feeders)) if outages.only_stands[i])
    supply = outages.of_feeder(day, position, people.feeders[position])
    assert supply is not None
    assert np.array_equal(supply.share, np.broadcast_to(supply.share[0], supply.share.shape))
    hours = supply.share[0].sum() / 4
    assert 20.0 < hours < 23.9
    assert 0.5 < supply.share.min() < supply.share.max() < 1.0
    counts = outages.counts(day, position, people.feeders[position])
    assert math.isclose(counts[3], 24 - hours, rel_tol=1e-9)


def test_a_network_of_the_user_s_refuses_interruptions(tmp_path):
    with pytest.raises(ScenarioError, match="outages"):
        load_scenario(TINY.parent / "own_grid_simbench.yaml", ("outages={}",))
