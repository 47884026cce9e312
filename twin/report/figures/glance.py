"""Figure 1: effects at a glance."""

from __future__ import annotations

from twin.report import numbers
from twin.report.answer import judged, kind_words
from twin.report.draws import replicate_changes
from twin.report.effects import Effect, Verdict
from twin.report.facts import MOST_LISTED, Facts
from twin.report.figures import base, rows
from twin.report.settings import floor_percent, setting

PERCENT_OUTCOMES = ("evening_peak", "technical_loss", "dt_overload_hours")
MOST_ROWS = 20
MOST_GROUPS, ROOMY_ARMS = 4, 2
"""Groups of rows that leave room for the answer on one sheet of A4, with this many arms; one fewer with more arms."""


def build(facts: Facts) -> base.Figure | None:
    """Dots with their kinds of uncertainty, in per cent of the first arm; None with one arm."""
    found = _rows(facts)
    if not found:
        return None
    own = _shown(facts, found)
    floor = floor_percent("evening_peak")
    least = float(setting("least_difference_axis"))
    scales = [[row for row in own if row.effect.outcome != "dt_overload_hours"]]
    scales.append([row for row in own if row.effect.outcome == "dt_overload_hours"])
    titles = (facts.t.text("fig1.axis", reference=facts.reference.label), facts.t.text("fig1.axis_overload"))
    floors = (floor, floor_percent("dt_overload_hours"))
    charts = [
        rows.panel(part, title, strip, least * (1 if strip == floor else 10))
        for part, title, strip in zip(scales, titles, floors, strict=True)
        if part
    ]
    return base.Figure(
        number="1",
        title=_title(facts, own),
        subtitle=facts.t.text("fig1.subtitle", reference=facts.reference.label, area=facts.area_name("state")),
        alt=_alt(facts, own),
        help=_help(facts, own, len(found) - len(own)),
        table=effects_table(facts, [row.effect for row in found], facts.t.text("fig1.caption")),
        csv_header=EFFECT_CSV,
        csv_rows=[line for row in found for line in effect_csv(row.effect)],
        charts=charts,
        keys=rows.keys(own, facts.t, floor=True),
    )


def _rows(facts: Facts) -> list[rows.Row]:
    own: list[rows.Row] = []
    if len(facts.treatments) > MOST_LISTED:
        return _area_rows(facts, "evening_peak", "state")[:MOST_ROWS]
    for outcome in PERCENT_OUTCOMES:
        for area in facts.areas(outcome):
            own += _area_rows(facts, outcome, area)
    return own


def _shown(facts: Facts, found: list[rows.Row]) -> list[rows.Row]:
    """Rows that are drawn: every outcome of the state, and the peak of the first districts as far as there is room."""
    heads = list(dict.fromkeys(row.head for row in found))
    areas = {row.head: row.effect.area for row in found}
    districts = [head for head in heads if areas[head].startswith("district:")]
    most = MOST_GROUPS - (len(facts.listed) > ROOMY_ARMS)
    chosen = ([head for head in heads if areas[head] == "state"] + districts)[:most] or heads[:most]
    return [row for row in found if row.head in chosen]


def _area_rows(facts: Facts, outcome: str, area: str) -> list[rows.Row]:
    own = []
    head = facts.t.text("rows.head", outcome=facts.t.name("outcome", outcome), area=facts.area_name(area))
    for arm in facts.treatments:
        effect = facts.effect(outcome, arm.name, area)
        relative = effect.in_percent() if effect else None
        if effect is None or relative is None:
            continue
        words, short = rows.value_words(relative, "%", facts.t)
        if judged(effect) == Verdict.EXACTLY_ZERO:
            words = short = facts.t.text("rows.exactly_zero")
        own.append(rows.Row(head, arm, relative, words, short, replicate_changes(facts, effect)))
    return own


def _title(facts: Facts, own: list[rows.Row]) -> str:
    first = own[0]
    peaks = [row for row in own if row.head == first.head]
    best = max(peaks, key=lambda row: abs(row.effect.value))
    effect = facts.effect(best.effect.outcome, best.arm.name, best.effect.area)
    case = judged(effect) if effect else Verdict.EXACTLY_ZERO
    if case in (Verdict.CLEAR, Verdict.ONE_DRAW) and best.effect.value != 0:
        way = "falls" if best.effect.value < 0 else "rises"
        size = numbers.percent(abs(best.effect.value), *_ends(best.effect))
        return facts.t.text(f"fig1.title.{way}", arm=best.arm.label, size=size)
    zero = all(row.effect.value == 0 for row in own)
    return facts.t.text("fig1.title.zero" if zero else "fig1.title.unclear")


def _ends(effect: Effect) -> tuple[float | None, float | None]:
    interval = effect.of_draws
    return (interval.low, interval.high) if interval else (None, None)


def _help(facts: Facts, own: list[rows.Row], more: int) -> list[str]:
    lines = [facts.t.text("fig1.help")]
    if len(facts.treatments) > MOST_LISTED:
        lines.append(facts.t.text("fig1.many", n=len(facts.treatments), shown=len(own)))
    ranges = [part for row in own for part in row.effect.intervals if part.kind == "range"]
    if ranges:
        n = ranges[0].replicates
        lines.append(facts.t.text("help.range", n=n, inside=n - 1, all=n + 1))
    if more:
        lines.append(facts.t.text("fig1.more.one" if more == 1 else "fig1.more", n=more))
    if all(row.effect.of_draws is None for row in own):
        lines.append(facts.t.text("help.one_draw"))
    if not any(part.kind == "sampling" for row in own for part in row.effect.intervals):
        lines.append(facts.t.text("help.every_feeder" if facts.resolves_all else "help.no_sampling"))
    return lines


def _alt(facts: Facts, own: list[rows.Row]) -> str:
    ordered = sorted(own, key=lambda row: row.effect.value)
    low, high = ordered[0], ordered[-1]
    return facts.t.text(
        "fig1.alt",
        rows=len(own),
        low=f"{low.head}, {low.arm.label}: {low.words}",
        high=f"{high.head}, {high.arm.label}: {high.words}",
    )


EFFECT_CSV = ("arm", "outcome", "area", "group", "unit", "value", "reference", "kind", "low", "high", "replicates")


def effect_csv(effect: Effect) -> list[tuple[object, ...]]:
    """Rows of a CSV file for one effect, one per kind of uncertainty, in full precision."""
    lead = (effect.arm, effect.outcome, effect.area, effect.group, effect.unit, effect.value, effect.reference)
    if not effect.intervals:
        return [(*lead, "none", None, None, effect.replicates)]
    return [(*lead, part.kind, part.low, part.high, part.replicates) for part in effect.intervals]


def effects_table(facts: Facts, effects: list[Effect], caption: str) -> base.Table:
    """The accessible form of rows of effects."""
    header = [facts.t.text(f"column.{name}") for name in ("outcome", "arm", "value", "interval", "kind", "reference")]
    lines = []
    for effect in effects:
        interval = effect.best
        low, high = (interval.low, interval.high) if interval else (None, None)
        decimals = numbers.decimals_for(effect.value, low, high)
        spans = [numbers.span(part.low, part.high, decimals, signed=True) for part in effect.intervals]
        outcome = facts.t.text(
            "rows.head", outcome=facts.t.name("outcome", effect.outcome), area=facts.area_name(effect.area)
        )
        absolute = facts.effect(effect.outcome, effect.arm, effect.area, effect.group)
        reference = _reference_words(absolute) if absolute else ""
        lines.append(
            (
                outcome,
                facts.arm(effect.arm).label,
                numbers.with_unit(numbers.number(effect.value, decimals, signed=True), effect.unit),
                "; ".join(spans),
                "; ".join(kind_words(facts, part) for part in effect.intervals) or facts.t.text("kind.none"),
                reference,
            )
        )
    return base.Table(caption, header, lines, frozenset({2, 3, 5}))


def _reference_words(effect: Effect) -> str:
    if effect.reference is None:
        return ""
    if effect.unit == "INR":
        return numbers.rupees(effect.reference).indian
    decimals = max(numbers.decimals_for_figures(effect.reference, 4), 0)
    finest = 2 if abs(effect.reference) >= 1 else decimals
    return numbers.with_unit(numbers.number(effect.reference, min(decimals, finest)), effect.unit)
