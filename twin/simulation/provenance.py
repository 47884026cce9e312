"""What a run rests on: the numbers that are not known, and the parts that are made by rule."""

from __future__ import annotations

from typing import Any

from twin.demand.response import parameter_bounds
from twin.economics.purchase import assumed_purchase_numbers, load_purchase
from twin.economics.tariffs import assumed_numbers as assumed_tariff_numbers
from twin.economics.tariffs import load_tariff
from twin.grid.settings import assumed_numbers as assumed_synthesis_numbers
from twin.simulation.plan import PointPlan

SYNTHETIC = (
    "132 kV connections and everything below: substations' feeders, transformers, lines, poles and consumers",
    "positions of blocks and power substations within their district",
    "reinforcements of 132 kV lines and transformers, reactive support and tap changers",
    "weather: normals of the climate table with drawn deviations, no measured year",
)


def assumed_numbers(points: list[PointPlan]) -> list[dict[str, Any]]:
    """Every number behind the run that is not marked found, as plain rows: name, value, confidence, source."""
    tariff = load_tariff(points[0].scenario.tariff)
    rows = [_row(name, value, confidence, source) for name, value, confidence, source in assumed_tariff_numbers(tariff)]
    rows += [
        _row(name, value, confidence, source)
        for name, value, confidence, source in assumed_purchase_numbers(load_purchase())
    ]
    rows += [_row(f"synthesis.{name}", value, "assumed", why) for name, value, why in assumed_synthesis_numbers()]
    rows += [
        _row(name, f"{low:g} to {high:g}", "assumed", "prior of priors.yaml")
        for name, (low, high) in parameter_bounds(points[0].scenario.experiment.parameters).items()
    ]
    return rows


def _row(name: str, value: Any, confidence: str, source: str) -> dict[str, Any]:
    return {"name": name, "value": str(value), "confidence": confidence, "source": source}
