"""A synthesised feeder in pandapower against our own solvers: four-wire LV and the 11 kV sweep.

Both sides carry the same balanced constant-power load on every pole, on town feeders with bundled cables, whose
four-wire matrix is exactly symmetric. The no-load branch of a DT stands at the 11 kV side in ours and in the middle
(T model) in pandapower: the export differs by half the DT's impedance times its no-load current, about 6e-4 pu. With
the no-load power moved to shunts at the 11 kV side, what is left is float32 at LV.
"""

import numpy as np
import pandapower as pp
import pytest

from tests.planning_day import planned_state, planning_kw
from twin.grid.export import export_feeder, feeder_net, peak_kw, planning_tan_phi
from twin.grid.feeder import build_feeder
from twin.grid.tables import FEEDER_CLASSES, conductors
from twin.powerflow.lv import lv_options, lv_scratch, solve_tile, tile_out
from twin.powerflow.lv_equivalents import settle, settled, tile_loads, tree_shunts
from twin.powerflow.radial import node_loads, radial_options, radial_out, radial_scratch, sweep

AS_EXPORTED = (1e-3, 5e-3)
SAME_MODEL = (5e-6, 1e-4)
"""Tolerances: voltage [pu], losses [relative]."""
SEED = 1
LANES, NOMINAL = 16, 0.92


@pytest.fixture(scope="module")
def static():
    state = planned_state(SEED)
    for row in np.flatnonzero(state.feeders.feeder_class == FEEDER_CLASSES.index("urban")):
        static = build_feeder(state, int(row), planning_kw(), SEED)
        if not any(conductors()[code].bare for code in static.lv_conductor):
            return static
    raise AssertionError("no town feeder with bundled cables only")


def pole_loads(static, kw):
    """The LV tiles with one balanced three-phase consumer on every pole and no services; its kW and law."""
    lv, n = static.lv, len(static.span_m)
    at = lv.dt_pole_ptr[static.dt] + static.pole
    tiles = lv._replace(
        dt_leg_ptr=3 * lv.dt_pole_ptr,
        dt_consumer_ptr=lv.dt_pole_ptr,
        group_ptr=np.arange(3 * n + 1, dtype=np.int32),
        leg_consumer=np.repeat(np.arange(n, dtype=np.int32), 3),
        leg_share=np.full(3 * n, 1 / 3, np.float32),
        service_pu=np.zeros((3 * n, 2), np.float32),
    )
    out = np.zeros((n, LANES), np.float32)
    out[:, 0] = np.bincount(at, weights=kw, minlength=n)
    zips = np.zeros((n, 6), np.float32)
    zips[:, 2], zips[:, 5] = 1.0, np.bincount(at, weights=kw * planning_tan_phi(static), minlength=n)
    zips[:, 5] /= np.maximum(out[:, 0], 1e-9)
    return tiles, out, zips


def solve(static, kw):
    """Exact iteration of LV and 11 kV with our own solvers, one step."""
    lv, demand, zips = pole_loads(static, kw)
    n_dt, n_nodes, n = len(static.dt_id), len(static.line_km), len(static.span_m)
    g, b = tree_shunts(lv, static.node_of_dt, n_nodes)
    tree = static.tree._replace(g_pu=static.tree.g_pu + g, b_pu=static.tree.b_pu + b)
    tiles, loads, flow, final = tile_out(n_dt, 1), node_loads(n_nodes, 1), radial_out(n_nodes, 1, 1), settled(n_dt, 1)
    v, zone, kwh = np.ones((n_dt, 1)), np.zeros(1, np.uint8), np.zeros((n, 1))
    options, scratch = lv_options(tolerance=1e-6), lv_scratch(lv)
    for _ in range(8):
        for k in range(n_dt):
            solve_tile(lv, k, demand, zips, v[k], zone, 1.0, options, scratch, tiles, kwh)
        tile_loads(tiles, static.node_of_dt, loads)
        ones, branch = np.ones((n_nodes, 1)), np.zeros(n_nodes, np.uint8)
        sweep(tree, loads, np.ones(1), ones, branch, radial_options(), radial_scratch(n_nodes), flow)
        v = np.ascontiguousarray(flow.v_pu[static.node_of_dt])
    for k in range(n_dt):
        settle(lv, k, tiles, v[k], final)
    return tiles, flow, final


def no_load_at_11kv(net, static):
    """The DTs' no-load power as shunts at their 11 kV side, where the twin has it."""
    net.trafo["pfe_kw"], net.trafo["i0_percent"] = 0.0, 0.0
    for k, bus in enumerate(net.trafo.hv_bus):
        kw, kvar = static.lv.iron_kw[k], static.lv.magnetising_kvar[k]
        pp.create_shunt(net, bus, q_mvar=kvar / 1000.0, p_mw=kw / 1000.0)


@pytest.mark.parametrize(("same_model", "tolerance"), [(False, AS_EXPORTED), (True, SAME_MODEL)])
def test_voltages_and_losses_agree(static, same_model, tolerance):
    voltage_pu, loss_share = tolerance
    kw = peak_kw(static, planning_kw())
    net = feeder_net(static, kw, "F")
    if same_model:
        no_load_at_11kv(net, static)
    pp.runpp(net, tolerance_mva=1e-10)
    tiles, flow, final = solve(static, kw)
    nodes, theirs = len(static.line_km), net.res_bus.vm_pu.to_numpy()
    assert np.abs(theirs[:nodes] - flow.v_pu[:, 0]).max() < voltage_pu
    ends = np.minimum.reduceat(theirs[nodes:], static.lv.dt_pole_ptr[:-1])
    assert np.abs(ends - tiles.v_end_pu[:, 0]).max() < voltage_pu
    line_kw = 1000.0 * net.res_line.pl_mw.to_numpy()
    dt_kw = 1000.0 * (net.res_trafo.pl_mw.sum() + (net.res_shunt.p_mw.sum() if same_model else 0.0))
    mine = [flow.loss_kw[0, 0], final.loss_dt_kw.sum(), final.loss_lv_kw.sum()]
    assert np.allclose(mine, [line_kw[: nodes - 1].sum(), dt_kw, line_kw[nodes - 1 :].sum()], rtol=loss_share)
    assert flow.p_head_kw[0] == pytest.approx(1000.0 * net.res_ext_grid.p_mw.sum(), rel=loss_share)


def test_every_class_of_feeder_solves_from_its_file(tmp_path):
    state = planned_state(SEED)
    for code in range(len(FEEDER_CLASSES)):
        row = int(np.flatnonzero(state.feeders.feeder_class == code)[3])
        written = export_feeder(state, row, planning_kw(), tmp_path / "feeder.json")
        read = pp.from_json(str(tmp_path / "feeder.json"))
        pp.runpp(read)
        assert read.converged
        assert len(read.bus) == len(written.bus)
        assert "synthetic" in read.name
        used = read.res_load.p_mw.sum()
        assert used + read.res_line.pl_mw.sum() + read.res_trafo.pl_mw.sum() == pytest.approx(
            read.res_ext_grid.p_mw.sum()
        )
