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
from twin.powerflow.radial_kernel import CHANGE, HEAD, PREVIOUS, WEIGHT, equivalent_kw
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
def _write_sums(t: int, n: int, scratch: RadialScratch, out: RadialOut) -> None:
    """Head, loads, losses by class and closure of ``n`` steps from t."""
    sums, lane = scratch.sums, scratch.lane
    for j in range(n):
        p_head = lane[HEAD + j] * scratch.current[j]
        out.p_head_kw[t + j] = p_head * KW_PER_MW
        out.q_head_kvar[t + j] = -lane[HEAD + j] * scratch.current[W + j] * KW_PER_MW
        out.load_kw[t + j] = sums[j] * KW_PER_MW
        # With nothing sent there is nothing to compare with.
        out.closure[t + j] = abs(p_head - sums[j] - sums[W + j]) / abs(p_head) if p_head != 0 else 0.0
        for kind in range(len(out.loss_kw)):
            out.loss_kw[kind, t + j] = sums[(2 + 2 * kind) * W + j] * KW_PER_MW
            out.shunt_kw[kind, t + j] = sums[(3 + 2 * kind) * W + j] * KW_PER_MW


@nb.njit(cache=True, error_model="numpy")
def _write_status(
    tree: RadialTree, t: int, n: int, options: RadialOptions, scratch: RadialScratch, out: RadialOut
) -> None:
    """Status of ``n`` steps from t; a state without solution becomes NaN everywhere."""
    for lane in range(n):
        step, change = t + lane, scratch.lane[PREVIOUS + lane]
        out.sweeps[step] = scratch.lane_sweeps[lane]
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
        if n == W:
            kernel.put_nodes(scratch, len(tree.parent), t, out)
        else:
            kernel.put_some_nodes(scratch, len(tree.parent), t, n, out)
        kernel.sum_nodes(tree, branch_class, len(out.loss_kw), scratch)
        _write_sums(t, n, scratch, out)
        _write_status(tree, t, n, options, scratch, out)
