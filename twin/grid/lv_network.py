"""Below a DT: poles, lines and services. Compiled; no network is solved here."""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.grid.rules import ConsumerRules, LvRuleArrays
from twin.streams import Stream, key64, normal, uniform

_MOST_CIRCUITS = 4
_LIMIT_DRAW = 1 << 20
"""Offset of the draw of a DT's voltage limit among those of its poles."""
_TREE = int(Stream.LV_TREE)


@nb.njit(cache=True, error_model="numpy")
def lv_lines(
    seed: int,
    first_dt: int,
    feeder_class: int,
    pole_ptr: NDArray[np.int32],
    dt: NDArray[np.int32],
    pole: NDArray[np.int32],
    phases: NDArray[np.uint8],
    phase: NDArray[np.uint8],
    planned_kw: NDArray[np.float32],
    drop_above: NDArray[np.float64],
    rating: NDArray[np.int64],
    old: NDArray[np.uint8],
    rule: LvRuleArrays,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int16], NDArray[np.float32]]:
    """Parent and span [m] of every pole, conductor of every DT, and the impedance of every segment.

    Poles leave the busbar on one to four circuits and carry on along them, or start a spur. A DT gets the fewest
    circuits and then the lightest conductor of its class that keep the planned current, and the planned drop from the
    PSS to the lowest phase of the last pole within a drawn limit: complaints had weaker lines strengthened.
    ``drop_above``: planned drop down to the DT's 11 kV node, shape (n_dts,). [pu]
    """
    n_poles, n_dts = pole_ptr[-1], len(rating)
    parent, span_m = np.empty(n_poles, np.int32), np.zeros(n_poles, np.float32)
    conductor, z_pu = np.empty(n_dts, np.int16), np.zeros((n_poles, 12), np.float32)
    flow, square, total = np.zeros((n_poles, 3)), np.zeros((n_poles, 3)), np.zeros(n_dts)
    for i in range(len(dt)):
        at = pole_ptr[dt[i]] + pole[i]
        total[dt[i]] += planned_kw[i]
        if phases[i] == 3:
            for p in range(3):
                flow[at, p] += planned_kw[i] / 3.0
                square[at, p] += (rule.consumer_spread * planned_kw[i] / 3.0) ** 2
        else:
            flow[at, phase[i]] += planned_kw[i]
            square[at, phase[i]] += (rule.consumer_spread * planned_kw[i]) ** 2
    for d in range(n_dts):
        a, b = pole_ptr[d], pole_ptr[d + 1]
        key = key64(seed, _TREE, first_dt + d)
        r_pu, x_pu = rule.dt_r_pu[old[d], rating[d]], rule.dt_x_pu[old[d], rating[d]]
        limit = rule.drop_limit[feeder_class] * math.exp(rule.drop_log_sd * normal(key, _LIMIT_DRAW))
        above = drop_above[d] + total[d] / 3.0 * (r_pu + x_pu * rule.tan_phi)
        left = max(limit - above, rule.least_drop)
        conductor[d] = _build(key, feeder_class, left, parent[a:b], span_m[a:b], flow[a:b], square[a:b], rule)
        for k in (0, 6, 10):
            z_pu[a, k], z_pu[a, k + 1] = r_pu, x_pu
        for i in range(a + 1, b):
            for k in range(12):
                z_pu[i, k] = rule.z_pu_km[conductor[d], k] * span_m[i] / 1000.0
    return parent, span_m, conductor, z_pu


@nb.njit(cache=True, error_model="numpy")
def _build(
    key: int,
    feeder_class: int,
    limit: float,
    parent: NDArray[np.int32],
    span_m: NDArray[np.float32],
    load: NDArray[np.float64],
    variance: NDArray[np.float64],
    rule: LvRuleArrays,
) -> int:
    """Lay the poles of one DT and return its conductor. ``load``: planned kW of every pole and phase, (n, 3)."""
    code, worst = 0, 0.0
    for circuits in range(1, _MOST_CIRCUITS + 1):
        _lay(key, feeder_class, circuits, parent, span_m, rule)
        moment, largest = _moment(parent, span_m, load, variance)
        for k in range(rule.choices.shape[1]):
            code = rule.choices[feeder_class, k]
            worst = moment * (rule.r_ohm_km[code] + rule.x_ohm_km[code] * rule.tan_phi) * rule.kw_ohm_pu
            if worst <= limit and largest <= rule.most_kw[code]:
                return code
    if worst > limit:  # too much for any line: the DT stands nearer to its consumers
        shrink = max(limit / worst, rule.least_shrink)
        for i in range(len(span_m)):
            span_m[i] *= shrink
    return code


@nb.njit(cache=True, error_model="numpy")
def _lay(
    key: int,
    feeder_class: int,
    circuits: int,
    parent: NDArray[np.int32],
    span_m: NDArray[np.float32],
    rule: LvRuleArrays,
) -> None:
    """Poles of one DT: numbered away from the busbar, circuit by circuit in turn."""
    parent[0] = -1
    for i in range(1, len(parent)):
        u = uniform(key, 4 * i)
        span_m[i] = rule.span_m[feeder_class] * (1.0 + rule.span_spread * (2.0 * uniform(key, 4 * i + 1) - 1.0))
        if i <= circuits:
            parent[i] = 0
        elif u < rule.spur_share:
            back = 1 + int(uniform(key, 4 * i + 2) * ((i - 1) // circuits))
            parent[i] = i - back * circuits
        else:
            parent[i] = i - circuits


@nb.njit(cache=True, error_model="numpy")
def _moment(
    parent: NDArray[np.int32],
    span_m: NDArray[np.float32],
    load: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> tuple[float, float]:
    """Largest moment of any phase to any pole [kW km], and the largest phase flow out of the busbar [kW].

    Currents 120 degrees apart return through a neutral like the phases: ``drop_a = z (2 Ia - (Ib + Ic) / 2)``.
    The phase looked at has one standard deviation more than expected, the others what is expected.
    """
    n = len(parent)
    flow, square, moment, worst, largest = load.copy(), variance.copy(), np.zeros((n, 3)), 0.0, 0.0
    for i in range(n - 1, 0, -1):
        for p in range(3):
            flow[parent[i], p] += flow[i, p]
            square[parent[i], p] += square[i, p]
            largest = max(largest, flow[i, p] + math.sqrt(square[i, p]))
    for i in range(1, n):
        both = flow[i, 0] + flow[i, 1] + flow[i, 2]
        for p in range(3):
            own = 2.5 * flow[i, p] - 0.5 * both + 2.0 * math.sqrt(square[i, p])
            moment[i, p] = moment[parent[i], p] + own * span_m[i] / 1000.0
            worst = max(worst, moment[i, p])
    return worst, largest


@nb.njit(cache=True, error_model="numpy")
def connect(
    pole_ptr: NDArray[np.int32],
    consumer_ptr: NDArray[np.int32],
    phases: NDArray[np.uint8],
    phase: NDArray[np.uint8],
    pole: NDArray[np.int32],
    sanctioned_kw: NDArray[np.float32],
    service_m: NDArray[np.float32],
    rule: ConsumerRules,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Legs of every DT and (pole, phase), in consumer order within a group: pointers, consumer, share, service."""
    n_legs = 0
    for i in range(len(phases)):
        n_legs += phases[i]
    leg_ptr, group_ptr = np.zeros(len(pole_ptr), np.int32), np.zeros(3 * pole_ptr[-1] + 1, np.int32)
    leg_consumer, leg_share = np.empty(n_legs, np.int32), np.empty(n_legs, np.float32)
    service_pu = np.empty((n_legs, 2), np.float32)
    for d in range(len(pole_ptr) - 1):
        for i in range(consumer_ptr[d], consumer_ptr[d + 1]):
            group = 3 * (pole_ptr[d] + pole[i])
            if phases[i] == 3:
                for p in range(3):
                    group_ptr[group + p + 1] += 1
            else:
                group_ptr[group + phase[i] + 1] += 1
    for group in range(1, len(group_ptr)):
        group_ptr[group] += group_ptr[group - 1]
    fill = group_ptr.copy()
    for d in range(len(pole_ptr) - 1):
        leg_ptr[d + 1] = group_ptr[3 * pole_ptr[d + 1]]
        for i in range(consumer_ptr[d], consumer_ptr[d + 1]):
            three = 1 if phases[i] == 3 else 0
            size = 0
            while sanctioned_kw[i] > rule.service[three, size, 0]:
                size += 1
            for p in range(3):
                if three == 0 and p != phase[i]:
                    continue
                group = 3 * (pole_ptr[d] + pole[i]) + p
                leg = fill[group]
                fill[group] += 1
                leg_consumer[leg], leg_share[leg] = i, 1.0 / (1 + 2 * three)
                service_pu[leg, 0] = rule.service[three, size, 1] * service_m[i] + rule.joint_pu[three]
                service_pu[leg, 1] = rule.service[three, size, 2] * service_m[i]
    return leg_ptr, group_ptr, leg_consumer, leg_share, service_pu
