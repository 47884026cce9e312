"""What ``twin meter`` tells: one meter's life in a run, gathered from its tables, truth beside measurement."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from typing import Any

from twin.errors import Problem, RunFolderError
from twin.meter_spans import Span, flips, hours_by_day, merged, of_events
from twin.report.settings import setting
from twin.results.reader import Run
from twin.units import PAISE_PER_INR

NEEDED = ("meter_days", "readings")
TOLD = {
    "readings": "readings", "events": "meter_events", "bills": "bills", "estimates": "estimates",
    "commands": "commands", "wallet": "wallet_days", "registers": "registers", "limits": "load_limits",
}  # fmt: skip
"""Parts of the story, and the tables that tell them by consumer."""
KNOWN_SHOWN = 5
MINUTES = 60.0
WITHIN_H = 24.0
"""A profile that comes in later is not in its day's row of ``meter_days``."""
OPENS = ("_disconnect", "prepaid_disconnected")
CLOSES = ("_connect", "prepaid_reconnected")
"""Ends of the names of events with which a switch opens and closes, but for a load limit."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class MeterStory:
    """One meter in one case: rows of the run's tables as plain values."""

    consumer_id: int
    case: int
    days: Rows
    readings: Rows
    events: Rows
    bills: Rows
    estimates: Rows
    commands: Rows
    wallet: Rows
    registers: Rows
    limits: Rows
    place: dict[str, Any]
    """Who the consumer is, and the DT and feeder above; empty where the run does not hold table ``consumers``."""
    interruptions: list[Span]
    """Times without supply, as tables ``outages`` and ``meter_events`` tell; apart from each other, in order."""
    world: dict[str, Any]
    """Arm, replicate and sweep of the case."""

    @property
    def begin(self) -> dt.datetime:
        """The run's first midnight."""
        return dt.datetime.combine(self.days[0]["date"], dt.time())

    @property
    def end(self) -> dt.datetime:
        """Midnight after the run's last day."""
        return dt.datetime.combine(self.days[-1]["date"], dt.time()) + dt.timedelta(days=1)

    @property
    def switched_off(self) -> list[Span]:
        """Times in which a command or a wallet held the switch open."""
        return merged(flips(self.events, OPENS, CLOSES, None, self.end))

    @property
    def overloads(self) -> list[Span]:
        """Times from the first opening by a load limit until demand has been calm."""
        return merged(of_events(self.events, "overload", "overload_ended", self.begin, self.end))


def meter_story(run: Run, consumer_id: int, case: int = 0) -> MeterStory:
    """Gather the story of a meter.

    Raises
    ------
    RunFolderError
        If the run has no meters as devices, no readings, or not those of this consumer or case.
    """
    missing = [name for name in NEEDED if not run.files(name)]
    if missing:
        fix = "run it again with `meters: {devices: true}` and `output: {readings: {consumers: 100}, tables: all}`"
        raise RunFolderError([Problem(run.path, f"tables/{name}", "was not written", fix) for name in missing])
    days = _rows(run, "meter_days", consumer_id, case)
    if not days:
        ids = run.query('SELECT DISTINCT consumer_id, "case" FROM meter_days ORDER BY ALL').to_pylist()
        known = list(dict.fromkeys(row["consumer_id"] for row in ids))
        some = ", ".join(str(one) for one in known[:KNOWN_SHOWN])
        what = f"there are no readings of consumer {consumer_id} in case {case}"
        fix = f"use one of {len(known)} consumers ({some}, ...) and a case up to {max(row['case'] for row in ids)}"
        raise RunFolderError([Problem("meter", "CONSUMER", what, fix)])
    parts = {name: _rows(run, table, consumer_id, case) for name, table in TOLD.items()}
    place = _place(run, consumer_id)
    worlds = run.table("cases", ["arm", "replicate", "sweep"], where=f'"case" = {int(case)}').to_pylist()
    world = worlds[0] if worlds else {}
    told = MeterStory(consumer_id, case, days, **parts, place=place, interruptions=[], world=world)
    own = of_events(told.events, "power_failure", "power_restored", told.begin, told.end)
    told.interruptions.extend(merged([*_outages(run, place, case, told.end), *own]))
    return told


def _rows(run: Run, table: str, consumer_id: int, case: int) -> Rows:
    where = f'consumer_id = {int(consumer_id)} AND "case" = {int(case)}'
    rows: Rows = run.table(table, where=where).to_pylist()
    return rows


def _place(run: Run, consumer_id: int) -> dict[str, Any]:
    """The consumer, his DT and feeder, and the PSS above."""
    sql = f"""
        SELECT c.district, c.category, c.kind, c.phases, c.sanctioned_kw, c.dt_id, c.feeder_id, f.code AS feeder,
               f.feeder_class, f.resolved AS feeder_resolved, f.pss_id
        FROM consumers c LEFT JOIN feeder_list f USING (feeder_id) WHERE c.consumer_id = {int(consumer_id)}
    """
    rows: Rows = run.query(sql).to_pylist()
    return rows[0] if rows else {}


def _outages(run: Run, place: dict[str, Any], case: int, end: dt.datetime) -> list[Span]:
    """Interruptions of the consumer's own DT, feeder and PSS that table ``outages`` holds."""
    levels = {"dt": "dt_id", "feeder": "feeder_id", "substation": "pss_id"}
    above = [(level, place.get(column)) for level, column in levels.items()]
    where = " OR ".join(f"(level = '{level}' AND entity_id = {int(row)})" for level, row in above if row is not None)
    if not where:
        return []
    rows = run.table("outages", where=f'"case" = {int(case)} AND ({where})').to_pylist()
    return [Span(row["began"], min(row["ended"], end), f"{row['level']}: {row['cause']}") for row in rows]


def summary(story: MeterStory) -> dict[str, Any]:
    """The story in a few numbers; keys name their units. None: the run's tables do not tell."""
    days, limits = story.days, story.limits
    arrivals = [row["arrival_h"] for row in days if row["arrival_h"] is not None]
    in_time_h = float(setting("service_level")["hours"][0])
    off = sum(span.hours for span in story.switched_off) * MINUTES
    clocks = [row["clock_s"] for row in days]
    return {
        "consumer_id": story.consumer_id,
        "case": story.case,
        **story.world,
        "device": days[-1]["device"],
        "theft": days[-1]["theft"],
        **{key: story.place.get(key) for key in ("category", "phases", "sanctioned_kw", "district", "feeder", "dt_id")},
        "first_day": days[0]["date"],
        "days": len(days),
        "days_working": sum(row["working"] for row in days),
        "swapped": [row["event_time"] for row in story.events if row["event"] == "swapped"],
        "in_time_h": in_time_h,
        "profiles_in_time": sum(hour <= in_time_h for hour in arrivals),
        "profiles_within_a_day": len(arrivals),
        "clock_ahead_s": clocks[-1],
        "clock_worst_s": max(clocks, key=abs),
        "used_kwh": sum(row["used_kwh"] for row in days),
        "metered_kwh": sum(row["metered_kwh"] for row in days),
        "register_kwh": days[-1]["register_kwh"],
        "billed_kwh": sum(row["metered_kwh"] for row in story.bills) if story.bills else None,
        "billed_inr": sum(row["total_paise"] for row in story.bills) / PAISE_PER_INR if story.bills else None,
        "interruptions": len(story.interruptions),
        "minutes_dark": sum(span.hours for span in story.interruptions) * MINUTES,
        "limit_openings": sum(row["openings"] for row in limits),
        "minutes_off": off + sum(row["open_min"] for row in limits),
        "kept_back_by_limit_kwh": sum(row["unserved_kwh"] for row in limits),
    }


def day_by_day(story: MeterStory) -> Rows:
    """Rows of ``meter_days``, with the day's minutes without supply and with an open switch."""
    dark = hours_by_day(story.interruptions)
    off = hours_by_day(story.switched_off)
    limited = {row["date"]: row["open_min"] for row in story.limits}
    return [
        row
        | {
            "dark_min": MINUTES * dark.get(row["date"], 0.0),
            "off_min": MINUTES * off.get(row["date"], 0.0) + limited.get(row["date"], 0.0),
        }
        for row in story.days
    ]


def as_json(story: MeterStory) -> str:
    """The whole story for scripts: the summary, then the rows; times as ISO text."""
    content = {"summary": summary(story), "days": day_by_day(story)}
    kept = ("place", "events", "bills", "registers", "estimates", "commands", "wallet", "limits", "readings")
    content |= {name: getattr(story, name) for name in kept}
    for name in ("interruptions", "switched_off", "overloads"):
        content[name] = [asdict(span) for span in getattr(story, name)]
    return json.dumps(content, default=_iso, allow_nan=False)


def _iso(value: Any) -> str:
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    raise TypeError(f"no form in JSON for {value!r}")
