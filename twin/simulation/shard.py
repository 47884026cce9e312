"""A shard: the PSSs that one worker owns, their consumers as columns, their meters' state, one block after another.

An ordinary class: the driver's process, a test or a Ray actor may hold it. What it answers is a function of the
scenario, the block and the PSS voltages alone, never of how the state was cut into shards.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin import calibrated
from twin.demand.weather import Weather
from twin.economics.prices import PriceCounts
from twin.grid.state import StateGrid
from twin.grid.strata import Selection
from twin.kernels import are_compiled, instruction_set, mark_compiled, source_hash
from twin.results.commits import latest_attempt
from twin.results.storage import FileRecord, Storage
from twin.simulation.assignment import settle_tariffs
from twin.simulation.billing_month import bill_files
from twin.simulation.block import BlockSolver, BlockState
from twin.simulation.border import WIDE_LIMIT_PU
from twin.simulation.checkpoint import WALLETS, read_meters, write_meters
from twin.simulation.consumer_tables import static_files
from twin.simulation.enrolment_table import enrolment_files
from twin.simulation.harvest import mean_field_answer
from twin.simulation.manifest import Usage, process_usage
from twin.simulation.messages import (
    AcceptAnswer,
    ArmAnswer,
    BlockQuestion,
    BuildAnswer,
    CommitAnswer,
    MeanFieldAnswer,
    Only,
)
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.meter_displays import SHOWN_IN, open_displays
from twin.simulation.meter_state import MeterState, start_of_month
from twin.simulation.meter_tables import estimate_files, meter_files
from twin.simulation.plan import PointPlan
from twin.simulation.population import Population, build_population
from twin.simulation.prepaid import Wallets
from twin.simulation.price_tables import count_shard, weight_group
from twin.simulation.reading_tables import reading_candidates, reading_files, rows_of_ids, used_by_step
from twin.simulation.replicate import ExpectedDay, ReplicateWorld, open_world
from twin.simulation.shard_tables import block_files
from twin.simulation.spans import Work
from twin.simulation.supply import Outages
from twin.simulation.supply_tables import supply_files
from twin.simulation.verification import BASELINE, verify_sample
from twin.simulation.wallet_tables import wallet_window_files

if TYPE_CHECKING:
    from twin.simulation.own_grid import OwnGrid  # it imports pandapower, which takes a worker seconds

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardSpec:
    """Which part of the state a shard is."""

    index: int
    owned_pss: NDArray[np.int32]
    owns_ehv: bool
    """The consumers at 132 kV and above belong to this shard."""


@dataclass(frozen=True)
class Shared:
    """What all shards share; goes to each worker's machine once."""

    points: list[PointPlan]
    state: StateGrid
    selection: Selection
    design_kw: NDArray[np.float64]
    """Expected demand per kind of consumer on the planning day, shape (n_kinds, 96). [kW]"""
    storage: Storage
    attempt: int
    wanted: frozenset[str]
    """Tables that the scenario asks for."""
    own: OwnGrid | None = None
    """A network of the user's, which ``state`` describes."""
    fleet: int = 0
    """Which fleet; the first writes the tables of consumers, which are the same in all."""


class Shard:
    """Owns some PSSs through a run. Methods are called by the driver in the order build, begin_replicate, (solve ...
    solve, accept, commit) ..., close.
    """

    def __init__(self, spec: ShardSpec, shared: Shared) -> None:
        self.spec, self.shared = spec, shared
        self.population: Population
        self.world: ReplicateWorld
        self.meters: MeterState
        self.solver: BlockSolver
        self.block: BlockState | None = None
        self.mean_solver: BlockSolver
        self.mean_block: BlockState | None = None
        self.expected = ExpectedDay()

    def identify(self) -> tuple[str, str, bool]:
        """Hash of the kernels' sources, the instruction set they are compiled for, and whether they are by now."""
        return source_hash(), instruction_set(), are_compiled()

    def whereabouts(self) -> tuple[str, int, bool]:
        """Machine and process that hold this shard, and whether they see the run's folder."""
        return socket.gethostname(), os.getpid(), latest_attempt(self.shared.storage) >= self.shared.attempt

    def build(self) -> BuildAnswer:
        """Build the population; in the first fleet, write the tables of its consumers."""
        began = time.perf_counter()
        shared = self.shared
        calibrated.use(shared.points[0].scenario.calibrated)
        self.population = build_population(
            shared.state, shared.selection, self.spec.owned_pss, shared.design_kw, owns_ehv=self.spec.owns_ehv
        )
        self.solver = BlockSolver(self.population, shared.points[0].steps)
        stem = f"s{self.spec.owned_pss[0]:05d}-a{shared.attempt:06d}"
        files = static_files(shared, stem, self.population) if shared.fleet == 0 else []
        population = self.population
        return BuildAnswer(
            consumers=len(population.consumers),
            simulated_feeders=np.array([part.feeder for part in population.feeders], np.int64),
            sampled_feeders=population.standing_for("sampled"),
            scout_feeders=population.standing_for("scouts"),
            ehv_rows=population.ehv_row,
            files=files,
            bytes_static=population.consumers.nbytes + self.solver.network_bytes,
            reading_candidates=reading_candidates(shared, population),
            seconds=time.perf_counter() - began,
        )

    def begin_replicate(self, point: int, replicate: int, first_block: int, checkpoint: list[FileRecord]) -> float:
        """Open the world of a replicate: parameters, weather, month to date; returns seconds spent.

        Starts from the checkpoint if one is given, else from the first day's month to date.
        """
        began = time.perf_counter()
        plan, population = self.shared.points[point], self.population
        self.block = None
        self.world = open_world(plan, replicate, population, self.expected)
        settle_tariffs(self.world, self.shared.state, self.shared.selection, self.solver)
        if plan.scenario.outages is not None:
            self.world.outages = Outages(self.world, self.shared.state, self.shared.selection)
        devices = MeterDevices(self.world) if plan.scenario.meters.devices else None
        if checkpoint:
            arrays = read_meters(self.shared.storage, checkpoint, population.consumers.consumer_id)
            self.meters = MeterState.restore(plan, arrays, devices)
        else:
            arrays = {}
            month_to_date = start_of_month(self.world, self.solver, plan.dates[first_block])
            self.meters = MeterState.begin(plan, month_to_date, devices)
        if devices is not None and not SHOWN_IN.isdisjoint(self.shared.wanted):
            self.meters.displays = open_displays(self.world, self.solver, self.meters, arrays)
        if plan.scenario.meters.prepaid is not None:
            self._open_wallets(plan.dates[first_block], checkpoint)
        return time.perf_counter() - began

    def _open_wallets(self, first: dt.date, checkpoint: list[FileRecord]) -> None:
        """Put wallets beside the meters: from a checkpoint, or as a run finds them."""
        wallets = self.meters.wallets = Wallets(self.world, self.meters)
        if checkpoint:
            wallets.restore(read_meters(self.shared.storage, checkpoint, wallets.ids, WALLETS)["wallets"])
        else:
            self.world.response.expected_day_kwh = self.world.expected_day_kwh(self.solver, first)
            wallets.begin(first)

    def solve(self, question: BlockQuestion) -> list[ArmAnswer]:
        """One round of a block: settle every feeder of the asked arms at the given PSS voltages."""
        if self.block is None or self.block.number != question.block:
            self.block = self.mean_block = None
            self._forecast(question.block)
            self.block = BlockState.begin(self.world, self.meters, question.block, self.solver)
        with self._timed("11kv") as work:
            answers = self.solver.solve(self.block, question)
        return [replace(answers[0], work=work()), *answers[1:]]

    @contextmanager
    def _timed(self, rest: str) -> Iterator[Callable[[], Work]]:
        """Time a call; gives a function that tells afterwards when it was, and its levels, ``rest`` for all others."""
        levels, before = self.solver.levels, dict(self.solver.levels.seconds)
        began, clock, cpu = time.time(), time.perf_counter(), time.thread_time()
        done: list[Work] = []
        yield lambda: done[0]
        parts = levels.since(before, time.thread_time() - cpu, rest)
        done.append(Work(began, began + time.perf_counter() - clock, parts))

    def _forecast(self, block: int) -> None:
        """Tell what to expect of the rest of the block's month, if any arm has a response, or anybody a wallet."""
        world = self.world
        if self.meters.wallets is not None or any(world.response.reaches(arm) for arm in range(len(world.plan.arms))):
            world.response.expected_day_kwh = world.expected_day_kwh(self.solver, world.plan.dates[block])

    def accept(
        self, block: int, arm: int, v_pss_pu: NDArray[np.float64], reading_ids: NDArray[np.int64]
    ) -> AcceptAnswer:
        """Take what is needed of an arm as last solved, and let its low-voltage solutions go.

        ``v_pss_pu``, shape (n_owned_pss, steps), is the grid's last answer, against which a sample is verified.
        """
        solved = self._solved(block)
        result = solved.arms[arm]
        with self._timed("verification") as work:
            self.solver.scale_energies(result)
            mismatch = verify_sample(self.solver, solved, v_pss_pu) if arm == BASELINE else {}
            if "readings" in self.shared.wanted:
                rows = rows_of_ids(self.population.consumers.consumer_id, reading_ids)
                result.read_kwh = used_by_step(self.solver, solved, arm, rows)
        answer = AcceptAnswer(result.all_failures, result.closure, mismatch, work())
        self.solver.let_go(result)
        return answer

    def commit(self, block: int, stem: str, with_checkpoint: bool, reading_ids: NDArray[np.int64]) -> CommitAnswer:
        """Commit a block whose arms are all accepted: advance meters, write tables, and a checkpoint if one is due."""
        with self._timed("write") as work:
            files = self._write_block(block, stem, reading_ids)
            checkpoint = []
            if with_checkpoint:
                shared, ids = self.shared, self.population.consumers.consumer_id
                path = f"checkpoints/{self._name(stem)}"
                checkpoint = [write_meters(shared.storage, path, ids, self.meters.arrays())]
                if (wallets := self.meters.wallets) is not None:
                    state = {"wallets": wallets.array()}
                    checkpoint.append(write_meters(shared.storage, f"{path}-wallets", wallets.ids, state, WALLETS))
        retries = self.shared.storage.retries
        return CommitAnswer(files, checkpoint, work(), process_usage(), retries)

    def _name(self, stem: str) -> str:
        return f"{stem}-s{self.spec.owned_pss[0]:05d}-a{self.shared.attempt:06d}"

    def _write_block(self, block: int, stem: str, reading_ids: NDArray[np.int64]) -> list[FileRecord]:
        """Advance the meters and write a block's tables."""
        shared, plan, solved, name = self.shared, self.world.plan, self._solved(block), self._name(stem)
        files = block_files(shared, name, self.world, self.solver, solved)
        files += enrolment_files(shared, name, self.world) if block == 0 else []
        files += supply_files(shared, name, self.world, self.solver, solved)
        files += meter_files(shared, name, self.world, self.meters, solved, reading_ids)
        files += reading_files(shared, name, self.world, self.meters, solved, reading_ids)
        self.meters.advance(solved)
        if self.meters.closes_after(plan.dates[block]):
            files += estimate_files(shared, name, self.world, self.meters, plan.dates[block])
            files += bill_files(shared, name, self.world, self.meters, self.solver, plan.dates[block])
            files += wallet_window_files(shared, name, self.world, self.meters, plan.dates[block])
            self.meters.next_month(plan.dates[block])
        return files

    def _solved(self, block: int) -> BlockState:
        assert self.block is not None, "a block is solved before it is accepted"
        assert self.block.number == block, f"block {self.block.number} was solved, not {block}"
        return self.block

    def count_prices(self) -> list[list[PriceCounts]]:
        """Whole-number counts for the table of prices, by arm and weight group; of the first sweep point."""
        world = open_world(self.shared.points[0], 0, self.population, self.expected)
        group = weight_group(self.shared.state, self.shared.selection, self.population.consumers.feeder)
        return count_shard(world, self.solver, group)

    def mean_field(
        self, date: dt.date, weather: Weather, v_pss_pu: NDArray[np.float64], first: bool, only: Only
    ) -> MeanFieldAnswer:
        """A round of a day of expected demand at the given PSS voltages, shape (n_owned_pss, steps).

        The day's expectation is the same in every replicate's world.
        """
        if not hasattr(self, "world"):
            self.world = open_world(self.shared.points[0], 0, self.population, self.expected)
        steps = v_pss_pu.shape[1]
        if first:
            self.mean_solver = BlockSolver(self.population, steps)
            self.mean_block = BlockState.of_mean_field(self.world, date, weather, self.mean_solver)
        assert self.mean_block is not None, "the first round of a day opens it"
        question = BlockQuestion(-1, (0,), v_pss_pu[None], first, WIDE_LIMIT_PU, only)
        answer = self.mean_solver.solve(self.mean_block, question)[0]
        return mean_field_answer(self.population, self.mean_block, answer, self.mean_solver.hours)

    def usage(self) -> Usage:
        """What the process that holds this shard has used of its machine, at the end of a run."""
        mark_compiled()
        return process_usage()
