"""What a run cannot say because its scenario's ``output.tables`` leaves out tables that only large runs leave out."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from twin.analysis.tables import asked_for


def _always(_scenario: Mapping[str, Any]) -> bool:
    return True


def has_devices(scenario: Mapping[str, Any]) -> bool:
    """Are meters modelled as devices?"""
    return bool((scenario.get("meters") or {}).get("devices", False))


def whole_months(scenario: Mapping[str, Any]) -> bool:
    """Does a resolved scenario run over whole calendar months?"""
    first = date.fromisoformat(str(scenario["time"]["start"]))
    last = first + timedelta(days=int(scenario["time"]["days"]) - 1)
    return first.day == 1 and last.day == monthrange(last.year, last.month)[1]


@dataclass(frozen=True)
class Part:
    """Results that need tables: all of ``tables``. ``results`` name outcomes of ``effects``, or tables."""

    name: str
    tables: tuple[str, ...]
    results: tuple[str, ...]
    compares: bool
    """Are they differences between arms, of which a run with one arm has none anyway?"""
    told: Callable[[Mapping[str, Any]], bool] = _always
    """Would a scenario that leaves nothing out give them?"""

    @property
    def words(self) -> tuple[str, str]:
        """Tables and results for a log line."""
        return ", ".join(self.tables), ", ".join(self.results)

    def as_dict(self) -> dict[str, Any]:
        """Plain form for the manifest."""
        return {"tables": list(self.tables), "results": list(self.results), "why": "not written: output.tables"}


METER_LOSSES_NEED = ("consumers", "bills", "meter_balance", "estimates")
"""Tables without which energy that meters do not show cannot be valued."""
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
    Part("atc", ("feeders", "consumers", "bills"), ("atc",), compares=False, told=whole_months),
    Part("gap", ("feeders", "consumers", "bills"), ("gap", "gap_per_kwh"), compares=False, told=whole_months),
    Part("meter_losses", METER_LOSSES_NEED, ("meter_losses",), compares=False, told=has_devices),
    Part("dt_residuals", ("dt_meters",), ("dt_residuals",), compares=False, told=has_devices),
    Part(
        "meter_reads", ("meter_reads",), ("service levels of meters in the report",), compares=False, told=has_devices
    ),
    Part(
        "utility",
        ("feeder_meters",),
        ("utility",),
        compares=False,
        told=lambda scenario: whole_months(scenario) and has_devices(scenario),
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
        if missing and (n_arms > 1 or not part.compares) and part.told(scenario):
            found.append(replace(part, tables=missing))
    return found
