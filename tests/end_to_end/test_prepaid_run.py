"""A month with prepaid wallets and payments: tables that agree with each other."""

import numpy as np
import pytest

from tests.runs import run_local, twin

MONTH = (
    "tariff=bihar-2025-26", "time.start=2025-05-01", "time.days=31", "time.step_minutes=60",
    "grid.resolve.fraction=0.001", "experiment.arms={today: {}}", "output.readings.consumers=60",
    "output.tables=[cases, system, consumers, bills, readings, meter_days, meter_events, wallets, wallet_days,"
    " wallet_windows, payments]",
    "meters.devices=true", "payments={}",
    "meters.prepaid={debit_outage: {from: 2025-05-02, to: 2025-05-15, cuts_from: 2025-05-19}}",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_local(tmp_path_factory.mktemp("prepaid") / "run", 2, MONTH)


def test_wallets_are_billed_what_bills_say(run):
    windows = run.table("wallet_windows").to_pandas().merge(run.table("bills").to_pandas())
    assert len(windows) > 500
    np.testing.assert_array_equal(windows.billed_paise, windows.total_paise)
    np.testing.assert_array_equal(
        windows.balance_paise - windows.held_paise, windows.start_paise + windows.recharged_paise - windows.billed_paise
    )
    days = run.query("SELECT sum(recharged_inr) AS inr, sum(debited_inr) AS debits FROM wallets").to_pandas()
    assert days.inr[0] * 100 == pytest.approx(windows.recharged_paise.sum())
    assert days.debits[0] * 100 == pytest.approx(windows.billed_paise.sum() - windows.held_paise.sum())


def test_one_monday_stands_out_in_switches_and_in_what_is_not_served(run):
    days = run.query("SELECT date, sum(disconnected) AS n FROM wallets GROUP BY ALL ORDER BY ALL").to_pandas()
    cut = dict(zip(days.date.astype(str), days.n, strict=True))
    assert cut["2025-05-19"] > 4 * cut["2025-05-26"] > 0
    assert not any(cut[f"2025-05-{day:02d}"] for day in range(2, 19))
    opened = run.query("SELECT count(*) AS n FROM meter_events WHERE code = 301").to_pandas().n[0]
    assert opened == days.n.sum()
    hours = run.table("system").to_pandas().set_index("interval_start")
    monday = hours.loc["2025-05-19"]
    assert not monday.unserved_mw.iloc[:11].any()
    assert monday.unserved_mw.iloc[12] == hours.unserved_mw.max() > 50
    assert not hours.loc["2025-05-10":"2025-05-18"].unserved_mw.any()


def test_prepaid_consumers_pay_from_their_wallets(run):
    rows = run.table("payments", where="area = 'state'").to_pandas()
    assert np.allclose(rows.billed_inr, rows.due_inr + rows.subsidy_received_inr)
    assert np.all(rows.arrears_inr >= -1e-6)
    sql = """SELECT c.category, sum(c.weight * (b.total_paise - greatest(v.held_paise - v.balance_paise, 0)
      + greatest(-v.start_paise, 0))) / 100 AS paid FROM wallet_windows v JOIN bills b USING (consumer_id)
      JOIN consumers c USING (consumer_id) GROUP BY ALL"""
    wallets = run.query(sql).to_pandas().set_index("category").paid
    for category in ("ds1", "ds2"):
        row = rows[rows.category == category].iloc[0]
        assert 0.0 < wallets[category] < row.paid_inr
    efficiency = (rows.paid_inr.sum() + rows.subsidy_received_inr.sum()) / rows.billed_inr.sum()
    assert 0.9 < efficiency < 1.05


def test_a_meters_story_shows_its_wallet(run, tmp_path):
    chosen = run.query("SELECT consumer_id FROM wallet_days WHERE disconnected_at IS NOT NULL").to_pandas()
    told = twin("meter", str(run.path), str(chosen.consumer_id[0]), "--out", str(tmp_path / "meter.html"))
    assert told.returncode == 0, told.stderr
    assert "Prepaid wallet" in told.stdout
    assert "prepaid_disconnected" in told.stdout
