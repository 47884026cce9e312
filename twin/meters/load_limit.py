"""Disconnection above a limit, reconnection attempts and lock-out (model M8).

Above the limit for ``persistence`` the switch opens; it closes again after ``retry``, up to ``tries`` times, then stays
open for the ``lockout``. ``calm`` below the limit forgets the attempts and ends the episode of overload. Under a
constant overload one cycle has ``tries + 1`` openings and lasts ``(tries + 1) persistence + tries retry + lockout``.
Demand is steady within a step, so that a step of any length is settled exactly, from one change of the switch to the
next. Form: IS 16444-1 (recalled), AMI facts, section 10.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation

watch_compilation()

CLOSED, WAITING, LOCKED = 0, 1, 2
NONE, BEGINS, ENDS = 0, 1, 2
"""What becomes of an episode of overload within a step."""
OVERLOAD, OVERLOAD_ENDED = 215, 216
"""IS 15959 events."""
LIMIT_SET, LIMIT_DISABLED = 158, 160
"""IS 15959 events of commands that set a load limit and lift it."""


class LoadLimitParams(NamedTuple):
    """Datasheet numbers, shape (n_types,) for each setting in force; all zero where a type limits nothing."""

    persistence_s: NDArray[np.float64]
    retry_s: NDArray[np.float64]
    tries: NDArray[np.float64]
    lockout_s: NDArray[np.float64]
    calm_s: NDArray[np.float64]


class LimiterState(NamedTuple):
    """Eleven bytes of a meter near its limit, shape (n,). Times are whole seconds below 2^24, exact in float32."""

    mode: NDArray[np.uint8]
    tries: NDArray[np.uint8]
    overloaded: NDArray[np.uint8]
    """Has it opened since it was last calm?"""
    above_s: NDArray[np.float32]
    """Time above the limit while closed, or time spent open."""
    calm_s: NDArray[np.float32]
    """Time below the limit since it was last above, at most what is asked for."""


class LimiterDay(NamedTuple):
    """What limits did to some meters, shape (n, steps) unless said."""

    open_share: NDArray[np.float32]
    """Share of each step in which the switch was open."""
    opened: NDArray[np.int32]
    """Openings, shape (n,)."""
    episode: NDArray[np.uint8]
    """`BEGINS` (at the first opening), `ENDS` or `NONE`."""
    episode_s: NDArray[np.float32]
    """When, from the step's start. [s]"""


class LimitChanges(NamedTuple):
    """Limits that meters get within a day, by meter and in time order: those of meter i in [ptr[i], ptr[i + 1])."""

    ptr: NDArray[np.int64]
    step: NDArray[np.int64]
    """From whose start it holds."""
    limit_kw: NDArray[np.float64]
    timers: NDArray[np.int64]


def no_changes(n: int) -> LimitChanges:
    """The limits hold all day."""
    none = np.zeros(0, np.int64)
    return LimitChanges(np.zeros(n + 1, np.int64), none, np.zeros(0), none)


def idle(n: int) -> LimiterState:
    """Meters whose load is far from any limit."""
    mode, tries, overloaded = np.zeros((3, n), np.uint8)
    above_s, calm_s = np.zeros((2, n), np.float32)
    return LimiterState(mode, tries, overloaded, above_s, calm_s)


def room(n: int, steps: int) -> LimiterDay:
    """Room for a day of some meters."""
    return LimiterDay(
        np.zeros((n, steps), np.float32), np.zeros(n, np.int32), np.zeros((n, steps), np.uint8),
        np.zeros((n, steps), np.float32),
    )  # fmt: skip


@nb.njit(cache=True, error_model="numpy")
def above_limit(kw: NDArray[np.float32], steps: int, limit_kw: NDArray[np.float64], out: NDArray[np.bool_]) -> None:
    """Whose demand is above its limit in any step. ``kw`` [n, at least steps], the others [n]."""
    for i in range(len(out)):
        top = np.float32(0.0)
        if np.isfinite(limit_kw[i]):
            for t in range(steps):
                top = max(top, kw[i, t])
        out[i] = top > limit_kw[i]


@nb.njit(cache=True, error_model="numpy")
def limit_load(
    kw: NDArray[np.float32], rows: NDArray[np.int64], limit_kw: NDArray[np.float64], timers: NDArray[np.int64],
    step_s: float, params: LoadLimitParams, changes: LimitChanges, state: LimiterState, day: LimiterDay,
) -> None:  # fmt: skip
    """Settle some meters through a day's steps, in time order.

    With a new limit a switch that its old one has opened closes, and the attempts are forgotten.

    Parameters
    ----------
    kw : array, shape (m, at least steps)
        Wanted by everybody. [kW]
    rows : array, shape (n,)
        Who is settled.
    limit_kw, timers : array, shape (n,)
        Limit of each at the day's start, and its row of ``params``.
    state : LimiterState, shape (n,)
        At the start; afterwards at the end.
    """
    for i in range(len(rows)):
        k, limit, change = timers[i], limit_kw[i], changes.ptr[i]
        for t in range(day.open_share.shape[1] + 1):
            while change < changes.ptr[i + 1] and (changes.step[change] <= t or t == day.open_share.shape[1]):
                k, limit = changes.timers[change], changes.limit_kw[change]
                state.mode[i], state.tries[i], state.above_s[i] = CLOSED, 0, 0.0
                change += 1
            if t == day.open_share.shape[1]:  # what changes after the last step holds tomorrow
                break
            day.episode[i, t] = NONE
            is_above = np.float64(kw[rows[i], t]) > limit
            day.open_share[i, t] = _settle(i, t, k, is_above, step_s, params, state, day) / step_s


@nb.njit(error_model="numpy")
def _settle(
    i: int, t: int, k: int, is_above: bool, step_s: float, params: LoadLimitParams, state: LimiterState, day: LimiterDay
) -> float:
    """One step of one meter; returns how long its switch was open. [s]"""
    left, open_s = step_s, 0.0
    while left > 0.0:
        if state.mode[i] != CLOSED:
            most = params.retry_s[k] if state.mode[i] == WAITING else params.lockout_s[k]
            spent = min(left, most - state.above_s[i])
            state.above_s[i] += spent
            open_s += spent
            if state.above_s[i] >= most:
                state.mode[i], state.above_s[i] = CLOSED, 0.0
        elif is_above:
            spent = min(left, params.persistence_s[k] - state.above_s[i])
            state.above_s[i] += spent
            state.calm_s[i] = 0.0
            if state.above_s[i] >= params.persistence_s[k]:
                _open(i, k, params, state)
                day.opened[i] += 1
                if state.overloaded[i] == 0:
                    state.overloaded[i] = 1
                    day.episode[i, t], day.episode_s[i, t] = BEGINS, step_s - left + spent
        else:
            state.above_s[i] = 0.0
            spent = min(left, params.calm_s[k] - state.calm_s[i])
            state.calm_s[i] += spent
            if state.calm_s[i] >= params.calm_s[k]:
                if state.overloaded[i] == 1:
                    state.overloaded[i] = 0
                    day.episode[i, t], day.episode_s[i, t] = ENDS, step_s - left + spent
                state.tries[i], spent = 0, left
        left -= spent
    return open_s


@nb.njit(error_model="numpy")
def _open(i: int, k: int, params: LoadLimitParams, state: LimiterState) -> None:
    state.above_s[i] = 0.0
    state.tries[i] += 1
    state.mode[i] = WAITING
    if state.tries[i] > params.tries[k]:
        state.mode[i], state.tries[i] = LOCKED, 0


@nb.njit(cache=True, error_model="numpy")
def cut_load(kw: NDArray[np.float32], rows: NDArray[np.int64], open_share: NDArray[np.float32]) -> None:
    """Take away what open switches keep from some consumers, in place: mean demand of each step. ``kw`` [m, stride]."""
    for i in range(len(rows)):
        for t in range(open_share.shape[1]):
            kw[rows[i], t] -= kw[rows[i], t] * open_share[i, t]
