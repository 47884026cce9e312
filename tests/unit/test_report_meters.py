"""Figures 14 to 14c: reads by hour against contracts, events and commands, and what meters and bills miss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.report_fixture import Made, make_run
from tests.unit.test_report_atc import facts_of, plain
from twin.report.facts import Facts
from twin.report.figures import meter_events, meter_losses, meter_service
from twin.report.figures.worlds import label, short_label, worlds
from twin.report.numbers import NBSP
from twin.report.page import render
from twin.results.commits import read_commits, write_commit
from twin.results.reader import open_run

DEVICES: dict[str, Any] = {"meters": {"devices": True}}
POINTS = tuple(json.dumps({"meters.gateway_failure.share": share}) for share in (0.0, 0.3))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    made = Made(days=2, replicates=2, meters=True, scenario=DEVICES)
    return facts_of(make_run(tmp_path_factory.mktemp("one") / "run", made))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    made = Made(days=2, replicates=1, meters=True, scenario=DEVICES, points=POINTS, arms=("today",), strength=(0.0,))
    return facts_of(make_run(tmp_path_factory.mktemp("swept") / "run", made))


def test_reads_by_hand(one: Facts) -> None:
    """Of 1,000 smart meters 965 and 955 are in by 8 h on two days; the 300 that people read do not count."""
    figure = meter_service.build(one)
    assert figure is not None
    (chart,) = figure.charts
    (line,) = chart.data
    assert line["x"] == [1, 2, 4, 6, 8, 12, 24]
    assert line["y"][4] == pytest.approx(96.0)
    assert figure.title.replace(NBSP, " ") == (
        "By 8 h after midnight 96.0 % of smart meters are read; contracts ask 95 %"
    )
    text = plain(figure.help)
    assert "of 1,000 smart meters 96.0 % are read by 8 h, 95.5 % on the worst day, 97.7 % within a day; 5 have" in text
    (box,) = chart.layout["shapes"]
    assert (box["x0"], box["x1"], box["y0"], box["y1"]) == (8, 12, 95, 98)
    assert [row[1] for row in figure.table.rows] == ["all", "qq.qqqq", "all, worst day"]
    assert len(figure.csv_rows) == 2


def test_worlds_are_told_apart_by_what_is_swept(swept: Facts) -> None:
    arms = worlds(swept)
    assert [short_label(swept, arm) for arm in arms] == ["0.0", "0.3"]
    assert label(swept, arms[1]) == "share of gateways that break down 0.3"
    figure = meter_service.build(swept)
    assert figure is not None
    assert figure.title.replace(NBSP, " ") == (
        "Contracts’ 95 % by 8 h after midnight is not always reached: 76.0 to 96.0 % are read"
    )
    assert len(figure.charts[0].data) == 2
    losses = meter_losses.build(swept)
    assert losses is not None
    assert losses.title.replace(NBSP, " ") == "Meters and bills miss 2.90 to 3.50 % of what is used"
    (bars,) = losses.charts[0].data
    assert bars["x"] == [2.5, 2.5, 0.1, 0.2, 0.5, 1.0, -0.2, -0.2]


def test_counts_are_means_over_draws(one: Facts) -> None:
    """Four failures in the first draw, six in the second; commands carried out are one line, whichever campaign."""
    figure = meter_events.build(one)
    assert figure is not None
    assert figure.title == "5 meters fail; what else meters and the head-end went through"
    rows = {row[0]: row[1:] for row in figure.table.rows}
    assert rows["Meter failed"] == ("", "5")
    assert rows["Command carried out"] == ("302", "5")
    assert rows["Billed by estimate: read missing"] == ("", "1")
    assert rows["Ping: meter not reached"] == ("", "1")
    assert "Demand not served, MWh of the state" not in rows


def test_losses_of_the_resolved_district_add_up(one: Facts) -> None:
    figure = meter_losses.build(one)
    assert figure is not None
    assert figure.title.replace(NBSP, " ") == "Meters and bills miss 2.90 % of what is used, worth Rs 12 lakh"
    assert "Sheohar" in figure.subtitle
    assert "flat: 14.5 MWh, worth Rs 12 lakh (Rs 1.2 million)." in plain(figure.help)
    assert {row[0] for row in figure.table.rows} == {"Bihar", "Sheohar"}


def test_what_is_not_served_behind_open_switches_is_a_line(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", Made(days=1, replicates=1, meters=True, scenario=DEVICES))
    run = open_run(str(folder))
    system = run.table("system")
    rows = system.to_pydict() | {"unserved_mw": [2.0] * system.num_rows}
    changed = pa.Table.from_pydict(rows, system.schema)
    record = run.storage.write_table("tables/system/other.parquet", "system", changed)
    (commit,) = read_commits(run.storage)
    files = (*(kept for kept in commit.files if kept.table != "system"), record)
    write_commit(run.storage, type(commit)(commit.key, commit.attempt + 1, files))
    figure = meter_events.build(facts_of(folder))
    assert figure is not None
    assert {row[0]: row[2] for row in figure.table.rows}["Demand not served, MWh of the state"] == "48.0"


def test_runs_whose_meters_are_no_devices_have_no_such_section(tmp_path: Path) -> None:
    page = render(open_run(str(make_run(tmp_path / "run", Made(days=1, replicates=1, meters=True)))))
    assert 'id="meters"' not in page


def test_tables_that_are_left_out_are_named(tmp_path: Path) -> None:
    scenario = DEVICES | {"output": {"tables": ["consumers", "bills", "feeders", "transformers", "system"]}}
    page = render(open_run(str(make_run(tmp_path / "run", Made(days=1, replicates=1, scenario=scenario)))))
    part = page[page.index('<section class="part" id="meters"') :]
    assert "leaves out: meter_reads." in part
    assert "leaves out: meter_balance, estimates." in part
