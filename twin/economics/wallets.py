"""Smart prepaid wallets: daily debits, recharges, disconnections in the allowed hours, reconnections.

A wallet is a whole number of paise. After midnight the bill to date is debited as far as it was not yet, so that debits
telescope to the bill exactly; then the day that begins is settled: who recharges and when, whose relay opens, when
it closes again. The balance changes within a day by recharges only, which is why all of it can be settled at once.

``balance = start + recharges - debits`` holds in whole numbers. A debt is a balance below zero and is carried.
Model M13 of the AMI facts. All draws are keyed by consumer and day, so arms share them.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.streams import Stream, key64, normal, uniform
from twin.units import MINUTES_PER_DAY, PAISE_PER_INR

RECHARGE_UNIT_PAISE = 50 * PAISE_PER_INR
"""Recharges are whole multiples of this."""
CONNECTED = -1
"""Value of `WalletState.off_since` of those with supply."""
SUNDAY = 6
_START, _RECHARGE, _OPENING = int(Stream.WALLET_START), int(Stream.RECHARGE), int(Stream.DISCONNECTION)
_HAPPENS, _MINUTE, _SIZE = 0, 1, 2


class WalletParams(NamedTuple):
    """Rules and behaviour, from ``twin/data/wallets.yaml``. Times in minutes from midnight, money in paise."""

    open_from: int
    open_until: int
    queue_minutes: int
    credit_paise: int
    reconnect_minutes: int
    low_balance_days: float
    daily_hazard: float
    low_hazard: float
    off_hazard: float
    day_from: int
    day_until: int
    off_delay_minutes: float
    days_of_spending: float
    log_sd: float
    least_paise: int
    least_daily_paise: int


class WalletState(NamedTuple):
    """What later days hang on: 20 bytes a wallet and arm. Shape (n,)."""

    balance_paise: NDArray[np.int64]
    debited_paise: NDArray[np.int64]
    """Of the month to date."""
    off_since: NDArray[np.int32]
    """Day number on which the relay opened; `CONNECTED`."""


class WalletDay(NamedTuple):
    """What a batch and the day after it did to each wallet. Shape (n,)."""

    debit_paise: NDArray[np.int64]
    recharge_paise: NDArray[np.int64]
    recharge_minute: NDArray[np.int16]
    """-1: none."""
    opened_minute: NDArray[np.int16]
    """Minute at which the relay opens on this day; -1: it does not."""
    off_from: NDArray[np.int16]
    off_until: NDArray[np.int16]
    """Steps [off_from, off_until) of the day without supply; 0, 0: none."""


@lru_cache(maxsize=1)
def wallet_params() -> WalletParams:
    """The data pack's parameters."""
    spec = read_yaml("wallets")
    rules = {name: entry["value"] for name, entry in spec["rules"].items()}
    recharge = {name: entry["value"] for name, entry in spec["recharge"].items()}
    return WalletParams(
        open_from=int(rules["open_from_minute"]), open_until=int(rules["open_until_minute"]),
        queue_minutes=int(rules["queue_minutes"]), credit_paise=_paise(rules["emergency_credit_inr"]),
        reconnect_minutes=int(rules["reconnect_minutes"]), low_balance_days=float(rules["low_balance_days"]),
        daily_hazard=float(recharge["daily_hazard"]), low_hazard=float(recharge["low_hazard"]),
        off_hazard=float(recharge["off_hazard"]), day_from=int(recharge["day_from_minute"]),
        day_until=int(recharge["day_until_minute"]), off_delay_minutes=float(recharge["off_delay_minutes"]),
        days_of_spending=float(recharge["days_of_spending"]), log_sd=float(recharge["log_sd"]),
        least_paise=_paise(recharge["least_inr"]), least_daily_paise=_paise(recharge["least_daily_inr"]),
    )  # fmt: skip


def _paise(inr: float) -> int:
    return round(inr * PAISE_PER_INR)


@lru_cache(maxsize=1)
def named_holidays() -> frozenset[tuple[int, ...]]:
    """Days without disconnection besides Sundays: (month, day) of every year, (year, month, day) of one."""
    calendar = read_yaml("calendar")
    fixed = {(int(month), int(day)) for month, day in calendar["fixed_holidays"]}
    listed = [*calendar["holidays"], *calendar["festivals"]]
    dated = [
        date if isinstance(date, dt.date) else dt.date.fromisoformat(date) for row in listed for date in row["dates"]
    ]
    return frozenset(fixed | {(date.year, date.month, date.day) for date in dated})


def may_open(date: dt.date, holidays: Collection[tuple[int, ...]] | None = None) -> bool:
    """May relays open on this day at all? Not on Sundays and named holidays."""
    known = named_holidays() if holidays is None else holidays
    is_named = (date.month, date.day) in known or (date.year, date.month, date.day) in known
    return date.weekday() != SUNDAY and not is_named


def begin_wallets(
    seed: int, ids: NDArray[np.int64], daily_paise: NDArray[np.int64], negative_share: float | None = None
) -> WalletState:
    """Wallets as a run finds them on its first day, all connected, nothing debited yet.

    Parameters
    ----------
    seed : int
        Of the replicate.
    ids : shape (n,)
        Global consumer numbers.
    daily_paise : shape (n,)
        Usual spending of a day. [paise]
    negative_share : float, optional
        Share of wallets below zero; the data pack's if None.
    """
    spec = {name: float(entry["value"]) for name, entry in read_yaml("wallets")["start"].items()}
    share = spec["negative_share"] if negative_share is None else negative_share
    n, least = len(ids), wallet_params().least_daily_paise
    state = WalletState(np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, CONNECTED, np.int32))
    _draw_balances(
        np.uint64(seed), ids, daily_paise, least, share, spec["mean_days"], spec["mean_debt_days"], state.balance_paise
    )
    return state


@nb.njit(cache=True, error_model="numpy")
def _draw_balances(
    seed: int, ids: NDArray[np.int64], daily_paise: NDArray[np.int64], least: int, share: float, mean_days: float,
    mean_debt_days: float, out: NDArray[np.int64],
) -> None:  # fmt: skip
    for i in range(len(ids)):
        key = key64(seed, _START, ids[i])
        days = -math.log(uniform(key, 1))
        spending = max(daily_paise[i], least)
        if uniform(key, 0) < share:
            out[i] = -np.int64(days * mean_debt_days * spending) - 1
        else:
            out[i] = np.int64(days * mean_days * spending)


def wallet_day(n: int) -> WalletDay:
    """Room for a day of ``n`` wallets."""
    return WalletDay(
        np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int16), np.zeros(n, np.int16),
        np.zeros(n, np.int16), np.zeros(n, np.int16),
    )  # fmt: skip


@nb.njit(cache=True, error_model="numpy")
def debit_wallets(state: WalletState, bill_paise: NDArray[np.int64], runs: bool, out: NDArray[np.int64]) -> None:
    """The batch after midnight: debit what of the bill to date is not debited yet.

    Parameters
    ----------
    bill_paise : shape (n,)
        Bill of the month to date at the day's end, after subsidy. [paise]
    runs : bool
        Does the batch run? If not nothing is debited; the next that runs debits all that was held up.
    out : shape (n,)
        Takes what was debited; below zero where a bill to date fell. [paise]
    """
    for i in range(len(out)):
        out[i] = bill_paise[i] - state.debited_paise[i] if runs else 0
        state.balance_paise[i] -= out[i]
        state.debited_paise[i] += out[i]


def next_month(state: WalletState, bill_paise: NDArray[np.int64]) -> None:
    """A new month's bill to date starts at zero; what of the old one is not debited stays due (debit outage)."""
    state.debited_paise[:] -= bill_paise


@nb.njit(cache=True, error_model="numpy", inline="always")
def _opening_minute(seed: int, entity: int, day: int, params: WalletParams) -> int:
    spread = min(params.queue_minutes, params.open_until - params.open_from)
    return params.open_from + int(uniform(key64(seed, _OPENING, entity), day) * spread)


@nb.njit(cache=True, error_model="numpy", inline="always")
def _recharge_paise(key: int, day: int, spending: int, debt: int, params: WalletParams) -> int:
    """Size of a recharge: lognormal about some days of spending, at least the debt, in whole units."""
    size = spending * params.days_of_spending * math.exp(params.log_sd * normal(key, 3 * day + _SIZE))
    least = max(params.least_paise, debt)
    return -((-max(int(size), least)) // RECHARGE_UNIT_PAISE) * RECHARGE_UNIT_PAISE


@nb.njit(cache=True, error_model="numpy")
def settle_wallets(
    seed: int, ids: NDArray[np.int64], day: int, opens: bool, protected: NDArray[np.bool_],
    daily_paise: NDArray[np.int64], params: WalletParams, step_minutes: int, state: WalletState, out: WalletDay,
) -> None:  # fmt: skip
    """Settle the day that begins: recharges, openings, closings.

    Parameters
    ----------
    seed : uint64
        Of the replicate.
    ids, protected, daily_paise : shape (n,)
        Consumers; who is not cut on this day (within the free block, or has no switch that works); usual spending of a
        day: who spends nothing recharges only to pay a debt. [paise]
    day : int
        Day number, above 0.
    opens : bool
        May relays open on this day (`may_open`, and the policy)?
    step_minutes : int
        Length of a step. A relay that opens or closes within a step counts from the next.
    state, out
        Changed, overwritten.
    """
    for i in range(len(ids)):
        key = key64(seed, _RECHARGE, ids[i])
        balance, spending = state.balance_paise[i], max(daily_paise[i], params.least_daily_paise)
        was_off = state.off_since[i] != CONNECTED
        due = not was_off and opens and not protected[i] and balance < -params.credit_paise
        opening = _opening_minute(seed, ids[i], day, params) if due else -1
        if was_off:
            hazard = params.off_hazard
        elif daily_paise[i] <= 0 and balance >= 0:  # nothing to pay: within free units
            hazard = 0.0
        else:
            hazard = params.low_hazard if balance < params.low_balance_days * spending else params.daily_hazard
        at, amount, threshold = -1, 0, uniform(key, 3 * day + _HAPPENS)
        u = uniform(key, 3 * day + _MINUTE)
        if threshold < hazard:
            if was_off:
                at = params.day_from - int(params.off_delay_minutes * math.log(u))
            else:
                at = params.day_from + int(u * (params.day_until - params.day_from))
        if due and not 0 <= at < opening:  # cut: hurry after it
            at = opening - int(params.off_delay_minutes * math.log(u)) if threshold < params.off_hazard else -1
        if at >= MINUTES_PER_DAY:
            at = -1
        if at >= 0:
            amount = _recharge_paise(key, day, spending, max(-balance, 0), params)
        opened = due and not 0 <= at < opening
        state.balance_paise[i] = balance + amount
        out.recharge_paise[i], out.recharge_minute[i] = amount, at
        out.opened_minute[i] = opening if opened else -1
        _write_steps(i, day, was_off, opened, opening, at, params.reconnect_minutes, step_minutes, state, out)


@nb.njit(cache=True, error_model="numpy", inline="always")
def _write_steps(
    i: int, day: int, was_off: bool, opened: bool, opening: int, recharged: int, latency: int, step_minutes: int,
    state: WalletState, out: WalletDay,
) -> None:  # fmt: skip
    """Steps without supply of consumer ``i``. A recharge covers the debt, so that it closes the relay."""
    steps = MINUTES_PER_DAY // step_minutes
    begin, end = 0, 0
    if was_off or opened:
        begin = -(-opening // step_minutes) if opened else 0
        end = steps
        if opened:
            state.off_since[i] = day
        if recharged >= 0:
            end = min(-(-(recharged + latency) // step_minutes), steps)
            state.off_since[i] = CONNECTED
        if end <= begin:
            begin, end = 0, 0
    out.off_from[i], out.off_until[i] = begin, end
