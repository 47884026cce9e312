"""What a solved block of the upper grid gives: voltages, losses from branch currents, loadings, positions, statuses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.controls import operations
from twin.powerflow.upper_ehv import BAD_INPUT, DIVERGED, OK, EhvModel, EhvState
from twin.powerflow.upper_trees import FloatArray, Positions, Waits

RADIAL_DIVERGED, BORDER_UNSETTLED = 3, 4
STATUS = {
    OK: "solved",
    DIVERGED: "no solution at 132 kV and above (collapse)",
    2: "reactive limits of generators do not settle",
    RADIAL_DIVERGED: "no solution in a 33 kV tree (collapse)",
    BORDER_UNSETTLED: "33 kV and 132 kV do not agree",
    BAD_INPUT: "a load or voltage handed in is not finite",
}
"""What ``UpperResult.status`` means."""


@dataclass(frozen=True)
class UpperState:
    """Where a solution stands: what the next solution of the same block starts from. [pu]"""

    ehv: EhvState
    tree_re: FloatArray
    """Voltages of the trees, padded to whole bundles; NaN where there is none."""
    tree_im: FloatArray


@dataclass(frozen=True)
class Operations:
    """Steps of position that drives moved within the block, by GSS, shape (n_gss,)."""

    gss_tap: NDArray[np.int64]
    capacitor: NDArray[np.int64]
    pss_tap: NDArray[np.int64]
    """Of all PSS of a GSS together."""
    pss_tap_most: NDArray[np.int64]
    """Of the busiest PSS."""


@dataclass(frozen=True)
class UpperResult:
    """One block. Power in MW and Mvar toward the consumer, voltage in pu of 11, 33 and 132 kV; step last.

    A step whose ``status`` is not 0 (see `STATUS`) is not to be trusted, but a run can go on and count it. Without a
    solution (1, 5) all its powers and loadings are NaN and ``v_pss_pu`` is the voltage handed in; where single trees
    have none (3, named by ``SWEEP_DIVERGED`` in ``gss_status``) that is so for them and for the sums over trees; 2 and
    4 leave the last iterate. ``controls_unsettled`` counts GSS-steps whose taps or banks were stopped by the limit of
    rounds (``CONTROLS_UNSETTLED`` in ``gss_status``): their solution stands, at the last positions.
    ``positions`` and ``waited`` are what the next block takes as ``before`` and ``waited``. ``closure`` is
    ``(sent - load - losses) / sent``.
    """

    v_pss_pu: FloatArray
    loss_33kv_mw: FloatArray
    loss_ehv_mw: FloatArray
    sent_mw: FloatArray
    load_mw: FloatArray
    export_mw: FloatArray
    tie_mw: FloatArray
    gss_p_mw: FloatArray
    gss_q_mvar: FloatArray
    gss_vm_pu: FloatArray
    gss_loading_percent: FloatArray
    branch_loading_percent: FloatArray
    line_loading_percent_max: FloatArray
    vm132_min: FloatArray
    vm132_max: FloatArray
    vm_ehv_pu: FloatArray
    generator_mw: FloatArray
    generator_mvar: FloatArray
    generators_at_limit: NDArray[np.int8]
    status: NDArray[np.uint8]
    gss_status: NDArray[np.uint8]
    closure: FloatArray
    schedule_mw: FloatArray
    state: UpperState
    positions: Positions
    waited: Waits
    positions_by_step: Positions
    controls_unsettled: int
    border_rounds: int
    engine: str
    operations: Operations


def count_operations(
    at: Positions, gss_of_pss: NDArray[np.int64], n_gss: int, before: Positions | None = None
) -> Operations:
    """Operations within a block; ``before`` (one column) if it continues another, else the first step is not one."""
    first = before or Positions(None, None, None, None)  # type: ignore[arg-type]
    pss = operations(at.pss_tap, first.pss_tap)
    total, most = np.zeros(n_gss, dtype=np.int64), np.zeros(n_gss, dtype=np.int64)
    np.add.at(total, gss_of_pss, pss)
    np.maximum.at(most, gss_of_pss, pss)
    return Operations(operations(at.gss_tap, first.gss_tap), operations(at.capacitor, first.capacitor), total, most)


def branch_loading(model: EhvModel, rating: FloatArray, v: NDArray[np.complex128]) -> tuple[FloatArray, FloatArray]:
    """Loading by the larger end current [percent], (n_branches, steps), and the sum of the losses [pu], (steps,)."""
    v_f, v_t = v[model.f_bus], v[model.t_bus]
    i_f = model.y_ff[:, None] * v_f + model.y_ft[:, None] * v_t
    i_t = model.y_tf[:, None] * v_f + model.y_tt[:, None] * v_t
    loss = (v_f * np.conj(i_f)).real.sum(axis=0) + (v_t * np.conj(i_t)).real.sum(axis=0)
    square = np.maximum(i_f.real**2 + i_f.imag**2, i_t.real**2 + i_t.imag**2)
    return 100.0 * np.sqrt(square) / rating[:, None], loss
