"""Figure 6d: how well bills are paid, by category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.report import numbers
from twin.report.catalogue import wrapped_label
from twin.report.facts import Facts, exact_sum, literal
from twin.report.figures import base
from twin.report.figures.gains import too_few_groups
from twin.units import INR_PER_CRORE

Row = Mapping[str, Any]
AMOUNTS = ("billed_inr", "due_inr", "paid_inr", "subsidy_received_inr")
CSV = ("arm", "area", "category", "month", "consumers", *AMOUNTS, "arrears_inr")
FILL, EDGE = "#8C8C8C", "#595959"
ROW_PX = 26
ALL = "all"


def build(facts: Facts) -> base.Figure | None:
    """Bars of collection efficiency of the first arm; None where payments are not modelled."""
    own = by_category(facts, facts.reference.name)
    if not own:
        return None
    lowest = min((row for row in own if row["category"] != ALL), key=efficiency)
    whole = next(row for row in own if row["category"] == ALL)
    t = facts.t
    return base.Figure(
        number="6d",
        title=t.text("fig6d.title", share=_percent(efficiency(whole)), lowest=facts.category_name(lowest["category"])),
        subtitle=t.text("fig6d.subtitle", area=facts.area_name("state"), arm=facts.reference.label),
        alt=" ".join(
            t.text("fig6d.alt", name=_name(facts, row), share=_percent(efficiency(row)))
            for row in (whole, lowest)
        ),
        help=[t.text("fig6d.help"), _arrears(facts, whole)],
        table=_table(facts, own),
        csv_header=CSV,
        csv_rows=[
            tuple(row[name] for name in CSV)
            for row in facts.rows("select * from payments order by arm, area <> 'state', area, category, month")
        ],
        csv_table="payments",
        charts=[_chart(facts, own)],
    )  # fmt: skip


def by_category(facts: Facts, arm: str) -> Sequence[Row]:
    """Amounts of the state over all months by category and of all, arrears at the last month's end. [INR]

    Categories of too few simulated consumers are left out: one late bill would be much of theirs.
    """
    sums = ", ".join(f"{exact_sum(name)} as {name}" for name in AMOUNTS)
    last = "(select max(month) from payments)"
    own = f"from payments where area = 'state' and arm = {literal(arm)}"
    arrears = f"{exact_sum(f'case when month = {last} then arrears_inr else 0 end')} as arrears_inr"
    rows = facts.rows(f"select category, {sums}, {arrears} {own} group by category")
    few = too_few_groups(facts)
    rows = [row for row in rows if f"category/{row['category']}" not in few]
    if not rows:
        return []
    whole = facts.rows(f"select '{ALL}' as category, {sums}, {arrears} {own}")
    return [*whole, *sorted(rows, key=facts.by_category)]


def efficiency(row: Row) -> float:
    """Collection efficiency: paid by consumers and by the state for what is billed. [percent]"""
    billed = float(row["billed_inr"])
    return 100.0 * (float(row["paid_inr"]) + float(row["subsidy_received_inr"])) / billed if billed else 100.0


def _percent(value: float) -> str:
    return numbers.with_unit(numbers.number(value, 1), "%")


def _name(facts: Facts, row: Row) -> str:
    return facts.t.text("fig6d.all") if row["category"] == ALL else facts.category_name(row["category"])


def _arrears(facts: Facts, whole: Row) -> str:
    owed = numbers.rupees(float(whole["arrears_inr"])).both()
    return facts.t.text("fig6d.arrears", owed=owed, due=numbers.rupees(float(whole["due_inr"])).both())


def _chart(facts: Facts, own: Sequence[Row]) -> base.Chart:
    values = [efficiency(row) for row in own]
    y = list(range(len(own)))
    names = [
        facts.t.text("fig6d.all") if row["category"] == ALL else facts.category_short(row["category"]) for row in own
    ]
    marker = {"color": ["#000000"] + [FILL] * (len(own) - 1), "line": {"color": EDGE, "width": 1}}
    bars = {"type": "bar", "orientation": "h", "x": base.rounded(values, 2), "y": y, "width": 0.62}
    notes = [
        base.note(numbers.number(value, 1), 1, row, xref="paper", xanchor="right", xshift=52, align="right")
        for row, value in enumerate(values)
    ]
    look = base.layout(
        (130, 58, 8, 44),
        xaxis=base.axis(facts.t.text("axis.of_billed"), range=[0, max(*values, 100.0) * 1.04], nticks=6),
        yaxis=base.axis(
            range=[len(own) - 0.45, -0.55], tickvals=y, ticktext=[wrapped_label(name) for name in names],
            showgrid=False, ticks="",
        ),
        annotations=notes,
        shapes=[base.rule(100, 100, -0.55, len(own) - 0.45, line={"color": base.INK, "width": 1, "dash": "2px,3px"})],
    )  # fmt: skip
    height = len(own) * ROW_PX + 56
    return base.Chart([bars | {"marker": marker, "hoverinfo": "x"}], look, height, {}, height)


def _table(facts: Facts, own: Sequence[Row]) -> base.Table:
    """Amounts in crore by category and arm."""
    t = facts.t
    header = [t.text("column.category"), t.text("column.arm")]
    header += [t.text(f"fig6d.column.{name}") for name in ("billed", "due", "paid", "subsidy", "arrears", "efficiency")]
    lines = []
    for arm in (facts.reference, *facts.overlaid):
        rows = own if arm.is_reference else by_category(facts, arm.name)
        for row in rows:
            crore = [numbers.number(float(row[name]) / INR_PER_CRORE, 2) for name in (*AMOUNTS, "arrears_inr")]
            lines.append((_name(facts, row), arm.label, *crore, numbers.number(efficiency(row), 2)))
    return base.Table(t.text("fig6d.caption"), header, lines, frozenset(range(2, len(header))))
