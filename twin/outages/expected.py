"""How much of a usual year a place is without supply, from the outage model's own rates and durations; no draws.

``share = 1 - prod(1 - r_c d_c / 24)`` over the causes c of a level, r per day and d hours on average: as if causes met
at random. Trips and substation outages are summed by hour and month, as `twin.outages.process` draws them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.outages.params import OutageParams
from twin.outages.process import Places
from twin.units import HOURS_PER_DAY

_GRID = 200
"""Cells of each axis over which the mean length of planned work is summed."""
_HOURS = np.arange(24)


class StormSeason(NamedTuple):
    """Thunderstorms of a usual year."""

    per_day: NDArray[np.float64]
    """Chance of one on a day, by month, shape (12,)."""
    from_h: float
    """They start evenly spread between these hours."""
    until_h: float


def off_share(level: str, places: Places, params: OutageParams, storms: StormSeason) -> NDArray[np.float64]:
    """Share of a year in which places are without supply for causes at a level (``feeder``, ``substation``, ``dt``).

    Shape (n,). One level's share says nothing of the others': ``1 - (1 - a)(1 - b)(1 - c)`` joins them.
    """
    if level == "feeder":
        return _heads(places, params, storms)
    if level == "substation":
        by_area = params.substation_per_h[:, None, None] * params.season[None, :, None] * np.ones(24)
        mean_h = mean_lognormal_h(params.substation_median_h, params.substation_log_sd, params.substation_most_h)
        return (_per_day(by_area, params, storms) * mean_h / HOURS_PER_DAY)[places.area]
    faults, burnouts = (
        often * season.mean() * np.array([mean_lognormal_h(median, log_sd, most_h) for median in medians_h])
        for often, season, medians_h, log_sd, most_h in (
            (params.fault_per_day, params.season, params.fault_median_h, params.fault_log_sd, params.fault_most_h),
            (params.burnout_per_day, params.burnout_season, params.burnout_median_h, params.burnout_log_sd,
             params.burnout_most_h),
        )
    )  # fmt: skip
    return (1.0 - (1.0 - faults / HOURS_PER_DAY) * (1.0 - burnouts / HOURS_PER_DAY))[places.area]


def _heads(places: Places, params: OutageParams, storms: StormSeason) -> NDArray[np.float64]:
    by_day = np.where((params.trip_day_h[0] <= _HOURS) & (params.trip_day_h[1] > _HOURS), params.trip_day_multiple, 1.0)
    rates = (params.trip_per_h[places.area] * places.multiple)[:, None, None] * params.season[None, :, None] * by_day
    long_h = mean_lognormal_h(params.trip_median_h, params.trip_log_sd, params.trip_most_h)
    trip_h = params.transient_share * params.transient_h.mean() + (1.0 - params.transient_share) * long_h
    relieved = places.is_relieved * params.relief_per_day * params.season.mean() * params.relief_h.mean()
    planned = params.planned_per_day[places.area] * mean_planned_h(params)
    works = np.ones(len(places.entity))
    for hours in (_per_day(rates, params, storms) * trip_h, planned, relieved):
        works *= 1.0 - hours / HOURS_PER_DAY
    return 1.0 - works


def _per_day(rates: NDArray[np.float64], params: OutageParams, storms: StormSeason) -> NDArray[np.float64]:
    """Outages a day on the year's mean, at most one an hour, of calm rates an hour (n, 12, 24). Shape (n,)."""
    middle, width = _HOURS + 0.5, storms.until_h - storms.from_h
    first, last = np.maximum(middle - params.storm_h, storms.from_h), np.minimum(middle, storms.until_h)
    stormy = storms.per_day[:, None] * np.maximum(last - first, 0.0) / width
    chance = (1.0 - stormy) * (1.0 - np.exp(-rates)) + stormy * (1.0 - np.exp(-params.storm_multiple * rates))
    return chance.sum(axis=2).mean(axis=1)


def mean_lognormal_h(median_h: float, log_sd: float, most_h: float) -> float:
    """Mean of a lognormal time that is cut at a longest one. [h]

    ``M exp(s^2 / 2) F(z - s) + m (1 - F(z))`` with ``z = ln(m / M) / s`` and F the normal law.
    """
    z = math.log(most_h / median_h) / log_sd
    return median_h * math.exp(log_sd**2 / 2.0) * _normal_cdf(z - log_sd) + most_h * (1.0 - _normal_cdf(z))


def mean_planned_h(params: OutageParams) -> float:
    """Mean length of planned work that must be over by an hour of the day. [h]"""
    middle = (np.arange(_GRID) + 0.5) / _GRID
    start, long_h = (ends[0] + (ends[1] - ends[0]) * middle for ends in (params.planned_start_h, params.planned_h))
    return float(np.minimum(long_h[None, :], params.planned_until - start[:, None]).mean())


def _normal_cdf(z: float) -> float:
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))
