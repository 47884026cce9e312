"""Results of a bundle of the 33 kV trees: powers, losses and loadings from the currents of the final voltages."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import fma, maximum, sqrt
from twin.powerflow.upper_factor import W, inner, load, splat, store
from twin.powerflow.upper_tree_kernel import N_COEFFICIENTS, SWEEP_DIVERGED, TreeScratch, branch_current, law
from twin.powerflow.upper_trees import FloatArray, Loads, SweepOut, Trees

N_SUMS = 10
P_HEAD, Q_HEAD, P_33, Q_33, LOADING, LOSS_GSS, LOSS_33, LOAD, SLOPE_P, SLOPE_Q = range(N_SUMS)


@inner
def _sums(trees: Trees, g: int, s: TreeScratch, sums: FloatArray) -> None:
    """Everything of `SweepOut` but voltages; a branch loses what its own end currents carry in and not out."""
    lo = trees.ptr[g]
    lost, used, slope_p = splat(0.0), splat(0.0), splat(0.0)
    bus = 2 * W * (lo + 1)
    a, b = load(s.v, bus), load(s.v, bus + W)
    slope_q = -2.0 * load(s.capacitor, g * W) * fma(a, a, b * b)
    for j in range(lo + 1, trees.ptr[g + 1]):
        at, up = 2 * W * j, 2 * W * trees.parent[j]
        a, b, i_re, i_im = load(s.v, at), load(s.v, at + W), load(s.i, at), load(s.i, at + W)
        c, d = load(s.v, up), load(s.v, up + W)
        up_re, up_im = branch_current(trees, s, j, i_re, i_im)
        loss = fma(c, up_re, d * up_im) - fma(a, i_re, b * i_im)
        if j == lo + 1:
            store(sums, LOSS_GSS * W, loss)
            store(sums, P_33 * W, fma(a, i_re, b * i_im))
            store(sums, Q_33 * W, b * i_re - a * i_im)
            larger = maximum(fma(up_re, up_re, up_im * up_im), fma(i_re, i_re, i_im * i_im))
            store(sums, LOADING * W, sqrt(larger) * (1.0 / trees.gss_rating[g]))
        else:
            lost = lost + loss
        if trees.pss[j] < 0:
            continue
        p, q = load(s.loads, N_COEFFICIENTS * W * j), load(s.loads, N_COEFFICIENTS * W * j + W)
        if trees.is_11[j]:
            by_p, by_q, _ = law(s, j, fma(a, a, b * b))
            p, q = p * by_p, q * by_q
            slope_p = fma(p, load(s.loads, N_COEFFICIENTS * W * j + 2 * W), slope_p)
            slope_q = fma(q, load(s.loads, N_COEFFICIENTS * W * j + 3 * W), slope_q)
        used = used + p
    store(sums, P_HEAD * W, load(s.power, 2 * W * g))
    store(sums, Q_HEAD * W, load(s.power, 2 * W * g + W))
    store(sums, LOSS_33 * W, lost)
    store(sums, LOAD * W, used)
    store(sums, SLOPE_P * W, slope_p)
    store(sums, SLOPE_Q * W, slope_q)


@inner
def store_tree(
    trees: Trees, loads: Loads, g: int, t: int, lanes: NDArray[np.bool_], status: NDArray[np.uint8], s: TreeScratch,
    sums: FloatArray, out: SweepOut,
) -> None:  # fmt: skip
    """Write tree g at the steps of the bundle from t whose ``lanes`` are set; ``sums`` holds N_SUMS bundles of work."""
    _sums(trees, g, s, sums)
    steps, whole = out.v_re.shape[1], True
    for lane in range(W):
        whole &= lanes[lane] and status[lane] != SWEEP_DIVERGED
    for j in range(trees.ptr[g], trees.ptr[g + 1] if whole else 0):
        store(out.v_re, j * steps + t, load(s.v, 2 * W * j))
        store(out.v_im, j * steps + t, load(s.v, 2 * W * j + W))
    for lane in range(W):
        if not lanes[lane]:
            continue
        k = t + lane
        out.status[g, k] = status[lane]
        if status[lane] == SWEEP_DIVERGED:
            _store_failure(trees, loads, g, k, out)
            continue
        for j in range(trees.ptr[g], 0 if whole else trees.ptr[g + 1]):
            out.v_re[j, k], out.v_im[j, k] = s.v[2 * W * j + lane], s.v[2 * W * j + W + lane]
        out.p_head[g, k], out.q_head[g, k] = sums[P_HEAD * W + lane], sums[Q_HEAD * W + lane]
        out.p_33[g, k], out.q_33[g, k] = sums[P_33 * W + lane], sums[Q_33 * W + lane]
        out.loading[g, k] = sums[LOADING * W + lane]
        out.loss_gss[g, k], out.loss_33[g, k] = sums[LOSS_GSS * W + lane], sums[LOSS_33 * W + lane]
        out.load[g, k] = sums[LOAD * W + lane]
        out.slope_p[g, k], out.slope_q[g, k] = sums[SLOPE_P * W + lane], sums[SLOPE_Q * W + lane]


@inner
def _store_failure(trees: Trees, loads: Loads, g: int, k: int, out: SweepOut) -> None:
    """A tree without solution: unknown voltages; the grid above sees its loads as they were stated."""
    p, q = 0.0, 0.0
    for j in range(trees.ptr[g], trees.ptr[g + 1]):
        out.v_re[j, k], out.v_im[j, k] = np.nan, np.nan
        if trees.pss[j] >= 0:
            pss = trees.pss[j]
            p += loads.p[pss, k] if trees.is_11[j] else loads.p_33[pss, k]
            q += loads.q[pss, k] if trees.is_11[j] else loads.q_33[pss, k]
    out.p_head[g, k], out.q_head[g, k] = p, q
    out.slope_p[g, k], out.slope_q[g, k] = 0.0, 0.0
    for unknown in (out.p_33, out.q_33, out.loading, out.loss_gss, out.loss_33, out.load):
        unknown[g, k] = np.nan
