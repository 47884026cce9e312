"""Backward/forward sweep of the radial 33 kV trees, with tap changers and capacitors settled step by step in time.

`twin.powerflow.radial` carries eight steps at once and has fixed ratios; here a step's positions follow from the step
before, so steps are solved one after the other, each tree by itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.upper_trees import ComplexArray, FloatArray, Loads, Positions, Rules, SweepOut, Trees

TOLERANCE_PU = 1e-10
COARSE_PU = 1e-6
"""Tolerance while positions still follow from step to step: the grid above is not known better then. [pu]"""
MAX_SWEEPS = 60
SMALL_CHANGE = 1e-3
"""Change of voltage up to which a load's power continues from its last value; the neglected term is below 1e-12."""
THIRD = 1.0 / 3.0
SETTLE, RESCAN, FROZEN = 0, 1, 2
SWEEP_OK, SWEEP_DIVERGED, CONTROLS_UNSETTLED = 0, 1, 2


class State(NamedTuple):
    """One tree at one step: working arrays by node, the head first; nothing in it outlives a call. [pu]"""

    up: NDArray[np.int64]
    """Parent."""
    pss: NDArray[np.int64]
    is_11: NDArray[np.bool_]
    k: ComplexArray
    z: ComplexArray
    c: ComplexArray
    d: ComplexArray
    turns: FloatArray
    """One over the ratio of the branch."""
    p: FloatArray
    q: FloatArray
    n_p: FloatArray
    n_q: FloatArray
    per_v0: FloatArray
    ratio: FloatArray
    """Last ``V / v0`` of the load, infinite before the first."""
    law_p: FloatArray
    """``ratio ** n_p``."""
    law_q: FloatArray
    v: ComplexArray
    i_node: ComplexArray
    """Current out of the branch into its node."""
    i_parent: ComplexArray
    """Current into the branch at its parent."""


@nb.njit(cache=True, error_model="numpy")
def _scratch(n: int) -> State:
    return State(
        np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.bool_),
        np.zeros(n, np.complex128), np.zeros(n, np.complex128), np.zeros(n, np.complex128), np.zeros(n, np.complex128),
        np.ones(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n),
        np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n),
        np.zeros(n, np.complex128), np.zeros(n, np.complex128), np.zeros(n, np.complex128),
    )  # fmt: skip


@nb.njit(cache=True, error_model="numpy")
def continued_power(factor: float, change: float, n: float) -> float:
    """``(V (1 + change))^n`` from ``factor = V^n``: the binomial series to the third order."""
    return factor * (1.0 + n * change * (1.0 + 0.5 * (n - 1.0) * change * (1.0 + (n - 2.0) * change * THIRD)))


@nb.njit(cache=True, error_model="numpy")
def _currents(state: State, size: int, capacitor_b: float) -> None:
    """Backward pass: currents at both ends of every branch for the present voltages."""
    up, v, i_node, i_parent = state.up, state.v, state.i_node, state.i_parent
    for j in range(size):
        i_node[j] = 0j
    for j in range(size - 1, 0, -1):
        if state.pss[j] >= 0:
            square = v[j].real * v[j].real + v[j].imag * v[j].imag
            ratio = np.sqrt(square) * state.per_v0[j]
            change = ratio / state.ratio[j] - 1.0  # -1 before the first
            if abs(change) < SMALL_CHANGE:
                state.law_p[j] = continued_power(state.law_p[j], change, state.n_p[j])
                state.law_q[j] = continued_power(state.law_q[j], change, state.n_q[j])
            else:
                log = np.log(ratio)
                state.law_p[j], state.law_q[j] = np.exp(state.n_p[j] * log), np.exp(state.n_q[j] * log)
            state.ratio[j] = ratio
            scale = 1.0 / square
            i_node[j] += complex(state.p[j] * state.law_p[j] * scale, -state.q[j] * state.law_q[j] * scale) * v[j]
        if j == 1:
            i_node[j] += complex(0.0, capacitor_b) * v[j]
        turns = state.turns[j]
        i_parent[j] = (state.c[j] * v[up[j]] * turns + state.d[j] * i_node[j]) * turns
        i_node[up[j]] += i_parent[j]


@nb.njit(cache=True, error_model="numpy")
def _solve(state: State, size: int, capacitor_b: float, tolerance: float) -> int:
    """Sweep until no voltage moves, leaving the currents of the final voltages; the sweeps, or -1 without solution."""
    for sweep in range(MAX_SWEEPS):
        _currents(state, size, capacitor_b)
        worst = 0.0
        for j in range(1, size):
            old = state.v[j]
            new = state.k[j] * state.v[state.up[j]] * state.turns[j] - state.z[j] * state.i_node[j]
            change = abs(new.real - old.real) + abs(new.imag - old.imag)
            state.v[j] = new
            if not (change <= worst):
                worst = change
        if worst <= tolerance:
            _currents(state, size, capacitor_b)
            return sweep + 1
        if not np.isfinite(worst):
            return -1
    return -1


@nb.njit(cache=True, error_model="numpy")
def tap_moves(value: float, target: float, deadband: float, step: float) -> int:
    """Tap steps that bring a voltage back inside its deadband: positive to raise it, 0 inside. [pu]"""
    off = target - value
    if abs(off) <= deadband:
        return 0
    return int(np.ceil((abs(off) - deadband) / step)) * (1 if off > 0 else -1)


@nb.njit(cache=True, error_model="numpy")
def capacitor_moves(q: float, on: float, off: float, step: float) -> int:
    """Steps to switch: in (positive) when the flow into the bus is above ``on``, out when it is below ``off``. [pu]"""
    if q > on:
        return int(np.ceil((q - on) / step))
    if q < off:
        return -int(np.ceil((off - q) / step))
    return 0


@nb.njit(cache=True, error_model="numpy")
def _clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


@nb.njit(cache=True, error_model="numpy")
def _move_controls(
    state: State, size: int, rules: Rules, again: bool, most: int, tap: int, cap: int, pss_tap: NDArray[np.int8]
) -> tuple[int, int, bool]:
    """One round of the controls, upper stages first: capacitors, else the GSS taps, else the PSS taps."""
    band = rules.deadband + (rules.hysteresis if again else 0.0)
    margin = rules.cap_hysteresis if again else 0.0
    q_33 = (state.v[1] * state.i_node[1].conjugate()).imag
    new_cap = _clip(cap + capacitor_moves(q_33, rules.cap_on + margin, rules.cap_off - margin, rules.cap_step), 0, most)
    if new_cap != cap:
        return tap, new_cap, True
    up = tap_moves(abs(state.v[1]), rules.gss_target, band, rules.tap_step)
    new_tap = _clip(tap - up, -rules.tap_most, rules.tap_most)
    if new_tap != tap:
        return new_tap, cap, True
    moved = False
    for j in range(2, size):
        if state.is_11[j]:
            old = pss_tap[state.pss[j]]
            up = tap_moves(abs(state.v[j]), rules.pss_target, band, rules.tap_step)
            position = _clip(old - up, -rules.tap_most, rules.tap_most)
            if position != old:
                pss_tap[state.pss[j]] = position
                moved = True
    return tap, cap, moved


@nb.njit(cache=True, error_model="numpy")
def _settle(
    state: State, size: int, rules: Rules, mode: int, most: int, tap: int, cap: int, pss_tap: NDArray[np.int8]
) -> tuple[int, int, int, int]:
    """Solve one state and move its controls until none wants to: status, sweeps, and the positions reached."""
    sweeps, tolerance = 0, COARSE_PU if mode == SETTLE else TOLERANCE_PU
    for turn in range(rules.max_rounds + 1):
        state.turns[1] = 1.0 / (1.0 + tap * rules.tap_step)
        for j in range(2, size):
            if state.is_11[j]:
                state.turns[j] = 1.0 / (1.0 + pss_tap[state.pss[j]] * rules.tap_step)
        used = _solve(state, size, cap * rules.cap_step, tolerance)
        if used < 0:
            return SWEEP_DIVERGED, sweeps, tap, cap
        sweeps += used
        if mode == FROZEN:
            return SWEEP_OK, sweeps, tap, cap
        if turn == rules.max_rounds:
            break
        tap, cap, moved = _move_controls(state, size, rules, mode == RESCAN, most, tap, cap, pss_tap)
        if not moved:
            return SWEEP_OK, sweeps, tap, cap
    return CONTROLS_UNSETTLED, sweeps, tap, cap


@nb.njit(cache=True, error_model="numpy")
def _take_tree(trees: Trees, lo: int, hi: int, state: State) -> None:
    """Load the structure of one tree."""
    for j in range(hi - lo):
        node = lo + j
        state.up[j], state.pss[j], state.is_11[j] = trees.parent[node] - lo, trees.pss[node], trees.is_11[node]
        state.k[j], state.z[j], state.c[j], state.d[j] = trees.k[node], trees.z[node], trees.c[node], trees.d[node]
        state.turns[j] = 1.0


@nb.njit(cache=True, error_model="numpy")
def _take_step(state: State, size: int, loads: Loads, t: int, head: float, lo: int, stored: ComplexArray) -> None:
    """Load one step: its loads, and as a start its last solution or the head's voltage carried down without current."""
    known = np.isfinite(stored[lo + 1, t].real)
    state.v[0] = complex(head, 0.0)
    for j in range(1, size):
        state.v[j] = stored[lo + j, t] if known else state.k[j] * state.v[state.up[j]]
        state.ratio[j] = np.inf
        pss = state.pss[j]
        if pss < 0:
            continue
        if state.is_11[j]:
            state.p[j], state.q[j], state.per_v0[j] = loads.p[pss, t], loads.q[pss, t], 1.0 / loads.v0[pss, t]
            state.n_p[j], state.n_q[j] = loads.n_p[pss, t], loads.n_q[pss, t]
        else:
            state.p[j], state.q[j], state.per_v0[j] = loads.p_33[pss, t], loads.q_33[pss, t], 1.0
            state.n_p[j], state.n_q[j] = 0.0, 0.0


@nb.njit(cache=True, error_model="numpy")
def _store(state: State, size: int, capacitor_b: float, rating: float, g: int, t: int, lo: int, out: SweepOut) -> None:
    """Write one state's results; a branch loses what its own end currents carry in and not out."""
    loss_33, load, slope_p, slope_q = 0.0, 0.0, 0.0, -2.0 * capacitor_b * abs(state.v[1]) ** 2
    out.v[lo, t] = state.v[0]
    for j in range(1, size):
        out.v[lo + j, t] = state.v[j]
        loss = (state.v[state.up[j]] * state.i_parent[j].conjugate() - state.v[j] * state.i_node[j].conjugate()).real
        if j == 1:
            out.loss_gss[g, t] = loss
        else:
            loss_33 += loss
        if state.pss[j] >= 0:
            p = state.p[j] * state.law_p[j]
            load += p
            slope_p += p * state.n_p[j]
            slope_q += state.q[j] * state.law_q[j] * state.n_q[j]
    head, bus = state.v[0] * state.i_parent[1].conjugate(), state.v[1] * state.i_node[1].conjugate()
    out.p_head[g, t], out.q_head[g, t] = head.real, head.imag
    out.p_33[g, t], out.q_33[g, t] = bus.real, bus.imag
    out.loading[g, t] = max(abs(state.i_parent[1]), abs(state.i_node[1])) / rating
    out.loss_33[g, t], out.load[g, t] = loss_33, load
    out.slope_p[g, t], out.slope_q[g, t] = slope_p, slope_q


@nb.njit(cache=True, error_model="numpy")
def _store_failure(state: State, size: int, g: int, t: int, lo: int, out: SweepOut) -> None:
    """A tree without solution: unknown voltages; the grid above sees its loads as they were stated."""
    p, q = 0.0, 0.0
    for j in range(size):
        out.v[lo + j, t] = np.nan
        if state.pss[j] >= 0:
            p += state.p[j]
            q += state.q[j]
    out.p_head[g, t], out.q_head[g, t] = p, q
    out.slope_p[g, t], out.slope_q[g, t] = 0.0, 0.0
    for unknown in (out.p_33, out.q_33, out.loading, out.loss_gss, out.loss_33, out.load):
        unknown[g, t] = np.nan


@nb.njit(cache=True, error_model="numpy")
def solve_trees(
    trees: Trees,
    rules: Rules,
    loads: Loads,
    v_head: FloatArray,
    before: Positions,
    mode: int,
    still_pu: float,
    at: Positions,
    out: SweepOut,
) -> None:
    """Solve every GSS tree for all steps, moving the controls in time order.

    Parameters
    ----------
    trees, rules, loads : Trees, Rules, Loads
        See `twin.powerflow.upper_trees`.
    v_head : array, shape (n_gss, steps)
        Voltage magnitude of the 132 kV bus; NaN where the grid above has no solution: nor has the tree then. [pu]
    before : Positions
        Positions before the first step, arrays with one column.
    mode : int
        `SETTLE`: every step starts from the positions of the step before. `RESCAN`: from its own positions in ``at``,
        which move only beyond deadband and hysteresis. `FROZEN`: the positions in ``at`` stay.
    still_pu : float
        A state whose head moved no more than this since its solution keeps it; negative: all are solved. [pu]
    at : Positions
        Positions by step; read and written.
    out : SweepOut
        Results; ``out.v`` is the start of every state.
    """
    widest = 0
    for g in range(len(trees.ptr) - 1):
        widest = max(widest, trees.ptr[g + 1] - trees.ptr[g])
    state = _scratch(widest)
    pss_tap = before.pss_tap[:, 0].copy()
    for g in range(len(trees.ptr) - 1):
        lo, size = trees.ptr[g], trees.ptr[g + 1] - trees.ptr[g]
        _take_tree(trees, lo, trees.ptr[g + 1], state)
        tap, cap = np.int64(before.gss_tap[g, 0]), np.int64(before.capacitor[g, 0])
        for t in range(v_head.shape[1]):
            if abs(v_head[g, t] - out.v[lo, t].real) <= still_pu:
                continue
            if mode != SETTLE:
                tap, cap = np.int64(at.gss_tap[g, t]), np.int64(at.capacitor[g, t])
                for j in range(2, size):
                    pss_tap[state.pss[j]] = at.pss_tap[state.pss[j], t]
            _take_step(state, size, loads, t, v_head[g, t], lo, out.v)
            status, sweeps = SWEEP_DIVERGED, 0
            if np.isfinite(v_head[g, t]):
                status, sweeps, tap, cap = _settle(state, size, rules, mode, trees.capacitors[g], tap, cap, pss_tap)
            if status == SWEEP_DIVERGED:
                _store_failure(state, size, g, t, lo, out)
            else:
                _store(state, size, cap * rules.cap_step, trees.gss_rating[g], g, t, lo, out)
            out.status[g, t], out.sweeps[g, t] = status, sweeps
            at.gss_tap[g, t], at.capacitor[g, t] = tap, cap
            for j in range(2, size):
                at.pss_tap[state.pss[j], t] = pss_tap[state.pss[j]]
