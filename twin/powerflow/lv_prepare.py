"""What a tile's network is to the sweeps: load law and place of every leg, and two figures that steer the iteration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lv_kernel import SLOT, W
from twin.powerflow.lv_tiles import COEFFICIENTS, LvScratch, LvTiles, inner
from twin.units import LV_NOMINAL_PU

RELIEF = 1.2
"""Relief per loss of a load of alike consumers and per elasticity of their power; measured best on the twin's tiles."""


@inner
def prepare(
    lv: LvTiles, k: int, stride: int, zips: NDArray[np.float32], tolerance_pu: float, scratch: LvScratch
) -> tuple[float, float]:
    """Fill the leg columns of ``scratch`` for DT k.

    Returns what `lv_iterate` wants: relief per unit of load current, and what may be left of the load currents.
    """
    _paths(lv, k, scratch.path)
    slope, farthest = _legs(lv, k, stride, zips, scratch)
    return RELIEF * slope * _resistance(lv, k, scratch.flow), tolerance_pu / farthest


@inner
def _paths(lv: LvTiles, k: int, path: NDArray[np.float64]) -> None:
    """Impedance from the source to every pole, as |re| + |im| of the phase where it is largest."""
    first = lv.dt_pole_ptr[k]
    for i in range(lv.dt_pole_ptr[k + 1] - first):
        z = lv.z_pu[first + i]
        own = max(abs(z[0]) + abs(z[1]), abs(z[6]) + abs(z[7]), abs(z[10]) + abs(z[11]))
        path[i] = own + (path[lv.parent[first + i]] if i > 0 else 0.0)


@inner
def _legs(lv: LvTiles, k: int, stride: int, zips: NDArray[np.float32], scratch: LvScratch) -> tuple[float, float]:
    """Load law of each leg with the share and the nominal voltage folded in, the service's r and x, and places.

    Leaves the number of consumers on every pole and phase in ``scratch.flow``. Returns the mean elasticity of their
    power to voltage, and the impedance from the source to the farthest.
    """
    first, first_group = lv.dt_leg_ptr[k], 3 * lv.dt_pole_ptr[k]
    per_volt, per_square = 1 / LV_NOMINAL_PU, 1 / LV_NOMINAL_PU**2
    law, at, whole, slope, farthest = scratch.coefficients, 0, 0.0, 0.0, scratch.path[0]
    for group in range(3 * (lv.dt_pole_ptr[k + 1] - lv.dt_pole_ptr[k])):
        scratch.flow[group] = 0.0
        for leg in range(lv.group_ptr[first_group + group], lv.group_ptr[first_group + group + 1]):
            consumer, share = lv.leg_consumer[leg], np.float64(lv.leg_share[leg])
            r, x = lv.service_pu[leg, 0], lv.service_pu[leg, 1]
            for half in range(0, 6, 3):
                law[at + half] = share * per_square * zips[consumer, half]
                law[at + half + 1] = share * per_volt * zips[consumer, half + 1]
                law[at + half + 2] = share * zips[consumer, half + 2]
            law[at + 6], law[at + 7] = r, x
            law[at + 8] = 0 if leg == lv.group_ptr[first_group + group] else 1
            at += COEFFICIENTS
            scratch.leg_slot[leg - first] = SLOT + 2 * W * group
            scratch.leg_row[leg - first] = consumer * stride
            whole += share
            slope += share * (2 * zips[consumer, 0] + zips[consumer, 1])
            scratch.flow[group] += share
            farthest = max(farthest, scratch.path[group // 3] + abs(r) + abs(x))
    return slope / whole if whole > 0 else 0.0, farthest


@inner
def _resistance(lv: LvTiles, k: int, flow: NDArray[np.float64]) -> float:
    """Loss in segments and the DT over the square of the load, if all consumers were alike. [pu]

    Currents are taken as 120 degrees apart. ``flow``: consumers on every pole and phase; those beyond it are added.
    """
    first, loss = lv.dt_pole_ptr[k], 0.0
    for i in range(lv.dt_pole_ptr[k + 1] - first - 1, -1, -1):
        z, a, b, c = lv.z_pu[first + i], flow[3 * i], flow[3 * i + 1], flow[3 * i + 2]
        loss += z[0] * a * a + z[6] * b * b + z[10] * c * c - z[2] * a * b - z[4] * a * c - z[8] * b * c
        if i > 0:
            up = 3 * lv.parent[first + i]
            flow[up], flow[up + 1], flow[up + 2] = flow[up] + a, flow[up + 1] + b, flow[up + 2] + c
    whole = flow[0] + flow[1] + flow[2]
    return loss / (whole * whole) if whole > 0 else 0.0
