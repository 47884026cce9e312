"""Results of all branches and buses from solved voltages, step after step as tables want them.

Voltages come with the steps side by side, as the sweep leaves them; results leave with the branches side by side.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.branch_model import FloatArray, IntArray, TwoPorts
from twin.powerflow.branch_sweep import W, load, splat, store
from twin.powerflow.lanes import fma, maximum, sqrt


class Ends(NamedTuple):
    """The branches of one table of results, each array of shape (n_rows,) unless said otherwise."""

    f_bus: IntArray
    """Row of the voltages at the from end."""
    t_bus: IntArray
    on: NDArray[np.bool_]
    """In service; other rows carry nothing, whatever the voltage."""
    ports: FloatArray
    """Real and imaginary parts of ff, ft, tf and tt. (8 n_rows,)"""
    load_f: FloatArray
    """Loading per unit of the from end's current, or of its power. [percent]"""
    load_t: FloatArray


class FlowColumns(NamedTuple):
    """Results by step and row, each of shape (steps, n_rows)."""

    p_f: FloatArray
    """Power into the from end. [MW]"""
    q_f: FloatArray
    """[Mvar]"""
    loss: FloatArray
    """Power into both ends. [MW]"""
    loading: FloatArray
    """[percent]"""


def packed(ports: TwoPorts) -> FloatArray:
    """The two-ports as `Ends` wants them."""
    return np.ascontiguousarray(np.stack(ports, axis=1)).view(np.float64).ravel()


@nb.njit(cache=True, error_model="numpy")
def _flow(
    ends: Ends, j: int, v_re: FloatArray, v_im: FloatArray, t: int, base_mva: float, by_power: bool, lane: FloatArray
) -> None:
    """Four results of row j for the bundle from step t, into ``lane``."""
    steps, k = v_re.shape[1], 8 * j
    f, to = ends.f_bus[j] * steps + t, ends.t_bus[j] * steps + t
    a, b, c, d = load(v_re, f), load(v_im, f), load(v_re, to), load(v_im, to)
    y = ends.ports
    f_re = fma(y[k], a, fma(y[k + 2], c, fma(-y[k + 3], d, -y[k + 1] * b)))
    f_im = fma(y[k], b, fma(y[k + 1], a, fma(y[k + 2], d, y[k + 3] * c)))
    t_re = fma(y[k + 4], a, fma(y[k + 6], c, fma(-y[k + 7], d, -y[k + 5] * b)))
    t_im = fma(y[k + 4], b, fma(y[k + 5], a, fma(y[k + 6], d, y[k + 7] * c)))
    p_f, q_f = fma(a, f_re, b * f_im), fma(b, f_re, -1.0 * (a * f_im))
    p_t = fma(c, t_re, d * t_im)
    i_f, i_t = fma(f_re, f_re, f_im * f_im), fma(t_re, t_re, t_im * t_im)
    if by_power:
        i_f, i_t = i_f * fma(a, a, b * b), i_t * fma(c, c, d * d)
    store(lane, 0, p_f * base_mva)
    store(lane, W, q_f * base_mva)
    store(lane, 2 * W, (p_f + p_t) * base_mva)
    store(lane, 3 * W, maximum(sqrt(i_f) * ends.load_f[j], sqrt(i_t) * ends.load_t[j]))


@nb.njit(cache=True, error_model="numpy")
def branch_flows(
    ends: Ends, v_re: FloatArray, v_im: FloatArray, base_mva: float, by_power: bool, lane: FloatArray, out: FlowColumns
) -> None:
    """Fill ``out`` for its steps.

    Parameters
    ----------
    ends : Ends
        The branches.
    v_re, v_im : array, shape (n_rows, steps)
        Voltages, the steps in whole bundles of `branch_sweep.W`; NaN where there is no solution. [pu]
    base_mva : float
        Base of the two-ports.
    by_power : bool
        Loadings by apparent power instead of by current.
    lane : array, shape (4 * W,)
        Scratch.
    out : FlowColumns
        Results; NaN where a voltage is, except in rows out of service, which carry nothing.
    """
    steps, n = out.p_f.shape
    for t in range(0, steps, W):
        most = min(W, steps - t)
        for j in range(n):
            if ends.on[j]:
                _flow(ends, j, v_re, v_im, t, base_mva, by_power, lane)
            else:
                for quantity in range(3):
                    store(lane, quantity * W, splat(0.0))
                at_f, at_t = ends.f_bus[j] * v_re.shape[1] + t, ends.t_bus[j] * v_re.shape[1] + t
                store(lane, 3 * W, 0.0 * (load(v_re, at_f) + load(v_re, at_t)))
            for i in range(most):
                out.p_f[t + i, j], out.q_f[t + i, j] = lane[i], lane[W + i]
                out.loss[t + i, j], out.loading[t + i, j] = lane[2 * W + i], lane[3 * W + i]


@nb.njit(cache=True, error_model="numpy")
def by_step(rows: IntArray, values: FloatArray, out: FloatArray) -> None:
    """``out[step, k] = values[rows[k], step]``, tile by tile so that both sides stay in the cache."""
    steps, n = out.shape
    for t in range(0, steps, W):
        most = min(W, steps - t)
        for k in range(n):
            row = rows[k]
            for i in range(most):
                out[t + i, k] = values[row, t + i]


@nb.njit(cache=True, error_model="numpy")
def magnitudes(v_re: FloatArray, v_im: FloatArray, out: FloatArray) -> None:
    """``out = |v|``, all of the same shape, whole bundles of steps."""
    for i in range(v_re.shape[0]):
        for t in range(0, v_re.shape[1], W):
            at = i * v_re.shape[1] + t
            a, b = load(v_re, at), load(v_im, at)
            store(out, at, sqrt(fma(a, a, b * b)))
