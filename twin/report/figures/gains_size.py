"""Figure 5: who gains and who loses, by size: bill at unchanged use, after response, and consumer surplus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twin.report import numbers
from twin.report.catalogue import chart_label, wrapped_label
from twin.report.effects import Effect
from twin.report.facts import Arm, Facts
from twin.report.figures import base
from twin.report.figures.gains import GAINS_CSV, Gain, gains_of, row_label, row_words, too_few
from twin.report.settings import setting

MEASURES = {"unchanged": "bill_unchanged", "response": "bill_response", "surplus": "surplus"}
"""Measures of table ``gains`` and their outcomes in table ``effects``."""
ARM_PX, HEAD_PX, AXIS_PX = 14, 24, 46
PRINT_SCALE = 0.72
PALE = 0.28
CUT = 0.95
"""Share of all bar ends that the axis holds."""


def build(facts: Facts) -> list[base.Figure]:
    """Two scales: LV consumers, and industry with HT in a figure of its own; none without the table."""
    found, arms = gains_of(facts)
    if not arms:
        return []
    large = {row["category"] for row in found if _is_industry(facts, row["category"])}
    parts = [("5", [row for row in found if row["category"] not in large])]
    parts.append(("5b", [row for row in found if row["category"] in large]))
    return [_size_figure(facts, number, own, arms) for number, own in parts if any(not too_few(row) for row in own)]


def _is_industry(facts: Facts, category: str) -> bool:
    return category.startswith("hts") or category in facts.industry


def _size_figure(facts: Facts, number: str, found: Sequence[Gain], arms: Sequence[Arm]) -> base.Figure:
    measures = [name for name in MEASURES if any(row["measure"] == name for row in found)]
    groups = sorted({(row["category"], row["income_class"]) for row in found}, key=lambda key: _rank(facts, key))
    cells = {(row["measure"], row["arm"], row["category"], row["income_class"]): row for row in found}
    limit, floor = _cut(found), float(setting("floors", "bill"))
    limit = max(limit, 2 * floor)
    chart = _size_chart(facts, measures, groups, arms, cells, limit)
    names = ("group", "arm", "measure", "mean", "interval", "kind", "p10", "p50", "p90")
    return base.Figure(
        number=number,
        title=facts.t.text("fig5.title" if number == "5" else "fig5.title.industry"),
        subtitle=facts.t.text("fig5.subtitle", area=facts.area_name("state"), reference=facts.reference.label),
        alt=_size_alt(facts, groups, arms, cells),
        help=[facts.t.text(f"fig5.{name}") for name in ("help", "surplus", "cut")] if number == "5" else [],
        table=base.Table(
            facts.t.text("fig5.caption"),
            [facts.t.text(f"column.{name}") for name in names],
            [_size_line(facts, arm, row) for arm in arms for row in found if row["arm"] == arm.name],
            frozenset({3, 4, 6, 7, 8}),
        ),
        csv_header=GAINS_CSV,
        csv_rows=[tuple(row[name] for name in GAINS_CSV) for row in found],
        charts=[chart],
        keys=[
            *(base.Key(base.dot_sample(arm.colour, arm.marker), arm.label) for arm in arms),
            base.Key(base.bar_sample("#D6D3E6", "#8C8C8C"), facts.t.text("key.spread")),
            base.Key(base.line_sample(base.INK, "", 2.5), facts.t.text(_doubt_key(facts), n=facts.replicates)),
        ],
    )


def _doubt_key(facts: Facts) -> str:
    return "key.mean.one" if facts.replicates == 1 else "key.mean.range" if facts.replicates <= 18 else "key.mean"


def _rank(facts: Facts, key: tuple[str, int]) -> tuple[int, int]:
    return facts.by_category({"category": key[0], "income_class": key[1]})


def _cut(found: Sequence[Gain]) -> float:
    """95th percentile of the bars' ends; bars beyond are cut, with an arrow and the value."""
    ends = [abs(row[name]) for row in found if not too_few(row) for name in ("p10", "p90")]
    return float(np.quantile(ends, CUT)) * 1.08 if ends else 0.0


def mean_effect(facts: Facts, row: Gain) -> Effect | None:
    """The effect row that carries the interval of a group's mean."""
    group = f"category/{row['category']}"
    if row["income_class"]:
        group += f"/class/{row['income_class']}"
    return facts.effect(MEASURES[row["measure"]], row["arm"], "state", group)


def _size_line(facts: Facts, arm: Arm, row: Gain) -> tuple[Any, ...]:
    lead = (row_label(facts, row), arm.label, facts.t.text(f"measure.{row['measure']}"))
    if too_few(row):
        return (*lead, facts.t.text("gains.too_few"), "", "", "", "", "")
    effect = mean_effect(facts, row)
    interval = effect.best if effect else None
    ends = numbers.span(interval.low, interval.high, 2, signed=True) if interval else ""
    kind = facts.t.text(f"kind.{interval.kind}", n=interval.replicates) if interval else facts.t.text("kind.none")
    spread = [numbers.number(row[name], 2, signed=True) for name in ("p10", "p50", "p90")]
    return (*lead, numbers.number(row["mean_inr"], 2, signed=True), ends, kind, *spread)


def _size_chart(
    facts: Facts,
    measures: Sequence[str],
    groups: Sequence[tuple[str, int]],
    arms: Sequence[Arm],
    cells: Mapping[tuple[str, str, str, int], Gain],
    limit: float,
) -> base.Chart:
    row_px = ARM_PX * len(arms) + 8
    bottom = row_px * len(groups)
    data: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    look = base.layout((130, 14, 30, 42))
    narrow: dict[str, Any] = {}
    panels = len(measures)
    block = bottom + HEAD_PX + AXIS_PX
    tick = _round_below(limit * 0.8)
    labels = [wrapped_label(row_label(facts, {"category": name, "income_class": klass})) for name, klass in groups]
    middles = [row_px * (place + 0.5) for place in range(len(groups))]
    for panel, measure in enumerate(measures):
        suffix = "" if panel == 0 else str(panel + 1)
        axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        title = facts.t.text("axis.inr_month")
        x = base.axis(title, range=[-limit, limit], tickvals=[-tick, 0, tick], anchor=f"y{suffix}")
        y = base.axis(
            range=[bottom, 0], tickvals=middles, ticktext=labels, showgrid=False, ticks="", anchor=f"x{suffix}"
        )
        width = 1 / panels
        wide_x = [panel * width + 0.01, (panel + 1) * width - 0.01]
        look[f"xaxis{suffix}"] = x | {"domain": wide_x}
        look[f"yaxis{suffix}"] = y | {"domain": [0, 1], "showticklabels": panel == 0}
        top = 1 - (panel * block + HEAD_PX) / (panels * block)
        narrow[f"xaxis{suffix}"] = x | {"domain": [0, 1]}
        narrow[f"yaxis{suffix}"] = y | {"domain": [top - bottom / (panels * block), top]}
        traces, cuts = _size_traces(facts, measure, groups, arms, cells, limit, row_px)
        data += [trace | axes for trace in traces]
        notes += [note | {"xref": axes["xaxis"], "yref": axes["yaxis"]} for note in cuts]
        head = chart_label(facts.t.text(f"measure.{measure}"))
        place = {"xref": f"{axes['xaxis']} domain", "yref": f"{axes['yaxis']} domain", "yanchor": "bottom"}
        notes.append(base.note(f"<b>{head}</b>", 0.5, 1, **place))
        zero = {"xref": axes["xaxis"], "yref": axes["yaxis"]}
        look.setdefault("shapes", []).append(base.rule(0, 0, 0, bottom, **zero))
    look["annotations"] = notes
    look["barmode"] = "overlay"
    narrow["margin"] = look["margin"] | {"l": 112, "t": 4, "b": 4}
    printed = round(bottom * PRINT_SCALE) + 72
    return base.Chart(data, look, bottom + 72, narrow, panels * block + 8, print_height=printed)


def _round_below(value: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not above ``value``."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(step * power for step in (1.0, 2.0, 5.0) if step * power <= value))


def _size_traces(
    facts: Facts,
    measure: str,
    groups: Sequence[tuple[str, int]],
    arms: Sequence[Arm],
    cells: Mapping[tuple[str, str, str, int], Gain],
    limit: float,
    row_px: float,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    traces, notes = [], []
    for place, (category, klass) in enumerate(groups):
        own = [cells.get((measure, arm.name, category, klass)) for arm in arms]
        shown = [row for row in own if row is not None and not too_few(row)]
        notes += _cut_notes(shown, row_px * (place + 0.5), limit)
    for position, arm in enumerate(arms):
        bars: dict[str, list[float]] = {"y": [], "base": [], "x": []}
        dots: dict[str, list[float]] = {"x": [], "y": []}
        lines: dict[str, list[float | None]] = {"x": [], "y": []}
        for place, (category, klass) in enumerate(groups):
            row = cells.get((measure, arm.name, category, klass))
            y = row_px * place + 4 + ARM_PX * (position + 0.5)
            if row is None or too_few(row):
                if position == 0:
                    notes.append(base.note(facts.t.text("gains.too_few"), 0, row_px * (place + 0.5)))
                continue
            low, high = max(row["p10"], -limit), min(row["p90"], limit)
            bars["y"].append(y)
            bars["base"].append(low)
            bars["x"].append(max(high - low, 0.0))
            if abs(row["mean_inr"]) <= limit:
                dots["x"].append(row["mean_inr"])
                dots["y"].append(y)
            effect = mean_effect(facts, row)
            interval = effect.best if effect else None
            if interval:
                ends = (max(interval.low, -limit), min(interval.high, limit))
                lines["x"] += [*ends, None]
                lines["y"] += [y, y, None]
        traces.append(_bar_trace(arm, bars))
        line = {"color": base.INK, "width": 2.5}
        traces.append({"type": "scatter", "mode": "lines", "line": line, "hoverinfo": "x"} | _clean(lines))
        marker = {
            "symbol": arm.marker,
            "size": 7,
            "color": arm.colour,
            "opacity": 1,
            "line": {"color": "#FFFFFF", "width": 1},
        }
        traces.append({"type": "scatter", "mode": "markers", "marker": marker, "hoverinfo": "x"} | _clean(dots))
    return [trace for trace in traces if trace["x"]], notes


def _clean(points: Mapping[str, Sequence[float | None]]) -> dict[str, Any]:
    return {"x": base.rounded(points["x"], 3), "y": base.rounded(points["y"], 1)}


def _bar_trace(arm: Arm, bars: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    red, green, blue = (int(arm.colour[i : i + 2], 16) for i in (1, 3, 5))
    marker = {"color": f"rgba({red},{green},{blue},{PALE})", "line": {"color": arm.colour, "width": 1}}
    return {
        "type": "bar",
        "orientation": "h",
        "x": base.rounded(bars["x"], 3),
        "base": base.rounded(bars["base"], 3),
        "y": base.rounded(bars["y"], 1),
        "width": ARM_PX - 4,
        "marker": marker,
        "hoverinfo": "skip",
    }


def _cut_notes(own: Sequence[Gain], y: float, limit: float) -> list[dict[str, Any]]:
    """Ends of a group's bars that lie beyond the axis, one note a side: two would touch."""
    notes = []
    look = {"bgcolor": "rgba(255,255,255,0.85)"}
    ends = {numbers.number(row["p90"]): None for row in own if row["p90"] > limit}
    if ends:
        notes.append(base.note(f"{'; '.join(ends)} \u2192", limit, y, xanchor="right", **look))
    ends = {numbers.number(row["p10"]): None for row in own if row["p10"] < -limit}
    if ends:
        notes.append(base.note(f"\u2190 {'; '.join(ends)}", -limit, y, xanchor="left", **look))
    return notes


def _size_alt(
    facts: Facts,
    groups: Sequence[tuple[str, int]],
    arms: Sequence[Arm],
    cells: Mapping[tuple[str, str, str, int], Gain],
) -> str:
    parts = []
    for arm in arms:
        own = [row for key, row in cells.items() if key[0] != "surplus" and key[1] == arm.name and not too_few(row)]
        if own:
            high, low = max(own, key=lambda row: row["mean_inr"]), min(own, key=lambda row: row["mean_inr"])
            parts.append(
                facts.t.text(
                    "fig5.alt",
                    arm=arm.label,
                    high=row_words(facts, high),
                    high_inr=numbers.number(high["mean_inr"], 2, signed=True),
                    low=row_words(facts, low),
                    low_inr=numbers.number(low["mean_inr"], 2, signed=True),
                )
            )
    return " ".join(parts)
