"""Sweeps of the radial solver over one bundle of steps, in float64.

Backward: add branch currents toward the head. Forward: voltages, and at once the currents of loads and shunts on them.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import absolute, fma, maximum, sqrt, vector, where_above
from twin.powerflow.radial_tree import NodeLoads, RadialOut, RadialScratch, RadialTree, W
from twin.units import KW_PER_MW

_bundle = vector(W, np.float64)
load, store, splat = _bundle.load, _bundle.store, _bundle.splat

HEAD, CHANGE, PREVIOUS, WEIGHT = 0, W, 2 * W, 3 * W
"""Where the bundles of `RadialScratch.lane` start."""


@nb.njit(cache=True, error_model="numpy")
def equivalent_kw(used: float, loss: float, n_used: float, n_loss: float, s: float, x: float) -> tuple[float, float]:
    """Used and loss of an equivalent at ``x = V / v0 - 1``, by the law of `NodeLoads` that the sweep solves. [kW]"""
    series = 1 + n_loss * x * (1 + (n_loss - 1) / 2 * x * (1 + (n_loss - 2) / 3 * x))
    return used * (1 + x * (n_used + s * x)), loss * series


@nb.njit(cache=True, error_model="numpy")
def _take(loads: NodeLoads, n_nodes: int, t: int, coefficients: NDArray[np.float64]) -> None:
    """Copy a whole bundle of loads from step t, node by node, in the order of `NodeLoads`."""
    steps = loads.used_kw.shape[1]
    for i in range(n_nodes):
        at, source = i * 8 * W, i * steps + t
        store(coefficients, at, load(loads.used_kw, source))
        store(coefficients, at + W, load(loads.loss_kw, source))
        store(coefficients, at + 2 * W, load(loads.q_kvar, source))
        store(coefficients, at + 3 * W, load(loads.v0_pu, source))
        store(coefficients, at + 4 * W, load(loads.n_used, source))
        store(coefficients, at + 5 * W, load(loads.n_loss, source))
        store(coefficients, at + 6 * W, load(loads.n_q, source))
        store(coefficients, at + 7 * W, load(loads.s, source))


@nb.njit(cache=True, error_model="numpy")
def _take_some(loads: NodeLoads, n_nodes: int, t: int, n: int, coefficients: NDArray[np.float64]) -> None:
    """As `_take` where only ``n`` steps are left; the other lanes repeat the last, and are never read back."""
    for i in range(n_nodes):
        for lane in range(W):
            at, step = i * 8 * W + lane, t + min(lane, n - 1)
            coefficients[at] = loads.used_kw[i, step]
            coefficients[at + W] = loads.loss_kw[i, step]
            coefficients[at + 2 * W] = loads.q_kvar[i, step]
            coefficients[at + 3 * W] = loads.v0_pu[i, step]
            coefficients[at + 4 * W] = loads.n_used[i, step]
            coefficients[at + 5 * W] = loads.n_loss[i, step]
            coefficients[at + 6 * W] = loads.n_q[i, step]
            coefficients[at + 7 * W] = loads.s[i, step]


@nb.njit(cache=True, error_model="numpy")
def _polynomials(coefficients: NDArray[np.float64], at: int) -> None:
    """Replace the bundle of a node's load (in the order of `NodeLoads`) by polynomials of P and Q in x, and 1 / v0."""
    scale = 1 / KW_PER_MW
    used, loss = load(coefficients, at) * scale, load(coefficients, at + W) * scale
    q, inverse = load(coefficients, at + 2 * W) * scale, 1.0 / load(coefficients, at + 3 * W)
    n_used, n = load(coefficients, at + 4 * W), load(coefficients, at + 5 * W)
    n_q, s = load(coefficients, at + 6 * W), load(coefficients, at + 7 * W)
    second = n * (n - 1.0) * 0.5
    store(coefficients, at, used + loss)
    store(coefficients, at + W, fma(used, n_used, loss * n))
    store(coefficients, at + 2 * W, fma(used, s, loss * second))
    store(coefficients, at + 3 * W, loss * (second * (n - 2.0) * (1 / 3)))
    store(coefficients, at + 4 * W, q)
    store(coefficients, at + 5 * W, q * n_q)
    store(coefficients, at + 6 * W, q * s)
    store(coefficients, at + 7 * W, inverse)


@nb.njit(cache=True, error_model="numpy")
def prepare(
    tree: RadialTree, loads: NodeLoads, v_head: NDArray[np.float64], ratio: NDArray[np.float64], t: int, n: int,
    scratch: RadialScratch,
) -> None:  # fmt: skip
    """Take the bundle of ``n`` steps from t."""
    n_nodes, by_step = len(tree.parent), ratio.shape[1] > 1
    if n == W:
        _take(loads, n_nodes, t, scratch.coefficients)
    else:
        _take_some(loads, n_nodes, t, n, scratch.coefficients)
    for i in range(n_nodes):
        for lane in range(W):
            scratch.ratio[i * W + lane] = ratio[i, t + min(lane, n - 1) if by_step else 0]
    for i in range(n_nodes):
        _polynomials(scratch.coefficients, i * 8 * W)
        store(scratch.ratio, i * W, 1.0 / load(scratch.ratio, i * W))
    for lane in range(W):
        scratch.lane[HEAD + lane] = v_head[t + min(lane, n - 1)]
        scratch.lane[CHANGE + lane], scratch.lane[PREVIOUS + lane], scratch.lane[WEIGHT + lane] = np.inf, np.inf, 1.0


@nb.njit(inline="always")
def power(coefficients: Any, at: Any, u: Any) -> Any:
    """P and Q of a load at voltage u."""
    x = fma(u, load(coefficients, at + 7 * W), -1.0)
    p = fma(x, load(coefficients, at + 3 * W), load(coefficients, at + 2 * W))
    p = fma(x, fma(x, p, load(coefficients, at + W)), load(coefficients, at))
    q = fma(x, fma(x, load(coefficients, at + 6 * W), load(coefficients, at + 5 * W)), load(coefficients, at + 4 * W))
    return p, q


@nb.njit(inline="always")
def _draw(tree: Any, i: Any, coefficients: Any, current: Any, a: Any, b: Any) -> None:
    """Current that the load and the shunt of node i draw at voltage a + jb."""
    square = fma(a, a, b * b)
    p, q = power(coefficients, 8 * W * i, sqrt(square))
    inverse = 1.0 / square
    g, h = fma(p, inverse, tree.g_pu[i]), fma(q, inverse, -tree.b_pu[i])
    store(current, 2 * W * i, fma(g, a, h * b))
    store(current, 2 * W * i + W, g * b - h * a)


@nb.njit(cache=True, error_model="numpy")
def flat(tree: RadialTree, tolerance: float, scratch: RadialScratch) -> None:
    """No drop anywhere, but for the ratios, in the lanes above the tolerance; then the currents drawn in all lanes."""
    voltage, change, zero = scratch.voltage, load(scratch.lane, CHANGE), splat(0.0)
    for i in range(len(tree.parent)):
        k = 2 * W * i
        v = load(scratch.lane, HEAD) if i == 0 else load(scratch.ratio, i * W) * load(voltage, 2 * W * tree.parent[i])
        a = where_above(change, tolerance, v, load(voltage, k))
        b = where_above(change, tolerance, zero, load(voltage, k + W))
        store(voltage, k, a)
        store(voltage, k + W, b)
        _draw(tree, i, scratch.coefficients, scratch.current, a, b)


@nb.njit(cache=True, error_model="numpy")
def backward(tree: RadialTree, scratch: RadialScratch) -> None:
    """Turn the currents drawn at the nodes into branch currents, from the ends toward the head."""
    current = scratch.current
    for i in range(len(tree.parent) - 1, 0, -1):
        k, up, turns = 2 * W * i, 2 * W * tree.parent[i], load(scratch.ratio, i * W)
        store(current, up, fma(turns, load(current, k), load(current, up)))
        store(current, up + W, fma(turns, load(current, k + W), load(current, up + W)))


@nb.njit(cache=True, error_model="numpy")
def forward(tree: RadialTree, tolerance: float, damped: bool, scratch: RadialScratch) -> None:
    """Voltages from the branch currents for the lanes above the tolerance, and the currents drawn at them.

    Leaves the largest change of a lane's voltages; lanes that were below the tolerance keep theirs.
    """
    voltage, current = scratch.voltage, scratch.current
    last, weight, worst = load(scratch.lane, CHANGE), load(scratch.lane, WEIGHT), splat(0.0)
    _draw(tree, 0, scratch.coefficients, current, load(voltage, 0), load(voltage, W))
    for i in range(1, len(tree.parent)):
        k, up, turns = 2 * W * i, 2 * W * tree.parent[i], load(scratch.ratio, i * W)
        r, x, i_re, i_im = tree.r_pu[i], tree.x_pu[i], load(current, k), load(current, k + W)
        old_re, old_im = load(voltage, k), load(voltage, k + W)
        a = fma(x, i_im, fma(-r, i_re, turns * load(voltage, up)))
        b = fma(-x, i_re, fma(-r, i_im, turns * load(voltage, up + W)))
        worst = maximum(worst, maximum(absolute(a - old_re), absolute(b - old_im)))
        if damped:
            a, b = fma(weight, a - old_re, old_re), fma(weight, b - old_im, old_im)
        a, b = where_above(last, tolerance, a, old_re), where_above(last, tolerance, b, old_im)
        store(voltage, k, a)
        store(voltage, k + W, b)
        _draw(tree, i, scratch.coefficients, current, a, b)
    store(scratch.lane, CHANGE, where_above(last, tolerance, worst, last))


@nb.njit(cache=True, error_model="numpy")
def put_nodes(scratch: RadialScratch, n_nodes: int, t: int, out: RadialOut) -> None:
    """Write a whole bundle of voltages and currents from step t."""
    voltage, current, steps = scratch.voltage, scratch.current, out.v_pu.shape[1]
    for i in range(n_nodes):
        k, at = 2 * W * i, i * steps + t
        a, b, i_re, i_im = load(voltage, k), load(voltage, k + W), load(current, k), load(current, k + W)
        store(out.v_pu, at, sqrt(fma(a, a, b * b)))
        store(out.v_re_pu, at, a)
        store(out.v_im_pu, at, b)
        store(out.i_pu, at, sqrt(fma(i_re, i_re, i_im * i_im)))


@nb.njit(cache=True, error_model="numpy")
def put_some_nodes(scratch: RadialScratch, n_nodes: int, t: int, n: int, out: RadialOut) -> None:
    """As `put_nodes` where only ``n`` steps are left."""
    voltage, current, row = scratch.voltage, scratch.current, scratch.row
    for i in range(n_nodes):
        k = 2 * W * i
        a, b, i_re, i_im = load(voltage, k), load(voltage, k + W), load(current, k), load(current, k + W)
        store(row, 0, sqrt(fma(a, a, b * b)))
        store(row, W, sqrt(fma(i_re, i_re, i_im * i_im)))
        for lane in range(n):
            out.v_pu[i, t + lane], out.i_pu[i, t + lane] = row[lane], row[W + lane]
            out.v_re_pu[i, t + lane], out.v_im_pu[i, t + lane] = voltage[k + lane], voltage[k + W + lane]


@nb.njit(cache=True, error_model="numpy")
def sum_nodes(tree: RadialTree, branch_class: NDArray[np.uint8], n_classes: int, scratch: RadialScratch) -> None:
    """Sums over the nodes, from voltages and branch currents, into ``scratch.sums``.

    Bundles 0 and 1 take the loads and all losses, then come series and shunt losses of each class.
    """
    voltage, current, sums, loads, lost = scratch.voltage, scratch.current, scratch.sums, splat(0.0), splat(0.0)
    sums[: (2 + 2 * n_classes) * W] = 0.0
    for i in range(len(tree.parent)):
        k, at = 2 * W * i, (2 + 2 * np.intp(branch_class[i])) * W
        a, b, i_re, i_im = load(voltage, k), load(voltage, k + W), load(current, k), load(current, k + W)
        square = fma(a, a, b * b)
        p, _ = power(scratch.coefficients, 8 * W * i, sqrt(square))
        series = (tree.r_pu[i] if i > 0 else 0.0) * fma(i_re, i_re, i_im * i_im)
        shunt = tree.g_pu[i] * square
        loads, lost = loads + p, lost + (series + shunt)
        store(sums, at, load(sums, at) + series)
        store(sums, at + W, load(sums, at + W) + shunt)
    store(sums, 0, loads)
    store(sums, W, lost)
