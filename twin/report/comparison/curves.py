"""Figure 5 of the compare page: change of load through the day, a small panel per run on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twin.report import numbers
from twin.report.comparison.effects import MOST_DRAWN
from twin.report.comparison.members import Member, arms_of
from twin.report.facts import Arm
from twin.report.figures import base, load

PANEL_PX, PRINT_PANEL_PX = 230, 170


def curves(members: Sequence[Member]) -> base.Figure | None:
    """Change of load through the mean day against each run's own first arm: a small panel per run, one scale."""
    t = members[0].facts.t
    if len(members) > MOST_DRAWN or not any(member.facts.treatments for member in members):
        return None
    found = [(member, *_changes(member, arms)) for member, arms in zip(members, arms_of(members), strict=True)]
    ends = [float(end) for _, _, changes in found for _, d in changes for end in (d.min(), d.max())]
    scale = max(abs(end) for end in [*ends, 1.0]) * 1.1
    charts = [_curve_panel(member, hours, changes, scale) for member, hours, changes in found]
    arms = {arm.base: arm for _, _, changes in found for arm, _ in changes}
    header = ("run", "time_ist", "arm", "replicate", "change_mw")
    return base.Figure(
        number="5",
        title=t.text("compare.fig5.title"),
        subtitle=t.text("compare.fig5.subtitle", area=members[0].facts.area_name("state")),
        alt=" ".join(_curve_alt(member, hours, changes) for member, hours, changes in found),
        help=[t.text("compare.fig5.help")],
        table=base.Table(
            t.text("compare.fig5.title"),
            [t.text("column.hour"), *(arm.label for _, _, changes in found for arm, _ in changes)],
            _curve_rows(found),
            frozenset(range(1, 1 + sum(len(changes) for _, _, changes in found))),
        ),
        csv_header=header,
        csv_rows=[
            (member.label, load.clock(hour), arm.name, replicate, float(values[step]))
            for member, hours, changes in found
            for arm, difference in changes
            for replicate, values in enumerate(difference)
            for step, hour in enumerate(hours)
        ],
        charts=charts,
        keys=[base.Key(base.line_sample(arm.colour, arm.svg_dash), arm.clean_base) for arm in arms.values()],
        columns=min(len(members), 3),
    )


def _changes(member: Member, arms: Sequence[Arm]) -> tuple[Any, list[tuple[Arm, Any]]]:
    day = load.state_curves(member.facts, None)
    flat = day.mw[member.facts.reference.name]
    overlaid = {arm.name for arm in member.facts.overlaid}
    return day.hours, [(arm, day.mw[arm.name] - flat) for arm in arms if arm.name in overlaid]


def _curve_panel(member: Member, hours: Any, changes: Sequence[tuple[Arm, Any]], scale: float) -> base.Chart:
    data = []
    for arm, difference in changes:
        band = load.paired_band(difference)
        if band is not None:
            data.append(load.band_trace(arm, hours, band) | {"yaxis": "y"})
        data.append(load.load_line(arm, hours, difference.mean(axis=0), "y", 3 if scale < 100 else 1))
    x = base.axis(range=[0, 24], tickvals=[0, 6, 12, 18, 24], ticktext=["00", "06", "12", "18", "24"])
    y = base.axis(member.facts.t.text("axis.change_mw"), range=[-scale, scale], nticks=5)
    shapes = [base.rule(0, 24, 0, 0)]
    look = base.layout((58, 8, 8, 26), xaxis=x, yaxis=y, shapes=shapes)
    if not data:
        data = [{"type": "scatter", "mode": "lines", "x": [0, 24], "y": [0, 0], "line": {"color": base.MUTED}}]
    return base.Chart(data, look, PANEL_PX, {}, PANEL_PX, f"{member.label} {member.name}", print_height=PRINT_PANEL_PX)


def _curve_alt(member: Member, hours: Any, changes: Sequence[tuple[Arm, Any]]) -> str:
    t, parts = member.facts.t, []
    for arm, difference in changes:
        mean = difference.mean(axis=0)
        down, up = int(mean.argmin()), int(mean.argmax())
        words = {"down": load.mw_words(mean[down], signed=True), "down_time": load.clock(hours[down])}
        words |= {"up": load.mw_words(mean[up], signed=True), "up_time": load.clock(hours[up])}
        parts.append(t.text("fig2.alt.change", arm=arm.label, **words))
    return " ".join(parts)


def _curve_rows(found: Sequence[tuple[Member, Any, Sequence[tuple[Arm, Any]]]]) -> list[tuple[str, ...]]:
    lines = []
    for hour in range(24):
        cells = [f"{hour:02d}:00"]
        for _, hours, changes in found:
            step = round(hour / 24 * len(hours))
            cells += [numbers.number(float(d.mean(axis=0)[step]), 1, signed=True) for _, d in changes]
        lines.append(tuple(cells))
    return lines
