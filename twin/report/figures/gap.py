"""Figure 6b: what a unit costs and what comes in for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin import datapack
from twin.analysis.design import is_own_network
from twin.report import numbers
from twin.report.answer import kind_words
from twin.report.catalogue import chart_label
from twin.report.facts import Arm, Facts
from twin.report.figures import base
from twin.report.settings import setting
from twin.units import INR_PER_CRORE

Row = Mapping[str, Any]
FILLS = {
    "purchase": ("#08306B", "#08306B"),
    "losses": ("#6BAED6", "#2171B5"),
    "consumers": ("#595959", "#595959"),
    "subsidy": ("#FFFFFF", "#595959"),
    "collected": ("#000000", "#000000"),
}
"""Fill and outline of each piece of a bar."""
ROW_PX = 34
CSV = (
    "arm", "area", "input_mwh", "billed_mwh", "purchase_inr", "capacity_inr", "revenue_inr", "subsidy_inr",
    "collected_inr", "purchase_inr_per_kwh_input", "purchase_inr_per_kwh", "revenue_inr_per_kwh",
    "subsidy_inr_per_kwh", "collected_inr_per_kwh", "gap_inr_per_kwh",
)  # fmt: skip
COLUMNS = (
    "purchase_inr_per_kwh_input", "purchase_inr_per_kwh", "revenue_inr_per_kwh", "subsidy_inr_per_kwh",
    "collected_inr_per_kwh", "gap_inr_per_kwh",
)  # fmt: skip


class _Published(datapack.Row):
    id: str
    period: str
    value_low: float


def build(facts: Facts) -> base.Figure | None:
    """Bars of the first arm; discoms and other arms in the table. None without whole billing months or bills."""
    rows = facts.rows("select * from gap order by arm, area <> 'state', area")
    by_key = {(row["arm"], row["area"]): row for row in rows}
    state = by_key.get((facts.reference.name, "state"))
    if state is None or state["gap_inr_per_kwh"] is None:
        return None
    gap = float(state["gap_inr_per_kwh"])
    return base.Figure(
        number="6b",
        title=facts.t.text("fig6b.title.left" if gap < 0 else "fig6b.title.short", gap=_unit_price(abs(gap))),
        subtitle=facts.t.text("fig6b.subtitle", area=facts.area_name("state"), arm=facts.reference.label),
        alt=_alt(facts, state),
        help=_help(facts, state),
        table=_table(facts, by_key),
        csv_header=CSV,
        csv_rows=[tuple(row[name] for name in CSV) for row in rows],
        csv_table="gap",
        charts=[_chart(facts, state)],
        keys=_keys(facts, state),
    )


def _unit_price(inr: float, signed: bool = False) -> str:
    return numbers.rupees(inr, 0.005, signed).indian


def pieces(state: Row) -> list[tuple[str, list[tuple[str, float]]]]:
    """Bars with their pieces per unit billed; a bar's pieces add up to the cost or the revenue. [INR/kWh]"""
    bought = float(state["purchase_inr_per_kwh_input"])
    bars = [
        ("cost", [("purchase", bought), ("losses", float(state["purchase_inr_per_kwh"]) - bought)]),
        (
            "revenue",
            [
                ("consumers", float(state["revenue_inr_per_kwh"]) - float(state["subsidy_inr_per_kwh"])),
                ("subsidy", float(state["subsidy_inr_per_kwh"])),
            ],
        ),
    ]
    if (collected := state["collected_inr_per_kwh"]) is not None:
        bars.append(("collected", [("collected", float(collected))]))
    return bars


def approved(facts: Facts) -> tuple[float, str] | None:
    """Cost of supply that the regulator approved [INR/kWh] and its year; None on a network of the user's."""
    if is_own_network(facts.scenario):
        return None
    wanted = setting("approved_cost_of_supply")
    (row,) = [row for row in datapack.read_rows("calibration", _Published) if row.id == wanted]
    return row.value_low, row.period


def _chart(facts: Facts, state: Row) -> base.Chart:
    bars, known = pieces(state), approved(facts)
    traces, totals = [], []
    for row, (_, parts) in enumerate(bars):
        start = 0.0
        for name, size in parts:
            fill, edge = FILLS[name]
            marker = {"color": fill, "line": {"color": edge, "width": 1}}
            place = {"x": base.rounded([size], 3), "base": base.rounded([start], 3), "y": [row], "width": 0.6}
            traces.append({"type": "bar", "orientation": "h", "marker": marker, "hoverinfo": "x", **place})
            start += size
        totals.append(start)
    notes = [
        base.note(numbers.number(value, 2), 1, row, xref="paper", xanchor="right", xshift=52, align="right")
        for row, value in enumerate(totals)
    ]
    line = {"color": base.INK, "width": 1.5, "dash": "5px,3px"}
    look = base.layout(
        (130, 58, 8, 44),
        xaxis=base.axis(facts.t.text("axis.inr_per_kwh"), range=[0, max([*totals, known[0] if known else 0]) * 1.06]),
        yaxis=base.axis(
            range=[len(bars) - 0.45, -0.55],
            tickvals=list(range(len(bars))),
            ticktext=[chart_label(facts.t.text(f"gap.bar.{name}")) for name, _ in bars],
            showgrid=False,
            ticks="",
        ),
        annotations=notes,
        shapes=[base.rule(known[0], known[0], -0.55, len(bars) - 0.45, line=line)] if known else [],
        barmode="overlay",
    )
    height = len(bars) * ROW_PX + 56
    return base.Chart(traces, look, height, {"margin": look["margin"] | {"l": 118}}, height)


def _keys(facts: Facts, state: Row) -> list[base.Key]:
    names = [name for _, parts in pieces(state) for name, _ in parts]
    keys = [base.Key(base.bar_sample(*FILLS[name]), facts.t.text(f"gap.piece.{name}")) for name in names]
    if known := approved(facts):
        words = facts.t.text("key.approved_cost", value=numbers.number(known[0], 2), period=known[1])
        keys.append(base.Key(base.line_sample(base.INK, "5 3", 1.5), words))
    return keys


def _help(facts: Facts, state: Row) -> list[str]:
    t, known = facts.t, approved(facts)
    lines = [t.text("fig6b.help"), t.text("fig6b.left_out")]
    if known:
        gap = known[0] - float(state["revenue_inr_per_kwh"])
        key = "fig6b.approved.below" if gap > 0 else "fig6b.approved.above"
        lines.append(t.text(key, value=_unit_price(known[0]), period=known[1], gap=_unit_price(abs(gap))))
    if state["collected_inr"] is None:
        lines.append(t.text("fig6b.no_payments"))
    lines.append(t.text("fig6b.capacity", value=numbers.rupees(float(state["capacity_inr"])).both()))
    return [*lines, *(_change(facts, arm) for arm in facts.overlaid if facts.effect("gap_per_kwh", arm.name))]


def _change(facts: Facts, arm: Arm) -> str:
    """An arm's change of the gap with its interval and kind."""
    effect = facts.effect("gap_per_kwh", arm.name)
    if effect is None or effect.value == 0:
        return facts.t.text("fig6b.change.zero", arm=arm.label)
    interval = effect.best
    if interval is None:
        value, doubt = _paise(effect.value, None), facts.t.text("kind.none")
    else:
        half = (interval.high - interval.low) / 2
        ends = sorted((interval.low, interval.high))
        span = facts.t.text("number.span", low=_paise(ends[0], half), high=_paise(ends[1], half))
        value, doubt = _paise(effect.value, half), f"{span}; {kind_words(facts, interval)}"
    return facts.t.text("fig6b.change", arm=arm.label, change=value, doubt=doubt)


def _paise(inr: float, half_width: float | None) -> str:
    """A difference per unit in paise, with the digits its interval allows."""
    paise = 100.0 * inr
    half = None if half_width is None else 100.0 * half_width
    decimals = numbers.decimals_for_width(half) if half else numbers.decimals_for_figures(paise, 2)
    return numbers.number(paise, min(max(decimals, 0), 3), signed=True)


def _table(facts: Facts, rows: Mapping[tuple[str, str], Row]) -> base.Table:
    header = [facts.t.text(f"column.{name}") for name in ("area", "arm")]
    header += [facts.t.text(f"gap.{name}") for name in ("input", "billed", "purchase", *COLUMNS)]
    arms = [facts.reference, *facts.overlaid]
    areas = list(dict.fromkeys(area for _, area in rows))
    lines = [
        (facts.area_name(area), arm.label, *_cells(rows[arm.name, area]))
        for area in areas
        for arm in arms
        if (arm.name, area) in rows
    ]
    return base.Table(facts.t.text("fig6b.caption"), header, lines, frozenset(range(2, len(header))))


def _cells(row: Row) -> Sequence[str]:
    energies = [numbers.number(float(row[name]) / 1e3, 1) for name in ("input_mwh", "billed_mwh")]
    prices = ["" if row[name] is None else numbers.number(float(row[name]), 2) for name in COLUMNS]
    return [*energies, numbers.number(float(row["purchase_inr"]) / INR_PER_CRORE, 1), *prices]


def _alt(facts: Facts, state: Row) -> str:
    return " ".join(
        facts.t.text(
            "fig6b.alt", bar=facts.t.text(f"gap.bar.{name}"), value=numbers.number(sum(s for _, s in parts), 2)
        )
        for name, parts in pieces(state)
    )
