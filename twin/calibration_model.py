"""What a calibration predicts between two runs: estimates at other factors than those of the last run.

Expected demand is linear in the factors (`twin.demand.levels`), so that days are worked out once. The last run is the
anchor: only changes are predicted, from its factors f0 to others f. With M the expected demand of a season's highest
step, E the yearly energy by level, and shares of input read from the run's table ``atc``:

    peak(f) = peak(f0) M(f) / M(f0)                        losses at peak in proportion
    loss(f) = loss(f0) lv(f) / lv(f0)                      lv: share of E that low-voltage networks carry
    theft(f) = theft(f0) k(f) / k(f0)                      k: factor of theft x share of E of those who may steal
    BE = (1 - loss) (1 - theft - rest),  CE(f) = 1 - (1 - CE(f0)) u / u0,  AT&C = 1 - BE CE

What this leaves out (networks that are built anew, response to voltage, chance) shows in the next run, from which the
fit goes on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twin.analysis.calibration import windows
from twin.calibrated import factors, using
from twin.datapack import read_yaml, threshold
from twin.demand.levels import (
    DEMAND_LEVELS,
    HOME_LEVELS,
    DayByLevel,
    HomeYear,
    day_by_level,
    home_year,
    make_panel,
)
from twin.demand.panel import june_days, typical_days
from twin.demand.weather import GeneratedWeather, NormalWeather
from twin.results.reader import Run
from twin.scenario.schema import Scenario
from twin.simulation.replicate import weather_of
from twin.streams import replicate_seed
from twin.units import HOURS_PER_DAY

FloatArray = NDArray[np.float64]
Values = Mapping[str, float]
MEMBERS = 256
"""Consumers of a kind that expected demand is worked out for."""
PEAK_ORDER = 60.0
STEALING = (*HOME_LEVELS, "shop")
"""Levels of the groups that may steal (``theft_groups`` of meter_fleet.yaml)."""
HIGH_VOLTAGE = "ht"
DAYTIME = slice(40, 64)
"""Quarter hours of the day, 10:00 to 16:00, in which load is said to be lowest."""
TEST_BILLED = 0.92
"""Billed share of use that the kept share of homes is told at (demand facts 8.6, test 2)."""


@dataclass(frozen=True)
class Anchor:
    """A finished run: the factors that it was made with, its estimates by name, and its energy as shares."""

    factors: Values
    estimates: Values
    loss: float
    """Of input. [-]"""
    theft: float
    """Of what is used. [-]"""
    rest: float
    """Used and not billed for other reasons, of what is used. [-]"""
    collection: float
    """Collection efficiency; 1 where payments are not modelled. [-]"""

    @classmethod
    def of(cls, run: Run, names: Mapping[str, str]) -> Anchor:
        """Read a run; ``names`` gives the name of the estimate of each id of table ``calibration``."""
        asked = run.scenario.get("calibrated") or {}
        made_with = {name: float(asked.get(name, factor.factor)) for name, factor in factors().items()}
        rows = run.table("calibration", columns=["id", "value"]).to_pylist()
        estimates = {names[row["id"]]: float(row["value"]) for row in rows if row["id"] in names}
        arm = next(iter(run.scenario["experiment"]["arms"]))
        parts = {
            row["part"]: float(row["energy_mwh"])
            for row in run.table("atc", where=f"area = 'state' AND arm = '{arm}'").to_pylist()
        }
        if not parts:
            return cls(made_with, estimates, 0.0, 0.0, 0.0, 1.0)
        used = sum(parts.get(name, 0.0) for name in ("theft", "unrecorded", "meter_error", "estimate", "billed"))
        theft = parts["theft"] / used
        return cls(
            made_with,
            estimates,
            loss=1.0 - used / parts["input"],
            theft=theft,
            rest=1.0 - theft - parts["billed"] / used,
            collection=parts.get("collected", parts["billed"]) / parts["billed"],
        )


@dataclass(frozen=True)
class Model:
    """Expected demand of the days that figures speak of, by level."""

    june: tuple[DayByLevel, ...]
    """The June evenings of which the highest is the season's peak, in the pack's reference weather."""
    seasons: Mapping[str, tuple[DayByLevel, ...]]
    """Days of each window of ``calibration_split.csv`` in the run's weather, by name of the estimate."""
    year: tuple[tuple[DayByLevel, int], ...]
    """Days that stand for a year, and for how many days of it."""
    homes: HomeYear

    def predicted(self, anchor: Anchor, at: Values) -> dict[str, float]:
        """Estimates of the anchor's names at other factors, and what is kept (``calibration_keep.csv``)."""
        now, then = (_Point(self, values) for values in (at, anchor.factors))
        found = dict(anchor.estimates)
        for name, days in {"peak_mw": self.june, **self.seasons}.items():
            if name in found:
                found[name] *= _highest(days, now.levels) / _highest(days, then.levels)
        billed = threshold("billed_of_used")
        for name, unit in (("homes_in_free_block_percent", 100.0), ("homes_in_free_block_million", now.homes_million)):
            if name in found:
                found[name] += unit * (now.within_free(billed) - then.within_free(billed))
        efficiency = self._billing_efficiency(anchor, now, then)
        if "billing_efficiency_percent" in found:
            found["billing_efficiency_percent"] = 100.0 * efficiency
        collection = 1.0 - (1.0 - anchor.collection) * at["unpaid"] / anchor.factors["unpaid"]
        if "atc_state_percent" in found:
            found["atc_state_percent"] = 100.0 * (1.0 - efficiency * min(collection, 1.0))
        return found | now.kept()

    @staticmethod
    def _billing_efficiency(anchor: Anchor, now: _Point, then: _Point) -> float:
        loss = anchor.loss * now.low_voltage / then.low_voltage
        theft = anchor.theft * now.stealing / then.stealing
        return (1.0 - loss) * (1.0 - theft - anchor.rest)


@dataclass(frozen=True)
class _Point:
    """The model at given factors."""

    model: Model
    factors: Values

    @cached_property
    def levels(self) -> FloatArray:
        """In the order of `DEMAND_LEVELS`."""
        return np.array([self.factors[name] for name in DEMAND_LEVELS])

    @cached_property
    def energy_twh(self) -> dict[str, float]:
        """Yearly energy at meters by level; ``rest``: what no factor scales."""
        total = np.zeros(len(DEMAND_LEVELS) + 1)
        for day, n_days in self.model.year:
            total += np.append(self.levels * day.level_mw.mean(axis=1), day.rest_mw.mean()) * HOURS_PER_DAY * n_days
        return dict(zip((*DEMAND_LEVELS, "rest"), (total / 1e6).tolist(), strict=True))

    @cached_property
    def year_twh(self) -> float:
        return sum(self.energy_twh.values())

    @cached_property
    def low_voltage(self) -> float:
        """Share of energy that low-voltage networks carry, but for what no factor scales. [-]"""
        return 1.0 - (self.energy_twh[HIGH_VOLTAGE] + self.energy_twh["rest"]) / self.year_twh

    @cached_property
    def stealing(self) -> float:
        """Factor of theft times the share of energy of those who may steal."""
        return self.factors["theft"] * sum(self.energy_twh[name] for name in STEALING) / self.year_twh

    @cached_property
    def home_kwh(self) -> FloatArray:
        return self.model.homes.month_kwh(np.array([self.factors[name] for name in HOME_LEVELS]))

    @cached_property
    def homes_million(self) -> float:
        return float(self.model.homes.weight.sum()) / 1e6

    def within_free(self, billed: float) -> float:
        """Share of homes whose billed average is within the free block; ``billed``: share of use that is billed. [-]

        Straight between homes in order of use, so that it has a slope in the factors.
        """
        order = np.argsort(self.home_kwh)
        share = np.cumsum(self.model.homes.weight[order]) / self.model.homes.weight.sum()
        return float(np.interp(threshold("free_month"), billed * self.home_kwh[order], share))

    def kept(self) -> dict[str, float]:
        """What ``calibration_keep.csv`` gives ranges of."""
        mean_june = np.mean([day.total_mw(self.levels) for day in self.model.june], axis=0)
        weight = self.model.homes.weight
        return {
            "year_twh": self.year_twh,
            "home_kwh_month": float(weight @ self.home_kwh / weight.sum()),
            "home_within_free_percent": 100.0 * self.within_free(TEST_BILLED),
            "june_day_percent": 100.0 * float(mean_june[DAYTIME].mean() / mean_june.max()),
        }


def _highest(days: tuple[DayByLevel, ...], levels: FloatArray) -> float:
    """About the highest expected demand of some days: the mean of order `PEAK_ORDER` over their steps. [MW]

    Only ratios of it are used. The highest step itself would jump from morning to evening as factors move.
    """
    mw = np.concatenate([day.total_mw(levels) for day in days])
    return float(mw.max() * np.mean((mw / mw.max()) ** PEAK_ORDER) ** (1.0 / PEAK_ORDER))


def make_model(scenario: Scenario, members: int = MEMBERS) -> Model:
    """Expected demand of a scenario's year, at factors of 1."""
    seed, first = scenario.seed, scenario.dates[0]
    weather = weather_of(scenario, replicate_seed(seed, 0))
    reference = GeneratedWeather(read_yaml("demand/panel")["design"]["weather_seed"])
    with using(dict.fromkeys(factors(), 1.0)):
        panel = make_panel(seed, members)
        seasons = {
            name: tuple(day_by_level(panel, date, weather) for date in _days_from(first, window))
            for name, window in windows().items()
        }
        typical = typical_days(first.year)
        return Model(
            june=tuple(day_by_level(panel, date, reference) for date in june_days(first.year)),
            seasons=seasons,
            year=tuple((day_by_level(panel, date, NormalWeather()), n_days) for date, n_days in typical),
            homes=home_year(panel, typical, NormalWeather()),
        )


def _days_from(first: dt.date, window: tuple[tuple[int, int], tuple[int, int]]) -> list[dt.date]:
    """Days of a window in the first year in which it does not begin before ``first``."""
    start, end = window
    year = first.year + (dt.date(first.year, *start) < first)
    begin = dt.date(year, *start)
    return [begin + dt.timedelta(days=k) for k in range((dt.date(year, *end) - begin).days + 1)]
