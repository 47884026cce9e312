"""A bill written out line by line, in exact fractions: what a consumer could check with pen and paper.

The arithmetic is that of `twin.economics.billing`, done a second time for one consumer. Lines are rounded so that they
add up: each shows how far the rounded running sum of its component moves, so that the sum of the lines is the
component to the paisa.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np
from numpy.typing import NDArray

from twin.datapack import categories
from twin.economics.arms import ArmTariff
from twin.economics.billing import BillColumns
from twin.economics.rates import (
    BASES,
    DUTY_ON_NET,
    DUTY_SHARE,
    EVENT_RATE,
    FIXED_BASIS,
    FIXED_PAISE,
    FREE_PER_PERIOD,
    FREE_RULE,
    FREE_WEIGHTED,
    FREE_WH,
    KVAH,
    ONE,
    OPEN_END_WH,
    PLAN_ARM,
    RATE_PER_INR,
    REBATE_RATE,
    REBATE_SHARE,
    SLAB_COUNT,
    SURCHARGE_RATE,
    UNUSED_RATE,
    RateTable,
    plan_hours,
)
from twin.economics.slabs import (
    CHARGE_PER_PAISA,
    OPTED_OUT,
    SMART,
    billed_wh,
    event_saving_wh,
    fixed_quantity,
    half_up,
    is_shaped,
    plan_of,
    prorated,
    split_limited,
    units_used,
)
from twin.economics.windows import Zones
from twin.hours import NORMAL, period_at
from twin.units import PAISE_PER_INR, WH_PER_KWH

HALF = Fraction(1, 2)
_BASIS_WORDS = {"connection": "connection", "kw": "kW", "kva": "kVA", "hp": "HP"}
COMPONENTS = ("energy", "fixed", "duty", "rebate", "subsidy")
"""As in table ``bills``; the last two lower the bill."""


@dataclass(frozen=True)
class BillLine:
    """One line. ``paise`` carries the sign it has on the bill: rebates and subsidy are below zero."""

    component: str
    what: str
    quantity: Fraction | None
    """In ``unit``; None where there is nothing to multiply."""
    unit: str
    rate_inr: Fraction | None
    """Per ``unit``. [INR]"""
    paise: int


@dataclass(frozen=True)
class MonthToDate:
    """What a bill to date is made of. Energies by zone, shape (zones,)."""

    zone_wh: NDArray[np.int64]
    fixed_days: int
    slab_days: int
    month_days: int


@dataclass(frozen=True)
class _Month:
    """A consumer's month in the terms of the tariff. Units are Wh, or VAh where the category is billed in kVAh."""

    code: int
    plan: int
    watt: int
    flags: int
    shaped: bool
    rule: int
    ends: list[int]
    mix: NDArray[np.int64]
    units: int
    free: int
    used: int
    """Units that count against the free block. [1e-4 Wh]"""
    paid: NDArray[np.int64]
    """Billed units by zone, in the proportions that the charge is shared by."""
    billed_units: int
    unit: str


def worked_bill(
    arm: ArmTariff, rates: RateTable, zones: Zones, columns: BillColumns, date: MonthToDate
) -> list[BillLine]:
    """Every line of one consumer's bill of the month to date.

    Parameters
    ----------
    arm, rates, zones
        The arm's tariff, its rates of the month and the zones of the registers.
    columns : BillColumns
        Of the one consumer, shape (1,).
    date : MonthToDate
        Registers and days.

    Returns
    -------
    list of BillLine
        In the order of the bill. The sum of their ``paise`` is the bill's total.
    """
    month = _month(rates, columns, date)
    periods = _periods(arm, zones, month)
    energy = _charge(rates.gross_rate, periods, month, month.mix, 0)
    billed = _charge(rates.gross_rate, periods, month, month.paid, month.units - month.billed_units)
    granted = _charge(rates.subsidy_rate, periods, month, month.paid, month.units - month.billed_units)
    energy_lines = _energy_lines(rates, periods, month)
    energy_paise, billed_paise, granted_paise = (_rounded(part) for part in (energy, billed, granted))
    lines = _lines("energy", "energy", energy_lines, month.unit, sign=1)
    lines += _free_line(month, energy_paise - billed_paise)
    lines += _lines("subsidy", "state subsidy", granted, month.unit, sign=-1)
    lines += _fixed(rates, columns, month, date)
    lines += _duty(rates, month, billed_paise, granted_paise)
    return lines + _rebates(rates, month, date, billed_paise, granted_paise) + _event_rebate(rates, month, date)


def _month(rates: RateTable, columns: BillColumns, date: MonthToDate) -> _Month:
    """Units, plan and free block of one consumer."""
    code, flags = int(columns.category[0]), int(columns.flags[0])
    watt = int(float(columns.sanctioned_kw[0]) * WH_PER_KWH + 0.5)
    plan = int(plan_of(rates.by_plan, code, watt, flags))
    shaped = bool(is_shaped(rates.by_plan, code, plan, flags))
    rule = int(rates.by_plan[code, plan, FREE_RULE]) if shaped else 0
    last = int(rates.by_category[code, SLAB_COUNT]) - 1
    ends = [int(prorated(int(end), date.slab_days, date.month_days)) for end in rates.slab_end_wh[code, :last]]
    mix = np.empty(len(date.zone_wh), np.int64)
    is_kvah = int(rates.by_category[code, KVAH])
    units = int(billed_wh(is_kvah, columns.power_factor[0], date.zone_wh[None], 0, mix))
    free = int(prorated(int(rates.by_category[code, FREE_WH]), date.slab_days, date.month_days))
    used = int(units_used(rates.multiplier, code, plan, rule, mix, units))
    paid, billed_units = mix.copy(), units
    if rule == FREE_PER_PERIOD and free > 0:
        billed_units = int(
            split_limited(rates.limit_group, rates.limit_wh, free, date.slab_days, date.month_days, mix, paid)
        )
    elif free > 0 and used <= free * ONE:
        billed_units = 0
    elif rule == FREE_WEIGHTED and free > 0:
        billed_units = units - free * ONE * units // used
    else:
        billed_units = units - free
    unit = "kVAh" if is_kvah else "kWh"
    ends.append(OPEN_END_WH)
    return _Month(code, plan, watt, flags, shaped, rule, ends, mix, units, free, used, paid, billed_units, unit)


def _periods(arm: ArmTariff, zones: Zones, month: _Month) -> list[str]:
    """Name and hours of the period that each zone lies in; empty text under flat rates."""
    hours = plan_hours(arm, categories()[month.code].category, month.plan)
    names = [period_at(hours, zones.first_minute(zone)) for zone in range(len(month.mix))]
    words = ["" if not hours else name if name == NORMAL else f"{name} {hours[name]}" for name in names]
    critical = arm.settings.critical_peak
    if critical is not None and month.plan == PLAN_ARM:
        for zone in range(len(words)):
            if zones.has_event(zone, critical.programme):
                words[zone] = f"critical peak {critical.hours}"
    return words


@dataclass(frozen=True)
class _Piece:
    """Units of a slab in a period at one rate."""

    what: str
    kwh: Fraction
    rate_inr: Fraction

    @property
    def paise(self) -> Fraction:
        """Charge before rounding."""
        return self.kwh * self.rate_inr * PAISE_PER_INR


def _charge(
    rate: NDArray[np.int64], periods: list[str], month: _Month, mix: NDArray[np.int64], low: int
) -> list[_Piece]:
    """Units ``low`` to the month's end by slab and period; each slab holds the periods in proportion to ``mix``."""
    pieces, start, mix_total = [], 0, int(mix.sum())
    for slab, end in enumerate(month.ends):
        units = min(end, month.units) - max(start, low)
        if units > 0 and mix_total > 0:
            words = _slab_words(start, end, len(month.ends), month.unit)
            for period, value in dict.fromkeys(
                (periods[zone], int(rate[month.code, month.plan, slab, zone])) for zone in range(len(mix))
            ):
                inside = [
                    int(mix[zone])
                    for zone in range(len(mix))
                    if (periods[zone], int(rate[month.code, month.plan, slab, zone])) == (period, value)
                ]
                if share := sum(inside):
                    what = ", ".join(part for part in (words, period) if part)
                    kwh = Fraction(units * share, mix_total * WH_PER_KWH)
                    pieces.append(_Piece(what, kwh, Fraction(value, RATE_PER_INR)))
        start = end
    return pieces


def _energy_lines(rates: RateTable, periods: list[str], month: _Month) -> list[_Piece]:
    """Energy of all units, and the fuel surcharge, which is in the gross rates, as a piece of its own."""
    surcharge = int(rates.by_category[month.code, SURCHARGE_RATE])
    pieces = _charge(rates.gross_rate - surcharge, periods, month, month.mix, 0)
    if surcharge and month.units:
        kwh = Fraction(month.units, WH_PER_KWH)
        pieces.append(_Piece("fuel and power-purchase adjustment (FPPCA)", kwh, Fraction(surcharge, RATE_PER_INR)))
    return pieces


def _slab_words(start_wh: int, end_wh: int, n_slabs: int, unit: str) -> str:
    if n_slabs == 1:
        return ""
    if end_wh == OPEN_END_WH:
        return f"above {start_wh / WH_PER_KWH:g} {unit}"
    return f"{start_wh / WH_PER_KWH:g} to {end_wh / WH_PER_KWH:g} {unit}"


def _rounded(pieces: Iterable[_Piece]) -> int:
    return floor(sum((piece.paise for piece in pieces), Fraction(0)) + HALF)


def _lines(component: str, title: str, pieces: list[_Piece], unit: str, sign: int) -> list[BillLine]:
    """Lines of a charge whose rounded amounts add up to the rounded charge."""
    lines, running, before = [], Fraction(0), 0
    for piece in pieces:
        running += piece.paise
        now = floor(running + HALF)
        what = f"{title}: {piece.what}" if piece.what else title
        if piece.rate_inr:
            lines.append(BillLine(component, what, piece.kwh, unit, sign * piece.rate_inr, sign * (now - before)))
        before = now
    return lines


def _free_line(month: _Month, paise: int) -> list[BillLine]:
    if month.free == 0:
        return []
    kwh = Fraction(month.units - month.billed_units, WH_PER_KWH)
    what = f"free units, {month.free / WH_PER_KWH:g} {month.unit} a month, borne by the state"
    return [BillLine("subsidy", what, kwh, month.unit, None, -paise)]


def _fixed(rates: RateTable, columns: BillColumns, month: _Month, date: MonthToDate) -> list[BillLine]:
    """The fixed charge by days, or why there is none."""
    if month.free > 0 and month.used <= month.free * ONE:
        return [BillLine("fixed", "fixed charge: none, the month is within the free units", None, "", None, 0)]
    row = rates.by_category[month.code]
    basis, rate = int(row[FIXED_BASIS]), int(row[FIXED_PAISE])
    quantity, scale = fixed_quantity(basis, month.watt, float(columns.contract_kva[0]), float(columns.power_factor[0]))
    paise = int(half_up(rate * quantity * date.fixed_days, scale * date.month_days))
    what = f"fixed charge, {date.fixed_days} of {date.month_days} days"
    amount = Fraction(int(quantity), int(scale))
    return [BillLine("fixed", what, amount, _BASIS_WORDS[BASES[basis]], Fraction(rate, PAISE_PER_INR), paise)]


def _duty(rates: RateTable, month: _Month, billed: int, granted: int) -> list[BillLine]:
    share = int(rates.by_category[month.code, DUTY_SHARE])
    on_net = bool(rates.by_category[month.code, DUTY_ON_NET])
    base = billed - granted if on_net else billed
    if share == 0:
        return []
    what = f"electricity duty on the billed units' energy charge {'after' if on_net else 'before'} subsidy"
    paise = int(half_up(base * share, ONE))
    return [BillLine("duty", what, Fraction(base, PAISE_PER_INR), "INR", Fraction(share, ONE), paise)]


def _rebates(rates: RateTable, month: _Month, date: MonthToDate, billed: int, granted: int) -> list[BillLine]:
    """The prepaid rebate, held to the consumer's energy charge, and the payment for unused free units."""
    lines, row = [], rates.by_category[month.code]
    if month.flags & SMART:
        per_unit = int(half_up(month.billed_units * int(row[REBATE_RATE]), CHARGE_PER_PAISA))
        share = int(half_up(billed * int(row[REBATE_SHARE]), ONE))
        paise = min(per_unit + share, billed - granted)
        held = ", held to the energy charge" if paise < per_unit + share else ""
        if row[REBATE_RATE]:
            kwh, rate = Fraction(month.billed_units, WH_PER_KWH), -Fraction(int(row[REBATE_RATE]), RATE_PER_INR)
            lines.append(BillLine("rebate", f"prepaid rebate{held}", kwh, month.unit, rate, -paise))
        elif row[REBATE_SHARE]:
            base, rate = Fraction(billed, PAISE_PER_INR), -Fraction(int(row[REBATE_SHARE]), ONE)
            lines.append(BillLine("rebate", f"prepaid rebate{held}", base, "INR", rate, -paise))
    unused_rate = int(rates.by_plan[month.code, month.plan, UNUSED_RATE])
    if month.shaped and unused_rate > 0:
        block = int(half_up(int(row[FREE_WH]) * date.fixed_days, date.month_days))
        unused = max(block - month.used // ONE, 0)
        paise = int(half_up(unused * unused_rate, CHARGE_PER_PAISA))
        kwh = Fraction(unused, WH_PER_KWH)
        lines.append(
            BillLine("rebate", "unused free units, paid", kwh, month.unit, -Fraction(unused_rate, RATE_PER_INR), -paise)
        )
    return lines


def _event_rebate(rates: RateTable, month: _Month, date: MonthToDate) -> list[BillLine]:
    """The rebate for using less than usual in event hours."""
    rate = int(rates.by_category[month.code, EVENT_RATE])
    if rate == 0 or not month.flags & SMART or month.flags & OPTED_OUT:
        return []
    saved = int(event_saving_wh(rates.event_role, rates.event_days, date.zone_wh[None], 0, date.fixed_days))
    paise = int(half_up(saved * rate, CHARGE_PER_PAISA))
    what = f"below the usual in event hours, {int(rates.event_days[date.fixed_days])} called"
    return [BillLine("rebate", what, Fraction(saved, WH_PER_KWH), "kWh", -Fraction(rate, RATE_PER_INR), -paise)]


def component_paise(lines: Iterable[BillLine]) -> dict[str, int]:
    """Sum of the lines by component and in all, with the signs of table ``bills`` (rebate and subsidy above zero)."""
    sums = dict.fromkeys(COMPONENTS, 0)
    for line in lines:
        sums[line.component] += line.paise
    total = sum(sums.values())
    return {
        **{name: -value if name in ("rebate", "subsidy") else value for name, value in sums.items()},
        "total": total,
    }
