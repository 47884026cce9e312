"""Solving a block: feeder after feeder, each arm on the same draw of demand, into the shard's tentative results."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.demand.draw import DayTables, draw_some, draw_tile, mean_tile
from twin.demand.weather import Weather
from twin.powerflow.tile_book import TileBook, some_of, tile_book
from twin.simulation.feeder_block import FeederSolver, demand_room, respond, zone_energy
from twin.simulation.harvest import DT_COLUMNS, feeder_failures, feeder_results, feeder_slopes
from twin.simulation.load_limits import LimitDay
from twin.simulation.messages import N_Q, ArmAnswer, BlockQuestion, Failure, Only, Q
from twin.simulation.population import FeederPart, Population
from twin.simulation.spans import Levels
from twin.simulation.supply import Supply, SupplyDay, add_lost, interrupt
from twin.simulation.switching import Switches, Unserved, add_unserved, switch_off, switches_on
from twin.units import MINUTES_PER_DAY

if TYPE_CHECKING:
    from twin.simulation.meter_state import MeterState
    from twin.simulation.replicate import ReplicateWorld

SLOPE_STEP = 0.005
"""The head's voltage is moved by this share to find the slopes that a feeder hands up."""
EVENING_MINUTES = (17 * 60, 23 * 60)


@dataclass
class ArmBlock:
    """Tentative results of one arm; a further round overwrites them."""

    consumer_kwh: NDArray[np.float64]
    """At the voltages of the tiles' solutions until `BlockSolver.scale_energies`. Shape (n, n_zones). [kWh]"""
    factor: NDArray[np.float64]
    """Energy at the final voltages over that, shape (n_dts, n_zones)."""
    book: TileBook | None
    """DTs, shape (n_dts, steps); None before the first round and once the arm is accepted."""
    ht_kw: NDArray[np.float64]
    """HT consumers after response, constant power behind regulators of their own. Shape (n_ht, steps)."""
    ht_unserved_kw: NDArray[np.float64]
    """Of HT consumers whose switch is open. Shape (n_ht, steps)."""
    v_head_pu: NDArray[np.float64]
    """Shape (n_feeders, steps). [pu]"""
    limit_pu: NDArray[np.float64]
    """How far a DT's node may be from the voltage of its solution, shape (n_feeders,)."""
    v_min_pu: NDArray[np.float64]
    """Lowest 11 kV voltage of each feeder, shape (n_feeders, steps). [pu]"""
    quantities: NDArray[np.float64]
    """Shape (N_Q, n_feeders, steps)."""
    dt_day: NDArray[np.float32]
    """Day figures of the DTs, shape (len(DT_COLUMNS), n_dts)."""
    failures: dict[int, list[Failure]]
    """By feeder position."""
    closure_11kv: NDArray[np.float64]
    """Largest relative gap of each feeder, shape (n_feeders,)."""
    read_kwh: NDArray[np.float64] | None = None
    """Energy by step of the consumers whose readings are asked for, shape (k, steps). [kWh]"""

    def solution(self) -> TileBook:
        """The low-voltage solutions, which an arm has between its first round and its acceptance."""
        assert self.book is not None, "the arm is not solved, or already accepted"
        return self.book

    @property
    def all_failures(self) -> list[Failure]:
        """Failed solves in feeder order."""
        return [failure for position in sorted(self.failures) for failure in self.failures[position]]

    @property
    def closure(self) -> dict[str, float]:
        """Largest relative gap sent - used - losses by level."""
        return {
            "lv": float(self.solution().closure.max(initial=0.0)),
            "11kv": float(self.closure_11kv.max(initial=0.0)),
        }


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
    switches: Switches | None = None
    """None where nobody is switched off on this day."""
    supply: SupplyDay | None = None
    """None where supply is never interrupted."""
    limits: LimitDay | None = None
    """Load limits of the meters; None where none are set."""
    arms: list[ArmBlock] = field(default_factory=list)
    factors: dict[tuple[int, int], NDArray[np.float32]] = field(default_factory=dict)
    """Response of each arm, by the first row of its consumers: settled in the first round, then kept."""

    @staticmethod
    def begin(world: ReplicateWorld, meters: MeterState, number: int, solver: BlockSolver) -> BlockState:
        """Open a block: the day's signals, and room for every arm's results."""
        date = world.plan.dates[number]
        zones = world.plan.zones
        block = BlockState(number, date, world, meters, world.day_tables(date), zones.on(date), False)
        block.arms = [solver.room(zones.n_zones) for _ in world.plan.arms]
        block.switches = switches_on(meters, date, len(world.plan.arms), solver.steps)
        block.supply = world.outages.on(date) if world.outages is not None else None
        block.limits = meters.limits_on(date)
        return block

    def off_steps(self, arm: int, rows: slice) -> tuple[NDArray[np.int16], NDArray[np.int16]] | None:
        """Steps [from, until) in which some consumers are switched off; None where none of them is."""
        if self.switches is None:
            return None
        off_from, off_until = self.switches.off_from[arm, rows], self.switches.off_until[arm, rows]
        return (off_from, off_until) if (off_until > off_from).any() else None

    def supply_of(self, position: int, part: FeederPart) -> Supply | None:
        """What a feeder's DTs have of the day; None where they are supplied without a break."""
        if self.supply is None or self.world.outages is None:
            return None
        return self.world.outages.of_feeder(self.supply, position, part)

    @staticmethod
    def of_mean_field(world: ReplicateWorld, date: dt.date, weather: Weather, solver: BlockSolver) -> BlockState:
        """Open a day of expected demand without any response: one arm, one zone, the solver's own step."""
        day = world.day_tables(date, weather, solver.steps)
        block = BlockState(-1, date, world, None, day, np.zeros(solver.steps, np.uint8), True)
        block.arms = [solver.room(1)]
        return block


class BlockSolver:
    """Working memory for the shard's largest feeder, and the loop over feeders."""

    def __init__(self, population: Population, steps: int) -> None:
        self.population, self.steps = population, steps
        self.nets = [part.net for part in population.feeders]
        n_rows = max([part.rows.stop - part.rows.start for part in population.feeders], default=0)
        n_rows = max(n_rows, population.ht.stop - population.ht.start, 1)
        self.kw, self.arm_kw = demand_room(n_rows, steps), demand_room(n_rows, steps)
        self.levels = Levels()
        """Where this shard's time went."""
        self.feeder = FeederSolver(self.nets, steps, levels=self.levels)
        self._books: list[TileBook] = []
        self.hours = 24.0 / steps
        minutes = np.arange(steps) * (MINUTES_PER_DAY // steps)
        self.is_evening = (minutes >= EVENING_MINUTES[0]) & (minutes < EVENING_MINUTES[1])

    @property
    def network_bytes(self) -> int:
        """Memory of the feeders' networks."""
        return sum(array.nbytes for net in self.nets for array in (*net.lv, *net.tree, net.node_of_dt, net.ratio))

    def room(self, n_zones: int) -> ArmBlock:
        """Room for one arm's results of a block."""
        population, steps = self.population, self.steps
        n_feeders, n_dts = len(population.feeders), population.n_dts
        return ArmBlock(
            consumer_kwh=np.zeros((len(population.consumers), n_zones)),
            factor=np.ones((n_dts, n_zones)),
            book=None,
            ht_kw=np.zeros((population.ht.stop - population.ht.start, steps)),
            ht_unserved_kw=np.zeros((population.ht.stop - population.ht.start, steps)),
            v_head_pu=np.zeros((n_feeders, steps)),
            limit_pu=np.full(n_feeders, np.inf),
            v_min_pu=np.zeros((n_feeders, steps)),
            quantities=np.zeros((N_Q, n_feeders, steps)),
            dt_day=np.zeros((len(DT_COLUMNS), n_dts), np.float32),
            failures={},
            closure_11kv=np.zeros(n_feeders),
        )

    def draw(self, block: BlockState, rows: slice) -> NDArray[np.float32]:
        """Demand of some consumers before response, at 230 V; a view of working memory. [kW]"""
        kw = self.kw[: rows.stop - rows.start]
        draw = mean_tile if block.mean_field else draw_tile
        with self.levels.measure("demand"):
            draw(self.population.consumers.traits, rows.start, rows.stop, block.day, kw)
        return kw

    def _demand(
        self, block: BlockState, arm: int, part: FeederPart, dts: NDArray[np.bool_] | None,
        unserved_kw: NDArray[np.float64], supply: Supply | None,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Demand after response of a feeder; with ``dts``, shape (n_dt,), of the marked DTs only. [kW]

        Asked for all of it, ``unserved_kw``, shape (steps,), takes what open switches keep from it.
        """
        rows = part.rows
        if dts is None:
            unserved_kw[:] = 0.0
            unserved = Unserved(unserved_kw[None], np.zeros(rows.stop - rows.start, np.int64))
            kw = self.draw(block, rows)
            return self.after_response(block, arm, rows, kw, unserved, supply, may_spoil=True)
        return self._demand_of_some(block, arm, part, dts, supply)

    def _demand_of_some(
        self, block: BlockState, arm: int, part: FeederPart, dts: NDArray[np.bool_], supply: Supply | None
    ) -> NDArray[np.float32]:
        """Demand after response of the marked DTs of a feeder; other rows may hold anything. [kW]"""
        kw = self.kw[: part.rows.stop - part.rows.start]
        with self.levels.measure("demand"):
            traits, groups = self.population.consumers.traits, part.net.lv.dt_consumer_ptr
            draw_some(traits, part.rows.start, groups, dts, not block.mean_field, block.day, kw)
        supply = None if supply is None else supply.of_some(dts)
        return self.after_response(block, arm, part.rows, kw, None, supply, may_spoil=True)

    def after_response(
        self, block: BlockState, arm: int, rows: slice, kw: NDArray[np.float32], unserved: Unserved | None = None,
        supply: Supply | None = None, *, may_spoil: bool = False,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Demand of some consumers under an arm, as far as they are switched on and supplied (``supply``).

        It is ``kw`` itself where nothing changes it, or where ``kw`` ``may_spoil`` since nobody asks about it again.
        What is kept from consumers is added to ``unserved``.
        """
        out = self._responded(block, arm, rows, kw)
        off = block.off_steps(arm, rows)
        if off is None and supply is None and block.limits is None:
            return out
        if out is kw and not may_spoil:
            out = self.arm_kw[: len(kw)]
            out[:] = kw
        if off is not None:
            if unserved is not None:
                add_unserved(out, *off, unserved)
            switch_off(out, *off)
        if supply is not None:
            if unserved is not None:
                add_lost(out, supply.ptr, supply.place, supply.share, unserved)
            interrupt(out, supply.ptr, supply.place, supply.factor)
        if block.limits is not None:
            block.limits.apply(arm, rows, out, unserved, self.steps)
        return out

    def _responded(self, block: BlockState, arm: int, rows: slice, kw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Demand of some consumers under an arm's prices; ``kw`` itself for those whom the arm does not reach."""
        if block.meters is None or not block.world.response.reaches(arm):
            return kw
        with self.levels.measure("response"):
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
        """Settle the asked feeders for the asked arms; the answers are in the question's order of arms."""
        solved = np.zeros(len(question.arms), np.int64)
        for arm in question.arms:
            if block.arms[arm].book is None:
                block.arms[arm].book = (
                    self._books.pop() if self._books else tile_book(self.population.n_dts, self.steps)
                )
        for position, part in enumerate(self.population.feeders):
            if not part.is_asked(question.only):
                continue
            for i, arm in enumerate(question.arms):
                result, head = block.arms[arm], question.v_pss_pu[i, part.pss_row]
                moved = question.first or not np.array_equal(head, result.v_head_pu[position])
                if moved or question.limit_pu < result.limit_pu[position]:
                    solved[i] += self._settle(block, arm, position, part, head, question)
        if question.first:
            for arm in question.arms:
                self._settle_direct_consumers(block, arm)
        n_pss = question.v_pss_pu.shape[1]
        return [self._answer(block, arm, int(solved[i]), n_pss, question.only) for i, arm in enumerate(question.arms)]

    def _settle(
        self, block: BlockState, arm: int, position: int, part: FeederPart, v_head_pu: NDArray[np.float64],
        question: BlockQuestion,
    ) -> int:  # fmt: skip
        """Settle one feeder under one arm into the tentative results; returns tiles solved."""
        result, feeder = block.arms[arm], self.feeder
        book, supply = some_of(result.solution(), part.dts), block.supply_of(position, part)
        share = supply.share if supply is not None else None
        solved = feeder.settle(
            part.net, book, v_head_pu, question.limit_pu,
            lambda moved: self._demand(block, arm, part, moved, result.quantities[Q.UNSERVED, position], supply),
            self.population.consumers.zips[part.rows], block.zone_of_step, result.consumer_kwh[part.rows],
            first=question.first, share=share,
        )  # fmt: skip
        result.v_head_pu[position], result.limit_pu[position] = v_head_pu, question.limit_pu
        line, quantities = feeder.work.line, result.quantities[:, position]
        result.closure_11kv[position] = feeder_results(
            part.net, book, line, block.zone_of_step, self.is_evening, part.rating_kva, self.hours, quantities,
            result.v_min_pu[position], result.dt_day[:, part.dts], result.factor[part.dts], share,
        )  # fmt: skip
        result.failures.pop(position, None)
        failures = feeder_failures(line, book, part)
        if failures:
            result.failures[position] = failures
        if solved:
            moved = feeder.sweep_line(part.net, book, v_head_pu * (1 + SLOPE_STEP), share)
            feeder_slopes(moved, SLOPE_STEP, quantities)
        return solved

    def _settle_direct_consumers(self, block: BlockState, arm: int) -> None:
        """HT consumers: demand after response, and their registers."""
        result, rows = block.arms[arm], self.population.ht
        result.ht_unserved_kw[:] = 0.0
        unserved = Unserved(result.ht_unserved_kw, np.arange(rows.stop - rows.start))
        outages, day = block.world.outages, block.supply
        supply = outages.of_stations(day) if outages is not None and day is not None else None
        kw = self.after_response(block, arm, rows, self.draw(block, rows), unserved, supply, may_spoil=True)
        result.consumer_kwh[rows] = 0.0
        zone_energy(kw, block.zone_of_step, self.hours, result.consumer_kwh[rows])
        result.ht_kw[:] = kw[:, : self.steps]

    def _answer(self, block: BlockState, arm: int, solved: int, n_pss: int, only: Only) -> ArmAnswer:
        result, population, steps = block.arms[arm], self.population, self.steps
        pss = np.zeros((N_Q, n_pss, steps))
        representing = [i for i, part in enumerate(population.feeders) if part.represents(only)]
        for position, part in enumerate(population.feeders):
            if part.is_asked(only):
                pss[:, part.pss_row] += result.quantities[:, position]
        kw = result.ht_kw
        tangent = population.consumers.zips[population.ht, 3:].sum(axis=1, dtype=np.float64)
        kvar = kw * tangent[:, None]
        at_11kv = (population.ht_pss_row >= 0) & ~population.ht_at_33kv
        rows = population.ht_pss_row[at_11kv]
        np.add.at(pss[Q.P], rows, kw[at_11kv])
        np.add.at(pss[Q.USED], rows, kw[at_11kv])
        np.add.at(pss[Q.QVAR], rows, kvar[at_11kv])
        ht33_kw, ht33_kvar = np.zeros((n_pss, steps)), np.zeros((n_pss, steps))
        rows = population.ht_pss_row[population.ht_at_33kv]
        np.add.at(ht33_kw, rows, kw[population.ht_at_33kv])
        np.add.at(ht33_kvar, rows, kvar[population.ht_at_33kv])
        above = population.ht_pss_row < 0
        ehv_unserved_kw = None
        if block.switches is not None or block.supply is not None:
            np.add.at(pss[Q.UNSERVED], population.ht_pss_row[~above], result.ht_unserved_kw[~above])
            ehv_unserved_kw = result.ht_unserved_kw[above].sum(axis=0)
        sampled = np.ascontiguousarray(result.quantities[:, representing])
        return ArmAnswer(
            pss, sampled, ht33_kw, ht33_kvar, kw[above], kvar[above], solved, ehv_unserved_kw=ehv_unserved_kw
        )

    def final_voltages(
        self, block: BlockState, arm: int, position: int, v_head_pu: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """DT voltages of a feeder at a head voltage, by its tiles' equivalents. Shape (n_dt, steps). [pu]"""
        part = self.population.feeders[position]
        book, supply = some_of(block.arms[arm].solution(), part.dts), block.supply_of(position, part)
        share = supply.share if supply is not None else None
        v = self.feeder.sweep_line(part.net, book, v_head_pu, share).v_pu[part.net.node_of_dt]
        return np.where(np.isfinite(v), v, book.v0_pu)

    def solve_exactly(
        self, block: BlockState, arm: int, position: int, dts: NDArray[np.int64], v_dt_pu: NDArray[np.float64],
        zone_of_step: NDArray[np.uint8], kwh: NDArray[np.float64],
    ) -> TileBook:  # fmt: skip
        """Solve some DTs of a feeder once more at given voltages (n_dt, steps), touching no result of the block.

        ``kwh``, shape (consumers of the feeder, zones), takes the energy of their consumers.
        """
        part = self.population.feeders[position]
        wanted = np.zeros(len(part.dt_id), np.bool_)
        wanted[dts] = True
        kw = self._demand_of_some(block, arm, part, wanted, block.supply_of(position, part))
        book = tile_book(len(part.dt_id), self.steps)
        self.feeder.solve_some(
            part.net, dts, v_dt_pu, kw, self.population.consumers.zips[part.rows], zone_of_step, book, kwh
        )
        return book

    def scale_energies(self, result: ArmBlock) -> None:
        """Bring every consumer's energy to the final voltages."""
        for part in self.population.feeders:
            _scale_energy(part.net.lv.dt_consumer_ptr, result.factor[part.dts], result.consumer_kwh[part.rows])
        result.factor[:] = 1.0

    def let_go(self, result: ArmBlock) -> None:
        """Take an arm's low-voltage solutions back, for the next arm."""
        self._books.append(result.solution())
        result.book = None


@nb.njit(cache=True, error_model="numpy")
def _scale_energy(
    dt_consumer_ptr: NDArray[np.int32], factor: NDArray[np.float64], consumer_kwh: NDArray[np.float64]
) -> None:
    """Multiply the energies of each DT's consumers, shape (n, n_zones), by its factors (n_dt, n_zones)."""
    for k in range(len(factor)):
        for c in range(dt_consumer_ptr[k], dt_consumer_ptr[k + 1]):
            for zone in range(consumer_kwh.shape[1]):
                consumer_kwh[c, zone] *= factor[k, zone]
