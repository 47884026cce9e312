"""Rows of the transmission tables and the assumed numbers beside them, typed. Reads the data pack, computes nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from twin.datapack import Row, read_rows, read_yaml
from twin.errors import NetworkError, Problem

IN_SERVICE = frozenset({"in service", "partly commissioned"})
"""Values of ``status`` that put a station or a link into the solved grid; every other row stays in the tables, switched off."""

EXTERNAL = "EXT_"
"""Prefix of stations beyond the state's border."""


class Station(Row):
    """One station of ``transmission.csv``."""

    id: str
    substation: str
    owner_class: str
    district: str
    latitude: float
    longitude: float
    voltage_levels_kv: str
    status: str
    confidence: str | None

    @property
    def levels_kv(self) -> tuple[float, ...]:
        """Voltage levels, highest first. [kV]"""
        return tuple(float(level) for level in self.voltage_levels_kv.split("/"))

    @property
    def in_service(self) -> bool:
        """Whether the station is solved."""
        return self.status in IN_SERVICE


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


class ConductorRow(Row):
    """One conductor of ``conductors.csv`` (constants per km of one circuit)."""

    name: str
    r_working_ohm_km: float
    x_ohm_km: float
    b_us_km: str | None
    ampacity_a: str

    @property
    def rating_a(self) -> float:
        """Middle of the range of the column ``ampacity_a`` (bundles state theirs in the assumed numbers instead). [A]"""
        ends = [float(end) for end in self.ampacity_a.split("-")]
        return sum(ends) / len(ends)


class TransformerRow(Row):
    """One transformer type of ``transformers.csv``."""

    type: str
    mva: float
    z_pct: str


@dataclass(frozen=True)
class LineConstants:
    """Constants of one circuit. [ohm/km], [ohm/km], [uS/km], [A]"""

    conductor: str
    r_ohm_km: float
    x_ohm_km: float
    b_us_km: float
    rating_a: float


@lru_cache(maxsize=1)
def stations() -> tuple[Station, ...]:
    """All stations, in service or not, in file order."""
    return tuple(read_rows("transmission", Station))


@lru_cache(maxsize=1)
def links() -> tuple[Link, ...]:
    """All links, in service or not, in file order."""
    return tuple(read_rows("transmission_lines", Link))


@lru_cache(maxsize=1)
def conductors() -> tuple[ConductorRow, ...]:
    """All conductors; the position is the row that the PSS columns refer to."""
    return tuple(read_rows("conductors", ConductorRow))


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
    row = next(row for row in conductors() if row.name == name)
    return LineConstants(name, row.r_working_ohm_km, row.x_ohm_km, float(row.b_us_km or 0.0), rating_a)


def pss_transformer_percent(unit_mva: float) -> float:
    """Impedance of the 33/11 kV unit nearest in size in ``transformers.csv``. [percent of its rating]"""
    rows = [row for row in read_rows("transformers", TransformerRow) if row.type.startswith("33/11")]
    return float(min(rows, key=lambda row: abs(row.mva - unit_mva)).z_pct)
