"""What each arm changes, in words, from the resolved scenario: a reader must not have to guess what a name means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twin import datapack
from twin.hours import minutes_of
from twin.report import numbers
from twin.report.catalogue import clean
from twin.report.facts import Arm, Facts
from twin.units import MINUTES_PER_DAY

MOST_SETTINGS = 6
BEHAVIOURS = ("learning", "fatigue", "snap_back", "differences")
TOD_RULES = ("applies_to", "categories", "min_kw", "requires_smart_meter")
"""Keys of a time of day that are no periods."""


def arm_words(facts: Facts) -> list[tuple[Arm, str]]:
    """Every arm of the scenario once, with what it changes; swept values are the figure's, not the arm's."""
    first: dict[str, Arm] = {}
    for arm in facts.arms:
        first.setdefault(arm.base, arm)
    return [(arm, _words(facts, arm)) for arm in first.values()]


def _words(facts: Facts, arm: Arm) -> str:
    settings = facts.arm_settings(arm)
    tariff = _mapping(settings.get("tariff"))
    told = {
        "time_of_day": _time_of_day,
        "day_ahead": _day_ahead,
        "critical_peak": _critical_peak,
        "peak_rebate": _peak_rebate,
        "free_units": _free_units,
    }
    own = {name: _mapping(tariff.get(name)) for name in told}
    parts = [words for words in (told[name](facts, part) for name, part in own.items() if part) if words]
    who, how = _mapping(settings.get("enrolment")), _mapping(settings.get("behaviour"))
    parts += [words for words in (_enrolment(facts, who), _behaviour(facts, how)) if words]
    known = {"tariff": {name: part for name, part in own.items() if part}, "enrolment": who, "behaviour": how}
    rest = [f"{path} = {shown}" for path, shown in _leaves(settings, known)]
    parts += [clean(line, 80) for line in rest[:MOST_SETTINGS]]
    if len(rest) > MOST_SETTINGS:
        parts.append(facts.t.text("arm.more", n=len(rest) - MOST_SETTINGS))
    if not parts:
        return facts.t.text("arm.as_is", tariff=clean(str(facts.scenario.get("tariff", "")), 40))
    return "; ".join(parts)


def _time_of_day(facts: Facts, tod: Mapping[str, Any]) -> str:
    periods = [(name, entry) for name, entry in tod.items() if name not in TOD_RULES and isinstance(entry, Mapping)]
    if not periods:
        return ""
    windows = ", ".join(
        facts.t.text(
            "arm.period",
            factor=numbers.number(float(entry["multiplier"]), 2),
            hours=_clock_words(facts, str(entry["hours"])),
            name=facts.t.name("window", name),
        )
        for name, entry in periods
    )
    basis = facts.t.name("arm.applies_to", str(tod.get("applies_to", "gross")))
    return ", ".join([facts.t.text("arm.time_of_day", windows=windows, basis=basis), *_for_whom(facts, tod)])


def _day_ahead(facts: Facts, market: Mapping[str, Any]) -> str:
    basis = facts.t.name("arm.applies_to", str(market.get("applies_to", "gross")))
    percent = numbers.share(float(market["pass_through"]))
    return ", ".join([facts.t.text("arm.day_ahead", basis=basis, percent=percent), *_for_whom(facts, market)])


def _critical_peak(facts: Facts, events: Mapping[str, Any]) -> str:
    factor = numbers.number(float(events["multiplier"]), 2)
    return facts.t.text("arm.critical_peak", factor=factor, **_called(facts, events))


def _peak_rebate(facts: Facts, events: Mapping[str, Any]) -> str:
    inr = numbers.number(float(events["inr_per_kwh"]), 2)
    parts = [facts.t.text("arm.peak_rebate", inr=inr, **_called(facts, events))]
    return ", ".join([*parts, *_for_whom(facts, {**events, "requires_smart_meter": True})])


def _called(facts: Facts, events: Mapping[str, Any]) -> dict[str, Any]:
    """Words that both kinds of events share."""
    notice = f"{float(events.get('notice_hours', 0)):g}"
    return {"hours": _clock_words(facts, str(events["hours"])), "n": len(events["dates"]), "notice": notice}


def _for_whom(facts: Facts, tod: Mapping[str, Any]) -> list[str]:
    """Whom a time of day or a rebate is for."""
    words = []
    covered = tod.get("categories")
    if isinstance(covered, list | tuple):
        words.append(facts.t.text("arm.categories", n=len(covered), all=len(datapack.categories())))
    if tod.get("min_kw"):
        words.append(facts.t.text("arm.min_kw", kw=f"{tod['min_kw']:g}"))
    if tod.get("requires_smart_meter"):
        words.append(facts.t.text("arm.smart"))
    return words


def _clock_words(facts: Facts, hours: str) -> str:
    """``17:00 to 23:00`` of a window as scenarios write it."""
    first, last = minutes_of(hours)
    last = last - MINUTES_PER_DAY if last > MINUTES_PER_DAY else last
    start, end = (f"{minute // 60:02d}:{minute % 60:02d}" for minute in (first, last))
    return facts.t.text("number.span", low=start, high=end)


def _free_units(facts: Facts, free: Mapping[str, Any]) -> str:
    limits = _mapping(free.get("per_period"))
    if limits:
        own = (
            facts.t.text("arm.free_limit", kwh=f"{limit:g}", name=facts.t.name("window", name))
            for name, limit in limits.items()
        )
        return facts.t.text("arm.free_units", limits=", ".join(own))
    if free.get("weight"):
        return facts.t.text("arm.free_weight")
    rebate = _mapping(free.get("rebate")).get("inr_per_kwh")
    return facts.t.text("arm.rebate", inr=numbers.number(float(rebate), 2)) if rebate else ""


def _enrolment(facts: Facts, enrolment: Mapping[str, Any]) -> str:
    """Who of those whom the tariff is for is on it."""
    return facts.t.text(f"arm.enrolment.{enrolment['mode']}") if enrolment else ""


def _behaviour(facts: Facts, behaviour: Mapping[str, Any]) -> str:
    """How the response comes about."""
    asked = [facts.t.text(f"arm.behaviour.{name}") for name in BEHAVIOURS if behaviour.get(name)]
    if share := float(behaviour.get("technology_share") or 0.0):
        asked.append(facts.t.text("arm.behaviour.technology", share=numbers.share(share)))
    return facts.t.text("arm.behaviour", parts=", ".join(asked)) if asked else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _leaves(settings: Any, known: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Paths and values of everything that is set and not in ``known`` (told in words already)."""
    if not isinstance(settings, Mapping):
        yield path, str(settings)
        return
    for name, value in settings.items():
        told = known.get(name)
        if told is not None and told == value:
            continue
        inner = f"{path}.{name}" if path else str(name)
        yield from _leaves(value, told if isinstance(told, Mapping) else {}, inner)
