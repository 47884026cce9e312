"""The answer in three sentences, by templates from `effects`, `gains` and `sensitivity`; never free text."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from twin.report import numbers
from twin.report.answer_levels import meter_words, supply_words
from twin.report.effects import WHOLE_KINDS, Effect, Interval, Verdict, verdict
from twin.report.facts import Arm, Facts, day_words, literal
from twin.report.left_out import left_out_lines
from twin.report.quality import marks, rests_on
from twin.report.settings import floor_percent

LEAD_OUTCOME = "evening_peak"


def answer(facts: Facts) -> list[Markup]:
    """First sentence: how large. Second: who. Third: what would change it. Then what supply was like.

    With one arm the answer describes: supply and meters where the run is about them, then the load.
    """
    supply = supply_words(facts, _model(facts, "supply"), period_words(facts, prorated=False))
    if not facts.treatments:
        told = [*supply, *meter_words(facts, Markup("") if supply else _model(facts, "meters"))]
        if told:
            return [*told, _one_arm(facts, "answer.one_arm.plain")]
        return [_one_arm(facts), facts.t.html("answer.one_arm.second"), facts.t.html("answer.one_arm.third")]
    effect = lead_effect(facts)
    if effect is None:
        lines = [facts.t.html("answer.no_effects"), who(facts, facts.treatments[0]), what_matters(facts, None)]
    else:
        lines = [first_sentence(facts, effect), who(facts, facts.arm(effect.arm)), what_matters(facts, effect)]
    return [*lines, *supply[:1]]


def lead_effect(facts: Facts) -> Effect | None:
    """The evening-peak effect to lead with: the largest clear one, else the largest of all."""
    areas = facts.areas(LEAD_OUTCOME)
    if not areas:
        return None
    found = [facts.effect(LEAD_OUTCOME, arm.name, areas[0]) for arm in facts.treatments]
    effects = [effect for effect in found if effect is not None]
    clear = [effect for effect in effects if judged(effect) in (Verdict.CLEAR, Verdict.ONE_DRAW)]
    return max(clear or effects, key=lambda effect: abs(effect.value), default=None)


def judged(effect: Effect) -> str:
    """Verdict on an effect by its floor, in per cent where the reference allows."""
    relative = effect.in_percent()
    return verdict(relative, floor_percent(effect.outcome)) if relative else verdict(effect, 0.0)


def first_sentence(facts: Facts, effect: Effect) -> Markup:
    """What the leading arm does to the evening peak, by the case it is."""
    relative = effect.in_percent() or effect
    case = judged(effect)
    words: dict[str, Any] = {
        "model": _model(facts, "effect"),
        "arm": facts.arm(effect.arm).label,
        "area": facts.area_name(effect.area),
        "verb": facts.t.text("verb.lowers" if effect.value < 0 else "verb.raises"),
    }
    if case == Verdict.EXACTLY_ZERO:
        return facts.t.html("answer.zero_priced" if _all_see_zero(facts, effect.arm) else "answer.zero", **words)
    if case == Verdict.UNDER_FLOOR:
        floor = numbers.with_unit(f"{floor_percent(effect.outcome):g}", "%")
        return _with_doubt(facts, facts.t.html("answer.under_floor", floor=floor, **words), effect)
    if case == Verdict.HOLDS_ZERO:
        interval = _surely(relative.of_draws)
        decimals = numbers.decimals_for(relative.value, interval.low, interval.high)
        ends = numbers.span(interval.low, interval.high, decimals, "%", signed=True)
        kind = kind_words(facts, interval)
        return _with_doubt(facts, facts.t.html("answer.holds_zero", ends=ends, kind=kind, **words), effect)
    words["absolute"] = _absolute(facts, effect)
    if case == Verdict.ONE_DRAW:
        size = numbers.percent(abs(relative.value))
        return facts.t.html("answer.one_draw", size=size, **words)
    interval = _surely(relative.of_draws)
    decimals = numbers.decimals_for(relative.value, interval.low, interval.high)
    words |= {
        "size": numbers.with_unit(numbers.number(abs(relative.value), decimals), "%"),
        "ends": numbers.span(abs(interval.low), abs(interval.high), decimals, "%"),
        "kind": kind_words(facts, interval),
    }
    key = "answer.clear" if case == Verdict.CLEAR else "answer.partly_under_floor"
    return _with_doubt(facts, facts.t.html(key, **words), effect)


SMALL_MW = 10.0
"""Below it a load is shown with three figures."""


def _absolute(facts: Facts, effect: Effect) -> str:
    """``about 50 of 7,660 MW``, and the peak of the one district that the run looks at closely, if clear too."""
    reference = effect.reference or 0.0
    small = 0 < abs(reference) < SMALL_MW  # a network of a few streets
    finest = numbers.decimals_for_figures(effect.value, 2)
    words = {
        "change": numbers.number(abs(effect.value), finest if small else min(finest, 1)),
        "reference": numbers.with_unit(
            numbers.number(reference, numbers.decimals_for_figures(reference) if small else 0), effect.unit
        ),
    }
    districts = facts.resolved_districts
    own = facts.effect(effect.outcome, effect.arm, f"district:{districts[0]}") if len(districts) == 1 else None
    relative = own.in_percent() if own else None
    interval = relative.of_draws if relative else None
    if own is None or relative is None or interval is None:
        return facts.t.text("answer.absolute", **words)
    if judged(own) != Verdict.CLEAR or own.value * effect.value <= 0:
        return facts.t.text("answer.absolute", **words)
    decimals = numbers.decimals_for(relative.value, interval.low, interval.high)
    return facts.t.text(
        "answer.district",
        district=facts.area_name(own.area),
        size=numbers.with_unit(numbers.number(abs(relative.value), decimals), "%"),
        ends=numbers.span(abs(interval.low), abs(interval.high), decimals, "%"),
        **words,
    )


def _model(facts: Facts, subject: str) -> Markup:
    """``In this model``, naming the assumed numbers that the sentence rests on."""
    found = marks(facts, rests_on(subject))
    return facts.t.html("answer.model.given", marks=found) if found else facts.t.html("answer.model")


def _surely(interval: Interval | None) -> Interval:
    if interval is None:
        raise ValueError("this case of the answer has an interval by definition")
    return interval


def _with_doubt(facts: Facts, sentence: Markup, effect: Effect) -> Markup:
    """A headline never carries sampling or draws alone without saying so."""
    interval = effect.best
    if interval is None or interval.kind in WHOLE_KINDS or interval.kind == "parameter":
        return sentence
    return Markup("{} {}").format(sentence, facts.t.html("answer.parameters_fixed"))


def kind_words(facts: Facts, interval: Interval) -> str:
    """Name of an interval's kind as text uses it, with the number of draws where it is a range."""
    return facts.t.text(f"kind.{interval.kind}", n=interval.replicates)


def _all_see_zero(facts: Facts, arm: str) -> bool:
    """Does every consumer whose price the arm would change face a marginal price of zero?"""
    sql = f"select min(share_at_zero) as least from prices where arm = {literal(arm)} and income_class > 0"
    least = facts.rows(sql)[0]["least"]
    return least is not None and least >= 1.0


def home_shares(facts: Facts, arm: Arm, measure: str = "response") -> dict[str, float] | None:
    """Shares of homes that pay the same, more and less a month under an arm; None if the run has no such rows."""
    row = facts.rows(
        "select sum(consumers) as homes, sum(consumers * share_same) / sum(consumers) as same, "
        "sum(consumers * share_more) / sum(consumers) as more, sum(consumers * share_less) / sum(consumers) as less "
        f"from gains where arm = {arm.sql} and measure = '{measure}' and income_class > 0 and consumers > 0"
    )[0]
    if row["homes"] is None:
        return home_shares(facts, arm, "unchanged") if measure == "response" else None
    return row


def who(facts: Facts, arm: Arm) -> Markup:
    """Second sentence: who pays more and less, and what moves in revenue and subsidy."""
    if left_out_lines(facts, "bills"):
        return facts.t.html("answer.who.left_out")
    shares = home_shares(facts, arm)
    period = period_words(facts)
    money = {
        "revenue": money_words(facts.effect("revenue", arm.name), facts).both(),
        "subsidy": money_words(facts.effect("subsidy", arm.name), facts).indian,
    }
    if shares is None:
        return facts.t.html("answer.who.unknown", period=period, **money)
    changed = shares["more"] + shares["less"]
    if changed <= 0:
        return facts.t.html("answer.who.none", period=period, **money)
    same, more = numbers.share(shares["same"]), numbers.share(shares["more"] / changed)
    found = marks(facts, rests_on("bills"))
    given = facts.t.html("answer.given", marks=found) if found else Markup("")
    return facts.t.html("answer.who", same=same, more=more, given=given, period=period, **money)


def period_words(facts: Facts, *, prorated: bool = True) -> str:
    """``the 7 days simulated``, and for money that it is prorated where no whole month was simulated."""
    words = facts.t.text("period.days.one" if facts.days == 1 else "period.days.many", n=facts.days)
    return (
        words
        if not prorated or facts.manifest.get("months_complete")
        else facts.t.text("period.prorated", period=words)
    )


def money_words(effect: Effect | None, facts: Facts) -> numbers.Amount:
    """An effect in rupees as text, in lakh or crore and in Western form; says so if there is none."""
    if effect is None:
        return numbers.Amount(facts.t.text("value.missing"), "")
    if effect.value == 0:
        return numbers.Amount(facts.t.text("value.zero_rupees"), "")
    interval = effect.of_draws
    half_width = (interval.high - interval.low) / 2 if interval else None
    return numbers.rupees(effect.value, half_width, signed=True)


def what_matters(facts: Facts, effect: Effect | None) -> Markup:
    """Third sentence: the assumption that would change the answer most, or that this run cannot say."""
    rows = []
    if effect is not None and effect.reference:
        arm = literal(facts.arm(effect.arm).base)
        rows = facts.rows(
            f"select * from sensitivity where arm = {arm} and outcome = {literal(effect.outcome)} "
            "order by abs(value_high - value_low) desc, parameter"
        )
    if not rows or effect is None or not effect.reference:
        return facts.t.html("answer.no_sweep", command=facts.t.text("answer.sweep_command"))
    top = rows[0]
    ends = sorted(abs(top[end]) / abs(effect.reference) * 100 for end in ("value_low", "value_high"))
    decimals = numbers.decimals_for_figures(ends[1], 2)
    name = facts.parameter_name(top["parameter"])
    parameter: Markup | str = name
    if top["confidence"] == "assumed":
        anchor = facts.assumed_id(top["parameter"])
        parameter = facts.t.html("assumed.mark", name=name, anchor=anchor)
    return facts.t.html(
        "answer.sweep",
        parameter=parameter,
        low=f"{top['low']:g}".replace("-", numbers.MINUS),
        high=f"{top['high']:g}".replace("-", numbers.MINUS),
        noun=facts.t.text("noun.cut" if effect.value < 0 else "noun.rise"),
        ends=numbers.span(ends[0], ends[1], decimals, "%"),
    )


def _one_arm(facts: Facts, key: str = "answer.one_arm") -> Markup:
    """With one arm the answer describes and does not compare."""
    peak = facts.rows("select max(sent_mw) as peak from system")[0]["peak"]
    row = facts.rows(f"select interval_start from system where sent_mw = {peak!r} order by 1 limit 1")[0]
    return facts.t.html(
        key,
        model=_model(facts, "level"),
        arm=facts.reference.label,
        area=facts.area_name("state"),
        peak=numbers.with_unit(numbers.number(peak, numbers.decimals_for_figures(peak)), "MW"),
        time=f"{row['interval_start']:%H:%M}",
        day=day_words(facts, row["interval_start"]),
    )
