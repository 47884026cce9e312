"""A pilot in a run: its world, who is on which tariff, and what it estimates beside the truth."""

import numpy as np
import pytest

from tests.cluster.nodes import Driver
from tests.runs import TINY, UNFITTED, manifest, run_local, twin
from twin.analysis.design import read_experiment
from twin.analysis.pilot.effects import pilot_outcomes
from twin.analysis.pilot.estimators import estimate
from twin.consumer_bill import consumer_bill
from twin.results.reader import open_run

TARIFF = (
    "tariff: {time_of_day: {applies_to: gross, solar: {hours: '09-17', multiplier: 0.5}, "
    "peak: {hours: '17-23', multiplier: 2.0}}}"
)
SMALL = (
    f"experiment={{design: pilot, pilot: {{start: 2026-06-01}}, arms: {{flat: {{}}, tod: {{{TARIFF}}}}}}}",
    "time.start=2026-05-31", "time.days=2", "grid.resolve.fraction=0.001", "output.readings.consumers=0",
    "meters.smart_share.domestic=1.0", "output.tables=[transformers, consumers, bills, registers]", UNFITTED,
)  # fmt: skip
FLAT, TOD, PILOT = 0, 1, 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_local(tmp_path_factory.mktemp("pilot") / "one", overrides=SMALL)


def changes(run, case, other, day):
    """Arm of each eligible DT in the pilot, and its energy of a day in a case less that in another. [kWh]"""
    rows = run.query(f"""
        SELECT p.arm AS arm, a.sent_kwh - b.sent_kwh AS change FROM pilot p
        JOIN transformers a ON a.dt_id = p.dt_id AND a."case" = {case} AND day(a.date) = {day}
        JOIN transformers b ON b.dt_id = p.dt_id AND b."case" = {other} AND day(b.date) = {day}""")
    return np.array(rows.column("arm").to_pylist()), rows.column("change").to_numpy()


def test_the_pilots_world_follows_each_arm_where_it_was_drawn_and_only_from_its_start(run):
    _, before = changes(run, PILOT, FLAT, 31)
    assert not before.any()
    arm, to_flat = changes(run, PILOT, FLAT, 1)
    _, to_tod = changes(run, PILOT, TOD, 1)
    _, whole = changes(run, TOD, FLAT, 1)
    assert set(arm) <= {"flat", "tod", ""}
    assert (arm == "flat").sum() == (arm == "tod").sum() > 50
    for own, there in (("flat", to_flat), ("tod", to_tod)):  # what is left is voltage: the grid is shared
        assert np.abs(there[arm == own]).mean() < 0.15 * np.abs(whole[arm == own]).mean()
    treated = arm == "tod"
    assert np.corrcoef(to_flat[treated], whole[treated])[0, 1] > 0.98


def test_the_estimate_in_the_table_is_that_of_its_transformers(run):
    experiment = read_experiment(run)
    assert experiment.arms == ("flat", "tod")
    rows = run.table("pilot_effects").to_pylist()
    assert len(rows) == 2 * 3
    row = next(row for row in rows if (row["outcome"], row["estimator"]) == ("evening_peak_kw", "did"))
    pilot = pilot_outcomes(run, experiment, "evening_peak_kw", 0)
    drawn = pilot.assigned >= 0
    treated = pilot.assigned[drawn] == 1
    change = (pilot.after - pilot.before)[drawn]
    assert row["effect"] == pytest.approx(change[treated].mean() - change[~treated].mean(), abs=1e-9)
    _, panel = changes(run, TOD, FLAT, 1)
    energy = next(row for row in rows if (row["outcome"], row["estimator"]) == ("sent_kwh", "means"))
    assert energy["truth"] == pytest.approx(panel.mean(), rel=1e-9)
    for row in rows:
        assert row["dts_treated"] == row["dts_control"] == treated.sum()
        assert row["interference"] == pytest.approx(row["effect"] - row["effect_apart"], abs=1e-12)
        assert abs(row["interference"]) < 0.1 * row["error"] + 0.05 * abs(row["truth"])
        assert row["low"] < row["effect"] < row["high"]
        assert 0.001 <= row["p_randomisation"] <= 1.0
    plain = estimate("did", pilot.before[drawn], pilot.after[drawn], treated)
    assert row["error"] > 0.0
    assert plain.effect[0] == pytest.approx(change[treated].mean() - change[~treated].mean())


def test_effects_know_the_arms_only_and_the_report_too(run):
    assert {row["arm"] for row in run.table("effects", ["arm"]).to_pylist()} == {"flat", "tod"} - {"flat"}
    assert run.table("cases", ["arm"]).column(0).to_pylist() == ["flat", "tod", "pilot"]
    page = run.storage.read_bytes("report.html").decode()
    assert "A pilot of 142 transformers per arm" in page
    effect = next(row["effect"] for row in run.table("pilot_effects").to_pylist() if row["outcome"] == "sent_kwh")
    assert f"{abs(effect):.1f}" in page


def test_bills_of_the_pilot_are_on_the_tariff_of_the_transformer(run):
    """`consumer_bill` refuses lines that do not add up to table ``bills``."""
    rows = run.query("""SELECT arm, consumer_id FROM consumers JOIN pilot USING (dt_id)
                        WHERE smart ORDER BY hash(consumer_id)""").to_pylist()  # fmt: skip
    for arm in ("flat", "tod"):
        for consumer in [row["consumer_id"] for row in rows if row["arm"] == arm][:5]:
            bill = consumer_bill(run, consumer, "pilot")
            assert bill.tariff == arm
            assert len(bill.windows) == 2  # May's on the first tariff, June's on the own


def test_a_pilot_that_was_killed_between_its_baseline_and_its_start_resumes_to_the_same_bits(run, tmp_path):
    """Kill -9 after the day before the start; the rest of the pilot, on other shards, knows who is in which arm."""
    settings = [part for override in SMALL for part in ("--set", override)]
    first = Driver(tmp_path / "run", *settings, "--backend", "local", "--shards", "1")
    first.wait_for_block()
    first.process.kill()
    first.process.wait()
    committed = [path.name for path in (first.out / "commits").iterdir()]
    assert any("-b00000-" in name for name in committed)
    assert not any("-b00001-" in name or name.startswith("2analysis") for name in committed)
    done = twin(
        "run", str(TINY), *settings, "--out", str(first.out), "--backend", "local", "--shards", "2", "--resume"
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert manifest(first.out)["attempts"] == 2
    assert open_run(str(first.out)).digests() == run.digests()
