"""What meters and interruptions add to the state's day, on every so many-th substation of the state.

    python -m benchmarks.meters --day [--share 0.05] [--rounds 5] [--tables all] [--memory]

A shard as `scenarios/bihar_day.yaml` has it, every feeder of its substations resolved, lives through the day with both
off, with meters as devices, with interruptions, and with both, in turn: two rounds at given PSS voltages (the second
0.2 % lower), acceptance, and the commit with its tables. CPU seconds of the process, median over rounds after one that
is not counted. ``--memory``: the most that a process of its own held beyond the population, the run's beginning
included.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from twin.results.storage import Storage
from twin.scenario import load_scenario
from twin.simulation.border import WIDE_LIMIT_PU
from twin.simulation.messages import BlockQuestion
from twin.simulation.plan import plans
from twin.simulation.prepare import build_grid, wanted_tables
from twin.simulation.shard import Shard, ShardSpec, Shared

SCENARIO = Path(__file__).parents[1] / "scenarios" / "bihar_day.yaml"
DEVICES, INTERRUPTIONS = "meters.devices=true", "outages={}"
MODES = {
    "both off": (),
    "devices": (DEVICES,),
    "interruptions": (INTERRUPTIONS,),
    "both": (DEVICES, INTERRUPTIONS),
}
ROUNDS_PU = (1.0, 0.998)
"""PSS voltages of a day's rounds of the border."""
PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Day:
    """What a day cost."""

    cpu_s: float
    levels_s: dict[str, float]
    digest: str
    """Of all that the shard answered and wrote."""


def build_shard(share: float, folder: str, tables: str) -> Shard:
    """A shard of every so many-th substation of the state, whose sweep points are the modes."""
    kept = () if tables == "scenario" else (f"output.tables={tables}",)
    points = [plans(load_scenario(SCENARIO, (*kept, *settings)))[0] for settings in MODES.values()]
    design_kw, state, selection = build_grid(points[0].scenario)
    wanted = wanted_tables(points[-1].scenario)
    shared = Shared(points, state, selection, design_kw, Storage(folder), 1, frozenset(wanted))
    owned = np.arange(0, len(state.pss.code), max(round(1 / share), 1), dtype=np.int32)
    shard = Shard(ShardSpec(0, owned, False), shared)
    shard.build()
    return shard


def live_day(shard: Shard, point: int) -> Day:
    """Let a shard live through the day of a mode, whose world is open."""
    plan, nobody = shard.shared.points[point], np.zeros(0, np.int64)
    levels: dict[str, float] = {}
    seen = hashlib.sha256()
    began = time.process_time()
    for number, v_pu in enumerate(ROUNDS_PU):
        v_pss_pu = np.full((1, len(shard.spec.owned_pss), plan.steps), v_pu)
        answer = shard.solve(BlockQuestion(0, (0,), v_pss_pu, number == 0, WIDE_LIMIT_PU))[0]
        seen.update(answer.pss.tobytes())
        _add(levels, answer.work.levels)
    _add(levels, shard.accept(0, 0, v_pss_pu[0], nobody).work.levels)
    done = shard.commit(0, f"mode{point}", False, nobody)
    spent = time.process_time() - began
    _add(levels, done.work.levels)
    for record in done.files:
        seen.update(f"{record.table} {record.sha256}".encode())
    for name, array in shard.meters.arrays().items():
        seen.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return Day(spent, levels, seen.hexdigest()[:16])


def _add(levels: dict[str, float], more: tuple[tuple[str, float], ...]) -> None:
    for name, seconds in more:
        levels[name] = levels.get(name, 0.0) + seconds


def peak_bytes(share: float, point: int, tables: str) -> float:
    """Most memory a consumer that a process holds beyond the population in a replicate's beginning and day."""
    with tempfile.TemporaryDirectory() as folder:
        shard = build_shard(share, folder, tables)
        (PROCESS / "clear_refs").write_text("5")  # forget the highest so far
        before = _status_bytes("VmRSS")
        shard.begin_replicate(point, 0, 0, [])
        live_day(shard, point)
        return (_status_bytes("VmHWM") - before) / len(shard.population.consumers)


def _status_bytes(name: str) -> int:
    line = next(line for line in (PROCESS / "status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def in_a_process(share: float, point: int, tables: str) -> float:
    """`peak_bytes` in a process of its own, which holds nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(peak_bytes, share, point, tables).result()


def show_day(share: float, rounds: int, tables: str, *, with_memory: bool) -> None:
    """Measure and print."""
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    days: dict[str, list[Day]] = {name: [] for name in MODES}
    with tempfile.TemporaryDirectory() as folder:
        shard = build_shard(share, folder, tables)
        n, steps = len(shard.population.consumers), shard.shared.points[0].steps
        print(f"{n:,} consumers, {len(shard.population.feeders)} feeders", flush=True)
        for turn in range(rounds + 1):
            for point, name in enumerate(MODES):
                shard.begin_replicate(point, 0, 0, [])
                day = live_day(shard, point)
                if turn:  # the first loads kernels and touches memory
                    days[name].append(day)
    per_step = 1e9 / (n * steps)
    off = median(day.cpu_s for day in days["both off"])
    for point, (name, lived) in enumerate(days.items()):
        cpu_s = median(day.cpu_s for day in lived)
        parts = {
            level: per_step * median(day.levels_s.get(level, 0.0) for day in lived)
            for level in sorted({level for day in lived for level in day.levels_s})
        }
        print(
            f"{name:14s} {per_step * cpu_s:5.1f} ns per consumer-step, {per_step * (cpu_s - off):+5.1f}; "
            + ", ".join(f"{level} {value:.1f}" for level, value in parts.items())
            + (f"; {in_a_process(share, point, tables):.0f} bytes a consumer at most" if with_memory else "")
            + f"; digest {', '.join(sorted({day.digest for day in lived}))}",
            flush=True,
        )
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
