"""The energy register of a meter (part of model M2): it counts whole pulses and carries the residual.

Because the residual is carried, the reading at any time is the cumulative true energy cut to the register's resolution;
no energy is lost between readings and the error of a difference of two readings is below one resolution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.units import WH_PER_KWH


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
    # A thousandth of a Wh of slack, so that binary rounding of an exact multiple does not lose a whole digit.
    whole = np.floor((cumulative_kwh * WH_PER_KWH + 1e-3) / step).astype(np.int64)
    return whole * step
