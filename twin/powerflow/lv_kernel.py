"""Sweeps of the four-wire low-voltage solver over one bundle of steps.

Three phases a, b, c of each pole against its neutral; the neutral, earthed at the DT only, is eliminated exactly,
which leaves symmetric 3x3 segment matrices ``Z'pq = Zpq - Zpn - Znq + Znn`` [1]_. A delta-star DT with a stiff 11 kV
side is a series impedance per phase. Backward: add branch currents toward the busbar. Forward: voltages
``U = U_parent - Z' I`` and at once the load currents on them, with the service in between::

    u = U - zs C            voltage at the consumer, C the load current of the sweep before
    w = 1 / max(|u|, clamp)
    I = kw [(gz + w (gi + w gp)) - j (bz + w (bi + w bp))] u

The last sweep takes all sums with the old current: used = Re(u conj(C)). Kirchhoff's laws hold for these, so sent is
used plus losses after any number of sweeps.

.. [1] Kersting, Distribution System Modeling and Analysis, chapter 4 (phase-frame matrices), with the neutral's voltage
   as reference instead of earth.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import absolute, fma, sqrt, vector, where_above
from twin.powerflow.lv_tiles import COEFFICIENTS, LANES, LvOptions, LvScratch, LvTiles
from twin.units import LV_NOMINAL_PU

_bundle = vector(LANES, np.float32)
load, store, splat = _bundle.load, _bundle.store, _bundle.splat
W = LANES
SLOT = 6 * W
"""Floats of one pole: three phases, re and im."""
HALF_SQRT3 = float(np.sqrt(0.75))

USED, USED_Q, LOSS, LOSS_Q, DT, DT_Q, SENT, SENT_Q = 0, 1, 2, 3, 4, 5, 6, 7
P_Z, SLOPE_P, SLOPE_Q, P_U, U_MIN, U_END, SUM_I = 8, 9, 10, 11, 12, 13, 14
WEIGHT, RESIDUAL, PREVIOUS, LIMIT, MASK = 0, W, 2 * W, 3 * W, 4 * W


@nb.njit(cache=True, error_model="numpy")
def prepare_legs(lv: LvTiles, k: int, zips: NDArray[np.float32], coefficients: NDArray[np.float32]) -> None:
    """Load law of each leg of DT k with the share and the nominal voltage folded in, then the service's r, x."""
    first, nominal = lv.dt_leg_ptr[k], LV_NOMINAL_PU
    for leg in range(first, lv.dt_leg_ptr[k + 1]):
        consumer, share, at = lv.leg_consumer[leg], np.float64(lv.leg_share[leg]), (leg - first) * COEFFICIENTS
        for half in range(2):
            coefficients[at + 3 * half] = share * zips[consumer, 3 * half] / (nominal * nominal)
            coefficients[at + 3 * half + 1] = share * zips[consumer, 3 * half + 1] / nominal
            coefficients[at + 3 * half + 2] = share * zips[consumer, 3 * half + 2]
        coefficients[at + 6] = lv.service_pu[leg, 0]
        coefficients[at + 7] = lv.service_pu[leg, 1]


@nb.njit(inline="always")
def _inverse(u: Any, clamp: Any) -> Any:
    """One over the voltage, or over the clamp where that is higher. A NaN is lost here, not in the voltage itself."""
    return 1.0 / where_above(clamp, u, clamp, u)


@nb.njit(inline="always")
def _conductance(kw: Any, w: Any, coefficients: Any, at: Any) -> Any:
    """Conductance and (inductive) susceptance of a load at ``1 / voltage = w``."""
    g = kw * fma(w, fma(w, coefficients[at + 2], coefficients[at + 1]), coefficients[at])
    b = kw * fma(w, fma(w, coefficients[at + 5], coefficients[at + 4]), coefficients[at + 3])
    return g, b


@nb.njit(inline="always")
def _behind_service(re: Any, im: Any, c_re: Any, c_im: Any, r: Any, x: Any) -> Any:
    """Voltage ``U - (r + jx) C``."""
    return fma(x, c_im, re - r * c_re), im - fma(x, c_re, r * c_im)


@nb.njit(inline="always")
def _drop(z: Any, i: Any, branch: Any, at: Any) -> Any:
    """Voltage drops ``Z' I`` of the three phases of segment i, from the branch currents in slot ``at``."""
    ar, ai, br = load(branch, at), load(branch, at + W), load(branch, at + 2 * W)
    bi, cr, ci = load(branch, at + 3 * W), load(branch, at + 4 * W), load(branch, at + 5 * W)
    a_re = z[i, 0] * ar - z[i, 1] * ai + (z[i, 2] * br - z[i, 3] * bi) + (z[i, 4] * cr - z[i, 5] * ci)
    a_im = z[i, 0] * ai + z[i, 1] * ar + (z[i, 2] * bi + z[i, 3] * br) + (z[i, 4] * ci + z[i, 5] * cr)
    b_re = z[i, 2] * ar - z[i, 3] * ai + (z[i, 6] * br - z[i, 7] * bi) + (z[i, 8] * cr - z[i, 9] * ci)
    b_im = z[i, 2] * ai + z[i, 3] * ar + (z[i, 6] * bi + z[i, 7] * br) + (z[i, 8] * ci + z[i, 9] * cr)
    c_re = z[i, 4] * ar - z[i, 5] * ai + (z[i, 8] * br - z[i, 9] * bi) + (z[i, 10] * cr - z[i, 11] * ci)
    c_im = z[i, 4] * ai + z[i, 5] * ar + (z[i, 8] * bi + z[i, 9] * br) + (z[i, 10] * ci + z[i, 11] * cr)
    return a_re, a_im, b_re, b_im, c_re, c_im


@nb.njit(inline="always")
def _hang(voltage: Any, up: Any, at: Any, drops: Any) -> None:
    """Voltages in slot ``at`` = those in slot ``up`` minus the drops."""
    store(voltage, at, load(voltage, up) - drops[0])
    store(voltage, at + W, load(voltage, up + W) - drops[1])
    store(voltage, at + 2 * W, load(voltage, up + 2 * W) - drops[2])
    store(voltage, at + 3 * W, load(voltage, up + 3 * W) - drops[3])
    store(voltage, at + 4 * W, load(voltage, up + 4 * W) - drops[4])
    store(voltage, at + 5 * W, load(voltage, up + 5 * W) - drops[5])


@nb.njit(cache=True, error_model="numpy")
def start(lv: LvTiles, k: int, kw: NDArray[np.float32], t: int, scratch: LvScratch, options: LvOptions) -> None:
    """Load currents at no drop at all, and their sum (|re| + |im|), which the residual is measured against."""
    first_leg, first_pole = lv.dt_leg_ptr[k], lv.dt_pole_ptr[k]
    stride, clamp, zero, total = kw.shape[1], options.clamp_pu, splat(0.0), splat(0.0)
    for i in range(lv.dt_pole_ptr[k + 1] - first_pole):
        for phase in range(3):
            re, im = load(scratch.voltage, 2 * phase * W), load(scratch.voltage, (2 * phase + 1) * W)
            w = _inverse(sqrt(fma(re, re, im * im)), clamp)
            sum_re, sum_im = zero, zero
            group = 3 * (first_pole + i) + phase
            for leg in range(lv.group_ptr[group], lv.group_ptr[group + 1]):
                j = leg - first_leg
                p = load(kw, lv.leg_consumer[leg] * stride + t)
                g, b = _conductance(p, w, scratch.coefficients, j * COEFFICIENTS)
                i_re, i_im = fma(g, re, b * im), g * im - b * re
                store(scratch.current, 2 * j * W, i_re)
                store(scratch.current, (2 * j + 1) * W, i_im)
                sum_re, sum_im, total = sum_re + i_re, sum_im + i_im, total + (absolute(i_re) + absolute(i_im))
            at = (i + 1) * SLOT + 2 * phase * W
            store(scratch.branch, at, sum_re)
            store(scratch.branch, at + W, sum_im)
    store(scratch.totals, SUM_I * W, total)


@nb.njit(cache=True, error_model="numpy")
def backward(lv: LvTiles, k: int, branch: NDArray[np.float32]) -> None:
    """Turn the load currents of the poles into branch currents, from the ends toward the busbar."""
    first = lv.dt_pole_ptr[k]
    for i in range(lv.dt_pole_ptr[k + 1] - first - 1, 0, -1):
        at, up = (i + 1) * SLOT, (lv.parent[first + i] + 1) * SLOT
        for part in range(0, SLOT, W):
            store(branch, up + part, load(branch, up + part) + load(branch, at + part))


@nb.njit(cache=True, error_model="numpy")
def forward(lv: LvTiles, k: int, kw: NDArray[np.float32], t: int, scratch: LvScratch, options: LvOptions) -> None:
    """Voltages, and the load currents on them, of every lane."""
    first_leg, first_pole = lv.dt_leg_ptr[k], lv.dt_pole_ptr[k]
    voltage, branch, current, coefficients = scratch.voltage, scratch.branch, scratch.current, scratch.coefficients
    stride, clamp, zero = kw.shape[1], options.clamp_pu, splat(0.0)
    for i in range(lv.dt_pole_ptr[k + 1] - first_pole):
        at = (i + 1) * SLOT
        _hang(voltage, (lv.parent[first_pole + i] + 1) * SLOT, at, _drop(lv.z_pu, first_pole + i, branch, at))
        for phase in range(3):
            slot = at + 2 * phase * W
            re, im, sum_re, sum_im = load(voltage, slot), load(voltage, slot + W), zero, zero
            group = 3 * (first_pole + i) + phase
            for leg in range(lv.group_ptr[group], lv.group_ptr[group + 1]):
                j = leg - first_leg
                own, c = 2 * j * W, j * COEFFICIENTS
                old_re, old_im = load(current, own), load(current, own + W)
                a, b = _behind_service(re, im, old_re, old_im, coefficients[c + 6], coefficients[c + 7])
                w = _inverse(sqrt(fma(a, a, b * b)), clamp)
                g, h = _conductance(load(kw, lv.leg_consumer[leg] * stride + t), w, coefficients, c)
                i_re, i_im = fma(g, a, h * b), g * b - h * a
                store(current, own, i_re)
                store(current, own + W, i_im)
                sum_re, sum_im = sum_re + i_re, sum_im + i_im
            store(branch, slot, sum_re)
            store(branch, slot + W, sum_im)


@nb.njit(cache=True, error_model="numpy")
def forward_weighted(
    lv: LvTiles, k: int, kw: NDArray[np.float32], t: int, scratch: LvScratch, options: LvOptions
) -> None:
    """As `forward`, but currents move by each lane's weight (0: frozen); leaves the residual of every lane."""
    first_leg, first_pole = lv.dt_leg_ptr[k], lv.dt_pole_ptr[k]
    voltage, branch, current, coefficients = scratch.voltage, scratch.branch, scratch.current, scratch.coefficients
    stride, clamp, zero, residual = kw.shape[1], options.clamp_pu, splat(0.0), splat(0.0)
    weight = load(scratch.lane, WEIGHT)
    for i in range(lv.dt_pole_ptr[k + 1] - first_pole):
        at = (i + 1) * SLOT
        _hang(voltage, (lv.parent[first_pole + i] + 1) * SLOT, at, _drop(lv.z_pu, first_pole + i, branch, at))
        for phase in range(3):
            slot = at + 2 * phase * W
            re, im, sum_re, sum_im = load(voltage, slot), load(voltage, slot + W), zero, zero
            group = 3 * (first_pole + i) + phase
            for leg in range(lv.group_ptr[group], lv.group_ptr[group + 1]):
                j = leg - first_leg
                own, c = 2 * j * W, j * COEFFICIENTS
                old_re, old_im = load(current, own), load(current, own + W)
                a, b = _behind_service(re, im, old_re, old_im, coefficients[c + 6], coefficients[c + 7])
                w = _inverse(sqrt(fma(a, a, b * b)), clamp)
                g, h = _conductance(load(kw, lv.leg_consumer[leg] * stride + t), w, coefficients, c)
                d_re, d_im = fma(g, a, h * b) - old_re, g * b - h * a - old_im
                residual = residual + (absolute(d_re) + absolute(d_im))
                i_re, i_im = fma(weight, d_re, old_re), fma(weight, d_im, old_im)
                store(current, own, i_re)
                store(current, own + W, i_im)
                sum_re, sum_im = sum_re + i_re, sum_im + i_im
            store(branch, slot, sum_re)
            store(branch, slot + W, sum_im)
    store(scratch.lane, RESIDUAL, residual)


@nb.njit(inline="always")
def _keep(totals: Any, row: Any, mask: Any, value: Any) -> None:
    """Write a sum for the lanes of the mask and leave the others as they are."""
    store(totals, row * W, where_above(mask, 0.5, value, load(totals, row * W)))


@nb.njit(inline="always")
def _segment_power(branch: Any, at: Any, drops: Any) -> Any:
    """Active and reactive power lost in a segment: ``sum over phases of drop * conj(I)``, from branch currents."""
    p, q = splat(0.0), splat(0.0)
    ar, ai, br = load(branch, at), load(branch, at + W), load(branch, at + 2 * W)
    bi, cr, ci = load(branch, at + 3 * W), load(branch, at + 4 * W), load(branch, at + 5 * W)
    p = fma(drops[0], ar, drops[1] * ai) + fma(drops[2], br, drops[3] * bi) + fma(drops[4], cr, drops[5] * ci)
    q = (drops[1] * ar - drops[0] * ai) + (drops[3] * br - drops[2] * bi) + (drops[5] * cr - drops[4] * ci)
    return p, q


@nb.njit(inline="always")
def _source_power(voltage: Any, branch: Any, totals: Any, mask: Any) -> None:
    """Power from the source into the DT's series impedance: ``sum over phases of V conj(I)``."""
    p, q = splat(0.0), splat(0.0)
    for phase in range(3):
        v_re, v_im = load(voltage, 2 * phase * W), load(voltage, (2 * phase + 1) * W)
        i_re, i_im = load(branch, SLOT + 2 * phase * W), load(branch, SLOT + (2 * phase + 1) * W)
        p, q = p + fma(v_re, i_re, v_im * i_im), q + (v_im * i_re - v_re * i_im)
    _keep(totals, SENT, mask, p)
    _keep(totals, SENT_Q, mask, q)


@nb.njit(cache=True, error_model="numpy")
def forward_with_sums(
    lv: LvTiles, k: int, kw: NDArray[np.float32], t: int, scratch: LvScratch, options: LvOptions
) -> None:
    """As `forward`, and all sums of the state that the old currents make, for the lanes of the mask.

    Leaves the residual of every lane, the power used on every leg, and the rows of ``scratch.totals``.
    """
    first_leg, first_pole = lv.dt_leg_ptr[k], lv.dt_pole_ptr[k]
    voltage, branch, current, coefficients = scratch.voltage, scratch.branch, scratch.current, scratch.coefficients
    totals, stride, clamp, zero = scratch.totals, kw.shape[1], options.clamp_pu, splat(0.0)
    mask, residual = load(scratch.lane, MASK), zero
    used, used_q, loss, loss_q, p_z, slope_p, slope_q, p_u = zero, zero, zero, zero, zero, zero, zero, zero
    u_min, u_end = splat(np.inf), splat(np.inf)
    _source_power(voltage, branch, totals, mask)
    for i in range(lv.dt_pole_ptr[k + 1] - first_pole):
        at = (i + 1) * SLOT
        drops = _drop(lv.z_pu, first_pole + i, branch, at)
        _hang(voltage, (lv.parent[first_pole + i] + 1) * SLOT, at, drops)
        p, q = _segment_power(branch, at, drops)
        if i == 0:
            _keep(totals, DT, mask, p)
            _keep(totals, DT_Q, mask, q)
        else:
            loss, loss_q = loss + p, loss_q + q
        for phase in range(3):
            slot = at + 2 * phase * W
            re, im, sum_re, sum_im = load(voltage, slot), load(voltage, slot + W), zero, zero
            square = fma(re, re, im * im)
            u_end = where_above(u_end, square, square, u_end)
            group = 3 * (first_pole + i) + phase
            for leg in range(lv.group_ptr[group], lv.group_ptr[group + 1]):
                j = leg - first_leg
                own, c = 2 * j * W, j * COEFFICIENTS
                old_re, old_im = load(current, own), load(current, own + W)
                a, b = _behind_service(re, im, old_re, old_im, coefficients[c + 6], coefficients[c + 7])
                u = sqrt(fma(a, a, b * b))
                w = _inverse(u, clamp)
                demand = load(kw, lv.leg_consumer[leg] * stride + t)
                g, h = _conductance(demand, w, coefficients, c)
                i_re, i_im = fma(g, a, h * b), g * b - h * a
                store(current, own, i_re)
                store(current, own + W, i_im)
                sum_re, sum_im = sum_re + i_re, sum_im + i_im
                residual = residual + (absolute(i_re - old_re) + absolute(i_im - old_im))

                leg_p, leg_q = fma(a, old_re, b * old_im), b * old_re - a * old_im
                _keep(scratch.used, j, mask, leg_p)
                used, used_q, p_u = used + leg_p, used_q + leg_q, fma(leg_p, u, p_u)
                u_min = where_above(u_min, u, u, u_min)
                heat = fma(old_re, old_re, old_im * old_im)
                loss, loss_q = fma(coefficients[c + 6], heat, loss), fma(coefficients[c + 7], heat, loss_q)
                # Below the clamp the whole load is a constant impedance.
                scaled, twice = demand * u, u + u
                p_z = p_z + where_above(clamp, u, leg_p, scaled * u * coefficients[c])
                slope = scaled * fma(twice, coefficients[c], coefficients[c + 1])
                slope_p = slope_p + where_above(clamp, u, leg_p + leg_p, slope)
                slope = scaled * fma(twice, coefficients[c + 3], coefficients[c + 4])
                slope_q = slope_q + where_above(clamp, u, leg_q + leg_q, slope)
            store(branch, slot, sum_re)
            store(branch, slot + W, sum_im)
    store(scratch.lane, RESIDUAL, residual)
    _keep(totals, USED, mask, used)
    _keep(totals, USED_Q, mask, used_q)
    _keep(totals, LOSS, mask, loss)
    _keep(totals, LOSS_Q, mask, loss_q)
    _keep(totals, P_Z, mask, p_z)
    _keep(totals, SLOPE_P, mask, slope_p)
    _keep(totals, SLOPE_Q, mask, slope_q)
    _keep(totals, P_U, mask, p_u)
    _keep(totals, U_MIN, mask, u_min)
    _keep(totals, U_END, mask, sqrt(u_end))
