"""Lines over the days of a run, one for each world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from twin.report.facts import Arm, Facts
from twin.report.figures import base
from twin.report.figures.worlds import COLOURS, DASHES, SVG_DASHES, label


class Line(NamedTuple):
    """A world's line."""

    arm: Arm
    look: int
    """Position of its colour and dash."""
    values: Sequence[float]
    """Of the run's days, from the first."""


def chart(facts: Facts, lines: Sequence[Line], axis: str, left: int, height: int) -> base.Chart:
    """Lines from zero to their highest value.

    Parameters
    ----------
    axis : str
        Title of the axis.
    left, height : int
        Margin left of the axis, and height of the chart. [px]
    """
    most = max(1.0, *(value for line in lines for value in line.values))
    data = [
        {
            "type": "scatter", "mode": "lines+markers", "x": list(range(1, len(line.values) + 1)),
            "y": base.rounded(line.values, 2), "hoverinfo": "x+y", "name": label(facts, line.arm),
            "line": {"color": COLOURS[line.look], "dash": DASHES[line.look], "width": 2},
            "marker": {"color": COLOURS[line.look], "size": 5},
        }
        for line in lines
    ]  # fmt: skip
    look = base.layout(
        (left, 14, 10, 44),
        xaxis=base.axis(facts.t.text("axis.day_of_run"), nticks=8),
        yaxis=base.axis(axis, range=[0.0, 1.08 * most], nticks=6),
    )
    return base.Chart(data, look, height, {}, height - 20, print_height=height - 60)


def keys(facts: Facts, lines: Sequence[Line]) -> list[base.Key]:
    """What names the lines, where there are several."""
    if len(lines) == 1:
        return []
    return [base.Key(base.line_sample(COLOURS[one.look], SVG_DASHES[one.look]), label(facts, one.arm)) for one in lines]
