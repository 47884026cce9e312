"""Value of every replicate, where the run's tables give it and agree with table `effects`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

from twin.datapack import threshold
from twin.report.effects import Effect
from twin.report.facts import Facts, exact_sum

AGREEMENT = 1e-6
"""Relative difference at which a recomputed value counts as the one in `effects`."""
LOSSES = ("loss_ehv_mw", "loss_33kv_mw", "loss_11kv_mw", "loss_dt_mw", "loss_lv_mw")


def replicate_changes(facts: Facts, effect: Effect) -> tuple[float, ...]:
    """Change of each replicate in per cent of the first arm's mean, rising; empty unless it can be shown to be so.

    Only state outcomes that table `system` holds directly are recomputed; if their lowest and highest are not the
    ends of the range in `effects`, nothing is returned and the chart draws the range's ends alone.
    """
    interval = next((part for part in effect.intervals if part.kind == "range"), None)
    if interval is None or not effect.reference:
        return ()
    changes = sorted(changes_by_replicate(facts, effect).values())
    if not changes:
        return ()
    scale = max(abs(interval.low), abs(interval.high))
    ends = ((changes[0], interval.low), (changes[-1], interval.high))
    if not all(math.isclose(own, given, abs_tol=AGREEMENT * scale) for own, given in ends):
        return ()
    return tuple(change / effect.reference * 100 for change in changes)


def changes_by_replicate(facts: Facts, effect: Effect) -> dict[int, float]:
    """Change of each replicate against the first arm, in the effect's unit, where table `system` holds the outcome.

    Empty for other outcomes, areas and groups, and if the mean over replicates is not the effect's own value.
    """
    if effect.area != "state" or effect.group != "all":
        return {}
    values = values_by_replicate(facts, effect.outcome)
    flat = facts.reference_of(facts.arm(effect.arm)).name
    changes = {
        replicate: value - values[flat, replicate]
        for (arm, replicate), value in values.items()
        if arm == effect.arm and (flat, replicate) in values
    }
    if not changes:
        return {}
    scale = max(abs(effect.value), abs(effect.reference or 0.0) * AGREEMENT)
    agrees = math.isclose(fmean(changes.values()), effect.value, abs_tol=AGREEMENT * scale)
    return dict(sorted(changes.items())) if agrees else {}


def values_by_replicate(facts: Facts, outcome: str) -> Mapping[tuple[str, int], float]:
    """Value of an outcome by arm and replicate, from table `system`; empty where that table does not hold it.

    Peaks in MW, energy taken in in GWh, losses in MWh, costs in INR.
    """
    start, end = int(threshold("evening_start")), int(threshold("evening_end"))
    evening = f"hour(interval_start) >= {start} and hour(interval_start) < {end}"
    expressions = {
        "evening_peak": f"max(sent_mw) filter (where {evening})",
        "peak_any": "max(sent_mw)",
        "energy_sent": f"{exact_sum('sent_mw')} * {facts.step_hours!r} / 1000",
        "technical_loss": f"{exact_sum(' + '.join(LOSSES))} * {facts.step_hours!r}",
        "purchase_cost": exact_sum("purchase_inr"),
    }
    if outcome not in expressions:
        return {}
    rows = facts.rows(f'select "case", {expressions[outcome]} as value from system group by "case"')
    by_case = {row["case"]: row["value"] for row in rows}
    return {
        (facts.arm_name(row["arm"], row["sweep"]), row["replicate"]): by_case[row["case"]]
        for row in facts.cases
        if by_case.get(row["case"]) is not None
    }
