"""Table ``enrolment``: how many of those whom an arm's tariff is for are on it, where they have a choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from twin.datapack import CLASSES, categories
from twin.results.schema import arrow_schema
from twin.simulation.consumer_tables import chunks, class_of_kind, places_of, standing
from twin.simulation.response import BASELINE, rows_of
from twin.simulation.shard_tables import named

if TYPE_CHECKING:
    from twin.results.storage import FileRecord
    from twin.simulation.replicate import ReplicateWorld
    from twin.simulation.shard import Shared


def enrolment_files(shared: Shared, name: str, world: ReplicateWorld) -> list[FileRecord]:
    """Write the choices of a world's arms with enrolment; nothing where no arm has any. Once per replicate."""
    records = []
    for arm, settings in enumerate(world.plan.scenario.arms):
        if settings.enrolment is None or arm == BASELINE or len(world.population.consumers) == 0:
            continue
        case = world.plan.case(arm, world.replicate)
        rows = pa.concat_tables(_parts(shared, world, arm, case))
        if rows.num_rows:
            path = f"tables/enrolment/case={case}/{name}.parquet"
            records.append(shared.storage.write_table(path, "enrolment", rows))
    return records


def _parts(shared: Shared, world: ReplicateWorld, arm: int, case: int) -> Iterator[pa.Table]:
    return (enrolment_rows(shared, world, arm, case, part) for part in chunks(world.population))


def enrolment_rows(shared: Shared, world: ReplicateWorld, arm: int, case: int, rows: slice) -> pa.Table:
    """Counts of some consumers (whole feeders, or all HT consumers) by feeder, PSS, category and class.

    Only consumers whom the tariff reaches are counted.
    """
    population, response, date = world.population, world.response, world.plan.tariff_start
    rates, base_rates = world.plan.rates(arm, date), world.plan.rates(BASELINE, date)
    reached = response.reached(base_rates, rates, rows_of(response.columns, rows))
    joined = reached & (response.on_tariff[arm][rows] == arm)
    places, place = places_of(shared, population, rows)
    n_categories = len(categories())
    income = class_of_kind()[population.consumers.kind[rows]]
    cell = (place * n_categories + population.consumers.category[rows]) * CLASSES + income
    size = len(places) * n_categories * CLASSES
    count = np.bincount(cell[reached], minlength=size)
    found = np.flatnonzero(count)
    feeder, pss, district = places[found // (n_categories * CLASSES)].T
    _, weight = standing(shared, feeder)
    columns = {
        "case": np.full(len(found), case, np.int32),
        "feeder_id": feeder.astype(np.int32),
        "pss_id": pss.astype(np.int32),
        "district": named(district, list(shared.state.districts.name)),
        "category": named(found // CLASSES % n_categories, [row.category for row in categories()]),
        "income_class": (found % CLASSES).astype(np.int8),
        "weight": weight,
        "reached": count[found],
        "joined": np.bincount(cell[joined], minlength=size)[found],
    }
    return pa.table(columns, schema=arrow_schema("enrolment"))
