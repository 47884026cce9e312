"""Figure 14d: prepaid consumers whose switches open day by day, and the load that is not served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.report import numbers
from twin.report.facts import Arm, Facts, day_words
from twin.report.figures import base
from twin.report.figures.world_lines import Line, chart, keys
from twin.report.figures.worlds import cases, in_cases, label, worlds

CSV = ("arm", "date", "prepaid", "negative", "disconnected", "reconnected", "off", "unserved_mw")
COUNTS = CSV[2:-1]
Row = Mapping[str, Any]


def build(facts: Facts) -> base.Figure | None:
    """Share of the wallets cut on each day, a line per world; None where nobody has one, or no day is told."""
    if (facts.scenario.get("meters") or {}).get("prepaid") is None:
        return None
    days = {arm: rows for arm in worlds(facts) if (rows := _days(facts, arm))}
    if not days:
        return None
    worst = [max(rows, key=_cut) for rows in days.values()]
    shares = [_cut(row) for row in worst]
    if len(days) > 1:
        title = facts.t.text("fig14d.title.many", share=numbers.span(min(shares), max(shares), 1, "%"))
    else:
        title = facts.t.text("fig14d.title", share=_percent(shares[0]), day=day_words(facts, worst[0]["date"]))
    sentences = [_words(facts, arm, rows) for arm, rows in days.items()]
    lines = [Line(arm, i, [_cut(row) for row in rows]) for i, (arm, rows) in enumerate(days.items())]
    return base.Figure(
        number="14d",
        title=title,
        subtitle=facts.t.text("fig14d.subtitle"),
        alt=" ".join(sentences),
        help=[facts.t.text("fig14d.help"), *sentences],
        table=_table(facts, days),
        csv_header=CSV,
        csv_rows=[(arm.name, *(row[name] for name in CSV[1:])) for arm, rows in days.items() for row in rows],
        csv_table="wallets",
        charts=[chart(facts, lines, facts.t.text("axis.cut_percent"), 52, 280)],
        keys=keys(facts, lines),
    )


def _days(facts: Facts, arm: Arm) -> list[dict[str, Any]]:
    """Counts of simulated consumers by day, and the highest load of the state that is not served; means over draws."""
    where, draws = in_cases(facts, arm), len(cases(facts, arm))
    sums = ", ".join(f'sum("{name}")::bigint as "{name}"' for name in COUNTS)
    rows = facts.rows(f"select date, {sums} from wallets where {where} group by date order by date")
    peaks: dict[Any, float] = {}
    for row in facts.rows(
        f'select "case", interval_start::date as date, max(unserved_mw) as mw from system where {where} '
        "group by all order by all"
    ):
        peaks[row["date"]] = peaks.get(row["date"], 0.0) + row["mw"] / draws
    return [
        {name: row[name] / draws for name in COUNTS} | {"date": row["date"], "unserved_mw": peaks.get(row["date"], 0.0)}
        for row in rows
    ]


def _cut(row: Row) -> float:
    """Switches that open on a day, % of the wallets."""
    return 100.0 * float(row["disconnected"]) / float(row["prepaid"])


def _percent(share: float) -> str:
    return numbers.with_unit(numbers.number(share, 1), "%")


def _words(facts: Facts, arm: Arm, rows: Sequence[Row]) -> str:
    worst = max(rows, key=_cut)
    usual = sorted(_cut(row) for row in rows)[len(rows) // 2]
    return facts.t.text(
        "fig14d.sentence",
        arm=label(facts, arm),
        wallets=numbers.count(worst["prepaid"]).both(),
        share=_percent(_cut(worst)),
        day=day_words(facts, worst["date"]),
        median=_percent(usual),
        load=numbers.with_unit(numbers.number(worst["unserved_mw"]), "MW"),
    )


def _table(facts: Facts, days: Mapping[Arm, Sequence[Row]]) -> base.Table:
    t = facts.t
    names = ("arm", "date", "negative", "disconnected", "reconnected", "off_at_night", "unserved_peak")
    lines = [
        (
            label(facts, arm), day_words(facts, row["date"]),
            *(_percent(100.0 * row[name] / row["prepaid"]) for name in ("negative", *COUNTS[2:])),
            numbers.number(row["unserved_mw"]),
        )
        for arm, rows in days.items() for row in rows
    ]  # fmt: skip
    header = [t.text("column.arm"), *(t.text(f"wallets.column.{name}") for name in names[1:])]
    return base.Table(t.text("fig14d.caption"), header, lines, frozenset(range(2, len(names))))
