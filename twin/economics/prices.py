"""What one more unit costs: by category above the free block, and exactly for each consumer's month.

Prices are of the energy charge, as the tariff states them: duty and the prepaid rebate are left out. ``seen = gross -
subsidy``. For categories billed in kVAh they are per kVAh unless said otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.datapack import categories
from twin.economics.arms import ArmTariff
from twin.economics.billing import BillColumns
from twin.economics.rates import (
    EVENT_HOURS,
    EVENT_RATE,
    FREE_PER_PERIOD,
    FREE_RULE,
    FREE_WEIGHTED,
    FREE_WH,
    KVAH,
    ONE,
    OPEN_END_WH,
    PLAN_ARM,
    RATE_PER_INR,
    SHAPE_NEEDS_SMART,
    SLAB_COUNT,
    UNUSED_RATE,
    RateTable,
    plan_hours,
)
from twin.economics.slabs import (
    CHARGE_PER_PAISA,
    OPTED_OUT,
    PER_MILLE,
    SMART,
    billed_wh,
    energy_charges,
    is_shaped,
    plan_of,
    units_used,
)
from twin.economics.windows import Zones, stretches
from twin.hours import period_at
from twin.units import MINUTES_PER_DAY, PAISE_PER_INR, WH_PER_KWH

WITHIN_BLOCK, OVER_LIMIT, ABOVE_BLOCK = 0, 1, 2
"""State of a consumer's month: all free; free units left, but a period over its limit; free units used up (or none)."""


_CLASSES = 6  # income classes 1 to 5 of homes, 0 for all else


class PriceRow(NamedTuple):
    """A row of table ``prices``; prices in INR per billed unit above any free block."""

    arm: str
    category: str
    income_class: int
    period: str
    start: str
    end: str
    gross_inr_per_kwh: float
    subsidy_inr_per_kwh: float
    seen_inr_per_kwh: float
    share_at_zero: float


class MarginalPrices(NamedTuple):
    """Prices of one more unit in the top slab, above the free block; (categories, zones). [INR per billed unit]"""

    gross: NDArray[np.float64]
    subsidy: NDArray[np.float64]
    seen: NDArray[np.float64]


def marginal_prices(rates: RateTable, plan: int | NDArray[np.int64] = PLAN_ARM) -> MarginalPrices:
    """Marginal prices above the free block.

    Parameters
    ----------
    rates : RateTable
        From `twin.economics.rates.rate_table`.
    plan : int or int array, shape (categories,)
        The plan to look at; a category that does not know it is shown at flat rates (multiplier 1).
    """
    codes = np.arange(len(rates.by_category))
    chosen = np.broadcast_to(np.asarray(plan), codes.shape)
    top = rates.by_category[:, SLAB_COUNT] - 1
    gross, subsidy = rates.gross_rate[codes, chosen, top], rates.subsidy_rate[codes, chosen, top]
    return MarginalPrices(gross / RATE_PER_INR, subsidy / RATE_PER_INR, (gross - subsidy) / RATE_PER_INR)


def state_prices(
    rates: RateTable, plan: int | NDArray[np.int64] = PLAN_ARM, *, shaped: bool = True
) -> NDArray[np.float64]:
    """Seen price by state of the month, shape (3 states, categories, zones). [INR per billed unit]

    State WITHIN_BLOCK costs nothing, or the payment for unused units that one more unit forgoes; OVER_LIMIT costs in
    the limited periods only; ABOVE_BLOCK is `marginal_prices`. Categories without free units have one price. Consumers
    whose free block the arm does not shape (no smart meter, opted out) are not ``shaped``.
    """
    codes = np.arange(len(rates.by_category))
    chosen = np.broadcast_to(np.asarray(plan), codes.shape)
    above = marginal_prices(rates, plan).seen
    free = rates.by_category[:, FREE_WH] > 0
    unused = rates.by_plan[codes, chosen, UNUSED_RATE] / RATE_PER_INR * shaped
    is_limited = (rates.by_plan[codes, chosen, FREE_RULE] == FREE_PER_PERIOD) & shaped
    limited = (rates.limit_group >= 0) & is_limited[:, None]
    within = np.where(free[:, None], unused[:, None], above)
    over = np.where(free[:, None], np.where(limited, above, unused[:, None]), above)
    return np.stack([within, over, above])


@nb.njit(cache=True, error_model="numpy")
def plans(rates: RateTable, columns: BillColumns, out: NDArray[np.uint8]) -> None:
    """Write each consumer's plan (PLAN_FLAT, PLAN_BASE, PLAN_ARM) to ``out``, shape (n,)."""
    by_plan, category, kw, flags = rates.by_plan, columns.category, columns.sanctioned_kw, columns.flags
    for i in range(out.size):
        watt = np.int64(kw[i] * PER_MILLE + 0.5)
        out[i] = plan_of(by_plan, np.int64(category[i]), watt, np.int64(flags[i]))


@nb.njit(cache=True, error_model="numpy")
def consumer_prices(
    rates: RateTable,
    columns: BillColumns,
    month_wh: NDArray[np.int64],
    seen: NDArray[np.float64],
    state: NDArray[np.uint8],
) -> None:
    """What one more kWh in each zone would add to the energy part of each consumer's month, exactly.

    The tariff's own arithmetic, with and without the kWh. Under plain time of day the level is the top slab's, but free
    units reduce every period in proportion, so that the *spread* between periods is diluted by the share of units that
    are free: a home at 150 kWh with 125 free sees a sixth of the spread that `marginal_prices` shows.

    Parameters
    ----------
    rates : RateTable
        From `twin.economics.rates.rate_table`.
    columns : BillColumns
        Consumers, shape (n,).
    month_wh : int64 array, shape (n, zones)
        Energy of the whole (projected) month. [Wh]
    seen : float64 array, shape (n, zones)
        Overwritten. [INR per kWh used, also where billed in kVAh]
    state : uint8 array, shape (n,)
        Overwritten: WITHIN_BLOCK, OVER_LIMIT, ABOVE_BLOCK (also where there are no free units).

    Notes
    -----
    Duty, prepaid rebate and the fixed charge that falls due at the end of the free block are left out. In event hours a
    kWh forgoes the rebate of events; that more use at other times raises the usual is left out (nobody reckons so far).
    """
    by_category, by_plan, slab_end_wh, gross, subsidy, multiplier, limit_group, limit_wh = rates[:8]
    event_role = rates.event_role
    categories, sanctioned_kw, _, all_flags, power_factors = columns
    n_zones = month_wh.shape[1]
    ends = np.full(slab_end_wh.shape[1], OPEN_END_WH)
    more, mix, paid = np.empty((1, n_zones), np.int64), np.empty(n_zones, np.int64), np.empty(n_zones, np.int64)
    for i in range(month_wh.shape[0]):
        c, flags = np.int64(categories[i]), np.int64(all_flags[i])
        plan = plan_of(by_plan, c, np.int64(sanctioned_kw[i] * PER_MILLE + 0.5), flags)
        shaped = is_shaped(by_plan, c, plan, flags)
        rule = by_plan[c, plan, FREE_RULE] if shaped else 0
        unused_rate = by_plan[c, plan, UNUSED_RATE] if shaped else 0
        free = by_category[c, FREE_WH]
        ends[:] = slab_end_wh[c]
        before = 0
        state[i] = ABOVE_BLOCK
        for z in range(-1, n_zones):
            for k in range(n_zones):
                more[0, k] = month_wh[i, k] + (WH_PER_KWH if k == z else 0)
            units = billed_wh(by_category[c, KVAH], power_factors[i], more, 0, mix)
            used = units_used(multiplier, c, plan, rule, mix, units)
            _, billed, granted, billed_units = energy_charges(
                gross, subsidy, limit_group, limit_wh, c, plan, rule, free, used, units, 1, 1, ends, mix, paid
            )
            pays = billed - granted - max(free - used // ONE, 0) * unused_rate
            if z >= 0:
                seen[i, z] = (pays - before) / (CHARGE_PER_PAISA * PAISE_PER_INR)
                if event_role[z] == EVENT_HOURS and flags & SMART and not flags & OPTED_OUT:
                    seen[i, z] += by_category[c, EVENT_RATE] / RATE_PER_INR
                continue
            before = pays
            # free units are cut to the Wh by zone: used up is used up to a Wh per zone
            left = units - billed_units < free - n_zones if rule == FREE_PER_PERIOD else used <= free * ONE
            if free > 0 and (left or billed_units == 0):
                state[i] = OVER_LIMIT if billed_units > 0 else WITHIN_BLOCK


def state_price_table(rates: RateTable) -> NDArray[np.float64]:
    """`state_prices` by free block (not shaped, shaped) and plan, shape (2, 3 plans, 3 states, categories, zones)."""
    return np.array([[state_prices(rates, p, shaped=bool(s)) for p in range(PLAN_ARM + 1)] for s in range(2)])


def consumer_state_prices(
    rates: RateTable, columns: BillColumns, table: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """`state_prices` of each consumer's own plan and free block, shape (3 states, n, zones). [INR per billed unit]

    ``table`` is the `state_price_table` of the rates, where the caller keeps it: few consumers cost no more than it.
    """
    plan = np.empty(len(columns.category), np.uint8)
    plans(rates, columns, plan)
    needs_smart = rates.by_plan[columns.category, plan, SHAPE_NEEDS_SMART] == 1
    shaped = ((columns.flags & SMART > 0) | ~needs_smart) & (columns.flags & OPTED_OUT == 0)
    table = state_price_table(rates) if table is None else table
    prices = table[shaped.astype(int), plan, :, columns.category].transpose(1, 0, 2)
    rebated = (columns.flags & SMART > 0) & (columns.flags & OPTED_OUT == 0)
    forgone = rates.by_category[columns.category, EVENT_RATE] / RATE_PER_INR * rebated
    return np.ascontiguousarray(prices + forgone[:, None] * (rates.event_role == EVENT_HOURS))


def above_block_prices(
    rates: RateTable, columns: BillColumns, month_wh: NDArray[np.int64], margin: float
) -> NDArray[np.float64]:
    """`consumer_prices` if the month ends at least ``margin`` (a share of the free block) above the block.

    A month below that is scaled up to it with the same mix of periods (an empty month in equal parts). This is the
    price that counts for the part of a response that is weighted by the probability of passing the block.

    Parameters
    ----------
    rates, columns, month_wh
        As for `consumer_prices`.
    margin : float
        For example the coefficient of variation of the forecast of the month. [-]

    Returns
    -------
    seen : float64 array, shape (n, zones)
        [INR per kWh used]
    """
    n, n_zones = month_wh.shape
    plan = np.empty(n, np.uint8)
    plans(rates, columns, plan)
    rule = rates.by_plan[columns.category, plan, FREE_RULE]
    weight = np.where((rule == FREE_WEIGHTED)[:, None], rates.multiplier[columns.category, plan] / ONE, 1.0)
    need = rates.by_category[columns.category, FREE_WH] * (1.0 + margin)
    use = np.where(month_wh.sum(axis=1, keepdims=True) > 0, month_wh, 1).astype(np.float64)
    scale = np.maximum(need / (use * weight).sum(axis=1), 1.0)
    scale = np.where(rule == FREE_PER_PERIOD, _scale_to_exhaust(rates, use, need, scale), scale)
    seen, state = np.empty((n, n_zones)), np.empty(n, np.uint8)
    consumer_prices(rates, columns, np.ceil(use * scale[:, None]).astype(np.int64), seen, state)
    return seen


def _scale_to_exhaust(
    rates: RateTable, use: NDArray[np.float64], need: NDArray[np.float64], least: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Factor on a month, ``least`` or more, at which units that may be free reach ``need`` under limits by period.

    Limits fill as use grows, so taking them at ``least`` errs on the side of more. Without a period that has no limit
    the block may never be used up: then ``least``. Shape (n,).
    """
    may = np.zeros(len(use))
    for group, limit in enumerate(rates.limit_wh):
        may += np.minimum(use[:, rates.limit_group == group].sum(axis=1) * least, limit)
    unlimited = use[:, rates.limit_group < 0].sum(axis=1)
    exhausting = np.divide(need - may, unlimited, out=least.copy(), where=unlimited > 0)
    return np.maximum(exhausting, least)


class PriceCounts(NamedTuple):
    """Consumers by category (C), income class (0 to 5) and plan, as sums that shards add up."""

    weight: NDArray[np.float64]
    """[C, 6, 3] consumers represented."""
    zero: NDArray[np.float64]
    """[C, 6, Z] of them, those for whom one more kWh in a zone costs nothing."""


def price_counts(n_categories: int, n_zones: int) -> PriceCounts:
    """Empty counts."""
    return PriceCounts(np.zeros((n_categories, _CLASSES, 3)), np.zeros((n_categories, _CLASSES, n_zones)))


def count_prices(
    rates: RateTable,
    columns: BillColumns,
    income_class: NDArray[np.integer],
    month_wh: NDArray[np.int64],
    group: NDArray[np.int64],
    counts: list[PriceCounts],
) -> None:
    """Add consumers to the counts of their ``group``; arrays of shape (n,).

    ``month_wh``, shape (n, zones), is the projected month. [Wh]
    """
    n, n_zones = month_wh.shape
    plan, seen, state = np.empty(n, np.uint8), np.empty((n, n_zones)), np.empty(n, np.uint8)
    plans(rates, columns, plan)
    consumer_prices(rates, columns, month_wh, seen, state)
    cell = columns.category.astype(np.int64) * _CLASSES + income_class
    for code in np.unique(group):
        rows, into = group == code, counts[code]
        size = into.zero.shape[0] * _CLASSES
        into.weight[:] += np.bincount(cell[rows] * 3 + plan[rows], minlength=3 * size).reshape(into.weight.shape)
        for zone in range(n_zones):
            is_zero = np.bincount(cell[rows], seen[rows, zone] == 0.0, size)
            into.zero[:, :, zone] += is_zero.reshape(-1, _CLASSES)


def price_rows(arm_name: str, arm: ArmTariff, rates: RateTable, zones: Zones, counts: PriceCounts) -> list[PriceRow]:
    """Rows of table ``prices``: by category, income class and stretch of the day.

    A group is shown at the plan furthest from flat rates that any of its consumers is on (the arm's, the tariff's own
    time of day, flat); ``share_at_zero`` counts all its consumers. Groups without consumers have no rows.
    """
    rows = []
    names = [row.category for row in categories()]
    for code, income_class in np.argwhere(counts.weight.sum(axis=2) > 0).tolist():
        weight = counts.weight[code, income_class]
        plan = int(np.flatnonzero(weight)[-1])
        prices = marginal_prices(rates, plan)
        hours = plan_hours(arm, names[code], plan)
        labels = [period_at(hours, step * MINUTES_PER_DAY // zones.steps) for step in range(zones.steps)]
        for period, start, end in stretches(labels):
            zone = int(zones.zone_of_step[_step(start, zones.steps)])
            share = float(counts.zero[code, income_class, zone] / weight.sum())
            gross, subsidy, seen = (float(part[code, zone]) for part in prices)
            rows.append(PriceRow(arm_name, names[code], income_class, period, start, end, gross, subsidy, seen, share))
    return rows


def _step(clock: str, steps: int) -> int:
    hour, minute = clock.split(":")
    return (int(hour) * 60 + int(minute)) * steps // MINUTES_PER_DAY
