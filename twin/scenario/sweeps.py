"""Swept values: every combination of the values that a scenario's `sweep` lists, applied to plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

SWEEPABLE = ("experiment.arms", "experiment.parameters", "weather.heat_wave", "meters", "outages", "tariff")
"""Settings that may differ between sweep points: the points share the grid, the population and the time axis."""


def sweepable(path: str) -> bool:
    """Whether the dotted ``path`` may be swept."""
    return any(path == allowed or path.startswith(f"{allowed}.") for allowed in SWEEPABLE)


def moves_hours(path: str) -> bool:
    """Whether sweeping ``path`` may move the tariff zones."""
    return path.endswith(".hours") or path == "tariff"


def combinations(sweep: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """All combinations of the swept values, the last path varying fastest; one empty one without a sweep."""
    return [dict(zip(sweep, values, strict=True)) for values in product(*sweep.values())]


def count(sweep: Mapping[str, Sequence[Any]]) -> int:
    """Number of combinations, without making them."""
    number = 1
    for values in sweep.values():
        number *= len(values)
    return number


def set_value(data: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Set ``data[k0][k1]... = value``, making (or replacing by) mappings on the way."""
    for key in keys[:-1]:
        below = data.get(key)
        if not isinstance(below, dict):
            below = data[key] = {}
        data = below
    data[keys[-1]] = value
