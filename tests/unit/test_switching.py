"""Open load switches: who is off uses nothing, others are untouched, and what is not served adds up."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from tests.own_grid_cases import Village
from tests.planning_day import planned_state, planning_kw
from tests.runs import TINY
from tests.unit.test_meter_devices import population
from twin.scenario import load_scenario
from twin.simulation.block import BlockSolver, BlockState
from twin.simulation.border import EXACT_LIMIT_PU, WIDE_LIMIT_PU
from twin.simulation.messages import BlockQuestion, Q
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.meter_state import MeterState
from twin.simulation.own_population import own_population
from twin.simulation.own_solver import OwnSolver
from twin.simulation.plan import plans
from twin.simulation.population import Population
from twin.simulation.prepare import own_grid
from twin.simulation.reading_tables import used_by_step
from twin.simulation.replicate import open_world
from twin.simulation.switching import Switches, Unserved, switches_on

DATE, STEPS, N_ARMS = dt.date(2026, 6, 9), 96, 2
OFF = "{command: disconnect, day: 2026-06-09, hour: 11.0, share: 0.2, queue_min: 30}"
LATER = "{command: disconnect, day: 2026-06-10, hour: 11.0}"


@pytest.fixture(scope="module")
def people() -> Population:
    return population(planned_state(1), 3)


@pytest.fixture(scope="module")
def solver(people) -> BlockSolver:
    return BlockSolver(people, STEPS)


def begin(people: Population, solver: BlockSolver, command: str) -> BlockState:
    """The first day of a run whose head-end sends one command."""
    plan = plans(load_scenario(TINY, ("meters.devices=true", f"meters.commands=[{command}]")))[0]
    world = open_world(plan, 0, people)
    world.response.expected_day_kwh = world.expected_day_kwh(solver, DATE)
    month = np.zeros((len(people.consumers), plan.zones.n_zones))
    return BlockState.begin(world, MeterState.begin(plan, month, MeterDevices(world)), 0, solver)


def begin_village(folder: Path) -> tuple[Population, OwnSolver, BlockState]:
    """A day of a network of a user's without switches."""
    path = Village(folder).scenario
    grid = own_grid(load_scenario(path), planning_kw())
    plan = plans(load_scenario(path))[0]
    people = own_population(grid, 1, 0)
    own = OwnSolver(grid, people, plan, 1)
    world = open_world(plan, 0, people)
    world.response.expected_day_kwh = world.expected_day_kwh(own, plan.dates[0])
    month = np.zeros((len(people.consumers), plan.zones.n_zones))
    return people, own, BlockState.begin(world, MeterState.begin(plan, month), 0, own)


def ask(solver: BlockSolver, block: BlockState, head_pu: float = 1.0, *, first: bool = True):
    v = np.full((N_ARMS, len(solver.population.owned_pss), STEPS), head_pu)
    limit = WIDE_LIMIT_PU if first else EXACT_LIMIT_PU
    return solver.solve(block, BlockQuestion(0, (0, 1), v, first, limit))


@pytest.fixture(scope="module")
def solved(people, solver) -> tuple[BlockState, BlockState]:
    """A day with open switches and the same day without."""
    blocks = begin(people, solver, OFF), begin(people, solver, LATER)
    for block in blocks:
        ask(solver, block)
    return blocks


def is_off(block: BlockState, arm: int) -> np.ndarray:
    assert block.switches is not None
    first, last = (column[arm][:, None] for column in block.switches)
    step = np.arange(STEPS)
    return (step >= first) & (step < last)


def test_whoever_is_off_draws_nothing_and_no_other_is_touched(people, solver, solved):
    block, plain = solved
    assert plain.switches is None
    for arm in range(N_ARMS):
        off, seen = is_off(block, arm), 0
        assert not off[:, :43].any()
        for part in [*(part.rows for part in people.feeders), people.ht]:
            want = solver.after_response(plain, arm, part, solver.draw(plain, part))[:, :STEPS].copy()
            draw = solver.draw(block, part)
            before, unserved = draw.copy(), Unserved(np.zeros((1, STEPS)), np.zeros(len(draw), np.int64))
            got = solver.after_response(block, arm, part, draw, unserved)[:, :STEPS]
            assert np.array_equal(got, np.where(off[part], 0, want))
            assert np.array_equal(draw, before), "the other arm may share the draw"
            assert np.allclose(unserved.kw[0] + got.sum(axis=0, dtype=float), want.sum(axis=0, dtype=float), rtol=1e-12)
            seen += int(off[part].any(axis=1).sum())
        assert seen > 20


def test_networks_registers_and_readings_see_it(people, solver, solved):
    block, plain = solved
    for arm in range(N_ARMS):
        mine, other, off = block.arms[arm], plain.arms[arm], is_off(block, arm)
        anybody = [off[part.rows].any() for part in people.feeders]
        assert any(anybody)
        for position, part in enumerate(people.feeders):
            unserved = mine.quantities[Q.UNSERVED, position]
            same = np.array_equal(mine.consumer_kwh[part.rows], other.consumer_kwh[part.rows])
            assert same == (not anybody[position])
            assert (unserved[44:].sum() > 0) == anybody[position]
            assert not unserved[:43].any()
            lost = other.quantities[Q.USED, position] - mine.quantities[Q.USED, position]
            assert np.allclose(lost, unserved, rtol=0.25, atol=1e-3), "at low voltage it is less"
            assert not other.quantities[Q.UNSERVED, position].any()
        rows = np.flatnonzero(off.any(axis=1))[:10]
        by_step = used_by_step(solver, block, arm, rows)
        assert not by_step[off[rows]].any()
        assert by_step[~off[rows]].mean() > 0.01


def test_what_is_not_served_goes_up_with_the_answer_and_stays_when_voltage_moves(people, solver):
    block = begin(people, solver, OFF)
    first = ask(solver, block)
    again = ask(solver, block, 0.97, first=False)
    assert all(answer.solved_tiles > 0 for answer in again)
    for arm in range(N_ARMS):
        total = block.arms[arm].quantities[Q.UNSERVED].sum(axis=0)
        assert total[44:].min() > 0
        for answer in (first[arm], again[arm]):
            assert np.allclose(answer.pss[Q.UNSERVED].sum(axis=0), total, rtol=1e-12)
        off = is_off(block, arm)
        rows = np.flatnonzero(off.any(axis=1))[:10]
        assert not used_by_step(solver, block, arm, rows)[off[rows]].any()


def test_a_feeder_whose_consumers_are_all_off_still_has_a_solution(people, solver):
    block = begin(people, solver, LATER)
    off = np.zeros((N_ARMS, len(people.consumers)), np.int16)
    block.switches = Switches(off, np.full_like(off, STEPS))
    (answer, _) = ask(solver, block)
    result = block.arms[0]
    assert not result.all_failures
    assert not result.consumer_kwh.any()
    assert not result.quantities[Q.USED].any()
    assert np.all(result.quantities[Q.P] > 0), "transformers stay energised"
    assert np.all(np.isfinite(result.quantities))
    ht_kw = solver.draw(block, people.ht)[:, :STEPS]
    assert not answer.ehv_kw.any()
    at_pss = people.ht_pss_row >= 0
    want = result.quantities[Q.UNSERVED].sum(axis=0) + ht_kw[at_pss].sum(axis=0, dtype=float)
    assert np.allclose(answer.pss[Q.UNSERVED].sum(axis=0), want, rtol=1e-6)
    assert answer.ehv_unserved_kw is not None
    assert np.allclose(answer.ehv_unserved_kw, ht_kw[~at_pss].sum(axis=0, dtype=float), rtol=1e-6)


def test_a_network_of_the_user_s_has_switches_too(tmp_path):
    people, own, block = begin_village(tmp_path)
    question = BlockQuestion(0, (0, 1), np.ones((2, len(own.grid.source_bus), own.steps)), True, WIDE_LIMIT_PU)
    own.solve(block, question)
    arm = block.arms[0]
    before, whole = arm.quantities.copy(), arm.consumer_kwh.copy()
    assert not before[Q.UNSERVED].any()
    rows = np.arange(0, len(whole), 3)
    first = np.zeros((N_ARMS, len(whole)), np.int16)
    last = first.copy()
    first[:, rows], last[:, rows] = 10, 20
    block.switches = Switches(first, last)
    answer = own.solve(block, question)[0]
    demand_kw = own.draw(block, slice(0, len(whole)))[rows, 10:20].sum(axis=0, dtype=float)
    assert np.allclose(answer.pss[Q.UNSERVED].sum(axis=0)[10:20], demand_kw, rtol=1e-6)
    assert not np.delete(answer.pss[Q.UNSERVED], np.s_[10:20], axis=1).any()
    lost_kw = (before[Q.USED] - arm.quantities[Q.USED]).sum(axis=0)
    assert np.allclose(lost_kw[10:20], demand_kw, rtol=0.2)
    assert np.allclose(np.delete(lost_kw, np.s_[10:20]), 0.0, atol=1e-9)
    by_step = own.used_by_step(block, 0, rows)
    assert not by_step[:, 10:20].any()
    assert by_step.mean() > 0.01
    assert np.allclose(by_step.sum(axis=1), arm.consumer_kwh[rows].sum(axis=1), rtol=1e-9)


def test_two_causes_last_from_the_earlier_opening_to_the_later_closing():
    mine = Switches(np.array([[0, 40, 10, 10, 0]], np.int16), np.array([[0, 96, 50, 20, 96]], np.int16))
    other = Switches(np.array([[30, 0, 40, 60, 0]], np.int16), np.array([[50, 0, 70, 80, 0]], np.int16))
    for both in (mine.also(other), other.also(mine)):
        assert both.off_from.tolist() == [[30, 40, 10, 10, 0]]
        assert both.off_until.tolist() == [[50, 96, 70, 80, 96]]
        assert both.off_from.dtype == both.off_until.dtype == np.int16
    never = Switches(np.zeros((1, 3), np.int16), np.zeros((1, 3), np.int16))
    assert not never.also(never).anybody


def test_a_run_without_devices_or_commands_has_no_switches(people, solver):
    plan = plans(load_scenario(TINY))[0]
    world = open_world(plan, 0, people)
    month = np.zeros((len(people.consumers), plan.zones.n_zones))
    assert switches_on(MeterState.begin(plan, month), DATE, N_ARMS, STEPS) is None
    assert switches_on(MeterState.begin(plan, month, MeterDevices(world)), DATE, N_ARMS, STEPS) is None
