"""Differences between runs: of effects, and of the first arm's levels, with an interval only where one is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from twin.analysis.effect_rows import over_replicates
from twin.report.comparison.members import PAIRED, UNPAIRED, Judgement, Member
from twin.report.draws import changes_by_replicate, values_by_replicate
from twin.report.effects import Effect

EFFECTS = (
    "evening_peak", "energy_moved", "energy_saved", "technical_loss", "dt_overload_hours", "voltage_violations",
    "consumer_payment", "subsidy", "revenue", "purchase_cost",
)  # fmt: skip
"""Outcomes whose effects are compared, state as a whole."""
LEVELS = {"evening_peak": "MW", "energy_sent": "GWh", "technical_loss": "MWh", "purchase_cost": "INR"}
"""Levels of the first arm that table `system` holds, with their units."""
NOT_ESTIMATED, BOTH, ONE_DRAW = "not_estimated", "both", "one_draw"
"""Kinds of a difference's interval besides those of effects."""


@dataclass(frozen=True)
class Spread:
    """A difference with its interval (None where not known), its kind, and the draws behind it."""

    value: float | None
    low: float | None = None
    high: float | None = None
    kind: str = NOT_ESTIMATED
    draws: int = 0


@dataclass(frozen=True)
class Difference:
    """A run against the first: both values (None: not in that run) and their difference."""

    outcome: str
    arm: str
    member: Member
    unit: str
    first: float | None
    own: float | None
    spread: Spread


def effect_differences(members: Sequence[Member], judgements: Sequence[Judgement]) -> list[Difference]:
    """Effects of arms that the first run and another share by name, outcome by outcome.

    Runs that are not comparable have none, nor have runs whose first arm is another: their effects are against
    something else. ``judgements`` belong to ``members[1:]``.
    """
    first, found = members[0], []
    shared = [arm.name for arm in first.facts.treatments]
    for outcome in EFFECTS:
        for arm in shared:
            for member, judgement in zip(members[1:], judgements, strict=True):
                if judgement.kind not in (PAIRED, UNPAIRED) or member.first_arm != first.first_arm:
                    continue
                base, own = first.facts.effect(outcome, arm), member.facts.effect(outcome, arm)
                if base is not None or own is not None:
                    found.append(_of_effects(first, member, judgement, base, own))
    return found


def _of_effects(
    first: Member, member: Member, judgement: Judgement, base: Effect | None, own: Effect | None
) -> Difference:
    known = own if base is None else base
    if known is None:
        raise ValueError("one of the two effects must be known")
    values = (None if base is None else base.value, None if own is None else own.value)
    spread = Spread(None)
    if base is not None and own is not None:
        if judgement.kind == PAIRED:
            spread = _paired(changes_by_replicate(member.facts, own), changes_by_replicate(first.facts, base))
        else:
            spread = _apart(base, own)
        if spread.value is None:
            spread = replace(spread, value=own.value - base.value)
    return Difference(known.outcome, known.arm, member, known.unit, *values, spread)


def _apart(base: Effect, own: Effect) -> Spread:
    """Unpaired: the difference carries both intervals."""
    value, ends = own.value - base.value, [effect.of_draws for effect in (base, own)]
    if ends[0] is None or ends[1] is None:
        return Spread(value, kind=ONE_DRAW, draws=1)
    return Spread(value, ends[1].low - ends[0].high, ends[1].high - ends[0].low, BOTH)


def _paired(own: Mapping[int, float], first: Mapping[int, float]) -> Spread:
    """Over the replicates that both runs have, each with the same draws in both; no value where none is known."""
    shared = sorted(own.keys() & first.keys())
    if not shared:
        return Spread(None)
    changes = [own[replicate] - first[replicate] for replicate in shared]
    interval = over_replicates(changes)
    kind = ONE_DRAW if interval.kind == "none" else interval.kind
    return Spread(fmean(changes), interval.low, interval.high, kind, len(shared))


def level_differences(members: Sequence[Member], judgements: Sequence[Judgement]) -> list[Difference]:
    """Levels of the first arm of every run that can be compared, against the first run's."""
    found = []
    for outcome, unit in LEVELS.items():
        base = _levels(members[0], outcome)
        for member, judgement in zip(members[1:], judgements, strict=True):
            own = _levels(member, outcome)
            if judgement.kind not in (PAIRED, UNPAIRED) or not base or not own:
                continue
            spread = _paired(own, base) if judgement.kind == PAIRED else _levels_apart(base, own)
            means = (fmean(base.values()), fmean(own.values()))
            found.append(Difference(outcome, member.facts.reference.name, member, unit, *means, spread))
    return found


def _levels_apart(base: Mapping[int, float], own: Mapping[int, float]) -> Spread:
    value = fmean(own.values()) - fmean(base.values())
    if min(len(base), len(own)) == 1:
        return Spread(value, kind=ONE_DRAW, draws=1)
    return Spread(value, min(own.values()) - max(base.values()), max(own.values()) - min(base.values()), BOTH)


def _levels(member: Member, outcome: str) -> dict[int, float]:
    values = values_by_replicate(member.facts, outcome)
    return {replicate: value for (arm, replicate), value in values.items() if arm == member.facts.reference.name}
