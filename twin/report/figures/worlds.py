"""Worlds that are shown side by side where the price response does not matter: the first arm at every sweep point."""

from __future__ import annotations

import json

from twin.report.catalogue import clean
from twin.report.facts import MOST_OVERLAID, Arm, Facts

COLOURS = ("#595959", "#332288", "#DD7711", "#117733")
DASHES = ("solid", "dash", "dot", "dashdot")
SVG_DASHES = ("", "7 4", "2 3", "7 3 2 3")


def worlds(facts: Facts) -> list[Arm]:
    """The first arm at every sweep point, as many as can be told apart."""
    return [arm for arm in facts.arms if arm.is_reference][: MOST_OVERLAID + 1]


def label(facts: Facts, arm: Arm) -> str:
    """An arm's name, with the swept settings where there are any; those alone where there is one arm only."""
    swept = json.loads(arm.sweep or "{}")
    if not swept or len({case["sweep"] for case in facts.cases}) == 1:
        return arm.label
    values = clean(", ".join(f"{facts.parameter_name(path)} {value}" for path, value in swept.items()), 60)
    alone = len({other.base for other in facts.arms}) == 1
    return values if alone else facts.t.text("arm.swept", arm=arm.clean_base, values=values)


def short_label(facts: Facts, arm: Arm) -> str:
    """The swept values without their settings, for rows of a chart; an arm's name where nothing is swept."""
    swept = json.loads(arm.sweep or "{}")
    if not swept or len({case["sweep"] for case in facts.cases}) == 1:
        return arm.label
    return clean(", ".join(map(str, swept.values())), 18)


def cases(facts: Facts, arm: Arm) -> list[int]:
    """Numbers of an arm's cases."""
    return [int(row["case"]) for row in facts.cases if facts.arm_name(row["arm"], row["sweep"]) == arm.name]


def in_cases(facts: Facts, arm: Arm) -> str:
    """SQL condition for the rows of an arm's cases."""
    return f'"case" in ({", ".join(map(str, cases(facts, arm)))})'
