"""How a meter's data come in (model M5): links, hops, gateways, retries, joining after an outage, latency.

One attempt end to end ``q = 1 - (1 - p^h)^r`` (link p, hops h, r sends per attempt); an attempt also needs its gateway.
Hops are geometric, links Beta; a chronic class is reached seldom, with a link of its own, and a part of it never. A
gateway is down from failures drawn day by day (``1 - exp(-1 / MTBF)``) for exponential times: no state, any hour can be
asked alone. Form: AMI facts, section 10.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.streams import Stream, gamma, key64, normal, splitmix64, uniform

watch_compilation()

DAY_H = 24.0
_REPAIRS_BACK = 12.0
"""Gateway failures are looked for this many mean repair times back: a longer one has a chance of 6e-6."""
_DRAWS_A_DAY = 64
NEVER = np.inf


class CommunicationParams(NamedTuple):
    """Datasheet numbers, shape (n_types,); all zero where a type has no communication."""

    link_alpha: NDArray[np.float64]
    link_beta: NDArray[np.float64]
    hop_stop: NDArray[np.float64]
    most_hops: NDArray[np.float64]
    sends: NDArray[np.float64]
    spread_h: NDArray[np.float64]
    retry_h: NDArray[np.float64]
    chronic_share: NDArray[np.float64]
    chronic_link: NDArray[np.float64]
    chronic_never_share: NDArray[np.float64]
    latency_first_s: NDArray[np.float64]
    latency_hop_s: NDArray[np.float64]
    latency_log_sd: NDArray[np.float64]
    join_median_min: NDArray[np.float64]
    join_warm_h: NDArray[np.float64]
    join_warm_median_min: NDArray[np.float64]
    join_log_sd: NDArray[np.float64]
    join_hop_min: NDArray[np.float64]
    gateway_meters: NDArray[np.float64]
    gateway_mtbf_days: NDArray[np.float64]
    gateway_mttr_h: NDArray[np.float64]
    gateway_messages_per_s: NDArray[np.float64]


class Breakdown(NamedTuple):
    """A share of all gateways that is down for some time, beside their own failures."""

    share: float = 0.0
    from_h: float = 0.0
    until_h: float = 0.0
    """Hours since 2000-01-01."""


NO_BREAKDOWN = Breakdown()
_BREAKDOWN_DRAW = -1
"""Place of the draw in a gateway's stream; its own failures take the days' numbers, from zero."""


@nb.njit(error_model="numpy")
def one_shot(link: float, hops: int, sends: float) -> float:
    """Probability that one attempt reaches its end, the gateway being up."""
    return 1.0 - (1.0 - link**hops) ** sends


@nb.njit(error_model="numpy")
def gateway_up(seed: int, gateway: int, hour: float, mtbf_days: float, mttr_h: float, breakdown: Breakdown) -> bool:
    """Is a gateway up at an hour, counted from 2000-01-01? All its meters get the same answer."""
    key = key64(seed, Stream.GATEWAY, gateway)
    if breakdown.from_h <= hour < breakdown.until_h and uniform(key, _BREAKDOWN_DRAW) < breakdown.share:
        return False
    fails = 1.0 - np.exp(-1.0 / mtbf_days)
    today = int(np.floor(hour / DAY_H))
    for day in range(today - int(np.ceil(_REPAIRS_BACK * mttr_h / DAY_H)), today + 1):
        if uniform(key, 3 * day) < fails:
            start = DAY_H * (day + uniform(key, 3 * day + 1))
            if start <= hour < start - mttr_h * np.log(uniform(key, 3 * day + 2)):
                return False
    return True


@nb.njit(inline="always", error_model="numpy")
def is_steady(seed: int, gateway: int, day: int, mtbf_days: float, mttr_h: float, breakdown: Breakdown) -> bool:
    """Is a gateway sure to be up through all of a day? Then `gateway_up` need not be asked for its hours."""
    key = key64(seed, Stream.GATEWAY, gateway)
    if breakdown.from_h < (day + 1) * DAY_H and breakdown.until_h > day * DAY_H:
        return False
    fails = 1.0 - np.exp(-1.0 / mtbf_days)
    for earlier in range(day - int(np.ceil(_REPAIRS_BACK * mttr_h / DAY_H)), day + 1):
        if uniform(key, 3 * earlier) < fails:
            return False
    return True


class Dark(NamedTuple):
    """Times of a day without supply, by place: those of place i are ``ptr[i]`` to ``ptr[i + 1]``, rising and apart."""

    ptr: NDArray[np.int64]
    """Shape (n_places + 1,)."""
    from_h: NDArray[np.float64]
    """From the day's midnight on; below zero where supply failed before. [h]"""
    until_h: NDArray[np.float64]
    """Above 24 where it comes back later."""


def never_dark(n_places: int) -> Dark:
    """Supply without a break."""
    return Dark(np.zeros(n_places + 1, np.int64), np.zeros(0), np.zeros(0))


class DarkDays(NamedTuple):
    """Times without supply of some days in a row; place i of day d is place ``(d - first_day) n_places + i``.

    An interruption that lasts over midnight stands in every day that it touches, in hours of that day.
    """

    first_day: int
    """Days since 2000-01-01."""
    n_places: int
    """Zero: nobody is ever without supply."""
    dark: Dark


def days_in_a_row(first_day: int, days: list[Dark]) -> DarkDays:
    """Put days, each with the same places, one after another; none: supply without a break."""
    if not days:
        return DarkDays(first_day, 0, never_dark(0))
    counts = np.concatenate([np.diff(day.ptr) for day in days])
    ptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    from_h, until_h = (np.concatenate([getattr(day, name) for day in days]) for name in ("from_h", "until_h"))
    return DarkDays(first_day, len(days[0].ptr) - 1, Dark(ptr, from_h, until_h))


@nb.njit(inline="always", error_model="numpy")
def _place_on(days: DarkDays, day: int, place: int) -> int:
    """Place of a day among all; -1 where nobody is without supply, or the day is not known."""
    at = (day - days.first_day) * days.n_places + place
    return at if days.n_places > 0 and day >= days.first_day and at + 1 < len(days.dark.ptr) else -1


@nb.njit(error_model="numpy")
def is_silent(
    seed: int, consumer: int, hour: float, days: DarkDays, place: int, hops: int, kind: int, params: CommunicationParams
) -> bool:
    """Is a meter without supply at an hour, counted from 2000-01-01, or not yet in its network again?"""
    day = int(np.floor(hour / DAY_H))
    at = _place_on(days, day, place)
    return at >= 0 and is_off_air(seed, consumer, day, hour - day * DAY_H, days.dark, at, hops, kind, params)


@nb.njit(error_model="numpy")
def with_supply_h(hour: float, days: DarkDays, place: int) -> float:
    """An hour, counted from 2000-01-01, or that at which supply is back if it is out then."""
    day = int(np.floor(hour / DAY_H))
    at = _place_on(days, day, place)
    if at >= 0:
        for j in range(days.dark.ptr[at], days.dark.ptr[at + 1]):
            if days.dark.from_h[j] <= hour - day * DAY_H < days.dark.until_h[j]:
                return day * DAY_H + days.dark.until_h[j]
    return hour


@nb.njit(inline="always", error_model="numpy")
def within_day_h(from_h: float, until_h: float) -> float:
    """How much of an interruption lies within its day. [h]"""
    return max(0.0, min(until_h, DAY_H) - max(from_h, 0.0))


@nb.njit(inline="always", error_model="numpy")
def dark_h(dark: Dark, place: int) -> float:
    """Time of the day that a place is without supply. [h]"""
    total = 0.0
    for j in range(dark.ptr[place], dark.ptr[place + 1]):
        total += within_day_h(dark.from_h[j], dark.until_h[j])
    return total


def hours_dark(dark: Dark) -> NDArray[np.float64]:
    """`dark_h` of every place, shape (n_places,). [h]"""
    spent = np.maximum(np.minimum(dark.until_h, DAY_H) - np.maximum(dark.from_h, 0.0), 0.0)
    total = np.concatenate([np.zeros(1), np.cumsum(spent)])
    return total[dark.ptr[1:]] - total[dark.ptr[:-1]]


@nb.njit(error_model="numpy")
def latency_s(hops: int, first_s: float, hop_s: float, log_sd: float, z: float) -> float:
    """Time of one message: ``(first + (h - 1) hop) exp(sd z)``, z standard normal. [s]"""
    return (first_s + hop_s * (hops - 1)) * np.exp(log_sd * z)


@nb.njit(error_model="numpy")
def join_min(hops: int, median_min: float, hop_min: float, log_sd: float, z: float) -> float:
    """Time until a meter is in its network again after its supply has come back. [min]"""
    return median_min * np.exp(log_sd * z) + hop_min * max(hops - 2, 0)


@nb.njit(error_model="numpy")
def minute_of(day: int, hour: float) -> int:
    """Minutes since 2000-01-01 of an hour of a day: the number by which draws of an interruption are known."""
    return day * 1440 + int(np.rint(60.0 * hour))


class TypeNumbers(NamedTuple):
    """`CommunicationParams` of one type, as far as profiles hang on them: plain numbers, which cost a loop nothing."""

    sends: float
    spread_h: float
    retry_h: float
    join_median_min: float
    join_warm_h: float
    join_warm_median_min: float
    join_log_sd: float
    join_hop_min: float
    gateway_mtbf_days: float
    gateway_mttr_h: float


@nb.njit(inline="always", error_model="numpy")
def numbers_of(params: CommunicationParams, kind: int) -> TypeNumbers:
    """Those of a type."""
    return TypeNumbers(
        params.sends[kind], params.spread_h[kind], params.retry_h[kind], params.join_median_min[kind],
        params.join_warm_h[kind], params.join_warm_median_min[kind], params.join_log_sd[kind],
        params.join_hop_min[kind], params.gateway_mtbf_days[kind], params.gateway_mttr_h[kind],
    )  # fmt: skip


@nb.njit(inline="always", error_model="numpy")
def joins_h(seed: int, consumer: int, day: int, from_h: float, until_h: float, hops: int, its: TypeNumbers) -> float:
    """Hour at which a meter is in its network again that was without supply from ``from_h`` to ``until_h``.

    After up to ``join_warm_h`` neighbours still know routes and keys, and it joins warm; else from the beginning.
    """
    z = normal(key64(seed, Stream.METER_JOIN, consumer), minute_of(day, until_h))
    median = its.join_warm_median_min if until_h - from_h <= its.join_warm_h else its.join_median_min
    return until_h + join_min(hops, median, its.join_hop_min, its.join_log_sd, z) / 60.0


@nb.njit(error_model="numpy")
def joined_h(
    seed: int, consumer: int, day: int, from_h: float, until_h: float, hops: int, kind: int,
    params: CommunicationParams,
) -> float:  # fmt: skip
    """`joins_h` of a meter of a type."""
    return joins_h(seed, consumer, day, from_h, until_h, hops, numbers_of(params, kind))


@nb.njit(inline="always", error_model="numpy")
def _off_air(
    seed: int, consumer: int, day: int, hour: float, ptr: NDArray[np.int64], from_h: NDArray[np.float64],
    until_h: NDArray[np.float64], place: int, hops: int, its: TypeNumbers,
) -> bool:  # fmt: skip
    """`is_off_air` of arrays that have left their tuples."""
    for j in range(ptr[place], ptr[place + 1]):
        if hour < from_h[j]:
            return False
        if hour < until_h[j]:
            return True
        if hour < joins_h(seed, consumer, day, from_h[j], until_h[j], hops, its):
            return True
    return False


@nb.njit(error_model="numpy")
def is_off_air(
    seed: int, consumer: int, day: int, hour: float, dark: Dark, place: int, hops: int, kind: int,
    params: CommunicationParams,
) -> bool:  # fmt: skip
    """Is a meter without supply at an hour of a day, or not yet in its network again?"""
    its = numbers_of(params, kind)
    return _off_air(seed, consumer, day, hour, dark.ptr, dark.from_h, dark.until_h, place, hops, its)


@nb.njit(inline="always", error_model="numpy")
def arrives_h(
    seed: int, consumer: int, gateway: int, day: int, link: float, hops: int, its: TypeNumbers, breakdown: Breakdown,
    ptr: NDArray[np.int64], from_h: NDArray[np.float64], until_h: NDArray[np.float64], place: int, steady: bool,
) -> tuple[float, bool]:  # fmt: skip
    """Hours after midnight at which yesterday's profile has come in; `NEVER` if not within the day. And is that later
    than it would be without interruptions of supply?

    The first push is spread evenly over ``spread_h``; it is tried again every ``retry_h``. ``ptr``, ``from_h`` and
    ``until_h`` tell, as `Dark`, when the meter's ``place`` is without supply on the day of the push; ``steady`` says
    that its gateway is up all day. Arrays come by themselves: every use of one in a tuple counts references.
    """
    key = key64(seed, Stream.METER_READ, consumer)
    q = one_shot(link, hops, its.sends)
    at = its.spread_h * uniform(key, day * _DRAWS_A_DAY)
    attempt, delayed = 1, False
    while at < DAY_H:
        up = steady or gateway_up(seed, gateway, day * DAY_H + at, its.gateway_mtbf_days, its.gateway_mttr_h, breakdown)
        if up and uniform(key, day * _DRAWS_A_DAY + attempt) < q:
            if not _off_air(seed, consumer, day, at, ptr, from_h, until_h, place, hops, its):
                return at, delayed
            delayed = True
        at += its.retry_h
        attempt += 1
    return NEVER, delayed


@nb.njit(error_model="numpy")
def arrival_h(
    seed: int, consumer: int, gateway: int, day: int, link: float, hops: int, kind: int, params: CommunicationParams,
    breakdown: Breakdown, dark: Dark, place: int, steady: bool,
) -> tuple[float, bool]:  # fmt: skip
    """`arrives_h` of a meter of a type."""
    its = numbers_of(params, kind)
    return arrives_h(
        seed, consumer, gateway, day, link, hops, its, breakdown, dark.ptr, dark.from_h, dark.until_h, place, steady
    )


@nb.njit(cache=True, error_model="numpy")
def _draw(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], params: CommunicationParams, link: NDArray[np.float32],
    hops: NDArray[np.uint8],
) -> None:  # fmt: skip
    for i in range(len(ids)):
        k = kind[i]
        link[i], hops[i] = 0.0, 0
        if params.sends[k] == 0.0:
            continue
        key = key64(seed, Stream.METER_LINK, ids[i])
        stop = params.hop_stop[k]
        hops[i] = 1
        if stop < 1.0:
            hops[i] = min(1 + int(np.log(uniform(key, 0)) / np.log(1.0 - stop)), int(params.most_hops[k]))
        u = uniform(key, 1)
        if u < params.chronic_share[k]:
            link[i] = 0.0 if u < params.chronic_share[k] * params.chronic_never_share[k] else params.chronic_link[k]
        else:
            a = gamma(splitmix64(key ^ np.uint64(1)), params.link_alpha[k])
            link[i] = a / (a + gamma(splitmix64(key ^ np.uint64(2)), params.link_beta[k]))


def draw_links(
    seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8], params: CommunicationParams
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Link probability and hops to the gateway of each meter, shape (n,); zero hops where there is no communication."""
    link, hops = np.empty(len(ids), np.float32), np.empty(len(ids), np.uint8)
    _draw(np.uint64(seed), ids, kind, params, link, hops)
    return link, hops


@nb.njit(cache=True, error_model="numpy")
def arrivals_h(
    seed: int, ids: NDArray[np.int64], gateway: NDArray[np.int64], day: int, link: NDArray[np.float32],
    hops: NDArray[np.uint8], kind: NDArray[np.uint8], params: CommunicationParams, breakdown: Breakdown, dark: Dark,
    place: NDArray[np.int32], out: NDArray[np.float32],
) -> None:  # fmt: skip
    """`arrival_h` of many meters, shape (n,) each."""
    ptr, from_h, until_h = dark.ptr, dark.from_h, dark.until_h
    for i in range(len(ids)):
        its = numbers_of(params, kind[i])
        out[i], _ = arrives_h(
            seed, ids[i], gateway[i], day, link[i], hops[i], its, breakdown, ptr, from_h, until_h, place[i], False
        )
