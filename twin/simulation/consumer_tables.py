"""Tables of who is simulated: ``consumers``, a row each, if asked for; ``population``, the counts, in every run.

A shard may hold ten million consumers. Rows are made in chunks of whole feeders: no text, and no table, is ever as long
as the shard, and a group of the counts lies within one chunk, so that its sums do not hang on the cut into shards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.datapack import CLASSES, categories, kinds, threshold
from twin.demand.draw import day_tables, mean_tile, padded
from twin.demand.panel import typical_days
from twin.demand.weather import NormalWeather
from twin.results.schema import arrow_schema
from twin.results.storage import FileRecord
from twin.simulation.population import Population
from twin.simulation.shard_tables import feeder_weights, named

if TYPE_CHECKING:
    from twin.simulation.shard import Shared

ANNUAL_STEPS = 24
ANNUAL_CHUNK = 4096
CHUNK = 1 << 17
"""Consumers of a chunk, unless one feeder has more."""
MONTHS = 12.0


def static_files(shared: Shared, stem: str, population: Population) -> list[FileRecord]:
    """Write the tables of the shard's consumers that are wanted."""
    wanted = shared.wanted & {"consumers", "population"}
    if not wanted or len(population.consumers) == 0:
        return []
    annual = annual_kwh(shared.state.seed, population, shared.points[0].dates[0].year)
    files = []
    if "population" in wanted:
        rows = pa.concat_tables(population_rows(shared, population, annual, part) for part in chunks(population))
        files.append(shared.storage.write_table(f"tables/population/{stem}.parquet", "population", rows))
    if "consumers" in wanted:

        def parts() -> Iterator[pa.Table]:
            return (consumer_rows(shared, population, annual, part) for part in chunks(population))

        files.append(shared.storage.write_chunks(f"tables/consumers/{stem}.parquet", "consumers", parts))
    return files


def chunks(population: Population) -> Iterator[slice]:
    """Rows of the shard's consumers in runs of whole feeders of about `CHUNK`; all HT consumers are one chunk."""
    start = 0
    for part in population.feeders:
        if part.rows.stop - start > CHUNK and part.rows.start > start:
            yield slice(start, part.rows.start)
            start = part.rows.start
    last = population.ht.start
    if last > start:
        yield slice(start, last)
    if population.ht.stop > last:
        yield population.ht


def annual_kwh(seed: int, population: Population, year: int) -> NDArray[np.float32]:
    """Expected use of each consumer in a year of normal weather, from twelve typical days. Shape (n,). [kWh]"""
    consumers = population.consumers
    if consumers.profiles is not None:
        return consumers.profiles.annual_kwh
    total = np.zeros(len(consumers))
    districts = np.unique(consumers.district).astype(np.int64)
    kw = np.zeros((ANNUAL_CHUNK, padded(ANNUAL_STEPS)), np.float32)
    for date, n_days in typical_days(year):
        day = day_tables(seed, NormalWeather(), date, ANNUAL_STEPS, districts)
        for start in range(0, len(total), ANNUAL_CHUNK):
            stop = min(start + ANNUAL_CHUNK, len(total))
            mean_tile(consumers.traits, start, stop, day, kw)
            total[start:stop] += kw[: stop - start].sum(axis=1, dtype=np.float64) * n_days
    return total.astype(np.float32)


def consumer_rows(shared: Shared, population: Population, annual: NDArray[np.float32], rows: slice) -> pa.Table:
    """Static columns of some consumers."""
    consumers, state = population.consumers, shared.state
    feeder, kind, category = consumers.feeder[rows], consumers.kind[rows], consumers.category[rows]
    resolved, weight = standing(shared, feeder)
    columns = {
        "consumer_id": consumers.consumer_id[rows],
        "feeder_id": feeder,
        "dt_id": consumers.dt_id[rows],
        "district": named(consumers.district[rows], list(state.districts.name)),
        "category": named(category, [row.category for row in categories()]),
        "kind": named(kind, [row.name for row in kinds()]),
        "income_class": class_of_kind()[kind],
        "phases": consumers.phases[rows].astype(np.int8),
        "sanctioned_kw": consumers.sanctioned_kw[rows],
        "contract_kva": consumers.contract_kva[rows],
        "power_factor": consumers.part(rows).power_factor(),
        "smart": consumers.smart_rank[rows] < shared.points[0].smart_share[category],
        "resolved": resolved,
        "weight": weight,
        "annual_kwh": annual[rows],
    }
    return pa.table(columns, schema=arrow_schema("consumers"))


def population_rows(shared: Shared, population: Population, annual: NDArray[np.float32], rows: slice) -> pa.Table:
    """Counts of some consumers (whole feeders, or all HT consumers) by feeder, PSS, district, category and class.

    HT consumers are counted PSS by PSS: no row of the table, and no sum, then spans two shards.
    """
    state, kwh = shared.state, annual[rows].astype(np.float64)
    places, place = places_of(shared, population, rows)
    n_categories = len(categories())
    income = class_of_kind()[population.consumers.kind[rows]]
    cell = (place * n_categories + population.consumers.category[rows]) * CLASSES + income
    size = len(places) * n_categories * CLASSES
    count = np.bincount(cell, minlength=size)
    within = kwh * (threshold("billed_of_used") / MONTHS) <= threshold("free_month")
    found = np.flatnonzero(count)
    feeder, pss, district = places[found // (n_categories * CLASSES)].T
    resolved, weight = standing(shared, feeder)
    columns = {
        "feeder_id": feeder.astype(np.int32),
        "pss_id": pss.astype(np.int32),
        "district": named(district, list(state.districts.name)),
        "category": named(found // CLASSES % n_categories, [row.category for row in categories()]),
        "income_class": (found % CLASSES).astype(np.int8),
        "resolved": resolved,
        "weight": weight,
        "consumers": count[found],
        "annual_kwh": np.bincount(cell, weights=kwh, minlength=size)[found],
        "billed_within_free": np.bincount(cell[within], minlength=size)[found],
    }
    return pa.table(columns, schema=arrow_schema("population"))


def places_of(shared: Shared, population: Population, rows: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Feeder, PSS and district of every place with consumers among ``rows``, shape (n_places, 3), and the place of each
    consumer: a feeder, or for HT consumers a district at a PSS.
    """
    feeder, district = population.consumers.feeder[rows], population.consumers.district[rows]
    if rows.start < population.ht.start:
        first = int(feeder[0])
        at = np.flatnonzero(np.bincount(feeder - first)) + first
        place = np.searchsorted(at, feeder)
        return np.column_stack([at, shared.state.feeders.pss[at], shared.state.feeders.district[at]]), place
    own = population.ht_pss_row
    pss = np.where(own >= 0, population.owned_pss[own], -1)
    places, place = np.unique(np.column_stack([feeder, pss, district]).astype(np.int64), axis=0, return_inverse=True)
    return places, place


def standing(shared: Shared, feeder: NDArray[np.integer]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Does a consumer of each feeder stand for itself only, and how many of the state does it stand for? HT: itself."""
    resolved = np.append(shared.selection.resolved, True)
    weight = np.append(feeder_weights(shared.state, shared.selection), 1.0)
    return resolved[feeder], weight[feeder]


def class_of_kind() -> NDArray[np.int8]:
    """Income class of each kind of consumer, 0 for all but homes."""
    return np.array([row.income_class for row in kinds()], np.int8)
