"""A sweep that moves one assumption at a time, end to end: what the tornado says is what its worlds did."""

import json

import pytest

from tests.runs import ROOT, run_local
from twin.datapack import uncertain_parameters
from twin.runner import headline
from twin.scenario import load_scenario

SCENARIO = ROOT / "scenarios" / "sensitivity.yaml"
SHOP, RURAL = (f"experiment.parameters.substitution_{group}" for group in ("shop", "rural_home"))
SMALL = (
    "grid.resolve={fraction: 0.0005}", "time.step_minutes=60",
    f"sweep={{{SHOP}: [0.0, 0.05, 0.3], {RURAL}: [0.0, 0.02, 0.04]}}",
)  # fmt: skip


def test_the_scenario_moves_every_prior_to_its_ends():
    swept = load_scenario(SCENARIO).sweep
    for path, values in swept.items():
        prior = uncertain_parameters()[path.removeprefix("experiment.parameters.")]
        assert list(values) == pytest.approx([prior.low, (prior.low + prior.high) / 2, prior.high])


def test_the_tornado_of_a_run(tmp_path):
    run = run_local(tmp_path / "run", 2, SMALL, SCENARIO)
    points = [json.loads(point) for point in dict.fromkeys(run.table("cases", ["sweep"]).column(0).to_pylist())]
    assert [(point[SHOP], point[RURAL]) for point in points] == [
        (0.05, 0.02), (0.0, 0.02), (0.3, 0.02), (0.05, 0.0), (0.05, 0.04),
    ]  # fmt: skip
    peaks = run.query("""
        SELECT sweep, max(sent_mw) FILTER (arm = 'shaped') - max(sent_mw) FILTER (arm = 'flat') AS mw
        FROM system JOIN cases USING ("case") WHERE hour(interval_start) BETWEEN 17 AND 22 GROUP BY sweep
    """).to_pylist()
    at = {row["sweep"]: json.loads(row["sweep"]) for row in peaks}
    change = {(at[row["sweep"]][SHOP], at[row["sweep"]][RURAL]): row["mw"] for row in peaks}
    rows = {row["parameter"]: row for row in run.table("sensitivity", where="outcome = 'evening_peak'").to_pylist()}
    assert set(rows) == {SHOP, RURAL}
    ends = {path: (row["value_low"], row["value_high"]) for path, row in rows.items()}
    assert ends[SHOP] == pytest.approx((change[0.0, 0.02], change[0.3, 0.02]), abs=1e-9)
    assert ends[RURAL] == pytest.approx((change[0.05, 0.0], change[0.05, 0.04]), abs=1e-9)
    for low, high in ends.values():
        assert high < low <= 0.0  # whoever answers prices more cuts the dear hours more
    said = headline(run)
    moved = ("substitution_shop 0.0", "substitution_shop 0.3", "the middle")
    moved += ("substitution_rural_home 0.0", "substitution_rural_home 0.04")
    assert {line.partition(":")[0] for line in said} == {f"shaped at {words}" for words in moved}
    assert all("sampling)" in line for line in said)  # one replicate
    page = run.storage.read_bytes("report.html").decode()
    widest = max(ends, key=lambda path: abs(ends[path][1] - ends[path][0]))
    name = {SHOP: "substitution elasticity of shops", RURAL: "substitution elasticity of rural homes"}[widest]
    assert f"{name} matters most" in page
