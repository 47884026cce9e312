"""The first page: who, when, where, and six key figures. It alone must survive being passed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twin.analysis.ledger import is_closed, ledger_rows
from twin.report import numbers
from twin.report.answer import home_shares, judged, kind_words, lead_effect, money_words
from twin.report.arms import arm_words
from twin.report.catalogue import DESCRIPTION_LIMIT, clean
from twin.report.draws import values_by_replicate
from twin.report.effects import Effect, Verdict
from twin.report.facts import Arm, Facts, day_words, exact_sum
from twin.report.figures import ledger
from twin.report.figures.prices import home_share_at_zero
from twin.report.left_out import left_out_lines
from twin.report.quality import rests_on


@dataclass(frozen=True)
class Tile:
    """One key figure: its name, one or two values, and lines that say the interval's kind and the reference."""

    name: str
    values: Sequence[str]
    lines: Sequence[str] = ()
    rests: Sequence[str] = ()
    """Groups of assumed numbers that the values rest on."""


@dataclass(frozen=True)
class Front:
    """Everything on page one but the answer and figure 1."""

    question: str
    facts: Sequence[tuple[str, str]]
    banners: Sequence[str]
    tiles: Sequence[Tile]
    tiles_heading: str
    verdict: str
    arms: Sequence[tuple[Arm, str]]
    """Every arm with what it changes."""


def front_page(facts: Facts) -> Front:
    """The title block and the tiles."""
    question = clean(str(facts.scenario.get("description") or facts.scenario.get("name", "")), DESCRIPTION_LIMIT)
    return Front(
        question,
        _facts(facts),
        banners(facts),
        tiles(facts),
        _tiles_heading(facts),
        ledger_verdict(facts),
        arm_words(facts),
    )


def _tiles_heading(facts: Facts) -> str:
    """Key figures, of which arm against which."""
    if not facts.treatments:
        return facts.t.text("tiles.heading.one", arm=facts.reference.label)
    effect = lead_effect(facts)
    arm = facts.arm(effect.arm) if effect else facts.treatments[0]
    return facts.t.text("tiles.heading", arm=arm.label, reference=facts.reference.label)


def ledger_verdict(facts: Facts) -> str:
    """``closes``, ``does not close`` or ``missing``."""
    rows = ledger_rows(facts.manifest)
    if not rows:
        return facts.t.text("tile.ledger.none")
    return facts.t.text("tile.ledger.closed" if is_closed(rows) else "tile.ledger.open")


def _facts(facts: Facts) -> list[tuple[str, str]]:
    t = facts.t
    key = "meta.arms.value" if facts.treatments else "meta.arms.one"
    period = t.text(
        "period.value.one" if facts.days == 1 else "period.value.many",
        day=day_words(facts, facts.first_day),
        days=facts.days,
        minutes=round(facts.step_hours * 60),
    )
    draws = "meta.replicates.one" if facts.replicates == 1 else "meta.replicates.many"
    return [
        (t.text("meta.area"), _area(facts)),
        (t.text("meta.period"), period),
        (t.text("meta.arms"), t.text(key, reference=facts.reference.label) + _sweep(facts)),
        (t.text("meta.consumers"), _consumers(facts)),
        (t.text("meta.replicates"), t.text(draws, n=facts.replicates)),
        (t.text("meta.run"), f"{clean(str(facts.scenario.get('name', '')), 64)} {facts.digest[:12]}"),
    ]


def _sweep(facts: Facts) -> str:
    points = len({arm.sweep for arm in facts.arms})
    return facts.t.text("meta.arms.swept", n=points) if points > 1 else ""


def _area(facts: Facts) -> str:
    state = facts.area_name("state")
    if facts.resolved_districts:
        districts = ", ".join(clean(name) for name in facts.resolved_districts)
        return facts.t.text("area.resolved", state=state, districts=districts)
    return facts.t.text("area.whole" if facts.resolves_all else "area.sampled", state=state)


def _consumers(facts: Facts) -> str:
    simulated = numbers.count(float(facts.manifest.get("consumers") or 0)).both()
    state = (facts.manifest.get("population") or {}).get("consumers_state")
    if not state:
        return facts.t.text("meta.consumers.plain", simulated=simulated)
    return facts.t.text("meta.consumers.value", simulated=simulated, state=numbers.count(float(state)).both())


def banners(facts: Facts) -> list[str]:
    """What a reader must know before anything else: incomplete run, failed solves, open ledger."""
    t, lines = facts.t, []
    status = str(facts.manifest.get("status", ""))
    if status not in ("complete", "complete_with_failures"):
        lines.append(t.text("banner.incomplete", status=clean(status)))
    failures = ledger.failed_solves(facts)
    total = sum(failure["count"] for failure in failures)
    if total == 1:
        lines.append(t.text("banner.failed.one"))
    elif total:
        where = "; ".join(t.text("banner.failed.where", **failure) for failure in failures[:3])
        lines.append(t.text("banner.failed.many", n=numbers.number(total), where=where))
    rows = ledger_rows(facts.manifest)
    if not rows:
        lines.append(t.text("banner.no_ledger"))
    elif not is_closed(rows):
        lines.append(t.text("banner.ledger"))
    return lines


def tiles(facts: Facts) -> list[Tile]:
    """Six key figures of the leading arm, or levels when there is only one arm."""
    effect = lead_effect(facts)
    if not facts.treatments:
        return [*_level_tiles(facts), _ledger_tile(facts)]
    arm = facts.arm(effect.arm) if effect else facts.treatments[0]
    return [
        _peak_tile(facts, arm, effect),
        _energy_tile(facts, arm),
        _homes_tile(facts, arm),
        _money_tile(facts, arm),
        _overload_tile(facts, arm),
        _ledger_tile(facts),
    ]


def _peak_tile(facts: Facts, arm: Arm, effect: Effect | None) -> Tile:
    name = facts.t.text("tile.evening_peak", area=facts.area_name(effect.area if effect else "state"))
    return Tile(name, *_relative(facts, arm, effect), rests_on("effect"))


def _overload_tile(facts: Facts, arm: Arm) -> Tile:
    effect = facts.effect("dt_overload_hours", arm.name)
    if effect is None:
        return _no_tile(facts, facts.t.text("tile.overload"), "transformers")
    return Tile(facts.t.text("tile.overload"), *_relative(facts, arm, effect), rests_on("overload"))


def _no_tile(facts: Facts, name: str, part: str) -> Tile:
    """A figure that the run does not hold, and why where the scenario leaves its tables out."""
    why = [facts.t.text("tile.left_out")] if left_out_lines(facts, part) else []
    return Tile(name, [facts.t.text("tile.none")], why)


def _relative(facts: Facts, arm: Arm, effect: Effect | None) -> tuple[list[str], list[str]]:
    relative = effect.in_percent() if effect else None
    if effect is None or relative is None:
        return [facts.t.text("tile.none")], []
    reference = numbers.quantity(effect.reference or 0.0, effect.unit)
    lines = [facts.t.text("tile.reference", arm=facts.reference.label, value=reference)]
    if judged(effect) == Verdict.EXACTLY_ZERO:
        return [facts.t.text("tile.exactly_zero")], lines
    interval = relative.best
    low, high = (interval.low, interval.high) if interval else (None, None)
    decimals = numbers.decimals_for(relative.value, low, high)
    value = numbers.with_unit(numbers.number(relative.value, decimals, signed=True), "%")
    return [value], [_doubt(facts, relative, decimals, "%"), *lines]


def _doubt(facts: Facts, effect: Effect, decimals: int, unit: str) -> str:
    interval = effect.best
    if interval is None:
        return facts.t.text("kind.none")
    ends = numbers.span(interval.low, interval.high, decimals, unit, signed=True)
    return f"{ends}; {kind_words(facts, interval)}"


def _energy_tile(facts: Facts, arm: Arm) -> Tile:
    moved, saved = (facts.effect(outcome, arm.name) for outcome in ("energy_moved", "energy_saved"))
    if moved is None or saved is None:
        return Tile(facts.t.text("tile.energy"), [facts.t.text("tile.none")])
    values = [
        facts.t.text("tile.energy.value", moved=_energy(moved)),
        facts.t.text("tile.energy.saved", saved=_energy(saved), spread=_spread(facts, saved)),
    ]
    return Tile(
        facts.t.text("tile.energy"),
        values[:1],
        [_spread(facts, moved), values[1]],
        rests_on("energy"),
    )


def _energy_decimals(effect: Effect) -> int:
    interval = effect.best
    return numbers.decimals_for(effect.value, *((interval.low, interval.high) if interval else (None, None)))


def _energy(effect: Effect) -> str:
    """Energy with the digits its interval allows."""
    return numbers.with_unit(numbers.number(effect.value, _energy_decimals(effect)), effect.unit)


def _spread(facts: Facts, effect: Effect) -> str:
    """Interval of an energy with its kind, without repeating the unit."""
    interval = effect.best
    if interval is None:
        return facts.t.text("kind.none")
    ends = numbers.span(interval.low, interval.high, _energy_decimals(effect))
    return f"{ends}; {kind_words(facts, interval)}"


def _money_spread(facts: Facts, effect: Effect) -> str:
    """Interval of an amount in the unit of its value (crore or lakh), with its kind."""
    interval = effect.best
    if interval is None:
        return facts.t.text("kind.none")
    unit = numbers.CRORE if abs(effect.value) >= numbers.CRORE else numbers.LAKH
    low, high, value = (amount / unit for amount in (interval.low, interval.high, effect.value))
    ends = numbers.span(low, high, numbers.decimals_for(value, low, high), signed=True)
    return f"{ends}; {kind_words(facts, interval)}"


def _homes_tile(facts: Facts, arm: Arm) -> Tile:
    shares = home_shares(facts, arm)
    name = facts.t.text("tile.homes")
    if shares is None:
        return _no_tile(facts, name, "bills")
    homes = numbers.count(shares["homes"]).both()
    lines = [facts.t.text("tile.homes.detail")]
    zero = home_share_at_zero(facts, arm)
    if zero is not None:
        lines.append(facts.t.text("tile.homes.zero", share=numbers.share(zero), homes=homes))
    return Tile(name, [numbers.share(shares["same"])], lines, rests_on("shares"))


def _money_tile(facts: Facts, arm: Arm) -> Tile:
    revenue, subsidy = facts.effect("revenue", arm.name), facts.effect("subsidy", arm.name)
    period = facts.counted("days", facts.days)
    if revenue is None or subsidy is None:
        return _no_tile(facts, facts.t.text("tile.money", period=period), "bills")
    lines = [
        _western(facts, money_words(revenue, facts).western, _money_spread(facts, revenue)),
        facts.t.text(
            "tile.money.subsidy", value=money_words(subsidy, facts).indian, spread=_money_spread(facts, subsidy)
        ),
    ]
    value = facts.t.text("tile.money.revenue", value=money_words(revenue, facts).indian)
    return Tile(facts.t.text("tile.money", period=period), [value], lines, rests_on("money"))


def _western(facts: Facts, western: str, spread: str) -> str:
    return facts.t.text("tile.money.western", western=western, spread=spread) if western else spread


def _ledger_tile(facts: Facts) -> Tile:
    rows = ledger_rows(facts.manifest)
    closures = [abs(row.closure) for row in rows if row.closure is not None]
    borders = [abs(row.border_mismatch) for row in rows if row.border_mismatch is not None]
    details = []
    if closures:
        border = numbers.scientific(max(borders)) if borders else ""
        closure = numbers.scientific(max(closures))
        details.append(facts.t.text("tile.ledger.detail", closure=closure, border=border))
    failed = len(facts.manifest.get("failed_solves") or [])
    key = "tile.ledger.solves" if failed else "tile.ledger.no_solves"
    return Tile(
        facts.t.text("tile.ledger"), [ledger_verdict(facts)], [*details, facts.t.text(key, n=numbers.number(failed))]
    )


def _level_tiles(facts: Facts) -> list[Tile]:
    """With one arm: levels, not changes."""
    t = facts.t
    peak: dict[str, Any] = facts.rows("select interval_start, sent_mw from system order by sent_mw desc, 1 limit 1")[0]
    own = [
        Tile(
            t.text("tile.peak", area=facts.area_name("state")),
            [numbers.with_unit(numbers.number(peak["sent_mw"], 0), "MW")],
            [
                t.text(
                    "tile.peak.when",
                    day=day_words(facts, peak["interval_start"]),
                    time=f"{peak['interval_start']:%H:%M}",
                ),
                t.text("tile.not_compared"),
            ],
        )
    ]
    for key, parts in (("tile.energy_sent", ("sent",)), ("tile.losses", ("loss_",))):
        rows = facts.rows("select part, energy_mwh, percent_of_sent from losses where area = 'state' order by part")
        chosen = [row for row in rows if row["part"].startswith(parts)]
        if chosen:
            energy = sum(row["energy_mwh"] for row in chosen) / 1e3
            share = sum(row["percent_of_sent"] for row in chosen)
            value = numbers.with_unit(numbers.number(energy, max(numbers.decimals_for_figures(energy), 0)), "GWh")
            own.append(Tile(t.text(key), [value], [numbers.percent(share), t.text("tile.not_compared")]))
    return [*own, *_cost_tiles(facts)]


def _cost_tiles(facts: Facts) -> list[Tile]:
    """With one arm: what the energy cost, and how many homes face a price of zero."""
    t, own = facts.t, []
    costs = [
        value for (arm, _), value in values_by_replicate(facts, "purchase_cost").items() if arm == facts.reference.name
    ]
    if costs:
        amount = numbers.rupees(sum(costs) / len(costs))
        name = t.text("tile.purchase", period=facts.counted("days", facts.days))
        lines = [line for line in (amount.western, t.text("tile.not_compared")) if line]
        own.append(Tile(name, [amount.indian], lines, rests_on("purchase")))
    zero = home_share_at_zero(facts, facts.reference)
    if zero is not None:
        sql = f"select {exact_sum('weight * consumers')} as n from population where income_class > 0"
        homes = facts.rows(sql)[0]["n"]
        lines = [t.text("tile.homes_zero.detail", homes=numbers.count(homes).both())] if homes else []
        own.append(Tile(t.text("tile.homes_zero"), [numbers.share(zero)], lines, rests_on("3")))
    return own
