"""A day of a network of the user's: its consumers' demand after response, summed by load, and the network under it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.demand.draw import day_tables, mean_tile
from twin.demand.weather import NormalWeather
from twin.simulation.block import EVENING_MINUTES, ArmBlock, BlockSolver, BlockState
from twin.simulation.feeder_block import demand_room
from twin.simulation.harvest import DT_COLUMNS
from twin.simulation.messages import N_Q, ArmAnswer, BlockQuestion, Failure, Q
from twin.simulation.own_grid import OwnGrid
from twin.simulation.own_network import OwnNetwork, drawn
from twin.simulation.own_results import Readout
from twin.simulation.plan import PointPlan
from twin.simulation.population import FeederRows, Population
from twin.simulation.spans import Levels
from twin.simulation.switching import Unserved
from twin.units import MINUTES_PER_DAY

CHUNK = 4096
"""Consumers whose demand is drawn at a time."""
LAW = 6
"""Coefficients of a voltage law: of the square of the voltage over 230 V, of it, and of 1, for P and for Q."""


def _none() -> NDArray[np.float64]:
    return np.zeros((0, 0))


@dataclass
class OwnArm(ArmBlock):
    """One arm of a block, with what a network's loads drew. Arrays (n_loads, steps)."""

    load_kw: NDArray[np.float64] = field(default_factory=_none)
    load_kvar: NDArray[np.float64] = field(default_factory=_none)
    load_vm_pu: NDArray[np.float64] = field(default_factory=_none)
    """NaN where there is no solution."""
    volts: NDArray[np.float64] = field(default_factory=_none)
    """Over 230 V; 1 where there is no solution."""
    at_source: NDArray[np.float64] = field(default_factory=_none)
    """Totals at the sources' own buses, shape (N_Q, steps)."""
    above_kw: NDArray[np.float64] = field(default_factory=_none)
    """Losses of levels above the feeders' columns, shape (2, steps)."""

    @property
    def closure(self) -> dict[str, float]:
        """Largest relative gap sent - used - losses of the network."""
        return {"network": float(self.closure_11kv.max(initial=0.0))}


class OwnSolver(BlockSolver):
    """Draws and responds as any block's solver; what it solves is one network, exactly, in one round."""

    def __init__(self, grid: OwnGrid, population: Population[FeederRows], plan: PointPlan, seed: int) -> None:
        # Not the parent's: there are no tiles and no 11 kV trees.
        self.population, self.steps, self.grid = population, plan.steps, grid
        self.hours, self.levels = 24.0 / plan.steps, Levels()
        minutes = np.arange(plan.steps) * (MINUTES_PER_DAY // plan.steps)
        self.is_evening = (minutes >= EVENING_MINUTES[0]) & (minutes < EVENING_MINUTES[1])
        n_rows = max(min(CHUNK, len(population.consumers)), 1)
        self.kw, self.arm_kw = demand_room(n_rows, plan.steps), demand_room(n_rows, plan.steps)
        self.load_row = grid.load_row
        self.network = OwnNetwork(grid, plan.steps, self._expected_mix(plan, seed))
        self.readout = Readout(self.network, self.is_evening, self.hours)

    @property
    def network_bytes(self) -> int:
        """Memory of the network's arrays."""
        return sum(column.nbytes for column in (*self.network.case.branches, *self.network.ports))

    def _chunks(self) -> list[slice]:
        n = len(self.population.consumers)
        return [slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]

    def _expected_mix(self, plan: PointPlan, seed: int) -> NDArray[np.float64]:
        """Each load's law over a normal day, weighted by energy, shape (n_loads, LAW)."""
        consumers, law = self.population.consumers, np.zeros((len(self.grid.loads), LAW, self.steps))
        districts = np.unique(consumers.district).astype(np.int64)
        day = day_tables(seed, NormalWeather(), plan.dates[0], self.steps, districts)
        for rows in self._chunks():
            kw = self.kw[: rows.stop - rows.start]
            if consumers.profiles is not None:
                consumers.profiles.fill(None, rows.start, rows.stop, kw)
            else:
                mean_tile(consumers.traits, rows.start, rows.stop, day, kw)
            add_law(kw, consumers.zips[rows], self.load_row[rows], law)
        return law.sum(axis=2)

    def room(self, n_zones: int) -> OwnArm:
        """Room for one arm's results of a block."""
        steps, n_feeders = self.steps, len(self.population.feeders)
        return OwnArm(
            consumer_kwh=np.zeros((len(self.population.consumers), n_zones)),
            factor=np.ones((0, n_zones)),
            book=None,
            ht_kw=np.zeros((0, steps)),
            ht_unserved_kw=np.zeros((0, steps)),
            v_head_pu=np.zeros((n_feeders, steps)),
            limit_pu=np.zeros(n_feeders),
            v_min_pu=np.zeros((n_feeders, steps)),
            quantities=np.zeros((N_Q, n_feeders, steps)),
            dt_day=np.zeros((len(DT_COLUMNS), self.population.n_dts), np.float32),
            failures={},
            closure_11kv=np.zeros(1),
        )

    def draw(self, block: BlockState, rows: slice) -> NDArray[np.float32]:
        """Demand of some consumers before response, at 230 V; a view of working memory. [kW]"""
        profiles = self.population.consumers.profiles
        if profiles is None:
            return super().draw(block, rows)
        kw = self.kw[: rows.stop - rows.start]
        profiles.fill(block.date, rows.start, rows.stop, kw)
        return kw

    def _drawn(
        self, block: BlockState, arm: int, rows: slice, unserved_kw: NDArray[np.float64] | None = None
    ) -> NDArray[np.float32]:
        """``unserved_kw``, shape (n_loads, steps): added to by load."""
        unserved = None if unserved_kw is None else Unserved(unserved_kw, self.load_row[rows])
        return self.after_response(block, arm, rows, self.draw(block, rows), unserved)

    def solve(self, block: BlockState, question: BlockQuestion) -> list[ArmAnswer]:
        """Solve the network for the asked arms; sources hold their voltage, so the first round is the last."""
        answers = []
        for arm in question.arms:
            result = block.arms[arm]
            assert isinstance(result, OwnArm), "room() makes no other"
            if question.first:
                self._solve_arm(block, arm, result)
            answers.append(self._hand_up(result))
        return answers

    def _solve_arm(self, block: BlockState, arm: int, result: OwnArm) -> None:
        consumers, law = self.population.consumers, np.zeros((len(self.grid.loads), LAW, self.steps))
        unserved_kw = np.zeros((len(self.grid.loads), self.steps))
        for rows in self._chunks():
            add_law(self._drawn(block, arm, rows, unserved_kw), consumers.zips[rows], self.load_row[rows], law)
        flows = self.network.solve(block.date, law)
        vm = np.abs(flows.v[:-1])
        volts = self.network.load_volts(vm)
        result.load_vm_pu = vm[self.network.load_bus]
        result.volts = np.where(np.isfinite(volts), volts, 1.0)
        result.load_kw, result.load_kvar = drawn(law, result.volts)
        quantities, above, result.closure_11kv[0] = self.readout.totals(flows, result.load_kw)
        np.add.at(quantities[Q.UNSERVED], self.readout.feeder_of_bus[self.network.load_bus], unserved_kw)
        result.quantities[:], result.at_source = quantities[:, :-1], quantities[:, -1]
        result.above_kw = above.sum(axis=1)
        result.v_head_pu[:], result.v_min_pu[:] = self.readout.voltages(flows)
        result.dt_day[:] = self.readout.dt_day(flows)
        result.failures = {}
        for part, step, cause, detail in flows.causes:
            result.failures.setdefault(part, []).append(Failure(f"feeder:{part}", step, cause, detail))
        result.consumer_kwh[:] = 0.0
        for rows in self._chunks():
            kw = self._drawn(block, arm, rows)
            zones, kwh = block.zone_of_step, result.consumer_kwh[rows]
            add_used(kw, consumers.zips[rows], self.load_row[rows], result.volts, zones, self.hours, kwh)

    def _hand_up(self, result: OwnArm) -> ArmAnswer:
        """Totals of the feeders at the source that each is counted with; the sources' own buses with the first."""
        n_pss, steps = len(self.grid.source_bus), self.steps
        pss, none = np.zeros((N_Q, n_pss, steps)), np.zeros((n_pss, steps))
        for feeder, row in enumerate(self.grid.feeder_pss):
            pss[:, row] += result.quantities[:, feeder]
        pss[:, 0] += result.at_source
        nothing = np.zeros((0, steps))
        return ArmAnswer(pss, np.zeros((N_Q, 0, steps)), none, none, nothing, nothing, 0, result.above_kw)

    def used_by_step(self, block: BlockState, arm: int, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        """Energy of some consumers per step at the solved voltages, shape (len(wanted), steps). [kWh]"""
        result, consumers = block.arms[arm], self.population.consumers
        assert isinstance(result, OwnArm), "room() makes no other"
        out, every_step = np.zeros((len(wanted), self.steps)), np.arange(self.steps, dtype=np.uint8)
        for rows in self._chunks():
            inside = np.flatnonzero((wanted >= rows.start) & (wanted < rows.stop))
            if len(inside):
                own = wanted[inside]
                kw, kwh = self._drawn(block, arm, rows)[own - rows.start], np.zeros((len(inside), self.steps))
                volts, zips = result.volts, consumers.zips[own]
                add_used(kw, zips, self.load_row[own], volts, every_step, self.hours, kwh)
                out[inside] = kwh
        return out


@nb.njit(cache=True, error_model="numpy")
def add_law(
    kw: NDArray[np.float32], zips: NDArray[np.float32], load_row: NDArray[np.int64], law: NDArray[np.float64]
) -> None:
    """Add consumers' voltage laws to their loads'.

    Parameters
    ----------
    kw : shape (n, at least steps)
        Demand at 230 V.
    zips : shape (n, 6)
        `Consumers.zips`.
    load_row : shape (n,)
    law : shape (n_loads, 6, steps)
        ``P = law[0] v^2 + law[1] v + law[2]`` and Q likewise from the other three, v over 230 V. [kW, kvar]
    """
    for c in range(len(load_row)):
        for k in range(law.shape[1]):
            share = np.float64(zips[c, k])
            for t in range(law.shape[2]):
                law[load_row[c], k, t] += np.float64(kw[c, t]) * share


@nb.njit(cache=True, error_model="numpy")
def add_used(
    kw: NDArray[np.float32],
    zips: NDArray[np.float32],
    load_row: NDArray[np.int64],
    volts: NDArray[np.float64],
    zone_of_step: NDArray[np.uint8],
    hours: float,
    kwh: NDArray[np.float64],
) -> None:
    """Add what consumers used at their loads' voltage, shape (n_loads, steps) over 230 V, to their zones' energy."""
    for c in range(len(load_row)):
        z, i, p = np.float64(zips[c, 0]), np.float64(zips[c, 1]), np.float64(zips[c, 2])
        for t in range(volts.shape[1]):
            v = volts[load_row[c], t]
            kwh[c, zone_of_step[t]] += np.float64(kw[c, t]) * (v * (z * v + i) + p) * hours
