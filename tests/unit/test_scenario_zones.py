"""Tariff zones: the coarsest division of the day that no window cuts."""

import numpy as np
import pytest

from twin.errors import ScenarioError
from twin.scenario import Scenario, parse_scenario
from twin.scenario.zones import tariff_zones

BASE = """\
name: zones
grid: {resolve: all}
time: {start: 2026-06-09, days: 1, step_minutes: STEP}
tariff: bihar-2026-27
experiment:
  arms:
    flat: {}
"""


def scenario_with(*arms: str, step: int = 15) -> Scenario:
    lines = [f"    a{i}: {{tariff: {{time_of_day: {{applies_to: gross, {arm}}}}}}}\n" for i, arm in enumerate(arms)]
    return parse_scenario(BASE.replace("STEP", str(step)) + "".join(lines))


def test_the_evening_and_the_base_tariff_cut_the_day_even_without_arms() -> None:
    zones = tariff_zones(scenario_with())
    hour = zones.zone_of_step[::4]
    assert zones.n_zones == 3
    assert hour.tolist() == [0] * 9 + [1] * 8 + [2] * 6 + [0]


@pytest.mark.parametrize("step", [15, 30, 60])
def test_zones_refine_all_windows(step: int) -> None:
    zones = tariff_zones(scenario_with('night: {hours: "22-06", multiplier: 0.5}', step=step))
    hour = zones.zone_of_step[:: 60 // step]
    assert hour.tolist() == [0] * 6 + [1] * 3 + [2] * 8 + [3] * 5 + [4] + [0]
    assert zones.zone_of_step.dtype == np.uint8
    assert zones.zone_of_step.shape == (1440 // step,)


def test_eight_zones_are_the_most() -> None:
    windows = [f'p{i}: {{hours: "{i:02d}-{i + 1:02d}", multiplier: 1.1}}' for i in range(5)]
    assert tariff_zones(scenario_with(", ".join(windows))).n_zones == 8
    with pytest.raises(ScenarioError, match="the day into 9 zones; meters keep at most 8") as caught:
        scenario_with(", ".join([*windows, 'p5: {hours: "05-06", multiplier: 1.1}']))
    (problem,) = caught.value.problems
    assert (problem.where, problem.path) == ("scenario.yaml:6", "experiment.arms")


def test_a_sweep_that_makes_too_many_zones_is_refused() -> None:
    windows = ", ".join(f'p{i}: {{hours: "{i:02d}-{i + 1:02d}", multiplier: 1.1}}' for i in range(4))
    arm = (
        f"    x: {{tariff: {{time_of_day: {{applies_to: gross, {windows}, q: {{hours: '04-05', multiplier: 1}}}}}}}}\n"
    )
    sweep = 'sweep: {experiment.arms.x.tariff.time_of_day.q.hours: ["04-05", "10-18"]}\n'
    with pytest.raises(ScenarioError, match="into 9 zones") as caught:
        parse_scenario(BASE.replace("STEP", "15") + arm + sweep)
    assert [problem.path for problem in caught.value.problems] == ["sweep"]
