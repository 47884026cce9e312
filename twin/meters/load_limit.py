"""Disconnection above a limit, reconnection attempts and lock-out (model M8).

Above the limit for ``persistence`` the switch opens; it closes again after ``retry``, up to ``tries`` times, then stays
open for the ``lockout``. ``calm`` below the limit forgets the attempts. Under a constant overload one cycle has
``tries + 1`` openings and lasts ``(tries + 1) persistence + tries retry + lockout``. Form: IS 16444-1 (recalled), AMI
facts, section 10.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation

watch_compilation()

CLOSED, WAITING, LOCKED = 0, 1, 2


class LoadLimitParams(NamedTuple):
    """Datasheet numbers, shape (n_types,)."""

    persistence_s: NDArray[np.float64]
    retry_s: NDArray[np.float64]
    tries: NDArray[np.float64]
    lockout_s: NDArray[np.float64]
    calm_s: NDArray[np.float64]


class LimiterState(NamedTuple):
    """Ten bytes of a meter near its limit, shape (n,)."""

    mode: NDArray[np.uint8]
    tries: NDArray[np.uint8]
    above_s: NDArray[np.float32]
    """Time above the limit while closed, or time spent open."""
    calm_s: NDArray[np.float32]


@nb.njit(cache=True, error_model="numpy")
def limit_load(
    demand_kw: NDArray[np.float64], limit_kw: NDArray[np.float64], kind: NDArray[np.uint8], step_s: float,
    params: LoadLimitParams, state: LimiterState, served_kw: NDArray[np.float64], opened: NDArray[np.int32],
) -> None:  # fmt: skip
    """Settle some meters through time; steps should be no longer than the persistence.

    Parameters
    ----------
    demand_kw : array, shape (n, steps)
        Wanted; an infinite limit switches nothing.
    served_kw : array, shape (n, steps)
        Zero while the switch is open, overwritten.
    opened : array, shape (n,)
        Openings, added to.
    """
    for i in range(len(demand_kw)):
        k = kind[i]
        for t in range(demand_kw.shape[1]):
            served_kw[i, t] = demand_kw[i, t] if state.mode[i] == CLOSED else 0.0
            opened[i] += _step(i, k, demand_kw[i, t] > limit_kw[i], step_s, params, state)


@nb.njit(error_model="numpy")
def _step(i: int, k: int, is_above: bool, step_s: float, params: LoadLimitParams, state: LimiterState) -> int:
    """One step of one meter; returns whether it opened at the step's end."""
    if state.mode[i] != CLOSED:
        state.above_s[i] += step_s
        if state.above_s[i] >= (params.retry_s[k] if state.mode[i] == WAITING else params.lockout_s[k]):
            state.mode[i], state.above_s[i] = CLOSED, 0.0
        return 0
    if not is_above:
        state.above_s[i] = 0.0
        state.calm_s[i] += step_s
        if state.calm_s[i] >= params.calm_s[k]:
            state.tries[i] = 0
        return 0
    state.calm_s[i] = 0.0
    state.above_s[i] += step_s
    if state.above_s[i] < params.persistence_s[k]:
        return 0
    state.above_s[i] = 0.0
    state.tries[i] += 1
    state.mode[i] = WAITING
    if state.tries[i] > params.tries[k]:
        state.mode[i], state.tries[i] = LOCKED, 0
    return 1
