"""Runs on networks of a user's: consumers add up to their loads, and the voltages are pandapower's."""

import copy
import datetime as dt

import numpy as np
import pandapower as pp
import pyarrow.parquet as pq
import pytest

from tests.own_grid_cases import SCENARIO, Village
from tests.runs import ROOT, run_local, twin
from twin.datapack import kinds
from twin.errors import RunInterrupted
from twin.grid.imported import read
from twin.results.reader import open_run
from twin.runner import RunOptions, run_scenario
from twin.scenario import load_scenario
from twin.simulation.engine import Engine
from twin.simulation.own_network import profiles_of_year

JSON = ROOT / "scenarios" / "own_grid_json.yaml"
SIMBENCH = ROOT / "scenarios" / "own_grid_simbench.yaml"


@pytest.fixture(scope="module")
def village(tmp_path_factory):
    return run_local(tmp_path_factory.mktemp("own") / "run", scenario=JSON)


@pytest.fixture(scope="module")
def rural(tmp_path_factory):
    pytest.importorskip("simbench")
    return run_local(tmp_path_factory.mktemp("simbench") / "run", scenario=SIMBENCH)


def frame(run, table, where=None):
    return run.table(table, where=where).to_pandas()


def by_load(run):
    """Consumers' load in the order of consumer_id."""
    mapped = frame(run, "mapped_loads").sort_values("first_consumer")
    return np.repeat(mapped.load.to_numpy(), mapped.consumers.to_numpy())


def at(run, case, when):
    """Loads' power and voltage in one case and step, by load."""
    return frame(run, "loads", f"\"case\" = {case} AND interval_start = '{when}'").set_index("load")


def solved_by_pandapower(net, loads):
    net = copy.deepcopy(net)
    net.load.loc[loads.index, ["p_mw", "q_mvar"]] = loads[["p_kw", "q_kvar"]].to_numpy() / 1e3
    net.load.loc[loads.index, ["scaling", "const_z_p_percent", "const_i_p_percent"]] = 1.0, 0.0, 0.0
    net.load.loc[loads.index, ["const_z_q_percent", "const_i_q_percent"]] = 0.0
    pp.runpp(net, tolerance_mva=1e-10, calculate_voltage_angles=True)
    return net


@pytest.mark.parametrize("name", ["village", "rural"])
def test_a_load_draws_what_its_consumers_use(name, request):
    run = request.getfixturevalue(name)
    load_of = by_load(run)
    readings = frame(run, "readings")
    assert readings.consumer_id.nunique() == len(load_of) == run.manifest["consumers"]
    readings["load"] = load_of[readings.consumer_id]
    used = readings.groupby(["case", "interval_start", "load"]).used_kwh.sum()
    hours = 1.0 if name == "village" else 0.25
    drawn = frame(run, "loads").set_index(["case", "interval_start", "load"]).p_kw.sort_index() * hours
    np.testing.assert_allclose(used.sort_index(), drawn, rtol=1e-9)
    bills = frame(run, "bills").groupby(["case", "consumer_id"]).used_kwh.sum()
    np.testing.assert_allclose(readings.groupby(["case", "consumer_id"]).used_kwh.sum(), bills, rtol=1e-9)


@pytest.mark.parametrize("name", ["village", "rural"])
def test_the_balance_adds_up(name, request):
    run = request.getfixturevalue(name)
    assert run.manifest["status"] == "complete"
    assert run.manifest["energy_balance"]["network"]["closure"] < 1e-7
    assert run.manifest["shards"] == 1
    system, feeders = frame(run, "system"), frame(run, "feeders")
    losses = system.filter(like="loss_").sum(axis=1)
    np.testing.assert_allclose(system.sent_mw, system.used_mw + losses, rtol=1e-7)
    np.testing.assert_allclose(
        feeders.groupby(["case", "interval_start"]).sent_kw.sum() / 1e3, system.sent_mw, rtol=1e-9
    )
    drawn = frame(run, "loads").groupby(["case", "interval_start"]).p_kw.sum()
    np.testing.assert_allclose(drawn / 1e3, system.used_mw, rtol=1e-9)


@pytest.mark.parametrize("when", ["2026-06-10 20:00", "2026-06-11 03:00"])
def test_voltages_losses_and_loadings_are_pandapowers(village, when):
    loads = at(village, 1, when)
    net = solved_by_pandapower(pp.from_json(str(ROOT / "scenarios/data/village.json")), loads)
    np.testing.assert_allclose(loads.vm_pu, net.res_bus.vm_pu[net.load.bus[loads.index]], rtol=0, atol=1e-8)
    (system,) = frame(village, "system", f"\"case\" = 1 AND interval_start = '{when}'").to_dict("records")
    low = net.bus.vn_kv[net.line.from_bus].to_numpy() < 1
    pl_mw = net.res_line.pl_mw.to_numpy()
    assert system["loss_lv_mw"] == pytest.approx(pl_mw[low].sum(), rel=1e-6)
    assert system["loss_11kv_mw"] == pytest.approx(pl_mw[~low].sum(), rel=1e-6)
    assert system["loss_dt_mw"] == pytest.approx(net.res_trafo.pl_mw.sum(), rel=1e-6)
    assert system["sent_mw"] == pytest.approx(net.res_ext_grid.p_mw.sum(), rel=1e-6)
    (feeder,) = frame(village, "feeders", f"\"case\" = 1 AND interval_start = '{when}'").to_dict("records")
    assert feeder["v_min_pu"] == pytest.approx(net.res_bus.vm_pu.min(), abs=1e-8)
    assert feeder["sent_kvar"] == pytest.approx(1e3 * net.res_ext_grid.q_mvar.sum(), rel=1e-6)


def test_a_transformers_peak_is_pandapowers(village):
    rows = frame(village, "transformers", "\"case\" = 0 AND date = '2026-06-10'").set_index("dt_id")
    assert sorted(rows.index) == [0, 1]
    for index, row in rows.iterrows():
        net = solved_by_pandapower(
            pp.from_json(str(ROOT / "scenarios/data/village.json")), at(village, 0, row.peak_interval)
        )
        res = net.res_trafo.loc[index]
        assert row.peak_kva == pytest.approx(1e3 * np.hypot(res.p_hv_mw, res.q_hv_mvar), rel=1e-5)
        assert row.loading_percent == pytest.approx(100 * row.peak_kva / 63.0, rel=1e-6)
        area = [bus for bus in net.load.bus if (bus in (5, 6, 7)) == (index == 0)]
        lowest = (net.res_bus.vm_pu[area] * 433 / np.sqrt(3) / 250).min()
        assert row.v_end_p5_pu == pytest.approx(lowest, rel=1e-5)


def test_readings_given_by_the_user_come_back_at_nominal_voltage(village):
    """Under the first arm a load draws its profile times its consumers' law: less than it below 230 V, more above."""
    given = pq.read_table(ROOT / "scenarios/data/village_profiles.parquet").to_pandas()
    given = given.set_index(["interval_start", "load"]).kw
    drawn = frame(village, "loads", '"case" = 0').set_index(["interval_start", "load"])
    volts = drawn.vm_pu * 433 / np.sqrt(3) / 230
    ratio = drawn.p_kw / given[drawn.index]
    assert (ratio[volts > 1] > 1).all()
    assert (ratio[volts < 1] < 1).all()
    assert (np.abs(np.log(ratio)) <= 2 * np.abs(np.log(volts)) + 1e-6).all()  # no law is steeper than the square


def test_the_other_elements_follow_simbench_on_the_same_day(rural):
    net, when = copy.deepcopy(read("1-LV-rural1--0-sw", True)), dt.datetime(2026, 6, 9, 12, 30)
    quarter = (when.replace(year=2016) - dt.datetime(2016, 1, 1)) // dt.timedelta(minutes=15)
    index, p_mw, q_mvar = profiles_of_year(net, net.load.index.to_numpy())["sgen"]
    net.sgen.loc[index, "p_mw"], net.sgen.loc[index, "q_mvar"] = p_mw[quarter], q_mvar[quarter]
    loads = at(rural, 1, when)
    net = solved_by_pandapower(net, loads)
    np.testing.assert_allclose(loads.vm_pu, net.res_bus.vm_pu[net.load.bus[loads.index]], rtol=0, atol=1e-8)
    (feeder,) = frame(rural, "feeders", f"\"case\" = 1 AND interval_start = '{when}'").to_dict("records")
    assert feeder["sent_kw"] == pytest.approx(1e3 * (net.res_ext_grid.p_mw.sum() + net.res_sgen.p_mw.sum()), rel=1e-6)
    losses = 1e3 * (net.res_line.pl_mw.sum() + net.res_trafo.pl_mw.sum())
    assert feeder["loss_dt_kw"] + feeder["loss_lv_kw"] == pytest.approx(losses, rel=1e-5)


def test_the_mapping_decides_who_stands_where(rural):
    mapped = frame(rural, "mapped_loads").set_index("load")
    assert mapped.consumers[7] == 14
    assert mapped.category[7] == "nds2"
    assert (mapped.category.drop(7) == "ds2").all()
    consumers = frame(rural, "consumers")
    assert consumers.category.value_counts()["nds2"] == 14
    assert set(consumers.kind) <= {row.name for row in kinds()}


def test_the_arms_are_compared(village):
    effects = frame(village, "effects").set_index(["arm", "outcome", "area", "group"])
    moved = effects.loc[("tod", "energy_moved", "state", "all")]
    assert moved.value > 0
    assert effects.loc[("tod", "bill_unchanged", "state", "category/nds1")].value != 0
    loads = frame(village, "loads").set_index(["case", "interval_start", "load"]).p_kw
    before = loads.index.get_level_values(1).hour < 9
    assert not np.array_equal(loads[0][before[: len(loads[0])]], loads[1][before[: len(loads[1])]])


def test_nothing_of_the_state_is_said(village):
    assert village.table("calibration").num_rows == village.table("bands").num_rows == 0
    assert village.table("grid_substations").num_rows == 0
    names = {row["name"] for row in village.manifest["assumed"]}
    assert not [name for name in names if name.startswith(("transmission", "grid.", "synthesis.lv", "demand.weather"))]
    assert "own_grid.above_low_voltage.consumers_pu" in names
    page = village.storage.read_bytes("report.html").decode()
    assert "Bihar, by a sample" not in page
    assert "132 kV links and everything below" not in page


def test_a_run_of_parts_is_the_same_run(village, tmp_path):
    loaded, out = load_scenario(JSON), tmp_path / "resumed"
    real = Engine._run_block

    def stop_at_the_second(self, lane, point, replicate, block, v_guess):
        if block == 1:
            raise KeyboardInterrupt
        return real(self, lane, point, replicate, block, v_guess)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "_run_block", stop_at_the_second)
        with pytest.raises(RunInterrupted, match="--resume"):
            run_scenario(loaded, RunOptions(out=str(out), backend="local"))
    run_scenario(loaded, RunOptions(out=str(out), backend="local", resume=True, shards=3))
    assert open_run(str(out)).digests() == village.digests()


def test_a_collapse_is_a_status_and_not_the_end(tmp_path):
    made = Village(tmp_path)
    made.net.line.loc[4, "length_km"] = 3.0  # lane 3, by a low-voltage line that nobody would build
    made.save_net()
    made.map(*(f"{load},8,ds1" for load in (0, 1, 3, 4, 5)), "2,12,lt_industry")
    done = twin("run", str(made.scenario), "--backend", "local", "--out", str(tmp_path / "out"))
    assert done.returncode == 3, done.stderr
    run = open_run(str(tmp_path / "out"))
    events = frame(run, "events", '"case" = 0')
    assert (events.event == "voltage collapse").all()
    assert (events.entity == "feeder:0").all()
    loads = frame(run, "loads", '"case" = 0')
    lost = loads[loads.vm_pu.isna()]
    assert 0 < lost.interval_start.nunique() == len(events)
    assert lost.p_kw.gt(0).all()  # demand at nominal voltage stands in, and is counted
    system = frame(run, "system", '"case" = 0').set_index("interval_start")
    at_loss = system.loc[lost.interval_start.unique()]
    np.testing.assert_allclose(at_loss.sent_mw, at_loss.used_mw)


def test_meshed_networks_and_several_sources(tmp_path):
    made = Village(tmp_path)
    net = made.net
    pp.create_ext_grid(net, 2, vm_pu=0.99)
    pp.create_line_from_parameters(net, 5, 6, 0.2, 0.64, 0.1, 0.0, 0.13)
    pp.create_load(net, 0, 0.02)
    pp.create_sgen(net, 8, p_mw=0.03)
    made.save_net()
    made.map("6,3,hts1", *(f"{load},8,ds2" for load in range(4)))
    scenario = made.write(SCENARIO.replace("village_loads.csv", "{file: village_loads.csv, unmapped: keep}"))
    run = run_local(tmp_path / "out", scenario=scenario)
    assert run.manifest["energy_balance"]["network"]["closure"] < 1e-7
    solvers = {part["solver"] for part in run.manifest["network"]["parts"]}
    assert solvers == {"newton (lightsim2grid)", "radial sweep"}  # between both sources, and behind one of them
    loads = at(run, 0, "2026-06-10 18:00")
    solved = solved_by_pandapower(net, loads)
    np.testing.assert_allclose(loads.vm_pu, solved.res_bus.vm_pu[net.load.bus[loads.index]], rtol=0, atol=1e-6)
    (system,) = frame(run, "system", "\"case\" = 0 AND interval_start = '2026-06-10 18:00'").to_dict("records")
    assert system["sent_mw"] == pytest.approx(solved.res_ext_grid.p_mw.sum() + 0.03, rel=1e-5)
    consumers = frame(run, "consumers").set_index("consumer_id")
    assert (consumers.feeder_id[consumers.category == "hts1"] == -1).all()
    assert (
        frame(run, "bills", '"case" = 0').set_index("consumer_id").total_paise[consumers.category == "hts1"] > 0
    ).all()


def test_the_dry_run_speaks_of_one_shard():
    done = twin("run", str(JSON), "--dry-run", "--shards", "2")
    assert done.returncode == 0, done.stderr
    assert "shards                   1\n" in done.stdout
    assert "twin powerflow" in twin("grid", str(JSON)).stderr


MATPOWER = """\
function mpc = case4
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [
 1 3 0 0 0 0 1 1.0 0 11 1 1.1 0.9;
 2 1 0.4 0.2 0 0 1 1.0 0 11 1 1.1 0.9;
 3 1 0.3 0.1 0 0 1 1.0 0 11 1 1.1 0.9;
 4 1 0.5 0.2 0 0 1 1.0 0 11 1 1.1 0.9;
];
mpc.gen = [
 1 0 0 10 -10 1.0 10 1 10 0;
];
mpc.branch = [
 1 2 0.01 0.01 0 0 0 0 0 0 1 -360 360;
 2 3 0.02 0.02 0 0 0 0 0 0 1 -360 360;
 2 4 0.02 0.02 0 0 0 0 0 0 1 -360 360;
];
"""


def test_a_matpower_case_without_transformers(tmp_path):
    pytest.importorskip("matpowercaseframes")
    (tmp_path / "case.m").write_text(MATPOWER)
    text = SCENARIO.replace("village.json", "case.m").replace("village_loads.csv", "{rule: {category: ds2}}")
    (tmp_path / "case.yaml").write_text(text)
    run = run_local(tmp_path / "out", scenario=tmp_path / "case.yaml")
    assert run.table("transformers").num_rows == 0
    effects = frame(run, "effects")
    assert "dt_overload_hours" not in set(effects.outcome)
    assert {"evening_peak", "bill_response"} <= set(effects.outcome)
    mapped = frame(run, "mapped_loads")
    assert mapped.consumers.min() > 100  # 300 kW of homes
    assert (mapped.dt_id == -1).all()
    system = frame(run, "system", '"case" = 0')
    assert (system.loss_11kv_mw > 0).all()
    assert system.loss_lv_mw.max() == system.loss_dt_mw.max() == 0
