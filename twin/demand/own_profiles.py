"""Consumers' demand from a user's file instead of archetypes: kW by interval, of whole loads or of single consumers.

Days of the run come from the file. Two things lie outside them: the month to date, which the file's own days give as
far as it has them, and the expectation of a day, which is the mean of all whole days of the file from the 1st of the
run's first month on; it also stands for days that the file lacks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from twin.errors import InputError, Problem
from twin.units import DAYS_PER_YEAR, MINUTES_PER_DAY

TIME, LOAD, CONSUMER, POWER = "interval_start", "load", "consumer", "kw"
COLUMNS = f"{TIME}, {LOAD} (or {CONSUMER}), {POWER}"
SHOWN = 5


@dataclass(frozen=True)
class ConsumerProfiles:
    """Demand at nominal voltage of whole days."""

    row: NDArray[np.int64]
    """Which profile each consumer has. Shape (n_consumers,); empty until the consumers are counted (`shared_by`)."""
    share: NDArray[np.float32]
    """Its share of that profile. Shape (n_consumers,)"""
    kw: NDArray[np.float32]
    """Shape (n_profiles, n_days, steps). [kW]"""
    mean_kw: NDArray[np.float32]
    """Of all days. Shape (n_profiles, steps). [kW]"""
    days: dict[dt.date, int]
    by_load: bool
    ids: NDArray[np.int64]
    """Load, or number of the consumer in the order of the mapping, of each profile, rising."""

    def shared_by(self, load: NDArray[np.int64], number: NDArray[np.int64]) -> ConsumerProfiles:
        """The same for consumers behind these loads, ``number``ed in the order of the mapping.

        One load's consumers share its profile evenly.
        """
        row = np.searchsorted(self.ids, load if self.by_load else number)
        share = (1.0 / np.bincount(row, minlength=len(self.ids))[row]).astype(np.float32)
        return replace(self, row=row, share=share)

    @property
    def annual_kwh(self) -> NDArray[np.float32]:
        """A year of mean days, shape (n_consumers,). [kWh]"""
        day_kwh = self.mean_kw.sum(axis=1, dtype=np.float64) * 24.0 / self.kw.shape[2]
        return (day_kwh[self.row] * self.share * DAYS_PER_YEAR).astype(np.float32)

    def fill(self, date: dt.date | None, start: int, stop: int, kw: NDArray[np.float32]) -> None:
        """Write the demand of consumers [start, stop) on a date (None: the mean day), zero after the steps."""
        row, steps = self.row[start:stop], self.kw.shape[2]
        day = self.days.get(date) if date is not None else None
        values = self.mean_kw[row] if day is None else self.kw[row, day]
        kw[: stop - start, :steps] = values * self.share[start:stop, None]
        kw[: stop - start, steps:] = 0.0


def read_consumer_profiles(
    path: str, dates: Sequence[dt.date], steps: int, load: NDArray[np.int64], consumers: NDArray[np.int64]
) -> ConsumerProfiles:
    """Read and check a file of profiles.

    Parameters
    ----------
    path : str
        Parquet or CSV in long form: ``interval_start``, ``load`` or ``consumer``, ``kw``.
    dates : sequence of date
        Days of the run; each needs every step for every load or consumer.
    steps : int
        Steps of a day.
    load, consumers : array, shape (n_rows,)
        Rows of the mapping: the load, and how many consumers (0: counted later by a rule).

    Raises
    ------
    InputError
        With every problem.
    """
    table = _read(path)
    have = set(table.column_names)
    entity = next((name for name in (LOAD, CONSUMER) if name in have), None)
    missing = [name for name in (TIME, POWER) if name not in have] + ([] if entity else [f"{LOAD} or {CONSUMER}"])
    if missing or entity is None:
        raise InputError([Problem(path, name, "column missing", f"use the columns {COLUMNS}") for name in missing])
    if entity == CONSUMER and (consumers == 0).any():
        what = "consumers counted by a rule have no numbers before the run"
        raise InputError([Problem(path, CONSUMER, what, f"use the column {LOAD}, or give every load its row")])
    known = np.unique(load) if entity == LOAD else np.arange(int(consumers.sum()))
    minute, ids, kw = _columns(path, table, entity)
    problems: list[Problem] = []
    stranger = ~np.isin(ids, known)
    if stranger.any():
        what = f"{entity} {_few(np.unique(ids[stranger]))} is not mapped"
        problems.append(Problem(path, entity, what, "take the rows out, or map it"))
    first = dates[0].replace(day=1)
    inside = ~stranger & (minute >= _minute(first)) & (minute < _minute(dates[-1]) + MINUTES_PER_DAY)
    kw_of, days = _by_day(path, minute[inside], ids[inside], kw[inside], known, first, dates, steps, problems)
    if problems:
        raise InputError(problems)
    mean = kw_of.mean(axis=1, dtype=np.float64).astype(np.float32)
    none = np.zeros(0, np.int64)
    return ConsumerProfiles(none, none.astype(np.float32), kw_of, mean, days, entity == LOAD, known)


def _read(path: str) -> pa.Table:
    try:
        return pyarrow.csv.read_csv(path) if Path(path).suffix.lower() == ".csv" else pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError([Problem(path, "", f"cannot be read: {error}", "give a Parquet or CSV file")]) from error


def _columns(path: str, table: pa.Table, entity: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Minutes since 1970 of the wall clock, entity and kW of every row."""
    problems = []
    time, who, power = (table.column(name) for name in (TIME, entity, POWER))
    if not pa.types.is_timestamp(time.type) or time.type.tz is not None:
        fix = "give local wall-clock times without a zone, such as 2026-06-09T00:00:00"
        problems.append(Problem(path, TIME, f"holds {time.type}, not times without a zone", fix))
    if not pa.types.is_integer(who.type):
        problems.append(Problem(path, entity, f"holds {who.type}, not whole numbers", "give whole numbers"))
    if not (pa.types.is_floating(power.type) or pa.types.is_integer(power.type)):
        problems.append(Problem(path, POWER, f"holds {power.type}, not numbers", "give kW"))
    for name, column in ((TIME, time), (entity, who), (POWER, power)):
        if column.null_count:
            problems.append(Problem(path, name, f"is empty in {column.null_count} rows", "fill them"))
    if problems:
        raise InputError(problems)
    kw = power.cast(pa.float64()).to_numpy()
    bad = ~(np.isfinite(kw) & (kw >= 0))
    if bad.any():
        what = f"{int(bad.sum())} values are negative or not finite, the first in row {int(np.flatnonzero(bad)[0]) + 1}"
        raise InputError([Problem(path, POWER, what, "give what consumers draw, from 0")])
    seconds = time.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy() // 1_000_000
    return seconds // 60, who.cast(pa.int64()).to_numpy(), kw


def _minute(date: dt.date) -> int:
    return int(np.datetime64(date, "m").astype(np.int64))


def _by_day(
    path: str, minute: NDArray[np.int64], ids: NDArray[np.int64], kw: NDArray[np.float64], known: NDArray[np.int64],
    first: dt.date, dates: Sequence[dt.date], steps: int, problems: list[Problem],
) -> tuple[NDArray[np.float32], dict[dt.date, int]]:  # fmt: skip
    """Demand of every whole day since ``first`` as (n_profiles, n_days, steps), and the position of each day."""
    length = MINUTES_PER_DAY // steps
    n_days = (dates[-1] - first).days + 1
    since = minute - _minute(first)
    off = since % length != 0
    if off.any():
        what = f"{int(off.sum())} times are no starts of the run's steps of {length} minutes"
        problems.append(Problem(path, TIME, what, f"give one row every {length} minutes, or change time.step_minutes"))
        return np.zeros((len(known), 0, steps), np.float32), {}
    slot = np.searchsorted(known, ids) * (n_days * steps) + since // length
    count = np.bincount(slot, minlength=len(known) * n_days * steps).reshape(len(known), n_days, steps)
    if (count > 1).any():
        what = f"{int((count > 1).sum())} intervals of a load or consumer are there twice"
        problems.append(Problem(path, TIME, what, "keep one row of each"))
    values = np.zeros(count.shape, np.float32)
    values.reshape(-1)[slot] = kw
    whole = (count > 0).all(axis=(0, 2))
    wanted = np.array([(date - first).days for date in dates])
    lacking = (count[:, wanted] == 0).sum()
    if lacking:
        at = np.argwhere(count[:, wanted] == 0)[0]
        day, step = dates[int(at[1])], int(at[2]) * length
        what = (
            f"lacks {int(lacking)} of {len(known) * len(dates) * steps} values of the run, "
            f"first {known[at[0]]} at {day}T{step // 60:02d}:{step % 60:02d}"
        )
        problems.append(Problem(path, POWER, what, "add the rows, or change the run's days"))
    days = np.flatnonzero(whole)
    positions = {first + dt.timedelta(days=int(day)): place for place, day in enumerate(days)}
    return np.ascontiguousarray(values[:, days]), positions


def _few(values: NDArray[np.int64]) -> str:
    return ", ".join(map(str, values[:SHOWN].tolist())) + (", ..." if len(values) > SHOWN else "")
