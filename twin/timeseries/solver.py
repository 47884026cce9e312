"""Solves a cut network block by block: sweeps first, Newton for what they cannot take or did not finish."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from twin.powerflow.branch_model import ComplexArray, FloatArray, IntArray
from twin.powerflow.branch_newton import FreeBuses, NewtonPart, angles_start
from twin.powerflow.branch_sweep import UNSOLVED, SweepOptions, W, sweep, sweep_scratch
from twin.powerflow.lanes import aligned, padded
from twin.timeseries.compiled import Case
from twin.timeseries.failures import Failures, collapse_or_not, not_a_number
from twin.timeseries.injections import Injections, base_case, inject, room
from twin.timeseries.parts import NEWTON, NONE, Cut, Part
from twin.timeseries.profiles import Profiles

VALUES_PER_BLOCK = 2**18
"""Buses times steps of a block: its arrays stay in the cache, and a block is still worth its calls."""
LEAST_BLOCK, MOST_BLOCK = 96, 4096


class Solver:
    """All steps of one network. After `blocks` has run, ``failures`` and the counts hold what happened."""

    def __init__(self, case: Case, cut: Cut, profiles: Profiles, *, fallback: bool) -> None:
        """Prepare; ``fallback``: states that a sweep does not finish go to Newton."""
        self.case, self.cut, self.profiles, self.fallback = case, cut, profiles, fallback
        self._newtons: dict[int, NewtonPart] = {}
        self._base = base_case(case)
        most = max(LEAST_BLOCK, min(MOST_BLOCK, VALUES_PER_BLOCK // max(case.n_buses, 1)))
        self.block_steps = padded(min(most, len(profiles.steps)), W)
        self.restart()

    def restart(self) -> None:
        """Forget what happened: only failures that hold for every step, defects of the network, are noted."""
        self.failures = Failures()
        self.failed = np.zeros(len(self.profiles.steps), dtype=bool)
        self.fallbacks = np.zeros(len(self.cut.parts), dtype=np.int64)
        """States of each part that the sweep left to Newton."""
        self.sweeps = 0
        for part in self.cut.parts:
            for cause in dict.fromkeys(defect.cause for defect in part.defects):
                detail = ", ".join(dict.fromkeys(str(d) for d in part.defects if d.cause == cause))
                self.failures.add(part.number, cause, detail, self.profiles.steps.tolist())
                self.failed[:] = True

    def blocks(self) -> Iterator[tuple[int, IntArray, FloatArray, FloatArray]]:
        """Number of the first step, labels of the steps, and voltages of each block.

        Voltages have shape (n_buses + 1, whole bundles of steps); the last row is NaN, for buses out of service. They
        are overwritten by the next block.
        """
        n, steps = self.case.n_buses, self.profiles.steps
        size = self.block_steps
        injections = room(self.case, self.profiles, size)
        v_re, v_im = aligned((n + 1, size), np.float64), aligned((n + 1, size), np.float64)
        for first in range(0, len(steps), size):
            labels = steps[first : first + size]
            inject(self.case, self.profiles, first, len(labels), injections)
            self.solve(injections, first, len(labels), v_re, v_im)
            yield first, labels, v_re, v_im

    def solve(self, injections: Injections, first: int, steps: int, v_re: FloatArray, v_im: FloatArray) -> None:
        """Solve the steps from number ``first`` on with these powers, into voltages as `blocks` gives them."""
        case, cut = self.case, self.cut
        v_re[:], v_im[:] = np.nan, np.nan
        v_re[:-1][case.fixed] = case.v_start.real[case.fixed, None]
        v_im[:-1][case.fixed] = case.v_start.imag[case.fixed, None]
        v_re[cut.dead_sources], v_im[cut.dead_sources] = np.nan, np.nan
        unsolved = self._sweep(injections, v_re, v_im)
        for part in cut.parts:
            if part.solver == NEWTON:
                for step in range(steps):
                    self._newton(part, injections, first, step, v_re, v_im)
            elif part.solver != NONE:
                for step in np.flatnonzero(unsolved[part.tree, :steps]).tolist():
                    self._left_over(part, injections, first, step, v_re, v_im)

    def _sweep(self, injections: Injections, v_re: FloatArray, v_im: FloatArray) -> np.ndarray:
        """Sweep all trees; True where a state is not solved. (n_trees, steps)"""
        case, forest = self.case, self.cut.forest
        status = np.zeros((len(forest.start) - 1, v_re.shape[1]), dtype=np.uint8)
        zips = case.zips
        shares = (zips.p_current, zips.p_impedance, zips.q_current, zips.q_impedance)
        voltage_dependent = np.logical_or.reduce([share != 0 for share in shares])[forest.bus]
        with_zip = np.zeros(len(status), dtype=bool)
        if len(status):
            with_zip = np.logical_or.reduceat(voltage_dependent, forest.start[:-1])
        self.sweeps += sweep(
            forest,
            injections.p,
            injections.q,
            zips,
            with_zip,
            SweepOptions(),
            sweep_scratch(forest),
            v_re,
            v_im,
            status,
        )
        return status == UNSOLVED

    def _left_over(
        self, part: Part, injections: Injections, first: int, step: int, v_re: FloatArray, v_im: FloatArray
    ) -> None:
        """A state that the sweep did not finish."""
        self.fallbacks[part.number] += 1
        if self.fallback:
            self._newton(part, injections, first, step, v_re, v_im)
            return
        load, generated = injections.load(step)[part.buses], injections.generated(step)[part.buses]
        self._fail(part, load, generated, first + step)
        v_re[part.buses, step], v_im[part.buses, step] = np.nan, np.nan

    def _newton(
        self, part: Part, injections: Injections, first: int, step: int, v_re: FloatArray, v_im: FloatArray
    ) -> None:
        """Solve one state of one part by Newton, or note why not."""
        load, generated = injections.load(step)[part.buses], injections.generated(step)[part.buses]
        v = None
        if np.isfinite(load).all() and np.isfinite(generated).all():
            v = self.newton_of(part).solve(load, generated)
        if v is None:
            self._fail(part, load, generated, first + step)
            v = np.full(len(part.buses), np.nan, dtype=np.complex128)
        v_re[part.buses, step], v_im[part.buses, step] = v.real, v.imag

    def _fail(self, part: Part, load: ComplexArray, generated: FloatArray, step: int) -> None:
        self.failed[step] = True
        if np.isfinite(load).all() and np.isfinite(generated).all():
            cause, detail = collapse_or_not(self.newton_of(part), load, generated, part)
        else:
            cause, detail = not_a_number(self.case, self.profiles, part, step)
        self.failures.add(part.number, cause, detail, [int(self.profiles.steps[step])])

    def newton_of(self, part: Part) -> NewtonPart:
        """The part's Newton, made and settled on its base case when it is first wanted."""
        if part.number not in self._newtons:
            case = self.case
            load, generated = self._base
            branches = case.branches.rows(part.branches)
            fixed = np.where(case.fixed, case.v_start, 0)
            free = FreeBuses(part.buses, case.holds[part.buses], np.abs(case.v_start[part.buses]))
            injected = np.nan_to_num(generated - load.real)
            starts = [angles_start(branches, case.y_bus, fixed, free, injected), case.v_start]
            newton = NewtonPart(branches, case.y_bus, fixed, free, case.zips, starts)
            newton.settle(load[part.buses], generated[part.buses])
            self._newtons[part.number] = newton
        return self._newtons[part.number]

    def first_step(self) -> ComplexArray:
        """Voltages of the parts for Newton in the first step; NaN elsewhere and where there is none. (n_buses,)"""
        injections = room(self.case, self.profiles, 1)
        inject(self.case, self.profiles, 0, 1, injections)
        v = np.full(self.case.n_buses, np.nan, dtype=np.complex128)
        for part in self.cut.parts:
            if part.solver == NEWTON:
                load, generated = injections.load(0)[part.buses], injections.generated(0)[part.buses]
                if np.isfinite(load).all() and np.isfinite(generated).all():
                    found = self.newton_of(part).solve(load, generated)
                    if found is not None:
                        v[part.buses] = found
        return v
