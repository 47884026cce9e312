"""What a figure of the report is: charts as plain data, words around them, a table and a CSV file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from twin.report.catalogue import chart_label

INK = "#1A1A1A"
GRID = "#E3E3E3"
MUTED = "#595959"
FLOOR = "#ECECEC"
FONT = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans Devanagari', 'Nirmala UI', sans-serif"
CHART_TEXT = 13
SMALL_TEXT = 12
WIDE, NARROW = 680, 358
"""Widths charts are designed for: the figure column and A4 text width, and a phone held upright. [px]"""
MOST_POINTS = 2000
"""Most points of a line."""


@dataclass(frozen=True)
class Chart:
    """One plot: traces and layout of the chart library as plain data, with a form for narrow screens.

    ``narrow`` replaces top-level layout entries below 480 px; heights follow from the rule of the figure [px], and on
    paper ``print_height`` holds where it is given.
    """

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int
    narrow: dict[str, Any] = field(default_factory=dict)
    narrow_height: int = 0
    caption: str = ""
    note: str = ""
    print_height: int = 0
    sample: Markup = Markup("")
    """Sample of the arm that the chart belongs to, before its caption."""


@dataclass(frozen=True)
class Table:
    """Cells are text ready to read; columns in ``numeric`` are set right with tabular figures."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Key:
    """One entry of a key: a sample drawn as inline svg, and its words."""

    sample: Markup
    words: str


@dataclass(frozen=True)
class Figure:
    """A figure as section 4 of the guide asks: finding, measure, chart, reading help, table, data."""

    number: str
    title: str
    subtitle: str
    alt: str
    help: Sequence[str | Markup]
    table: Table
    csv_header: Sequence[str] = ()
    csv_rows: Sequence[Sequence[Any]] = ()
    csv_table: str = ""
    charts: Sequence[Chart] = ()
    keys: Sequence[Key] = ()
    columns: int = 1

    @property
    def id(self) -> str:
        """Stable id in the page, ``fig01``; parts keep their letter."""
        digits = "".join(character for character in self.number if character.isdigit())
        return f"fig{int(digits):02d}{self.number[len(digits) :]}"


def rounded(values: Sequence[float | None], decimals: int) -> list[float | None]:
    """Values for a chart: few digits, and null where there is no number."""
    return [None if value is None or not math.isfinite(value) else round(float(value), decimals) for value in values]


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis in the report's look. No axis takes part in zooming, so that touch scrolls the page."""
    look = {
        "fixedrange": True,
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": MUTED,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": MUTED,
        "tickfont": {"size": SMALL_TEXT},
        "automargin": False,
        "separatethousands": True,
    }
    if title:
        look["title"] = {"text": chart_label(title), "font": {"size": CHART_TEXT}, "standoff": 6}
    return look | more


def layout(margin: tuple[int, int, int, int], **more: Any) -> dict[str, Any]:
    """Layout in the report's look; ``margin`` is left, right, top, bottom. [px]"""
    left, right, top, bottom = margin
    return {
        "font": {"family": FONT, "size": CHART_TEXT, "color": INK},
        "margin": {"l": left, "r": right, "t": top, "b": bottom, "pad": 0},
        "paper_bgcolor": "#FFFFFF",
        "plot_bgcolor": "#FFFFFF",
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
    } | more


def note(text: str, x: float, y: float, **more: Any) -> dict[str, Any]:
    """Words placed in a chart, already escaped for it."""
    look = {"text": text, "x": x, "y": y, "showarrow": False, "font": {"size": SMALL_TEXT, "color": INK}}
    return look | more


def box(x0: float, x1: float, y0: float, y1: float, fill: str, **more: Any) -> dict[str, Any]:
    """A filled rectangle behind the traces."""
    look = {"type": "rect", "x0": x0, "x1": x1, "y0": y0, "y1": y1, "fillcolor": fill, "line": {"width": 0}}
    return look | {"layer": "below"} | more


def rule(x0: float, x1: float, y0: float, y1: float, **more: Any) -> dict[str, Any]:
    """A straight line."""
    return {"type": "line", "x0": x0, "x1": x1, "y0": y0, "y1": y1, "line": {"color": INK, "width": 1}} | more


def nice_range(low: float, high: float, least: float, room: float = 0.06) -> tuple[float, float]:
    """An axis range that holds both ends and at least ``least`` on each side of zero."""
    low, high = min(low, -least), max(high, least)
    extra = (high - low) * room
    return low - extra, high + extra


def line_sample(colour: str, dash: str = "", width: float = 2.5) -> Markup:
    """A line for a key, as inline svg."""
    return Markup(
        '<svg class="sample" width="34" height="12" aria-hidden="true" focusable="false">'
        '<line x1="1" y1="6" x2="33" y2="6" stroke="{}" stroke-width="{}" stroke-dasharray="{}"/></svg>'
    ).format(colour, width, dash)


def dot_sample(colour: str, marker: str = "circle", hollow: bool = False) -> Markup:
    """A marker for a key, as inline svg."""
    shapes = {
        "circle": '<circle cx="8" cy="7" r="5" {}/>',
        "diamond": '<path d="M8 1l6 6-6 6-6-6z" {}/>',
        "square": '<rect x="3" y="2" width="10" height="10" {}/>',
        "triangle-up": '<path d="M8 1l7 12H1z" {}/>',
        "triangle-down": '<path d="M8 13l7-12H1z" {}/>',
        "x": '<path d="M3 2l10 10M13 2L3 12" {}/>',
    }
    fill = "#FFFFFF" if hollow else colour
    paint = Markup('fill="{}" stroke="{}" stroke-width="2"').format(fill, colour)
    shape = Markup(shapes[marker]).format(paint)
    frame = Markup('<svg class="sample" width="16" height="14" aria-hidden="true" focusable="false">{}</svg>')
    return frame.format(shape)


def hatched_sample(fill: str) -> Markup:
    """A small hatched box for a key, as inline svg."""
    strokes = "".join(
        f'<line x1="{x}" y1="11" x2="{x + 6}" y2="1" stroke="#FFFFFF" stroke-width="1.6"/>' for x in (1, 7, 13)
    )
    frame = Markup(
        '<svg class="sample" width="20" height="12" aria-hidden="true" focusable="false">'
        '<rect x="1" y="1" width="18" height="10" fill="{}" stroke="{}"/>{}</svg>'
    )
    return frame.format(fill, fill, Markup(strokes))


def bar_sample(fill: str, edge: str = "") -> Markup:
    """A small filled box for a key, as inline svg."""
    return Markup(
        '<svg class="sample" width="20" height="12" aria-hidden="true" focusable="false">'
        '<rect x="1" y="1" width="18" height="10" fill="{}" stroke="{}"/></svg>'
    ).format(fill, edge or fill)
