"""What a solved bundle of steps leaves: results per step with their elasticities, and energy per consumer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.powerflow import lv_kernel as rows
from twin.powerflow.lanes import absolute, maximum, sum64, where_above
from twin.powerflow.lv_iterate import LARGEST, LAST, LEFT, MASK, PASSES
from twin.powerflow.lv_kernel import WEIGHT, W, load, splat, store
from twin.powerflow.lv_tiles import NOT_CONVERGED, NOT_FINITE, OK, LvScratch, LvTiles, TileOut, inner

LEAST_SLOPE = 0.1
"""Floor of ``1 - (2 - n0) d``: at zero lies the nose, beyond which a slope against voltage has no meaning."""
N_USED, N_LOSS, N_Q, SHARE, BLANK = (W * i for i in range(14, 19))
"""Further rows of `LvScratch.totals`; the last is 0 in lanes with a result and not a number in the others."""


@inner
def _ratio(a: Any, b: Any) -> Any:
    """``a / b``, 0 where b is."""
    return where_above(absolute(b), 0.0, a / b, splat(0.0))


@inner
def _elasticities(totals: NDArray[np.float32], v: Any) -> None:
    """Analytic elasticities of used, loss and reactive power, and the constant-impedance share, without a second solve.

    With n0 = (2 Pz + Pi) / P of the loads and d = 1 - sum(p u) / (V sum p) the mean drop: consumers' voltage moves as
    the DT's to the power ``k = 1 / (1 - (2 - n0) d)``; used has n0 k, current (n0 - 1) k, losses twice that.
    """
    used, used_q = load(totals, rows.USED), load(totals, rows.USED_Q)
    p_i, p_p = load(totals, rows.P_I), load(totals, rows.P_P)
    n_p = _ratio((used + used) - (p_i + (p_p + p_p)), used)
    n_q = _ratio((used_q + used_q) - load(totals, rows.Q_I), used_q)
    k = 1.0 / maximum(1.0 - (2.0 - n_p) * (1.0 - _ratio(load(totals, rows.P_U), v * used)), LEAST_SLOPE)
    lost_q = load(totals, rows.LOSS_Q) + load(totals, rows.DT_Q)
    n_loss = 2.0 * (n_p - 1.0) * k
    store(totals, N_USED, n_p * k)
    store(totals, N_LOSS, n_loss)
    store(totals, N_Q, _ratio(n_q * k * used_q + n_loss * lost_q, used_q + lost_q))
    store(totals, SHARE, _ratio(used - (p_i + p_p), used))


@inner
def write(
    lv: LvTiles, k: int, v_dt_pu: NDArray[np.float64], t: int, n: int, limit: float, scratch: LvScratch, out: TileOut
) -> None:
    """Results of ``n`` steps from t into row k. ``limit``: what may have been left of the load currents."""
    totals, state, iron, magnetising = scratch.totals, scratch.lane, lv.iron_kw[k], lv.magnetising_kvar[k]
    _elasticities(totals, load(scratch.voltage, 0))
    store(totals, BLANK, where_above(load(state, LAST), LARGEST, splat(np.nan), splat(0.0)))
    lowest = rows.U_END if lv.dt_leg_ptr[k] == lv.dt_leg_ptr[k + 1] else rows.U_MIN
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
