"""Figure 14: how many smart meters are read by which hour after midnight, against what contracts ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.analysis.left_out import has_devices
from twin.report import numbers
from twin.report.facts import Arm, Facts
from twin.report.figures import base
from twin.report.figures.worlds import COLOURS, DASHES, SVG_DASHES, cases, in_cases, label, worlds
from twin.report.settings import setting

HOURS = (1, 2, 4, 6, 8, 12, 24)
"""Hours after midnight by which table ``meter_reads`` counts."""
CSV = ("arm", "device", "date", "meters", "working", *(f"read_{hour}h" for hour in HOURS), "days_lost")
Row = Mapping[str, Any]


def daily_reads(facts: Facts, arm: Arm, by: str = "date") -> Sequence[Row]:
    """Smart meters and those read by each hour, by ``by``; meters that people read are left out."""
    by_hand = " and ".join(f"not starts_with(device, '{name}.')" for name in setting("read_by_hand"))
    sums = ", ".join(f"sum(read_{hour}h)::bigint as read_{hour}h" for hour in HOURS)
    return facts.rows(
        f"select {by}, sum(meters)::bigint as meters, sum(working)::bigint as working, {sums}, "
        f"sum(days_lost)::bigint as days_lost from meter_reads where {in_cases(facts, arm)} and {by_hand} "
        f"group by {by} order by {by}"
    )


def share_read(rows: Sequence[Row], hour: int) -> float:
    """Meters read by an hour after midnight, of all that there are, over some days. [percent]"""
    meters = sum(row["meters"] for row in rows)
    return 100.0 * sum(row[f"read_{hour}h"] for row in rows) / meters if meters else 0.0


def build(facts: Facts) -> base.Figure | None:
    """Curves of the share read, one per world; None where meters are not devices or reads are not told."""
    if not has_devices(facts.scenario):
        return None
    days = {arm: rows for arm in worlds(facts) if (rows := daily_reads(facts, arm))}
    if not days:
        return None
    level = setting("service_level")
    hour, least = int(level["hours"][0]), float(level["percent"][0])
    shares = [share_read(rows, hour) for rows in days.values()]
    met = "all" if min(shares) >= least else "none" if max(shares) < least else "some"
    span = numbers.with_unit(numbers.number(shares[0], 1), "%")
    if len(shares) > 1:
        span = numbers.span(min(shares), max(shares), 1, "%")
    return base.Figure(
        number="14",
        title=facts.t.text(f"fig14.title.{met}", share=span, hour=hour, least=f"{least:g}"),
        subtitle=facts.t.text("fig14.subtitle"),
        alt=" ".join(_words(facts, arm, rows, hour) for arm, rows in days.items()),
        help=[
            facts.t.text(
                "fig14.help",
                low=f"{level['percent'][0]:g}",
                high=f"{level['percent'][1]:g}",
                first=f"{level['hours'][0]:g}",
                last=f"{level['hours'][1]:g}",
            ),
            *(_words(facts, arm, rows, hour) for arm, rows in days.items()),
        ],
        table=_table(facts, days),
        csv_header=CSV,
        csv_rows=[
            (arm.name, row["device"], row["date"], *(row[name] for name in CSV[3:]))
            for arm in days
            for row in daily_reads(facts, arm, "date, device")
        ],
        csv_table="meter_reads",
        charts=[_chart(facts, days)],
        keys=_keys(facts, list(days)),
    )


def _words(facts: Facts, arm: Arm, rows: Sequence[Row], hour: int) -> str:
    lowest = min(share_read([row], hour) for row in rows)
    failed = sum(row["meters"] - row["working"] for row in rows) / len(rows) / len(cases(facts, arm))
    return facts.t.text(
        "fig14.sentence",
        arm=label(facts, arm),
        meters=numbers.count(rows[0]["meters"] / len(cases(facts, arm))).both(),
        hour=hour,
        share=numbers.with_unit(numbers.number(share_read(rows, hour), 1), "%"),
        lowest=numbers.with_unit(numbers.number(lowest, 1), "%"),
        whole=numbers.with_unit(numbers.number(share_read(rows, HOURS[-1]), 1), "%"),
        failed=numbers.number(failed),
    )


def _chart(facts: Facts, days: Mapping[Arm, Sequence[Row]]) -> base.Chart:
    level = setting("service_level")
    data: list[dict[str, Any]] = []
    for place, rows in enumerate(days.values()):
        line = {"color": COLOURS[place], "dash": DASHES[place], "width": 2}
        y = base.rounded([share_read(rows, hour) for hour in HOURS], 2)
        look = {"type": "scatter", "mode": "lines+markers", "line": line, "hoverinfo": "x+y", "cliponaxis": False}
        data.append(look | {"x": list(HOURS), "y": y, "marker": {"color": COLOURS[place], "size": 7}})
    lowest = min(value for trace in data for value in trace["y"][1:])
    bottom = max(0.0, 10.0 * int(min(lowest, level["percent"][0]) / 10.0 - 1))
    (first, last), (low, high) = level["hours"], level["percent"]
    edge = {"color": base.INK, "width": 1, "dash": "4px,3px"}
    look = base.layout(
        (52, 14, 10, 44),
        xaxis=base.axis(facts.t.text("axis.hours_after_midnight"), range=[0, 24.5], tickvals=list(HOURS)),
        yaxis=base.axis(facts.t.text("axis.read_percent"), range=[bottom, 101.0], nticks=6),
        shapes=[base.box(first, last, low, high, "#D9D9D9", line=edge)],
    )
    return base.Chart(data, look, 300, {}, 280, print_height=240)


def _keys(facts: Facts, arms: Sequence[Arm]) -> list[base.Key]:
    keys = [
        base.Key(base.line_sample(COLOURS[i], SVG_DASHES[i]), label(facts, arm)) for i, arm in enumerate(arms)
    ] if len(arms) > 1 else []  # fmt: skip
    return [*keys, base.Key(base.bar_sample("#D9D9D9", base.INK), facts.t.text("key.service_level"))]


def _table(facts: Facts, days: Mapping[Arm, Sequence[Row]]) -> base.Table:
    """Shares by world and type of meter, then the lowest day of all types."""
    t = facts.t
    header = [t.text("column.arm"), t.text("column.device"), t.text("column.meters")]
    header += [t.text("column.by_hour", hour=hour) for hour in HOURS]
    lines = []
    for arm, rows in days.items():
        n_days, draws = len(rows), len(cases(facts, arm))
        types: dict[str, list[Row]] = {}
        for row in daily_reads(facts, arm, "date, device"):
            types.setdefault(row["device"], []).append(row)
        for name, own in ((t.text("meters.all_types"), rows), *((t.data(name), types[name]) for name in sorted(types))):
            meters = numbers.count(sum(row["meters"] for row in own) / n_days / draws).indian
            shares = [numbers.number(share_read(own, hour), 1) for hour in HOURS]
            lines.append((label(facts, arm), name, meters, *shares))
        lowest = [numbers.number(min(share_read([row], hour) for row in rows), 1) for hour in HOURS]
        lines.append((label(facts, arm), t.text("meters.lowest_day"), "", *lowest))
    return base.Table(t.text("fig14.caption"), header, lines, frozenset(range(2, len(header))))
