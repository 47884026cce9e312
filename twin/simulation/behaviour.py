"""How a response comes about: it is learned, events tire, energy snaps back after them, and consumers differ.

All of it is asked for arm by arm (`twin.scenario.arms.Behaviour`); without it nothing here changes a number. What is
learned or tired of weighs the response, not the price: ``factor = 1 + share (factor - 1)``, so that moved energy stays
moved energy and saved energy saved.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.datapack import kinds, read_yaml
from twin.demand.response import behaviour_groups
from twin.economics.arms import CriticalPeak, PeakRebate
from twin.economics.windows import Zones, after_event
from twin.scenario.arms import Behaviour
from twin.streams import Stream, normals, uniforms

if TYPE_CHECKING:
    from twin.simulation.population import Consumers

DAYS_PER_WEEK = 7.0
MIDDLE_CLASS = 3
"""Income class whose substitution does not change with the slope."""


@dataclass(frozen=True)
class ArmBehaviour:
    """One arm's behaviour in a replicate."""

    settings: Behaviour
    parameters: Mapping[str, float]
    """The replicate's draw."""
    start: dt.date
    """First day of the arm's tariff."""

    def substitution_factor(self, consumers: Consumers, seed: int) -> NDArray[np.float64] | None:
        """Factor on each consumer's elasticity of substitution, shape (n,); None: 1 for all.

        Differences are lognormal with mean 1 and keyed by consumer, so that arms share them; devices likewise.
        """
        if not (self.settings.differences or self.settings.technology_share):
            return None
        factor = np.ones(len(consumers))
        if self.settings.differences:
            sd = math.sqrt(math.log1p(self.parameters["response_spread"] ** 2))
            factor *= np.exp(sd * normals(seed, Stream.RESPONSE, consumers.consumer_id) - 0.5 * sd * sd)
            income = np.array([row.income_class for row in kinds()])[consumers.kind]
            above = np.where(income > 0, income - MIDDLE_CLASS, 0)
            factor *= np.maximum(1.0 + self.parameters["response_income_slope"] * above, 0.0)
        if self.settings.technology_share:
            spec = read_yaml("priors")
            helped = [spec["groups"].index(name) for name in spec["technology_groups"]]
            owns = uniforms(seed, Stream.RESPONSE, consumers.consumer_id, 2) < self.settings.technology_share
            owns &= np.isin(behaviour_groups(consumers.traits), helped)
            factor[owns] *= self.parameters["technology_gain"]
        return factor

    def learned(self, date: dt.date, factors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Factors on a day, of which the share ``1 - (1 - start) exp(-weeks / constant)`` is learned by then."""
        if not self.settings.learning:
            return factors
        weeks = (date - self.start).days / DAYS_PER_WEEK
        left = (1.0 - self.parameters["learning_start"]) * math.exp(-weeks / self.parameters["learning_weeks"])
        return np.asarray(1.0 + (1.0 - left) * (factors - 1.0))

    def not_tired(self, date: dt.date, called: Collection[CriticalPeak | PeakRebate]) -> float:
        """Share of the response to a day's events that is left after the earlier ones of the same programmes. [-]"""
        if not self.settings.fatigue or not called:
            return 1.0
        earlier = max(sum(self.start <= day < date for day in part.dates) for part in called)
        return float(self.parameters["event_retention"] ** earlier)

    def snap_back(
        self, zones: Zones, date: dt.date, events: Sequence[CriticalPeak | PeakRebate],
        base_kwh: NDArray[np.float64], usual: NDArray[np.float64], factors: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """Let a share of what an event moves into other hours be used right after it; changes ``factors`` in place.

        Parameters
        ----------
        base_kwh : array, shape (n, n_zones)
            The day's demand before response. [kWh]
        usual : array, shape (n, n_zones)
            Factors of the same day without the event.
        factors : array, shape (n, n_zones)
            Factors with it. The day's energy stays what it is.
        """
        for part in (part for part in events if date in part.dates):
            now = zones.on(date)
            during = [zone for zone in range(zones.n_zones) if zones.has_event(zone, part.programme)]
            later = after_event(part.programme)
            after = [zone for zone in range(zones.n_zones) if zones.has_event(zone, later)]
            others = [zone for zone in np.unique(now) if zone not in during]
            after = [zone for zone in after if zone in others]
            moved = base_kwh[:, others] * (factors[:, others] - usual[:, others])
            room = base_kwh[:, after].sum(axis=1)
            back = np.where((moved.sum(axis=1) > 0.0) & (room > 0.0), self.parameters["snap_back_share"], 0.0)
            total = back * moved.sum(axis=1)
            factors[:, others] -= back[:, None] * (factors[:, others] - usual[:, others])
            lift = np.divide(total, room, out=np.zeros_like(total), where=room > 0.0)
            factors[:, after] += lift[:, None]
