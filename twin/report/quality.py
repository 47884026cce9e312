"""Data quality: assumed numbers by what they act on, marks where text rests on them, conventions, synthetic parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from twin import datapack
from twin.report.facts import Facts
from twin.report.settings import setting

OTHER = "other"
ANALYSIS = "analysis."
MOST_PRINTED = 60
"""Rows up to which a table of assumed numbers is printed; longer ones stand in the file only."""


@dataclass(frozen=True)
class Assumed:
    """One number the run rests on, with its page anchor."""

    anchor: str
    name: str
    value: str
    confidence: str
    source: str


@dataclass(frozen=True)
class AssumedGroup:
    """Numbers that act on one part of the model: its page anchor, its name, and what in the report rests on it."""

    anchor: str
    name: str
    acts: str
    rows: Sequence[Assumed]


class _Convention(datapack.Row):
    name: str
    value: float
    unit: str
    meaning: str
    confidence: str
    source: str


def group_of(name: str) -> str:
    """The part of the model that a number of the manifest's list acts on, by the start of its name."""
    for group, starts in setting("assumed_groups").items():
        if name.startswith(tuple(starts)):
            return str(group)
    return OTHER


def marks(facts: Facts, groups: Sequence[str]) -> Markup:
    """``price response [assumed], tariff rates [assumed]``: links to the groups of which the run lists any number."""
    listed = {group_of(str(entry["name"])) for entry in facts.assumed}
    found = [
        facts.t.html("assumed.mark", name=facts.t.text(f"assumed.group.{group}"), anchor=_anchor(group))
        for group in groups
        if group in listed
    ]
    if len(found) < 2:
        return Markup("").join(found)
    return facts.t.html("list.and", first=Markup(", ").join(found[:-1]), last=found[-1])


def bare_mark(facts: Facts, groups: Sequence[str]) -> Markup:
    """``[assumed]`` alone, where names would not fit: linked to the group, or to the list if there are several."""
    listed = {group_of(str(entry["name"])) for entry in facts.assumed}
    found = [group for group in groups if group in listed]
    if not found:
        return Markup("")
    return facts.t.html("assumed.bare", anchor=_anchor(found[0]) if len(found) == 1 else "data-quality")


def rests_on(subject: str) -> tuple[str, ...]:
    """Groups of assumed numbers that a figure (by its number, without letter), tile or sentence rests on."""
    return tuple(setting("rests").get(subject, ()))


def _anchor(group: str) -> str:
    return f"assumed-{group}"


def assumed_groups(facts: Facts) -> list[AssumedGroup]:
    """The manifest's list by what its numbers act on, each group in the manifest's order; empty groups are left out."""
    rows: dict[str, list[Assumed]] = {group: [] for group in (*setting("assumed_groups"), OTHER)}
    for entry in facts.assumed:
        if str(entry["name"]).startswith(ANALYSIS):
            continue  # a convention, listed with the others of its kind
        rows[group_of(str(entry["name"]))].append(_row(facts, entry))
    return [
        AssumedGroup(
            _anchor(group),
            _heading(facts.t.text(f"assumed.group.{group}")),
            facts.t.text(f"assumed.acts.{group}"),
            own,
        )
        for group, own in rows.items()
        if own
    ]


def _heading(name: str) -> str:
    return name[:1].upper() + name[1:]


def _row(facts: Facts, entry: Any) -> Assumed:
    value = entry.get("value")
    shown = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    return Assumed(
        facts.assumed_id(entry["name"]),
        facts.t.data(entry["name"], 120),
        facts.t.data(shown, 120),
        facts.t.name("confidence", str(entry.get("confidence", ""))),
        facts.t.data(entry.get("source", ""), 200),
    )


def conventions(facts: Facts) -> list[Assumed]:
    """Limits and definitions that the analysis and the report chose, none of them measured."""
    rows = []
    for row in datapack.read_rows("analysis", _Convention):
        value = f"{row.value:g} {row.unit}" if row.unit != "-" else f"{row.value:g}"
        confidence = facts.t.name("confidence", row.confidence)
        name = facts.t.data(f"{row.name} ({row.meaning})", 200)
        rows.append(Assumed("", name, facts.t.data(value), confidence, facts.t.data(row.source, 200)))
    for name, entry in _settings():
        confidence, _, source = str(entry["source"]).partition(": ")
        shown = f"{entry.get('value', entry.get('limits'))} {entry.get('unit', '')}".strip()
        cells = (facts.t.data(name), facts.t.data(shown), facts.t.name("confidence", confidence))
        rows.append(Assumed("", *cells, facts.t.data(source, 200)))
    return rows


def _settings() -> Iterator[tuple[str, dict[str, Any]]]:
    """Entries of ``report.yaml`` that say they are assumed."""
    for name, entry in datapack.read_yaml("report").items():
        if isinstance(entry, dict) and str(entry.get("source", "")).startswith("assumed"):
            yield name, entry
        elif name == "floors":
            for floor, own in entry.items():
                yield f"floor_{floor}", own


def synthetic_parts(facts: Facts) -> list[str]:
    """What of the network is made by rule."""
    return [facts.t.data(part, 300) for part in facts.manifest.get("synthetic") or []]
