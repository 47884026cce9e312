"""What comes in of the meters' profiles, counted and added up by feeder and type."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.meters.communication import CommunicationParams, one_shot
from twin.meters.fleet import DayContext, DayOut, Fleet, FleetState, Places
from twin.streams import Stream, key64, uniform

watch_compilation()

LEVELS_H = (1, 2, 4, 6, 8, 12, 24)
"""Hours after midnight at which reads are counted; Indian contracts ask for 8, 12 and 24 (recalled)."""
READS = (
    "meters", "working", *(f"read_{hours}h" for hours in LEVELS_H), "days_fetched", "days_lost", "days_late",
    "duplicates",
)  # fmt: skip
"""Counts of a feeder's meters of one type. Late are days that come in after the day on which they were due; duplicates
are profiles that come in a second time."""
CHECKS = ("corrupted", "too_high")
"""Of the profiles that came in: wrong ones (truth), and those that validation refuses."""
FETCHED = 2 + len(LEVELS_H)
_SENT_AGAIN, _CORRUPTED, _DRAWS = 0, 1, 2


class Validation(NamedTuple):
    """How reads go wrong, and the head-end's rule."""

    corrupted_share: float
    """Of the profiles that come in."""
    factor: float
    """What a wrong one says over what the meter gained: a digit too many."""
    most_hours: float
    """A day above so many hours of the sanctioned load is refused."""


@nb.njit(cache=True, error_model="numpy")
def count_reads(
    fleet: Fleet, state: FleetState, params: CommunicationParams, place: Places, today: DayContext, out: DayOut,
    counts: NDArray[np.int64],
) -> None:  # fmt: skip
    """Add up `READS` of what came in; ``counts`` has the shape (n_feeders + 1, n_types, len(READS)).

    A meter whose acknowledgement is lost on its way back, with the chance of one attempt, sends its profile again.
    """
    for i in range(len(fleet.ids)):
        k, arrived = fleet.kind[i], np.isfinite(out.arrival_h[i])
        row = counts[place.feeder[i], k]
        row[0] += 1
        row[1] += state.swap_day[i] <= today.day
        for level in range(len(LEVELS_H)):
            row[2 + level] += out.arrival_h[i] < LEVELS_H[level]
        row[FETCHED] += out.fetched[i]
        row[FETCHED + 1] += out.lost[i]
        if arrived:
            row[FETCHED + 2] += max(int(out.fetched[i]) - 1, 0)
            u = uniform(key64(today.seed, Stream.METER_CHECK, fleet.ids[i]), _DRAWS * today.day + _SENT_AGAIN)
            row[FETCHED + 3] += u >= one_shot(fleet.link[i], fleet.hops[i], params.sends[k])


@nb.njit(cache=True, error_model="numpy")
def take_reads(
    fleet: Fleet, place: Places, today: DayContext, out: DayOut, rule: Validation, load_kw: NDArray[np.float64],
    metered_kwh: NDArray[np.float64], checks: NDArray[np.int64], read_kwh: NDArray[np.float64],
) -> None:  # fmt: skip
    """Validate what came in within the day, and add up what the head-end holds for it.

    Parameters
    ----------
    load_kw : array, shape (n,)
        Sanctioned load. [kW]
    metered_kwh : array, shape (n,)
        What each register gained. [kWh]
    checks : array, shape (n_feeders + 1, n_types, len(CHECKS))
        Added to.
    read_kwh : array, shape (n_feeders + 1, n_types)
        Energy of the reads that are not refused, wrong as they may be; added to. [kWh]
    """
    for i in range(len(fleet.ids)):
        if not np.isfinite(out.arrival_h[i]):
            continue
        row, k, kwh = place.feeder[i], fleet.kind[i], metered_kwh[i]
        u = uniform(key64(today.seed, Stream.METER_CHECK, fleet.ids[i]), _DRAWS * today.day + _CORRUPTED)
        if u < rule.corrupted_share:
            kwh *= rule.factor
            checks[row, k, 0] += 1
        if kwh > rule.most_hours * load_kw[i]:
            checks[row, k, 1] += 1
        else:
            read_kwh[row, k] += kwh
