"""The load switch (model M7): commands, wear, welding.

A command fails with probability ``a (1 + (cycles / C)^2)``; the switch then is welded closed or stuck open until a crew
swaps the meter, after a lognormal time as for meters that fail. Closing onto a fault or more than three times the
highest current welds with a probability of its own. Form: AMI facts, section 10.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.meters.failure import FailureParams, first_day_after, wait_days
from twin.streams import Stream, key64, normal, uniform

watch_compilation()

OPEN, CLOSED = 0, 1
HEALTHY, WELDED, STUCK_OPEN = 0, 1, 2
LOAD_SWITCH_OPEN, LOAD_SWITCH_CLOSED = 301, 302
"""IS 15959 events."""
_SWITCH = 1 << 24
"""One switch more, in `RelayState.cycles`."""


class RelayParams(NamedTuple):
    """Datasheet numbers, shape (n_types,); zero where a type has no switch."""

    fault_probability: NDArray[np.float64]
    wear_cycles: NDArray[np.float64]
    weld_share: NDArray[np.float64]
    weld_on_overload: NDArray[np.float64]


class RelayState(NamedTuple):
    """Six bytes of a meter, shape (n,)."""

    position: NDArray[np.uint8]
    health: NDArray[np.uint8]
    cycles: NDArray[np.uint32]
    """Operations of the switch in the lower 24 bits; above them how many switches the meter had before."""


def new_switch(cycles: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The count of a new switch in place of each; its draws are others than those of all before."""
    return (cycles // np.uint32(_SWITCH) + np.uint32(1)) * np.uint32(_SWITCH)


@nb.njit(error_model="numpy")
def fault_probability(base: float, cycles: float, wear_cycles: float) -> float:
    """Chance that one operation breaks the switch; at most 1."""
    return min(base * (1.0 + (cycles / wear_cycles) ** 2), 1.0)


@nb.njit(cache=True, error_model="numpy")
def operate(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], wanted: NDArray[np.uint8],
    overloaded: NDArray[np.bool_], params: RelayParams, state: RelayState, done: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Carry out one command each; a switch that already stands as wanted does not move.

    Draws are keyed by the meter and its count of operations, so that it does not matter when a command comes.

    Parameters
    ----------
    wanted : array, shape (n,)
        `OPEN` or `CLOSED`.
    overloaded : array, shape (n,)
        Would closing meet a fault or over three times the highest current?
    done : array, shape (n,)
        Does the switch stand as wanted afterwards? Overwritten.
    """
    for i in range(len(ids)):
        k = kind[i]
        if params.wear_cycles[k] > 0.0 and state.health[i] == HEALTHY and state.position[i] != wanted[i]:
            key = key64(seed, Stream.METER_RELAY, ids[i])
            n, worn = 3 * int(state.cycles[i]), float(int(state.cycles[i]) % _SWITCH)
            state.cycles[i] += 1
            if uniform(key, n) < fault_probability(params.fault_probability[k], worn, params.wear_cycles[k]):
                state.health[i] = WELDED if uniform(key, n + 1) < params.weld_share[k] else STUCK_OPEN
                state.position[i] = CLOSED if state.health[i] == WELDED else OPEN
            else:
                state.position[i] = wanted[i]
                if wanted[i] == CLOSED and overloaded[i] and uniform(key, n + 2) < params.weld_on_overload[k]:
                    state.health[i] = WELDED
        done[i] = state.position[i] == wanted[i]


@nb.njit(cache=True, error_model="numpy")
def wear(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], operations: NDArray[np.int64], params: RelayParams,
    state: RelayState,
) -> None:  # fmt: skip
    """Let switches operate some times by themselves, shape (n,), and end where they stood if none of it breaks them.

    The draws are those of `operate`, so that it does not matter who made a switch move.
    """
    for i in range(len(ids)):
        k, key = kind[i], key64(seed, Stream.METER_RELAY, ids[i])
        for _ in range(operations[i]):
            if state.health[i] != HEALTHY:
                break
            n, worn = 3 * int(state.cycles[i]), float(int(state.cycles[i]) % _SWITCH)
            state.cycles[i] += 1
            if uniform(key, n) < fault_probability(params.fault_probability[k], worn, params.wear_cycles[k]):
                state.health[i] = WELDED if uniform(key, n + 1) < params.weld_share[k] else STUCK_OPEN
                state.position[i] = CLOSED if state.health[i] == WELDED else OPEN


@nb.njit(cache=True, error_model="numpy")
def draw_swaps(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], day: int, params: FailureParams,
    crew_wait_days: NDArray[np.float64], out: NDArray[np.int32],
) -> None:  # fmt: skip
    """First day with a new switch of meters whose broken one is found on a day, shape (n,).

    ``crew_wait_days``, shape (n_types,): until crews have done the meters before them.
    """
    for i in range(len(ids)):
        z = normal(key64(seed, Stream.METER_SWITCH, ids[i]), day)
        out[i] = first_day_after(day, wait_days(z, kind[i], params) + crew_wait_days[kind[i]])
