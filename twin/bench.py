"""``twin bench``: speed and memory on this machine, per level and end to end.

Kernels are timed on the feeders of a small stratified sample of Bihar, over the demand of a June day; the loop is a
real run of the same sample. Figures are medians of repeats; times are of one core unless said otherwise.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.kernels import instruction_set
from twin.powerflow.tile_book import some_of, tile_book
from twin.scenario import Scenario, load_scenario
from twin.simulation.block import BlockSolver, BlockState
from twin.simulation.border import WIDE_LIMIT_PU
from twin.simulation.meter_state import MeterState
from twin.simulation.plan import plans
from twin.simulation.population import build_population
from twin.simulation.prepare import build_grid, specs_for
from twin.simulation.replicate import open_world
from twin.simulation.spans import idle_s, spans_of

REPEATS = 5
SCENARIO = """
name: bench
description: How fast is the twin on this machine?
seed: 2026
grid: {{state: bihar, resolve: {{fraction: {fraction}}}}}
time: {{start: 2026-06-01, days: 2}}
tariff: bihar-2026-27
experiment:
  arms:
    flat: {{}}
    tod: {{tariff: {{time_of_day: {{applies_to: gross, peak: {{hours: "17-23", multiplier: 1.2}}}}}}}}
  replicates: 1
output: {{tables: [cases, system, grid_substations]}}
"""


@dataclass(frozen=True)
class Figure:
    """One measured figure."""

    level: str
    what: str
    value: float
    unit: str


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model, "cores": os.cpu_count(), "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(), "instruction_set": instruction_set(),
    }  # fmt: skip


def run_bench(fraction: float = 0.004) -> Iterator[Figure]:
    """Measure everything, figure by figure, on a sample of ``fraction`` of the state's feeders."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.yaml"
        path.write_text(SCENARIO.format(fraction=fraction))
        scenario = load_scenario(path)
        yield from _kernels(scenario)
        yield from _loop(scenario, Path(folder))


def median_seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median time of some calls, after one that compiles and warms up. [s]"""
    run()
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return float(np.median(seconds))


class Sample:
    """The sample's population on one shard, and a block of it."""

    def __init__(self, scenario: Scenario) -> None:
        begun = time.perf_counter()
        self.design_kw, self.state, selection = build_grid(scenario)
        self.state_s = time.perf_counter() - begun
        (spec,) = specs_for(self.state, selection, 1)

        def build() -> Any:
            return build_population(self.state, selection, spec.owned_pss, self.design_kw, owns_ehv=True)

        self.build_s = median_seconds(build, 1)
        self.population = build()
        plan = plans(scenario)[0]
        self.solver = BlockSolver(self.population, plan.steps)
        world = open_world(plan, 0, self.population)
        zeros = np.zeros((len(self.population.consumers), plan.zones.n_zones))
        self.block = BlockState.begin(world, MeterState.begin(plan, zeros), 0, self.solver)
        self.book = tile_book(self.population.n_dts, plan.steps)
        self.consumer_steps = len(self.population.consumers) * plan.steps
        self.n_pss = len(spec.owned_pss)

    def each_feeder(self, act: Callable[[int, Any], object]) -> None:
        """Do something for every feeder."""
        for position, part in enumerate(self.population.feeders):
            act(position, part)

    def draw(self, part: Any) -> NDArray[np.float32]:
        """Demand of a feeder."""
        return self.solver.draw(self.block, part.rows)

    def settle(self, part: Any, head_pu: float, *, first: bool) -> None:
        """Settle a feeder at a head voltage with equivalents; ``first``: every LV network is solved."""
        result, solver = self.block.arms[0], self.solver
        solver.feeder.settle(
            part.net, some_of(self.book, part.dts), np.full(solver.steps, head_pu), WIDE_LIMIT_PU,
            lambda _: self.draw(part), self.population.consumers.zips[part.rows], self.block.zone_of_step,
            result.consumer_kwh[part.rows], first=first,
        )  # fmt: skip


def _kernels(scenario: Scenario) -> Iterator[Figure]:
    sample = Sample(scenario)
    consumers = len(sample.population.consumers)
    per = 1e9 / sample.consumer_steps
    yield Figure("state", "columns of districts, substations and feeders", sample.state_s, "s")
    yield Figure("population", "built on one core", 1e6 * sample.build_s / consumers, "us per consumer")
    held = sample.population.consumers.nbytes + sample.solver.network_bytes
    yield Figure("population", "columns and networks", held / consumers, "B per consumer")
    draw_s = median_seconds(lambda: sample.each_feeder(lambda _, part: sample.draw(part)))
    yield Figure("demand", "drawn", per * draw_s, "ns per consumer-step")
    first_s = median_seconds(lambda: sample.each_feeder(lambda _, part: sample.settle(part, 1.0, first=True)))
    yield Figure("LV and 11 kV", "every network solved once", per * (first_s - draw_s), "ns per consumer-step")
    follow_s = median_seconds(lambda: sample.each_feeder(lambda _, part: sample.settle(part, 1.002, first=False)))
    yield Figure("11 kV", "followed by equivalents", per * follow_s, "ns per consumer-step")
    yield from _above(sample)


def _above(sample: Sample) -> Iterator[Figure]:
    from twin.grid.transmission_loads import build_upper

    begun = time.perf_counter()
    above = build_upper(sample.state)
    yield Figure("33 kV and above", "built and checked against pandapower", time.perf_counter() - begun, "s")
    solve = planned_evening(sample, above.grid)
    yield Figure("33 kV and above", "96 steps from a flat start", median_seconds(solve, 2), "s")


def planned_evening(sample: Sample, grid: Any) -> Callable[[], Any]:
    """A solve of the grid above with 5 MW at every substation in all steps of a day."""
    n_pss, steps = len(sample.state.pss.code), sample.solver.steps
    p_kw, v = np.full((n_pss, steps), 5000.0), np.ones((n_pss, steps))
    n = np.full((n_pss, steps), 1.2)
    none = np.zeros((int((sample.state.ht.pss < 0).sum()), steps))
    return lambda: grid.solve(p_kw, 0.4 * p_kw, n, n, v, none, none)


def _loop(scenario: Scenario, folder: Path) -> Iterator[Figure]:
    """Two days of two arms: whole runs on one worker and on two, and the same kernels in bare processes."""
    alone = _run(scenario, folder / "local", "local", 1)
    yield Figure("whole loop", "one process", _rate(alone, 1), "million consumer-steps/s per core")
    yield Figure("whole loop", "peak memory", alone["peak_rss_bytes"] / 2**20, "MiB in all processes")
    for level, seconds in alone["levels_s"].items():
        yield Figure("CPU by level", level, 1e9 * seconds / alone["consumer_steps"], "ns per consumer-step")
    if (os.cpu_count() or 1) < 2:  # noqa: PLR2004
        return
    one, two = (_run(scenario, folder / f"ray{n}", "ray", n) for n in (1, 2))
    yield Figure("whole loop", "Ray, two workers", _rate(two, 2), "million consumer-steps/s per core")
    yield Figure("scaling", "Ray: time in which nobody worked", _idle_percent(folder / "ray2"), "% of the blocks")
    gain = one["wall_s"]["simulate"] / two["wall_s"]["simulate"]
    yield Figure("scaling", "two workers against one on Ray", gain, "times")
    yield Figure("scaling", "two bare processes of the same kernels against one", _bare_gain(scenario), "times")


def _run(scenario: Scenario, out: Path, backend: str, shards: int) -> dict[str, Any]:
    """Manifest of a run of the sample; a first one has compiled what it needs."""
    from twin.results.reader import open_run
    from twin.runner import RunOptions, run_scenario

    run_scenario(scenario, RunOptions(out=str(out), backend=backend, shards=shards, command="twin bench"))
    return open_run(str(out)).manifest


def _idle_percent(out: Path) -> float:
    """Share of a run's blocks in which neither a shard nor the driver worked: messages and waiting."""
    from twin.results.reader import open_run

    blocks = [spans_of(commit.extra["spans"]) for commit in open_run(str(out)).commits if commit.extra.get("spans")]
    length, idle = np.sum([idle_s(spans) for spans in blocks], axis=0)
    return float(100.0 * idle / length)


def _rate(manifest: dict[str, Any], cores: int) -> float:
    return float(manifest["consumer_steps"] / manifest["wall_s"]["simulate"] / cores / 1e6)


def _bare_gain(scenario: Scenario) -> float:
    """How much faster two processes do twice the work of one: what this machine gives without Ray or a border."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    queue = context.Queue()
    workers = [context.Process(target=_bare_worker, args=(scenario, rank, barrier, queue)) for rank in range(2)]
    for worker in workers:
        worker.start()
    seconds = dict(queue.get(timeout=600) for _ in workers)
    for worker in workers:
        worker.join()
    alone, together = seconds[0][0], max(pair[1] for pair in seconds.values())
    return 2.0 * alone / together


def _bare_worker(scenario: Scenario, rank: int, barrier: Any, queue: Any) -> None:
    """Solve the sample's feeders again and again: first one process alone, then both at once."""
    sample = Sample(scenario)

    def work() -> float:
        return median_seconds(lambda: sample.each_feeder(lambda _, part: sample.settle(part, 1.0, first=True)))

    work()
    barrier.wait(timeout=600)
    alone = work() if rank == 0 else 0.0
    barrier.wait(timeout=600)
    queue.put((rank, (alone, work())))


def as_json(figures: list[Figure]) -> dict[str, Any]:
    """Figures and the machine, for ``--json``."""
    return {"machine": machine(), "figures": [asdict(figure) for figure in figures]}
