"""A map without polygons: places as points at real coordinates, lines drawn straight, equal scale."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from twin import datapack
from twin.report.catalogue import chart_label
from twin.report.figures import base
from twin.report.settings import setting

LINE_GREY, TOWN_WASH = "#C4C4C4", "rgba(255,255,255,0.75)"
BACKBONE_KV = (220.0, 400.0, 765.0)
HEIGHT, NARROW_HEIGHT = 490, 275


class Place(datapack.Row):
    """A node of the transmission grid with its place."""

    id: str
    latitude: float | None = None
    longitude: float | None = None
    coordinate_uncertainty_km: float | None = None


class Line(datapack.Row):
    """A line of the transmission grid."""

    from_id: str
    to_id: str
    voltage_kv: float
    status: str | None = None


class Headquarters(datapack.Row):
    """A district's town."""

    name: str
    headquarters: str
    latitude: float
    longitude: float


@lru_cache(maxsize=1)
def places() -> dict[str, Place]:
    """Nodes of the data pack by id, those with a known place."""
    rows = datapack.read_rows("transmission", Place)
    return {row.id: row for row in rows if row.latitude is not None and row.longitude is not None}


def is_uncertain(node_id: str) -> bool:
    """Is the place of a node known less well than the map's limit (or not at all)?"""
    place = places().get(node_id)
    if place is None or place.coordinate_uncertainty_km is None:
        return True
    return place.coordinate_uncertainty_km > float(setting("uncertain_place_km"))


def backbone() -> dict[str, Any]:
    """Lines of 220 kV and above in service as one grey trace of straight segments."""
    x: list[float | None] = []
    y: list[float | None] = []
    for line in datapack.read_rows("transmission_lines", Line):
        ends = [places().get(end) for end in (line.from_id, line.to_id)]
        if line.voltage_kv not in BACKBONE_KV or line.status not in (None, "in service"):
            continue
        first, last = ends
        if first and last and _inside(first) and _inside(last):
            x += [first.longitude, last.longitude, None]
            y += [first.latitude, last.latitude, None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": base.rounded(x, 3),
        "y": base.rounded(y, 3),
        "line": {"color": LINE_GREY, "width": 1},
        "hoverinfo": "skip",
    }


def _inside(place: Place) -> bool:
    extent = setting("map", "extent")
    latitude, longitude = place.latitude or 0.0, place.longitude or 0.0
    return extent["south"] <= latitude <= extent["north"] and extent["west"] <= longitude <= extent["east"]


def context(language_km: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Shapes (the distance bar), labels, and labels for narrow screens. ``language_km`` is the bar's text."""
    extent = setting("map", "extent")
    latitude = float(setting("map", "centre_latitude"))
    degrees = float(setting("map", "bar_km")) / (
        float(setting("map", "km_per_degree")) * math.cos(math.radians(latitude))
    )
    west, south = extent["west"] + 0.1, extent["south"] + 0.12
    shapes = [base.rule(west, west + degrees, south, south, line={"color": base.INK, "width": 2})]
    bar = base.note(chart_label(language_km), west + degrees / 2, south, yanchor="bottom")
    around = [
        base.note(entry["name"], entry["longitude"], entry["latitude"], font={"size": 11, "color": base.MUTED})
        for entry in setting("map", "neighbours")
    ]
    wide, narrow = (_towns(setting("map", "towns", form)) for form in ("wide", "narrow"))
    return shapes, [*around, *wide, bar], [*narrow, bar]


def district_marks(districts: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Headquarters of districts as hollow squares (traces) and their names (labels)."""
    towns = {row.name: row for row in datapack.read_rows("districts", Headquarters)}
    found = [towns[name] for name in districts if name in towns]
    if not found:
        return [], []
    square = {"symbol": "square", "size": 11, "color": "#FFFFFF", "line": {"color": base.INK, "width": 2}, "opacity": 1}
    trace: dict[str, Any] = {"type": "scatter", "mode": "markers", "marker": square, "hoverinfo": "skip"}
    place = {"x": [town.longitude for town in found], "y": [town.latitude for town in found]}
    labels = [
        base.note(
            f"<b>{chart_label(town.name)}</b>", town.longitude, town.latitude,
            xanchor="right", xshift=-9, bgcolor=TOWN_WASH,
        )
        for town in found
    ]  # fmt: skip
    return [trace | place], labels


def _towns(names: list[str]) -> list[dict[str, Any]]:
    towns = {row.headquarters.split(" (")[0]: row for row in datapack.read_rows("districts", Headquarters)}
    return [
        base.note(
            chart_label(name),
            towns[name].longitude,
            towns[name].latitude,
            yanchor="bottom",
            yshift=5,
            bgcolor=TOWN_WASH,
        )
        for name in names
    ]


def axes() -> dict[str, Any]:
    """Both axes: no ticks, equal scale with longitude shortened by the latitude's cosine."""
    extent = setting("map", "extent")
    bare: dict[str, Any] = {"showgrid": False, "showticklabels": False, "ticks": "", "showline": False}
    ratio = 1 / math.cos(math.radians(float(setting("map", "centre_latitude"))))
    x = base.axis(range=[extent["west"], extent["east"]], constrain="domain", **bare)
    y = base.axis(range=[extent["south"], extent["north"]], constrain="domain", **bare)
    return {"xaxis": x, "yaxis": y | {"scaleanchor": "x", "scaleratio": round(ratio, 4)}}
