"""The last message of a meter whose supply dies (model M6): many at once spoil each other's frames.

With n meters dark behind a gateway, each sending k frames of length tau within a window W, unslotted access carries
``G = n k tau / W`` and a frame gets through with ``exp(-2 G)`` (N. Abramson, ALOHA, 1970); a hop also needs its relay
still powered. ``P = hold * exp(-2 G) * s^(h - 1)``: AMI facts, section 10.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.streams import Stream, key64, uniform

watch_compilation()

LAST_GASP_BIT, FIRST_BREATH_BIT = 85, 86
"""Bits of the event status word."""
POWER_FAILURE, POWER_RESTORED = 101, 102
"""IS 15959 events."""


class GaspParams(NamedTuple):
    """Datasheet numbers, shape (n_types,)."""

    hold: NDArray[np.float64]
    frame_s: NDArray[np.float64]
    sends: NDArray[np.float64]
    window_s: NDArray[np.float64]


@nb.njit(error_model="numpy")
def delivery(
    hold: float, frame_s: float, sends: float, window_s: float, dark: float, powered: float, hops: int
) -> float:
    """Probability that a meter's last gasp arrives.

    ``dark``: meters behind the gateway that lost their supply at once; ``powered``: share of next hops that still have
    theirs.
    """
    return hold * np.exp(-2.0 * dark * sends * frame_s / window_s) * powered ** (hops - 1)


@nb.njit(error_model="numpy")
def arrives(seed: int, consumer: int, outage: int, probability: float) -> bool:
    """Does the message of one meter in one outage (any whole number that names it) arrive?"""
    return uniform(key64(seed, Stream.METER_GASP, consumer), outage) < probability
