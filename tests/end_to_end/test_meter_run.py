"""Runs with meters as devices: tables that close, truth untouched, the same for any cut."""

import json

import numpy as np
import pytest

from tests.runs import UNFITTED, run_local, twin
from twin.meters.theft import OCCURRENCE, RESTORATION

DEVICES = ("meters.devices=true", "time.start=2026-06-30", "time.days=2", "output.readings.consumers=200")
"""Over a month's end, where registers start again."""
LIGHT = ("grid.resolve.fraction=0.002", UNFITTED)
COMMANDS = (
    "meters.commands=[{command: disconnect, day: 2026-07-01, hour: 11.0, share: 0.1, queue_min: 30},"
    " {command: ping, day: 2026-06-30, hour: 3.0, share: 0.1},"
    " {command: firmware, day: 2026-06-30, hour: 2.0, share: 0.05, version: v2, bricks: 0.2},"
    " {command: load_limit, day: 2026-07-01, hour: 18.0, multiple: 0.5, categories: [ds2], firmware: v2},"
    " {command: lift_limit, day: 2026-07-01, hour: 22.0}]",
)
"""On the first day truth is that of a run without devices; on the second switches open."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meters")
    plain = ("meters.devices=false", *DEVICES[1:])
    return {
        "one": run_local(folder / "one", 1, DEVICES + LIGHT + COMMANDS),
        "three": run_local(folder / "three", 3, DEVICES + LIGHT + COMMANDS),
        "plain": run_local(folder / "plain", 2, plain + LIGHT),
    }


def test_the_balance_of_every_dt_and_day_closes(runs):
    rows = runs["one"].table("meter_balance").to_pandas()
    gap = rows.used_kwh - rows.metered_kwh - rows.error_kwh - rows.theft_kwh - rows.unrecorded_kwh
    assert np.abs(gap).max() <= 1e-9 * rows.used_kwh.max()
    total = rows[["used_kwh", "theft_kwh", "unrecorded_kwh"]].sum()
    assert 0.01 < total.theft_kwh / total.used_kwh < 0.08
    assert 0 < total.unrecorded_kwh / total.used_kwh < 0.03


def test_its_used_energy_is_that_of_the_network(runs):
    """By the feeders' own tables, from the voltages of the same run. A DT's meters and its feeder are summed apart."""
    sql = """SELECT f."case", f.feeder_id, f.day, f.kwh AS network, m.kwh AS meters FROM
      (SELECT "case", feeder_id, CAST(interval_start AS DATE) AS day, sum(used_kw) / 4 AS kwh FROM feeders
       GROUP BY ALL) f JOIN
      (SELECT b."case", t.feeder_id, b.date AS day, sum(b.used_kwh) AS kwh FROM meter_balance b
       JOIN transformers t USING ("case", date, dt_id) GROUP BY ALL) m USING ("case", feeder_id, day)"""
    rows = runs["one"].query(sql).to_pandas()
    assert len(rows) > 20
    assert np.allclose(rows.meters, rows.network, rtol=2e-3)


def test_truth_is_that_of_a_run_without_devices(runs):
    sql = (
        "SELECT \"case\", consumer_id, used_kwh, month_paise FROM bills WHERE period_start < '2026-07-01' ORDER BY ALL"
    )
    queries = [
        f"SELECT * FROM {table} WHERE interval_start < '2026-07-01' ORDER BY ALL" for table in ("system", "feeders")
    ]
    for query in [sql, *queries, "SELECT * FROM transformers WHERE date < '2026-07-01' ORDER BY ALL"]:
        mine = runs["one"].query(query)
        assert mine.num_rows > 20
        assert mine.equals(runs["plain"].query(query)), query
    assert "meter_balance" not in runs["plain"].digests()


def test_bills_are_of_what_registers_show_or_of_what_was_estimated_for_them(runs):
    sql = """SELECT b."case", sum(b.metered_kwh) AS bills, any_value(m.kwh) AS meters,
      sum(coalesce(e.billed_kwh - e.metered_kwh, 0)) AS estimated FROM bills b
      LEFT JOIN estimates e USING ("case", consumer_id, period_start)
      JOIN consumers c USING (consumer_id) JOIN
      (SELECT "case", sum(metered_kwh) AS kwh FROM meter_balance WHERE date = '2026-07-01' GROUP BY ALL) m
      USING ("case") WHERE b.period_start = '2026-07-01' AND c.dt_id >= 0 GROUP BY ALL"""
    rows = runs["one"].query(sql).to_pandas()
    assert len(rows) == 2
    assert np.allclose(rows.bills, rows.meters + rows.estimated, rtol=1e-12)
    assert np.all(np.abs(rows.estimated) > 0)
    assert np.all(np.abs(rows.estimated) < 0.05 * rows.meters)


def test_estimates_say_why_and_how(runs):
    rows = runs["one"].table("estimates", where='"case" = 0').to_pandas()
    june, july = rows[rows.period_start == rows.period_start.min()], rows[rows.period_start == rows.period_start.max()]
    assert {"late", "missing", "defective", "door_locked"} <= set(rows.flag)
    assert "corrected" in set(july.flag)
    assert "corrected" not in set(june.flag)
    assert np.array_equal(rows.rule == "none", rows.flag.isin(["late", "corrected", "misread"]))
    assert np.all(rows.billed_kwh[rows.flag != "corrected"] > -1e-9)
    bills = runs["one"].query('SELECT count(*) AS n FROM bills WHERE "case" = 0').to_pandas().n[0]
    assert 0.02 < len(rows) / bills < 0.2
    both = june.merge(july, on="consumer_id", suffixes=("_june", "_july"))
    settled = both[(both.flag_june == "door_locked") & (both.flag_july == "corrected")]
    total = settled.metered_kwh_june + settled.metered_kwh_july
    assert len(settled) > 20
    assert np.median(np.abs(settled.billed_kwh_june + settled.billed_kwh_july - total)) < 1e-9, (
        "unless a bill is at zero"
    )


def test_commands_are_told_with_their_events(runs):
    rows = runs["one"].table("commands", where='"case" = 0').to_pandas()
    assert set(rows.command) == {"disconnect", "ping", "firmware", "load_limit", "lift_limit"}
    assert (rows.result[rows.command.isin(["disconnect", "ping"])] == "executed").mean() > 0.8
    events = runs["one"].table("meter_events", where='"case" = 0 AND code = 301').to_pandas()
    opened = rows[(rows.command == "disconnect") & (rows.result == "executed")]
    assert sorted(events.consumer_id) == sorted(opened.consumer_id)
    assert np.all(opened.executed >= opened.issued)


def test_an_open_switch_stops_demand_and_is_counted_as_not_served(runs):
    commands = runs["one"].table("commands", where="command = 'disconnect' AND result = 'executed'").to_pandas()
    rows = runs["one"].table("readings").to_pandas().merge(commands, on=["case", "consumer_id"])
    start, quarter = rows.interval_start, np.timedelta64(15, "m")
    off = start >= rows.executed + quarter
    assert rows[off].consumer_id.nunique() >= 5
    assert not rows[off].used_kwh.any()
    assert not rows[off].metered_kwh.any()
    assert rows[start < rows.executed - quarter].used_kwh.mean() > 0.01
    sql = """SELECT "case", interval_start, used_mw, unserved_mw FROM system ORDER BY ALL"""
    mine, plain = runs["one"].query(sql).to_pandas(), runs["plain"].query(sql).to_pandas()
    late = mine.interval_start >= "2026-07-01 12:00"
    assert not mine.unserved_mw[mine.interval_start < "2026-07-01 10:45"].any()
    assert not plain.unserved_mw.any()
    assert mine.unserved_mw[late].min() > 0
    for case in (0, 1):
        there = late & (mine.case == case)
        missing = (plain.used_mw - mine.used_mw)[there].sum() / mine.unserved_mw[there].sum()
        assert 0.85 < missing < 1.0, "below nominal voltage less is drawn, and voltage rises for those who stay"


def test_firmware_is_counted_and_limits_reach_those_who_have_it(runs):
    rows = runs["one"].table("commands", where='"case" = 0').to_pandas()
    taken = set(rows[(rows.command == "firmware") & rows.result.isin(["executed", "bricked"])].consumer_id)
    limited = rows[(rows.command == "load_limit")]
    assert len(limited) > 20
    assert set(limited.consumer_id) <= taken
    assert 0.1 < (rows[rows.command == "firmware"].result == "bricked").mean() < 0.3
    versions = runs["one"].table("meter_firmware", where='"case" = 0').to_pandas()
    by_day = versions[versions.version == "v2"].groupby("date")[["meters", "working"]].sum()
    assert by_day.meters.is_monotonic_increasing
    assert np.all(by_day.working < 0.95 * by_day.meters)
    cut = runs["one"].table("load_limits", where='"case" = 0').to_pandas()
    assert 0 < len(cut) <= len(limited)
    assert set(cut.consumer_id) <= set(limited.consumer_id)


def test_readings_show_recorded_energy_beside_the_truth(runs):
    rows = runs["one"].table("readings").to_pandas()
    by_consumer = rows.groupby(["case", "consumer_id"])[["used_kwh", "metered_kwh"]].sum()
    sql = """SELECT "case", consumer_id, interval_start, used_kwh FROM readings WHERE interval_start < '2026-07-01'
      ORDER BY ALL"""
    assert runs["one"].query(sql).equals(runs["plain"].query(sql)), "before the first switch opens"
    ratio = by_consumer.metered_kwh / by_consumer.used_kwh
    assert np.mean(np.abs(ratio - 1) < 0.05) > 0.7
    assert np.any(ratio < 0.8), "some of 200 consumers steal or have a failed meter"


def test_the_cut_into_shards_changes_nothing(runs):
    assert runs["one"].digests() == runs["three"].digests()
    for table in (
        "meter_balance",
        "meter_reads",
        "meter_events",
        "meter_days",
        "dt_meters",
        "feeder_meters",
        "estimates",
        "commands",
        "meter_firmware",
        "load_limits",
    ):
        assert table in runs["one"].digests()


def test_the_manifest_names_the_assumed_numbers_of_the_meters(runs):
    names = [row["name"] for row in runs["one"].manifest["assumed"]]
    assert "devices.adani.single_phase.metrology.gain_sd_percent" in names
    assert "devices.electromechanical.single_phase.metrology.gain_sd_percent" in names
    assert not any("bad_batch" in name for name in names), "a maker that nobody has"
    assert len(set(names)) == len(names)
    assert any(name.startswith("meter_fleet.theft.hooking") for name in names)
    assert not any(row["name"].startswith("devices.") for row in runs["plain"].manifest["assumed"])


def test_one_meter_s_life_is_told(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = runs["one"]
    rows = run.table("meter_days").to_pandas()
    assert rows.consumer_id.nunique() == 200
    balance = rows.groupby("case")[["used_kwh"]].sum()
    plain = runs["one"].table("readings").to_pandas().groupby("case")[["used_kwh"]].sum()
    assert np.allclose(balance, plain, rtol=1e-3), "equivalents by zone against an exact solution by step"
    smart = rows[rows.arrival_h.notna()].iloc[0]
    told = twin("meter", run.path, str(smart.consumer_id), "--out", str(tmp_path / "m.html"))
    assert told.returncode == 0, told.stderr
    assert smart.device in told.stdout
    assert f"{smart.arrival_h:.1f}" in told.stdout
    page = (tmp_path / "m.html").read_text(encoding="utf-8")
    assert "used (truth)" in page
    assert "https://cdn" not in page.split("<script")[0]
    for_scripts = twin("meter", run.path, str(smart.consumer_id), "--json")
    assert json.loads(for_scripts.stdout)["summary"]["device"] == smart.device
    assert [path.name for path in tmp_path.iterdir()] == ["m.html"], "JSON alone draws nothing"


def test_meters_that_nobody_follows_are_refused_with_a_way_out(runs):
    told = twin("meter", runs["one"].path, "1")
    assert told.returncode == 2
    assert "no readings of consumer 1" in told.stderr
    told = twin("meter", runs["plain"].path, "1")
    assert told.returncode == 2
    assert "meters: {devices: true}" in " ".join(told.stderr.split())


def test_dt_meters_show_what_was_sent_and_theft_shows_between_them_and_registers(runs):
    sql = """SELECT d.*, t.sent_kwh, b.theft_kwh FROM dt_meters d JOIN transformers t USING ("case", date, dt_id)
      JOIN meter_balance b USING ("case", date, dt_id) WHERE t.sent_kwh > 100"""
    rows = runs["one"].query(sql).to_pandas()
    transformers = runs["one"].table("transformers").num_rows
    assert 0.5 * transformers < runs["one"].table("dt_meters").num_rows < 0.9 * transformers
    rows = rows[rows.sent_metered_kwh.notna()]
    assert np.all(np.abs(rows.sent_metered_kwh / rows.sent_kwh - 1) < 0.01)
    missing = (rows.sent_metered_kwh - rows.mapped_metered_kwh) / rows.sent_metered_kwh
    stolen = rows.theft_kwh / rows.sent_kwh
    least, most = stolen.quantile([0.25, 0.75])
    gap = missing[stolen >= most].median() - missing[stolen <= least].median()
    assert gap > 0.02, "large consumers mapped to a wrong DT blur it (hence medians), but theft is in it"
    assert missing.mean() > stolen.mean(), "losses, errors and failed meters come on top"


def test_feeder_meters_show_what_their_heads_sent(runs):
    sql = """SELECT m.sent_metered_kwh AS metered, f.kwh AS sent FROM feeder_meters m JOIN
      (SELECT "case", feeder_id, CAST(interval_start AS DATE) AS date, sum(sent_kw) / 4 AS kwh FROM feeders
       GROUP BY ALL) f
      USING ("case", feeder_id, date)"""
    rows = runs["one"].query(sql).to_pandas()
    assert len(rows) == runs["one"].table("feeder_meters").num_rows > 20
    rows = rows[rows.metered.notna()]
    assert np.all(np.abs(rows.metered / rows.sent - 1) < 0.01)
    assert not np.allclose(rows.metered, rows.sent, rtol=1e-5)


def test_every_sign_of_tampering_ends_and_only_those_who_steal_give_one(runs):
    events = runs["one"].table("meter_events", where='"case" = 0').to_pandas()
    begun = events[events.code.isin(list(OCCURRENCE.values()))]
    ended = events[events.code.isin(list(RESTORATION.values()))]
    assert len(begun) > 0
    assert sorted(zip(begun.consumer_id, begun.code + 1, strict=True)) == sorted(
        zip(ended.consumer_id, ended.code, strict=True)
    )
    days = runs["one"].table("meter_days", where='"case" = 0').to_pandas()
    honest = set(days[days.theft == "none"].consumer_id)
    assert not honest & set(begun.consumer_id)
