"""`twin pilot-size` from scenario to curve, and what it refuses."""

import csv

import pytest

from tests.runs import TINY, twin
from twin.analysis.design import read_experiment
from twin.analysis.pilot.outcomes import potential_outcomes
from twin.results.reader import open_run

SHORT = ["--set", "time.days=6", "--set", "output.tables=[transformers]", "--set", "output.readings.consumers=0",
         "--set", "grid.resolve.fraction=0.001"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("size") / "here"
    done = twin("pilot-size", str(TINY), *SHORT, "--backend", "local", "--out", str(out), "--effect", "5")
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_the_curve_falls_with_weeks_and_its_page_stands_alone(folder):
    out, printed = folder
    with (out / "pilot_size.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for estimator in ("means", "did", "adjusted"):
        sizes = [int(row["dts_per_arm"]) for row in rows if row["estimator"] == estimator]
        assert len(sizes) == 7
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] > 1
    page = (out / "pilot_size.html").read_text()
    assert "<script src=" not in page
    assert rows[0]["dts_per_arm"] in page.replace(",", "")
    assert "pilots each, drawn over this run's worlds" in printed


def test_outcomes_are_those_of_the_table(folder):
    run = open_run(str(folder[0] / "run"))
    outcomes = potential_outcomes(run, read_experiment(run))
    assert outcomes.values.shape == (2, len(outcomes.dt_id), 6)
    dt, day = int(outcomes.dt_id[7]), 2
    sql = f"""SELECT evening_peak_kw FROM transformers WHERE dt_id = {dt} AND "case" = 1
              ORDER BY date LIMIT 1 OFFSET {day}"""
    assert run.query(sql).column(0).to_pylist() == [outcomes.values[1, 7, day]]
    farms = run.query("""SELECT dt_id FROM transformers JOIN feeder_list USING (feeder_id)
                         WHERE feeder_class = 'agricultural'""").column(0)
    assert not set(farms.to_pylist()) & set(outcomes.dt_id.tolist())


def test_the_run_in_the_folder_is_used_again_and_bad_wishes_are_refused_all_at_once(folder):
    out, printed = folder
    again = twin("pilot-size", str(TINY), *SHORT, "--backend", "local", "--out", str(out), "--effect", "5")
    assert again.stdout == printed
    bad = twin("pilot-size", str(TINY), "--power", "2", "--outcome", "peak")
    assert bad.returncode == 2
    assert "--power: must be between the significance and 1" in bad.stderr
    assert "--outcome: must be one of" in bad.stderr
    few = twin("pilot-size", str(TINY), *SHORT[2:], "--backend", "local", "--out", str(out.parent / "few"))
    assert few.returncode == 2
    assert "run at least 5 days" in few.stderr
