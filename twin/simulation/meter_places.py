"""Where the meters of a shard hang: DT, feeder, gateway."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.meters.datasheets import Catalogue
from twin.meters.fleet import Places
from twin.simulation.population import Population


def places_of(population: Population, gateway_id: NDArray[np.int64]) -> Places:
    """Where each consumer's meter hangs; consumers without a feeder or DT get the last row of the sums."""
    n = len(population.consumers)
    dt_row = np.full(n, population.n_dts, np.int32)
    feeder_row = np.full(n, len(population.feeders), np.int32)
    for position, part in enumerate(population.feeders):
        feeder_row[part.rows] = position
        if len(part.dt_id) == 0:
            continue
        order = np.argsort(part.dt_id)
        wanted = population.consumers.dt_id[part.rows]
        found = order[np.minimum(np.searchsorted(part.dt_id[order], wanted), max(len(order) - 1, 0))]
        dt_row[part.rows] = np.where(part.dt_id[found] == wanted, part.dts.start + found, population.n_dts)
    return Places(population.consumers.district, dt_row, feeder_row, gateway_id)


def gateways_of(
    population: Population, kind: NDArray[np.uint8], types: Catalogue
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Gateway of each meter, as a row of the second: neighbouring DTs share one of their maker.

    A consumer without a DT has one alone. Of a gateway that serves DTs of two PSSs each part counts as one, so that no
    cut into shards divides it.
    """
    consumers, per_dt = population.consumers, read_yaml("meter_fleet")["meters_per_dt"]["value"]
    meters = [sheet.model.communication for sheet in types.sheets]
    dts = np.array([1 if part is None else max(1, round(part.gateway_meters.value / per_dt)) for part in meters])
    maker = np.array([crc32(sheet.maker.encode()) for sheet in types.sheets], np.int64)
    shared = (consumers.dt_id // dts[kind]) << 32 | maker[kind]
    named = np.where(consumers.dt_id < 0, -1 - consumers.consumer_id, shared)
    pss = np.full(len(consumers), -1, np.int64)
    for part in population.feeders:
        pss[part.rows] = part.pss_row
    names, name = np.unique(named, return_inverse=True)
    places, row = np.unique((pss + 1) * len(names) + name, return_inverse=True)
    return row.astype(np.int32), names[places % max(len(names), 1)]
