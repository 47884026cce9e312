"""`twin calibrate` over real runs: the last run is made with the fitted factors, and the pack stays as it is."""

import csv

import yaml

from tests.runs import TINY, twin
from twin.calibrated import factors
from twin.results.reader import open_run


def calibrate(out):
    return twin(
        "calibrate", str(TINY), "--set", "grid.resolve.fraction=0.0005", "--set", "time.step_minutes=60",
        "--set", "experiment.arms={flat: {}}", "--backend", "local", "--runs", "2", "--members", "4",
        "--out", str(out),
    )  # fmt: skip


def test_a_fit_is_confirmed_by_a_run(tmp_path):
    pack = {name: one.factor for name, one in factors().items()}
    done = calibrate(tmp_path)
    assert done.returncode == 0, done.stderr
    fitted = {n: e["factor"] for n, e in yaml.safe_load((tmp_path / "calibrated.yaml").read_text())["factors"].items()}
    assert fitted.keys() == pack.keys()
    assert fitted != pack
    first, last = (open_run(str(tmp_path / name)) for name in ("run-0", "run-1"))
    assert (first.scenario["calibrated"], last.scenario["calibrated"]) == (pack, fitted)
    listed = {row["name"]: row["value"] for row in last.manifest["assumed"]}
    assert listed["calibrated.ht"] == str(fitted["ht"])
    with (tmp_path / "calibration.csv").open() as stream:
        rows = {row["id"]: row for row in csv.DictReader(stream)}
    (peak,) = (row for row in last.table("calibration").to_pylist() if row["id"] == "C02")
    assert (float(rows["C02"]["after"]), rows["C02"]["use"]) == (peak["value"], "fitted")
    assert float(rows["C02"]["before"]) != peak["value"]
    assert {name: one.factor for name, one in factors().items()} == pack
