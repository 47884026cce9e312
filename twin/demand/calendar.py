"""Kinds of days and dated events: what a date does to the signals (calendar.yaml)."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml

WORKING, SATURDAY, SUNDAY, HOLIDAY, FESTIVAL = range(5)
_SATURDAY_OF_WEEK = 5


@lru_cache(maxsize=1)
def _dated() -> dict[dt.date, tuple[int, tuple[dict[str, Any], ...]]]:
    spec = read_yaml("calendar")
    dated: dict[dt.date, tuple[int, tuple[dict[str, Any], ...]]] = {}
    for event in spec["holidays"]:
        dated |= {date: (HOLIDAY, ()) for date in event["dates"]}
    for event in spec["festivals"]:
        dated |= {date: (FESTIVAL, tuple(event["effects"])) for date in event["dates"]}
    return dated


def day_type(date: dt.date) -> int:
    """Position in calendar.yaml's ``day_types``."""
    if date in _dated():
        return _dated()[date][0]
    if [date.month, date.day] in read_yaml("calendar")["fixed_holidays"]:
        return HOLIDAY
    return max(WORKING, date.weekday() - _SATURDAY_OF_WEEK + SATURDAY)


def is_holiday(date: dt.date) -> bool:
    """Whether a date is a Sunday, a public holiday or a festival."""
    return day_type(date) >= SUNDAY


def group_factor(group: str, date: dt.date) -> float:
    """What the day's type does to signals of a group. [-]"""
    return float(read_yaml("calendar")["groups"][group][day_type(date)])


def event_factor(tag: str, date: dt.date, hour: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the date's events do to signals of a tag, by hour of the local day; shape of ``hour``. [-]"""
    out = np.ones_like(hour)
    for effect in _dated().get(date, (WORKING, ()))[1]:
        if effect["tag"] == tag:
            start, end = effect.get("hours", (0, 24))
            out *= np.where((hour >= start) & (hour < end), effect["factor"], 1.0)
    return out
