"""Prepaid wallets: money to the paisa, relays open in the allowed hours only, an outage of debits makes one queue."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.economics.wallets import (
    CONNECTED,
    WalletDay,
    WalletState,
    begin_wallets,
    debit_wallets,
    may_open,
    next_month,
    settle_wallets,
    wallet_day,
    wallet_params,
)

N = 400
MONDAY = dt.date(2026, 6, 1)
IDS = np.arange(N, dtype=np.int64) + 10_000
DAILY = 2_000 + 10 * np.arange(N, dtype=np.int64)


def run_days(
    n_days: int, step_minutes: int = 15, seed: int = 1, protected: bool = False, no_debit: range = range(0)
) -> Iterator[tuple[dt.date, WalletState, WalletDay]]:
    """Days of wallets whose owners spend the same every day; months turn over. ``no_debit``: days without the batch."""
    state, day = begin_wallets(seed, IDS, DAILY), wallet_day(N)
    shield, to_date = np.full(N, protected), np.zeros(N, np.int64)
    for number in range(n_days):
        date = MONDAY + dt.timedelta(days=number)
        debit_wallets(state, to_date, number not in no_debit, day.debit_paise)
        if date.day == 1:
            next_month(state, to_date)
            to_date = np.zeros(N, np.int64)
        settle_wallets(
            np.uint64(seed), IDS, date.toordinal(), may_open(date), shield, DAILY, wallet_params(), step_minutes,
            state, day,
        )  # fmt: skip
        yield date, state, day
        to_date = to_date + DAILY


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), first=st.integers(0, 50), length=st.integers(0, 20))
def test_balance_is_start_plus_recharges_less_debits_whatever_is_held_up(seed: int, first: int, length: int) -> None:
    expected = begin_wallets(seed, IDS, DAILY).balance_paise.copy()
    debits = np.zeros(N, np.int64)
    last = 64
    for _, state, day in run_days(last, seed=seed, no_debit=range(first, min(first + length, last - 1))):
        expected += day.recharge_paise - day.debit_paise
        debits += day.debit_paise
        np.testing.assert_array_equal(state.balance_paise, expected)
    np.testing.assert_array_equal(debits, DAILY * (last - 1))  # the last batch has run: all spent so far is debited


@pytest.mark.parametrize("step_minutes", [15, 30, 60])
def test_relays_open_in_the_allowed_hours_of_allowed_days_only(step_minutes: int) -> None:
    opened = 0
    for date, _, day in run_days(60, step_minutes):
        cut = day.opened_minute >= 0
        opened += int(cut.sum())
        assert np.all((day.opened_minute[cut] >= 11 * 60) & (day.opened_minute[cut] < 17 * 60 + 30))
        begins = day.off_from[cut & (day.off_until > 0)] * step_minutes
        assert np.all((begins >= 11 * 60) & (begins < 17 * 60 + 30))
        if date.weekday() == 6:
            assert not cut.any()
    assert opened > N  # spending goes on for two months: the rule was tried


def test_nobody_within_the_free_block_is_cut() -> None:
    assert all((day.opened_minute < 0).all() for _, _, day in run_days(40, protected=True))


def test_two_weeks_without_debit_make_one_large_monday_queue() -> None:
    held, usual = {}, {}
    for date, _, day in run_days(22, no_debit=range(1, 14)):
        held[date] = int((day.opened_minute >= 0).sum())
    for date, _, day in run_days(22):
        usual[date] = int((day.opened_minute >= 0).sum())
    monday = MONDAY + dt.timedelta(days=14)
    assert monday.weekday() == 0
    assert held[monday] == max(held.values())
    assert held[monday] > 3 * max(usual[MONDAY + dt.timedelta(days=k)] for k in range(7, 22))
    assert sum(held[MONDAY + dt.timedelta(days=k)] for k in range(7, 14)) < held[monday] / 3


@pytest.mark.parametrize("share", [0.1, 0.45, 0.8])
def test_share_of_wallets_below_zero_can_be_set(share: float) -> None:
    ids = np.arange(20_000, dtype=np.int64)
    state = begin_wallets(3, ids, np.full(len(ids), 1500, np.int64), share)
    assert np.mean(state.balance_paise < 0) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / len(ids)))


def test_a_recharge_closes_the_relay_after_its_latency_and_covers_the_debt() -> None:
    latency, closed = wallet_params().reconnect_minutes, 0
    before = np.full(N, CONNECTED)
    for _, state, day in run_days(60):
        back = (before != CONNECTED) & (day.recharge_minute >= 0)
        closed += int(back.sum())
        assert np.all(state.off_since[back] == CONNECTED)
        assert np.all(state.balance_paise[back] >= 0)
        np.testing.assert_array_equal(
            day.off_until[back], np.minimum(-(-(day.recharge_minute[back] + latency) // 15), 96)
        )
        still = (before != CONNECTED) & (day.recharge_minute < 0)
        assert np.all((day.off_from[still] == 0) & (day.off_until[still] == 96))
        before = state.off_since.copy()
    assert closed > 0


def test_no_disconnection_on_sundays_and_named_holidays() -> None:
    assert may_open(MONDAY)
    assert not may_open(dt.date(2026, 6, 7))  # Sunday
    assert not may_open(dt.date(2025, 8, 15))  # Independence Day, a Friday
    assert not may_open(dt.date(2025, 10, 20))  # Diwali, a Monday


def test_state_takes_twenty_bytes_a_wallet() -> None:
    state = begin_wallets(1, IDS, DAILY)
    assert sum(column.nbytes for column in state) == 20 * N
