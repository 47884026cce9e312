"""Prepaid wallets of a shard's consumers in one replicate: debited from the day's bill, cut, recharged, reconnected.

The batch runs on the morning of a day, on what the registers showed at the last read; then that day is settled
(`twin.economics.wallets`), so that its switches are known before its networks are solved. The state is held by arm for
prepaid consumers only. A relay obeys the last command, whoever sent it: a wallet whose relay a campaign closed is
due again on the next day on which relays may open. A welded relay is found when it does not open, and left alone until
it is swapped; its consumer goes on drawing.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.datapack import categories, read_yaml
from twin.demand.weather import day_number
from twin.economics.billing import bill_month, bill_out, whole_month
from twin.economics.rates import FREE_WH
from twin.economics.wallets import (
    CONNECTED,
    WalletDay,
    WalletParams,
    WalletState,
    begin_wallets,
    debit_wallets,
    may_open,
    next_month,
    settle_wallets,
    wallet_day,
    wallet_params,
)
from twin.meters.register import register_wh
from twin.meters.relay import CLOSED, LOAD_SWITCH_CLOSED, LOAD_SWITCH_OPEN, OPEN
from twin.simulation.billing_month import month_bill
from twin.simulation.consumer_tables import chunks
from twin.simulation.plan import month_end
from twin.simulation.response import rows_of
from twin.simulation.switching import Switches
from twin.streams import Stream, uniforms
from twin.units import MINUTES_PER_DAY, PAISE_PER_INR

if TYPE_CHECKING:
    from twin.scenario.prepaid import Prepaid
    from twin.simulation.meter_devices import MeterDevices
    from twin.simulation.meter_state import MeterState
    from twin.simulation.relays import Relays
    from twin.simulation.replicate import ReplicateWorld

BASELINE = 0
NOT_BEFORE = -1


class ArmDay(NamedTuple):
    """A day of all wallets under one arm; arrays of shape (k,)."""

    wallets: WalletDay
    morning_paise: NDArray[np.int64]
    """Balance after the batch. [paise]"""
    evening_paise: NDArray[np.int64]
    """Balance at the day's end. [paise]"""
    messages: NDArray[np.bool_]
    """The batch took the balance below the limit of a low-balance message."""
    reconnected: NDArray[np.bool_]
    off: NDArray[np.bool_]
    """Disconnected at the day's end."""


class Period(NamedTuple):
    """A billing window of all wallets under one arm, shape (k,): [paise]

    ``balance - held = start + recharged - billed``.
    """

    start: NDArray[np.int64]
    recharged: NDArray[np.int64]
    billed: NDArray[np.int64]
    held: NDArray[np.int64]
    """Billed, and not debited yet: the last day's use, or all since an outage began."""
    balance: NDArray[np.int64]


class Wallets:
    """All wallets of a shard; rising ``rows`` of its consumers."""

    def __init__(self, world: ReplicateWorld, meters: MeterState) -> None:
        settings = world.plan.scenario.meters.prepaid
        assert settings is not None, "asked for by the scenario"
        assert meters.devices is not None, "the scenario's check"
        assert meters.devices.relays is not None, "made for wallets"
        self.world, self.meters, self.settings = world, meters, settings
        self.devices: MeterDevices = meters.devices
        self.relays: Relays = meters.devices.relays
        self.params = _params(settings)
        self.rows = prepaid_rows(world, settings.share)
        self.ids = world.population.consumers.consumer_id[self.rows]
        self.columns = rows_of(world.response.columns, self.rows)
        shape = (len(world.plan.arms), len(self.rows))
        self.balance, self.debited, self.start, self.recharged = (np.zeros(shape, np.int64) for _ in range(4))
        self.off_since = np.full(shape, CONNECTED, np.int32)
        self._daily: tuple[dt.date, list[NDArray[np.int64]]] | None = None
        self._today: tuple[dt.date, list[ArmDay]] | None = None
        self._switches: tuple[dt.date, Switches] | None = None

    def begin(self, first: dt.date) -> None:
        """Put every wallet where a run finds it on its first day; what the month to date has cost is debited."""
        daily = self._usual_spending(first)
        state = begin_wallets(self.world.seed, self.ids, daily[BASELINE], self.settings.negative_share)
        self.balance[:] = self.start[:] = state.balance_paise
        for arm in range(len(self.balance)):
            self.debited[arm] = self._bill_to_date(arm, first, self._start_wh(first), first.day - 1)

    def restore(self, array: NDArray[np.float64]) -> None:
        """From a checkpoint's array."""
        parts = np.moveaxis(array, 2, 0)
        self.balance, self.debited, self.start, self.recharged = (part.astype(np.int64) for part in parts[:4])
        self.off_since = parts[4].astype(np.int32)

    def array(self) -> NDArray[np.float64]:
        """For a checkpoint, shape (n_arms, k, 5): whole numbers below 2**53."""
        columns = (self.balance, self.debited, self.start, self.recharged, self.off_since)
        return np.stack([column.astype(np.float64) for column in columns], axis=2)

    def prepare(self, date: dt.date) -> list[ArmDay]:
        """Settle a day for every arm; asked again for the same day, the answer is the same."""
        if self._today is None or self._today[0] != date:
            self.relays.begin(day_number(date))
            self._today = date, [self._settle(arm, date) for arm in range(len(self.balance))]
        return self._today[1]

    def switches(self, date: dt.date, commanded: Switches | None) -> Switches:
        """All open switches of a day, ``commanded`` ones of campaigns among them, which were carried out before.

        Asked again for the same day, the answer is the same.
        """
        if self._switches is None or self._switches[0] != date:
            self._switches = date, self._all_switches(date, commanded)
        return self._switches[1]

    def _all_switches(self, date: dt.date, commanded: Switches | None) -> Switches:
        self.relays.begin(day_number(date))
        held = self.relays.state.position == OPEN
        wallets_hold = np.zeros_like(held)
        for arm, off_since in enumerate(self.off_since):
            wallets_hold[arm, self.rows] = (off_since != CONNECTED) & held[arm, self.rows]
        steps = self.world.plan.steps
        if commanded is None:
            commanded = Switches(np.zeros(held.shape, np.int16), np.where(held, steps, 0).astype(np.int16))
        days = self.prepare(date)
        off_from, off_until = (np.zeros(held.shape, np.int16) for _ in range(2))
        for arm, day in enumerate(days):
            off_from[arm, self.rows], off_until[arm, self.rows] = day.wallets.off_from, day.wallets.off_until
        own = Switches(off_from, off_until)
        both = commanded.also(own)
        return Switches(*(np.where(wallets_hold, mine, any_) for mine, any_ in zip(own, both, strict=True)))

    def _settle(self, arm: int, date: dt.date) -> ArmDay:
        """The batch of the morning, then recharges, openings and closings, and what the relays make of them."""
        k, day, params, outage = len(self.rows), day_number(date), self.params, self.settings.debit_outage
        state, out = self._state(arm), wallet_day(k)
        position = self.relays.state.position[arm, self.rows]
        state.off_since[position == CLOSED] = CONNECTED
        wh = self._last_read_wh(arm, date)
        before = state.balance_paise.copy()
        runs = outage is None or not outage.first <= date <= outage.last
        debit_wallets(state, self._bill_to_date(arm, date, wh, date.day - 1), runs, out.debit_paise)
        morning = state.balance_paise.copy()
        spending = self._usual_spending(date)[arm]
        low = params.low_balance_days * np.maximum(spending, params.least_daily_paise)
        opens = may_open(date) and (outage is None or not outage.first <= date < outage.cuts_again)
        was_off = state.off_since != CONNECTED
        protected = self._within_free(arm, date, wh) | ~self._can_open(arm, day)
        settle_wallets(
            np.uint64(self.world.seed), self.ids, day, opens, protected, spending, params,
            self.world.plan.scenario.time.step_minutes, state, out,
        )  # fmt: skip
        self._open_relays(arm, state, out)
        reconnected = self._close_relays(arm, was_off, state, out)
        self.recharged[arm] += out.recharge_paise
        off = state.off_since != CONNECTED
        return ArmDay(out, morning, state.balance_paise.copy(), (morning < low) & (before >= low), reconnected, off)

    def _open_relays(self, arm: int, state: WalletState, out: WalletDay) -> None:
        """Whose relay breaks as it should open goes on drawing, and is due again."""
        due = np.flatnonzero(out.opened_minute >= 0)
        failed = due[~self.relays.command(arm, self.rows[due], OPEN, stands=False)]
        state.off_since[failed] = CONNECTED
        out.off_from[failed] = out.off_until[failed] = 0
        out.opened_minute[failed] = NOT_BEFORE

    def _close_relays(
        self, arm: int, was_off: NDArray[np.bool_], state: WalletState, out: WalletDay
    ) -> NDArray[np.bool_]:
        """Who is reconnected on the day; whose relay is stuck stays off."""
        back = (was_off | (out.opened_minute >= 0)) & (state.off_since == CONNECTED)
        due = np.flatnonzero(back)
        stuck = due[~self.relays.command(arm, self.rows[due], CLOSED)]
        back[stuck] = False
        minutes = self.world.plan.scenario.time.step_minutes
        begins = -(-np.maximum(out.opened_minute[stuck], 0) // minutes)
        out.off_from[stuck], out.off_until[stuck] = begins, MINUTES_PER_DAY // minutes
        return back

    def _can_open(self, arm: int, day: int) -> NDArray[np.bool_]:
        """Whose relay would open, as far as anybody knows: it waits for no swap, and its meter works. Shape (k,)."""
        works = self.relays.has_switch[self.rows] & (self.devices.state.swap_day[self.rows] <= day)
        return works & ~self.relays.in_repair(arm, self.rows)

    def _state(self, arm: int) -> WalletState:
        """One arm's wallets; changes reach this object."""
        return WalletState(self.balance[arm], self.debited[arm], self.off_since[arm])

    def _usual_spending(self, date: dt.date) -> list[NDArray[np.int64]]:
        """A usual day's cost in a date's month by arm: bill of an expected month by its days. Shape (k,). [paise]"""
        month = date.replace(day=1)
        if self._daily is None or self._daily[0] != month:
            response, days = self.world.response, month_end(date).day
            assert response.expected_day_kwh is not None, "the world must set the expected day first"
            month_kwh, daily = response.expected_day_kwh[self.rows] * days, []
            for arm in range(len(self.balance)):
                paise = np.zeros(len(self.rows), np.int64)
                for tariff, own in response.groups(arm, self.rows):
                    columns = rows_of(self.columns, own)
                    paise[own] = month_bill(response.rates(tariff, date), columns, month_kwh[own], days).total // days
                daily.append(paise)
            self._daily = month, daily
        return self._daily[1]

    def _bill_to_date(self, arm: int, date: dt.date, wh: NDArray[np.int64], days: int) -> NDArray[np.int64]:
        """Bills of the first ``days`` of a date's month at registers (k, n_zones). Shape (k,). [paise]"""
        response, total = self.world.response, np.zeros(len(self.rows), np.int64)
        month_days = month_end(date).day
        for tariff, own in response.groups(arm, self.rows):
            columns, zone_wh = rows_of(self.columns, own), np.ascontiguousarray(wh[own])
            out = bill_out(len(zone_wh))
            to_date = whole_month(len(zone_wh), days, month_days)
            bill_month(response.rates(tariff, date), columns, zone_wh, to_date, out)
            total[own] = out.total
        return total

    def _within_free(self, arm: int, date: dt.date, wh: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whose month to date is within the free units of the tariff, shape (k,)."""
        category, used = self.columns.category, wh.sum(axis=1)
        within = np.zeros(len(used), np.bool_)
        for tariff, own in self.world.response.groups(arm, self.rows):
            free_wh = self.world.response.rates(tariff, date).by_category[category[own], FREE_WH]
            within[own] = (free_wh > 0) & (used[own] <= free_wh)
        return within

    def _start_wh(self, date: dt.date) -> NDArray[np.int64]:
        """Registers at the start of the window that a date lies in, shape (k, n_zones). [Wh]"""
        recorded = self.meters.recorded_start_kwh
        assert recorded is not None, "meters are devices"
        return register_wh(recorded[0][self.rows], self.devices.resolution_wh[self.rows])

    def _last_read_wh(self, arm: int, date: dt.date) -> NDArray[np.int64]:
        """Month to date on the morning of a date, as last read, shape (k, n_zones). [Wh]"""
        recorded, unread = self.meters.recorded_kwh, self.devices.estimates.unread
        assert recorded is not None, "meters are devices"
        resolution = self.devices.resolution_wh[self.rows]
        wh = register_wh(recorded[arm][self.rows], resolution)
        _, at, of = np.intersect1d(self.rows, unread.rows, assume_unique=True, return_indices=True)
        held = register_wh(unread.kwh[arm, of], resolution[at])
        in_month = unread.since[of] >= day_number(date.replace(day=1)) - 1
        wh[at] = np.where(in_month[:, None], held, self._start_wh(date)[at])
        return wh

    def close(self, date: dt.date) -> list[Period]:
        """Settle the window that ends with a date, after its estimates: what it is billed by is what is debited."""
        first, end = self.meters.window_start(date), [self._billed_wh(arm) for arm in range(len(self.balance))]
        periods = []
        for arm, wh in enumerate(end):
            to_date = self._bill_to_date(arm, date, wh, date.day)
            billed = to_date - self._bill_to_date(arm, date, self._start_wh(date), first.day - 1)
            held = to_date - self.debited[arm]
            balance = self.balance[arm].copy()
            periods.append(Period(self.start[arm].copy(), self.recharged[arm].copy(), billed, held, balance))
            self.start[arm], self.recharged[arm] = balance - held, 0
            if date == month_end(date):
                next_month(self._state(arm), to_date)
        return periods

    def _billed_wh(self, arm: int) -> NDArray[np.int64]:
        """Registers that the closed window is billed by, shape (k, n_zones). [Wh]"""
        parts = [np.zeros((0, self.world.plan.zones.n_zones), np.int64)]
        for part in chunks(self.world.population):
            first, last = np.searchsorted(self.rows, [part.start, part.stop])
            parts.append(self.meters.end_wh(self.world, arm, part)[self.rows[first:last] - part.start])
        return np.concatenate(parts)

    def events(self, arm: int, date: dt.date) -> list[tuple[NDArray[np.int64], NDArray[np.datetime64], int, str]]:
        """Events that meters log on a settled day: consumers, times, IS 15959 code and name of each kind."""
        day, midnight = self.prepare(date)[arm], np.datetime64(date, "us")
        opened = day.wallets.opened_minute >= 0
        closing = day.wallets.recharge_minute.astype(np.int64) + self.params.reconnect_minutes
        return [
            (self.ids[mine], midnight + minute[mine].astype("timedelta64[m]"), code, name)
            for mine, minute, code, name in (
                (opened, day.wallets.opened_minute, LOAD_SWITCH_OPEN, "prepaid_disconnected"),
                (day.reconnected, closing, LOAD_SWITCH_CLOSED, "prepaid_reconnected"),
            )
        ]


def prepaid_rows(world: ReplicateWorld, share: float) -> NDArray[np.int64]:
    """Rising rows of the consumers with a prepaid wallet: a share of the smart meters in categories that have them."""
    consumers = world.population.consumers
    names = read_yaml("collection")["prepaid_categories"]
    pays_in_advance = np.array([row.category in names for row in categories()])
    prepaid = world.smart & pays_in_advance[consumers.category]
    prepaid[world.population.ht] = False
    rows = np.flatnonzero(prepaid)
    return rows[uniforms(world.seed, Stream.PREPAID, consumers.consumer_id[rows]) < share]


def _params(settings: Prepaid) -> WalletParams:
    """The data pack's parameters with what the scenario says."""
    recharge = settings.recharge
    return wallet_params()._replace(
        credit_paise=round(settings.emergency_credit_inr * PAISE_PER_INR), daily_hazard=recharge.daily_hazard,
        low_hazard=recharge.low_hazard, off_hazard=recharge.off_hazard, days_of_spending=recharge.days_of_spending,
    )  # fmt: skip
