"""Sentences of the answer that describe: interruptions of supply, and what meters show, world by world."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from twin.analysis.left_out import has_devices
from twin.report import numbers
from twin.report.facts import Arm, Facts, exact_sum, literal
from twin.report.figures import meter_losses, meter_service
from twin.report.figures.worlds import cases, in_cases, label, worlds
from twin.report.settings import setting

MOST_TOLD = 2
"""Worlds that the answer tells of: the figures hold them all."""
ESTIMATED = ("missing", "defective", "door_locked")
"""Flags of table ``estimates`` whose window was billed by an estimate."""


def supply_words(facts: Facts, model: Markup, period: str) -> list[Markup]:
    """Interruptions per consumer and energy not served; empty where supply is never interrupted."""
    rows = facts.rows(
        "select arm, measure, value from reliability where area = 'state' and feeders = 'all' order by arm, measure"
    )
    found = {(row["arm"], row["measure"]): row["value"] for row in rows}
    told = [arm for arm in worlds(facts) if (arm.name, "saidi") in found][:MOST_TOLD]
    lines = []
    for arm in told:
        energy, share = not_served(facts, arm)
        words = {
            **{name: numbers.number(found[arm.name, name], 1) for name in ("saifi", "saidi")},
            "energy": numbers.with_unit(numbers.number(energy), "MWh"),
            "share": numbers.percent(share),
        }
        if arm is told[0]:
            area = facts.area_name("state")
            lines.append(facts.t.html("answer.supply", model=model, period=period, area=area, **words))
        else:
            lines.append(facts.t.html("answer.supply.world", label=label(facts, arm), **words))
    return lines


def not_served(facts: Facts, arm: Arm) -> tuple[float, float]:
    """Energy not served in the run's days, mean over draws [MWh], and its share of what would be used [percent]."""
    sums = facts.rows(
        f"select {exact_sum('unserved_mw')} as unserved, {exact_sum('used_mw')} as used "
        f"from system where {in_cases(facts, arm)}"
    )[0]
    energy = sums["unserved"] * facts.step_hours / len(cases(facts, arm))
    return energy, 100.0 * sums["unserved"] / (sums["unserved"] + sums["used"])


def meter_words(facts: Facts, model: Markup) -> list[Markup]:
    """Smart meters read in time, and what meters and bills miss; empty where meters are no devices.

    ``model`` is empty where a sentence before has said that this is a model.
    """
    if not has_devices(facts.scenario):
        return []
    return [*_read_words(facts, model), *_estimated_words(facts), *_missed_words(facts)]


def _read_words(facts: Facts, model: Markup) -> list[Markup]:
    level = setting("service_level")
    hour, least = int(level["hours"][0]), f"{level['percent'][0]:g}"
    days = {arm: meter_service.daily_reads(facts, arm) for arm in worlds(facts)[:MOST_TOLD]}
    shares = {
        arm: numbers.with_unit(numbers.number(meter_service.share_read(rows, hour), 1), "%")
        for arm, rows in days.items() if rows
    }  # fmt: skip
    lines = []
    for place, (arm, read) in enumerate(shares.items()):
        if place == 0:
            key = "answer.meters.model" if model else "answer.meters"
            lines.append(facts.t.html(key, model=model, read=read, hour=hour, least=least))
        else:
            lines.append(facts.t.html("answer.meters.world", label=label(facts, arm), read=read))
    return lines


def _estimated_words(facts: Facts) -> list[Markup]:
    """Bills that rest on an estimate; none where no world has any."""
    counts = {arm: estimated_bills(facts, arm) for arm in worlds(facts)[:MOST_TOLD]}
    if not any(counts.values()):
        return []
    lines = []
    for place, (arm, n) in enumerate(counts.items()):
        key = "answer.estimated.world" if place else "answer.estimated"
        lines.append(facts.t.html(key, label=label(facts, arm), bills=numbers.count(n).both()))
    return lines


def estimated_bills(facts: Facts, arm: Arm) -> float:
    """Windows billed by an estimate, of simulated consumers, mean over draws."""
    flags = ", ".join(map(literal, ESTIMATED))
    where = f"{in_cases(facts, arm)} and flag in ({flags})"
    return float(facts.rows(f"select count(*) as n from estimates where {where}")[0]["n"]) / len(cases(facts, arm))


def _missed_words(facts: Facts) -> list[Markup]:
    """Energy that is missed and its worth; a further world only where its share differs."""
    area, told = meter_losses.shown_area(facts), []
    for arm in worlds(facts)[:MOST_TOLD]:
        rows = missed(facts, arm, area)
        if not rows:
            return []
        parts = {row["part"]: row["percent_of_used"] or 0.0 for row in rows}
        shares = {
            "share": sum(parts.values()),
            "theft": parts["theft"],
            "meters": parts["unrecorded"] + parts["error"],
            "estimates": parts["estimate"],
        }
        words = {name: numbers.with_unit(numbers.number(value, 2), "%") for name, value in shares.items()}
        told.append((arm, words | {"worth": numbers.rupees(sum(row["value_inr"] for row in rows)).indian}))
    first = told[0][1]
    lines = [facts.t.html("answer.missed", area=facts.area_name(area), **first)]
    return lines + [
        facts.t.html("answer.missed.world", label=label(facts, arm), **words)
        for arm, words in told[1:]
        if words["share"] != first["share"]
    ]


def missed(facts: Facts, arm: Arm, area: str) -> list[dict[str, Any]]:
    """Rows of table ``meter_losses`` that say what meters and bills miss."""
    where = f"arm = {arm.sql} and area = {literal(area)} and part <> 'used'"
    return facts.rows(f"select * from meter_losses where {where} order by part")
