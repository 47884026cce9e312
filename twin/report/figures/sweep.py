"""Figure 1b: the effect on the evening peak against one swept setting."""

from __future__ import annotations

import json
from collections.abc import Sequence

from twin.report import numbers
from twin.report.answer import LEAD_OUTCOME
from twin.report.catalogue import chart_label
from twin.report.effects import Effect
from twin.report.facts import Arm, Facts
from twin.report.figures import base, rows
from twin.report.figures.glance import EFFECT_CSV, effect_csv
from twin.report.settings import setting

LEAST_POINTS = 3
Point = tuple[float, Effect]
"""Swept value, and the effect there in per cent."""


def build(facts: Facts) -> base.Figure | None:
    """A line per arm; None unless exactly one setting was swept over three or more numbers."""
    path = swept_path(facts)
    if path is None:
        return None
    series = {name: _series(facts, path, name) for name in dict.fromkeys(arm.base for arm in facts.treatments)}
    series = {name: points for name, points in series.items() if len(points) >= LEAST_POINTS}
    if not series:
        return None
    arms = {name: next(arm for arm in facts.treatments if arm.base == name) for name in series}
    header = [facts.t.text(f"column.{name}") for name in ("swept", "arm", "value", "interval", "kind")]
    return base.Figure(
        number="1b",
        title=facts.t.text("fig1b.title"),
        subtitle=facts.t.text(
            "fig1b.subtitle",
            reference=facts.reference.base,
            area=facts.area_name("state"),
            parameter=facts.parameter_name(path),
        ),
        alt=" ".join(_alt(facts, name, points) for name, points in series.items()),
        help=[facts.t.text("fig1b.help")],
        table=base.Table(
            facts.t.text("fig1b.caption"),
            header,
            [_line(facts, name, *point) for name, points in series.items() for point in points],
            frozenset({2, 3}),
        ),
        csv_header=("swept_value", *EFFECT_CSV),
        csv_rows=[
            (value, *line) for points in series.values() for value, effect in points for line in effect_csv(effect)
        ],
        charts=[_chart(facts, path, {arms[name]: points for name, points in series.items()})],
        keys=[base.Key(base.dot_sample(arm.colour, arm.marker), name) for name, arm in arms.items()],
    )


def swept_path(facts: Facts) -> str | None:
    """The one swept setting, if it has numbers only."""
    points = [json.loads(row["sweep"] or "{}") for row in facts.cases]
    paths = {path for point in points for path in point}
    if len(paths) != 1:
        return None
    (path,) = paths
    values = [point.get(path) for point in points]
    return path if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values) else None


def _series(facts: Facts, path: str, base_name: str) -> list[Point]:
    found = []
    for arm in facts.treatments:
        effect = facts.effect(LEAD_OUTCOME, arm.name) if arm.base == base_name else None
        relative = effect.in_percent() if effect else None
        if relative is not None:
            found.append((float(json.loads(arm.sweep)[path]), relative))
    return sorted(found, key=lambda point: point[0])


def _chart(facts: Facts, path: str, series: dict[Arm, Sequence[Point]]) -> base.Chart:
    data = []
    for arm, points in series.items():
        x = [value for value, _ in points]
        y = [effect.value for _, effect in points]
        bounds = [effect.best for _, effect in points]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": base.rounded(x, 6),
                "y": base.rounded(y, 4),
                "line": {"color": arm.colour, "dash": arm.dash, "width": 1.5},
                "marker": {"symbol": arm.marker, "size": 9, "color": arm.colour, "opacity": 1},
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": base.rounded([b.high - v if b else 0.0 for b, v in zip(bounds, y, strict=True)], 4),
                    "arrayminus": base.rounded([v - b.low if b else 0.0 for b, v in zip(bounds, y, strict=True)], 4),
                    "color": base.INK,
                    "thickness": 1.2,
                    "width": 3,
                },
                "name": chart_label(arm.base),
                "hoverinfo": "x+y",
            }
        )
    ends = [end for points in series.values() for _, effect in points for end in _ends(effect)]
    low, high = base.nice_range(min(ends), max(ends), float(setting("least_difference_axis")))
    name = facts.parameter_name(path)
    look = base.layout(
        (56, 14, 8, 44),
        xaxis=base.axis(name if len(name) <= 24 else facts.t.text("column.swept"), nticks=7),
        yaxis=base.axis(facts.t.text("axis.change_percent"), range=[low, high], nticks=6),
        shapes=[base.rule(0, 1, 0, 0, xref="paper")],
    )
    return base.Chart(data, look, 300, {}, 280, print_height=240)


def _ends(effect: Effect) -> list[float]:
    return [effect.value, *(end for part in effect.intervals for end in (part.low, part.high))]


def _line(facts: Facts, name: str, value: float, effect: Effect) -> tuple[str, ...]:
    words, _ = rows.value_words(effect, "%", facts.t)
    interval = effect.best
    kind = facts.t.text(f"kind.{interval.kind}", n=interval.replicates) if interval else facts.t.text("kind.none")
    first, _, rest = words.partition(" (")
    return (f"{value:g}".replace("-", numbers.MINUS), name, first, rest.rstrip(")") if interval else "", kind)


def _alt(facts: Facts, name: str, points: Sequence[Point]) -> str:
    (low, first), (high, last) = points[0], points[-1]
    ends = [numbers.percent(effect.value, signed=True) for effect in (first, last)]
    return facts.t.text("fig1b.alt", arm=name, first=ends[0], last=ends[1], low=f"{low:g}", high=f"{high:g}")
