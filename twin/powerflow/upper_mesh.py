"""One Newton step of the meshed grid for a bundle of steps: residuals, Jacobian, update.

Unknowns of a bus are its angle and the logarithm of its voltage, so with ``e = d ln|V| + j d angle`` a bus changes by
``dS_i = S_i e_i + sum_j V_i conj(Y_ij V_j) conj(e_j)``. The slack is shared by weight: its sum stands in the place of
the reference bus's angle. A bus that holds its voltage has that in the place of its balance of Q; which buses do may
differ from lane to lane.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import absolute, aligned, fma, maximum, sqrt, where_above
from twin.powerflow.upper_ehv import EhvModel
from twin.powerflow.upper_factor import (
    BLOCK,
    Pattern,
    W,
    block_of,
    factor,
    inner,
    load,
    n_blocks,
    pattern_of,
    splat,
    store,
    substitute,
)
from twin.powerflow.upper_trees import FloatArray

IntArray = NDArray[np.int32]


class Mesh(NamedTuple):
    """The meshed grid with its buses in the order of elimination; the reference is the last. [pu]"""

    pattern: Pattern
    place: NDArray[np.int64]
    """Position in this order of every bus of the `EhvModel`."""
    ptr: IntArray
    """Entries of the admittance matrix right of bus i: ``ptr[i]:ptr[i + 1]``, without the diagonal. [n + 1]"""
    col: IntArray
    y_re: FloatArray
    y_im: FloatArray
    block: IntArray
    """Block of the Jacobian of every entry."""
    own_re: FloatArray
    """Diagonal of the admittance matrix. [n]"""
    own_im: FloatArray
    gen: IntArray
    """Bus of every generator. [n_gens]"""
    weight: FloatArray
    bus_weight: FloatArray
    """Share of the slack by bus. [n]"""
    slack_block: IntArray
    """Block in the row of every generator's bus and the column of the reference."""
    vm_set: FloatArray
    q_min: FloatArray
    q_max: FloatArray
    gss: IntArray
    """Bus of every tree. [n_gss]"""
    bus_gss: IntArray
    """Tree at every bus, -1 without. [n]"""


def mesh_of(model: EhvModel, gss_bus: NDArray[np.int64]) -> Mesh:
    """The arrays of ``model`` for the bundled Newton; at most one tree per bus."""
    n, matrix = len(model.v_start), model.admittance().tocoo()
    sharing = model.gen_bus[model.weight > 0]
    reference = int(model.gen_bus[np.argmax(model.weight)])
    rows = np.concatenate([matrix.row, sharing]).astype(np.int64)
    cols = np.concatenate([matrix.col, np.full(len(sharing), reference)]).astype(np.int64)
    pattern, place = pattern_of(rows, cols, reference, n)
    row, col = place[matrix.row], place[matrix.col]
    own = np.zeros(n, dtype=np.complex128)
    own[row[row == col]] = matrix.data[row == col]
    order = np.lexsort((col, row))
    order = order[row[order] != col[order]]
    row, col, y = row[order], col[order], matrix.data[order]
    blocks = [block_of(pattern, i, j) for i, j in zip(row.tolist(), col.tolist(), strict=True)]
    if len(np.unique(gss_bus)) < len(gss_bus):
        raise ValueError("two trees hang on one bus")
    gen, gss = place[model.gen_bus], place[gss_bus]
    bus_gss = np.full(n, -1, dtype=np.int32)
    bus_gss[gss] = np.arange(len(gss))
    slack = [block_of(pattern, i, n - 1) if w > 0 else 0 for i, w in zip(gen.tolist(), model.weight, strict=True)]
    return Mesh(
        pattern, place,
        np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))]).astype(np.int32), col.astype(np.int32),
        np.ascontiguousarray(y.real), np.ascontiguousarray(y.imag), np.array(blocks, dtype=np.int32),
        np.ascontiguousarray(own.real), np.ascontiguousarray(own.imag),
        gen.astype(np.int32), model.weight, np.bincount(gen, model.weight, minlength=n).astype(np.float64),
        np.array(slack, dtype=np.int32),
        model.vm_set_pu, model.q_min_pu, model.q_max_pu, gss.astype(np.int32), bus_gss,
    )  # fmt: skip


class MeshScratch(NamedTuple):
    """One bundle of the meshed grid: bundles of W lanes, by bus unless said. [pu]"""

    v: FloatArray
    """Real and imaginary part."""
    at: FloatArray
    """Voltages for which the Jacobian stands."""
    load: FloatArray
    """P and Q drawn at whatever voltage, without the trees."""
    power: FloatArray
    """P and Q into the grid's branches at the last residual."""
    holds: FloatArray
    """1 where the bus holds its voltage, else 0."""
    vm_set: FloatArray
    q_fixed: FloatArray
    """Q of generators at a limit."""
    p_fixed: FloatArray
    """Scheduled generation."""
    b: FloatArray
    """Switched susceptance."""
    slack: FloatArray
    """Sum of the slack; one bundle."""
    x: FloatArray
    """Right side, then solution: two bundles a bus."""
    blocks: FloatArray
    slope: FloatArray
    """``dP / d ln V`` and ``dQ / d ln V`` of every tree, by GSS."""
    slope_at: FloatArray
    """Those for which the Jacobian stands."""
    going: FloatArray
    """1 in the lanes still moving; one bundle."""
    renew: FloatArray
    """1 in the lanes whose Jacobian shall follow; one bundle."""
    worst: FloatArray
    """Largest residual; one bundle."""


def mesh_scratch(mesh: Mesh) -> MeshScratch:
    """Working arrays for one bundle."""
    n, n_gss = len(mesh.place), len(mesh.gss)
    sizes = (
        2 * n,
        2 * n,
        2 * n,
        2 * n,
        n,
        n,
        n,
        n,
        n,
        1,
        2 * n,
        4 * n_blocks(mesh.pattern),
        2 * n_gss,
        2 * n_gss,
        1,
        1,
        1,
    )
    return MeshScratch(*(aligned(size * W, np.float64) for size in sizes))


@nb.njit(inline="always")
def _entering(mesh, v, i):  # type: ignore[no-untyped-def]
    """Power into the branches at bus i for the voltages ``v``."""
    a, b = load(v, 2 * W * i), load(v, 2 * W * i + W)
    g, h = mesh.own_re[i], mesh.own_im[i]
    re, im = fma(g, a, -h * b), fma(g, b, h * a)
    for e in range(mesh.ptr[i], mesh.ptr[i + 1]):
        c, d = load(v, 2 * W * mesh.col[e]), load(v, 2 * W * mesh.col[e] + W)
        g, h = mesh.y_re[e], mesh.y_im[e]
        re, im = fma(g, c, fma(-h, d, re)), fma(g, d, fma(h, c, im))
    return fma(a, re, b * im), b * re - a * im


@inner
def residual(mesh: Mesh, tree_power: FloatArray, s: MeshScratch) -> None:
    """Right sides for the present voltages and powers of trees, and the largest of each lane."""
    worst, slack = splat(0.0), load(s.slack, 0)
    for i in range(len(mesh.place)):
        at = 2 * W * i
        p, q = _entering(mesh, s.v, i)
        store(s.power, at, p)
        store(s.power, at + W, q)
        p, q = load(s.p_fixed, W * i) - load(s.load, at) - p, load(s.q_fixed, W * i) - load(s.load, at + W) - q
        g = mesh.bus_gss[i]
        if g >= 0:
            p, q = p - load(tree_power, 2 * W * g), q - load(tree_power, 2 * W * g + W)
        p = fma(mesh.bus_weight[i], slack, p)
        a, b, target = load(s.v, at), load(s.v, at + W), load(s.vm_set, W * i)
        square = fma(a, a, b * b)
        q = fma(load(s.b, W * i), square, q)
        q = where_above(load(s.holds, W * i), 0.5, (target * target - square) / (2.0 * square), q)
        store(s.x, at, p)
        store(s.x, at + W, q)
        worst = maximum(worst, maximum(absolute(p), absolute(q)))
    store(s.worst, 0, worst)


@inner
def take_jacobian(mesh: Mesh, s: MeshScratch) -> None:
    """Factors of the Jacobian: lanes to be renewed take their present voltages, others keep those of their last."""
    renew, n = load(s.renew, 0), len(mesh.place)
    for k in range(2 * n):
        store(s.at, k * W, where_above(renew, 0.5, load(s.v, k * W), load(s.at, k * W)))
    for k in range(2 * len(mesh.gss)):
        store(s.slope_at, k * W, where_above(renew, 0.5, load(s.slope, k * W), load(s.slope_at, k * W)))
    for k in range(0, len(s.blocks), W):
        store(s.blocks, k, splat(0.0))
    for i in range(n):
        _diagonal(mesh, i, s)
        for e in range(mesh.ptr[i], mesh.ptr[i + 1]):
            _entry(mesh, i, e, s)
    for k in range(len(mesh.gen)):
        if mesh.weight[k] > 0.0:
            store(s.blocks, BLOCK * mesh.slack_block[k], splat(-mesh.weight[k]))
    factor(mesh.pattern, s.blocks)


@nb.njit(inline="always")
def _entry(mesh, i, e, s):  # type: ignore[no-untyped-def]
    """Block of bus i and its neighbour; the last bus's angle is the reference and does not move."""
    j, at = mesh.col[e], BLOCK * mesh.block[e]
    a, b, c, d = (
        load(s.at, 2 * W * i), load(s.at, 2 * W * i + W), load(s.at, 2 * W * j), load(s.at, 2 * W * j + W)
    )  # fmt: skip
    g, h = mesh.y_re[e], mesh.y_im[e]
    re, im = fma(g, c, -h * d), fma(g, d, h * c)
    t_re, t_im = fma(a, re, b * im), b * re - a * im
    holds, zero = load(s.holds, W * i), splat(0.0)
    store(s.blocks, at + W, t_re)
    store(s.blocks, at + 3 * W, where_above(holds, 0.5, zero, t_im))
    if j < len(mesh.place) - 1:
        store(s.blocks, at, t_im)
        store(s.blocks, at + 2 * W, where_above(holds, 0.5, zero, -1.0 * t_re))


@nb.njit(inline="always")
def _diagonal(mesh, i, s):  # type: ignore[no-untyped-def]
    """Block of bus i and itself, with the slope of its tree."""
    at, a, b = BLOCK * i, load(s.at, 2 * W * i), load(s.at, 2 * W * i + W)
    p, q = _entering(mesh, s.at, i)
    square, holds = fma(a, a, b * b), load(s.holds, W * i)
    t_re, t_im, zero = square * mesh.own_re[i], square * -mesh.own_im[i], splat(0.0)
    p_by_v, q_by_v, g = p + t_re, q + t_im - 2.0 * square * load(s.b, W * i), mesh.bus_gss[i]
    if g >= 0:
        p_by_v = p_by_v + load(s.slope_at, 2 * W * g)
        q_by_v = q_by_v + load(s.slope_at, 2 * W * g + W)
    store(s.blocks, at + W, p_by_v)
    store(s.blocks, at + 3 * W, where_above(holds, 0.5, splat(1.0), q_by_v))
    if i < len(mesh.place) - 1:
        store(s.blocks, at, t_im - q)
        store(s.blocks, at + 2 * W, where_above(holds, 0.5, zero, p - t_re))


@inner
def advance(mesh: Mesh, s: MeshScratch, head: FloatArray) -> None:
    """Solve for the step and take it in the lanes still going: ``V (1 + e + e^2 / 2)``; heads of trees by GSS."""
    substitute(mesh.pattern, s.blocks, s.x)
    going, n = load(s.going, 0), len(mesh.place)
    zero, last = splat(0.0), 2 * W * (n - 1)
    slack = load(s.slack, 0)
    store(s.slack, 0, where_above(going, 0.5, slack + load(s.x, last), slack))
    store(s.x, last, zero)
    for i in range(n):
        at = 2 * W * i
        angle, rise, a, b = load(s.x, at), load(s.x, at + W), load(s.v, at), load(s.v, at + W)
        re, im = 1.0 + rise + 0.5 * (rise * rise - angle * angle), angle * (1.0 + rise)
        store(s.v, at, where_above(going, 0.5, a * re - b * im, a))
        store(s.v, at + W, where_above(going, 0.5, fma(a, im, b * re), b))
    take_heads(mesh, s, head)


@inner
def take_heads(mesh: Mesh, s: MeshScratch, head: FloatArray) -> None:
    """Voltages of the heads of all trees."""
    for g in range(len(mesh.gss)):
        a, b = load(s.v, 2 * W * mesh.gss[g]), load(s.v, 2 * W * mesh.gss[g] + W)
        store(head, W * g, sqrt(fma(a, a, b * b)))
