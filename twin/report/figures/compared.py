"""Figure 6c: every outcome of every arm in one table, with intervals: network, money, who gains and who loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twin import datapack
from twin.report import numbers
from twin.report.answer import home_shares, judged, kind_words
from twin.report.effects import Effect, Verdict
from twin.report.facts import Arm, Facts, exact_sum
from twin.report.figures import base
from twin.report.figures.gains import too_few_groups
from twin.report.figures.glance import EFFECT_CSV, effect_csv
from twin.report.figures.worlds import in_cases
from twin.units import INR_PER_CRORE

NETWORK = (
    "evening_peak", "peak_any", "energy_moved", "energy_saved", "technical_loss_share", "dt_overload_hours",
    "voltage_violations",
)  # fmt: skip
MONEY = (
    "revenue", "subsidy", "duty", "consumer_payment", "purchase_cost", "capacity_value", "gap_per_kwh",
)  # fmt: skip
OF_DISCOMS = ("revenue", "subsidy", "consumer_payment")
BILL = "bill_response"
INR_PER_LAKH = INR_PER_CRORE / 100


@dataclass(frozen=True)
class Line:
    """A row of the table: an outcome of an area and a group, under a head."""

    head: str
    name: str
    outcome: str
    area: str = "state"
    group: str = "all"


def build(facts: Facts) -> base.Figure | None:
    """The table, and all effects as data; None with one arm."""
    arms = facts.listed
    lines = [line for line in _lines(facts) if any(_effect(facts, line, arm) for arm in arms)]
    if not lines:
        return None
    t = facts.t
    few = too_few_groups(facts)
    rows = [(line.head, line.name, *_cells(facts, line, arms, line.group in few)) for line in lines]
    rows += [*_home_rows(facts, arms), *_enrolment_rows(facts, arms)]
    held = [effect for line in lines for arm in arms for effect in [_effect(facts, line, arm)] if effect]
    return base.Figure(
        number="6c",
        title=t.text("fig6c.title", reference=facts.reference.label),
        subtitle=t.text("fig6c.subtitle", reference=facts.reference.label, period=facts.counted("days", facts.days)),
        alt="",
        help=[t.text("fig6c.help"), *([t.text("fig6c.few")] if any(line.group in few for line in lines) else [])],
        table=base.Table(
            t.text("fig6c.caption"),
            [
                t.text("column.what"),
                t.text("column.outcome"),
                t.text("fig6c.reference", reference=facts.reference.label),
                *(arm.label for arm in arms),
            ],
            rows,
            frozenset(range(2, 3 + len(arms))),
        ),
        csv_header=EFFECT_CSV,
        csv_rows=[row for effect in held for row in effect_csv(effect)],
        csv_table="effects",
    )


def _lines(facts: Facts) -> list[Line]:
    """All rows that could be, in reading order."""
    t, state = facts.t, facts.area_name("state")
    lines = [Line(t.text("fig6c.head.network"), t.name("outcome", name), name) for name in NETWORK]
    lines += [Line(t.text("fig6c.head.money"), t.name("outcome", name), name) for name in MONEY]
    discoms = sorted({e.area for e in facts.effects if e.area.startswith("discom:")})
    for area in discoms:
        head = facts.area_name(area)
        lines += [Line(head, t.name("outcome", name), name, area) for name in OF_DISCOMS]
        lines.append(Line(head, t.text("fig6c.bill"), BILL, area))
    head = t.text("fig6c.head.bill", area=state)
    lines += [Line(head, t.text("fig6c.all"), BILL), Line(head, t.text("fig6c.homes"), BILL, group="homes")]
    lines += [Line(head, t.text("fig6c.class", n=n), BILL, group=f"class/{n}") for n in range(1, datapack.CLASSES)]
    for name in facts.category_order:
        lines.append(Line(head, facts.category_name(name), BILL, group=f"category/{name}"))
    return lines


def _effect(facts: Facts, line: Line, arm: Arm) -> Effect | None:
    return facts.effect(line.outcome, arm.name, line.area, line.group)


def _cells(facts: Facts, line: Line, arms: Sequence[Arm], few: bool) -> list[str]:
    """The first arm's own value, then each arm's change."""
    if few:
        return [facts.t.text("gains.too_few")] * (1 + len(arms))
    effects = [_effect(facts, line, arm) for arm in arms]
    reference = next(effect.reference for effect in effects if effect)
    first = next(effect for effect in effects if effect)
    own = "" if reference is None else _amount(facts, reference, first.unit)
    return [own, *("" if effect is None else _change(facts, effect) for effect in effects)]


def _amount(facts: Facts, value: float, unit: str) -> str:
    if unit == "INR":
        return numbers.rupees(value).indian
    decimals = 2 if unit.startswith("INR") else min(max(numbers.decimals_for_figures(value), 0), 2)
    return numbers.with_unit(numbers.number(value, decimals), _unit(facts, unit))


def _unit(facts: Facts, unit: str) -> str:
    """The reader's unit; rupees a month stand in the name of the row."""
    return "" if unit == "INR/month" else facts.t.name("unit", unit)


def _change(facts: Facts, effect: Effect) -> str:
    """Value with its interval and kind; exactly zero in words."""
    if judged(effect) == Verdict.EXACTLY_ZERO:
        return facts.t.text("rows.exactly_zero")
    shown, money, unit = effect, "", _unit(facts, effect.unit)
    if effect.unit == "INR":
        large = max(abs(end) for end in (effect.value, *_ends(effect))) >= INR_PER_CRORE / 10
        name, factor = ("crore", INR_PER_CRORE) if large else ("lakh", INR_PER_LAKH)
        shown, money = effect.scaled(1.0 / factor, ""), f"fig6c.{name}"
    interval = shown.best
    low, high = (interval.low, interval.high) if interval else (None, None)
    decimals = min(max(numbers.decimals_for(shown.value, low, high), 0), 3)
    value = numbers.with_unit(numbers.number(shown.value, decimals, signed=True), unit)
    if money:
        value = facts.t.text(money, value=numbers.number(shown.value, decimals, signed=True))
    if interval is None:
        return facts.t.text("fig6c.cell", value=value, doubt=facts.t.text("kind.none"))
    span = numbers.span(interval.low, interval.high, decimals, signed=True)
    return facts.t.text("fig6c.cell", value=value, doubt=f"{span}; {kind_words(facts, interval)}")


def _ends(effect: Effect) -> list[float]:
    return [end for part in effect.intervals for end in (part.low, part.high)]


def _home_rows(facts: Facts, arms: Sequence[Arm]) -> list[tuple[str, ...]]:
    """Shares of homes that pay more, the same and less, which have no interval."""
    shares = [home_shares(facts, arm) for arm in arms]
    if not any(shares):
        return []
    head = facts.t.text("fig6c.head.homes")
    return [
        (head, facts.t.text(f"fig6c.{name}"), "", *(numbers.share(own[name]) if own else "" for own in shares))
        for name in ("more", "same", "less")
    ]


def _enrolment_rows(facts: Facts, arms: Sequence[Arm]) -> list[tuple[str, ...]]:
    """Share of those whom an arm's tariff is for that are on it, mean over draws; without a choice all are."""
    shares = [_joined(facts, arm) for arm in arms]
    if not any(shares):
        return []
    head, groups = facts.t.text("fig6c.head.enrolment"), ["all", *(str(n) for n in range(1, datapack.CLASSES))]
    lines = []
    for group in groups:
        name = facts.t.text("fig6c.all") if group == "all" else facts.t.text("fig6c.class", n=group)
        cells = [numbers.share(own[group]) if group in own else "" for own in shares]
        if any(cells):
            lines.append((head, name, "", *cells))
    return lines


def _joined(facts: Facts, arm: Arm) -> dict[str, float]:
    """Share on the tariff of all whom it is for, and of the homes of each income class; empty without a choice."""
    sums = f"{exact_sum('weight * reached')} as reached, {exact_sum('weight * joined')} as joined"
    own = f"from enrolment where {in_cases(facts, arm)}"
    rows = facts.rows(f"select 'all' as name, {sums} {own}")
    rows += facts.rows(f"select income_class::varchar as name, {sums} {own} and income_class > 0 group by 1 order by 1")
    return {row["name"]: row["joined"] / row["reached"] for row in rows if row["reached"]}
