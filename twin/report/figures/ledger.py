"""Figure 12: the energy ledger, a table without a chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from twin.analysis.ledger import CLOSED, is_closed, ledger_rows
from twin.report import numbers
from twin.report.catalogue import clean
from twin.report.facts import Facts
from twin.report.figures import base


def build(facts: Facts) -> base.Figure:
    """Closure and border mismatch of every level beside their limits."""
    levels = ledger_rows(facts.manifest)
    rows = []
    for line in levels:
        cells = [_power(v) for v in (line.closure, line.closure_limit, line.border_mismatch, line.border_limit)]
        rows.append((facts.t.name("level", line.level), *cells, facts.t.name("ledger", line.verdict)))
    key = "ledger.title.closed" if is_closed(levels) else "ledger.title.open" if levels else "ledger.title.none"
    columns = ("level", "closure", "closure_limit", "border_mismatch", "border_limit", "verdict")
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
                line.level,
                line.closure,
                line.closure_limit,
                line.border_mismatch,
                line.border_limit,
                line.verdict == CLOSED,
            )
            for line in levels
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
