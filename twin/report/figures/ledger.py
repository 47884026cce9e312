"""Figure 12: the energy ledger, a table without a chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from twin.report import numbers
from twin.report.catalogue import clean
from twin.report.facts import Facts
from twin.report.figures import base


def closed(line: Mapping[str, Any]) -> bool:
    """Does one level of the ledger close, inside and at its border?"""
    return _within(line, "closure", "closure_limit") and _within(line, "border_mismatch", "border_limit")


def _within(line: Mapping[str, Any], value: str, limit: str) -> bool:
    return line.get(value) is None or line.get(limit) is None or abs(line[value]) <= line[limit]


def ledger(facts: Facts) -> Mapping[str, Mapping[str, Any]]:
    """Lines of the ledger by level, as in the manifest."""
    return facts.manifest.get("energy_balance") or {}


def is_closed(facts: Facts) -> bool:
    """Is there a ledger, and does every level of it close?"""
    return bool(ledger(facts)) and all(closed(line) for line in ledger(facts).values())


def build(facts: Facts) -> base.Figure:
    """Closure and border mismatch of every level beside their limits."""
    levels = ledger(facts)
    rows = []
    for level, line in levels.items():
        verdict = facts.t.text("ledger.closed" if closed(line) else "ledger.open")
        cells = [_power(line.get(name)) for name in ("closure", "closure_limit", "border_mismatch", "border_limit")]
        rows.append((facts.t.name("level", level), *cells, verdict))
    key = "ledger.title.closed" if is_closed(facts) else "ledger.title.open" if levels else "ledger.title.none"
    columns = ("level", "closure", "limit", "border_mismatch", "limit", "verdict")
    return base.Figure(
        number="12",
        title=facts.t.text(key),
        subtitle=facts.t.text("ledger.subtitle"),
        alt="",
        help=[facts.t.text("ledger.help")],
        table=base.Table(
            facts.t.text("ledger.caption"),
            [facts.t.text(f"column.{name}") for name in columns],
            rows,
            frozenset({1, 2, 3, 4}),
        ),
        csv_header=("level", "closure", "closure_limit", "border_mismatch", "border_limit", "closed"),
        csv_rows=[
            (
                level,
                line.get("closure"),
                line.get("closure_limit"),
                line.get("border_mismatch"),
                line.get("border_limit"),
                closed(line),
            )
            for level, line in levels.items()
        ],
    )


def _power(value: float | None) -> str:
    return "" if value is None else numbers.scientific(value)


def failed_solves(facts: Facts) -> list[dict[str, Any]]:
    """Failed solves by cause: how many, and the first feeder and step of each."""
    failures = list(facts.manifest.get("failed_solves") or [])
    counts = Counter(str(entry["cause"]) for entry in failures)
    first: dict[str, Mapping[str, Any]] = {}
    for entry in failures:
        first.setdefault(str(entry["cause"]), entry)
    return [
        {
            "cause": clean(cause),
            "count": counts[cause],
            "feeder": clean(first[cause]["feeder"]),
            "step": clean(first[cause]["step"]),
        }
        for cause in sorted(counts, key=lambda cause: (-counts[cause], cause))
    ]
