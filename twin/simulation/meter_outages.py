"""What interruptions of supply do to the meters of a shard: events, last gasps, late reads, clocks without a battery.

Interruptions come as arrays (`dark_of`): row of the DT, hours at which supply fails and comes back, rising by DT and
time. The outage model draws any day alone, so that the day on which a profile comes in is known before it is simulated.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.demand.weather import EPOCH, day_number
from twin.meters.communication import DAY_H, Dark, DarkDays, days_in_a_row, hours_dark
from twin.meters.fleet import PowerCuts, no_cuts
from twin.meters.gasp import POWER_FAILURE, POWER_RESTORED, GaspParams
from twin.meters.power import POWER, behind, count_power, dark_at_once
from twin.results.schema import arrow_schema
from twin.simulation.system_tables import clock_at

if TYPE_CHECKING:
    from twin.simulation.meter_devices import MeterDevices
    from twin.simulation.supply import Outages


@dataclass
class PowerDay:
    """What a day's interruptions did to the meters."""

    date: dt.date
    dark: Dark
    counts: NDArray[np.float64]
    """`POWER` by feeder, shape (n_feeders + 1, len(POWER))."""
    delayed: NDArray[np.int64]
    """Profiles of the day that come in later because of interruptions, or not within a day. Shape (n_feeders + 1,)."""


def dark_of(
    row: NDArray[np.int64], from_h: NDArray[np.float64], until_h: NDArray[np.float64], n_dts: int
) -> Dark:  # fmt: skip
    """Interruptions as the meters take them.

    Parameters
    ----------
    row, from_h, until_h : array, shape (k,)
        DT (row of the shard), and hours from the day's midnight; rising by row, then time, and apart within a row.
    n_dts : int
        Of the shard; consumers without a DT are a place after the last, which is never dark.
    """
    ptr = np.searchsorted(row, np.arange(n_dts + 2)).astype(np.int64)
    return Dark(ptr, from_h, until_h)


class MeterOutages:
    """Interruptions as a shard's meters live through them; ``off_h`` is state."""

    def __init__(self, devices: MeterDevices, outages: Outages) -> None:
        self.devices, self.outages = devices, outages
        self.n_places = devices.population.n_dts + 1
        self.off_h = np.zeros(self.n_places)
        """Time without supply since the run began, by DT. [h]"""
        self.usual_h = np.append(outages.usual_off_h(), 0.0)
        """A year's time without supply before the run, which is on the batteries' account too. [h]"""
        self._next: tuple[dt.date, Dark] | None = None
        """Tomorrow, which the day before asked about already."""
        self._gasp = devices.types.params(GaspParams, "last_gasp")
        fleet, place = devices.fleet, devices.place
        with_module = fleet.hops > 0
        self._behind = behind(
            place.dt[with_module].astype(np.int64), fleet.gateway[with_module].astype(np.int64), self.n_places,
            len(place.gateway_id),
        )  # fmt: skip

    def dark(self, date: dt.date) -> Dark:
        """When each DT is without supply on a day."""
        return dark_of(*self.outages.by_dt(self.outages.on(date)), self.n_places - 1)

    def alone(self, date: dt.date) -> Dark:
        """The same of any day, drawn for itself; `dark` keeps the last one, for networks."""
        return dark_of(*self.outages.by_dt(self.outages.times(date)), self.n_places - 1)

    def cuts(self, date: dt.date) -> PowerCuts:
        """A day, and the one after it, on which its profiles come in."""
        following = date + dt.timedelta(days=1)
        today = self._next[1] if self._next is not None and self._next[0] == date else self.dark(date)
        self._next = following, self.dark(following)
        return PowerCuts(today, self._next[1], self.off_h, self.usual_h, self.devices.first_day)

    def pass_day(self, date: dt.date, cuts: PowerCuts, delayed: NDArray[np.bool_]) -> PowerDay:
        """Count what meters sent on a day that has passed; the hours without supply go on the batteries' account."""
        devices, today = self.devices, self.devices.context(date)
        counts = np.zeros((len(devices.population.feeders) + 1, len(POWER)))
        ptr, at_once = dark_at_once(cuts.today, self._behind)
        count_power(
            devices.fleet, devices.state, devices.place, self._gasp, devices.params.communication, today, cuts.today,
            self._behind, ptr, at_once, counts,
        )  # fmt: skip
        self.off_h += hours_dark(cuts.today)
        late = np.bincount(devices.place.feeder[delayed], minlength=len(counts))
        return PowerDay(date, cuts.today, counts, late)

    def columns(self) -> list[NDArray[np.generic]]:
        """Everything that is held."""
        return [self.off_h, self.usual_h, *self._behind]

    def arrays(self) -> NDArray[np.float64]:
        """For a checkpoint, by meter: shape (1, n, 1). [h]"""
        return self.off_h[self.devices.place.dt][None, :, None]

    def restore(self, array: NDArray[np.float64]) -> None:
        """From a checkpoint's array."""
        self.off_h[self.devices.place.dt] = array[0, :, 0]

    def table(self, case: int, day: PowerDay) -> pa.Table:
        """A day by feeder as rows of table ``meter_power``."""
        n = len(self.devices.population.feeders)
        columns = {
            "case": np.full(n, case, np.int32),
            "date": np.full(n, np.datetime64(day.date, "D")),
            "feeder_id": np.array([part.feeder for part in self.devices.population.feeders], np.int32),
        }
        for column, name in enumerate(POWER):
            values = day.counts[:n, column]
            columns[name] = values if name.endswith("_h") else values.astype(np.int32)
        columns["reads_delayed"] = day.delayed[:n].astype(np.int32)
        return pa.table(columns, schema=arrow_schema("meter_power"))

    def events(
        self, day: PowerDay, watched: NDArray[np.int64]
    ) -> list[tuple[NDArray[np.int64], NDArray[np.datetime64], int, str]]:
        """Failures and restorations that some working meters with a module log: meters, times, code and name."""
        devices = self.devices
        works = devices.state.swap_day[watched] <= devices.context(day.date).day
        rows = watched[works & (devices.fleet.hops[watched] > 0)]
        first, last = (day.dark.ptr[devices.place.dt[rows] + end] for end in (0, 1))
        counts = last - first
        which = np.repeat(first - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
        ids = np.repeat(devices.fleet.ids[rows], counts)
        parts = []
        for hours, code, name in (
            (day.dark.from_h[which], POWER_FAILURE, "power_failure"),
            (day.dark.until_h[which], POWER_RESTORED, "power_restored"),
        ):
            mine = (hours >= 0.0) & (hours < DAY_H)
            parts.append((ids[mine], clock_at(day.date, hours[mine] * 3.6e9), code, name))
        return parts


def cuts_of(outages: MeterOutages | None, date: dt.date, n_dts: int) -> PowerCuts:
    """Interruptions of a day; none where the scenario asks for no outages."""
    return no_cuts(n_dts + 1) if outages is None else outages.cuts(date)


def dark_days_of(outages: MeterOutages | None, from_h: float, until_h: float) -> DarkDays:
    """Interruptions of the days between two hours, counted from 2000-01-01, as far as the run goes; none without."""
    first = int(from_h // DAY_H)
    if outages is None:
        return days_in_a_row(first, [])
    last = min(int(until_h // DAY_H) + 1, day_number(outages.devices.last_date) + 1)
    dates = [EPOCH + dt.timedelta(days=day) for day in range(first, last + 1)]
    return days_in_a_row(first, [outages.alone(date) for date in dates])
