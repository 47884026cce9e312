"""Sentences and cells of the compare page: verdicts, what an arm does in each run, differences with their kind."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from twin.report import numbers
from twin.report.answer import kind_words, lead_effect
from twin.report.comparison.differences import Difference, Spread
from twin.report.comparison.members import NOT_COMPARABLE, Judgement, Member
from twin.report.effects import Effect
from twin.report.facts import Facts
from twin.report.quality import marks, rests_on

LEAD = "evening_peak"


def verdict_sentence(first: Member, member: Member, judgement: Judgement) -> Markup:
    """``R2 against R1: paired, ...``, with what stands in the way."""
    t = first.facts.t
    reasons = ", ".join(judgement.reasons)
    return t.html(f"compare.verdict.{judgement.kind}", run=member.label, first=first.label, reasons=reasons)


def lead_sentences(
    members: Sequence[Member], judgements: Sequence[Judgement], found: Sequence[Difference]
) -> list[Markup]:
    """One sentence per further run: what the leading arm of the first run does in both, and by how much it differs."""
    return [
        _lead(members[0], member, judgement, found) for member, judgement in zip(members[1:], judgements, strict=True)
    ]


def _lead(first: Member, member: Member, judgement: Judgement, found: Sequence[Difference]) -> Markup:
    t = first.facts.t
    names = {"run": member.label, "first": first.label}
    if judgement.kind == NOT_COMPARABLE:
        return t.html("compare.lead.not_comparable", **names)
    effect = lead_effect(first.facts)
    if effect and member.first_arm != first.first_arm:
        return t.html("compare.lead.other_first_arm", **names)
    arm = effect.arm if effect else first.facts.reference.name
    own = next((d for d in found if (d.outcome, d.arm, d.member) == (LEAD, arm, member)), None)
    if own is None or own.spread.value is None:
        return t.html("compare.lead.missing", arm=first.facts.arm(arm).label, **names)
    key = "compare.lead.effect" if effect else "compare.lead.level"
    other = member.facts.effect(LEAD, arm) if effect else None
    return t.html(
        key,
        model=_model(first.facts),
        arm=first.facts.arm(arm).label,
        area=first.facts.area_name("state"),
        mine=_size(first.facts, effect) if effect else value_cell(first.facts, own.first, own.unit),
        other=_size(member.facts, other) if other else value_cell(first.facts, own.own, own.unit),
        difference=spread_words(first.facts, own),
        **names,
    )


def _model(facts: Facts) -> Markup:
    found = marks(facts, rests_on("effect"))
    return facts.t.html("answer.model.given", marks=found) if found else facts.t.html("answer.model")


def _size(facts: Facts, effect: Effect) -> str:
    """``-0.65 % (-0.84 to -0.47; range of 2 draws)``."""
    relative = effect.in_percent() or effect
    interval = relative.best
    if interval is None:
        words = numbers.with_unit(numbers.number(relative.value, _decimals(relative.value), signed=True), relative.unit)
        return f"{words} ({facts.t.text('kind.none')})"
    decimals = numbers.decimals_for(relative.value, interval.low, interval.high)
    value = numbers.with_unit(numbers.number(relative.value, decimals, signed=True), relative.unit)
    return (
        f"{value} ({numbers.span(interval.low, interval.high, decimals, signed=True)}; {kind_words(facts, interval)})"
    )


def _decimals(value: float) -> int:
    return max(numbers.decimals_for_figures(value, 2), 0)


def spread_words(facts: Facts, difference: Difference) -> str:
    """``+12 MW (+8 to +16; paired, range of 2 draws)``."""
    value, interval, kind = spread_cells(facts, difference)
    return f"{value} ({interval}; {kind})" if interval else f"{value} ({kind})"


def spread_cells(facts: Facts, difference: Difference) -> tuple[str, str, str]:
    """Difference, interval and kind as text; the first two empty where they are not known."""
    spread = difference.spread
    kind = facts.t.text(f"compare.kind.{spread.kind}", n=spread.draws)
    if spread.value is None:
        return facts.t.text("compare.not_in_run"), "", ""
    if spread.value == 0 and not spread.low and not spread.high:
        return facts.t.text("rows.exactly_zero"), "", kind
    if difference.unit == "INR":
        return _rupee_cells(facts, spread, kind)
    if spread.low is None or spread.high is None:
        return value_cell(facts, spread.value, difference.unit, signed=True), "", kind
    decimals = min(numbers.decimals_for(spread.value, spread.low, spread.high), 3)
    value = numbers.with_unit(
        numbers.number(spread.value, decimals, signed=True), facts.t.name("unit", difference.unit)
    )
    return value, numbers.span(spread.low, spread.high, decimals, signed=True), kind


def _rupee_cells(facts: Facts, spread: Spread, kind: str) -> tuple[str, str, str]:
    """Value and interval in one unit, that of the larger; the unit stands with the value."""
    value = spread.value or 0.0
    if spread.low is None or spread.high is None:
        return numbers.rupees(value, signed=True).indian, "", kind
    largest = max(abs(value), abs(spread.low), abs(spread.high))
    unit = "crore" if largest >= numbers.CRORE else "lakh"
    value, low, high = (
        one / (numbers.CRORE if unit == "crore" else numbers.LAKH) for one in (value, spread.low, spread.high)
    )
    decimals = min(numbers.decimals_for(value, low, high), 3)
    words = facts.t.text(f"compare.{unit}", value=numbers.number(value, decimals, signed=True))
    return words, numbers.span(low, high, decimals, signed=True), kind


def value_cell(facts: Facts, value: float | None, unit: str, signed: bool = False) -> str:
    """A value with its unit, four figures (changes: three), money in lakh and crore; empty where there is none."""
    if value is None:
        return ""
    if unit == "INR":
        return numbers.rupees(value, signed=signed).indian if value else facts.t.text("value.zero_rupees")
    decimals = min(max(numbers.decimals_for_figures(value, 3 if signed else 4), 0), 3)
    return numbers.with_unit(numbers.number(value, decimals, signed), facts.t.name("unit", unit))
