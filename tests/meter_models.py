"""Models of meters as a user would bring them: the example of docs/meters.md, and a few that are wrong."""

import numba as nb
import numpy as np

from twin.meters.failure import YEAR_DAYS
from twin.meters.variants import register


@nb.njit
def saturating_kwh(kwh, hours, basic_kw, tan_phi, errors, age_years, rise_k, numbers):
    """Counts all of it up to a knee of the basic current, and above it less and less."""
    knee, slope = numbers
    out = np.zeros_like(kwh)
    for i in range(kwh.shape[0]):
        for z in range(kwh.shape[1]):
            top = knee * basic_kw[i] * hours[z]
            out[i, z] = min(kwh[i, z], top) + slope * max(kwh[i, z] - top, 0.0)
    return out


def steady_ppm(crystal_ppm, square_k2, age_years, numbers):
    """A clock that is fast by a fixed amount, whatever its crystal."""
    return np.full(len(crystal_ppm), numbers[0])


def constant_chance(age_years, frailty, stress, numbers):
    """Failures without age: a rate a year, times frailty and the day's stress."""
    return 1.0 - np.exp(-frailty * stress * numbers[0] / YEAR_DAYS)


def of_wrong_shape(kwh, hours, basic_kw, tan_phi, errors, age_years, rise_k, numbers):
    return kwh.sum(axis=1)


def unknown_kwh(kwh, hours, basic_kw, tan_phi, errors, age_years, rise_k, numbers):
    return np.full_like(kwh, np.nan)


register("metrology", "saturating", saturating_kwh, numbers=("knee_frac", "slope"))
register("clock", "steady", steady_ppm, numbers=("fast_ppm",))
register("failure", "ageless", constant_chance, numbers=("per_year",))
register("metrology", "of_wrong_shape", of_wrong_shape)
register("metrology", "unknown", unknown_kwh)
