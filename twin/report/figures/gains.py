"""Figures 4 and 5: who gains and who loses, by share and by size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twin.report import numbers
from twin.report.catalogue import chart_label, wrapped_label
from twin.report.effects import Effect
from twin.report.facts import Arm, Facts
from twin.report.figures import base
from twin.report.settings import setting

MEASURES = {"unchanged": "bill_unchanged", "response": "bill_response", "surplus": "surplus"}
MORE, MORE_DARK, LESS, LESS_DARK = "#D8A55B", "#8C510A", "#5AB4AC", "#01665E"
ROW_PX, PRINT_ROW_PX, ARM_PX = 22, 17, 14
PRINT_SCALE = 0.72
HEAD_PX, AXIS_PX = 24, 46
PALE = 0.28
CUT = 0.95
Gain = Mapping[str, Any]


def build(facts: Facts) -> list[base.Figure]:
    """Shares after response, then sizes of the three measures; nothing with one arm or without the table."""
    found = facts.rows("select * from gains")
    arms = [arm for arm in facts.overlaid if any(row["arm"] == arm.name for row in found)]
    if not arms:
        return []
    return [_shares(facts, found, arms), *_sizes(facts, found, arms)]


def _of(facts: Facts, found: Sequence[Gain], measure: str, arm: Arm) -> list[Gain]:
    own = [row for row in found if row["measure"] == measure and row["arm"] == arm.name]
    return sorted(own, key=facts.by_category)


def _too_few(row: Gain) -> bool:
    return row["p50"] is None or row["consumers"] < setting("few_consumers")


def _row_label(facts: Facts, row: Gain) -> str:
    name = facts.category_short(row["category"])
    return facts.t.text("gains.row", name=name, klass=row["income_class"]) if row["income_class"] else name


def _row_words(facts: Facts, row: Gain) -> str:
    name = facts.category_name(row["category"])
    return facts.t.text("gains.group", name=name, klass=row["income_class"]) if row["income_class"] else name


def _shares(facts: Facts, found: Sequence[Gain], arms: Sequence[Arm]) -> base.Figure:
    """Figure 4: diverging bars from one zero; no change as a number at the right."""
    measure = "response" if any(row["measure"] == "response" for row in found) else "unchanged"
    by_arm = {arm: _of(facts, found, measure, arm) for arm in arms}
    reach = max(max(row["share_more"], row["share_less"]) for own in by_arm.values() for row in own)
    reach = max(min(reach * 112, 100.0), 5.0)
    header = [facts.t.text(f"column.{name}") for name in ("group", "arm", "consumers")]
    header += [facts.t.text(f"column.{name}") for name in ("more_50", "more", "same", "less", "less_50")]
    names = ("share_more_50", "share_more", "share_same", "share_less", "share_less_50")
    lines = [
        (
            _row_words(facts, row),
            arm.label,
            numbers.count(row["consumers"]).indian,
            *([facts.t.text("gains.too_few")] * 5 if _too_few(row) else [numbers.share(row[name]) for name in names]),
        )
        for arm, own in by_arm.items()
        for row in own
    ]
    return base.Figure(
        number="4",
        title=_share_title(facts, by_arm),
        subtitle=facts.t.text(
            f"fig4.subtitle.{measure}", area=facts.area_name("state"), reference=facts.reference.label
        ),
        alt=_share_alt(facts, by_arm),
        help=[facts.t.text("fig4.help"), facts.t.text("gains.classes")],
        table=base.Table(facts.t.text("fig4.caption"), header, lines, frozenset(range(2, 8))),
        csv_header=GAINS_CSV,
        csv_rows=[tuple(row[name] for name in GAINS_CSV) for own in by_arm.values() for row in own],
        charts=[_share_chart(facts, arm, own, reach) for arm, own in by_arm.items()],
        keys=[
            base.Key(base.bar_sample(MORE, MORE_DARK), facts.t.text("key.more")),
            base.Key(base.bar_sample(MORE_DARK), facts.t.text("key.more_50")),
            base.Key(base.bar_sample(LESS, LESS_DARK), facts.t.text("key.less")),
            base.Key(base.bar_sample(LESS_DARK), facts.t.text("key.less_50")),
        ],
        columns=min(len(arms), 2),
    )


GAINS_CSV = (
    "arm", "measure", "category", "income_class", "consumers", "share_more_50", "share_more", "share_same",
    "share_less", "share_less_50", "p10", "p50", "p90", "mean_inr",
)  # fmt: skip


def _share_chart(facts: Facts, arm: Arm, own: Sequence[Gain], reach: float) -> base.Chart:
    y = list(range(len(own)))
    few = [_too_few(row) for row in own]

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
            ticktext=[wrapped_label(_row_label(facts, row)) for row in own],
            showgrid=False,
            ticks="",
        ),
        shapes=[base.rule(0, 0, -0.6, len(own) - 0.4)],
        annotations=notes,
    )
    height = len(own) * ROW_PX + 74
    printed = len(own) * PRINT_ROW_PX + 74
    return base.Chart(data, look, height, {}, height, facts.t.text("gains.panel", arm=arm.label), print_height=printed)


def _share_title(facts: Facts, by_arm: Mapping[Arm, Sequence[Gain]]) -> str:
    worst: tuple[float, Arm, Gain] | None = None
    for arm, own in by_arm.items():
        for row in own:
            if not _too_few(row) and (worst is None or row["share_more"] > worst[0]):
                worst = (row["share_more"], arm, row)
    if worst is None or worst[0] <= 0:
        return facts.t.text("fig4.title.none")
    share = numbers.share(worst[0])
    return facts.t.text("fig4.title", arm=worst[1].label, share=share, group=_row_label(facts, worst[2]))


def _share_alt(facts: Facts, by_arm: Mapping[Arm, Sequence[Gain]]) -> str:
    parts = []
    for arm, own in by_arm.items():
        enough = [row for row in own if not _too_few(row)]
        if enough:
            most_more = max(enough, key=lambda row: row["share_more"])
            most_less = max(enough, key=lambda row: row["share_less"])
            parts.append(
                facts.t.text(
                    "fig4.alt",
                    arm=arm.label,
                    more=_row_words(facts, most_more),
                    more_share=numbers.share(most_more["share_more"]),
                    less=_row_words(facts, most_less),
                    less_share=numbers.share(most_less["share_less"]),
                )
            )
    return " ".join(parts)


def _sizes(facts: Facts, found: Sequence[Gain], arms: Sequence[Arm]) -> list[base.Figure]:
    """Figure 5 in two scales: LV consumers, and industry with HT in a panel of its own."""
    large = {row["category"] for row in found if _is_industry(facts, row["category"])}
    parts = [("5", [row for row in found if row["category"] not in large])]
    parts.append(("5b", [row for row in found if row["category"] in large]))
    return [_size_figure(facts, number, own, arms) for number, own in parts if any(not _too_few(row) for row in own)]


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
    ends = [abs(row[name]) for row in found if not _too_few(row) for name in ("p10", "p90")]
    return float(np.quantile(ends, CUT)) * 1.08 if ends else 0.0


def mean_effect(facts: Facts, row: Gain) -> Effect | None:
    """The effect row that carries the interval of a group's mean."""
    group = f"category/{row['category']}"
    if row["income_class"]:
        group += f"/class/{row['income_class']}"
    return facts.effect(MEASURES[row["measure"]], row["arm"], "state", group)


def _size_line(facts: Facts, arm: Arm, row: Gain) -> tuple[Any, ...]:
    lead = (_row_words(facts, row), arm.label, facts.t.text(f"measure.{row['measure']}"))
    if _too_few(row):
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
    labels = [wrapped_label(_row_label(facts, {"category": name, "income_class": klass})) for name, klass in groups]
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
    for position, arm in enumerate(arms):
        bars: dict[str, list[float]] = {"y": [], "base": [], "x": []}
        dots: dict[str, list[float]] = {"x": [], "y": []}
        lines: dict[str, list[float | None]] = {"x": [], "y": []}
        for place, (category, klass) in enumerate(groups):
            row = cells.get((measure, arm.name, category, klass))
            y = row_px * place + 4 + ARM_PX * (position + 0.5)
            if row is None or _too_few(row):
                if position == 0:
                    notes.append(base.note(facts.t.text("gains.too_few"), 0, row_px * (place + 0.5)))
                continue
            low, high = max(row["p10"], -limit), min(row["p90"], limit)
            bars["y"].append(y)
            bars["base"].append(low)
            bars["x"].append(max(high - low, 0.0))
            notes += _cut_notes(row, y, limit)
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


def _cut_notes(row: Gain, y: float, limit: float) -> list[dict[str, Any]]:
    notes = []
    if row["p90"] > limit:
        words = f"{numbers.number(row['p90'])} \u2192"
        notes.append(base.note(words, limit, y, xanchor="right", bgcolor="rgba(255,255,255,0.85)"))
    if row["p10"] < -limit:
        words = f"\u2190 {numbers.number(row['p10'])}"
        notes.append(base.note(words, -limit, y, xanchor="left", bgcolor="rgba(255,255,255,0.85)"))
    return notes


def _size_alt(
    facts: Facts,
    groups: Sequence[tuple[str, int]],
    arms: Sequence[Arm],
    cells: Mapping[tuple[str, str, str, int], Gain],
) -> str:
    parts = []
    for arm in arms:
        own = [row for key, row in cells.items() if key[0] != "surplus" and key[1] == arm.name and not _too_few(row)]
        if own:
            high, low = max(own, key=lambda row: row["mean_inr"]), min(own, key=lambda row: row["mean_inr"])
            parts.append(
                facts.t.text(
                    "fig5.alt",
                    arm=arm.label,
                    high=_row_words(facts, high),
                    high_inr=numbers.number(high["mean_inr"], 2, signed=True),
                    low=_row_words(facts, low),
                    low_inr=numbers.number(low["mean_inr"], 2, signed=True),
                )
            )
    return " ".join(parts)
