"""What the upper grid looks like: distributions of voltages and loadings, and what was added to the tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandapower as pp
from numpy.typing import NDArray

from twin.powerflow.upper import UpperGrid, UpperResult
from twin.powerflow.upper_ehv import OK

QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


@dataclass(frozen=True)
class Distribution:
    """Quantiles of one quantity at one step: lowest, 5 %, median, 95 %, highest."""

    quantity: str
    unit: str
    count: int
    quantiles: tuple[float, ...]


def distributions(grid: UpperGrid, result: UpperResult, step: int) -> list[Distribution]:
    """Voltages at 132, 33 and 11 kV, loading of lines and transformers by voltage, and of GSS, at one solved step.

    Raises
    ------
    ValueError
        If the step has no solution.
    """
    if result.status[step] != OK:
        raise ValueError(f"step {step} has no solution")
    wiring = grid.wiring
    loading = result.branch_loading_percent[:, step]
    rows = [
        _quantiles("132 kV bus voltage", "pu", result.vm_ehv_pu[wiring.bus_132, step]),
        _quantiles("33 kV bus voltage of GSS", "pu", result.gss_vm_pu[:, step]),
        _quantiles("11 kV bus voltage of PSS", "pu", result.v_pss_pu[:, step]),
    ]
    for kv in np.unique(wiring.branch_kv)[::-1].tolist():
        for is_line, name in ((True, "lines"), (False, "transformers")):
            chosen = (wiring.branch_kv == kv) & (wiring.is_line == is_line)
            if chosen.any():
                rows.append(_quantiles(f"loading of {kv:g} kV {name}", "percent", loading[chosen]))
    return [*rows, _quantiles("loading of GSS transformers", "percent", result.gss_loading_percent[:, step])]


def _quantiles(quantity: str, unit: str, values: NDArray[np.float64]) -> Distribution:
    return Distribution(quantity, unit, len(values), tuple(np.quantile(values, QUANTILES).tolist()))


def reinforcements(net: pp.pandapowerNet) -> dict[str, int]:
    """Circuits and transformers beyond the tables, by voltage: all assumed."""
    kv = net.bus.vn_kv.reindex(net.line.from_bus).to_numpy()
    circuits = {f"{level:g} kV circuits": int(net.line.added_circuits[kv == level].sum()) for level in np.unique(kv)}
    pairs = net.trafo.vn_hv_kv.map("{:g}".format) + "/" + net.trafo.vn_lv_kv.map("{:g}".format) + " kV transformers"
    units = {pair: int(net.trafo.added_units[pairs == pair].sum()) for pair in sorted(pairs.unique())}
    return {name: count for name, count in (circuits | units).items() if count}
