"""A run with interruptions, commands and load limits at once: commands wait for supply, broken switches are swapped."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runs import UNFITTED, run_local
from twin.meters.relay import LOAD_SWITCH_OPEN

SMART = "{domestic: 1.0, non_domestic: 1.0, industrial: 1.0, agricultural: 1.0}"
ALL_ON = (
    "meters.devices=true", f"meters.smart_share={SMART}", "outages={rate: 2}", "meters.load_limit={multiple: 0.3}",
    "meters.commands=[{command: disconnect, day: 2026-06-09, hour: 8.0, share: 0.3, queue_min: 600, jitter_s: 900},"
    " {command: connect, day: 2026-06-11, hour: 9.0, queue_min: 300},"
    " {command: firmware, day: 2026-06-09, hour: 10.0}]",
    "time.step_minutes=60", "time.days=5", "experiment.arms={flat: {}}", "output.readings.consumers=20",
    "grid.resolve.fraction=0.002", UNFITTED,
)  # fmt: skip


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return run_local(tmp_path_factory.mktemp("one") / "run", 1, ALL_ON)


def test_two_shards_write_the_same(one, tmp_path):
    assert run_local(tmp_path / "two", 2, ALL_ON).digests() == one.digests()


def test_no_command_is_carried_out_in_the_dark_and_some_waited(one):
    # a command that supply held up is carried out at the very end, to the rounding of a clock
    sql = """SELECT count(*) AS n,
      count(*) FILTER (c.executed >= o.began AND c.executed < o.ended - INTERVAL 1 SECOND) AS dark
      FROM commands c JOIN consumers p USING (consumer_id) JOIN outages o ON c."case" = o."case" AND (
        (o.level = 'feeder' AND o.entity_id = p.feeder_id) OR (o.level = 'dt' AND o.entity_id = p.dt_id))
      WHERE c.result = 'executed' AND p.dt_id >= 0"""
    rows = one.query(sql).to_pandas()
    assert rows.n[0] > 1000
    assert rows.dark[0] == 0
    commands = one.table("commands").to_pandas()
    waited = (commands.executed - commands.issued).dt.total_seconds() / 3600.0
    assert np.mean(waited[commands.command == "connect"] > 1.0) > 0.02


def test_broken_switches_are_swapped_and_their_consumers_have_supply_again(one):
    events = one.table("meter_events").to_pandas()
    swapped = events[events.event == "switch_swapped"]
    assert len(swapped) > 0
    assert not swapped.code.any()
    limits = one.table("load_limits").to_pandas()
    stuck = limits[(limits.openings == 0) & (limits.open_min > 1439.0)]
    assert len(stuck) > 0, "stuck open by the wear of five days"
    both = stuck.merge(swapped, on=["case", "consumer_id"])
    assert len(both) > 0, "some of them are back within the run"
    assert not (both.date.astype("datetime64[us]") == both.event_time).any()
    failed = one.table("commands", where="result = 'switch_failed'").to_pandas()
    assert len(failed) > 0
    assert events[events.code == LOAD_SWITCH_OPEN].consumer_id.nunique() > 100


def test_what_failed_meters_of_dts_and_feeders_do_not_record_is_missing(one):
    for table in ("dt_meters", "feeder_meters"):
        rows = one.table(table).to_pandas()
        assert not rows.read[rows.sent_metered_kwh.isna()].any()
        assert rows.sent_metered_kwh.notna().mean() > 0.95
    z = one.table("dt_residuals").to_pandas()
    assert len(z) == one.table("dt_meters").to_pandas().dt_id.nunique()
    assert (z.z > 2).mean() > 0.02, "theft shows"


def test_the_ledger_closes(one):
    assert one.manifest["status"] == "complete"
    assert not one.manifest["failed_solves"]
