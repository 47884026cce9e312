"""Evidence for the ledger: a random hundredth of the tiles solved exactly at the final voltage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lv import OK, solve_tile
from twin.streams import Stream, uniforms

if TYPE_CHECKING:
    from twin.simulation.block import BlockSolver, BlockState

SHARE = 0.01
BASELINE = 0


def verify_sample(solver: BlockSolver, block: BlockState, v_pss_pu: NDArray[np.float64]) -> dict[str, float]:
    """Largest relative change of a tile's day energy when solved exactly at the grid's last answer.

    The DT's final voltage is where its tile was solved, moved by what its PSS still moved. The sample is drawn by DT
    and block, so it does not depend on shards. Baseline arm. ``v_pss_pu``: shape (arms, n_owned_pss, steps).
    """
    result, worst = block.arms[BASELINE], 0.0
    zones, world = block.world.plan.zones, block.world
    for position, part in enumerate(solver.population.feeders):
        chosen = np.flatnonzero(uniforms(world.seed, Stream.VERIFICATION, part.dt_id, block.number) < SHARE)
        if len(chosen) == 0:
            continue
        kw = solver.draw(block, part.rows)
        zips = solver.population.consumers.zips[part.rows]
        moved = v_pss_pu[BASELINE, part.pss_row] - result.v_head_pu[position]
        kwh = np.zeros((len(kw), zones.n_zones))
        for k in chosen:
            solve_tile(
                part.net.lv, int(k), kw, zips, result.v_dt_pu[part.dts][k] + moved, zones.zone_of_step, solver.hours,
                solver.lv_options, solver.work.lv_scratch, solver.work.tiles, kwh,
            )  # fmt: skip
            if (solver.work.tiles.status[k] != OK).any():
                continue
            rows = slice(part.net.lv.dt_consumer_ptr[k], part.net.lv.dt_consumer_ptr[k + 1])
            accepted = result.consumer_kwh[part.rows][rows].sum()
            if accepted > 0:
                worst = max(worst, abs(float(kwh[rows].sum() / accepted) - 1.0))
    return {"lv_energy": worst}
