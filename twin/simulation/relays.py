"""The load switches of a shard's meters under every arm: one state, whoever commands them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.meters.relay import CLOSED, RelayParams, RelayState, operate, wear

if TYPE_CHECKING:
    from twin.simulation.meter_devices import MeterDevices


class Relays:
    """The load switches of a shard's meters under every arm."""

    def __init__(self, devices: MeterDevices, n_arms: int) -> None:
        shape = (n_arms, len(devices.fleet.ids))
        self.devices, self.params = devices, devices.types.params(RelayParams, "relay")
        self.has_switch = self.params.wear_cycles[devices.fleet.kind] > 0.0
        self.state = RelayState(np.full(shape, CLOSED, np.uint8), np.zeros(shape, np.uint8), np.zeros(shape, np.uint32))

    def command(self, arm: int, rows: NDArray[np.int64], wanted: int) -> NDArray[np.bool_]:
        """Let some meters' switches open or close (`OPEN`, `CLOSED`); which stand as wanted afterwards, shape (k,).

        A welded switch stays closed, and its consumer goes on drawing; a meter without a switch stays closed too.
        """
        fleet, done = self.devices.fleet, np.empty(len(rows), np.bool_)
        state = RelayState._make(column[arm, rows] for column in self.state)
        operate(
            np.uint64(self.devices.seed), fleet.ids[rows], fleet.kind[rows], np.full(len(rows), wanted, np.uint8),
            np.zeros(len(rows), np.bool_), self.params, state, done,
        )  # fmt: skip
        self._put(arm, rows, state)
        return done

    def wear(self, arm: int, rows: NDArray[np.int64], operations: NDArray[np.int64]) -> None:
        """Some meters' switches have moved by themselves some times, shape (k,) each."""
        fleet = self.devices.fleet
        state = RelayState._make(column[arm, rows] for column in self.state)
        wear(np.uint64(self.devices.seed), fleet.ids[rows], fleet.kind[rows], operations, self.params, state)
        self._put(arm, rows, state)

    def _put(self, arm: int, rows: NDArray[np.int64], state: RelayState) -> None:
        self.state.position[arm, rows], self.state.health[arm, rows] = state.position, state.health
        self.state.cycles[arm, rows] = state.cycles

    def arrays(self) -> NDArray[np.float64]:
        """For a checkpoint, shape (n_arms, n, 3)."""
        return np.stack([np.asarray(column, np.float64) for column in self.state], axis=2)

    def restore(self, array: NDArray[np.float64]) -> None:
        """From a checkpoint's array."""
        position, health, cycles = np.moveaxis(array, 2, 0)
        self.state = RelayState(position.astype(np.uint8), health.astype(np.uint8), cycles.astype(np.uint32))
