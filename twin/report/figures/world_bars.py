"""Bars in groups with a bar for each world, and words at the right edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from twin.report.catalogue import chart_label
from twin.report.facts import Arm, Facts
from twin.report.figures import base
from twin.report.figures.worlds import short_label

ROW_PX = 28


class Bar(NamedTuple):
    """A world's bar in a group."""

    arm: Arm
    value: float
    words: str
    """Beside the bar, at the right edge."""


class Group(NamedTuple):
    """Bars under one name."""

    name: str
    fill: str
    bars: Sequence[Bar]


def chart(facts: Facts, groups: Sequence[Group], axis: str, ends: tuple[float, float]) -> base.Chart:
    """One row per bar; with several worlds a head for each group and the worlds under it.

    Parameters
    ----------
    axis : str
        Title of the axis.
    ends : tuple of float
        Its range.
    """
    places: list[float] = []
    ticks, notes, heads = [], [], []
    y = 0.0
    several = max(len(group.bars) for group in groups) > 1
    for group in groups:
        if several:
            heads.append((group.name, y))
            y += 0.8
        for bar in group.bars:
            notes.append(base.note(chart_label(bar.words), 1, y, xref="paper", xanchor="left", xshift=8, align="left"))
            ticks.append(chart_label(short_label(facts, bar.arm) if several else group.name))
            places.append(y)
            y += 1.0
    values = [bar.value for group in groups for bar in group.bars]
    fills = [group.fill for group in groups for _ in group.bars]
    bars = {"type": "bar", "orientation": "h", "x": base.rounded(values, 4), "y": places, "width": 0.62}
    bars |= {"marker": {"color": fills, "line": {"color": fills, "width": 1}}, "hoverinfo": "x"}
    look = base.layout(
        (130, 110, 8, 44),
        xaxis=base.axis(axis, range=list(ends), nticks=6),
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
