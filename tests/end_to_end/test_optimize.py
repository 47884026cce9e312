"""`twin optimize` over real runs: candidates are worlds, and a stopped search goes on where it was."""

import csv

import numpy as np
import pytest

from tests.runs import TINY, twin
from twin.optimize import Search, optimize
from twin.results.reader import open_run
from twin.runner import RunOptions
from twin.scenario import load_scenario

SMALL = ("grid.resolve.fraction=0.0005", "time.step_minutes=60")


def search(out):
    return twin(
        "optimize", str(TINY), "--set", SMALL[0], "--set", SMALL[1], "--backend", "local", "--out", str(out),
        "--generations", "2", "--candidates", "5", "--revenue-tolerance", "2",
    )  # fmt: skip


def test_a_search_tries_designs_and_says_what_each_does(tmp_path):
    done = search(tmp_path / "here")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "here" / "designs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["generation"] for row in rows] == ["0"] * 5 + ["1"] * 5
    dearest = max(rows, key=lambda row: float(row["peak_multiplier"]) / float(row["solar_multiplier"]))
    mildest = min(rows, key=lambda row: float(row["peak_multiplier"]) / float(row["solar_multiplier"]))
    assert float(dearest["evening_peak_percent"]) < float(mildest["evening_peak_percent"])
    for row in rows:
        inside = abs(float(row["revenue_percent"])) <= 2.0 and float(row["worst_bill_percent"]) <= 5.0
        assert (row["feasible"] == "True") == inside
    run = open_run(str(tmp_path / "here" / "generation-01"))
    (own,) = (
        run.query(
            "SELECT DISTINCT 100 * value / reference FROM effects WHERE arm = 'c03' AND outcome = 'evening_peak' "
            "AND area = 'state' AND \"group\" = 'all'"
        )
        .column(0)
        .to_pylist()
    )
    assert float(rows[8]["evening_peak_percent"]) == own
    again = search(tmp_path / "here")
    assert again.stdout == done.stdout


def test_windows_are_searched_over_runs_that_draw_the_same(tmp_path):
    """Designs whose windows do not fit into one run's registers are divided; the first arm is the same in all."""
    search = Search(windows=True, shape_free=True, generations=1, candidates=5, bill_cap=50.0, revenue_tolerance=5.0)
    options = RunOptions(backend="local", shards=1)
    found = optimize(load_scenario(TINY, SMALL), search, tmp_path, options, None)
    assert [design.arm for design in found.designs] == ["c00", "c01", "c02", "c03", "c04"]
    assert len({design.candidate.peak_hours for design in found.designs}) > 1
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert folders == [f"generation-00-{part + 1}" for part in range(found.runs)]
    assert 1 < found.runs < 5
    assert {design.run for design in found.designs} == set(folders)
    first = []
    for folder in folders:
        run = open_run(str(tmp_path / folder))
        first.append(run.query('SELECT sent_mw FROM system WHERE "case" = 0 ORDER BY interval_start'))
        arms = run.table("cases", ["arm"]).column(0).to_pylist()
        assert arms == ["flat"] + [design.arm for design in found.designs if design.run == folder]
    levels = np.array([rows.column(0).to_numpy() for rows in first])
    assert levels == pytest.approx(np.broadcast_to(levels[0], levels.shape), rel=1e-6)
    deepest = min(found.designs, key=lambda design: design.peak_any)
    assert deepest.peak_any < 0.0
