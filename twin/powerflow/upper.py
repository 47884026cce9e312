"""The grid at 33 kV and above for all steps of a block: radial trees below the GSS, the meshed grid, and their border.

`UpperGrid` iterates the compiled sweep of the 33 kV trees (`upper_sweep`) with the Newton of the meshed grid
(`upper_ehv`) until the voltages of their border stand still. It knows arrays only: `twin.grid.transmission_upper`
builds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.upper_ehv import BAD_INPUT, DIVERGED, OK, EhvModel, EhvSolver, EhvState
from twin.powerflow.upper_sweep import CONTROLS_UNSETTLED, FROZEN, RESCAN, SETTLE, SWEEP_DIVERGED, solve_trees
from twin.powerflow.upper_trees import FloatArray, Loads, Positions, Rules, SweepOut, Trees, sweep_out
from twin.units import KW_PER_MW

RADIAL_DIVERGED, BORDER_UNSETTLED = 3, 4
STATUS = {
    OK: "solved",
    DIVERGED: "no solution at 132 kV and above (collapse)",
    2: "reactive limits of generators do not settle",
    RADIAL_DIVERGED: "no solution in a 33 kV tree (collapse)",
    BORDER_UNSETTLED: "33 kV and 132 kV do not agree",
    BAD_INPUT: "a load or voltage handed in is not finite",
}
"""What ``UpperResult.status`` means."""

BORDER_TOLERANCE_PU = 2e-7
"""Largest change of a 132 kV voltage between two rounds; well below the 1e-6 that the twin promises. [pu]"""
LOAD_TOLERANCE_PU = 1e-8
"""A step whose loads moved less than this since its last solution is not solved again. [pu]"""
STILL_PU = 1e-9
"""A tree whose 132 kV voltage moved less than this since its last solution keeps it. [pu]"""
MAX_BORDER_ROUNDS = 40
START_PU = 1.0
SETTLE_ROUNDS = 2
"""First rounds, coarse, in which controls follow from step to step; later ones only correct what left its band."""


@dataclass(frozen=True)
class Wiring:
    """How the parts hang together. Buses are those of the `EhvModel`; power in pu unless the name says otherwise.

    ``gss_bus`` (n_gss,): 132 kV bus of every tree; ``ehv_bus`` (n_ehv,): bus of every consumer at 132 kV and above;
    ``export`` complex (n_buses,): constant loads beyond the border; ``rating``, ``is_line``, ``branch_kv``
    (n_branches,); ``bus_132`` (n,): buses whose voltage is watched. ``schedule``: generation (n_gens, steps) in MW from
    the state's load (steps,) in MW.
    """

    gss_bus: NDArray[np.int64]
    ehv_bus: NDArray[np.int64]
    export: NDArray[np.complex128]
    rating: FloatArray
    is_line: NDArray[np.bool_]
    branch_kv: FloatArray
    bus_132: NDArray[np.int64]
    schedule: Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class UpperResult:
    """One block. Power in MW and Mvar toward the consumer, voltage in pu of 11, 33 and 132 kV; step last.

    A step whose ``status`` is not 0 (see `STATUS`) is not to be trusted, but a run can go on and count it. Without a
    solution (1, 5) all its powers and loadings are NaN and ``v_pss_pu`` is the voltage handed in; where single trees
    have none (3, named by `SWEEP_DIVERGED` in ``gss_status``) that is so for them and for the sums over trees; 2 and 4
    leave the last iterate. ``controls_unsettled`` counts GSS-steps
    whose taps or capacitors were stopped by the limit of rounds: their solution stands, at the last positions.
    ``positions`` is what the next block takes as ``before``. ``closure`` is
    ``(sent - load - losses) / sent``.
    """

    v_pss_pu: FloatArray
    loss_33kv_mw: FloatArray
    loss_ehv_mw: FloatArray
    sent_mw: FloatArray
    load_mw: FloatArray
    export_mw: FloatArray
    tie_mw: FloatArray
    gss_p_mw: FloatArray
    gss_q_mvar: FloatArray
    gss_vm_pu: FloatArray
    gss_loading_percent: FloatArray
    branch_loading_percent: FloatArray
    line_loading_percent_max: FloatArray
    vm132_min: FloatArray
    vm132_max: FloatArray
    vm_ehv_pu: FloatArray
    generator_mw: FloatArray
    generator_mvar: FloatArray
    generators_at_limit: NDArray[np.int8]
    status: NDArray[np.uint8]
    gss_status: NDArray[np.uint8]
    closure: FloatArray
    schedule_mw: FloatArray
    state: EhvState
    positions: Positions
    positions_by_step: Positions
    controls_unsettled: int
    border_rounds: int
    engine: str


@dataclass
class UpperGrid:
    """The upper grid of a state. Holds no state between blocks but what the caller hands back as ``before``."""

    model: EhvModel
    trees: Trees
    rules: Rules
    wiring: Wiring
    solver: EhvSolver
    engine: str = "lightsim2grid"

    @property
    def n_pss(self) -> int:
        """Number of power substations."""
        return len(self.trees.node_11)

    def resting_positions(self) -> Positions:
        """Every tap in its middle and no capacitor on: where a run starts."""
        n_gss = len(self.wiring.gss_bus)
        return Positions(
            np.zeros((n_gss, 1), np.int8), np.zeros((n_gss, 1), np.int8), np.zeros((self.n_pss, 1), np.int8)
        )

    def solve(
        self,
        p_kw: FloatArray,
        q_kvar: FloatArray,
        slope_p: FloatArray,
        slope_q: FloatArray,
        v0_pu: FloatArray,
        ehv_p_mw: FloatArray | None = None,
        ehv_q_mvar: FloatArray | None = None,
        p33_kw: FloatArray | None = None,
        q33_kvar: FloatArray | None = None,
        before: Positions | None = None,
        hold: Positions | None = None,
        start: EhvState | None = None,
        tolerance_pu: float = BORDER_TOLERANCE_PU,
    ) -> UpperResult:
        """Solve all steps of a block.

        Parameters
        ----------
        p_kw, q_kvar : array, shape (n_pss, steps)
            Load at the 11 kV bus of every PSS at voltage ``v0_pu``. [kW], [kvar]
        slope_p, slope_q : array, shape (n_pss, steps)
            Elasticities n of ``P = p (V/v0)^n`` and of Q.
        v0_pu : array, shape (n_pss, steps)
            Voltage for which the loads are stated. [pu of 11 kV]
        ehv_p_mw, ehv_q_mvar : array, shape (n_ehv, steps)
            Consumers at 132 kV and above, in the order the grid was built with. [MW], [Mvar]
        p33_kw, q33_kvar : array, shape (n_pss, steps)
            Constant loads at the PSS's 33 kV node. [kW], [kvar]
        before : Positions, optional
            ``positions`` of the block before; by default every tap in its middle.
        hold : Positions, optional
            ``positions_by_step`` of an earlier solution of the same block: taps and capacitors stay there. For a border
            with the feeders below, which otherwise could make a tap hunt.
        start : EhvState, optional
            ``state`` of an earlier solution of the same block: the voltages to start from.
        tolerance_pu : float
            Largest change of a 132 kV voltage between the last two rounds of trees and mesh. [pu]

        Returns
        -------
        UpperResult
            A step without solution is a status, never an exception.
        """
        steps = p_kw.shape[1]
        base = self.model.base_mva
        zeros = np.zeros((self.n_pss, steps))
        kw = [p_kw, q_kvar, zeros if p33_kw is None else p33_kw, zeros if q33_kvar is None else q33_kvar]
        p, q, p33, q33 = (np.asarray(part, dtype=np.float64) / (KW_PER_MW * base) for part in kw)
        n_p, n_q, v0 = (np.asarray(part, dtype=np.float64) for part in (slope_p, slope_q, v0_pu))
        loads = Loads(p, q, n_p, n_q, v0, p33, q33)
        ehv_mw = np.zeros((len(self.wiring.ehv_bus), steps)) if ehv_p_mw is None else ehv_p_mw
        ehv_mvar = np.zeros_like(ehv_mw) if ehv_q_mvar is None else ehv_q_mvar
        ehv = np.asarray((ehv_mw + 1j * ehv_mvar) / base, dtype=np.complex128)
        finite = [np.isfinite(part).all(axis=0) for part in (ehv, *loads)]
        good = np.logical_and.reduce(finite)
        block = _Block(self, loads, ehv, good, before or self.resting_positions(), hold, start)
        block.iterate(tolerance_pu)
        return block.result()


class _Block:
    """The border iteration of one block, and its results."""

    def __init__(
        self,
        grid: UpperGrid,
        loads: Loads,
        ehv: NDArray[np.complex128],
        good: NDArray[np.bool_],
        before: Positions,
        hold: Positions | None,
        start: EhvState | None,
    ) -> None:
        self.held, self.warm = hold is not None, start is not None
        self.grid, self.loads, self.ehv, self.good, self.before = grid, loads, ehv, good, before
        steps = loads.p.shape[1]
        self.out: SweepOut = sweep_out(grid.trees, steps)
        first = hold if hold is not None else Positions(*(np.repeat(part, steps, axis=1) for part in before))
        self.at = Positions(*(part.copy() for part in first))
        self.state = EhvState.fresh(grid.model, steps)
        nominal = loads.p.sum(axis=0) + loads.p_33.sum(axis=0) + ehv.real.sum(axis=0)
        self.schedule = grid.wiring.schedule(nominal * grid.model.base_mva) / grid.model.base_mva
        self.v_head = np.where(good, START_PU, np.nan) * np.ones((len(grid.wiring.gss_bus), 1))
        if start is not None:
            self.state.v[:], self.state.at_limit[:] = start.v, start.at_limit
            self.v_head[:, good] = np.abs(start.v[grid.wiring.gss_bus][:, good])
        self.bus_load = np.zeros((len(grid.model.v_start), steps), dtype=np.complex128)
        self.agreed = ~good
        self.rounds = 0

    def iterate(self, tolerance_pu: float) -> None:
        """Rounds of trees and mesh until 132 kV voltages and positions stand still; positions freeze after theirs."""
        grid = self.grid
        grid.solver.reset()
        for turn in range(MAX_BORDER_ROUNDS):
            self.rounds = turn + 1
            mode = SETTLE if turn < SETTLE_ROUNDS else RESCAN if turn < grid.rules.max_rounds else FROZEN
            if self.held:
                mode = FROZEN
            still = STILL_PU if turn > SETTLE_ROUNDS else -1.0
            positions = [part.copy() for part in self.at]
            solve_trees(grid.trees, grid.rules, self.loads, self.v_head, self.before, mode, still, self.at, self.out)
            self._solve_mesh(turn)
            v_new = np.abs(self.state.v[grid.wiring.gss_bus])
            v_new[:, (self.state.status == DIVERGED) | ~self.good] = np.nan
            change = np.abs(v_new - self.v_head).max(axis=0)
            held = np.ones(len(change), dtype=np.bool_)
            for old, new in zip(positions, self.at, strict=True):
                held &= (old == new).all(axis=0)
            self.agreed = ~self.good | (self.state.status == DIVERGED) | ((change <= tolerance_pu) & held)
            if turn >= SETTLE_ROUNDS and self.agreed.all():
                return
            self.v_head = v_new

    def _solve_mesh(self, turn: int) -> None:
        """Solve the steps whose loads moved, each GSS as a power and an admittance with the slope of its tree.

        At the voltage that the tree was solved for, both together are its power: ``S = s - m/2 + m/2 (V/V0)^2`` with
        the slope ``m = dS / d ln V``. A diverged step stays diverged: it would only be tried again with the same loads.
        """
        grid, out = self.grid, self.out
        half = (out.slope_p + 1j * out.slope_q) / 2
        load = np.repeat(grid.wiring.export[:, None], self.loads.p.shape[1], axis=1)
        shunt = np.zeros_like(load)
        np.add.at(load, grid.wiring.gss_bus, out.p_head + 1j * out.q_head - half)
        np.add.at(load, grid.wiring.ehv_bus, self.ehv)
        known = np.where(np.isfinite(self.v_head), self.v_head, START_PU)
        np.add.at(shunt, grid.wiring.gss_bus, np.conj(half) / known**2)
        fixed = load + np.conj(shunt)
        moved = (
            np.abs(fixed - self.bus_load).max(axis=0) > LOAD_TOLERANCE_PU
            if turn
            else np.ones(load.shape[1], dtype=np.bool_)
        )
        for step in np.flatnonzero(moved & self.good & (self.state.status != DIVERGED)).tolist():
            if turn == 0 and not self.warm and step and self.state.status[step - 1] != DIVERGED:
                self.state.v[:, step] = self.state.v[:, step - 1]
                self.state.at_limit[:, step] = self.state.at_limit[:, step - 1]
            grid.solver.solve_step(load[:, step], shunt[:, step], self.schedule[:, step], self.state, step)
            self.bus_load[:, step] = fixed[:, step]

    def _status(self) -> NDArray[np.uint8]:
        status = self.state.status.copy()
        status[(status == OK) & (self.out.status == SWEEP_DIVERGED).any(axis=0)] = RADIAL_DIVERGED
        status[(status == OK) & ~self.agreed] = BORDER_UNSETTLED
        status[~self.good] = BAD_INPUT
        return status

    def result(self) -> UpperResult:
        """Losses from branch currents, loadings, and the closure of the block."""
        grid, out, base = self.grid, self.out, self.grid.model.base_mva
        status = self._status()
        unsolved = (status == DIVERGED) | (status == BAD_INPUT)
        v = self.state.v
        s_f, s_t = grid.model.branch_flows(v)
        current = np.maximum(np.abs(s_f) / np.abs(v[grid.model.f_bus]), np.abs(s_t) / np.abs(v[grid.model.t_bus]))
        loading = 100.0 * current / grid.wiring.rating[:, None]
        generated, export = self.state.gen_s.real, grid.wiring.export.real.sum()
        sent = generated.sum(axis=0) - export
        load = out.load.sum(axis=0) + self.ehv.real.sum(axis=0)
        loss_ehv = (s_f + s_t).real.sum(axis=0) + out.loss_gss.sum(axis=0)
        loss_33 = out.loss_33.sum(axis=0)
        vm, v_pss = np.abs(v), np.abs(out.v[grid.trees.node_11])
        stated = np.where(np.isfinite(self.loads.v0), self.loads.v0, START_PU)

        def unless_failed(values: FloatArray) -> FloatArray:
            return np.where(unsolved, np.nan, values)

        return UpperResult(
            v_pss_pu=np.where(unsolved | ~np.isfinite(v_pss), stated, v_pss),
            loss_33kv_mw=unless_failed(base * loss_33),
            loss_ehv_mw=unless_failed(base * loss_ehv),
            sent_mw=unless_failed(base * sent),
            load_mw=unless_failed(base * load),
            export_mw=np.full(len(status), base * export),
            tie_mw=unless_failed(base * (generated[grid.model.weight > 0].sum(axis=0) - export)),
            gss_p_mw=unless_failed(base * out.p_33),
            gss_q_mvar=unless_failed(base * out.q_33),
            gss_vm_pu=unless_failed(np.abs(out.v[grid.trees.ptr[:-1] + 1])),
            gss_loading_percent=unless_failed(100.0 * out.loading),
            branch_loading_percent=unless_failed(loading),
            line_loading_percent_max=unless_failed(loading[grid.wiring.is_line].max(axis=0)),
            vm132_min=unless_failed(vm[grid.wiring.bus_132].min(axis=0)),
            vm132_max=unless_failed(vm[grid.wiring.bus_132].max(axis=0)),
            vm_ehv_pu=unless_failed(vm),
            generator_mw=unless_failed(base * generated),
            generator_mvar=unless_failed(base * self.state.gen_s.imag),
            generators_at_limit=self.state.at_limit.copy(),
            status=status,
            gss_status=out.status,
            closure=unless_failed((sent - load - loss_ehv - loss_33) / sent),
            schedule_mw=base * self.schedule,
            state=self.state,
            positions_by_step=self.at,
            positions=Positions(*(part[:, -1:].copy() for part in self.at)),
            controls_unsettled=int((out.status == CONTROLS_UNSETTLED).sum()),
            border_rounds=self.rounds,
            engine=grid.engine,
        )
