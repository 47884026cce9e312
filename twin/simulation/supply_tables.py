"""Tables of interruptions: ``outages`` one by one, ``supply`` what a feeder's consumers lived through on a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.outages.params import CAUSES
from twin.outages.process import Interruptions
from twin.results.schema import arrow_schema
from twin.results.storage import FileRecord
from twin.simulation.messages import Q
from twin.simulation.shard_tables import named
from twin.simulation.system_tables import clock_at
from twin.units import HOURS_PER_DAY

if TYPE_CHECKING:
    from twin.simulation.block import ArmBlock, BlockSolver, BlockState
    from twin.simulation.replicate import ReplicateWorld
    from twin.simulation.shard import Shared
    from twin.simulation.supply import Outages, SupplyDay

SECONDS_PER_HOUR = 3600.0


def supply_files(
    shared: Shared, name: str, world: ReplicateWorld, solver: BlockSolver, block: BlockState
) -> list[FileRecord]:
    """Write a day's interruptions and supply for every arm, where supply is interrupted."""
    outages, day = world.outages, block.supply
    if outages is None or day is None:
        return []
    records = []
    counts = [outages.counts(day, i, part) for i, part in enumerate(solver.population.feeders)]
    for arm, result in enumerate(block.arms):
        case = world.plan.case(arm, world.replicate)
        tables = {"outages": outage_rows(case, day), "supply": supply_rows(case, outages, day, counts, result)}
        for table, rows in tables.items():
            if table in shared.wanted and rows.num_rows:
                path = f"tables/{table}/case={case}/{name}.parquet"
                records.append(shared.storage.write_table(path, table, rows))
    return records


def outage_rows(case: int, day: SupplyDay) -> pa.Table:
    """Interruptions that begin on the day, level by level; of consumers looked at closely, and of substations."""
    level, entity, cause, start, end = [], [], [], [], []
    for number, (_, found, ids) in enumerate(day.records):
        begins = (found.from_h >= 0.0) & (found.from_h < HOURS_PER_DAY)
        mine = Interruptions._make(column[begins] for column in found)
        level.append(np.full(len(mine.place), number))
        entity.append(ids[mine.place])
        cause.append(mine.cause)
        start.append(mine.from_h)
        end.append(mine.until_h)
    levels = [name for name, _, _ in day.records]
    columns = {
        "case": np.full(sum(map(len, level)), case, np.int32),
        "level": named(np.concatenate(level), levels),
        "entity_id": np.concatenate(entity).astype(np.int64),
        "cause": named(np.concatenate(cause), list(CAUSES)),
        "began": clock_at(day.date, np.concatenate(start) * SECONDS_PER_HOUR * 1e6),
        "ended": clock_at(day.date, np.concatenate(end) * SECONDS_PER_HOUR * 1e6),
    }
    return pa.table(columns, schema=arrow_schema("outages"))


def supply_rows(
    case: int, outages: Outages, day: SupplyDay, counts: list[NDArray[np.float64]], result: ArmBlock
) -> pa.Table:
    """One row per simulated feeder."""
    n = len(outages.feeders)
    interruptions, momentary, counted_h, off_h = np.array(counts).reshape(n, 4).T
    columns = {
        "case": np.full(n, case, np.int32),
        "date": np.full(n, np.datetime64(day.date, "D")),
        "feeder_id": outages.feeders.astype(np.int32),
        "consumers": outages.consumers,
        "interruptions": interruptions,
        "momentary": momentary,
        "counted_h": counted_h,
        "supplied_h": HOURS_PER_DAY - off_h,
        "unserved_kwh": result.quantities[Q.UNSERVED].sum(axis=1) * HOURS_PER_DAY / outages.steps,
    }
    return pa.table(columns, schema=arrow_schema("supply"))
