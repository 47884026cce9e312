"""Commands of a head-end on their way to meters: queue, random wait in the meter, tries, latency, supply.

A message leaves at ``start + u1 queue + u2 jitter`` and is tried again every ``retry`` hours until a try gets through:
``q = 1 - (1 - p^h)^r`` with the gateway up (`twin.meters.communication`). Its way takes the latency of its hops,
after its turn at the gateway (`twin.meters.queue`).
A try does not get through while the meter is without supply or not yet in its network again; a command that waits in a
meter whose supply fails is carried out when it is back.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.meters.communication import (
    DAY_H,
    Breakdown,
    CommunicationParams,
    DarkDays,
    gateway_up,
    is_silent,
    latency_s,
    one_shot,
    with_supply_h,
)
from twin.meters.firmware import NEVER
from twin.streams import Stream, key64, normal, uniform

watch_compilation()

_DRAWS = 256
"""Draws of one campaign and meter; they count down from -1, where no other draw of the stream is."""
_SHARE, _QUEUE, _JITTER, _LATENCY, _TRIES = range(5)
HOUR_S = 3600.0


@nb.njit(error_model="numpy")
def _place(campaign: int, draw: int) -> int:
    return -1_000_000 - campaign * _DRAWS - draw


@nb.njit(cache=True, error_model="numpy")
def draw_addressed(seed: int, ids: NDArray[np.int64], campaign: int, share: float, out: NDArray[np.bool_]) -> None:
    """Which meters a campaign addresses: a random share. Shape (n,)."""
    for i in range(len(ids)):
        out[i] = uniform(key64(seed, Stream.METER_FIRMWARE, ids[i]), _place(campaign, _SHARE)) < share


@nb.njit(cache=True, error_model="numpy")
def deliver(
    seed: int, ids: NDArray[np.int64], gateway: NDArray[np.int64], kind: NDArray[np.uint8], link: NDArray[np.float32],
    hops: NDArray[np.uint8], params: CommunicationParams, breakdown: Breakdown, campaign: int, start_h: float,
    queue_h: float, jitter_s: float, within_h: float, dark: DarkDays, place: NDArray[np.int32],
    issued_h: NDArray[np.float64], passed_h: NDArray[np.float64], reached_h: NDArray[np.float64],
) -> None:  # fmt: skip
    """When each meter's message leaves, when the try that gets through comes to its gateway, and when it is carried out
    if neither the gateway nor supply makes it wait; hours since 2000-01-01, inf: not within the time.

    Parameters
    ----------
    start_h, queue_h, within_h : float
        Start of the campaign, time until the last message has left, time in which a message is tried. [h]
    jitter_s : float
        Longest random wait in the meter. [s]
    dark : DarkDays
        When each ``place``, shape (n,) of the meters, is without supply.
    issued_h, passed_h, reached_h : array, shape (n,)
        Overwritten. [h]
    """
    for i in range(len(ids)):
        k, key = kind[i], key64(seed, Stream.METER_FIRMWARE, ids[i])
        q = one_shot(link[i], hops[i], params.sends[k])
        at = start_h + queue_h * uniform(key, _place(campaign, _QUEUE))
        issued_h[i], passed_h[i], reached_h[i] = at, np.inf, np.inf
        wait = jitter_s * uniform(key, _place(campaign, _JITTER))
        attempt = 0
        while at < issued_h[i] + within_h and attempt < _DRAWS - _TRIES:
            up = gateway_up(seed, gateway[i], at, params.gateway_mtbf_days[k], params.gateway_mttr_h[k], breakdown)
            through = up and uniform(key, _place(campaign, _TRIES + attempt)) < q
            if through and not is_silent(seed, ids[i], at, dark, place[i], hops[i], k, params):
                z = normal(key, _place(campaign, _LATENCY))
                way = latency_s(
                    hops[i], params.latency_first_s[k], params.latency_hop_s[k], params.latency_log_sd[k], z
                )
                passed_h[i] = at
                reached_h[i] = at + (way + wait) / HOUR_S
                break
            at += params.retry_h[k]
            attempt += 1


@nb.njit(cache=True, error_model="numpy")
def hold_for_supply(dark: DarkDays, place: NDArray[np.int32], reached_h: NDArray[np.float64]) -> None:
    """Commands that would be carried out without supply are so when it is back, in place; shape (n,). [h]"""
    for i in range(len(reached_h)):
        if np.isfinite(reached_h[i]):
            reached_h[i] = with_supply_h(reached_h[i], dark, place[i])


@nb.njit(cache=True, error_model="numpy")
def tried_daily_h(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], hops: NDArray[np.uint8], params: CommunicationParams,
    failures: NDArray[np.int32], dark: DarkDays, place: NDArray[np.int32], within_h: float,
    issued_h: NDArray[np.float64], out: NDArray[np.float64],
) -> None:  # fmt: skip
    """When what is tried once a day has come through, hours since 2000-01-01; inf: not within the time. Shape (n,).

    A try while the meter is without supply, or not yet in its network again, is lost; of the others so many fail as
    ``failures`` says (`twin.meters.firmware.campaign_days`).
    """
    for i in range(len(ids)):
        out[i], left, day = np.inf, failures[i], 0
        while failures[i] != NEVER and DAY_H * day < within_h:
            at = issued_h[i] + DAY_H * day
            if not is_silent(seed, ids[i], at, dark, place[i], hops[i], kind[i], params):
                if left == 0:
                    out[i] = at
                    break
                left -= 1
            day += 1
