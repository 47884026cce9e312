"""One block of the upper grid: solve its steps, let the control devices scan the trajectory, repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import padded
from twin.powerflow.upper_border import solve_border
from twin.powerflow.upper_controls import Measured, Trajectory, step_sizes
from twin.powerflow.upper_ehv import BAD_INPUT, DIVERGED, OK, EhvState
from twin.powerflow.upper_factor import W
from twin.powerflow.upper_joint import UNFINISHED, MeshIn, MeshOut, mesh_out, solve_jointly, solve_trees
from twin.powerflow.upper_mesh import mesh_scratch
from twin.powerflow.upper_result import (
    RADIAL_DIVERGED,
    UpperResult,
    UpperState,
    branch_loading,
    count_operations,
)
from twin.powerflow.upper_tree_kernel import COARSE_PU, SWEEP_DIVERGED, tree_scratch
from twin.powerflow.upper_trees import CONTROLS_UNSETTLED, FloatArray, Loads, Positions, Waits, first_steps, sweep_out
from twin.units import KW_PER_MW, MINUTES_PER_DAY

if TYPE_CHECKING:
    from twin.powerflow.upper import UpperGrid

BoolArray = NDArray[np.bool_]
START_PU = 1.0
FOLLOWING_ROUNDS = 2
"""First rounds with the whole grid, in which scans have no memory: what they move on is still far from the solution."""


@dataclass(frozen=True)
class Given:
    """What a block is given, in pu and padded to whole bundles (the padding is never solved), but for ``minutes``."""

    loads: Loads
    ehv: NDArray[np.complex128]
    good: BoolArray
    """Steps whose inputs are all finite. [padded]"""
    stated_v_pss: FloatArray
    """Voltages for which loads are stated, as handed in. (n_pss, steps)"""
    schedule: FloatArray
    """Generation by schedule. (n_gens, padded)"""
    minutes: FloatArray
    """Of the day, at the start of every step. [steps]"""
    step_min: float

    @staticmethod
    def of(
        grid: UpperGrid, parts: tuple[FloatArray | None, ...], ehv_mw: FloatArray | None, ehv_mvar: FloatArray | None,
        step_min: float | None, first_minute: float,
    ) -> Given:  # fmt: skip
        """Take the arguments of `UpperGrid.solve`; a step with an input that is not finite is left out."""
        base, n_ehv = grid.model.base_mva, len(grid.wiring.ehv_bus)
        v0 = np.asarray(parts[4], dtype=np.float64)
        n_pss, steps = v0.shape
        size = padded(steps, W)
        ehv = np.zeros((n_ehv, size), dtype=np.complex128)
        for part, unit in ((ehv_mw, 1.0), (ehv_mvar, 1j)):
            if part is not None:
                ehv[:, :steps] += unit * part / base
        good = np.zeros(size, dtype=np.bool_)
        good[:steps] = np.isfinite(ehv[:, :steps]).all(axis=0)
        columns = []
        for k, part in enumerate(parts):
            column = np.full((n_pss, size), 1.0 if k == 4 else 0.0)
            if part is not None:
                column[:, :steps] = part
                good[:steps] &= np.isfinite(column[:, :steps]).all(axis=0)
            columns.append(column)
        for k in (0, 1, 5, 6):
            columns[k] *= 1.0 / (KW_PER_MW * base)
        for k, column in enumerate(columns):
            column[:, ~good] = 1.0 if k == 4 else 0.0
        ehv[:, ~good] = 0.0
        p, q, n_p, n_q, v0_padded, p33, q33 = columns
        nominal = p.sum(axis=0) + p33.sum(axis=0) + ehv.real.sum(axis=0)
        length = MINUTES_PER_DAY / steps if step_min is None else step_min
        return Given(
            Loads(p, q, n_p, n_q, v0_padded, p33, q33), ehv, good, np.where(np.isfinite(v0), v0, START_PU),
            grid.wiring.schedule(nominal * base) / base,
            np.asarray(first_minute + length * np.arange(steps), dtype=np.float64), length,
        )  # fmt: skip


class Block:
    """The solution of one block while it is being made."""

    def __init__(
        self, grid: UpperGrid, given: Given, before: Positions | None, waited: Waits | None,
        start: UpperState | None, tolerance_pu: float,
    ) -> None:  # fmt: skip
        self.grid, self.given, self.start, self.tolerance_pu = grid, given, start, tolerance_pu
        self.steps, self.size = len(given.minutes), len(given.good)
        n_gss = len(grid.wiring.gss_bus)
        self.gss_of_pss = np.repeat(np.arange(n_gss), np.diff(grid.trees.ptr))[grid.trees.node_11]
        self.continued = before
        self.track = Trajectory(
            grid.controls,
            self.gss_of_pss,
            before or grid.resting_positions(),
            waited,
            given.step_min,
            given.minutes,
            grid.controls.capacitors.step_pu * grid.trees.z[grid.trees.ptr[:-1] + 1].imag,
        )
        self.sizes = step_sizes(grid.controls)
        self.tree_scratch = tree_scratch(len(grid.trees.parent), n_gss)
        self.mesh_scratch = mesh_scratch(grid.mesh)
        self.mesh_in = self._mesh_in()
        self.rounds, self.unsettled = 0, np.zeros((n_gss, self.steps), dtype=np.bool_)
        self._begin()

    def _mesh_in(self) -> MeshIn:
        grid, place = self.grid, self.grid.mesh.place
        load = np.repeat(grid.wiring.export[:, None], self.size, axis=1)
        np.add.at(load, grid.wiring.ehv_bus, self.given.ehv)
        ordered = np.empty_like(load)
        ordered[place] = load
        p_fixed = np.zeros(load.shape)
        p_fixed[grid.mesh.gen] = self.given.schedule
        return MeshIn(
            np.ascontiguousarray(ordered.real), np.ascontiguousarray(ordered.imag), p_fixed, np.zeros(load.shape)
        )

    def _begin(self) -> None:
        """Voltages to start from: those handed in, else the model's own and none in the trees."""
        grid, n_gss = self.grid, len(self.grid.wiring.gss_bus)
        self.trees_out = sweep_out(grid.trees, self.size)
        self.mesh_out: MeshOut = mesh_out(grid.mesh, grid.model, self.size)
        self.v_head = np.full((n_gss, self.size), START_PU)
        if self.start is not None:
            ehv, used = self.start.ehv, slice(0, self.steps)
            self.mesh_out.v_re[grid.mesh.place, used] = ehv.v.real
            self.mesh_out.v_im[grid.mesh.place, used] = ehv.v.imag
            self.mesh_out.at_limit[:, used] = ehv.at_limit
            self.mesh_out.slack[used] = ehv.slack
            self.v_head[:, used] = np.abs(ehv.v[grid.wiring.gss_bus])
            self.trees_out.v_re[:], self.trees_out.v_im[:] = self.start.tree_re, self.start.tree_im

    def solve_held(self, hold: Positions) -> None:
        """Solve all steps at given positions."""
        self.track.at = Positions(*(part.copy() for part in hold))
        self._solve(self.given.good, 0.0)

    def settle(self) -> None:
        """Solve and scan until nothing moves.

        A step that finally fails must leave no trace in what the others do: when one is found that was scanned, all
        starts again with it left out.
        """
        left_out = np.zeros((len(self.v_head), self.steps), dtype=np.bool_)
        left_out |= ~self.given.good[: self.steps]
        while True:
            self.track.restart()
            self._begin()
            self._scan_trees(left_out)
            self._scan_all(left_out)
            failed = self._unknown()
            if not (failed & ~left_out).any():
                return
            left_out |= failed

    def _scan_trees(self, left_out: BoolArray) -> None:
        """First scan, on the trees alone with the voltages of the heads as they are."""
        solve_trees(
            self.grid.trees, self.sizes, self.given.loads, self.v_head, self.track.at, self.given.good, COARSE_PU,
            self.tree_scratch, self.trees_out,
        )  # fmt: skip
        self._rescan(left_out, first=True, with_reactors=False)

    def _scan_all(self, left_out: BoolArray) -> None:
        """Rounds with the whole grid until nothing moves; when they are used up, the last positions solved stay."""
        wanted, coarse = self.given.good.copy(), True
        for turn in range(self.grid.controls.max_rounds):
            self._solve(wanted, COARSE_PU if coarse else 0.0)
            solved = Positions(*(part.copy() for part in self.track.at))
            changed = self._rescan(left_out, first=turn < FOLLOWING_ROUNDS, with_reactors=True)
            wanted[: self.steps] = changed.any(axis=0)
            wanted &= self.given.good
            if not wanted.any():
                if not coarse:
                    return
                coarse, wanted = False, self.given.good.copy()
        self.track.at, self.unsettled = solved, changed
        if coarse:
            self._solve(self.given.good, 0.0)

    def _rescan(self, left_out: BoolArray, *, first: bool, with_reactors: bool) -> BoolArray:
        """Scan all devices; where any of a GSS moved, (n_gss, steps)."""
        trees, out, used = self.grid.trees, self.trees_out, slice(0, self.steps)
        bus, low = trees.ptr[:-1] + 1, trees.node_11
        at_reactor = self.grid.mesh.place[self.grid.wiring.reactor_bus]
        measured = Measured(
            np.hypot(out.v_re[bus, used], out.v_im[bus, used]),
            out.q_33[:, used],
            np.sqrt(out.v_re[low, used] ** 2 + out.v_im[low, used] ** 2),
            np.hypot(self.mesh_out.v_re[at_reactor, used], self.mesh_out.v_im[at_reactor, used]),
        )
        return self.track.rescan(measured, left_out | self._unknown(), first=first, with_reactors=with_reactors)

    def _unknown(self) -> BoolArray:
        """Where a tree has no solution, or its step above has none. (n_gss, steps)"""
        used = slice(0, self.steps)
        failed = self.trees_out.status[:, used] == SWEEP_DIVERGED
        return failed | (self.mesh_out.status[used] == DIVERGED) | ~self.given.good[used]

    def _solve(self, wanted: BoolArray, tolerance_pu: float) -> None:
        """Solve the wanted steps at the present positions; ``tolerance_pu`` replaces smaller ones of the solvers."""
        grid, at = self.grid, self.track.at
        self.rounds += 1
        self.mesh_in.b[:, : self.steps] = 0.0
        np.add.at(self.mesh_in.b, grid.mesh.place[grid.wiring.reactor_bus], self._reactors())
        if not grid.jointly:
            self.mesh_out.status[wanted] = UNFINISHED
        else:
            solve_jointly(
                grid.trees, self.sizes, self.given.loads, grid.mesh, self.mesh_in, at, wanted, tolerance_pu,
                self.mesh_out.at_limit.copy(), self.tree_scratch, self.mesh_scratch, self.mesh_out, self.trees_out,
            )  # fmt: skip
        left = wanted & (self.mesh_out.status == UNFINISHED)
        if left.any():
            solve_border(self, left)

    def _reactors(self) -> FloatArray:
        susceptance = np.zeros((len(self.grid.wiring.reactor_bus), self.size))
        susceptance[:, : self.steps] = self.track.at.reactor * self.sizes.reactor
        return susceptance

    def _status(self) -> NDArray[np.uint8]:
        status = self.mesh_out.status[: self.steps].copy()
        status[(status == OK) & (self.trees_out.status[:, : self.steps] == SWEEP_DIVERGED).any(axis=0)] = (
            RADIAL_DIVERGED
        )
        status[~self.given.good[: self.steps]] = BAD_INPUT
        return status

    def _ehv_state(self, status: NDArray[np.uint8]) -> EhvState:
        mesh, out, used = self.grid.mesh, self.mesh_out, slice(0, self.steps)
        return EhvState(
            (out.v_re[:, used] + 1j * out.v_im[:, used])[mesh.place],
            out.gen_p[:, used] + 1j * out.gen_q[:, used],
            out.at_limit[:, used].copy(),
            status,
            out.iterations[used].copy(),
            out.slack[used].copy(),
        )

    def result(self) -> UpperResult:
        """Losses from branch currents, loadings, and the closure of the block."""
        grid, base, used = self.grid, self.grid.model.base_mva, slice(0, self.steps)
        out = first_steps(self.trees_out, self.steps)
        status = self._status()
        state = self._ehv_state(self.mesh_out.status[used].copy())
        unsolved = (status == DIVERGED) | (status == BAD_INPUT)
        loading, loss_mesh = branch_loading(grid.model, grid.wiring.rating, state.v)
        generated, export = state.gen_s.real, grid.wiring.export.real.sum()
        sent = np.where(unsolved, np.nan, generated.sum(axis=0) - export)
        load = out.load.sum(axis=0) + self.given.ehv[:, used].real.sum(axis=0)
        loss_ehv, loss_33 = loss_mesh + out.loss_gss.sum(axis=0), out.loss_33.sum(axis=0)
        vm, low, bus = np.abs(state.v), grid.trees.node_11, grid.trees.ptr[:-1] + 1
        v_pss = np.sqrt(out.v_re[low] ** 2 + out.v_im[low] ** 2)

        def unless_failed(values: FloatArray) -> FloatArray:
            return np.where(unsolved, np.nan, values)

        return UpperResult(
            v_pss_pu=np.where(unsolved | ~np.isfinite(v_pss), self.given.stated_v_pss, v_pss),
            loss_33kv_mw=unless_failed(base * loss_33),
            loss_ehv_mw=unless_failed(base * loss_ehv),
            sent_mw=base * sent,
            load_mw=unless_failed(base * load),
            export_mw=np.full(len(status), base * export),
            tie_mw=unless_failed(base * (generated[grid.model.weight > 0].sum(axis=0) - export)),
            gss_p_mw=unless_failed(base * out.p_33),
            gss_q_mvar=unless_failed(base * out.q_33),
            gss_vm_pu=unless_failed(np.hypot(out.v_re[bus], out.v_im[bus])),
            gss_loading_percent=unless_failed(100.0 * out.loading),
            branch_loading_percent=unless_failed(loading),
            line_loading_percent_max=unless_failed(loading[grid.wiring.is_line].max(axis=0)),
            vm132_min=unless_failed(vm[grid.wiring.bus_132].min(axis=0)),
            vm132_max=unless_failed(vm[grid.wiring.bus_132].max(axis=0)),
            vm_ehv_pu=unless_failed(vm),
            generator_mw=unless_failed(base * generated),
            generator_mvar=unless_failed(base * state.gen_s.imag),
            generators_at_limit=state.at_limit.copy(),
            status=status,
            gss_status=np.where(self.unsettled & (out.status == 0), CONTROLS_UNSETTLED, out.status).astype(np.uint8),
            closure=(sent - load - loss_ehv - loss_33) / sent,
            schedule_mw=base * self.given.schedule[:, used],
            state=UpperState(state, self.trees_out.v_re, self.trees_out.v_im),
            positions=Positions(*(part[:, -1:].copy() for part in self.track.at)),
            waited=self.track.waited_after,
            positions_by_step=self.track.at,
            controls_unsettled=int(self.unsettled.sum()),
            border_rounds=self.rounds,
            engine=grid.engine,
            operations=count_operations(self.track.at, self.gss_of_pss, len(bus), self.continued),
        )
