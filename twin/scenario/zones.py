"""Tariff zones of a scenario: the division of the day that its runs keep registers by, and what is wrong with it.

Energies are kept by zone, so that any arm's time-of-day charge and the evening's energy are sums of zones. The rule
itself is `twin.economics.arms.common_zones`; what is validated here is therefore what a run does.
"""

from __future__ import annotations

from collections.abc import Iterator

from twin.economics.arms import ArmTariff, apply_arm, common_zones
from twin.economics.tariffs import load_tariff
from twin.economics.windows import Zones, after_event
from twin.errors import ScenarioError
from twin.scenario.schema import Scenario

EVENING = "17:00-23:00"
"""The evening whose peak the experiments ask about: the evening window of design section 5 and of the bills table."""
EVENING_MARK = {"evening": {"evening": EVENING}}


def arm_tariffs(scenario: Scenario) -> tuple[ArmTariff, ...]:
    """The tariff under every arm. For a scenario with a sweep, call it on the scenario of each point.

    Raises
    ------
    ScenarioError
        If an arm's settings do not fit the tariff.
    """
    tariff = load_tariff(scenario.tariff)
    return tuple(apply_arm(tariff, arm.tariff, name) for name, arm in scenario.experiment.arms.items())


def tariff_zones(scenario: Scenario) -> Zones:
    """Zones that refine every arm's windows, those of the base tariff, and the evening.

    Raises
    ------
    ScenarioError
        If an arm's settings do not fit the tariff, a window cuts a step, or there are more zones than registers.
    """
    tariffs = arm_tariffs(scenario)
    snapping = [arm.behaviour is not None and arm.behaviour.snap_back for arm in scenario.arms]
    events = [part for tariff, snaps in zip(tariffs, snapping, strict=True) if snaps for part in tariff.settings.events]
    later = [hours for part in events if (hours := after_event(part.programme)) is not None]
    return common_zones(tariffs, scenario.steps, EVENING_MARK, later)


def zone_problems(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """What is wrong with the scenario's windows and events taken together, and the fix."""
    first, last = scenario.dates[0], scenario.dates[-1]
    for name, arm in scenario.experiment.arms.items():
        for setting, dates in arm.tariff.event_dates.items():
            if outside := [day for day in dates if not first <= day <= last]:
                what = f"arm '{name}': {setting}.dates holds {outside[0]}, which is no day of the run"
                yield what, f"use days from {first} to {last}"
    try:
        tariff_zones(scenario)
    except ScenarioError as error:
        yield from ((problem.what, problem.fix) for problem in error.problems)
