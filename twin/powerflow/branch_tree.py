"""Trees of general branches, reduced to the simplest thing a sweep can work on. Per unit.

Everything linear is taken out once, exactly. With ``d`` the admittance of all shunts at and below a node, and ``j`` the
current that loads at and below it draw, a branch from parent p to child c (the ratio at the parent) gives::

    v_c = alpha v_p - z j_c              alpha = 1 / (ratio (1 + s / y)),  z = (1 / y) / (1 + s / y),  s = d + shunt_t
    i_p = gamma v_p + beta j_c           beta = y z / conj(ratio)

and gamma adds to the parent's shunts. With ``v_c = a_c u_c`` and ``k_c = b_c j_c``, where a and b are the products of
alpha and beta from the source down, ratios, phase shifts, charging and magnetising vanish from the iteration::

    u_c = u_p - z_c / (a_c b_c) k_c      k_p = sum of the children's k + conj(turn s) / conj(u)     turn = conj(b) / a

Nothing is subtracted that is nearly alike, so very short lines cost no digits.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.branch_model import Branches, ComplexArray, FloatArray, IntArray


class Forest(NamedTuple):
    """Trees one after another, parents before children; ``n`` nodes, each with the branch to its parent."""

    start: IntArray
    """Where each tree begins. (n_trees + 1,)"""
    parent: IntArray
    """Node upstream; -1 for the node that hangs on the source. (n,)"""
    bus: IntArray
    """Bus of the network. (n,)"""
    z: FloatArray
    """Reduced series impedance: re, im. (2 n,)"""
    a: FloatArray
    """From reduced to real voltage: re, im. (2 n,)"""
    turn: FloatArray
    """From real to reduced power: re, im. (2 n,)"""
    size: FloatArray
    """``|a|``. (n,)"""
    source: FloatArray
    """Voltage of each tree's source: re, im. (2 n_trees,)"""


@nb.njit(cache=True, error_model="numpy")
def _preorder(
    head: int, row: IntArray, column: IntArray, edge: IntArray, above: IntArray, order: IntArray, begin: int
) -> int:
    """Number a tree from its head, each branch to its end before the next; returns where the next tree begins.

    ``row``, ``column`` and ``edge`` are the network in CSR form with the branch of each entry; ``above`` (n_buses,) is
    the branch to the parent, -1 where a bus was not met yet, and set here.
    """
    stack = np.empty(len(row) + len(column), dtype=np.int64)
    stack[0], depth, place = head, 1, begin
    while depth > 0:
        depth -= 1
        bus = stack[depth]
        order[place] = bus
        place += 1
        for k in range(row[bus], row[bus + 1]):
            if edge[k] != above[bus] and above[column[k]] == -1:
                above[column[k]] = edge[k]
                stack[depth] = column[k]
                depth += 1
    return place


@nb.njit(cache=True, error_model="numpy")
def _reduce(
    start: IntArray, parent: IntArray, down: NDArray[np.bool_], y_p: ComplexArray, y_c: ComplexArray,
    shunt_p: ComplexArray, shunt_c: ComplexArray, ratio: ComplexArray, below: ComplexArray, z: ComplexArray,
    a: ComplexArray, b: ComplexArray,
) -> None:  # fmt: skip
    """Fill ``z`` (reduced), ``a`` and ``b`` of all nodes; ``below`` holds the buses' own shunts and is added to.

    ``down``: the ratio stands at the parent's end, as in the formulas above; else at the child's. ``y_p`` and ``y_c``
    are the series admittances in the equations of the parent's and the child's end, shunts likewise.
    """
    for i in range(len(parent) - 1, -1, -1):
        square = ratio[i].real ** 2 + ratio[i].imag ** 2
        s = shunt_c[i] + (below[i] if down[i] else below[i] * square)
        share = 1.0 / (1.0 + s / y_c[i])
        into = shunt_p[i] + (y_p[i] / y_c[i]) * s * share
        z[i] = share / y_c[i] * (1.0 if down[i] else square)
        a[i] = share / ratio[i] if down[i] else share * ratio[i]
        b[i] = (
            (y_p[i] / y_c[i]) * share / np.conj(ratio[i]) if down[i] else (y_p[i] / y_c[i]) * share * np.conj(ratio[i])
        )
        if parent[i] >= 0:
            below[parent[i]] += into / square if down[i] else into
    for i in range(len(parent)):
        if parent[i] >= 0:
            a[i] *= a[parent[i]]
            b[i] *= b[parent[i]]
        z[i] /= a[i] * b[i]


def _adjacency(branches: Branches, n_buses: int) -> tuple[IntArray, IntArray, IntArray]:
    """CSR rows and columns of the network, with the branch of each entry."""
    ends = np.concatenate([branches.f_bus, branches.t_bus])
    others = np.concatenate([branches.t_bus, branches.f_bus])
    edges = np.tile(np.arange(len(branches.f_bus)), 2)
    by_end = np.argsort(ends, kind="stable")
    row = np.concatenate([[0], np.cumsum(np.bincount(ends, minlength=n_buses))])
    return row.astype(np.int64), others[by_end], edges[by_end]


def plant(
    branches: Branches, y_bus: ComplexArray, v_source: ComplexArray, head: IntArray, root: IntArray
) -> tuple[Forest, NDArray[np.bool_]]:
    """Reduce trees to a `Forest`.

    Parameters
    ----------
    branches : Branches
        Branches of the trees and no others, parallel ones merged; no branch joins two trees but through a source.
    y_bus : complex array, shape (n_buses,)
        Shunts at the buses of the whole network.
    v_source : complex array, shape (n_buses,)
        Voltage of source buses; 0 elsewhere.
    head : int array, shape (n_trees,)
        The branch by which each tree hangs on its source.
    root : int array, shape (n_trees,)
        Source bus of each tree.

    Returns
    -------
    forest : Forest
    sound : bool array, shape (n_trees,)
        False where a reduced number is not finite (a resonance): such a tree must be solved otherwise.
    """
    n_buses = len(y_bus)
    row, column, edge = _adjacency(branches, n_buses)
    above = np.full(n_buses, -1, dtype=np.int64)
    above[root] = -2  # sources are met already
    order = np.empty(len(branches.f_bus), dtype=np.int64)
    start = np.zeros(len(head) + 1, dtype=np.int64)
    for tree, branch in enumerate(head):
        first = branches.t_bus[branch] if branches.f_bus[branch] == root[tree] else branches.f_bus[branch]
        above[first] = branch
        start[tree + 1] = _preorder(int(first), row, column, edge, above, order, int(start[tree]))
    own = branches.rows(above[order])
    down = own.t_bus == order
    node = np.full(n_buses, -1, dtype=np.int64)
    node[order] = np.arange(len(order))
    parent = node[np.where(down, own.f_bus, own.t_bus)]
    z, a, b = (np.empty(len(order), dtype=np.complex128) for _ in range(3))
    _reduce(
        start, parent, down, np.where(down, own.y_f, own.y_t), np.where(down, own.y_t, own.y_f),
        np.where(down, own.shunt_f, own.shunt_t), np.where(down, own.shunt_t, own.shunt_f), own.ratio,
        y_bus[order].copy(), z, a, b,
    )  # fmt: skip
    turn = np.conj(b) / a
    forest = Forest(
        start, parent, order, z.view(np.float64), a.view(np.float64), turn.view(np.float64), np.abs(a),
        v_source[root].view(np.float64),
    )  # fmt: skip
    finite = np.isfinite(z) & np.isfinite(turn) & np.isfinite(a)
    return forest, np.logical_and.reduceat(finite, start[:-1]) if len(head) else np.zeros(0, dtype=bool)
