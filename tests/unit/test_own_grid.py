"""A network of a user's: every missing piece has its own message, at its line, and all of them come at once."""

import builtins
import datetime as dt

import numpy as np
import pandapower as pp
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pandapower import toolbox

from tests.own_grid_cases import SCENARIO, Village, maker
from twin.demand.own_profiles import read_consumer_profiles
from twin.errors import ScenarioError
from twin.grid.imported import dt_of_bus
from twin.scenario import dump_resolved, load_scenario, parse_scenario, scenario_hash
from twin.scenario.own_grid import import_own_grid
from twin.simulation.own_grid import layout_own
from twin.simulation.prepare import own_grid

ALL_LOADS = [f"{load},5,ds1" for load in range(6)]


@pytest.fixture
def village(tmp_path):
    return Village(tmp_path)


def problems(path, overrides=()):
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, overrides)
    return caught.value.problems


def only(path, *parts):
    (problem,) = problems(path)
    assert all(part in str(problem) for part in parts), problem
    return problem


def test_the_shipped_example_is_what_its_script_makes(tmp_path):
    from tests.own_grid_cases import MAKER

    maker()["main"](tmp_path)
    for made in sorted(tmp_path.iterdir()):
        shipped = MAKER.parent / made.name
        if made.suffix == ".json":
            assert toolbox.nets_equal(pp.from_json(str(shipped)), pp.from_json(str(made)))
        else:
            assert shipped.read_bytes() == made.read_bytes()


def test_a_good_scenario_comes_back_and_counts_by_content(village):
    scenario = load_scenario(village.scenario)
    assert scenario.grid.is_own
    assert parse_scenario(dump_resolved(scenario)) == scenario
    before = scenario_hash(scenario)
    village.map(*ALL_LOADS)
    assert scenario_hash(scenario) != before


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("  district: Gaya\n", "", ("grid.district", "has no value")),
        ("  mapping: village_loads.csv\n", "", ("grid.mapping", "load, consumers, category")),
        ("village.json", "gone.json", ("village.yaml:3", "grid.network", "there is no file 'gone.json'")),
        ("village.json", "village.yaml", ("grid.network", "is no network file")),
        ("village_loads.csv", "gone.csv", ("village.yaml:5", "grid.mapping.file", "there is no file 'gone.csv'")),
        ("village_loads.csv", "{unmapped: keep}", ("grid.mapping", "does not say which loads")),
        ("village_loads.csv", "{rule: {category: ds9}}", ("grid.mapping.rule.category", "did you mean")),
        ("  district", "  resolve: all\n  district", ("village.yaml:4", "grid.resolve", "simulated as a whole")),
        ("  district", "  profiles: simbench\n  district", ("grid.profiles", "belong to a SimBench network")),
        ("  district", "  state: bihar\n  district", ("grid.network", "cannot stand beside `state`")),
        (
            "village_loads.csv",
            "{file: village_loads.csv, transformers: [0, 7]}",
            ("village.yaml:5", "grid.mapping.transformers", "no transformer 7", "0, 1"),
        ),
    ],
)
def test_settings_of_the_grid(village, old, new, parts):
    found = problems(village.change(old, new))
    assert any(all(part in str(problem) for part in parts) for problem in found), found


def test_profiles_and_mappings_are_not_for_the_state(village):
    text = SCENARIO.replace("  network: village.json\n", "  resolve: all\n").replace(
        "time:", "demand: {profiles: p.csv}\ntime:"
    )
    (village.folder / "p.csv").write_text("a\n")
    found = {problem.path: problem.what for problem in problems(village.write(text))}
    assert found["grid.district"] == found["grid.mapping"] == "is for a network of your own"
    # the grid's own problems come first; without them the profiles are refused too
    state = village.write(text.replace("  district: Gaya\n  mapping: village_loads.csv\n", ""))
    only(state, "demand", "drawn from archetypes")


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (["9,3,ds1", *ALL_LOADS], ("village_loads.csv:2", "no load 9", "0, 1, 2, 3, 4, ...")),
        (["0,0,ds1", *ALL_LOADS[1:]], ("village_loads.csv:2", "consumers", "from 1, got '0'")),
        (["zero,4,ds1", *ALL_LOADS[1:]], ("village_loads.csv:2", "load", "got 'zero'")),
        ([*ALL_LOADS[1:], "0,4,homes"], ("village_loads.csv:7", "category", "no category 'homes'", "ds1")),
        ([*ALL_LOADS, "2,3,ds1"], ("village_loads.csv:8", "twice", "village_loads.csv:4")),
        (ALL_LOADS[:4], ("village.yaml:5", "grid.mapping", "2 of 6 loads are not mapped: 4, 5", "unmapped: keep")),
        ([], ("village_loads.csv", "holds no rows")),
    ],
)
def test_rows_of_the_mapping(village, rows, parts):
    village.map(*rows)
    only(village.scenario, *parts)


def test_columns_of_the_mapping(village):
    village.map("0,3", head="load,number")
    found = [str(problem) for problem in problems(village.scenario)]
    assert len(found) == 3
    assert all("village_loads.csv:1" in text for text in found)
    village.map("0,3,ds1,-2", head="load,consumers,category,sanctioned_kw")
    only(village.scenario, "village_loads.csv:2", "sanctioned_kw", "more than 0, got '-2'")


def test_all_problems_come_at_once(village):
    village.map("9,3,ds1", "0,x,ds1", "0,4,homes")
    path = village.change("village_loads.csv", "{file: village_loads.csv, transformers: [5]}")
    assert len(problems(path)) == 4


def test_inline_rows_have_their_lines(village):
    rows = "\n    loads:\n" + "".join(
        f"      - {{load: {load}, consumers: 3, category: ds1}}\n" for load in (0, 1, 2, 3, 4, 8)
    )
    path = village.change(" village_loads.csv\n", rows)
    found = {problem.where.rpartition(":")[2]: str(problem) for problem in problems(path)}
    assert "grid.mapping.loads[5]" in found["12"]
    assert "no load 8" in found["12"]
    assert "not mapped: 5" in found["5"]


def test_a_mapping_in_a_yaml_file_has_its_own_lines(village):
    (village.folder / "map.yaml").write_text("file: village_loads.csv\ntransformers: [4]\n")
    path = village.change("village_loads.csv", "map.yaml")
    only(path, "map.yaml:2", "grid.mapping.transformers", "no transformer 4")
    (village.folder / "map.yaml").write_text("rule: {category: ds1}\nkeep: yes\n")
    only(path, "map.yaml:2", "grid.mapping.keep", "no such setting")
    only(village.change("village_loads.csv", "gone.yaml"), "gone.yaml")


def test_loads_without_supply_cannot_have_consumers(village):
    village.net.load.loc[0, "in_service"] = False
    village.net.line.loc[3, "in_service"] = False
    village.save_net()
    village.map(*ALL_LOADS)
    found = [str(problem) for problem in problems(village.scenario)]
    assert "village_loads.csv:2: load: load 0 is out of service" in found[0]
    assert "village_loads.csv:3: load: load 1 stands on bus 6, which no source supplies" in found[1]
    assert len(found) == 2
    village.map(*ALL_LOADS[2:])  # and need none
    load_scenario(village.scenario)


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (lambda net: net.ext_grid.drop(0, inplace=True), ("no source is in service",)),
        (lambda net: net.line.__setitem__("to_bus", 99), ("village.yaml:3",)),
        (lambda net: net.load.drop(net.load.index, inplace=True), ("has no loads",)),
        (lambda net: pp.set_user_pf_options(net, enforce_q_lims=True), ("only pandapower itself", "enforce_q_lims")),
    ],
)
def test_networks_that_no_run_can_use(village, spoil, parts):
    spoil(village.net)
    village.save_net()
    only(village.scenario, "village.yaml:3", "grid.network", *parts)


def test_a_file_that_is_no_network(village):
    (village.folder / "village.json").write_text("{}")
    only(village.scenario, "village.yaml:3", "grid.network", "village.json")


def test_simbench_is_asked_for_by_name(village, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "simbench":
            raise ImportError("No module named 'simbench'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    path = village.change("network: village.json", "simbench: 1-LV-rural2--1-sw")
    only(path, "village.yaml:3", "grid.simbench", "pip install 'gridtwin[networks]'")


def test_a_rule_needs_a_positive_power(village):
    village.net.load.loc[3, "p_mw"] = 0.0
    village.save_net()
    path = village.change("village_loads.csv", "{rule: {category: ds1}}")
    only(path, "village.yaml:5", "grid.mapping.rule", "positive p_mw; 3 have none")


def test_a_rule_counts_by_expected_peaks(village):
    path = village.change(
        "village_loads.csv", "{rule: {category: ds1}, loads: [{load: 3, consumers: 2, category: nds1}]}"
    )
    grid, _ = import_own_grid(load_scenario(path))
    design_kw = np.full((64, 96), 0.2)
    design_kw = design_kw[: _n_kinds()]
    laid = layout_own(grid, None, design_kw)
    by_load = dict(zip(laid.loads[laid.rows[:, 0]].tolist(), laid.rows[:, 1].tolist(), strict=True))
    assert by_load[3] == 2
    assert by_load[4] == round(grid.net.load.p_mw[4] * 1e3 / 0.2)


def _n_kinds():
    from twin.datapack import kinds

    return len(kinds())


def test_loads_hang_on_their_transformer_and_feeder(village):
    grid, _ = import_own_grid(load_scenario(village.scenario))
    assert {load: dt_of_bus(grid)[int(bus)] for load, bus in grid.net.load.bus.items()} == {
        0: 0,
        1: 0,
        2: 0,
        3: 1,
        4: 1,
        5: 1,
    }
    two_sources = village.net
    pp.create_ext_grid(two_sources, 2)
    pp.create_load(two_sources, 0, 0.01)
    two_sources.line.loc[1, "in_service"] = False
    village.save_net()
    village.map("6,4,ds1", *ALL_LOADS[::-1])
    laid = own_grid(load_scenario(village.scenario), np.full((_n_kinds(), 96), 0.2))
    assert laid.source_bus.tolist() == [0, 2]
    assert dict(zip(laid.loads.tolist(), laid.feeder_of_load.tolist(), strict=True)) == {
        6: -1,
        5: 1,
        4: 1,
        3: 1,
        2: 0,
        1: 0,
        0: 0,
    }
    assert laid.loads[laid.rows[:, 0]].tolist() == [2, 1, 0, 5, 4, 3, 6]  # feeder by feeder, sources' own buses last


def spoiled(village, change):
    table = village.profiles
    return village.with_profiles(change(table))


def day(table, *dates):
    return pc.is_in(
        pc.cast(table["interval_start"], pa.date32()), value_set=pa.array([dt.date(2026, 6, d) for d in dates])
    )


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda t: t.drop_columns("kw"), ("kw", "column missing", "interval_start, load (or consumer), kw")),
        (lambda t: t.drop_columns("load"), ("load or consumer", "column missing")),
        (lambda t: t.filter(pc.greater(t["load"], 0)), ("lacks 24 of 144 values", "first 0 at 2026-06-10T00:00")),
        (lambda t: t.filter(pc.invert(day(t, 10))), ("lacks 144 of 144 values",)),
        (lambda t: pa.concat_tables([t, t.filter(day(t, 10)).slice(0, 2)]), ("2 intervals", "twice")),
        (lambda t: t.set_column(2, "kw", pc.negate(t["kw"])), ("negative", "row 1")),
        (lambda t: t.set_column(2, "kw", pa.array([None] * len(t), pa.float64())), ("is empty in 864 rows",)),
        (lambda t: t.set_column(1, "load", pc.add(t["load"], 1)), ("load 6 is not mapped",)),
        (lambda t: t.set_column(0, "interval_start", pc.cast(t["interval_start"], pa.string())), ("holds string",)),
        (
            lambda t: t.set_column(0, "interval_start", pc.add(t["interval_start"], dt.timedelta(minutes=20))),
            ("no starts of the run's steps of 60 minutes",),
        ),
    ],
)  # fmt: skip
def test_profiles_that_do_not_fit(village, change, parts):
    found = problems(spoiled(village, change))
    assert any(all(part in str(problem) for part in ("own.parquet", *parts)) for problem in found), found


def test_profiles_by_consumer_need_counted_consumers(village):
    table = village.profiles.rename_columns(["interval_start", "consumer", "kw"])
    path = village.with_profiles(table)
    village.scenario.write_text(path.read_text().replace("village_loads.csv", "{rule: {category: ds1}}"))
    only(path, "own.parquet", "consumer", "use the column load")


def test_profiles_are_shared_by_a_loads_consumers_and_average_to_a_day(village):
    table = village.profiles
    village.with_profiles(table)
    path = str(village.folder / "own.parquet")
    load, consumers = np.array([0, 1, 1, 2, 3, 4, 5]), np.array([2, 3, 1, 1, 1, 1, 1])
    read = read_consumer_profiles(path, [dt.date(2026, 6, 10)], 24, load, consumers)
    shared = read.shared_by(np.repeat(load, consumers), np.arange(10))
    kw = np.full((10, 32), np.nan, np.float32)
    shared.fill(dt.date(2026, 6, 10), 0, 10, kw)
    of_day = (
        table.filter(day(table, 10)).to_pandas().pivot(index="load", columns="interval_start", values="kw").to_numpy()
    )
    np.testing.assert_allclose(kw[:2, :24].sum(axis=0), of_day[0], rtol=1e-6)
    np.testing.assert_allclose(kw[2:6, :24].sum(axis=0), of_day[1], rtol=1e-6)
    assert (kw[:, 24:] == 0).all()
    shared.fill(
        dt.date(2026, 6, 1), 0, 10, kw
    )  # a day of the month that the file lacks: the mean of its days till the end
    until = table.filter(day(table, 6, 7, 8, 9, 10)).to_pandas()
    mean = until.groupby(["load", until.interval_start.dt.hour]).kw.mean().unstack().to_numpy()
    np.testing.assert_allclose(kw[9, :24], mean[5], rtol=1e-5)
    assert shared.annual_kwh[9] == pytest.approx(mean[5].sum() * 365, rel=1e-5)


def test_a_meshed_network_that_newton_does_not_reproduce_is_refused(village, monkeypatch):
    pp.create_line_from_parameters(village.net, 5, 6, 0.2, 0.64, 0.1, 0.0, 0.13)
    village.save_net()
    load_scenario(village.scenario)
    monkeypatch.setattr("twin.timeseries.run.AGREEMENT_PU", 0.0)
    only(village.scenario, "village.yaml:3", "only pandapower itself", "Newton differs from pandapower by")
