"""Load switches that stand open: whose demand a day does without, step by step, and what of it is not served.

What opens switches (commands of a head-end, wallets that ran empty) hangs on nothing of the day itself, so that it is
known before the day's networks are solved. A consumer who is off uses nothing; his response to prices is reckoned from
what he would have used.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.demand.weather import day_number

if TYPE_CHECKING:
    from twin.simulation.meter_state import MeterState


class Switches(NamedTuple):
    """Steps [off_from, off_until) of one day in which each consumer is switched off; (0, 0): never.

    Shapes (n_arms, n), all of a shard's consumers.
    """

    off_from: NDArray[np.int16]
    off_until: NDArray[np.int16]

    @property
    def anybody(self) -> bool:
        """Is anybody off at any time of the day?"""
        return bool((self.off_until > self.off_from).any())

    def also(self, other: Switches) -> Switches:
        """Open by either of two causes: from the earlier opening until the later closing.

        Where they overlap or touch that is their union. A day holds one interval for each consumer: of two apart from
        each other the time between counts as off too, as if the switch closed only after the last cause is lifted.
        """
        mine, others = self.off_until > self.off_from, other.off_until > other.off_from
        first = np.where(
            others, np.where(mine, np.minimum(self.off_from, other.off_from), other.off_from), self.off_from
        )
        last = np.where(
            others, np.where(mine, np.maximum(self.off_until, other.off_until), other.off_until), self.off_until
        )
        return Switches(first, last)


class Unserved(NamedTuple):
    """Where demand that open switches keep from consumers is added up."""

    kw: NDArray[np.float64]
    """Demand at nominal voltage, shape (n_places, steps). [kW]"""
    place: NDArray[np.int64]
    """Row of ``kw`` for each of the consumers asked about, shape (n,)."""


def switches_on(meters: MeterState, date: dt.date, n_arms: int, steps: int) -> Switches | None:
    """All open switches of a day; None where there are none, so that the day is solved as if there were no switches."""
    switches = None
    if meters.devices is not None and meters.devices.relays is not None:
        meters.devices.relays.begin(day_number(date))
    if meters.devices is not None and meters.devices.commands is not None:
        day = meters.devices.commands.prepare(date)
        first, last = zip(*(day.off_steps(arm, steps) for arm in range(n_arms)), strict=True)
        switches = Switches(np.stack(first), np.stack(last))
    if meters.wallets is not None:
        switches = meters.wallets.switches(date, switches)
    return switches if switches is not None and switches.anybody else None


@nb.njit(cache=True, error_model="numpy")
def switch_off(kw: NDArray[np.float32], off_from: NDArray[np.int16], off_until: NDArray[np.int16]) -> None:
    """Take the demand of switched-off consumers away, in place. ``kw`` [n, stride], the others [n]."""
    for i in range(len(off_from)):
        for t in range(off_from[i], off_until[i]):
            kw[i, t] = 0.0


@nb.njit(cache=True, error_model="numpy")
def add_unserved(
    kw: NDArray[np.float32], off_from: NDArray[np.int16], off_until: NDArray[np.int16], out: Unserved
) -> None:
    """Add up the demand that `switch_off` would take away. ``kw`` [n, stride], before switching, at nominal voltage."""
    for i in range(len(off_from)):
        for t in range(off_from[i], off_until[i]):
            out.kw[out.place[i], t] += kw[i, t]
