"""The consumers behind a network's loads as columns: the same archetypes, streams and meters as the state's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.datapack import categories
from twin.demand.columns import draw_columns_and_zip
from twin.grid.bulk import contracts
from twin.grid.lv_consumers import draw_kinds, place_consumers
from twin.grid.rules import consumer_rules
from twin.grid.settings import synthesis
from twin.grid.tables import districts
from twin.results.schema import arrow_schema
from twin.simulation.own_grid import OwnGrid, rating_kva
from twin.simulation.population import Consumers, FeederRows, Population
from twin.simulation.shard_tables import named
from twin.streams import Stream, uniforms

LT_KV = 1.0


def own_population(grid: OwnGrid, seed: int, district: int) -> Population[FeederRows]:
    """Draw the consumers of a network, numbered feeder by feeder.

    For the draw of archetypes within a category the network counts as one feeder and every row of the mapping as a DT.
    """
    load = grid.load_row
    ids = np.arange(len(load), dtype=np.int64)
    feeder = grid.feeder_of_load[load].astype(np.int32)
    kind = _kinds(grid, seed)
    kw, phases, kva = _contracted(grid, seed, ids, kind)
    traits, zips = draw_columns_and_zip(seed, ids, kind, np.full(len(ids), district, np.int16), feeder.astype(np.int64))
    consumers = Consumers(
        consumer_id=ids,
        feeder=feeder,
        dt_id=grid.dt_of_load[load],
        district=np.full(len(ids), district, np.int16),
        category=np.repeat(grid.rows[:, 2], grid.rows[:, 1]).astype(np.uint8),
        kind=kind,
        phases=phases,
        sanctioned_kw=kw.astype(np.float32),
        contract_kva=kva.astype(np.float32),
        smart_rank=uniforms(seed, Stream.METER, ids).astype(np.float32),
        vendor=np.full(len(ids), synthesis().vendors.names.index(districts()[district].vendor), np.uint8),
        traits=traits,
        zips=zips,
        profiles=grid.profiles,
    )
    on_feeder = int((feeder >= 0).sum())  # those at a source's own bus are numbered last
    at_source = grid.source_of_load[load[on_feeder:]]
    return Population(
        owned_pss=np.arange(len(grid.source_bus), dtype=np.int32),
        feeders=_feeders(grid),
        consumers=consumers,
        ht=slice(on_feeder, len(ids)),
        ht_pss_row=at_source,
        ht_at_33kv=np.zeros(len(at_source), bool),
        ehv_row=np.zeros(0, np.int64),
        n_dts=len(grid.dts),
    )


def _kinds(grid: OwnGrid, seed: int) -> NDArray[np.uint8]:
    counts = np.zeros((len(grid.rows), len(categories())), np.int64)
    counts[np.arange(len(grid.rows)), grid.rows[:, 2]] = grid.rows[:, 1]
    return draw_kinds(seed, 0, 0, counts, consumer_rules())[2]


def _contracted(
    grid: OwnGrid, seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.float64]]:
    """Sanctioned load, phases and contract demand: as the mapping says, else drawn as in the state. [kW, -, kVA]"""
    of_row = np.repeat(np.arange(len(grid.rows), dtype=np.int32), grid.rows[:, 1])
    drawn, phases, *_ = place_consumers(seed, 0, of_row, kind, np.full(len(grid.rows), 2), consumer_rules())
    given = np.repeat(grid.sanctioned_kw, grid.rows[:, 1])
    is_ht = np.array([row.voltage_kv > LT_KV for row in categories()])[np.repeat(grid.rows[:, 2], grid.rows[:, 1])]
    power_factor = synthesis().ht.power_factor
    kva = np.zeros(len(ids))
    kva[is_ht] = contracts(seed, ids[is_ht], kind[is_ht])
    kva = np.where(is_ht & np.isfinite(given), given / power_factor, kva)
    kw = np.where(np.isfinite(given), given, np.where(is_ht, kva * power_factor, drawn))
    three_from = consumer_rules().sanctioned[kind, 5]
    phases = np.where(is_ht | (kw >= three_from), 3, np.where(np.isfinite(given), 1, phases)).astype(np.uint8)
    return kw, phases, kva


def _feeders(grid: OwnGrid) -> list[FeederRows]:
    """Feeders with their consumers and DTs."""
    rating, feeders = rating_kva(grid), []
    feeder_of = grid.feeder_of_load[grid.load_row]
    on_feeder = feeder_of[feeder_of >= 0]
    for feeder, pss in enumerate(grid.feeder_pss):
        rows, dts = (
            slice(*np.searchsorted(column, [feeder, feeder + 1]).tolist()) for column in (on_feeder, grid.dt_feeder)
        )
        feeders.append(FeederRows(feeder, int(pss), False, False, rows, dts, grid.dts[dts], rating[dts]))
    return feeders


def mapped_loads_table(grid: OwnGrid) -> pa.Table:
    """Which consumers stand behind which load: one row per row of the mapping."""
    load, consumers = grid.rows[:, 0], grid.rows[:, 1]
    table = {
        "load": grid.loads[load],
        "bus": grid.net.load.bus.loc[grid.loads[load]].to_numpy(np.int64),
        "feeder_id": grid.feeder_of_load[load].astype(np.int32),
        "dt_id": grid.dt_of_load[load],
        "category": named(grid.rows[:, 2], [row.category for row in categories()]),
        "first_consumer": np.cumsum(consumers) - consumers,
        "consumers": consumers,
    }
    return pa.table(table, schema=arrow_schema("mapped_loads"))
