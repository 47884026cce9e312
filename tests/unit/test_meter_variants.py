"""Models of meters that a user registers: they replace the built-in ones, however shards cut, or are told by line."""

import importlib
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from tests.planning_day import planned_state
from tests.runs import TINY
from tests.unit.test_meter_devices import DATE, NONE, day_kwh, opened, population
from twin.errors import DataPackError, ModelError, ScenarioError
from twin.meters import variants
from twin.meters.datasheets import read_catalogue
from twin.meters.failure import YEAR_DAYS
from twin.scenario import load_scenario, scenario_hash
from twin.simulation import meter_devices, meter_variants
from twin.simulation.asked_variants import check_variants
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.plan import plans
from twin.simulation.replicate import open_world

MODULE = "tests.meter_models"
MINE = ("meters.devices=true", "meters.vendors=eesl", f"meters.models=[{MODULE}]")
PACK = Path(str(files("twin"))) / "data" / "devices"
SHEET = """
label: A maker with models of its own
source: "assumed: made up"
models:
  single_phase:
    base: [class_1_single_phase, cellular]
    metrology:
      model: saturating
      numbers: {knee_frac: {value: 0.5, source: "assumed"}, slope: {value: 0.25, source: "assumed"}}
    clock: {model: steady, numbers: {fast_ppm: {value: 100.0, source: "assumed"}}}
    failure: {model: ageless, numbers: {per_year: {value: 9.0, source: "assumed"}}}
  three_phase: {base: [class_1_three_phase, rf_mesh_wisun]}
"""


def types_with(tmp_path, sheet=SHEET, maker="eesl"):
    folder = tmp_path / "devices"
    shutil.copytree(PACK, folder)
    (folder / f"{maker}.yaml").write_text(sheet, encoding="utf-8")
    return read_catalogue(folder)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The pack's types, but for one maker's."""
    importlib.import_module(MODULE)
    types = types_with(tmp_path)
    for module in (meter_devices, meter_variants):
        monkeypatch.setattr(module, "catalogue", lambda: types)
    return types


def world_of(n_pss, skip=0, overrides=MINE):
    return open_world(plans(load_scenario(TINY, overrides))[0], 0, population(planned_state(1), n_pss, skip))


def a_day(devices, used):
    registers = np.zeros((1, *used.shape))
    return devices.advance(DATE, [used], registers, NONE), registers[0]


def test_functions_replace_the_built_in_models_of_their_types_only(mine):
    world = world_of(4)
    devices, used = opened(world), day_kwh(world)
    plain = opened(world_of(4, overrides=MINE[:1]))
    of_mine = devices.fleet.kind == mine.code("eesl", "single_phase")
    others = np.isin(devices.fleet.kind, [code for code, sheet in enumerate(mine.sheets) if sheet.role == "legacy"])
    assert of_mine.sum() > 100
    before, before_clock = devices.state.swap_day.copy(), devices.state.clock_s.copy()
    today, registers = a_day(devices, used)
    usual, usual_registers = a_day(plain, used)
    assert np.array_equal(registers[others], usual_registers[others])
    assert np.array_equal(today.devices.failed[others], usual.devices.failed[others])
    assert np.array_equal(devices.state.clock_s[others], plain.state.clock_s[others])

    works = of_mine & (devices.state.swap_day <= devices.context(DATE).day)
    through = devices.fleet.through[works, None] * used[works]
    top = 0.5 * devices.fleet.basic_kw[works, None] * devices.stretches.zone_hours
    want = np.minimum(through, top) + 0.25 * np.maximum(through - top, 0.0)
    assert (through > top).any()
    assert np.allclose(registers[works].sum(axis=1), want.sum(axis=1), rtol=1e-12), "clocks move it between zones only"
    going = of_mine & (before <= devices.context(DATE).day) & ~today.devices.clock_set & works
    assert np.allclose((devices.state.clock_s - before_clock)[going], 8.64, atol=1e-4), "100 ppm of a day"
    at_risk = of_mine & (before <= devices.context(DATE).day)
    stress = devices.context(DATE).stress[devices.place.feeder[at_risk]]
    chance = 1 - np.exp(-devices.fleet.frailty[at_risk] * stress * 9.0 / YEAR_DAYS)
    assert abs(today.devices.failed[at_risk].sum() - chance.sum()) < 5 * np.sqrt(chance.sum())
    ledger = today.arms[0].ledger_kwh
    assert np.allclose(ledger[:, 0], ledger[:, 1:].sum(axis=1), rtol=1e-9)


def test_a_shard_elsewhere_imports_them_and_finds_the_same(mine, monkeypatch):
    whole, part = world_of(5), world_of(2, skip=2)
    used, part_used = day_kwh(whole), day_kwh(part)
    first = opened(whole)
    _, registers = a_day(first, used)
    monkeypatch.setattr(variants, "_registered", {})  # a process that has not imported the module
    monkeypatch.delitem(sys.modules, MODULE)
    other = opened(part)
    _, part_registers = a_day(other, part_used)
    lv = slice(0, part.population.ht.start)
    order = {int(i): row for row, i in enumerate(first.fleet.ids)}
    rows = np.array([order[int(i)] for i in other.fleet.ids[lv]])
    assert np.array_equal(part_registers[lv], registers[rows])
    assert np.array_equal(other.state.clock_s[lv], first.state.clock_s[rows])
    assert np.array_equal(other.state.swap_day[lv], first.state.swap_day[rows])


def test_meters_of_feeders_and_dts_have_them_too(tmp_path, monkeypatch):
    importlib.import_module(MODULE)
    text = (PACK / "system" / "ct_operated.yaml").read_text(encoding="utf-8")
    numbers = '{knee_frac: {value: 0.1, source: "assumed"}, slope: {value: 0.0, source: "assumed"}}'
    text = text.replace("    metrology:\n", f"    metrology:\n      model: saturating\n      numbers: {numbers}\n")
    shutil.copytree(PACK, tmp_path / "devices")
    (tmp_path / "devices" / "system" / "ct_operated.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(meter_devices, "catalogue", lambda: read_catalogue(tmp_path / "devices"))
    meters = MeterDevices(world_of(2))
    sent = np.full(len(meters.dt_meters.dt_id), 1e6)
    got = meters.dt_meters.metered_kwh(meters.context(DATE), meters.first_day, sent)
    assert np.allclose(got, 0.1 * 24.0 * meters.dt_meters.rated_kw)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("model: saturating", "model: saturatng"), "eesl.yaml:8: metrology.model: no function is registered as"),
        (("model: steady", "model: unsteady"), "eesl.yaml:10: clock.model: no function is registered as 'unsteady'"),
        (("slope:", "slop:"), "eesl.yaml:8: metrology.numbers: 'saturating' takes knee_frac, slope"),
        (("model: ageless, ", ""), "eesl.yaml: failure.numbers: belong to no model"),
    ],
)
def test_wrong_names_are_told_by_line(tmp_path, change, told):
    importlib.import_module(MODULE)
    types = types_with(tmp_path, SHEET.replace(*change))
    with pytest.raises(DataPackError) as caught:
        check_variants(types, range(len(types)))
    assert told in str(caught.value)


def test_a_name_in_a_part_is_told_where_the_part_says_it(tmp_path):
    shutil.copytree(PACK, tmp_path / "devices")
    part = tmp_path / "devices" / "parts" / "cellular.yaml"
    part.write_text(part.read_text(encoding="utf-8") + "clock: {model: nobodys}\n", encoding="utf-8")
    line = len(part.read_text(encoding="utf-8").splitlines())
    types = read_catalogue(tmp_path / "devices")
    with pytest.raises(DataPackError, match=rf"parts/cellular.yaml:{line}: clock.model: no function .* 'nobodys'"):
        check_variants(types, range(len(types)))


def test_what_a_function_says_is_checked(mine):
    say = variants.find("metrology", "of_wrong_shape")
    nothing = variants.find("metrology", "unknown")
    assert say is not None
    assert nothing is not None
    kwh = np.ones((3, 2))
    arguments = (kwh, np.ones(2), np.ones(3), np.ones(3), np.ones((3, 5)), np.ones(3), kwh, np.zeros(0))
    with pytest.raises(ModelError, match=r"metrology.of_wrong_shape: gives an array of shape \(3,\) where \(3, 2\)"):
        say((3, 2), *arguments)
    with pytest.raises(ModelError, match="not finite"):
        nothing((3, 2), *arguments)


def test_names_are_taken_once_and_only_where_models_are():
    module = importlib.import_module(MODULE)
    with pytest.raises(ModelError, match=r"saturating_kwh is registered under this name already; take another"):
        variants.register("metrology", "saturating", module.steady_ppm)
    with pytest.raises(ModelError, match="no section 'memory' of a datasheet takes models"):
        variants.register("memory", "mine", module.steady_ppm)
    variants.register("clock", "steady", module.steady_ppm, numbers=("fast_ppm",))


def test_a_scenario_s_modules_are_imported_or_refused(tmp_path, monkeypatch):
    missing = load_scenario(TINY, ("meters.devices=true", "meters.models=[nobody.has_this]"))
    with pytest.raises(ModelError, match=r"nobody.has_this: meters.models: cannot be imported"):
        meter_variants.check_models(missing)
    with pytest.raises(ScenarioError, match="meters.models"):
        load_scenario(TINY, ("meters.models=['not a module']",))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "my_meter_models.py").write_text("A = 1\n", encoding="utf-8")
    one = load_scenario(TINY, ("meters.devices=true", "meters.models=[my_meter_models]"))
    meter_variants.check_models(one)
    first = scenario_hash(one)
    (tmp_path / "my_meter_models.py").write_text("A = 2\n", encoding="utf-8")
    assert scenario_hash(one) != first, "what a module says is part of a run's identity"
    assert scenario_hash(one) != scenario_hash(load_scenario(TINY, ("meters.devices=true",)))
