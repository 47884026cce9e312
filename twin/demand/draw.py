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
_PHASE = np.uint32(0x9E3779B9)


class DayTables(NamedTuple):
    """What `draw_tile` reads of one date, weather and replicate."""

    seed: int
    day: int
    """Days since 2000-01-01."""
    steps: int
    table: NDArray[np.float32]
    """(n_local, n_rows, WIDTH) signals of the districts asked for."""
    alive: NDArray[np.uint8]
    """(n_local, n_rows) 0 where a row is zero all day."""
    local: NDArray[np.int16]
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
    local = np.full(len(where), -1, np.int16)
    local[rows] = np.arange(len(rows))
    book = catalogue()
    table = np.zeros((len(rows), book.n_rows, WIDTH), np.float32)
    day = Day(weather.day(date), where, rows)
    for name, spec in read_yaml("demand/signals")["signals"].items():
        values = day.signal(spec)
        first = book.first_row[name]
        table[:, first : first + values.shape[1]] = values
    return DayTables(
        seed=np.uint64(seed),
        day=day_number(date),
        steps=steps,
        table=table,
        alive=(table.max(axis=2) > 0).astype(np.uint8),
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
def _presence(key: int, day: int, away: NDArray[np.float64]) -> float:
    """The factor of an away stretch if the day lies in one, else 1. Stretches have a random phase per home."""
    if away[0] == 0.0:
        return 1.0
    length = int(away[1])
    stretch = (day + int(uniform(key, -1) * length)) // length
    return away[2] if uniform(key, stretch) < away[0] else 1.0


@nb.njit(error_model="numpy")
def _expected_presence(away: NDArray[np.float64]) -> float:
    return 1.0 - away[0] * (1.0 - away[2])


@nb.njit(error_model="numpy")
def _hold_uniforms(base: int, first_step: int, hold: int, u: NDArray[np.float32]) -> None:
    """Fill a day with uniforms that last ``hold`` steps; window borders at a phase drawn from ``base``."""
    phase = np.int64(mix32(np.uint32(base) ^ _PHASE)) % hold
    window = (first_step + phase) // hold
    t = 0
    end = (window + 1) * hold - phase - first_step
    while t < DAY_STEPS:
        stop = min(end, DAY_STEPS)
        value = np.float32(mix32(np.uint32(np.uint32(base) + np.uint32(window) * _PHASE)) >> np.uint32(8)) * _TO_UNIT32
        for s in range(t, stop):
            u[s] = value
        t = stop
        end += hold
        window += 1


@nb.njit(error_model="numpy")
def _multiplier(columns: DemandColumns, programs: Programs, i: int, program: int, k: int) -> np.float32:
    """What the consumer's own use makes of a signal."""
    m = np.float32(1.0)
    if programs.hours_vary[program, k]:
        m *= np.float32(columns.hours[i]) / np.float32(HOURS_ONE)
    if programs.rate[program, k] >= 0:
        m *= np.float32(columns.rate[i, programs.rate[program, k]]) * programs.rate_unit[program, k]
    return m


@nb.njit(error_model="numpy")
def _add_expected(p: NDArray[np.float32], m: np.float32, watt: np.float32, row: NDArray[np.float32]) -> None:
    for t in range(DAY_STEPS):
        row[t] += watt * min(m * p[t], np.float32(1.0))


@nb.njit(error_model="numpy")
def _add_drawn(
    p: NDArray[np.float32], u: NDArray[np.float32], m: np.float32, watt: np.float32, row: NDArray[np.float32]
) -> None:
    for t in range(DAY_STEPS):
        row[t] += watt if u[t] < m * p[t] else np.float32(0.0)


@nb.njit(error_model="numpy")
def _add_duty(
    p: NDArray[np.float32],
    duty: NDArray[np.float32],
    u: NDArray[np.float32],
    drawn: bool,
    m: np.float32,
    watt: np.float32,
    row: NDArray[np.float32],
) -> None:
    for t in range(DAY_STEPS):
        on = min(m * p[t], np.float32(1.0))
        if drawn:
            on = np.float32(1.0) if u[t] < on else np.float32(0.0)
        row[t] += watt * duty[t] * on


@nb.njit(error_model="numpy")
def _draw_row(
    columns: DemandColumns, i: int, day: DayTables, drawn: bool, u: NDArray[np.float32], row: NDArray[np.float32]
) -> None:
    """One consumer's quarter hours in units of its power codes."""
    program = columns.program[i]
    here = day.local[columns.district[i]]
    programs = day.programs
    row[:] = np.float32(0.0)
    for k in range(N_CHANNELS):
        first = programs.row[program, k]
        if columns.power[i, k] == 0 or first < 0:
            continue
        r = first + columns.bucket[i] if programs.bucketed[program, k] else first
        if not day.alive[here, r]:
            continue
        watt = np.float32(columns.power[i, k])
        m = _multiplier(columns, programs, i, program, k)
        start = PAD - columns.clock[i] if programs.clock[program, k] else PAD
        p = day.table[here, r, start : start + DAY_STEPS]
        hold = programs.hold[program, k]
        stochastic = drawn and hold > 0
        if stochastic:
            base = np.uint32(splitmix64(columns.key[i] ^ key64(day.seed, Stream.DEMAND_CHANNEL, k)))
            _hold_uniforms(base, day.day * DAY_STEPS, hold, u)
        if programs.duty[program, k] >= 0:
            duty = day.table[here, programs.duty[program, k], PAD : PAD + DAY_STEPS]
            _add_duty(p, duty, u, stochastic, m, watt, row)
        elif stochastic:
            _add_drawn(p, u, m, watt, row)
        else:
            _add_expected(p, m, watt, row)


@nb.njit(error_model="numpy")
def _write_row(row: NDArray[np.float32], scale: np.float32, steps: int, out: NDArray[np.float32]) -> None:
    """Scale into kW, average to the asked steps, zero the padding."""
    per = DAY_STEPS // steps
    if per == 1:
        for t in range(DAY_STEPS):
            out[t] = scale * row[t]
    else:
        share = scale / np.float32(per)
        for t in range(steps):
            total = np.float32(0.0)
            for s in range(per):
                total += row[t * per + s]
            out[t] = share * total
    for t in range(steps, len(out)):
        out[t] = np.float32(0.0)


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
    u = np.zeros(DAY_STEPS, np.float32)
    row = np.zeros(DAY_STEPS, np.float32)
    for i in range(start, stop):
        _draw_row(columns, i, day, True, u, row)
        program = columns.program[i]
        day_key = splitmix64(columns.key[i] ^ key64(day.seed, Stream.DEMAND_DAY, _DAY_FACTOR))
        away_key = splitmix64(columns.key[i] ^ key64(day.seed, Stream.DEMAND_DAY, _DAY_AWAY))
        factor = _day_factor(
            day_key, day.day, day.programs.day_log_sd[program], day.programs.day_persistence[program]
        ) * _presence(away_key, day.day, day.programs.away[program])
        _write_row(row, columns.unit_kw[i] * np.float32(factor), day.steps, kw[i - start])


@nb.njit(cache=True, error_model="numpy")
def mean_tile(columns: DemandColumns, start: int, stop: int, day: DayTables, kw: NDArray[np.float32]) -> None:
    """The expectation of `draw_tile` over its draws, given traits and weather; same arguments."""
    u = np.zeros(DAY_STEPS, np.float32)
    row = np.zeros(DAY_STEPS, np.float32)
    for i in range(start, stop):
        _draw_row(columns, i, day, False, u, row)
        expected = _expected_presence(day.programs.away[columns.program[i]])
        _write_row(row, columns.unit_kw[i] * np.float32(expected), day.steps, kw[i - start])
