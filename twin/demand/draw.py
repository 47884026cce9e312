"""Drawing a day of consumers: stateless kernels, any day of any consumer alone, any range, the same bits."""

from __future__ import annotations

import datetime as dt
import math
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.demand.archetypes import HOURS_ONE, N_CHANNELS, Programs, catalogue
from twin.demand.climate import places
from twin.demand.columns import DemandColumns
from twin.demand.signals import Day
from twin.demand.weather import DAY_STEPS, PAD, WIDTH, Weather, day_number
from twin.streams import Stream, inverse_normal, key64, mix32, splitmix64, uniform

LANES = 16
"""Row lengths of power arrays are multiples of this."""
_MEMORY_DAYS = 6
"""Length of the moving average that stands for the AR(1) of day factors: 0.45**6 = 0.8 %."""
_DAY_FACTOR, _DAY_AWAY = 1, 2
_TO_UNIT32 = np.float32(2.0**-24)
_GOLDEN32 = np.uint32(0x9E3779B9)


class DayTables(NamedTuple):
    """What `draw_tile` reads of one date, weather and replicate."""

    seed: int
    day: int
    """Days since 2000-01-01."""
    steps: int
    table: NDArray[np.float32]
    """(n_local * n_rows * WIDTH,) signals of the districts asked for, flat: kernels index it by offsets."""
    n_rows: int
    alive: NDArray[np.uint8]
    """(n_local * n_rows,) 0 where a row is zero all day."""
    local: NDArray[np.int64]
    """(n_districts,) row of a district in ``table``; -1: not asked for."""
    programs: Programs


def padded(steps: int) -> int:
    """Length of a row that holds ``steps`` values: the next multiple of `LANES`."""
    return -(-steps // LANES) * LANES


def day_tables(
    seed: int, weather: Weather, date: dt.date, steps: int = DAY_STEPS, districts: NDArray[np.int64] | None = None
) -> DayTables:
    """Signals of one date for some districts (all without ``districts``), a few hundred kB per district.

    Parameters
    ----------
    seed : int
        The replicate's seed: demand draws are keyed by it.
    weather : Weather
        `GeneratedWeather`, `NormalWeather` or a user's `CsvWeather`.
    date : datetime.date
        The local day.
    steps : int
        96, 48 or 24 a day; demand is drawn at 96 and averaged.
    districts : array of int, optional
        Rows of districts.csv.
    """
    if steps not in (DAY_STEPS, DAY_STEPS // 2, DAY_STEPS // 4):
        raise ValueError(f"steps must be 96, 48 or 24, not {steps}")
    where = places()
    rows = np.arange(len(where)) if districts is None else np.unique(np.asarray(districts, np.int64))
    local = np.full(len(where), -1, np.int64)
    local[rows] = np.arange(len(rows))
    book = catalogue()
    table = np.zeros((len(rows), book.n_rows, WIDTH), np.float32)
    day = Day(weather.day(date), where, rows)
    for name, spec in read_yaml("demand/signals")["signals"].items():
        values = day.signal(spec)
        first = book.first_row[name]
        table[:, first : first + values.shape[1]] = values
    return DayTables(
        seed=np.uint64(seed),  # type: ignore[arg-type]
        day=day_number(date),
        steps=steps,
        table=table.reshape(-1),
        n_rows=book.n_rows,
        alive=(table.max(axis=2) > 0).astype(np.uint8).reshape(-1),
        local=local,
        programs=book.programs,
    )


@nb.njit(error_model="numpy")
def _day_factor(key: int, day: int, log_sd: float, persistence: float) -> float:
    """exp(a), a a moving average of `_MEMORY_DAYS` daily normals with the AR(1)'s weights; mean exactly 1."""
    if log_sd == 0.0:
        return 1.0
    total, square, weight = 0.0, 0.0, 1.0
    for j in range(_MEMORY_DAYS):
        total += weight * inverse_normal(uniform(key, day - j))
        square += weight * weight
        weight *= persistence
    return math.exp(log_sd * total / math.sqrt(square) - 0.5 * log_sd * log_sd)


@nb.njit(error_model="numpy")
def _presence(key: int, day: int, away: NDArray[np.float64], program: int) -> float:
    """The factor of an away stretch if the day lies in one, else 1. Stretches have a random phase per home."""
    if away[program, 0] == 0.0:
        return 1.0
    length = int(away[program, 1])
    stretch = (day + int(uniform(key, -1) * length)) // length
    return away[program, 2] if uniform(key, stretch) < away[program, 0] else 1.0


@nb.njit(inline="always", error_model="numpy")
def _held_uniform(start: int, lead: np.float32, per_hold: np.float32, t: int) -> np.float32:
    """The uniform number of the window that holds step t: ``mix32(start + w * odd)``, written so that it vectorises."""
    window = np.uint32(np.int32((np.float32(np.int32(t)) + lead) * per_hold))
    x = np.uint32(start + np.uint32(window * _GOLDEN32))
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    x = np.uint32(x ^ (x >> np.uint32(16)))
    return np.float32(np.int32(x >> np.uint32(8))) * _TO_UNIT32


@nb.njit(error_model="numpy")
def _add_expected(
    table: NDArray[np.float32], p0: int, duty0: int, m: np.float32, watt: np.float32, row: NDArray[np.float32]
) -> None:
    p, one = np.uint64(p0), np.float32(1.0)
    if duty0 < 0:
        for t in range(DAY_STEPS):
            row[t] += watt * min(m * table[p + np.uint64(t)], one)
    else:
        d = np.uint64(duty0)
        for t in range(DAY_STEPS):
            row[t] += watt * table[d + np.uint64(t)] * min(m * table[p + np.uint64(t)], one)


@nb.njit(error_model="numpy")
def _add_drawn(
    table: NDArray[np.float32],
    p0: int,
    duty0: int,
    m: np.float32,
    watt: np.float32,
    base: int,
    first_step: int,
    hold: int,
    row: NDArray[np.float32],
) -> None:
    """Add a channel that is on where the uniform of its window is below its probability.

    Windows of ``hold`` steps are counted in absolute time from a phase drawn from ``base``, so no state crosses a day.
    """
    phase = np.int64(mix32(np.uint32(base) ^ _GOLDEN32)) % hold
    window = (first_step + phase) // hold
    lead = np.float32(first_step + phase - window * hold) + np.float32(0.5)  # half a step: safe from rounding
    start = np.uint32(np.uint32(base) + np.uint32(np.uint32(window) * _GOLDEN32))
    per_hold, p, zero = np.float32(1.0) / np.float32(hold), np.uint64(p0), np.float32(0.0)
    if duty0 < 0:
        for t in range(DAY_STEPS):
            u = _held_uniform(start, lead, per_hold, t)
            row[t] += watt if u < m * table[p + np.uint64(t)] else zero
    else:
        d = np.uint64(duty0)
        for t in range(DAY_STEPS):
            u = _held_uniform(start, lead, per_hold, t)
            on_watt = watt * table[d + np.uint64(t)]
            row[t] += on_watt if u < m * table[p + np.uint64(t)] else zero


@nb.njit(error_model="numpy")
def _tile(columns: DemandColumns, start: int, stop: int, day: DayTables, drawn: bool, kw: NDArray[np.float32]) -> None:
    """`draw_tile` or, without ``drawn``, `mean_tile`. Arrays leave their tuples once: uses count references."""
    power, rate, hours, clock, bucket = columns.power, columns.rate, columns.hours, columns.clock, columns.bucket
    program_of, district, unit_kw, key = columns.program, columns.district, columns.unit_kw, columns.key
    table, alive, local, n_rows, steps = day.table, day.alive, day.local, day.n_rows, day.steps
    code = day.programs
    first_row, bucketed, duty, hold = code.row, code.bucketed, code.duty, code.hold
    hours_vary, has_clock, rated, rate_unit = code.hours_vary, code.clock, code.rate, code.rate_unit
    day_log_sd, persistence, away = code.day_log_sd, code.day_persistence, code.away
    row = np.zeros(DAY_STEPS, np.float32)
    channel_key = np.empty(N_CHANNELS, np.uint64)
    for k in range(N_CHANNELS):
        channel_key[k] = key64(day.seed, Stream.DEMAND_CHANNEL, k)
    factor_key = key64(day.seed, Stream.DEMAND_DAY, _DAY_FACTOR)
    away_key = key64(day.seed, Stream.DEMAND_DAY, _DAY_AWAY)
    first_step = day.day * DAY_STEPS
    for i in range(start, stop):
        program, top = program_of[i], local[district[i]] * n_rows
        row[:] = np.float32(0.0)
        for k in range(N_CHANNELS):
            r = first_row[program, k]
            if power[i, k] == 0 or r < 0:
                continue
            r += top + bucketed[program, k] * bucket[i]
            if not alive[r]:
                continue
            watt, m = np.float32(power[i, k]), np.float32(1.0)
            if hours_vary[program, k]:
                m *= np.float32(hours[i]) / np.float32(HOURS_ONE)
            if rated[program, k] >= 0:
                m *= np.float32(rate[i, rated[program, k]]) * rate_unit[program, k]
            p0 = r * WIDTH + PAD - has_clock[program, k] * clock[i]
            duty0 = -1 if duty[program, k] < 0 else (top + duty[program, k]) * WIDTH + PAD
            if drawn and hold[program, k] > 0:
                base = np.uint32(splitmix64(key[i] ^ channel_key[k]))
                _add_drawn(table, p0, duty0, m, watt, base, first_step, hold[program, k], row)
            else:
                _add_expected(table, p0, duty0, m, watt, row)
        if drawn:
            factor = _day_factor(splitmix64(key[i] ^ factor_key), day.day, day_log_sd[program], persistence[program])
            factor *= _presence(splitmix64(key[i] ^ away_key), day.day, away, program)
        else:
            factor = 1.0 - away[program, 0] * (1.0 - away[program, 2])
        _write_row(row, unit_kw[i] * np.float32(factor), steps, kw, i - start)


@nb.njit(error_model="numpy")
def _write_row(row: NDArray[np.float32], scale: np.float32, steps: int, kw: NDArray[np.float32], r: int) -> None:
    """Scale into kW, average to the asked steps, zero the padding."""
    per = DAY_STEPS // steps
    if per == 1:
        for t in range(DAY_STEPS):
            kw[r, t] = scale * row[t]
    else:
        share = scale / np.float32(per)
        for t in range(steps):
            total = np.float32(0.0)
            for s in range(per):
                total += row[t * per + s]
            kw[r, t] = share * total
    for t in range(steps, kw.shape[1]):
        kw[r, t] = np.float32(0.0)


@nb.njit(cache=True, error_model="numpy")
def draw_tile(columns: DemandColumns, start: int, stop: int, day: DayTables, kw: NDArray[np.float32]) -> None:
    """Draw the demand of consumers [start, stop) on the day of ``day``, before voltage, response and switching.

    Parameters
    ----------
    columns : DemandColumns
    start, stop : int
        Rows of ``columns``; the bits of a consumer do not depend on them.
    day : DayTables
        Must hold the consumers' districts.
    kw : array, shape (>= stop - start, stride), float32
        Written: row r is consumer start + r; real power at 230 V in the first ``day.steps`` columns, zero after. [kW]
    """
    _tile(columns, start, stop, day, True, kw)


@nb.njit(cache=True, error_model="numpy")
def draw_some(
    columns: DemandColumns, start: int, group_ptr: NDArray[np.int32], wanted: NDArray[np.bool_], drawn: bool,
    day: DayTables, kw: NDArray[np.float32],
) -> None:  # fmt: skip
    """`draw_tile`, or without ``drawn`` `mean_tile`, of some groups of consumers; other rows of ``kw`` are left alone.

    Group g has the rows ``start + group_ptr[g]`` to ``start + group_ptr[g + 1]`` and is drawn where ``wanted[g]``.
    """
    for g in range(len(group_ptr) - 1):
        if wanted[g]:
            first, stop = group_ptr[g], group_ptr[g + 1]
            _tile(columns, start + first, start + stop, day, drawn, kw[first:stop])


@nb.njit(cache=True, error_model="numpy")
def mean_tile(columns: DemandColumns, start: int, stop: int, day: DayTables, kw: NDArray[np.float32]) -> None:
    """The expectation of `draw_tile` over its draws, given traits and weather; same arguments."""
    _tile(columns, start, stop, day, False, kw)
