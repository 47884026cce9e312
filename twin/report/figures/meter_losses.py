"""Figure 14c: energy that meters did not show or that was billed wrongly, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.analysis.left_out import has_devices
from twin.report import numbers
from twin.report.catalogue import chart_label
from twin.report.facts import Arm, Facts
from twin.report.figures import base
from twin.report.figures.worlds import label, short_label, worlds

PARTS = ("theft", "unrecorded", "error", "estimate")
FILLS = {"theft": "#882255", "unrecorded": "#AA4499", "error": "#8A6D00", "estimate": "#8A6D00"}
CSV = ("arm", "area", "part", "energy_mwh", "percent_of_used", "value_inr")
ROW_PX = 28
Row = Mapping[str, Any]


def build(facts: Facts) -> base.Figure | None:
    """What meters and bills miss, as bars by part and world, with its worth; None where meters are not devices."""
    if not has_devices(facts.scenario):
        return None
    rows = facts.rows("select * from meter_losses order by arm, area <> 'state', area, part")
    by_key = {(row["arm"], row["area"], row["part"]): row for row in rows}
    area = next((f"district:{name}" for name in facts.resolved_districts), "state")
    shown = [arm for arm in worlds(facts) if (arm.name, area, "used") in by_key]
    if not shown:
        return None
    totals = {arm: [by_key[arm.name, area, part] for part in PARTS] for arm in shown}
    return base.Figure(
        number="14c",
        title=_title(facts, list(totals.values())),
        subtitle=facts.t.text("fig14c.subtitle", area=facts.area_name(area), period=facts.counted("days", facts.days)),
        alt=" ".join(_words(facts, arm, totals[arm]) for arm in shown),
        help=[facts.t.text("fig14c.help"), *(_words(facts, arm, totals[arm]) for arm in shown)],
        table=_table(facts, by_key, shown),
        csv_header=CSV,
        csv_rows=[tuple(row[name] for name in CSV) for row in rows],
        csv_table="meter_losses",
        charts=[_chart(facts, totals)],
    )


def _title(facts: Facts, totals: Sequence[Sequence[Row]]) -> str:
    shares = [sum(row["percent_of_used"] or 0.0 for row in rows) for rows in totals]
    if len(totals) > 1:
        return facts.t.text("fig14c.title.many", share=numbers.span(min(shares), max(shares), 2, "%"))
    worth = numbers.rupees(sum(row["value_inr"] for row in totals[0])).indian
    return facts.t.text("fig14c.title", share=numbers.with_unit(numbers.number(shares[0], 2), "%"), worth=worth)


def _words(facts: Facts, arm: Arm, rows: Sequence[Row]) -> str:
    energy = sum(row["energy_mwh"] for row in rows)
    return facts.t.text(
        "fig14c.sentence",
        arm=label(facts, arm),
        energy=numbers.with_unit(numbers.number(energy, max(min(numbers.decimals_for_figures(energy), 1), 0)), "MWh"),
        worth=numbers.rupees(sum(row["value_inr"] for row in rows)).both(),
    )


def _chart(facts: Facts, totals: Mapping[Arm, Sequence[Row]]) -> base.Chart:
    """Bars by part; with several worlds a head for each part and a bar for each world under it."""
    places: list[float] = []
    ticks, notes, heads = [], [], []
    y = 0.0
    for position, part in enumerate(PARTS):
        name = facts.t.text(f"meters.part.{part}")
        if len(totals) > 1:
            heads.append((name, y))
            y += 0.8
        for arm, rows in totals.items():
            worth = chart_label(numbers.rupees(rows[position]["value_inr"]).indian)
            notes.append(base.note(worth, 1, y, xref="paper", xanchor="left", xshift=8, align="left"))
            ticks.append(chart_label(short_label(facts, arm) if len(totals) > 1 else name))
            places.append(y)
            y += 1.0
    values = [float(rows[k]["percent_of_used"] or 0.0) for k in range(len(PARTS)) for rows in totals.values()]
    fills = [FILLS[part] for part in PARTS for _ in totals]
    bars = {"type": "bar", "orientation": "h", "x": base.rounded(values, 4), "y": places, "width": 0.62}
    bars |= {"marker": {"color": fills, "line": {"color": fills, "width": 1}}, "hoverinfo": "x"}
    low, high = base.nice_range(min(values), max(values), 0.0)
    look = base.layout(
        (130, 110, 8, 44),
        xaxis=base.axis(facts.t.text("axis.percent_of_used"), range=[low if min(values) < 0 else 0.0, high], nticks=6),
        yaxis=base.axis(range=[y - 0.4, -0.6], tickvals=places, ticktext=ticks, showgrid=False, ticks=""),
        annotations=[*notes, *_heads(heads, 130)],
        shapes=[base.rule(0, 0, -0.6, y - 0.4)],
    )
    height = round(y * ROW_PX) + 52
    narrow = {"margin": look["margin"] | {"l": 118, "r": 96}, "annotations": [*notes, *_heads(heads, 118)]}
    return base.Chart([bars], look, height, narrow, height)


def _heads(heads: Sequence[tuple[str, float]], margin: int) -> list[dict[str, Any]]:
    look = {"xref": "paper", "xanchor": "left", "xshift": -margin + 2, "align": "left"}
    return [base.note(f"<b>{chart_label(name)}</b>", 0, y, **look) for name, y in heads]


def _table(facts: Facts, rows: Mapping[tuple[str, str, str], Row], shown: Sequence[Arm]) -> base.Table:
    t = facts.t
    header = [t.text(f"column.{name}") for name in ("area", "part", "arm")]
    header += [t.text(f"meters.column.{name}") for name in ("energy", "share", "value")]
    lines = []
    for area in dict.fromkeys(area for _, area, _ in rows):
        for part in ("used", *PARTS):
            for arm in shown:
                row = rows[arm.name, area, part]
                value = "" if row["value_inr"] is None else numbers.rupees(row["value_inr"]).indian
                share = numbers.number(row["percent_of_used"] or 0.0, 3)
                energy = numbers.number(row["energy_mwh"], 1)
                names = (facts.area_name(area), t.text(f"meters.part.{part}"), label(facts, arm))
                lines.append((*names, energy, share, value))
    return base.Table(t.text("fig14c.caption"), header, lines, frozenset({3, 4, 5}))
