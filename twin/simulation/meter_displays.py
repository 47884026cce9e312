"""What the displays of a shard's meters show, where they are devices: opening readings, roll-over, swaps.

Registers are kept as the month to date (`twin.simulation.meter_state`). A display shows that plus what it showed when
the month began, modulo its digits; a new meter counts from zero. In a run's first month the readings at its beginning
follow from the opening readings, which are keyed; from the second on they are kept, 8 bytes a zone and arm.

A meter without tariff zones has one counter. Its zones here are the utility's split of it, and the counter shows their
sum modulo its digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.meters.register import (
    displayed_wh,
    gained_wh,
    gained_with_swap_wh,
    is_plausible,
    opening_wh,
    register_wh,
    rollover_wh,
)
from twin.simulation.meter_traits import installed_days

if TYPE_CHECKING:
    from twin.simulation.block import BlockSolver
    from twin.simulation.meter_devices import MeterDevices
    from twin.simulation.meter_state import MeterState
    from twin.simulation.replicate import ReplicateWorld

SHOWN_IN = frozenset({"registers", "meter_days"})
"""Tables that hold displayed readings; nothing else hangs on them, so that a run without these has none."""
READ, ROLLED_OVER, FELL, SWAPPED, ESTIMATED = range(5)
TAKEN_AS = ("read", "rolled_over", "fell", "swapped", "estimated")
"""What the meter-data system takes a window's readings for: the second is not below the first; it fell, and what it
gained modulo its digits is plausible; it fell and that is not, so that somebody reads it again, and it is billed as it
shows; another meter hangs there by then; what is billed is in table ``estimates``."""


class Readings(NamedTuple):
    """A window's readings of some meters and what they are taken for. Shape (k, n_zones). [Wh]"""

    month_wh: NDArray[np.int64]
    """When the bill month began."""
    start_wh: NDArray[np.int64]
    end_wh: NDArray[np.int64]
    removed_wh: NDArray[np.int64]
    """Of meters swapped in the window: what the old one showed when it was taken down."""
    swapped: NDArray[np.bool_]
    """Shape (k,)."""
    gained_wh: NDArray[np.int64]
    """Energy between the two readings."""
    taken_as: NDArray[np.int64]
    """Position in `TAKEN_AS`."""


class Swapped(NamedTuple):
    """Meters put up since the month began, rising rows. Energies of shape (n_arms, k, n_zones). [Wh]"""

    rows: NDArray[np.int64]
    fresh_wh: NDArray[np.int64]
    """Month to date at which the new meter stood at zero."""
    removed_wh: NDArray[np.int64]
    """What was on the old one; of further meters swapped in the month, what they had counted comes on top."""


class Displays:
    """Readings of a shard's meters; what it holds is what a checkpoint holds."""

    def __init__(
        self, devices: MeterDevices, age_days: NDArray[np.int64], daily_kwh: NDArray[np.float64],
        month_to_date_kwh: NDArray[np.float64], n_arms: int, has_zones: NDArray[np.bool_],
    ) -> None:  # fmt: skip
        """A run's first month.

        Parameters
        ----------
        age_days : array, shape (n,)
            Of each meter on the run's first day.
        daily_kwh : array, shape (n, n_zones)
            Mean use a day. [kWh]
        month_to_date_kwh : array, shape (n, n_zones)
            What registers recorded in the month before the run's first day. [kWh]
        has_zones : array, shape (n,)
            Whether a meter has a register for each zone.
        """
        self.devices, self.has_zones, self.n_arms = devices, has_zones, n_arms
        self.digits = _digits(devices)
        self.rollover_wh = rollover_wh(self.digits)
        self._first: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]] | None = (
            age_days, daily_kwh, month_to_date_kwh,
        )  # fmt: skip
        self.base_wh: NDArray[np.int64] | None = None
        """Readings at the beginning of a later month, shape (n_arms, n, n_zones). [Wh]"""
        self.shape = (n_arms, *daily_kwh.shape)
        self.swapped = self._nobody()

    def _nobody(self) -> Swapped:
        none = np.zeros((self.n_arms, 0, self.shape[2]), np.int64)
        return Swapped(np.zeros(0, np.int64), none, none)

    @property
    def nbytes(self) -> int:
        """Memory of what it keeps itself."""
        return sum(column.nbytes for column in self.swapped) + (0 if self.base_wh is None else self.base_wh.nbytes)

    def month_wh(self, arm: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Readings when the month began, shape (k, n_zones). [Wh]"""
        if self._first is None:
            assert self.base_wh is not None, "a later month has its readings"
            return self.base_wh[arm, rows]
        age_days, daily_kwh, before_kwh = self._first
        resolution, rollover = self.devices.resolution_wh[rows], self.rollover_wh[rows]
        opening = opening_wh(daily_kwh[rows], age_days[rows], resolution, rollover)
        return displayed_wh(opening - register_wh(before_kwh[rows], resolution), rollover)

    def now_wh(self, arm: int, rows: NDArray[np.int64], to_date_wh: NDArray[np.int64]) -> NDArray[np.int64]:
        """Readings at a month to date, of the meters that hang there now; ``rows`` rise. Shape (k, n_zones). [Wh]"""
        base = self.month_wh(arm, rows)
        at, of = self._swapped_among(rows)
        base[at] = -self.swapped.fresh_wh[arm, of]
        return displayed_wh(base + to_date_wh, self.rollover_wh[rows])

    def total_wh(self, arm: int, rows: NDArray[np.int64], to_date_wh: NDArray[np.int64]) -> NDArray[np.int64]:
        """The same of the register of all hours, shape (k,). [Wh]"""
        return _total(self.now_wh(arm, rows, to_date_wh), self.rollover_wh[rows])

    def _swapped_among(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of swapped meters in some rising rows, and among the swapped."""
        at = np.searchsorted(rows, self.swapped.rows)
        of = np.flatnonzero(rows[np.minimum(at, len(rows) - 1)] == self.swapped.rows) if len(rows) else at[:0]
        return at[of], of

    def swap(self, day: int, registers_kwh: NDArray[np.float64]) -> None:
        """Put up the new meters of a day, before it passes; ``registers_kwh`` as recorded by then, by arm."""
        rows = np.flatnonzero(self.devices.state.swap_day == day)
        if len(rows) == 0:
            return
        old, everybody = self.swapped, np.union1d(self.swapped.rows, rows)
        fresh, removed = (np.zeros((self.n_arms, len(everybody), self.shape[2]), np.int64) for _ in range(2))
        kept = np.searchsorted(everybody, old.rows)
        fresh[:, kept], removed[:, kept] = old.fresh_wh, old.removed_wh
        at, resolution = np.searchsorted(everybody, rows), self.devices.resolution_wh[rows]
        for arm in range(self.n_arms):
            to_date = register_wh(registers_kwh[arm, rows], resolution)
            removed[arm, at] += self.now_wh(arm, rows, to_date)
            fresh[arm, at] = to_date
        self.swapped = Swapped(everybody, fresh, removed)

    def window(
        self, arm: int, rows: NDArray[np.int64], start_wh: NDArray[np.int64], end_wh: NDArray[np.int64], days: int
    ) -> Readings:
        """Readings of a window and what they are taken for.

        Parameters
        ----------
        start_wh, end_wh : array, shape (k, n_zones)
            Month to date at both ends, as recorded. [Wh]
        days : int
            Length of the window.
        """
        rollover, has_zones = self.rollover_wh[rows], self.has_zones[rows, None]
        month = self.month_wh(arm, rows)
        start, end = displayed_wh(month + start_wh, rollover), self.now_wh(arm, rows, end_wh)
        at, of = self._swapped_among(rows)
        removed, swapped = np.zeros_like(end), np.zeros(len(rows), np.bool_)
        removed[at], swapped[at] = self.swapped.removed_wh[arm, of], True
        whole = _total(start, rollover), _total(end, rollover)
        fell = np.where(has_zones, end < start, (whole[1] < whole[0])[:, None])
        gained = gained_wh(start, end, rollover)
        counted = np.where(has_zones, gained, gained.sum(axis=1, keepdims=True))
        hours = float(read_yaml("meter_fleet")["too_high_hours"]["value"]) * days
        fair = is_plausible(counted, self.devices.load_kw()[rows], hours)
        taken = np.where(fell, np.where(fair, ROLLED_OVER, FELL), READ)
        gained[at] = gained_with_swap_wh(start[at], removed[at], end[at], rollover[at])
        taken[at] = SWAPPED
        return Readings(month, start, end, removed, swapped, gained, taken)

    def next_month(self, registers_kwh: NDArray[np.float64]) -> None:
        """Keep what is shown at a month's end, as recorded by arm, as readings at the beginning of the next."""
        rows, resolution = np.arange(self.shape[1]), self.devices.resolution_wh
        readings = self.base_wh if self.base_wh is not None else np.empty(self.shape, np.int64)
        for arm in range(self.n_arms):
            readings[arm] = self.now_wh(arm, rows, register_wh(registers_kwh[arm], resolution))
        self.base_wh, self._first, self.swapped = readings, None, self._nobody()

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """For a checkpoint: shape (n_arms, n, n_zones), and (1, n, 1) for who has a new meter."""
        rows = self.swapped.rows
        found, fresh, removed = np.zeros((1, self.shape[1], 1)), np.zeros(self.shape), np.zeros(self.shape)
        found[0, rows, 0], fresh[:, rows], removed[:, rows] = 1.0, self.swapped.fresh_wh, self.swapped.removed_wh
        base = {} if self.base_wh is None else {"display_base_wh": self.base_wh.astype(np.float64)}
        return base | {"display_swapped": found, "display_fresh_wh": fresh, "display_removed_wh": removed}

    def restore(self, arrays: dict[str, NDArray[np.float64]]) -> None:
        """From a checkpoint's arrays."""
        if "display_base_wh" in arrays:
            self.base_wh, self._first = arrays["display_base_wh"].astype(np.int64), None
        rows = np.flatnonzero(arrays["display_swapped"][0, :, 0])
        fresh, removed = (arrays[f"display_{name}_wh"][:, rows].astype(np.int64) for name in ("fresh", "removed"))
        self.swapped = Swapped(rows, fresh, removed)


def open_displays(
    world: ReplicateWorld, solver: BlockSolver, meters: MeterState, arrays: dict[str, NDArray[np.float64]]
) -> Displays:
    """Displays of a replicate: as a run finds them, or from a checkpoint's ``arrays``, which are empty at first.

    A meter has counted an expected day of the run's first month on every day of its age.
    """
    devices, first = meters.devices, world.plan.dates[0]
    assert devices is not None
    assert meters.recorded_start_kwh is not None
    age_days = devices.first_day - installed_days(world.seed, devices.fleet, devices.types, devices.first_day)
    has_zones = world.smart | (devices.fleet.hops > 0)
    displays = Displays(
        devices, age_days.astype(np.int64), world.expected_day_kwh(solver, first), meters.recorded_start_kwh[0],
        len(world.plan.arms), has_zones,
    )  # fmt: skip
    if arrays:
        displays.restore(arrays)
    return displays


def _digits(devices: MeterDevices) -> NDArray[np.int64]:
    """Digits before the point of each meter's display, shape (n,)."""
    by_type = np.array([int(sheet.model.register_.digits.value) for sheet in devices.types.sheets])
    return by_type[devices.fleet.kind]


def _total(readings_wh: NDArray[np.int64], rollover_wh: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.mod(readings_wh.sum(axis=1), rollover_wh)
