"""The main job in one process: tables, balance, invariances, on the smallest scenario."""

import numpy as np
import pytest

from tests.runs import TINY, run_local, twin
from twin.cluster.backend import LocalBackend
from twin.consumer_bill import consumer_bill
from twin.errors import RunFolderError
from twin.results.schema import KEYS
from twin.simulation.response import Response

EVENING = "hour(interval_start) >= 17 AND hour(interval_start) < 23"


SETTLED_KWH = 50.0
"""A home that is heading for this much a month will not pass the 125 free units: 18 forecast deviations are missing."""


@pytest.fixture(scope="module")
def noted():
    """The smallest and largest response factor of every consumer in the arm `tod`, as the run of `whole` applied it."""
    return {}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, noted):
    factors = Response.factors

    def note(self, arm, date, rows, base_kwh, meters):
        found = factors(self, arm, date, rows, base_kwh, meters)
        applied = found.astype(np.float32)
        ids = self.consumers.consumer_id[rows].tolist()
        noted.update(zip(ids, zip(applied.min(axis=1), applied.max(axis=1), strict=True), strict=True))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Response, "factors", note)
        return run_local(tmp_path_factory.mktemp("run") / "one")


def test_a_run_writes_its_tables_manifest_and_report(whole):
    manifest = whole.manifest
    assert manifest["status"] in ("complete", "complete_with_failures")
    assert manifest["digest"] == whole.digests()
    assert manifest["consumers"] == whole.table("consumers").num_rows
    for name in ("system", "grid_substations", "feeders", "transformers", "consumers", "population", "bills",
                 "effects", "prices", "gains", "bands", "calibration", "losses", "cases", "feeder_list",
                 "readings"):  # fmt: skip
        assert whole.table(name).num_rows > 0, name
    assert b"synthetic" in whole.storage.read_bytes("report.html")


def test_the_ledger_closes(whole):
    for level, line in whole.manifest["energy_balance"].items():
        if "closure" in line:
            assert line["closure"] <= line["closure_limit"], level
        if "border_mismatch" in line:
            assert line["border_mismatch"] <= line["border_limit"], level


def test_the_state_balance_adds_up_from_the_tables(whole):
    rows = whole.table("system").to_pandas()
    losses = rows[[name for name in rows.columns if name.startswith("loss_")]].sum(axis=1)
    gap = rows["sent_mw"] - rows["used_mw"] - losses
    assert np.abs(gap / rows["sent_mw"]).max() < 1e-5


def test_keys_identify_rows(whole):
    for name in ("system", "feeders", "transformers", "bills", "effects", "gains"):
        keys = ", ".join(f'"{key}"' for key in KEYS[name])
        twice = whole.query(
            f'SELECT count(*) AS n FROM (SELECT {keys} FROM "{name}" GROUP BY {keys} HAVING count(*) > 1)'
        )
        assert twice.column("n").to_pylist() == [0], name


def test_registers_hold_no_more_than_was_used(whole):
    rows = whole.query("SELECT min(used_kwh - metered_kwh) AS low, max(used_kwh - metered_kwh) AS high FROM bills")
    low, high = rows.to_pylist()[0].values()
    n_zones = 8
    assert low > -0.101 * n_zones
    assert high < 0.101 * n_zones + 1e-6


def test_a_worked_bill_adds_up_to_the_table_for_every_category(whole):
    """`consumer_bill` refuses lines that do not add up to table ``bills``; here the totals are compared once more."""
    picked = (
        whole.query("""
        SELECT min(consumer_id) AS id FROM consumers GROUP BY category, smart
        UNION SELECT consumer_id FROM (SELECT consumer_id FROM bills ORDER BY energy_paise DESC LIMIT 2)
    """)
        .column("id")
        .to_pylist()
    )
    for consumer_id in picked:
        for case, arm in enumerate(("flat", "tod")):
            bill = consumer_bill(whole, consumer_id, arm)
            lines = sum(line.paise for line in bill.windows[0].at_end)
            lines -= sum(line.paise for line in bill.windows[0].at_start)
            rows = whole.table("bills", ["total_paise"], f'consumer_id = {consumer_id} AND "case" = {case}')
            assert [lines] == rows.column(0).to_pylist()
    out = twin("bill", whole.path, str(picked[0]), "--arm", "tod")
    assert out.returncode == 0
    assert "bill of the window" in out.stdout


def test_a_bill_that_cannot_be_shown_says_why(whole, tmp_path):
    for arguments, words in [
        ((1,), "there is no consumer 1"),
        ((1, "tof"), "did you mean 'tod'"),
        ((1, None, 1), "use 0 to 0"),
        ((1, None, 0, 1), "there is no sweep point 1"),
    ]:
        with pytest.raises(RunFolderError, match=words):
            consumer_bill(whole, *arguments)
    lean = run_local(tmp_path / "lean", overrides=("output.tables=[consumers,feeders]", "experiment.arms={flat: {}}"))
    with pytest.raises(RunFolderError, match="tables/registers: was not written; run it again with `output"):
        consumer_bill(lean, 1)


def homes_beside_the_first_arm(run, condition):
    """Homes with a smart meter: projected month of the first arm, and what plain time of day does to them."""
    return run.query(f"""
        SELECT b.consumer_id AS id, b.month_paise AS paise, b.used_kwh AS used, t.used_kwh AS tod_used,
               t.month_paise AS tod_paise, t.month_unchanged_paise AS tod_unchanged, t.month_surplus_inr AS surplus
        FROM bills b JOIN bills t USING (consumer_id) JOIN consumers c USING (consumer_id)
        WHERE b."case" = 0 AND t."case" = 1 AND c.smart AND c.category IN ('kutir_jyoti', 'ds1', 'ds2') AND {condition}
    """).to_pandas()


def test_plain_time_of_day_leaves_homes_within_the_free_block_alone(whole, noted):
    """Their price is zero in every period: factor exactly 1, no effect on the bill; only voltage moves their use."""
    rows = homes_beside_the_first_arm(whole, f"b.month_kwh <= {SETTLED_KWH}")
    assert len(rows) > 1000
    assert {noted[home] for home in rows.id} == {(1.0, 1.0)}
    assert (rows.tod_unchanged == rows.paise).all()
    assert (rows.tod_paise == rows.paise).all()
    assert (rows.surplus == 0.0).all()
    assert abs(rows.tod_used.sum() / rows.used.sum() - 1.0) < 1e-3
    used = rows[rows.used > 0.1]
    assert (np.abs(used.tod_used / used.used - 1.0) < 0.02).all()


def test_plain_time_of_day_moves_homes_above_the_free_block(whole, noted):
    rows = homes_beside_the_first_arm(whole, "b.month_kwh >= 200")
    low, high = np.array([noted[home] for home in rows.id]).T
    assert len(rows) > 50
    assert ((low < 1.0) & (high > 1.0)).mean() > 0.9
    assert (rows.tod_unchanged != rows.paise).mean() > 0.9


def test_the_manifest_holds_the_prediction_beside_what_came_out(whole):
    predicted, measured = whole.manifest["prediction"], whole.manifest["measured"]
    for name in ("consumers", "consumer_steps", "shards"):
        assert predicted[name] == measured[name], name
    written = sum(record.bytes for commit in whole.commits for record in commit.files)
    assert measured["output_bytes"] == written
    assert 0.5 < predicted["output_bytes"] / written < 2.0
    assert measured["memory_bytes"] == whole.manifest["peak_rss_bytes"]
    assert measured["wall_s"] == whole.manifest["wall_s"]["total"] > measured["compile_s"] >= 0.0
    assert predicted["wall_s"] > 0


def test_an_arm_that_changes_nobodys_price_changes_nothing(tmp_path):
    run = run_local(tmp_path / "same", overrides=("experiment.arms.same={}", "experiment.arms.tod={}"))
    effects = run.query("SELECT max(abs(value)) AS v FROM effects WHERE arm IN ('same', 'tod')").to_pylist()[0]["v"]
    assert effects == 0.0


def test_digest_is_the_same_for_any_number_of_shards(whole, tmp_path, monkeypatch):
    seen = []
    begin = LocalBackend.__init__

    def note(self, specs, shared):
        simulated = shared.selection.simulated
        seen.extend(int(simulated[np.isin(shared.state.feeders.pss, spec.owned_pss)].sum()) for spec in specs)
        begin(self, specs, shared)

    monkeypatch.setattr(LocalBackend, "__init__", note)
    two = run_local(tmp_path / "two", shards=2)
    five = run_local(tmp_path / "five", shards=5)
    assert len(seen) == 7
    assert min(seen) > 0, "every shard must have feeders of its own"
    assert two.digests() == whole.digests() == five.digests()


def test_a_run_without_rows_per_consumer_and_transformer_comes_to_its_end_with_the_same_figures(whole, tmp_path):
    compact = run_local(tmp_path / "compact", shards=2, overrides=("output.tables=[system]",))
    left = {"consumers", "bills", "registers", "feeders", "transformers", "readings", "gains", "prices"}
    held, own = whole.digests(), compact.digests()
    assert held.keys() - own.keys() == left
    for name in ("system", "grid_substations", "population", "bands", "feeder_list", "cases"):
        assert own[name] == held[name], name
    assert set(compact.manifest["left_out"]) == {"bills", "transformers", "feeders"}
    where = "area = 'state' AND outcome = 'evening_peak'"
    values = [run.table("effects", ["value", "reference"], where).to_pylist()[0] for run in (compact, whole)]
    assert values[0] == values[1]
    shares = [
        {row["id"]: row["value"] for row in run.table("calibration").to_pylist()} for run in (compact, whole)
    ]  # fmt: skip
    assert shares[0] == shares[1]
    assert b"output.tables of its scenario leaves out: consumers, bills" in compact.storage.read_bytes("report.html")
    counted = whole.query("SELECT sum(consumers)::bigint AS n FROM population").to_pylist()[0]["n"]
    assert counted == whole.manifest["consumers"]


def test_a_changed_seed_changes_the_result_and_an_added_arm_changes_no_other(whole, tmp_path):
    arm = "experiment.arms.extra={tariff: {time_of_day: {applies_to: gross, peak: {hours: '17-23', multiplier: 1.3}}}}"
    more = run_local(tmp_path / "arm", overrides=(arm,))
    flat = 'SELECT * EXCLUDE ("case") FROM system WHERE "case" = 0 ORDER BY interval_start'
    assert more.query(flat).equals(whole.query(flat))
    other = run_local(tmp_path / "seed", overrides=("seed=77",))
    assert not other.query(flat).equals(whole.query(flat))


def test_command_line_refuses_a_used_folder_and_bad_options(whole, tmp_path):
    out = tmp_path / "used"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    refused = twin("run", str(TINY), "--out", str(out))
    assert refused.returncode == 2
    assert "not empty" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    other = twin("run", str(TINY), "--set", "seed=3", "--out", whole.storage.base, "--resume")
    assert other.returncode == 2
    assert "another scenario" in other.stderr
    done = twin("run", str(TINY), "--out", whole.storage.base, "--resume")
    assert done.returncode == 0
    assert "already complete" in done.stdout


def test_digest_and_report_commands(whole, tmp_path):
    printed = twin("digest", whole.storage.base)
    lines = printed.stdout.strip().splitlines()
    assert lines[-1] == f"run {whole.digest()}"
    page = tmp_path / "again.html"
    assert twin("report", whole.storage.base, "--out", str(page)).returncode == 0
    assert page.stat().st_size > 1e6
