"""What a run cannot say because its scenario's ``output.tables`` leaves out tables that only large runs leave out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twin.analysis.tables import asked_for


@dataclass(frozen=True)
class Part:
    """Results that need tables: all of ``tables``. ``results`` name outcomes of ``effects``, or tables."""

    name: str
    tables: tuple[str, ...]
    results: tuple[str, ...]
    compares: bool
    """Are they differences between arms, of which a run with one arm has none anyway?"""

    @property
    def words(self) -> tuple[str, str]:
        """Tables and results for a log line."""
        return ", ".join(self.tables), ", ".join(self.results)

    def as_dict(self) -> dict[str, Any]:
        """Plain form for the manifest."""
        return {"tables": list(self.tables), "results": list(self.results), "why": "not written: output.tables"}


PARTS = (
    Part(
        "bills",
        ("consumers", "bills"),
        ("revenue", "duty", "subsidy", "consumer_payment", "bill_unchanged", "bill_response", "surplus", "gains"),
        compares=True,
    ),
    Part(
        "transformers",
        ("transformers",),
        ("dt_overload_hours", "voltage_violations", "evening_peak of dt:worst", "loading of DTs in the report"),
        compares=False,
    ),
    Part(
        "feeders",
        ("feeders",),
        ("losses of districts and discoms", "effects on load of districts", "sampling error of effects on load"),
        compares=False,
    ),
)


def holds_bills(scenario: Mapping[str, Any]) -> bool:
    """Can a run speak of bills? They say whose they are, and the table of consumers says who that is."""
    return all(asked_for(scenario, table) for table in ("consumers", "bills"))


def left_out(scenario: Mapping[str, Any]) -> list[Part]:
    """Parts of the results that a resolved scenario leaves out, each with those of its tables that are not written."""
    n_arms = len((scenario.get("experiment") or {}).get("arms") or ())
    found = []
    for part in PARTS:
        missing = tuple(table for table in part.tables if not asked_for(scenario, table))
        if missing and (n_arms > 1 or not part.compares):
            found.append(Part(part.name, missing, part.results, part.compares))
    return found
