"""Table `gains` as figures 4 and 5 read it: who gains and who loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.report.facts import Arm, Facts
from twin.report.settings import setting

Gain = Mapping[str, Any]
"""A row of table ``gains``."""

GAINS_CSV = (
    "arm", "measure", "category", "income_class", "consumers", "share_more_50", "share_more", "share_same",
    "share_less", "share_less_50", "p10", "p50", "p90", "mean_inr",
)  # fmt: skip
"""Columns of both figures' CSV files."""


def gains_of(facts: Facts) -> tuple[list[dict[str, Any]], list[Arm]]:
    """All rows, and the treatments drawn; no arms where the run has one arm or no such table."""
    found = facts.rows("select * from gains order by arm, measure, category, income_class")
    return found, [arm for arm in facts.overlaid if any(row["arm"] == arm.name for row in found)]


def rows_of(facts: Facts, found: Sequence[Gain], measure: str, arm: Arm) -> list[Gain]:
    """Rows of one measure and arm, in the order of categories and classes."""
    own = [row for row in found if row["measure"] == measure and row["arm"] == arm.name]
    return sorted(own, key=facts.by_category)


def too_few(row: Gain) -> bool:
    """Is the group too small to show a number?"""
    return row["p50"] is None or row["consumers"] < setting("few_consumers")


def too_few_groups(facts: Facts) -> frozenset[str]:
    """Groups of table ``effects`` with too few simulated consumers to show a number."""
    rows = facts.rows("select category, income_class, sum(consumers)::bigint as n from population group by all")
    counts: dict[str, int] = {}
    for row in rows:
        for group in (
            f"category/{row['category']}",
            *([f"class/{row['income_class']}"] if row["income_class"] else []),
        ):
            counts[group] = counts.get(group, 0) + int(row["n"])
    return frozenset(group for group, n in counts.items() if n < setting("few_consumers"))


def row_label(facts: Facts, row: Gain) -> str:
    """A group's name for a chart row."""
    name = facts.category_short(row["category"])
    return facts.t.text("gains.row", name=name, klass=row["income_class"]) if row["income_class"] else name


def row_words(facts: Facts, row: Gain) -> str:
    """A group's name in full."""
    name = facts.category_name(row["category"])
    return facts.t.text("gains.group", name=name, klass=row["income_class"]) if row["income_class"] else name
