"""Datasheets: complete, sourced, and extended by one file."""

import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from tests.runs import ROOT
from twin.errors import DataPackError
from twin.grid.settings import synthesis
from twin.meters.datasheets import catalogue, read_catalogue
from twin.meters.metrology import MetrologyParams
from twin.scenario import load_scenario
from twin.simulation.plan import plans
from twin.simulation.provenance import assumed_numbers

PACK = Path(str(files("twin"))) / "data" / "devices"
NEW = """
label: A maker of mine
source: "found: its leaflet"
models:
  single_phase:
    base: [class_1_single_phase, cellular]
    clock: {crystal_sd_ppm: {value: 9.5, source: "found: its leaflet"}}
  three_phase: {base: [class_1_three_phase, rf_mesh_wisun]}
"""


def test_the_pack_holds_what_a_fleet_needs():
    sheets = catalogue().sheets
    assert {sheet.maker for sheet in sheets if sheet.role == "smart"} >= set(synthesis().vendors.names)
    modules = {sheet.model.communication.technology for sheet in sheets if sheet.model.communication is not None}
    assert modules == {"cellular", "mesh"}
    assert sum(sheet.role == "smart" for sheet in sheets) >= 6
    legacy = [sheet.name for sheet in sheets if sheet.role == "legacy"]
    assert {"static.single_phase", "static.three_phase", "electromechanical.single_phase"} <= set(legacy)
    assert all(sheet.model.relay is None for sheet in sheets if sheet.role != "smart"), "no switch: IS 15959-3"


def test_later_parts_and_the_file_itself_lie_over_earlier_ones():
    by_name = {sheet.name: sheet.model for sheet in catalogue().sheets}
    assert by_name["genus.three_phase"].metrology.base_current_a.value == 10.0
    assert by_name["genus.three_phase"].metrology.phase_sd_mrad == by_name["genus.single_phase"].metrology.phase_sd_mrad
    assert by_name["static.single_phase"].communication is None


def test_every_number_says_where_it_comes_from():
    rows = list(catalogue().marked_numbers())
    assert len(rows) > 500
    assert all(len(source) > 6 for _, _, source in rows)


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(PACK, tmp_path / "devices"))


def test_a_maker_is_added_by_one_file(folder):
    (folder / "mine.yaml").write_text(NEW, encoding="utf-8")
    found = read_catalogue(folder)
    code = found.code("mine", "single_phase")
    assert "mine" in found.makers
    assert found.sheets[code].model.clock.crystal_sd_ppm.value == 9.5
    assert found.params(MetrologyParams, "metrology").base_current_a[code] == 5.0
    assert len(found) == len(catalogue()) + 2


def test_all_problems_of_all_files_are_told_at_once(folder):
    bad = NEW.replace("9.5", "-1").replace("cellular", "celular").replace("found: its leaflet", "the leaflet", 1)
    (folder / "mine.yaml").write_text(bad, encoding="utf-8")
    (folder / "yours.yaml").write_text("label: [", encoding="utf-8")
    (folder / "theirs.yaml").write_text(NEW.replace("  three_phase", "  three_phases"), encoding="utf-8")
    with pytest.raises(DataPackError) as caught:
        read_catalogue(folder)
    told = "\n".join(str(problem) for problem in caught.value.problems)
    for needed in (
        "yours.yaml:1",
        "theirs.yaml: models.three_phase: is missing",
        "mine.yaml: source",
        "found, derived",
    ):
        assert needed in told, told


def test_a_wrong_number_and_a_wrong_part_are_named(folder):
    bad = NEW.replace("9.5", "-1").replace("cellular", "celular").replace('"found: its leaflet"}}', '"leaflet"}}')
    (folder / "mine.yaml").write_text(bad, encoding="utf-8")
    with pytest.raises(DataPackError) as caught:
        read_catalogue(folder)
    told = str(caught.value)
    assert "models.single_phase.base: 'celular' is not a part" in told
    assert "models.single_phase.clock.crystal_sd_ppm.value" in told
    assert "models.single_phase.clock.crystal_sd_ppm.source" in told


def test_a_run_names_the_numbers_of_the_meters_that_it_has():
    def names(scenario, *overrides):
        rows = assumed_numbers(plans(load_scenario(ROOT / "scenarios" / scenario, overrides)))
        return {row["name"] for row in rows if row["name"].startswith("devices.")}

    swept = names("bad_meter_batch.yaml")
    assert any(name.startswith("devices.bad_batch.") for name in swept)
    assert any(name.startswith("devices.adani.") for name in swept)
    assert not names("ci_tiny.yaml")
    one = names("ci_tiny.yaml", "meters.devices=true", "meters.vendors=eesl")
    assert {name.split(".")[1] for name in one} <= {"eesl", "ct_operated", "static", "electromechanical"}
    assert "devices.eesl.single_phase.failure.random_per_year" in one


def test_digits_of_a_display_come_from_the_part_or_the_maker(folder):
    """A maker that names no digits has its part's; one may say its own, and one that shares nothing must."""
    (folder / "mine.yaml").write_text(NEW, encoding="utf-8")
    digits = {sheet.name: sheet.model.register_.digits.value for sheet in read_catalogue(folder).sheets}
    assert digits["mine.single_phase"] == digits["genus.three_phase"] == digits["static.single_phase"] == 6
    assert digits["electromechanical.single_phase"] == 5
    own = NEW.replace("    clock:", '    register: {digits: {value: 7, source: "found: its leaflet"}}\n    clock:')
    (folder / "mine.yaml").write_text(own, encoding="utf-8")
    (mine,) = (sheet.model for sheet in read_catalogue(folder).sheets if sheet.name == "mine.single_phase")
    assert (mine.register_.digits.value, mine.register_.resolution_wh.value) == (7, 10)
    (folder / "mine.yaml").write_text(own.replace("value: 7", "value: 0"), encoding="utf-8")
    with pytest.raises(DataPackError, match=r"mine.yaml.*register.digits.value"):
        read_catalogue(folder)
    (folder / "parts" / "bare.yaml").write_text(
        (PACK / "parts" / "class_1_single_phase.yaml").read_text().replace("  digits:", "  # ")
    )
    (folder / "mine.yaml").write_text(NEW.replace("class_1_single_phase", "bare"), encoding="utf-8")
    with pytest.raises(DataPackError, match=r"mine.yaml.*register.digits.*Field required"):
        read_catalogue(folder)
