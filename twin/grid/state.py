"""The state's grid down to its feeders: a few megabytes of columns, made on the driver from the seed and the data pack.

Everything below a feeder is made inside the shard that needs it (`twin.grid.feeder`), from nothing but the seed and
these columns: a district's population is the same bits alone, within the whole state, and in any fraction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.datapack import categories
from twin.grid import places, population, substations
from twin.grid.apportion import prefix
from twin.grid.bulk import HtConsumers, ht_consumers
from twin.grid.settings import synthesis
from twin.grid.tables import DISCOMS, FEEDER_CLASSES, blocks, districts

N_STRATA = len(DISCOMS) * len(FEEDER_CLASSES)
GSS_BUS_KV = 33.0


@dataclass(frozen=True)
class Districts:
    """Columns of the 38 districts; the row is the district code."""

    name: tuple[str, ...]
    discom: NDArray[np.int8]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    area_km2: NDArray[np.float64]
    households: NDArray[np.int64]
    vendor: NDArray[np.uint8]


@dataclass(frozen=True)
class Blocks:
    """Columns of the 534 blocks, grouped by district. Points are synthetic."""

    name: tuple[str, ...]
    district: NDArray[np.int16]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    area_km2: NDArray[np.float64]
    rural_households: NDArray[np.int64]
    urban_households: NDArray[np.int64]


@dataclass(frozen=True)
class Gss:
    """Columns of the grid substations in service that have a 33 kV level."""

    id: tuple[str, ...]
    name: tuple[str, ...]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    district: NDArray[np.int16]
    bus_kv: NDArray[np.float64]
    n_units: NDArray[np.int8]
    unit_mva: NDArray[np.float64]


@dataclass(frozen=True)
class Pss:
    """Columns of the power substations, grouped by block.

    ``parent``: row of the upstream PSS on the same 33 kV feeder, -1 where it is the GSS's 33 kV bus. ``order``: all
    rows, grouped by GSS, a parent before its children. ``line_km``, ``conductor`` (row of conductors.csv) and
    ``circuits`` describe the 33 kV section to the parent. ``unit_mva`` times ``n_units`` is ``transformer_mva``.
    ``design_kw`` is the expected peak at the 11 kV bus, network losses allowed for; ``design_33kv_kw`` that of HT
    consumers at the 33 kV node.
    """

    code: tuple[str, ...]
    district: NDArray[np.int16]
    block: NDArray[np.int32]
    gss: NDArray[np.int32]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    parent: NDArray[np.int32]
    order: NDArray[np.int32]
    line_km: NDArray[np.float64]
    conductor: NDArray[np.int16]
    circuits: NDArray[np.int8]
    unit_mva: NDArray[np.float64]
    n_units: NDArray[np.int8]
    transformer_mva: NDArray[np.float64]
    design_kw: NDArray[np.float64]
    design_33kv_kw: NDArray[np.float64]
    first_feeder: NDArray[np.int32]


@dataclass(frozen=True)
class Feeders:
    """Columns of the 11 kV feeders, grouped by PSS, by class within a PSS; the row is the feeder id.

    ``design_kw``: expected peak at the consumers' meters.
    """

    code: tuple[str, ...]
    pss: NDArray[np.int32]
    feeder_class: NDArray[np.int8]
    stratum: NDArray[np.int8]
    district: NDArray[np.int16]
    consumers_by_category: NDArray[np.int32]
    n_consumers: NDArray[np.int64]
    first_consumer: NDArray[np.int64]
    n_dts: NDArray[np.int64]
    first_dt: NDArray[np.int64]
    design_kw: NDArray[np.float64]


@dataclass(frozen=True)
class StateGrid:
    """The state's grid down to feeders, and its HT, EHT and traction consumers."""

    seed: int
    districts: Districts
    blocks: Blocks
    gss: Gss
    pss: Pss
    feeders: Feeders
    ht: HtConsumers

    @property
    def n_lv_consumers(self) -> int:
        """Consumers on feeders; ids below this number."""
        return int(self.feeders.n_consumers.sum())

    @property
    def n_consumers(self) -> int:
        """All consumers of the state."""
        return self.n_lv_consumers + len(self.ht)

    def counts(self) -> dict[str, int]:
        """Number of everything at every level."""
        by_class = np.bincount(self.feeders.feeder_class, minlength=len(FEEDER_CLASSES))
        return {
            "districts": len(self.districts.name),
            "blocks": len(self.blocks.name),
            "gss": len(self.gss.id),
            "feeders_33kv": int((self.pss.parent < 0).sum()),
            "pss": len(self.pss.code),
            "feeders": len(self.feeders.code),
            **{f"feeders_{name}": int(n) for name, n in zip(FEEDER_CLASSES, by_class, strict=True)},
            "dts": int(self.feeders.n_dts.sum()),
            "consumers": self.n_consumers,
            "ht_consumers": len(self.ht),
        }


def build_state(seed: int, design_kw: NDArray[np.float64]) -> StateGrid:
    """Synthesise the state's grid down to its feeders.

    Parameters
    ----------
    seed : int
        The scenario's seed.
    design_kw : array, shape (n_kinds, 96)
        Expected demand of one consumer of every kind through the day the grid is planned for. [kW]

    Returns
    -------
    StateGrid
        A pure function of the arguments and the data pack.
    """
    category_kw = population.kind_mix() @ design_kw
    peak_kw = category_kw.max(axis=1)
    place = population.land()
    by_block = population.block_counts(place)
    town, village = _town_and_village(by_block, peak_kw)
    n_pss = population.pss_per_block(place, town + village)
    share = population.pss_shares(seed, n_pss, town, village)
    industrial = population.industrial_feeders(seed, share.town * (town + village)[share.block])
    by_pss = population.pss_counts(by_block, n_pss, share, industrial)
    per_class = population.feeders_per_pss(by_pss, peak_kw, industrial)
    feeder = population.feeder_counts(seed, by_pss, share.block, per_class)
    district_columns, block_columns = all_districts(), _blocks(seed, place)
    district = block_columns.district[share.block]
    feeders = _feeders(feeder, district, district_columns.discom, category_kw)
    ht = ht_consumers(seed, int(feeders.n_consumers.sum()), by_pss, district, list(district_columns.name))
    gss, pss = _substations(seed, n_pss, share.block, district, by_pss, category_kw, per_class, block_columns)
    return StateGrid(seed, district_columns, block_columns, gss, pss, feeders, ht)


def _town_and_village(
    by_block: NDArray[np.int64], peak_kw: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected load of every block's town and villages. [kW]"""
    town = np.array([row.follows == "urban_households" for row in categories()])
    load = by_block * peak_kw
    return load[:, town].sum(axis=1), load[:, ~town].sum(axis=1)


def all_districts() -> Districts:
    """Columns of all districts of the data pack."""
    rows, vendors = districts(), synthesis().vendors.names
    return Districts(
        name=tuple(row.name for row in rows),
        discom=np.array([DISCOMS.index(row.discom) for row in rows], np.int8),
        latitude=np.array([row.latitude for row in rows]),
        longitude=np.array([row.longitude for row in rows]),
        area_km2=np.array([row.area_km2 for row in rows]),
        households=np.array([row.households_2011 for row in rows], np.int64),
        vendor=np.array([vendors.index(row.vendor) for row in rows], np.uint8),
    )


def _blocks(seed: int, place: population.Land) -> Blocks:
    points = places.block_points(seed)
    return Blocks(
        name=tuple(row.block for row in blocks()),
        district=place.district.astype(np.int16),
        latitude=points[:, 0],
        longitude=points[:, 1],
        area_km2=np.array([row.area_km2 for row in blocks()]),
        rural_households=place.rural_households.astype(np.int64),
        urban_households=place.urban_households.astype(np.int64),
    )


def _feeders(
    feeder: population.FeederCounts,
    pss_district: NDArray[np.int16],
    discom: NDArray[np.int8],
    category_kw: NDArray[np.float64],
) -> Feeders:
    district = pss_district[feeder.pss]
    load_kw = (feeder.by_category @ category_kw).max(axis=1)
    n_consumers = feeder.by_category.sum(axis=1).astype(np.int64)
    n_dts = population.dts_per_feeder(feeder.feeder_class, n_consumers, load_kw)
    rows = np.arange(len(district))
    return Feeders(
        code=tuple(f"F-{row + 1:05d}" for row in rows),
        pss=feeder.pss,
        feeder_class=feeder.feeder_class,
        stratum=(discom[district] * len(FEEDER_CLASSES) + feeder.feeder_class).astype(np.int8),
        district=district,
        consumers_by_category=feeder.by_category,
        n_consumers=n_consumers,
        first_consumer=prefix(n_consumers)[:-1],
        n_dts=n_dts,
        first_dt=prefix(n_dts)[:-1],
        design_kw=load_kw,
    )


def _substations(
    seed: int,
    n_pss: NDArray[np.int64],
    block: NDArray[np.int32],
    district: NDArray[np.int16],
    by_pss: NDArray[np.int64],
    category_kw: NDArray[np.float64],
    per_class: NDArray[np.int64],
    block_columns: Blocks,
) -> tuple[Gss, Pss]:
    at = np.stack([block_columns.latitude, block_columns.longitude], axis=1)
    points = places.pss_points(seed, prefix(n_pss), at, block_columns.area_km2)
    rule = synthesis().line_33kv
    at_33kv = np.array([row.voltage_kv == GSS_BUS_KV for row in categories()])
    kw = rule.loss_allowance * (by_pss[:, ~at_33kv] @ category_kw[~at_33kv]).max(axis=1)
    kw_33kv = (by_pss[:, at_33kv] @ category_kw[at_33kv]).max(axis=1)
    load_mva = (kw + kw_33kv) / rule.power_factor / 1000.0
    rows = substations.grid_stations()
    gss_at = np.array([[row.latitude, row.longitude] for row in rows])
    of_gss, n_units = substations.nearest_gss(points, gss_at, load_mva)
    lines = substations.lines_33kv(seed, points, gss_at, of_gss, load_mva)
    unit_mva, units = substations.pss_transformers(kw / rule.power_factor / 1000.0)
    names = [row.name for row in districts()]
    gss = Gss(
        id=tuple(row.id for row in rows),
        name=tuple(row.substation for row in rows),
        latitude=gss_at[:, 0],
        longitude=gss_at[:, 1],
        district=np.array([names.index(substations.station_district(row)) for row in rows], np.int16),
        bus_kv=np.full(len(rows), GSS_BUS_KV),
        n_units=n_units,
        unit_mva=np.full(len(rows), synthesis().gss.unit_mva),
    )
    pss = Pss(
        code=tuple(f"PSS-{row + 1:04d}" for row in range(len(block))),
        district=district,
        block=block,
        gss=of_gss,
        latitude=points[:, 0],
        longitude=points[:, 1],
        parent=lines.parent,
        order=lines.order,
        line_km=lines.line_km,
        conductor=lines.conductor,
        circuits=lines.circuits,
        unit_mva=unit_mva,
        n_units=units,
        transformer_mva=unit_mva * units,
        design_kw=kw,
        design_33kv_kw=kw_33kv,
        first_feeder=prefix(per_class.sum(axis=1)).astype(np.int32),
    )
    return gss, pss
