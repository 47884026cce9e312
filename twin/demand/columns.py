"""The lasting traits of consumers: drawn per consumer from the scenario's seed and the consumer's id alone."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.demand.archetypes import (
    AC_CHANNEL,
    HOME_CHANNELS,
    HOURS_ONE,
    N_CHANNELS,
    N_HOME_KINDS,
    N_RATES,
    RATED_CHANNELS,
    Stock,
    catalogue,
    stock,
)
from twin.demand.weather import PAD
from twin.streams import Stream, key64, normal, uniform

_FIXED, _FRIDGE, _FAN1, _FAN2, _COOL = (HOME_CHANNELS.index(n) for n in ("fixed", "fridge", "fan1", "fan2", "cool"))
_RATED = tuple(HOME_CHANNELS.index(name) for name in RATED_CHANNELS)
_POWER_ONE = 20000.0
"""Code of a share of 1 of the rated load in `DemandColumns.power` of consumers other than homes."""
_MAX_UNITS = 12


class DemandColumns(NamedTuple):
    """Traits of consumers, 46 bytes each. Every array has n rows."""

    key: NDArray[np.uint64]
    """Key of the consumer's own draws."""
    power: NDArray[np.uint16]
    """(n, 11) connected power per channel, in units of ``unit_kw``."""
    unit_kw: NDArray[np.float32]
    rate: NDArray[np.uint8]
    """(n, 4) minutes a day of the rated channels, in the program's units."""
    program: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    district: NDArray[np.int16]
    bucket: NDArray[np.uint8]
    """Comfort threshold, in steps of signals.yaml about the middle bucket."""
    clock: NDArray[np.int8]
    """How much later than the archetype's clock, in quarter hours."""
    hours: NDArray[np.uint8]
    """Hours multiplier, in 1/64."""


def empty_columns(n: int) -> DemandColumns:
    """Columns of n consumers, all zero."""
    return DemandColumns(
        key=np.zeros(n, np.uint64),
        power=np.zeros((n, N_CHANNELS), np.uint16),
        unit_kw=np.zeros(n, np.float32),
        rate=np.zeros((n, N_RATES), np.uint8),
        program=np.zeros(n, np.uint8),
        kind=np.zeros(n, np.uint8),
        district=np.zeros(n, np.int16),
        bucket=np.zeros(n, np.uint8),
        clock=np.zeros(n, np.int8),
        hours=np.zeros(n, np.uint8),
    )


def draw_columns(
    seed: int,
    consumer_id: NDArray[np.int64],
    kind: NDArray[np.uint8],
    district: NDArray[np.int16],
    feeder: NDArray[np.int64] | None = None,
) -> DemandColumns:
    """Draw the traits of consumers; see `draw_columns_and_zip`."""
    return draw_columns_and_zip(seed, consumer_id, kind, district, feeder)[0]


def draw_columns_and_zip(
    seed: int,
    consumer_id: NDArray[np.int64],
    kind: NDArray[np.uint8],
    district: NDArray[np.int16],
    feeder: NDArray[np.int64] | None = None,
) -> tuple[DemandColumns, NDArray[np.float32]]:
    """Draw the traits of consumers and their voltage dependence.

    Homes own appliances one by one (ownership, units and power of appliances.csv, recipe of the demand facts, section
    4); other consumers have a rated load and machines (archetypes.yaml).

    Parameters
    ----------
    seed : int
        The scenario's seed.
    consumer_id : array, shape (n,), int64
        Global ids; a consumer's traits depend on nothing else than seed, id, kind and (farm pumps) feeder.
    kind, district : array, shape (n,)
        Kind code (kinds.csv) and district (row of districts.csv).
    feeder : array, shape (n,), optional
        Global feeder row: farm pumps of one feeder share a supply roster. Without it each pump has its own.

    Returns
    -------
    columns : DemandColumns
    zip : array, shape (n, 6), float32
        gz, gi, gp of P and bz, bi, bp of Q at 230 V: ``P = kw (gz v^2 + gi v + gp)``, ``Q = kw (bz v^2 + bi v + bp)``
        with v = V/230; energy-weighted over the consumer's devices. gz + gi + gp = 1.
    """
    n = len(consumer_id)
    columns, zips = empty_columns(n), np.zeros((n, 6), np.float32)
    feeder_id = np.asarray(consumer_id if feeder is None else feeder, np.int64)
    columns.district[:] = district
    columns.kind[:] = kind
    _draw(np.uint64(seed), np.ascontiguousarray(consumer_id, np.int64), feeder_id, stock(), columns, zips)
    return columns, zips


@nb.njit(error_model="numpy")
def _lognormal(key: int, index: int, log_sd: float) -> float:
    """Lognormal of mean 1."""
    return math.exp(log_sd * normal(key, index) - 0.5 * log_sd * log_sd)


@nb.njit(error_model="numpy")
def _extra_units(mean: float, u: float) -> int:
    """Poisson number of further units, by inversion."""
    probability = math.exp(-mean)
    total, count = probability, 0
    while u > total and count < _MAX_UNITS:
        count += 1
        probability *= mean / count
        total += probability
    return count


@nb.njit(error_model="numpy")
def _coded(value: float, top: float) -> float:
    return min(max(math.floor(value + 0.5), 0.0), top)


@nb.njit(cache=True, error_model="numpy")
def _draw(
    seed: int,
    consumer_id: NDArray[np.int64],
    feeder: NDArray[np.int64],
    table: Stock,
    out: DemandColumns,
    zips: NDArray[np.float32],
) -> None:
    watt = np.empty(N_CHANNELS)
    for i in range(len(consumer_id)):
        key = key64(seed, Stream.TRAIT, consumer_id[i])
        out.key[i] = key
        step = table.scalars[10]
        middle = (table.scalars[11] - 1.0) / 2.0
        threshold = table.scalars[3] * normal(key, 0)
        out.bucket[i] = np.uint8(_coded(threshold / step + middle, table.scalars[11] - 1.0))
        out.hours[i] = np.uint8(_coded(HOURS_ONE * _lognormal(key, 1, table.scalars[2]), 255.0))
        if out.kind[i] < N_HOME_KINDS:
            _draw_home(i, key, table, out, zips, watt)
        else:
            _draw_other(i, key, key64(seed, Stream.FEEDER_ROSTER, feeder[i]), table, out, zips)


@nb.njit(error_model="numpy")
def _clock(z: float, sd: float) -> np.int8:
    return np.int8(min(max(math.floor(sd * z + 0.5), -PAD), PAD))


@nb.njit(error_model="numpy")
def _draw_home(
    i: int, key: int, table: Stock, out: DemandColumns, zips: NDArray[np.float32], watt: NDArray[np.float64]
) -> None:
    kind = out.kind[i]
    level = kind % 5
    out.clock[i] = _clock(normal(key, 2), table.scalars[4])
    watt[:] = 0.0
    energy, power2, power3 = np.zeros(N_CHANNELS), np.zeros(N_CHANNELS), np.zeros(N_CHANNELS)  # minutes W, W^2, W^3
    ac_w = 0.0
    weight, p_zip, q = 0.0, np.zeros(3), 0.0
    small = table.small_loads_w[level] * _lognormal(key, 3, table.scalars[7])
    watt[_FIXED] = small
    if uniform(key, 4) < table.night_lamp[0]:
        watt[_FIXED] += table.night_lamp[1] * table.night_lamp[2]
    for a in range(len(table.power_w)):
        index = 8 + 4 * a
        if uniform(key, index) >= table.own[kind, a]:
            continue
        units = 1 + _extra_units(table.units[level, a] - 1.0, uniform(key, index + 1))
        each = table.power_w[a] * _lognormal(key, index + 2, table.scalars[1])
        k = table.appliance_channel[a]
        if k == _FAN1:
            first = 0
            if watt[_FAN1] == 0.0:
                watt[_FAN1] = each
                first = 1
            watt[_FAN2] += each * (units - first)
        elif k == AC_CHANNEL:
            ac_w += each * units
        elif k == _FIXED:
            watt[_FIXED] += each * units * table.scalars[8]
        else:
            watt[k] += each * units
            energy[k] += each * units * table.minutes[a]
            power2[k] += each**2 * units * table.minutes[a]
            power3[k] += each**3 * units * table.minutes[a]
        used = each * units * table.minutes[a]
        weight += used
        q += used * table.tan_phi[a]
        for c in range(3):
            p_zip[c] += used * table.zip_p[a, c]
    program = table.program_of_kind[kind]
    if ac_w > 0.0:
        watt[_COOL] = ac_w
        program += 1
    out.program[i] = program
    for r in range(N_RATES):
        k = _RATED[r]
        if energy[k] > 0.0:
            mean_power = power3[k] / power2[k]  # near the largest devices': one machine stands for all
            count = max(_coded(energy[k] / mean_power / table.rate_unit_min[r], 255.0), 1.0)
            out.rate[i, r] = np.uint8(count)
            watt[k] = energy[k] / (count * table.rate_unit_min[r])
    vacant = table.scalars[6] if uniform(key, 5) < table.scalars[5] else 1.0
    out.unit_kw[i] = np.float32(0.001 * table.scalars[0])
    for k in range(N_CHANNELS):
        out.power[i, k] = np.uint16(_coded(watt[k] * vacant, 65535.0))
    _set_zip(i, p_zip, weight, q / max(weight, 1e-9), table.q_zip[0], zips)


@nb.njit(error_model="numpy")
def _set_zip(
    i: int,
    p_zip: NDArray[np.float64],
    weight: float,
    tan_phi: float,
    q_zip: NDArray[np.float64],
    zips: NDArray[np.float32],
) -> None:
    total = p_zip[0] + p_zip[1] + p_zip[2]
    for c in range(3):
        share = p_zip[c] / total if weight > 0.0 else (1.0 if c == 2 else 0.0)
        zips[i, c] = np.float32(share)
        zips[i, 3 + c] = np.float32(tan_phi * q_zip[c])


@nb.njit(error_model="numpy")
def _draw_other(i: int, key: int, roster_key: int, table: Stock, out: DemandColumns, zips: NDArray[np.float32]) -> None:
    kind = out.kind[i]
    row = kind - N_HOME_KINDS
    out.clock[i] = _clock(normal(key, 2), table.clock_sd[row])
    program = table.program_of_kind[kind]
    if table.rostered[row]:
        u = uniform(roster_key, 0)
        for g in range(len(table.roster_share) - 1):
            if u >= table.roster_share[g]:
                program += 1
    out.program[i] = program
    working = uniform(key, 3) < table.works[row]
    rated_kw = table.rated_kw[row] * math.exp(table.rated_log_sd[row] * normal(key, 4))
    out.unit_kw[i] = np.float32(rated_kw / _POWER_ONE)
    for k in range(N_CHANNELS):
        lead = table.channel_lead[row, k]
        if working and uniform(key, 8 + 4 * lead) < table.channel_own[row, k]:
            share = table.share[row, k] * _lognormal(key, 9 + 4 * k, table.scalars[9])
            out.power[i, k] = np.uint16(_coded(_POWER_ONE * share, 65535.0))
    _set_zip(i, table.other_zip[row], 1.0, table.other_tan[row], table.q_zip[1], zips)


def has_ac(columns: DemandColumns) -> NDArray[np.bool_]:
    """Which consumers are homes with an air conditioner. Shape (n,)."""
    home_program = catalogue().program_of_kind[np.minimum(columns.kind, N_HOME_KINDS - 1)]
    return (columns.kind < N_HOME_KINDS) & (columns.program == home_program + 1)
