"""Firmware campaigns and the command queue in front of all meters (models M3 and M12).

A meter takes a new image on the first day on which its transfer succeeds, geometric with ``daily_success``, or never.
A fault or a stolen key strikes whole groups: maker, version, batch. Commands leave a head-end at a rate and wait a
random time in the meter, which is what spreads a mass disconnection (AMI facts, section 8).
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.streams import Stream, key64, uniform

watch_compilation()

BYTES_PER_KB = 1000.0
NEVER = np.iinfo(np.int32).max
NEW_FIRMWARE = 157
"""IS 15959 event: new firmware active."""


class FirmwareParams(NamedTuple):
    """Datasheet numbers, shape (n_types,)."""

    image_kb: NDArray[np.float64]
    block_bytes: NDArray[np.float64]
    block_s: NDArray[np.float64]
    daily_success: NDArray[np.float64]
    never_share: NDArray[np.float64]


@nb.njit(error_model="numpy")
def transfer_s(image_kb: float, block_bytes: float, block_s: float, missing_frac: float) -> float:
    """Time to send the blocks of an image that are missing, one exchange a block. [s]"""
    return np.ceil(missing_frac * image_kb * BYTES_PER_KB / block_bytes) * block_s


@nb.njit(cache=True, error_model="numpy")
def _days(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], campaign: int, params: FirmwareParams,
    out: NDArray[np.int32],
) -> None:  # fmt: skip
    for i in range(len(ids)):
        key = key64(seed, Stream.METER_FIRMWARE, ids[i])
        p = params.daily_success[kind[i]]
        if p == 0.0 or uniform(key, 2 * campaign) < params.never_share[kind[i]]:
            out[i] = NEVER
        elif p == 1.0:
            out[i] = 0
        else:
            out[i] = int(np.log(uniform(key, 2 * campaign + 1)) / np.log(1.0 - p))


def campaign_days(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], campaign: int, params: FirmwareParams
) -> NDArray[np.int32]:
    """Days after a campaign's start on which each meter has the new image; `NEVER` where it fails. Shape (n,)."""
    out = np.empty(len(ids), np.int32)
    _days(np.uint64(seed), ids, kind, campaign, params, out)
    return out


@nb.njit(cache=True, error_model="numpy")
def _executed(
    seed: int, ids: NDArray[np.int64], campaign: int, rate: float, jitter_s: float, out: NDArray[np.float64]
) -> None:
    for place in range(len(ids)):
        key = key64(seed, Stream.METER_FIRMWARE, ids[place])
        out[place] = (place + 1) / rate + jitter_s * uniform(key, -1 - campaign)


def executed_s(
    seed: int, ids: NDArray[np.int64], campaign: int, commands_per_s: float, jitter_s: float
) -> NDArray[np.float64]:
    """When each command of a queue is carried out, counted from its start. Shape (n,). [s]

    ``t = place / rate + U(0, jitter)``: the head-end sends one after another, each meter waits a random time.
    """
    out = np.empty(len(ids))
    _executed(np.uint64(seed), ids, campaign, commands_per_s, jitter_s, out)
    return out
