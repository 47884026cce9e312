"""Hours of the day in a scenario: `twin.hours`, with refusals that the loader can place."""

from __future__ import annotations

from twin import hours as windows
from twin.hours import NORMAL, first_overlap, has_normal_hours, period_at
from twin.scenario.names import refuse
from twin.units import MINUTES_PER_DAY

__all__ = [
    "NORMAL",
    "canonical_hours",
    "check_step_boundaries",
    "first_overlap",
    "has_normal_hours",
    "minutes_of",
    "period_at",
]


def minutes_of(hours: str) -> tuple[int, int]:
    """Start and end of ``hours`` in minutes from midnight, as `twin.hours.minutes_of`.

    Raises
    ------
    PydanticCustomError
        If the text is no window or the window is empty.
    """
    try:
        return windows.minutes_of(hours)
    except windows.HoursError as error:
        raise refuse(error.what, error.fix) from error


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
