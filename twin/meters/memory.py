"""A meter's profile memory (model M4): a ring of days; what is not fetched within its depth is lost. And its wear."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation

watch_compilation()


@nb.njit(error_model="numpy")
def fetched(waiting: int, depth: int, arrived: bool) -> tuple[int, int, int]:
    """One more day is stored; if the meter is reached, all days that are left are fetched.

    Parameters
    ----------
    waiting : int
        Days that were not fetched before today, those already overwritten included.
    depth : int
        Days that the memory holds.
    arrived : bool
        Is the meter reached today?

    Returns
    -------
    fetched, lost, waiting : int
        Days fetched now, days found overwritten now, and the new count of waiting days.
    """
    waiting += 1
    if not arrived:
        return 0, 0, waiting
    return min(waiting, depth), max(0, waiting - depth), 0


def oldest_row(rows_written: NDArray[np.int64], depth_rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number (from 0) of the oldest row that a ring still holds. Shape (n,)."""
    return np.maximum(rows_written - depth_rows, 0)


def wear_frac(
    rows_written: NDArray[np.float64], row_bytes: NDArray[np.float64], sectors: NDArray[np.float64],
    sector_bytes: float, sector_cycles: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """Share of the memory's endurance that is used, with wear levelled over its sectors. Shape (n,).

    ``cycles = rows x row_bytes / (sectors x sector_bytes)``, of ``sector_cycles``.
    """
    return rows_written * row_bytes / (sectors * sector_bytes) / sector_cycles
