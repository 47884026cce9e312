"""Control devices that step: tap changers, capacitor banks, reactors; their trajectory through the steps of a block.

Every device has a position by step. A stepper watches one quantity and moves, as few steps as bring it back, when that
leaves its band for longer than its delay. A scan goes through the block in time order on a solved trajectory; the block
is then solved again where positions changed and scanned again, until nothing moves. A scan after the first has a
memory: what the trajectory before did stands unless the band is missed by more than the hysteresis, and a position
changes by one step per scan, as a drive's does. Else devices that touch each other hunt: in a weak part of the grid all
of them together move the voltage by more than each expects. A device with a delay shorter than a step has one settled
position per step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.units import MINUTES_PER_DAY

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
BY_FLOW, BY_VOLTAGE, BY_SCHEDULE = 0, 1, 2
"""What moves a bank: reactive power into its busbar, voltage of its busbar, the hour."""
HOURS = 24
FOLLOW, REMEMBER = 0.0, 1.0
"""First scan of a block, and later ones; scales the hysteresis."""


class Steppers(NamedTuple):
    """Devices that hold a quantity in a band, arrays of shape (n,). The quantity has one unit throughout a group."""

    low: FloatArray
    high: FloatArray
    effect: FloatArray
    """Change of the quantity per step of position, about; not 0."""
    least: NDArray[np.int16]
    most: NDArray[np.int16]
    delay_min: FloatArray
    """The quantity must have been outside for longer than this. [min]"""
    hysteresis: FloatArray
    """Added to both ends of the band where a settled trajectory is scanned again."""


@dataclass(frozen=True)
class Banks:
    """Shunts switched in equal steps. Shape (n,)."""

    step_pu: float
    """Susceptance of a step, positive for capacitors. [pu]"""
    kind: NDArray[np.int8]
    """`BY_FLOW`, `BY_VOLTAGE` or `BY_SCHEDULE`."""
    steppers: Steppers
    schedule: NDArray[np.int8]
    """Steps in service by hour of the day, for those that follow one. [n, 24]"""

    def scheduled(self, minutes: FloatArray) -> NDArray[np.int8]:
        """Positions by schedule at the given minutes of the day. Shape (n, steps)."""
        hour = (np.asarray(minutes) % MINUTES_PER_DAY // (MINUTES_PER_DAY // HOURS)).astype(np.int64)
        return self.schedule[:, hour]


@dataclass(frozen=True)
class Controls:
    """All control devices of the upper grid, upper stages first: reactors, then at every GSS its capacitors, its taps,
    and the taps of its PSS. A stage waits while one above it, at the same GSS, moves.
    """

    reactors: Banks
    capacitors: Banks
    gss_taps: Steppers
    pss_taps: Steppers
    tap_step: float
    """Change of ratio per tap. [-]"""
    max_rounds: int
    """Scans of a block before positions are frozen and reported."""


def steppers(
    n: int, low: float, high: float, effect: float, least: int, most: int | NDArray[np.int64], delay_min: float,
    hysteresis: float,
) -> Steppers:  # fmt: skip
    """``n`` devices alike, but for the highest position if ``most`` is an array."""

    def column(value: float) -> FloatArray:
        return np.full(n, value, dtype=np.float64)

    return Steppers(
        column(low), column(high), column(effect), np.full(n, least, dtype=np.int16),
        (np.zeros(n) + most).astype(np.int16), column(delay_min), column(hysteresis),
    )  # fmt: skip


@nb.njit(cache=True, error_model="numpy")
def outside(value: float, low: float, high: float, margin: float) -> int:
    """1 above the band widened by ``margin``, -1 below it, 0 inside."""
    if value > high + margin:
        return 1
    return -1 if value < low - margin else 0


@nb.njit(cache=True, error_model="numpy")
def moves(value: float, low: float, high: float, effect: float) -> int:
    """Steps of position, with sign, that bring a value back into its band; as few as do, 0 inside."""
    off = value - high if value > high else value - low if value < low else 0.0
    if off == 0.0:
        return 0
    count = int(np.ceil(abs(off) / abs(effect)))
    return -count if (off > 0.0) == (effect > 0.0) else count


@nb.njit(cache=True, error_model="numpy")
def _scan_device(
    d: Steppers, k: int, value: FloatArray, was: NDArray[np.int8], unknown: BoolArray, first: int, waited: int,
    wait: int, at_rest: bool, memory: float, now: NDArray[np.int8],
) -> int:  # fmt: skip
    """Positions of device k from its quantity at those of ``was``, into ``now``; steps waited at the end, with sign.

    A step without solution is passed over as if it were not there.
    """
    low, high, hysteresis = d.low[k], d.high[k], memory * d.hysteresis[k]
    position = first
    for t in range(len(value)):
        if not unknown[t]:
            here = value[t] + d.effect[k] * (position - was[t])
            moved_before = was[t] != position
            side = outside(here, low, high, -hysteresis if moved_before else hysteresis)
            waited = waited + side if waited * side > 0 else side
            if abs(waited) > wait or (at_rest and side != 0):
                target = position + moves(here, low, high, d.effect[k])
                if memory > 0.0 and moved_before and outside(value[t], low, high, hysteresis) == 0:
                    target = int(was[t])
                if memory > 0.0:
                    target = min(max(target, was[t] - 1), was[t] + 1)
                target = min(max(target, d.least[k]), d.most[k])
                if target != position:
                    position, waited = target, 0
            at_rest = False
        now[t] = position
    return waited


@nb.njit(cache=True, error_model="numpy")
def scan(
    d: Steppers, may_move: BoolArray, value: FloatArray, was: NDArray[np.int8], unknown: BoolArray,
    first: NDArray[np.int8], waited: NDArray[np.int16], at_rest: bool, step_min: float, memory: float,
    now: NDArray[np.int8], waited_after: NDArray[np.int16],
) -> BoolArray:  # fmt: skip
    """Scan devices in time order; which of them changed their trajectory.

    Parameters
    ----------
    d : Steppers
        n devices.
    may_move : array, shape (n,)
        False: the device waits for a stage above, and keeps its trajectory.
    value : array, shape (n, steps)
        The quantity watched, as solved with the positions ``was``.
    was, now : array, shape (n, steps)
        Trajectories before and after; both may be one array.
    unknown : array, shape (n, steps)
        Steps without solution.
    first, waited : array, shape (n,)
        Position before the first step, and for how many steps the quantity has been above (below: negative) its band.
    at_rest : bool
        The block starts from resting positions, so its first step settles without delay.
    step_min : float
        Length of a step. [min]
    memory : float
        `FOLLOW` or `REMEMBER`.
    waited_after : array, shape (n,)
        As ``waited``, after the last step; written.
    """
    changed = np.zeros(len(may_move), dtype=np.bool_)
    row = np.empty(value.shape[1], dtype=np.int8)
    for k in range(len(may_move)):
        if not may_move[k]:
            now[k] = was[k]
            continue
        wait = int(d.delay_min[k] / step_min)
        waited_after[k] = _scan_device(
            d, k, value[k], was[k], unknown[k], first[k], waited[k], wait, at_rest, memory, row
        )
        for t in range(len(row)):
            changed[k] |= row[t] != was[k, t]
            now[k, t] = row[t]
    return changed


def operations(positions: NDArray[np.int8], before: NDArray[np.int8] | None = None) -> NDArray[np.int64]:
    """Steps of position moved within a block, per device: what a counter on the drive shows. Shape (n,).

    ``positions`` has shape (n, steps); ``before`` (n, 1) adds the move into the first step, else that is not counted:
    a block that starts from resting positions did not move there.
    """
    taken = positions if before is None else np.concatenate([before, positions], axis=1)
    return np.abs(np.diff(taken.astype(np.int64), axis=1)).sum(axis=1)
