"""Figure 14b: what meters went through, which bills rest on estimates, and what became of commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twin.analysis.left_out import has_devices
from twin.report import numbers
from twin.report.facts import Arm, Facts, exact_sum
from twin.report.figures import base
from twin.report.figures.worlds import cases, in_cases, label, worlds

ORDER = ("events", "estimates", "commands", "supply")
KWH_PER_MWH = 1e3
Row = Mapping[str, Any]


def build(facts: Facts) -> base.Figure | None:
    """A table of counts by world, means over draws; None where meters are not devices or nothing happened."""
    if not has_devices(facts.scenario):
        return None
    shown = worlds(facts)
    counts: dict[tuple[str, str, str], dict[str, float]] = {}
    for arm in shown:
        for key, count in _counts(facts, arm).items():
            counts.setdefault(key, {})[arm.name] = count / len(cases(facts, arm))
    if not counts:
        return None
    failed = [counts.get(("events", "failed", ""), {}).get(arm.name, 0.0) for arm in shown]
    low, high = (numbers.count(end).indian for end in (min(failed), max(failed)))
    keys = sorted(counts, key=lambda key: (ORDER.index(key[0]), key))
    return base.Figure(
        number="14b",
        title=facts.t.text("fig14b.title.one", n=low)
        if low == high
        else facts.t.text("fig14b.title.many", low=low, high=high),
        subtitle=facts.t.text("fig14b.subtitle"),
        alt="",
        help=[facts.t.text("fig14b.help")],
        table=base.Table(
            facts.t.text("fig14b.caption"),
            [*(facts.t.text(f"column.{name}") for name in ("what", "code")), *(label(facts, arm) for arm in shown)],
            [(_name(facts, key), key[2], *(_count(key, counts[key].get(arm.name)) for arm in shown)) for key in keys],
            frozenset(range(1, 2 + len(shown))),
        ),
        csv_header=("arm", "group", "what", "code", "per_draw"),
        csv_rows=[(arm, *key, value) for key in keys for arm, value in counts[key].items()],
    )


def _counts(facts: Facts, arm: Arm) -> dict[tuple[str, str, str], float]:
    """Counts of one world over all its draws, by (group, what, code)."""
    where = in_cases(facts, arm)
    queries = {
        "events": "select case when starts_with(event, 'command_') then 'command' else event end as what, "
        f"case when code = 0 then '' else code::varchar end as code, count(*) as n from meter_events where {where}",
        "estimates": f"select flag as what, '' as code, count(*) as n from estimates where {where}",
        "commands": f"select command || '.' || result as what, '' as code, count(*) as n from commands where {where}",
    }
    found = {
        (group, row["what"], row["code"]): float(row["n"])
        for group, sql in queries.items()
        for row in facts.rows(f"{sql} group by all order by all")
    }
    return found | _not_served(facts, where)


def _not_served(facts: Facts, where: str) -> dict[tuple[str, str, str], float]:
    """Energy not served, of the state, and as far as tables tell by cause, of simulated consumers. [MWh]

    Load limits come last, on what interruptions and other switches leave, so that the parts add up. Commands and
    wallets are told from interruptions only where a run has no such switches.
    """
    state = facts.rows(f"select {exact_sum('unserved_mw')} as mw from system where {where}")[0]["mw"]
    if not state:
        return {}
    found = {("supply", "unserved", ""): state * facts.step_hours}
    kept, fed = (
        facts.rows(f"select {exact_sum('unserved_kwh')} as kwh from {table} where {where}")[0]["kwh"]
        for table in ("load_limits", "supply")
    )
    if fed:
        settings = facts.scenario.get("meters") or {}
        commands = [row.get("command") for row in settings.get("commands") or ()]
        switched = settings.get("prepaid") is not None or "disconnect" in commands
        cause = "unserved_both" if switched else "unserved_interruptions"
        found["supply", cause, ""] = (fed - (kept or 0.0)) / KWH_PER_MWH
    if kept:
        found["supply", "unserved_limits", ""] = kept / KWH_PER_MWH
    return found


def _name(facts: Facts, key: tuple[str, str, str]) -> str:
    group, what, _ = key
    if group == "commands":
        command, _, result = what.partition(".")
        return facts.t.text(
            "meters.command_result",
            command=facts.t.name("meters.command", command),
            result=facts.t.name("meters.result", result),
        )
    return facts.t.name(f"meters.{group}", what)


def _count(key: tuple[str, str, str], value: float | None) -> str:
    if value is None:
        return numbers.number(0.0)
    return numbers.number(value, 1 if key[0] == "supply" or value != round(value) else 0)
