"""Swept values: the points that a scenario's `sweep` makes of the values it lists, applied to plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from typing import Any, Literal

from twin.middle import middle, settings

Design = Literal["combinations", "one_at_a_time"]
SWEEPABLE = ("experiment.arms", "experiment.parameters", "weather.heat_wave", "meters", "outages", "tariff")
"""Settings that may differ between sweep points: the points share the grid, the population and the time axis."""


def sweepable(path: str) -> bool:
    """Whether the dotted ``path`` may be swept."""
    return any(path == allowed or path.startswith(f"{allowed}.") for allowed in SWEEPABLE)


def moves_hours(path: str) -> bool:
    """Whether sweeping ``path`` may move the tariff zones."""
    return path.endswith(".hours") or path == "tariff"


def points(sweep: Mapping[str, Sequence[Any]], design: Design) -> list[dict[str, Any]]:
    """Swept values of every point, by path; one empty point without a sweep.

    ``combinations``: all of them, the last path varying fastest. ``one_at_a_time``: first all paths at their middle,
    then each path in turn at its other values, so that their number grows with the paths and not with its power.
    """
    if design == "combinations":
        return [dict(zip(sweep, values, strict=True)) for values in product(*sweep.values())]
    centre = {path: middle(values) for path, values in sweep.items()}
    moved = [
        {**centre, path: value} for path, values in sweep.items() for value in settings(values) if value != centre[path]
    ]
    return [centre, *moved]


def count(sweep: Mapping[str, Sequence[Any]], design: Design) -> int:
    """Number of points, without making them."""
    if design == "one_at_a_time":
        return 1 + sum(len(settings(values)) - 1 for values in sweep.values())
    number = 1
    for values in sweep.values():
        number *= len(values)
    return number


def set_value(data: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Set ``data[k0][k1]... = value``, making (or replacing by) mappings on the way.

    A number leads into a list that is long enough: ``meters.commands.0.share``.
    """
    inside: Any = data
    for key, following in pairwise(keys):
        place = int(key) if isinstance(inside, list) else key
        below = inside.get(place) if isinstance(inside, dict) else inside[place]
        if isinstance(below, list | tuple) and following.isdecimal() and int(following) < len(below):
            below = list(below)
        elif not isinstance(below, dict):
            below = {}
        inside[place] = below
        inside = below
    inside[int(keys[-1]) if isinstance(inside, list) else keys[-1]] = value
