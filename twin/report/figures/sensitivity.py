"""Figure 10: which assumption matters most, one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.report import numbers
from twin.report.answer import lead_effect
from twin.report.catalogue import wrapped_label
from twin.report.effects import Effect
from twin.report.facts import Facts, literal
from twin.report.figures import base

ROW_PX = 36
MOST_ROWS = 12
Row = Mapping[str, Any]


def build(facts: Facts) -> base.Figure | None:
    """Bars from the central value to each end of every swept setting; None without a sweep."""
    effect = lead_effect(facts)
    if effect is None:
        return None
    arm = literal(facts.arm(effect.arm).base)
    rows = facts.rows(
        f"select * from sensitivity where outcome = {literal(effect.outcome)} and arm = {arm} "
        "order by abs(value_high - value_low) desc, parameter"
    )
    if not rows:
        return None
    shown = rows[:MOST_ROWS]
    first = facts.parameter_name(rows[0]["parameter"])
    label, outcome = facts.arm(effect.arm).label, facts.t.name("outcome", effect.outcome)
    low, high = _value(rows[0]["value_low"]), _value(rows[0]["value_high"])
    names = ("parameter", "low_setting", "high_setting", "value_at_low", "value_at_high", "confidence")
    return base.Figure(
        number="10",
        title=facts.t.text("fig10.title", parameter=first),
        subtitle=facts.t.text("fig10.subtitle", arm=label, unit=effect.unit, outcome=outcome),
        alt=facts.t.text("fig10.alt", parameter=first, low=low, high=high),
        help=[facts.t.text("fig10.help")],
        table=base.Table(
            facts.t.text("fig10.caption"),
            [facts.t.text(f"column.{name}") for name in names],
            [_line(facts, row) for row in rows],
            frozenset({1, 2, 3, 4}),
        ),
        csv_header=("outcome", "arm", "parameter", "low", "high", "value_low", "value_high", "confidence"),
        csv_rows=[
            tuple(
                row[name]
                for name in ("outcome", "arm", "parameter", "low", "high", "value_low", "value_high", "confidence")
            )
            for row in rows
        ],
        charts=[_chart(facts, effect, shown)],
        keys=[
            base.Key(base.bar_sample("#FFFFFF", base.INK), facts.t.text("key.low_setting")),
            base.Key(base.bar_sample("#8C8C8C", base.INK), facts.t.text("key.high_setting")),
        ],
    )


def _line(facts: Facts, row: Row) -> tuple[str, ...]:
    return (
        facts.parameter_name(row["parameter"]),
        *(_setting(row[name]) for name in ("low", "high")),
        *(_value(row[name]) for name in ("value_low", "value_high")),
        facts.t.name("confidence", row["confidence"]),
    )


def _setting(value: float) -> str:
    return f"{value:g}".replace("-", numbers.MINUS)


def _value(value: float) -> str:
    return numbers.number(value, max(numbers.decimals_for_figures(value), 0), signed=True)


def _chart(facts: Facts, effect: Effect, rows: Sequence[Row]) -> base.Chart:
    central = _central(facts, effect)
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
    labels = _labels(facts, rows, 19)
    look = base.layout(
        (140, 12, 8, 44),
        barmode="overlay",
        xaxis=base.axis(facts.t.text("fig10.axis", unit=effect.unit), range=[low, high], nticks=6),
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
    room = (high - low) * 0.2
    narrow = {
        "margin": look["margin"] | {"l": 104},
        "xaxis": look["xaxis"] | {"nticks": 4, "range": [low - room, high + room]},
        "yaxis": look["yaxis"] | {"ticktext": _labels(facts, rows, 14)},
    }
    return base.Chart(data, look, height, narrow, height)


def _central(facts: Facts, effect: Effect) -> float:
    """Effect at the middle of the sweep: the lower median over the sweep points of the same arm."""
    base_name = facts.arm(effect.arm).base
    found = [facts.effect(effect.outcome, arm.name, effect.area) for arm in facts.arms if arm.base == base_name]
    values = sorted(one.value for one in found if one is not None)
    return values[(len(values) - 1) // 2]


def _labels(facts: Facts, rows: Sequence[Row], width: int) -> list[str]:
    return [
        wrapped_label(facts.parameter_name(row["parameter"]) + ("*" if row["confidence"] == "assumed" else ""), width)
        for row in rows
    ]
