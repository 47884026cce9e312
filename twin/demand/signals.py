"""The signals of a day: on-probabilities per district and step from clock, sun, weather, season and calendar."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.demand.archetypes import catalogue, is_bucketed
from twin.demand.calendar import event_factor, group_factor
from twin.demand.climate import Places, through_months
from twin.demand.stable import exp
from twin.demand.sun import darkness, elevation_deg
from twin.demand.weather import DAY_STEPS, EPOCH, PAD, WIDTH, DayWeather

STEP_HOURS = 24 / DAY_STEPS
_CLOCK: NDArray[np.float64] = (np.arange(WIDTH, dtype=np.float64) - PAD + 0.5) * STEP_HOURS
"""Hours of the middle of each column of a day table; below 0 and above 24 in the margins. [h]"""


class Day:
    """One date's weather and sun over some districts; evaluates signals to (n, buckets or 1, WIDTH)."""

    def __init__(self, weather: DayWeather, where: Places, rows: NDArray[np.int64]) -> None:
        self.date = weather.date
        self.n = len(rows)
        self.values = {
            "apparent": weather.apparent_c[rows],
            "indoor": weather.indoor_c[rows],
            "outdoor": weather.outdoor_c[rows],
            "humidity": weather.humidity_pct[rows],
            "day_mean": np.repeat(weather.daily_mean_c[rows][:, None], WIDTH, axis=1),
        }
        self.recent_rain_mm = weather.recent_rain_mm[rows]
        day_of_year = weather.date.timetuple().tm_yday
        self.elevation = elevation_deg(where.latitude[rows], where.longitude[rows], day_of_year, _CLOCK)
        buckets = catalogue()
        self.thresholds_k = (np.arange(buckets.n_buckets) - (buckets.n_buckets - 1) / 2) * buckets.bucket_step_k

    def signal(self, spec: dict[str, Any]) -> NDArray[np.float64]:
        """The product of a signal's factors, cut to 0..1; shape (n, buckets or 1, WIDTH)."""
        out = np.ones((self.n, len(self.thresholds_k) if is_bucketed(spec) else 1, WIDTH))
        if "hours" in spec:
            out *= _hours(spec["hours"], spec.get("minutes"))
        if "linear" in spec:
            out *= self._linear(spec["linear"])[:, None, :]
        if "sun" in spec:
            limits = read_yaml("demand/signals")["sun"][spec["sun"]]
            out *= darkness(self.elevation, limits["full_deg"], limits["none_deg"])[:, None, :]
        for factor in spec.get("weather", ()):
            out *= self._logistic(factor)
        if "season" in spec:
            day = self.date.timetuple().tm_yday - 1
            out *= through_months(np.array(spec["season"], dtype=float))[day]
        if "calendar" in spec:
            out *= group_factor(spec["calendar"], self.date)
        if "tag" in spec:
            out *= event_factor(spec["tag"], self.date, _CLOCK)
        if "roster" in spec:
            out *= roster(spec["roster"], self.date)
        if "want" in spec:
            out *= self._farm_want()[:, None, None]
        return np.clip(out, 0.0, 1.0)

    def _linear(self, spec: dict[str, Any]) -> NDArray[np.float64]:
        value = spec["base"] + spec["slope"] * (self.values[spec["value"]] - spec["at"])
        return np.clip(value, 0.0, spec["cap"])

    def _logistic(self, spec: dict[str, Any]) -> NDArray[np.float64]:
        own = self.thresholds_k if spec.get("own_threshold", False) else np.zeros(1)
        value = self.values[spec["value"]][:, None, :]
        sign = 1.0 if "above" in spec else -1.0
        middle = (spec["above"] if "above" in spec else spec["below"]) + own[None, :, None]
        on = 1.0 / (1.0 + exp(-sign * (value - middle) / spec["width"]))
        floor = spec.get("floor", 0.0)
        return floor + (1.0 - floor) * on

    def _farm_want(self) -> NDArray[np.float64]:
        """Share of farm pumps that want water: the month's hours over the roster's, more after dry days, shape (n,)."""
        spec = read_yaml("demand/signals")["farm"]
        hours = np.array(spec["hours_per_month"], dtype=float)
        share = through_months(hours)[self.date.timetuple().tm_yday - 1] / (365.25 / 12 * spec["roster_hours"])
        dry = exp(-self.recent_rain_mm / spec["rain_scale_mm"])
        return np.minimum(share * (spec["wet_factor"] + (spec["dry_factor"] - spec["wet_factor"]) * dry), spec["cap"])


def _hours(values: list[float], minutes: float | None) -> NDArray[np.float64]:
    """A day's 24 values joined by straight lines, or scaled to an integral in minutes; shape (WIDTH,)."""
    table = np.array(values, dtype=float)
    if minutes is not None:
        table *= minutes / (60.0 * table.sum())
    return np.interp(_CLOCK % 24.0, np.arange(25), np.append(table, table[0]))


def roster(group: str, date: dt.date) -> NDArray[np.float64]:
    """Supply of a farm feeder's group, 1 or 0, shape (WIDTH,); A and B swap every period."""
    spec = read_yaml("demand/signals")["rosters"]
    if (date - EPOCH).days // spec["period_days"] % 2:
        group = {"A": "B", "B": "A"}.get(group, group)
    window = spec["groups"][group]
    start, end, hour = window["from_h"], window["to_h"], _CLOCK % 24.0
    inside = (hour >= start) & (hour < end) if start < end else (hour >= start) | (hour < end)
    return inside.astype(float)
