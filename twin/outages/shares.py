"""What interruptions make of a day's steps: the share of each with supply, and demand over the usual, by DT.

After d hours without supply demand comes back above the usual by ``K (1 - exp(-d / lost)) exp(-t / regained)``, t hours
after: diversity is lost and regained (cold-load pick-up; demand facts, section 7.4). Shares and pick-up are exact means
over a step, so that interruptions of minutes count.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.units import HOURS_PER_DAY


class Merged(NamedTuple):
    """Times without supply of some places, overlaps joined: those of place i are ``ptr[i]`` to ``ptr[i + 1]``."""

    ptr: NDArray[np.int64]
    """[n + 1]"""
    from_h: NDArray[np.float64]
    """Rising within a place, may lie before midnight. [k]"""
    until_h: NDArray[np.float64]


class PickUp(NamedTuple):
    """The law of demand after an interruption."""

    lost_h: float
    regained_h: float


@nb.njit(cache=True, error_model="numpy")
def _join(from_h: NDArray[np.float64], until_h: NDArray[np.float64]) -> int:
    """Join what overlaps or touches, in place; ``from_h`` rises; the number left."""
    n = 0
    for j in range(len(from_h)):
        if n > 0 and from_h[j] <= until_h[n - 1]:
            until_h[n - 1] = max(until_h[n - 1], until_h[j])
        else:
            from_h[n], until_h[n] = from_h[j], until_h[j]
            n += 1
    return n


@nb.njit(cache=True, error_model="numpy")
def _merge(
    n_places: int, place: NDArray[np.int64], from_h: NDArray[np.float64], until_h: NDArray[np.float64],
    ptr: NDArray[np.int64],
) -> None:  # fmt: skip
    """Join within places; ``place`` and, within one, ``from_h`` rise; results stand at the arrays' start."""
    kept, j = 0, 0
    ptr[0] = 0
    for i in range(n_places):
        first = j
        while j < len(place) and place[j] == i:
            j += 1
        n = _join(from_h[first:j], until_h[first:j])
        for k in range(n):
            from_h[kept + k], until_h[kept + k] = from_h[first + k], until_h[first + k]
        kept += n
        ptr[i + 1] = kept


def merged(
    n_places: int, place: NDArray[np.int64], from_h: NDArray[np.float64], until_h: NDArray[np.float64]
) -> Merged:
    """Times without supply of places 0 to ``n_places`` - 1, from interruptions in any order, shapes (k,)."""
    order = np.lexsort((until_h, from_h, place))
    ptr, start, end = np.empty(n_places + 1, np.int64), from_h[order], until_h[order]
    _merge(n_places, place[order], start, end, ptr)
    return Merged(ptr, start[: ptr[-1]].copy(), end[: ptr[-1]].copy())


@nb.njit(cache=True, error_model="numpy")
def day_supply(
    from_h: NDArray[np.float64], until_h: NDArray[np.float64], k: float, law: PickUp, share: NDArray[np.float64],
    factor: NDArray[np.float32],
) -> None:  # fmt: skip
    """Share of every step with supply, and demand over the usual, of one place.

    Parameters
    ----------
    from_h, until_h : shape (n,)
        Times without supply, rising and apart. [h from midnight]
    k : float
        Pick-up after a very long interruption. [-]
    law : PickUp
    share, factor : shape (steps,), out
        ``share`` of the step with supply; mean demand of the step over what it would have been: the mean over the
        step of supply times ``1 + K (1 - exp(-d / lost)) exp(-t / regained)``.
    """
    steps = len(share)
    width = HOURS_PER_DAY / steps
    for t in range(steps):
        share[t], factor[t] = 1.0, 0.0
    for j in range(len(from_h)):
        for t in range(max(0, int(from_h[j] / width)), min(steps, int(math.ceil(until_h[j] / width)))):
            off = min(until_h[j], (t + 1) * width) - max(from_h[j], t * width)
            share[t] -= max(off, 0.0) / width
    for t in range(steps):
        if share[t] < 1e-12:  # noqa: PLR2004  # rounding of the sum; shorter than a nanosecond
            share[t] = 0.0
    for j in range(len(from_h)):
        extra = k * (1.0 - math.exp(-(until_h[j] - from_h[j]) / law.lost_h)) * law.regained_h / width
        end = min(from_h[j + 1] if j + 1 < len(from_h) else HOURS_PER_DAY, HOURS_PER_DAY)
        for t in range(max(0, int(until_h[j] / width)), min(steps, int(math.ceil(end / width)))):
            first, last = max(until_h[j], t * width), min(end, (t + 1) * width)
            if last > first:
                fallen = math.exp(-(first - until_h[j]) / law.regained_h)
                factor[t] += extra * (fallen - math.exp(-(last - until_h[j]) / law.regained_h))
    for t in range(steps):
        factor[t] += share[t]


@nb.njit(cache=True, error_model="numpy")
def feeder_supply(
    head: Merged, i: int, dts: NDArray[np.int64], own: Merged, first: int, k: float, law: PickUp,
    share: NDArray[np.float64], factor: NDArray[np.float32],
) -> None:  # fmt: skip
    """`day_supply` of all DTs of feeder i, shape (n_dt, steps): as its head, but for DTs with times of their own.

    ``own`` holds, from ``first`` on, the times of DTs ``dts`` (numbers within the feeder, rising) with the head's.
    """
    a, b = head.ptr[i], head.ptr[i + 1]
    day_supply(head.from_h[a:b], head.until_h[a:b], k, law, share[0], factor[0])
    for d in range(1, len(share)):
        share[d], factor[d] = share[0], factor[0]
    for j in range(len(dts)):
        a, b = own.ptr[first + j], own.ptr[first + j + 1]
        day_supply(own.from_h[a:b], own.until_h[a:b], k, law, share[dts[j]], factor[dts[j]])


@nb.njit(cache=True, error_model="numpy")
def mean_supply(
    times: Merged, weight: NDArray[np.float64], k: NDArray[np.float64], law: PickUp, steps: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Weighted mean of `day_supply` over places; shapes (steps,)."""
    share, factor = np.empty(steps), np.empty(steps, np.float32)
    total, sum_share, sum_factor = 0.0, np.zeros(steps), np.zeros(steps)
    for i in range(len(weight)):
        a, b = times.ptr[i], times.ptr[i + 1]
        day_supply(times.from_h[a:b], times.until_h[a:b], k[i], law, share, factor)
        for t in range(steps):
            sum_share[t] += weight[i] * share[t]
            sum_factor[t] += weight[i] * factor[t]
        total += weight[i]
    return sum_share / total, (sum_factor / total).astype(np.float32)


class Counts(NamedTuple):
    """What consumers lived through on a day, means over a place's consumers."""

    interruptions: float
    """Begun on the day and longer than the least that counts."""
    momentary: float
    """The others begun on the day."""
    counted_h: float
    """Hours of the day in interruptions that count."""
    off_h: float
    """All hours of the day without supply."""


@nb.njit(cache=True, error_model="numpy")
def count_day(from_h: NDArray[np.float64], until_h: NDArray[np.float64], least_h: float) -> Counts:
    """Count the times without supply of one place."""
    many, momentary, counted_h, off_h = 0.0, 0.0, 0.0, 0.0
    for j in range(len(from_h)):
        off = max(min(until_h[j], HOURS_PER_DAY) - max(from_h[j], 0.0), 0.0)
        lasts = until_h[j] - from_h[j] > least_h
        off_h += off
        if lasts:
            counted_h += off
        if 0.0 <= from_h[j] < HOURS_PER_DAY:
            if lasts:
                many += 1.0
            else:
                momentary += 1.0
    return Counts(many, momentary, counted_h, off_h)


@nb.njit(cache=True, error_model="numpy")
def count_places(times: Merged, weight: NDArray[np.float64], least_h: float, out: NDArray[np.float64]) -> None:
    """Add ``weight`` times `count_day` of every place; ``out`` [4] in the order of `Counts`."""
    for i in range(len(weight)):
        a, b = times.ptr[i], times.ptr[i + 1]
        one = count_day(times.from_h[a:b], times.until_h[a:b], least_h)
        out[0] += weight[i] * one.interruptions
        out[1] += weight[i] * one.momentary
        out[2] += weight[i] * one.counted_h
        out[3] += weight[i] * one.off_h
