"""Sweeps of the four-wire low-voltage solver over one bundle of steps.

Three phases a, b, c of each pole against its neutral; the neutral, earthed at the DT only, is eliminated exactly,
which leaves symmetric 3x3 segment matrices ``Z'pq = Zpq - Zpn - Znq + Znn`` [1]_. A delta-star DT with a stiff 11 kV
side is a series impedance per phase. Backward: add branch currents toward the busbar. Forward: pole voltages
``U = U_parent - Z' I``, then the load currents on them, with the service in between::

    u = U - zs C            voltage at the consumer, C the load current of the sweep before
    w = 1 / max(|u|, clamp)
    C += weight (kw [(gz + w (gi + w gp)) - j (bz + w (bi + w bp))] u - C)

Legs are a flat list: a loop over them has no branch that a processor could guess wrong. The last pass takes all sums
with the currents as they are: used = Re(u conj(C)). Kirchhoff's laws hold for these, so sent is used plus losses after
any number of sweeps.

.. [1] Kersting, Distribution System Modeling and Analysis, chapter 4 (phase-frame matrices), with the neutral's voltage
   as reference instead of earth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lanes import absolute, fma, fnma, sqrt, vector, where_above
from twin.powerflow.lv_tiles import COEFFICIENTS, LANES, LvScratch, LvTiles, inner

_bundle = vector(LANES, np.float32)
load, store, splat, spread = _bundle.load, _bundle.store, _bundle.splat, _bundle.spread
W = LANES
SLOT = 6 * W
"""Floats of one pole: three phases, re and im."""
HALF_SQRT3 = float(np.sqrt(0.75))

USED, USED_Q, LOSS, LOSS_Q, DT, DT_Q, SENT, SENT_Q, P_P, P_L, Q_L, P_U, PL_U, U_BUS, U_MIN, U_END = (
    W * i for i in range(16)
)
"""Rows of `LvScratch.totals` that the sweeps fill; `lv_results` adds its own. ``_P`` is the constant-power part, ``_L``
the constant-current part and twice that, what a load's slope against voltage lacks to twice the load; ``_U`` sums are
weighted by the voltage at the consumer, ``U_BUS`` is the mean of the busbar's."""
WEIGHT, RESIDUAL = 0, W
"""Rows of `LvScratch.lane` that the sweeps use; `lv_iterate` adds its own."""


@inner
def start(v_dt_pu: NDArray[np.float64], t: int, n: int, n_poles: int, n_legs: int, scratch: LvScratch) -> None:
    """Source voltages of ``n`` steps from t at every pole, and no currents; lanes beyond the block's end get 1 pu."""
    voltage, branch, current, zero = scratch.voltage, scratch.branch, scratch.current, splat(0.0)
    for lane in range(W):
        v = v_dt_pu[t + lane] if lane < n else 1.0
        voltage[lane], voltage[W + lane] = v, 0.0
        voltage[2 * W + lane], voltage[3 * W + lane] = -0.5 * v, -HALF_SQRT3 * v
        voltage[4 * W + lane], voltage[5 * W + lane] = -0.5 * v, HALF_SQRT3 * v
    for part in range(0, SLOT, W):
        v = load(voltage, part)
        for at in range(part + SLOT, part + (n_poles + 1) * SLOT, SLOT):
            store(voltage, at, v)
            store(branch, at, zero)
    for at in range(0, n_legs * 2 * W, W):
        store(current, at, zero)
    store(scratch.lane, WEIGHT, splat(1.0))


@inner
def backward(lv: LvTiles, k: int, branch: NDArray[np.float32]) -> None:
    """Turn the load currents of the poles into branch currents, from the ends toward the busbar."""
    first = lv.dt_pole_ptr[k]
    for i in range(lv.dt_pole_ptr[k + 1] - first - 1, 0, -1):
        at, up = (i + 1) * SLOT, (lv.parent[first + i] + 1) * SLOT
        for part in range(0, SLOT, W):
            store(branch, up + part, load(branch, up + part) + load(branch, at + part))


@inner
def _drop(z: Any, i: Any, branch: Any, at: Any) -> Any:
    """Voltage drops ``Z' I`` of the three phases of segment i, from the branch currents in slot ``at``."""
    ar, ai, br = load(branch, at), load(branch, at + W), load(branch, at + 2 * W)
    bi, cr, ci = load(branch, at + 3 * W), load(branch, at + 4 * W), load(branch, at + 5 * W)
    r, x = spread(z, i), spread(z, i + 1)
    a_re, a_im = fnma(x, ai, r * ar), fma(x, ar, r * ai)
    r, x = spread(z, i + 2), spread(z, i + 3)
    a_re, a_im = fnma(x, bi, fma(r, br, a_re)), fma(x, br, fma(r, bi, a_im))
    b_re, b_im = fnma(x, ai, r * ar), fma(x, ar, r * ai)
    r, x = spread(z, i + 4), spread(z, i + 5)
    a_re, a_im = fnma(x, ci, fma(r, cr, a_re)), fma(x, cr, fma(r, ci, a_im))
    c_re, c_im = fnma(x, ai, r * ar), fma(x, ar, r * ai)
    r, x = spread(z, i + 6), spread(z, i + 7)
    b_re, b_im = fnma(x, bi, fma(r, br, b_re)), fma(x, br, fma(r, bi, b_im))
    r, x = spread(z, i + 8), spread(z, i + 9)
    b_re, b_im = fnma(x, ci, fma(r, cr, b_re)), fma(x, cr, fma(r, ci, b_im))
    c_re, c_im = fnma(x, bi, fma(r, br, c_re)), fma(x, br, fma(r, bi, c_im))
    r, x = spread(z, i + 10), spread(z, i + 11)
    c_re, c_im = fnma(x, ci, fma(r, cr, c_re)), fma(x, cr, fma(r, ci, c_im))
    return a_re, a_im, b_re, b_im, c_re, c_im


@inner
def _hang(voltage: Any, up: Any, at: Any, drops: Any) -> None:
    """Voltages in slot ``at`` = those in slot ``up`` minus the drops."""
    store(voltage, at, load(voltage, up) - drops[0])
    store(voltage, at + W, load(voltage, up + W) - drops[1])
    store(voltage, at + 2 * W, load(voltage, up + 2 * W) - drops[2])
    store(voltage, at + 3 * W, load(voltage, up + 3 * W) - drops[3])
    store(voltage, at + 4 * W, load(voltage, up + 4 * W) - drops[4])
    store(voltage, at + 5 * W, load(voltage, up + 5 * W) - drops[5])


@inner
def poles(lv: LvTiles, k: int, scratch: LvScratch) -> None:
    """Voltages of the poles from the branch currents, which are cleared for the load currents to come."""
    first, z, voltage, branch, zero = lv.dt_pole_ptr[k], lv.z_pu, scratch.voltage, scratch.branch, splat(0.0)
    for i in range(first, lv.dt_pole_ptr[k + 1]):
        at = (i - first + 1) * SLOT
        _hang(voltage, (lv.parent[i] + 1) * SLOT, at, _drop(z, 12 * i, branch, at))
        for part in range(0, SLOT, W):
            store(branch, at + part, zero)


@inner
def _consumer_voltage(scratch: Any, j: Any) -> Any:
    """Voltage ``U - zs C`` of leg j, re and im, from its pole's voltage and the load current as it is."""
    slot, own, c = scratch.leg_slot[j], 2 * j * W, j * COEFFICIENTS
    re, im = load(scratch.current, own), load(scratch.current, own + W)
    r, x = spread(scratch.coefficients, c + 6), spread(scratch.coefficients, c + 7)
    a = fma(x, im, fnma(r, re, load(scratch.voltage, slot)))
    return a, fnma(x, re, fnma(r, im, load(scratch.voltage, slot + W)))


@inner
def legs(n_legs: int, kw: NDArray[np.float32], t: int, scratch: LvScratch, clamp: float) -> None:
    """Move the load currents by each lane's weight (0: frozen) toward their law, and put them on the poles.

    Leaves every lane's residual, the sum of |re| + |im| of what the law asked for.
    """
    branch, current, coefficients = scratch.branch, scratch.current, scratch.coefficients
    weight, residual, sum_re, sum_im = load(scratch.lane, WEIGHT), splat(0.0), splat(0.0), splat(0.0)
    a, b = _consumer_voltage(scratch, 0)
    u = sqrt(fma(a, a, b * b))
    for j in range(n_legs):
        next_a, next_b = _consumer_voltage(scratch, j + 1)
        next_u = sqrt(fma(next_a, next_a, next_b * next_b))
        slot, own, c = scratch.leg_slot[j], 2 * j * W, j * COEFFICIENTS
        w = 1.0 / where_above(clamp, u, clamp, u)
        demand = load(kw, scratch.leg_row[j] + t)
        g = fma(w, fma(w, spread(coefficients, c + 2), spread(coefficients, c + 1)), spread(coefficients, c))
        h = fma(w, fma(w, spread(coefficients, c + 5), spread(coefficients, c + 4)), spread(coefficients, c + 3))
        g, h = demand * g, demand * h
        old_re, old_im = load(current, own), load(current, own + W)
        d_re, d_im = fma(g, a, h * b) - old_re, fnma(h, a, g * b) - old_im
        residual = residual + (absolute(d_re) + absolute(d_im))
        i_re, i_im = fma(weight, d_re, old_re), fma(weight, d_im, old_im)
        store(current, own, i_re)
        store(current, own + W, i_im)
        more = spread(coefficients, c + 8)
        sum_re, sum_im = fma(more, sum_re, i_re), fma(more, sum_im, i_im)
        store(branch, slot, sum_re)
        store(branch, slot + W, sum_im)
        a, b, u = next_a, next_b, next_u
    store(scratch.lane, RESIDUAL, residual)


@inner
def gather(n_legs: int, scratch: LvScratch) -> None:
    """Put the load currents on the poles again, which `legs` does as it goes."""
    branch, current, sum_re, sum_im = scratch.branch, scratch.current, splat(0.0), splat(0.0)
    for j in range(n_legs):
        slot, own, more = scratch.leg_slot[j], 2 * j * W, spread(scratch.coefficients, j * COEFFICIENTS + 8)
        sum_re, sum_im = fma(more, sum_re, load(current, own)), fma(more, sum_im, load(current, own + W))
        store(branch, slot, sum_re)
        store(branch, slot + W, sum_im)


@inner
def _mean_voltage(voltage: Any, at: Any) -> Any:
    """Mean magnitude of the three phase voltages in slot ``at``."""
    total = splat(0.0)
    for part in range(at, at + SLOT, 2 * W):
        re, im = load(voltage, part), load(voltage, part + W)
        total = total + sqrt(fma(re, re, im * im))
    return total * splat(1.0 / 3.0)


@inner
def poles_with_sums(lv: LvTiles, k: int, scratch: LvScratch) -> None:
    """As `poles`, and what the branch currents make: power sent, lost in the DT and in the segments."""
    first, z, voltage, branch, zero = lv.dt_pole_ptr[k], lv.z_pu, scratch.voltage, scratch.branch, splat(0.0)
    totals, p, q = scratch.totals, zero, zero
    for part in range(0, SLOT, 2 * W):
        v_re, v_im = load(voltage, part), load(voltage, part + W)
        i_re, i_im = load(branch, SLOT + part), load(branch, SLOT + part + W)
        p, q = p + fma(v_re, i_re, v_im * i_im), q + fnma(v_re, i_im, v_im * i_re)
    store(totals, SENT, p)
    store(totals, SENT_Q, q)
    p, q, lowest = zero, zero, splat(np.inf)
    for i in range(first, lv.dt_pole_ptr[k + 1]):
        at = (i - first + 1) * SLOT
        drops = _drop(z, 12 * i, branch, at)
        _hang(voltage, (lv.parent[i] + 1) * SLOT, at, drops)
        ar, ai, br = load(branch, at), load(branch, at + W), load(branch, at + 2 * W)
        bi, cr, ci = load(branch, at + 3 * W), load(branch, at + 4 * W), load(branch, at + 5 * W)
        p = p + (fma(drops[0], ar, drops[1] * ai) + fma(drops[2], br, drops[3] * bi) + fma(drops[4], cr, drops[5] * ci))
        q = q + (
            fnma(drops[0], ai, drops[1] * ar) + fnma(drops[2], bi, drops[3] * br) + fnma(drops[4], ci, drops[5] * cr)
        )
        if i == first:
            store(totals, DT, p)
            store(totals, DT_Q, q)
            p, q = zero, zero
            store(totals, U_BUS, _mean_voltage(voltage, at))
        for part in range(0, SLOT, 2 * W):
            re, im = load(voltage, at + part), load(voltage, at + part + W)
            square = fma(re, re, im * im)
            lowest = where_above(lowest, square, square, lowest)
    store(totals, LOSS, p)
    store(totals, LOSS_Q, q)
    store(totals, U_END, sqrt(lowest))


@inner
def legs_with_sums(n_legs: int, kw: NDArray[np.float32], t: int, scratch: LvScratch, clamp: float) -> None:
    """What the load currents make as they are: power used, lost in services, slopes against voltage, lowest voltage.

    Leaves the power used on every leg. Parts that are no constant impedance are summed apart (none below the clamp,
    where the whole load is one); from them follow the slopes.
    """
    voltage, current, coefficients, totals = scratch.voltage, scratch.current, scratch.coefficients, scratch.totals
    zero = splat(0.0)
    used, used_q, loss, loss_q = zero, zero, load(totals, LOSS), load(totals, LOSS_Q)
    p_p, p_l, q_l, lowest = zero, zero, zero, splat(np.inf)
    p_u, pl_u = zero, zero
    for j in range(n_legs):
        slot, own, c = scratch.leg_slot[j], 2 * j * W, j * COEFFICIENTS
        re, im = load(current, own), load(current, own + W)
        r, x = spread(coefficients, c + 6), spread(coefficients, c + 7)
        a = fma(x, im, fnma(r, re, load(voltage, slot)))
        b = fnma(x, re, fnma(r, im, load(voltage, slot + W)))
        u = sqrt(fma(a, a, b * b))
        leg_p = fma(a, re, b * im)
        store(scratch.used, j * W, leg_p)
        heat = fma(re, re, im * im)
        leg_q = fnma(a, im, b * re)
        used, used_q = used + leg_p, used_q + leg_q
        loss, loss_q = fma(r, heat, loss), fma(x, heat, loss_q)
        lowest = where_above(lowest, u, u, lowest)
        p_u = fma(leg_p, u, p_u)
        demand = where_above(clamp, u, zero, load(kw, scratch.leg_row[j] + t))
        scaled, power = demand * u, demand * spread(coefficients, c + 2)
        leg_p = fma(scaled, spread(coefficients, c + 1), power + power)
        leg_q = fma(scaled, spread(coefficients, c + 4), (demand + demand) * spread(coefficients, c + 5))
        p_p, p_l, q_l = p_p + power, p_l + leg_p, q_l + leg_q
        pl_u = fma(leg_p, u, pl_u)
    store(totals, USED, used)
    store(totals, USED_Q, used_q)
    store(totals, LOSS, loss)
    store(totals, LOSS_Q, loss_q)
    store(totals, P_P, p_p)
    store(totals, P_L, p_l)
    store(totals, Q_L, q_l)
    store(totals, P_U, p_u)
    store(totals, PL_U, pl_u)
    store(totals, U_MIN, lowest)
