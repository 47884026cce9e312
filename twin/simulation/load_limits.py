"""Load limits in a run: whose switches open on a day because of too much load, settled before any network is solved.

A feeder's consumers are settled in its first round, from where their meters stood at the day's start; what their
switches keep from them is the same in every further round. Only consumers whose demand passes their limit, and those
whose switch has not forgotten the last time, are looked at: a few rows of a feeder, mostly none.

Settings: the first is the scenario's standing one, or none; each command ``load_limit`` brings another, from the step
whose start is nearest to when the meter has carried it out. A new meter is set up as the one before it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numba as nb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.demand.weather import day_number
from twin.meters.clock import DAY_S
from twin.meters.communication import DAY_H
from twin.meters.load_limit import (
    BEGINS,
    CLOSED,
    ENDS,
    LOCKED,
    OVERLOAD,
    OVERLOAD_ENDED,
    LimitChanges,
    LimiterDay,
    LimiterState,
    LoadLimitParams,
    above_limit,
    cut_load,
    idle,
    limit_load,
    room,
)
from twin.meters.relay import HEALTHY, STUCK_OPEN
from twin.results.schema import arrow_schema
from twin.scenario.names import category_names
from twin.simulation.meter_commands import EXECUTED, LIFT_LIMIT, SET_LIMIT
from twin.simulation.switching import Unserved
from twin.simulation.system_tables import clock_at

if TYPE_CHECKING:
    from twin.scenario.meters import Command, LoadLimit
    from twin.scenario.schema import Meters
    from twin.simulation.meter_devices import MeterDevices
    from twin.simulation.relays import Relays

MINUTES = 60.0
OPERATIONS = 2
"""Of a switch for each opening: it closes again."""


@dataclass
class Held:
    """Meters whose limiter is not idle, rising rows of the shard."""

    rows: NDArray[np.int64]
    state: LimiterState

    def inside(self, first: int, last: int) -> tuple[NDArray[np.int64], LimiterState]:
        """Of some rows: theirs counted from ``first``, and copies of their states."""
        span = slice(*np.searchsorted(self.rows, (first, last)))
        return self.rows[span] - first, LimiterState._make(column[span].copy() for column in self.state)


@dataclass
class Cut:
    """What limits keep from some consumers on a day, rising rows counted from ``first``."""

    first: int
    rows: NDArray[np.int64]
    limit_kw: NDArray[np.float64]
    state: LimiterState
    """At the day's end."""
    day: LimiterDay
    unserved_kwh: NDArray[np.float64]
    """Demand at nominal voltage, shape (k,). [kWh]"""


class Commanded(NamedTuple):
    """Settings that commands bring on a day, by rising row and then by time, shape (k,) each."""

    rows: NDArray[np.int64]
    day_share: NDArray[np.float64]
    """When, as a share of the day."""
    setting: NDArray[np.int64]

    def inside(self, rows: slice) -> Commanded:
        """Of some rows: theirs counted from the first."""
        span = slice(*np.searchsorted(self.rows, (rows.start, rows.stop)))
        return Commanded(self.rows[span] - rows.start, self.day_share[span], self.setting[span])


class LimitDay:
    """A block's load limits under every arm; keeps what was settled first."""

    def __init__(self, limits: LoadLimits, date: dt.date) -> None:
        self.limits, self.date, self.commanded = limits, date, limits.commanded_on(date)
        self.works = limits.devices.state.swap_day <= day_number(date)
        self.cuts: dict[tuple[int, int, int], Cut] = {}
        """By arm and rows."""

    def apply(self, arm: int, rows: slice, kw: NDArray[np.float32], unserved: Unserved | None, steps: int) -> None:
        """Take from the demand of some consumers what their limits keep from them, in place. [kW]

        The first call for these rows gives the demand of all of them; what it settles holds for later ones.

        Parameters
        ----------
        kw : array, shape (n, at least steps)
            Demand after response, switches and interruptions.
        unserved : Unserved or None
            What is taken is added to it, at nominal voltage.
        """
        asked = arm, rows.start, rows.stop
        cut = self.cuts.get(asked)
        if cut is None:
            cut = self.cuts[asked] = self._settle(arm, rows, kw, steps)
        if unserved is not None:
            _add_unserved(kw, cut.rows, cut.day.open_share, unserved)
        cut_load(kw, cut.rows, cut.day.open_share)

    def _settle(self, arm: int, rows: slice, kw: NDArray[np.float32], steps: int) -> Cut:
        limits, health = self.limits, self.limits.relays.state.health[arm, rows]
        new, start_kw = self.commanded.inside(rows), limits.limit_kw(rows)
        new_kw = limits.limit_of(rows.start + new.rows, new.setting)
        set_kw = start_kw.copy()
        np.minimum.at(set_kw, new.rows, new_kw)
        cuts = self.works[rows] & (health == HEALTHY)
        stuck = (health == STUCK_OPEN) & np.isfinite(set_kw)
        near = np.empty(len(set_kw), np.bool_)
        above_limit(kw, steps, np.where(cuts, set_kw, np.inf), near)
        held, before = limits.held[arm].inside(rows.start, rows.stop)
        near &= np.isfinite(set_kw)
        near[held] = True
        near &= self.works[rows]  # a new meter, or one that has failed, forgets
        mine = np.flatnonzero(near | stuck)
        state, day = idle(len(mine)), room(len(mine), steps)
        _, at, of = np.intersect1d(mine, held, assume_unique=True, return_indices=True)
        for name, known in before._asdict().items():
            getattr(state, name)[at] = known[of]
        state.mode[health[mine] != HEALTHY] = CLOSED  # it measures on, but moves nothing
        theirs = np.isin(new.rows, mine)
        changed = new.rows[theirs]
        changes = LimitChanges(
            np.searchsorted(changed, np.append(mine, len(set_kw))),
            np.rint(new.day_share[theirs] * steps).astype(np.int64),
            np.where(cuts[changed], new_kw[theirs], np.inf), limits.timers(rows.start + changed, new.setting[theirs]),
        )  # fmt: skip
        timers = limits.timers(rows.start + mine, limits.setting_of(rows.start + mine))
        limit_kw = np.where(cuts[mine], start_kw[mine], np.inf)
        limit_load(kw, mine, limit_kw, timers, DAY_S / steps, limits.params, changes, state, day)
        day.open_share[stuck[mine]] = 1.0
        kept = (kw[mine, :steps].astype(np.float64) * day.open_share).sum(axis=1) * 24.0 / steps
        return Cut(rows.start, mine, set_kw[mine], state, day, kept)

    def parts(self, arm: int) -> list[Cut]:
        """Everything settled under an arm, rising rows."""
        return [self.cuts[key] for key in sorted(self.cuts) if key[0] == arm]


class LoadLimits:
    """The limits that a scenario sets for a shard's meters, and which of them are not idle."""

    def __init__(
        self, devices: MeterDevices, setting: LoadLimit | None, relays: Relays, commands: tuple[Command, ...] = ()
    ) -> None:
        self.devices, self.relays = devices, relays
        own = devices.types.params(LoadLimitParams, "load_limit")
        self.limited = own.persistence_s > 0.0
        self._of_campaign = np.cumsum([command.command == SET_LIMIT for command in commands])
        """Setting that each command brings, where it brings one."""
        settings = [setting, *(command for command in commands if command.command == SET_LIMIT)]
        self.multiples = np.array([_multiple(one) for one in settings])
        tables = [_timers(own, self.limited, one) for one in settings]
        self.params = LoadLimitParams._make(np.concatenate(column) for column in zip(*tables, strict=True))
        names = (setting.categories if setting is not None else ()) or category_names()
        self.addressed = np.isin(np.array(category_names()), np.array(names))
        self.setting: NDArray[np.unsignedinteger] | None = None
        """In force for each meter, where commands bring others than the standing one."""
        if len(settings) > 1:
            self.setting = np.zeros(len(devices.fleet.ids), np.min_scalar_type(len(settings)))
        self.n_arms = n_arms = len(relays.state.health)
        none = np.zeros(0, np.int64)
        self.held = [Held(none, idle(0)) for _ in range(n_arms)]

    def setting_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Setting in force for some consumers at the day's start."""
        return np.zeros(len(rows), np.int64) if self.setting is None else self.setting[rows].astype(np.int64)

    def timers(self, rows: NDArray[np.int64], setting: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of ``params`` of some consumers' meters under some settings."""
        return setting * len(self.limited) + self.devices.fleet.kind[rows]

    def limit_kw(self, rows: slice) -> NDArray[np.float64]:
        """Limit of some consumers at the day's start; infinite where nothing limits them. [kW]"""
        all_rows = np.arange(rows.start, rows.stop)
        return self.limit_of(all_rows, self.setting_of(all_rows))

    def limit_of(self, rows: NDArray[np.int64], setting: NDArray[np.int64]) -> NDArray[np.float64]:
        """Limit of some consumers under some settings; infinite where nothing limits them. [kW]"""
        consumers = self.devices.population.consumers
        has = self.limited[self.devices.fleet.kind[rows]] & ((setting > 0) | self.addressed[consumers.category[rows]])
        return np.where(has, self.multiples[setting] * consumers.sanctioned_kw[rows].astype(np.float64), np.inf)

    def begin(self, date: dt.date) -> LimitDay:
        """Open a day."""
        return LimitDay(self, date)

    def commanded_on(self, date: dt.date) -> Commanded:
        """Settings that commands bring on a day; they are alike in all arms."""
        if self.devices.commands is None or self.setting is None:
            return Commanded(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
        day = self.devices.commands.prepare(date)
        names = np.array(self.devices.commands.names)[day.campaign]
        done = np.flatnonzero(np.isin(names, (SET_LIMIT, LIFT_LIMIT)) & (day.result[0] == EXECUTED))
        done = done[np.lexsort((day.done_h[done], day.rows[done]))]
        setting = np.where(names[done] == SET_LIMIT, self._of_campaign[day.campaign[done]], 0)
        return Commanded(day.rows[done], day.done_h[done] / DAY_H - day_number(date), setting)

    def commit(self, day: LimitDay) -> None:
        """Take where a settled day leaves the meters."""
        if self.setting is not None:
            last = np.append(day.commanded.rows[1:] != day.commanded.rows[:-1], True)[: len(day.commanded.rows)]
            self.setting[day.commanded.rows[last]] = day.commanded.setting[last]
        for arm in range(self.n_arms):
            parts = day.parts(arm)
            rows = np.concatenate([np.zeros(0, np.int64), *(cut.first + cut.rows for cut in parts)])
            opened = np.concatenate([np.zeros(0, np.int64), *(cut.day.opened for cut in parts)])
            self.relays.wear(arm, rows[opened > 0], OPERATIONS * opened[opened > 0])
            columns = zip(idle(0), *(cut.state for cut in parts), strict=True)
            state = LimiterState._make(np.concatenate(column) for column in columns)
            kept = (state.mode != CLOSED) | (state.tries > 0) | (state.overloaded > 0) | (state.above_s > 0.0)
            self.held[arm] = Held(rows[kept], LimiterState._make(column[kept] for column in state))

    def columns(self) -> list[NDArray[np.generic]]:
        """Everything that is held."""
        columns: list[NDArray[np.generic]] = [column for held in self.held for column in (held.rows, *held.state)]
        return columns if self.setting is None else [*columns, self.setting]

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """For a checkpoint: states, shape (n_arms, n, 5), and settings in force, shape (1, n, 1)."""
        out = np.zeros((self.n_arms, len(self.devices.fleet.ids), len(LimiterState._fields)))
        for arm, held in enumerate(self.held):
            out[arm, held.rows] = np.stack([column.astype(np.float64) for column in held.state], axis=1)
        in_force = {} if self.setting is None else {"limit_setting": self.setting.astype(np.float64)[None, :, None]}
        return {"load_limits": out} | in_force

    def restore(self, arrays: dict[str, NDArray[np.float64]]) -> None:
        """From a checkpoint's arrays."""
        if self.setting is not None:
            self.setting[:] = arrays["limit_setting"][0, :, 0]
        for arm, columns in enumerate(arrays["load_limits"]):
            rows = np.flatnonzero(columns[:, :-1].any(axis=1))
            state = idle(len(rows))
            for i, name in enumerate(state._fields):
                getattr(state, name)[:] = columns[rows, i]
            self.held[arm] = Held(rows, state)

    def table(self, case: int, arm: int, day: LimitDay) -> pa.Table:
        """Meters whose switches the limit opened on a day."""
        tables = []
        for cut in day.parts(arm):
            mine = np.flatnonzero((cut.day.opened > 0) | cut.day.open_share.any(axis=1))
            open_min = cut.day.open_share[mine].mean(axis=1, dtype=np.float64) * DAY_S / MINUTES
            columns = {
                "case": np.full(len(mine), case, np.int32),
                "date": np.full(len(mine), np.datetime64(day.date, "D")),
                "consumer_id": self.devices.fleet.ids[cut.first + cut.rows[mine]],
                "limit_kw": cut.limit_kw[mine],
                "openings": cut.day.opened[mine],
                "open_min": open_min,
                "locked": cut.state.mode[mine] == LOCKED,
                "unserved_kwh": cut.unserved_kwh[mine],
            }
            tables.append(pa.table(columns, schema=arrow_schema("load_limits")))
        return pa.concat_tables(tables) if tables else arrow_schema("load_limits").empty_table()

    def events(self, arm: int, day: LimitDay) -> list[tuple[NDArray[np.int64], NDArray[np.datetime64], int, str]]:
        """Begins and ends of overload that meters log: consumers, times, IS 15959 code and name of each kind."""
        parts = []
        for what, code, name in ((BEGINS, OVERLOAD, "overload"), (ENDS, OVERLOAD_ENDED, "overload_ended")):
            for cut in day.parts(arm):
                row, step = np.nonzero(cut.day.episode == what)
                step_s = DAY_S / cut.day.episode.shape[1]
                at_s = step * step_s + cut.day.episode_s[row, step]
                ids = self.devices.fleet.ids[cut.first + cut.rows[row]]
                parts.append((ids, clock_at(day.date, at_s * 1e6), code, name))
        return parts


def limits_of(devices: MeterDevices, meters: Meters) -> LoadLimits | None:
    """What limits a shard's meters; None where neither a standing limit nor a command does."""
    if devices.relays is None or not (meters.load_limit or any(one.command == SET_LIMIT for one in meters.commands)):
        return None
    return LoadLimits(devices, meters.load_limit, devices.relays, meters.commands)


def _multiple(setting: LoadLimit | Command | None) -> float:
    """Limit over sanctioned load; infinite where there is none."""
    if setting is None:
        return np.inf
    default = float(read_yaml("meter_fleet")["load_limit_multiple"]["value"])
    return default if setting.multiple is None else setting.multiple


def _timers(own: LoadLimitParams, limited: NDArray[np.bool_], setting: LoadLimit | Command | None) -> LoadLimitParams:
    """The datasheets' numbers with those of a setting laid over them, for types that limit anything."""
    given = {} if setting is None else setting.model_dump(include=set(LoadLimitParams._fields), exclude_none=True)
    return own._replace(**{name: np.where(limited, float(value), 0.0) for name, value in given.items()})


@nb.njit(cache=True, error_model="numpy")
def _add_unserved(
    kw: NDArray[np.float32], rows: NDArray[np.int64], open_share: NDArray[np.float32], out: Unserved
) -> None:
    """Add up what `cut_load` takes away. ``kw`` [m, stride]."""
    for i in range(len(rows)):
        for t in range(open_share.shape[1]):
            out.kw[out.place[rows[i]], t] += kw[rows[i], t] * open_share[i, t]
