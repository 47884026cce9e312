"""General branches between buses, in per unit: a series admittance, a shunt at either end, a complex ratio.

The form is pandapower's (and MATPOWER's) branch, with its two unsymmetric terms: with ``v_f`` and ``v_t`` the voltages
of the two ends, currents counted into the branch, and the ideal transformer at the from end::

    i_f = (y_f + shunt_f) / |ratio|**2 v_f - y_f / conj(ratio) v_t
    i_t = -y_t / ratio v_f + (y_t + shunt_t) v_t
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ComplexArray = NDArray[np.complex128]


class Branches(NamedTuple):
    """Branches in service, each array of shape (n_branches,). Per unit."""

    f_bus: IntArray
    t_bus: IntArray
    y_f: ComplexArray
    """Series admittance in the equation of the from end."""
    y_t: ComplexArray
    """Series admittance in the equation of the to end; differs from ``y_f`` for unsymmetric impedances only."""
    shunt_f: ComplexArray
    """Shunt admittance behind the ratio: half of a line's charging, part of a transformer's magnetising branch."""
    shunt_t: ComplexArray
    ratio: ComplexArray
    """Off-nominal ratio and phase shift: 1 for a line."""

    def rows(self, which: NDArray[np.bool_] | IntArray) -> Branches:
        """Some of the branches."""
        return Branches(*(column[which] for column in self))  # type: ignore[arg-type]


class TwoPorts(NamedTuple):
    """``i_f = ff v_f + ft v_t`` and ``i_t = tf v_f + tt v_t``, each of shape (n_branches,). Per unit."""

    ff: ComplexArray
    ft: ComplexArray
    tf: ComplexArray
    tt: ComplexArray


def two_ports(branches: Branches) -> TwoPorts:
    """The branches as admittances between their ends."""
    ratio = branches.ratio
    return TwoPorts(
        ff=(branches.y_f + branches.shunt_f) / np.square(np.abs(ratio)),
        ft=-branches.y_f / np.conj(ratio),
        tf=-branches.y_t / ratio,
        tt=branches.y_t + branches.shunt_t,
    )


def admittance(branches: Branches, y_bus: ComplexArray) -> csc_matrix:
    """The bus admittance matrix of branches and of shunts ``y_bus`` (n_buses,) at buses, in canonical form."""
    n, ports = len(y_bus), two_ports(branches)
    f, t, own = branches.f_bus, branches.t_bus, np.arange(n)
    data = np.concatenate([ports.ff, ports.ft, ports.tf, ports.tt, y_bus])
    rows, columns = np.concatenate([f, f, t, t, own]), np.concatenate([f, t, f, t, own])
    matrix = csc_matrix((data, (rows, columns)), shape=(n, n))
    matrix.sum_duplicates()
    return matrix


def merged(branches: Branches) -> Branches | None:
    """Parallel branches joined into one; None where their ratios differ, so that no single branch can stand for them.

    Branches without a ratio are turned so that ``f_bus < t_bus``.
    """
    turn = (branches.f_bus > branches.t_bus) & (branches.ratio == 1)
    f, t = np.where(turn, branches.t_bus, branches.f_bus), np.where(turn, branches.f_bus, branches.t_bus)
    straight = Branches(
        f, t,
        np.where(turn, branches.y_t, branches.y_f), np.where(turn, branches.y_f, branches.y_t),
        np.where(turn, branches.shunt_t, branches.shunt_f), np.where(turn, branches.shunt_f, branches.shunt_t),
        branches.ratio,
    )  # fmt: skip
    pairs = np.stack([np.minimum(f, t), np.maximum(f, t)])
    _, first, group = np.unique(pairs, axis=1, return_index=True, return_inverse=True)
    group = group.ravel()
    if len(first) == len(f):
        return straight
    lead = first[group]
    same = (straight.ratio == straight.ratio[lead]) & (f == f[lead])
    if not same.all():
        return None

    def total(column: ComplexArray) -> ComplexArray:
        sums = np.zeros(len(first), dtype=np.complex128)
        np.add.at(sums, group, column)
        return sums

    return straight.rows(first)._replace(
        y_f=total(straight.y_f), y_t=total(straight.y_t),
        shunt_f=total(straight.shunt_f), shunt_t=total(straight.shunt_t),
    )  # fmt: skip
