"""Table ``sensitivity``: how far each swept setting moves an arm's effect, one at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from twin.analysis.design import Experiment
from twin.analysis.tables import build
from twin.middle import is_number, middle, settings

OUTCOMES = ("evening_peak", "energy_moved", "energy_saved", "revenue", "subsidy", "purchase_cost")
"""State outcomes that the table holds, over all consumers, as far as the run's effects hold them."""
POLICY = "experiment.arms"
"""Settings below this path are choices, not doubts: the scenario is their source."""


def sensitivity_table(experiment: Experiment, effects: pa.Table) -> pa.Table:
    """Lowest and highest numeric value of each swept path, with the effect at each, other paths held at their middle
    value.

    The middle value of a path is the lower median of its distinct values in the sweep. Empty without a sweep. A path
    whose values are not numbers, or that a sweep gives one value only, has no low and high and is left out.
    """
    points = [json.loads(point) for point in experiment.points]
    values: dict[tuple[str, str], float] = {}
    for row in effects.to_pylist():
        if row["area"] == "state" and row["group"] == "all" and row["outcome"] in OUTCOMES:
            values[row["arm"], row["outcome"]] = row["value"]  # rows of one key differ in interval only
    known = [name for name in OUTCOMES if any(outcome == name for _, outcome in values)]
    rows: list[dict[str, Any]] = []
    for path, (low, high) in _ranges(points).items():
        at_low, at_high = _point_at(points, path, low), _point_at(points, path, high)
        for arm in range(1, len(experiment.arms)):
            for outcome in known:
                ends = [values[experiment.label(point, arm), outcome] for point in (at_low, at_high)]
                rows.append(
                    {
                        "outcome": outcome,
                        "arm": experiment.arms[arm],
                        "parameter": path,
                        "low": low,
                        "high": high,
                        "value_low": ends[0],
                        "value_high": ends[1],
                        "confidence": "scenario" if path.startswith(POLICY) else "assumed",
                    }
                )
    return build("sensitivity", rows)


def _ranges(points: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of every path that is swept over numbers."""
    found = {path: settings(point[path] for point in points) for path in points[0]}
    return {
        path: (float(values[0]), float(values[-1]))
        for path, values in found.items()
        if len(values) > 1 and all(is_number(value) for value in values)
    }


def middle_point(points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Swept values with every path at its middle: a point of every sweep."""
    return {path: middle(point[path] for point in points) for path in points[0]}


def _point_at(points: list[dict[str, Any]], path: str, value: float) -> int:
    """The sweep point with ``value`` at ``path`` and every other path at its middle value."""
    wanted = {**middle_point(points), path: value}
    return next(place for place, point in enumerate(points) if point == wanted)
