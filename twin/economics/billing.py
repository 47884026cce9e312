"""Bills, exact to the paisa, in whole numbers.

A bill to date is ``total = energy + fixed + duty - rebate - subsidy``. Each component is an exact ratio of whole
numbers rounded once, half up, to the paisa:

- energy: all units of the month to date at the rate before subsidy, with the fuel surcharge (FPPCA); free units are in
  it, and in the subsidy in full
- subsidy: the state's part per billed unit, and the whole charge of the free units
- fixed: of a month, by days; nothing while the month to date is within the free units
- duty: a share of the (rounded) energy charge of the billed units
- rebate: prepaid rebate on billed units, no more than the consumer's energy charge; payment for unused free units and
  for units below the usual in event hours

Slabs count all units of the month, free ones first. Every slab holds the periods in proportion to their use, so that a
unit's price does not depend on the day it was used. The bill of a window is the bill to date at its end less the bill
to date at its start; pieces therefore add up exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.economics.rates import (
    DUTY_ON_NET,
    DUTY_SHARE,
    EVENT_RATE,
    FIXED_BASIS,
    FIXED_PAISE,
    FREE_RULE,
    FREE_WH,
    KVAH,
    ONE,
    OPEN_END_WH,
    REBATE_RATE,
    REBATE_SHARE,
    SLAB_COUNT,
    UNUSED_RATE,
    RateTable,
)
from twin.economics.slabs import (
    CHARGE_PER_PAISA,
    OPTED_OUT,
    PER_MILLE,
    SMART,
    billed_wh,
    energy_charges,
    event_saving_wh,
    fixed_quantity,
    half_up,
    is_shaped,
    plan_of,
    prorated,
    units_used,
)


class BillColumns(NamedTuple):
    """What billing needs to know of each consumer; all arrays of shape (n,)."""

    category: NDArray[np.uint8]
    sanctioned_kw: NDArray[np.float32]
    """Held to the watt. [kW]"""
    contract_kva: NDArray[np.float32]
    """Contract demand; 0 where the contract is in kW: then sanctioned_kw / power_factor. Held to the VA. [kVA]"""
    flags: NDArray[np.uint8]
    """SMART, OPTED_OUT."""
    power_factor: NDArray[np.float32]
    """Mean of the month, above 0; held to three decimals. Matters to categories billed in kVAh."""


class BillDays(NamedTuple):
    """Days behind a bill to date. Arrays of shape (n,)."""

    fixed_days: NDArray[np.int32]
    """Days for which fixed charges are due so far."""
    slab_days: NDArray[np.int32]
    """Days of the month that the slabs and free units are for: the whole month, unless connection or tariff changed."""
    month_days: int
    """Days of the month."""


class BillOut(NamedTuple):
    """Components of bills [paise], shape (n,). ``total = energy + fixed + duty - rebate - subsidy``."""

    energy: NDArray[np.int64]
    fixed: NDArray[np.int64]
    duty: NDArray[np.int64]
    rebate: NDArray[np.int64]
    subsidy: NDArray[np.int64]
    total: NDArray[np.int64]


def bill_out(n: int) -> BillOut:
    """Room for ``n`` bills."""
    return BillOut(*(np.zeros(n, np.int64) for _ in BillOut._fields))


def whole_month(n: int, days_to_date: int, month_days: int) -> BillDays:
    """Days of ``n`` consumers who were connected, on this tariff, since the first of the month."""
    return BillDays(np.full(n, days_to_date, np.int32), np.full(n, month_days, np.int32), month_days)


@nb.njit(cache=True, error_model="numpy")
def bill_month(
    rates: RateTable, columns: BillColumns, zone_wh: NDArray[np.int64], days: BillDays, out: BillOut
) -> None:
    """Bills of the month to date for all consumers, into ``out``. See the module for the rules.

    Parameters
    ----------
    rates : RateTable
        From `twin.economics.rates.rate_table`.
    columns : BillColumns
        Consumers, shape (n,).
    zone_wh : int64 array, shape (n, zones)
        Energy of the month to date by zone, not below 0; at most 60 GWh in all. [Wh]
    days : BillDays
        From `whole_month`, or by consumer.
    out : BillOut
        From `bill_out`; overwritten. [paise]
    """
    by_category, by_plan, slab_end_wh, gross_rate, subsidy_rate, multiplier, limit_group, limit_wh = rates[:8]
    event_role, event_days = rates[8:]
    categories, sanctioned_kw, contract_kva, all_flags, power_factors = columns
    fixed_days, all_slab_days, month_days = days
    out_energy, out_fixed, out_duty, out_rebate, out_subsidy, out_total = out
    ends = np.full(slab_end_wh.shape[1], OPEN_END_WH)
    mix = np.empty(zone_wh.shape[1], np.int64)
    paid = np.empty(zone_wh.shape[1], np.int64)
    for i in range(zone_wh.shape[0]):
        c, flags, slab_days = np.int64(categories[i]), np.int64(all_flags[i]), all_slab_days[i]
        watt = np.int64(sanctioned_kw[i] * PER_MILLE + 0.5)
        plan = plan_of(by_plan, c, watt, flags)
        shaped = is_shaped(by_plan, c, plan, flags)
        rule = by_plan[c, plan, FREE_RULE] if shaped else 0
        last = by_category[c, SLAB_COUNT] - 1
        for k in range(last):
            ends[k] = prorated(slab_end_wh[c, k], slab_days, month_days)
        ends[last] = OPEN_END_WH
        units = billed_wh(by_category[c, KVAH], power_factors[i], zone_wh, i, mix)
        free = by_category[c, FREE_WH]
        free_now = prorated(free, slab_days, month_days)
        used = units_used(multiplier, c, plan, rule, mix, units)

        energy, billed, granted, billed_units = energy_charges(
            gross_rate, subsidy_rate, limit_group, limit_wh, c, plan, rule, free_now, used, units,
            slab_days, month_days, ends, mix, paid,
        )  # fmt: skip
        energy, billed = half_up(energy, CHARGE_PER_PAISA), half_up(billed, CHARGE_PER_PAISA)
        granted = half_up(granted, CHARGE_PER_PAISA)
        fixed = 0
        if free == 0 or used > free_now * ONE:
            basis = by_category[c, FIXED_BASIS]
            quantity, scale = fixed_quantity(basis, watt, contract_kva[i], power_factors[i])
            fixed = half_up(by_category[c, FIXED_PAISE] * quantity * fixed_days[i], scale * month_days)
        duty_base = billed - granted if by_category[c, DUTY_ON_NET] else billed
        duty = half_up(duty_base * by_category[c, DUTY_SHARE], ONE)
        rebate = 0
        if flags & SMART:
            rebate = half_up(billed_units * by_category[c, REBATE_RATE], CHARGE_PER_PAISA)
            rebate = min(rebate + half_up(billed * by_category[c, REBATE_SHARE], ONE), billed - granted)
        if shaped and by_plan[c, plan, UNUSED_RATE] > 0:
            unused = half_up(free * fixed_days[i], month_days) - used // ONE
            rebate += half_up(max(unused, 0) * by_plan[c, plan, UNUSED_RATE], CHARGE_PER_PAISA)
        if flags & SMART and not flags & OPTED_OUT and by_category[c, EVENT_RATE] > 0:
            saved = event_saving_wh(event_role, event_days, zone_wh, i, fixed_days[i])
            rebate += half_up(saved * by_category[c, EVENT_RATE], CHARGE_PER_PAISA)
        subsidy = granted + energy - billed
        out_energy[i], out_fixed[i], out_duty[i], out_rebate[i] = energy, fixed, duty, rebate
        out_subsidy[i], out_total[i] = subsidy, energy + fixed + duty - rebate - subsidy


def bill_window(
    rates: RateTable,
    columns: BillColumns,
    start_wh: NDArray[np.int64],
    start_days: BillDays,
    end_wh: NDArray[np.int64],
    end_days: BillDays,
) -> BillOut:
    """Bills of a window within a month: to date at its end less to date at its start. [paise]

    ``start_wh`` and ``end_wh`` are energies of the month to date, shape (n, zones), at the window's two edges. Windows
    that follow each other add up exactly to the bill of the whole. A component of a window can be negative where the
    month to date crosses a limit, its sum over the month cannot (payments for unused units apart).
    """
    before, after = bill_out(len(start_wh)), bill_out(len(end_wh))
    bill_month(rates, columns, start_wh, start_days, before)
    bill_month(rates, columns, end_wh, end_days, after)
    return BillOut(*(late - early for late, early in zip(after, before, strict=True)))
