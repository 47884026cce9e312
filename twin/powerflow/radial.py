"""Balanced radial power flow: a backward/forward sweep over all steps of a block, per unit on 1 MVA.

For 11 kV feeders (called per feeder from compiled code) and for 33 kV trees with transformers. Every state converges
and stops by itself: a neighbour that diverges, or is NaN, changes no bit of it. All in float64.

Node 0 is the head (a stiff source), ``parent[i] < i``. Branch i joins the parent of node i to node i through an ideal
transformer at the parent's side and an impedance::

    V_i = V_parent / ratio_i - (r_i + j x_i) I_i        I at the parent's side is I_i / ratio_i

Shunts stand at nodes and draw ``(g - j b) |V|**2``: b is positive for line charging, negative for magnetising.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import absolute, aligned, fma, maximum, sqrt, vector, where_above
from twin.units import KW_PER_MW

W = 8
"""Steps carried at once."""
_bundle = vector(W, np.float64)
load, store, splat = _bundle.load, _bundle.store, _bundle.splat

OK, NOT_CONVERGED, NOT_FINITE = 0, 1, 2
"""Status of a state: solved; no solution found; input or result not a number."""


class RadialTree(NamedTuple):
    """A radial network, node i with the branch to its parent. Per unit on 1 MVA."""

    parent: NDArray[np.int32]
    """Upstream node, below the node's own number; ``parent[0]`` is not read. [n]"""
    r_pu: NDArray[np.float64]
    """Series resistance. [n]"""
    x_pu: NDArray[np.float64]
    """Series reactance. [n]"""
    b_pu: NDArray[np.float64]
    """All shunt susceptance at the node, positive capacitive: half of the charging of each line, magnetising. [n]"""
    g_pu: NDArray[np.float64]
    """All shunt conductance at the node: transformers' iron. [n]"""


class NodeLoads(NamedTuple):
    """Loads at nodes with their dependence on voltage, each of shape [n, steps]; x = V / v0 - 1.

    ``P = used (1 + n_used x + s x**2) + loss (1 + x)**n_loss`` and ``Q = q (1 + n_q x + s x**2)``, the power as its
    binomial series to the third order (relative error of the loss about ``(n x)**4 / 24``).
    """

    used_kw: NDArray[np.float64]
    loss_kw: NDArray[np.float64]
    q_kvar: NDArray[np.float64]
    v0_pu: NDArray[np.float64]
    """Never 0, also where there is no load."""
    n_used: NDArray[np.float64]
    n_loss: NDArray[np.float64]
    n_q: NDArray[np.float64]
    s: NDArray[np.float64]


class RadialOptions(NamedTuple):
    """How the sweep iterates."""

    tolerance: float
    """Largest change of a voltage's real or imaginary part in the last sweep. [pu]"""
    plain: int
    """Sweeps before a state starts again from flat with damping."""
    most: int
    """Sweeps before a state counts as not converged."""


class RadialScratch(NamedTuple):
    """Working memory of one thread; nothing in it outlives a call."""

    coefficients: NDArray[np.float64]
    """Load polynomials of the bundle: 4 of P, 3 of Q, 1 / v0. [n * 8 * W]"""
    voltage: NDArray[np.float64]
    """re, im. [n * 2 * W]"""
    current: NDArray[np.float64]
    """Into the node through its branch: re, im. [n * 2 * W]"""
    ratio: NDArray[np.float64]
    """One over the ratio of each branch. [n * W]"""
    lane: NDArray[np.float64]
    """Per lane: head voltage, change, previous change, weight. [4 * W]"""
    lane_sweeps: NDArray[np.uint8]
    """Sweeps made per lane. [W]"""
    row: NDArray[np.float64]
    """One bundle of a result. [W]"""


class RadialOut(NamedTuple):
    """Results; NaN where the status is not `OK`. Rows beyond the tree's nodes stay as they are."""

    v_pu: NDArray[np.float64]
    """Voltage magnitude. [n, steps]"""
    v_re_pu: NDArray[np.float64]
    """Real part, the head at angle 0. [n, steps]"""
    v_im_pu: NDArray[np.float64]
    """Imaginary part. [n, steps]"""
    i_pu: NDArray[np.float64]
    """Current in the series impedance of branch i, of the base current at the node's side. [n, steps]"""
    p_head_kw: NDArray[np.float64]
    """Active power from the source. [steps]"""
    q_head_kvar: NDArray[np.float64]
    """Reactive power from the source. [steps]"""
    loss_kw: NDArray[np.float64]
    """``r |I|**2`` of the branches by class. [n_classes, steps]"""
    shunt_kw: NDArray[np.float64]
    """``g |V|**2`` of the nodes by their branch's class. [n_classes, steps]"""
    load_kw: NDArray[np.float64]
    """Loads at the solved voltage. [steps]"""
    closure: NDArray[np.float64]
    """``|head - loads - losses - shunts| / |head|``. [steps]"""
    sweeps: NDArray[np.uint8]
    """Sweeps made. [steps]"""
    status: NDArray[np.uint8]
    """`OK`, `NOT_CONVERGED` or `NOT_FINITE`. [steps]"""


def radial_options(tolerance: float = 1e-8, plain: int = 50, most: int = 150) -> RadialOptions:
    """Defaults: 1e-8 pu, damping from sweep 50, given up after 150 (most is below 256)."""
    return RadialOptions(tolerance, plain, most)


def radial_scratch(n_nodes: int) -> RadialScratch:
    """Working memory for trees of at most ``n_nodes``."""
    return RadialScratch(
        coefficients=aligned(n_nodes * 8 * W, np.float64),
        voltage=aligned(n_nodes * 2 * W, np.float64),
        current=aligned(n_nodes * 2 * W, np.float64),
        ratio=aligned(n_nodes * W, np.float64),
        lane=aligned(4 * W, np.float64),
        lane_sweeps=np.zeros(W, np.uint8),
        row=aligned(W, np.float64),
    )


def radial_out(n_nodes: int, steps: int, n_classes: int) -> RadialOut:
    """Room for the results of trees of at most ``n_nodes``."""
    nodes, classes = (n_nodes, steps), (n_classes, steps)
    shapes: dict[str, Any] = {"loss_kw": classes, "shunt_kw": classes}
    shapes |= dict.fromkeys(("v_pu", "v_re_pu", "v_im_pu", "i_pu"), nodes)
    whole = {"sweeps", "status"}
    return RadialOut(
        *(np.zeros(shapes.get(name, steps), np.uint8 if name in whole else np.float64) for name in RadialOut._fields)
    )


def node_loads(n_nodes: int, steps: int) -> NodeLoads:
    """No load at any node, about 1 pu."""
    columns = [np.zeros((n_nodes, steps)) for _ in NodeLoads._fields]
    columns[NodeLoads._fields.index("v0_pu")][:] = 1.0
    return NodeLoads(*columns)


def constant_power(p_kw: NDArray[np.float64], q_kvar: NDArray[np.float64]) -> NodeLoads:
    """Loads of shape [n, steps] that do not depend on voltage; the two arrays are not copied."""
    empty = node_loads(*p_kw.shape)
    return empty._replace(used_kw=np.ascontiguousarray(p_kw), q_kvar=np.ascontiguousarray(q_kvar))


def va_degree(out: RadialOut) -> NDArray[np.float64]:
    """Voltage angles against the head. [degree], shape of ``out.v_pu``."""
    return np.degrees(np.arctan2(out.v_im_pu, out.v_re_pu))


HEAD, CHANGE, PREVIOUS, WEIGHT = 0, W, 2 * W, 3 * W
DAMPING, LEAST_WEIGHT, ENOUGH = 0.6, 0.15, 0.7
"""Damping: the weight shrinks by the first, not below the second, when a change stays above the third of the last."""


@nb.njit(cache=True, error_model="numpy")
def equivalent_kw(
    used: float, loss: float, n_used: float, n_loss: float, s: float, x: float
) -> tuple[float, float]:
    """Used and loss of an equivalent at ``x = V / v0 - 1``, by the law of `NodeLoads` that the sweep solves. [kW]"""
    series = 1 + n_loss * x * (1 + (n_loss - 1) / 2 * x * (1 + (n_loss - 2) / 3 * x))
    return used * (1 + x * (n_used + s * x)), loss * series


@nb.njit(cache=True, error_model="numpy")
def _fetch(source: NDArray[np.float64], i: int, t: int, n: int, target: NDArray[np.float64], at: int) -> None:
    """Copy ``n`` steps of row i from t into a bundle; the other lanes repeat the last, and are never read back."""
    steps = source.shape[1]
    if n == W:
        store(target, at, load(source, i * steps + t))
    else:
        for lane in range(W):
            target[at + lane] = source[i, t + min(lane, n - 1)]


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
def _prepare(
    tree: RadialTree, loads: NodeLoads, v_head: NDArray[np.float64], ratio: NDArray[np.float64], t: int, n: int,
    scratch: RadialScratch,
) -> None:  # fmt: skip
    """Take the bundle of ``n`` steps from t."""
    coefficients, by_step = scratch.coefficients, ratio.shape[1] > 1
    for i in range(len(tree.parent)):
        at = i * 8 * W
        _fetch(loads.used_kw, i, t, n, coefficients, at)
        _fetch(loads.loss_kw, i, t, n, coefficients, at + W)
        _fetch(loads.q_kvar, i, t, n, coefficients, at + 2 * W)
        _fetch(loads.v0_pu, i, t, n, coefficients, at + 3 * W)
        _fetch(loads.n_used, i, t, n, coefficients, at + 4 * W)
        _fetch(loads.n_loss, i, t, n, coefficients, at + 5 * W)
        _fetch(loads.n_q, i, t, n, coefficients, at + 6 * W)
        _fetch(loads.s, i, t, n, coefficients, at + 7 * W)
        _polynomials(coefficients, at)
        if by_step:
            _fetch(ratio, i, t, n, scratch.ratio, i * W)
        else:
            store(scratch.ratio, i * W, splat(ratio[i, 0]))
        store(scratch.ratio, i * W, 1.0 / load(scratch.ratio, i * W))
    for lane in range(W):
        scratch.lane[HEAD + lane] = v_head[t + min(lane, n - 1)]
        scratch.lane[CHANGE + lane], scratch.lane[PREVIOUS + lane], scratch.lane[WEIGHT + lane] = np.inf, np.inf, 1.0


@nb.njit(inline="always")
def _power(coefficients: Any, at: Any, u: Any) -> Any:
    """P and Q of a load at voltage u."""
    x = fma(u, load(coefficients, at + 7 * W), -1.0)
    p = fma(x, load(coefficients, at + 3 * W), load(coefficients, at + 2 * W))
    p = fma(x, fma(x, p, load(coefficients, at + W)), load(coefficients, at))
    q = fma(x, fma(x, load(coefficients, at + 6 * W), load(coefficients, at + 5 * W)), load(coefficients, at + 4 * W))
    return p, q


@nb.njit(cache=True, error_model="numpy")
def _currents(tree: RadialTree, scratch: RadialScratch) -> None:
    """Branch currents: those of loads and shunts at the voltages, added up from the ends."""
    voltage, current, coefficients = scratch.voltage, scratch.current, scratch.coefficients
    for i in range(len(tree.parent)):
        k = 2 * W * i
        a, b = load(voltage, k), load(voltage, k + W)
        square = fma(a, a, b * b)
        p, q = _power(coefficients, 8 * W * i, sqrt(square))
        inverse = 1.0 / square
        g, h = fma(p, inverse, tree.g_pu[i]), fma(q, inverse, -tree.b_pu[i])
        store(current, k, fma(g, a, h * b))
        store(current, k + W, g * b - h * a)
    for i in range(len(tree.parent) - 1, 0, -1):
        k, up, turns = 2 * W * i, 2 * W * tree.parent[i], load(scratch.ratio, i * W)
        store(current, up, fma(turns, load(current, k), load(current, up)))
        store(current, up + W, fma(turns, load(current, k + W), load(current, up + W)))


@nb.njit(cache=True, error_model="numpy")
def _flat(tree: RadialTree, tolerance: float, scratch: RadialScratch) -> None:
    """No drop anywhere, but for the ratios, in the lanes that have not converged."""
    voltage, change, zero = scratch.voltage, load(scratch.lane, CHANGE), splat(0.0)
    for i in range(len(tree.parent)):
        k = 2 * W * i
        v = load(scratch.lane, HEAD) if i == 0 else load(scratch.ratio, i * W) * load(voltage, 2 * W * tree.parent[i])
        store(voltage, k, where_above(change, tolerance, v, load(voltage, k)))
        store(voltage, k + W, where_above(change, tolerance, zero, load(voltage, k + W)))


@nb.njit(cache=True, error_model="numpy")
def _voltages(tree: RadialTree, tolerance: float, damped: bool, scratch: RadialScratch) -> None:
    """Voltages from the branch currents for the lanes still above the tolerance; leaves their largest change."""
    voltage, current = scratch.voltage, scratch.current
    last, weight, worst = load(scratch.lane, CHANGE), load(scratch.lane, WEIGHT), splat(0.0)
    for i in range(1, len(tree.parent)):
        k, up, turns = 2 * W * i, 2 * W * tree.parent[i], load(scratch.ratio, i * W)
        r, x, i_re, i_im = tree.r_pu[i], tree.x_pu[i], load(current, k), load(current, k + W)
        old_re, old_im = load(voltage, k), load(voltage, k + W)
        a = fma(x, i_im, fma(turns, load(voltage, up), -1.0 * (r * i_re)))
        b = fma(turns, load(voltage, up + W), -1.0 * fma(x, i_re, r * i_im))
        worst = maximum(worst, maximum(absolute(a - old_re), absolute(b - old_im)))
        if damped:
            a, b = fma(weight, a - old_re, old_re), fma(weight, b - old_im, old_im)
        store(voltage, k, where_above(last, tolerance, a, old_re))
        store(voltage, k + W, where_above(last, tolerance, b, old_im))
    store(scratch.lane, CHANGE, where_above(last, tolerance, worst, last))


@nb.njit(cache=True, error_model="numpy")
def _test(scratch: RadialScratch, sweep: int, options: RadialOptions) -> bool:
    """Count the sweep, damp the lanes that do not settle; True while any lane goes on."""
    lane, running = scratch.lane, False
    for i in range(W):
        change, previous = lane[CHANGE + i], lane[PREVIOUS + i]
        if previous <= options.tolerance or np.isnan(previous):
            continue  # it had finished before
        lane[PREVIOUS + i] = change
        scratch.lane_sweeps[i] = sweep
        if change > options.tolerance:  # a NaN stops by itself
            running = True
            if sweep > options.plain and change > ENOUGH * previous:
                lane[WEIGHT + i] = max(LEAST_WEIGHT, DAMPING * lane[WEIGHT + i])
    return running


@nb.njit(cache=True, error_model="numpy")
def _iterate(tree: RadialTree, options: RadialOptions, scratch: RadialScratch) -> None:
    """Sweep the bundle until every lane has settled or failed, and leave the currents of the final voltages."""
    _flat(tree, options.tolerance, scratch)
    for sweep in range(1, options.most + 1):
        _currents(tree, scratch)
        _voltages(tree, options.tolerance, sweep > options.plain, scratch)
        if not _test(scratch, sweep, options):
            break
        if sweep == options.plain:
            _flat(tree, options.tolerance, scratch)
    _currents(tree, scratch)


@nb.njit(inline="always")
def _put(value: Any, row: Any, target: Any, i: Any, t: Any, n: Any) -> None:
    """Write ``n`` lanes into row i of a result of shape [.., steps], from step t."""
    store(row, 0, value)
    for lane in range(n):
        target[i, t + lane] = row[lane]


@nb.njit(cache=True, error_model="numpy")
def _write_nodes(tree: RadialTree, t: int, n: int, scratch: RadialScratch, out: RadialOut) -> None:
    """Voltages and currents of ``n`` steps from t."""
    voltage, current, row = scratch.voltage, scratch.current, scratch.row
    for i in range(len(tree.parent)):
        a, b = load(voltage, 2 * W * i), load(voltage, 2 * W * i + W)
        i_re, i_im = load(current, 2 * W * i), load(current, 2 * W * i + W)
        _put(sqrt(fma(a, a, b * b)), row, out.v_pu, i, t, n)
        _put(a, row, out.v_re_pu, i, t, n)
        _put(b, row, out.v_im_pu, i, t, n)
        _put(sqrt(fma(i_re, i_re, i_im * i_im)), row, out.i_pu, i, t, n)


@nb.njit(cache=True, error_model="numpy")
def _write_sums(
    tree: RadialTree, branch_class: NDArray[np.uint8], t: int, n: int, scratch: RadialScratch, out: RadialOut
) -> None:
    """Losses by class from the branch currents, loads, head and closure of ``n`` steps from t."""
    voltage, current, row, coefficients = scratch.voltage, scratch.current, scratch.row, scratch.coefficients
    loads, lost = splat(0.0), splat(0.0)
    out.loss_kw[:, t : t + n] = 0.0
    out.shunt_kw[:, t : t + n] = 0.0
    for i in range(len(tree.parent)):
        k = 2 * W * i
        a, b, i_re, i_im = load(voltage, k), load(voltage, k + W), load(current, k), load(current, k + W)
        square = fma(a, a, b * b)
        p, _ = _power(coefficients, 8 * W * i, sqrt(square))
        series = (tree.r_pu[i] if i > 0 else 0.0) * fma(i_re, i_re, i_im * i_im)
        shunt = tree.g_pu[i] * square
        loads, lost = loads + p, lost + (series + shunt)
        kind = branch_class[i]
        store(row, 0, series * KW_PER_MW)
        for lane in range(n):
            out.loss_kw[kind, t + lane] += row[lane]
        store(row, 0, shunt * KW_PER_MW)
        for lane in range(n):
            out.shunt_kw[kind, t + lane] += row[lane]
    head = load(scratch.lane, HEAD)
    p_head, q_head = head * load(current, 0), -1.0 * (head * load(current, W))
    gap = absolute(p_head - loads - lost) / absolute(p_head)
    for value, target in ((p_head, out.p_head_kw), (q_head, out.q_head_kvar), (loads, out.load_kw)):
        store(row, 0, value * KW_PER_MW)
        for lane in range(n):
            target[t + lane] = row[lane]
    store(row, 0, gap)
    for lane in range(n):
        out.closure[t + lane] = row[lane] if out.p_head_kw[t + lane] != 0 else 0.0


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
        _prepare(tree, loads, v_head_pu, ratio, t, n, scratch)
        _iterate(tree, options, scratch)
        _write_nodes(tree, t, n, scratch, out)
        _write_sums(tree, branch_class, t, n, scratch, out)
        _write_status(tree, t, n, options, scratch, out)
