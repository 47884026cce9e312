"""Commands of a head-end in a run: who is addressed, when each is carried out, what the switches make of it.

When a command reaches a meter hangs on no state, so that a day's switching is known before its networks are solved:
interruptions of supply, which hold it up, are drawn for any day alone.
Switches are a state by arm (`twin.simulation.relays`): prepaid wallets, which differ between arms, command the same.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.demand.weather import EPOCH, day_number
from twin.meters.commands import HOUR_S, deliver, hold_for_supply, tried_daily_h
from twin.meters.communication import DAY_H
from twin.meters.firmware import NEW_FIRMWARE, FirmwareParams, campaign_days, draw_bricked, transfers_s
from twin.meters.load_limit import LIMIT_DISABLED, LIMIT_SET
from twin.meters.queue import waits
from twin.meters.relay import CLOSED, LOAD_SWITCH_CLOSED, LOAD_SWITCH_OPEN, OPEN
from twin.results.schema import arrow_schema
from twin.simulation.addressing import addressed_rows
from twin.simulation.firmware_versions import FirmwareVersions
from twin.simulation.meter_outages import dark_days_of
from twin.simulation.shard_tables import named
from twin.simulation.system_tables import clock_at

if TYPE_CHECKING:
    from twin.scenario.meters import Command
    from twin.simulation.meter_devices import MeterDevices
    from twin.simulation.relays import Relays

EXECUTED, NOT_REACHED, METER_FAILED, NO_SWITCH, SWITCH_FAILED, BRICKED = range(6)
RESULTS = ("executed", "not_reached", "meter_failed", "no_switch", "switch_failed", "bricked")
SET_LIMIT, LIFT_LIMIT = "load_limit", "lift_limit"
WANTED = {"disconnect": OPEN, "connect": CLOSED}
NEED_SWITCH = (*WANTED, SET_LIMIT, LIFT_LIMIT)
EVENTS = {
    "disconnect": LOAD_SWITCH_OPEN, "connect": LOAD_SWITCH_CLOSED, "firmware": NEW_FIRMWARE, SET_LIMIT: LIMIT_SET,
    LIFT_LIMIT: LIMIT_DISABLED,
}  # fmt: skip
"""IS 15959 event that a meter logs when it has carried out a command."""


@dataclass
class Campaign:
    """One command of the scenario on its way, rising rows."""

    number: int
    command: str
    rows: NDArray[np.int64]
    issued_h: NDArray[np.float64]
    reached_h: NDArray[np.float64]
    """Infinite where it does not come in time. [h since 2000-01-01]"""
    given_up_h: NDArray[np.float64]
    bricked: NDArray[np.bool_]
    """Whom the firmware would break."""


@dataclass
class CommandDay:
    """What commands came to on a day: one entry per command and meter, in the scenario's order, then by row."""

    date: dt.date
    campaign: NDArray[np.int64]
    rows: NDArray[np.int64]
    issued_h: NDArray[np.float64]
    done_h: NDArray[np.float64]
    """Infinite where not reached."""
    result: NDArray[np.int64]
    """Position in `RESULTS`, shape (n_arms, k)."""
    off_from_h: NDArray[np.float64]
    """Hour of the day from which each meter is switched off, shape (n_arms, n)."""
    off_until_h: NDArray[np.float64]
    """Hour until which; equal where it is never off."""

    def off_steps(self, arm: int, steps: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Steps [from, until) of the day in which each meter is switched off, shape (n,) each; (0, 0): never."""
        first, last = (
            np.rint(hours[arm] * steps / DAY_H).astype(np.int16) for hours in (self.off_from_h, self.off_until_h)
        )
        never = last <= first
        first[never] = last[never] = 0
        return first, last


class Commands:
    """All campaigns of the scenario as they meet a shard's meters."""

    def __init__(self, devices: MeterDevices, commands: tuple[Command, ...], relays: Relays) -> None:
        self.devices, self.relays = devices, relays
        self.names: list[str] = [command.command for command in commands]
        self.versions = FirmwareVersions(devices, commands)
        in_time = sorted(enumerate(commands), key=lambda one: (one[1].day, one[1].hour))
        opened = [self._open(number, command) for number, command in in_time]
        self._campaigns = sorted(opened, key=lambda campaign: campaign.number)
        self._today: CommandDay | None = None

    def _open(self, number: int, command: Command) -> Campaign:
        fleet, start_h = self.devices.fleet, DAY_H * day_number(command.day) + command.hour
        rows = addressed_rows(self.devices, number, command, self.versions, start_h)
        (issued, passed, reached), within_h = np.empty((3, len(rows))), command.within_h
        if command.command == "firmware":
            within_h = DAY_H * float(read_yaml("meter_fleet")["firmware_campaign_days"]["value"])
        last_h = start_h + command.queue_min / 60.0 + within_h + command.jitter_s / HOUR_S
        seed, params = np.uint64(self.devices.seed), self.devices.params.communication
        place = self.devices.place.dt[rows]
        dark = dark_days_of(self.devices.outages, start_h, last_h)
        deliver(
            seed, fleet.ids[rows], self.devices.gateways(rows), fleet.kind[rows], fleet.link[rows], fleet.hops[rows],
            params, self.devices.breakdown, number, start_h, command.queue_min / 60.0, command.jitter_s,
            command.within_h, dark, place, issued, passed, reached,
        )  # fmt: skip
        each_h = 1.0 / (HOUR_S * params.gateway_messages_per_s[fleet.kind[rows]])
        reached += waits(self.devices.gateways(rows), passed, each_h)
        if command.command == "firmware":
            firmware = self.devices.types.params(FirmwareParams, "firmware")
            failures = campaign_days(self.devices.seed, fleet.ids[rows], fleet.kind[rows], number, firmware)
            tried_daily_h(
                seed, fleet.ids[rows], fleet.kind[rows], fleet.hops[rows], params, failures, dark, place, within_h,
                issued, reached,
            )  # fmt: skip
            transfer_s = transfers_s(self.devices.seed, fleet.ids[rows], fleet.kind[rows], number, failures, firmware)
            reached += transfer_s / HOUR_S
        hold_for_supply(dark, place, reached)
        bricked = np.zeros(len(rows), np.bool_)
        if command.bricks > 0.0:
            draw_bricked(seed, fleet.ids[rows], number, command.bricks, bricked)
        campaign = Campaign(number, command.command, rows, issued, reached, issued + within_h, bricked)
        if command.command == "firmware":
            self.versions.campaigns.append(campaign)
        return campaign

    def prepare(self, date: dt.date) -> CommandDay:
        """Carry out a day's commands; asked again for the same day, the answer is the same."""
        if self._today is None or self._today.date != date:
            self._today = self._carry_out(date)
        return self._today

    def _carry_out(self, date: dt.date) -> CommandDay:
        self.relays.begin(day_number(date))
        start, state = DAY_H * day_number(date), self.relays.state
        off_from = np.where(state.position == OPEN, 0.0, DAY_H)
        off_until = np.full(off_from.shape, DAY_H)
        parts = []
        for campaign in self._campaigns:
            reached = (campaign.reached_h >= start) & (campaign.reached_h < start + DAY_H)
            given_up = (
                np.isinf(campaign.reached_h) & (campaign.given_up_h >= start) & (campaign.given_up_h < start + DAY_H)
            )
            due = np.flatnonzero(reached | given_up)
            result = np.stack([self._results(arm, campaign, due, off_from, off_until) for arm in range(len(off_from))])
            parts.append((np.full(len(due), campaign.number), campaign.rows[due], campaign.issued_h[due],
                          campaign.reached_h[due], result))  # fmt: skip
        number, rows, issued, done, result = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
        return CommandDay(date, number, rows, issued, done, result, off_from, off_until)

    def _results(
        self, arm: int, campaign: Campaign, due: NDArray[np.int64], off_from: NDArray[np.float64],
        off_until: NDArray[np.float64],
    ) -> NDArray[np.int64]:  # fmt: skip
        """What becomes of the commands that are due; switches move, and their hours are noted."""
        rows, is_reached = campaign.rows[due], np.isfinite(campaign.reached_h[due])
        day, hour = np.divmod(np.where(is_reached, campaign.reached_h[due], campaign.given_up_h[due]), DAY_H)
        result = np.where(is_reached, EXECUTED, NOT_REACHED)
        result[(result == EXECUTED) & (self.devices.state.swap_day[rows] > day)] = METER_FAILED
        result[(result == EXECUTED) & campaign.bricked[due]] = BRICKED
        if campaign.command in NEED_SWITCH:
            result[(result == EXECUTED) & ~self.relays.has_switch[rows]] = NO_SWITCH
        wanted = WANTED.get(campaign.command)
        if wanted is None:
            return result
        go = np.flatnonzero(result == EXECUTED)
        was_open = self.relays.state.position[arm, rows[go]] == OPEN
        result[go[~self.relays.command(arm, rows[go], wanted)]] = SWITCH_FAILED
        is_open = self.relays.state.position[arm, rows[go]] == OPEN
        opened, closed = go[is_open & ~was_open], go[was_open & ~is_open]
        off_from[arm, rows[opened]], off_until[arm, rows[opened]] = hour[opened], DAY_H
        off_until[arm, rows[closed]] = hour[closed]
        return result

    def table(self, case: int, arm: int, day: CommandDay) -> pa.Table:
        """A day's commands as rows of table ``commands``."""
        n, executed = len(day.rows), day.result[arm] == EXECUTED
        columns = {
            "case": np.full(n, case, np.int32),
            "campaign": day.campaign.astype(np.int32),
            "command": named(day.campaign, self.names),
            "consumer_id": self.devices.fleet.ids[day.rows],
            "issued": _time(day.issued_h),
            "executed": pa.array(_time(np.where(executed, day.done_h, 0.0)), mask=~executed),
            "result": named(day.result[arm], list(RESULTS)),
        }
        return pa.table(columns, schema=arrow_schema("commands"))

    def events(self, arm: int, day: CommandDay) -> list[tuple[NDArray[np.int64], NDArray[np.datetime64], int, str]]:
        """Events that meters log: consumers, times, IS 15959 code and name of each kind."""
        parts = []
        for number, command in enumerate(self.names):
            if command in EVENTS:
                mine = (day.campaign == number) & (day.result[arm] == EXECUTED)
                ids, when = self.devices.fleet.ids[day.rows[mine]], _time(day.done_h[mine])
                parts.append((ids, when, EVENTS[command], f"command_{number}_{command}"))
        return parts


def _time(hours: NDArray[np.float64]) -> NDArray[np.datetime64]:
    """Wall clock of hours since 2000-01-01."""
    return clock_at(EPOCH, hours * HOUR_S * 1e6)
