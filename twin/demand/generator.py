"""Daily weather of the districts: correlated chains from one fixed date, the same for any start of a run."""

from __future__ import annotations

import datetime as dt
import math
from functools import lru_cache
from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.demand.climate import distance_km, keeping_means, normals, places, through_months
from twin.demand.stable import cholesky, exp, product
from twin.streams import Stream, gamma, inverse_normal, key64, uniform

_FIELDS = 5
_AMOUNTS = 1 << 40


class ChainTables(NamedTuple):
    """What the daily chains read: by day of year (366) and district (n), and Cholesky factors (n, n)."""

    tmax_c: NDArray[np.float64]
    tmin_c: NDArray[np.float64]
    dew_c: NDArray[np.float64]
    sd_tmax: NDArray[np.float64]
    sd_tmin: NDArray[np.float64]
    sd_dew: NDArray[np.float64]
    wet_after_dry: NDArray[np.float64]
    wet_after_wet: NDArray[np.float64]
    mm_per_wet_day: NDArray[np.float64]
    wet_tmax_k: NDArray[np.float64]
    storm_chance: NDArray[np.float64]
    regime_enter: NDArray[np.float64]  # (366, 2): cold days, heat wave
    regime_inside: NDArray[np.float64]  # (366, 2): 1 within the season of the regime
    regime_leave: NDArray[np.float64]  # (2,)
    regime_shift: NDArray[np.float64]  # (2, 3): on Tmax, Tmin, dew point
    factor_tmax: NDArray[np.float64]
    factor_tmin: NDArray[np.float64]
    factor_rain: NDArray[np.float64]
    scalars: NDArray[np.float64]  # persistences and the like, see `chain_tables`


def _in_season(window: dict[str, Any]) -> NDArray[np.float64]:
    start = dt.date(2000, *window["from"]).timetuple().tm_yday - 1
    end = dt.date(2000, *window["to"]).timetuple().tm_yday - 1
    day = np.arange(366)
    inside = (day >= start) & (day <= end) if start <= end else (day >= start) | (day <= end)
    return inside.astype(float)


def _occupancy(inside: NDArray[np.float64], enter: float, leave: float) -> NDArray[np.float64]:
    """Probability of being in a regime on each day of the year; two passes settle a season over the New Year."""
    share, out = 0.0, np.zeros(366)
    for day in range(2 * 366):
        k = day % 366
        share = inside[k] * (share * (1 - leave) + (1 - share) * enter)
        out[k] = share
    return out


@lru_cache(maxsize=1)
def chain_tables() -> ChainTables:
    """The chains' tables; means are corrected by the expected effect of wet days and regimes, so normals hold."""
    spec = read_yaml("demand/weather")
    here, normal = places(), normals()
    days_in_month = np.array([31, 28.25, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    wet_share = normal.rainy_days / days_in_month
    stay = np.array(spec["rain"]["wet_after_wet"], dtype=float)
    after_dry = np.clip(wet_share * (1 - stay) / (1 - wet_share), 0.0, 1.0)
    month = np.array([(dt.date(2000, 1, 1) + dt.timedelta(days=k)).month - 1 for k in range(366)])
    wet_tmax = np.array(spec["rain"]["tmax_k"], dtype=float)[month]
    regimes = [spec["cold_days"], spec["heat_wave"]]
    inside = np.array([_in_season(regime) for regime in regimes]).T
    share = np.array([_occupancy(inside[:, k], r["enter"], r["leave"]) for k, r in enumerate(regimes)]).T
    shift = np.array([[r["tmax_k"], r["tmin_k"], r["dew_point_k"]] for r in regimes], dtype=float)
    expected = product(share, shift)
    wet_daily = wet_share[:, month].T
    apart = distance_km(here.latitude, here.longitude, here.latitude, here.longitude)

    def factor(km: float) -> NDArray[np.float64]:
        return cholesky(exp(-apart / km) + 1e-9 * np.eye(len(here)))

    scalars = np.array(
        [
            spec["tmax"]["persistence"],
            spec["tmin"]["persistence"],
            spec["tmin"]["shared_with_tmax"],
            spec["dew_point"]["persistence"],
            spec["dew_point"]["correlation_with_tmin"],
            spec["rain"]["tmin_k"],
            spec["rain"]["dew_point_k"],
            spec["rain"]["gamma_shape"],
            spec["tmax"]["cap_c"],
            spec["tmin"]["cap_c"],
            *spec["storm"]["drop_k"],
            spec["storm"]["from_h"],
            spec["storm"]["to_h"],
        ]
    )
    return ChainTables(
        tmax_c=keeping_means(normal.tmax_c).T - wet_daily * wet_tmax[:, None] - expected[:, :1],
        tmin_c=keeping_means(normal.tmin_c).T - wet_daily * spec["rain"]["tmin_k"] - expected[:, 1:2],
        dew_c=keeping_means(normal.dew_point_c).T - wet_daily * spec["rain"]["dew_point_k"] - expected[:, 2:],
        sd_tmax=through_months(normal.sd_tmax_k).T.copy(),
        sd_tmin=through_months(normal.sd_tmin_k).T.copy(),
        sd_dew=np.array(spec["dew_point"]["sd_k"], dtype=float)[month],
        wet_after_dry=after_dry[:, month].T.copy(),
        wet_after_wet=stay[month],
        mm_per_wet_day=(normal.rain_mm / normal.rainy_days)[:, month].T.copy(),
        wet_tmax_k=wet_tmax,
        storm_chance=np.array(spec["storm"]["chance_per_day"], dtype=float)[month],
        regime_enter=inside * np.array([r["enter"] for r in regimes]),
        regime_inside=inside,
        regime_leave=np.array([r["leave"] for r in regimes], dtype=float),
        regime_shift=shift,
        factor_tmax=factor(spec["tmax"]["correlation_km"]),
        factor_tmin=factor(spec["tmin"]["correlation_km"]),
        factor_rain=factor(spec["rain"]["correlation_km"]),
        scalars=scalars,
    )


class DailyWeather(NamedTuple):
    """Generated days; every array has shape (n_days, n_districts)."""

    tmax_c: NDArray[np.float32]
    tmin_c: NDArray[np.float32]
    dew_c: NDArray[np.float32]
    rain_mm: NDArray[np.float32]
    storm_h: NDArray[np.float32]
    """Hour at which a thunderstorm starts; NaN on days without. [h]"""
    storm_drop_k: NDArray[np.float32]


@nb.njit(cache=True, error_model="numpy")
def _correlated(seed: int, field: int, day: int, factor: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    n = len(out)
    white = np.empty(n)
    for i in range(n):
        white[i] = inverse_normal(uniform(key64(seed, Stream.WEATHER, i * _FIELDS + field), day))
    for i in range(n):
        total = 0.0
        for j in range(i + 1):
            total += factor[i, j] * white[j]
        out[i] = total


@nb.njit(error_model="numpy")
def _below(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


@nb.njit(cache=True, error_model="numpy")
def run_chains(
    seed: int, day_of_year: NDArray[np.int64], first_day: int, table: ChainTables, out: DailyWeather
) -> None:
    """Daily chains from the chain's start through ``len(day_of_year)`` days (demand facts, section 7.1).

    Every day's draws are keyed by (seed, field and district, day): values do not depend on how many days are made.
    """
    n = table.tmax_c.shape[1]
    scalar = table.scalars
    a_x, a_n, shared, a_w, with_n = scalar[0], scalar[1], scalar[2], scalar[3], scalar[4]
    x, low, dew = np.zeros(n), np.zeros(n), np.zeros(n)
    wet = np.zeros(n, dtype=np.bool_)
    e = np.empty((5, n))
    regime = np.zeros(2, dtype=np.bool_)
    for k in range(len(day_of_year)):
        doy = day_of_year[k]
        day = first_day + k
        _correlated(seed, 0, day, table.factor_tmax, e[0])
        _correlated(seed, 1, day, table.factor_tmin, e[1])
        _correlated(seed, 2, day, table.factor_tmin, e[2])
        _correlated(seed, 3, day, table.factor_rain, e[3])
        _correlated(seed, 4, day, table.factor_rain, e[4])
        for r in range(2):
            u = uniform(key64(seed, Stream.WEATHER, -1 - r), day)
            leave = u < table.regime_leave[r]
            regime[r] = table.regime_inside[doy, r] > 0.0 and (
                (regime[r] and not leave) or (not regime[r] and u < table.regime_enter[doy, r])
            )
        for i in range(n):
            x[i] = a_x * x[i] + math.sqrt(1.0 - a_x * a_x) * e[0, i]
            fresh = shared * e[0, i] + math.sqrt(1.0 - shared * shared) * e[1, i]
            low[i] = a_n * low[i] + math.sqrt(1.0 - a_n * a_n) * fresh
            moist = with_n * fresh + math.sqrt(1.0 - with_n * with_n) * e[2, i]
            dew[i] = a_w * dew[i] + math.sqrt(1.0 - a_w * a_w) * moist
            chance = table.wet_after_wet[doy] if wet[i] else table.wet_after_dry[doy, i]
            wet[i] = _below(e[3, i]) < chance
            tmax = table.tmax_c[doy, i] + table.sd_tmax[doy, i] * x[i]
            tmin = table.tmin_c[doy, i] + table.sd_tmin[doy, i] * low[i]
            td = table.dew_c[doy, i] + table.sd_dew[doy] * dew[i]
            for r in range(2):
                if regime[r]:
                    tmax += table.regime_shift[r, 0]
                    tmin += table.regime_shift[r, 1]
                    td += table.regime_shift[r, 2]
            rain = 0.0
            if wet[i]:
                shape = scalar[7]
                key = key64(seed, Stream.WEATHER, _AMOUNTS + day * n + i)
                rain = table.mm_per_wet_day[doy, i] * gamma(key, shape) / shape
                tmax += table.wet_tmax_k[doy]
                tmin += scalar[5]
                td += scalar[6]
            tmax = min(tmax, scalar[8])
            tmin = max(min(tmin, tmax - 1.0), scalar[9])
            out.tmax_c[k, i] = tmax
            out.tmin_c[k, i] = tmin
            out.dew_c[k, i] = min(td, tmin + 2.0)
            out.rain_mm[k, i] = rain
            storm = _below(e[4, i])
            out.storm_h[k, i] = np.nan
            out.storm_drop_k[k, i] = 0.0
            if storm < table.storm_chance[doy]:
                within = storm / table.storm_chance[doy]
                out.storm_h[k, i] = scalar[12] + within * (scalar[13] - scalar[12])
                late = uniform(key64(seed, Stream.WEATHER, -8 - i), day)
                out.storm_drop_k[k, i] = scalar[10] + late * (scalar[11] - scalar[10])
