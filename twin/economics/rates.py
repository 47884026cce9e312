"""A tariff under an arm as arrays of whole numbers, as the billing kernels read it.

Rates are whole multiples of 1e-4 paise per kWh (or kVAh): whole paise times a multiplier held to four decimals. With
energy in whole Wh every charge is an exact ratio of whole numbers, which is rounded once. A sum of rate times monthly
energy stays below 2**63 up to 60 GWh a month at Rs 10/kWh times a mean multiplier of 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.datapack import categories
from twin.economics.arms import ArmTariff
from twin.economics.tariffs import Number
from twin.economics.windows import Zones
from twin.hours import NORMAL, holds, period_at
from twin.units import PAISE_PER_INR, WH_PER_KWH

RATE_PER_PAISA = 10_000
"""Units of a rate in one paisa per kWh."""
ONE = 10_000
"""A multiplier or a share of 1, in the whole numbers of a `RateTable`."""
RATE_PER_INR = RATE_PER_PAISA * PAISE_PER_INR
"""Units of a rate in one rupee per kWh."""

PLAN_FLAT, PLAN_BASE, PLAN_ARM = 0, 1, 2
"""What a consumer is on: flat rates, the tariff's own time of day, the arm's time of day."""

FREE_PLAIN, FREE_WEIGHTED, FREE_PER_PERIOD = 0, 1, 2
"""How free units meet the periods: in proportion to use, weighted by the multiplier, limited in a period."""

BASES = ("connection", "kw", "kva", "hp")
"""Bases of a fixed charge; the position is its code."""

W_PER_KW = 1000

OPEN_END_WH = 2**60
"""Upper end of the open slab. [Wh]"""


# Columns of RateTable.by_category
SLAB_COUNT = 0
"""Slabs in use."""
FIXED_PAISE = 1
"""Fixed charge per month and unit of its basis. [paise]"""
FIXED_BASIS = 2
"""Position in `BASES`."""
DUTY_SHARE = 3
"""Duty as a share of the energy charge of the billed units. [1e-4]"""
DUTY_ON_NET = 4
"""Whether duty is on the charge after subsidy."""
REBATE_RATE = 5
"""Prepaid rebate per billed unit of smart meters. [1e-4 paise/kWh]"""
REBATE_SHARE = 6
"""Prepaid rebate as a share of the billed units' energy charge before subsidy. [1e-4]"""
FREE_WH = 7
"""Free units of a whole month. [Wh]"""
KVAH = 8
"""Whether energy is billed in kVAh."""

EVENT_RATE = 9
"""Paid to smart meters for each unit below the usual in event hours. [1e-4 paise/kWh]"""
SURCHARGE_RATE = 10
"""Fuel surcharge of each unit; it is in the gross rates. [1e-4 paise/kWh]"""

USUAL_HOURS, EVENT_HOURS = 1, 2
"""What a zone is to the rebate of events: the same hours on days without an event, hours of an event; else 0."""
_LONGEST_MONTH = 31

# Columns of RateTable.by_plan
PLAN_ON = 0
"""Whether the category knows the plan."""
PLAN_MIN_W = 1
"""Least sanctioned load of the plan. [W]"""
PLAN_NEEDS_SMART = 2
"""Whether the plan is for smart meters only."""
FREE_RULE = 3
"""FREE_PLAIN, FREE_WEIGHTED or FREE_PER_PERIOD."""
UNUSED_RATE = 4
"""Paid for each free unit left unused. [1e-4 paise/kWh]"""
SHAPE_NEEDS_SMART = 5
"""Whether the arm's shape of the free block is for smart meters only."""


class RateTable(NamedTuple):
    """One month's tariff of an arm. C categories, 3 plans, S slabs, Z zones; all int64 and by category code.

    Rates in 1e-4 paise per kWh or kVAh; multipliers and shares in 1e-4. Few arrays, because compiled code counts the
    references of each.
    """

    by_category: NDArray[np.int64]
    """[C, 11] columns SLAB_COUNT to SURCHARGE_RATE."""
    by_plan: NDArray[np.int64]
    """[C, 3, 6] columns PLAN_ON to SHAPE_NEEDS_SMART."""
    slab_end_wh: NDArray[np.int64]
    """[C, S] upper end of a slab in a whole month; `OPEN_END_WH` for the last. [Wh]"""
    gross_rate: NDArray[np.int64]
    """[C, 3, S, Z] energy rate before subsidy, with the multiplier, and the fuel surcharge."""
    subsidy_rate: NDArray[np.int64]
    """[C, 3, S, Z] state subsidy per unit, never above the gross rate."""
    multiplier: NDArray[np.int64]
    """[C, 3, Z]"""
    limit_group: NDArray[np.int64]
    """[Z] which limit of `limit_wh` a zone falls under; -1: none."""
    limit_wh: NDArray[np.int64]
    """[G] free units that may fall into a period in a whole month. [Wh]"""
    event_role: NDArray[np.int64]
    """[Z] USUAL_HOURS or EVENT_HOURS of the rebate of events, else 0."""
    event_days: NDArray[np.int64]
    """[32] days with an event among the first 0 to 31 days of the month."""


def rate_table(arm: ArmTariff, zones: Zones, on: date) -> RateTable:
    """The rates of an arm on a date, by category code and zone.

    What holds on ``on`` holds for its whole month: tariffs change on the first of a month. A date before the tariff's
    start takes its first rates, a date after its year its last.

    Parameters
    ----------
    arm : ArmTariff
        From `twin.economics.arms.apply_arm`.
    zones : Zones
        From `twin.economics.arms.common_zones` over *all* arms of the experiment.
    on : date
        Any day of the month to be billed.
    """
    tariff, names = arm.tariff, [row.category for row in categories()]
    n, n_zones = len(names), zones.n_zones
    n_slabs = max(len(part.slabs) for part in tariff.categories.values())
    multiplier, by_plan, scales_subsidy = _plans(arm, zones, names, on)
    gross = np.zeros((n, 3, n_slabs, n_zones), np.int64)
    subsidy = np.zeros_like(gross)
    slab_end = np.full((n, n_slabs), OPEN_END_WH, np.int64)
    by_category = np.array([_category_row(arm, name, on) for name in names], np.int64)
    for code, name in enumerate(names):
        for k, slab in enumerate(tariff.categories[name].slabs):
            if slab.up_to_kwh is not None:
                slab_end[code, k] = slab.up_to_kwh * WH_PER_KWH
            energy = _paise(slab.energy) * multiplier[code]
            gross[code, :, k] = energy + by_category[code, SURCHARGE_RATE]
            scale = np.where(scales_subsidy[code][:, None], multiplier[code], ONE)
            subsidy[code, :, k] = np.minimum(_paise(slab.subsidy) * scale, energy)
    limit_group, limit_wh = _shape_free_block(arm, zones, by_plan)
    event_role, event_days = _event_days(arm, zones, on)
    return RateTable(
        by_category=by_category,
        by_plan=by_plan,
        slab_end_wh=slab_end,
        gross_rate=gross,
        subsidy_rate=subsidy,
        multiplier=multiplier,
        limit_group=limit_group,
        limit_wh=limit_wh,
        event_role=event_role,
        event_days=event_days,
    )


def _event_days(arm: ArmTariff, zones: Zones, on: date) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Role of each zone in the rebate of events, and the events of a month by its days so far."""
    role, days = np.zeros(zones.n_zones, np.int64), np.zeros(_LONGEST_MONTH + 1, np.int64)
    rebate = arm.settings.peak_rebate
    if rebate is None:
        return role, days
    for zone in range(zones.n_zones):
        if zones.has_event(zone, rebate.programme):
            role[zone] = EVENT_HOURS
        elif holds(rebate.hours, zones.first_minute(zone)):
            role[zone] = USUAL_HOURS
    called = [day.day for day in rebate.dates if (day.year, day.month) == (on.year, on.month)]
    days[:] = np.cumsum(np.bincount(called, minlength=len(days)))
    return role, days


def _category_row(arm: ArmTariff, name: str, on: date) -> list[int]:
    """A row of ``RateTable.by_category``."""
    tariff, events = arm.tariff, arm.settings.peak_rebate
    category, rebate = tariff.categories[name], tariff.prepaid_rebate
    per_kwh, share = rebate.inr_per_kwh, rebate.percent_of_energy
    eligible = name in rebate.categories
    row = [0] * (SURCHARGE_RATE + 1)
    row[SLAB_COUNT] = len(category.slabs)
    row[FIXED_PAISE] = _paise(category.fixed.inr_per_month)
    row[FIXED_BASIS] = BASES.index(category.fixed.basis)
    row[DUTY_SHARE] = 0 if name in tariff.duty.exempt else _percent(tariff.duty.percent)
    row[DUTY_ON_NET] = tariff.duty.base == "energy_after_subsidy"
    row[REBATE_RATE] = _paise(per_kwh) * RATE_PER_PAISA if eligible and per_kwh is not None else 0
    row[REBATE_SHARE] = _percent(share) if eligible and share is not None else 0
    row[FREE_WH] = round(tariff.free_kwh(name, on)) * WH_PER_KWH
    row[KVAH] = category.unit == "kVAh"
    row[SURCHARGE_RATE] = round(tariff.surcharge_inr_per_kwh(name, on) * RATE_PER_INR)
    if events is not None and name in events.categories:
        row[EVENT_RATE] = round(events.inr_per_kwh * RATE_PER_INR)
    return row


def _percent(number: Number) -> int:
    return round(number.value * ONE / 100)


def _paise(number: Number) -> int:
    return round(number.value * PAISE_PER_INR)


def plan_hours(arm: ArmTariff, category: str, plan: int) -> dict[str, str]:
    """Hours of the periods of a plan by name; empty for flat rates."""
    base, own = arm.tariff.base_time_of_day(category), arm.settings.plan()
    if plan == PLAN_ARM and own is not None and category in own.categories:
        return own.hours
    return base.hours if plan == PLAN_BASE and base is not None else {}


def _by_zone(hours: Mapping[str, str], multipliers: Mapping[str, float], zones: Zones) -> NDArray[np.int64]:
    """Multiplier of each zone."""
    names = [period_at(hours, zones.first_minute(zone)) for zone in range(zones.n_zones)]
    return np.array([ONE if name == NORMAL else round(multipliers[name] * ONE) for name in names], np.int64)


def _plans(arm: ArmTariff, zones: Zones, names: list[str], on: date) -> tuple[NDArray[np.int64], ...]:
    """Multipliers by zone of the three plans, who is on them (``by_plan``), and whether they scale the subsidy too."""
    n = len(names)
    multiplier = np.full((n, 3, zones.n_zones), ONE, np.int64)
    by_plan = np.zeros((n, 3, SHAPE_NEEDS_SMART + 1), np.int64)
    scales = np.zeros((n, 3), np.int64)
    by_plan[:, PLAN_FLAT, PLAN_ON] = 1
    own, critical = arm.settings.plan(on), arm.settings.critical_peak
    called = critical.programme if critical is not None else None
    in_event = np.array([zones.has_event(zone, called) for zone in range(zones.n_zones)])
    for code, name in enumerate(names):
        base = arm.tariff.base_time_of_day(name)
        if base is not None:
            factors = {key: period.multiplier.value for key, period in base.periods.items()}
            multiplier[code, PLAN_BASE] = _by_zone(base.hours, factors, zones)
            above_w = round(base.above_kw.value * W_PER_KW)
            by_plan[code, PLAN_BASE, :FREE_RULE] = 1, above_w + 1, base.requires_smart_meter
            scales[code, PLAN_BASE] = base.applies_to == "after_subsidy"
        if own is not None and name in own.categories:
            factors = {key: part.multiplier for key, part in own.periods.items()}
            multiplier[code, PLAN_ARM] = _by_zone(own.hours, factors, zones)
            if critical is not None:
                multiplier[code, PLAN_ARM, in_event] = round(critical.multiplier * ONE)
            by_plan[code, PLAN_ARM, :FREE_RULE] = 1, round(own.min_kw * W_PER_KW), own.requires_smart_meter
            scales[code, PLAN_ARM] = own.applies_to == "after_subsidy"
    return multiplier, by_plan, scales


def _shape_free_block(
    arm: ArmTariff, zones: Zones, by_plan: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Write the rule of the free block into ``by_plan``; return limits by period (group of each zone, Wh per group).

    An arm with time of day shapes the block of those on its plan; one without shapes it for all smart meters.
    """
    group, limits = np.full(zones.n_zones, -1, np.int64), np.zeros(1, np.int64)
    free, own = arm.settings.free_units, arm.settings.plan()
    if free is None:
        return group, limits
    covered = np.zeros(by_plan.shape[:2], np.int64)
    if own is None:
        covered[:, :PLAN_ARM] = 1
        by_plan[:, :PLAN_ARM, SHAPE_NEEDS_SMART] = 1
    else:
        covered[:, PLAN_ARM] = by_plan[:, PLAN_ARM, PLAN_ON]
    if free.weight is not None:
        by_plan[:, :, FREE_RULE] = covered * FREE_WEIGHTED
    elif free.rebate is not None:
        by_plan[:, :, UNUSED_RATE] = covered * round(free.rebate.inr_per_kwh * RATE_PER_INR)
    elif free.per_period is not None and own is not None:
        by_plan[:, :, FREE_RULE] = covered * FREE_PER_PERIOD
        limited = list(free.per_period)
        limits = np.array([round(kwh * WH_PER_KWH) for kwh in free.per_period.values()], np.int64)
        periods = [period_at(own.hours, zones.first_minute(zone)) for zone in range(zones.n_zones)]
        group = np.array([limited.index(name) if name in limited else -1 for name in periods], np.int64)
    return group, limits
