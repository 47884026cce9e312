"""Which firmware a shard's meters have, told from what campaigns have delivered: no state, and no byte of a meter.

A version is that of the place, as the head-end knows it: a meter that was swapped, or that its image broke, is followed
by one with what was delivered there.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.demand.weather import day_number
from twin.meters.communication import DAY_H
from twin.meters.firmware import FirmwareParams, draw_older
from twin.results.schema import arrow_schema
from twin.scenario.meters import CURRENT, OLDER
from twin.simulation.shard_tables import named

if TYPE_CHECKING:
    from twin.scenario.meters import Command
    from twin.simulation.meter_commands import Campaign
    from twin.simulation.meter_devices import MeterDevices


class FirmwareVersions:
    """Versions of a shard's meters at any time of a run."""

    def __init__(self, devices: MeterDevices, commands: tuple[Command, ...]) -> None:
        self.devices = devices
        self._brought = [one.version if one.command == "firmware" else None for one in commands]
        self.names = list(dict.fromkeys([OLDER, CURRENT, *(version for version in self._brought if version)]))
        self.told = any(self._brought) or any(one.firmware is not None for one in commands)
        """Is there anything to tell of versions?"""
        self.campaigns: list[Campaign] = []
        """Firmware campaigns that are opened so far."""

    def at(self, hour: float) -> NDArray[np.uint8]:
        """Version of each meter at an hour since 2000-01-01, as its position in `names`. Shape (n,)."""
        fleet = self.devices.fleet
        older, last_h = np.empty(len(fleet.ids), np.bool_), np.full(len(fleet.ids), -np.inf)
        params = self.devices.types.params(FirmwareParams, "firmware")
        draw_older(np.uint64(self.devices.seed), fleet.ids, fleet.kind, params, older)
        version = np.where(older, self.names.index(OLDER), self.names.index(CURRENT)).astype(np.uint8)
        for campaign in self.campaigns:
            newest = (campaign.reached_h <= hour) & (campaign.reached_h > last_h[campaign.rows])
            rows = campaign.rows[newest]
            last_h[rows] = campaign.reached_h[newest]
            version[rows] = self.names.index(self._brought[campaign.number] or CURRENT)
        return version

    def table(self, case: int, date: dt.date) -> pa.Table:
        """Meters by feeder, type and version at a day's end; HT consumers are left out."""
        devices, n_types, n_versions = self.devices, len(self.devices.types), len(self.names)
        feeders = np.array([part.feeder for part in devices.population.feeders], np.int32)
        mine = np.flatnonzero((devices.fleet.hops > 0) & (devices.place.feeder < len(feeders)))
        group = devices.place.feeder[mine].astype(np.int64) * n_types + devices.fleet.kind[mine]
        group = group * n_versions + self.at(DAY_H * (day_number(date) + 1))[mine]
        works = devices.state.swap_day[mine] <= day_number(date)
        size = len(feeders) * n_types * n_versions
        meters, working = np.bincount(group, minlength=size), np.bincount(group[works], minlength=size)
        there = np.flatnonzero(meters)
        place, version = np.divmod(there, n_versions)
        columns = {
            "case": np.full(len(there), case, np.int32),
            "date": np.full(len(there), np.datetime64(date, "D")),
            "feeder_id": feeders[place // n_types],
            "device": named(place % n_types, devices.types.names),
            "version": named(version, self.names),
            "meters": meters[there].astype(np.int32),
            "working": working[there].astype(np.int32),
        }
        return pa.table(columns, schema=arrow_schema("meter_firmware"))
