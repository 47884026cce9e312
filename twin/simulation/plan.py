"""A scenario turned into what the shards and the engine work with: one plan per sweep point."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.datapack import categories
from twin.economics.arms import ArmTariff
from twin.economics.rates import RateTable, rate_table
from twin.economics.windows import Zones
from twin.hours import period_at
from twin.scenario.schema import Scenario
from twin.scenario.zones import EVENING_MARK, arm_tariffs, tariff_zones


@dataclass(frozen=True)
class PointPlan:
    """One sweep point of a scenario. Pickles small; shards derive tables from it."""

    index: int
    swept: Mapping[str, Any]
    scenario: Scenario
    whole: Scenario
    """The scenario with its sweep, which numbers the cases."""

    @property
    def steps(self) -> int:
        """Steps of a block."""
        return self.scenario.steps

    @property
    def hours(self) -> float:
        """Length of a step. [h]"""
        return 24.0 / self.steps

    @property
    def dates(self) -> tuple[dt.date, ...]:
        """Days of the run, one block each."""
        return tuple(self.scenario.dates)

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the worlds: the arms, of which the first is what the others are compared with, and a pilot's own."""
        return self.scenario.world_names

    @property
    def tariff_arms(self) -> tuple[str, ...]:
        """Names of the arms that are tariffs: all worlds but a pilot's own."""
        return self.scenario.arm_names

    @property
    def pilot_world(self) -> int | None:
        """Position of the pilot's world; None: there is none."""
        return len(self.tariff_arms) if len(self.arms) > len(self.tariff_arms) else None

    @property
    def tariff_start(self) -> dt.date:
        """First day of the arms' tariffs: the run's, or that of a pilot; before it all are on the first arm's."""
        pilot = self.scenario.experiment.pilot
        return pilot.start if pilot is not None and pilot.start is not None else self.dates[0]

    @property
    def replicates(self) -> int:
        """Number of replicates."""
        return self.scenario.experiment.replicates

    @property
    def exact_border(self) -> bool:
        """Are low-voltage networks solved until they agree with the grid above, without equivalents?"""
        return self.scenario.power_flow.border == "exact"

    def case(self, arm: int, replicate: int) -> int:
        """Number of a case in the whole run."""
        return self.whole.case(arm, replicate, self.index)

    @cached_property
    def arm_tariffs(self) -> tuple[ArmTariff, ...]:
        """The tariff under every arm."""
        return arm_tariffs(self.scenario)

    @cached_property
    def zones(self) -> Zones:
        """Tariff zones of the day that no arm's window, nor the evening, cuts."""
        return tariff_zones(self.scenario)

    @cached_property
    def evening(self) -> NDArray[np.bool_]:
        """Which zones lie in the evening, shape (n_zones,)."""
        minutes = [self.zones.first_minute(zone) for zone in range(self.zones.n_zones)]
        return np.array([period_at(EVENING_MARK["evening"], minute) == "evening" for minute in minutes])

    def rates(self, arm: int, on: dt.date) -> RateTable:
        """Rates of an arm (not of a pilot's world, which has many) in the month of a date."""
        arm = arm if on >= self.tariff_start else 0
        return rate_table(self.arm_tariffs[arm], self.zones, on)

    @cached_property
    def smart_share(self) -> NDArray[np.float64]:
        """Share of consumers with a smart meter by category code."""
        share = self.scenario.meters.smart_share
        return np.array([getattr(share, row.smart_share_group) for row in categories()])


def plans(scenario: Scenario) -> list[PointPlan]:
    """The plan of every sweep point; one point without a sweep."""
    return [PointPlan(i, swept, point, scenario) for i, (swept, point) in enumerate(scenario.points())]


def month_end(date: dt.date) -> dt.date:
    """Last day of a date's month."""
    following = (date.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
    return following - dt.timedelta(days=1)
