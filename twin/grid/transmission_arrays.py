"""From the pandapower network to the arrays of the solvers in `twin.powerflow`, through pandapower's own models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandapower as pp
from numpy.typing import NDArray
from pandapower.auxiliary import _add_ppc_options
from pandapower.pd2ppc import _pd2ppc
from pandapower.pypower.idx_brch import F_BUS, T_BUS
from pandapower.pypower.idx_bus import BS, GS
from pandapower.pypower.makeYbus import branch_vectors

from twin.errors import NetworkError, Problem
from twin.powerflow.upper_ehv import EhvModel

MESHED_FROM_KV = 100.0
"""Below it the grid is radial and solved by the sweep. [kV]"""


@dataclass(frozen=True)
class EhvIndex:
    """Where rows of the network's tables are in the arrays of an `EhvModel` (-1: not in it).

    ``bus`` by ``net.bus`` index; ``line`` and ``trafo`` by row of those tables; ``gens`` are rows of ``net.gen`` in
    the model's order.
    """

    bus: NDArray[np.int64]
    line: NDArray[np.int64]
    trafo: NDArray[np.int64]
    gens: NDArray[np.int64]

    def bus_of(self, rows: Any) -> NDArray[np.int64]:
        """Positions of buses by their network index; -1 for those that are not in the model or came later."""
        rows = np.asarray(rows, dtype=np.int64)
        known = rows < len(self.bus)
        return np.where(known, self.bus[np.where(known, rows, 0)], -1)


def meshed_part(net: pp.pandapowerNet) -> pp.pandapowerNet:
    """A copy without what lies below 132 kV: GSS transformers, lower buses and all on them are switched off."""
    part = pp.pandapowerNet(net)
    for table in ("bus", "trafo", "load", "shunt", "line"):
        part[table] = net[table].copy()
    low = part.bus.index[part.bus.vn_kv < MESHED_FROM_KV]
    part.bus.loc[low, "in_service"] = False
    part.trafo["in_service"] &= ~part.trafo.lv_bus.isin(low)
    part.line["in_service"] &= ~part.line.from_bus.isin(low)
    part.load["in_service"] &= ~part.load.bus.isin(low)
    part.shunt["in_service"] &= ~part.shunt.bus.isin(low)
    return part


def pandapower_case(net: pp.pandapowerNet) -> dict[str, Any]:
    """Pandapower's own per-unit case of ``net``; its branches are all lines, then all transformers, in table order."""
    net["_options"] = {}
    _add_ppc_options(
        net,
        calculate_voltage_angles=True,
        trafo_model="t",
        check_connectivity=False,
        mode="pf",
        switch_rx_ratio=2,
        enforce_p_lims=False,
        enforce_q_lims=False,
        recycle=None,
        distributed_slack=True,
    )
    case, _ = _pd2ppc(net)
    return dict(case)


def ehv_model(net: pp.pandapowerNet) -> tuple[EhvModel, EhvIndex]:
    """The meshed grid at 132 kV and above of ``net`` in per unit, with where its rows went.

    Raises
    ------
    NetworkError
        If a slack is an ``ext_grid`` (a distributed slack would drop it) or two generators share a bus.
    """
    _check_generators(net)
    part = meshed_part(net)
    ppc = pandapower_case(part)
    lookup = part._pd2ppc_lookups["bus"]
    on = part.bus.in_service.to_numpy()
    position = np.full(int(net.bus.index.max()) + 1, -1, dtype=np.int64)
    position[net.bus.index[on]] = np.arange(int(on.sum()))
    of_ppc = np.full(len(ppc["bus"]), -1, dtype=np.int64)
    of_ppc[lookup[net.bus.index[on]]] = np.arange(int(on.sum()))
    branch = ppc["branch"]
    y_tt, y_ff, y_ft, y_tf = branch_vectors(branch, len(branch))
    f_bus, t_bus = of_ppc[branch[:, F_BUS].real.astype(np.int64)], of_ppc[branch[:, T_BUS].real.astype(np.int64)]
    used = np.concatenate([part.line.in_service.to_numpy(), part.trafo.in_service.to_numpy()])
    where = np.where(used, np.cumsum(used) - 1, -1)
    y_shunt = np.zeros(int(on.sum()), dtype=np.complex128)
    keep = of_ppc >= 0
    y_shunt[of_ppc[keep]] = (ppc["bus"][keep, GS] + 1j * ppc["bus"][keep, BS]) / ppc["baseMVA"]
    gens = net.gen[net.gen.in_service & net.gen.bus.isin(net.bus.index[on])]
    base = float(ppc["baseMVA"])
    model = EhvModel(
        base_mva=base,
        f_bus=f_bus[used].astype(np.int32),
        t_bus=t_bus[used].astype(np.int32),
        y_ff=y_ff[used],
        y_ft=y_ft[used],
        y_tf=y_tf[used],
        y_tt=y_tt[used],
        y_shunt=y_shunt,
        v_start=np.ones(len(y_shunt), dtype=np.complex128),
        gen_bus=position[gens.bus].astype(np.int32),
        weight=(gens.slack_weight / gens.slack_weight.sum()).to_numpy(dtype=np.float64),
        vm_set_pu=gens.vm_pu.to_numpy(dtype=np.float64),
        q_min_pu=gens.min_q_mvar.to_numpy(dtype=np.float64) / base,
        q_max_pu=gens.max_q_mvar.to_numpy(dtype=np.float64) / base,
    )
    n_line = len(part.line)
    return model, EhvIndex(position, where[:n_line], where[n_line:], gens.index.to_numpy())


def _check_generators(net: pp.pandapowerNet) -> None:
    problems = []
    if len(net.ext_grid) and bool(net.ext_grid.in_service.any()):
        problems.append(
            Problem(
                "network", "ext_grid", "an ext_grid is dropped from a distributed slack", "use a gen with slack=True"
            )
        )
    shared = net.gen.bus[net.gen.in_service][net.gen.bus[net.gen.in_service].duplicated()]
    problems += [
        Problem("network", f"gen at bus {bus}", "two generators share a bus", "join them into one") for bus in shared
    ]
    if not bool((net.gen.slack & net.gen.in_service & (net.gen.slack_weight > 0)).any()):
        problems.append(Problem("network", "gen", "no generator carries the slack", "set slack and slack_weight"))
    if problems:
        raise NetworkError(problems)
