"""Hours of the day as a tariff writes them: ``09-17``, ``06:30-10:00``, ``22-06`` over midnight."""

from __future__ import annotations

import re
from collections.abc import Mapping

from twin.scenario.names import refuse
from twin.units import MINUTES_PER_DAY

NORMAL = "normal"
"""Name of the hours that no period covers; their multiplier is 1."""

_HOURS = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*-\s*(\d{1,2})(?::(\d{2}))?")
_FIX = 'write hours as "09-17" or "06:30-10:00"; "22-06" runs over midnight'


def minutes_of(hours: str) -> tuple[int, int]:
    """Start and end of ``hours`` in minutes from midnight: 0 <= start < 1440, start < end <= start + 1440.

    An end above 1440 runs over midnight.

    Raises
    ------
    PydanticCustomError
        If the text is no window or the window is empty.
    """
    match = _HOURS.fullmatch(hours.strip())
    if match is None:
        raise refuse(f"'{hours}' is not a window of hours", _FIX)
    start, end = _minute(match[1], match[2]), _minute(match[3], match[4])
    if max(start, end) > MINUTES_PER_DAY or int(match[2] or 0) > 59 or int(match[4] or 0) > 59:
        raise refuse(f"'{hours}' leaves the day", "use hours from 00:00 to 24:00")
    if start % MINUTES_PER_DAY == end:
        raise refuse(f"'{hours}' is empty", _FIX + '; "00-24" is the whole day')
    start %= MINUTES_PER_DAY
    return start, end if end > start else end + MINUTES_PER_DAY


def _minute(hour: str, minute: str | None) -> int:
    return int(hour) * 60 + int(minute or 0)


def canonical_hours(hours: str) -> str:
    """``hours`` as ``HH:MM-HH:MM``."""
    start, end = minutes_of(hours)
    if end > MINUTES_PER_DAY:
        end -= MINUTES_PER_DAY
    return f"{start // 60:02d}:{start % 60:02d}-{end // 60:02d}:{end % 60:02d}"


def check_step_boundaries(hours: str, step_minutes: int) -> None:
    """Refuse hours that cut a step of ``step_minutes`` in two."""
    if any(minute % step_minutes for minute in minutes_of(hours)):
        raise refuse(
            f"'{hours}' does not fall on {step_minutes}-minute steps",
            "move it to a step boundary, or choose a smaller time.step_minutes",
        )


def period_at(periods: Mapping[str, str], minute: int) -> str:
    """Name of the period (name -> hours) that holds ``minute`` of the day; `NORMAL` where none does."""
    for name, hours in periods.items():
        start, end = minutes_of(hours)
        if start <= minute < end or start <= minute + MINUTES_PER_DAY < end:
            return name
    return NORMAL


def first_overlap(periods: Mapping[str, str]) -> tuple[str, str] | None:
    """Two periods that share a minute, the later one last, or None."""
    owner: dict[int, str] = {}
    for name, hours in periods.items():
        start, end = minutes_of(hours)
        for minute in range(start, end):
            other = owner.setdefault(minute % MINUTES_PER_DAY, name)
            if other != name:
                return other, name
    return None


def has_normal_hours(periods: Mapping[str, str]) -> bool:
    """Whether some minute of the day is in no period."""
    covered = 0
    for hours in periods.values():
        start, end = minutes_of(hours)
        covered += end - start
    return covered < MINUTES_PER_DAY
