"""`twin optimize` over real runs: candidates are worlds, and a stopped search goes on where it was."""

import csv

from tests.runs import TINY, twin
from twin.results.reader import open_run


def search(out):
    return twin(
        "optimize", str(TINY), "--set", "grid.resolve.fraction=0.0005", "--backend", "local", "--out", str(out),
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
