"""Four-wire low-voltage power flow of one DT for a block of steps, called from compiled code in a loop over DTs.

A state (one step) starts flat, makes three sweeps, and goes on only if its load currents still move; it stops by
itself, so that its bits do not depend on its neighbours. `lv_kernel` holds the sweeps, `lv_tiles` the arrays.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow import lv_kernel as kernel
from twin.powerflow.lv_kernel import LIMIT, MASK, PREVIOUS, RESIDUAL, WEIGHT, W
from twin.powerflow.lv_tiles import (
    LANES,
    NOT_CONVERGED,
    NOT_FINITE,
    OK,
    LvOptions,
    LvScratch,
    LvTiles,
    TileOut,
    lv_options,
    lv_scratch,
    lv_scratch_for,
    tile_out,
)

__all__ = [
    "LANES",
    "NOT_CONVERGED",
    "NOT_FINITE",
    "OK",
    "LvOptions",
    "LvScratch",
    "LvTiles",
    "TileOut",
    "lv_options",
    "lv_scratch",
    "lv_scratch_for",
    "solve_tile",
    "tile_closure",
    "tile_out",
]

DAMPING, LEAST_WEIGHT, ENOUGH = np.float32(0.6), np.float32(0.15), np.float32(0.7)
"""Damping: the weight shrinks by the first, not below the second, when a residual stays above the third of the last."""
LEAST_SLOPE = 0.1
"""Floor of ``1 - (2 - n0) d``: at zero lies the nose, beyond which a slope against voltage has no meaning."""


@nb.njit(cache=True, error_model="numpy")
def _set_source(v_dt_pu: NDArray[np.float64], t: int, n: int, voltage: NDArray[np.float32]) -> None:
    """Source voltages of ``n`` steps from t in slot 0; lanes beyond the block's end get 1 pu."""
    for lane in range(W):
        v = v_dt_pu[t + lane] if lane < n else 1.0
        voltage[lane], voltage[W + lane] = v, 0.0
        voltage[2 * W + lane], voltage[3 * W + lane] = -0.5 * v, -kernel.HALF_SQRT3 * v
        voltage[4 * W + lane], voltage[5 * W + lane] = -0.5 * v, kernel.HALF_SQRT3 * v


@nb.njit(cache=True, error_model="numpy")
def _test(scratch: LvScratch, sweep: int, options: LvOptions) -> bool:
    """Freeze the lanes that are done, damp those that do not settle; True while any lane goes on."""
    lane, running = scratch.lane, False
    for i in range(W):
        if lane[WEIGHT + i] == 0:
            continue
        residual = lane[RESIDUAL + i]
        scratch.lane_passes[i] = sweep
        # Kept apart from RESIDUAL, which later sweeps overwrite for frozen lanes too.
        previous, lane[PREVIOUS + i] = lane[PREVIOUS + i], residual
        if residual <= lane[LIMIT + i]:
            scratch.lane_status[i], lane[WEIGHT + i] = OK, 0
        elif not np.isfinite(residual):
            scratch.lane_status[i], lane[WEIGHT + i] = NOT_FINITE, 0
        else:
            running = True
            if sweep > options.damp_after and residual > ENOUGH * previous:
                lane[WEIGHT + i] = max(LEAST_WEIGHT, DAMPING * lane[WEIGHT + i])
    return running


@nb.njit(cache=True, error_model="numpy")
def _iterate(lv: LvTiles, k: int, kw: NDArray[np.float32], t: int, scratch: LvScratch, options: LvOptions) -> None:
    """Solve the bundle of steps from t; leaves totals, used power per leg, status and passes per lane."""
    lane = scratch.lane
    kernel.start(lv, k, kw, t, scratch, options)
    for i in range(W):
        lane[MASK + i], lane[WEIGHT + i], lane[PREVIOUS + i] = 1, 1, np.inf
        lane[LIMIT + i] = options.tolerance * scratch.totals[kernel.SUM_I * W + i]
        scratch.lane_status[i] = NOT_CONVERGED
    for _ in range(options.first - 1):
        kernel.backward(lv, k, scratch.branch)
        kernel.forward(lv, k, kw, t, scratch, options)
    kernel.backward(lv, k, scratch.branch)
    kernel.forward_with_sums(lv, k, kw, t, scratch, options)
    if not _test(scratch, options.first, options):
        return
    for i in range(W):
        lane[MASK + i] = lane[WEIGHT + i]  # sums are taken again for the lanes that go on, and only for these
    for sweep in range(options.first + 1, options.most + 1):
        kernel.backward(lv, k, scratch.branch)
        kernel.forward_weighted(lv, k, kw, t, scratch, options)
        if not _test(scratch, sweep, options):
            break
    kernel.backward(lv, k, scratch.branch)
    kernel.forward_with_sums(lv, k, kw, t, scratch, options)


@nb.njit(cache=True, error_model="numpy")
def _equivalent(
    totals: NDArray[np.float32], lane: int, v: float
) -> tuple[float, float, float, float]:
    """Analytic elasticities n_used, n_loss, n_q and the constant-impedance share of one lane, without a second solve.

    With n0 = (2 Pz + Pi) / P of the loads and d = 1 - sum(p u) / (V sum p) the mean drop: consumers' voltage moves as
    the DT's to the power ``k = 1 / (1 - (2 - n0) d)``; used has n0 k, current (n0 - 1) k, losses twice that.
    """
    used, used_q = np.float64(totals[kernel.USED * W + lane]), np.float64(totals[kernel.USED_Q * W + lane])
    n_p = totals[kernel.SLOPE_P * W + lane] / used if used != 0 else 0.0
    n_q = totals[kernel.SLOPE_Q * W + lane] / used_q if used_q != 0 else 0.0
    share = totals[kernel.P_Z * W + lane] / used if used != 0 else 0.0
    drop = 1 - totals[kernel.P_U * W + lane] / (v * used) if used != 0 else 0.0
    k = 1 / max(1 - (2 - n_p) * drop, LEAST_SLOPE)
    lost_q = np.float64(totals[kernel.LOSS_Q * W + lane]) + np.float64(totals[kernel.DT_Q * W + lane])
    n_loss = 2 * (n_p - 1) * k
    all_q = used_q + lost_q
    return n_p * k, n_loss, (n_q * k * used_q + n_loss * lost_q) / all_q if all_q != 0 else 0.0, share


@nb.njit(cache=True, error_model="numpy")
def _write(lv: LvTiles, k: int, v_dt_pu: NDArray[np.float64], t: int, n: int, scratch: LvScratch, out: TileOut) -> None:
    """Results of ``n`` steps from t into row k."""
    totals = scratch.totals
    no_consumer = lv.dt_leg_ptr[k] == lv.dt_leg_ptr[k + 1]
    for lane in range(n):
        step, v = t + lane, v_dt_pu[t + lane]
        out.v0_pu[k, step] = v
        out.iron_kw[k, step] = iron = lv.iron_kw[k] * v * v
        out.magnetising_kvar[k, step] = magnetising = lv.magnetising_kvar[k] * v * v
        out.sent_kw[k, step] = totals[kernel.SENT * W + lane] + iron
        out.sent_kvar[k, step] = totals[kernel.SENT_Q * W + lane] + magnetising
        out.used_kw[k, step] = totals[kernel.USED * W + lane]
        out.used_kvar[k, step] = totals[kernel.USED_Q * W + lane]
        out.loss_lv_kw[k, step] = totals[kernel.LOSS * W + lane]
        out.loss_dt_kw[k, step] = totals[kernel.DT * W + lane] + iron
        n_used, n_loss, n_q, share = _equivalent(totals, lane, v)
        out.n_used[k, step], out.n_loss[k, step], out.n_q[k, step], out.s[k, step] = n_used, n_loss, n_q, share
        out.v_end_pu[k, step] = totals[kernel.U_END * W + lane]
        out.v_min_pu[k, step] = totals[(kernel.U_END if no_consumer else kernel.U_MIN) * W + lane]
        limit = scratch.totals[kernel.SUM_I * W + lane]
        out.residual[k, step] = scratch.lane[PREVIOUS + lane] / limit if limit != 0 else 0.0
        out.passes[k, step] = scratch.lane_passes[lane]
        out.status[k, step] = scratch.lane_status[lane]
        if scratch.lane_status[lane] == NOT_FINITE:
            _blank(out, k, step)


@nb.njit(cache=True, error_model="numpy")
def _blank(out: TileOut, k: int, step: int) -> None:
    """Not a number in every result of a state that has none."""
    for column in (
        out.sent_kw, out.sent_kvar, out.used_kw, out.used_kvar, out.loss_lv_kw, out.loss_dt_kw, out.iron_kw,
        out.magnetising_kvar, out.n_used, out.n_loss, out.n_q, out.s, out.v_min_pu, out.v_end_pu, out.residual,
    ):  # fmt: skip
        column[k, step] = np.nan


@nb.njit(cache=True, error_model="numpy")
def _register(
    lv: LvTiles,
    k: int,
    t: int,
    n: int,
    zone_of_step: NDArray[np.uint8],
    hours: float,
    scratch: LvScratch,
    consumer_kwh: NDArray[np.float64],
) -> None:
    """Add the energy of ``n`` steps from t to the consumers' zones, in step order, but for states without a result."""
    first = lv.dt_leg_ptr[k]
    begin = 0
    while begin < n:
        zone, end = zone_of_step[t + begin], begin
        bad = scratch.lane_status[begin] == NOT_FINITE
        while end < n and zone_of_step[t + end] == zone and (scratch.lane_status[end] == NOT_FINITE) == bad:
            end += 1
        if not bad:
            for leg in range(first, lv.dt_leg_ptr[k + 1]):
                at, consumer = (leg - first) * W, lv.leg_consumer[leg]
                energy = consumer_kwh[consumer, zone]
                for lane in range(begin, end):
                    energy += scratch.used[at + lane] * hours
                consumer_kwh[consumer, zone] = energy
        begin = end


@nb.njit(cache=True, error_model="numpy")
def solve_tile(
    lv: LvTiles,
    k: int,
    kw: NDArray[np.float32],
    zips: NDArray[np.float32],
    v_dt_pu: NDArray[np.float64],
    zone_of_step: NDArray[np.uint8],
    hours: float,
    options: LvOptions,
    scratch: LvScratch,
    out: TileOut,
    consumer_kwh: NDArray[np.float64],
) -> None:
    """Solve DT k for all steps of a block.

    Parameters
    ----------
    lv : LvTiles
        The feeder's DTs.
    k : int
        Which DT: its consumers are rows ``dt_consumer_ptr[k]`` to ``[k + 1]`` of the consumer columns.
    kw : float32 array, shape (n_consumers, stride)
        Demand at 230 V; the stride is at least steps, padded to whole `LANES`, padding holds zeros. [kW]
    zips : float32 array, shape (n_consumers, 6)
        Constant impedance, current and power shares of P (they sum to 1) and the same of Q times tan phi, at 230 V.
    v_dt_pu : array, shape (steps,)
        Voltage of the 11 kV node. [pu]
    zone_of_step : uint8 array, shape (steps,)
        Register zone of each step.
    hours : float
        Length of a step. [h]
    options, scratch : LvOptions, LvScratch
        From `lv_options` and `lv_scratch`.
    out : TileOut
        Row k is overwritten.
    consumer_kwh : array, shape (n_consumers, n_zones)
        Energy used by zone; the rows of the DT's consumers are overwritten, so that a tile can be solved again. States
        of status `NOT_FINITE` add nothing. [kWh]

    Notes
    -----
    Power is positive toward the consumer. Never raises: see ``out.status``. A pole's earth and the coupling to other
    circuits are not modelled, the 11 kV side is balanced.
    """
    steps = len(v_dt_pu)
    kernel.prepare_legs(lv, k, zips, scratch.coefficients)
    for consumer in range(lv.dt_consumer_ptr[k], lv.dt_consumer_ptr[k + 1]):
        consumer_kwh[consumer, :] = 0.0
    for t in range(0, steps, W):
        n = min(W, steps - t)
        _set_source(v_dt_pu, t, n, scratch.voltage)
        _iterate(lv, k, kw, t, scratch, options)
        _write(lv, k, v_dt_pu, t, n, scratch, out)
        _register(lv, k, t, n, zone_of_step, hours, scratch, consumer_kwh)


def tile_closure(out: TileOut) -> NDArray[np.float64]:
    """``|sent - used - losses| / |sent|`` of every DT and step (0 where nothing is sent). [-]"""
    gap = np.abs(out.sent_kw - out.used_kw - out.loss_lv_kw - out.loss_dt_kw)
    return np.divide(gap, np.abs(out.sent_kw), out=np.zeros_like(gap), where=out.sent_kw != 0)
