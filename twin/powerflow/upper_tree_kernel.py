"""Backward/forward sweep of the radial 33 kV trees, a bundle of steps at a time, at given taps and capacitors.

Like `twin.powerflow.radial` in its numbers: every step stops by itself, and a neighbour that diverges, or is NaN,
changes no bit of it. What differs is the model: complex two-ports at every node, loads with any exponent, and all trees
of the state at once, so that the grid above can be solved in the same iteration.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import absolute, aligned, fma, maximum, sqrt, where_above
from twin.powerflow.upper_factor import W, inner, load, splat, store
from twin.powerflow.upper_trees import (
    SWEEP_DIVERGED,
    SWEEP_OK,
    FloatArray,
    Loads,
    Positions,
    StepSizes,
    SweepOut,
    Trees,
)

TOLERANCE_PU = 1e-10
COARSE_PU = 1e-4
MAX_SWEEPS = 60
SERIES_LIMIT = 0.12
"""Reach of the series of a load's power, ``|x| (1 + |n|)`` with x the change of voltage; it errs by less than 1e-10."""
N_COEFFICIENTS = 5


class TreeScratch(NamedTuple):
    """One bundle of steps of all trees: bundles of W lanes, by node unless said. [pu]"""

    v: FloatArray
    """Real and imaginary part."""
    i: FloatArray
    """Current out of the branch into its node, real and imaginary; at a head, into the tree."""
    loads: FloatArray
    """P and Q at the base voltage of the series, their exponents, one over that voltage."""
    turns: FloatArray
    """One over the ratio of the branch."""
    head: FloatArray
    """Voltage of the head, by GSS."""
    capacitor: FloatArray
    """Susceptance at the 33 kV bus, by GSS."""
    power: FloatArray
    """P and Q into the head, by GSS."""
    change: FloatArray
    """Largest change of a voltage in the last sweep, by GSS."""
    going: FloatArray
    """1 where a lane still moves, by GSS."""
    lane: FloatArray
    """One bundle for tests."""


def tree_scratch(n_nodes: int, n_gss: int) -> TreeScratch:
    """Working arrays for one bundle."""
    return TreeScratch(
        *(aligned(size * W, np.float64) for size in (2 * n_nodes, 2 * n_nodes, N_COEFFICIENTS * n_nodes, n_nodes)),
        *(aligned(size * W, np.float64) for size in (n_gss, n_gss, 2 * n_gss, n_gss, n_gss, 1)),
    )


@inner
def take_loads(trees: Trees, loads: Loads, t: int, s: TreeScratch) -> None:
    """Load the bundle from step t; ``loads`` is padded to whole bundles."""
    steps = loads.p.shape[1]
    for j in range(len(trees.parent)):
        pss, at = np.intp(trees.pss[j]), N_COEFFICIENTS * W * j
        if pss < 0:
            continue
        source = pss * steps + t
        if trees.is_11[j]:
            store(s.loads, at, load(loads.p, source))
            store(s.loads, at + W, load(loads.q, source))
            store(s.loads, at + 2 * W, load(loads.n_p, source))
            store(s.loads, at + 3 * W, load(loads.n_q, source))
            store(s.loads, at + 4 * W, 1.0 / load(loads.v0, source))
        else:
            store(s.loads, at, load(loads.p_33, source))
            store(s.loads, at + W, load(loads.q_33, source))


@inner
def take_positions(trees: Trees, sizes: StepSizes, at: Positions, t: int, s: TreeScratch) -> None:
    """Ratios and capacitors of the bundle from step t; lanes beyond the last step repeat it."""
    last = at.gss_tap.shape[1] - 1
    for k in range(len(s.turns)):
        s.turns[k] = 1.0
    for g in range(len(trees.ptr) - 1):
        lo = trees.ptr[g]
        for lane in range(W):
            step = min(t + lane, last)
            s.capacitor[g * W + lane] = at.capacitor[g, step] * sizes.capacitor
            s.turns[(lo + 1) * W + lane] = 1.0 / (1.0 + at.gss_tap[g, step] * sizes.tap)
    for pss in range(len(trees.node_11)):
        for lane in range(W):
            tap = at.pss_tap[pss, min(t + lane, last)]
            s.turns[trees.node_11[pss] * W + lane] = 1.0 / (1.0 + tap * sizes.tap)


@inner
def take_voltages(trees: Trees, out: SweepOut, t: int, s: TreeScratch) -> None:
    """Start of the bundle from step t: the voltages in ``out``, or the head's carried down without current."""
    steps = out.v_re.shape[1]
    for g in range(len(trees.ptr) - 1):
        lo, hi, known = trees.ptr[g], trees.ptr[g + 1], 0
        for lane in range(W):
            known += int(np.isfinite(out.v_re[lo + 1, t + lane]))
        store(s.v, 2 * W * lo, load(s.head, g * W))
        store(s.v, 2 * W * lo + W, splat(0.0))
        if known == W:
            for j in range(lo + 1, hi):
                store(s.v, 2 * W * j, load(out.v_re, j * steps + t))
                store(s.v, 2 * W * j + W, load(out.v_im, j * steps + t))
            continue
        for j in range(lo + 1, hi):
            at, up = 2 * W * j, 2 * W * trees.parent[j]
            turns, k_re, k_im = load(s.turns, j * W), trees.k[j].real, trees.k[j].imag
            a, b = load(s.v, up), load(s.v, up + W)
            store(s.v, at, turns * (k_re * a - k_im * b))
            store(s.v, at + W, turns * (k_re * b + k_im * a))
        for lane in range(W):
            if np.isfinite(out.v_re[lo + 1, t + lane]):
                for j in range(lo + 1, hi):
                    s.v[2 * W * j + lane] = out.v_re[j, t + lane]
                    s.v[2 * W * j + W + lane] = out.v_im[j, t + lane]


@nb.njit(inline="always")
def _series(n, x):  # type: ignore[no-untyped-def]
    """``(1 + x)^n`` to the seventh order, and ``n x``."""
    first = n * x
    h = 1.0 + (n - 6.0) * (x * (1.0 / 7.0))
    h = fma((n - 5.0) * (x * (1.0 / 6.0)), h, 1.0)
    h = fma((n - 4.0) * (x * 0.2), h, 1.0)
    h = fma((n - 3.0) * (x * 0.25), h, 1.0)
    h = fma((n - 2.0) * (x * (1.0 / 3.0)), h, 1.0)
    h = fma((n - 1.0) * (x * 0.5), h, 1.0)
    return fma(first, h, 1.0), first


@nb.njit(inline="always")
def law(s, j, square):  # type: ignore[no-untyped-def]
    """Factors on P and Q of the load at 11 kV node j for the square of its voltage, and how far the series reached."""
    at = N_COEFFICIENTS * W * j
    x = fma(sqrt(square), load(s.loads, at + 4 * W), -1.0)
    by_p, first_p = _series(load(s.loads, at + 2 * W), x)
    by_q, first_q = _series(load(s.loads, at + 3 * W), x)
    return by_p, by_q, absolute(x) + maximum(absolute(first_p), absolute(first_q))


@nb.njit(inline="always")
def _drawn(s, j, a, b):  # type: ignore[no-untyped-def]
    """Current drawn by the load of 11 kV node j at voltage a + jb, and how far its series reached."""
    at, square = N_COEFFICIENTS * W * j, fma(a, a, b * b)
    by_p, by_q, reach = law(s, j, square)
    scale = 1.0 / square
    p, q = load(s.loads, at) * (by_p * scale), load(s.loads, at + W) * (by_q * scale)
    return fma(p, a, q * b), p * b - q * a, reach


@inner
def _rebase(trees: Trees, g: int, s: TreeScratch) -> bool:
    """Move the base of loads that left the reach of their series to their present voltage, exactly; True if any did."""
    moved = False
    for j in range(trees.ptr[g], trees.ptr[g + 1]):
        if not trees.is_11[j]:
            continue
        at = N_COEFFICIENTS * W * j
        _, _, reach = _drawn(s, j, load(s.v, 2 * W * j), load(s.v, 2 * W * j + W))
        store(s.lane, 0, reach)
        for lane in range(W):
            a, b = s.v[2 * W * j + lane], s.v[2 * W * j + W + lane]
            ratio = np.sqrt(a * a + b * b) * s.loads[at + 4 * W + lane]
            if s.lane[lane] > SERIES_LIMIT and 0.0 < ratio < np.inf:
                log = np.log(ratio)
                s.loads[at + lane] *= np.exp(s.loads[at + 2 * W + lane] * log)
                s.loads[at + W + lane] *= np.exp(s.loads[at + 3 * W + lane] * log)
                s.loads[at + 4 * W + lane] /= ratio
                moved = True
    return moved


@nb.njit(inline="always")
def branch_current(trees, s, j, i_re, i_im):  # type: ignore[no-untyped-def]
    """Current into the branch of node j at its parent, for the current out of it."""
    up, turns = 2 * W * trees.parent[j], load(s.turns, j * W)
    a, b = load(s.v, up) * turns, load(s.v, up + W) * turns
    c_re, c_im, d_re, d_im = trees.c[j].real, trees.c[j].imag, trees.d[j].real, trees.d[j].imag
    re = fma(c_re, a, fma(-c_im, b, fma(d_re, i_re, -d_im * i_im)))
    im = fma(c_re, b, fma(c_im, a, fma(d_re, i_im, d_im * i_re)))
    return re * turns, im * turns


@inner
def _draw(trees: Trees, g: int, s: TreeScratch) -> bool:
    """Currents of the loads of tree g at its present voltages; False if one left the reach of its series."""
    lo, worst = trees.ptr[g], splat(0.0)
    for j in range(lo + 2, trees.ptr[g + 1], 2):
        at = 2 * W * j
        a, b = load(s.v, at), load(s.v, at + W)
        scale = 1.0 / fma(a, a, b * b)
        p, q = load(s.loads, N_COEFFICIENTS * W * j) * scale, load(s.loads, N_COEFFICIENTS * W * j + W) * scale
        store(s.i, at, fma(p, a, q * b))
        store(s.i, at + W, p * b - q * a)
        at += 2 * W
        a, b = load(s.v, at), load(s.v, at + W)
        re, im, reach = _drawn(s, j + 1, a, b)
        store(s.i, at, re)
        store(s.i, at + W, im)
        worst = maximum(worst, reach)
    store(s.lane, 0, worst)
    inside = True
    for lane in range(W):
        inside &= s.lane[lane] <= SERIES_LIMIT
    return inside


@inner
def _gather(trees: Trees, g: int, s: TreeScratch) -> None:
    """Branch currents of tree g from those that its loads draw, from the ends toward the head."""
    lo, susceptance = trees.ptr[g], load(s.capacitor, g * W)
    bus, head = 2 * W * (lo + 1), 2 * W * lo
    store(s.i, bus, -1.0 * susceptance * load(s.v, bus + W))
    store(s.i, bus + W, susceptance * load(s.v, bus))
    for j in range(trees.ptr[g + 1] - 1, lo + 1, -1):
        at, up = 2 * W * j, 2 * W * trees.parent[j]
        re, im = branch_current(trees, s, j, load(s.i, at), load(s.i, at + W))
        store(s.i, up, load(s.i, up) + re)
        store(s.i, up + W, load(s.i, up + W) + im)
    re, im = branch_current(trees, s, lo + 1, load(s.i, bus), load(s.i, bus + W))
    store(s.i, head, re)
    store(s.i, head + W, im)


@inner
def backward(trees: Trees, g: int, s: TreeScratch) -> None:
    """Currents of tree g for its present voltages, and the power into its head."""
    while not _draw(trees, g, s):
        if not _rebase(trees, g, s):  # what is left is no number
            break
    _gather(trees, g, s)
    at, head = 2 * W * trees.ptr[g], load(s.head, g * W)
    store(s.power, 2 * W * g, head * load(s.i, at))
    store(s.power, 2 * W * g + W, -1.0 * head * load(s.i, at + W))


@inner
def forward(trees: Trees, g: int, s: TreeScratch) -> None:
    """Voltages of tree g from its head and currents, in the lanes still going; others keep theirs."""
    lo, going = trees.ptr[g], load(s.going, g * W)
    worst = splat(0.0)
    store(s.v, 2 * W * lo, load(s.head, g * W))
    for j in range(lo + 1, trees.ptr[g + 1]):
        at, up, turns = 2 * W * j, 2 * W * trees.parent[j], load(s.turns, j * W)
        a, b, i_re, i_im = load(s.v, up) * turns, load(s.v, up + W) * turns, load(s.i, at), load(s.i, at + W)
        k_re, k_im, z_re, z_im = trees.k[j].real, trees.k[j].imag, trees.z[j].real, trees.z[j].imag
        re = fma(k_re, a, fma(-k_im, b, fma(-z_re, i_re, z_im * i_im)))
        im = fma(k_re, b, fma(k_im, a, fma(-z_re, i_im, -z_im * i_re)))
        old_re, old_im = load(s.v, at), load(s.v, at + W)
        worst = maximum(worst, absolute(re - old_re) + absolute(im - old_im))
        store(s.v, at, where_above(going, 0.5, re, old_re))
        store(s.v, at + W, where_above(going, 0.5, im, old_im))
    store(s.change, g * W, worst)


@inner
def slopes(trees: Trees, slope: FloatArray, s: TreeScratch) -> None:
    """``dP / d ln V`` and ``dQ / d ln V`` of loads and capacitors of every tree, about: a Jacobian is built on it."""
    for g in range(len(trees.ptr) - 1):
        p, q = splat(0.0), splat(0.0)
        for j in range(trees.ptr[g] + 3, trees.ptr[g + 1], 2):
            at = N_COEFFICIENTS * W * j
            p = fma(load(s.loads, at), load(s.loads, at + 2 * W), p)
            q = fma(load(s.loads, at + W), load(s.loads, at + 3 * W), q)
        head = load(s.head, g * W)
        store(slope, 2 * W * g, p)
        store(slope, 2 * W * g + W, q - 2.0 * head * head * load(s.capacitor, g * W))


@inner
def settle_tree(trees: Trees, g: int, tolerance: float, s: TreeScratch, status: NDArray[np.uint8]) -> int:
    """Sweep tree g at a fixed head until every lane that goes on is still or lost; the sweeps made.

    ``status`` (W,) is written for those lanes; ``s.going`` tells them at the start and is 0 at the end.
    """
    for made in range(1, MAX_SWEEPS + 1):
        backward(trees, g, s)
        forward(trees, g, s)
        running = False
        for lane in range(g * W, (g + 1) * W):
            if s.going[lane] < 0.5:
                continue
            change = s.change[lane]
            if change <= tolerance:
                s.going[lane], status[lane - g * W] = 0.0, SWEEP_OK
            elif made == MAX_SWEEPS or not np.isfinite(change):
                s.going[lane], status[lane - g * W] = 0.0, SWEEP_DIVERGED
            else:
                running = True
        if not running:
            break
    backward(trees, g, s)
    return made
