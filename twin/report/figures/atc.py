"""Figures 9b and 9c: the AT&C loss built up from its parts, of the state and of each discom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from twin import datapack
from twin.analysis.design import is_own_network
from twin.report import numbers
from twin.report.catalogue import chart_label
from twin.report.facts import Arm, Facts
from twin.report.figures import base, losses, utility
from twin.report.settings import setting

FILLS = {
    **{part: losses.FILLS[part] for part in ("loss_33kv", "loss_11kv", "loss_dt", "loss_lv")},
    "theft": ("#882255", "#882255"),
    "unrecorded": ("#AA4499", "#AA4499"),
    "meter_error": ("#8A6D00", "#8A6D00"),
    "estimate": ("#8A6D00", "#8A6D00"),
    "uncollected": ("#8C8C8C", "#595959"),
    "over_collected": ("#FFFFFF", "#595959"),
    "closure": ("#FFFFFF", "#595959"),
}
"""Fill and outline of each part of the loss, in the order of the steps."""
VISIBLE_POINTS = 0.005
"""Parts below it print as 0.00 and are left out of the chart, never of the table."""
ROW_PX = 28
WHOLE = 100.0
CSV = ("arm", "area", "part", "energy_mwh", "percent_of_input")
Shares = Mapping[str, float]
"""Points of the input by part of table ``atc``."""
Table = Mapping[tuple[str, str], Shares]
"""Shares by arm and area."""


@dataclass(frozen=True)
class Waterfall:
    """Steps from zero to the loss; sizes are signed, each step starts where the last one ended. [points of input]"""

    parts: tuple[str, ...]
    starts: tuple[float, ...]
    sizes: tuple[float, ...]
    total: float
    """All that is not paid for: 100 less the part collected (without payments: less the part billed)."""

    @property
    def end(self) -> float:
        """Where the last step ends."""
        return sum(self.sizes)


class _Published(datapack.Row):
    id: str
    period: str
    value_low: float


def waterfall(shares: Shares) -> Waterfall:
    """Steps of all parts of the loss of an area; what is billed is no part of it, and what is collected is none."""
    parts = tuple(part for part in FILLS if part in shares)
    sizes = tuple(shares[part] for part in parts)
    starts = tuple(sum(sizes[:place]) for place in range(len(sizes)))
    return Waterfall(parts, starts, sizes, WHOLE - shares.get("collected", shares["billed"]))


def build(facts: Facts) -> list[base.Figure]:
    """Steps of the first arm, of the state and of its discoms; other arms stand in the tables.

    Empty for runs without whole billing months or without bills.
    """
    table = shares_by_area(facts)
    areas = [area for arm, area in table if arm == facts.reference.name]
    if "state" not in areas:
        return []
    discoms = [area for area in areas if area.startswith("discom:")]
    return [_state_figure(facts, table), *([_discom_figure(facts, table, discoms, areas)] if discoms else [])]


def _state_figure(facts: Facts, table: Table) -> base.Figure:
    shares = table[facts.reference.name, "state"]
    key = "fig9b.title" if "collected" in shares else "fig9b.title.unbilled"
    return base.Figure(
        number="9b",
        title=facts.t.text(key, total=_percent(waterfall(shares).total, 1)),
        subtitle=facts.t.text("fig9b.subtitle", area=facts.area_name("state"), arm=facts.reference.label),
        alt=_alt(facts, shares),
        help=_help(facts, table, shares),
        table=_table(facts, table, ["state"]),
        csv_header=CSV,
        csv_rows=[tuple(row.values()) for row in _rows(facts) if row["area"] == "state"],
        csv_table="atc",
        charts=[_chart(facts, "state", shares, _reach(facts, {"state": shares}))],
        keys=_keys(facts, ["state"]),
    )


def _discom_figure(facts: Facts, table: Table, discoms: list[str], areas: list[str]) -> base.Figure:
    own = {area: table[facts.reference.name, area] for area in discoms}
    highest = max(discoms, key=lambda area: waterfall(own[area]).total)
    key = "fig9c.title" if len(discoms) > 1 else "fig9c.title.one"
    total = _percent(waterfall(own[highest]).total, 1)
    return base.Figure(
        number="9c",
        title=facts.t.text(key, area=facts.area_name(highest), total=total),
        subtitle=facts.t.text("fig9c.subtitle", arm=facts.reference.label),
        alt=" ".join(f"{facts.area_name(area)}: {_alt(facts, shares)}" for area, shares in own.items()),
        help=[facts.t.text("fig9c.help")],
        table=_table(facts, table, [area for area in areas if area != "state"]),
        csv_header=CSV,
        csv_rows=[tuple(row.values()) for row in _rows(facts) if row["area"] != "state"],
        csv_table="atc",
        charts=[_chart(facts, area, shares, _reach(facts, own), facts.area_name(area)) for area, shares in own.items()],
        keys=_keys(facts, discoms),
        columns=2 if len(discoms) > 1 else 1,
    )


def _rows(facts: Facts) -> list[dict[str, object]]:
    """Rows of table ``atc`` but those of single feeders, the state first."""
    return facts.rows(
        "select arm, area, part, energy_mwh, percent_of_input from atc where not starts_with(area, 'feeder:') "
        "order by arm, area <> 'state', not starts_with(area, 'discom:'), area, part"
    )


def shares_by_area(facts: Facts) -> dict[tuple[str, str], dict[str, float]]:
    """Points of the input by arm and area. Areas without input have none."""
    table: dict[tuple[str, str], dict[str, float]] = {}
    for row in _rows(facts):
        if (share := row["percent_of_input"]) is not None:
            table.setdefault((str(row["arm"]), str(row["area"])), {})[str(row["part"])] = float(str(share))
    return table


def published(facts: Facts, area: str) -> _Published | None:
    """The published AT&C loss of an area of the data pack's state, None where there is none."""
    ids = {} if is_own_network(facts.scenario) else setting("published_atc")
    rows = {row.id: row for row in datapack.read_rows("calibration", _Published)}
    return rows[ids[area]] if area in ids else None


def _chart(facts: Facts, area: str, shares: Shares, reach: float, caption: str = "") -> base.Chart:
    steps = waterfall(shares)
    shown = [place for place, size in enumerate(steps.sizes) if abs(size) >= VISIBLE_POINTS]
    names = [steps.parts[place] for place in shown]
    sizes = [steps.sizes[place] for place in shown]
    y = list(range(len(names) + 1))
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": base.rounded([*sizes, steps.total], 3),
        "base": base.rounded([*(steps.starts[place] for place in shown), 0.0], 3),
        "y": y,
        "width": 0.62,
        "marker": {
            "color": [*(FILLS[name][0] for name in names), "#000000"],
            "line": {"color": [*(FILLS[name][1] for name in names), "#000000"], "width": 1},
        },
        "hoverinfo": "x",
    }
    own = utility.rows_by_area(facts, facts.reference.name).get(area) if area != "state" else None
    estimate = own["atc_estimated_percent"] if own else None
    traces = [trace] if estimate is None else [trace, _estimate_mark(estimate, len(names))]
    notes = [
        base.note(numbers.number(value, 2), 1, place, xref="paper", xanchor="right", xshift=52, align="right")
        for place, value in enumerate([*sizes, steps.total])
    ]
    known = published(facts, area)
    look = base.layout(
        (130, 58, 8, 44),
        xaxis=base.axis(facts.t.text("axis.points_of_input"), range=[0, reach * 1.06], nticks=7),
        yaxis=base.axis(
            range=[len(names) + 0.55, -0.55],
            tickvals=y,
            ticktext=[chart_label(facts.t.text(f"atc.{name}")) for name in (*names, "total")],
            showgrid=False,
            ticks="",
        ),
        annotations=notes,
        shapes=_published_line(known, len(names) + 0.55),
    )
    height = (len(names) + 1) * ROW_PX + 56
    narrow = {"margin": look["margin"] | {"l": 118}}
    return base.Chart(traces, look, height, narrow, height, caption=caption)


def _estimate_mark(percent: float, row: int) -> dict[str, object]:
    """The discom's own estimate as a second mark on the row of the total."""
    marker = {
        "symbol": "diamond",
        "size": 11,
        "color": "#FFFFFF",
        "line": {"color": base.INK, "width": 2},
        "opacity": 1,
    }
    place = {"x": base.rounded([percent], 3), "y": [row], "cliponaxis": False}
    return {"type": "scatter", "mode": "markers", "marker": marker, "hoverinfo": "x", **place}


def _reach(facts: Facts, own: Mapping[str, Shares]) -> float:
    """The farthest that steps, totals and published figures of some areas go. [points]"""
    steps = [waterfall(shares) for shares in own.values()]
    known = [row.value_low for area in own if (row := published(facts, area))]
    said = [row["atc_estimated_percent"] or 0.0 for row in utility.rows_by_area(facts, facts.reference.name).values()]
    return max(end for one in steps for end in (one.total, *one.starts, *known, *said))


def _published_line(known: _Published | None, bottom: float) -> list[dict[str, object]]:
    if known is None:
        return []
    line = {"color": base.INK, "width": 1.5, "dash": "5px,3px"}
    return [base.rule(known.value_low, known.value_low, -0.55, bottom, line=line)]


def _keys(facts: Facts, areas: list[str]) -> list[base.Key]:
    known = [row for area in areas if (row := published(facts, area))]
    sample = base.line_sample(base.INK, "5 3", 1.5)
    keys = [base.Key(sample, facts.t.text("key.published_atc", period=known[0].period))] if known else []
    if areas != ["state"] and utility.rows_by_area(facts, facts.reference.name):
        keys.append(base.Key(base.dot_sample(base.INK, "diamond", hollow=True), facts.t.text("key.own_estimate")))
    return keys


def _help(facts: Facts, table: Table, state: Shares) -> list[str | Markup]:
    t = facts.t
    lines: list[str | Markup] = [t.text("fig9b.help"), _sentence(facts, state)]
    if (known := published(facts, "state")) is not None and "collected" in state:
        lines.append(t.text("fig9b.published", value=_percent(known.value_low, 1), period=known.period))
    if not (facts.scenario.get("meters") or {}).get("devices"):
        lines.append(t.html("fig9b.no_devices"))
    if "collected" not in state:
        lines.append(t.text("fig9b.no_payments"))
    if facts.replicates > 1:
        lines.append(t.text("fig9b.draws", n=facts.replicates))
    lines += [_change(facts, arm, table) for arm in facts.overlaid if (arm.name, "state") in table]
    return lines


def _sentence(facts: Facts, state: Shares) -> str:
    """Of a hundred units taken in, how many are billed, and paid for."""
    names = {"billed": numbers.number(state["billed"], 1), "loss": _percent(waterfall(state).total, 1)}
    if "collected" not in state:
        return facts.t.text("fig9b.sentence.billed", **names)
    return facts.t.text("fig9b.sentence.paid", paid=numbers.number(state["collected"], 1), **names)


def _change(facts: Facts, arm: Arm, table: Table) -> str:
    own, other = (waterfall(table[name, "state"]).total for name in (arm.name, facts.reference_of(arm).name))
    if own == other:
        return facts.t.text("fig9b.change.zero", arm=arm.label)
    floor = float(setting("floors", "technical_loss"))
    if abs(own - other) < floor:
        return facts.t.text("fig9b.change.floor", arm=arm.label, floor=_points(facts, floor, signed=False))
    return facts.t.text("fig9b.change", arm=arm.label, change=_points(facts, own - other))


def _points(facts: Facts, value: float, signed: bool = True) -> str:
    return facts.t.text("value.points", value=numbers.number(value, 2, signed=signed))


def _percent(value: float, decimals: int) -> str:
    return numbers.with_unit(numbers.number(value, decimals), "%")


def _table(facts: Facts, table: Table, areas: list[str]) -> base.Table:
    arms = [facts.reference, *facts.overlaid]
    header = [facts.t.text("column.area"), facts.t.text("column.part")]
    header += [facts.t.text("column.points_of", arm=arm.label) for arm in arms]
    lines = []
    for area in areas:
        shares = [table.get((arm.name, area), {}) for arm in arms]
        for part in ("input", "billed", "collected", *FILLS):
            if any(part in own for own in shares):
                cells = [numbers.number(own[part], 2) if part in own else "" for own in shares]
                lines.append((facts.area_name(area), facts.t.text(f"atc.{part}"), *cells))
        cells = [numbers.number(waterfall(own).total, 2) if own else "" for own in shares]
        lines.append((facts.area_name(area), facts.t.text("atc.total"), *cells))
    return base.Table(facts.t.text("fig9b.caption"), header, lines, frozenset(range(2, len(header))))


def _alt(facts: Facts, state: Shares) -> str:
    steps = waterfall(state)
    words = [
        facts.t.text("fig9.alt", part=facts.t.text(f"atc.{part}"), value=numbers.number(size, 2))
        for part, size in zip(steps.parts, steps.sizes, strict=True)
    ]
    return " ".join([*words, _sentence(facts, state)])
