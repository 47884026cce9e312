"""Figure 6: who bears it."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from twin.report import numbers
from twin.report.effects import Effect
from twin.report.facts import Arm, Facts
from twin.report.figures import base, rows
from twin.report.figures.glance import EFFECT_CSV, effect_csv, effects_table
from twin.units import INR_PER_CRORE

OUTCOMES = ("consumer_payment", "subsidy", "duty", "revenue", "purchase_cost", "capacity_value")
GAP = "gap_per_kwh"
INR_PER_LAKH = INR_PER_CRORE / 100
LEAST = 0.01
"""An axis of differences spans at least this share of the largest reference on each side."""


def build(facts: Facts) -> base.Figure | None:
    """Change of every money flow for the period, and the sum that must close; None without such effects."""
    effects = [
        (outcome, arm, effect)
        for outcome in OUTCOMES
        for arm in facts.listed
        for effect in [facts.effect(outcome, arm.name)]
        if effect is not None
    ]
    if not effects:
        return None
    largest = max(abs(end) for _, _, effect in effects for end in (effect.value, *_ends(effect)))
    factor, unit = (INR_PER_CRORE, "crore") if largest >= INR_PER_CRORE / 10 else (INR_PER_LAKH, "lakh")
    own = []
    for outcome, arm, effect in effects:
        scaled = effect.scaled(1 / factor, facts.t.text(f"unit.{unit}"))
        words, short = rows.value_words(scaled, "", facts.t)
        if effect.value == 0 and not any(_ends(effect)):
            words = short = facts.t.text("rows.exactly_zero")
        own.append(rows.Row(facts.t.name("outcome", outcome), arm, scaled, words, short))
    references = [abs(row.effect.reference or 0.0) for row in own]
    chart = rows.panel(own, facts.t.text(f"axis.{unit}"), 0.0, max(references) * LEAST)
    period = facts.t.text("period.days.one" if facts.days == 1 else "period.days.many", n=facts.days)
    return base.Figure(
        number="6",
        title=_title(facts),
        subtitle=facts.t.text(
            f"fig6.subtitle.{unit}", area=facts.area_name("state"), reference=facts.reference.label, period=period
        ),
        alt=_alt(facts, own),
        help=[facts.t.text("fig6.help"), *(_sum(facts, arm) for arm in facts.overlaid), *_missing(facts, effects)],
        table=effects_table(facts, [row.effect for row in own], facts.t.text("fig6.caption")),
        csv_header=EFFECT_CSV,
        csv_rows=[line for _, _, effect in effects for line in effect_csv(effect)],
        charts=[chart],
        keys=rows.keys(own, facts.t, floor=False),
    )


def _missing(facts: Facts, effects: Sequence[tuple[str, Arm, Effect]]) -> list[str]:
    """Flows that belong to the question and are not in the run: said, never shown as zero."""
    held = {outcome for outcome, _, _ in effects}
    held |= {GAP} & {effect.outcome for effect in facts.effects}  # figure 6b
    names = [facts.t.name("outcome", outcome) for outcome in (*OUTCOMES, GAP) if outcome not in held]
    return [facts.t.text("fig6.missing", names=", ".join(names))] if names else []


def _ends(effect: Effect) -> list[float]:
    return [end for part in effect.intervals for end in (part.low, part.high)]


def _flow(facts: Facts, outcome: str, arm: Arm) -> float | None:
    effect = facts.effect(outcome, arm.name)
    return effect.value if effect else None


def _title(facts: Facts) -> str:
    largest: tuple[float, Arm] | None = None
    for arm in facts.treatments:
        value = _flow(facts, "revenue", arm)
        if value and (largest is None or abs(value) > abs(largest[0])):
            largest = (value, arm)
    if largest is None:
        return facts.t.text("fig6.title.neutral")
    key = "fig6.title.less" if largest[0] < 0 else "fig6.title.more"
    return facts.t.text(key, arm=largest[1].label, amount=numbers.rupees(abs(largest[0])).indian)


def _sum(facts: Facts, arm: Arm) -> Markup:
    """What consumers and the state pay more or less equals what the discoms receive more or less, checked."""
    paid, subsidy, duty, revenue, cost = (
        _flow(facts, name, arm) for name in ("consumer_payment", "subsidy", "duty", "revenue", "purchase_cost")
    )
    if paid is None or subsidy is None or duty is None or revenue is None or cost is None:
        return facts.t.html("fig6.sum.missing", arm=arm.label)
    gap = paid + subsidy - duty - revenue
    size = max(abs(paid), abs(subsidy), abs(duty), abs(revenue), 1.0)
    key = "fig6.sum" if abs(gap) <= 1e-6 * size else "fig6.sum.open"

    def words(value: float) -> str:
        return numbers.rupees(value, signed=True).indian if value else facts.t.text("value.zero_rupees")

    return facts.t.html(
        key,
        arm=arm.label,
        paid=numbers.rupees(paid, signed=True).both() if paid else words(paid),
        state=words(subsidy - duty),
        revenue=words(revenue),
        cost=words(cost),
        margin=words(revenue - cost),
    )


def _alt(facts: Facts, own: list[rows.Row]) -> str:
    high, low = max(own, key=lambda row: row.effect.value), min(own, key=lambda row: row.effect.value)
    return facts.t.text(
        "fig6.alt",
        high=f"{high.head}, {high.arm.label}: {high.words}",
        low=f"{low.head}, {low.arm.label}: {low.words}",
    )
