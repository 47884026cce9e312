"""Sparse factors of 2 x 2 blocks for a bundle of steps: an order of elimination once, numbers for every bundle.

The Jacobian of the meshed grid has one 2 x 2 block per bus and per pair of neighbours (rows P and Q, columns angle and
log voltage). Its pattern is the grid's, so the order and the fill are found once. Pivots are the diagonal blocks, which
in a power flow are the large ones; whoever iterates with the factors tests a residual, so they need not be exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import fma, vector

W = 8
"""Steps that a bundle carries: a cache line of float64."""
BLOCK = 4 * W
"""Floats of a block: its four entries row by row, each a bundle."""

_bundle = vector(W, np.float64)
inner = nb.njit(cache=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compiles a function that only compiled ones call; a way in from Python for its many arrays would cost a second."""
load, store, splat = _bundle.load, _bundle.store, _bundle.splat


class Pattern(NamedTuple):
    """The structure of the factors of n buses, numbered in the order of elimination, with m pairs including fill.

    Block k < n is the diagonal one of bus k, ``n + e`` the one right of the diagonal for pair e, ``n + m + e`` below.
    """

    ptr: NDArray[np.int32]
    """Pairs of bus k are ``ptr[k]:ptr[k + 1]``. [n + 1]"""
    col: NDArray[np.int32]
    """The later bus of each pair. [m]"""
    target_ptr: NDArray[np.int32]
    """[n + 1]"""
    target: NDArray[np.int32]
    """Blocks that the elimination of bus k changes: row by row over its pairs."""


def elimination_order(neighbours: list[set[int]], last: int) -> list[int]:
    """Buses by rising number of neighbours left (ties: the lower bus), which keeps the fill small; ``last`` at the end.

    ``neighbours`` is used up.
    """
    left, order = set(range(len(neighbours))) - {last}, []
    while left:
        bus = min(left, key=lambda k: (len(neighbours[k]), k))
        left.remove(bus)
        order.append(bus)
        for other in neighbours[bus]:
            neighbours[other] |= neighbours[bus]
            neighbours[other] -= {other, bus}
    return [*order, last]


def pattern_of(
    rows: NDArray[np.int64], cols: NDArray[np.int64], last: int, n: int
) -> tuple[Pattern, NDArray[np.int64]]:
    """Pattern of the factors of a matrix with entries at (rows, cols), and the place of every bus in the order.

    Both directions of a pair are taken as there; ``last`` is eliminated last.
    """
    neighbours: list[set[int]] = [set() for _ in range(n)]
    for a, b in zip(rows.tolist(), cols.tolist(), strict=True):
        if a != b:
            neighbours[a].add(b)
            neighbours[b].add(a)
    order = elimination_order([set(found) for found in neighbours], last)
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    later: list[set[int]] = [{int(place[b]) for b in neighbours[bus]} for bus in order]
    for k in range(n):
        later[k] = {b for b in later[k] if b > k}
        for b in later[k]:
            later[b] |= later[k]  # fill; what is earlier is dropped when b is reached
    pairs = [sorted(found) for found in later]
    ptr = np.concatenate([[0], np.cumsum([len(found) for found in pairs])]).astype(np.int32)
    where = {(k, b): int(ptr[k]) + e for k, found in enumerate(pairs) for e, b in enumerate(found)}
    m = int(ptr[-1])

    def block(i: int, j: int) -> int:
        return i if i == j else n + where[i, j] if i < j else n + m + where[j, i]

    targets = [[block(i, j) for i in found for j in found] for found in pairs]
    return Pattern(
        ptr,
        np.array([b for found in pairs for b in found], dtype=np.int32),
        np.concatenate([[0], np.cumsum([len(found) for found in targets])]).astype(np.int32),
        np.array([t for found in targets for t in found], dtype=np.int32),
    ), place


def block_of(pattern: Pattern, i: int, j: int) -> int:
    """Number of the block in row i and column j (places in the order); it must be part of the pattern."""
    n, m, low, high = len(pattern.ptr) - 1, len(pattern.col), min(i, j), max(i, j)
    if i == j:
        return i
    mine = pattern.col[pattern.ptr[low] : pattern.ptr[low + 1]]
    e = int(pattern.ptr[low]) + int(np.searchsorted(mine, high))
    return n + e if i < j else n + m + e


def n_blocks(pattern: Pattern) -> int:
    """Blocks of the factors."""
    return len(pattern.ptr) - 1 + 2 * len(pattern.col)


@inner
def factor(pattern: Pattern, blocks: NDArray[np.float64]) -> None:
    """Replace the blocks of a matrix by its factors: inverses on the diagonal, multipliers below it."""
    n, m = len(pattern.ptr) - 1, len(pattern.col)
    for k in range(n):
        at = BLOCK * k
        a, b, c, d = load(blocks, at), load(blocks, at + W), load(blocks, at + 2 * W), load(blocks, at + 3 * W)
        scale = 1.0 / (a * d - b * c)
        a, b, c, d = d * scale, -1.0 * b * scale, -1.0 * c * scale, a * scale
        store(blocks, at, a)
        store(blocks, at + W, b)
        store(blocks, at + 2 * W, c)
        store(blocks, at + 3 * W, d)
        begin, end, t = pattern.ptr[k], pattern.ptr[k + 1], pattern.target_ptr[k]
        for e in range(begin, end):
            low = BLOCK * (n + m + e)
            p, q = load(blocks, low), load(blocks, low + W)
            r, s = load(blocks, low + 2 * W), load(blocks, low + 3 * W)
            p, q, r, s = fma(p, a, q * c), fma(p, b, q * d), fma(r, a, s * c), fma(r, b, s * d)
            store(blocks, low, p)
            store(blocks, low + W, q)
            store(blocks, low + 2 * W, r)
            store(blocks, low + 3 * W, s)
            for f in range(begin, end):
                _subtract_product(blocks, BLOCK * pattern.target[t], p, q, r, s, BLOCK * (n + f))
                t += 1


@nb.njit(inline="always")
def _subtract_product(blocks, to, p, q, r, s, u):  # type: ignore[no-untyped-def]
    """Block at ``to`` minus (p q; r s) times the block at ``u``."""
    e, f, g, h = load(blocks, u), load(blocks, u + W), load(blocks, u + 2 * W), load(blocks, u + 3 * W)
    p, q, r, s = -1.0 * p, -1.0 * q, -1.0 * r, -1.0 * s
    store(blocks, to, fma(p, e, fma(q, g, load(blocks, to))))
    store(blocks, to + W, fma(p, f, fma(q, h, load(blocks, to + W))))
    store(blocks, to + 2 * W, fma(r, e, fma(s, g, load(blocks, to + 2 * W))))
    store(blocks, to + 3 * W, fma(r, f, fma(s, h, load(blocks, to + 3 * W))))


@inner
def substitute(pattern: Pattern, blocks: NDArray[np.float64], x: NDArray[np.float64]) -> None:
    """Solve with the factors in place: ``x`` holds the right side, two bundles a bus, then the solution."""
    n, m = len(pattern.ptr) - 1, len(pattern.col)
    for k in range(n):
        a, b = load(x, 2 * W * k), load(x, 2 * W * k + W)
        for e in range(pattern.ptr[k], pattern.ptr[k + 1]):
            low, to = BLOCK * (n + m + e), 2 * W * pattern.col[e]
            p, q = load(blocks, low), load(blocks, low + W)
            r, s = load(blocks, low + 2 * W), load(blocks, low + 3 * W)
            store(x, to, load(x, to) - fma(p, a, q * b))
            store(x, to + W, load(x, to + W) - fma(r, a, s * b))
    for k in range(n - 1, -1, -1):
        a, b = load(x, 2 * W * k), load(x, 2 * W * k + W)
        for e in range(pattern.ptr[k], pattern.ptr[k + 1]):
            up, of = BLOCK * (n + e), 2 * W * pattern.col[e]
            u, v = load(x, of), load(x, of + W)
            a = a - fma(load(blocks, up), u, load(blocks, up + W) * v)
            b = b - fma(load(blocks, up + 2 * W), u, load(blocks, up + 3 * W) * v)
        at = BLOCK * k
        store(x, 2 * W * k, fma(load(blocks, at), a, load(blocks, at + W) * b))
        store(x, 2 * W * k + W, fma(load(blocks, at + 2 * W), a, load(blocks, at + 3 * W) * b))


@nb.njit(cache=True, error_model="numpy")
def factor_and_solve(pattern: Pattern, blocks: NDArray[np.float64], x: NDArray[np.float64]) -> None:
    """Both at once, for callers in Python."""
    factor(pattern, blocks)
    substitute(pattern, blocks, x)
