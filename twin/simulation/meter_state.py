"""The meters' state of a shard in one replicate: energy of the month to date by arm, consumer and zone.

Energies are the true cumulative ones; what a register shows is derived from them (`twin.meters.register`), which is the
same as a register that carries its residual. Where meters are devices (`twin.simulation.meter_devices`) their registers
are a state of their own beside the truth, and displays show them with all that they counted before, rolled over
(`twin.simulation.meter_displays`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.demand.weather import day_number
from twin.meters.register import register_wh
from twin.simulation.meter_estimates import Window
from twin.simulation.plan import PointPlan, month_end
from twin.units import WH_PER_KWH

if TYPE_CHECKING:
    from twin.simulation.block import BlockSolver, BlockState
    from twin.simulation.load_limits import LimitDay
    from twin.simulation.meter_devices import DeviceDay, MeterDevices
    from twin.simulation.meter_displays import Displays, Readings
    from twin.simulation.prepaid import Wallets
    from twin.simulation.replicate import ReplicateWorld


@dataclass
class MeterState:
    """Everything that decides later bits of a shard, and nothing else; it is what a checkpoint holds."""

    plan: PointPlan
    kwh: NDArray[np.float64]
    """Month to date, shape (n_arms, n, n_zones). [kWh]"""
    start_kwh: NDArray[np.float64]
    """Month to date at the start of the billing window, the same for all arms, shape (1, n, n_zones). [kWh]"""
    devices: MeterDevices | None = None
    recorded_kwh: NDArray[np.float64] | None = None
    """Of devices: what registers recorded in the month, with their residual. Shape (n_arms, n, n_zones). [kWh]"""
    recorded_start_kwh: NDArray[np.float64] | None = None
    """The same at the start of the billing window, shape (1, n, n_zones). [kWh]"""
    wallets: Wallets | None = None
    """Of prepaid consumers, where the scenario has them; in a file of their own of the checkpoint."""
    displays: Displays | None = None
    """Of devices: what is seen of the registers, where a table shows it."""

    @staticmethod
    def begin(plan: PointPlan, month_to_date: NDArray[np.float64], devices: MeterDevices | None = None) -> MeterState:
        """All arms start where the month to date stands."""
        state = MeterState(plan, _per_arm(plan, month_to_date), month_to_date[None].copy(), devices)
        if devices is not None:
            recorded = devices.begin(plan.dates[0], month_to_date)
            state.recorded_kwh, state.recorded_start_kwh = _per_arm(plan, recorded), recorded[None].copy()
        return state

    @staticmethod
    def restore(
        plan: PointPlan, arrays: dict[str, NDArray[np.float64]], devices: MeterDevices | None = None
    ) -> MeterState:
        """From a checkpoint's arrays."""
        state = MeterState(plan, arrays["kwh"], arrays["start_kwh"], devices)
        if devices is not None:
            devices.restore(arrays)
            state.recorded_kwh, start = arrays["recorded_kwh"], arrays["recorded_start_kwh"]
            state.recorded_start_kwh = start if start.any() else _zeros(start.shape)
        return state

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """For a checkpoint."""
        arrays = {"kwh": self.kwh, "start_kwh": self.start_kwh}
        if self.devices is not None:
            assert self.recorded_kwh is not None
            assert self.recorded_start_kwh is not None
            arrays |= {"recorded_kwh": self.recorded_kwh, "recorded_start_kwh": self.recorded_start_kwh}
            arrays |= self.devices.arrays()
        return arrays | ({} if self.displays is None else self.displays.arrays())

    def resolution_wh(self, world: ReplicateWorld, rows: slice) -> NDArray[np.int64]:
        """Last digit of some consumers' registers. [Wh]"""
        if self.devices is not None:
            return self.devices.resolution_wh[rows]
        return world.population.consumers.part(rows).register_resolution_wh(world.smart[rows])

    def start_wh(self, world: ReplicateWorld, rows: slice) -> NDArray[np.int64]:
        """What registers showed at the start of the billing window, shape (n, n_zones). [Wh]"""
        kwh = self.start_kwh if self.recorded_start_kwh is None else self.recorded_start_kwh
        return register_wh(kwh[0, rows], self.resolution_wh(world, rows))

    def end_wh(self, world: ReplicateWorld, arm: int, rows: slice) -> NDArray[np.int64]:
        """Month to date that a window is billed by: what is recorded now, or what is estimated for it. [Wh]

        Shape (n, n_zones).
        """
        shown = self._recorded_wh(world, arm, rows)
        if self.devices is not None:
            self.devices.estimates.lay_over(arm, rows, shown)
        return shown

    def _recorded_wh(self, world: ReplicateWorld, arm: int, rows: slice) -> NDArray[np.int64]:
        kwh = self.kwh if self.recorded_kwh is None else self.recorded_kwh
        return register_wh(kwh[arm, rows], self.resolution_wh(world, rows))

    def readings(self, world: ReplicateWorld, arm: int, date: dt.date, rows: slice) -> Readings | None:
        """What displays showed at both ends of the window that ends with a date; None where nothing is displayed."""
        if self.displays is None:
            return None
        start, end = self.start_wh(world, rows), self._recorded_wh(world, arm, rows)
        days = (date - self.window_start(date)).days + 1
        return self.displays.window(arm, np.arange(*rows.indices(self.kwh.shape[1])), start, end, days)

    def display_kwh(self, arm: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """What registers of all hours of some devices show now; ``rows`` rise. Shape (k,). [kWh]"""
        assert self.displays is not None
        assert self.devices is not None
        assert self.recorded_kwh is not None
        to_date_wh = register_wh(self.recorded_kwh[arm, rows], self.devices.resolution_wh[rows])
        return self.displays.total_wh(arm, rows, to_date_wh) / WH_PER_KWH

    def advance_devices(self, block: BlockState, watched: NDArray[np.int64]) -> DeviceDay | None:
        """Let a committed block pass the meters, where they are devices; ``watched`` rows are followed one by one."""
        if self.devices is None:
            return None
        assert self.recorded_kwh is not None
        if self.displays is not None:
            self.displays.swap(day_number(block.date), self.recorded_kwh)
        if self.devices.limits is not None and block.limits is not None:
            self.devices.limits.commit(block.limits)
        return self.devices.advance(block.date, [arm.consumer_kwh for arm in block.arms], self.recorded_kwh, watched)

    def limits_on(self, date: dt.date) -> LimitDay | None:
        """Load limits of a day, as they meet the meters at its start; None where none are set."""
        if self.devices is None or self.devices.limits is None:
            return None
        return self.devices.limits.begin(date)

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

    def close_window(self, date: dt.date) -> None:
        """Settle what the window that ends with this day is billed by, where meters are devices."""
        if self.devices is not None:
            assert self.recorded_kwh is not None
            assert self.recorded_start_kwh is not None
            window = Window(day_number(self.window_start(date)), day_number(date))
            month = 12 * date.year + date.month
            self.devices.estimates.close(window, month, self.recorded_kwh, self.recorded_start_kwh)

    def next_month(self, date: dt.date) -> None:
        """Start the registers of a new month after the last day of the old one."""
        if date == month_end(date):
            self.kwh[:] = 0.0
            self.start_kwh[:] = 0.0
            if self.devices is not None:
                assert self.recorded_kwh is not None
                if self.displays is not None:
                    self.displays.next_month(self.recorded_kwh)
                for registers in self.recorded_kwh:  # the residual below the last digit stays in the register
                    registers -= register_wh(registers, self.devices.resolution_wh) / WH_PER_KWH
                self.recorded_start_kwh = _zeros((1, *self.recorded_kwh.shape[1:]))
                self.devices.estimates.next_month()


def _zeros(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Zeros that take no memory: every window but the first begins with its month."""
    return np.broadcast_to(0.0, shape)


def _per_arm(plan: PointPlan, kwh: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.repeat(kwh[None], len(plan.arms), axis=0)


def start_of_month(world: ReplicateWorld, solver: BlockSolver, first: dt.date) -> NDArray[np.float64]:
    """Energy from the 1st of the month to the day before ``first``, drawn exactly with the run's own streams.

    Baseline tariff and nominal voltage: no network is solved for it. Shape (n, n_zones). [kWh]
    """
    n = len(world.population.consumers)
    total = np.zeros((n, world.plan.zones.n_zones))
    for day in range(1, first.day):
        world.add_energy(solver, first.replace(day=day), total, mean_field=False)
    return total
