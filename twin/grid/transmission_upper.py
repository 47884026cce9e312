"""Builds the solver of the upper grid, `UpperGrid`, from the network and the columns of the PSS."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandapower as pp
from numpy.typing import NDArray
from pandapower.pypower.makeYbus import branch_vectors

from twin.errors import NetworkError, Problem
from twin.grid.transmission import EhvLoads, bus_name
from twin.grid.transmission_arrays import EhvIndex, ehv_model, pandapower_case
from twin.grid.transmission_controls import control_devices, switched_reactors
from twin.grid.transmission_dispatch import plant_fraction
from twin.grid.transmission_full import PssColumns, full_net
from twin.powerflow.upper import UpperGrid, Wiring
from twin.powerflow.upper_ehv import EhvModel, EhvSolver
from twin.powerflow.upper_trees import Trees


def schedule_mw(load_mw: NDArray[np.float64], share_mw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scheduled generation by the state's load: plants by their share, ties nothing. (n_gens, steps) [MW]"""
    return np.asarray(share_mw[:, None] * plant_fraction(load_mw)[None, :])


def upper_grid(net: pp.pandapowerNet, pss: PssColumns, ehv: EhvLoads | None = None) -> UpperGrid:
    """The solver of ``net`` with the 33 kV trees of ``pss``; GSS results are in the order of ``pss.gss_id``.

    Consumers at 132 kV and above are in the order of ``ehv`` (only its buses are used).
    """
    model, index = ehv_model(net)
    trees = build_trees(net, pss, model.base_mva)
    controls = control_devices(net, pss, model.base_mva)
    return UpperGrid(model, trees, controls, wiring(net, pss, model, index, ehv or EhvLoads()), EhvSolver(model))


def wiring(net: pp.pandapowerNet, pss: PssColumns, model: EhvModel, index: EhvIndex, ehv: EhvLoads) -> Wiring:
    """Positions of GSS, consumers, exports and ratings in the arrays of the meshed grid."""
    by_name = {name: bus for bus, name in net.bus.name.items()}
    gss = net.trafo[(net.trafo.kind == "gss") & net.trafo.in_service].set_index("station").loc[list(pss.gss_id)]
    export = np.zeros(len(model.v_start), dtype=np.complex128)
    rows = net.load[(net.load["type"] == "export") & net.load.in_service]
    np.add.at(export, index.bus[rows.bus.to_numpy()], (rows.p_mw + 1j * rows.q_mvar).to_numpy() / model.base_mva)
    n, lines, trafos = len(model.f_bus), index.line >= 0, index.trafo >= 0
    rating, is_line, kv = np.zeros(n), np.zeros(n, dtype=np.bool_), np.zeros(n)
    line_kv = net.bus.vn_kv.reindex(net.line.from_bus).to_numpy()
    rating[index.line[lines]] = (np.sqrt(3) * line_kv * net.line.max_i_ka * net.line.parallel).to_numpy()[lines]
    rating[index.trafo[trafos]] = (net.trafo.sn_mva * net.trafo.parallel).to_numpy()[trafos]
    is_line[index.line[lines]] = True
    kv[index.line[lines]] = line_kv[lines]
    kv[index.trafo[trafos]] = net.bus.vn_kv.reindex(net.trafo.hv_bus).to_numpy()[trafos]
    on = net.bus.in_service & (net.bus.vn_kv == 132.0)
    at = [by_name[bus_name(name, level)] for name, level in zip(ehv.bus_id, ehv.kv, strict=True)]
    ehv_bus = index.bus_of(np.array(at, dtype=np.int64))
    if (ehv_bus < 0).any():
        names = [ehv.bus_id[row] for row in np.flatnonzero(ehv_bus < 0)]
        raise NetworkError(
            [Problem("network", name, "a consumer at a bus out of service", "move it") for name in names]
        )
    return Wiring(
        gss_bus=index.bus[gss.hv_bus.to_numpy()],
        ehv_bus=ehv_bus,
        reactor_bus=index.bus[switched_reactors(net).bus.to_numpy()],
        export=export,
        rating=rating / model.base_mva,
        is_line=is_line,
        branch_kv=kv,
        bus_132=index.bus[net.bus.index[on]],
        schedule=partial(schedule_mw, share_mw=net.gen.share_mw.to_numpy()[index.gens]),
    )


def tree_order(pss: PssColumns) -> NDArray[np.int64]:
    """Rows of PSS by GSS, parents before children, then by row. Shape (n_pss,)."""
    n = len(pss.gss)
    depth = np.zeros(n, dtype=np.int64)
    up = pss.parent.astype(np.int64)
    while (up >= 0).any():
        depth += up >= 0
        up = np.where(up >= 0, pss.parent[np.maximum(up, 0)], -1)
        if depth.max() > n:
            raise ValueError("the parents of PSS form a ring")
    return np.lexsort((np.arange(n), depth, pss.gss))


def build_trees(net: pp.pandapowerNet, pss: PssColumns, base_mva: float) -> Trees:
    """Trees of all GSS with branch constants from pandapower's own models, at the middle of every tap changer."""
    full = full_net(net, pss)
    full.trafo.loc[full.trafo.kind.isin(["gss", "pss"]), "tap_pos"] = 0
    order, n_gss, n_pss = tree_order(pss), len(pss.gss_id), len(pss.gss)
    ptr = np.concatenate([[0], np.cumsum(2 + 2 * np.bincount(pss.gss, minlength=n_gss))]).astype(np.int32)
    node_33 = np.empty(n_pss, dtype=np.int64)
    node_33[order] = 2 * np.arange(n_pss) + 2 * (pss.gss[order].astype(np.int64) + 1)
    n, n_line = int(ptr[-1]), len(full.line)
    parent, pss_of, branch = np.full(n, -1, np.int32), np.full(n, -1, np.int32), np.full(n, -1, np.int64)
    is_11 = np.zeros(n, dtype=np.bool_)
    gss_rows = np.flatnonzero((full.trafo.kind == "gss") & full.trafo.in_service)
    gss_row = dict(zip(full.trafo.station.iloc[gss_rows], gss_rows, strict=True))
    of_gss = np.array([gss_row[name] for name in pss.gss_id], dtype=np.int64)
    parent[ptr[:-1] + 1], branch[ptr[:-1] + 1] = ptr[:-1], n_line + of_gss
    parent[node_33] = np.where(pss.parent < 0, ptr[pss.gss] + 1, node_33[np.maximum(pss.parent, 0)])
    parent[node_33 + 1] = node_33
    pss_of[node_33] = pss_of[node_33 + 1] = np.arange(n_pss)
    branch[node_33] = full.line.index.get_indexer(full.pss.line)
    branch[node_33 + 1] = n_line + full.trafo.index.get_indexer(full.pss.trafo)
    is_11[node_33 + 1] = True
    constants = _chain_constants(pandapower_case(full)["branch"], branch)
    k, z, c, d = constants
    return Trees(
        ptr,
        parent,
        pss_of,
        is_11,
        k,
        z,
        c,
        d,
        gss_rating=(full.trafo.sn_mva * full.trafo.parallel).to_numpy()[of_gss] / base_mva,
        node_11=(node_33 + 1).astype(np.int32),
    )


def _chain_constants(table: NDArray[np.complex128], branch: NDArray[np.int64]) -> tuple[NDArray[np.complex128], ...]:
    """k, z, c, d of every node's branch (see `twin.powerflow.upper_trees`); a head (-1) gets a through connection."""
    y_tt, y_ff, y_ft, y_tf = (part[np.maximum(branch, 0)] for part in branch_vectors(table, len(table)))
    head = branch < 0
    k, z, c, d = -y_tf / y_tt, 1.0 / y_tt, y_ff - y_ft * y_tf / y_tt, -y_ft / y_tt
    return np.where(head, 1.0, k), np.where(head, 0.0, z), np.where(head, 0.0, c), np.where(head, 1.0, d)
