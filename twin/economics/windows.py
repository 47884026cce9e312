"""The zones of the day that all tariffs of an experiment share."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.hours import minutes_of, period_at
from twin.units import MINUTES_PER_DAY

MAX_ZONES = 8
"""Most zones that meters keep registers for."""


@dataclass(frozen=True)
class Zones:
    """The day cut into the fewest sets of steps within which no tariff of the experiment changes.

    A zone need not be one stretch of time: 23:00 to 09:00 and noon may share a zone. Numbered by first appearance.
    """

    zone_of_step: NDArray[np.uint8]
    """Shape (steps,)."""

    @property
    def steps(self) -> int:
        """Steps of a day."""
        return len(self.zone_of_step)

    @property
    def n_zones(self) -> int:
        """Number of zones, at most `MAX_ZONES`."""
        return int(self.zone_of_step.max()) + 1

    def first_minute(self, zone: int) -> int:
        """Minute of the day at which the zone begins for the first time."""
        return int(np.argmax(self.zone_of_step == zone)) * MINUTES_PER_DAY // self.steps


def refine(windows: Sequence[Mapping[str, str]], steps: int) -> Zones:
    """Common refinement of several sets of periods (name -> hours) on a day of ``steps`` equal steps.

    Raises
    ------
    ValueError
        If a window does not begin and end on a step, or more than `MAX_ZONES` zones result.
    """
    step_minutes = MINUTES_PER_DAY // steps
    for periods in windows:
        for name, hours in periods.items():
            if any(minute % step_minutes for minute in minutes_of(hours)):
                raise ValueError(f"period {name} ({hours}) does not fall on {step_minutes}-minute steps")
    zone_of_key: dict[Hashable, int] = {}
    keys = [tuple(period_at(periods, step * step_minutes) for periods in windows) for step in range(steps)]
    zone_of_step = np.array([zone_of_key.setdefault(key, len(zone_of_key)) for key in keys], dtype=np.uint8)
    if len(zone_of_key) > MAX_ZONES:
        raise ValueError(f"the tariffs cut the day into {len(zone_of_key)} zones; meters keep at most {MAX_ZONES}")
    return Zones(zone_of_step)


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
