"""Load limits in a run: who is cut, how much, when; networks, events, cuts into shards and checkpoints agree."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pytest

from tests.planning_day import planned_state
from tests.runs import TINY
from tests.unit.test_meter_devices import population
from twin.errors import ScenarioError
from twin.grid.strata import choose
from twin.meters.load_limit import OVERLOAD, OVERLOAD_ENDED
from twin.meters.relay import HEALTHY, STUCK_OPEN, WELDED
from twin.results.storage import Storage
from twin.scenario import load_scenario
from twin.simulation.block import BlockSolver, BlockState
from twin.simulation.border import WIDE_LIMIT_PU
from twin.simulation.checkpoint import read_meters, write_meters
from twin.simulation.load_limits import LoadLimits
from twin.simulation.messages import BlockQuestion, Q
from twin.simulation.meter_devices import DeviceDay, MeterDevices
from twin.simulation.meter_state import MeterState
from twin.simulation.meter_tables import event_rows
from twin.simulation.plan import plans
from twin.simulation.population import Population
from twin.simulation.reading_tables import used_by_step
from twin.simulation.replicate import open_world
from twin.simulation.supply import Outages
from twin.simulation.switching import Unserved

DATE, STEPS, N_ARMS = dt.date(2026, 6, 9), 96, 2
ALL_SMART = "meters.smart_share={domestic: 1.0, non_domestic: 1.0, industrial: 1.0, agricultural: 1.0}"
LOW = "meters.load_limit={multiple: 0.5}"


@dataclass
class Town:
    """Some substations' consumers and the first day of a run with a load limit."""

    people: Population
    solver: BlockSolver
    meters: MeterState
    block: BlockState

    @property
    def devices(self) -> MeterDevices:
        assert self.meters.devices is not None
        return self.meters.devices

    @property
    def limits(self) -> LoadLimits:
        assert self.devices.limits is not None
        return self.devices.limits

    def solve(self) -> None:
        v = np.ones((N_ARMS, len(self.people.owned_pss), STEPS))
        self.solver.solve(self.block, BlockQuestion(self.block.number, (0, 1), v, True, WIDE_LIMIT_PU))

    def commit(self) -> DeviceDay:
        day = self.meters.advance_devices(self.block, np.zeros(0, np.int64))
        self.meters.advance(self.block)
        assert day is not None
        return day

    def next_day(self) -> None:
        self.block = BlockState.begin(self.block.world, self.meters, self.block.number + 1, self.solver)


def town(n_pss: int, setting: str, skip: int = 0, *, outages: bool = False) -> Town:
    overrides = ["meters.devices=true", ALL_SMART, "time.days=2", setting, "outages={}" if outages else ""]
    plan = plans(load_scenario(TINY, tuple(filter(None, overrides))))[0]
    state = planned_state(1)
    people = population(state, n_pss, skip)
    world, solver = open_world(plan, 0, people), BlockSolver(people, STEPS)
    if outages:
        world.outages = Outages(world, state, choose(state, 0.002, 1))
    world.response.expected_day_kwh = world.expected_day_kwh(solver, DATE)
    meters = MeterState.begin(plan, np.zeros((len(people.consumers), plan.zones.n_zones)), MeterDevices(world))
    return Town(people, solver, meters, BlockState.begin(world, meters, 0, solver))


@pytest.fixture(scope="module")
def limited() -> Town:
    made = town(2, LOW)
    made.solve()
    return made


@pytest.fixture(scope="module")
def free() -> Town:
    made = town(2, "")
    made.solve()
    return made


def test_only_those_above_their_limit_are_cut_and_used_and_unserved_add_up(limited, free):
    assert free.block.limits is None
    cut_rows = 0
    for arm in range(N_ARMS):
        for part in limited.people.feeders:
            want = free.solver.after_response(free.block, arm, part.rows, free.solver.draw(free.block, part.rows))
            want = want[:, :STEPS].copy()
            draw, unserved = (
                limited.solver.draw(limited.block, part.rows),
                Unserved(np.zeros((1, STEPS)), np.zeros(len(want), np.int64)),
            )
            before = draw.copy()
            got = limited.solver.after_response(limited.block, arm, part.rows, draw, unserved)[:, :STEPS]
            assert np.array_equal(draw, before), "the other arm may share the draw"
            assert limited.block.limits is not None
            limit_kw = np.where(limited.block.limits.works[part.rows], limited.limits.limit_kw(part.rows), np.inf)
            above = want.max(axis=1) > limit_kw
            assert np.array_equal(got[~above], want[~above])
            assert np.all(got <= want)
            assert np.allclose(unserved.kw[0] + got.sum(axis=0, dtype=float), want.sum(axis=0, dtype=float), rtol=1e-6)
            assert np.all(got.sum(axis=1)[above] < want.sum(axis=1)[above]), (
                "a quarter of an hour outlasts any persistence"
            )
            cut_rows += int(above.sum())
    assert cut_rows > 20


def test_networks_readings_and_the_table_see_it(limited, free):
    for arm in range(N_ARMS):
        mine, other, day = limited.block.arms[arm], free.block.arms[arm], limited.block.limits
        table = limited.limits.table(0, arm, day).to_pydict()
        assert len(table["consumer_id"]) > 10
        assert sum(table["unserved_kwh"]) == pytest.approx(mine.quantities[Q.UNSERVED].sum() * 24 / STEPS, rel=1e-6)
        assert min(table["openings"]) >= 1
        assert 0 < max(table["open_min"]) < 1440
        ids = limited.people.consumers.consumer_id
        rows = np.flatnonzero(np.isin(ids, table["consumer_id"]))
        change = mine.consumer_kwh[rows].sum(axis=1) / other.consumer_kwh[rows].sum(axis=1)
        assert change.max() < 1.01, "neighbours' cuts raise voltages a little"
        assert change.mean() < 0.8
        by_step = used_by_step(limited.solver, limited.block, arm, rows[:5])
        assert np.allclose(by_step.sum(axis=1), mine.consumer_kwh[rows[:5]].sum(axis=1), rtol=2e-3)
        lost = other.quantities[Q.USED].sum() - mine.quantities[Q.USED].sum()
        assert lost == pytest.approx(mine.quantities[Q.UNSERVED].sum(), rel=0.25), "at low voltage it is less"


def test_overloads_are_logged_with_code_and_restored_in_pairs(limited):
    made = town(2, LOW)
    made.solve()
    open_since: dict[int, int] = {}
    seen = 0
    for day in range(2):
        if day:
            made.next_day()
            made.solve()
        limits = made.block.limits
        rows = event_rows(0, 0, made.devices, made.commit(), limits).to_pylist()
        rows = sorted((r for r in rows if r["code"] in (OVERLOAD, OVERLOAD_ENDED)), key=lambda r: r["event_time"])
        for row in rows:
            begun = open_since.setdefault(row["consumer_id"], 0)
            assert begun == (row["code"] == OVERLOAD_ENDED), "every restoration follows its occurrence"
            assert row["event"] == ("overload" if row["code"] == OVERLOAD else "overload_ended")
            assert 0 <= (row["event_time"] - dt.datetime.combine(made.block.date, dt.time())).total_seconds() <= 86_400
            open_since[row["consumer_id"]] = 1 - begun
        seen += len(rows)
    assert seen > 40
    failed = np.flatnonzero(made.devices.state.swap_day > made.devices.context(DATE).day)  # a new meter forgets
    held = set(made.devices.fleet.ids[np.union1d(made.limits.held[0].rows, failed)].tolist())
    assert {consumer for consumer, begun in open_since.items() if begun} <= held, "the others are open till tomorrow"


def test_neither_the_cut_into_shards_nor_a_checkpoint_changes_anything(limited):
    whole, part = town(3, LOW), town(1, LOW, skip=1)
    for made in (whole, part):
        made.solve()
        made.commit()
        made.next_day()
        made.solve()
    lv = slice(0, part.people.ht.start)
    order = {int(i): row for row, i in enumerate(whole.devices.fleet.ids)}
    rows = np.array([order[int(i)] for i in part.devices.fleet.ids[lv]])
    for arm in range(N_ARMS):
        mine = whole.limits.table(0, arm, whole.block.limits).to_pylist()
        other = part.limits.table(0, arm, part.block.limits).to_pylist()
        ids = set(part.devices.fleet.ids.tolist())
        assert [row for row in mine if row["consumer_id"] in ids] == other
        assert other
    saved = whole.limits.arrays()
    assert np.array_equal(part.limits.arrays()["load_limits"][:, lv], saved["load_limits"][:, rows])
    assert saved["load_limits"].any()
    again = LoadLimits(whole.devices, whole.meters.plan.scenario.meters.load_limit, whole.devices.relays)
    again.restore(saved)
    assert np.array_equal(again.arrays()["load_limits"], saved["load_limits"])


def test_switches_wear_by_it_welded_ones_cut_nobody_and_stuck_ones_stay_open():
    made = town(1, LOW)
    made.solve()
    relays, day = made.limits.relays, made.block.limits
    first = made.limits.table(0, 0, day).to_pylist()
    row_of = {int(i): row for row, i in enumerate(made.devices.fleet.ids)}
    rows = np.array([row_of[one["consumer_id"]] for one in first])
    opened = np.array([one["openings"] for one in first])
    made.commit()
    healthy = relays.state.health[0, rows] == HEALTHY
    assert np.array_equal(relays.state.cycles[0, rows][healthy], 2 * opened[healthy]), "each opening is two operations"
    assert relays.state.cycles[0].sum() <= 2 * opened.sum()
    welded, stuck = rows[:20], rows[20:40]
    relays.state.health[0, welded], relays.state.health[0, stuck] = WELDED, STUCK_OPEN
    made.next_day()
    made.solve()
    later = {row_of[one["consumer_id"]]: one for one in made.limits.table(0, 0, made.block.limits).to_pylist()}
    assert not later.keys() & set(welded.tolist()), "load flows through a welded switch"
    assert all(later[row]["open_min"] == 1440 and later[row]["openings"] == 0 for row in stuck.tolist())
    assert not made.block.arms[0].consumer_kwh[stuck].any()
    assert np.all(made.block.arms[0].consumer_kwh[welded].sum(axis=1) > 0)
    assert np.all(made.block.arms[1].consumer_kwh[stuck].sum(axis=1) > 0), "switches are a state by arm"


def test_without_anybody_near_a_limit_nothing_is_held(free):
    made = town(2, "meters.load_limit={multiple: 100}")
    made.solve()
    for arm in range(N_ARMS):
        assert np.array_equal(made.block.arms[arm].consumer_kwh, free.block.arms[arm].consumer_kwh)
        assert not made.block.arms[arm].quantities[Q.UNSERVED].any()
    made.commit()
    assert not any(len(held.rows) for held in made.limits.held)


def test_settings_lie_over_the_datasheets_and_need_devices():
    made = town(1, "meters.load_limit={multiple: 0.5, categories: [ds1], tries: 1, lockout_s: 7200}")
    smart = made.limits.limited
    assert set(made.limits.params.tries[smart]) == {1.0}
    assert set(made.limits.params.lockout_s[smart]) == {7200.0}
    assert set(made.limits.params.persistence_s[smart]) == {60.0}
    limit = made.limits.limit_kw(slice(0, len(made.people.consumers)))
    names = np.array(made.limits.addressed)[made.people.consumers.category]
    assert np.all(np.isinf(limit[~names]))
    assert np.isfinite(limit[names]).any()
    with pytest.raises(ScenarioError, match="load limit, but meters are no devices"):
        load_scenario(TINY, (LOW,))
    with pytest.raises(ScenarioError, match="categor"):
        load_scenario(TINY, ("meters.devices=true", "meters.load_limit={categories: [nobody]}"))


def test_limits_wear_and_hours_without_supply_come_back_from_storage(tmp_path):
    """Two days of a run with interruptions, once through and once from a checkpoint between them."""
    made, again = town(1, LOW, outages=True), town(1, LOW, outages=True)
    made.solve()
    made.commit()
    ids, storage = made.people.consumers.consumer_id, Storage(str(tmp_path))
    record = write_meters(storage, "checkpoints/one", ids, made.meters.arrays())
    again.meters = MeterState.restore(again.meters.plan, read_meters(storage, [record], ids), again.devices)
    days = []
    for one in (made, again):
        one.next_day()
        one.solve()
        tables = [one.limits.table(0, arm, one.block.limits) for arm in range(N_ARMS)]
        day = one.commit()
        sums = (day.power.counts, day.power.delayed, one.devices.outages.off_h, one.meters.recorded_kwh)
        days.append((tables, (*sums, one.limits.relays.state.cycles)))
    assert days[0][0] == days[1][0]
    assert days[0][0][0].num_rows > 10
    for once, resumed in zip(days[0][1], days[1][1], strict=True):
        assert np.array_equal(once, resumed)
        assert once.any()
