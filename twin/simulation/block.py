"""Solving a block: feeder after feeder, all arms on one draw of demand, into the shard's tentative results."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.demand.draw import DayTables, draw_tile, mean_tile, padded
from twin.demand.weather import Weather
from twin.powerflow.lanes import aligned
from twin.powerflow.lv import LANES, lv_options, lv_scratch_for, tile_out
from twin.powerflow.lv_equivalents import settled
from twin.powerflow.radial import node_loads, radial_options, radial_out, radial_scratch
from twin.simulation.feeder_block import FeederWork, respond, settle_feeder, zone_energy
from twin.simulation.harvest import DT_COLUMNS, harvest_feeder
from twin.simulation.messages import N_Q, STILL_PU, ArmAnswer, BlockQuestion, Failure, Q
from twin.simulation.population import FeederPart, Population
from twin.units import MINUTES_PER_DAY

if TYPE_CHECKING:
    from twin.simulation.meter_state import MeterState
    from twin.simulation.replicate import ReplicateWorld

INNER_TOLERANCE_PU = 5e-5
"""Within a feeder tiles follow their 11 kV node closer than the border asks, so that both together stay within it."""
LOST_IN_GUESS = 0.04
"""Share of demand lost below a DT in the first guess of voltages; it does not touch results beyond the tolerance."""


@dataclass
class ArmBlock:
    """Tentative results of one arm; a further round overwrites them."""

    consumer_kwh: NDArray[np.float64]
    """Shape (n, n_zones). [kWh]"""
    v_dt_pu: NDArray[np.float64]
    """Voltages the tiles were solved at, shape (n_dts, steps). [pu]"""
    v_head_pu: NDArray[np.float64]
    """Shape (n_feeders, steps). [pu]"""
    v_min_pu: NDArray[np.float64]
    """Lowest 11 kV voltage of each feeder, shape (n_feeders, steps). [pu]"""
    quantities: NDArray[np.float64]
    """Shape (N_Q, n_feeders, steps)."""
    dt_day: NDArray[np.float32]
    """Day figures of the DTs, shape (len(DT_COLUMNS), n_dts)."""
    failures: dict[int, list[Failure]]
    """By feeder position."""
    closure_lv: NDArray[np.float64]
    """Largest relative gap of each feeder's tiles, shape (n_feeders,)."""
    closure_11kv: NDArray[np.float64]


@dataclass
class BlockState:
    """One block of a shard, from its first round to its commit."""

    number: int
    date: dt.date
    world: ReplicateWorld
    meters: MeterState | None
    day: DayTables
    zone_of_step: NDArray[np.uint8]
    mean_field: bool
    arms: list[ArmBlock] = field(default_factory=list)
    factors: dict[tuple[int, int], NDArray[np.float32]] = field(default_factory=dict)
    """Response of each arm, by the first row of its consumers: settled in the first round, then kept."""

    @staticmethod
    def begin(world: ReplicateWorld, meters: MeterState, number: int, solver: BlockSolver) -> BlockState:
        """Open a block: the day's signals, and room for every arm's results."""
        date = world.plan.dates[number]
        zones = world.plan.zones
        block = BlockState(number, date, world, meters, world.day_tables(date), zones.zone_of_step, False)
        block.arms = [solver.room(zones.n_zones) for _ in world.plan.arms]
        return block

    @staticmethod
    def of_mean_field(world: ReplicateWorld, date: dt.date, weather: Weather, solver: BlockSolver) -> BlockState:
        """Open a day of expected demand without any response: one arm, one zone, the solver's own step."""
        day = world.day_tables(date, weather, solver.steps)
        block = BlockState(-1, date, world, None, day, np.zeros(solver.steps, np.uint8), True)
        block.arms = [solver.room(1)]
        return block

    @property
    def failures(self) -> dict[int, list[Failure]]:
        """Failed solves by arm, in feeder order."""
        return {
            arm: [failure for position in sorted(result.failures) for failure in result.failures[position]]
            for arm, result in enumerate(self.arms)
        }

    @property
    def closure(self) -> dict[str, float]:
        """Largest relative gap sent - used - losses by level, over arms."""
        levels = {"lv": 0.0, "11kv": 0.0}
        for result in self.arms:
            levels["lv"] = max(levels["lv"], float(result.closure_lv.max(initial=0.0)))
            levels["11kv"] = max(levels["11kv"], float(result.closure_11kv.max(initial=0.0)))
        return levels


class BlockSolver:
    """Working memory for the shard's largest feeder, and the loop over feeders."""

    def __init__(self, population: Population, steps: int) -> None:
        self.population, self.steps = population, steps
        nets = [part.net for part in population.feeders]
        n_rows = max([part.rows.stop - part.rows.start for part in population.feeders], default=0)
        n_rows = max(n_rows, population.ht.stop - population.ht.start, 1)
        n_dt = max([len(net.node_of_dt) for net in nets], default=1)
        n_nodes = max([len(net.tree.parent) for net in nets], default=1)
        legs = max([int(np.diff(net.lv.dt_leg_ptr).max(initial=1)) for net in nets], default=1)
        poles = max([int(np.diff(net.lv.dt_pole_ptr).max(initial=1)) for net in nets], default=1)
        self.kw = aligned((n_rows, padded(steps)), np.float32)
        self.arm_kw = aligned((n_rows, padded(steps)), np.float32)
        assert self.kw.shape[1] % LANES == 0
        self.work = FeederWork(
            tiles=tile_out(n_dt, steps),
            final=settled(n_dt, steps),
            loads=node_loads(n_nodes, steps),
            line=radial_out(n_nodes, steps, 1),
            factor=np.ones(8),
            lv_scratch=lv_scratch_for(legs, poles),
            line_scratch=radial_scratch(n_nodes),
        )
        self.lv_options, self.line_options = lv_options(), radial_options()
        self.hours = 24.0 / steps
        minutes = np.arange(steps) * (MINUTES_PER_DAY // steps)
        self.evening_steps = np.flatnonzero((minutes >= 17 * 60) & (minutes < 23 * 60))

    @property
    def network_bytes(self) -> int:
        """Memory of the feeders' networks."""
        nets = [part.net for part in self.population.feeders]
        return sum(array.nbytes for net in nets for array in (*net.lv, *net.tree, net.node_of_dt, net.ratio))

    def room(self, n_zones: int) -> ArmBlock:
        """Room for one arm's results of a block."""
        population, steps = self.population, self.steps
        n_feeders, n_dts = len(population.feeders), population.n_dts
        return ArmBlock(
            consumer_kwh=np.zeros((len(population.consumers), n_zones)),
            v_dt_pu=np.ones((n_dts, steps)),
            v_head_pu=np.zeros((n_feeders, steps)),
            v_min_pu=np.zeros((n_feeders, steps)),
            quantities=np.zeros((N_Q, n_feeders, steps)),
            dt_day=np.zeros((len(DT_COLUMNS), n_dts), np.float32),
            failures={},
            closure_lv=np.zeros(n_feeders),
            closure_11kv=np.zeros(n_feeders),
        )

    def draw(self, block: BlockState, rows: slice) -> NDArray[np.float32]:
        """Demand of some consumers before response, at 230 V; a view of working memory. [kW]"""
        kw = self.kw[: rows.stop - rows.start]
        draw = mean_tile if block.mean_field else draw_tile
        draw(self.population.consumers.traits, rows.start, rows.stop, block.day, kw)
        return kw

    def after_response(self, block: BlockState, arm: int, rows: slice, kw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Demand of some consumers under an arm; ``kw`` itself for those whom the arm does not reach."""
        if block.meters is None or not block.world.response.reaches(arm):
            return kw
        factors = block.factors.get((arm, rows.start))
        if factors is None:
            base_kwh = np.zeros((len(kw), block.world.plan.zones.n_zones))
            zone_energy(kw, block.zone_of_step, self.hours, base_kwh)
            exact = block.world.response.factors(arm, block.date, rows, base_kwh, block.meters)
            factors = block.factors[arm, rows.start] = exact.astype(np.float32)
        out = self.arm_kw[: len(kw)]
        respond(kw, factors, block.zone_of_step, out)
        return out

    def solve(self, block: BlockState, question: BlockQuestion) -> list[ArmAnswer]:
        """Settle all feeders for the asked arms; the answers are in the question's order of arms."""
        solved = np.zeros(len(question.arms), np.int64)
        for position, part in enumerate(self.population.feeders):
            if question.sampled_only and part.sampled_row < 0:
                continue
            heads = [question.v_pss_pu[i, part.pss_row] for i in range(len(question.arms))]
            moved = [
                question.first or np.abs(head - block.arms[arm].v_head_pu[position]).max() > STILL_PU
                for arm, head in zip(question.arms, heads, strict=True)
            ]
            if not any(moved):
                continue
            kw = self.draw(block, part.rows)
            for i in np.flatnonzero(moved):
                solved[i] += self.settle(block, question.arms[i], position, part, kw, heads[i], guess=question.first)
        return [
            self._answer(block, arm, int(solved[i]), question.v_pss_pu.shape[1]) for i, arm in enumerate(question.arms)
        ]

    def settle(
        self, block: BlockState, arm: int, position: int, part: FeederPart, kw: NDArray[np.float32],
        v_head_pu: NDArray[np.float64], *, guess: bool,
    ) -> int:  # fmt: skip
        """Settle one feeder under one arm into the tentative results; returns tiles solved."""
        result = block.arms[arm]
        v_dt = result.v_dt_pu[part.dts]
        if not guess:
            v_dt += v_head_pu - result.v_head_pu[position]
        zips = self.population.consumers.zips[part.rows]
        solved = settle_feeder(
            part.net, self.after_response(block, arm, part.rows, kw), zips, v_head_pu, guess, LOST_IN_GUESS,
            block.zone_of_step, self.hours, INNER_TOLERANCE_PU, self.lv_options, self.line_options, self.work,
            v_dt, result.consumer_kwh[part.rows],
        )  # fmt: skip
        result.v_head_pu[position] = v_head_pu
        harvest_feeder(self.work, part, position, self.hours, self.evening_steps, result)
        return int(solved)

    def _answer(self, block: BlockState, arm: int, solved: int, n_pss: int) -> ArmAnswer:
        result, population, steps = block.arms[arm], self.population, self.steps
        pss = np.zeros((N_Q, n_pss, steps))
        sampled = np.zeros((N_Q, len(population.sampled_feeders), steps))
        for position, part in enumerate(population.feeders):
            pss[:, part.pss_row] += result.quantities[:, position]
            if part.sampled_row >= 0:
                sampled[:, part.sampled_row] = result.quantities[:, position]
        kw, kvar = self._direct_consumers(block, arm, result)
        at_11kv = (population.ht_pss_row >= 0) & ~population.ht_at_33kv
        for i in np.flatnonzero(at_11kv):
            row = population.ht_pss_row[i]
            pss[Q.P, row] += kw[i]
            pss[Q.USED, row] += kw[i]
            pss[Q.QVAR, row] += kvar[i]
        ht33_kw, ht33_kvar = np.zeros((n_pss, steps)), np.zeros((n_pss, steps))
        for i in np.flatnonzero(population.ht_at_33kv):
            ht33_kw[population.ht_pss_row[i]] += kw[i]
            ht33_kvar[population.ht_pss_row[i]] += kvar[i]
        above = population.ht_pss_row < 0
        return ArmAnswer(pss, sampled, ht33_kw, ht33_kvar, kw[above], kvar[above], solved)

    def _direct_consumers(
        self, block: BlockState, arm: int, result: ArmBlock
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """HT consumers: demand after response as constant power behind their own regulators; registers too."""
        rows = self.population.ht
        kw = self.after_response(block, arm, rows, self.draw(block, rows))
        result.consumer_kwh[rows] = 0.0
        zone_energy(kw, block.zone_of_step, self.hours, result.consumer_kwh[rows])
        power = kw[:, : self.steps].astype(np.float64)
        tangent = self.population.consumers.zips[rows, 3:].sum(axis=1, dtype=np.float64)
        return power, power * tangent[:, None]
