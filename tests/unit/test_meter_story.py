"""One meter's story: spans between events, minutes without supply and switched off, what is printed and drawn."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.report_fixture import Made, make_run
from twin.errors import RunFolderError
from twin.meter_spans import Span, flips, hours_by_day, merged, of_events
from twin.meter_story import MeterStory, as_json, meter_story, summary
from twin.meter_story_figure import story_figure
from twin.meter_story_print import show_story
from twin.results.reader import open_run

FIRST = dt.date(2026, 6, 8)
ME = 7


def at(day: int, hour: float) -> dt.datetime:
    return dt.datetime.combine(FIRST, dt.time()) + dt.timedelta(days=day, hours=hour)


def event(name: str, when: dt.datetime, code: int = 0) -> dict[str, Any]:
    return {"case": 0, "event_time": when, "consumer_id": ME, "code": code, "event": name}


def rows_of(days: int, events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """A meter of 0.5 kWh an hour on DT 70 of feeder 3 under PSS 0; its profile of the second day does not come in."""
    own = {"case": 0, "consumer_id": ME}
    table: dict[str, list[dict[str, Any]]] = {"meter_events": events}
    table["meter_days"] = [
        own
        | {"date": FIRST + dt.timedelta(days=i), "device": "qq.single_phase", "working": True, "clock_s": -3.0 * i,
           "arrival_h": None if i == 1 else 2.0 + 8.0 * (i == 2), "days_fetched": 1, "days_lost": 0,
           "days_waiting": 0, "theft": "none", "used_kwh": 12.0, "metered_kwh": 11.9,
           "register_kwh": 5000.0 + 11.9 * i}
        for i in range(days)
    ]  # fmt: skip
    table["readings"] = [
        own | {"interval_start": at(0, half / 2), "used_kwh": 0.25, "metered_kwh": 0.25} for half in range(48 * days)
    ]
    table["consumers"] = [
        {"consumer_id": ME, "feeder_id": 3, "dt_id": 70, "district": "Sheohar", "category": "ds1", "kind": "home",
         "income_class": 2, "phases": 1, "sanctioned_kw": 1.0, "contract_kva": 0.0, "power_factor": 0.9, "smart": True,
         "resolved": True, "weight": 1.0, "annual_kwh": 4000.0}
    ]  # fmt: skip
    began, ended = at(0, 10.0), at(0, 11.0)
    outage = {"case": 0, "level": "dt", "entity_id": 70, "cause": "dt_fault", "began": began, "ended": ended}
    table["outages"] = [
        outage,
        outage | {"level": "feeder", "entity_id": 3, "cause": "trip", "began": at(0, 10.5), "ended": at(0, 12.0)},
        outage | {"level": "feeder", "entity_id": 4, "began": at(0, 14.0), "ended": at(0, 20.0)},
        outage | {"level": "substation", "entity_id": 3, "began": at(0, 14.0), "ended": at(0, 20.0)},
        outage | {"case": 1, "began": at(1, 1.0), "ended": at(1, 2.0)},
    ]
    table["load_limits"] = [
        own | {"date": FIRST, "limit_kw": 1.1, "openings": 4, "open_min": 30.0, "locked": False, "unserved_kwh": 0.7}
    ]
    table["registers"] = [
        own | {"period_start": FIRST, "zone": 0, "start_wh": 1000, "end_wh": 3500, "smart": True, "taken_as": "read"}
    ]
    return table


EVENTS = [
    event("power_failure", at(0, 10.0), 101), event("power_restored", at(0, 12.0), 102),
    event("power_failure", at(1, 3.0), 101), event("power_restored", at(1, 3.5), 102),
    event("command_0_disconnect", at(1, 6.0), 301), event("command_1_connect", at(1, 18.0), 302),
    event("command_1_connect", at(1, 20.0), 302), event("overload", at(0, 7.0), 215),
    event("overload_ended", at(0, 8.0), 216),
]  # fmt: skip


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> MeterStory:
    return told(tmp_path_factory.mktemp("story") / "run", 3, EVENTS)


def told(folder: Path, days: int, events: list[dict[str, Any]]) -> MeterStory:
    made = Made(days=days, replicates=1, extra=rows_of(days, events))
    return meter_story(open_run(str(make_run(folder, made))), ME)


def test_spans_lie_between_events() -> None:
    begin, end = at(0, 0.0), at(2, 0.0)
    made = [event("a_off", at(0, 5)), event("a_off", at(0, 6)), event("a_on", at(0, 7)), event("b_off", at(1, 20))]
    assert flips(made, ("_off",), ("_on",), None, end) == [
        Span(at(0, 5), at(0, 7), "a_off"), Span(at(1, 20), end, "b_off"),
    ]  # fmt: skip
    closed = [event("a_on", at(0, 7))]
    assert flips(closed, ("_off",), ("_on",), None, end) == []
    assert flips(closed, ("_off",), ("_on",), begin, end) == [Span(begin, at(0, 7))]
    assert flips([event("a_off", begin)], ("_off",), ("_on",), begin, end) == [Span(begin, end, "a_off")]
    assert flips([], ("_off",), ("_on",), begin, end) == []
    assert of_events(made, "a_off", "a_on", begin, end) == [Span(at(0, 5), at(0, 7))]


def test_overlapping_spans_are_one_and_days_share_it() -> None:
    spans = merged([Span(at(0, 22), at(1, 1), "x"), Span(at(0, 23), at(1, 2), "y"), Span(at(1, 5), at(1, 6))])
    assert spans == [Span(at(0, 22), at(1, 2), "x, y"), Span(at(1, 5), at(1, 6))]
    assert hours_by_day(spans) == {FIRST: 2.0, FIRST + dt.timedelta(days=1): 3.0}


def test_supply_comes_from_outages_above_the_meter_and_from_its_own_log(story: MeterStory) -> None:
    """Its DT and its feeder, not another feeder, a PSS of the same number, or another case."""
    first, second = story.interruptions
    assert (first.began, first.ended) == (at(0, 10.0), at(0, 12.0))
    assert first.cause == "dt: dt_fault, feeder: trip"
    assert (second.began, second.ended, second.cause) == (at(1, 3.0), at(1, 3.5), "")


def test_the_summary_counts_what_the_tables_hold(story: MeterStory) -> None:
    found = summary(story)
    assert found["minutes_dark"] == pytest.approx(150.0)
    assert found["minutes_off"] == pytest.approx(12 * 60 + 30.0), "a second connect closes nothing"
    assert (found["profiles_in_time"], found["profiles_within_a_day"]) == (1, 2)
    assert (found["clock_ahead_s"], found["clock_worst_s"]) == (-6.0, -6.0)
    assert found["used_kwh"] == pytest.approx(36.0)
    assert found["billed_kwh"] is None
    assert (found["category"], found["feeder"], found["dt_id"]) == ("ds1", "F-00003", 70)
    assert (found["limit_openings"], found["kept_back_by_limit_kwh"]) == (4, 0.7)


def test_a_command_to_connect_what_is_connected_closes_nothing(tmp_path: Path) -> None:
    assert told(tmp_path / "run", 1, [event("command_0_connect", at(0, 18.0), 302)]).switched_off == []


def printed(story: MeterStory) -> str:
    console = Console(file=io.StringIO(), width=140)
    show_story(story, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_story_begins_with_its_summary(story: MeterStory) -> None:
    text = printed(story)
    assert text.splitlines()[0].startswith("Consumer 7, case 0 (flat): qq.single_phase; theft: none (truth)")
    assert "without supply 150 min in 2 interruptions; switched off 750 min (4 openings by its load limit)" in text
    assert "profiles in by 8 h: 1 of 3 (33 %), within a day: 2 of 3 (67 %)" in text
    for title in ("Days", "Interruptions of supply", "Load limit", "Events", "Registers"):
        assert f"\n{title}" in text
    assert "metered 35.70 kWh; its register ends at 5023.80 kWh" in text
    assert "5011.90" in text
    assert "Bills" not in text
    assert "2.50" in text


def test_a_long_story_stays_readable(tmp_path: Path) -> None:
    """Fifty overloads are told as a line; sixty interruptions by forty, and that there are more."""
    events = [event("overload", at(0, 0.2 * i), 215) for i in range(50)]
    for i in range(60):
        events += [event("power_failure", at(1, 0.3 * i), 101), event("power_restored", at(1, 0.3 * i + 0.1), 102)]
    text = printed(told(tmp_path / "run", 28, events))
    assert "50 times from 2026-06-08 00:00:00" in text
    assert "... and 21 more lines: --json holds all." in text
    assert len(text.splitlines()) < 120


def test_json_holds_the_whole_story(story: MeterStory) -> None:
    content = json.loads(as_json(story))
    assert content["summary"]["minutes_dark"] == pytest.approx(150.0)
    assert len(content["readings"]) == 144
    assert content["interruptions"][0]["cause"] == "dt: dt_fault, feeder: trip"
    assert [day["dark_min"] for day in content["days"]] == [120.0, 30.0, 0.0]
    assert [day["off_min"] for day in content["days"]] == [30.0, 720.0, 0.0]
    assert content["events"][0]["event_time"] == "2026-06-08T07:00:00"


def test_the_figure_shades_and_marks(story: MeterStory) -> None:
    figure = story_figure(story)
    names = {trace.name for trace in figure.data}
    assert {"used (truth)", "metered", "load limit", "without supply", "switched off"} <= names
    (limit,) = (trace for trace in figure.data if trace.name == "load limit")
    assert limit.y == pytest.approx((0.55, 0.55)), "kWh per half hour"
    assert len(figure.layout.shapes) == 2 + 1 + 1
    (marks,) = (trace for trace in figure.data if trace.y and trace.y[0] == "overload")
    assert len(marks.x) == len(EVENTS)
    assert marks.text[0] == "overload, 2026-06-08 07:00:00, IS 15959 code 215"
    (late,) = (trace for trace in figure.data if trace.name == "not read within a day")
    assert list(late.x) == [at(2, 0.0)]


def test_a_consumer_without_readings_is_refused(tmp_path: Path) -> None:
    run = open_run(str(make_run(tmp_path / "run", Made(days=1, replicates=1, extra=rows_of(1, [])))))
    with pytest.raises(RunFolderError, match="no readings of consumer 8"):
        meter_story(run, 8)
