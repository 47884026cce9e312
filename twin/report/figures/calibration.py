"""Figure 11: the twin beside published figures, misses in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.analysis.calibration import is_met, tolerance
from twin.report import numbers
from twin.report.catalogue import clean, wrapped_label
from twin.report.causes import cause, side
from twin.report.facts import Facts
from twin.report.figures import base

ROW_PX = 34
STRIPS = ((10.0, "#F2F2F2"), (5.0, "#E2E2E2"))
HOURS = ("h", "hour")
BY_DIFFERENCE = (*HOURS, "percent")
"""Units compared by difference; all others as per cent of the published value."""
Row = Mapping[str, Any]


def build(facts: Facts) -> base.Figure | None:
    """Dots beside published ranges, fitted apart from held out, recalled below a rule; None without rows."""
    rows = facts.rows("select * from calibration order by id")
    if not rows:
        return None
    rows = sorted(rows, key=lambda row: (row["confidence"] == "recalled", row["id"]))
    relative = [row for row in rows if row["unit"] not in BY_DIFFERENCE]
    difference = [row for row in rows if row["unit"] in BY_DIFFERENCE]
    misses = [row for row in rows if not is_met(row)]
    charts = [_chart(facts, part, form) for part, form in ((relative, True), (difference, False)) if part]
    names = ("quantity", "period", "unit", "published", "twin", "sampling", "use", "own_limit", "verdict", "confidence")
    return base.Figure(
        number="11",
        title=_title(facts, rows),
        subtitle=facts.t.text("fig11.subtitle", area=facts.area_name("state")),
        alt=facts.t.text(
            "fig11.alt", all=len(rows), misses="; ".join(_name(facts, r) for r in misses) or facts.t.text("value.none")
        ),
        help=[facts.t.text("fig11.help"), *_verdicts(facts, rows)],
        table=base.Table(
            facts.t.text("fig11.caption"),
            [facts.t.text(f"column.{name}") for name in names],
            [_line(facts, row) for row in rows],
            frozenset({3, 4, 5}),
        ),
        csv_header=CSV,
        csv_rows=[tuple(row[name] for name in CSV) for row in rows],
        charts=charts,
        keys=[
            base.Key(base.dot_sample(base.INK), facts.t.text("key.fitted")),
            base.Key(base.dot_sample(base.INK, hollow=True), facts.t.text("key.held_out")),
            base.Key(base.bar_sample("#A6A6A6"), facts.t.text("key.published")),
            base.Key(base.bar_sample("#E2E2E2", "#BDBDBD"), facts.t.text("key.strips")),
            base.Key(base.line_sample("#8C8C8C", "1 3", 1.5), facts.t.text("key.sampling", n=0)),
        ],
    )


CSV = (
    "id", "quantity", "period", "unit", "target_low", "target_high", "value", "low", "high", "fitted", "confidence",
)  # fmt: skip


def _title(facts: Facts, rows: Sequence[Row]) -> str:
    """How many lie within their limits, fitted and held out apart: only those held out test the twin."""
    counts: dict[str, int] = {}
    for name, fitted in (("fitted", True), ("held_out", False)):
        those = [row for row in rows if row["fitted"] is fitted]
        counts |= {name: len(those), f"{name}_met": sum(is_met(row) for row in those)}
    return facts.t.text("fig11.title", **counts)


def _limit(facts: Facts, row: Row) -> str:
    limit, kind = tolerance(row)
    return facts.t.text(f"fig11.limit.{kind}", limit=f"{100 * limit if kind == 'relative' else limit:g}")


def _middle(row: Row) -> float:
    return (row["target_low"] + row["target_high"]) / 2


def _on_axis(row: Row, value: float, relative: bool) -> float:
    return value / _middle(row) * 100 if relative else value - _middle(row)


def _chart(facts: Facts, rows: Sequence[Row], relative: bool) -> base.Chart:
    y = [place * ROW_PX + ROW_PX / 2 for place in range(len(rows))]
    bottom = ROW_PX * len(rows)
    points = [_on_axis(row, row["value"], relative) for row in rows]
    bounds = [end for row in rows for end in (row["target_low"], row["target_high"], row["low"], row["high"])]
    owners = [row for row in rows for _ in range(4)]
    ends = [_on_axis(row, end, relative) for row, end in zip(owners, bounds, strict=True) if end is not None]
    centre = 100.0 if relative else 0.0
    reach = max(abs(value - centre) for value in [*points, *ends])
    reach = max(reach * 1.1, 12.0 if relative else 2.0)
    shapes = []
    if relative:
        shapes += [base.box(centre - wide, centre + wide, 0, bottom, fill) for wide, fill in STRIPS]
    for row, level in zip(rows, y, strict=True):
        low, high = (_on_axis(row, row[name], relative) for name in ("target_low", "target_high"))
        least = reach / 90
        fill = "#A6A6A6" if row["confidence"] != "recalled" else "#CFCFCF"
        shapes.append(base.box(min(low, centre - least), max(high, centre + least), level - 9, level + 9, fill))
    recalled = sum(row["confidence"] == "recalled" for row in rows)
    if 0 < recalled < len(rows):
        level = (len(rows) - recalled) * ROW_PX
        shapes.append(base.rule(0, 1, level, level, xref="paper", line={"color": base.MUTED, "width": 1}))
    look = base.layout(
        (150, 92, 6, 44),
        xaxis=base.axis(
            facts.t.text("axis.of_published" if relative else "axis.difference"),
            range=[centre - reach, centre + reach],
            nticks=6,
        ),
        yaxis=base.axis(
            range=[bottom, 0],
            tickvals=y,
            ticktext=[wrapped_label(_name(facts, row), 20) for row in rows],
            showgrid=False,
            ticks="",
        ),
        shapes=shapes,
        annotations=[
            base.note(_value(facts, row), 1, level, xref="paper", xanchor="left", xshift=8)
            for row, level in zip(rows, y, strict=True)
        ],
    )
    height = bottom + 50
    narrow = {
        "margin": look["margin"] | {"l": 122, "r": 84},
        "xaxis": look["xaxis"] | {"nticks": 4},
        "yaxis": look["yaxis"] | {"ticktext": [wrapped_label(_name(facts, row), 16) for row in rows]},
    }
    return base.Chart(_traces(rows, y, points, relative), look, height, narrow, height)


def _traces(rows: Sequence[Row], y: Sequence[float], points: Sequence[float], relative: bool) -> list[dict[str, Any]]:
    lines: list[float | None] = []
    levels: list[float | None] = []
    for row, level in zip(rows, y, strict=True):
        if row["low"] is not None and row["high"] is not None and row["low"] < row["high"]:
            lines += [_on_axis(row, row["low"], relative), _on_axis(row, row["high"], relative), None]
            levels += [level + 12, level + 12, None]
    line = {"color": "#8C8C8C", "width": 1.5, "dash": "1px,3px"}
    colours = ["#8C8C8C" if row["confidence"] == "recalled" else base.INK for row in rows]
    marker = {
        "size": 11,
        "opacity": 1,
        "color": [colour if row["fitted"] else "#FFFFFF" for row, colour in zip(rows, colours, strict=True)],
        "line": {"color": colours, "width": 2},
    }
    dots = {"type": "scatter", "mode": "markers", "x": base.rounded(points, 3), "y": list(y), "marker": marker}
    traces = [dots | {"hoverinfo": "x"}]
    if lines:
        own = {"type": "scatter", "mode": "lines", "x": base.rounded(lines, 3), "y": levels, "line": line}
        traces.insert(0, own | {"hoverinfo": "x"})
    return traces


def _name(facts: Facts, row: Row) -> str:
    """Short name of a published figure for chart rows and sentences; the table has it in full."""
    key = f"calibration.name.{row['id']}"
    return facts.t.text(key) if facts.t.has(key) else clean(row["quantity"])


def _value(facts: Facts, row: Row) -> str:
    return numbers.with_unit(shown(row, row["value"], _decimals(row)), unit_words(facts, row))


def shown(row: Row, value: float, decimals: int) -> str:
    """A value of a row as read: an hour of the day as a clock time (24:30 is half past midnight), else a number."""
    if row["unit"] not in HOURS:
        return numbers.number(value, decimals)
    minutes = round(value * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def unit_words(facts: Facts, row: Row) -> str:
    """The unit a row's values are read in."""
    if row["unit"] in HOURS:
        return facts.t.text("unit.clock")
    return clean(facts.t.name("unit", row["unit"]), 12)


def _decimals(row: Row) -> int:
    return min(max(numbers.decimals_for(row["value"], row["low"], row["high"]), 0), 2)


def _line(facts: Facts, row: Row) -> tuple[str, ...]:
    decimals = max(numbers.decimals_for_figures(max(abs(row["target_low"]), 1e-9)), 0)
    ends = [shown(row, row[name], decimals) for name in ("target_low", "target_high")]
    published = ends[0] if ends[0] == ends[1] else facts.t.text("number.span", low=ends[0], high=ends[1])
    sampled = row["low"] is not None and row["high"] is not None
    return (
        facts.t.data(row["quantity"]),
        facts.t.data(row["period"]),
        unit_words(facts, row),
        published,
        shown(row, row["value"], _decimals(row)),
        numbers.span(row["low"], row["high"], _decimals(row)) if sampled else facts.t.text("value.not_estimated"),
        facts.t.text("use.fitted" if row["fitted"] else "use.held_out"),
        _limit(facts, row),
        facts.t.text("calibration.met" if is_met(row) else "calibration.missed"),
        facts.t.name("confidence", row["confidence"]),
    )


def _verdicts(facts: Facts, rows: Sequence[Row]) -> list[str]:
    """A sentence with its cause for every miss; one for rows outside their range but within their limit, one for the
    rows inside: what they are is in the table.
    """
    lines = [_miss(facts, row) for row in rows if not is_met(row)]
    outside = [_name(facts, row) for row in rows if is_met(row) and side(row) != "inside"]
    inside = [_name(facts, row) for row in rows if side(row) == "inside"]
    if outside:
        lines.append(facts.t.text("fig11.near", names=", ".join(dict.fromkeys(outside))))
    if inside:
        lines.append(facts.t.text("fig11.within", names=", ".join(inside)))
    return lines


def _miss(facts: Facts, row: Row) -> str:
    published = numbers.with_unit(_line(facts, row)[3], unit_words(facts, row))
    key = f"fig11.miss.{side(row)}"
    words = facts.t.text(key, quantity=_name(facts, row), value=_value(facts, row), published=published)
    return f"{words} {cause(facts, row, _decimals(row))}"
