"""Figure 6 of the compare page: share of homes that pay more and less, by run and arm."""

from __future__ import annotations

from collections.abc import Sequence

from twin.report import numbers
from twin.report.answer import home_shares
from twin.report.catalogue import wrapped_label
from twin.report.comparison.effects import MOST_DRAWN
from twin.report.comparison.members import Member, arms_of
from twin.report.facts import Arm
from twin.report.figures import base
from twin.report.figures.gains_share import LESS, LESS_DARK, MORE, MORE_DARK

ROW_PX = 24


def homes(members: Sequence[Member]) -> base.Figure | None:
    """Share of homes that pay more and less, by run and arm; None where no run holds it."""
    t = members[0].facts.t
    found = [
        (arm, shares)
        for member, arms in zip(members, arms_of(members), strict=True)
        for arm in arms
        for shares in [home_shares(member.facts, arm)]
        if shares is not None
    ]
    if not found:
        return None
    names = ("run_arm", "consumers", "more", "same", "less")
    lines = [
        (
            arm.label,
            numbers.count(shares["homes"]).indian,
            *(numbers.share(shares[key]) for key in ("more", "same", "less")),
        )
        for arm, shares in found
    ]
    return base.Figure(
        number="6",
        title=t.text("compare.fig6.title"),
        subtitle=t.text("compare.fig6.subtitle"),
        alt=" ".join(t.text("compare.fig6.alt", arm=line[0], more=line[2], less=line[4]) for line in lines),
        help=[t.text("fig4.doubt")],
        table=base.Table(
            t.text("compare.fig6.title"), [t.text(f"column.{name}") for name in names], lines, frozenset({1, 2, 3, 4})
        ),
        csv_header=("run_arm", "homes", "share_more", "share_same", "share_less"),
        csv_rows=[(arm.label, *(shares[k] for k in ("homes", "more", "same", "less"))) for arm, shares in found],
        charts=[_homes_chart(members, found)] if len(members) <= MOST_DRAWN else [],
        keys=[
            base.Key(base.bar_sample(MORE, MORE_DARK), t.text("key.more")),
            base.Key(base.bar_sample(LESS, LESS_DARK), t.text("key.less")),
        ],
    )


def _homes_chart(members: Sequence[Member], found: Sequence[tuple[Arm, dict[str, float]]]) -> base.Chart:
    t, y = members[0].facts.t, list(range(len(found)))
    data = []
    for name, sign, fill, edge in (("more", -1, MORE, MORE_DARK), ("less", 1, LESS, LESS_DARK)):
        marker = {"color": fill, "line": {"color": edge, "width": 1}}
        x = base.rounded([sign * 100 * shares[name] for _, shares in found], 3)
        data.append({"type": "bar", "orientation": "h", "x": x, "y": y, "width": 0.66, "marker": marker})
    reach = max(5.0, *(112 * max(shares["more"], shares["less"]) for _, shares in found))
    step = 20 if reach > 40 else 10 if reach > 15 else 5 if reach > 6 else 2
    ticks = list(range(-int(reach // step) * step, int(reach // step) * step + 1, step))
    head = {"xref": "paper", "yref": "paper", "yanchor": "bottom"}
    look = base.layout(
        (118, 20, 26, 40),
        barmode="overlay",
        xaxis=base.axis(
            t.text("axis.share_homes"), range=[-reach, reach], tickvals=ticks, ticktext=[str(abs(k)) for k in ticks]
        ),
        yaxis=base.axis(
            range=[len(found) - 0.4, -0.6],
            tickvals=y,
            ticktext=[wrapped_label(arm.label, 16) for arm, _ in found],
            showgrid=False,
            ticks="",
        ),
        shapes=[base.rule(0, 0, -0.6, len(found) - 0.4)],
        annotations=[
            base.note(t.text("fig4.more"), 0.48, 1, xanchor="right", **head),
            base.note(t.text("fig4.less"), 0.52, 1, xanchor="left", **head),
        ],
    )
    height = len(found) * ROW_PX + 70
    return base.Chart(data, look, height, {}, height)
