"""Figure 7: loading of grid substations on a map, and the ten largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.report import map as map_
from twin.report import numbers
from twin.report.catalogue import clean
from twin.report.facts import Facts
from twin.report.figures import base
from twin.report.settings import setting

FILLS = ("#E3EEF9", "#9ECAE1", "#4292C6", "#08306B")
SMALLEST_PX, LARGEST_PX, RING_PX = 8.0, 20.0, 3.0
LISTED, MOST_MARKED = 10, 3


@dataclass(frozen=True)
class Station:
    """One grid substation: highest loading of the run by arm, mean over draws. [percent], [MW]"""

    id: str
    name: str
    district: str
    latitude: float
    longitude: float
    p_mw: float
    loading: dict[str, float]


def build(facts: Facts) -> base.Figure | None:
    """Bubbles by loading class at the places of the data pack; None if the table has no rows."""
    stations = _stations(facts)
    if not stations:
        return None
    reference = facts.reference.name
    stations.sort(key=lambda station: (-station.loading[reference], station.id))
    over = sum(station.loading[reference] > setting("loading_classes", "limits")[-1] for station in stations)
    top = stations[0]
    return base.Figure(
        number="7",
        title=facts.t.text(
            "fig7.title" if over else "fig7.title.none",
            n=over,
            all=len(stations),
            name=top.name,
            loading=numbers.percent(top.loading[reference]),
        ),
        subtitle=facts.t.text("fig7.subtitle", arm=facts.reference.label, notice=facts.t.text("notice.places")),
        alt=facts.t.text(
            "fig7.alt", n=len(stations), over=over, name=top.name, loading=numbers.percent(top.loading[reference])
        ),
        help=[facts.t.text("fig7.help"), facts.t.text("fig7.doubt")],
        table=_table(facts, stations[:LISTED]),
        csv_header=("gss_id", "name", "district", "latitude", "longitude", "peak_mw", "arm", "peak_loading_percent"),
        csv_rows=[
            (s.id, s.name, s.district, s.latitude, s.longitude, s.p_mw, arm, loading)
            for s in stations
            for arm, loading in s.loading.items()
        ],
        csv_table="grid_substations",
        charts=[_chart(facts, stations)],
        keys=_keys(facts),
    )


def _stations(facts: Facts) -> list[Station]:
    arms = [facts.reference, *facts.overlaid]
    number_of = {row["case"]: facts.arm_name(row["arm"], row["sweep"]) for row in facts.cases}
    peaks = facts.columns(
        'select gss_id, "case", max(loading_percent) as loading, max(p_mw) as p_mw '
        'from grid_substations where not isnan(loading_percent) group by gss_id, "case" order by gss_id, "case"'
    )
    static = facts.rows(
        "select gss_id, min(name) as name, min(district) as district, min(latitude) as latitude, "
        "min(longitude) as longitude from grid_substations group by gss_id order by gss_id"
    )
    arm_of = np.array([number_of.get(case) for case in peaks["case"].tolist()], dtype=object)
    found = []
    for row in static:
        own = peaks["gss_id"] == row["gss_id"]
        loading = {arm.name: float(peaks["loading"][own & (arm_of == arm.name)].mean()) for arm in arms}
        p_mw = float(peaks["p_mw"][own & (arm_of == facts.reference.name)].mean())
        place = (row["latitude"], row["longitude"])
        found.append(Station(row["gss_id"], clean(row["name"]), clean(row["district"]), *place, p_mw, loading))
    return found


def _class(loading: float) -> int:
    return int(np.searchsorted(setting("loading_classes", "limits"), loading, side="left"))


def _chart(facts: Facts, stations: list[Station]) -> base.Chart:
    largest = max(station.p_mw for station in stations) or 1.0
    data: list[dict[str, Any]] = [map_.backbone()]
    for number, fill in enumerate(FILLS):
        own = [station for station in stations if _class(station.loading[facts.reference.name]) == number]
        hollow = [map_.is_uncertain(station.id) for station in own]
        span = LARGEST_PX - SMALLEST_PX
        size = [SMALLEST_PX + span * max(station.p_mw, 0.0) ** 0.5 / largest**0.5 for station in own]
        marker = {
            "symbol": "diamond" if number == len(FILLS) - 1 else "circle",
            "size": base.rounded([s - RING_PX if empty else s for s, empty in zip(size, hollow, strict=True)], 1),
            "color": ["#FFFFFF" if empty else fill for empty in hollow],
            "opacity": 1,
            "line": {
                "color": [_edge(fill) if empty else "#000000" for empty in hollow],
                "width": [RING_PX if empty else 1.2 for empty in hollow],
            },
        }
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": base.rounded([station.longitude for station in own], 3),
                "y": base.rounded([station.latitude for station in own], 3),
                "marker": marker,
                "hoverinfo": "skip",
            }
        )
    shapes, labels, short = map_.context(facts.t.text("fig7.bar", km=setting("map", "bar_km")))
    squares, names = map_.district_marks(_marked(facts))
    look = base.layout((4, 4, 4, 4), shapes=shapes, annotations=labels + names, **map_.axes())
    data = [trace for trace in data if trace["x"]] + squares
    return base.Chart(data, look, map_.HEIGHT, {"annotations": short + names}, map_.NARROW_HEIGHT, print_height=400)


def _marked(facts: Facts) -> list[str]:
    """Districts simulated consumer by consumer, where they are few enough to be named on the map."""
    return facts.resolved_districts if len(facts.resolved_districts) <= MOST_MARKED else []


def _edge(fill: str) -> str:
    """Line colour of a hollow marker: the class colour, darkened where it would not show on white."""
    return {"#E3EEF9": "#B4C7DB", "#9ECAE1": "#7FB5D5"}.get(fill, fill)


def _keys(facts: Facts) -> list[base.Key]:
    limits = setting("loading_classes", "limits")
    words = [
        facts.t.text("fig7.class.first", high=limits[0]),
        *(facts.t.text("fig7.class", low=low, high=high) for low, high in zip(limits[:-1], limits[1:], strict=True)),
        facts.t.text("fig7.class.last", low=limits[-1]),
    ]
    samples = [base.bar_sample(fill, "#000000") for fill in FILLS[:-1]]
    samples.append(base.dot_sample(FILLS[-1], "diamond"))
    keys = [base.Key(sample, text) for sample, text in zip(samples, words, strict=True)]
    keys.append(base.Key(base.dot_sample("#4292C6", hollow=True), facts.t.text("fig7.hollow")))
    if _marked(facts):
        keys.append(base.Key(base.dot_sample(base.INK, "square", hollow=True), facts.t.text("fig7.district")))
    keys.append(base.Key(base.line_sample(map_.LINE_GREY, "", 1.5), facts.t.text("fig7.lines")))
    return keys


def _table(facts: Facts, stations: list[Station]) -> base.Table:
    arms = [facts.reference, *facts.overlaid]
    header = [facts.t.text(f"column.{name}") for name in ("station", "district", "peak_mw")]
    header += [facts.t.text("column.loading_of", arm=arm.label) for arm in arms]
    rows = [
        (
            station.name,
            station.district,
            numbers.number(station.p_mw, 0),
            *(numbers.number(station.loading[arm.name], 1) for arm in arms),
        )
        for station in stations
    ]
    return base.Table(facts.t.text("fig7.caption", n=len(stations)), header, rows, frozenset(range(2, 3 + len(arms))))
