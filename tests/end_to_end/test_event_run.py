"""Critical peak and rebate in a run: nothing moves on other days, and bills with events add up."""

import pytest

from tests.runs import run_local
from twin.consumer_bill import consumer_bill

ARMS = (
    "experiment.arms={flat: {}, critical: {tariff: {time_of_day: {applies_to: gross, solar: {hours: '09-17', "
    "multiplier: 0.8}, peak: {hours: '17-23', multiplier: 1.2}}, critical_peak: {hours: '19-22', dates: [2026-06-10], "
    "multiplier: 4.0}}}, rebate: {tariff: {peak_rebate: {hours: '19-22', dates: [2026-06-10], inr_per_kwh: 15}}}}"
)
SMALL = (ARMS, "time.days=2", "grid.resolve.fraction=0.001", "output.readings.consumers=0")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_local(tmp_path_factory.mktemp("events") / "one", overrides=SMALL)


def used_mwh(run, case, day, hours):
    sql = f"""SELECT sum(used_kw) / 4000 FROM feeders WHERE "case" = {case} AND day(interval_start) = {day}
              AND hour(interval_start) BETWEEN {hours[0]} AND {hours[1] - 1}"""
    return run.query(sql).column(0).to_pylist()[0]


def test_a_rebate_moves_the_called_hours_and_nothing_before(run):
    assert used_mwh(run, 2, 9, (0, 24)) == used_mwh(run, 0, 9, (0, 24))
    cut = 1.0 - used_mwh(run, 2, 10, (19, 22)) / used_mwh(run, 0, 10, (19, 22))
    assert 0.005 < cut < 0.3
    assert used_mwh(run, 2, 10, (0, 17)) == pytest.approx(used_mwh(run, 0, 10, (0, 17)), rel=0.02)


def test_a_critical_peak_cuts_more_than_the_peak_does(run):
    usual = used_mwh(run, 1, 9, (19, 22)) / used_mwh(run, 0, 9, (19, 22))
    called = used_mwh(run, 1, 10, (19, 22)) / used_mwh(run, 0, 10, (19, 22))
    assert called < usual < 1.0


def test_bills_with_events_add_up_line_by_line(run):
    paid = (
        run.query("""SELECT b.consumer_id FROM bills b JOIN bills f USING (consumer_id)
                        WHERE b."case" = 2 AND f."case" = 0 AND b.rebate_paise > f.rebate_paise + 500
                        ORDER BY 1 LIMIT 20""")
        .column(0)
        .to_pylist()
    )
    assert len(paid) == 20
    for consumer_id in paid:  # `consumer_bill` refuses lines that do not add up to the table
        lines = consumer_bill(run, consumer_id, "rebate").windows[0].at_end
        assert any(line.what == "below the usual in event hours, 1 called" and line.paise < 0 for line in lines)
    critical = run.query("""SELECT min(consumer_id) FROM consumers JOIN registers USING (consumer_id)
                            WHERE "case" = 1 AND consumers.smart AND category = 'nds2' AND end_wh > start_wh
                            AND zone = (SELECT max(zone) FROM registers)""").column(0).to_pylist()[0]  # fmt: skip
    lines = consumer_bill(run, critical, "critical").windows[0].at_end
    assert any("critical peak 19:00-22:00" in line.what for line in lines)


def test_events_do_not_hang_on_the_number_of_workers(run, tmp_path):
    assert run_local(tmp_path / "two", shards=2, overrides=SMALL).digests() == run.digests()
