"""What wears on the meters of a shard on a day, and how long crews take to come to those that fail (model M9).

The failure rate of a datasheet is multiplied by the month, by the place (village or town), by the flood season where
floods come, and by a thunderstorm in the district. Crews are a maker's, in the whole state: how far behind they are
follows from its datasheets, the ages of meters and the months, so that no shard needs to know the others' failures.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
from numpy.typing import NDArray

from twin.datapack import kinds, read_yaml
from twin.demand.climate import places
from twin.demand.weather import Weather
from twin.meters.datasheets import Catalogue
from twin.meters.failure import FailureParams, mean_rates, waiting_days
from twin.simulation.population import Population

SMART, STATIC, ELECTROMECHANICAL = "smart", "static", "electromechanical"
YEARS_BACK = 2
"""Crews begin without arrears on the 1st of January so many years before."""


def sort_of(types: Catalogue, code: int) -> str:
    """smart, static or electromechanical."""
    sheet = types.sheets[code]
    return ELECTROMECHANICAL if sheet.maker == ELECTROMECHANICAL else STATIC if sheet.role == "legacy" else SMART


def age_ranges(types: Catalogue) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest age of each type's meters, between which they are spread evenly. Shape (n_types,). [years]"""
    spec = read_yaml("meter_fleet")["age_years"]
    low, high = np.array([spec[sort_of(types, code)]["value"] for code in range(len(types))], np.float64).T
    return low, high


class Stress:
    """What multiplies failure rates of a shard's meters, feeder by feeder, and the arrears of crews."""

    def __init__(self, population: Population, types: Catalogue, params: FailureParams) -> None:
        spec = read_yaml("meter_fleet")
        self.by_month = np.array(spec["failure_stress_by_month"]["value"], np.float64)
        self.storm = float(spec["failure_stress_storm"]["value"])
        floods = spec["failure_stress_floods"]
        self._in_flood = np.isin(np.arange(1, 13), floods["months"])
        self._flood = float(floods["value"])
        self.district, is_town = _feeders(population)
        town, village = (float(spec["failure_stress_by_place"][area]["value"]) for area in ("urban", "rural"))
        self.place = np.where(is_town, town, village)
        self.floods = np.isin(np.array(places().name), floods["districts"])[self.district]
        self._rate, self._crews = mean_rates(*age_ranges(types), params), params.crew_swaps_per_year

    def by_feeder(self, weather: Weather, date: dt.date) -> NDArray[np.float64]:
        """Multiple of the failure rate on a day, shape (n_feeders + 1,); meters without a feeder are of no place."""
        month = date.month - 1
        out = self.by_month[month] * self.place
        out[self.floods & self._in_flood[month]] *= self._flood
        out[np.isfinite(np.asarray(weather.storms(date), np.float64))[self.district]] *= self.storm
        return np.append(out, self.by_month[month])

    def crew_wait_days(self, date: dt.date) -> NDArray[np.float64]:
        """How long a meter of each type that fails on a day waits until crews have done those before it. [days]

        Shape (n_types,).
        """
        first = np.datetime64(dt.date(date.year - YEARS_BACK, 1, 1), "D")
        days = np.arange(first, np.datetime64(date, "D"))
        month = days.astype("datetime64[M]").astype(np.int64) % 12
        return waiting_days(self._rate, self._crews, self.by_month[month])


def _feeders(population: Population) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """District of each feeder's consumers, and whether most of those whose kind tells it live in town."""
    n, consumers = len(population.feeders), population.consumers
    district, is_town = np.zeros(n, np.int64), np.zeros(n, np.bool_)
    towns = np.array([{"urban": 1, "rural": -1}.get(kind.area, 0) for kind in kinds()])
    for position, part in enumerate(population.feeders):
        if part.rows.stop > part.rows.start:
            district[position] = consumers.district[part.rows.start]
            is_town[position] = towns[consumers.kind[part.rows]].sum() > 0
    return district, is_town
