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
from tests.runs import TINY
from twin.errors import NetworkError
from twin.grid.export import export_feeder, feeder_net, peak_kw, planning_tan_phi
from twin.grid.export_opendss_feeder import export_feeder_script
from twin.grid.feeder import build_feeder
from twin.grid.tables import FEEDER_CLASSES, conductors
from twin.grid_report import export_feeder_file
from twin.powerflow.lv import lv_options
from twin.powerflow.radial import radial_options
from twin.powerflow.tile_book import tile_book
from twin.scenario import load_scenario
from twin.simulation.feeder_block import FeederSolver, Solvers
from twin.simulation.harvest import DT_COLUMNS, feeder_results
from twin.simulation.messages import N_Q, Q
from twin.simulation.population import feeder_net as solver_net

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
    """Exact iteration of LV and 11 kV with our own solvers, one step: line, lowest pole of each DT, losses by level."""
    lv, demand, zips = pole_loads(static, kw)
    net, n_dt = solver_net(static)._replace(lv=lv), len(static.dt_id)
    solver = FeederSolver([net], 1, Solvers(lv_options(tolerance=1e-6), radial_options()))
    book, zone, kwh = tile_book(n_dt, 1), np.zeros(1, np.uint8), np.zeros((len(demand), 1))
    solver.settle(net, book, np.ones(1), 2e-7, lambda _: demand, zips, zone, kwh, first=True)
    quantities, dt_day, factor = np.zeros((N_Q, 1)), np.zeros((len(DT_COLUMNS), n_dt), np.float32), np.ones((n_dt, 1))
    feeder_results(
        net, book, solver.work.line, zone, np.zeros(1, bool), static.rating_kva, 1.0, quantities, np.zeros(1), dt_day,
        factor,
    )  # fmt: skip
    return solver.work.line, book.v_end_pu[:, 0], quantities[[Q.LOSS_11KV, Q.LOSS_DT, Q.LOSS_LV], 0]


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
    flow, lowest_pu, losses_kw = solve(static, kw)
    nodes, theirs = len(static.line_km), net.res_bus.vm_pu.to_numpy()
    assert np.abs(theirs[:nodes] - flow.v_pu[:, 0]).max() < voltage_pu
    ends = np.minimum.reduceat(theirs[nodes:], static.lv.dt_pole_ptr[:-1])
    assert np.abs(ends - lowest_pu).max() < voltage_pu
    line_kw = 1000.0 * net.res_line.pl_mw.to_numpy()
    dt_kw = 1000.0 * (net.res_trafo.pl_mw.sum() + (net.res_shunt.p_mw.sum() if same_model else 0.0))
    assert np.allclose(losses_kw, [line_kw[: nodes - 1].sum(), dt_kw, line_kw[nodes - 1 :].sum()], rtol=loss_share)
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


def test_the_opendss_script_is_the_solvers_own_feeder(static, tmp_path):
    """Consumers on their own phases, the file read and solved by OpenDSS. Left over: float32 at LV, balanced 11 kV."""
    import opendssdirect as dss

    path = tmp_path / "feeder.dss"
    export_feeder_script(static, planning_kw(), "F-00001", path)
    assert "synthetic" in path.read_text(encoding="utf-8").splitlines()[0]
    dss.Text.Command(f"redirect {path}")
    assert dss.Solution.Converged()
    net, n_dt = solver_net(static), len(static.dt_id)
    demand = np.zeros((len(static.kind), LANES), np.float32)
    demand[:, :1] = peak_kw(static, planning_kw())[:, None]
    zips = np.zeros((len(static.kind), 6), np.float32)
    zips[:, 2], zips[:, 5] = 1.0, planning_tan_phi(static)
    solver = FeederSolver([net], 1, Solvers(lv_options(tolerance=1e-7), radial_options(1e-10)))
    book, kwh = tile_book(n_dt, 1), np.zeros((len(demand), 1))
    solver.settle(net, book, np.ones(1), 1e-6, lambda _: demand, zips, np.zeros(1, np.uint8), kwh, first=True)
    sent = -np.asarray(dss.Circuit.TotalPower())
    assert sent[0] == pytest.approx(solver.work.line.p_head_kw[0], rel=1e-4)
    assert sent[1] == pytest.approx(solver.work.line.q_head_kvar[0], rel=1e-4)
    at = dict(zip((name.lower() for name in dss.Circuit.AllNodeNames()), dss.Circuit.AllBusMagPu(), strict=True))
    for k in range(n_dt):
        theirs = np.mean([at[f"n{static.node_of_dt[k]}.{phase}"] for phase in (1, 2, 3)])
        assert theirs == pytest.approx(solver.work.line.v_pu[static.node_of_dt[k], 0], abs=1e-4)


def test_the_files_name_says_the_format(tmp_path):
    scenario = load_scenario(TINY)
    code = "F-00001"
    said = export_feeder_file(scenario, code, tmp_path / "one.dss")
    assert code in said
    assert "new circuit.feeder" in (tmp_path / "one.dss").read_text(encoding="utf-8")
    said = export_feeder_file(scenario, code, tmp_path / "one.json")
    assert len(pp.from_json(str(tmp_path / "one.json")).bus) > 2
    with pytest.raises(NetworkError, match=r"\.json \(pandapower\) or \.dss"):
        export_feeder_file(scenario, code, tmp_path / "one.txt")
