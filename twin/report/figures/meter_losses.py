"""Figure 14c: energy that meters did not show or that was billed wrongly, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.analysis.left_out import has_devices
from twin.report import numbers
from twin.report.facts import Arm, Facts
from twin.report.figures import base
from twin.report.figures.world_bars import Bar, Group, chart
from twin.report.figures.worlds import label, worlds

PARTS = ("theft", "unrecorded", "error", "estimate")
FILLS = {"theft": "#882255", "unrecorded": "#AA4499", "error": "#8A6D00", "estimate": "#8A6D00"}
CSV = ("arm", "area", "part", "energy_mwh", "percent_of_used", "value_inr")
Row = Mapping[str, Any]


def build(facts: Facts) -> base.Figure | None:
    """What meters and bills miss, as bars by part and world, with its worth; None where meters are not devices."""
    if not has_devices(facts.scenario):
        return None
    rows = facts.rows("select * from meter_losses order by arm, area <> 'state', area, part")
    by_key = {(row["arm"], row["area"], row["part"]): row for row in rows}
    area = shown_area(facts)
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


def shown_area(facts: Facts) -> str:
    """The area that is told of: the first resolved district, else the state."""
    return next((f"district:{name}" for name in facts.resolved_districts), "state")


def _title(facts: Facts, totals: Sequence[Sequence[Row]]) -> str:
    shares = [sum(row["percent_of_used"] or 0.0 for row in rows) for rows in totals]
    if len(totals) > 1:
        ends = {numbers.number(share, 2) for share in shares}
        one = numbers.with_unit(numbers.number(shares[0], 2), "%")
        span = numbers.span(min(shares), max(shares), 2, "%") if len(ends) > 1 else one
        return facts.t.text("fig14c.title.many", share=span)
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
    """Bars by part and world, with their worth."""
    groups = [
        Group(
            facts.t.text(f"meters.part.{part}"),
            FILLS[part],
            [
                Bar(arm, float(rows[k]["percent_of_used"] or 0.0), numbers.rupees(rows[k]["value_inr"]).indian)
                for arm, rows in totals.items()
            ],
        )
        for k, part in enumerate(PARTS)
    ]
    values = [bar.value for group in groups for bar in group.bars]
    low, high = base.nice_range(min(values), max(values), 0.0)
    ends = (low if min(values) < 0 else 0.0, high)
    return chart(facts, groups, facts.t.text("axis.percent_of_used"), ends)


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
