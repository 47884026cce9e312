"""Tables that a shard writes for a block, and what its feeders and names stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.grid.state import StateGrid
from twin.grid.strata import Selection
from twin.results.schema import arrow_schema
from twin.results.storage import FileRecord
from twin.simulation.harvest import DT_COLUMNS
from twin.simulation.messages import Q
from twin.simulation.system_tables import case_path, interval_starts
from twin.units import MINUTES_PER_DAY

if TYPE_CHECKING:
    from twin.simulation.block import ArmBlock, BlockSolver, BlockState
    from twin.simulation.replicate import ReplicateWorld
    from twin.simulation.shard import Shared


def block_files(
    shared: Shared, name: str, world: ReplicateWorld, solver: BlockSolver, block: BlockState
) -> list[FileRecord]:
    """Write the block's tables of feeders and transformers for every arm."""
    records = []
    for arm, result in enumerate(block.arms):
        case = world.plan.case(arm, world.replicate)
        tables = {"feeders": feeder_rows, "transformers": transformer_rows}
        for table, rows in tables.items():
            if table in shared.wanted and solver.population.feeders:
                path = f"{case_path(table, case, name, shared.attempt).rpartition('/')[0]}/{name}.parquet"
                records.append(shared.storage.write_table(path, table, rows(case, world, block, result)))
    return records


def feeder_rows(case: int, world: ReplicateWorld, block: BlockState, result: ArmBlock) -> pa.Table:
    """Feeders step by step, feeder after feeder."""
    ids = [part.feeder for part in world.population.feeders]
    steps = world.plan.steps
    starts = interval_starts(world.plan.dates[block.number], steps)
    quantities = result.quantities
    columns = {
        "case": np.full(len(ids) * steps, case, np.int32),
        "interval_start": np.tile(starts, len(ids)),
        "feeder_id": np.repeat(np.array(ids, np.int32), steps),
        "sent_kw": quantities[Q.P].ravel(),
        "sent_kvar": quantities[Q.QVAR].ravel(),
        "used_kw": quantities[Q.USED].ravel(),
        "loss_11kv_kw": quantities[Q.LOSS_11KV].ravel(),
        "loss_dt_kw": quantities[Q.LOSS_DT].ravel(),
        "loss_lv_kw": quantities[Q.LOSS_LV].ravel(),
        "v_head_pu": result.v_head_pu.ravel(),
        "v_min_pu": result.v_min_pu.ravel(),
    }
    return pa.table(columns, schema=arrow_schema("feeders"))


def transformer_rows(case: int, world: ReplicateWorld, block: BlockState, result: ArmBlock) -> pa.Table:
    """DTs' figures of the day."""
    parts = world.population.feeders
    date = world.plan.dates[block.number]
    counts = [len(part.dt_id) for part in parts]
    day = dict(zip(DT_COLUMNS, result.dt_day, strict=True))
    step_minutes = MINUTES_PER_DAY // world.plan.steps
    peak_minutes = (day["peak_step"].astype(np.int64) * step_minutes).astype("timedelta64[m]")
    columns = {
        "case": np.full(sum(counts), case, np.int32),
        "date": np.full(sum(counts), np.datetime64(date, "D")),
        "dt_id": np.concatenate([part.dt_id for part in parts]),
        "feeder_id": np.repeat(np.array([part.feeder for part in parts], np.int32), counts),
        "rating_kva": np.concatenate([part.rating_kva for part in parts]).astype(np.float32),
        "peak_kva": day["peak_kva"],
        "peak_interval": np.datetime64(date, "us") + peak_minutes,
        "loading_percent": day["loading_percent"],
        "overload_hours": day["overload_hours"],
        "evening_peak_kw": day["evening_peak_kw"],
        "v_end_min_pu": day["v_end_min_pu"],
        "v_end_p5_pu": day["v_end_p5_pu"],
        "sent_kwh": day["sent_kwh"].astype(np.float64),
    }
    return pa.table(columns, schema=arrow_schema("transformers"))


def feeder_weights(state: StateGrid, selection: Selection) -> NDArray[np.float64]:
    """State consumers that a consumer of each feeder stands for: 1 for resolved feeders that represent only themselves;
    (unsimulated + sampled) / sampled of its stratum for sampled ones; 0 for feeders that are not simulated.
    """
    stratum, consumers = state.feeders.stratum, state.feeders.n_consumers
    n_strata = len(selection.sampled_consumers)
    left = ~(selection.resolved | selection.sampled)
    unsimulated = np.bincount(stratum[left], weights=consumers[left], minlength=n_strata)
    sampled = selection.sampled_consumers.astype(np.float64)
    weight = np.divide(unsimulated + sampled, sampled, out=np.zeros(n_strata), where=sampled > 0)
    return np.where(selection.sampled, weight[stratum], np.where(selection.resolved, 1.0, 0.0))


def named(codes: NDArray[np.integer], names: list[str]) -> pa.Array:
    """Codes as strings, without a Python loop over them."""
    indices = pa.array(codes.astype(np.int32))
    return pa.DictionaryArray.from_arrays(indices, pa.array(names)).cast(pa.string())
