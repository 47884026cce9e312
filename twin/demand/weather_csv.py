"""A user's own weather: a CSV of districts and times, in place of the generator."""

from __future__ import annotations

import csv
import datetime as dt
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.demand.climate import places
from twin.demand.weather import DAY_STEPS, DayWeather, HeatWave, finish_day, saturation_hpa
from twin.errors import InputError, Problem

COLUMNS = ("district", "timestamp", "t_c", "rh_pct", "rain_mm")
ALL_DISTRICTS = "all"
"""Word in the district column for rows that hold everywhere."""
_LIMITS = {"t_c": (-10.0, 55.0), "rh_pct": (0.0, 100.0), "rain_mm": (0.0, 1000.0)}
_MAX_GAP_H = 3.0
_MAX_PROBLEMS = 50


class CsvWeather:
    """Weather read from a file, straight lines between its times.

    Build it with `read`. Times are local (IST); a day can be asked for if the file covers it from midnight to 21:00 at
    the latest; where the day before or after is missing, the day itself stands in for it. A heat wave warms its days at
    the vapour pressure of the file.
    """

    def __init__(
        self,
        path: Path,
        minute: NDArray[np.int64],
        values: NDArray[np.float64],
        first: dt.datetime,
        heat_wave: HeatWave | None = None,
    ) -> None:
        self._path = path
        self._minute = minute
        self._values = values
        self._first = first
        self._heat_wave = heat_wave

    @classmethod
    def read(cls, path: str | Path, heat_wave: HeatWave | None = None) -> CsvWeather:
        """Read and check a file with the columns district, timestamp, t_c, rh_pct, rain_mm.

        Raises
        ------
        InputError
            With every problem by file and line: missing columns, unknown districts, values that are no numbers or
            impossible, repeated times, districts with other times than the first one, gaps over three hours.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError([Problem(str(path), "", "no such weather file", "give the path of a CSV file")])
        rows, problems = _rows(path)
        problems += [] if problems else _shape_problems(path, rows)
        if problems:
            raise InputError(problems[:_MAX_PROBLEMS])
        times = sorted(next(iter(rows.values())))
        minute = np.array([(time - times[0]).total_seconds() / 60 for time in times], np.int64)
        where = places()
        names = [ALL_DISTRICTS] * len(where) if ALL_DISTRICTS in rows else list(where.name)
        values = np.array([[rows[name][time] for time in times] for name in names])
        return cls(path, minute, values, times[0], heat_wave)

    def check_covers(self, first: dt.date, last: dt.date) -> None:
        """Raise InputError unless the file covers every day from ``first`` to ``last``."""
        for date in (first, last):  # `read` refuses gaps
            self._covered(date)

    def _minutes_to(self, date: dt.date) -> int:
        return int((dt.datetime.combine(date, dt.time()) - self._first).total_seconds() // 60)

    def _covers(self, date: dt.date) -> bool:
        start = self._minutes_to(date)
        return bool(self._minute[0] <= start and self._minute[-1] >= start + (24 - _MAX_GAP_H) * 60)

    def _covered(self, date: dt.date) -> None:
        if not self._covers(date):
            last = self._first + dt.timedelta(minutes=int(self._minute[-1]))
            what = f"{date} is not covered (the file runs from {self._first} to {last})"
            raise InputError([Problem(str(self._path), "timestamp", what, "add the missing days or change the dates")])

    def _steps(self, date: dt.date, field: int) -> NDArray[np.float64]:
        at = self._minutes_to(date) + np.arange(DAY_STEPS) * 15.0
        return np.array([np.interp(at, self._minute, row[:, field]) for row in self._values])

    def _rain_mm(self, date: dt.date) -> NDArray[np.float64]:
        start = self._minutes_to(date)
        within = (self._minute >= start) & (self._minute < start + 1440)
        return self._values[:, within, 2].sum(axis=1)

    def day(self, date: dt.date) -> DayWeather:
        """Weather of one local day."""
        self._covered(date)
        around = [day if self._covers(day) else date for day in (date + dt.timedelta(days=k) for k in (-1, 0, 1))]
        outdoor = np.hstack([self._steps(day, 0) for day in around])
        humidity = np.hstack([self._steps(day, 1) for day in around])
        vapour = humidity / 100.0 * saturation_hpa(outdoor)
        if self._heat_wave is not None:
            rise = [self._heat_wave.rise_on(date + dt.timedelta(days=k)) for k in (-1, 0, 1)]
            outdoor = outdoor + np.repeat(rise, DAY_STEPS)
            vapour = np.minimum(vapour, saturation_hpa(outdoor))
        n_back = read_yaml("demand/weather")["recent_rain_days"]
        recent = np.sum([self._rain_mm(date - dt.timedelta(days=k)) for k in range(1, n_back + 1)], axis=0)
        return finish_day(date, outdoor, vapour, self._rain_mm(date), recent, self.storms(date))

    def storms(self, date: dt.date) -> NDArray[np.floating]:  # noqa: ARG002  # as other weather
        """Files hold no storms."""
        return np.full(len(places()), np.nan)


Rows = dict[str, dict[dt.datetime, tuple[float, ...]]]


def _rows(path: Path) -> tuple[Rows, list[Problem]]:
    known = {name.casefold(): name for name in places().name} | {ALL_DISTRICTS: ALL_DISTRICTS}
    try:
        return _read_rows(path, known)
    except (UnicodeDecodeError, csv.Error) as error:
        return {}, [Problem(str(path), "", f"is not a CSV file of UTF-8 text ({error})", "save it as CSV, UTF-8")]


def _read_rows(path: Path, known: dict[str, str]) -> tuple[Rows, list[Problem]]:
    rows: Rows = {}
    problems: list[Problem] = []
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        for column in COLUMNS:
            if column not in (reader.fieldnames or ()):
                problems.append(Problem(f"{path}:1", column, "column missing", f"use the columns {', '.join(COLUMNS)}"))
        if problems:
            return rows, problems
        for line, record in enumerate(reader, start=2):
            where = f"{path}:{line}"
            name = known.get((record["district"] or "").strip().casefold())
            if name is None:
                fix = f"use a name of districts.csv or '{ALL_DISTRICTS}'"
                problems.append(Problem(where, "district", f"no such district: {record['district']!r}", fix))
            time = _time(where, record["timestamp"], problems)
            values = tuple(_number(where, column, record[column], problems) for column in COLUMNS[2:])
            if name is not None and time is not None:
                if time in rows.setdefault(name, {}):
                    problems.append(Problem(where, "timestamp", f"{time} again for {name}", "keep one row"))
                rows[name][time] = values
            if len(problems) >= _MAX_PROBLEMS:
                break
    return rows, problems


def _time(where: str, text: str | None, problems: list[Problem]) -> dt.datetime | None:
    try:
        time = dt.datetime.fromisoformat((text or "").strip())
    except ValueError:
        problems.append(Problem(where, "timestamp", f"no time: {text!r}", "write local time as 2026-06-01T00:00"))
        return None
    if time.tzinfo is not None:
        problems.append(Problem(where, "timestamp", f"{text!r} has a time zone", "write local time (IST) without zone"))
        return None
    return time


def _number(where: str, column: str, text: str | None, problems: list[Problem]) -> float:
    low, high = _LIMITS[column]
    try:
        value = float(text or "")
    except ValueError:
        problems.append(Problem(where, column, f"no number: {text!r}", f"give a value from {low:g} to {high:g}"))
        return math.nan
    if not low <= value <= high:
        problems.append(Problem(where, column, f"{value:g} is impossible", f"give a value from {low:g} to {high:g}"))
    return value


def _shape_problems(path: Path, rows: Rows) -> list[Problem]:
    """Problems of the table as a whole: districts missing, differing times, gaps."""
    if not rows:
        return [Problem(str(path), "", "no rows", "add weather rows")]
    if ALL_DISTRICTS not in rows:
        missing = [name for name in places().name if name not in rows]
        if missing:
            fix = f"add them, or one block of rows with district '{ALL_DISTRICTS}'"
            return [Problem(str(path), "district", f"no rows for {', '.join(missing)}", fix)]
    elif len(rows) > 1:
        return [Problem(str(path), "district", f"'{ALL_DISTRICTS}' beside named districts", "use one or the other")]
    times = sorted(next(iter(rows.values())))
    for name, own in rows.items():
        if sorted(own) != times:
            return [
                Problem(str(path), "timestamp", f"{name} has other times than {next(iter(rows))}", "align the times")
            ]
    for before, after in zip(times, times[1:], strict=False):
        if (after - before).total_seconds() > _MAX_GAP_H * 3600:
            return [Problem(str(path), "timestamp", f"gap from {before} to {after}", f"at most {_MAX_GAP_H:g} hours")]
    return []
