"""The energy register of a meter (model M2): it counts whole pulses, carries the residual, and rolls over.

Because the residual is carried, the reading at any time is the cumulative energy cut to the register's resolution; no
energy is lost between readings and the error of a difference of two readings is below one resolution. A display has so
many digits before the point: at ``10^digits`` kWh it shows zero again. A difference modulo that is the energy between
two readings as long as this is below ``10^digits`` kWh.
"""

from __future__ import annotations

from collections.abc import Mapping

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.units import WH_PER_KWH

watch_compilation()

SLACK_WH = 1e-3
"""A thousandth of a Wh, so that binary rounding of an exact multiple does not lose a whole digit."""


def register_wh(cumulative_kwh: NDArray[np.float64], resolution_wh: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a register that never rolls over shows for a cumulative energy.

    ``reading = floor(E / resolution) * resolution``

    Parameters
    ----------
    cumulative_kwh : array, shape (n, n_zones)
        True energy since the register stood at zero, by tariff zone. [kWh]
    resolution_wh : array, shape (n,)
        Energy of the register's last digit. [Wh]

    Returns
    -------
    reading_wh : array, shape (n, n_zones)
        Never above the true energy, and less than one resolution below it. [Wh]
    """
    step = resolution_wh[:, None]
    whole = np.floor((cumulative_kwh * WH_PER_KWH + SLACK_WH) / step).astype(np.int64)
    return whole * step


@nb.njit(error_model="numpy")
def shown_wh(cumulative_kwh: float, resolution_wh: float) -> float:
    """`register_wh` of one register, for compiled loops; a whole number. [Wh]"""
    return np.floor((cumulative_kwh * WH_PER_KWH + SLACK_WH) / resolution_wh) * resolution_wh


def rollover_wh(digits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Energy at which a display of so many digits before the point shows zero again. [Wh]"""
    return 10**digits * WH_PER_KWH


def displayed_wh(register_wh: NDArray[np.int64], rollover_wh: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a display shows of a register that counts on: ``reading = register mod rollover``. [Wh]

    Parameters
    ----------
    register_wh : array, shape (n, n_zones)
        Whole digits. [Wh]
    rollover_wh : array, shape (n,)
        As of `rollover_wh`. [Wh]
    """
    return np.mod(register_wh, rollover_wh[:, None])


def gained_wh(
    start_wh: NDArray[np.int64], end_wh: NDArray[np.int64], rollover_wh: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Energy between two displayed readings: ``(end - start) mod rollover``; shapes as in `displayed_wh`. [Wh]"""
    return displayed_wh(end_wh - start_wh, rollover_wh)


def gained_with_swap_wh(
    start_wh: NDArray[np.int64], removed_wh: NDArray[np.int64], end_wh: NDArray[np.int64],
    rollover_wh: NDArray[np.int64],
) -> NDArray[np.int64]:  # fmt: skip
    """Energy between two readings of which the second is of a new meter, that began at zero. [Wh]

    ``(removed - start) mod rollover + end``; ``removed_wh`` is what the old meter showed when it was taken down.
    """
    return gained_wh(start_wh, removed_wh, rollover_wh) + end_wh


def is_plausible(
    gained_wh: NDArray[np.int64], load_kw: NDArray[np.float64], hours: float
) -> NDArray[np.bool_]:  # fmt: skip
    """Whether a reading that fell may be a roll-over: it gained no more than the load could use in the time.

    ``gained <= load x hours``; shapes (n, n_zones) and (n,).
    """
    return gained_wh <= (load_kw * hours * WH_PER_KWH)[:, None]


def opening_wh(
    daily_kwh: NDArray[np.float64], age_days: NDArray[np.int64], resolution_wh: NDArray[np.int64],
    rollover_wh: NDArray[np.int64],
) -> NDArray[np.int64]:  # fmt: skip
    """What displays show that began at zero some time ago and counted the same every day since. [Wh]

    ``reading = floor(daily use x age / resolution) * resolution mod rollover``

    Parameters
    ----------
    daily_kwh : array, shape (n, n_zones)
        Mean use a day by zone. [kWh]
    age_days : array, shape (n,)
        Days since the meter was put up.
    """
    return displayed_wh(register_wh(daily_kwh * age_days[:, None], resolution_wh), rollover_wh)


def row_gained_wh(row: Mapping[str, int | None]) -> int:
    """Energy that a row of table ``registers`` was billed by: its readings' difference, or what the table says. [Wh]"""
    start, end, digits, removed, billed = (row[name] for name in ROW)
    assert start is not None, "a window has readings at both ends"
    assert end is not None, "a window has readings at both ends"
    if billed is not None:
        return billed
    last = end if removed is None else removed
    gained = last - start if digits is None else (last - start) % (10**digits * WH_PER_KWH)
    return gained if removed is None else gained + end


ROW = ("start_wh", "end_wh", "digits", "removed_wh", "billed_wh")
"""Columns of table ``registers`` that an energy follows from."""
