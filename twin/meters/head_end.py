"""Validation and estimation of reads in a meter-data system: what is billed where no read came in.

A meter that was read in the window goes on as it did: ``E = R + (R - S) / d x m`` (S register at the window's start, R
at the last read d days later, m days missing). One that was not read in it is taken as its neighbours of the same
category: ``E = S + L x g x m`` (L sanctioned load, g their mean energy a day and kW of it). What was billed too much or
too little of a meter that works is carried into the next window, where its read settles it; a bill is never below zero.
The order, own average first and then alike consumers, is that of Indian supply codes (recalled).
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.kernels import watch_compilation
from twin.meters.register import shown_wh
from twin.units import WH_PER_KWH

watch_compilation()

LATE, MISSING, DEFECTIVE, DOOR_LOCKED, CORRECTED, MISREAD = range(6)
FLAGS = ("late", "missing", "defective", "door_locked", "corrected", "misread")
"""What validation says of a window's last read that was not simply in time: in before bills are made; not in; the meter
has failed; a legacy meter that nobody could read; read, and settled against an estimate of a window before; a legacy
meter whose reader wrote a wrong digit (truth: the utility learns it from the next read)."""
RULES = ("none", "own_average", "neighbours")
"""How a value was estimated."""
NONE, OWN_AVERAGE, NEIGHBOURS = range(len(RULES))


def estimate_wh(
    start_wh: NDArray[np.int64], read_wh: NDArray[np.int64], days_read: NDArray[np.int64],
    days_missing: NDArray[np.int64], load_kw: NDArray[np.float64], neighbours_wh: NDArray[np.float64],
    resolution_wh: NDArray[np.int64],
) -> NDArray[np.int64]:  # fmt: skip
    """Registers that are taken for read at a window's end, in whole digits; shape (n, n_zones). [Wh]

    Parameters
    ----------
    start_wh, read_wh : array, shape (n, n_zones)
        Register at the window's start and at the last read in it. [Wh]
    days_read, days_missing : array, shape (n,)
        Days from the window's start to the last read (0: not read in it), and from there to the window's end.
    load_kw : array, shape (n,)
        Sanctioned load. [kW]
    neighbours_wh : array, shape (n, n_zones)
        What alike meters that were read gained per day and kW of sanctioned load. [Wh/kW]
    resolution_wh : array, shape (n,)
        Last digit. [Wh]
    """
    own = (read_wh - start_wh) / np.maximum(days_read, 1)[:, None]
    daily = np.where((days_read > 0)[:, None], own, load_kw[:, None] * neighbours_wh)
    digits = np.rint(daily * days_missing[:, None] / resolution_wh[:, None]).astype(np.int64)
    return np.where((days_read > 0)[:, None], read_wh, start_wh) + digits * resolution_wh[:, None]


def neighbours_daily_wh(
    is_read: NDArray[np.bool_], feeder: NDArray[np.int32], category: NDArray[np.uint8], categories: int,
    start_kwh: NDArray[np.float64], end_kwh: NDArray[np.float64], resolution_wh: NDArray[np.float64],
    kind: NDArray[np.uint8], sanctioned_kw: NDArray[np.float32], contract_kva: NDArray[np.float32], days: int,
    total: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """Mean energy a day and kW of load of alike meters that were read: those of a feeder and category. [Wh/kW]

    Zero for groups in which nobody was read. Sums run in the meters' order.

    Parameters
    ----------
    is_read, feeder, category, kind, sanctioned_kw, contract_kva : array, shape (n,)
        The load is sanctioned load, or contract demand where that is more.
    categories : int
        Group g is ``feeder * categories + category``.
    start_kwh, end_kwh : array, shape (n, n_zones)
        Registers, with their residual, at the window's start and end. [kWh]
    resolution_wh : array, shape (n_types,)
        Last digit by ``kind``. [Wh]
    days : int
        Of the window.
    total : array, shape (n_groups, n_zones)
        Zeros; holds the answer. [Wh/kW]
    """
    load_kw = np.zeros(len(total))
    _add_gains(
        is_read, feeder, category, categories, start_kwh, end_kwh, resolution_wh, kind, sanctioned_kw, contract_kva,
        total, load_kw,
    )  # fmt: skip
    return np.divide(total, days * load_kw[:, None], out=np.zeros_like(total), where=load_kw[:, None] > 0.0)


@nb.njit(cache=True, error_model="numpy")
def _add_gains(
    is_read: NDArray[np.bool_], feeder: NDArray[np.int32], category: NDArray[np.uint8], categories: int,
    start_kwh: NDArray[np.float64], end_kwh: NDArray[np.float64], resolution_wh: NDArray[np.float64],
    kind: NDArray[np.uint8], sanctioned_kw: NDArray[np.float32], contract_kva: NDArray[np.float32],
    total: NDArray[np.float64], load_kw: NDArray[np.float64],
) -> None:  # fmt: skip
    """What displays gained, and loads, by group: no array for all meters is made on the way."""
    for i in range(len(is_read)):
        if not is_read[i]:
            continue
        group, resolution = np.int64(feeder[i]) * categories + category[i], resolution_wh[kind[i]]
        load_kw[group] += max(np.float64(sanctioned_kw[i]), np.float64(contract_kva[i]))
        for z in range(total.shape[1]):
            total[group, z] += shown_wh(end_kwh[i, z], resolution) - shown_wh(start_kwh[i, z], resolution)


def misread_wh(
    start_wh: NDArray[np.int64], shown_wh: NDArray[np.int64], drawn: NDArray[np.float64],
    resolution_wh: NDArray[np.int64],
) -> NDArray[np.int64]:  # fmt: skip
    """Registers as somebody wrote them down who got one digit wrong; shape (n, n_zones). [Wh]

    The digit of one or of ten kWh is off by one to nine, up or down; more would fail the check against earlier bills
    and be read again. A meter that is read by hand has one register: the error falls on the zones as the window's use
    does. A reading below the last one is taken for that, so that nothing is billed.

    Parameters
    ----------
    drawn : array, shape (n,)
        Uniform (0, 1) draws, one decides which digit, how far and which way.
    """
    which = np.minimum((drawn * 36.0).astype(np.int64), 35)
    error_wh = (which % 9 + 1) * np.where(which % 18 < 9, 1, 10) * np.where(which < 18, 1, -1) * WH_PER_KWH
    used = shown_wh - start_wh
    total = used.sum(axis=1, keepdims=True)
    even = np.full(used.shape, 1.0 / used.shape[1])
    share = np.divide(used, total, out=even, where=total > 0)
    digits = np.rint(share * error_wh[:, None] / resolution_wh[:, None]).astype(np.int64)
    return np.maximum(shown_wh + digits * resolution_wh[:, None], start_wh)


def settle_wh(
    taken_wh: NDArray[np.int64], final_wh: NDArray[np.int64], carried_wh: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What is billed, and what was billed too much by then and goes on to the next window. [Wh]

    ``billed = max(taken - carried, 0)`` and ``carry = billed + carried - final``; all arrays have the same shape.

    Parameters
    ----------
    taken_wh : array
        Register as read or estimated. [Wh]
    final_wh : array
        What the window comes to in the end: the register of a meter that works, the estimate of one that has failed,
        whose energy no register will ever show. [Wh]
    carried_wh : array
        Billed too much before (negative: too little). [Wh]
    """
    billed = np.maximum(taken_wh - carried_wh, 0)
    return billed, billed + carried_wh - final_wh
