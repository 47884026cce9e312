"""``twin grid``: what was built, checked and loaded, on the smallest scenario."""

import io
import re

import pytest
from rich.console import Console

from tests.runs import TINY
from twin.grid_report import describe_grid
from twin.scenario import load_scenario


@pytest.fixture(scope="module")
def printed():
    text = io.StringIO()
    describe_grid(load_scenario(TINY), Console(file=text, width=160))
    return text.getvalue()


def numbers_in(printed, name):
    """Numbers in the cells right of the first cell that starts with ``name``."""
    line = next(line for line in printed.splitlines() if re.match(rf"\W*{re.escape(name)}\b", line))
    cells = [cell.strip().replace(",", "") for cell in line.split("│")[2:-1]]
    return [float(cell) for cell in cells if re.fullmatch(r"-?[\d.]+", cell)]


def test_counts_of_every_level_are_printed(printed):
    assert numbers_in(printed, "gss")[0] == 165
    assert numbers_in(printed, "dts")[0] == 250_726
    assert numbers_in(printed, "buses_132kv_and_above")[0] > 200


def test_all_checks_pass(printed):
    for check in ("state: PSSs", "33 kV and above: every load", "33 kV and above: hours"):
        assert numbers_in(printed, check) == [0.0], check
    feeders = next(line for line in printed.splitlines() if "11 kV and LV are trees" in line)
    assert re.search(r"│\s+0\s+│$", feeders.strip())


def test_distributions_of_every_level_stand_beside_the_bands(printed):
    for quantity in ("dt_loading_percent", "lv_end_voltage_pu", "feeder_end_voltage_pu", "technical_loss_percent"):
        assert re.search(rf"{quantity}.*(inside|OUTSIDE)", printed), quantity
    assert 0.9 < numbers_in(printed, "11 kV end voltage, pu")[3] < 1.03
    for quantity in ("132 kV bus voltage", "33 kV bus voltage of GSS", "11 kV bus voltage of PSS"):
        count, lowest, *_, highest = numbers_in(printed, quantity)
        assert count > 100
        assert 0.8 < lowest <= highest < 1.1, quantity
    assert numbers_in(printed, "loading of 400 kV lines")[-1] <= 100
    assert numbers_in(printed, "loading of 220 kV lines")[-1] <= 100
