"""Windows of hours as tariffs and scenarios write them: ``09-17``, ``06:30-10:00``, ``22-06`` over midnight."""

from __future__ import annotations

import re
from collections.abc import Mapping

from twin.units import MINUTES_PER_DAY

NORMAL = "normal"
"""Name of the hours that no period covers; their multiplier is 1."""

_HOURS = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*-\s*(\d{1,2})(?::(\d{2}))?")
_FIX = 'write hours as "09-17" or "06:30-10:00"; "22-06" runs over midnight'
_LAST_MINUTE = 59


class HoursError(ValueError):
    """A text that is no window of hours: what is wrong, and what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what, self.fix = what, fix


def minutes_of(hours: str) -> tuple[int, int]:
    """Start and end of ``hours`` in minutes from midnight: 0 <= start < 1440, start < end <= start + 1440.

    An end above 1440 runs over midnight.

    Raises
    ------
    HoursError
        If the text is no window, leaves the day, or is empty.
    """
    match = _HOURS.fullmatch(hours.strip())
    if match is None:
        raise HoursError(f"'{hours}' is not a window of hours", _FIX)
    start, end = _minute(match[1], match[2]), _minute(match[3], match[4])
    if max(start, end) > MINUTES_PER_DAY or max(int(match[2] or 0), int(match[4] or 0)) > _LAST_MINUTE:
        raise HoursError(f"'{hours}' leaves the day", "use hours from 00:00 to 24:00")
    if start % MINUTES_PER_DAY == end:
        raise HoursError(f"'{hours}' is empty", _FIX + '; "00-24" is the whole day')
    start %= MINUTES_PER_DAY
    return start, end if end > start else end + MINUTES_PER_DAY


def _minute(hour: str, minute: str | None) -> int:
    return int(hour) * 60 + int(minute or 0)


def holds(hours: str, minute: int) -> bool:
    """Whether ``minute`` of the day lies in ``hours``."""
    start, end = minutes_of(hours)
    return start <= minute < end or start <= minute + MINUTES_PER_DAY < end


def period_at(periods: Mapping[str, str], minute: int) -> str:
    """Name of the period (name -> hours) that holds ``minute`` of the day; `NORMAL` where none does."""
    return next((name for name, hours in periods.items() if holds(hours, minute)), NORMAL)


def first_overlap(periods: Mapping[str, str]) -> tuple[str, str] | None:
    """Two periods that share a minute, the later one last, or None."""
    owner: dict[int, str] = {}
    for name, hours in periods.items():
        for minute in range(*minutes_of(hours)):
            other = owner.setdefault(minute % MINUTES_PER_DAY, name)
            if other != name:
                return other, name
    return None


def has_normal_hours(periods: Mapping[str, str]) -> bool:
    """Whether some minute of the day is in no period."""
    covered = sum(end - start for start, end in map(minutes_of, periods.values()))
    return covered < MINUTES_PER_DAY
