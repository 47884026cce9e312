"""Newton power flow of the meshed grid at 132 kV and above, with distributed slack and reactive limits, step by step.

The admittances come from pandapower's own branch model; the Newton itself is lightsim2grid's. Two things are added:
every slack is a generator (an ``ext_grid`` would be dropped from a distributed slack), and a generator at its
reactive limit becomes a fixed injection for that step while it still carries its share of the slack.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from lightsim2grid.algorithm import NR_KLU
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]
ComplexArray = NDArray[np.complex128]

OK, DIVERGED, LIMITS_UNSETTLED, BAD_INPUT = 0, 1, 2, 5
TOLERANCE_PU = 1e-9
SHARE_TOLERANCE_PU = 1e-9
LIMIT_TOLERANCE_PU = 1e-7
RELEASE_TOLERANCE_PU = 1e-9
MAX_ITERATIONS = 15
MAX_SWITCHING_ROUNDS = 20
RELEASE_ROUNDS = 10
"""Rounds in which a generator may leave its limit again; later ones only add limits, so the search ends."""
KEPT_SOLVERS = 16


@dataclass(frozen=True)
class EhvModel:
    """Admittances and generators of the meshed grid in per unit on ``base_mva``.

    Branch arrays have shape (n_branches,), with the current at the from end ``i_f = y_ff v_f + y_ft v_t`` and at the to
    end ``i_t = y_tf v_f + y_tt v_t``; ``y_shunt`` and ``v_start`` have shape (n_buses,); generator arrays (n_gens,), at
    most one generator per bus. ``weight`` is a generator's share of the slack (0: none); shares sum to 1.
    """

    base_mva: float
    f_bus: IntArray
    t_bus: IntArray
    y_ff: ComplexArray
    y_ft: ComplexArray
    y_tf: ComplexArray
    y_tt: ComplexArray
    y_shunt: ComplexArray
    v_start: ComplexArray
    gen_bus: IntArray
    weight: FloatArray
    vm_set_pu: FloatArray
    q_min_pu: FloatArray
    q_max_pu: FloatArray

    def admittance(self) -> csc_matrix:
        """The bus admittance matrix, shape (n_buses, n_buses), in canonical form."""
        n = len(self.v_start)
        rows = np.concatenate([self.f_bus, self.f_bus, self.t_bus, self.t_bus, np.arange(n)])
        cols = np.concatenate([self.f_bus, self.t_bus, self.f_bus, self.t_bus, np.arange(n)])
        data = np.concatenate([self.y_ff, self.y_ft, self.y_tf, self.y_tt, self.y_shunt])
        matrix = csc_matrix((data, (rows, cols)), shape=(n, n))
        matrix.sum_duplicates()
        return matrix

    def branch_flows(self, v: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
        """Complex power into both ends of every branch for voltages ``v`` of shape (n_buses, steps). [pu]"""
        v_f, v_t = v[self.f_bus], v[self.t_bus]
        s_f = v_f * np.conj(self.y_ff[:, None] * v_f + self.y_ft[:, None] * v_t)
        s_t = v_t * np.conj(self.y_tf[:, None] * v_f + self.y_tt[:, None] * v_t)
        return s_f, s_t


@dataclass
class EhvState:
    """Solution of a block: arrays (n_buses, steps), (n_gens, steps) and (steps,). Reused as the next start. [pu]"""

    v: ComplexArray
    gen_s: ComplexArray
    at_limit: NDArray[np.int8]
    status: NDArray[np.uint8]
    iterations: NDArray[np.int32]
    slack: FloatArray
    """Sum of what the slack carries beyond its schedule."""

    @staticmethod
    def fresh(model: EhvModel, steps: int) -> EhvState:
        """A state that starts every step from the model's own start voltages, with no generator at a limit."""
        n_gens = len(model.gen_bus)
        return EhvState(
            np.repeat(model.v_start[:, None], steps, axis=1),
            np.zeros((n_gens, steps), dtype=np.complex128),
            np.zeros((n_gens, steps), dtype=np.int8),
            np.zeros(steps, dtype=np.uint8),
            np.zeros(steps, dtype=np.int32),
            np.zeros(steps),
        )


@dataclass(frozen=True)
class Pattern:
    """Bus types of one set of generators at their limits. ``weights`` has shape (n_buses,), ``free`` (n_gens,)."""

    key: bytes
    slack: IntArray
    weights: FloatArray
    pv: IntArray
    pq: IntArray
    free: NDArray[np.bool_]


class Newton(Protocol):
    """What finds voltages for given injections and bus types."""

    def __call__(
        self, pattern: Pattern, guess: ComplexArray, injected: ComplexArray, shunt: ComplexArray
    ) -> tuple[ComplexArray | None, int]:
        """Voltages (None: no convergence) and iterations used; ``shunt``: admittances at buses beyond the model's."""
        ...

    def reset(self) -> None:
        """Forget everything that could make a result depend on earlier calls."""
        ...


class LightsimNewton:
    """lightsim2grid's Newton with the KLU factorisation, one solver per pattern so that the symbolic part is kept."""

    def __init__(self, matrix: csc_matrix) -> None:
        self._matrix = matrix
        self._work = matrix.copy()
        columns = np.repeat(np.arange(matrix.shape[1]), np.diff(matrix.indptr))
        self._diagonal = np.flatnonzero(matrix.indices == columns)
        self._solvers: OrderedDict[bytes, Any] = OrderedDict()

    def __reduce__(self) -> tuple[type, tuple[csc_matrix]]:
        return type(self), (self._matrix,)

    def reset(self) -> None:
        """Drop the kept factorisation orders: pivots were chosen on the first state solved."""
        self._solvers.clear()

    def __call__(
        self, pattern: Pattern, guess: ComplexArray, injected: ComplexArray, shunt: ComplexArray
    ) -> tuple[ComplexArray | None, int]:
        """See `Newton`."""
        self._work.data[:] = self._matrix.data
        self._work.data[self._diagonal] += shunt
        solver = self._solvers.get(pattern.key)
        if solver is None:
            solver = self._solvers[pattern.key] = NR_KLU()
            if len(self._solvers) > KEPT_SOLVERS:
                self._solvers.popitem(last=False)
        ok = solver.solve(
            self._work,
            guess,
            injected,
            pattern.slack,
            pattern.weights,
            pattern.pv,
            pattern.pq,
            MAX_ITERATIONS,
            TOLERANCE_PU,
        )
        iterations = int(solver.get_nb_iter())
        if not ok:
            solver.reset()
            return None, iterations
        return np.asarray(solver.get_V(), dtype=np.complex128).ravel().copy(), iterations


class EhvSolver:
    """Solves steps of one `EhvModel` with any `Newton`. After `reset` results depend on the inputs alone."""

    def __init__(self, model: EhvModel, newton: Newton | None = None) -> None:
        self.model = model
        self.matrix = model.admittance()
        self.newton: Newton = newton or LightsimNewton(self.matrix)
        self._patterns: dict[bytes, Pattern] = {}

    def reset(self) -> None:
        """Forget what earlier blocks left behind."""
        self.newton.reset()

    def solve_step(
        self, load: ComplexArray, shunt: ComplexArray, p_gen: FloatArray, state: EhvState, step: int
    ) -> None:
        """Solve one step and write it into ``state``, which also holds its start.

        Parameters
        ----------
        load : complex array, shape (n_buses,)
            Power drawn at each bus, whatever its voltage. [pu]
        shunt : complex array, shape (n_buses,)
            Admittance drawn at each bus beyond the model's own: how loads answer to voltage. [pu]
        p_gen : array, shape (n_gens,)
            Scheduled generation; the slack share comes on top. [pu]
        state : EhvState
            Start and result.
        step : int
            Column of ``state``.
        """
        at_limit = state.at_limit[:, step].copy()
        v, iterations = state.v[:, step], 0
        total = 0.0
        for attempt in range(MAX_SWITCHING_ROUNDS):
            v_new, used = self._newton(load, shunt, p_gen, at_limit, total, v)
            iterations += used
            if v_new is None:
                state.status[step], state.iterations[step] = DIVERGED, iterations
                state.v[:, step] = self.model.v_start
                return
            v = v_new
            s_gen = (v * np.conj(self.matrix @ v + shunt * v) + load)[self.model.gen_bus]
            wanted = self._limits(s_gen.imag, np.abs(v[self.model.gen_bus]), at_limit, attempt < RELEASE_ROUNDS)
            new_total = self._slack_total(s_gen.real - p_gen, at_limit, total)
            settled = not (at_limit[self.model.weight > 0] != 0).any() or abs(new_total - total) < SHARE_TOLERANCE_PU
            total = new_total
            if settled and np.array_equal(wanted, at_limit):
                state.status[step] = LIMITS_UNSETTLED if self._beyond(s_gen.imag, at_limit).any() else OK
                break
            at_limit = wanted
        else:
            state.status[step] = LIMITS_UNSETTLED
        state.v[:, step], state.gen_s[:, step], state.at_limit[:, step] = v, s_gen, at_limit
        state.iterations[step], state.slack[step] = iterations, total

    def _newton(
        self,
        load: ComplexArray,
        shunt: ComplexArray,
        p_gen: FloatArray,
        at_limit: NDArray[np.int8],
        total: float,
        v: ComplexArray,
    ) -> tuple[ComplexArray | None, int]:
        """Voltages of one bus-type pattern, from the given start and, if that fails, from the model's own start."""
        model, pattern = self.model, self._pattern(at_limit)
        injected = -load
        fixed_q = np.where(at_limit > 0, model.q_max_pu, model.q_min_pu)
        held = at_limit != 0
        injected[model.gen_bus] += p_gen + np.where(held, model.weight * total + 1j * fixed_q, 0.0)
        used = 0
        for start in (v, model.v_start):
            guess = start.copy()
            buses = model.gen_bus[pattern.free]
            guess[buses] *= model.vm_set_pu[pattern.free] / np.abs(guess[buses])
            found, iterations = self.newton(pattern, guess, injected, shunt)
            used += iterations
            if found is not None:
                return found, used
        return None, used

    def _pattern(self, at_limit: NDArray[np.int8]) -> Pattern:
        key = (at_limit != 0).tobytes()
        if key not in self._patterns:
            model = self.model
            free = at_limit == 0
            sharing = free & (model.weight > 0)
            weights = np.zeros(len(model.v_start))
            weights[model.gen_bus[sharing]] = model.weight[sharing] / model.weight[sharing].sum()
            slack = model.gen_bus[sharing].astype(np.int32)
            pv = model.gen_bus[free & ~sharing].astype(np.int32)
            pq = np.setdiff1d(np.arange(len(weights)), np.concatenate([slack, pv])).astype(np.int32)
            self._patterns[key] = Pattern(key, slack, weights, pv, pq, free)
        return self._patterns[key]

    def _slack_total(self, surplus: FloatArray, at_limit: NDArray[np.int8], assumed: float) -> float:
        """All slack power: what free generators carry beyond their schedule, and the shares of held ones. [pu]"""
        sharing = (at_limit == 0) & (self.model.weight > 0)
        return float(surplus[sharing].sum() + assumed * self.model.weight[~sharing].sum())

    def _limits(
        self, q_gen: FloatArray, vm: FloatArray, at_limit: NDArray[np.int8], may_release: bool
    ) -> NDArray[np.int8]:
        """Which generators must stand at a limit: those beyond it, and those there that voltage still keeps there.

        The last free generator of the slack is never taken, as there would be no reference: `solve_step` reports it.
        """
        model = self.model
        wanted = at_limit + self._beyond(q_gen, at_limit)
        if may_release:
            wanted[(at_limit > 0) & (vm > model.vm_set_pu + RELEASE_TOLERANCE_PU)] = 0
            wanted[(at_limit < 0) & (vm < model.vm_set_pu - RELEASE_TOLERANCE_PU)] = 0
        sharing = model.weight > 0
        if not ((wanted == 0) & sharing).any():
            wanted[np.argmax(np.where((at_limit == 0) & sharing, model.weight, -1.0))] = 0
        return wanted

    def _beyond(self, q_gen: FloatArray, at_limit: NDArray[np.int8]) -> NDArray[np.int8]:
        """Free generators above (1) or below (-1) their reactive limits. Shape (n_gens,)."""
        high, low = q_gen > self.model.q_max_pu + LIMIT_TOLERANCE_PU, q_gen < self.model.q_min_pu - LIMIT_TOLERANCE_PU
        return np.where(at_limit == 0, high.astype(np.int8) - low.astype(np.int8), 0).astype(np.int8)
