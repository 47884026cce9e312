"""Newton power flow of one part of a network, step by step: what the sweep cannot take, or did not finish.

The Newton itself is lightsim2grid's, on the part's own admittance matrix. All sources of the part become one: with
``v_r`` their fixed voltages, the column ``sum over r of y_nr v_r`` is the admittance to a source of 1 pu. A load's
constant-impedance share becomes a shunt, exactly; a constant-current share, ``s |v|``, its tangent in ``|v|**2``,
``s (v0 / 2 + |v|**2 / (2 v0))``, taken again at the voltage found until it stays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from lightsim2grid.algorithm import NRSing_KLU
from numpy.typing import NDArray
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import spsolve

from twin.powerflow.branch_model import Branches, ComplexArray, FloatArray, IntArray, admittance
from twin.powerflow.branch_sweep import ZipShares

MISMATCH_PU = 1e-10
"""Largest power mismatch at a bus; on strong networks, what rounding leaves of it."""
ROUNDING = 1e-14
MAX_ITERATIONS = 20
MAX_TANGENTS = 20
TANGENT_PU = 1e-7
"""A tangent is good when the voltage found is that near: its error is half the square of that."""


class FreeBuses(NamedTuple):
    """The buses whose voltage a part has to find, in the numbering of the network."""

    buses: IntArray
    pv: NDArray[np.bool_]
    """Which of them hold their magnitude. (n,)"""
    vm_set_pu: FloatArray
    """That magnitude. (n,)"""


class NewtonPart:
    """Solves states of one part. Results depend on the state and on the part's base case alone, not on other states."""

    def __init__(
        self, branches: Branches, y_bus: ComplexArray, v_fixed: ComplexArray, free: FreeBuses, zips: ZipShares,
        starts: list[ComplexArray],
    ) -> None:  # fmt: skip
        """Prepare the part.

        Parameters
        ----------
        branches : Branches
            The part's branches, those to its sources included.
        y_bus, v_fixed : complex array, shape (n_buses,)
            Shunts, and the voltage of source buses, of the whole network.
        free : FreeBuses
            Its n buses.
        zips : ZipShares
            Of the whole network.
        starts : list of complex array, shape (n_buses,)
            Voltages to start from, tried in this order.
        """
        self.free = free
        n, buses = len(free.buses), free.buses
        whole = admittance(branches, np.where(np.isin(np.arange(len(y_bus)), buses), y_bus, 0))
        inner = whole[buses][:, buses].tocoo()
        to_source = np.zeros(n, dtype=np.complex128)
        sources = np.setdiff1d(np.concatenate([branches.f_bus, branches.t_bus]), buses)
        to_source += whole[buses][:, sources] @ v_fixed[sources]
        at = np.flatnonzero(to_source)
        data = np.concatenate([inner.data, to_source[at], to_source[at], [-to_source.sum()], np.zeros(n)])
        last = np.full(len(at), n)
        rows = np.concatenate([inner.row, at, last, [n], np.arange(n)])
        columns = np.concatenate([inner.col, last, at, [n], np.arange(n)])
        self._matrix = csc_matrix((data, (rows, columns)), shape=(n + 1, n + 1))
        self._matrix.sum_duplicates()
        column_of = np.repeat(np.arange(n + 1), np.diff(self._matrix.indptr))
        self._diagonal = np.flatnonzero((self._matrix.indices == column_of) & (column_of < n))
        self._tolerance = max(MISMATCH_PU, ROUNDING * float(np.abs(self._matrix.data).max()))
        self._shares = ZipShares(*(column[buses] for column in zips))
        self._pv = np.flatnonzero(free.pv).astype(np.int32)
        self._pq = np.flatnonzero(~free.pv).astype(np.int32)
        self._slack, self._weights = np.array([n], dtype=np.int32), np.zeros(n + 1)
        self._weights[n] = 1.0
        self._starts = [self._start(v[buses]) for v in starts]
        self._base: tuple[ComplexArray, FloatArray] | None = None
        self._solver: Any = None

    def _start(self, v: ComplexArray) -> ComplexArray:
        magnitude = np.where(self.free.pv, self.free.vm_set_pu, np.abs(v))
        return np.append(magnitude * np.exp(1j * np.angle(v)), 1.0)

    def settle(self, s_load: ComplexArray, p_gen: FloatArray) -> bool:
        """Solve the part's base case (shape (n,) each): its voltages become the first start of every state after."""
        self._base = None
        self._solver = NRSing_KLU()
        found = self._solve(s_load, p_gen, self._starts)
        if found is not None:
            self._starts.insert(0, found)
            self._base = (s_load.copy(), p_gen.copy())
        return found is not None

    def _refresh(self) -> None:
        """A solver whose pivots hang on the base case alone."""
        self._solver = NRSing_KLU()
        if self._base is not None:
            self._solve(*self._base, self._starts[1:])

    def solve(self, s_load: ComplexArray, p_gen: FloatArray) -> ComplexArray | None:
        """Voltages of the part's buses, None if Newton finds none.

        Parameters
        ----------
        s_load : complex array, shape (n,)
            Power drawn at each bus at 1 pu. [pu]
        p_gen : array, shape (n,)
            Active power of generators that hold a voltage. [pu]
        """
        if self._base is None:
            self._refresh()
        found = self._solve(s_load, p_gen, self._starts)
        if found is None:
            self._refresh()
            return None
        return found[:-1]

    def _solve(self, s_load: ComplexArray, p_gen: FloatArray, starts: list[ComplexArray]) -> ComplexArray | None:
        for start in starts:
            found = self._from(start, s_load, p_gen)
            if found is not None:
                return found
        return None

    def _from(self, start: ComplexArray, s_load: ComplexArray, p_gen: FloatArray) -> ComplexArray | None:
        """Newton from one start, with as many tangents of the constant-current shares as it takes."""
        shares, p, q = self._shares, s_load.real, s_load.imag
        power = p * shares.p_power + 1j * q * shares.q_power
        current = p * shares.p_current + 1j * q * shares.q_current
        impedance = p * shares.p_impedance + 1j * q * shares.q_impedance
        v = start
        for _ in range(MAX_TANGENTS):
            v0 = np.abs(v[:-1])
            found = self._newton(
                v, (p_gen - power - current * (v0 / 2)).astype(np.complex128), np.conj(impedance + current / (2 * v0))
            )
            if found is None:
                return None
            moved = np.abs(np.abs(found[:-1]) - v0)
            v = found
            if not (current[moved > TANGENT_PU] != 0).any():
                return v
        return None

    def _newton(self, guess: ComplexArray, injected: ComplexArray, shunt: ComplexArray) -> ComplexArray | None:
        matrix = self._matrix
        if shunt.any():
            matrix = matrix.copy()
            matrix.data[self._diagonal] += shunt
        ok = self._solver.solve(
            matrix, guess.copy(), np.append(injected, 0.0), self._slack, self._weights, self._pv, self._pq,
            MAX_ITERATIONS, self._tolerance,
        )  # fmt: skip
        if not ok:
            self._solver.reset()
            return None
        return np.asarray(self._solver.get_V(), dtype=np.complex128).ravel().copy()


def angles_start(
    branches: Branches, y_bus: ComplexArray, v_fixed: ComplexArray, free: FreeBuses, p_injected: FloatArray
) -> ComplexArray:
    """Voltages to start from: without load where no generator holds a voltage, else the angles of the DC power flow.

    Arguments as for `NewtonPart`, with the power injected at every bus of the network, shape (n_buses,). [pu]
    """
    n, buses = len(y_bus), free.buses
    sources = np.setdiff1d(np.concatenate([branches.f_bus, branches.t_bus]), buses)
    v = v_fixed.copy()
    if not free.pv.any():
        matrix = admittance(branches, y_bus)
        v[buses] = spsolve(matrix[buses][:, buses].tocsc(), -(matrix[buses][:, sources] @ v_fixed[sources]))
        return v
    z = 1 / branches.y_f
    b = np.where(z.imag != 0, 1 / np.where(z.imag != 0, z.imag, 1), np.abs(branches.y_f)) / np.abs(branches.ratio)
    shift, f, t = np.angle(branches.ratio), branches.f_bus, branches.t_bus
    rows, columns = np.concatenate([f, f, t, t]), np.concatenate([f, t, f, t])
    matrix = csc_matrix((np.concatenate([b, -b, -b, b]), (rows, columns)), shape=(n, n))
    right = p_injected.copy()
    np.add.at(right, f, b * shift)
    np.add.at(right, t, -b * shift)
    angle = np.angle(v_fixed)
    known = matrix[buses][:, sources] @ angle[sources]
    angle[buses] = spsolve(matrix[buses][:, buses].tocsc(), right[buses] - known)
    v[buses] = np.exp(1j * angle[buses])
    return v
