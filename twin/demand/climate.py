"""Climate normals of the districts: monthly means of five stations, by inverse distance, joined into daily curves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from twin.datapack import Row, read_rows, read_yaml
from twin.demand.stable import cos, exp, log, product

_ROUNDS = 6
KM_PER_DEGREE = 111.2
"""Length of one degree of a great circle. [km]"""


class _Normal(Row):
    row_type: str
    station: str
    latitude: float | None
    longitude: float | None
    month: int | None
    tmax_mean_c: float | None
    tmin_mean_c: float | None
    dew_point_c: float | None
    rain_mm: float | None
    rainy_days: float | None
    sd_daily_tmax_k: float | None
    sd_daily_tmin_k: float | None


class _Place(Row):
    name: str
    latitude: float
    longitude: float
    rural_households_2011: float
    urban_households_2011: float


@dataclass(frozen=True)
class Places:
    """The districts, in the order of districts.csv. All arrays have shape (n_districts,)."""

    name: tuple[str, ...]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    rural_households: NDArray[np.float64]
    urban_households: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True)
class Normals:
    """Monthly normals per district, each of shape (n_districts, 12), January first."""

    tmax_c: NDArray[np.float64]
    tmin_c: NDArray[np.float64]
    dew_point_c: NDArray[np.float64]
    rain_mm: NDArray[np.float64]
    rainy_days: NDArray[np.float64]
    sd_tmax_k: NDArray[np.float64]
    sd_tmin_k: NDArray[np.float64]


@lru_cache(maxsize=1)
def places() -> Places:
    """The 38 districts with headquarters' coordinates and census households."""
    rows = read_rows("districts", _Place)
    return Places(
        name=tuple(row.name for row in rows),
        latitude=np.array([row.latitude for row in rows]),
        longitude=np.array([row.longitude for row in rows]),
        rural_households=np.array([row.rural_households_2011 for row in rows]),
        urban_households=np.array([row.urban_households_2011 for row in rows]),
    )


def distance_km(
    lat_a: NDArray[np.float64], lon_a: NDArray[np.float64], lat_b: NDArray[np.float64], lon_b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distances between two sets of places on a local plane, shape (n_a, n_b). [km]"""
    north = (lat_a[:, None] - lat_b[None, :]) * KM_PER_DEGREE
    east = (lon_a[:, None] - lon_b[None, :]) * KM_PER_DEGREE * cos(np.radians(np.mean(lat_b)))
    return np.hypot(north, east)


@lru_cache(maxsize=1)
def normals() -> Normals:
    """Normals of the districts: inverse-distance weights (power in weather.yaml) of climate.csv's five stations."""
    rows = [row for row in read_rows("climate", _Normal) if row.row_type == "normal"]
    stations = list(dict.fromkeys(row.station for row in rows))
    lat = np.array([next(row.latitude for row in rows if row.station == name) for name in stations], dtype=float)
    lon = np.array([next(row.longitude for row in rows if row.station == name) for name in stations], dtype=float)
    here = places()
    apart_km = np.maximum(distance_km(here.latitude, here.longitude, lat, lon), 1.0)
    nearness = exp(-read_yaml("demand/weather")["idw_power"] * log(apart_km))
    weight = nearness / nearness.sum(axis=1, keepdims=True)

    def field(column: str) -> NDArray[np.float64]:
        table = np.empty((len(stations), 12))
        for row in rows:
            table[stations.index(row.station), int(row.month or 0) - 1] = getattr(row, column)
        return product(weight, table)

    return Normals(
        tmax_c=field("tmax_mean_c"),
        tmin_c=field("tmin_mean_c"),
        dew_point_c=field("dew_point_c"),
        rain_mm=field("rain_mm"),
        rainy_days=field("rainy_days"),
        sd_tmax_k=field("sd_daily_tmax_k"),
        sd_tmin_k=field("sd_daily_tmin_k"),
    )


_MONTH_OF_DAY = np.repeat(np.arange(12), [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def keeping_means(monthly: NDArray[np.float64]) -> NDArray[np.float64]:
    """Daily values by day of year whose means over the months are the given ones, shape (..., 366).

    `through_months` of nodes that are corrected until the curve's monthly means agree (within 0.01 after six rounds).
    """
    nodes = np.array(monthly, dtype=np.float64)
    for _ in range(_ROUNDS):
        curve = through_months(nodes)
        means = [curve[..., month == _MONTH_OF_DAY].mean(axis=-1) for month in range(12)]
        nodes += monthly - np.stack(means, axis=-1)
    return through_months(nodes)


def through_months(monthly: NDArray[np.float64]) -> NDArray[np.float64]:
    """Daily values by day of year: a periodic cubic (Hermite, central slopes) through the months' middles.

    Parameters
    ----------
    monthly : array, shape (..., 12)
        Values at the middles of the months, January first.

    Returns
    -------
    array, shape (..., 366)
        Value of each day of the year; entry 0 is 1 January.
    """
    position = (np.arange(366) + 0.5) / 366 * 12 - 0.5
    left = np.floor(position).astype(int)
    x = position - left
    y0, y1, y2, y3 = (np.take(monthly, (left + k) % 12, axis=-1) for k in (-1, 0, 1, 2))
    m1, m2 = (y2 - y0) / 2, (y3 - y1) / 2
    return y1 * (1 + 2 * x) * (1 - x) ** 2 + m1 * x * (1 - x) ** 2 + y2 * x**2 * (3 - 2 * x) + m2 * x**2 * (x - 1)
