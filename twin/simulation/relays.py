"""The load switches of a shard's meters under every arm: one state, whoever commands them; broken ones are swapped.

A broken switch is found by what a utility can know. One that is stuck open leaves a consumer dark whom nothing holds
disconnected: he complains on that day. A welded one is found when an order to open comes back undone; that a load limit
could not open it nobody sees. A crew comes after the datasheet's repair time, with a draw of its own. The new switch is
healthy and not worn; it stands as the last order wants it, so that a disconnection that could not be carried out is so
now. A meter that is swapped because it failed brings a new switch too. Everything but the switch is alike in all arms,
hence a new meter takes over its predecessor's age, clock and register.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.demand.weather import EPOCH
from twin.meters.relay import (
    CLOSED,
    HEALTHY,
    STUCK_OPEN,
    RelayParams,
    RelayState,
    draw_swaps,
    new_switch,
    operate,
    wear,
)

if TYPE_CHECKING:
    from twin.simulation.meter_devices import MeterDevices

NOT_FOUND = np.iinfo(np.int32).max
NO_CODE, SWAPPED = 0, "switch_swapped"
"""Event of `meter_events`; no meter logs it."""
_WANTED, _SWAP = 4, 8
"""Places of what is known of broken switches in a checkpoint's number, above their health."""


class Broken(NamedTuple):
    """Switches that are broken under an arm, rising rows. Shape (k,)."""

    rows: NDArray[np.int64]
    wanted: NDArray[np.uint8]
    """How the last order wants each to stand."""
    swap_day: NDArray[np.int32]
    """First day with a new one; `NOT_FOUND` where nobody knows of it."""


class Relays:
    """The load switches of a shard's meters under every arm."""

    def __init__(self, devices: MeterDevices, n_arms: int) -> None:
        shape = (n_arms, len(devices.fleet.ids))
        self.devices, self.params = devices, devices.types.params(RelayParams, "relay")
        self.has_switch = self.params.wear_cycles[devices.fleet.kind] > 0.0
        self.state = RelayState(np.full(shape, CLOSED, np.uint8), np.zeros(shape, np.uint8), np.zeros(shape, np.uint32))
        none = np.zeros(0, np.int64)
        self.broken = [Broken(none, np.zeros(0, np.uint8), np.zeros(0, np.int32)) for _ in range(n_arms)]
        self.swapped = [none for _ in range(n_arms)]
        """Rows whose switch, but not whose failed meter, was swapped on the day."""
        self._day: int | None = None

    def begin(self, day: int) -> None:
        """Open a day (days since 2000-01-01): switches that are swapped on it are new. Asked again, nothing happens."""
        if day == self._day:
            return
        since, swap_day = day - 1 if self._day is None else self._day, self.devices.state.swap_day
        self._day = day
        new = np.flatnonzero((swap_day > since) & (swap_day <= day) & self.has_switch)
        for arm, broken in enumerate(self.broken):
            due = (broken.swap_day <= day) & (swap_day[broken.rows] <= day)
            self.swapped[arm] = np.setdiff1d(broken.rows[due], new)
            due |= np.isin(broken.rows, new)
            self.state.position[arm, broken.rows[due]] = broken.wanted[due]
            self.broken[arm] = Broken._make(column[~due] for column in broken)
            rows = np.union1d(new, broken.rows[due])
            self.state.health[arm, rows] = HEALTHY
            self.state.cycles[arm, rows] = new_switch(self.state.cycles[arm, rows])

    def command(self, arm: int, rows: NDArray[np.int64], wanted: int, *, stands: bool = True) -> NDArray[np.bool_]:
        """Let some meters' switches open or close (`OPEN`, `CLOSED`); which stand as wanted afterwards, shape (k,).

        A welded switch stays closed, and its consumer goes on drawing; a meter without a switch stays closed too. With
        ``stands`` an order that fails holds on, and the new switch will follow it.
        """
        fleet, done = self.devices.fleet, np.empty(len(rows), np.bool_)
        state = RelayState._make(column[arm, rows] for column in self.state)
        order = np.full(len(rows), wanted, np.uint8)
        operate(
            np.uint64(self.devices.seed), fleet.ids[rows], fleet.kind[rows], order, np.zeros(len(rows), np.bool_),
            self.params, state, done,
        )  # fmt: skip
        self._put(arm, rows, state)
        left = order if stands else np.where(done, order, state.position)
        self._note(arm, rows, left, found=~done)
        return done

    def wear(self, arm: int, rows: NDArray[np.int64], operations: NDArray[np.int64]) -> None:
        """Some meters' switches have moved by themselves some times, shape (k,) each."""
        fleet = self.devices.fleet
        state = RelayState._make(column[arm, rows] for column in self.state)
        before = state.position.copy()
        wear(np.uint64(self.devices.seed), fleet.ids[rows], fleet.kind[rows], operations, self.params, state)
        self._put(arm, rows, state)
        self._note(arm, rows, before, found=(state.health == STUCK_OPEN) & (before == CLOSED))

    def in_repair(self, arm: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of some meters' switches are known to be broken, shape (k,)."""
        known = self.broken[arm].rows[self.broken[arm].swap_day != NOT_FOUND]
        return np.isin(rows, known)

    def _put(self, arm: int, rows: NDArray[np.int64], state: RelayState) -> None:
        self.state.position[arm, rows], self.state.health[arm, rows] = state.position, state.health
        self.state.cycles[arm, rows] = state.cycles

    def _note(
        self, arm: int, rows: NDArray[np.int64], wanted: NDArray[np.uint8], found: NDArray[np.bool_]
    ) -> None:  # fmt: skip
        """Keep the last order to those of some switches that are broken; a crew is sent where it is ``found``."""
        mine = (self.state.health[arm, rows] != HEALTHY) & self.has_switch[rows]
        if not mine.any():
            return
        rows, wanted, found, before = rows[mine], wanted[mine], found[mine], self.broken[arm]
        every = np.union1d(before.rows, rows)
        broken = Broken(every, np.zeros(len(every), np.uint8), np.full(len(every), NOT_FOUND, np.int32))
        of = np.searchsorted(every, before.rows)
        broken.wanted[of], broken.swap_day[of] = before.wanted, before.swap_day
        at = np.searchsorted(every, rows)
        broken.wanted[at] = wanted
        sent = np.flatnonzero(found & (broken.swap_day[at] == NOT_FOUND))
        fleet, day, out = self.devices.fleet, self._day, np.empty(len(sent), np.int32)
        assert day is not None, "a day begins before its switches move"
        ids, kind = fleet.ids[rows[sent]], fleet.kind[rows[sent]]
        crews = self.devices.stress.crew_wait_days(EPOCH + dt.timedelta(days=day))
        draw_swaps(np.uint64(self.devices.seed), ids, kind, day, self.devices.params.failure, crews, out)
        broken.swap_day[at[sent]] = out
        self.broken[arm] = broken

    def columns(self) -> list[NDArray[np.generic]]:
        """Everything that is held."""
        return [*self.state, *(column for broken in self.broken for column in broken)]

    def events(self, arm: int) -> list[tuple[NDArray[np.int64], NDArray[np.datetime64], int, str]]:
        """Switches swapped at the start of the day: consumers, times, no code, name."""
        rows = self.swapped[arm]
        midnight = np.datetime64(EPOCH, "us") + np.timedelta64(self._day or 0, "D")
        return [(self.devices.fleet.ids[rows], np.full(len(rows), midnight), NO_CODE, SWAPPED)]

    def arrays(self) -> NDArray[np.float64]:
        """For a checkpoint, shape (n_arms, n, 3): position, health with what is known of broken ones, cycles."""
        health = self.state.health.astype(np.float64)
        for arm, (rows, wanted, swap_day) in enumerate(self.broken):
            health[arm, rows] += _WANTED * wanted + _SWAP * np.where(swap_day == NOT_FOUND, 0, swap_day)
        return np.stack([self.state.position.astype(np.float64), health, self.state.cycles.astype(np.float64)], axis=2)

    def restore(self, array: NDArray[np.float64]) -> None:
        """From a checkpoint's array."""
        position, packed, cycles = np.moveaxis(array, 2, 0).astype(np.int64)
        health = packed % _WANTED
        self.state = RelayState(position.astype(np.uint8), health.astype(np.uint8), cycles.astype(np.uint32))
        for arm, known in enumerate(packed):
            rows = np.flatnonzero(health[arm] != HEALTHY)
            swap_day = known[rows] // _SWAP
            wanted = (known[rows] // _WANTED % 2).astype(np.uint8)
            self.broken[arm] = Broken(rows, wanted, np.where(swap_day == 0, NOT_FOUND, swap_day).astype(np.int32))
