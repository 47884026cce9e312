"""The energy register of a meter (model M2): it counts whole pulses and carries the residual.

Because the residual is carried, the reading at any time is the cumulative energy cut to the register's resolution; no
energy is lost between readings and the error of a difference of two readings is below one resolution.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.units import WH_PER_KWH

watch_compilation()

SLACK_WH = 1e-3
"""A thousandth of a Wh, so that binary rounding of an exact multiple does not lose a whole digit."""


def register_wh(cumulative_kwh: NDArray[np.float64], resolution_wh: NDArray[np.int64]) -> NDArray[np.int64]:
    """What the register shows for a cumulative energy.

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
