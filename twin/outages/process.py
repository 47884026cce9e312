"""When supply is interrupted: a process per feeder, substation (PSS) and distribution transformer (DT), without state.

What happened on a day is drawn from (seed, entity, day), so that any day can be asked alone: interruptions that began
on earlier days are drawn again as far back as one can last. Trips and substation outages are Poisson by hour, at most
one an hour, ``1 - exp(-rate)``; planned work, load relief, faults and burn-outs happen once a day at most. Durations
are lognormal or uniform, cut at a longest one. Form and numbers: demand facts, section 7.4 (assumed there).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.outages.params import (
    DT_BURNOUT,
    DT_FAULT,
    PLANNED,
    RELIEF,
    SUBSTATION,
    TRIP,
    OutageParams,
)
from twin.streams import Stream, gamma, key64, normal, uniform
from twin.units import HOURS_PER_DAY

watch_compilation()

_DRAWS = 4
"""Random numbers of an hour (trips, substations) or of a day (the others)."""
_HAPPENS, _WHEN, _KIND, _LONG = range(_DRAWS)


class Places(NamedTuple):
    """Feeders, substations or DTs that interruptions are drawn for. Shape (n,)."""

    entity: NDArray[np.int64]
    area: NDArray[np.uint8]
    """`RURAL`, `URBAN`."""
    district: NDArray[np.int64]
    """Row of ``storm_h``."""
    is_relieved: NDArray[np.bool_]
    """Is its load relieved by roster?"""
    multiple: NDArray[np.float64]
    """Of the rate of trips, by feeder."""


class Sky(NamedTuple):
    """What the calendar and the weather make of a day and the days before it, the day itself last."""

    day: int
    """Days since 2000-01-01."""
    month: NDArray[np.int64]
    """0 to 11, shape (1 + days back,)."""
    storm_h: NDArray[np.float64]
    """Start of a thunderstorm, NaN without, shape (1 + days back, n_districts). [h]"""


class Interruptions(NamedTuple):
    """Interruptions in the order of their places, then of their start. Shape (k,)."""

    place: NDArray[np.int64]
    """Position among the places asked about."""
    cause: NDArray[np.uint8]
    from_h: NDArray[np.float64]
    """From the day's midnight on, below zero where it began before. [h]"""
    until_h: NDArray[np.float64]


@nb.njit(error_model="numpy")
def _lognormal_h(key: int, index: int, median_h: float, log_sd: float, most_h: float) -> float:
    return min(median_h * math.exp(log_sd * normal(key, index)), most_h)


@nb.njit(error_model="numpy")
def _between(key: int, index: int, ends: NDArray[np.float64]) -> float:
    return ends[0] + (ends[1] - ends[0]) * uniform(key, index)


@nb.njit(error_model="numpy")
def _put(out: Interruptions, n: int, place: int, cause: int, from_h: float, until_h: float, tail_h: float) -> int:
    """Keep an interruption that matters after midnight, where there is room; the number kept or asked for."""
    if until_h <= -tail_h:
        return n
    if n < len(out.place):
        out.place[n], out.cause[n], out.from_h[n], out.until_h[n] = place, cause, from_h, until_h
    return n + 1


@nb.njit(cache=True, error_model="numpy")
def _heads(seed: int, places: Places, sky: Sky, p: OutageParams, tail_h: float, out: Interruptions) -> int:
    """Trips, planned work and load relief of feeders."""
    n, back = 0, len(sky.month) - 1
    for i in range(len(places.entity)):
        trips = key64(seed, Stream.OUTAGE_TRIP, places.entity[i])
        works = key64(seed, Stream.OUTAGE_PLANNED, places.entity[i])
        reliefs = key64(seed, Stream.OUTAGE_RELIEF, places.entity[i])
        area = places.area[i]
        for b in range(back + 1):
            day, shift = sky.day - back + b, HOURS_PER_DAY * (b - back)
            season, storm = p.season[sky.month[b]], sky.storm_h[b, places.district[i]]
            for hour in range(24):
                rate = p.trip_per_h[area] * places.multiple[i] * season
                if p.trip_day_h[0] <= hour < p.trip_day_h[1]:
                    rate *= p.trip_day_multiple
                if storm <= hour + 0.5 < storm + p.storm_h:
                    rate *= p.storm_multiple
                at = (day * 24 + hour) * _DRAWS
                if uniform(trips, at + _HAPPENS) < 1.0 - math.exp(-rate):
                    start = hour + uniform(trips, at + _WHEN)
                    if uniform(trips, at + _KIND) < p.transient_share:
                        long_h = _between(trips, at + _LONG, p.transient_h)
                    else:
                        long_h = _lognormal_h(trips, at + _LONG, p.trip_median_h, p.trip_log_sd, p.trip_most_h)
                    n = _put(out, n, i, TRIP, shift + start, shift + start + long_h, tail_h)
            at = day * _DRAWS
            if uniform(works, at + _HAPPENS) < p.planned_per_day[area]:
                start = _between(works, at + _WHEN, p.planned_start_h)
                end = min(start + _between(works, at + _LONG, p.planned_h), p.planned_until)
                n = _put(out, n, i, PLANNED, shift + start, shift + end, tail_h)
            if places.is_relieved[i] and uniform(reliefs, at + _HAPPENS) < p.relief_per_day * season:
                in_evening = uniform(reliefs, at + _KIND) < p.relief_evening
                start = _between(reliefs, at + _WHEN, p.relief_evening_h if in_evening else p.relief_day_h)
                long_h = _between(reliefs, at + _LONG, p.relief_h)
                n = _put(out, n, i, RELIEF, shift + start, shift + start + long_h, tail_h)
    return n


@nb.njit(cache=True, error_model="numpy")
def _substations(seed: int, places: Places, sky: Sky, p: OutageParams, tail_h: float, out: Interruptions) -> int:
    n, back = 0, len(sky.month) - 1
    for i in range(len(places.entity)):
        key, area = key64(seed, Stream.OUTAGE_SUBSTATION, places.entity[i]), places.area[i]
        for b in range(back + 1):
            day, shift = sky.day - back + b, HOURS_PER_DAY * (b - back)
            storm = sky.storm_h[b, places.district[i]]
            for hour in range(24):
                rate = p.substation_per_h[area] * p.season[sky.month[b]]
                if storm <= hour + 0.5 < storm + p.storm_h:
                    rate *= p.storm_multiple
                at = (day * 24 + hour) * _DRAWS
                if uniform(key, at + _HAPPENS) < 1.0 - math.exp(-rate):
                    start = shift + hour + uniform(key, at + _WHEN)
                    long_h = _lognormal_h(
                        key, at + _LONG, p.substation_median_h, p.substation_log_sd, p.substation_most_h
                    )
                    n = _put(out, n, i, SUBSTATION, start, start + long_h, tail_h)
    return n


@nb.njit(cache=True, error_model="numpy")
def _dts(seed: int, places: Places, sky: Sky, p: OutageParams, tail_h: float, out: Interruptions) -> int:
    n, back = 0, len(sky.month) - 1
    for i in range(len(places.entity)):
        faults = key64(seed, Stream.OUTAGE_FAULT, places.entity[i])
        burnouts = key64(seed, Stream.OUTAGE_BURNOUT, places.entity[i])
        area = places.area[i]
        for b in range(back + 1):
            at, shift, month = (sky.day - back + b) * _DRAWS, HOURS_PER_DAY * (b - back), sky.month[b]
            if uniform(faults, at + _HAPPENS) < p.fault_per_day[area] * p.season[month]:
                start = shift + HOURS_PER_DAY * uniform(faults, at + _WHEN)
                long_h = _lognormal_h(faults, at + _LONG, p.fault_median_h[area], p.fault_log_sd, p.fault_most_h)
                n = _put(out, n, i, DT_FAULT, start, start + long_h, tail_h)
            if uniform(burnouts, at + _HAPPENS) < p.burnout_per_day[area] * p.burnout_season[month]:
                start = shift + HOURS_PER_DAY * uniform(burnouts, at + _WHEN)
                long_h = _lognormal_h(
                    burnouts, at + _LONG, p.burnout_median_h[area], p.burnout_log_sd, p.burnout_most_h
                )
                n = _put(out, n, i, DT_BURNOUT, start, start + long_h, tail_h)
    return n


_SCANS = {"feeder": _heads, "substation": _substations, "dt": _dts}


def interruptions(level: str, seed: int, places: Places, sky: Sky, params: OutageParams) -> Interruptions:
    """Interruptions at a level (``feeder``, ``substation``, ``dt``) that matter on a day: not over, or being picked up.

    ``sky`` reaches back as far as `days_back` tells for the level.
    """
    scan, number = _SCANS[level], np.uint64(seed)
    n = scan(number, places, sky, params, params.tail_h, _room(0))
    out = _room(n)
    scan(number, places, sky, params, params.tail_h, out)
    order = np.lexsort((out.from_h, out.place))
    return Interruptions._make(column[order] for column in out)


def days_back(level: str, params: OutageParams) -> int:
    """Days before a day that `interruptions` asks about."""
    most_h = {
        "feeder": max(params.trip_most_h, HOURS_PER_DAY),
        "substation": params.substation_most_h,
        "dt": max(params.fault_most_h, params.burnout_most_h),
    }
    return params.days_back(most_h[level])


def feeder_multiples(seed: int, feeders: NDArray[np.int64], params: OutageParams) -> NDArray[np.float64]:
    """How much worse or better than its area's mean each feeder is: gamma with mean 1. Shape (n,)."""
    return _multiples(np.uint64(seed), feeders, 1.0 / params.feeder_cv**2)


@nb.njit(cache=True, error_model="numpy")
def _multiples(seed: int, feeders: NDArray[np.int64], shape: float) -> NDArray[np.float64]:
    out = np.empty(len(feeders))
    for i in range(len(feeders)):
        out[i] = gamma(key64(seed, Stream.OUTAGE_FEEDER, feeders[i]), shape) / shape
    return out


def _room(n: int) -> Interruptions:
    return Interruptions(np.empty(n, np.int64), np.empty(n, np.uint8), np.empty(n), np.empty(n))
