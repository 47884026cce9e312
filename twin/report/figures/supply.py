"""Figure 13: how long consumers are without supply, and when demand is not served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from twin.report import numbers
from twin.report.facts import Arm, Facts, exact_sum
from twin.report.figures import base
from twin.report.figures.worlds import COLOURS, DASHES, SVG_DASHES, cases, in_cases, label, worlds

MEASURES = ("supplied", "saifi", "saidi", "maifi", "unserved")
KINDS = ("all", "rural", "urban")
DECIMALS = {"supplied": 2, "saifi": 2, "saidi": 2, "maifi": 2, "unserved": 1}
CSV = ("arm", "area", "feeders", "measure", "value", "low", "high", "unit")
Rows = Mapping[tuple[str, str, str, str], Mapping[str, Any]]


def build(facts: Facts) -> base.Figure | None:
    """Unserved power through the day, one line per sweep point; None where supply is never interrupted."""
    found = facts.rows("select * from reliability order by arm, area, feeders, measure")
    if not found:
        return None
    rows: Rows = {(row["arm"], row["area"], row["feeders"], row["measure"]): row for row in found}
    arms = shown(facts, rows)
    hours = {kind: rows.get((facts.reference.name, "state", kind, "supplied")) for kind in KINDS}
    values = {kind: numbers.number(row["value"], 1) for kind, row in hours.items() if row}
    both = "fig13.title" if {"rural", "urban"} <= set(values) else "fig13.title.all"
    return base.Figure(
        number="13",
        title=facts.t.text(both, **{"rural": "", "urban": ""} | values),
        subtitle=facts.t.text("fig13.subtitle", area=facts.area_name("state")),
        alt=" ".join(_sentence(facts, rows, arm) for arm in arms),
        help=[facts.t.text("fig13.help"), facts.t.text("fig13.published"), *(_sentence(facts, rows, a) for a in arms)],
        table=_table(facts, rows, arms),
        csv_header=CSV,
        csv_rows=[tuple(row[name] for name in CSV) for row in found],
        csv_table="reliability",
        charts=[_chart(facts, arms)],
        keys=[
            base.Key(base.line_sample(COLOURS[i], SVG_DASHES[i]), label(facts, arm)) for i, arm in enumerate(arms)
        ] if len(arms) > 1 else [],
    )  # fmt: skip


def shown(facts: Facts, rows: Rows) -> list[Arm]:
    """The first arm at every sweep point: all arms live through the same interruptions."""
    return [arm for arm in worlds(facts) if (arm.name, "state", "all", "supplied") in rows]


def _sentence(facts: Facts, rows: Rows, arm: Arm) -> str:
    """What consumers lived through under an arm."""
    state = {name: rows[arm.name, "state", "all", name] for name in MEASURES}
    words = {name: numbers.number(row["value"], DECIMALS[name]) for name, row in state.items()}
    where = f"from system where {in_cases(facts, arm)}"
    sums = facts.rows(f"select {exact_sum('unserved_mw')} as unserved, {exact_sum('used_mw')} as used {where}")[0]
    share = numbers.percent(100.0 * sums["unserved"] / (sums["unserved"] + sums["used"]))
    energy = numbers.number(sums["unserved"] * facts.step_hours / len(cases(facts, arm)))
    return facts.t.text("fig13.sentence", arm=label(facts, arm), energy=energy, share=share, **words)


def _chart(facts: Facts, arms: list[Arm]) -> base.Chart:
    data, most = [], 1.0
    for i, arm in enumerate(arms):
        day = facts.columns(
            f"select epoch(interval_start::time) / 3600 as hour, {exact_sum('unserved_mw')} / count(*) as mw "
            f"from system where {in_cases(facts, arm)} group by 1 order by 1"
        )
        most = max(most, float(np.max(day["mw"])))
        data.append({
            "type": "scatter", "mode": "lines", "x": base.rounded(list(day["hour"]), 3),
            "y": base.rounded(list(day["mw"]), 2), "hoverinfo": "x+y", "name": label(facts, arm),
            "line": {"color": COLOURS[i], "dash": DASHES[i], "width": 2},
        })  # fmt: skip
    look = base.layout(
        (56, 14, 8, 44),
        xaxis=base.axis(facts.t.text("axis.hour"), range=[0, 24], tickvals=list(range(0, 25, 3))),
        yaxis=base.axis(facts.t.text("axis.unserved_mw"), range=[0, most * 1.08], nticks=6),
    )
    return base.Chart(data, look, 280, {}, 260, print_height=220)


def _table(facts: Facts, rows: Rows, arms: list[Arm]) -> base.Table:
    """Measures by area and kind of feeder, a column per arm."""
    areas = sorted({area for _, area, _, _ in rows}, key=lambda area: (area != "state", area))
    header = [facts.t.text(f"column.{name}") for name in ("area", "feeders", "measure")]
    header += [label(facts, arm) for arm in arms]
    lines = []
    for area in areas:
        for kind in KINDS:
            for measure in MEASURES:
                cells = [_cell(rows.get((arm.name, area, kind, measure))) for arm in arms]
                if any(cells):
                    names = (facts.area_name(area), facts.t.text(f"feeders.{kind}"), facts.t.text(f"supply.{measure}"))
                    lines.append((*names, *cells))
    return base.Table(facts.t.text("fig13.caption"), header, lines, frozenset(range(3, len(header))))


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    decimals = DECIMALS[row["measure"]]
    value = numbers.number(row["value"], decimals)
    return value if row["low"] is None else f"{value} ({numbers.span(row['low'], row['high'], decimals)})"
