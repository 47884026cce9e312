"""Rows of dots with lines of uncertainty under them: the form of every effect in the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twin.report import numbers
from twin.report.catalogue import Catalogue, chart_label, clean, wrapped_label
from twin.report.effects import Effect, Interval
from twin.report.facts import Arm
from twin.report.figures import base

HEAD_PX, ROW_PX, DOT_PX, LINE_PX = 24, 30, 10, 6
MARGIN_TOP, MARGIN_BOTTOM = 4, 40
PRINT_SCALE = 0.56
"""Rows stand closer on paper, so that page one holds figure 1."""
KIND_LINES: dict[str, dict[str, Any]] = {
    "sampling": {"color": "#8C8C8C", "width": 1.5, "dash": "1px,3px"},
    "simulation": {"color": "#595959", "width": 1.5, "dash": "5px,3px"},
    "range": {"color": "#1A1A1A", "width": 1.2, "dash": "solid"},
    "parameter": {"color": "#1A1A1A", "width": 4, "dash": "solid"},
    "draws_and_parameters": {"color": "#1A1A1A", "width": 4, "dash": "solid"},
}
"""Mark of each kind of uncertainty, in the order they stand under a dot."""
KIND_SAMPLES = {
    "sampling": base.line_sample("#8C8C8C", "1 3", 1.5),
    "simulation": base.line_sample("#595959", "5 3", 1.5),
    "range": base.line_sample("#1A1A1A", "", 1.2),
    "parameter": base.line_sample("#1A1A1A", "", 4),
    "draws_and_parameters": base.line_sample("#1A1A1A", "", 4),
}


@dataclass(frozen=True)
class Row:
    """One effect in a panel: under a head (shown once), labelled by its arm, the value in words at the right."""

    head: str
    arm: Arm
    effect: Effect
    words: str
    words_narrow: str
    draws: Sequence[float] = field(default=())
    """Value of every replicate where the run's tables give it; drawn as ticks."""


@dataclass(frozen=True)
class _Placed:
    row: Row
    y: float


def panel(rows: Sequence[Row], x_title: str, floor: float, least: float) -> base.Chart:
    """A chart of rows grouped by their head.

    Parameters
    ----------
    rows : sequence of Row
        In order; consecutive rows with one head are one group. All effects in the axis' unit.
    x_title : str
        Title of the axis, at most 24 characters.
    floor : float
        Half-width of the grey strip of changes the report calls none (0: no strip), in the axis' unit.
    least : float
        Least reach of the axis on each side of zero, in the axis' unit.
    """
    placed, heads, bottom = _place(rows)
    ends = [end for row in rows for end in _reach(row)]
    low, high = base.nice_range(min(ends, default=0), max(ends, default=0), least)
    shapes = [base.rule(0, 0, 0, bottom, line={"color": base.INK, "width": 1.2})]
    if floor > 0:
        shapes.insert(0, base.box(-floor, floor, 0, bottom, base.FLOOR))
    data = _interval_traces(placed) + [_draw_ticks(placed), *_dots(placed)]
    arm_y = [entry.y for entry in placed]
    look = base.layout(
        (118, 196, MARGIN_TOP, MARGIN_BOTTOM),
        xaxis=base.axis(x_title, range=[low, high], nticks=7),
        yaxis=base.axis(
            range=[bottom, 0],
            showgrid=False,
            ticks="",
            tickvals=arm_y,
            ticktext=[wrapped_label(entry.row.arm.label, 16) for entry in placed],
            showline=False,
        ),
        shapes=shapes,
        annotations=_head_notes(heads, 118, 72) + [_value_note(entry.row.words, entry.y) for entry in placed],
    )
    narrow = {
        "margin": look["margin"] | {"l": 92, "r": 78},
        "xaxis": look["xaxis"] | {"nticks": 4},
        "yaxis": look["yaxis"] | {"ticktext": [wrapped_label(entry.row.arm.label, 12) for entry in placed]},
        "annotations": _head_notes(heads, 92, 38) + [_value_note(entry.row.words_narrow, entry.y) for entry in placed],
    }
    margins = MARGIN_TOP + MARGIN_BOTTOM
    height, printed = round(bottom) + margins, round(bottom * PRINT_SCALE) + margins
    return base.Chart([t for t in data if t["x"]], look, height, narrow, height, print_height=printed)


def _place(rows: Sequence[Row]) -> tuple[list[_Placed], list[tuple[str, float]], float]:
    placed, heads, y = [], [], 0.0
    previous = ""
    for row in rows:
        if row.head != previous:
            heads.append((row.head, y + HEAD_PX / 2))
            y += HEAD_PX
            previous = row.head
        placed.append(_Placed(row, y + DOT_PX))
        y += max(ROW_PX, DOT_PX + LINE_PX * (len(row.effect.intervals) + 1))
    return placed, heads, y


def _reach(row: Row) -> list[float]:
    return [row.effect.value, *row.draws, *(end for part in row.effect.intervals for end in (part.low, part.high))]


def _ordered(effect: Effect) -> list[Interval]:
    order = list(KIND_LINES)
    return sorted(effect.intervals, key=lambda interval: order.index(interval.kind))


def _interval_traces(placed: Sequence[_Placed]) -> list[dict[str, Any]]:
    traces = []
    for kind, line in KIND_LINES.items():
        x: list[float | None] = []
        y: list[float | None] = []
        for entry in placed:
            for position, interval in enumerate(_ordered(entry.row.effect)):
                if interval.kind == kind:
                    level = _line_y(entry.y, position)
                    x += [interval.low, interval.high, None]
                    y += [level, level, None]
        trace = {"type": "scatter", "mode": "lines", "x": base.rounded(x, 4), "y": y, "line": line, "name": kind}
        traces.append(trace | {"hoverinfo": "x", "cliponaxis": False})
    return traces


def _line_y(dot_y: float, position: int) -> float:
    return dot_y + 4 + LINE_PX * (position + 1)


def _draw_ticks(placed: Sequence[_Placed]) -> dict[str, Any]:
    """Every replicate as a tick on the range line; where they are not known, its two ends."""
    x, y = [], []
    for entry in placed:
        for position, interval in enumerate(_ordered(entry.row.effect)):
            if interval.kind == "range":
                ticks = list(entry.row.draws) or [interval.low, interval.high]
                x += ticks
                y += [_line_y(entry.y, position)] * len(ticks)
    marker = {"symbol": "line-ns", "size": 7, "line": {"color": base.INK, "width": 1.5}, "opacity": 1}
    return {"type": "scatter", "mode": "markers", "x": base.rounded(x, 4), "y": y, "marker": marker, "hoverinfo": "x"}


def _dots(placed: Sequence[_Placed]) -> list[dict[str, Any]]:
    traces = []
    for arm in dict.fromkeys(entry.row.arm for entry in placed):
        own = [entry for entry in placed if entry.row.arm == arm]
        hollow = [entry.row.effect.of_draws is None for entry in own]
        marker = {
            "symbol": arm.marker,
            "size": 11,
            "opacity": 1,
            "color": ["#FFFFFF" if empty else arm.colour for empty in hollow],
            "line": {"color": arm.colour, "width": 2},
        }
        trace = {"type": "scatter", "mode": "markers", "marker": marker, "hoverinfo": "x+name"}
        x = base.rounded([entry.row.effect.value for entry in own], 4)
        name = chart_label(arm.label).replace("%{", "% {")
        traces.append(trace | {"x": x, "y": [entry.y for entry in own], "name": name, "cliponaxis": False})
    return traces


def _head_notes(heads: Sequence[tuple[str, float]], margin: int, most: int) -> list[dict[str, Any]]:
    look = {"xref": "paper", "xanchor": "left", "xshift": -margin + 2, "align": "left"}
    return [base.note(f"<b>{chart_label(clean(text, most))}</b>", 0, y, **look) for text, y in heads]


def _value_note(words: str, y: float) -> dict[str, Any]:
    return base.note(chart_label(words), 1, y, xref="paper", xanchor="left", xshift=8, align="left")


def value_words(effect: Effect, unit: str, catalogue: Catalogue) -> tuple[str, str]:
    """Value with interval for the right edge of a row, and the short form for narrow screens."""
    interval = effect.best
    low, high = (interval.low, interval.high) if interval else (None, None)
    decimals = numbers.decimals_for(effect.value, low, high)
    value = numbers.with_unit(numbers.number(effect.value, decimals, signed=True), unit)
    if interval is None:
        return catalogue.text("rows.one_draw", value=value), value
    ends = numbers.span(interval.low, interval.high, decimals, signed=True)
    return f"{value} ({ends})", value


def keys(rows: Sequence[Row], catalogue: Catalogue, floor: bool) -> list[base.Key]:
    """Key of the arms, the kinds of uncertainty that occur, hollow dots and the floor."""
    arms = {row.arm.base: row.arm for row in reversed(rows)}
    several = len({row.arm.label for row in rows}) > len(arms)
    entries = [
        base.Key(base.dot_sample(arm.colour, arm.marker), clean(arm.base, 40) if several else arm.label)
        for arm in sorted(arms.values(), key=lambda arm: arm.index)
    ]
    kinds = {interval.kind: interval.replicates for row in rows for interval in row.effect.intervals}
    for kind, sample in KIND_SAMPLES.items():
        if kind in kinds:
            entries.append(base.Key(sample, catalogue.text(f"key.{kind}", n=kinds[kind])))
    if any(row.effect.of_draws is None for row in rows):
        entries.append(base.Key(base.dot_sample(base.INK, hollow=True), catalogue.text("key.one_draw")))
    if floor:
        entries.append(base.Key(base.bar_sample(base.FLOOR, "#BDBDBD"), catalogue.text("key.floor")))
    return entries
