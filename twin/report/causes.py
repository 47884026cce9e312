"""Why a published figure is missed: what the sampling error can explain, and the likely cause where one is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twin.datapack import threshold
from twin.report import numbers
from twin.report.facts import Facts
from twin.report.left_out import left_out_lines
from twin.report.settings import setting

Row = Mapping[str, Any]
"""A row of table ``calibration``."""


def side(row: Row) -> str:
    """``below``, ``above`` or ``inside`` the published range."""
    if row["value"] < row["target_low"]:
        return "below"
    return "above" if row["value"] > row["target_high"] else "inside"


def cause(facts: Facts, row: Row, decimals: int) -> str:
    """Two sentences for a row outside its range: is sampling enough to explain it, and what else is likely.

    ``decimals`` are those of the value as printed beside them.
    """
    return f"{_sampling(facts, row, decimals)} {_likely(facts, row)}"


def _sampling(facts: Facts, row: Row, decimals: int) -> str:
    low, high = row["low"], row["high"]
    if low is None and left_out_lines(facts, "feeders") and not facts.resolves_all:
        return facts.t.text("calibration.sampling.unknown")
    if low is None or high is None or low == high:
        return facts.t.text("calibration.sampling.none")
    reaches = high >= row["target_low"] if side(row) == "below" else low <= row["target_high"]
    key = "calibration.sampling.reaches" if reaches else "calibration.sampling.short"
    return facts.t.text(key, span=numbers.span(low, high, decimals))


def _likely(facts: Facts, row: Row) -> str:
    name = setting("calibration_causes").get(row["id"], row["id"])
    key = f"calibration.cause.{name}.{side(row)}"
    if not facts.t.has(key):
        return facts.t.text("calibration.cause.none")
    return facts.t.text(key, billed=f"{100 * threshold('billed_of_used'):g}")
