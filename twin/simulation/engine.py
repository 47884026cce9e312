"""The loop of a run: replicate by replicate, day by day, all arms of a replicate together.

For each block the shards settle their feeders at a guessed PSS voltage, the driver solves the grid above with what they
hand up, and so on until no PSS voltage moves more than the tolerance; then the shards commit. What a block commits is a
function of the scenario alone: not of shards, attempts or the time at which anything was killed.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twin.results.commits import BlockKey, Commit, write_commit
from twin.results.storage import FileRecord, Storage
from twin.simulation.border import BORDER_TOLERANCE_PU, Layout, StateLoad
from twin.simulation.checkpoint import CheckpointError, read_voltages, write_voltages
from twin.simulation.fleets import Fleet, Program, Wait, work_together
from twin.simulation.manifest import Manifest, Stopwatch, process_usage
from twin.simulation.mean_field import first_voltages
from twin.simulation.messages import CommitAnswer
from twin.simulation.plan import PointPlan
from twin.simulation.settling import Border, Settled
from twin.simulation.system_tables import upper_failures, write_system_tables

LOG = logging.getLogger(__name__)

CHECKPOINTS_KEPT = 2
CHECKPOINT_SHARE = 0.05
"""Checkpoints may cost at most this share of the time since the last one."""


class Progress(Protocol):
    """What the engine tells about its progress."""

    def advance(self, done: int, total: int, detail: str) -> None:
        """So many blocks are done."""
        ...


@dataclass
class Lane:
    """One fleet's place in the loop: the replicate it works on is its own."""

    fleet: Fleet
    last_checkpoint: float = 0.0
    """When the last checkpoint was written. [s, monotonic clock]"""
    checkpoint_cost_s: float = 0.0


@dataclass
class Engine:
    """Drives one run. Everything it owns is small: PSS times steps."""

    points: list[PointPlan]
    fleets: list[Fleet]
    """Each has all shards; replicates are dealt to them as they become free."""
    upper: Any
    layout: Layout
    scouts: Layout | None
    """The same, of the feeders that guess the first voltages; None: the sources hold theirs."""
    storage: Storage
    attempt: int
    manifest: Manifest
    progress: Progress
    reading_ids: NDArray[np.int64]
    stations: dict[str, list[Any]]
    """Fixed columns of the table of grid substations; empty: there are none."""
    contracted_mw: float | None = None
    """Power bought under contracts; None: that of the whole state."""
    done: dict[BlockKey, Commit] = field(default_factory=dict)
    """Blocks committed by earlier attempts of this run."""
    _finished: int = 0
    _guesses: dict[tuple[dt.date, int], NDArray[np.float64]] = field(default_factory=dict)
    _rounds: list[int] = field(default_factory=list)

    def run(self) -> None:
        """Simulate every block of every replicate of every sweep point that is not committed yet."""
        cases = ((point, replicate) for point in self.points for replicate in range(point.replicates))
        work_together([(fleet, self._serve(Lane(fleet), cases)) for fleet in self.fleets])
        if self._rounds:
            self.manifest.rounds = {"mean": float(np.mean(self._rounds)), "most": float(max(self._rounds))}

    def _serve(self, lane: Lane, cases: Iterator[tuple[PointPlan, int]]) -> Program[None]:
        """One fleet's work: the next replicate that nobody has taken, until none is left."""
        for point, replicate in cases:
            yield from self._run_replicate(lane, point, replicate)

    def _watch(self, phase: str) -> Stopwatch:
        """Wall time of a phase, of which every fleet counts its share."""
        return Stopwatch(self.manifest.wall_s, phase, 1.0 / len(self.fleets))

    def _run_replicate(self, lane: Lane, point: PointPlan, replicate: int) -> Program[None]:
        with self._watch("simulate"):
            first, v_pss = self._begin_replicate(lane.fleet, point, replicate)
        for block in range(first):
            self._absorb(point, self.done[BlockKey("1block", point.index, replicate, block)].extra)
            self._finished += 1
        lane.last_checkpoint = time.monotonic()
        for block in range(first, len(point.dates)):
            v_pss = yield from self._run_block(lane, point, replicate, block, v_pss)

    def _begin_replicate(
        self, fleet: Fleet, point: PointPlan, replicate: int
    ) -> tuple[int, NDArray[np.float64] | None]:
        """First block to simulate and its guess of PSS voltages; the shards start from the newest whole checkpoint."""
        n_blocks = len(point.dates)
        if self._committed(point, replicate) == n_blocks:
            return n_blocks, None
        what = f"the start of replicate {replicate}"
        for first, restored in self._resume_points(point, replicate):
            checkpoint = list(restored.checkpoint) if restored else []
            args = [(point.index, replicate, first, checkpoint)] * fleet.n_shards
            try:
                v_pss = read_voltages(self.storage, restored) if restored else None
                fleet.call("begin_replicate", args, what)
            except CheckpointError as error:
                LOG.warning("the checkpoint before block %d is not used: %s", first, error)
                continue
            if first:
                LOG.info("replicate %d goes on from its checkpoint at block %d", replicate, first)
            return first, v_pss
        raise AssertionError("a replicate can always start from its beginning")

    def _committed(self, point: PointPlan, replicate: int) -> int:
        """Blocks at the start of a replicate that are committed without a gap."""
        for block in range(len(point.dates)):
            if BlockKey("1block", point.index, replicate, block) not in self.done:
                return block
        return len(point.dates)

    def _resume_points(self, point: PointPlan, replicate: int) -> Iterator[tuple[int, Commit | None]]:
        """First block to simulate and the commit whose checkpoint it starts from, newest first, the beginning last."""
        blocks = range(self._committed(point, replicate) - 1, -1, -1)
        commits = [(block, self.done[BlockKey("1block", point.index, replicate, block)]) for block in blocks]
        # Records of older commits name checkpoints that are gone by now.
        for block, commit in [pair for pair in commits if pair[1].checkpoint][:CHECKPOINTS_KEPT]:
            yield block + 1, commit
        yield 0, None

    def _run_block(
        self, lane: Lane, point: PointPlan, replicate: int, block: int, v_guess: NDArray[np.float64] | None
    ) -> Program[NDArray[np.float64]]:
        began = time.perf_counter()
        with self._watch("simulate"):
            if v_guess is None:
                v_guess = np.repeat(self._first_voltages(lane.fleet, point)[None], len(point.arms), axis=0)
            border = Border(lane.fleet, self.upper, self.layout, self.reading_ids)
            settled = yield from border.settle(point, block, v_guess)
        self._rounds.append(settled.rounds)
        v_final = np.stack([result.v_pss_pu for result in settled.upper])
        with self._watch("write"):
            yield from self._commit(lane, point, replicate, block, settled, v_final)
        self._finished += 1
        steps = self.manifest.consumers * point.steps * len(point.arms) * len(self.fleets)
        rate = steps / (time.perf_counter() - began)
        memory_gib = self.manifest.peak_rss_bytes / 2**30
        detail = f"replicate {replicate}, {point.dates[block]:%d %b}, {rate / 1e6:.1f} million consumer-steps/s"
        detail += f", {memory_gib:.1f} GiB"
        self.progress.advance(self._finished, self._total(), detail)
        return v_final

    def _total(self) -> int:
        return sum(len(point.dates) * point.replicates for point in self.points)

    def _first_voltages(self, fleet: Fleet, point: PointPlan) -> NDArray[np.float64]:
        """PSS voltages that the first block of a replicate begins with; the same for all replicates and arms."""
        if self.scouts is None:
            voltages: NDArray[np.float64] = self.upper.voltages(point.steps)
            return voltages
        key = (point.dates[0], point.steps)
        if key not in self._guesses:
            self._guesses[key] = first_voltages(fleet, self.scouts, self.upper, *key)
        return self._guesses[key]

    def _commit(
        self, lane: Lane, point: PointPlan, replicate: int, block: int, settled: Settled, v_final: NDArray[np.float64]
    ) -> Program[None]:
        key = BlockKey("1block", point.index, replicate, block)
        with_checkpoint = self._checkpoint_due(lane, point, block)
        stem = f"p{point.index:03d}-r{replicate:04d}-b{block:05d}"
        began = time.monotonic()
        args = [(block, stem, with_checkpoint, self.reading_ids)] * lane.fleet.n_shards
        answers: list[CommitAnswer] = yield Wait(lane.fleet.submit("commit", args), f"the tables of block {block}")
        settled.log.shards("commit", 0, settled.rounds, (answer.work for answer in answers))
        self._note_processes(answers)
        files = [record for answer in answers for record in answer.files]
        files += write_system_tables(
            self.storage, self.attempt, stem, point, replicate, block, settled, self.stations, self.contracted_mw
        )
        checkpoint: list[FileRecord] = []
        if with_checkpoint:
            checkpoint = [record for answer in answers for record in answer.checkpoint]
            checkpoint.append(write_voltages(self.storage, f"checkpoints/{stem}-a{self.attempt:06d}-driver", v_final))
            lane.checkpoint_cost_s = max(time.monotonic() - began, 1e-3)
            lane.last_checkpoint = time.monotonic()
        extra = self._summary(point, replicate, block, settled)
        commit = Commit(key, self.attempt, tuple(files), tuple(checkpoint), extra)
        write_commit(self.storage, commit)
        self._forget_old_checkpoints(point, replicate, block, commit)
        self._absorb(point, extra)
        self.manifest.write(self.storage)

    def _note_processes(self, answers: list[CommitAnswer]) -> None:
        """Peak memory and repeated storage calls of all processes so far; shards in one process count once."""
        told = {answer.usage.process: (answer.usage, answer.storage_retries) for answer in answers if answer.usage}
        own = process_usage()
        told[own.process] = (own, self.storage.retries)
        peak = sum(usage.peak_rss_bytes for usage, _ in told.values())
        self.manifest.peak_rss_bytes = max(self.manifest.peak_rss_bytes, peak)
        self.manifest.storage_retries = sum(retries for _, retries in told.values())

    def _checkpoint_due(self, lane: Lane, point: PointPlan, block: int) -> bool:
        if block + 1 >= len(point.dates):
            return False
        return time.monotonic() - lane.last_checkpoint >= lane.checkpoint_cost_s / CHECKPOINT_SHARE

    def _forget_old_checkpoints(self, point: PointPlan, replicate: int, block: int, commit: Commit) -> None:
        """Keep the last two checkpoints of a replicate; the rest go, and all when it is finished."""
        self.done[commit.key] = commit
        own = [key for key in sorted(self.done) if (key.point, key.replicate) == (point.index, replicate)]
        with_checkpoint = [key for key in own if self.done[key].checkpoint]
        last = block + 1 == len(point.dates)
        for key in with_checkpoint if last else with_checkpoint[:-CHECKPOINTS_KEPT]:
            for record in self.done[key].checkpoint:
                self.storage.delete(record.path)
            old = self.done[key]
            self.done[key] = Commit(old.key, old.attempt, old.files, (), old.extra)

    def _summary(self, point: PointPlan, replicate: int, block: int, settled: Settled) -> dict[str, Any]:
        """What the manifest keeps of a block; stored in its commit, so that a resumed run knows it too."""
        closure: dict[str, float] = {}
        mismatch = {} if self.scouts is None else {"pss_voltage_pu": settled.moved_pu}
        for answer in (answer for arm in settled.accepted for answer in arm):
            for level, value in answer.closure.items():
                closure[level] = max(closure.get(level, 0.0), value)
            for level, value in answer.border_mismatch.items():
                mismatch[level] = max(mismatch.get(level, 0.0), value)
        if self.scouts is not None:
            closure["33kv_and_above"] = max(float(np.nanmax(result.closure)) for result in settled.upper)
        losses = [_loss_share(load, result) for load, result in zip(settled.loads, settled.upper, strict=True)]
        peak, share = losses[0]
        return {
            "closure": closure, "mismatch": mismatch, "unsettled": sum(r.controls_unsettled for r in settled.upper),
            "failures": failure_rows(point, replicate, block, settled),
            "peak_mw": peak, "loss_share_at_peak": share, "rounds": settled.rounds,
            "levels_s": settled.log.levels.seconds, "spans": settled.log.as_rows(),
        }  # fmt: skip

    def _absorb(self, point: PointPlan, extra: dict[str, Any]) -> None:
        """Take a block's summary into the manifest."""
        limits = {"lv": 1e-5}
        for level, value in extra["closure"].items():
            self.manifest.note_balance(level, value, limits.get(level, 1e-6))
        for level, value in extra["mismatch"].items():
            self.manifest.note_border(level, value, BORDER_TOLERANCE_PU)
        self.manifest.failed_solves += extra["failures"]
        for level, seconds in extra.get("levels_s", {}).items():
            self.manifest.levels_s[level] = self.manifest.levels_s.get(level, 0.0) + seconds
        self.manifest.consumer_steps += self.manifest.consumers * point.steps * len(point.arms)
        self.manifest.controls_unsettled += extra.get("unsettled", 0)
        if extra["peak_mw"] > self.manifest.network.get("peak_mw", 0.0):
            self.manifest.network["peak_mw"] = extra["peak_mw"]
            self.manifest.network["loss_share_at_peak"] = extra["loss_share_at_peak"]


def _loss_share(load: StateLoad, result: Any) -> tuple[float, float]:
    """Highest intake of the state [MW] and the share of it that was lost then."""
    step = int(np.nanargmax(result.sent_mw))
    used_mw = (load.pss[2, :, step].sum() + load.ht33_kw[:, step].sum() + load.ehv_kw[:, step].sum()) / 1e3
    return float(result.sent_mw[step]), float(1.0 - used_mw / result.sent_mw[step])


def failure_rows(point: PointPlan, replicate: int, block: int, settled: Settled) -> list[dict[str, Any]]:
    """Failed solves of a block as plain rows: who, when, which case, why."""
    rows = []
    for arm in range(len(point.arms)):
        case = point.case(arm, replicate)
        failures = [failure for answer in settled.accepted[arm] for failure in answer.failures]
        failures += upper_failures(settled.upper[arm])
        rows += [
            {
                "feeder": failure.entity, "step": failure.step, "date": str(point.dates[block]), "case": case,
                "cause": failure.cause, "detail": failure.detail,
            }
            for failure in failures
        ]  # fmt: skip
    return rows
