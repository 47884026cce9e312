"""Reinforcement: circuits and transformers that the assumed load needs beyond the tables, added by a stated rule.

The load is raised in stages from six tenths of the peak. At every stage, until nothing is left to do: one circuit or
unit is added to every line and transformer above the loading limit; and from the lowest bus of every pocket of low
voltage the path of rising voltage is walked to a bus that is high enough, and the branch with the largest drop on it
gets one more. Then the fixed taps of the interconnecting transformers are set so that the mean of peak and trough
meets their target. The rule is deterministic: ties go to the lower row. All that it adds is counted in
``added_circuits`` and ``added_units``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandapower as pp
from numpy.typing import NDArray

from twin.errors import NetworkError, Problem
from twin.grid.transmission import EhvLoads, GssLoads, add_reactors, bus_name, new_transmission
from twin.grid.transmission_arrays import EhvIndex, ehv_model
from twin.grid.transmission_data import assumed, assumed_value
from twin.grid.transmission_dispatch import capacitor_steps, gss_at_132, plant_fraction
from twin.powerflow.upper_ehv import OK, EhvModel, EhvSolver, EhvState

STAGES = (0.6, 0.7, 0.8, 0.9, 1.0)
ICT_ROUNDS = 6


@dataclass
class _Sizing:
    """Branch data of the meshed grid while it is being reinforced; arrays have shape (n_branches,)."""

    model: EhvModel
    rating_pu: NDArray[np.float64]
    limit: NDArray[np.float64]
    count: NDArray[np.int64]
    first: NDArray[np.int64]
    most: NDArray[np.int64]

    def grown(self) -> EhvModel:
        """The model with the present number of circuits (admittances are proportional to it)."""
        k = self.count / self.first
        m = self.model
        return replace(m, y_ff=m.y_ff * k, y_ft=m.y_ft * k, y_tf=m.y_tf * k, y_tt=m.y_tt * k)


def build_transmission(loads: GssLoads, ehv: EhvLoads | None = None) -> pp.pandapowerNet:
    """The grid at 132 kV and above with its GSS, reinforced for the assumed peak and trough of the state.

    The loads give the shape; they are scaled to ``sizing.peak_mw`` and ``sizing.trough_mw`` of the assumed numbers, so
    the grid carries those whatever the synthesis drew. The network is left at that peak.

    Raises
    ------
    NetworkError
        If the rule cannot make the grid carry the load within its rounds.
    """
    ehv = ehv or EhvLoads()
    loads, ehv = scaled(loads, ehv)
    net = new_transmission(loads, ehv)
    _size_substations(net)
    for _ in range(int(assumed_value("reinforcement", "max_rounds"))):
        added = _reinforce(net, loads, ehv)
        moved = _set_ict_taps(net, loads, ehv)
        add_reactors(net)
        if not added and not moved:
            return net
    raise _failed("circuits, taps and reactors do not settle")


def scaled(loads: GssLoads, ehv: EhvLoads) -> tuple[GssLoads, EhvLoads]:
    """The same shape at ``sizing.peak_mw`` and ``sizing.trough_mw`` of all loads together."""
    peak = float(assumed_value("sizing", "peak_mw")) / (loads.peak_mw.sum() + sum(ehv.peak_mw))
    trough = float(assumed_value("sizing", "trough_mw")) / (loads.trough_mw.sum() + sum(ehv.trough_mw))
    return (
        replace(
            loads,
            peak_mw=loads.peak_mw * peak,
            peak_mvar=loads.peak_mvar * peak,
            trough_mw=loads.trough_mw * trough,
            trough_mvar=loads.trough_mvar * trough,
        ),
        replace(
            ehv,
            peak_mw=tuple(p * peak for p in ehv.peak_mw),
            peak_mvar=tuple(q * peak for q in ehv.peak_mvar),
            trough_mw=tuple(p * trough for p in ehv.trough_mw),
            trough_mvar=tuple(q * trough for q in ehv.trough_mvar),
        ),
    )


def _size_substations(net: pp.pandapowerNet) -> None:
    """Add units to GSS whose peak is above the planned loading of those they have."""
    limit = float(assumed_value("reinforcement", "gss_loading_limit"))
    peak = net.load[net.load["type"] == "gss"].set_index("bus").p_mw
    gss = net.trafo.index[(net.trafo.kind == "gss") & net.trafo.in_service]
    need = np.ceil(peak.reindex(net.trafo.lv_bus[gss]).to_numpy() / (limit * net.trafo.sn_mva[gss].to_numpy())).astype(
        np.int64
    )
    added = np.maximum(need - net.trafo.table_units[gss].to_numpy(), 0)
    net.trafo.loc[gss, "added_units"] = added
    net.trafo.loc[gss, "parallel"] = net.trafo.table_units[gss].to_numpy() + added


def bus_loads_pu(
    net: pp.pandapowerNet, index: EhvIndex, loads: GssLoads, ehv: EhvLoads, peak: bool, n_buses: int
) -> NDArray[np.complex128]:
    """Load of every bus of the meshed grid at peak or trough, GSS seen from 132 kV. Shape (n_buses,). [pu]"""
    p_mw, q_mvar = (loads.peak_mw, loads.peak_mvar) if peak else (loads.trough_mw, loads.trough_mvar)
    gss = net.trafo[(net.trafo.kind == "gss") & net.trafo.in_service].set_index("station").loc[list(loads.id)]
    installed = (
        net.shunt[net.shunt.kind == "capacitor"].set_index("name").max_step.loc[list(loads.id)].to_numpy(dtype=np.int64)
    )
    step = float(assumed_value("capacitors", "step_mvar"))
    rating = (gss.sn_mva * gss.parallel).to_numpy()
    x_over_r = float(assumed()["transformers"]["x_over_r"]["gss"]["value"])
    p_hv, q_hv = gss_at_132(
        p_mw, q_mvar - step * capacitor_steps(q_mvar, installed), rating, gss.vk_percent.to_numpy(), x_over_r
    )
    s = np.zeros(n_buses, dtype=np.complex128)
    np.add.at(s, index.bus[gss.hv_bus.to_numpy()], p_hv + 1j * q_hv)
    by_name = {name: bus for bus, name in net.bus.name.items()}
    pairs = zip(
        ehv.bus_id, ehv.kv, *((ehv.peak_mw, ehv.peak_mvar) if peak else (ehv.trough_mw, ehv.trough_mvar)), strict=True
    )
    for name, kv, p, q in pairs:
        s[index.bus[by_name[bus_name(name, kv)]]] += p + 1j * q
    exports = net.load[(net.load["type"] == "export") & net.load.in_service]
    np.add.at(s, index.bus[exports.bus.to_numpy()], (exports.p_mw + 1j * exports.q_mvar).to_numpy())
    return s / net.sn_mva


def _schedule(net: pp.pandapowerNet, index: EhvIndex, load: NDArray[np.complex128]) -> NDArray[np.float64]:
    total = float(load.real.sum()) * net.sn_mva
    return net.gen.share_mw.to_numpy()[index.gens] * float(plant_fraction(np.array(total))) / net.sn_mva


def solve_point(
    net: pp.pandapowerNet, index: EhvIndex, model: EhvModel, load: NDArray[np.complex128]
) -> NDArray[np.complex128] | None:
    """Voltages at one operating point, plants dispatched by its load; None without solution. Shape (n_buses,). [pu]"""
    state = EhvState.fresh(model, 1)
    EhvSolver(model).solve_step(load, np.zeros_like(load), _schedule(net, index, load), state, 0)
    return state.v[:, 0] if state.status[0] == OK else None


def _reinforce(net: pp.pandapowerNet, loads: GssLoads, ehv: EhvLoads) -> int:
    """Add circuits and units for the peak; returns how many."""
    model, index = ehv_model(net)
    sizing = _sizing(net, model, index)
    peak = bus_loads_pu(net, index, loads, ehv, True, len(model.v_start))
    for stage in STAGES:
        for _ in range(int(assumed_value("reinforcement", "max_rounds"))):
            v = solve_point(net, index, sizing.grown(), peak * stage)
            if v is None:
                raise _failed(f"no solution at {stage:.0%} of the peak")
            if not _grow(sizing, v):
                break
        else:
            raise _failed(f"the rounds are used up at {stage:.0%} of the peak")
    extra = sizing.count - sizing.first
    for table, rows, added in ((net.line, index.line, "added_circuits"), (net.trafo, index.trafo, "added_units")):
        inside = rows >= 0
        table.loc[inside, added] += extra[rows[inside]]
        table.loc[inside, "parallel"] += extra[rows[inside]]
    return int(extra.sum())


def _sizing(net: pp.pandapowerNet, model: EhvModel, index: EhvIndex) -> _Sizing:
    n = len(model.f_bus)
    rating, limit, count, most = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    lines, trafos = index.line >= 0, index.trafo >= 0
    kv = net.bus.vn_kv.reindex(net.line.from_bus).to_numpy()
    rating[index.line[lines]] = (np.sqrt(3) * kv * net.line.max_i_ka).to_numpy()[lines] / net.sn_mva
    rating[index.trafo[trafos]] = net.trafo.sn_mva.to_numpy()[trafos] / net.sn_mva
    limit[index.line[lines]] = float(assumed_value("reinforcement", "line_loading_limit"))
    limit[index.trafo[trafos]] = float(assumed_value("reinforcement", "transformer_loading_limit"))
    count[index.line[lines]] = net.line.parallel.to_numpy()[lines]
    count[index.trafo[trafos]] = net.trafo.parallel.to_numpy()[trafos]
    most[:] = int(assumed_value("reinforcement", "most_circuits"))
    return _Sizing(model, rating, limit, count, count.copy(), most)


def _grow(sizing: _Sizing, v: NDArray[np.complex128]) -> int:
    """Add one where a branch is overloaded or on the way to a low bus; returns how many were added."""
    model = sizing.grown()
    s_f, s_t = (flow[:, 0] for flow in model.branch_flows(v[:, None]))
    vm = np.abs(v)
    current = np.maximum(np.abs(s_f) / vm[model.f_bus], np.abs(s_t) / vm[model.t_bus])
    chosen = current > sizing.limit * sizing.rating_pu * sizing.count
    room = sizing.count < sizing.most
    chosen[_weakest_on_paths(model, vm, room)] = True
    chosen &= room
    sizing.count[chosen] += 1
    return int(chosen.sum())


def _weakest_on_paths(model: EhvModel, vm: NDArray[np.float64], room: NDArray[np.bool_]) -> list[int]:
    """Branches with room and the largest drop on the way from each pocket of low voltage to a high enough bus."""
    low = float(assumed_value("reinforcement", "low_vm_pu"))
    neighbours: list[list[tuple[int, int]]] = [[] for _ in vm]
    for row, (f, t) in enumerate(zip(model.f_bus.tolist(), model.t_bus.tolist(), strict=True)):
        neighbours[f].append((t, row))
        neighbours[t].append((f, row))
    chosen = []
    for bus in np.flatnonzero(vm < low).tolist():
        if any(vm[other] < vm[bus] for other, _ in neighbours[bus]):
            continue
        drops = []
        while vm[bus] < low:
            other, row = max(neighbours[bus], key=lambda pair: (vm[pair[0]], -pair[1]))
            if vm[other] <= vm[bus]:
                break
            if room[row]:
                drops.append((float(vm[other] - vm[bus]), -row))
            bus = other
        chosen += [-max(drops)[1]] if drops else []
    return chosen


def _set_ict_taps(net: pp.pandapowerNet, loads: GssLoads, ehv: EhvLoads) -> bool:
    """Move the fixed taps of transformers within the meshed grid towards their target; True if any moved."""
    target, step = float(assumed_value("taps", "ict_target_pu")), float(assumed_value("taps", "step_percent")) / 100.0
    rows = net.trafo.index[
        (net.trafo.kind == "ehv") & net.trafo.in_service & (net.bus.vn_kv.reindex(net.trafo.hv_bus).to_numpy() < 700.0)
    ]
    before = net.trafo.tap_pos[rows].to_numpy().copy()
    for _ in range(ICT_ROUNDS):
        model, index = ehv_model(net)
        found = [
            solve_point(net, index, model, bus_loads_pu(net, index, loads, ehv, peak, len(model.v_start)))
            for peak in (True, False)
        ]
        if found[0] is None or found[1] is None:
            raise _failed("no solution while the taps are set")
        mean = (np.abs(found[0]) + np.abs(found[1])) / 2
        off = (target - mean[index.bus[net.trafo.lv_bus[rows].to_numpy()]]) / step
        move = np.where(np.abs(off) > 1.0, np.sign(off), 0.0)  # a higher tap on the high side lowers the other
        new = np.clip(net.trafo.tap_pos[rows] - move, net.trafo.tap_min[rows], net.trafo.tap_max[rows])
        if np.array_equal(new, net.trafo.tap_pos[rows]):
            break
        net.trafo.loc[rows, "tap_pos"] = new
    return not np.array_equal(before, net.trafo.tap_pos[rows].to_numpy())


def _failed(what: str) -> NetworkError:
    return NetworkError(
        [
            Problem(
                "transmission grid", "reinforcement", what, "spread the load over more substations, or raise the limits"
            )
        ]
    )
