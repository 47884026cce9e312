"""One meter's story in a terminal: a summary, the days, and what else the tables tell, long lists cut short."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from twin.meter_story import MeterStory, day_by_day, summary
from twin.meters.register import row_gained_wh
from twin.units import PAISE_PER_INR

MOST_LINES = 40
"""Lines of a table before it is cut; ``--json`` holds them all."""
POWER = ("power_failure", "power_restored")
"""Events that the table of interruptions tells as pairs."""
WH_PER_KWH = 1e3
Lines = list[tuple[str, ...]]


def show_story(story: MeterStory, console: Console) -> None:
    """Print the summary, the days, and every table that has rows."""
    for line in summary_lines(story):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    tables = (
        ("Days", DAY_HEAD, _day_lines(story)),
        ("Interruptions of supply", ("from", "to", "minutes", "cause"), _interruption_lines(story)),
        ("Load limit", ("day", "limit kW", "openings", "minutes open", "locked out at night", "not served kWh"),
         _limit_lines(story)),
        ("Events", ("time", "event", "IS 15959 code"), _event_lines(story)),
        ("Registers, kWh", ("window from", "zone", "at its start", "at its end", "billed", "taken as"),
         _register_lines(story)),
        ("Bills", ("window", "used kWh", "billed kWh", "INR"), _bill_lines(story)),
        ("Reads that did not simply come in", ESTIMATE_HEAD, _estimate_lines(story)),
        ("Commands", ("command", "sent", "carried out", "result"), _command_lines(story)),
        ("Prepaid wallet, INR", WALLET_HEAD, _wallet_lines(story)),
    )  # fmt: skip
    for title, head, lines in tables:
        if lines:
            console.print(_table(title, head, lines))
            if len(lines) > MOST_LINES:
                more = f"... and {len(lines) - MOST_LINES} more lines: --json holds all."
                console.print(more, highlight=False, markup=False)


def summary_lines(story: MeterStory) -> list[str]:
    """The story in a few lines, most important first."""
    s = summary(story)
    world = ", ".join(str(s[name]) for name in ("arm",) if s.get(name))
    swept = "" if s.get("sweep") in (None, "{}") else f", {s['sweep']}"
    first = f"Consumer {s['consumer_id']}, case {s['case']}{f' ({world}{swept})' if world else ''}: {s['device']}"
    swaps = "".join(f", swapped on {when:%Y-%m-%d}" for when in s["swapped"])
    lines = [f"{first}{swaps}; theft: {s['theft']} (truth)"]
    if story.place:
        feeder = f"feeder {s['feeder']}, DT {s['dt_id']}" if s["feeder"] else "high tension"
        lines.append(
            f"{s['category']}, {s['sanctioned_kw']:.1f} kW sanctioned, {s['phases']}-phase; {s['district']}, {feeder}"
        )
    lines.append(
        f"{s['days']} days from {s['first_day']}, works on {s['days_working']}; profiles in by {s['in_time_h']:g} h: "
        f"{_share(s['profiles_in_time'], s['days'])}, within a day: {_share(s['profiles_within_a_day'], s['days'])}"
    )
    lines.append(f"clock ahead at the end {s['clock_ahead_s']:.1f} s, at worst {s['clock_worst_s']:.1f} s (truth)")
    billed = "" if s["billed_kwh"] is None else f", billed {s['billed_kwh']:.2f} kWh for INR {s['billed_inr']:.2f}"
    shown = "" if s["register_kwh"] is None else f"; its register ends at {s['register_kwh']:.2f} kWh"
    lines.append(f"used {s['used_kwh']:.3f} kWh (truth), metered {s['metered_kwh']:.2f} kWh{billed}{shown}")
    limit = f" ({s['limit_openings']} openings by its load limit)" if s["limit_openings"] else ""
    lines.append(
        f"without supply {s['minutes_dark']:.0f} min in {s['interruptions']} interruptions; "
        f"switched off {s['minutes_off']:.0f} min{limit}"
    )
    return lines


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100.0 * part / whole:.0f} %)"


DAY_HEAD = (
    "day", "works", "used kWh", "metered kWh", "register kWh", "clock ahead s", "read after h",
    "fetched, lost, waiting", "dark min", "off min",
)  # fmt: skip
"""``fetched, lost, waiting``: days of profile."""


def _day_lines(story: MeterStory) -> Lines:
    return [
        (
            str(row["date"]), "yes" if row["working"] else "no", f"{row['used_kwh']:.3f}", f"{row['metered_kwh']:.2f}",
            _kwh(row["register_kwh"]), f"{row['clock_s']:.1f}",
            "-" if row["arrival_h"] is None else f"{row['arrival_h']:.1f}",
            ", ".join(str(row[f"days_{what}"]) for what in ("fetched", "lost", "waiting")),
            _minutes(row["dark_min"]), _minutes(row["off_min"]),
        )
        for row in day_by_day(story)
    ]  # fmt: skip


def _kwh(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _minutes(minutes: float) -> str:
    return f"{minutes:.0f}" if minutes else "-"


def _interruption_lines(story: MeterStory) -> Lines:
    return [
        (_text(span.began), _text(span.ended), f"{60.0 * span.hours:.1f}", span.cause or "-")
        for span in story.interruptions
    ]


def _limit_lines(story: MeterStory) -> Lines:
    return [
        (
            str(row["date"]), f"{row['limit_kw']:.2f}", str(row["openings"]), f"{row['open_min']:.1f}",
            "yes" if row["locked"] else "no", f"{row['unserved_kwh']:.3f}",
        )
        for row in story.limits
    ]  # fmt: skip


def _event_lines(story: MeterStory) -> Lines:
    """Events one by one; where they are many, how often each kind came. Power has a table of its own."""
    events = [row for row in story.events if row["event"] not in POWER]
    if len(events) <= MOST_LINES:
        return [(_text(row["event_time"]), row["event"], str(row["code"] or "-")) for row in events]
    kinds = Counter((row["event"], row["code"]) for row in events)
    first: dict[tuple[str, int], Any] = {}
    for row in events:
        first.setdefault((row["event"], row["code"]), row["event_time"])
    return [(f"{n} times from {_text(first[kind])}", kind[0], str(kind[1] or "-")) for kind, n in kinds.items()]


def _register_lines(story: MeterStory) -> Lines:
    return [
        (
            str(row["period_start"]), str(row["zone"]), f"{row['start_wh'] / WH_PER_KWH:.2f}",
            f"{row['end_wh'] / WH_PER_KWH:.2f}", f"{row_gained_wh(row) / WH_PER_KWH:.2f}",
            (row["taken_as"] or "-").replace("_", " "),
        )
        for row in story.registers
    ]  # fmt: skip


def _bill_lines(story: MeterStory) -> Lines:
    return [
        (
            f"{row['period_start']} to {row['period_end']}", f"{row['used_kwh']:.3f}", f"{row['metered_kwh']:.2f}",
            _inr(row["total_paise"]),
        )
        for row in story.bills
    ]  # fmt: skip


ESTIMATE_HEAD = ("window", "flag", "rule", "days missing", "register kWh (truth)", "billed kWh")


def _estimate_lines(story: MeterStory) -> Lines:
    return [
        (
            f"{row['period_start']} to {row['period_end']}", row["flag"], row["rule"], str(row["days_missing"]),
            f"{row['metered_kwh']:.2f}", f"{row['billed_kwh']:.2f}",
        )
        for row in story.estimates
    ]  # fmt: skip


def _command_lines(story: MeterStory) -> Lines:
    return [
        (row["command"], _text(row["issued"]), _text(row["executed"] or "-"), row["result"]) for row in story.commands
    ]


WALLET_HEAD = ("day", "debited", "balance after", "recharged", "at", "cut at", "hours off", "balance at night")


def _wallet_lines(story: MeterStory) -> Lines:
    return [
        (
            str(row["date"]), _inr(row["debited_paise"]), _inr(row["morning_paise"]), _inr(row["recharged_paise"]),
            _clock(row["recharged_at"]), _clock(row["disconnected_at"]), f"{row['hours_off']:.2f}",
            _inr(row["evening_paise"]),
        )
        for row in story.wallet
    ]  # fmt: skip


def _inr(paise: int) -> str:
    return f"{paise / PAISE_PER_INR:.2f}"


def _clock(when: Any) -> str:
    return "-" if when is None else f"{when:%H:%M}"


def _table(title: str, head: Sequence[str], lines: Lines) -> Table:
    table = Table(title=title, title_justify="left")
    for name in head:
        table.add_column(name, justify="right")
    for line in lines[:MOST_LINES]:
        table.add_row(*line)
    return table


def _text(value: Any) -> str:
    return str(value)[:19]
