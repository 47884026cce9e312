"""Rows of the transmission tables and the assumed numbers beside them, typed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from twin.datapack import Row, read_rows, read_yaml
from twin.errors import NetworkError, Problem
from twin.grid.tables import Station, conductor_code, conductors, transformers

IN_SERVICE = frozenset({"in service", "partly commissioned"})
"""Values of ``status`` that put a station or a link into the solved grid; other rows stay in it switched off."""

EXTERNAL = "EXT_"
"""Prefix of stations beyond the state's border."""


class Link(Row):
    """One link of ``transmission_lines.csv``: all circuits between two stations at one voltage."""

    from_id: str
    to_id: str
    voltage_kv: float
    circuits: int
    suggested_route_km: float | None
    conductor_note: str | None
    status: str
    confidence: str | None

    @property
    def in_service(self) -> bool:
        """Whether the table says that the link is in service."""
        return self.status in IN_SERVICE


@dataclass(frozen=True)
class LineConstants:
    """Constants of one circuit. [ohm/km], [ohm/km], [uS/km], [A]"""

    conductor: str
    r_ohm_km: float
    x_ohm_km: float
    b_us_km: float
    rating_a: float


def levels_kv(station: Station) -> tuple[float, ...]:
    """Voltage levels of a station, highest first. [kV]"""
    return tuple(float(level) for level in station.voltage_levels_kv.split("/"))


@lru_cache(maxsize=1)
def links() -> tuple[Link, ...]:
    """All links, in service or not, in file order."""
    return tuple(read_rows("transmission_lines", Link))


def assumed() -> dict[str, Any]:
    """The assumed numbers of ``transmission_assumed.yaml``. Treat as read-only."""
    settings: dict[str, Any] = read_yaml("transmission_assumed")
    return settings


def assumed_value(*path: str | int) -> Any:
    """One assumed number by its path, without its reason."""
    node: Any = assumed()
    for key in path:
        node = node[key]
    return node["value"]


def line_constants(link: Link) -> LineConstants:
    """Constants and rating of one circuit of a link, from the conductor named in its note.

    Raises
    ------
    NetworkError
        If the note names a conductor that neither the table nor the assumed numbers know.
    """
    settings = assumed()["lines"]
    note = (link.conductor_note or "").split("(")[0].split(";")[0].strip()
    name = settings["conductor_of_note"].get(note) if note else settings["unnoted_conductor"].get(int(link.voltage_kv))
    if name is None:
        raise NetworkError(
            [
                Problem(
                    "twin/data/transmission_lines.csv",
                    f"{link.from_id}-{link.to_id}",
                    f"unknown conductor {note!r}",
                    "add it to lines.conductor_of_note in transmission_assumed.yaml",
                )
            ]
        )
    rating_a = float(settings["rating_a"][name]["value"])
    extra = settings["extra_conductors"].get(name)
    if extra is not None:
        return LineConstants(name, extra["r_ohm_km"], extra["x_ohm_km"], extra["b_us_km"], rating_a)
    row = conductors()[conductor_code(name)]
    return LineConstants(name, row.r_working_ohm_km, row.x_ohm_km, row.b_us_km or 0.0, rating_a)


def pss_transformer_percent(unit_mva: float) -> float:
    """Impedance of the 33/11 kV unit nearest in size in ``transformers.csv``. [percent of its rating]"""
    rows = [row for row in transformers() if row.type.startswith("33/11")]
    return min(rows, key=lambda row: abs(row.mva - unit_mva)).z_pct


def assumed_numbers() -> list[tuple[str, float, str]]:
    """Every assumed number of the upper grid as (dotted name, value, reason)."""
    found: list[tuple[str, float, str]] = []

    def walk(node: Any, path: tuple[str, ...]) -> None:
        if isinstance(node, dict):
            reason = str(node.get("reason", ""))
            numbers = {key: value for key, value in node.items() if isinstance(value, int | float) and key != "assumed"}
            for key, value in numbers.items() if reason else ():
                name = ".".join(path if key == "value" else (*path, str(key)))
                found.append((name, float(value), reason))
            for key, value in node.items():
                walk(value, (*path, str(key)))
        elif isinstance(node, list):
            for row, value in enumerate(node):
                walk(value, (*path, str(value.get("id", row)) if isinstance(value, dict) else str(row)))

    walk(assumed(), ())
    return found
