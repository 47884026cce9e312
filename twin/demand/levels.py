"""Expected demand taken apart by the fitted factors: the cheap model of a year that a calibration turns the knobs of.

Expected demand is linear in the factors of ``calibrated.yaml``, so that it is worked out once per day and factor, and a
fit then only adds up:

    P(t) = rest(t) + sum_f factor_f P_f(t)
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.calibrated import fitted
from twin.datapack import kinds
from twin.demand.archetypes import HEATING, HOME_CHANNELS, LEVELS, N_HOME_KINDS
from twin.demand.columns import DemandColumns
from twin.demand.draw import day_tables, mean_tile, padded
from twin.demand.panel import kind_counts, panel_columns
from twin.demand.weather import DAY_STEPS, Weather
from twin.units import KW_PER_MW

FloatArray = NDArray[np.float64]
HOME_PARTS = {"home_cooling": ("fan1", "fan2", "cool"), "home_heating": HEATING}
"""Channels of homes (`HOME_CHANNELS`) that a factor of its own scales."""
HOME_LEVELS = (*HOME_PARTS, "home_other")
DEMAND_LEVELS = (*HOME_LEVELS, *dict.fromkeys(LEVELS.values()))
"""Fitted factors that scale demand."""


@dataclass(frozen=True)
class Panel:
    """Consumers of every kind, with and without the parts of homes, and how many of the state each stands for."""

    whole: DemandColumns
    without: tuple[DemandColumns, ...]
    """The same without the channels of each of `HOME_PARTS`."""
    weight: FloatArray
    """Shape (n,)."""
    level: NDArray[np.int64]
    """Shape (n,): position in `DEMAND_LEVELS` of what scales the consumer (homes: what no part holds); -1: none."""

    @property
    def n_homes(self) -> int:
        """Homes come first."""
        return int(np.count_nonzero(self.whole.kind < N_HOME_KINDS))


def make_panel(seed: int, members: int) -> Panel:
    """``members`` consumers of every kind, spread over the state like all consumers."""
    whole = panel_columns(seed, members)
    at_home = whole.kind < N_HOME_KINDS
    without = []
    for channels in HOME_PARTS.values():
        power = whole.power.copy()
        power[np.ix_(at_home, np.array([HOME_CHANNELS.index(name) for name in channels]))] = 0
        without.append(whole._replace(power=power))
    groups = [LEVELS.get(kind.group) for kind in kinds()]
    of_kind = [DEMAND_LEVELS.index(name) if name else -1 for name in groups]
    of_kind[:N_HOME_KINDS] = [DEMAND_LEVELS.index("home_other")] * N_HOME_KINDS
    weight = np.repeat(kind_counts() / members, members)
    return Panel(whole, tuple(without), weight, np.array(of_kind)[whole.kind])


def expected_kw(columns: DemandColumns, date: dt.date, weather: Weather, seed: int = 0) -> NDArray[np.float32]:
    """Expected power of consumers on a date, shape (n, 96). At 230 V. [kW]"""
    n = len(columns.key)
    kw = np.empty((n, padded(DAY_STEPS)), np.float32)
    mean_tile(columns, 0, n, day_tables(seed, weather, date), kw)
    return kw[:, :DAY_STEPS]


@dataclass(frozen=True)
class DayByLevel:
    """Expected power of the state by factor, at factors of 1. [MW]"""

    rest_mw: FloatArray
    """Shape (96,): what no factor scales."""
    level_mw: FloatArray
    """Shape (len(DEMAND_LEVELS), 96)."""

    def total_mw(self, factors: FloatArray) -> FloatArray:
        """Power of the state at given factors, in the order of `DEMAND_LEVELS`. Shape (96,). [MW]"""
        return np.asarray(self.rest_mw + factors @ self.level_mw)


def day_by_level(panel: Panel, date: dt.date, weather: Weather) -> DayByLevel:
    """A day of expected demand at consumers' meters."""
    now = np.array([fitted(name) for name in DEMAND_LEVELS])
    rest_kw, parts_kw = _parts(panel, date, weather)
    levels = np.stack([(panel.weight * (panel.level == code)) @ rest_kw for code in range(len(DEMAND_LEVELS))])
    for name, part_kw in zip(HOME_PARTS, parts_kw, strict=True):
        levels[DEMAND_LEVELS.index(name)] = panel.weight @ part_kw
    rest = (panel.weight * (panel.level < 0)) @ rest_kw
    return DayByLevel(rest / KW_PER_MW, levels / now[:, None] / KW_PER_MW)


def _parts(panel: Panel, date: dt.date, weather: Weather) -> tuple[FloatArray, list[FloatArray]]:
    """Expected power without the parts of homes, and of each part; shape (n, 96) each. [kW]"""
    whole = expected_kw(panel.whole, date, weather).astype(np.float64)
    parts = [whole - expected_kw(columns, date, weather) for columns in panel.without]
    return whole - np.sum(parts, axis=0), parts


@dataclass(frozen=True)
class HomeYear:
    """Mean monthly use of the panel's homes by `HOME_LEVELS`, at factors of 1. [kWh]"""

    part_kwh: FloatArray
    """Shape (len(HOME_LEVELS), n_homes)."""
    weight: FloatArray
    """Shape (n_homes,)."""

    def month_kwh(self, factors: FloatArray) -> FloatArray:
        """Mean monthly use of every home at given factors, in the order of `HOME_LEVELS`. [kWh]"""
        return np.asarray(factors @ self.part_kwh)


def home_year(panel: Panel, days: list[tuple[dt.date, int]], weather: Weather) -> HomeYear:
    """A year of the panel's homes from days that stand for ``n`` days each."""
    n = panel.n_homes
    total = np.zeros((len(HOME_LEVELS), n))
    for date, n_days in days:
        rest_kw, parts_kw = _parts(panel, date, weather)
        months = n_days * 24.0 / DAY_STEPS / 12.0
        total += np.stack([kw[:n].sum(axis=1) for kw in (*parts_kw, rest_kw)]) * months
    now = np.array([fitted(name) for name in HOME_LEVELS])
    return HomeYear(total / now[:, None], panel.weight[:n])
