"""Figure 6d: how well bills are paid; and enrolment and behaviour of arms in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report_fixture import TOD, Made, make_run
from tests.unit.test_report_atc import facts_of, plain
from twin.report.arms import arm_words
from twin.report.figures import payments
from twin.report.numbers import NBSP


def test_efficiency_by_category_and_of_all(tmp_path: Path) -> None:
    """kutir_jyoti: 100 of 100 billed; ds1: 190 of 200; hts1 has too few consumers for a bar but counts in the sum."""
    facts = facts_of(make_run(tmp_path / "run", Made(days=1, replicates=1, atc=True, months_complete=True)))
    figure = payments.build(facts)
    assert figure is not None
    rows = {row["category"]: row for row in payments.by_category(facts, "flat")}
    assert {name: payments.efficiency(row) for name, row in rows.items()} == {
        "all": pytest.approx(100 * 1290 / 1300), "kutir_jyoti": pytest.approx(100.0), "ds1": pytest.approx(95.0)
    }  # fmt: skip
    assert rows["all"]["arrears_inr"] == pytest.approx(3 * 20e7), "those of the last month"
    assert figure.title.replace(NBSP, " ") == "99.2 % of what is billed comes in; least from Rural homes (DS-I)"
    assert "At the end consumers owe Rs 60 crore" in plain(figure.help)
    assert figure.charts[0].data[0]["x"] == [99.23, 100.0, 95.0]
    assert len(figure.csv_rows) == 3 * 2 * 3 * 2


def test_runs_that_do_not_model_payments_have_no_such_figure(tmp_path: Path) -> None:
    assert payments.build(facts_of(make_run(tmp_path / "run", Made(days=1, replicates=1)))) is None


def test_enrolment_and_behaviour_are_told_in_words(tmp_path: Path) -> None:
    tariff = {"time_of_day": TOD}
    behaviour = {"learning": True, "fatigue": False, "snap_back": True, "differences": False, "technology_share": 0.2}
    arms = {
        "flat": {},
        "in": {"tariff": tariff, "enrolment": {"mode": "opt_in"}, "behaviour": behaviour},
        "out": {"tariff": tariff, "enrolment": {"mode": "opt_out"}},
    }
    made = Made(days=1, replicates=1, arms=tuple(arms), scenario={"experiment": {"arms": arms, "replicates": 1}})
    words = {arm.name: text for arm, text in arm_words(facts_of(make_run(tmp_path / "run", made)))}
    joined = words["in"].replace(NBSP, " ")
    assert "only those who join, more often those who expect to gain" in joined
    assert "response grows over weeks, comes back in part after an event, is helped by devices at 20 %" in joined
    assert "all but those who leave" in words["out"]
    assert "mode" not in joined
    assert "False" not in joined
