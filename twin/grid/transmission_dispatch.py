"""What runs at which load: plants by the state's load, capacitors by the reactive power, ties take the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.grid.transmission_data import assumed_value


def plant_fraction(load_mw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fraction of Bihar's share at which every plant runs, by the load of the state.

    ``0.55 + 0.30 clip((load - trough) / (peak - trough), 0, 1)`` with the assumed numbers of the data pack.

    Parameters
    ----------
    load_mw : array, any shape
        Load of the state before losses above 11 kV. [MW]
    """
    low, high = float(assumed_value("dispatch", "trough_fraction")), float(assumed_value("dispatch", "peak_fraction"))
    trough, peak = float(assumed_value("sizing", "trough_mw")), float(assumed_value("sizing", "peak_mw"))
    return low + (high - low) * np.clip((load_mw - trough) / (peak - trough), 0.0, 1.0)


def capacitor_steps(q_mvar: NDArray[np.float64], installed: NDArray[np.int64]) -> NDArray[np.int64]:
    """Steps that capacitors settle at when they come from none: the fewest that leave the flow below the upper limit.

    Parameters
    ----------
    q_mvar : array, shape (n_gss,)
        Reactive power drawn from the 33 kV bus before capacitors. [Mvar]
    installed : int array, shape (n_gss,)
        Steps that exist.
    """
    step, on = float(assumed_value("capacitors", "step_mvar")), float(assumed_value("capacitors", "on_mvar"))
    return np.clip(np.ceil((q_mvar - on) / step), 0, installed).astype(np.int64)


def gss_at_132(
    p_mw: NDArray[np.float64],
    q_mvar: NDArray[np.float64],
    rating_mva: NDArray[np.float64],
    vk_percent: NDArray[np.float64],
    x_over_r: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P and Q at the 132 kV side of GSS transformers, at 1 pu: the load plus ``z S^2 / rating``.

    All arrays have shape (n_gss,); ``q_mvar`` after capacitors. [MW], [Mvar], [MVA], [percent], [-]
    """
    s_mva = np.hypot(p_mw, q_mvar)
    z = vk_percent / 100.0 * s_mva**2 / rating_mva
    return p_mw + z / np.hypot(1.0, x_over_r), q_mvar + z * x_over_r / np.hypot(1.0, x_over_r)
