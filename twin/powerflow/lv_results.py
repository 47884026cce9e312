"""What a solved bundle of steps leaves: results per step with their elasticities, and energy per consumer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.powerflow import lv_kernel as rows
from twin.powerflow.lanes import absolute, fma, maximum, minimum, sum64, where_above
from twin.powerflow.lv_iterate import LARGEST, LAST, LEFT, MASK, PASSES
from twin.powerflow.lv_kernel import WEIGHT, W, load, splat, store
from twin.powerflow.lv_tiles import NOT_CONVERGED, NOT_FINITE, OK, LvScratch, LvTiles, TileOut, inner

LEAST_SLOPE = 0.1
"""Floor of ``1 / k`` in `_elasticities`: at zero lies the nose, beyond which a slope against voltage has no meaning."""
MOST_SLOPE = 3.0
"""Bound of a current's or drop's elasticity. Loads alone stay within 1; where generation nearly cancels them what it is
the elasticity of vanishes."""
N_USED, N_LOSS, N_Q, SHARE, N_MIN, N_END, BLANK = (W * i for i in range(16, 23))
"""Further rows of `LvScratch.totals`; the last is 0 in lanes with a result and not a number in the others."""


@inner
def _ratio(a: Any, b: Any) -> Any:
    """``a / b``, 0 where b is."""
    return where_above(absolute(b), 0.0, a / b, splat(0.0))


@inner
def _drop_slope(r: Any, x: Any, p: Any, q: Any, p_moved: Any, q_moved: Any) -> Any:
    """Elasticity of a drop ``r p + x q`` whose p and q move by ``p_moved`` and ``q_moved``."""
    return minimum(maximum(_ratio(fma(r, p_moved, x * q_moved), fma(r, p, x * q)), -MOST_SLOPE), MOST_SLOPE)


@inner
def _heat_slope(p: Any, q: Any, p_moved: Any, q_moved: Any) -> Any:
    """Elasticity of ``p**2 + q**2``."""
    return 2.0 * _drop_slope(p, q, p, q, p_moved, q_moved)


@inner
def _elasticities(totals: NDArray[np.float32], v: Any) -> None:
    """Analytic elasticities of used, losses, reactive power and drops, and the constant-impedance share.

    A load's currents follow its own voltage to the power ``n - 1``, ``p (n - 1) = p - p_l`` (`lv_kernel.P_L`), active
    and reactive ones apart. A drop is ``r p + x q``, r and x in the ratio of the losses there. With the elasticity e of
    the mean drop d, consumers' voltage moves as the DT's to the power ``k = 1 / (1 - d (1 - e))``. The lines' drops and
    losses weight each load by its own drop beyond the busbar (of P; Q by the same factor), so that far ones count most.
    See docs/lv.md, "Equivalents".
    """
    used, used_q, p_u, pl_u = _four(totals, rows.USED, rows.USED_Q, rows.P_U, rows.PL_U)
    p_moved, q_moved = used - load(totals, rows.P_L), used_q - load(totals, rows.Q_L)
    r_dt, x_dt, r, x = _four(totals, rows.DT, rows.DT_Q, rows.LOSS, rows.LOSS_Q)
    bus, mean = load(totals, rows.U_BUS), _ratio(p_u, v * used)
    e_mean = _drop_slope(r + r_dt, x + x_dt, used, used_q, p_moved, q_moved)
    k = 1.0 / maximum(fma(1.0 - mean, e_mean, mean), LEAST_SLOPE)
    p_far = bus * used - p_u
    p_far_moved, far = p_far - (bus * load(totals, rows.P_L) - pl_u), _ratio(p_far, used)
    q_far, q_far_moved = far * used_q, far * q_moved
    h_dt, h = k * _heat_slope(used, used_q, p_moved, q_moved), k * _heat_slope(p_far, q_far, p_far_moved, q_far_moved)
    moved_q = fma(x_dt, h_dt, x * h)
    store(totals, N_USED, _ratio(used + p_moved, used) * k)
    store(totals, N_LOSS, _ratio(fma(r_dt, h_dt, r * h), r_dt + r))
    store(totals, N_Q, _ratio(fma(used_q + q_moved, k, moved_q), used_q + x + x_dt))
    store(totals, SHARE, _ratio(p_moved + load(totals, rows.P_P), used))
    e_dt = k * _drop_slope(r_dt, x_dt, used, used_q, p_moved, q_moved)
    e_lv = k * _drop_slope(r, x, p_far, q_far, p_far_moved, q_far_moved)
    for lowest, to in ((rows.U_MIN, N_MIN), (rows.U_END, N_END)):
        u = load(totals, lowest)
        store(totals, to, _ratio(fma(v - bus, e_dt, (bus - u) * e_lv), v - u))


@inner
def _four(totals: NDArray[np.float32], a: Any, b: Any, c: Any, d: Any) -> Any:
    """Four rows of the sums."""
    return load(totals, a), load(totals, b), load(totals, c), load(totals, d)


@inner
def write(
    lv: LvTiles, k: int, v_dt_pu: NDArray[np.float64], t: int, n: int, limit: float, scratch: LvScratch, out: TileOut
) -> None:
    """Results of ``n`` steps from t into row k. ``limit``: what may have been left of the load currents."""
    totals, state, iron, magnetising = scratch.totals, scratch.lane, lv.iron_kw[k], lv.magnetising_kvar[k]
    _elasticities(totals, load(scratch.voltage, 0))
    store(totals, BLANK, where_above(load(state, LAST), LARGEST, splat(np.nan), splat(0.0)))
    has_legs = lv.dt_leg_ptr[k] < lv.dt_leg_ptr[k + 1]
    lowest, least = (rows.U_MIN, N_MIN) if has_legs else (rows.U_END, N_END)
    for lane in range(n):
        step, v, blank = t + lane, v_dt_pu[t + lane], np.float64(totals[BLANK + lane])
        square = v * v + blank
        out.v0_pu[k, step] = v
        out.iron_kw[k, step] = iron * square
        out.magnetising_kvar[k, step] = magnetising * square
        out.sent_kw[k, step] = totals[rows.SENT + lane] + iron * square
        out.sent_kvar[k, step] = totals[rows.SENT_Q + lane] + magnetising * square
        out.used_kw[k, step] = totals[rows.USED + lane] + blank
        out.used_kvar[k, step] = totals[rows.USED_Q + lane] + blank
        out.loss_lv_kw[k, step] = totals[rows.LOSS + lane] + blank
        out.loss_dt_kw[k, step] = totals[rows.DT + lane] + iron * square
        out.n_used[k, step], out.n_loss[k, step] = totals[N_USED + lane] + blank, totals[N_LOSS + lane] + blank
        out.n_q[k, step], out.s[k, step] = totals[N_Q + lane] + blank, totals[SHARE + lane] + blank
        out.n_min[k, step], out.n_end[k, step] = totals[least + lane] + blank, totals[N_END + lane] + blank
        out.v_end_pu[k, step], out.v_min_pu[k, step] = totals[rows.U_END + lane] + blank, totals[lowest + lane] + blank
        out.residual[k, step] = state[LEFT + lane] / limit + blank
        out.passes[k, step] = np.uint8(state[PASSES + lane])
        settled = OK if state[WEIGHT + lane] == 0 else NOT_CONVERGED
        out.status[k, step] = NOT_FINITE if np.isnan(blank) else settled


@inner
def register(
    lv: LvTiles,
    k: int,
    t: int,
    n: int,
    zone_of_step: NDArray[np.uint8],
    hours: float,
    scratch: LvScratch,
    consumer_kwh: NDArray[np.float64],
) -> None:
    """Add the energy of ``n`` steps from t to the consumers' zones, but for states without a result.

    The steps of a bundle are summed in float64, halves onto each other, zone by zone.
    """
    first, begin, state = lv.dt_leg_ptr[k], 0, scratch.lane
    while begin < n:
        zone, end = zone_of_step[t + begin], begin
        store(state, MASK, splat(0.0))
        while end < n and zone_of_step[t + end] == zone:
            state[MASK + end] = 1.0
            end += 1
        take = where_above(load(state, LAST), LARGEST, splat(0.0), load(state, MASK))
        for leg in range(first, lv.dt_leg_ptr[k + 1]):
            used = where_above(take, 0.5, load(scratch.used, (leg - first) * W), splat(0.0))
            consumer_kwh[lv.leg_consumer[leg], zone] += hours * sum64(used)
        begin = end
