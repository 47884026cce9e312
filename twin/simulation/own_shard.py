"""The shard of a network of the user's: one holds the whole network; all but its population and solver is a shard's."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.results.schema import arrow_schema
from twin.results.storage import FileRecord
from twin.simulation.consumer_tables import annual_kwh, static_files
from twin.simulation.messages import AcceptAnswer, BuildAnswer, CommitAnswer
from twin.simulation.own_grid import OwnGrid
from twin.simulation.own_population import mapped_loads_table, own_population
from twin.simulation.own_solver import OwnArm, OwnSolver
from twin.simulation.reading_tables import reading_candidates, rows_of_ids
from twin.simulation.shard import Shard, Shared
from twin.simulation.system_tables import case_path, interval_starts


class OwnShard(Shard):
    """Owns a network of the user's and the consumers behind its loads."""

    solver: OwnSolver

    def build(self) -> BuildAnswer:
        """Draw the consumers, compile the network, and write the tables that do not change."""
        began = time.perf_counter()
        shared, grid = self.shared, self.grid
        plan, seed = shared.points[0], shared.state.seed
        district = int(shared.state.feeders.district[0])
        population = self.population = own_population(grid, seed, district)
        self.solver = OwnSolver(grid, population, plan, seed)
        stem = f"s00000-a{shared.attempt:06d}"
        files = static_files(shared, stem, population)
        if "mapped_loads" in shared.wanted:
            path = f"tables/mapped_loads/{stem}.parquet"
            files.append(shared.storage.write_table(path, "mapped_loads", mapped_loads_table(grid)))
        none = np.zeros(0, np.int64)
        return BuildAnswer(
            consumers=len(population.consumers),
            simulated_feeders=np.arange(len(population.feeders)),
            sampled_feeders=none,
            scout_feeders=none,
            ehv_rows=none,
            files=files,
            bytes_static=population.consumers.nbytes + self.solver.network_bytes,
            reading_candidates=reading_candidates(shared, population),
            seconds=time.perf_counter() - began,
            extra={"annual_kwh": self.annual_kwh(), "network": self.solver.network.described()},
        )

    def annual_kwh(self) -> float:
        """Expected use of all consumers in a year. [kWh]"""
        year = self.shared.points[0].dates[0].year
        return float(annual_kwh(self.shared.state.seed, self.population, year).sum(dtype=np.float64))

    @property
    def grid(self) -> OwnGrid:
        """The network."""
        assert self.shared.own is not None, "this shard is made for a network of the user's"
        return self.shared.own

    def accept(
        self, block: int, arm: int, v_pss_pu: NDArray[np.float64], reading_ids: NDArray[np.int64]
    ) -> AcceptAnswer:
        """Take what is needed of an arm. It was solved exactly at the sources' voltages: there is nothing to verify."""
        solved = self._solved(block)
        result = solved.arms[arm]
        if "readings" in self.shared.wanted:
            rows = rows_of_ids(self.population.consumers.consumer_id, reading_ids)
            result.read_kwh = self.solver.used_by_step(solved, arm, rows)
        return AcceptAnswer(failures=result.all_failures, closure=result.closure, border_mismatch={})

    def commit(self, block: int, stem: str, with_checkpoint: bool, reading_ids: NDArray[np.int64]) -> CommitAnswer:
        """Commit a block as any shard, with the table of loads."""
        answer = super().commit(block, stem, with_checkpoint, reading_ids)
        return replace(answer, files=[*answer.files, *self._load_files(block, stem)])

    def _load_files(self, block: int, stem: str) -> list[FileRecord]:
        shared, plan = self.shared, self.world.plan
        if "loads" not in shared.wanted:
            return []
        records = []
        for arm, result in enumerate(self._solved(block).arms):
            assert isinstance(result, OwnArm), "this shard's solver makes no other"
            case = plan.case(arm, self.world.replicate)
            rows = _load_rows(shared, self.grid, case, block, result)
            records.append(shared.storage.write_table(case_path("loads", case, stem, shared.attempt), "loads", rows))
        return records


def _load_rows(shared: Shared, grid: OwnGrid, case: int, block: int, result: OwnArm) -> pa.Table:
    """Loads with consumers step by step, load after load."""
    n, steps = result.load_kw.shape
    columns = {
        "case": np.full(n * steps, case, np.int32),
        "interval_start": np.tile(interval_starts(shared.points[0].dates[block], steps), n),
        "load": np.repeat(grid.loads, steps),
        "p_kw": result.load_kw.ravel(),
        "q_kvar": result.load_kvar.ravel(),
        "vm_pu": result.load_vm_pu.ravel(),
    }
    return pa.table(columns, schema=arrow_schema("loads"))
