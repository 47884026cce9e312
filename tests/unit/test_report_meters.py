"""Figures 14 to 14c: reads by hour against contracts, events and commands, and what meters and bills miss."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.report_fixture import Made, make_run
from tests.unit.test_report_atc import facts_of, plain
from twin.report.answer import answer
from twin.report.facts import Facts
from twin.report.figures import meter_events, meter_limits, meter_losses, meter_power, meter_service
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


def with_unserved(folder: Path) -> Path:
    """The run with 2 MW of demand not served in every step of its day."""
    run = open_run(str(folder))
    system = run.table("system")
    rows = system.to_pydict() | {"unserved_mw": [2.0] * system.num_rows}
    changed = pa.Table.from_pydict(rows, system.schema)
    record = run.storage.write_table("tables/system/other.parquet", "system", changed)
    (commit,) = read_commits(run.storage)
    files = (*(kept for kept in commit.files if kept.table != "system"), record)
    write_commit(run.storage, type(commit)(commit.key, commit.attempt + 1, files))
    return folder


def test_what_is_not_served_behind_open_switches_is_a_line(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", Made(days=1, replicates=1, meters=True, scenario=DEVICES))
    figure = meter_events.build(facts_of(with_unserved(folder)))
    assert figure is not None
    assert {row[0]: row[2] for row in figure.table.rows}["Demand not served, MWh of the state"] == "48.0"


def test_gasps_that_arrive_are_a_share_of_those_sent(one: Facts, swept: Facts) -> None:
    """A quarter arrives; at a second sweep point an eighth. A meter is 2 h a day dark and joins in 12 min."""
    figure = meter_power.build(one)
    assert figure is not None
    assert figure.title.replace(NBSP, " ") == "Of the last gasps that meters send, 25 % arrive"
    (bars,) = figure.charts[0].data
    assert bars["x"] == [25.0, 90.0, 3.0]
    text = plain(figure.help)
    assert "flat: 2,400 failures of supply are logged; 25.0 % of the last gasps and 90.0 % of the first" in text
    assert "2.00 h a day without supply and takes 12.0 min to join again; 3.0 % of the profiles" in text
    rows = {row[0]: row[1] for row in figure.table.rows}
    assert (rows["Last gasps sent"], rows["Last gasps received"]) == ("2,000", "500")
    assert rows["Meter-hours without supply"] == "4,000"
    assert len(figure.csv_rows) == 2
    worlds_apart = meter_power.build(swept)
    assert worlds_apart is not None
    assert worlds_apart.title.replace(NBSP, " ") == "Of the last gasps that meters send, 12 to 25 % arrive"


def test_meters_opened_by_limits_are_counted_by_day(one: Facts) -> None:
    figure = meter_limits.build(one)
    assert figure is not None
    assert figure.title == "Load limits open the switches of 2 meters a day"
    (line,) = figure.charts[0].data
    assert (line["x"], line["y"]) == ([1, 2], [2.0, 1.0])
    text = plain(figure.help)
    assert "2 meters a day open, 3.3 times each and for 25 min in all; 0 are locked out at midnight" in text
    assert "do without 8 kWh in the run" in text
    assert [row[2:] for row in figure.table.rows] == [
        ("2.0", "6.0", "1.0", "22.5", "4.5"),
        ("1.0", "4.0", "0.0", "30.0", "3.0"),
    ]


def test_power_and_limits_are_shown_only_where_their_tables_are(tmp_path: Path) -> None:
    facts = facts_of(make_run(tmp_path / "run", Made(days=1, replicates=1, scenario=DEVICES)))
    assert meter_power.build(facts) is None
    assert meter_limits.build(facts) is None


def not_served(folder: Path, scenario: dict[str, Any]) -> dict[str, str]:
    """Rows of figure 14b on what is not served, where the state does without 2 MW and two feeders without 250 kWh."""
    day = {"consumers": 1, "interruptions": 1.0, "momentary": 0.0, "counted_h": 1.0, "supplied_h": 23.0}
    supply = [{"case": 0, "date": date(2026, 6, 8), "feeder_id": i, "unserved_kwh": 250.0} | day for i in (1, 2)]
    made = Made(days=1, replicates=1, meters=True, scenario=scenario, arms=("flat",), strength=(0.0,))
    made.extra = {"supply": supply}
    figure = meter_events.build(facts_of(with_unserved(make_run(folder, made))))
    assert figure is not None
    return {row[0]: row[2] for row in figure.table.rows if "erved" in row[0] or row[0].startswith("Of it")}


def test_causes_are_told_as_far_as_tables_tell(tmp_path: Path) -> None:
    """Of 500 kWh limits keep 4.5; the rest is of interruptions, unless commands open switches too."""
    own, others = "Of it by interruptions, MWh", "Of it by interruptions, commands and wallets, MWh"
    by_limits = {"Of it kept back by load limits, MWh of simulated consumers": "0.0"}
    state = {"Demand not served, MWh of the state": "48.0"}
    assert not_served(tmp_path / "a", DEVICES) == state | by_limits | {f"{own} of simulated consumers": "0.5"}
    command = {"command": "disconnect", "day": "2026-06-08", "hour": 3.0}
    commanded = {"meters": {"devices": True, "commands": [command]}}
    assert not_served(tmp_path / "b", commanded) == state | by_limits | {f"{others} of simulated consumers": "0.5"}
    pinged = {"meters": {"devices": True, "commands": [command | {"command": "ping"}]}}
    assert f"{own} of simulated consumers" in not_served(tmp_path / "c", pinged)


def test_with_one_arm_the_answer_tells_of_supply_and_meters(tmp_path: Path) -> None:
    rows = [
        {"arm": "flat", "area": "state", "feeders": "all", "measure": name, "value": value, "low": None, "high": None,
         "unit": "h"}
        for name, value in (("saifi", 6.8), ("saidi", 13.9), ("maifi", 4.0), ("supplied", 22.0), ("unserved", 1.0))
    ]  # fmt: skip
    made = Made(days=1, replicates=1, meters=True, scenario=DEVICES, arms=("flat",), strength=(0.0,))
    made.extra = {"reliability": rows}
    sentences = [str(line.striptags()).replace(NBSP, " ") for line in answer(facts_of(make_run(tmp_path / "a", made)))]
    assert sentences[0].endswith(
        "a consumer has 6.8 interruptions of more than 5 minutes and 13.9 h in them (SAIFI, SAIDI) in the one day "
        "simulated; 0 MWh, 0 % of the demand of Bihar, is not served."
    )
    assert sentences[1] == "By 8 h after midnight 96.5 % of smart meters are read, where contracts ask 95 %."
    assert sentences[2] == "1 bills of simulated consumers rest on an estimate."
    assert sentences[3] == (
        "Meters and bills miss 2.90 % of what is used in Sheohar, worth Rs 12 lakh "
        "(theft 2.50 %, meters 0.60 %, estimates −0.20 %)."
    )
    assert sentences[4].startswith("Under flat the load of Bihar peaks at")
    alone = answer(facts_of(make_run(tmp_path / "b", Made(days=1, replicates=1, arms=("flat",), strength=(0.0,)))))
    assert "nothing is compared" in alone[1]


def test_runs_whose_meters_are_no_devices_have_no_such_section(tmp_path: Path) -> None:
    page = render(open_run(str(make_run(tmp_path / "run", Made(days=1, replicates=1, meters=True)))))
    assert 'id="meters"' not in page


def test_tables_that_are_left_out_are_named(tmp_path: Path) -> None:
    scenario = DEVICES | {"output": {"tables": ["consumers", "bills", "feeders", "transformers", "system"]}}
    page = render(open_run(str(make_run(tmp_path / "run", Made(days=1, replicates=1, scenario=scenario)))))
    part = page[page.index('<section class="part" id="meters"') :]
    assert "leaves out: meter_reads." in part
    assert "leaves out: meter_balance, estimates." in part
