"""The main job in one process: tables, balance, invariances, on the smallest scenario."""

import numpy as np
import pytest

from tests.runs import TINY, run_local, twin
from twin.cluster.backend import LocalBackend
from twin.results.schema import KEYS

EVENING = "hour(interval_start) >= 17 AND hour(interval_start) < 23"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run_local(tmp_path_factory.mktemp("run") / "one")


def test_a_run_writes_its_tables_manifest_and_report(whole):
    manifest = whole.manifest
    assert manifest["status"] in ("complete", "complete_with_failures")
    assert manifest["digest"] == whole.digests()
    assert manifest["consumers"] == whole.table("consumers").num_rows
    for name in ("system", "grid_substations", "feeders", "transformers", "consumers", "bills", "effects", "prices",
                 "gains", "bands", "calibration", "losses", "cases", "feeder_list", "readings"):  # fmt: skip
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
