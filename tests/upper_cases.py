"""Hand-made upper grids for the tests: a small one, and the tables' grid with loads by district and synthetic PSS."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandapower as pp

from twin.grid.substations import grid_stations
from twin.grid.tables import conductor_code, districts
from twin.grid.transmission import EhvLoads, GssLoads
from twin.grid.transmission_check import BlockInputs
from twin.grid.transmission_full import PssColumns
from twin.grid.transmission_reinforce import build_transmission
from twin.grid.transmission_upper import upper_grid
from twin.powerflow.upper import UpperGrid, UpperResult
from twin.powerflow.upper_controls import Measured, Trajectory
from twin.powerflow.upper_ehv import BAD_INPUT, DIVERGED
from twin.powerflow.upper_trees import SWEEP_DIVERGED, Positions


def household_loads(peak_mw: float = 8400.0) -> GssLoads:
    """Households of every district spread evenly over the GSS nearest to its centroid; none: to the nearest GSS."""
    gss = grid_stations()
    place = np.array([(s.latitude, s.longitude) for s in gss])
    centre = np.array([(d.centroid_latitude, d.centroid_longitude) for d in districts()])
    distance = ((place[:, None, :] - centre[None, :, :]) ** 2).sum(axis=2)
    own, weight = distance.argmin(axis=1), np.zeros(len(gss))
    for row, district in enumerate(districts()):
        mine = own == row if (own == row).any() else np.arange(len(gss)) == distance[:, row].argmin()
        weight[mine] += district.households_2011 / mine.sum()
    return _loads(weight / weight.sum() * peak_mw)


def random_loads(seed: int, peak_mw: float = 8400.0) -> GssLoads:
    """Loads drawn lognormally, log sd 0.5."""
    weight = np.random.default_rng(seed).lognormal(0.0, 0.5, len(grid_stations()))
    return _loads(weight / weight.sum() * peak_mw)


def _loads(peak: np.ndarray) -> GssLoads:
    n, fall, tan_phi = len(peak), 3500 / 8400, 0.395
    ids = tuple(station.id for station in grid_stations())
    zero = np.zeros(n, dtype=np.int64)
    return GssLoads(ids, peak, fall * peak, tan_phi * peak, tan_phi * fall * peak, zero, zero.astype(float))


def synthetic_pss(loads: GssLoads, n_pss: int = 600) -> tuple[PssColumns, np.ndarray]:
    """PSS under every GSS in proportion to its load, a third of them behind another; their peaks in kW."""
    rng = np.random.default_rng(5)
    count = np.maximum(1, np.round(loads.peak_mw / loads.peak_mw.sum() * n_pss)).astype(int)
    gss = np.repeat(np.arange(len(count)), count)
    behind = np.append(False, (gss[1:] == gss[:-1]) & (np.arange(1, len(gss)) % 3 == 2))
    share = rng.lognormal(0.0, 0.2, len(gss))
    peak_kw = 1e3 * (loads.peak_mw[gss] * share / np.bincount(gss, share)[gss])
    pss = PssColumns(
        gss_id=loads.id,
        gss=gss.astype(np.int32),
        parent=np.where(behind, np.arange(len(gss)) - 1, -1).astype(np.int32),
        line_km=rng.uniform(4.0, 12.0, len(gss)),
        conductor=np.full(len(gss), conductor_code("ACSR Wolf"), dtype=np.int32),
        circuits=np.ceil(peak_kw / 9e3).astype(np.int64),
        unit_mva=np.full(len(gss), 10.0),
        n_units=np.ceil(peak_kw / 8e3).astype(np.int64),
    )
    return pss, peak_kw


@lru_cache(maxsize=1)
def state_grid() -> tuple[pp.pandapowerNet, PssColumns, UpperGrid, np.ndarray, EhvLoads]:
    """The grid of the tables with loads by household, and two consumers at 132 kV. Built once; do not change it."""
    ehv = EhvLoads(("GAYA765", "BEGUSARAI"), (220.0, 132.0), (20.0, 10.0), (20.0, 10.0), (6.0, 3.0), (6.0, 3.0))
    loads = household_loads()
    net = build_transmission(loads, ehv)
    pss, peak_kw = synthetic_pss(loads)
    return net, pss, upper_grid(net, pss, ehv), peak_kw, ehv


def block(peak_kw: np.ndarray, level: np.ndarray, exponent: float = 1.2) -> BlockInputs:
    """PSS at ``level`` (steps,) of their peak, with elasticities, a little load at 33 kV, and the two EHV consumers."""
    p = peak_kw[:, None] * level[None, :]
    ones = np.ones_like(p)
    ehv = np.array([20.0, 10.0])[:, None] * np.ones(len(level))
    return BlockInputs(
        0.96 * p, 0.28 * p, exponent * ones, 2.0 * ones, 1.01 * ones, ehv, 0.3 * ehv, 0.02 * p, 0.006 * p
    )


def small_grid(
    plant_mvar: float = 500.0, length_km: float = 20.0, tie_mvar: float = 500.0, reactor_steps: int = 0
) -> tuple[pp.pandapowerNet, PssColumns, UpperGrid]:
    """A tie at 132 kV, a line to a plant's bus, and there one GSS with two PSS, the second behind the first."""
    net = pp.create_empty_network(sn_mva=100.0)
    tie, hub = pp.create_buses(net, 2, vn_kv=132.0, name=["TIE@132", "HUB@132"], station=["TIE", "HUB"])
    low = pp.create_bus(net, vn_kv=33.0, name="HUB@33", station="HUB")
    pp.create_lines_from_parameters(
        net, [tie], [hub], length_km=length_km, r_ohm_per_km=0.162, x_ohm_per_km=0.386, c_nf_per_km=9.3, max_i_ka=0.425,
        parallel=2, table_circuits=2, added_circuits=0, length_assumed=False, confidence="", remark="",
    )  # fmt: skip
    pp.create_transformers_from_parameters(
        net, [hub], [low], sn_mva=50.0, vn_hv_kv=132.0, vn_lv_kv=33.0, vk_percent=12.5, vkr_percent=0.7, pfe_kw=35.0,
        i0_percent=0.3, tap_side="hv", tap_neutral=0, tap_min=-8, tap_max=8, tap_step_percent=1.25, tap_pos=0,
        tap_changer_type="Ratio", parallel=2, station=["HUB"], kind="gss", table_units=2, added_units=0,
    )  # fmt: skip
    pp.create_gen(
        net, tie, p_mw=0.0, vm_pu=1.01, slack=True, slack_weight=264.0, min_q_mvar=-tie_mvar, max_q_mvar=tie_mvar,
        share_mw=0.0, type="tie", name="TIE",
    )  # fmt: skip
    pp.create_gen(
        net, hub, p_mw=0.0, vm_pu=1.02, min_q_mvar=-0.6 * plant_mvar, max_q_mvar=plant_mvar, share_mw=20.0,
        type="plant", name="PLANT", slack=False, slack_weight=0.0,
    )  # fmt: skip
    pp.create_load(net, low, p_mw=0.0, q_mvar=0.0, name="HUB", type="gss")
    pp.create_shunt(net, low, q_mvar=-5.0, vn_kv=33.0, step=4, max_step=4, name="HUB", kind="capacitor", line=-1)
    pp.create_shunts(
        net, [hub], q_mvar=25.0, p_mw=0.0, vn_kv=132.0, step=0, max_step=reactor_steps, name=["bus reactor of HUB"],
        kind="switched reactor", line=-1,
    )  # fmt: skip
    wolf = conductor_code("ACSR Wolf")
    pss = PssColumns(
        ("HUB",), np.zeros(2, np.int32), np.array([-1, 0], np.int32), np.array([8.0, 5.0]), np.full(2, wolf, np.int32),
        np.ones(2, np.int64), np.full(2, 10.0), np.full(2, 2, np.int64),
    )  # fmt: skip
    return net, pss, upper_grid(net, pss)


def small_block(p_kw: list[list[float]], exponent: float = 0.0) -> BlockInputs:
    """Loads (2 PSS, steps) at tan phi 0.3."""
    p = np.array(p_kw)
    ones = np.ones_like(p)
    return BlockInputs(p, 0.3 * p, exponent * ones, exponent * ones, ones)


def scanned_again(grid: UpperGrid, result: UpperResult) -> np.ndarray:
    """Where a device would move if a solved block, begun at rest, were scanned once more. (n_gss, steps)"""
    steps, n_gss = len(result.status), len(grid.wiring.gss_bus)
    step_min = 1440.0 / steps
    gss_of_pss = np.repeat(np.arange(n_gss), np.diff(grid.trees.ptr))[grid.trees.node_11]
    track = Trajectory(
        grid.controls,
        gss_of_pss,
        grid.resting_positions(),
        None,
        step_min,
        step_min * np.arange(steps),
        np.zeros(n_gss),
    )
    track.at = Positions(*(part.copy() for part in result.positions_by_step))
    shown = Measured(
        result.gss_vm_pu, result.gss_q_mvar / grid.model.base_mva, result.v_pss_pu,
        result.vm_ehv_pu[grid.wiring.reactor_bus],
    )  # fmt: skip
    unknown = (result.gss_status == SWEEP_DIVERGED) | np.isin(result.status, [DIVERGED, BAD_INPUT])
    return track.rescan(shown, unknown, first=False, with_reactors=True)
