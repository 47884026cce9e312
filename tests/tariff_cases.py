"""Tariffs that differ from the data pack in what a test is about."""

from datetime import date

from twin.datapack import read_yaml
from twin.economics.tariffs import Tariff, parse_tariff


def with_surcharge(name: str, inr_by_start: dict[str, float], exempt: list[str]) -> Tariff:
    """A tariff of the pack with fuel surcharges from the firsts of months. [INR/kWh]"""
    rows = [
        {"start": date.fromisoformat(start), "exempt": exempt,
         "inr_per_kwh": {"value": inr, "confidence": "assumed", "source": "none"}}
        for start, inr in inr_by_start.items()
    ]  # fmt: skip
    return parse_tariff(dict(read_yaml(f"tariffs/{name}")) | {"fuel_surcharge": rows}, "a test")
