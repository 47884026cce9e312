"""Figure 10: which assumption matters most, one at a time, for the headline outcomes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twin.analysis.sensitivity import middle_point
from twin.report import numbers
from twin.report.answer import lead_effect
from twin.report.catalogue import wrapped_label
from twin.report.effects import Effect
from twin.report.facts import Facts, literal
from twin.report.figures import base
from twin.units import INR_PER_CRORE

ROW_PX, NARROW_ROW_PX = 36, 68
MOST_ROWS, MOST_FURTHER_ROWS = 12, 5
FURTHER = ("purchase_cost", "revenue", "energy_saved")
"""Outcomes that follow the one the report leads with, as far as the run has them."""
CSV_HEADER = ("outcome", "arm", "parameter", "low", "high", "value_low", "value_high", "confidence")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Tornado:
    """Swept settings of one outcome, the one that spans most first, in the unit that is drawn."""

    outcome: str
    unit: str
    central: float
    """Effect with every setting at its middle value."""
    rows: Sequence[Row]


def build(facts: Facts) -> base.Figure | None:
    """Bars from the central value to each end of every swept setting, outcome by outcome; None without a sweep."""
    effect = lead_effect(facts)
    if effect is None:
        return None
    arm = facts.arm(effect.arm)
    outcomes = dict.fromkeys((effect.outcome, *FURTHER))
    found = [one for outcome in outcomes if (one := _tornado(facts, outcome, arm.base, effect)) is not None]
    if not found or found[0].outcome != effect.outcome:
        return None
    lead = found[0].rows
    first = facts.parameter_name(lead[0]["parameter"])
    names = ("outcome", "parameter", "low_setting", "high_setting", "value_at_low", "value_at_high", "confidence")
    return base.Figure(
        number="10",
        title=facts.t.text("fig10.title", parameter=first),
        subtitle=facts.t.text("fig10.subtitle", arm=arm.clean_base, outcome=facts.t.name("outcome", effect.outcome)),
        alt=facts.t.text(
            "fig10.alt", parameter=first, low=_value(lead[0]["value_low"]), high=_value(lead[0]["value_high"])
        ),
        help=[facts.t.text("fig10.help")],
        table=base.Table(
            facts.t.text("fig10.caption"),
            [facts.t.text(f"column.{name}") for name in names],
            [_line(facts, one, row) for one in found for row in one.rows],
            frozenset({2, 3, 4, 5}),
        ),
        csv_header=CSV_HEADER,
        csv_rows=[
            tuple(row[name] for name in CSV_HEADER) for one in found for row in _rows(facts, arm.base, one.outcome)
        ],
        charts=[_chart(facts, one, MOST_FURTHER_ROWS if place else MOST_ROWS) for place, one in enumerate(found)],
        keys=[
            base.Key(base.bar_sample("#FFFFFF", base.INK), facts.t.text("key.low_setting")),
            base.Key(base.bar_sample("#8C8C8C", base.INK), facts.t.text("key.high_setting")),
        ],
    )


def _rows(facts: Facts, arm: str, outcome: str) -> Sequence[Row]:
    """Rows of table ``sensitivity`` in the table's own unit, the widest span first."""
    return facts.rows(
        f"select * from sensitivity where outcome = {literal(outcome)} and arm = {literal(arm)} "
        "order by abs(value_high - value_low) desc, parameter"
    )


def _tornado(facts: Facts, outcome: str, arm: str, lead: Effect) -> Tornado | None:
    rows = _rows(facts, arm, outcome)
    middle = middle_point([json.loads(case["sweep"] or "{}") for case in facts.cases])
    at_middle = next(one for one in facts.arms if one.base == arm and json.loads(one.sweep or "{}") == middle)
    effect = facts.effect(outcome, at_middle.name, lead.area)
    if not rows or effect is None:
        return None
    unit, scale = effect.unit, 1.0
    if unit == "INR":
        unit, scale = facts.t.text("unit.crore"), 1.0 / INR_PER_CRORE
    scaled = [dict(row) | {end: row[end] * scale for end in ("value_low", "value_high")} for row in rows]
    return Tornado(outcome, unit, effect.value * scale, scaled)


def _line(facts: Facts, one: Tornado, row: Row) -> tuple[str, ...]:
    return (
        f"{facts.t.name('outcome', one.outcome)}, {one.unit}",
        facts.parameter_name(row["parameter"]),
        *(_setting(row[name]) for name in ("low", "high")),
        *(_value(row[name]) for name in ("value_low", "value_high")),
        facts.t.name("confidence", row["confidence"]),
    )


def _setting(value: float) -> str:
    return f"{value:g}".replace("-", numbers.MINUS)


def _value(value: float) -> str:
    return numbers.number(value, max(numbers.decimals_for_figures(value), 0), signed=True)


def _chart(facts: Facts, one: Tornado, most: int) -> base.Chart:
    rows, central = one.rows[:most], one.central
    ends = [row[name] for row in rows for name in ("value_low", "value_high")]
    low, high = base.nice_range(min([*ends, central]), max([*ends, central]), 0.0, room=0.2)
    data = []
    for name, fill in (("value_low", "#FFFFFF"), ("value_high", "#8C8C8C")):
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "x": base.rounded([row[name] - central for row in rows], 4),
                "base": [round(central, 4)] * len(rows),
                "y": list(range(len(rows))),
                "width": 0.55,
                "marker": {"color": fill, "line": {"color": base.INK, "width": 1}},
                "hoverinfo": "skip",
            }
        )
    notes = []
    for place, row in enumerate(rows):
        lower = "low" if row["value_low"] <= row["value_high"] else "high"
        for name in ("low", "high"):
            value, start = row[f"value_{name}"], row[name]
            side, shift = ("right", -4) if name == lower else ("left", 4)
            text = f"{_value(value)} ({_setting(start)})"
            notes.append(base.note(text, value, place, xanchor=side, xshift=shift, bgcolor="rgba(255,255,255,0.8)"))
    labels = _labels(facts, rows, 27, 2)
    look = base.layout(
        (182, 12, 8, 44),
        barmode="overlay",
        xaxis=base.axis(facts.t.text("fig10.axis", unit=one.unit), range=[low, high], nticks=6),
        yaxis=base.axis(
            range=[len(rows) - 0.4, -0.6], tickvals=list(range(len(rows))), ticktext=labels, showgrid=False, ticks=""
        ),
        shapes=[
            base.rule(0, 0, -0.6, len(rows) - 0.4, line={"color": base.INK, "width": 1, "dash": "dot"}),
            base.rule(central, central, -0.6, len(rows) - 0.4),
        ],
        annotations=notes,
    )
    height = len(rows) * ROW_PX + 64
    room = (high - low) * 0.35  # labels of the ends, which a narrow chart must hold too
    narrow = {
        "margin": look["margin"] | {"l": 104},
        "xaxis": look["xaxis"] | {"nticks": 4, "range": [low - room, high + room]},
        "yaxis": look["yaxis"] | {"ticktext": _labels(facts, rows, 16, 4)},
    }
    caption = facts.t.text("fig10.chart", outcome=facts.t.name("outcome", one.outcome), unit=one.unit)
    return base.Chart(data, look, height, narrow, len(rows) * NARROW_ROW_PX + 64, caption)


def _labels(facts: Facts, rows: Sequence[Row], width: int, most: int) -> list[str]:
    stars = ["*" if row["confidence"] == "assumed" else "" for row in rows]
    names = [facts.parameter_name(row["parameter"]) + star for row, star in zip(rows, stars, strict=True)]
    return [wrapped_label(name, width, most) for name in names]
