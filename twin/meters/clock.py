"""A meter's clock (model M3): crystal, temperature, age, battery, synchronisation; energy in the wrong tariff zone.

Rate ``d(offset)/dt = 1e-6 (p0 + residual * parabola * (T - 25 C)^2 + ageing * age)``: a tuning-fork crystal's parabola
(found: -0.035 to -0.042 ppm/K2) of which compensation leaves a share. A positive offset is a clock that is ahead.
A dead battery stops the clock while there is no supply.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.streams import Stream, key64, normal

watch_compilation()

DAY_S = 86400.0
TURNOVER_C = 25.0
"""Where a tuning-fork crystal's parabola has its top. [C]"""
CLOCK_SET = 151
"""IS 15959 event: clock set."""


class ClockParams(NamedTuple):
    """Datasheet numbers, shape (n_types,)."""

    crystal_sd_ppm: NDArray[np.float64]
    parabola_ppm_per_k2: NDArray[np.float64]
    residual_frac: NDArray[np.float64]
    ageing_ppm_per_year: NDArray[np.float64]
    sync_threshold_s: NDArray[np.float64]
    sync_residual_s: NDArray[np.float64]
    battery_years: NDArray[np.float64]
    battery_log_sd: NDArray[np.float64]
    battery_off_years: NDArray[np.float64]


@nb.njit(error_model="numpy")
def rate_ppm(
    crystal_ppm: float, parabola: float, residual: float, square_k2: float, ageing: float, age_years: float
) -> float:
    """Rate of a clock; ``square_k2`` is the mean of (T - 25 C)^2 over the time. [ppm]"""
    return crystal_ppm + residual * parabola * square_k2 + ageing * age_years


@nb.njit(error_model="numpy")
def advanced(offset_s: float, ppm: float, seconds: float, dark_s: float, battery_alive: bool) -> float:
    """Offset after some seconds, of which ``dark_s`` were without supply. [s]"""
    offset_s += 1e-6 * ppm * (seconds if battery_alive else seconds - dark_s)
    return offset_s if battery_alive else offset_s - dark_s


@nb.njit(error_model="numpy")
def synchronised(offset_s: float, threshold_s: float, residual_s: float, z: float) -> float:
    """Offset after the head-end has looked: beyond the threshold it sets the clock (event 151). [s]

    ``z`` is a standard normal draw: what the network's delay leaves.
    """
    return residual_s * z if abs(offset_s) > threshold_s else offset_s


@nb.njit(error_model="numpy")
def battery_life_years(seed: int, consumer: int, median: float, log_sd: float) -> float:
    """Life of a meter's battery that is never asked to run the clock. [years]"""
    return median * np.exp(log_sd * normal(key64(seed, Stream.METER_CLOCK, consumer), 1))


@nb.njit(error_model="numpy")
def battery_alive(age_years: float, off_years: float, life_years: float, capacity_years: float) -> bool:
    """Has a battery charge left? It loses 1 / life a year by itself, and 1 / capacity a year of running the clock."""
    return age_years / life_years + off_years / capacity_years < 1.0


@nb.njit(cache=True, error_model="numpy")
def _crystals(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], sd_ppm: NDArray[np.float64], out: NDArray[np.float32]
) -> None:
    for i in range(len(ids)):
        out[i] = sd_ppm[kind[i]] * normal(key64(seed, Stream.METER_CLOCK, ids[i]), 0)


def draw_crystals(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], params: ClockParams
) -> NDArray[np.float32]:
    """Rate of each meter's crystal at its turnover temperature, shape (n,). [ppm]"""
    out = np.empty(len(ids), np.float32)
    _crystals(np.uint64(seed), ids, kind, params.crystal_sd_ppm, out)
    return out


class Stretches(NamedTuple):
    """A day's runs of one tariff zone, in order. Shape (n_stretches,)."""

    zone: NDArray[np.int64]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    zone_hours: NDArray[np.float64]
    """Length of every zone in the day, shape (n_zones,). [h]"""
    shortest_s: float


def stretches_of(zone_of_step: NDArray[np.uint8]) -> Stretches:
    """Runs of equal zones of a day cut into equal steps."""
    zones = zone_of_step.astype(np.int64)
    step_s = DAY_S / len(zones)
    starts = np.flatnonzero(np.append(True, zones[1:] != zones[:-1]))
    ends = np.append(starts[1:], len(zones))
    hours = np.bincount(zones) * step_s / 3600.0
    shortest = float((ends - starts).min()) * step_s
    start_s, end_s = starts.astype(np.float64) * step_s, ends.astype(np.float64) * step_s
    return Stretches(zones[starts], start_s, end_s, hours.astype(np.float64), shortest)


@nb.njit(error_model="numpy")
def _overlap(a: float, b: float, c: float, d: float) -> float:
    return max(0.0, min(b, d) - max(a, c))


@nb.njit(error_model="numpy")
def shift_zones(kwh: NDArray[np.float64], offset_s: float, day: Stretches, out: NDArray[np.float64]) -> None:
    """Add a day's energies, by true zone, to the zones that a clock with an offset takes them for.

    Each zone's power is taken as steady and days as alike. For offsets below the shortest stretch the energy that
    crosses a boundary is exactly ``|offset| x power``; longer ones (a clock that stood still) go round the day.

    Parameters
    ----------
    kwh, out : array, shape (n_zones,)
        Their sums are equal. [kWh]
    """
    n = len(day.zone)
    if offset_s == 0.0 or n == 1:
        for z in range(len(kwh)):
            out[z] += kwh[z]
        return
    offset_s -= DAY_S * np.floor(offset_s / DAY_S + 0.5)
    for s in range(n):
        z = day.zone[s]
        power = kwh[z] / (day.zone_hours[z] * 3600.0)
        whole = power * (day.end_s[s] - day.start_s[s])
        if abs(offset_s) <= day.shortest_s:
            moved = abs(offset_s) * power
            neighbour = day.zone[(s + 1) % n] if offset_s > 0.0 else day.zone[s - 1]
            out[neighbour] += moved
            out[z] += whole - moved
            continue
        for other in range(n):
            seconds = 0.0
            for turn in range(-1, 2):
                shift = offset_s + turn * DAY_S
                seconds += _overlap(day.start_s[s] + shift, day.end_s[s] + shift, day.start_s[other], day.end_s[other])
            out[day.zone[other]] += power * seconds
