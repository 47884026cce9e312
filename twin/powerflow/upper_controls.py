"""Where the control devices of the upper grid stand, step by step: what they watch, and who waits for whom."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.controls import BY_FLOW, BY_SCHEDULE, FOLLOW, REMEMBER, Controls, Steppers, scan
from twin.powerflow.upper_trees import FloatArray, Positions, StepSizes, Waits

BoolArray = NDArray[np.bool_]


def step_sizes(controls: Controls) -> StepSizes:
    """What the compiled solvers need of the controls."""
    return StepSizes(controls.tap_step, controls.capacitors.step_pu, controls.reactors.step_pu)


def resting(controls: Controls) -> Positions:
    """Every tap in its middle and no bank on: where a run starts. One column."""
    groups = (controls.gss_taps, controls.capacitors.steppers, controls.pss_taps, controls.reactors.steppers)
    return Positions(*(np.zeros((len(group.low), 1), np.int8) for group in groups))


@dataclass(frozen=True)
class Measured:
    """What the devices watch, on a solved trajectory: (n_gss, steps), (n_pss, steps), (n_reactors, steps). [pu]"""

    v_33: FloatArray
    q_33: FloatArray
    v_11: FloatArray
    v_reactor: FloatArray


@dataclass
class Trajectory:
    """Positions of all devices through a block, and the scan that moves them."""

    controls: Controls
    gss_of_pss: NDArray[np.int64]
    before: Positions
    waited: Waits | None
    """How long quantities were outside their bands before the block, in steps; None: the block starts at rest."""
    step_min: float
    minutes: FloatArray
    rise_per_capacitor: FloatArray
    """Rise of the 33 kV voltage per capacitor step that the taps below it expect, about. [n_gss, pu]"""
    at: Positions = field(init=False)
    waited_after: Waits = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """All steps at the positions before the block, banks with a schedule at theirs."""
        self.at = Positions(*(np.repeat(part, len(self.minutes), axis=1) for part in self.before))
        for banks, positions in (
            (self.controls.capacitors, self.at.capacitor),
            (self.controls.reactors, self.at.reactor),
        ):
            follows = banks.kind == BY_SCHEDULE
            positions[follows] = banks.scheduled(self.minutes)[follows]
        self.waited_after = Waits(*(np.zeros(part.shape[:1], np.int16) for part in self.before))

    def rescan(self, measured: Measured, unknown: BoolArray, *, first: bool, with_reactors: bool) -> BoolArray:
        """Scan all stages once, upper ones first; where positions changed, by GSS and step.

        ``unknown`` (n_gss, steps): no solution there. A moved reactor makes all below it wait.
        """
        old = Positions(*(part.copy() for part in self.at))
        memory = FOLLOW if first else REMEMBER
        changed, controls = np.zeros_like(unknown), self.controls
        if with_reactors:
            moved = controls.reactors.kind != BY_SCHEDULE
            lost = np.repeat(unknown.all(axis=0, keepdims=True), len(moved), axis=0)
            self._scan("reactor", controls.reactors.steppers, moved, measured.v_reactor, lost, memory)
            changed |= (self.at.reactor != old.reactor).any(axis=0)
        free = np.full(len(unknown), not changed.any())
        kind = controls.capacitors.kind
        watched = np.where((kind == BY_FLOW)[:, None], measured.q_33, measured.v_33)
        self._scan("capacitor", controls.capacitors.steppers, free & (kind != BY_SCHEDULE), watched, unknown, memory)
        v_33 = measured.v_33 + self.rise_per_capacitor[:, None] * (self.at.capacitor - old.capacitor)
        self._scan("gss_tap", controls.gss_taps, free, v_33, unknown, memory)
        below = self.gss_of_pss
        expected = (1.0 + controls.tap_step * old.gss_tap) / (1.0 + controls.tap_step * self.at.gss_tap)
        v_11 = measured.v_11 * (v_33 / measured.v_33 * expected)[below]
        self._scan("pss_tap", controls.pss_taps, free[below], v_11, unknown[below], memory)
        changed |= (self.at.capacitor != old.capacitor) | (self.at.gss_tap != old.gss_tap)
        np.logical_or.at(changed, below, self.at.pss_tap != old.pss_tap)
        return changed

    def _scan(
        self, name: str, group: Steppers, may_move: BoolArray, value: FloatArray, unknown: BoolArray, memory: float
    ) -> None:
        """Scan one group of devices in place."""
        at, first = getattr(self.at, name), getattr(self.before, name)[:, 0]
        after, rested = getattr(self.waited_after, name), self.waited is None
        waited = np.zeros_like(after) if self.waited is None else getattr(self.waited, name)
        scan(group, may_move, value, at, unknown, first, waited, rested, self.step_min, memory, at, after)
