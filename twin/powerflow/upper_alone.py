"""The 33 kV trees by themselves, at given voltages of their heads: for networks without a grid above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.controls import Controls
from twin.powerflow.lanes import padded
from twin.powerflow.upper_controls import Measured, Trajectory, resting, step_sizes
from twin.powerflow.upper_factor import W
from twin.powerflow.upper_joint import solve_trees
from twin.powerflow.upper_tree_kernel import TOLERANCE_PU, tree_scratch
from twin.powerflow.upper_trees import (
    SWEEP_DIVERGED,
    FloatArray,
    Loads,
    Positions,
    SweepOut,
    Trees,
    first_steps,
    sweep_out,
)
from twin.units import MINUTES_PER_DAY


def solve_alone(
    trees: Trees, controls: Controls, loads: Loads, v_head: FloatArray, hold: Positions | None = None
) -> tuple[SweepOut, Positions]:
    """Solve all steps of a block at heads ``v_head`` (n_gss, steps), and settle taps and capacitors in time order.

    With ``hold`` positions stay there. Where there is no solution ``status`` says so, see `SWEEP_DIVERGED`; nothing is
    raised. The second result are the positions by step.
    """
    steps, n_gss = v_head.shape[1], len(trees.ptr) - 1
    whole = Loads(*(_widened(part, 1.0 if name == "v0" else 0.0) for name, part in loads._asdict().items()))
    heads, wanted = _widened(v_head, 1.0), np.arange(padded(steps, W)) < steps
    gss_of_pss = np.repeat(np.arange(n_gss), np.diff(trees.ptr))[trees.node_11]
    track = Trajectory(
        controls, gss_of_pss, resting(controls), None, MINUTES_PER_DAY / steps,
        MINUTES_PER_DAY / steps * np.arange(steps), controls.capacitors.step_pu * trees.z[trees.ptr[:-1] + 1].imag,
    )  # fmt: skip
    if hold is not None:
        track.at = hold
    out, work, bus = sweep_out(trees, len(wanted)), tree_scratch(len(trees.parent), n_gss), trees.ptr[:-1] + 1
    for turn in range(controls.max_rounds + 1):
        solve_trees(trees, step_sizes(controls), whole, heads, track.at, wanted, TOLERANCE_PU, work, out)
        result = first_steps(out, steps)
        if hold is not None or turn == controls.max_rounds:
            break
        vm = np.hypot(result.v_re, result.v_im)
        measured = Measured(vm[bus], result.q_33, vm[trees.node_11], np.zeros((0, steps)))
        if not track.rescan(measured, result.status == SWEEP_DIVERGED, first=turn == 0, with_reactors=False).any():
            break
    return result, track.at


def _widened(part: FloatArray, filling: float) -> NDArray[np.float64]:
    """The array padded to whole bundles."""
    wide = np.full((len(part), padded(part.shape[1], W)), filling)
    wide[:, : part.shape[1]] = part
    return wide
