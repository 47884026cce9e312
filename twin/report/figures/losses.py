"""Figure 9: energy losses by level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twin.analysis.loads import UNSERVED
from twin.report import numbers
from twin.report.answer import kind_words
from twin.report.catalogue import chart_label
from twin.report.facts import Arm, Facts
from twin.report.figures import base
from twin.report.settings import setting

FILLS = {
    "loss_ehv": ("#041E45", "#041E45"),
    "loss_33kv": ("#08306B", "#08306B"),
    "loss_11kv": ("#2171B5", "#2171B5"),
    "loss_dt": ("#4292C6", "#4292C6"),
    "loss_lv": ("#6BAED6", "#2171B5"),
}
"""Fill and outline of each level, highest voltage first."""
ROW_PX = 30
Losses = Mapping[tuple[str, str, str], Mapping[str, Any]]
SMALL_MWH = 100.0
"""Below it energies are shown with decimals."""


def build(facts: Facts) -> base.Figure | None:
    """Steps from zero to the total in the first arm; other arms as differences in the table."""
    rows = facts.rows("select * from losses order by arm, area, part")
    table: Losses = {(row["arm"], row["area"], row["part"]): row for row in rows}
    reference = facts.reference.name
    parts = [part for part in FILLS if (reference, "state", part) in table]
    if not parts:
        return None
    shares = [float(table[reference, "state", part]["percent_of_sent"] or 0.0) for part in parts]
    total = sum(shares)
    sentence = _atc_sentence(facts)
    return base.Figure(
        number="9",
        title=facts.t.text("fig9.title", total=numbers.with_unit(numbers.number(total, 1), "%")),
        subtitle=facts.t.text("fig9.subtitle", area=facts.area_name("state"), arm=facts.reference.label),
        alt=_alt(facts, parts, shares),
        help=[facts.t.text("fig9.help"), facts.t.text(sentence), *_differences(facts, table)],
        table=_table(facts, table, parts),
        csv_header=("arm", "area", "part", "energy_mwh", "percent_of_sent"),
        csv_rows=[tuple(row[n] for n in ("arm", "area", "part", "energy_mwh", "percent_of_sent")) for row in rows],
        charts=[_chart(facts, parts, shares, total)],
    )


def _atc_sentence(facts: Facts) -> str:
    """Where AT&C loss stands, or why it does not."""
    if not facts.manifest.get("months_complete"):
        return "losses.short"
    return "losses.months" if facts.rows("select 1 from atc limit 1") else "losses.no_bills"


def _chart(facts: Facts, parts: list[str], shares: list[float], total: float) -> base.Chart:
    names = [*parts, "total"]
    starts = [sum(shares[:place]) for place in range(len(parts))] + [0.0]
    fills = [FILLS[part][0] for part in parts] + ["#000000"]
    edges = [FILLS[part][1] for part in parts] + ["#000000"]
    y = list(range(len(names)))
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": base.rounded([*shares, total], 3),
        "base": base.rounded(starts, 3),
        "y": y,
        "width": 0.62,
        "marker": {"color": fills, "line": {"color": edges, "width": 1}},
        "hoverinfo": "x",
    }
    notes = [
        base.note(numbers.number(value, 2), 1, place, xref="paper", xanchor="right", xshift=52, align="right")
        for place, value in enumerate([*shares, total])
    ]
    look = base.layout(
        (130, 58, 8, 44),
        xaxis=base.axis(facts.t.text("axis.points"), range=[0, total * 1.04], nticks=7),
        yaxis=base.axis(
            range=[len(names) - 0.45, -0.55],
            tickvals=y,
            ticktext=[chart_label(facts.t.text(f"loss.{name}")) for name in names],
            showgrid=False,
            ticks="",
        ),
        annotations=notes,
    )
    height = len(names) * ROW_PX + 56
    return base.Chart([trace], look, height, {"margin": look["margin"] | {"l": 118}}, height)


def _differences(facts: Facts, table: Losses) -> list[str]:
    lines = []
    for arm in facts.overlaid:
        total = [_total(table, name) for name in (arm.name, facts.reference.name)]
        if total[0] is None or total[1] is None:
            continue
        lines.append(_difference(facts, arm, total[0] - total[1]))
    return lines


def _difference(facts: Facts, arm: Arm, change: float) -> str:
    """An arm's change of the total: exactly zero, under the floor, or the value with its interval and kind."""
    floor = float(setting("floors", "technical_loss"))
    names = {"arm": arm.label, "reference": facts.reference.label}
    effect = facts.effect("technical_loss_share", arm.name)
    interval = effect.best if effect else None
    ends = [abs(end) for end in (interval.low, interval.high)] if interval else []
    if change == 0 and not any(ends):
        return facts.t.text("fig9.change.zero", **names)
    if max([abs(change), *ends]) < floor:
        return facts.t.text("fig9.change.floor", floor=facts.t.text("value.points", value=f"{floor:g}"), **names)
    if interval is None:
        digits = min(max(numbers.decimals_for_figures(change, 2), 0), 3)
        value = facts.t.text("value.points", value=numbers.number(change, digits, signed=True))
        return facts.t.text("fig9.change", change=f"{value} ({facts.t.text('kind.none')})", **names)
    decimals = min(max(numbers.decimals_for(change, interval.low, interval.high), 0), 3)
    value = facts.t.text("value.points", value=numbers.number(change, decimals, signed=True))
    span = numbers.span(interval.low, interval.high, decimals, signed=True)
    return facts.t.text("fig9.change", change=f"{value} ({span}; {kind_words(facts, interval)})", **names)


def _total(table: Losses, arm: str) -> float | None:
    shares = [table[arm, "state", part]["percent_of_sent"] for part in FILLS if (arm, "state", part) in table]
    return sum(share for share in shares if share is not None) if shares else None


def _table(facts: Facts, table: Losses, parts: list[str]) -> base.Table:
    arms = [facts.reference, *facts.overlaid]
    header = [facts.t.text("column.area"), facts.t.text("column.part")]
    for arm in arms:
        header += [facts.t.text("column.energy_of", arm=arm.label), facts.t.text("column.percent_of", arm=arm.label)]
    areas = sorted({area for _, area, _ in table}, key=lambda area: (area != "state", area))
    most = max((abs(row["energy_mwh"]) for row in table.values()), default=0.0)
    decimals = 0 if most >= SMALL_MWH else max(numbers.decimals_for_figures(most), 0)
    lines = []
    for area in areas:
        for part in ("sent", *parts, "used", UNSERVED):
            cells: list[str] = []
            for arm in arms:
                row = table.get((arm.name, area, part))
                cells.append(numbers.number(row["energy_mwh"], decimals) if row else "")
                share = row["percent_of_sent"] if row else None
                cells.append("" if share is None else numbers.number(share, 2))
            if any(cells):
                lines.append((_area(facts, area), facts.t.text(f"loss.{part}"), *cells))
    return base.Table(facts.t.text("fig9.caption"), header, lines, frozenset(range(2, len(header))))


def _area(facts: Facts, area: str) -> str:
    return facts.area_name(area)


def _alt(facts: Facts, parts: list[str], shares: list[float]) -> str:
    words = [
        facts.t.text("fig9.alt", part=facts.t.text(f"loss.{part}"), value=numbers.number(share, 2))
        for part, share in zip(parts, shares, strict=True)
    ]
    return " ".join(words)
