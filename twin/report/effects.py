"""Effects of arms as the report uses them: one value with its kinds of uncertainty, never mixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from twin.errors import Problem, RunFolderError

SMALL_RUN = 18
"""Most replicates at which an interval is a range of draws; from 19 it is the 5th to 95th percentile."""
KINDS = ("sampling", "simulation", "parameter", "draws_and_parameters", "range")
WHOLE_KINDS = ("draws_and_parameters", "range")
"""Kinds that hold both the random draws and the uncertain parameters, fit to stand alone beside a headline."""
HEADLINE_ORDER = ("draws_and_parameters", "range", "parameter", "simulation", "sampling")


@dataclass(frozen=True)
class Interval:
    """One kind of uncertainty of one effect, in the effect's unit."""

    kind: str
    low: float
    high: float
    replicates: int


@dataclass(frozen=True)
class Effect:
    """Change of one outcome against the first arm, with the first arm's own value."""

    arm: str
    outcome: str
    area: str
    group: str
    unit: str
    value: float
    reference: float | None
    intervals: tuple[Interval, ...]
    replicates: int

    @property
    def best(self) -> Interval | None:
        """The interval a headline may use, or the widest kind there is; None if only the value is known."""
        by_kind = {interval.kind: interval for interval in self.intervals}
        return next((by_kind[kind] for kind in HEADLINE_ORDER if kind in by_kind), None)

    @property
    def of_draws(self) -> Interval | None:
        """The interval of draws or parameters; None if there is none (one replicate), whatever the sampling."""
        best = self.best
        return best if best and best.kind != "sampling" else None

    def scaled(self, factor: float, unit: str) -> Effect:
        """The same effect in another unit, ``factor`` times as large; low stays the lower end."""
        intervals = tuple(
            replace(interval, low=min(ends), high=max(ends))
            for interval in self.intervals
            for ends in [(interval.low * factor, interval.high * factor)]
        )
        reference = None if self.reference is None else self.reference * factor
        return replace(self, unit=unit, value=self.value * factor, reference=reference, intervals=intervals)

    def in_percent(self) -> Effect | None:
        """The effect as percent of the first arm's value; None where that value is zero or unknown."""
        return self.scaled(100.0 / self.reference, "%") if self.reference else None


def read_effects(rows: Iterable[Mapping[str, Any]]) -> list[Effect]:
    """Rows of table ``effects`` joined into effects: several rows of one effect are its kinds of uncertainty.

    Raises
    ------
    RunFolderError
        For a row with an interval and no kind, a kind nobody knows, or half an interval.
    """
    found: dict[tuple[str, str, str, str], Effect] = {}
    problems = []
    for row in rows:
        key = (row["arm"], row["outcome"], row["area"], row["group"])
        problem = _problem(row)
        if problem:
            problems.append(Problem("tables/effects", ", ".join(key), problem, "run the analysis again"))
            continue
        effect = found.setdefault(key, _bare(row))
        if row["low"] is not None:
            interval = Interval(row["kind"], row["low"], row["high"], row["replicates"])
            found[key] = replace(effect, intervals=(*effect.intervals, interval))
    if problems:
        raise RunFolderError(problems)
    return list(found.values())


def _problem(row: Mapping[str, Any]) -> str:
    has_interval = row["low"] is not None or row["high"] is not None
    if not has_interval:
        return ""
    if row["low"] is None or row["high"] is None:
        return "has one end of an interval only"
    if row["kind"] in (None, "", "none"):
        return "has an interval and no kind of uncertainty"
    if row["kind"] not in KINDS:
        return f"has an unknown kind of uncertainty '{row['kind']}'"
    return ""


def _bare(row: Mapping[str, Any]) -> Effect:
    return Effect(
        arm=row["arm"],
        outcome=row["outcome"],
        area=row["area"],
        group=row["group"],
        unit=row["unit"],
        value=row["value"],
        reference=row["reference"],
        intervals=(),
        replicates=row["replicates"],
    )


class Verdict:
    """What may be said of an effect; three kinds of nothing are told apart."""

    CLEAR = "clear"
    PARTLY_UNDER_FLOOR = "partly_under_floor"
    HOLDS_ZERO = "holds_zero"
    UNDER_FLOOR = "under_floor"
    EXACTLY_ZERO = "exactly_zero"
    ONE_DRAW = "one_draw"


def verdict(effect: Effect, floor: float) -> str:
    """Judge an effect against the floor below which the report calls no change (same unit as the effect)."""
    interval = effect.of_draws
    ends = (interval.low, interval.high) if interval else (effect.value, effect.value)
    if effect.value == 0 and ends == (0, 0):
        return Verdict.EXACTLY_ZERO
    if all(abs(end) < floor for end in (*ends, effect.value)):
        return Verdict.UNDER_FLOOR
    if interval is None:
        return Verdict.ONE_DRAW
    if ends[0] <= 0 <= ends[1]:
        return Verdict.HOLDS_ZERO
    return Verdict.CLEAR if min(abs(end) for end in ends) >= floor else Verdict.PARTLY_UNDER_FLOOR
