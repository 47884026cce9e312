"""The grid at 33 kV and above for all steps of a block: radial trees below the GSS, the meshed grid, control devices.

`UpperGrid` solves trees and mesh together, a bundle of steps at a time (`upper_joint`), and lets control devices scan
the solved trajectory (`upper_controls`) until none moves. A step that the joint iteration does not settle goes to
lightsim2grid's Newton above a sweep of the trees (`upper_border`). It knows arrays only: `twin.grid.transmission_upper`
builds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.controls import Controls
from twin.powerflow.upper_block import Block, Given
from twin.powerflow.upper_controls import resting
from twin.powerflow.upper_ehv import EhvModel, EhvSolver
from twin.powerflow.upper_mesh import Mesh, mesh_of
from twin.powerflow.upper_result import STATUS, UpperResult, UpperState
from twin.powerflow.upper_trees import FloatArray, Positions, Trees, Waits

__all__ = ["STATUS", "UpperGrid", "UpperResult", "UpperState", "Wiring"]
BORDER_TOLERANCE_PU = 2e-7
"""Largest change of a 132 kV voltage between two rounds of the border; well below the 1e-6 that the twin promises."""
BUNDLED, PANDAPOWER = "bundled Newton", "pandapower"
"""Engines: trees and mesh together, lightsim2grid for what that does not settle; pandapower's Newton for every step."""


@dataclass(frozen=True)
class Wiring:
    """How the parts hang together. Buses are those of the `EhvModel`; power in pu unless the name says otherwise.

    ``gss_bus`` (n_gss,): 132 kV bus of every tree; ``ehv_bus`` (n_ehv,): bus of every consumer at 132 kV and above;
    ``reactor_bus`` (n_reactors,): bus of every switched reactor; ``export`` complex (n_buses,): constant loads beyond
    the border; ``rating``, ``is_line``, ``branch_kv`` (n_branches,); ``bus_132`` (n,): buses whose voltage is watched.
    ``schedule``: generation (n_gens, steps) in MW from the state's load (steps,) in MW.
    """

    gss_bus: NDArray[np.int64]
    ehv_bus: NDArray[np.int64]
    reactor_bus: NDArray[np.int64]
    export: NDArray[np.complex128]
    rating: FloatArray
    is_line: NDArray[np.bool_]
    branch_kv: FloatArray
    bus_132: NDArray[np.int64]
    schedule: Callable[[FloatArray], FloatArray]


@dataclass
class UpperGrid:
    """The upper grid of a state. Holds no state between blocks but what the caller hands back as ``before``."""

    model: EhvModel
    trees: Trees
    controls: Controls
    wiring: Wiring
    solver: EhvSolver
    engine: str = BUNDLED
    mesh: Mesh = field(init=False)

    def __post_init__(self) -> None:
        self.mesh = mesh_of(self.model, self.wiring.gss_bus)

    @property
    def jointly(self) -> bool:
        """Whether trees and mesh are solved together."""
        return self.engine == BUNDLED

    @property
    def n_pss(self) -> int:
        """Number of power substations."""
        return len(self.trees.node_11)

    def resting_positions(self) -> Positions:
        """Every tap in its middle and no bank on: where a run starts."""
        return resting(self.controls)

    def solve(
        self,
        p_kw: FloatArray,
        q_kvar: FloatArray,
        slope_p: FloatArray,
        slope_q: FloatArray,
        v0_pu: FloatArray,
        ehv_p_mw: FloatArray | None = None,
        ehv_q_mvar: FloatArray | None = None,
        p33_kw: FloatArray | None = None,
        q33_kvar: FloatArray | None = None,
        before: Positions | None = None,
        hold: Positions | None = None,
        start: UpperState | None = None,
        tolerance_pu: float = BORDER_TOLERANCE_PU,
        waited: Waits | None = None,
        step_min: float | None = None,
        first_minute: float = 0.0,
    ) -> UpperResult:
        """Solve all steps of a block.

        Parameters
        ----------
        p_kw, q_kvar : array, shape (n_pss, steps)
            Load at the 11 kV bus of every PSS at voltage ``v0_pu``. [kW], [kvar]
        slope_p, slope_q : array, shape (n_pss, steps)
            Elasticities n of ``P = p (V/v0)^n`` and of Q.
        v0_pu : array, shape (n_pss, steps)
            Voltage for which the loads are stated. [pu of 11 kV]
        ehv_p_mw, ehv_q_mvar : array, shape (n_ehv, steps)
            Consumers at 132 kV and above, in the order the grid was built with. [MW], [Mvar]
        p33_kw, q33_kvar : array, shape (n_pss, steps)
            Constant loads at the PSS's 33 kV node. [kW], [kvar]
        before : Positions, optional
            ``positions`` of the block before; by default every tap in its middle.
        hold : Positions, optional
            ``positions_by_step`` of an earlier solution of the same block: taps and banks stay there. For a border
            with the feeders below, which otherwise could make a tap hunt.
        start : UpperState, optional
            ``state`` of an earlier solution of the same block: the voltages to start from.
        tolerance_pu : float
            Largest change of a 132 kV voltage between the last two rounds of trees and mesh, for the steps that the
            joint iteration does not settle; that one has its own, tighter, tolerances. [pu]
        waited : Waits, optional
            ``waited`` of the block before. Without it the first step settles without delay.
        step_min, first_minute : float
            Length of a step and minute of the day at which the first begins; by default the block is a day. [min]

        Returns
        -------
        UpperResult
            A step without solution is a status, never an exception.
        """
        given = Given.of(
            self,
            (p_kw, q_kvar, slope_p, slope_q, v0_pu, p33_kw, q33_kvar),
            ehv_p_mw,
            ehv_q_mvar,
            step_min,
            first_minute,
        )
        block = Block(self, given, before, waited, start, tolerance_pu)
        if hold is None:
            block.settle()
        else:
            block.solve_held(hold)
        return block.result()
