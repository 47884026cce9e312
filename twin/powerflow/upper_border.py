"""The slow and sure way for single steps: sweep the trees, solve the mesh by Newton, repeat until heads stand still.

For steps that the joint iteration does not settle (near or beyond collapse), and for pandapower as the engine. Every
step stops by itself, and the Newton forgets between steps, so that a step's bits are its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.upper_ehv import DIVERGED, OK, EhvState
from twin.powerflow.upper_joint import solve_trees
from twin.powerflow.upper_result import BORDER_UNSETTLED
from twin.powerflow.upper_tree_kernel import TOLERANCE_PU

if TYPE_CHECKING:
    from twin.powerflow.upper_block import Block

MAX_BORDER_ROUNDS = 40
START_PU = 1.0


def solve_border(block: Block, wanted: NDArray[np.bool_]) -> None:
    """Solve the wanted steps (padded) of a block at its present positions, and write them into its outputs."""
    grid, out = block.grid, block.mesh_out
    state = EhvState.fresh(grid.model, block.size)
    heads = np.full(block.v_head.shape, START_PU)
    open_steps = wanted.copy()
    block.trees_out.v_re[:, wanted] = np.nan
    for _ in range(MAX_BORDER_ROUNDS):
        _sweep(block, heads, open_steps)
        for step in np.flatnonzero(open_steps).tolist():
            grid.solver.reset()
            _solve_mesh(block, heads, state, step)
        change = np.abs(np.abs(state.v[grid.wiring.gss_bus]) - heads).max(axis=0)
        lost = open_steps & (state.status == DIVERGED)
        heads[:, open_steps] = np.abs(state.v[grid.wiring.gss_bus][:, open_steps])
        heads[:, lost] = np.nan
        if lost.any():
            _sweep(block, heads, lost)
        open_steps &= ~lost & (change > block.tolerance_pu)
        if not open_steps.any():
            break
    state.status[open_steps & (state.status == OK)] = BORDER_UNSETTLED
    place = grid.mesh.place
    out.v_re[np.ix_(place, wanted)], out.v_im[np.ix_(place, wanted)] = state.v.real[:, wanted], state.v.imag[:, wanted]
    out.gen_p[:, wanted], out.gen_q[:, wanted] = state.gen_s.real[:, wanted], state.gen_s.imag[:, wanted]
    out.at_limit[:, wanted], out.iterations[wanted] = state.at_limit[:, wanted], state.iterations[wanted]
    out.slack[wanted] = state.slack[wanted]
    out.status[wanted] = state.status[wanted]


def _sweep(block: Block, heads: NDArray[np.float64], steps: NDArray[np.bool_]) -> None:
    """Solve all trees of the given steps at given heads."""
    solve_trees(
        block.grid.trees, block.sizes, block.given.loads, heads, block.track.at, steps, TOLERANCE_PU,
        block.tree_scratch, block.trees_out,
    )  # fmt: skip


def _solve_mesh(block: Block, heads: NDArray[np.float64], state: EhvState, step: int) -> None:
    """Solve the mesh at one step, each GSS as a power and an admittance with the slope of its tree.

    At the voltage that the tree was solved for, both together are its power: ``S = s - m/2 + m/2 (V/V0)^2`` with the
    slope ``m = dS / d ln V``.
    """
    grid, out = block.grid, block.trees_out
    half = (out.slope_p[:, step] + 1j * out.slope_q[:, step]) / 2
    load, shunt = grid.wiring.export.copy(), np.zeros(len(grid.model.v_start), dtype=np.complex128)
    np.add.at(load, grid.wiring.ehv_bus, block.given.ehv[:, step])
    np.add.at(load, grid.wiring.gss_bus, out.p_head[:, step] + 1j * out.q_head[:, step] - half)
    np.add.at(shunt, grid.wiring.gss_bus, np.conj(half) / heads[:, step] ** 2)
    shunt += 1j * block.mesh_in.b[grid.mesh.place, step]
    grid.solver.solve_step(load, shunt, block.given.schedule[:, step], state, step)
