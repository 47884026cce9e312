"""A shard's prepaid wallets without any network: everybody uses the same day after day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np

from tests.runs import TINY
from tests.unit.test_meter_devices import day_kwh
from twin.scenario import load_scenario
from twin.simulation.block import BlockSolver
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.meter_state import MeterState
from twin.simulation.plan import plans
from twin.simulation.population import Population
from twin.simulation.prepaid import Period, Wallets
from twin.simulation.replicate import open_world
from twin.simulation.switching import Switches, switches_on

NONE = np.zeros(0, np.int64)
ALL_SMART = tuple(f"meters.smart_share.{g}=1.0" for g in ("domestic", "non_domestic", "industrial", "agricultural"))
MAY_2025 = ("tariff=bihar-2025-26", "time.start=2025-05-01", "time.days=31")
OUTAGE = "{from: 2025-05-02, to: 2025-05-15, cuts_from: 2025-05-19}"


class Village:
    """Some PSSs whose consumers live through days; ``use`` times a base of 2 kWh per kW of load a day."""

    def __init__(self, people: Population, *overrides: str, use: float = 1.0) -> None:
        prepaid = () if any("prepaid" in one for one in overrides) else ("meters.prepaid={}",)
        scenario = load_scenario(TINY, ("meters.devices=true", *ALL_SMART, *MAY_2025, *prepaid, *overrides))
        self.world = open_world(plans(scenario)[0], 0, people)
        self.dates = self.world.plan.dates
        self.used = day_kwh(self.world, use)
        solver = BlockSolver(people, self.world.plan.steps)
        self.world.response.expected_day_kwh = self.world.expected_day_kwh(solver, self.dates[0])
        month = self.used * (self.dates[0].day - 1.0)
        self.devices = MeterDevices(self.world)
        self.meters = MeterState.begin(self.world.plan, month, self.devices)
        self.wallets = self.meters.wallets = Wallets(self.world, self.meters)
        self.wallets.begin(self.dates[0])
        self.periods: list[list[Period]] = []

    def switches(self, date: dt.date) -> Switches:
        found = switches_on(self.meters, date, len(self.world.plan.arms), self.world.plan.steps)
        none = np.zeros((len(self.world.plan.arms), len(self.used)), np.int16)
        return found or Switches(none, none)

    def live(self, n_days: int | None = None, first: int = 0) -> Iterator[tuple[dt.date, Switches]]:
        """Days one after another: each is settled, told, and passes the meters."""
        for date in self.dates[first:n_days]:
            yield date, self.switches(date)
            assert self.meters.recorded_kwh is not None
            used = [self.used] * len(self.world.plan.arms)
            self.devices.advance(date, used, self.meters.recorded_kwh, NONE)
            self.meters.kwh += self.used
            if self.meters.closes_after(date):
                self.meters.close_window(date)
                self.periods.append(self.wallets.close(date))
                self.meters.next_month(date)
