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
    CommunicationParams,
    Dark,
    dark_h,
    gateway_up,
    is_steady,
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
    asked, steady = (-1, -1), False
    for i in range(len(fleet.ids)):
        if fleet.hops[i] == 0 or state.swap_day[i] > today.day:
            continue
        dt, row = place.dt[i], place.feeder[i]
        counts[row, METERS] += 1
        if dark.ptr[dt] == dark.ptr[dt + 1]:
            continue
        counts[row, DARK_H] += dark_h(dark, dt)
        k = fleet.kind[i]
        link = one_shot(fleet.link[i], fleet.hops[i], params.sends[k])
        if asked != (fleet.gateway[i], k):  # neighbours share it
            asked = (fleet.gateway[i], k)
            steady = is_steady(
                today.seed, place.gateway_id[fleet.gateway[i]], today.day, params.gateway_mtbf_days[k],
                params.gateway_mttr_h[k], today.breakdown,
            )  # fmt: skip
        for j in range(dark.ptr[dt], dark.ptr[dt + 1]):
            if 0.0 <= dark.from_h[j] < DAY_H:
                counts[row, FAILURES] += 1
                slot = meters.ptr[dt]
                while meters.gateway[slot] != fleet.gateway[i]:
                    slot += 1
                n = at_once[ptr[j] + slot - meters.ptr[dt]]
                total = meters.total[fleet.gateway[i]]
                _gasp(i, j, n, total, link, steady, fleet, place, gasp, params, today, dark, counts)
            if 0.0 <= dark.until_h[j] < DAY_H:
                counts[row, RESTORED] += 1
                _breathe(i, j, link, steady, fleet, place, params, today, dark, counts)


@nb.njit(inline="always", error_model="numpy")
def _gasp(
    i: int, j: int, at_once: int, total: int, link: float, steady: bool, fleet: Fleet, place: Places, gasp: GaspParams,
    params: CommunicationParams, today: DayContext, dark: Dark, counts: NDArray[np.float64],
) -> None:  # fmt: skip
    k, row = fleet.kind[i], place.feeder[i]
    if gasp.window_s[k] == 0.0:
        return
    counts[row, SENT] += 1
    powered = 1.0 - at_once / total
    chance = delivery(gasp.hold[k], gasp.frame_s[k], gasp.sends[k], gasp.window_s[k], at_once, powered, fleet.hops[i])
    chance *= link
    if _is_up(i, dark.from_h[j], k, steady, fleet, place, params, today):
        counts[row, ARRIVED] += arrives(today.seed, fleet.ids[i], minute_of(today.day, dark.from_h[j]), chance)


@nb.njit(inline="always", error_model="numpy")
def _breathe(
    i: int, j: int, link: float, steady: bool, fleet: Fleet, place: Places, params: CommunicationParams,
    today: DayContext, dark: Dark, counts: NDArray[np.float64],
) -> None:  # fmt: skip
    k, row = fleet.kind[i], place.feeder[i]
    from_h, until_h = dark.from_h[j], dark.until_h[j]
    joined = joined_h(today.seed, fleet.ids[i], today.day, from_h, until_h, fleet.hops[i], k, params)
    counts[row, JOINING_H] += joined - dark.until_h[j]
    u = uniform(key64(today.seed, Stream.METER_BREATH, fleet.ids[i]), minute_of(today.day, dark.until_h[j]))
    if u < link:
        up = _is_up(i, joined, k, steady, fleet, place, params, today)
        counts[row, BREATHS] += up


@nb.njit(inline="always", error_model="numpy")
def _is_up(
    i: int, hour: float, k: int, steady: bool, fleet: Fleet, place: Places, params: CommunicationParams,
    today: DayContext,
) -> bool:  # fmt: skip
    if steady and hour < DAY_H:
        return True
    gateway, hours = place.gateway_id[fleet.gateway[i]], DAY_H * today.day + hour
    mtbf_days, mttr_h = params.gateway_mtbf_days[k], params.gateway_mttr_h[k]
    return gateway_up(today.seed, gateway, hours, mtbf_days, mttr_h, today.breakdown)
