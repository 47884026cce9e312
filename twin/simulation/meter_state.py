"""The meters' state of a shard in one replicate: energy of the month to date by arm, consumer and zone.

Energies are the true cumulative ones; what a register shows is derived from them (`twin.meters.register`), which is the
same as a register that carries its residual.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.simulation.plan import PointPlan, month_end

if TYPE_CHECKING:
    from twin.simulation.block import BlockSolver, BlockState
    from twin.simulation.replicate import ReplicateWorld


@dataclass
class MeterState:
    """Everything that decides later bits of a shard, and nothing else; it is what a checkpoint holds."""

    plan: PointPlan
    kwh: NDArray[np.float64]
    """Month to date, shape (n_arms, n, n_zones). [kWh]"""
    start_kwh: NDArray[np.float64]
    """Month to date at the start of the billing window, the same for all arms, shape (1, n, n_zones). [kWh]"""

    @staticmethod
    def begin(plan: PointPlan, month_to_date: NDArray[np.float64]) -> MeterState:
        """All arms start where the month to date stands."""
        return MeterState(plan, np.repeat(month_to_date[None], len(plan.arms), axis=0), month_to_date[None].copy())

    @staticmethod
    def restore(plan: PointPlan, arrays: dict[str, NDArray[np.float64]]) -> MeterState:
        """From a checkpoint's arrays."""
        return MeterState(plan, arrays["kwh"], arrays["start_kwh"])

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """For a checkpoint."""
        return {"kwh": self.kwh, "start_kwh": self.start_kwh}

    def advance(self, block: BlockState) -> None:
        """Add a committed block's energy."""
        for arm, result in enumerate(block.arms):
            self.kwh[arm] += result.consumer_kwh

    def window_start(self, date: dt.date) -> dt.date:
        """First day of the billing window that a date lies in: the run's first day or the month's."""
        return max(self.plan.dates[0], date.replace(day=1))

    def closes_after(self, date: dt.date) -> bool:
        """Is a window billed at the end of this day? At the end of a month and of the run."""
        return date == month_end(date) or date == self.plan.dates[-1]

    def next_month(self, date: dt.date) -> None:
        """Start the registers of a new month after the last day of the old one."""
        if date == month_end(date):
            self.kwh[:] = 0.0
            self.start_kwh[:] = 0.0


def start_of_month(world: ReplicateWorld, solver: BlockSolver, first: dt.date) -> NDArray[np.float64]:
    """Energy from the 1st of the month to the day before ``first``, drawn exactly with the run's own streams.

    Baseline tariff and nominal voltage: no network is solved for it. Shape (n, n_zones). [kWh]
    """
    n = len(world.population.consumers)
    total = np.zeros((n, world.plan.zones.n_zones))
    for day in range(1, first.day):
        world.add_energy(solver, first.replace(day=day), total, mean_field=False)
    return total
