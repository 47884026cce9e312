"""What a meter's sensors make of energy (model M1): errors by load, phase, temperature, age; starting current.

Error of a reading in percent, with the current ``i`` as a share of the basic current::

    e = gain + low_load * 0.05 / i + 100 * phase * tan(phi) + kt * (T - Tref) + q * (T - Tref)^2 + drift * age

and nothing is counted below the starting current. Form: AMI facts, section 10 (M1), after the influence quantities of
IEC 62053-21. Drawn errors that a class's routine test would refuse are drawn again, as a factory does.

The low-load term is a constant power, so the energy of any time above the starting current follows from its sum alone;
only the gate itself needs a mean current, that of the zone.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.errors import DataPackError, Problem
from twin.kernels import watch_compilation
from twin.streams import Stream, key64, normal

watch_compilation()

LOW_LOAD_POINT = 0.05
"""Share of the basic current at which the low-load error is stated."""
TRIES = 64
N_ERRORS = 5
GAIN, LOW_LOAD, PHASE, TEMPERATURE, AGEING = range(N_ERRORS)


class MetrologyParams(NamedTuple):
    """Datasheet numbers, shape (n_types,); names say the units."""

    accuracy_class: NDArray[np.float64]
    base_current_a: NDArray[np.float64]
    max_current_a: NDArray[np.float64]
    starting_current_frac: NDArray[np.float64]
    gain_sd_percent: NDArray[np.float64]
    low_load_sd_percent: NDArray[np.float64]
    phase_sd_mrad: NDArray[np.float64]
    temperature_sd_percent_per_k: NDArray[np.float64]
    temperature_percent_per_k2: NDArray[np.float64]
    ageing_mean_percent_per_year: NDArray[np.float64]
    ageing_sd_percent_per_year: NDArray[np.float64]


@nb.njit(error_model="numpy")
def error_percent(
    gain: float, low_load: float, phase_mrad: float, temperature: float, tan_phi: float, current: float, rise_k: float
) -> float:
    """Error without curvature and age; ``current`` is a share of the basic current, ``rise_k`` above reference. [%]"""
    return gain + low_load * LOW_LOAD_POINT / current + 0.1 * phase_mrad * tan_phi + temperature * rise_k


@nb.njit(error_model="numpy")
def _passes(errors: NDArray[np.float32], points: NDArray[np.float64]) -> bool:
    """Does a new meter pass its routine test? Points (n, 3): current, power factor, limit [%]; zero limit: no point."""
    for k in range(len(points)):
        current, pf, limit = points[k]
        if limit > 0.0:
            tan_phi = np.sqrt(1.0 - pf * pf) / pf
            error = error_percent(errors[GAIN], errors[LOW_LOAD], errors[PHASE], 0.0, tan_phi, current, 0.0)
            if abs(error) > limit:
                return False
    return True


@nb.njit(cache=True, error_model="numpy")
def _draw(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], params: MetrologyParams, points: NDArray[np.float64],
    out: NDArray[np.float32],
) -> int:  # fmt: skip
    refused = 0
    for i in range(len(ids)):
        key = key64(seed, Stream.METER_METROLOGY, ids[i])
        k = kind[i]
        accepted = False
        for attempt in range(TRIES):
            n = attempt * N_ERRORS
            out[i, GAIN] = params.gain_sd_percent[k] * normal(key, n)
            out[i, LOW_LOAD] = params.low_load_sd_percent[k] * normal(key, n + 1)
            out[i, PHASE] = params.phase_sd_mrad[k] * normal(key, n + 2)
            out[i, TEMPERATURE] = params.temperature_sd_percent_per_k[k] * normal(key, n + 3)
            ageing = params.ageing_sd_percent_per_year[k] * normal(key, n + 4)
            out[i, AGEING] = params.ageing_mean_percent_per_year[k] + ageing
            if _passes(out[i], points[k]):
                accepted = True
                break
        refused += not accepted
    return refused


def draw_errors(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], params: MetrologyParams, points: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Lasting errors of meters.

    Parameters
    ----------
    seed : int
        The replicate's.
    ids : array, shape (n,)
        Consumers (or whatever the meters stand at).
    kind : array, shape (n,)
        Type of each meter.
    points : array, shape (n_types, n_points, 3)
        Routine test of each type: current (share of basic), power factor, limit [%]; a zero limit is no point.

    Returns
    -------
    errors : array, shape (n, 5)
        Gain [%], low load [%], phase [mrad], temperature [%/K], ageing [%/year].

    Raises
    ------
    DataPackError
        If no meter of a type can pass its class's test.
    """
    out = np.empty((len(ids), N_ERRORS), np.float32)
    if _draw(np.uint64(seed), ids, kind, params, points, out):
        what = f"{TRIES} draws of a meter all fail the routine test of its accuracy class"
        raise DataPackError([Problem("twin/data/devices", "metrology", what, "lower the standard deviations")])
    return out


def class_points(accuracy_class: NDArray[np.float64], limits: dict[str, list[list[float]]]) -> NDArray[np.float64]:
    """Routine test of each type by its class (keys as text with one decimal), shape (n_types, n_points, 3).

    Raises
    ------
    DataPackError
        If a class has no limits.
    """
    out = np.zeros((len(accuracy_class), max(len(rows) for rows in limits.values()), 3))
    for row, value in enumerate(accuracy_class):
        name = f"{value:.1f}"
        if name not in limits:
            what = f"there are no limits of class {name}"
            raise DataPackError([Problem("twin/data/meter_classes.yaml", "classes", what, "add them")])
        out[row, : len(limits[name])] = limits[name]
    return out


@nb.njit(error_model="numpy")
def recorded_kwh(
    kwh: float, hours: float, basic_kw: float, starting: float, fixed_percent: float, low_load_percent: float
) -> float:
    """Energy that the sensors count in a time of steady enough load; 0 below the starting current. [kWh]

    Parameters
    ----------
    kwh, hours : float
        Energy through the meter and the time it took.
    basic_kw : float
        Power at basic current and the load's power factor.
    starting : float
        Starting current as a share of the basic one.
    fixed_percent : float
        All of the error but its low-load term.
    low_load_percent : float
        Low-load error at `LOW_LOAD_POINT`.
    """
    if kwh <= 0.0 or kwh < starting * basic_kw * hours:
        return 0.0
    constant = 0.01 * low_load_percent * LOW_LOAD_POINT * basic_kw * hours
    return max(kwh * (1.0 + 0.01 * fixed_percent) + constant, 0.0)


@nb.njit(cache=True, error_model="numpy")
def recorded_many_kwh(
    kwh: NDArray[np.float64], hours: float, basic_kw: NDArray[np.float64], starting: NDArray[np.float64],
    fixed_percent: NDArray[np.float64], low_load_percent: NDArray[np.float64], out: NDArray[np.float64],
) -> None:  # fmt: skip
    """`recorded_kwh` of many meters, shape (n,) each."""
    for i in range(len(kwh)):
        out[i] = recorded_kwh(kwh[i], hours, basic_kw[i], starting[i], fixed_percent[i], low_load_percent[i])
