"""Figure 14d: prepaid consumers cut off day by day."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.report_fixture import Made, make_run
from tests.unit.test_report_atc import facts_of, plain
from twin.report.figures import wallets
from twin.report.numbers import NBSP
from twin.report.page import render
from twin.results.reader import open_run

PREPAID: dict[str, Any] = {"meters": {"devices": True, "prepaid": {"share": 1.0}}}
POINTS = tuple(json.dumps({"meters.prepaid.share": share}) for share in (0.5, 1.0))


def test_shares_by_hand(tmp_path: Path) -> None:
    """Of 200 wallets 4, 8 and 12 are cut on three days, in both draws."""
    facts = facts_of(make_run(tmp_path / "run", Made(days=3, replicates=2, meters=True, scenario=PREPAID)))
    figure = wallets.build(facts)
    assert figure is not None
    last = facts.rows("select max(date) as date from wallets")[0]["date"]
    assert figure.title.replace(NBSP, " ").endswith("the switches of 6.0 % of the prepaid consumers open")
    assert f"On {last.day}{NBSP}" in figure.title
    (line,) = figure.charts[0].data
    assert (line["x"], line["y"]) == ([1, 2, 3], [2.0, 4.0, 6.0])
    assert "of 200 prepaid consumers simulated 6.0 % are cut off" in plain(figure.help)
    assert "on the median day 4.0 %" in plain(figure.help)
    assert [row[3].replace(NBSP, " ") for row in figure.table.rows] == ["2.0 %", "4.0 %", "6.0 %"]
    assert [row[4] for row in figure.csv_rows] == [4, 8, 12]


def test_worlds_side_by_side_and_on_the_page(tmp_path: Path) -> None:
    made = Made(days=2, replicates=1, meters=True, scenario=PREPAID, points=POINTS, arms=("today",), strength=(0.0,))
    folder = make_run(tmp_path / "run", made)
    figure = wallets.build(facts_of(folder))
    assert figure is not None
    assert (
        figure.title.replace(NBSP, " ") == "On its worst day each world cuts 4.0 to 8.0 % of the prepaid consumers off"
    )
    assert len(figure.charts[0].data) == len(figure.keys) == 2
    assert "cuts 4.0 to 8.0" in render(open_run(str(folder))).replace(NBSP, " ").replace("&nbsp;", " ")


def test_without_wallets_there_is_no_such_figure(tmp_path: Path) -> None:
    scenario = {"meters": {"devices": True}}
    facts = facts_of(make_run(tmp_path / "run", Made(days=1, replicates=1, meters=True, scenario=scenario)))
    assert wallets.build(facts) is None
