"""When meters fail and are swapped (model M9): infant, random and wear-out failures with frailty, lognormal repair.

Cumulative hazard ``H(t) = a (1 - exp(-t / tau)) + l t + (t / eta)^k``; a meter of frailty z (Gamma, mean 1) fails in
(t, t + dt) with probability ``1 - exp(-z stress (H(t + dt) - H(t)))``, exact for any dt. Form: AMI facts, section 10.

Crews swap a fixed number of meters a day. With failures ``f(d)`` a day as a share of that number, those before a meter
take ``w(d + 1) = max(w(d) + f(d) - 1, 0)`` days: a queue of so many meters that their expected number is enough.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.streams import Stream, gamma, key64, normal, uniform

watch_compilation()

YEAR_DAYS = 365.25
OLDEST_YEARS = 60.0
"""Age up to which `highest_rates` hold."""
LONGEST_DAYS = 1e6
"""What a wait is cut to, so that days stay whole numbers of 32 bits."""


class FailureParams(NamedTuple):
    """Datasheet numbers, shape (n_types,)."""

    infant_share: NDArray[np.float64]
    infant_years: NDArray[np.float64]
    random_per_year: NDArray[np.float64]
    wear_years: NDArray[np.float64]
    wear_shape: NDArray[np.float64]
    frailty_cv: NDArray[np.float64]
    repair_median_days: NDArray[np.float64]
    repair_log_sd: NDArray[np.float64]
    crew_swaps_per_year: NDArray[np.float64]


@nb.njit(error_model="numpy")
def cumulative_hazard(years: float, kind: int, params: FailureParams) -> float:
    """H at an age; dimensionless."""
    infant = params.infant_share[kind] * (1.0 - np.exp(-years / params.infant_years[kind]))
    wear = (years / params.wear_years[kind]) ** params.wear_shape[kind]
    return infant + params.random_per_year[kind] * years + wear


@nb.njit(error_model="numpy")
def fails_within(
    from_years: float, to_years: float, frailty: float, stress: float, kind: int, params: FailureParams
) -> float:
    """Probability that a meter which works at one age has failed at another."""
    rise = cumulative_hazard(to_years, kind, params) - cumulative_hazard(from_years, kind, params)
    return 1.0 - np.exp(-frailty * stress * rise)


@nb.njit(error_model="numpy")
def fails_on(seed: int, consumer: int, day: int, probability: float) -> bool:
    """Does a meter fail on a day (days since 2000-01-01)?"""
    return uniform(key64(seed, Stream.METER_FAILURE, consumer), day) < probability


@nb.njit(error_model="numpy")
def highest_rates(params: FailureParams) -> NDArray[np.float64]:
    """Failures a year that no meter younger than `OLDEST_YEARS` passes, by type, at frailty and stress of 1.

    Each part at its highest, the infants' when new and the worn-out's when oldest; infinite where wear-out begins with
    its highest rate.
    """
    out = np.empty(len(params.wear_shape))
    for k in range(len(out)):
        shape, scale = params.wear_shape[k], params.wear_years[k]
        worn = shape / scale * (OLDEST_YEARS / scale) ** (shape - 1.0) if shape >= 1.0 else np.inf
        out[k] = params.infant_share[k] / params.infant_years[k] + params.random_per_year[k] + worn
    return out


@nb.njit(inline="always", error_model="numpy")
def surely_works(
    seed: int, consumer: int, day: int, age_years: float, frailty: float, stress: float, highest_per_year: float
) -> bool:
    """Does the draw of `fails_today` lie beyond what its chance can be?

    ``1 - exp(-x) <= x``, and ``highest_per_year`` bounds the rate in x.
    """
    u = uniform(key64(seed, Stream.METER_FAILURE, consumer), day)
    return age_years < OLDEST_YEARS - 1.0 and u >= frailty * stress * highest_per_year / YEAR_DAYS


@nb.njit(error_model="numpy")
def fails_today(
    seed: int, consumer: int, day: int, age_years: float, frailty: float, stress: float, kind: int,
    params: FailureParams, highest_per_year: float,
) -> bool:  # fmt: skip
    """`fails_on` with the chance of `fails_within` a day, which is worked out only where the draw is near it."""
    if surely_works(seed, consumer, day, age_years, frailty, stress, highest_per_year):
        return False
    chance = fails_within(age_years, age_years + 1.0 / YEAR_DAYS, frailty, stress, kind, params)
    return fails_on(seed, consumer, day, chance)


@nb.njit(error_model="numpy")
def repair_days(seed: int, consumer: int, day: int, kind: int, params: FailureParams) -> float:
    """Days until the meter that failed on a day is swapped."""
    return wait_days(normal(key64(seed, Stream.METER_REPAIR, consumer), day), kind, params)


@nb.njit(error_model="numpy")
def wait_days(z: float, kind: int, params: FailureParams) -> float:
    """Days until a crew comes: lognormal, ``z`` is a standard normal draw."""
    return params.repair_median_days[kind] * np.exp(params.repair_log_sd[kind] * z)


@nb.njit(error_model="numpy")
def first_day_after(day: int, wait: float) -> int:
    """First day with a new part, of one that fails on a day and waits so many days."""
    return day + 1 + int(min(wait, LONGEST_DAYS))


@nb.njit(cache=True, error_model="numpy")
def mean_rates(
    low_years: NDArray[np.float64], high_years: NDArray[np.float64], params: FailureParams
) -> NDArray[np.float64]:
    """Failures a year and meter of each type whose ages are even between two, at a stress of 1. Shape (n_types,)."""
    rise = np.empty(len(low_years))
    for k in range(len(rise)):
        rise[k] = cumulative_hazard(high_years[k], k, params) - cumulative_hazard(low_years[k], k, params)
    return rise / (high_years - low_years)


def waiting_days(
    rate_per_year: NDArray[np.float64], crew_swaps_per_year: NDArray[np.float64], stress: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Time that crews need for the meters that have failed before, after some days of which the first began with none.

    Parameters
    ----------
    rate_per_year, crew_swaps_per_year : array, shape (n_types,)
        Failures, and swaps that crews can make, a year and meter.
    stress : array, shape (n_days,)
        Multiplies the failures of each day.

    Returns
    -------
    wait : array, shape (n_types,)
        [days]
    """
    ahead = np.cumsum(np.outer(rate_per_year / crew_swaps_per_year, stress) - 1.0, axis=1)
    lowest = np.minimum(ahead.min(axis=1, initial=0.0), 0.0)
    return (ahead[:, -1] if ahead.shape[1] else 0.0 * lowest) - lowest


@nb.njit(error_model="numpy")
def found_until(
    seed: int, consumer: int, day: int, chance: float, kind: int, params: FailureParams, crew_wait_days: float,
    installed_day: int,
) -> int:  # fmt: skip
    """First day with a new meter of one that a run may find failed: failures of a day times mean days to a swap.

    ``chance`` to fail within a day; ``installed_day`` where the meter works.
    """
    key = key64(seed, Stream.METER_REPAIR, consumer)
    mean_days = 1.0 + params.repair_median_days[kind] * np.exp(0.5 * params.repair_log_sd[kind] ** 2) + crew_wait_days
    return day + 1 + int(mean_days * uniform(key, 1)) if uniform(key, 0) < chance * mean_days else installed_day


@nb.njit(cache=True, error_model="numpy")
def begin_failures(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], frailty: NDArray[np.float32],
    installed_day: NDArray[np.int32], day: int, params: FailureParams, out: NDArray[np.int32],
) -> None:  # fmt: skip
    """First day with a new meter of those that a run finds failed on its first day, shape (n,)."""
    for i in range(len(ids)):
        age = (day - installed_day[i]) / YEAR_DAYS
        chance = fails_within(age, age + 1.0 / YEAR_DAYS, frailty[i], 1.0, kind[i], params)
        out[i] = found_until(seed, ids[i], day, chance, kind[i], params, 0.0, installed_day[i])


@nb.njit(cache=True, error_model="numpy")
def pass_failures(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], frailty: NDArray[np.float32], day: int, stress: float,
    params: FailureParams, installed_day: NDArray[np.int32], swap_day: NDArray[np.int32],
) -> None:  # fmt: skip
    """A day passes: meters are swapped, and some that work fail. Arrays of shape (n,), the last two are changed."""
    highest = highest_rates(params)
    for i in range(len(ids)):
        k = kind[i]
        if swap_day[i] == day:
            installed_day[i] = day
        if swap_day[i] > day:
            continue
        age = (day - installed_day[i]) / YEAR_DAYS
        if fails_today(seed, ids[i], day, age, frailty[i], stress, k, params, highest[k]):
            swap_day[i] = first_day_after(day, repair_days(seed, ids[i], day, k, params))


@nb.njit(cache=True, error_model="numpy")
def _frailties(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], cv: NDArray[np.float64], out: NDArray[np.float32]
) -> None:
    for i in range(len(ids)):
        shape = 1.0 / cv[kind[i]] ** 2 if cv[kind[i]] > 0.0 else 0.0
        out[i] = gamma(key64(seed, Stream.METER_FRAILTY, ids[i]), shape) / shape if shape > 0.0 else 1.0


def draw_frailties(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], params: FailureParams
) -> NDArray[np.float32]:
    """Frailty of each meter, Gamma with mean 1 and its type's coefficient of variation. Shape (n,)."""
    out = np.empty(len(ids), np.float32)
    _frailties(np.uint64(seed), ids, kind, params.frailty_cv, out)
    return out
