"""Figure 1d: what the run's pilot estimates, beside the truth of the arms' own worlds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twin.analysis.design import PILOT
from twin.report import numbers
from twin.report.facts import Facts
from twin.report.figures import base

COLUMNS = ("arm", "outcome", "estimator", "estimate", "interval", "p_randomisation", "truth", "interference")
CSV = (
    "arm", "replicate", "outcome", "estimator", "dts_treated", "dts_control", "control_mean", "effect", "error", "low",
    "high", "p_value", "p_randomisation", "effect_apart", "interference", "truth",
)  # fmt: skip
BEST_LAST = ("means", "did", "adjusted")
Row = Mapping[str, Any]


def build(facts: Facts) -> base.Figure | None:
    """A table of the first draw's estimates; the file has all draws. None without a pilot or its outcomes."""
    if (facts.scenario.get("experiment") or {}).get("design") != PILOT:
        return None
    rows = facts.rows("select * from pilot_effects order by arm, replicate, outcome, estimator")
    if not rows:
        return None
    shown = [row for row in rows if row["replicate"] == rows[0]["replicate"]]
    best = max(shown, key=lambda row: (row["outcome"] == "evening_peak_kw", BEST_LAST.index(row["estimator"])))
    key = "held" if best["low"] <= best["truth"] <= best["high"] else "missed"
    return base.Figure(
        number="1d",
        title=facts.t.text(f"fig1d.title.{key}", n=f"{best['dts_treated']:,}"),
        subtitle=facts.t.text("fig1d.subtitle"),
        alt="",
        help=[facts.t.text("fig1d.help")],
        table=base.Table(
            facts.t.text("fig1d.caption"),
            [facts.t.text(f"column.{name}") for name in COLUMNS],
            [_line(facts, row) for row in shown],
            frozenset(range(3, len(COLUMNS))),
        ),
        csv_header=CSV,
        csv_rows=[tuple(row[name] for name in CSV) for row in rows],
        csv_table="pilot_effects",
    )


def _line(facts: Facts, row: Row) -> tuple[Any, ...]:
    decimals = max(numbers.decimals_for(row["effect"], row["low"], row["high"]), 1)
    own = [numbers.number(row[name], decimals, signed=True) for name in ("effect", "truth", "interference")]
    return (
        next((arm.label for arm in facts.treatments if arm.name == row["arm"]), row["arm"]),
        facts.t.text(f"pilot.{row['outcome']}"),
        facts.t.text(f"pilot.{row['estimator']}"),
        own[0],
        numbers.span(row["low"], row["high"], decimals, signed=True),
        numbers.number(row["p_randomisation"], 3),
        own[1],
        own[2],
    )
