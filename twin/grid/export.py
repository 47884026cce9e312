"""One 11 kV feeder with its LV networks as a pandapower network, for people who work with pandapower.

Balanced equivalent: the loads of a pole are one three-phase load, and LV lines have their positive-sequence impedance.
Services and joints are left out. The network is synthetic: it stands at no real place.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandapower as pp
from numpy.typing import NDArray

from twin.grid.feeder import FeederStatic, build_feeder
from twin.grid.rules import KV_11, consumer_rules, tan_phi
from twin.grid.settings import synthesis
from twin.grid.state import StateGrid
from twin.grid.tables import conductors
from twin.powerflow.impedance import LV_BASE_OHM
from twin.units import KW_PER_MW, LV_BASE_KVA, LV_BASE_V

_LV_KV = LV_BASE_V * math.sqrt(3.0) / 1000.0
_DYN11_DEGREE = 330.0


def export_feeder(state: StateGrid, feeder_row: int, design_kw: NDArray[np.float64], path: Path) -> pp.pandapowerNet:
    """Build a feeder, load it with its expected demand at its own peak, and write it as pandapower JSON.

    ``design_kw``: as for `build_state`, shape (n_kinds, 96). Returns what was written.
    """
    static = build_feeder(state, feeder_row, design_kw, state.seed)
    net = feeder_net(static, peak_kw(static, design_kw), state.feeders.code[feeder_row])
    pp.to_json(net, str(path))
    return net


def peak_kw(static: FeederStatic, design_kw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected kW of every consumer at the feeder's highest step; pumps by their roster's plan. [n_consumers]"""
    rule = consumer_rules()
    is_farm = rule.farm[static.kind]
    counts = np.bincount(static.kind[~is_farm], minlength=len(design_kw))
    step = int((counts @ design_kw).argmax())
    return np.where(is_farm, rule.farm_kw * static.sanctioned_kw, design_kw[static.kind, step])


def planning_tan_phi(static: FeederStatic) -> NDArray[np.float64]:
    """Reactive over active power of every consumer, by the planning power factors. [n_consumers]"""
    farm, other = tan_phi(synthesis().feeder.farm_power_factor), tan_phi(synthesis().lv.power_factor)
    return np.where(consumer_rules().farm[static.kind], farm, other)


def feeder_net(static: FeederStatic, kw: NDArray[np.float64], name: str, vm_pu: float = 1.0) -> pp.pandapowerNet:
    """A feeder as a pandapower network.

    Parameters
    ----------
    static : FeederStatic
        The feeder.
    kw : array, shape (n_consumers,)
        Load of every consumer; reactive power by the planning power factor. [kW]
    name : str
        Name of the network and prefix of its buses.
    vm_pu : float
        Voltage of the PSS's 11 kV bus, the external grid. [pu]

    Returns
    -------
    pandapowerNet
        Buses: the 11 kV nodes in order, then all poles in order. Transformers: the DTs in order. `runpp` solves it.
    """
    net = pp.create_empty_network(name=f"{name} (synthetic)", sn_mva=1.0)
    head = pp.create_bus(net, KV_11, name=f"{name} node 0", zone="11 kV")
    pp.create_ext_grid(net, int(head), vm_pu=vm_pu, name="PSS 11 kV bus")
    _, poles = add_feeder(net, static, name, int(head))
    _add_loads(net, static, kw, poles)
    return net


def add_feeder(
    net: pp.pandapowerNet, static: FeederStatic, name: str, head: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hang a feeder without loads on the 11 kV bus ``head`` of a network.

    Returns the buses of its 11 kV nodes (``head`` first) and of its poles, both in the order of ``static``.
    """
    n_nodes, n_poles = len(static.line_km), len(static.span_m)
    of_dt = np.repeat(np.arange(len(static.dt_id)), np.diff(static.lv.dt_pole_ptr))
    place = np.arange(n_poles) - static.lv.dt_pole_ptr[of_dt]
    below = pp.create_buses(net, n_nodes - 1, KV_11, name=[f"{name} node {i}" for i in range(1, n_nodes)], zone="11 kV")
    names = [f"DT {static.dt_id[k]} pole {i}" for k, i in zip(of_dt, place, strict=True)]
    poles = np.asarray(pp.create_buses(net, n_poles, _LV_KV, name=names, zone="LV"), dtype=np.int64)
    nodes = np.concatenate([[head], np.asarray(below, dtype=np.int64)])
    _add_line_11kv(net, static, nodes)
    _add_dts(net, static, nodes, poles)
    _add_lv_lines(net, static, poles, of_dt, place)
    return nodes, poles


def _add_line_11kv(net: pp.pandapowerNet, static: FeederStatic, nodes: NDArray[np.int64]) -> None:
    table, codes = conductors(), static.conductor[1:]
    per_us = 1e3 / (2.0 * math.pi * net.f_hz)
    pp.create_lines_from_parameters(
        net,
        from_buses=nodes[static.tree.parent[1:]],
        to_buses=nodes[1:],
        length_km=static.line_km[1:],
        r_ohm_per_km=[table[code].r_working_ohm_km for code in codes],
        x_ohm_per_km=[table[code].x_ohm_km for code in codes],
        c_nf_per_km=[(table[code].b_us_km or 0.0) * per_us for code in codes],
        max_i_ka=[table[code].ampacity_a / 1000.0 for code in codes],
        std_type=[table[code].name for code in codes],
    )


def _add_dts(net: pp.pandapowerNet, static: FeederStatic, nodes: NDArray[np.int64], poles: NDArray[np.int64]) -> None:
    """DTs by their own impedance and no-load power (with the meters' own use, as in the twin)."""
    busbar = static.lv.dt_pole_ptr[:-1]
    r_pu, x_pu = static.lv.z_pu[busbar, 0].astype(float), static.lv.z_pu[busbar, 1].astype(float)
    to_percent = 100.0 * static.rating_kva / (3.0 * LV_BASE_KVA)
    no_load = np.hypot(static.lv.iron_kw, static.lv.magnetising_kvar)
    pp.create_transformers_from_parameters(
        net,
        hv_buses=nodes[static.node_of_dt],
        lv_buses=poles[busbar],
        sn_mva=static.rating_kva / KW_PER_MW,
        vn_hv_kv=KV_11,
        vn_lv_kv=_LV_KV,
        vk_percent=np.hypot(r_pu, x_pu) * to_percent,
        vkr_percent=r_pu * to_percent,
        pfe_kw=static.lv.iron_kw,
        i0_percent=100.0 * no_load / static.rating_kva,
        shift_degree=_DYN11_DEGREE,
        vector_group="Dyn",
        name=[f"DT {dt_id}" for dt_id in static.dt_id],
    )


def _add_lv_lines(
    net: pp.pandapowerNet,
    static: FeederStatic,
    poles: NDArray[np.int64],
    of_dt: NDArray[np.int64],
    place: NDArray[np.int64],
) -> None:
    """Segments with positive-sequence impedance: mean self minus mean mutual term of the four-wire matrix."""
    below = np.flatnonzero(place > 0)
    z = static.lv.z_pu[below].astype(float)
    z1 = (z[:, [0, 6, 10]].mean(axis=1) - z[:, [2, 4, 8]].mean(axis=1)) * LV_BASE_OHM
    x1 = (z[:, [1, 7, 11]].mean(axis=1) - z[:, [3, 5, 9]].mean(axis=1)) * LV_BASE_OHM
    km = static.span_m[below].astype(float) / 1000.0
    table = [conductors()[static.lv_conductor[k]] for k in of_dt[below]]
    pp.create_lines_from_parameters(
        net,
        from_buses=poles[static.lv.dt_pole_ptr[of_dt[below]] + static.lv.parent[below]],
        to_buses=poles[below],
        length_km=km,
        r_ohm_per_km=z1 / km,
        x_ohm_per_km=x1 / km,
        c_nf_per_km=0.0,
        max_i_ka=[row.ampacity_a / 1000.0 for row in table],
        std_type=[row.name for row in table],
    )


def _add_loads(net: pp.pandapowerNet, static: FeederStatic, kw: NDArray[np.float64], poles: NDArray[np.int64]) -> None:
    """One constant-power load per pole that has consumers."""
    at = static.lv.dt_pole_ptr[static.dt] + static.pole
    tan = planning_tan_phi(static)
    p_kw = np.bincount(at, weights=kw, minlength=len(poles))
    q_kvar = np.bincount(at, weights=kw * tan, minlength=len(poles))
    n = np.bincount(at, minlength=len(poles))
    used = np.flatnonzero(n > 0)
    pp.create_loads(
        net,
        poles[used],
        p_mw=p_kw[used] / KW_PER_MW,
        q_mvar=q_kvar[used] / KW_PER_MW,
        name=[f"{count} consumers" for count in n[used]],
    )
