"""The four-wire low-voltage solver against hand solutions, pandapower in three phases and OpenDSS."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandapower as pp
from numpy.typing import NDArray

from twin.grid.tables import conductors
from twin.units import LV_BASE_V, LV_NOMINAL_PU
from twin.verification import opendss_lv
from twin.verification.case import Case, Row
from twin.verification.compare import Against
from twin.verification.lv_networks import LvSolution, NetTile, radial_tile, solve, tile_of_net
from twin.verification.lv_twin import SHARE, VOLT, exported_tiles

GROUP = "four-wire low voltage"
Z_DT, Z_PHASE, Z_NEUTRAL, Z_SERVICE = 0.001 + 0.003j, 0.004 + 0.001j, 0.005 + 0.0015j, 0.02 + 0.001j
"""Of the hand solutions: DT, a phase and the neutral of one segment, the loop of a service. [pu]"""
V_DT_PU = 1.02
TURN = np.exp(-2j * np.pi / 3 * np.arange(3))


def _one_pole(legs: list[tuple[int, int]], service: complex) -> Any:
    own = np.full((2, 3, 3), Z_NEUTRAL) + np.eye(3) * Z_PHASE
    return radial_tile(np.array([-1, 0], np.int32), Z_DT, own, legs, np.full(len(legs), service))


def impedances_by_hand() -> Iterator[Row]:
    """Impedances on one phase and on three unlike ones: Kirchhoff with the neutral's current explicit."""
    power = np.array([3.0 + 1.2j, 1.0 + 0.2j, 5.0 + 2.5j])
    zips = np.zeros((3, 6))
    zips[:, 0], zips[:, 3] = 1.0, power.imag / power.real
    for name, on in (("one phase", [2]), ("three unlike phases", [0, 1, 2])):
        against = Against("lv-impedances", f"Kirchhoff's laws for three loops and a neutral, {name} loaded")
        lv = _one_pole([(1, phase) for phase in on], Z_SERVICE)
        mine = solve(lv, 0, power.real[on], zips[on], V_DT_PU)
        loads = LV_NOMINAL_PU**2 / np.conj(power[on])
        loop = np.full((len(on), len(on)), Z_NEUTRAL) + np.diag(Z_DT + Z_PHASE + Z_SERVICE + loads)
        current = np.linalg.solve(loop, V_DT_PU * TURN[on])
        heat = np.abs(current) ** 2
        loss = (Z_PHASE + Z_SERVICE).real * heat.sum() + Z_NEUTRAL.real * abs(current.sum()) ** 2
        yield against.worst(
            f"voltage at the consumer, {name}", np.abs(mine.leg_pu), np.abs(current * loads), VOLT, "pu"
        )
        yield against.share(f"loss in wires, {name}", mine.loss_lv_kw, loss, SHARE, "kW")
        yield against.share(f"loss in the DT, {name}", mine.copper_dt_kw, Z_DT.real * heat.sum(), SHARE, "kW")
        sent = np.sum(V_DT_PU * TURN[on] * np.conj(current))
        yield against.share(f"power sent, {name}", mine.sent_kw, sent.real, SHARE, "kW")
        yield against.share(f"reactive power sent, {name}", mine.sent_kvar, sent.imag, SHARE, "kvar")


def constant_power_by_hand() -> Iterator[Row]:
    """Equal constant power on three phases: ``u**4 + (2 (r p + x q) - v**2) u**2 + |z s|**2 = 0``, neutral idle."""
    against = Against("lv-constant-power", "quadratic formula of one phase; the neutral carries nothing")
    z = Z_DT + Z_PHASE + Z_SERVICE
    for name, p in (("light", 1.0), ("heavy", 6.0)):
        q = 0.4 * p
        zips = np.tile([0, 0, 1, 0, 0, 0.4], (3, 1))
        mine = solve(_one_pole([(1, 0), (1, 1), (1, 2)], Z_SERVICE), 0, np.full(3, p), zips, V_DT_PU)
        half = V_DT_PU**2 / 2 - (z.real * p + z.imag * q)
        u = np.sqrt(half + np.sqrt(half**2 - abs(z) ** 2 * (p * p + q * q)))
        heat = 3 * (p * p + q * q) / u**2
        yield against.worst(f"voltage at the consumers, {name}", np.abs(mine.leg_pu), np.full(3, u), VOLT, "pu")
        yield against.share(f"loss in wires, {name}", mine.loss_lv_kw, (Z_PHASE + Z_SERVICE).real * heat, SHARE, "kW")
        yield against.share(f"power used, {name}", mine.used_kw, 3 * p, SHARE, "kW")


@lru_cache(maxsize=1)
def european_net() -> Any:
    """IEEE European LV test feeder at minute 566, as pandapower has it."""
    net = pp.networks.ieee_european_lv_asymmetric("on_peak_566")
    net.trafo["tap_dependency_table"] = False  # the stored network is older than this column, which pandapower asks for
    return net


def european_opendss() -> Iterator[Row]:
    """906 buses, 55 single-phase consumers."""
    net = european_net()
    tile = tile_of_net(net)
    mine, theirs = solve(tile.lv, 0, tile.kw, tile.zips, tile.v_dt_pu), opendss_lv.run(opendss_lv.net_commands(net))
    volts = [[abs(theirs.node_pu[f"b{bus}.{phase}"]) for phase in (1, 2, 3)] for bus in tile.bus]
    against = Against("lv-european-opendss", "OpenDSS on the same network, IEEE European LV test feeder, minute 566")
    yield against.worst("voltage of a phase", np.abs(mine.pole_pu), volts, VOLT, "pu")
    yield against.share("loss in wires", mine.loss_lv_kw, theirs.line_loss_kw, SHARE, "kW")
    yield against.share("loss in the transformer", mine.copper_dt_kw, theirs.transformer_loss_kw, 2 * SHARE, "kW")
    yield against.share("power sent", mine.sent_kw, theirs.sent_kw, SHARE, "kW")
    yield against.share("reactive power sent", mine.sent_kvar, theirs.sent_kvar, SHARE, "kvar")


def european_pandapower() -> Iterator[Row]:
    """The same against `runpp_3ph`: with the transformer as a plain leakage impedance, and as published."""
    tile = tile_of_net(european_net())
    mine = solve(tile.lv, 0, tile.kw, tile.zips, tile.v_dt_pu)
    source = "pandapower.runpp_3ph, IEEE European LV test feeder, minute 566"
    against = Against("lv-european-pandapower", source)
    # pandapower stops some 1e-6 pu short of OpenDSS here, which ours meets within 3e-7.
    yield from _three_phase_rows(against, "leakage only", tile, mine, _plain(european_net()), 4e-6, 5e-5)
    published = Against("lv-european-pandapower", source + ", magnetising impedance in the zero sequence")
    yield from _three_phase_rows(published, "as published", tile, mine, copy.deepcopy(european_net()), 1e-3, 2e-3)


def _plain(net: Any) -> Any:
    """A copy with a stiff source, and without the magnetising branch that the zero sequence gets from ``mag0``."""
    net = copy.deepcopy(net)
    net.trafo["mag0_percent"], net.ext_grid["s_sc_max_mva"] = 1e7, 1e9
    return net


def _three_phase_rows(
    against: Against, name: str, tile: NetTile, mine: LvSolution, net: Any, volt: float, share: float
) -> Iterator[Row]:
    pp.runpp_3ph(net, tolerance_mva=1e-10, max_iteration=100)
    base = 1000.0 * net.trafo.vn_lv_kv.iloc[0] / np.sqrt(3.0) / LV_BASE_V
    theirs = base * net.res_bus_3ph.loc[tile.bus, ["vm_a_pu", "vm_b_pu", "vm_c_pu"]].to_numpy()
    yield against.worst(f"voltage of a phase, {name}", np.abs(mine.pole_pu), theirs, volt, "pu")
    loss = 1000.0 * net.res_line_3ph[["pl_a_mw", "pl_b_mw", "pl_c_mw"]].to_numpy().sum()
    yield against.share(f"loss in wires, {name}", mine.loss_lv_kw, loss, share, "kW")


def small_net(kw: NDArray[np.float64]) -> Any:
    """A DT of 100 kVA and three poles with a branch, AB cable 3x50; ``kw``: star loads of pole and phase, (3, 3)."""
    row = next(row for row in conductors() if row.name == "LT AB cable 3x50")
    z1, z0 = complex(row.r_working_ohm_km, row.x_ohm_km), 4 * complex(row.r_working_ohm_km, row.x_ohm_km)
    net = pp.create_empty_network(sn_mva=0.1, f_hz=50.0)
    kv = LV_BASE_V * np.sqrt(3.0) / 1000.0
    hv, *poles = (pp.create_bus(net, volt) for volt in (11.0, kv, kv, kv, kv))
    pp.create_ext_grid(
        net, hv, vm_pu=V_DT_PU, s_sc_max_mva=1e9, rx_max=0.1, r0x0_max=0.1, x0x_max=1.0, s_sc_min_mva=1e9, rx_min=0.1
    )
    pp.create_transformer_from_parameters(
        net, hv, poles[0], sn_mva=0.1, vn_hv_kv=11.0, vn_lv_kv=kv, vkr_percent=1.76, vk_percent=4.5, pfe_kw=0.0,
        i0_percent=0.0, shift_degree=330.0, vector_group="Dyn", vk0_percent=4.5, vkr0_percent=1.76, mag0_percent=1e7,
        mag0_rx=0.0, si0_hv_partial=0.9,
    )  # fmt: skip
    for up, down in ((0, 1), (1, 2), (1, 3)):
        pp.create_line_from_parameters(
            net, poles[up], poles[down], length_km=0.12, r_ohm_per_km=z1.real, x_ohm_per_km=z1.imag, c_nf_per_km=0.0,
            max_i_ka=0.1, r0_ohm_per_km=z0.real, x0_ohm_per_km=z0.imag, c0_nf_per_km=0.0,
        )  # fmt: skip
    for pole, (a, b, c) in zip(poles[1:], kw / 1000.0, strict=True):
        pp.create_asymmetric_load(
            net, pole, p_a_mw=a, q_a_mvar=0.4 * a, p_b_mw=b, q_b_mvar=0.4 * b, p_c_mw=c, q_c_mvar=0.4 * c, type="wye"
        )
    pp.add_zero_impedance_parameters(net)
    return net


def small_pandapower() -> Iterator[Row]:
    """Balanced and unbalanced: ``z0 = z + 3 zn`` says for four wires what pandapower says in sequences."""
    against = Against("lv-pandapower-small", "pandapower.runpp_3ph, Dyn transformer and three cable segments")
    loads = {
        "balanced": np.full((3, 3), 4.0),
        "unbalanced": np.array([[6.0, 1.0, 2.0], [0.5, 5.0, 3.0], [4.0, 0.1, 7.0]]),
        "one phase": np.array([[0.0, 0.0, 0.0], [8.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    }
    for name, kw in loads.items():
        net = small_net(kw)
        tile = tile_of_net(net)
        mine = solve(tile.lv, 0, tile.kw, tile.zips, tile.v_dt_pu)
        yield from _three_phase_rows(against, name, tile, mine, net, VOLT, 2 * SHARE)


CASES = (
    Case(
        "lv-impedances", GROUP, "impedances on one phase and on three unlike ones, the neutral's current by Kirchhoff",
        impedances_by_hand,
    ),
    Case(
        "lv-constant-power", GROUP, "equal constant power on three phases, against the quadratic formula",
        constant_power_by_hand,
    ),
    Case(
        "lv-pandapower-small", GROUP, "a DT and three cable segments, balanced, unbalanced and on one phase, against "
        "runpp_3ph", small_pandapower,
    ),
    Case(
        "lv-european-pandapower", GROUP, "the IEEE European LV feeder, against runpp_3ph", european_pandapower,
    ),
    Case(
        "lv-european-opendss", GROUP, "the IEEE European LV feeder, against OpenDSS", european_opendss,
        ("opendssdirect",),
    ),
    Case(
        "lv-opendss-tiles", GROUP, "two DTs of the twin, bare and bundled lines, against OpenDSS with all four wires",
        exported_tiles, ("opendssdirect",),
    ),
)  # fmt: skip
