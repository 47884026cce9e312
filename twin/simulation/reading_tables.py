"""Readings of the few consumers that a scenario asks for: truth and register, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.meters.register import register_wh
from twin.results.schema import arrow_schema
from twin.results.storage import FileRecord
from twin.simulation.population import FeederPart, Population
from twin.simulation.system_tables import interval_starts
from twin.streams import Stream, uniforms
from twin.units import WH_PER_KWH

if TYPE_CHECKING:
    from twin.simulation.block import BlockSolver, BlockState
    from twin.simulation.meter_state import MeterState
    from twin.simulation.replicate import ReplicateWorld
    from twin.simulation.shard import Shared


def reading_candidates(shared: Shared, population: Population) -> NDArray[np.float64]:
    """Candidates for readings: the shard's resolved LV consumers with the smallest draws. Rows (draw, consumer_id)."""
    wanted = shared.points[0].scenario.output.readings.consumers
    consumers = population.consumers
    resolved = np.append(shared.selection.resolved, False)[consumers.feeder]
    ids = consumers.consumer_id[resolved]
    draw = uniforms(shared.state.seed, Stream.READINGS, ids)
    order = np.argsort(draw, kind="stable")[:wanted]
    return np.column_stack([draw[order], ids[order].astype(np.float64)])


def choose_readings(candidates: list[NDArray[np.float64]], wanted: int) -> NDArray[np.int64]:
    """The consumers with the smallest draws of the whole run, rising ids."""
    rows = np.concatenate(candidates)
    order = np.lexsort((rows[:, 1], rows[:, 0]))[:wanted]
    return np.sort(rows[order, 1].astype(np.int64))


def rows_of_ids(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of those of the ``wanted`` ids that are among the rising ``ids``."""
    rows = np.searchsorted(ids, wanted)
    return rows[(rows < len(ids)) & (ids[np.minimum(rows, len(ids) - 1)] == wanted)]


def reading_files(
    shared: Shared, name: str, world: ReplicateWorld, meters: MeterState, block: BlockState,
    reading_ids: NDArray[np.int64],
) -> list[FileRecord]:  # fmt: skip
    """Write the readings of a block, before the true energies advance.

    Where meters are devices, a zone's recorded share holds for each of its steps, and steps are named by true time.
    """
    ids = world.population.consumers.consumer_id
    rows = rows_of_ids(ids, reading_ids)
    if "readings" not in shared.wanted or len(rows) == 0:
        return []
    resolution = meters.resolution_wh(world, slice(0, len(ids)))
    records = []
    for arm, result in enumerate(block.arms):
        used_kwh = result.read_kwh
        assert used_kwh is not None, "an arm is accepted before it is committed"
        before, passed_kwh = meters.kwh[arm][rows].sum(axis=1), used_kwh
        if meters.devices is not None:
            assert meters.recorded_kwh is not None
            share = meters.devices.recorded_share(world.plan.dates[block.number], rows, result.consumer_kwh[rows])
            passed_kwh = used_kwh * share[:, world.plan.zones.zone_of_step]
            before = meters.recorded_kwh[arm][rows].sum(axis=1) - passed_kwh.sum(axis=1)  # today is in the registers
        steps = np.cumsum(passed_kwh, axis=1)
        cumulative = before[:, None] + np.concatenate([np.zeros((len(rows), 1)), steps], axis=1)
        shown = register_wh(cumulative, resolution[rows])
        case = world.plan.case(arm, world.replicate)
        table = _rows(case, world, block, ids[rows], used_kwh, np.diff(shown, axis=1) / WH_PER_KWH)
        path = f"tables/readings/case={case}/{name}.parquet"
        records.append(shared.storage.write_table(path, "readings", table))
    return records


def used_by_step(solver: BlockSolver, block: BlockState, arm: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Energy of some consumers per step at the settled voltages, by solving their DTs once more. [kWh]"""
    population, steps = solver.population, solver.steps
    every_step = np.arange(steps, dtype=np.uint8)
    out = np.zeros((len(rows), steps))
    result = block.arms[arm]
    for position, part in enumerate(population.feeders):
        inside = np.flatnonzero((rows >= part.rows.start) & (rows < part.rows.stop))
        if len(inside) == 0:
            continue
        v_dt = solver.final_voltages(block, arm, position, result.v_head_pu[position])
        by_step = np.zeros((part.rows.stop - part.rows.start, steps))
        dts = np.array(dts_of(part, rows[inside]), np.int64)
        solver.solve_exactly(block, arm, position, dts, v_dt, every_step, by_step)
        out[inside] = by_step[rows[inside] - part.rows.start]
    return out


def dts_of(part: FeederPart, rows: NDArray[np.int64]) -> list[int]:
    """The feeder's DTs that serve some rows of the shard's consumers."""
    local = rows - part.rows.start
    return sorted(set((np.searchsorted(part.net.lv.dt_consumer_ptr, local, side="right") - 1).tolist()))


def _rows(
    case: int, world: ReplicateWorld, block: BlockState, ids: NDArray[np.int64], used_kwh: NDArray[np.float64],
    metered_kwh: NDArray[np.float64],
) -> pa.Table:  # fmt: skip
    starts = interval_starts(world.plan.dates[block.number], world.plan.steps)
    columns = {
        "case": np.full(used_kwh.size, case, np.int32),
        "interval_start": np.tile(starts, len(ids)),
        "consumer_id": np.repeat(ids, len(starts)),
        "used_kwh": used_kwh.ravel(),
        "metered_kwh": metered_kwh.ravel(),
    }
    return pa.table(columns, schema=arrow_schema("readings"))
