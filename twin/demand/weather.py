"""Weather of the districts at quarter hours: the generator ``bihar-normal``, its noiseless normal day, a user's CSV.

No measured year is claimed: normals are climatological, the noise is assumed (demand facts, section 7).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.demand.climate import keeping_means, normals, places
from twin.demand.generator import DailyWeather, chain_tables, run_chains
from twin.demand.stable import exp, sin
from twin.demand.sun import sunrise_h
from twin.errors import InputError, Problem
from twin.streams import Stream, inverse_normal, key64, uniform

DAY_STEPS = 96
"""Quarter hours of a day: demand is always drawn at these."""
PAD = 12
"""Quarter hours before and after the day that day tables carry, for homes whose clock is shifted. """
WIDTH = DAY_STEPS + 2 * PAD
EPOCH = dt.date(2000, 1, 1)
"""Day 0 of absolute time."""


def day_number(date: dt.date) -> int:
    """Days since `EPOCH`."""
    return (date - EPOCH).days


@dataclass(frozen=True)
class HeatWave:
    """Warmer days laid over the generated ones: ``rise_c`` on all temperatures, dew point unchanged."""

    start: dt.date
    end: dt.date
    """Last day, included."""
    rise_c: float

    def rise_on(self, date: dt.date) -> float:
        """Rise on a date. [K]"""
        return self.rise_c if self.start <= date <= self.end else 0.0


@dataclass(frozen=True)
class DayWeather:
    """Weather of one local day in every district.

    Arrays of shape (n_districts, WIDTH) hold quarter hours from `PAD` steps before midnight to `PAD` steps after the
    next one; arrays of shape (n_districts,) hold the day.
    """

    date: dt.date
    outdoor_c: NDArray[np.float64]
    humidity_pct: NDArray[np.float64]
    indoor_c: NDArray[np.float64]
    apparent_c: NDArray[np.float64]
    """Apparent temperature indoors: AT = T + 0.33 e - 4. [C]"""
    daily_mean_c: NDArray[np.float64]
    rain_mm: NDArray[np.float64]
    recent_rain_mm: NDArray[np.float64]
    """Sum over the days before, number of days in weather.yaml. [mm]"""
    storm_h: NDArray[np.float64]
    """Start of a thunderstorm, NaN without. [h]"""


class Weather(Protocol):
    """Anything that gives the weather of a date."""

    def day(self, date: dt.date) -> DayWeather:
        """Weather of one local day."""
        ...

    def storms(self, date: dt.date) -> NDArray[np.floating]:
        """Start of a thunderstorm in every district, NaN without; known for any day. [h]"""
        ...


def saturation_hpa(temperature_c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Saturation vapour pressure over water: Magnus' formula with Sonntag's (1990) constants. [hPa]"""
    return 6.112 * exp(17.62 * temperature_c / (243.12 + temperature_c))


@nb.njit(cache=True, error_model="numpy")
def _lagged(outdoor: NDArray[np.float64], gain: float) -> NDArray[np.float64]:
    """First-order lag along the steps, started at the mean of the first day."""
    out = np.empty_like(outdoor)
    for i in range(outdoor.shape[0]):
        value = outdoor[i, :DAY_STEPS].mean()
        for t in range(outdoor.shape[1]):
            value += gain * (outdoor[i, t] - value)
            out[i, t] = value
    return out


def indoor_c(outdoor_c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Indoor temperature of a brick and slab house: first-order lag of the outdoor one plus a rise.

    ``Tin(t) = Tin(t-1) + (1 - exp(-0.25 h / tau)) (T(t) - Tin(t-1))``, then + offset; shape (n, steps). [C]
    """
    spec = read_yaml("demand/weather")["indoor"]
    gain = 1.0 - float(exp(-24.0 / DAY_STEPS / spec["time_constant_h"]))
    return _lagged(np.ascontiguousarray(outdoor_c), gain) + spec["offset_k"]


def apparent_c(temperature_c: NDArray[np.float64], vapour_hpa: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apparent temperature in the shade without wind, ``T + 0.33 e - 4`` (R. G. Steadman 1984, recalled). [C]"""
    spec = read_yaml("demand/weather")["apparent"]
    return temperature_c + spec["vapour_per_hpa"] * vapour_hpa + spec["offset_k"]


def within_day_c(
    tmax_c: NDArray[np.float64],
    tmin_c: NDArray[np.float64],
    next_tmin_c: NDArray[np.float64],
    last_tmax_c: NDArray[np.float64],
    rise_h: NDArray[np.float64],
    hour: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Temperature within a day from its extremes, shape (n, len(hour)): sine to the peak, then decay. [C]

    From sunrise sr to the peak hp a quarter sine from Tmin to Tmax; after it, with ``u = (h - hp)/(24 - hp + sr)``,
    ``Tmin' + (Tmax - Tmin') exp(-2.2 u)(1 - u)`` towards the next day's minimum (demand facts, section 7.2).
    """
    spec = read_yaml("demand/weather")["within_day"]
    hp, decay = spec["peak_h"], spec["decay"]
    h, sr = hour[None, :], rise_h[:, None]
    span = 24 - hp + sr

    def evening(high: NDArray[np.float64], low: NDArray[np.float64], u: NDArray[np.float64]) -> NDArray[np.float64]:
        u = np.clip(u, 0.0, 1.0)
        return low[:, None] + (high - low)[:, None] * exp(-decay * u) * (1 - u)

    rising = sin(np.pi / 2 * np.clip((h - sr) / (hp - sr), 0.0, 1.0))
    day = tmin_c[:, None] + (tmax_c - tmin_c)[:, None] * rising
    before = evening(last_tmax_c, tmin_c, (h + 24 - hp) / span)
    after = evening(tmax_c, next_tmin_c, (h - hp) / span)
    return np.where(h < sr, before, np.where(h <= hp, day, after))


@nb.njit(cache=True, error_model="numpy")
def _noise(seed: int, day: int, knot_steps: int, n_districts: int) -> NDArray[np.float64]:
    """Standard normal at knots of absolute time, straight between them, shape (n_districts, 96)."""
    out = np.empty((n_districts, DAY_STEPS))
    for i in range(n_districts):
        key = key64(seed, Stream.WEATHER, -1000 - i)
        for t in range(DAY_STEPS):
            step = day * DAY_STEPS + t
            knot = step // knot_steps
            x = (step - knot * knot_steps) / knot_steps
            low, high = inverse_normal(uniform(key, knot)), inverse_normal(uniform(key, knot + 1))
            out[i, t] = low + x * (high - low)
    return out


class GeneratedWeather:
    """Weather ``bihar-normal`` of one replicate.

    Parameters
    ----------
    seed : int
        The replicate's seed (`twin.streams.replicate_seed`).
    heat_wave : HeatWave or None
        Laid over the generated days.
    """

    def __init__(self, seed: int, heat_wave: HeatWave | None = None) -> None:
        self._seed = seed
        self._heat_wave = heat_wave
        self._start: dt.date = read_yaml("demand/weather")["chain_start"]
        self._days: DailyWeather | None = None
        self._curves: dict[int, NDArray[np.float64]] = {}

    def __getstate__(self) -> tuple[int, HeatWave | None]:
        return self._seed, self._heat_wave

    def __setstate__(self, state: tuple[int, HeatWave | None]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def daily(self, date: dt.date) -> DailyWeather:
        """Extremes, dew point, rain and storms of one day; each field has shape (n_districts,)."""
        k = self._row(date)
        assert self._days is not None
        rise = 0.0 if self._heat_wave is None else self._heat_wave.rise_on(date)
        row = DailyWeather(*(field[k] for field in self._days))
        return row._replace(tmax_c=row.tmax_c + np.float32(rise), tmin_c=row.tmin_c + np.float32(rise))

    def storms(self, date: dt.date) -> NDArray[np.floating]:
        """Start of a thunderstorm in every district, NaN without. [h]"""
        return self.daily(date).storm_h

    def _row(self, date: dt.date) -> int:
        k = (date - self._start).days
        if k < 2 or date.year > 2199:
            fix = f"choose dates from {self._start + dt.timedelta(days=9)} to 2199"
            raise InputError([Problem("weather", "date", f"{date} is outside the generator's range", fix)])
        if self._days is None or k + 2 > len(self._days.rain_mm):
            n_days = ((date.year - self._start.year) + 1) * 366 + 2
            self._days = _generate(self._seed, self._start, n_days)
        return k

    def _curve(self, date: dt.date) -> NDArray[np.float64]:
        number = day_number(date)
        if number not in self._curves:
            self._row(date + dt.timedelta(days=1))
            today, last, after = (self.daily(date + dt.timedelta(days=k)) for k in (0, -1, 1))
            spec = read_yaml("demand/weather")
            curve = _curve_of(date, today, last, after)
            noise = _noise(np.uint64(self._seed), number, spec["within_day"]["noise_knot_steps"], len(places()))
            curve += spec["within_day"]["noise_sd_k"] * noise
            since = np.arange(DAY_STEPS)[None, :] / 4 - today.storm_h[:, None]
            cooled = today.storm_drop_k[:, None] * exp(-np.maximum(since, 0.0) / spec["storm"]["recovery_h"])
            curve -= np.where(since >= 0, cooled, 0.0)
            if len(self._curves) > 8:
                self._curves.pop(next(iter(self._curves)))
            self._curves[number] = curve
        return self._curves[number]

    def day(self, date: dt.date) -> DayWeather:
        """Weather of one local day; the same for any run that contains it."""
        one = dt.timedelta(days=1)
        three = [self.daily(date + k * one) for k in (-1, 0, 1)]
        outdoor = np.hstack([self._curve(date + k * one) for k in (-1, 0, 1)])
        n_back = read_yaml("demand/weather")["recent_rain_days"]
        first = max(self._row(date) - n_back, 0)
        assert self._days is not None
        recent = self._days.rain_mm[first : self._row(date)].sum(axis=0, dtype=np.float64)
        return _assemble(date, outdoor, [d.dew_c for d in three], three[1].rain_mm, recent, three[1].storm_h)


class NormalWeather:
    """The expectation of ``bihar-normal`` without any noise: normal extremes, normal dew point, no rain effects."""

    def day(self, date: dt.date) -> DayWeather:
        """Normal weather of a date's day of the year."""
        one = dt.timedelta(days=1)
        around = [_normal_extremes(date + k * one) for k in (-2, -1, 0, 1, 2)]
        curves = [_curve_of(date + (k - 2) * one, around[k], around[k - 1], around[k + 1]) for k in (1, 2, 3)]
        n_back = read_yaml("demand/weather")["recent_rain_days"]
        today = around[2]
        dew = [around[k].dew_c for k in (1, 2, 3)]
        return _assemble(date, np.hstack(curves), dew, today.rain_mm, today.rain_mm * float(n_back), today.storm_h)

    def storms(self, date: dt.date) -> NDArray[np.floating]:
        """Normal weather has none."""
        return _normal_extremes(date).storm_h


def _normal_extremes(date: dt.date) -> DailyWeather:
    day, n = date.timetuple().tm_yday - 1, len(places())
    tmax, tmin, dew, rain = _normal_year()[..., day]
    return DailyWeather(tmax, tmin, dew, rain, np.full(n, np.nan, np.float32), np.zeros(n, np.float32))


@lru_cache(maxsize=1)
def _normal_year() -> NDArray[np.float32]:
    """Normal highest and lowest temperature, dew point [C] and rain [mm] by day of the year, (4, n_districts, 366)."""
    table = normals()
    monthly_days = 365.25 / 12
    fields = [table.tmax_c, table.tmin_c, table.dew_point_c, table.rain_mm / monthly_days]
    return np.stack([keeping_means(field).astype(np.float32) for field in fields])


def _generate(seed: int, start: dt.date, n_days: int) -> DailyWeather:
    n = len(places())
    out = DailyWeather(*(np.empty((n_days, n), np.float32) for _ in range(6)))
    dates = np.arange(np.datetime64(start), np.datetime64(start) + np.timedelta64(n_days, "D"))
    day_of_year = (dates - dates.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)
    run_chains(np.uint64(seed), day_of_year, day_number(start), chain_tables(), out)
    return out


def _curve_of(date: dt.date, today: DailyWeather, last: DailyWeather, after: DailyWeather) -> NDArray[np.float64]:
    here = places()
    rise = sunrise_h(here.latitude, here.longitude, date.timetuple().tm_yday)
    high, low, next_low, last_high = (
        np.asarray(v, dtype=np.float64) for v in (today.tmax_c, today.tmin_c, after.tmin_c, last.tmax_c)
    )
    return within_day_c(high, low, next_low, last_high, rise, np.arange(DAY_STEPS) / 4)


def _assemble(
    date: dt.date,
    outdoor: NDArray[np.float64],
    dew: list[NDArray[np.float32]],
    rain_mm: NDArray[np.float32],
    recent_mm: NDArray[np.floating],
    storm_h: NDArray[np.float32],
) -> DayWeather:
    """A day with its margins from three days' outdoor curves (n, 288) and noon dew points."""
    noon = np.array([0.5, 1.5, 2.5]) * DAY_STEPS
    steps = np.arange(3 * DAY_STEPS)
    dew_c = np.array([np.interp(steps, noon, column) for column in np.array(dew, dtype=np.float64).T])
    return finish_day(date, outdoor, saturation_hpa(np.minimum(dew_c, outdoor)), rain_mm, recent_mm, storm_h)


def finish_day(
    date: dt.date,
    outdoor: NDArray[np.float64],
    vapour_hpa: NDArray[np.float64],
    rain_mm: NDArray[np.floating],
    recent_mm: NDArray[np.floating],
    storm_h: NDArray[np.floating],
) -> DayWeather:
    """`DayWeather` from outdoor temperature and vapour pressure of three days around it, shape (n, 288) each."""
    cut = slice(DAY_STEPS - PAD, 2 * DAY_STEPS + PAD)
    indoor = indoor_c(outdoor)
    return DayWeather(
        date=date,
        outdoor_c=outdoor[:, cut],
        humidity_pct=np.minimum(100 * vapour_hpa / saturation_hpa(outdoor), 100.0)[:, cut],
        indoor_c=indoor[:, cut],
        apparent_c=apparent_c(indoor, vapour_hpa)[:, cut],
        daily_mean_c=outdoor[:, DAY_STEPS : 2 * DAY_STEPS].mean(axis=1),
        rain_mm=np.asarray(rain_mm, dtype=np.float64),
        recent_rain_mm=np.asarray(recent_mm, dtype=np.float64),
        storm_h=np.asarray(storm_h, dtype=np.float64),
    )
