"""Firmware campaigns (models M3 and M12): who takes an image when, who has which version, whom a bad one breaks.

A meter takes a new image on the first day on which its transfer succeeds, geometric with ``daily_success``, or never.
A fault strikes a whole version: some of the meters that take it die at once (AMI facts, sections 3 and 8).
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.meters.failure import FailureParams, first_day_after, repair_days
from twin.streams import Stream, key64, uniform

watch_compilation()

BYTES_PER_KB = 1000.0
_OLDER, _BRICKED, _MISSING = -1, -2, -3
"""Draws below the days' own, which count up from 0; the last two go down by two from campaign to campaign."""
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
    older_share: NDArray[np.float64]
    """Meters on an older version than the current one when a run begins."""


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
def _transfers(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], campaign: int, failures: NDArray[np.int32],
    params: FirmwareParams, out: NDArray[np.float64],
) -> None:  # fmt: skip
    for i in range(len(ids)):
        k, missing = kind[i], 1.0
        if failures[i] > 0:
            missing = uniform(key64(seed, Stream.METER_FIRMWARE, ids[i]), _MISSING - 2 * campaign)
        out[i] = 0.0
        if params.block_bytes[k] > 0.0:
            out[i] = transfer_s(params.image_kb[k], params.block_bytes[k], params.block_s[k], missing)


def transfers_s(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], campaign: int, failures: NDArray[np.int32],
    params: FirmwareParams,
) -> NDArray[np.float64]:  # fmt: skip
    """How long the try that succeeds sends blocks, shape (n,). [s]

    The first try (no ``failures``) sends all of them; a later one goes on where those before broke off, which is
    anywhere in the image, all places alike (assumed).
    """
    out = np.empty(len(ids))
    _transfers(np.uint64(seed), ids, kind, campaign, failures, params, out)
    return out


@nb.njit(cache=True, error_model="numpy")
def draw_older(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], params: FirmwareParams, out: NDArray[np.bool_]
) -> None:
    """Which meters have an older version when a run begins, shape (n,)."""
    for i in range(len(ids)):
        out[i] = uniform(key64(seed, Stream.METER_FIRMWARE, ids[i]), _OLDER) < params.older_share[kind[i]]


@nb.njit(cache=True, error_model="numpy")
def draw_bricked(seed: int, ids: NDArray[np.int64], campaign: int, share: float, out: NDArray[np.bool_]) -> None:
    """Which meters would fail with the image of a campaign, shape (n,)."""
    for i in range(len(ids)):
        out[i] = uniform(key64(seed, Stream.METER_FIRMWARE, ids[i]), _BRICKED - 2 * campaign) < share


@nb.njit(cache=True, error_model="numpy")
def brick(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], rows: NDArray[np.int64], day: int,
    params: FailureParams, crew_wait_days: NDArray[np.float64], swap_day: NDArray[np.int32],
) -> None:  # fmt: skip
    """Some meters (``rows``) fail within a day and wait for a swap, as after any other failure."""
    for row in rows:
        wait = repair_days(seed, ids[row], day, kind[row], params) + crew_wait_days[kind[row]]
        swap_day[row] = first_day_after(day, wait)
