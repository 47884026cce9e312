"""Figure 14e: what a head-end hears of interruptions: last gasps, first breaths, and the profiles that come in late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.analysis.left_out import has_devices
from twin.report import numbers
from twin.report.facts import Arm, Facts, exact_sum
from twin.report.figures import base
from twin.report.figures.world_bars import Bar, Group, chart
from twin.report.figures.worlds import cases, in_cases, label, worlds

COUNTS = (
    "meters", "power_failures", "gasps_sent", "gasps_arrived", "restorations", "breaths_arrived", "reads_delayed",
)  # fmt: skip
HOURS = ("dark_h", "joining_h")
CSV = ("arm", "date", *COUNTS, *HOURS)
FILLS = {"gasps": "#882255", "breaths": "#117733", "late": "#332288"}
MINUTES = 60.0
Row = Mapping[str, Any]


def build(facts: Facts) -> base.Figure | None:
    """Shares that arrive, a bar per world; None where no supply is interrupted or the run does not tell."""
    if not has_devices(facts.scenario):
        return None
    days = {arm: rows for arm in worlds(facts) if (rows := _days(facts, arm))}
    totals = {arm: _total(rows) for arm, rows in days.items()}
    if not any(row["power_failures"] for row in totals.values()):
        return None
    shares = [_shares(row)["gasps"] for row in totals.values()]
    share = numbers.with_unit(numbers.number(shares[0], 0), "%")
    if len({numbers.number(one, 0) for one in shares}) > 1:
        share = numbers.span(min(shares), max(shares), 0, "%")
    sentences = [_words(facts, arm, row) for arm, row in totals.items()]
    return base.Figure(
        number="14e",
        title=facts.t.text("fig14e.title", share=share),
        subtitle=facts.t.text("fig14e.subtitle"),
        alt=" ".join(sentences),
        help=[facts.t.text("fig14e.help"), *sentences],
        table=_table(facts, totals),
        csv_header=CSV,
        csv_rows=[(arm.name, *(row[name] for name in CSV[1:])) for arm, rows in days.items() for row in rows],
        csv_table="meter_power",
        charts=[_chart(facts, totals)],
    )


def _days(facts: Facts, arm: Arm) -> list[dict[str, Any]]:
    """Sums over simulated feeders by day, means over draws."""
    counts = ", ".join(f"sum({name})::bigint as {name}" for name in COUNTS)
    hours = ", ".join(f"{exact_sum(name)} as {name}" for name in HOURS)
    rows = facts.rows(
        f"select date, {counts}, {hours} from meter_power where {in_cases(facts, arm)} group by date order by date"
    )
    draws = len(cases(facts, arm))
    return [{"date": row["date"]} | {name: row[name] / draws for name in CSV[2:]} for row in rows]


def gasps_arrived(facts: Facts, arm: Arm) -> float | None:
    """Last gasps that arrive, of those sent; None where none was sent. [percent]"""
    total = _total(_days(facts, arm))
    return _shares(total)["gasps"] if total["gasps_sent"] else None


def _total(rows: Sequence[Row]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) for name in CSV[2:]}


def _shares(row: Row) -> dict[str, float]:
    """Gasps and breaths that arrive, of those sent, and profiles that are late, of all. [percent]"""
    pairs = {
        "gasps": ("gasps_arrived", "gasps_sent"),
        "breaths": ("breaths_arrived", "restorations"),
        "late": ("reads_delayed", "meters"),
    }
    return {name: 100.0 * row[part] / row[whole] if row[whole] else 0.0 for name, (part, whole) in pairs.items()}


def _percent(value: float, decimals: int = 1) -> str:
    return numbers.with_unit(numbers.number(value, decimals), "%")


def _per(total: float, count: float) -> float:
    return total / count if count else 0.0


def _words(facts: Facts, arm: Arm, row: Row) -> str:
    shares = _shares(row)
    return facts.t.text(
        "fig14e.sentence",
        arm=label(facts, arm),
        failures=numbers.count(row["power_failures"]).both(),
        gasps=_percent(shares["gasps"]),
        breaths=_percent(shares["breaths"]),
        joining=numbers.number(MINUTES * _per(row["joining_h"], row["restorations"]), 1),
        dark=numbers.number(_per(row["dark_h"], row["meters"]), 2),
        late=_percent(shares["late"]),
    )


def _chart(facts: Facts, totals: Mapping[Arm, Row]) -> base.Chart:
    groups = [
        Group(
            facts.t.text(f"meters.power.{name}"),
            fill,
            [Bar(arm, _shares(row)[name], _percent(_shares(row)[name])) for arm, row in totals.items()],
        )
        for name, fill in FILLS.items()
    ]
    return chart(facts, groups, facts.t.text("axis.percent_arrived"), (0.0, 100.0))


def _table(facts: Facts, totals: Mapping[Arm, Row]) -> base.Table:
    """Sums over the run's days, a column per world."""
    lines = [
        (facts.t.text(f"meters.power.{name}.all"), *(numbers.number(row[name]) for row in totals.values()))
        for name in (*COUNTS[1:], *HOURS)
    ]
    header = [facts.t.text("column.what"), *(label(facts, arm) for arm in totals)]
    return base.Table(facts.t.text("fig14e.caption"), header, lines, frozenset(range(1, len(header))))
