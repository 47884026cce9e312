"""What a utility bills where a window's last read did not come in (`twin.meters.head_end`), with its memory.

Only meters that are not read at the moment, and those with an estimate still to be settled, are held: some per cent.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.demand.weather import EPOCH
from twin.meters.communication import arrivals_h, never_dark
from twin.meters.head_end import (
    CORRECTED,
    DEFECTIVE,
    DOOR_LOCKED,
    FLAGS,
    LATE,
    MISREAD,
    MISSING,
    NEIGHBOURS,
    NONE,
    OWN_AVERAGE,
    RULES,
    estimate_wh,
    misread_wh,
    neighbours_daily_wh,
    settle_wh,
)
from twin.meters.register import register_wh
from twin.results.schema import arrow_schema
from twin.simulation.shard_tables import named
from twin.streams import Stream, uniforms
from twin.units import WH_PER_KWH

if TYPE_CHECKING:
    from twin.simulation.meter_devices import MeterDevices

MANUAL_READ = -1
"""Place of a month's draw in the stream of reads, which legacy meters do not use otherwise."""
WRONG_DIGIT = -1_000_000
"""Likewise of what a reader gets wrong."""


class Window(NamedTuple):
    """A billing window: days since 2000-01-01, both within."""

    first: int
    last: int

    @property
    def days(self) -> int:
        """Length."""
        return self.last - self.first + 1


@dataclass
class Unread:
    """Meters whose last day did not come in, rising rows."""

    rows: NDArray[np.int64]
    since: NDArray[np.int64]
    """Day at whose end each was last read."""
    kwh: NDArray[np.float64]
    """Registers then, with their residual. Shape (n_arms, k, n_zones). [kWh]"""


@dataclass
class Closed:
    """Registers that a window is billed by where they are not simply those read in time, rising rows."""

    rows: NDArray[np.int64]
    flag: NDArray[np.int64]
    rule: NDArray[np.int64]
    days_missing: NDArray[np.int64]
    start_wh: NDArray[np.int64]
    """Shape (k, n_zones). [Wh]"""
    shown_wh: NDArray[np.int64]
    """Truth: what registers show. Shape (n_arms, k, n_zones). [Wh]"""
    billed_wh: NDArray[np.int64]
    """What is taken for it. [Wh]"""
    carry_wh: NDArray[np.int64]
    """Billed too much, to be settled. [Wh]"""


class Estimates:
    """The meter-data system's side of a shard's meters."""

    def __init__(self, devices: MeterDevices, n_arms: int, n_zones: int) -> None:
        self.devices, self.shape = devices, (n_arms, len(devices.fleet.ids), n_zones)
        none = np.zeros(0, np.int64)
        self.unread = Unread(none, none, np.zeros((n_arms, 0, n_zones)))
        self.carried: tuple[NDArray[np.int64], NDArray[np.int64]] = none, np.zeros((n_arms, 0, n_zones), np.int64)
        """Rows, and energy billed too much by arm, row and zone. [Wh]"""
        self.closed: Closed | None = None

    def _categories(self) -> int:
        return int(self.devices.population.consumers.category.max(initial=0)) + 1

    def _groups(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Whose neighbours some consumers are: those of their feeder and category. Shape (k,)."""
        group = self.devices.place.feeder[rows].astype(np.int64) * self._categories()
        return group + self.devices.population.consumers.category[rows]

    def _resolution_wh(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Last digit of some meters' registers, shape (k,). [Wh]"""
        return self.devices.params.resolution_wh[self.devices.fleet.kind[rows]].astype(np.int64)

    def columns(self) -> list[NDArray[np.generic]]:
        """Everything that is held."""
        return [self.unread.rows, self.unread.since, self.unread.kwh, *self.carried]

    def hold(self, day: int, is_read: NDArray[np.bool_], registers: NDArray[np.float64]) -> None:
        """Keep the registers of meters whose ``day`` is not read, as they stood before it; forget those of the read."""
        now, before = np.flatnonzero(~is_read), self.unread
        kwh, since = registers[:, now], np.full(len(now), day - 1, np.int64)
        _, at, of = np.intersect1d(now, before.rows, assume_unique=True, return_indices=True)
        if len(at):
            kwh[:, at], since[at] = before.kwh[:, of], before.since[of]
        self.unread = Unread(now, since, kwh)

    def close(self, window: Window, month: int, registers: NDArray[np.float64], start_kwh: NDArray[np.float64]) -> None:
        """Settle what a window is billed by.

        Parameters
        ----------
        month : int
            Any number that names the month of the window.
        registers : array, shape (n_arms, n, n_zones)
            At its end. [kWh]
        start_kwh : array, shape (1, n, n_zones)
            At its start. [kWh]
        """
        flag_of = self._flags(window, month)
        rows = np.flatnonzero(flag_of >= 0)
        flag, resolution, devices = flag_of[rows].astype(np.int64), self._resolution_wh(rows), self.devices
        start_wh = register_wh(start_kwh[0, rows], resolution)
        since = np.full(len(rows), window.first - 1, np.int64)
        since[np.searchsorted(rows, self.unread.rows)] = np.maximum(self.unread.since, window.first - 1)
        days_read, days_missing = since - (window.first - 1), window.last - since
        estimated = np.isin(flag, (MISSING, DEFECTIVE, DOOR_LOCKED))
        shown, billed, carry = (np.zeros((self.shape[0], len(rows), self.shape[2]), np.int64) for _ in range(3))
        carried, load_kw, group = self._carried(rows), devices.load_kw(rows), self._groups(rows)
        wrong = np.flatnonzero(flag == MISREAD)
        drawn = uniforms(devices.seed, Stream.METER_READ, devices.fleet.ids[rows[wrong]], WRONG_DIGIT - month)
        for arm in range(self.shape[0]):
            peers = self._neighbours_daily_wh(flag_of < 0, registers[arm], start_kwh[0], window.days)
            guess = estimate_wh(
                start_wh, self._last_read_wh(arm, rows), days_read, days_missing, load_kw, peers[group], resolution
            )
            shown[arm] = register_wh(registers[arm, rows], resolution)
            taken = np.where(estimated[:, None], guess, shown[arm])
            taken[wrong] = misread_wh(start_wh[wrong], shown[arm, wrong], drawn, resolution[wrong])
            final = np.where((flag == DEFECTIVE)[:, None], guess, shown[arm])
            billed[arm], carry[arm] = settle_wh(taken, final, carried[arm])
        rule = np.where(estimated, np.where(days_read > 0, OWN_AVERAGE, NEIGHBOURS), NONE)
        missing = np.where(np.isin(flag, (CORRECTED, MISREAD)), 0, days_missing)
        self.closed = Closed(rows, flag, rule, missing, start_wh, shown, billed, carry)

    def _neighbours_daily_wh(
        self, is_read: NDArray[np.bool_], end_kwh: NDArray[np.float64], start_kwh: NDArray[np.float64], days: int
    ) -> NDArray[np.float64]:
        """`neighbours_daily_wh` of the shard's meters by group."""
        devices, consumers = self.devices, self.devices.population.consumers
        categories = self._categories()
        shape = ((len(devices.population.feeders) + 1) * categories, self.shape[2])
        return neighbours_daily_wh(
            is_read, devices.place.feeder, consumers.category, categories, start_kwh, end_kwh,
            devices.params.resolution_wh, devices.fleet.kind, consumers.sanctioned_kw, consumers.contract_kva, days,
            np.zeros(shape),
        )  # fmt: skip

    def _flags(self, window: Window, month: int) -> NDArray[np.int8]:
        """Position in `FLAGS` of each meter, -1 where its last read was in time. Shape (n,)."""
        fleet, state, unread = self.devices.fleet, self.devices.state, self.unread.rows
        spec = read_yaml("meter_fleet")
        flag = np.full(len(fleet.ids), -1, np.int8)
        flag[self.carried[0]] = CORRECTED
        legacy = np.flatnonzero((fleet.hops == 0) & (state.swap_day <= window.last))
        locked = uniforms(self.devices.seed, Stream.METER_READ, fleet.ids[legacy], MANUAL_READ - month)
        share = spec["door_locked_share"]["value"]
        flag[legacy[locked < share]] = DOOR_LOCKED
        flag[legacy[(locked >= share) & (locked < share + spec["misread_share"]["value"])]] = MISREAD
        works = state.swap_day[unread] <= window.last
        flag[unread[~works]] = DEFECTIVE
        waiting = unread[works]
        flag[waiting] = np.where(self._come_late(waiting, window.last, spec["bill_wait_days"]["value"]), LATE, MISSING)
        large = flag[self.devices.population.ht]  # HT consumers are few and large: somebody goes and reads their meters
        large[large >= 0] = LATE
        return flag

    def _come_late(self, rows: NDArray[np.int64], last: int, wait_days: int) -> NDArray[np.bool_]:
        """Whose register of a day comes in within some days more; midnight registers are kept in the meter."""
        fleet, found, out = self.devices.fleet, np.zeros(len(rows), np.bool_), np.empty(len(rows), np.float32)
        outages, dark, place = self.devices.outages, never_dark(1), np.zeros(len(rows), np.int32)
        if outages is not None:
            place = self.devices.place.dt[rows]
        for later in range(1, int(wait_days) + 1):
            if outages is not None:  # the day on which it is asked for, which may lie behind the run's end
                dark = outages.alone(EPOCH + dt.timedelta(days=last + 1 + later))
            arrivals_h(
                np.uint64(self.devices.seed), fleet.ids[rows], self.devices.gateways(rows), last + 1 + later,
                fleet.link[rows], fleet.hops[rows], fleet.kind[rows], self.devices.params.communication,
                self.devices.breakdown, dark, place, out,
            )  # fmt: skip
            found |= np.isfinite(out)
        return found

    def _last_read_wh(self, arm: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """What registers showed at the last read of those that are held; zero for others. Shape (k, n_zones). [Wh]"""
        out, resolution = np.zeros((len(rows), self.shape[2]), np.int64), self._resolution_wh(rows)
        _, at, of = np.intersect1d(rows, self.unread.rows, assume_unique=True, return_indices=True)
        out[at] = register_wh(self.unread.kwh[arm, of], resolution[at])
        return out

    def _carried(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        out = np.zeros((self.shape[0], len(rows), self.shape[2]), np.int64)
        out[:, np.searchsorted(rows, self.carried[0])] = self.carried[1]
        return out

    def lay_over(self, arm: int, rows: slice, end_wh: NDArray[np.int64]) -> None:
        """Put what the closed window is billed by in place of some rows' registers, shape (n, n_zones). [Wh]"""
        if self.closed is not None:
            first, last = np.searchsorted(self.closed.rows, rows.indices(self.shape[1])[:2])
            end_wh[self.closed.rows[first:last] - rows.indices(self.shape[1])[0]] = self.closed.billed_wh[
                arm, first:last
            ]

    def next_month(self) -> None:
        """Registers start again: what was billed too much or too little goes on."""
        assert self.closed is not None, "a month is closed before the next begins"
        kept = self.closed.carry_wh.any(axis=(0, 2))
        self.carried = self.closed.rows[kept], self.closed.carry_wh[:, kept]
        self.closed = None

    def table(self, case: int, arm: int, period: tuple[np.datetime64, np.datetime64]) -> pa.Table:
        """The closed window as rows of table ``estimates``."""
        assert self.closed is not None
        closed, n = self.closed, len(self.closed.rows)
        columns = {
            "case": np.full(n, case, np.int32),
            "consumer_id": self.devices.fleet.ids[closed.rows],
            "period_start": np.full(n, period[0]),
            "period_end": np.full(n, period[1]),
            "flag": named(closed.flag, list(FLAGS)),
            "rule": named(closed.rule, list(RULES)),
            "days_missing": closed.days_missing.astype(np.int32),
            "metered_kwh": (closed.shown_wh[arm] - closed.start_wh).sum(axis=1) / WH_PER_KWH,
            "billed_kwh": (closed.billed_wh[arm] - closed.start_wh).sum(axis=1) / WH_PER_KWH,
        }
        return pa.table(columns, schema=arrow_schema("estimates"))

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """For a checkpoint: shape (n_arms, n, n_zones), and (1, n, 1) for the days."""
        since, kwh, carried = np.zeros((1, self.shape[1], 1)), np.zeros(self.shape), np.zeros(self.shape)
        since[0, self.unread.rows, 0], kwh[:, self.unread.rows] = self.unread.since, self.unread.kwh
        carried[:, self.carried[0]] = self.carried[1]
        return {"unread_since": since, "unread_kwh": kwh, "carried_wh": carried}

    def restore(self, arrays: dict[str, NDArray[np.float64]]) -> None:
        """From a checkpoint's arrays."""
        since = arrays["unread_since"][0, :, 0].astype(np.int64)
        rows = np.flatnonzero(since)
        self.unread = Unread(rows, since[rows], arrays["unread_kwh"][:, rows])
        carried = arrays["carried_wh"].astype(np.int64)
        kept = np.flatnonzero(carried.any(axis=(0, 2)))
        self.carried = kept, carried[:, kept]
