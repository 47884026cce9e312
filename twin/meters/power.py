"""What meters send when their supply fails and comes back: last gasps and first breaths (model M6), counted by feeder.

A gasp arrives with `twin.meters.gasp.delivery` times the chance of its links, if its gateway is up; meters whose supply
fails at once behind one gateway spoil each other's frames. A breath is sent when the meter is in its network again, in
one attempt.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.meters.communication import (
    DAY_H,
    Breakdown,
    CommunicationParams,
    Dark,
    dark_h,
    gateway_up,
    joined_h,
    minute_of,
    one_shot,
)
from twin.meters.fleet import DayContext, Fleet, FleetState, Places
from twin.meters.gasp import GaspParams, arrives, delivery
from twin.streams import Stream, key64, uniform

watch_compilation()

POWER = (
    "meters", "power_failures", "gasps_sent", "gasps_arrived", "restorations", "breaths_arrived", "dark_h", "joining_h",
)  # fmt: skip
"""Sums over a feeder's working meters with a module: how many there are; interruptions that begin on a day, last gasps,
those that arrive; interruptions that end, first breaths that arrive; hours without supply; hours after it until each
was in its network again."""
METERS, FAILURES, SENT, ARRIVED, RESTORED, BREATHS, DARK_H, JOINING_H = range(len(POWER))


class Behind(NamedTuple):
    """How many meters of a place's hang behind which gateway: those of place i are ``ptr[i]`` to ``ptr[i + 1]``."""

    ptr: NDArray[np.int64]
    gateway: NDArray[np.int64]
    meters: NDArray[np.int64]
    total: NDArray[np.int64]
    """Behind each gateway, shape (n_gateways,)."""


def behind(place: NDArray[np.int64], gateway: NDArray[np.int64], n_places: int, n_gateways: int) -> Behind:
    """Count meters, shape (n,) each, by place and gateway."""
    pair, meters = np.unique(place * n_gateways + gateway, return_counts=True)
    ptr = np.searchsorted(pair, np.arange(n_places + 1) * n_gateways)
    total = np.bincount(gateway, minlength=n_gateways)
    return Behind(ptr.astype(np.int64), pair % max(n_gateways, 1), meters.astype(np.int64), total.astype(np.int64))


def dark_at_once(dark: Dark, meters: Behind) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Meters behind one gateway whose supply fails at the same moment.

    Returns
    -------
    ptr : array, shape (k + 1,)
        Where each of the k interruptions of ``dark`` has its gateways: those of its place, in their order.
    at_once : array
        Of each interruption and gateway.
    """
    place = np.repeat(np.arange(len(dark.ptr) - 1), np.diff(dark.ptr))
    slots = np.diff(meters.ptr)[place]
    ptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(slots)])
    slot = np.repeat(meters.ptr[place] - ptr[:-1], slots) + np.arange(ptr[-1])
    _, moment = np.unique(np.repeat(dark.from_h, slots), return_inverse=True)
    event, number = np.unique(moment * len(meters.total) + meters.gateway[slot], return_inverse=True)
    counts = np.zeros(len(event), np.int64)
    np.add.at(counts, number, meters.meters[slot])
    return ptr, counts[number]


@nb.njit(cache=True, error_model="numpy")
def count_power(
    fleet: Fleet, state: FleetState, place: Places, gasp: GaspParams, params: CommunicationParams, today: DayContext,
    dark: Dark, meters: Behind, ptr: NDArray[np.int64], at_once: NDArray[np.int64], counts: NDArray[np.float64],
) -> None:  # fmt: skip
    """Add up `POWER` of a day, shape (n_feeders + 1, len(POWER)); ``ptr`` and ``at_once`` from `dark_at_once`."""
    for i in range(len(fleet.ids)):
        if fleet.hops[i] == 0 or state.swap_day[i] > today.day:
            continue
        dt, row = place.dt[i], counts[place.feeder[i]]
        row[METERS] += 1
        if dark.ptr[dt] == dark.ptr[dt + 1]:
            continue
        row[DARK_H] += dark_h(dark, dt)
        for j in range(dark.ptr[dt], dark.ptr[dt + 1]):
            if 0.0 <= dark.from_h[j] < DAY_H:
                row[FAILURES] += 1
                slot = meters.ptr[dt]
                while meters.gateway[slot] != fleet.gateway[i]:
                    slot += 1
                n = at_once[ptr[j] + slot - meters.ptr[dt]]
                _gasp(i, j, n, meters.total[fleet.gateway[i]], fleet, place, gasp, params, today, dark, row)
            if 0.0 <= dark.until_h[j] < DAY_H:
                row[RESTORED] += 1
                _breathe(i, j, fleet, place, params, today, dark, row)


@nb.njit(error_model="numpy")
def _gasp(
    i: int, j: int, at_once: int, total: int, fleet: Fleet, place: Places, gasp: GaspParams,
    params: CommunicationParams, today: DayContext, dark: Dark, row: NDArray[np.float64],
) -> None:  # fmt: skip
    k = fleet.kind[i]
    if gasp.window_s[k] == 0.0:
        return
    row[SENT] += 1
    powered = 1.0 - at_once / total
    chance = delivery(gasp.hold[k], gasp.frame_s[k], gasp.sends[k], gasp.window_s[k], at_once, powered, fleet.hops[i])
    chance *= one_shot(fleet.link[i], fleet.hops[i], params.sends[k])
    if _is_up(i, dark.from_h[j], k, fleet, place, params, today.seed, today.day, today.breakdown):
        row[ARRIVED] += arrives(today.seed, fleet.ids[i], minute_of(today.day, dark.from_h[j]), chance)


@nb.njit(error_model="numpy")
def _breathe(
    i: int, j: int, fleet: Fleet, place: Places, params: CommunicationParams, today: DayContext, dark: Dark,
    row: NDArray[np.float64],
) -> None:  # fmt: skip
    k = fleet.kind[i]
    joined = joined_h(today.seed, fleet.ids[i], today.day, dark.until_h[j], fleet.hops[i], k, params)
    row[JOINING_H] += joined - dark.until_h[j]
    u = uniform(key64(today.seed, Stream.METER_BREATH, fleet.ids[i]), minute_of(today.day, dark.until_h[j]))
    if u < one_shot(fleet.link[i], fleet.hops[i], params.sends[k]):
        up = _is_up(i, joined, k, fleet, place, params, today.seed, today.day, today.breakdown)
        row[BREATHS] += up


@nb.njit(error_model="numpy")
def _is_up(
    i: int, hour: float, k: int, fleet: Fleet, place: Places, params: CommunicationParams, seed: int, day: int,
    breakdown: Breakdown,
) -> bool:  # fmt: skip
    gateway, hours = place.gateway_id[fleet.gateway[i]], DAY_H * day + hour
    return gateway_up(seed, gateway, hours, params.gateway_mtbf_days[k], params.gateway_mttr_h[k], breakdown)
