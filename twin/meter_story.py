"""What ``twin meter`` shows: one meter's life in a run, truth and measurement side by side, printed and drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from rich.console import Console
from rich.table import Table

from twin.errors import Problem, RunFolderError
from twin.results.reader import Run
from twin.units import PAISE_PER_INR

NEEDED = ("meter_days", "readings")
TOLD = ("readings", "meter_events", "bills", "estimates", "commands", "wallet_days")
KNOWN_SHOWN = 5


@dataclass(frozen=True)
class MeterStory:
    """One meter in one case: rows of the run's tables as plain values."""

    consumer_id: int
    case: int
    days: list[dict[str, Any]]
    readings: list[dict[str, Any]]
    events: list[dict[str, Any]]
    bills: list[dict[str, Any]]
    estimates: list[dict[str, Any]]
    commands: list[dict[str, Any]]
    wallet: list[dict[str, Any]]


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
    parts = (_rows(run, name, consumer_id, case) for name in TOLD)
    return MeterStory(consumer_id, case, days, *parts)


def _rows(run: Run, table: str, consumer_id: int, case: int) -> list[dict[str, Any]]:
    where = f'consumer_id = {int(consumer_id)} AND "case" = {int(case)}'
    rows: list[dict[str, Any]] = run.table(table, where=where).to_pylist()
    return rows


def show_story(story: MeterStory, console: Console) -> None:
    """Print the days, the events and the bills."""
    first = story.days[0]
    console.print(
        f"Consumer {story.consumer_id}, case {story.case}: {first['device']}; theft: {first['theft']} (truth)"
    )
    console.print(_table("Days", _day_lines(story)))
    if story.events:
        lines = [(_text(row["event_time"]), row["event"], str(row["code"] or "-")) for row in story.events]
        console.print(_table("Events", [("time", "event", "IS 15959 code"), *lines]))
    if story.bills:
        windows = [
            (
                f"{row['period_start']} to {row['period_end']}", f"{row['used_kwh']:.3f}", f"{row['metered_kwh']:.2f}",
                f"{row['total_paise'] / 100:.2f}",
            )
            for row in story.bills
        ]  # fmt: skip
        console.print(_table("Bills", [("window", "used kWh", "billed kWh", "INR"), *windows]))
    if story.estimates:
        console.print(_table("Reads that did not simply come in", _estimate_lines(story)))
    if story.commands:
        sent = [
            (row["command"], _text(row["issued"]), _text(row["executed"] or "-"), row["result"])
            for row in story.commands
        ]
        console.print(_table("Commands", [("command", "sent", "carried out", "result"), *sent]))
    if story.wallet:
        console.print(_table("Prepaid wallet, INR", _wallet_lines(story)))


def _wallet_lines(story: MeterStory) -> list[tuple[str, ...]]:
    head = ("day", "debited", "balance after", "recharged", "at", "cut at", "hours off", "balance at night")
    lines = [
        (
            str(row["date"]), _inr(row["debited_paise"]), _inr(row["morning_paise"]), _inr(row["recharged_paise"]),
            _clock(row["recharged_at"]), _clock(row["disconnected_at"]), f"{row['hours_off']:.2f}",
            _inr(row["evening_paise"]),
        )
        for row in story.wallet
    ]  # fmt: skip
    return [head, *lines]


def _inr(paise: int) -> str:
    return f"{paise / PAISE_PER_INR:.2f}"


def _clock(when: Any) -> str:
    return "-" if when is None else f"{when:%H:%M}"


def _estimate_lines(story: MeterStory) -> list[tuple[str, ...]]:
    head = ("window", "flag", "rule", "days missing", "register kWh (truth)", "billed kWh")
    lines = [
        (
            f"{row['period_start']} to {row['period_end']}", row["flag"], row["rule"], str(row["days_missing"]),
            f"{row['metered_kwh']:.2f}", f"{row['billed_kwh']:.2f}",
        )
        for row in story.estimates
    ]  # fmt: skip
    return [head, *lines]


def _day_lines(story: MeterStory) -> list[tuple[str, ...]]:
    head = ("day", "works", "used kWh", "metered kWh", "clock ahead s", "read after h", "fetched", "lost", "waiting")
    lines = [
        (
            str(row["date"]), "yes" if row["working"] else "no", f"{row['used_kwh']:.3f}", f"{row['metered_kwh']:.2f}",
            f"{row['clock_s']:.1f}", "-" if row["arrival_h"] is None else f"{row['arrival_h']:.1f}",
            str(row["days_fetched"]), str(row["days_lost"]), str(row["days_waiting"]),
        )
        for row in story.days
    ]  # fmt: skip
    return [head, *lines]


def _table(title: str, lines: list[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in lines[0]:
        table.add_column(name, justify="right")
    for line in lines[1:]:
        table.add_row(*line)
    return table


def _text(value: Any) -> str:
    return str(value)[:19]


def story_figure(story: MeterStory) -> go.Figure:
    """The profile, the clock and the arrivals, with events as upright lines."""
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.06,
        subplot_titles=("Energy per interval, kWh", "Clock ahead, s", "Profile read after midnight, h"),
    )  # fmt: skip
    start = [row["interval_start"] for row in story.readings]
    for name, dash in (("used_kwh", "solid"), ("metered_kwh", "dot")):
        label = {"used_kwh": "used (truth)", "metered_kwh": "metered"}[name]
        values = [row[name] for row in story.readings]
        figure.add_trace(go.Scatter(x=start, y=values, name=label, line={"dash": dash, "shape": "hv"}), 1, 1)
    dates = [row["date"] for row in story.days]
    figure.add_trace(go.Scatter(x=dates, y=[row["clock_s"] for row in story.days], name="clock (truth)"), 2, 1)
    arrivals = [row["arrival_h"] for row in story.days]
    figure.add_trace(go.Scatter(x=dates, y=arrivals, name="read", mode="markers"), 3, 1)
    for row in story.events:
        figure.add_vline(x=row["event_time"], line={"dash": "dash", "width": 1})
    title = f"Meter of consumer {story.consumer_id} ({story.days[0]['device']}), case {story.case}; synthetic"
    figure.update_layout(title=title, template="simple_white", height=800)
    return figure


def draw_story(story: MeterStory, path: Path) -> None:
    """Write the story's figure as one self-contained page."""
    path.write_text(story_figure(story).to_html(include_plotlyjs=True, full_html=True), encoding="utf-8")
