"""Tariff zones: the coarsest division of the day that no arm's window, nor the evening, cuts.

Energies are kept by zone, so that any arm's time-of-day charge and the evening's energy are sums of zones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.scenario import hours as hours_
from twin.scenario.hours import NORMAL
from twin.scenario.names import tariff_names
from twin.scenario.schema import Scenario

MAX_ZONES = 8
EVENING = "17:00-23:00"
"""The evening whose peak the experiments ask about: the evening window of design section 5 and of the bills table."""


class Zones(NamedTuple):
    """The common zones of a scenario."""

    zone_of_step: NDArray[np.uint8]
    """Zone of each step, shape (steps,); zones are numbered by first appearance from midnight."""
    n_zones: int
    periods: tuple[tuple[tuple[str, float], ...], ...]
    """Per arm and zone: name and multiplier of the arm's own period; (`normal`, 1) where it has none."""
    evening: NDArray[np.bool_]
    """Whether a zone lies in the evening, 17:00 to 23:00, shape (n_zones,)."""


def common_zones(scenario: Scenario) -> Zones:
    """Zones that refine every arm's windows, those of the base tariff, and the evening.

    For a scenario with a sweep, call it on the scenario of each point.

    Raises
    ------
    ValueError
        If there are more than 8 zones; `load_scenario` has refused such scenarios.
    """
    labels = _labels(scenario)
    order = list(dict.fromkeys(labels))
    if len(order) > MAX_ZONES:
        raise ValueError(f"{len(order)} tariff zones, more than {MAX_ZONES}")
    number = {label: zone for zone, label in enumerate(order)}
    zone_of_step = np.array([number[label] for label in labels], dtype=np.uint8)
    first_step = [labels.index(label) for label in order]
    minutes = [step * scenario.time.step_minutes for step in first_step]
    periods = tuple(tuple(_period(arm, minute) for minute in minutes) for arm in scenario.arms)
    evening = np.array([_in_evening(minute) for minute in minutes])
    return Zones(zone_of_step, len(order), periods, evening)


def zone_problems(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """What is wrong with the scenario's windows taken together, and the fix."""
    number = len(set(_labels(scenario)))
    if number > MAX_ZONES:
        what = f"hours of the arms, the base tariff and the evening make {number} tariff zones, more than {MAX_ZONES}"
        yield what, "let arms share the edges of their periods"


def _labels(scenario: Scenario) -> list[tuple[Any, ...]]:
    """Per step: what every refining window says about it."""
    minutes = range(0, scenario.steps * scenario.time.step_minutes, scenario.time.step_minutes)
    windows = base_windows(scenario.tariff)
    return [
        (
            _in_evening(minute),
            *(hours_.period_at(hours, minute) for hours in windows),
            *(_period(arm, minute)[0] for arm in scenario.arms),
        )
        for minute in minutes
    ]


def _in_evening(minute: int) -> bool:
    return hours_.period_at({"evening": EVENING}, minute) != NORMAL


def _period(arm: Any, minute: int) -> tuple[str, float]:
    tod = arm.tariff.time_of_day
    if tod is None:
        return NORMAL, 1.0
    name = hours_.period_at(tod.hours, minute)
    return name, 1.0 if name == NORMAL else tod.periods[name].multiplier


def base_windows(tariff: str) -> list[dict[str, str]]:
    """Hours by period of every time-of-day charge that a tariff file itself holds."""
    if tariff not in tariff_names():
        return []
    found: list[dict[str, str]] = []
    _collect(read_yaml(f"tariffs/{tariff}"), found)
    return found


def _collect(data: Any, found: list[dict[str, str]]) -> None:
    """Mappings of period -> {hours: ...} anywhere in the file, each once."""
    children = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    if isinstance(data, dict):
        hours = {
            str(name): entry["hours"] for name, entry in data.items() if isinstance(entry, dict) and "hours" in entry
        }
        if hours and hours not in found:
            found.append(hours)
    for child in children:
        _collect(child, found)
