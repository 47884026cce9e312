"""Value of every replicate, where the run's tables give it and agree with table `effects`."""

from __future__ import annotations

import math

from twin.analysis.thresholds import threshold
from twin.report.effects import Effect
from twin.report.facts import Facts

AGREEMENT = 1e-6
"""Relative difference at which the recomputed range counts as the one in `effects`."""
MEASURES = ("evening_peak",)


def replicate_changes(facts: Facts, effect: Effect) -> tuple[float, ...]:
    """Change of each replicate in per cent of the first arm's mean, rising; empty unless it can be shown to be so.

    Only state outcomes that table `system` holds directly are recomputed; if their lowest and highest are not the
    ends of the range in `effects`, nothing is returned and the chart draws the range's ends alone.
    """
    interval = next((part for part in effect.intervals if part.kind == "range"), None)
    if interval is None or effect.area != "state" or effect.group != "all" or effect.outcome not in MEASURES:
        return ()
    changes = _changes(facts, effect)
    if not changes or not effect.reference:
        return ()
    scale = max(abs(interval.low), abs(interval.high))
    ends = ((changes[0], interval.low), (changes[-1], interval.high))
    if not all(math.isclose(own, given, abs_tol=AGREEMENT * scale) for own, given in ends):
        return ()
    return tuple(change / effect.reference * 100 for change in changes)


def _changes(facts: Facts, effect: Effect) -> list[float]:
    start, end = int(threshold("evening_start")), int(threshold("evening_end"))
    rows = facts.rows(
        f'select "case", max(sent_mw) as value from system where hour(interval_start) >= {start} '
        f'and hour(interval_start) < {end} group by "case"'
    )
    by_case = {row["case"]: row["value"] for row in rows}
    values = {
        (facts.arm_name(row["arm"], row["sweep"]), row["replicate"]): by_case[row["case"]]
        for row in facts.cases
        if row["case"] in by_case
    }
    flat = facts.reference_of(facts.arm(effect.arm)).name
    return sorted(
        value - values[flat, replicate]
        for (arm, replicate), value in values.items()
        if arm == effect.arm and (flat, replicate) in values
    )
