"""Compiled pieces of a bill: who is on which plan, a month's units in slabs and in the free block, their charge."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.economics.rates import (
    EVENT_HOURS,
    FREE_PER_PERIOD,
    FREE_WEIGHTED,
    ONE,
    PLAN_ARM,
    PLAN_BASE,
    PLAN_FLAT,
    PLAN_MIN_W,
    PLAN_NEEDS_SMART,
    PLAN_ON,
    RATE_PER_PAISA,
    SHAPE_NEEDS_SMART,
    USUAL_HOURS,
)
from twin.units import WH_PER_KWH

SMART = 1
"""Flag of a consumer: has a smart meter."""
OPTED_OUT = 2
"""Flag of a consumer: does not take part in the arm's time of day and free block."""

CHARGE_PER_PAISA = RATE_PER_PAISA * WH_PER_KWH
"""Units of a charge (rate times Wh) in one paisa."""
PER_MILLE = 1000
_W_PER_HP = 746  # one horsepower in Indian tariff practice, a definition
_CONNECTION, _KVA, _HP = 0, 2, 3


@nb.njit(cache=True, error_model="numpy", inline="always")
def half_up(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` to the nearest whole number, halves up; the denominator is positive."""
    return (2 * numerator + denominator) // (2 * denominator)


@nb.njit(cache=True, error_model="numpy", inline="always")
def plan_of(by_plan: NDArray[np.int64], category: int, watt: int, flags: int) -> int:
    """PLAN_FLAT, PLAN_BASE or PLAN_ARM of one consumer; ``by_plan`` is that of the `RateTable`."""
    smart = flags & SMART
    if (
        by_plan[category, PLAN_ARM, PLAN_ON]
        and not flags & OPTED_OUT
        and watt >= by_plan[category, PLAN_ARM, PLAN_MIN_W]
        and (smart or not by_plan[category, PLAN_ARM, PLAN_NEEDS_SMART])
    ):
        plan = PLAN_ARM
    elif (
        by_plan[category, PLAN_BASE, PLAN_ON]
        and watt >= by_plan[category, PLAN_BASE, PLAN_MIN_W]
        and (smart or not by_plan[category, PLAN_BASE, PLAN_NEEDS_SMART])
    ):
        plan = PLAN_BASE
    else:
        plan = PLAN_FLAT
    return plan


@nb.njit(cache=True, error_model="numpy", inline="always")
def is_shaped(by_plan: NDArray[np.int64], category: int, plan: int, flags: int) -> bool:
    """Whether the arm's shape of the free block (weight, limits, payment for unused units) holds for a consumer."""
    smart_enough = flags & SMART or not by_plan[category, plan, SHAPE_NEEDS_SMART]
    return bool(smart_enough and not flags & OPTED_OUT)


@nb.njit(cache=True, error_model="numpy", inline="always")
def prorated(amount: int, slab_days: int, month_days: int) -> int:
    """An amount of a whole month for a part of it, rounded half up."""
    return amount if slab_days == month_days else half_up(amount * slab_days, month_days)


@nb.njit(cache=True, error_model="numpy", inline="always")
def billed_wh(is_kvah: int, power_factor: float, zone_wh: NDArray[np.int64], i: int, mix: NDArray[np.int64]) -> int:
    """Write consumer ``i``'s units by zone (Wh, or VAh rounded half up) to ``mix``; return their sum."""
    total = 0
    if is_kvah:
        per_mille = np.int64(power_factor * PER_MILLE + 0.5)
        for z in range(mix.size):
            mix[z] = half_up(zone_wh[i, z] * PER_MILLE, per_mille)
            total += mix[z]
    else:
        for z in range(mix.size):
            mix[z] = zone_wh[i, z]
            total += mix[z]
    return total


@nb.njit(cache=True, error_model="numpy", inline="always")
def _zone_sum(rate: NDArray[np.int64], category: int, plan: int, slab: int, mix: NDArray[np.int64]) -> int:
    total = 0
    for z in range(mix.size):
        total += mix[z] * rate[category, plan, slab, z]
    return total


@nb.njit(cache=True, error_model="numpy")
def charge(
    rate: NDArray[np.int64],
    category: int,
    plan: int,
    ends: NDArray[np.int64],
    low: int,
    high: int,
    mix: NDArray[np.int64],
    mix_total: int,
) -> int:
    """Charge of units ``low`` to ``high`` [Wh of the month], each slab with the zones in proportion to ``mix``.

    ``sum over slabs of units_in_slab * sum over zones of mix/mix_total * rate``, rounded down to 1e-7 paise. The top
    slab is taken as its whole less what is not in it, so that products stay below ``slab end * mix_total``.
    """
    if high <= low or mix_total <= 0:
        return 0
    top = 0
    while high > ends[top]:
        top += 1
    begin = max(low, ends[top - 1]) if top > 0 else low
    outside = mix_total - (high - begin)
    top_sum = _zone_sum(rate, category, plan, top, mix)
    if outside == 0:
        return top_sum
    mean = top_sum // mix_total
    whole = top_sum - outside * mean
    rest = -outside * (top_sum - mean * mix_total)
    start = 0
    for s in range(top):
        units = ends[s] - max(low, start)
        start = ends[s]
        if units > 0:
            slab_sum = _zone_sum(rate, category, plan, s, mix)
            mean = slab_sum // mix_total
            whole += units * mean
            rest += units * (slab_sum - mean * mix_total)
    return whole + rest // mix_total


@nb.njit(cache=True, error_model="numpy")
def split_limited(
    limit_group: NDArray[np.int64],
    limit_wh: NDArray[np.int64],
    free_wh: int,
    slab_days: int,
    month_days: int,
    mix: NDArray[np.int64],
    paid: NDArray[np.int64],
) -> int:
    """Free units limited by period: write the billed units by zone to ``paid``; return their sum.

    A period's units up to its limit may be free, all units of periods without a limit; if these exceed the block, it is
    shared among them in proportion. Free units are rounded down to the Wh by zone.
    """
    eligible = 0
    for g in range(-1, limit_wh.size):
        eligible += _eligible(limit_group, limit_wh, g, slab_days, month_days, mix)[0]
    total = 0
    for g in range(-1, limit_wh.size):
        may, used = _eligible(limit_group, limit_wh, g, slab_days, month_days, mix)
        if eligible > free_wh:
            may = may * free_wh // eligible
        for z in range(mix.size):
            if limit_group[z] == g:
                paid[z] = mix[z] - (mix[z] * may // used if used > 0 else 0)
                total += paid[z]
    return total


@nb.njit(cache=True, error_model="numpy")
def _eligible(
    limit_group: NDArray[np.int64],
    limit_wh: NDArray[np.int64],
    group: int,
    slab_days: int,
    month_days: int,
    mix: NDArray[np.int64],
) -> tuple[int, int]:
    """Units of a group of zones that may be free, and all its units. [Wh]"""
    used = 0
    for z in range(mix.size):
        if limit_group[z] == group:
            used += mix[z]
    if group < 0:
        return used, used
    return min(used, prorated(limit_wh[group], slab_days, month_days)), used


@nb.njit(cache=True, error_model="numpy", inline="always")
def energy_charges(
    gross_rate: NDArray[np.int64],
    subsidy_rate: NDArray[np.int64],
    limit_group: NDArray[np.int64],
    limit_wh: NDArray[np.int64],
    category: int,
    plan: int,
    rule: int,
    free_wh: int,
    used: int,
    units: int,
    slab_days: int,
    month_days: int,
    ends: NDArray[np.int64],
    mix: NDArray[np.int64],
    paid: NDArray[np.int64],
) -> tuple[int, int, int, int]:
    """Energy charge of all units, of the billed ones, the state's part of these [1e-7 paise]; billed units [Wh].

    ``used`` counts against the free block (`units_used`), ``mix`` is the units by zone and ``units`` their sum.
    """
    everything = charge(gross_rate, category, plan, ends, 0, units, mix, units)
    billed, granted, billed_units = everything, 0, units
    if rule == FREE_PER_PERIOD and free_wh > 0:
        billed_units = split_limited(limit_group, limit_wh, free_wh, slab_days, month_days, mix, paid)
        low = units - billed_units
        billed = charge(gross_rate, category, plan, ends, low, units, paid, billed_units)
        granted = charge(subsidy_rate, category, plan, ends, low, units, paid, billed_units)
    elif free_wh > 0 and used <= free_wh * ONE:
        billed, billed_units = 0, 0
    else:
        low = free_wh
        if rule == FREE_WEIGHTED and free_wh > 0:
            low = free_wh * ONE * units // used
        billed_units = units - low
        if low > 0:
            billed = charge(gross_rate, category, plan, ends, low, units, mix, units)
        granted = charge(subsidy_rate, category, plan, ends, low, units, mix, units)
    return everything, billed, granted, billed_units


@nb.njit(cache=True, error_model="numpy", inline="always")
def fixed_quantity(basis: int, watt: int, contract_kva: float, power_factor: float) -> tuple[int, int]:
    """How many units of its basis a fixed charge is for, as a ratio of whole numbers."""
    quantity, scale = watt, PER_MILLE
    if basis == _CONNECTION:
        quantity, scale = 1, 1
    elif basis == _HP:
        scale = _W_PER_HP
    elif basis == _KVA:
        quantity = int(contract_kva * PER_MILLE + 0.5) if contract_kva > 0 else int(watt / power_factor + 0.5)
    return quantity, scale


@nb.njit(cache=True, error_model="numpy")
def event_saving_wh(
    event_role: NDArray[np.int64], event_days: NDArray[np.int64], zone_wh: NDArray[np.int64], i: int, days: int
) -> int:
    """Energy of consumer ``i`` below the usual in the event hours of the first ``days`` days of the month. [Wh]

    ``max(0, usual * events / (days - events) - used)``: the usual is what the same hours of days without an event held,
    rounded down to the Wh; 0 before the first such day.
    """
    usual, used, events = 0, 0, event_days[days]
    for z in range(event_role.size):
        if event_role[z] == USUAL_HOURS:
            usual += zone_wh[i, z]
        elif event_role[z] == EVENT_HOURS:
            used += zone_wh[i, z]
    if events == 0 or days <= events:
        return 0
    return max(usual * events // (days - events) - used, 0)


@nb.njit(cache=True, error_model="numpy", inline="always")
def units_used(
    multiplier: NDArray[np.int64], category: int, plan: int, rule: int, mix: NDArray[np.int64], total: int
) -> int:
    """Units that count against the free block, in 1e-4 Wh."""
    units = total * ONE
    if rule == FREE_WEIGHTED:
        units = 0
        for z in range(mix.size):
            units += mix[z] * multiplier[category, plan, z]
    return units
