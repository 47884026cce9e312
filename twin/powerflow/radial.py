"""Balanced radial power flow: a backward/forward sweep over all steps of a block, per unit on 1 MVA.

For 11 kV feeders (called per feeder from compiled code) and for 33 kV trees with transformers. Every state converges
and stops by itself: a neighbour that diverges, or is NaN, changes no bit of it. All in float64. `radial_tree` holds the
arrays, `radial_kernel` the sweeps.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow import radial_kernel as kernel
from twin.powerflow.lanes import absolute, fma, sqrt
from twin.powerflow.radial_kernel import (
    CHANGE,
    HEAD,
    PREVIOUS,
    WEIGHT,
    add,
    equivalent_kw,
    load,
    power,
    put,
    splat,
)
from twin.powerflow.radial_tree import (
    NOT_CONVERGED,
    NOT_FINITE,
    OK,
    NodeLoads,
    RadialOptions,
    RadialOut,
    RadialScratch,
    RadialTree,
    W,
    constant_power,
    node_loads,
    radial_options,
    radial_out,
    radial_scratch,
    va_degree,
)
from twin.units import KW_PER_MW

__all__ = [
    "NOT_CONVERGED",
    "NOT_FINITE",
    "OK",
    "NodeLoads",
    "RadialOptions",
    "RadialOut",
    "RadialScratch",
    "RadialTree",
    "constant_power",
    "equivalent_kw",
    "node_loads",
    "radial_options",
    "radial_out",
    "radial_scratch",
    "sweep",
    "va_degree",
]

DAMPING, LEAST_WEIGHT, ENOUGH = 0.6, 0.15, 0.95
"""Damping: the weight shrinks by the first, not below the second, when a change stays above the third of the last."""
RESTART_PU = 0.01
"""A state that still moves by more when damping begins has gone astray, and starts again."""


@nb.njit(cache=True, error_model="numpy")
def _test(scratch: RadialScratch, made: int, options: RadialOptions) -> bool:
    """Count the sweep, damp the lanes that do not settle; True while any lane goes on."""
    lane, running = scratch.lane, False
    for i in range(W):
        change, previous = lane[CHANGE + i], lane[PREVIOUS + i]
        if previous <= options.tolerance or np.isnan(previous):
            continue  # it had finished before
        lane[PREVIOUS + i] = change
        scratch.lane_sweeps[i] = made
        if change > options.tolerance:  # a NaN stops by itself
            running = True
            if made > options.plain and change > ENOUGH * previous:
                lane[WEIGHT + i] = max(LEAST_WEIGHT, DAMPING * lane[WEIGHT + i])
    return running


@nb.njit(cache=True, error_model="numpy")
def _iterate(tree: RadialTree, options: RadialOptions, scratch: RadialScratch) -> None:
    """Sweep the bundle until every lane has settled or failed, and leave the currents of the final voltages."""
    kernel.flat(tree, options.tolerance, scratch)
    for made in range(1, options.most + 1):
        kernel.backward(tree, scratch)
        kernel.forward(tree, options.tolerance, made > options.plain, scratch)
        if not _test(scratch, made, options):
            break
        if made == options.plain:
            kernel.flat(tree, max(RESTART_PU, options.tolerance), scratch)
    kernel.backward(tree, scratch)


@nb.njit(cache=True, error_model="numpy")
def _write_nodes(tree: RadialTree, t: int, n: int, steps: int, scratch: RadialScratch, out: RadialOut) -> None:
    """Voltages and currents of ``n`` steps from t."""
    voltage, current, row = scratch.voltage, scratch.current, scratch.row
    for i in range(len(tree.parent)):
        k, at = 2 * W * i, i * steps + t
        a, b, i_re, i_im = load(voltage, k), load(voltage, k + W), load(current, k), load(current, k + W)
        put(sqrt(fma(a, a, b * b)), row, out.v_pu, at, n)
        put(a, row, out.v_re_pu, at, n)
        put(b, row, out.v_im_pu, at, n)
        put(sqrt(fma(i_re, i_re, i_im * i_im)), row, out.i_pu, at, n)


@nb.njit(cache=True, error_model="numpy")
def _write_sums(
    tree: RadialTree, branch_class: NDArray[np.uint8], t: int, n: int, steps: int, scratch: RadialScratch,
    out: RadialOut,
) -> None:  # fmt: skip
    """Losses by class from the branch currents, loads, head and closure of ``n`` steps from t."""
    voltage, current, row = scratch.voltage, scratch.current, scratch.row
    loads, lost = splat(0.0), splat(0.0)
    out.loss_kw[:, t : t + n] = 0.0
    out.shunt_kw[:, t : t + n] = 0.0
    for i in range(len(tree.parent)):
        k, at = 2 * W * i, np.intp(branch_class[i]) * steps + t
        a, b, i_re, i_im = load(voltage, k), load(voltage, k + W), load(current, k), load(current, k + W)
        square = fma(a, a, b * b)
        p, _ = power(scratch.coefficients, 8 * W * i, sqrt(square))
        series = (tree.r_pu[i] if i > 0 else 0.0) * fma(i_re, i_re, i_im * i_im)
        shunt = tree.g_pu[i] * square
        loads, lost = loads + p, lost + (series + shunt)
        add(series * KW_PER_MW, row, out.loss_kw, at, n)
        add(shunt * KW_PER_MW, row, out.shunt_kw, at, n)
    head = load(scratch.lane, HEAD)
    p_head = head * load(current, 0)
    put(p_head * KW_PER_MW, row, out.p_head_kw, t, n)
    put(head * load(current, W) * -KW_PER_MW, row, out.q_head_kvar, t, n)
    put(loads * KW_PER_MW, row, out.load_kw, t, n)
    put(absolute(p_head - loads - lost) / absolute(p_head), row, out.closure, t, n)


@nb.njit(cache=True, error_model="numpy")
def _write_status(
    tree: RadialTree, t: int, n: int, options: RadialOptions, scratch: RadialScratch, out: RadialOut
) -> None:
    """Status of ``n`` steps from t; a state without solution becomes NaN everywhere."""
    for lane in range(n):
        step, change = t + lane, scratch.lane[PREVIOUS + lane]
        out.sweeps[step] = scratch.lane_sweeps[lane]
        if out.p_head_kw[step] == 0:
            out.closure[step] = 0.0  # nothing sent, nothing to compare with
        finite = np.isfinite(change) and np.isfinite(out.p_head_kw[step]) and np.isfinite(out.q_head_kvar[step])
        out.status[step] = NOT_FINITE if not finite else OK if change <= options.tolerance else NOT_CONVERGED
        if out.status[step] != OK:
            n_nodes = len(tree.parent)
            for nodes in (out.v_pu, out.v_re_pu, out.v_im_pu, out.i_pu):
                nodes[:n_nodes, step] = np.nan
            for sums in (out.p_head_kw, out.q_head_kvar, out.load_kw, out.closure):
                sums[step] = np.nan
            out.loss_kw[:, step], out.shunt_kw[:, step] = np.nan, np.nan


@nb.njit(cache=True, error_model="numpy")
def sweep(
    tree: RadialTree,
    loads: NodeLoads,
    v_head_pu: NDArray[np.float64],
    ratio: NDArray[np.float64],
    branch_class: NDArray[np.uint8],
    options: RadialOptions,
    scratch: RadialScratch,
    out: RadialOut,
) -> None:
    """Solve a radial network for all steps of a block.

    Parameters
    ----------
    tree : RadialTree
        The network.
    loads : NodeLoads
        Loads of shape [n, steps], C-contiguous; `constant_power` makes one from P and Q.
    v_head_pu : array, shape (steps,)
        Voltage of node 0. [pu]
    ratio : array, shape (n, 1) or (n, steps)
        Off-nominal ratio of the ideal transformer at the parent's side of each branch: 1 for a line. [-]
    branch_class : uint8 array, shape (n,)
        Which row of ``out.loss_kw`` branch i, and of ``out.shunt_kw`` node i, adds to.
    options, scratch, out : RadialOptions, RadialScratch, RadialOut
        From `radial_options`, `radial_scratch` and `radial_out`.

    Notes
    -----
    Power is positive toward the loads. Never raises: see ``out.status``. A source's own load (node 0) is part of the
    head's power. Phase shifts are not modelled: angles are relative to each vector group.
    """
    steps = len(v_head_pu)
    for t in range(0, steps, W):
        n = min(W, steps - t)
        kernel.prepare(tree, loads, v_head_pu, ratio, t, n, scratch)
        _iterate(tree, options, scratch)
        _write_nodes(tree, t, n, steps, scratch, out)
        _write_sums(tree, branch_class, t, n, steps, scratch, out)
        _write_status(tree, t, n, options, scratch, out)
