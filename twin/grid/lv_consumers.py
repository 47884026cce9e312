"""The consumers of a feeder's DTs, and the DTs' ratings. Compiled; every draw is keyed by DT or consumer."""

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
_DT_MIX, _FEEDER_MIX, _KIND = int(Stream.DT_MIX), int(Stream.FEEDER_MIX), int(Stream.CONSUMER_KIND)
_PLACE, _LOAD, _RATING = int(Stream.CONSUMER_PLACE), int(Stream.CONSUMER_LOAD), int(Stream.DT_RATING)


@nb.njit(cache=True, error_model="numpy")
def dt_counts(
    seed: int, first_dt: int, n_dts: int, by_category: NDArray[np.int32], rule: ConsumerRules
) -> NDArray[np.int64]:
    """Consumers of every DT of a feeder, shape (n_dts, n_categories): exact by category, at least one at every DT.

    A DT's mix is a Dirichlet draw around the feeder's, its size lognormal; both only weigh.
    """
    n_categories = len(by_category)
    whole = 0
    for c in range(n_categories):
        whole += by_category[c]
    mean = np.empty(n_categories)
    for c in range(n_categories):
        mean[c] = by_category[c] / whole
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
            for d in range(n_dts):
                out[d, c] = column[d]
    _fill_empty(out)
    return out


@nb.njit(cache=True, error_model="numpy")
def _fill_empty(counts: NDArray[np.int64]) -> None:
    """Give every DT without a consumer one of the commonest category of the DT that has most."""
    n_dts, n_categories = counts.shape
    totals = np.zeros(n_dts, np.int64)
    for d in range(n_dts):
        for c in range(n_categories):
            totals[d] += counts[d, c]
    for d in range(n_dts):
        if totals[d] == 0:
            giver = 0
            for k in range(n_dts):
                giver = k if totals[k] > totals[giver] else giver
            commonest = 0
            for c in range(n_categories):
                commonest = c if counts[giver, c] > counts[giver, commonest] else commonest
            counts[giver, commonest] -= 1
            counts[d, commonest] += 1
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
    n = 0
    for d in range(len(counts)):
        for c in range(n_categories):
            n += counts[d, c]
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
        consumers = 0
        for c in range(counts.shape[1]):
            consumers += counts[d, c]
        n = math.ceil(rule.poles_scale[feeder_class] * consumers**rule.poles_exponent)
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
        for t in range(steps):
            day[t] = farm[d]
        for k in range(n_kinds):
            if of_kind[d, k] > 0.0:
                for t in range(steps):
                    day[t] += of_kind[d, k] * design_kw[k, t]
        at[d], peak[d] = 0, day[0]
        for t in range(1, steps):
            if day[t] > peak[d]:
                at[d], peak[d] = t, day[t]
        key = key64(seed, _RATING, first_dt + d)
        asked = lv.load_when_sized * peak[d] / (lv.utilisation[0] * math.exp(lv.utilisation[1] * normal(key, 0)))
        rating[d] = 0
        while lv.ratings_kva[rating[d]] < asked and rating[d] < len(lv.ratings_kva) - 1:
            rating[d] += 1
        old[d] = uniform(key, 1) < lv.old_stock_share
    planned = np.empty(len(dt), np.float32)
    for i in range(len(dt)):
        farm_kw = rule.farm_kw * sanctioned_kw[i]
        planned[i] = farm_kw if rule.farm[kind[i]] else design_kw[kind[i], at[dt[i]]]
    return peak, rating, old, planned
