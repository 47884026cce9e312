"""Figure 14f: meters whose switches a load limit opens day by day, for how long, and what consumers do without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.analysis.left_out import has_devices
from twin.report import numbers
from twin.report.facts import Arm, Facts, day_words, exact_sum
from twin.report.figures import base
from twin.report.figures.world_lines import Line, chart, keys
from twin.report.figures.worlds import cases, in_cases, label, worlds

CSV = ("arm", "date", "meters", "openings", "locked", "open_min", "unserved_kwh")
Row = Mapping[str, Any]


def build(facts: Facts) -> base.Figure | None:
    """Meters opened by day, a line per world; None where no limit opened any, or the run does not tell."""
    if not has_devices(facts.scenario):
        return None
    days = {arm: rows for arm in worlds(facts) if (rows := _days(facts, arm))}
    if not days:
        return None
    means = [_mean(facts, rows, "meters") for rows in days.values()]
    low, high = (numbers.number(end) for end in (min(means), max(means)))
    several = "many" if low != high else "one"
    sentences, lines = [_words(facts, arm, rows) for arm, rows in days.items()], _lines(facts, days)
    return base.Figure(
        number="14f",
        title=facts.t.text(f"fig14f.title.{several}", low=low, high=high),
        subtitle=facts.t.text("fig14f.subtitle"),
        alt=" ".join(sentences),
        help=[facts.t.text("fig14f.help"), *sentences],
        table=_table(facts, days),
        csv_header=CSV,
        csv_rows=[(arm.name, *(row[name] for name in CSV[1:])) for arm, rows in days.items() for row in rows],
        csv_table="load_limits",
        charts=[chart(facts, lines, facts.t.text("axis.meters_opened"), 58, 260)],
        keys=keys(facts, lines),
    )


def _days(facts: Facts, arm: Arm) -> list[dict[str, Any]]:
    """Sums over simulated consumers by day of the run, means over draws; days without an opening count nothing."""
    rows = facts.rows(
        "select date, count(*) as meters, sum(openings)::bigint as openings, sum(locked::int)::bigint as locked, "
        f"{exact_sum('open_min')} as open_min, {exact_sum('unserved_kwh')} as unserved_kwh "
        f"from load_limits where {in_cases(facts, arm)} group by date order by date"
    )
    draws = len(cases(facts, arm))
    return [{"date": row["date"]} | {name: row[name] / draws for name in CSV[2:]} for row in rows]


def opened_a_day(facts: Facts, arm: Arm) -> float:
    """Meters whose switch a limit opens, mean over days and draws."""
    return _mean(facts, _days(facts, arm), "meters")


def _mean(facts: Facts, rows: Sequence[Row], name: str) -> float:
    """Over all days of the run."""
    return float(sum(row[name] for row in rows)) / facts.days


def _per_meter(rows: Sequence[Row], name: str) -> float:
    """Mean over meters and the days on which they opened."""
    return float(sum(row[name] for row in rows)) / float(sum(row["meters"] for row in rows))


def _words(facts: Facts, arm: Arm, rows: Sequence[Row]) -> str:
    return facts.t.text(
        "fig14f.sentence",
        arm=label(facts, arm),
        meters=numbers.number(_mean(facts, rows, "meters")),
        openings=numbers.number(_per_meter(rows, "openings"), 1),
        minutes=numbers.number(_per_meter(rows, "open_min")),
        locked=numbers.number(_mean(facts, rows, "locked")),
        energy=energy_words(sum(row["unserved_kwh"] for row in rows)),
    )


def energy_words(kwh: float) -> str:
    """Energy of simulated consumers in the unit that keeps it readable."""
    if kwh < 1e4:
        return numbers.with_unit(numbers.number(kwh), "kWh")
    return numbers.with_unit(numbers.number(kwh / 1e3, 1 if kwh < 1e5 else 0), "MWh")


def _lines(facts: Facts, days: Mapping[Arm, Sequence[Row]]) -> list[Line]:
    """Meters opened on each day of the run."""
    counts = {arm: {(row["date"] - facts.first_day).days: row["meters"] for row in rows} for arm, rows in days.items()}
    return [
        Line(arm, worlds(facts).index(arm), [of_day.get(day, 0.0) for day in range(facts.days)])
        for arm, of_day in counts.items()
    ]


def _table(facts: Facts, days: Mapping[Arm, Sequence[Row]]) -> base.Table:
    t = facts.t
    lines = [
        (
            label(facts, arm), day_words(facts, row["date"]),
            numbers.number(row["meters"], 1), numbers.number(row["openings"], 1), numbers.number(row["locked"], 1),
            numbers.number(row["open_min"] / row["meters"], 1), numbers.number(row["unserved_kwh"], 1),
        )
        for arm, rows in days.items() for row in rows
    ]  # fmt: skip
    names = ("meters", "openings", "locked", "minutes", "unserved")
    header = [t.text("column.arm"), t.text("wallets.column.date"), *(t.text(f"limits.column.{name}") for name in names)]
    return base.Table(t.text("fig14f.caption"), header, lines, frozenset(range(2, len(header))))
