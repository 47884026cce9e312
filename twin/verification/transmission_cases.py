"""The grid of Bihar at 33 kV and above at its expected peak and trough against pandapower's distributed slack."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np
import pandapower as pp

from twin.grid.transmission_arrays import ehv_model
from twin.grid.transmission_check import MAX_ITERATIONS, BlockInputs, net_at_step
from twin.grid.transmission_loads import UpperState, build_upper, design_block
from twin.powerflow.upper import UpperResult
from twin.verification.case import Case, Row
from twin.verification.compare import Against
from twin.verification.synthetic import state_grid

SOURCE = (
    "pandapower.runpp(distributed_slack=True, tolerance_mva=1e-7) of one network from 765 kV to all PSS 11 kV buses"
)


@lru_cache(maxsize=1)
def solved() -> tuple[UpperState, BlockInputs, UpperResult]:
    """The upper grid and its solution at both steps, built once."""
    state = state_grid()
    above, inputs = build_upper(state), design_block(state)
    return above, inputs, inputs.solved_by(above.grid)


def rows(name: str, step: int) -> Iterator[Row]:
    """Voltages by level, losses and what the ties bring, at one step."""
    above, inputs, result = solved()
    full = net_at_step(above.net, above.pss, above.grid, inputs, result, step)
    pp.runpp(
        full, distributed_slack=True, init="dc", lightsim2grid=False, max_iteration=MAX_ITERATIONS, tolerance_mva=1e-7
    )
    _, index = ehv_model(above.net)
    vm, against = full.res_bus.vm_pu, Against(name, f"{SOURCE}, {len(full.bus):,} buses")
    on = full.bus.index[index.bus_of(full.bus.index) >= 0]
    gss = (
        full.trafo[(full.trafo.kind == "gss") & full.trafo.in_service].set_index("station").loc[list(above.pss.gss_id)]
    )
    yield against.worst("voltage at 132 kV and above", result.vm_ehv_pu[:, step], vm[on], 1e-6, "pu")
    yield against.worst("voltage at GSS 33 kV buses", result.gss_vm_pu[:, step], vm[gss.lv_bus], 1e-6, "pu")
    yield against.worst("voltage at PSS 11 kV buses", result.v_pss_pu[:, step], vm[full.pss.bus_11], 1e-6, "pu")
    lost_mw = np.nansum(full.res_line.pl_mw) + np.nansum(full.res_trafo.pl_mw)
    ours_mw = np.sum(result.loss_ehv_mw[..., step]) + np.sum(result.loss_33kv_mw[..., step])
    yield against.share("losses at 33 kV and above", ours_mw, lost_mw, 1e-6, "MW")
    tie = full.gen.type == "tie"
    yield against.share(
        "power over the ties",
        np.sum((result.tie_mw + result.export_mw)[..., step]),
        full.res_gen.p_mw[tie].sum(),
        1e-6,
        "MW",
    )


CASES = (
    Case(
        "bihar-peak", "grid of Bihar", "33 kV and above at the expected peak of 8.4 GW, against runpp",
        partial(rows, "bihar-peak", 0),
    ),
    Case(
        "bihar-trough", "grid of Bihar", "the same at the trough of 3.5 GW", partial(rows, "bihar-trough", 1)
    ),
)  # fmt: skip
