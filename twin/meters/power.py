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
    TypeNumbers,
    gateway_up,
    is_steady,
    joins_h,
    minute_of,
    numbers_of,
    one_shot,
    within_day_h,
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
    # Arrays leave their tuples once: every use of one in a tuple counts references.
    ids, kind, hops, links, gateway = fleet.ids, fleet.kind, fleet.hops, fleet.link, fleet.gateway
    dts, feeder, gateway_id, swap_day = place.dt, place.feeder, place.gateway_id, state.swap_day
    dark_ptr, from_h, until_h = dark.ptr, dark.from_h, dark.until_h
    first_slot, slot_gateway, total = meters.ptr, meters.gateway, meters.total
    hold, frame_s, repeats, window_s = gasp.hold, gasp.frame_s, gasp.sends, gasp.window_s
    seed, day, breakdown = today.seed, today.day, today.breakdown
    its, last, asked, steady = numbers_of(params, 0), 0, (-1, -1), False
    for i in range(len(ids)):
        if hops[i] == 0 or swap_day[i] > day:
            continue
        dt, row = dts[i], counts[feeder[i]]
        row[METERS] += 1
        if dark_ptr[dt] == dark_ptr[dt + 1]:
            continue
        k, g, own = kind[i], gateway[i], ids[i]
        if k != last:
            its, last = numbers_of(params, k), k
        link, named = one_shot(links[i], hops[i], its.sends), gateway_id[g]
        if asked != (g, k):  # neighbours share it
            asked = (g, k)
            steady = is_steady(seed, named, day, its.gateway_mtbf_days, its.gateway_mttr_h, breakdown)
        slot = first_slot[dt]
        while slot_gateway[slot] != g:
            slot += 1
        off_h = 0.0
        for j in range(dark_ptr[dt], dark_ptr[dt + 1]):
            off_h += within_day_h(from_h[j], until_h[j])
            if 0.0 <= from_h[j] < DAY_H:
                row[FAILURES] += 1
                if window_s[k] > 0.0:
                    row[SENT] += 1
                    if _is_up(seed, named, day, from_h[j], steady, its, breakdown):
                        n = at_once[ptr[j] + slot - first_slot[dt]]
                        powered = 1.0 - n / total[g]
                        chance = delivery(hold[k], frame_s[k], repeats[k], window_s[k], n, powered, hops[i])
                        row[ARRIVED] += arrives(seed, own, minute_of(day, from_h[j]), chance * link)
            if 0.0 <= until_h[j] < DAY_H:
                row[RESTORED] += 1
                minute = minute_of(day, until_h[j])
                joined = joins_h(seed, own, day, from_h[j], until_h[j], hops[i], its)
                row[JOINING_H] += joined - until_h[j]
                if uniform(key64(seed, Stream.METER_BREATH, own), minute) < link:
                    row[BREATHS] += _is_up(seed, named, day, joined, steady, its, breakdown)
        row[DARK_H] += off_h


@nb.njit(inline="always", error_model="numpy")
def _is_up(
    seed: int, gateway: int, day: int, hour: float, steady: bool, its: TypeNumbers, breakdown: Breakdown
) -> bool:
    if steady and hour < DAY_H:
        return True
    return gateway_up(seed, gateway, DAY_H * day + hour, its.gateway_mtbf_days, its.gateway_mttr_h, breakdown)
