"""Below a feeder: consumers of its DTs, ratings, poles, lines and services. Compiled; no network is solved here."""

from __future__ import annotations

import math

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.grid.apportion import dirichlet_row, share_out
from twin.grid.rules import ConsumerRules, LvRuleArrays
from twin.streams import Stream, key64, normal, uniform

_SIZE_COLUMN = 63
"""Column of a DT's row of draws that holds its size; the others hold its mix."""
_CATEGORIES = 16
"""Upper bound of category codes: DT and category make one entity."""
_FEEDER_KINDS = 1 << 40
"""Offset of entities of a feeder's kind mix in the stream of feeder mixes."""
_FLOOR = 1e-12
_MOST_CIRCUITS = 4
_DT_MIX, _FEEDER_MIX, _KIND = int(Stream.DT_MIX), int(Stream.FEEDER_MIX), int(Stream.CONSUMER_KIND)
_PLACE, _LOAD, _RATING, _TREE = (
    int(stream) for stream in (Stream.CONSUMER_PLACE, Stream.CONSUMER_LOAD, Stream.DT_RATING, Stream.LV_TREE)
)


@nb.njit(cache=True, error_model="numpy")
def dt_counts(
    seed: int, first_dt: int, n_dts: int, by_category: NDArray[np.int32], rule: ConsumerRules
) -> NDArray[np.int64]:
    """Consumers of every DT of a feeder, shape (n_dts, n_categories): exact by category, at least one at every DT.

    A DT's mix is a Dirichlet draw around the feeder's, its size lognormal; both only weigh.
    """
    n_categories = len(by_category)
    mean = by_category / by_category.sum()
    weights, mix = np.empty((n_categories, n_dts)), np.empty(n_categories)
    for d in range(n_dts):
        dirichlet_row(seed, _DT_MIX, first_dt + d, mean, rule.dt_concentration, mix)
        size = math.exp(rule.dt_size_log_sd * normal(key64(seed, _DT_MIX, (first_dt + d) * 64 + _SIZE_COLUMN), 0))
        for c in range(n_categories):
            weights[c, d] = size * mix[c] + _FLOOR
    out, column = np.zeros((n_dts, n_categories), np.int64), np.empty(n_dts, np.int64)
    for c in range(n_categories):
        if by_category[c] > 0:
            share_out(by_category[c], weights[c], column)
            out[:, c] = column
    _fill_empty(out)
    return out


@nb.njit(cache=True, error_model="numpy")
def _fill_empty(counts: NDArray[np.int64]) -> None:
    """Give every DT without a consumer one of the commonest category of the DT that has most."""
    totals = counts.sum(axis=1)
    for d in range(len(counts)):
        if totals[d] == 0:
            giver = np.argmax(totals)
            c = np.argmax(counts[giver])
            counts[giver, c] -= 1
            counts[d, c] += 1
            totals[giver] -= 1
            totals[d] += 1


@nb.njit(cache=True, error_model="numpy")
def draw_kinds(
    seed: int, feeder: int, first_dt: int, counts: NDArray[np.int64], rule: ConsumerRules
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.uint8]]:
    """DT, category and kind of every consumer, in order of DT and category.

    The kind mix of a category is drawn for the feeder and again for the DT; within a DT kinds are taken from it by
    systematic sampling, which keeps their expected numbers and adds least noise.
    """
    n_categories, n_kinds = rule.mix.shape
    n = counts.sum()
    dt, category, kind = np.empty(n, np.int32), np.empty(n, np.uint8), np.empty(n, np.uint8)
    of_feeder, of_dt = np.empty((n_categories, n_kinds)), np.empty(n_kinds)
    for c in range(n_categories):
        entity = _FEEDER_KINDS + feeder * _CATEGORIES + c
        dirichlet_row(seed, _FEEDER_MIX, entity, rule.mix[c], rule.feeder_concentration, of_feeder[c])
    row = 0
    for d in range(len(counts)):
        for c in range(n_categories):
            m = counts[d, c]
            if m == 0:
                continue
            entity = (first_dt + d) * _CATEGORIES + c
            dirichlet_row(seed, _KIND, entity, of_feeder[c], rule.dt_concentration, of_dt)
            u = uniform(key64(seed, _KIND, entity), 0)
            k, reached = 0, of_dt[0]
            for i in range(m):
                while (i + u) / m >= reached and k < n_kinds - 1:
                    k += 1
                    reached += of_dt[k]
                while of_dt[k] == 0.0:  # rounding of the running sum can end on a kind that is not there
                    k -= 1
                dt[row], category[row], kind[row] = d, c, k
                row += 1
    return dt, category, kind


@nb.njit(cache=True, error_model="numpy")
def pole_counts(counts: NDArray[np.int64], feeder_class: int, rule: LvRuleArrays) -> NDArray[np.int64]:
    """Poles of every DT, the busbar included. Shape (n_dts,)."""
    out = np.empty(len(counts), np.int64)
    for d in range(len(counts)):
        n = math.ceil(rule.poles_scale[feeder_class] * counts[d].sum() ** rule.poles_exponent)
        out[d] = 1 + min(max(n, 1), rule.most_poles)
    return out


@nb.njit(cache=True, error_model="numpy")
def place_consumers(
    seed: int,
    first: int,
    dt: NDArray[np.int32],
    kind: NDArray[np.uint8],
    n_poles: NDArray[np.int64],
    rule: ConsumerRules,
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8], NDArray[np.float32]]:
    """Sanctioned kW, phases, pole, phase and service length of every consumer. Draws are keyed by ``first`` + row.

    The first poles behind the busbar carry none: the DT stands beside its village. Single-phase services go round the
    phases, but for a share that break the turn. Three-phase ones have phase 0.
    """
    n = len(dt)
    sanctioned, phases, pole = np.empty(n, np.float32), np.empty(n, np.uint8), np.empty(n, np.int32)
    phase, service_m = np.zeros(n, np.uint8), np.empty(n, np.float32)
    turn = 0
    for i in range(n):
        median, log_sd, least, most, step, three_from = rule.sanctioned[kind[i]]
        kw = median * math.exp(log_sd * normal(key64(seed, _LOAD, first + i), 0))
        kw = min(max(math.ceil(kw / step - 1e-9) * step, least), most)
        key = key64(seed, _PLACE, first + i)
        sanctioned[i], phases[i] = kw, 3 if kw >= three_from else 1
        bare = int(rule.bare_share * (n_poles[dt[i]] - 1))
        pole[i] = 1 + bare + int(uniform(key, 0) * (n_poles[dt[i]] - 1 - bare))
        if phases[i] == 1:
            phase[i] = turn % 3
            turn += 1
            if uniform(key, 1) < rule.random_phase_share:
                phase[i] = int(3.0 * uniform(key, 2))
        service_m[i] = rule.service_m[0] + uniform(key, 3) * (rule.service_m[1] - rule.service_m[0])
    return sanctioned, phases, pole, phase, service_m


@nb.njit(cache=True, error_model="numpy")
def rate_dts(
    seed: int,
    first_dt: int,
    dt: NDArray[np.int32],
    kind: NDArray[np.uint8],
    sanctioned_kw: NDArray[np.float32],
    design_kw: NDArray[np.float64],
    n_dts: int,
    rule: ConsumerRules,
    lv: LvRuleArrays,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.uint8], NDArray[np.float32]]:
    """Expected peak [kW], rating (its position), stock of every DT, and the consumers' kW at their DT's peak.

    Expected peak: the highest step of the sum of ``design_kw``; farm pumps count with their share of sanctioned load
    that runs together in a roster block. Rating: the smallest standard one that held the peak, before load grew to what
    it is, at a drawn utilisation.
    """
    n_kinds, steps = design_kw.shape
    of_kind, farm = np.zeros((n_dts, n_kinds)), np.zeros(n_dts)
    for i in range(len(dt)):
        if rule.farm[kind[i]]:
            farm[dt[i]] += rule.farm_kw * sanctioned_kw[i]
        else:
            of_kind[dt[i], kind[i]] += 1.0
    peak, at, rating = np.empty(n_dts), np.empty(n_dts, np.int64), np.empty(n_dts, np.int64)
    old, day = np.zeros(n_dts, np.uint8), np.empty(steps)
    for d in range(n_dts):
        day[:] = farm[d]
        for k in range(n_kinds):
            if of_kind[d, k] > 0.0:
                day += of_kind[d, k] * design_kw[k]
        at[d] = np.argmax(day)
        peak[d] = day[at[d]]
        key = key64(seed, _RATING, first_dt + d)
        asked = lv.load_when_sized * peak[d] / (lv.utilisation[0] * math.exp(lv.utilisation[1] * normal(key, 0)))
        rating[d] = min(np.searchsorted(lv.ratings_kva, asked), len(lv.ratings_kva) - 1)
        old[d] = uniform(key, 1) < lv.old_stock_share
    planned = np.empty(len(dt), np.float32)
    for i in range(len(dt)):
        farm_kw = rule.farm_kw * sanctioned_kw[i]
        planned[i] = farm_kw if rule.farm[kind[i]] else design_kw[kind[i], at[dt[i]]]
    return peak, rating, old, planned


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
            flow[at] += planned_kw[i] / 3.0
            square[at] += (rule.consumer_spread * planned_kw[i] / 3.0) ** 2
        else:
            flow[at, phase[i]] += planned_kw[i]
            square[at, phase[i]] += (rule.consumer_spread * planned_kw[i]) ** 2
    for d in range(n_dts):
        a, b = pole_ptr[d], pole_ptr[d + 1]
        key = key64(seed, _TREE, first_dt + d)
        r_pu, x_pu = rule.dt_r_pu[old[d], rating[d]], rule.dt_x_pu[old[d], rating[d]]
        limit = rule.drop_limit[feeder_class] * math.exp(rule.drop_log_sd * normal(key, 1 << 20))
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
    n_legs = len(phases) + 2 * int((phases == 3).sum())
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
    group_ptr[:] = np.cumsum(group_ptr)
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
