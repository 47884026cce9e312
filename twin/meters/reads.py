"""What comes in of the meters' profiles, counted and added up by feeder and type."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.meters.fleet import DayOut, Fleet, FleetState, Places

watch_compilation()

LEVELS_H = (1, 2, 4, 6, 8, 12, 24)
"""Hours after midnight at which reads are counted; Indian contracts ask for 8, 12 and 24 (recalled)."""
READS = ("meters", "working", *(f"read_{hours}h" for hours in LEVELS_H), "days_fetched", "days_lost")
"""Counts of a feeder's meters of one type."""


@nb.njit(cache=True, error_model="numpy")
def count_reads(
    fleet: Fleet, state: FleetState, place: Places, day: int, today: DayOut, counts: NDArray[np.int64]
) -> None:
    """Add up `READS` of what came in; ``counts`` has the shape (n_feeders + 1, n_types, len(READS))."""
    for i in range(len(fleet.ids)):
        row = counts[place.feeder[i], fleet.kind[i]]
        row[0] += 1
        row[1] += state.swap_day[i] <= day
        for level in range(len(LEVELS_H)):
            row[2 + level] += today.arrival_h[i] < LEVELS_H[level]
        row[2 + len(LEVELS_H)] += today.fetched[i]
        row[3 + len(LEVELS_H)] += today.lost[i]


@nb.njit(cache=True, error_model="numpy")
def add_read_energy(
    fleet: Fleet, place: Places, today: DayOut, metered_kwh: NDArray[np.float64], read_kwh: NDArray[np.float64]
) -> None:
    """Add what the meters that were read within the day gained, shape (n_feeders + 1, n_types). [kWh]"""
    for i in range(len(fleet.ids)):
        if np.isfinite(today.arrival_h[i]):
            read_kwh[place.feeder[i], fleet.kind[i]] += metered_kwh[i]
