"""Batched sweeps over a `Forest`: all steps of a block, eight at a time, in float64.

Backward: add the reduced currents from the ends to the source. Forward: voltages, and at once the currents that loads
draw at them. Every state stops by itself, when what is left of its error is below the tolerance, and is frozen from
then on: its bits depend on nothing but itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.branch_model import FloatArray
from twin.powerflow.branch_tree import Forest
from twin.powerflow.lanes import aligned, fma, maximum, sqrt, vector, where_above

W = 8
"""Steps that the kernel carries at once; arrays over steps have a multiple of it as columns."""
_bundle = vector(W, np.float64)
load, store, splat = _bundle.load, _bundle.store, _bundle.splat

SOLVED, UNSOLVED = 0, 1
"""Status of a tree's state."""
ROUNDING = 1e5
"""Where a change no longer shrinks, the error counts as this many changes: only rounding noise passes then."""
STRETCHES, MOST_STRETCH = 4, 0.2
"""Rounds for the stretch of the first currents, and the mean drop beyond which there is none."""
PLAUSIBLE = 0.1
"""The error counts as this share of the last change at least, however fast the changes seem to shrink."""


class ZipShares(NamedTuple):
    """Shares of the power at each bus that do not change with voltage, that grow with it, and with its square.
    (n_buses,)

    ``p = p0 (p_power + p_current v + p_impedance v**2)``, and q likewise: pandapower's voltage-dependent load.
    """

    p_power: FloatArray
    p_current: FloatArray
    p_impedance: FloatArray
    q_power: FloatArray
    q_current: FloatArray
    q_impedance: FloatArray


class SweepOptions(NamedTuple):
    """How the sweep iterates."""

    tolerance: float = 1e-9
    """Largest error left in a state's voltages, reckoned from how fast their changes shrink; a bound on the root of the
    sum over all nodes of the squares. [pu]"""
    most: int = 200
    """Sweeps before a state counts as unsolved."""


class SweepScratch(NamedTuple):
    """Working memory of one thread; nothing in it outlives a call."""

    node: FloatArray
    """Reduced voltage and current: u re, u im, k re, k im. [4 n W]"""
    power: FloatArray
    """Reduced power: constant (re, im), and for ZIP loads of current and of impedance. [6 n W]"""
    lane: FloatArray


def sweep_scratch(forest: Forest) -> SweepScratch:
    """Working memory for the largest tree of a forest."""
    n = int(np.diff(forest.start).max()) if len(forest.start) > 1 else 0
    return SweepScratch(aligned(4 * n * W, np.float64), aligned(6 * n * W, np.float64), aligned(W, np.float64))


@nb.njit(inline="always")
def _draw(power: Any, node: Any, i: Any, a: Any, b: Any) -> None:
    """Reduced current of constant power at node i and voltage a + jb."""
    d = 1.0 / fma(a, a, b * b)
    p, q = load(power, 2 * W * i), load(power, 2 * W * i + W)
    store(node, 4 * W * i + 2 * W, fma(p, a, q * b) * d)
    store(node, 4 * W * i + 3 * W, (p * b - q * a) * d)


@nb.njit(inline="always")
def _draw_zip(power: Any, node: Any, i: Any, a: Any, b: Any) -> None:
    """As `_draw` for a load with constant-power, constant-current and constant-impedance parts."""
    k = 6 * W * i
    d = 1.0 / fma(a, a, b * b)
    w = sqrt(d)
    p = fma(load(power, k), d, fma(load(power, k + 2 * W), w, load(power, k + 4 * W)))
    q = fma(load(power, k + W), d, fma(load(power, k + 3 * W), w, load(power, k + 5 * W)))
    store(node, 4 * W * i + 2 * W, fma(p, a, q * b))
    store(node, 4 * W * i + 3 * W, p * b - q * a)


@nb.njit(cache=True, error_model="numpy")
def _take(
    forest: Forest, begin: int, end: int, p: FloatArray, q: FloatArray, zips: ZipShares, with_zip: bool, t: int,
    power: FloatArray,
) -> None:  # fmt: skip
    """Reduced power of the tree's nodes for the bundle from step t."""
    steps = p.shape[1]
    for i in range(begin, end):
        bus, k = forest.bus[i], i - begin
        re, im, size = forest.turn[2 * i], forest.turn[2 * i + 1], forest.size[i]
        p0, q0 = load(p, bus * steps + t), load(q, bus * steps + t)
        if with_zip:
            pc, qc = p0 * zips.p_power[bus], q0 * zips.q_power[bus]
            pi, qi = p0 * (zips.p_current[bus] * size), q0 * (zips.q_current[bus] * size)
            pz, qz = p0 * (zips.p_impedance[bus] * size * size), q0 * (zips.q_impedance[bus] * size * size)
            store(power, 6 * W * k, pc * re - qc * im)
            store(power, 6 * W * k + W, pc * im + qc * re)
            store(power, 6 * W * k + 2 * W, pi * re - qi * im)
            store(power, 6 * W * k + 3 * W, pi * im + qi * re)
            store(power, 6 * W * k + 4 * W, pz * re - qz * im)
            store(power, 6 * W * k + 5 * W, pz * im + qz * re)
        else:
            store(power, 2 * W * k, p0 * re - q0 * im)
            store(power, 2 * W * k + W, p0 * im + q0 * re)


@nb.njit(cache=True, error_model="numpy")
def _flat(n: int, re: float, im: float, with_zip: bool, scratch: SweepScratch) -> None:
    """No drop anywhere; the currents drawn then."""
    a, b = splat(re), splat(im)
    for i in range(n):
        store(scratch.node, 4 * W * i, a)
        store(scratch.node, 4 * W * i + W, b)
        if with_zip:
            _draw_zip(scratch.power, scratch.node, i, a, b)
        else:
            _draw(scratch.power, scratch.node, i, a, b)


@nb.njit(cache=True, error_model="numpy")
def _backward(forest: Forest, begin: int, end: int, node: FloatArray) -> None:
    """Turn the currents drawn at the nodes into branch currents; a child next to its parent hands over in registers."""
    parent = forest.parent[begin:end]
    re, im, receiver = splat(0.0), splat(0.0), -1
    for back in range(end - begin):
        i = end - begin - 1 - back
        k = 4 * W * i
        k_re, k_im = load(node, k + 2 * W), load(node, k + 3 * W)
        if receiver == i:
            k_re, k_im = k_re + re, k_im + im
            store(node, k + 2 * W, k_re)
            store(node, k + 3 * W, k_im)
        receiver = parent[i] - begin
        if receiver == i - 1:
            re, im = k_re, k_im
        elif receiver >= 0:
            up = 4 * W * receiver
            store(node, up + 2 * W, load(node, up + 2 * W) + k_re)
            store(node, up + 3 * W, load(node, up + 3 * W) + k_im)
            receiver = -1


@nb.njit(inline="always")
def _step(forest: Any, begin: Any, i: Any, tree: Any, a: Any, b: Any, left: Any, tolerance: Any, node: Any) -> Any:
    """New voltage of node i, where ``a + jb`` is that of node i - 1, and the square of its change."""
    k, up = 4 * W * i, forest.parent[begin + i] - begin
    if up < 0:
        a, b = splat(forest.source[2 * tree]), splat(forest.source[2 * tree + 1])
    elif up != i - 1:
        a, b = load(node, 4 * W * up), load(node, 4 * W * up + W)
    r, x = forest.z[2 * (begin + i)], forest.z[2 * (begin + i) + 1]
    k_re, k_im, old_a, old_b = load(node, k + 2 * W), load(node, k + 3 * W), load(node, k), load(node, k + W)
    a = fma(x, k_im, fma(-r, k_re, a))
    b = fma(-x, k_re, fma(-r, k_im, b))
    da, db = a - old_a, b - old_b
    a, b = where_above(left, tolerance, a, old_a), where_above(left, tolerance, b, old_b)
    store(node, k, a)
    store(node, k + W, b)
    return a, b, da, db


@nb.njit(cache=True, error_model="numpy")
def _forward(
    forest: Forest, begin: int, end: int, tree: int, left: Any, tolerance: float, with_zip: bool, scratch: SweepScratch
) -> Any:
    """New voltages for the lanes whose error ``left`` is above the tolerance, and the currents drawn at them.

    Returns the sum of the squares of the voltages' changes.
    """
    node, power, squares = scratch.node, scratch.power, splat(0.0)
    a, b = splat(0.0), splat(0.0)
    if with_zip:
        for i in range(end - begin):
            a, b, da, db = _step(forest, begin, i, tree, a, b, left, tolerance, node)
            squares = fma(da, da, fma(db, db, squares))
            _draw_zip(power, node, i, a, b)
    else:
        for i in range(end - begin):
            a, b, da, db = _step(forest, begin, i, tree, a, b, left, tolerance, node)
            squares = fma(da, da, fma(db, db, squares))
            _draw(power, node, i, a, b)
    return squares


@nb.njit(cache=True, error_model="numpy")
def _stretch(forest: Forest, begin: int, end: int, tree: int, node: FloatArray) -> Any:
    """By how much (re, im) the first branch currents must grow for the drop that they make.

    With all currents stretched by c, the mean drop of the loads is ``c m v``, ``m v`` being their mean drop before,
    weighted by current: ``sum(z |k|**2) / conj(k of the head)``. Constant power then draws ``1 / (1 - conj(c m))`` of
    the first current.
    """
    re, im = splat(0.0), splat(0.0)
    for i in range(end - begin):
        k_re, k_im = load(node, 4 * W * i + 2 * W), load(node, 4 * W * i + 3 * W)
        square = fma(k_re, k_re, k_im * k_im)
        re = fma(forest.z[2 * (begin + i)], square, re)
        im = fma(forest.z[2 * (begin + i) + 1], square, im)
    k_re, k_im, v_re, v_im = load(node, 2 * W), load(node, 3 * W), forest.source[2 * tree], forest.source[2 * tree + 1]
    scale = 1.0 / (fma(k_re, k_re, k_im * k_im) * (v_re * v_re + v_im * v_im))
    re, im = re * k_re - im * k_im, re * k_im + im * k_re
    m_re, m_im = (re * v_re + im * v_im) * scale, (im * v_re - re * v_im) * scale
    c_re, c_im = splat(1.0), splat(0.0)
    for _ in range(STRETCHES):
        d_re, d_im = 1.0 - (c_re * m_re - c_im * m_im), c_re * m_im + c_im * m_re
        d = 1.0 / fma(d_re, d_re, d_im * d_im)
        c_re, c_im = d_re * d, -1.0 * (d_im * d)
    size = fma(m_re, m_re, m_im * m_im)
    return where_above(size, MOST_STRETCH**2, 1.0, c_re), where_above(size, MOST_STRETCH**2, 0.0, c_im)


@nb.njit(cache=True, error_model="numpy")
def _begin(forest: Forest, begin: int, end: int, tree: int, with_zip: bool, scratch: SweepScratch) -> None:
    """First voltages: the drop that the currents without drop make, stretched; then the currents drawn at them."""
    node, power = scratch.node, scratch.power
    _flat(end - begin, forest.source[2 * tree], forest.source[2 * tree + 1], with_zip, scratch)
    _backward(forest, begin, end, node)
    c_re, c_im = _stretch(forest, begin, end, tree, node)
    for i in range(end - begin):
        k, up = 4 * W * i, forest.parent[begin + i] - begin
        a, b = splat(forest.source[2 * tree]), splat(forest.source[2 * tree + 1])
        if up >= 0:
            a, b = load(node, 4 * W * up), load(node, 4 * W * up + W)
        r, x = forest.z[2 * (begin + i)], forest.z[2 * (begin + i) + 1]
        k_re, k_im = load(node, k + 2 * W), load(node, k + 3 * W)
        k_re, k_im = k_re * c_re - k_im * c_im, k_re * c_im + k_im * c_re
        a = fma(x, k_im, fma(-r, k_re, a))
        b = fma(-x, k_re, fma(-r, k_im, b))
        store(node, k, a)
        store(node, k + W, b)
        if with_zip:
            _draw_zip(power, node, i, a, b)
        else:
            _draw(power, node, i, a, b)


@nb.njit(cache=True, error_model="numpy")
def _iterate(forest: Forest, tree: int, with_zip: bool, options: SweepOptions, scratch: SweepScratch) -> int:
    """Sweep one bundle until every lane has settled or failed; the errors left stay in ``scratch.lane``."""
    begin, end = forest.start[tree], forest.start[tree + 1]
    _begin(forest, begin, end, tree, with_zip, scratch)
    left, previous = splat(np.inf), splat(0.0)
    for made in range(1, options.most + 1):
        _backward(forest, begin, end, scratch.node)
        squares = _forward(forest, begin, end, tree, left, options.tolerance, with_zip, scratch)
        change = sqrt(squares)
        # A geometric series of changes with the last ratio: what is still to come.
        series = where_above(previous, change, change * change / (previous - change), change * ROUNDING)
        left = where_above(left, options.tolerance, maximum(series, change * PLAUSIBLE), left)
        previous = change
        store(scratch.lane, 0, left)
        running = False
        for lane in range(W):
            running |= scratch.lane[lane] > options.tolerance
        if not running:
            return made
    return options.most


@nb.njit(cache=True, error_model="numpy")
def _put(forest: Forest, begin: int, end: int, t: int, node: FloatArray, v_re: FloatArray, v_im: FloatArray) -> None:
    """Write the voltages of a bundle from step t."""
    steps = v_re.shape[1]
    for i in range(begin, end):
        k, at = 4 * W * (i - begin), forest.bus[i] * steps + t
        re, im, u_re, u_im = forest.a[2 * i], forest.a[2 * i + 1], load(node, k), load(node, k + W)
        store(v_re, at, u_re * re - u_im * im)
        store(v_im, at, u_re * im + u_im * re)


@nb.njit(cache=True, error_model="numpy")
def sweep(
    forest: Forest, p: FloatArray, q: FloatArray, zips: ZipShares, with_zip: NDArray[np.bool_], options: SweepOptions,
    scratch: SweepScratch, v_re: FloatArray, v_im: FloatArray, status: NDArray[np.uint8],
) -> int:  # fmt: skip
    """Solve all trees for all steps of a block.

    Parameters
    ----------
    forest : Forest
        The trees.
    p, q : array, shape (n_buses, steps)
        Power drawn at each bus of the network at 1 pu, C-contiguous, ``steps`` a multiple of `W`. [pu]
    zips : ZipShares
        How it depends on voltage.
    with_zip : bool array, shape (n_trees,)
        Whether any bus of a tree has shares other than constant power.
    options, scratch : SweepOptions, SweepScratch
        The latter from `sweep_scratch`.
    v_re, v_im : array, shape (n_buses, steps)
        Receive the voltages of the trees' buses; a state that is not solved leaves numbers without meaning.
    status : uint8 array, shape (n_trees, steps)
        Receives `SOLVED` or `UNSOLVED`.

    Returns
    -------
    sweeps : int
        Sweeps made, summed over trees and bundles.

    Notes
    -----
    Never raises; NaN in a state's power makes it unsolved and stays in it.
    """
    total = 0
    for tree in range(len(forest.start) - 1):
        begin, end = forest.start[tree], forest.start[tree + 1]
        for t in range(0, p.shape[1], W):
            _take(forest, begin, end, p, q, zips, with_zip[tree], t, scratch.power)
            total += _iterate(forest, tree, with_zip[tree], options, scratch)
            _put(forest, begin, end, t, scratch.node, v_re, v_im)
            for lane in range(W):
                # A NaN is above every tolerance.
                status[tree, t + lane] = SOLVED if scratch.lane[lane] <= options.tolerance else UNSOLVED
    return total
