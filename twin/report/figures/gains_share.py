"""Figure 4: who gains and who loses, by share of consumers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.report import numbers
from twin.report.answer import home_shares
from twin.report.catalogue import wrapped_label
from twin.report.facts import Arm, Facts
from twin.report.figures import base
from twin.report.figures.gains import GAINS_CSV, Gain, gains_of, row_label, row_words, rows_of, too_few

MORE, MORE_DARK, LESS, LESS_DARK = "#D8A55B", "#8C510A", "#5AB4AC", "#01665E"
ROW_PX, PRINT_ROW_PX = 22, 17


def build(facts: Facts) -> base.Figure | None:
    """Diverging bars from one zero, no change as a number at the right; None with one arm or without the table."""
    found, arms = gains_of(facts)
    if not arms:
        return None
    measure = "response" if any(row["measure"] == "response" for row in found) else "unchanged"
    by_arm = {arm: rows_of(facts, found, measure, arm) for arm in arms}
    reach = max(max(row["share_more"], row["share_less"]) for own in by_arm.values() for row in own)
    reach = max(min(reach * 112, 100.0), 5.0)
    header = [facts.t.text(f"column.{name}") for name in ("group", "arm", "consumers")]
    header += [facts.t.text(f"column.{name}") for name in ("more_50", "more", "same", "less", "less_50")]
    names = ("share_more_50", "share_more", "share_same", "share_less", "share_less_50")
    lines = [
        (
            row_label(facts, row),
            arm.label,
            numbers.count(row["consumers"]).indian,
            *([facts.t.text("gains.too_few")] * 5 if too_few(row) else [numbers.share(row[name]) for name in names]),
        )
        for arm, own in by_arm.items()
        for row in own
    ]
    return base.Figure(
        number="4",
        title=_share_title(facts, arms, measure),
        subtitle=facts.t.text(
            f"fig4.subtitle.{measure}", area=facts.area_name("state"), reference=facts.reference.label
        ),
        alt=_share_alt(facts, by_arm),
        help=[facts.t.text(key) for key in ("fig4.help", "gains.classes", "fig4.doubt")],
        table=base.Table(facts.t.text("fig4.caption"), header, lines, frozenset(range(2, 8))),
        csv_header=GAINS_CSV,
        csv_rows=[tuple(row[name] for name in GAINS_CSV) for own in by_arm.values() for row in own],
        charts=[_share_chart(facts, arm, own, reach) for arm, own in by_arm.items()],
        keys=[
            base.Key(base.bar_sample(MORE, MORE_DARK), facts.t.text("key.more")),
            base.Key(base.hatched_sample(MORE_DARK), facts.t.text("key.more_50")),
            base.Key(base.bar_sample(LESS, LESS_DARK), facts.t.text("key.less")),
            base.Key(base.hatched_sample(LESS_DARK), facts.t.text("key.less_50")),
        ],
        columns=min(len(arms), 2),
    )


def _share_chart(facts: Facts, arm: Arm, own: Sequence[Gain], reach: float) -> base.Chart:
    y = list(range(len(own)))
    few = [too_few(row) for row in own]

    def percent(name: str, sign: int) -> list[float | None]:
        return base.rounded([0.0 if no else sign * 100 * row[name] for row, no in zip(own, few, strict=True)], 3)

    def bar(values: list[float | None], fill: str, edge: str, **more: Any) -> dict[str, Any]:
        marker = {"color": fill, "line": {"color": edge, "width": 1}} | more
        trace = {"type": "bar", "orientation": "h", "x": values, "y": y, "width": 0.66, "marker": marker}
        return trace | {"hoverinfo": "x"}

    hatch = {"pattern": {"shape": "/", "size": 5, "solidity": 0.35, "fgcolor": "#FFFFFF"}}
    data = []
    for name, sign, pale, dark in (("more", -1, MORE, MORE_DARK), ("less", 1, LESS, LESS_DARK)):
        whole, large = percent(f"share_{name}", sign), percent(f"share_{name}_50", sign)
        data.append(bar(whole, pale, dark))
        start = [(w or 0) - (part or 0) for w, part in zip(whole, large, strict=True)]
        data.append(bar(large, dark, dark, **hatch) | {"base": base.rounded(start, 3)})
    notes = [
        base.note(
            facts.t.text("gains.too_few") if no else numbers.share(row["share_same"]), 1, place,
            xref="paper", xanchor="right", xshift=56, align="right",
        )
        for place, (row, no) in enumerate(zip(own, few, strict=True))
    ]  # fmt: skip
    head = {"xref": "paper", "yref": "paper", "yanchor": "bottom"}
    notes += [
        base.note(facts.t.text("fig4.same"), 1, 1, xanchor="right", xshift=56, align="right", **head),
        base.note(facts.t.text("fig4.more"), 0.48, 1, xanchor="right", **head),
        base.note(facts.t.text("fig4.less"), 0.52, 1, xanchor="left", **head),
    ]
    step = 20 if reach > 40 else 10 if reach > 15 else 5 if reach > 6 else 2
    ticks = list(range(-int(reach // step) * step, int(reach // step) * step + 1, step))
    look = base.layout(
        (112, 58, 34, 40),
        barmode="overlay",
        bargap=0.2,
        xaxis=base.axis(
            facts.t.text("axis.share"), range=[-reach, reach], tickvals=ticks, ticktext=[str(abs(t)) for t in ticks]
        ),
        yaxis=base.axis(
            range=[len(own) - 0.4, -0.6],
            tickvals=y,
            ticktext=[wrapped_label(row_label(facts, row)) for row in own],
            showgrid=False,
            ticks="",
        ),
        shapes=[base.rule(0, 0, -0.6, len(own) - 0.4)],
        annotations=notes,
    )
    height = len(own) * ROW_PX + 74
    printed = len(own) * PRINT_ROW_PX + 74
    title = facts.t.text("gains.panel", arm=arm.label)
    sample = base.dot_sample(arm.colour, arm.marker)
    return base.Chart(data, look, height, {}, height, title, print_height=printed, sample=sample)


def _share_title(facts: Facts, arms: Sequence[Arm], measure: str) -> str:
    """Homes are the finding: they are nearly all consumers. The arm under which most of them pay more leads."""
    shares = {arm: found for arm in arms for found in [home_shares(facts, arm, measure)] if found is not None}
    if not shares:
        return facts.t.text("fig4.title.neutral")
    arm, found = max(shares.items(), key=lambda item: item[1]["more"])
    if not found["more"] + found["less"]:
        return facts.t.text("fig4.title.none")
    more, less = numbers.share(found["more"]), numbers.share(found["less"])
    return facts.t.text("fig4.title", arm=arm.label, more=more, less=less)


def _share_alt(facts: Facts, by_arm: Mapping[Arm, Sequence[Gain]]) -> str:
    parts = []
    for arm, own in by_arm.items():
        enough = [row for row in own if not too_few(row)]
        if enough:
            most_more = max(enough, key=lambda row: row["share_more"])
            most_less = max(enough, key=lambda row: row["share_less"])
            parts.append(
                facts.t.text(
                    "fig4.alt",
                    arm=arm.label,
                    more=row_words(facts, most_more),
                    more_share=numbers.share(most_more["share_more"]),
                    less=row_words(facts, most_less),
                    less_share=numbers.share(most_less["share_less"]),
                )
            )
    return " ".join(parts)
