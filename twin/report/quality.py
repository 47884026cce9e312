"""Data quality: assumed numbers, synthetic parts."""

from __future__ import annotations

from dataclasses import dataclass

from twin.report.catalogue import clean
from twin.report.facts import Facts


@dataclass(frozen=True)
class Assumed:
    """One number the run rests on, with its page anchor."""

    anchor: str
    name: str
    value: str
    confidence: str
    source: str


def assumed_rows(facts: Facts) -> list[Assumed]:
    """Assumed numbers as listed in the manifest, in its order."""
    rows = []
    for entry in facts.assumed:
        value = entry.get("value")
        shown = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
        rows.append(
            Assumed(
                facts.assumed_id(entry["name"]),
                clean(str(entry["name"]), 120),
                clean(shown, 120),
                clean(str(entry.get("confidence", ""))),
                clean(str(entry.get("source", "")), 200),
            )
        )
    return rows


def synthetic_parts(facts: Facts) -> list[str]:
    """What of the network is made by rule."""
    return [clean(str(part), 300) for part in facts.manifest.get("synthetic") or []]
