"""Figures 1 and 4 of the compare page: effects with runs as rows within outcome, on one scale."""

from __future__ import annotations

from collections.abc import Sequence

from twin.report.answer import judged
from twin.report.comparison.members import Member, arms_of
from twin.report.draws import replicate_changes
from twin.report.effects import Effect, Verdict
from twin.report.facts import Arm
from twin.report.figures import base, rows
from twin.report.figures.glance import EFFECT_CSV, effect_csv
from twin.report.settings import floor_percent, setting
from twin.units import INR_PER_CRORE

MOST_DRAWN = 6
"""Most runs that are drawn; more stand in a matrix of numbers."""
PERCENT = (("evening_peak",), ("technical_loss",), ("dt_overload_hours",))
MONEY = ("consumer_payment", "subsidy", "revenue", "purchase_cost")
LEAST_CRORE = 0.1
Drawn = tuple[Member, Arm, Effect]


def effects(members: Sequence[Member]) -> base.Figure | None:
    """Effects in per cent, runs as rows within outcome on one scale; None without treatments."""
    panels = []
    for outcomes in PERCENT:
        own = [row for outcome in outcomes for row in _rows(members, outcome, percent=True)]
        if own:
            floor = floor_percent(outcomes[0])
            least = float(setting("least_difference_axis")) * (10 if outcomes[0] == "dt_overload_hours" else 1)
            title = members[0].facts.t.text("axis.change_percent")
            panels.append((own, rows.panel(own, title, floor, least)))
    return _effects_figure(members, "1", "compare.fig1", panels, floor=True)


def money(members: Sequence[Member]) -> base.Figure | None:
    """Money flows of every run's own period in Rs crore, on one scale; None without such effects."""
    own = [row for outcome in MONEY for row in _rows(members, outcome, percent=False)]
    if not own:
        return None
    title = members[0].facts.t.text("axis.crore")
    return _effects_figure(members, "4", "compare.fig4", [(own, rows.panel(own, title, 0.0, LEAST_CRORE))], floor=False)


def _rows(members: Sequence[Member], outcome: str, percent: bool) -> list[rows.Row]:
    t, own = members[0].facts.t, []
    head = t.text("rows.head", outcome=t.name("outcome", outcome), area=members[0].facts.area_name("state"))
    for member, arm, effect in _effects(members, outcome):
        scaled = effect.in_percent() if percent else effect.scaled(1 / INR_PER_CRORE, t.text("unit.crore"))
        if scaled is None:
            continue
        words, short = rows.value_words(scaled, "%" if percent else "", t)
        if judged(effect) == Verdict.EXACTLY_ZERO:
            words = short = t.text("rows.exactly_zero")
        draws = replicate_changes(member.facts, effect) if percent else ()
        own.append(rows.Row(head, arm, scaled, words, short, draws))
    return own


def _effects(members: Sequence[Member], outcome: str) -> list[Drawn]:
    """Effects of an outcome on the state: arm by arm, within it run by run, so that like stands beside like."""
    found: list[Drawn] = []
    for member, arms in zip(members, arms_of(members), strict=True):
        for arm in arms:
            effect = member.facts.effect(outcome, arm.name)
            if effect is not None:
                found.append((member, arm, effect))
    order = list(dict.fromkeys(arm.base for _, arm, _ in found))
    return sorted(found, key=lambda entry: (order.index(entry[1].base), entry[0].position))


def _effects_figure(
    members: Sequence[Member],
    number: str,
    key: str,
    panels: Sequence[tuple[list[rows.Row], base.Chart]],
    floor: bool,
) -> base.Figure | None:
    t = members[0].facts.t
    own = [row for part, _ in panels for row in part]
    if not own:
        return None
    drawn = [chart for _, chart in panels] if len(members) <= MOST_DRAWN else []
    lines = [
        (row.head, row.arm.label, row.words, "; ".join(_kinds(members, row.effect)) or t.text("kind.none"))
        for row in own
    ]
    header = [t.text(f"column.{name}") for name in ("outcome", "run_arm", "value", "kind")]
    ordered = sorted(own, key=lambda row: row.effect.value)
    return base.Figure(
        number=number,
        title=t.text(f"{key}.title"),
        subtitle=t.text(f"{key}.subtitle"),
        alt=t.text("fig6.alt", high=_named(ordered[-1]), low=_named(ordered[0])),
        help=[t.text("compare.fig1.help"), *missing(members, [row.effect.outcome for row in own])],
        table=base.Table(t.text(f"{key}.title"), header, lines, frozenset({2})),
        csv_header=("run", *EFFECT_CSV),
        csv_rows=[
            (member.label, *line)
            for outcome in dict.fromkeys(row.effect.outcome for row in own)
            for member, _, effect in _effects(members, outcome)
            for line in effect_csv(effect)
        ],
        charts=drawn,
        keys=_keys(members, own, floor),
    )


def _named(row: rows.Row) -> str:
    return f"{row.head}, {row.arm.label}: {row.words}"


def _kinds(members: Sequence[Member], effect: Effect) -> list[str]:
    t = members[0].facts.t
    return [t.text(f"kind.{part.kind}", n=part.replicates) for part in effect.intervals]


def missing(members: Sequence[Member], outcomes: Sequence[str]) -> list[str]:
    """Arms and outcomes that one run has and another has not: said, never drawn as zero."""
    t = members[0].facts.t
    lacking: dict[tuple[str, str], list[str]] = {}
    for outcome in dict.fromkeys(outcomes):
        for name, having in {e.arm: m for m in members for e in m.facts.effects if e.outcome == outcome}.items():
            without = [member.label for member in members if member.facts.effect(outcome, name) is None]
            if without:
                key = (having.facts.arm(name).label, ", ".join(without))
                lacking.setdefault(key, []).append(t.name("outcome", outcome))
    return [
        t.text("compare.missing", arm=arm, runs=runs, outcomes=", ".join(names))
        for (arm, runs), names in lacking.items()
    ]


def _keys(members: Sequence[Member], own: Sequence[rows.Row], floor: bool) -> list[base.Key]:
    t = members[0].facts.t
    arms = {row.arm.base: row.arm for row in own}
    entries = [base.Key(base.bar_sample(arm.colour), arm.clean_base) for arm in arms.values()]
    runs = {row.arm.run: row.arm for row in own}
    entries += [
        base.Key(base.dot_sample(base.INK, arm.marker), f"{members[run].label} {members[run].name}")
        for run, arm in sorted(runs.items())
        if run is not None
    ]
    kinds = {part.kind: part.replicates for row in own for part in row.effect.intervals}
    several = len({part.replicates for row in own for part in row.effect.intervals if part.kind == "range"}) > 1
    for kind, sample in rows.KIND_SAMPLES.items():
        if kind in kinds:
            words = t.text("compare.key.range") if kind == "range" and several else t.text(f"key.{kind}", n=kinds[kind])
            entries.append(base.Key(sample, words))
    if any(row.effect.of_draws is None for row in own):
        entries.append(base.Key(base.dot_sample(base.INK, hollow=True), t.text("key.one_draw")))
    if floor:
        entries.append(base.Key(base.bar_sample(base.FLOOR, "#BDBDBD"), t.text("key.floor")))
    return entries
