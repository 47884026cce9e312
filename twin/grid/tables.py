"""Row models of the data pack's grid tables, and lookups of conductors and transformers by name."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated

from pydantic import BeforeValidator, Field

from twin.datapack import Row, read_rows
from twin.errors import DataPackError, Problem

DISCOMS = ("NBPDCL", "SBPDCL")
FEEDER_CLASSES = ("rural_mixed", "urban", "industrial", "agricultural")
DT_TYPE = "11/0.433 kV DT"
OLD_STOCK = "older REC stock"
NEW_STOCK = "Level 1"


def _middle(cell: object) -> object:
    """``"350-405"`` becomes the mid-point, ``"2 x 630-800"`` twice it; other text and numbers pass unchanged."""
    if not isinstance(cell, str):
        return cell
    match = re.fullmatch(r"(?:(\d+) x )?([\d.]+)(?:-([\d.]+))?", cell)
    if not match:
        return cell
    times, low, high = match.groups()
    return float(times or 1) * (float(low) + float(high or low)) / 2


Ranged = Annotated[float, BeforeValidator(_middle), Field(gt=0)]


class District(Row):
    """One district: census 2011, headquarters point, discom, smart-meter vendor."""

    census_district_code: int
    name: str
    discom: str
    headquarters_block: str
    latitude: float = Field(ge=20, le=30)
    longitude: float = Field(ge=80, le=92)
    centroid_latitude: float = Field(ge=20, le=30)
    centroid_longitude: float = Field(ge=80, le=92)
    households_2011: int = Field(gt=0)
    rural_households_2011: int = Field(ge=0)
    urban_households_2011: int = Field(ge=0)
    area_km2: float = Field(gt=0)
    vendor: str


class Block(Row):
    """One community development block: census 2011."""

    district: str
    block: str
    census_block_code: int
    rural_households_2011: int = Field(ge=0)
    urban_households_2011: int = Field(ge=0)
    area_km2: float = Field(gt=0)


class DistrictAlias(Row):
    """Another spelling of a district's name."""

    alias: str
    district: str


class Conductor(Row):
    """A line conductor or cable; constants per kilometre, positive sequence."""

    name: str
    kv: str
    r_working_ohm_km: float = Field(gt=0)
    x_ohm_km: float = Field(gt=0)
    b_us_km: Ranged | None
    ampacity_a: Ranged

    @property
    def bare(self) -> bool:
        """An overhead conductor without insulation, whose reactance depends on spacing."""
        return self.name.startswith("ACSR")


class Transformer(Row):
    """A transformer type and size."""

    type: str
    mva: float = Field(gt=0)
    z_pct: Ranged
    loss_level: str | None
    suggested_no_load_w: float | None
    suggested_load_loss_w: float | None

    @property
    def no_load_w(self) -> float:
        """No-load loss; read only where `distribution_transformer` has checked it."""
        return self.suggested_no_load_w or 0.0

    @property
    def load_loss_w(self) -> float:
        """Load loss at rating; read only where `distribution_transformer` has checked it."""
        return self.suggested_load_loss_w or 0.0


class Station(Row):
    """A substation or plant of the transmission table."""

    id: str
    substation: str
    district: str
    latitude: float
    longitude: float
    voltage_levels_kv: str
    transformer_mva_note: str | None
    status: str

    @property
    def levels(self) -> frozenset[str]:
        """Voltage levels in kV, as written."""
        return frozenset(self.voltage_levels_kv.split("/"))


@lru_cache(maxsize=1)
def districts() -> tuple[District, ...]:
    """Districts; the position is the district code used everywhere."""
    return tuple(read_rows("districts", District))


@lru_cache(maxsize=1)
def blocks() -> tuple[Block, ...]:
    """Blocks, grouped by district in the order of `districts`.

    Raises
    ------
    DataPackError
        If they are not, or a district is unknown or has no block.
    """
    rows = tuple(read_rows("blocks", Block))
    order = list(dict.fromkeys(row.district for row in rows))
    runs = sum(a.district != b.district for a, b in zip(rows, rows[1:], strict=False)) + 1
    if order != [row.name for row in districts()] or runs != len(order):
        what = "blocks are not grouped by district in the order of districts.csv"
        raise DataPackError([Problem("twin/data/blocks.csv", "district", what, "sort them, and spell districts alike")])
    return rows


@lru_cache(maxsize=1)
def conductors() -> tuple[Conductor, ...]:
    """Conductors; the position is the conductor code used everywhere."""
    return tuple(read_rows("conductors", Conductor))


@lru_cache(maxsize=1)
def conductor_row() -> dict[str, int]:
    """Conductor code by name."""
    return {row.name: code for code, row in enumerate(conductors())}


def conductor_code(name: str) -> int:
    """Code of a conductor that another table names; an unknown name is an error with the place to repair."""
    codes = conductor_row()
    if name not in codes:
        raise DataPackError(
            [Problem("twin/data/synthesis.yaml", name, "no such conductor", "add it to conductors.csv")]
        )
    return codes[name]


@lru_cache(maxsize=1)
def transformers() -> tuple[Transformer, ...]:
    """Transformer types and sizes."""
    return tuple(read_rows("transformers", Transformer))


def distribution_transformer(rating_kva: float, old: bool) -> Transformer:
    """The loss row of a DT: older REC stock where it exists and is asked for, else level 1 of IS 1180."""
    rows = [t for t in transformers() if t.type == DT_TYPE and abs(t.mva * 1000.0 - rating_kva) < 1e-6]
    by_stock = {row.loss_level: row for row in rows}
    row = (by_stock.get(OLD_STOCK) if old else None) or by_stock.get(NEW_STOCK)
    if row is None or row.suggested_no_load_w is None or row.suggested_load_loss_w is None:
        what = f"no row of {rating_kva:g} kVA at {NEW_STOCK} with its losses"
        raise DataPackError([Problem("twin/data/transformers.csv", DT_TYPE, what, "add one")])
    return row


@lru_cache(maxsize=1)
def stations() -> tuple[Station, ...]:
    """Stations of the transmission table, in file order."""
    return tuple(read_rows("transmission", Station))
