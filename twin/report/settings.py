"""Conventions of the report (floors, classes, names on the map) from ``twin/data/report.yaml``."""

from __future__ import annotations

from typing import Any

from twin import datapack


def setting(*path: str) -> Any:
    """The entry at this path of ``report.yaml``; for an entry with a value, that value."""
    entry: Any = datapack.read_yaml("report")
    for key in path:
        entry = entry[key]
    return entry["value"] if isinstance(entry, dict) and "value" in entry else entry


def floor_percent(outcome: str) -> float:
    """Smallest change of an outcome, in per cent of the first arm's value, that the report calls a change."""
    if "peak" in outcome:
        return float(setting("floors", "evening_peak"))
    if "overload" in outcome or "violation" in outcome:
        return float(setting("floors", "overload_hours"))
    return float(setting("floors", "energy"))
