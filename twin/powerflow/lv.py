"""Four-wire low-voltage power flow of one DT for a block of steps, called from compiled code in a loop over DTs.

A state (one step) starts flat and sweeps until the error that is left is small enough; it stops by itself, so that its
bits do not depend on its neighbours. `lv_tiles` holds the arrays, `lv_prepare` what is done once a tile, `lv_kernel`
the sweeps, `lv_iterate` their end, `lv_eliminate` what they leave unsolved, `lv_results` what is handed up. docs/lv.md
tells what it was checked against.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow import lv_kernel as kernel
from twin.powerflow.lv_eliminate import eliminate
from twin.powerflow.lv_iterate import MASK, begin, judge, take, unsolved
from twin.powerflow.lv_kernel import W
from twin.powerflow.lv_prepare import prepare
from twin.powerflow.lv_results import register, write
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
    steps, n_legs = len(v_dt_pu), lv.dt_leg_ptr[k + 1] - lv.dt_leg_ptr[k]
    n_poles = lv.dt_pole_ptr[k + 1] - lv.dt_pole_ptr[k]
    relief, limit = prepare(lv, k, kw.shape[1], zips, options.tolerance, scratch)
    for consumer in range(lv.dt_consumer_ptr[k], lv.dt_consumer_ptr[k + 1]):
        consumer_kwh[consumer, :] = 0.0
    for t in range(0, steps, W):
        n = min(W, steps - t)
        kernel.start(v_dt_pu, t, n, n_poles, n_legs, scratch)
        for sweep in range(options.most + 1):
            if sweep > 0:
                kernel.backward(lv, k, scratch.branch)
                kernel.poles(lv, k, scratch)
            kernel.legs(n_legs, kw, t, scratch, options.clamp_pu)
            if sweep == 0:
                begin(relief, scratch.lane)
            elif not judge(sweep, limit, options, scratch.lane):
                break
        if options.eliminations > 0 and unsolved(scratch.lane):
            for lane in range(n):
                if scratch.lane[MASK + lane] > 0:
                    change, passes = eliminate(lv, k, kw, t, lane, scratch, options)
                    take(scratch.lane, lane, change, passes, limit, options)
            kernel.gather(n_legs, scratch)
        kernel.backward(lv, k, scratch.branch)
        kernel.poles_with_sums(lv, k, scratch)
        kernel.legs_with_sums(n_legs, kw, t, scratch, options.clamp_pu)
        write(lv, k, v_dt_pu, t, n, limit / options.tolerance, scratch, out)
        register(lv, k, t, n, zone_of_step, hours, scratch, consumer_kwh)


def tile_closure(out: TileOut) -> NDArray[np.float64]:
    """``|sent - used - losses| / |sent|`` of every DT and step (0 where nothing is sent). [-]"""
    gap = np.abs(out.sent_kw - out.used_kw - out.loss_lv_kw - out.loss_dt_kw)
    return np.divide(gap, np.abs(out.sent_kw), out=np.zeros_like(gap), where=out.sent_kw != 0)
