"""Evidence for the ledger: a random hundredth of the tiles solved exactly at the final voltage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.streams import Stream, uniforms

if TYPE_CHECKING:
    from twin.simulation.block import BlockSolver, BlockState

SHARE = 0.01
BASELINE = 0


def verify_sample(solver: BlockSolver, block: BlockState, v_pss_pu: NDArray[np.float64]) -> dict[str, float]:
    """Largest relative change of a tile's day energy when solved exactly at the grid's last answer.

    The DTs' final voltages are those of their line at that answer. The sample is drawn by DT and block, so it does not
    depend on shards. Baseline arm. ``v_pss_pu``: shape (n_owned_pss, steps).
    """
    result, worst = block.arms[BASELINE], 0.0
    for position, part in enumerate(solver.population.feeders):
        chosen = np.flatnonzero(uniforms(block.world.seed, Stream.VERIFICATION, part.dt_id, block.number) < SHARE)
        if len(chosen) == 0:
            continue
        v_dt = solver.final_voltages(block, BASELINE, position, v_pss_pu[part.pss_row])
        kwh = np.zeros((part.rows.stop - part.rows.start, block.world.plan.zones.n_zones))
        book = solver.solve_exactly(block, BASELINE, position, chosen, v_dt, block.zone_of_step, kwh)
        accepted = result.consumer_kwh[part.rows].sum(axis=1)
        for k in chosen[book.bad_steps[chosen] == 0]:
            rows = slice(part.net.lv.dt_consumer_ptr[k], part.net.lv.dt_consumer_ptr[k + 1])
            before = accepted[rows].sum()
            if before > 0:
                worst = max(worst, abs(float(kwh[rows].sum() / before) - 1.0))
    return {"lv_energy": worst}
