"""The zones of the day that all tariffs of an experiment share."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.hours import holds, minutes_of, period_at
from twin.units import MINUTES_PER_DAY

MAX_ZONES = 8
"""Most zones that meters keep registers for."""


@dataclass(frozen=True)
class Programme:
    """Hours of certain days that a tariff treats apart: the events of a critical-peak price or of a rebate."""

    hours: str
    dates: frozenset[date]


def after_event(event: Programme) -> Programme | None:
    """The hours right after an event on its day, in which energy is made up for; None: the event ends with the day."""
    end = minutes_of(event.hours)[1]
    last = min(end + int(read_yaml("priors")["snap_back_hours"] * 60), MINUTES_PER_DAY)
    if end >= last:
        return None
    return Programme(f"{end // 60:02d}:{end % 60:02d}-{last // 60:02d}:{last % 60:02d}", event.dates)


@dataclass(frozen=True)
class Zones:
    """The day cut into the fewest sets of steps within which no tariff of the experiment changes.

    A zone need not be one stretch of time: 23:00 to 09:00 and noon may share a zone. Numbered by first appearance,
    those of a usual day first. Event hours of event days have zones of their own, which stay empty on all other days.
    """

    zone_of_step: NDArray[np.uint8]
    """Of a usual day, shape (steps,)."""
    event_days: Mapping[date, NDArray[np.uint8]] = field(default_factory=dict)
    """The same of each day with an event."""
    under: tuple[frozenset[Programme], ...] = ()
    """Which programmes have an event in each zone, shape (n_zones,); empty: none in any."""

    @property
    def steps(self) -> int:
        """Steps of a day."""
        return len(self.zone_of_step)

    @property
    def n_zones(self) -> int:
        """Number of zones, at most `MAX_ZONES`."""
        return 1 + max(int(day.max()) for day in (self.zone_of_step, *self.event_days.values()))

    def on(self, day: date) -> NDArray[np.uint8]:
        """Zone of each step of a day, shape (steps,)."""
        return self.event_days.get(day, self.zone_of_step)

    def has_event(self, zone: int, programme: Programme | None) -> bool:
        """Whether a zone is event hours of a programme."""
        return programme is not None and bool(self.under) and programme in self.under[zone]

    def first_minute(self, zone: int) -> int:
        """Minute of the day at which the zone begins for the first time."""
        days = (self.zone_of_step, *self.event_days.values())
        day = next(steps for steps in days if (steps == zone).any())
        return int(np.argmax(day == zone)) * MINUTES_PER_DAY // self.steps


def refine(windows: Sequence[Mapping[str, str]], steps: int, programmes: Sequence[Programme] = ()) -> Zones:
    """Common refinement of several sets of periods (name -> hours) on a day of ``steps`` equal steps.

    On the days of a programme its hours are zones apart.

    Raises
    ------
    ValueError
        If a window does not begin and end on a step, or more than `MAX_ZONES` zones result.
    """
    step_minutes = MINUTES_PER_DAY // steps
    for periods in (*windows, *({"event": programme.hours} for programme in programmes)):
        for name, hours in periods.items():
            if any(minute % step_minutes for minute in minutes_of(hours)):
                raise ValueError(f"period {name} ({hours}) does not fall on {step_minutes}-minute steps")
    zone_of_key: dict[tuple[Hashable, frozenset[Programme]], int] = {}
    usual = [tuple(period_at(periods, step * step_minutes) for periods in windows) for step in range(steps)]

    def zones_of_day(day: date | None) -> NDArray[np.uint8]:
        active = [programme for programme in programmes if day in programme.dates]
        keys = [
            (key, frozenset(part for part in active if holds(part.hours, step * step_minutes)))
            for step, key in enumerate(usual)
        ]
        return np.array([zone_of_key.setdefault(key, len(zone_of_key)) for key in keys], dtype=np.uint8)

    zone_of_step = zones_of_day(None)
    days = sorted({day for programme in programmes for day in programme.dates})
    event_days = {day: zones_of_day(day) for day in days}
    if len(zone_of_key) > MAX_ZONES:
        raise ValueError(f"the tariffs cut the day into {len(zone_of_key)} zones; meters keep at most {MAX_ZONES}")
    under = tuple(active for _, active in zone_of_key) if days else ()
    return Zones(zone_of_step, event_days, under)


def stretches(labels: Sequence[str]) -> list[tuple[str, str, str]]:
    """Runs of equal labels round the clock as (label, start, end) in ``HH:MM``, by start; one label: 00:00 to 24:00.

    ``labels`` has one entry per step of the day.
    """
    n = len(labels)
    edges = [step for step in range(n) if labels[step] != labels[step - 1]]
    if not edges:
        return [(labels[0], "00:00", "24:00")]
    ends = [*edges[1:], edges[0]]
    runs = zip(edges, ends, strict=True)
    return [(labels[start], _clock(start, n), _clock(end, n, is_end=True)) for start, end in runs]


def _clock(step: int, steps: int, *, is_end: bool = False) -> str:
    minute = step * MINUTES_PER_DAY // steps
    if is_end and minute == 0:
        minute = MINUTES_PER_DAY
    return f"{minute // 60:02d}:{minute % 60:02d}"
