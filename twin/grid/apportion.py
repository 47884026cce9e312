"""Sharing whole numbers out so that they add up exactly: the largest-remainder method, at one level or at many at once.

All ids of the twin rest on it: counts go top-down from the state to the consumer, and their prefix sums are the ids.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.streams import Stream, gamma, key64

_ENTITY_SHIFT = 64
"""Columns that one entity's row of gamma draws may have: entity and column make one key."""


@nb.njit(cache=True, error_model="numpy")
def share_out(total: int, weights: NDArray[np.float64], out: NDArray[np.int64]) -> None:
    """Write ``total`` shared out in proportion to ``weights`` (shape (n,), not all zero) into ``out`` (shape (n,)).

    Quotas ``total * w / sum(w)`` are cut to whole numbers; what is left goes, one each, to the largest remainders, and
    among equal ones to the first. Weights that are all zero are taken as equal.
    """
    n = len(weights)
    whole = 0.0
    for i in range(n):
        whole += weights[i]
    rest = np.empty(n)
    left = total
    for i in range(n):
        quota = total * (weights[i] / whole) if whole > 0.0 else total / n
        floor = int(np.floor(quota))
        out[i] = floor
        rest[i] = floor - quota
        left -= floor
    if left > 0:
        order = np.argsort(rest, kind="mergesort")
        for i in range(left):
            out[order[i]] += 1


def largest_remainder(total: int, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """``total`` shared out in proportion to ``weights`` (shape (n,), none negative). Adds up exactly."""
    _check(weights, total > 0)
    out = np.zeros(len(weights), np.int64)
    if total:
        share_out(total, np.asarray(weights, np.float64), out)
    return out


def with_minimum(total: int, weights: NDArray[np.float64], least: NDArray[np.int64]) -> NDArray[np.int64]:
    """As `largest_remainder`, but entry ``i`` gets at least ``least[i]``. ``sum(least) <= total``."""
    if int(least.sum()) > total:
        raise ValueError(f"cannot give {int(least.sum())} of {total}")
    held = np.zeros(len(weights), bool)
    while True:
        out = np.where(held, least, 0)
        out[~held] = largest_remainder(total - int(least[held].sum()), weights[~held])
        short = ~held & (out < least)
        if not short.any():
            return out
        held |= short


@nb.njit(cache=True, error_model="numpy")
def _groups(
    totals: NDArray[np.int64], start: NDArray[np.int64], weights: NDArray[np.float64], out: NDArray[np.int64]
) -> None:
    for g in range(len(totals)):
        if start[g + 1] > start[g]:
            share_out(totals[g], weights[start[g] : start[g + 1]], out[start[g] : start[g + 1]])


def apportion_groups(
    totals: NDArray[np.int64], start: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Share out the total of every group among its members; members of group g are ``start[g]:start[g + 1]``.

    Raises
    ------
    ValueError
        If a group with something to share has no member of positive weight.
    """
    _check(weights, False)
    sums = np.add.reduceat(np.append(weights, 0.0), start[:-1]) if len(start) > 1 else np.zeros(0)
    sums = np.where(start[1:] > start[:-1], sums, 0.0)
    if ((totals > 0) & (sums <= 0)).any():
        raise ValueError("a group has something to share out, but none of its members has a positive weight")
    out = np.zeros(len(weights), np.int64)
    _groups(np.asarray(totals, np.int64), np.asarray(start, np.int64), np.asarray(weights, np.float64), out)
    return out


def _check(weights: NDArray[np.float64], needed: bool) -> None:
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("weights must be finite and not negative")
    if needed and not (weights > 0).any():
        raise ValueError("at least one weight must be positive")


def prefix(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Start of every group and the end of the last: shape (n + 1,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


@nb.njit(cache=True, error_model="numpy")
def dirichlet_row(
    seed: int, stream: int, entity: int, mean: NDArray[np.float64], concentration: float, out: NDArray[np.float64]
) -> None:
    """One Dirichlet(concentration * mean) draw into ``out``; entries with mean zero stay zero. ``mean`` sums to one."""
    whole = 0.0
    for k in range(len(mean)):
        out[k] = 0.0
        if mean[k] > 0.0:
            out[k] = gamma(key64(seed, stream, entity * _ENTITY_SHIFT + k), concentration * mean[k])
            whole += out[k]
    for k in range(len(mean)):
        out[k] = out[k] / whole if whole > 0.0 else mean[k]


@nb.njit(cache=True, error_model="numpy")
def _dirichlet(
    seed: int,
    stream: int,
    entities: NDArray[np.int64],
    mean: NDArray[np.float64],
    concentration: float,
    out: NDArray[np.float64],
) -> None:
    for i in range(len(entities)):
        dirichlet_row(seed, stream, entities[i], mean[i], concentration, out[i])


def dirichlet(
    seed: int, stream: Stream, entities: NDArray[np.int64], mean: NDArray[np.float64], concentration: float
) -> NDArray[np.float64]:
    """One Dirichlet draw per entity around its own mean. ``mean`` and result: shape (n, k), rows sum to one."""
    mean = np.ascontiguousarray(mean, np.float64)
    out = np.empty_like(mean)
    _dirichlet(np.uint64(seed), int(stream), np.asarray(entities, np.int64), mean, concentration, out)
    return out
