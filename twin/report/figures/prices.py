"""Figure 3: price per period as the consumer sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from twin.report import numbers
from twin.report.catalogue import chart_label
from twin.report.facts import Arm, Facts, clock_spans, exact_sum
from twin.report.figures import base

MOST_PANELS = 6
HEIGHT, PRINT_HEIGHT = 190, 140
COLUMNS = 3
Prices = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
"""Periods by (category, arm), each with its prices and the share of consumers at Rs 0.00, in order of the day."""
Classes = dict[int, list[Mapping[str, Any]]]
"""Rows of table ``prices`` of one category and arm by income class."""
SHAPE = ("period", "start", "end", "gross_inr_per_kwh", "subsidy_inr_per_kwh", "seen_inr_per_kwh")
CSV = ("category", "income_class", "arm", *SHAPE, "share_at_zero")
COUNTS = f"select category, income_class, {exact_sum('weight * consumers')} as consumers from population group by all"  # noqa: S608
"""SQL of the state's consumers by category and class."""


def build(facts: Facts) -> base.Figure | None:
    """One small panel per category; None if the run has no prices."""
    raw = _raw(facts)
    if not raw:
        return None
    prices = _prices(facts, raw)
    categories = _chosen(facts, prices)
    arms = [facts.reference, *facts.overlaid]
    top = max(row[name] for rows in prices.values() for row in rows for name in ("gross", "seen"))
    charts = [_panel(facts, prices, category, arms, top) for category in categories]
    return base.Figure(
        number="3",
        title=_title(facts, prices),
        subtitle=facts.t.text("fig3.subtitle"),
        alt=_alt(facts, prices, categories, arms),
        help=_help(facts, prices, len(categories)),
        table=_table(facts, prices),
        csv_header=CSV,
        csv_rows=[tuple(row[name] for name in CSV) for row in raw],
        charts=charts,
        keys=[
            *(base.Key(base.line_sample(arm.colour, arm.svg_dash), arm.label) for arm in arms),
            base.Key(base.line_sample(base.INK, "", 3), facts.t.text("key.seen")),
            base.Key(base.line_sample(base.INK, "", 1), facts.t.text("key.gross")),
        ],
        columns=COLUMNS,
    )


def _raw(facts: Facts) -> list[dict[str, Any]]:
    """Table ``prices`` of the known arms with the consumers of the state in each group."""
    rows = facts.rows(
        f"with counts as ({COUNTS}) "
        "select p.*, coalesce(c.consumers, 0) as consumers from prices p left join counts c "
        'using (category, income_class) order by p.arm, p.category, p.income_class, p."start"'
    )
    known = {arm.name for arm in facts.arms}
    return [row for row in rows if row["arm"] in known]


def _prices(facts: Facts, raw: Sequence[Mapping[str, Any]]) -> Prices:
    """Prices by category and arm, income classes joined, in the order of categories and arms."""
    groups: dict[tuple[str, str], Classes] = {}
    for row in raw:
        groups.setdefault((row["category"], row["arm"]), {}).setdefault(row["income_class"], []).append(row)
    order = {arm.name: place for place, arm in enumerate(facts.arms)}
    rank = facts.category_order
    keys = sorted(groups, key=lambda key: (rank.get(key[0], len(rank)), order[key[1]]))
    return {key: _joined(groups[key]) for key in keys}


def _joined(classes: Classes) -> list[dict[str, Any]]:
    """Periods of the shape of day that most consumers of a category have, with the share at Rs 0.00 over all of them.

    Classes may differ: under the tariff in force only large homes are on time of day.
    """
    weights = {klass: float(rows[0]["consumers"]) for klass, rows in classes.items()}
    if not sum(weights.values()):
        weights = dict.fromkeys(classes, 1.0)
    held: dict[tuple[tuple[Any, ...], ...], float] = {}
    for klass, rows in classes.items():
        shape = tuple(tuple(row[name] for name in SHAPE) for row in rows)
        held[shape] = held.get(shape, 0.0) + weights[klass]
    most = max(held, key=lambda shape: held[shape])
    return [
        dict(zip(("period", "start", "end", "gross", "subsidy", "seen"), period, strict=True))
        | {"at_zero": _share_at_zero(classes, weights, clock_spans(period[1], period[2])[0][0])}
        for period in most
    ]


def _share_at_zero(classes: Classes, weights: Mapping[int, float], hour: float) -> float | None:
    """Share of all consumers whose marginal price is zero at an hour of the day; None where no class says."""
    pairs = [
        (row["share_at_zero"], weights[klass])
        for klass, rows in classes.items()
        for row in rows
        if any(first <= hour < last for first, last in clock_spans(row["start"], row["end"]))
    ]
    known = [(share, weight) for share, weight in pairs if share is not None and not math.isnan(share)]
    total = sum(weight for _, weight in known)
    return sum(share * weight for share, weight in known) / total if total else None


def _chosen(facts: Facts, prices: Prices) -> list[str]:
    """Categories with a panel: homes first, then those whose price differs between arms."""
    homes = {row["category"] for row in facts.rows("select distinct category from prices where income_class > 0")}
    names = list(dict.fromkeys(category for category, _ in prices))

    def rank(category: str) -> tuple[bool, bool]:
        own = [rows for key, rows in prices.items() if key[0] == category]
        shapes = {tuple((row["start"], row["seen"]) for row in rows) for rows in own}
        return (category not in homes, len(shapes) < 2)

    return sorted(names, key=rank)[:MOST_PANELS]


def _panel(facts: Facts, prices: Prices, category: str, arms: Sequence[Arm], top: float) -> base.Chart:
    data = []
    for arm in arms:
        rows = prices.get((category, arm.name), [])
        for name, width in (("gross", 1.2), ("seen", 3.2)):
            x, y = _steps(rows, name)
            line = {"color": arm.colour, "dash": arm.dash, "width": width, "shape": "hv"}
            trace = {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "name": chart_label(arm.label)}
            data.append(trace | {"hoverinfo": "y"})
    zero = _zero_words(facts, prices, category, facts.reference.name)
    if zero:
        flat = {"color": base.INK, "width": 1.5, "dash": "solid"}
        data.append({"type": "scatter", "mode": "lines", "x": [0, 24], "y": [0, 0], "line": flat, "hoverinfo": "skip"})
    x_axis = base.axis(range=[0, 24], tickvals=[0, 6, 12, 18, 24], ticktext=["00", "06", "12", "18", "24"])
    y_axis = base.axis(range=[-0.04 * top, top * 1.08], nticks=5, tickformat=".2f")
    look = base.layout((44, 8, 12, 26), xaxis=x_axis, yaxis=y_axis)
    words = zero or facts.t.text("fig3.no_zero")
    return base.Chart(data, look, HEIGHT, {}, HEIGHT, facts.category_short(category), words, PRINT_HEIGHT)


def _steps(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    spans = sorted((*span, row[name]) for row in rows for span in clock_spans(row["start"], row["end"]))
    if not spans:
        return [], []
    x = [round(start, 4) for start, _, _ in spans] + [24.0]
    y = [round(value, 4) for *_, value in spans]
    return x, [*y, y[-1]]


def _shares(prices: Prices, category: str, arm: str) -> dict[str, float]:
    return {row["period"]: row["at_zero"] for row in prices.get((category, arm), []) if row["at_zero"] is not None}


def _zero_words(facts: Facts, prices: Prices, category: str, arm: str) -> str:
    shares = _shares(prices, category, arm)
    if not shares or max(shares.values()) <= 0:
        return ""
    if max(shares.values()) - min(shares.values()) < 0.005:
        return facts.t.text("fig3.zero_all_day", share=numbers.share(max(shares.values())))
    parts = ", ".join(
        facts.t.text("fig3.zero_part", share=numbers.share(share), period=facts.t.name("window", period))
        for period, share in shares.items()
    )
    return facts.t.text("fig3.zero", parts=parts)


def _help(facts: Facts, prices: Prices, shown: int) -> list[str]:
    lines = [facts.t.text("fig3.help"), facts.t.text("fig3.covered")]
    for category in dict.fromkeys(name for name, _ in prices):
        reference = _zero_words(facts, prices, category, facts.reference.name)
        for arm in facts.overlaid:
            own = _zero_words(facts, prices, category, arm.name)
            if own and own != reference:
                name = facts.category_name(category)
                lines.append(facts.t.text("fig3.zero_arm", arm=arm.label, category=name, words=own))
    total = len({category for category, _ in prices})
    if total > shown:
        lines.append(facts.t.text("fig3.more", shown=shown, all=total))
    return lines


def _title(facts: Facts, prices: Prices) -> str:
    share = home_share_at_zero(facts, facts.reference)
    if share:
        return facts.t.text("fig3.title.zero", share=numbers.share(share), arm=facts.reference.label)
    return facts.t.text("fig3.title.neutral")


def home_share_at_zero(facts: Facts, arm: Arm) -> float | None:
    """Share of homes whose marginal price is zero in every period under an arm; None if the run does not say."""
    rows = facts.rows(
        f"with counts as ({COUNTS}), "
        "least as (select category, income_class, min(share_at_zero) as share from prices "
        f"where arm = {arm.sql} and income_class > 0 group by all) "
        "select consumers, share from least join counts using (category, income_class) "
        "where share is not null and not isnan(share) order by category, income_class"
    )
    total = sum(row["consumers"] for row in rows)
    return sum(row["consumers"] * row["share"] for row in rows) / total if total else None


def _alt(facts: Facts, prices: Prices, categories: Sequence[str], arms: Sequence[Arm]) -> str:
    parts = []
    for category in categories:
        for arm in arms:
            seen = [row["seen"] for row in prices.get((category, arm.name), [])]
            if seen:
                low, high = (numbers.number(value, 2) for value in (min(seen), max(seen)))
                name = facts.category_name(category)
                parts.append(facts.t.text("fig3.alt", category=name, arm=arm.label, low=low, high=high))
    return " ".join(parts)


def _table(facts: Facts, prices: Prices) -> base.Table:
    names = ("category", "arm", "period", "hours", "gross", "price_subsidy", "seen", "at_zero")
    rows = [
        (
            facts.category_short(category),
            facts.arm(arm).label,
            facts.t.name("window", row["period"]),
            facts.t.text("number.span", low=row["start"], high=row["end"]).replace(" ", numbers.NBSP),
            *(numbers.number(row[name], 2) for name in ("gross", "subsidy", "seen")),
            "" if row["at_zero"] is None else numbers.share(row["at_zero"]),
        )
        for (category, arm), periods in prices.items()
        for row in periods
    ]
    header = [facts.t.text(f"column.{name}") for name in names]
    return base.Table(facts.t.text("fig3.caption"), header, rows, frozenset({4, 5, 6, 7}))
