"""Where the sun stands: elevation, sunrise and darkness over Bihar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.demand.stable import arccos, arcsin, cos, sin

IST_MERIDIAN_DEG = 82.5
"""Longitude whose mean solar time is Indian standard time (UTC+05:30). [degrees]"""
RIM_ELEVATION_DEG = -0.833
"""Elevation of the sun's centre at sunrise: refraction and half a disc, by convention. [degrees]"""
_OBLIQUITY_DEG = 23.44


def _declination_rad(day_of_year: int) -> float:
    return float(np.radians(_OBLIQUITY_DEG) * sin(2 * np.pi * (284 + day_of_year) / 365))


def _equation_of_time_h(day_of_year: int) -> float:
    b = 2 * np.pi * (day_of_year - 81) / 364
    return float(9.87 * sin(2 * b) - 7.53 * cos(b) - 1.5 * sin(b)) / 60


def elevation_deg(
    latitude_deg: NDArray[np.float64], longitude_deg: NDArray[np.float64], day_of_year: int, hour: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Elevation of the sun above the horizon.

    ``sin h = sin(lat) sin(decl) + cos(lat) cos(decl) cos(15 deg (solar hour - 12))``

    Parameters
    ----------
    latitude_deg, longitude_deg : array, shape (n,)
        Places. [degrees]
    day_of_year : int
        1 to 366.
    hour : array, shape (m,)
        Hours of Indian standard time; below 0 or above 24 are the neighbouring days' hours. [h]

    Returns
    -------
    array, shape (n, m)
        Elevation. [degrees]

    References
    ----------
    .. [1] P. I. Cooper, The absorption of radiation in solar stills, Solar Energy 12 (1969): declination.
    """
    decl = _declination_rad(day_of_year)
    lat = np.radians(latitude_deg)[:, None]
    solar_h = hour[None, :] + ((longitude_deg - IST_MERIDIAN_DEG) / 15)[:, None] + _equation_of_time_h(day_of_year)
    angle = np.radians(15 * (solar_h - 12))
    sine = sin(lat) * sin(decl) + cos(lat) * cos(decl) * cos(angle)
    return np.degrees(arcsin(np.clip(sine, -1.0, 1.0)))


def sunrise_h(
    latitude_deg: NDArray[np.float64], longitude_deg: NDArray[np.float64], day_of_year: int
) -> NDArray[np.float64]:
    """Sunrise by Indian standard time, shape (n,). [h]"""
    decl = _declination_rad(day_of_year)
    lat = np.radians(latitude_deg)
    rim = sin(np.radians(RIM_ELEVATION_DEG))
    half_day_h = np.degrees(arccos((rim - sin(lat) * sin(decl)) / (cos(lat) * cos(decl)))) / 15
    return 12 - half_day_h - (longitude_deg - IST_MERIDIAN_DEG) / 15 - _equation_of_time_h(day_of_year)


def darkness(elevation: NDArray[np.float64], full_deg: float, none_deg: float) -> NDArray[np.float64]:
    """0 while the sun is above ``none_deg``, 1 below ``full_deg``, linear between. [-]"""
    return np.clip((none_deg - elevation) / (none_deg - full_deg), 0.0, 1.0)
