"""How cost grows: with consumers, with shards, with substations; and what the model of docs/scaling.md makes of it.

    python -m benchmarks.scaling [--largest 4000000]

Costs are CPU seconds of the thread that works, so that other work on the machine counts little; only round trips of
messages and of whole runs are wall time. Memory is the growth of the process: at small sizes it finds room left by the
compiler. Needs 4 GiB for the default size, and some minutes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import ray
from ray.cluster_utils import Cluster

from twin.bench import SCENARIO, _bare_gain
from twin.grid.partition import partition
from twin.grid.strata import choose
from twin.results.reader import open_run
from twin.runner import RunOptions, run_scenario
from twin.scenario import Scenario, load_scenario
from twin.simulation.block import BlockSolver, BlockState
from twin.simulation.border import WIDE_LIMIT_PU
from twin.simulation.consumer_tables import annual_kwh
from twin.simulation.messages import N_Q, BlockQuestion
from twin.simulation.meter_state import MeterState
from twin.simulation.plan import plans
from twin.simulation.population import build_population
from twin.simulation.prepare import build_grid
from twin.simulation.replicate import open_world
from twin.simulation.verification import verify_sample

SIZES = (10_000, 100_000, 1_000_000, 4_000_000)
STEPS, FOLLOWING = 96, 2
RUNS = (("local", 1), ("local", 40), ("ray", 1), ("ray", 2), ("nodes", 2))
"""Where and on how many shards a run is compared with the model."""
STATE_CONSUMERS, STATE_PSS = 21_200_000, 1200
INDIA_CONSUMERS = 250_000_000
MIB = 2**20
Result = TypeVar("Result")


@dataclass(frozen=True)
class Size:
    """One point of the curve."""

    consumers: int
    substations: int
    build_us: float
    step_ns: float
    bytes_each: float


@dataclass(frozen=True)
class Costs:
    """Constants of the model."""

    build_us: float
    """Per consumer."""
    step_ns: float
    """Per consumer-step, all rounds of a day."""
    above_us: float
    """Per substation and round of 96 steps, at the driver."""
    message_us: float
    """Per shard and round."""
    answer_us: float
    """Per substation and round: its numbers on their way to the driver."""
    rounds: float

    def day_s(self, consumers: float, substations: float, shards: int, imbalance: float) -> dict[str, float]:
        """Wall seconds of a day of one case by term, none overlapped."""
        return {
            "shards": consumers * STEPS * self.step_ns * 1e-9 / shards * imbalance,
            "messages": self.rounds * (shards * self.message_us + substations * self.answer_us) * 1e-6,
            "grid above": self.rounds * substations * self.above_us * 1e-6,
        }


def scenario_of(folder: Path, fraction: float, resolve: str | None = None) -> Scenario:
    """The scenario of ``twin bench`` at another size."""
    path = folder / "scaling.yaml"
    text = SCENARIO.format(fraction=fraction)
    path.write_text(text.replace(f"{{fraction: {fraction}}}", resolve) if resolve else text)
    return load_scenario(path)


def measure_size(wanted: int) -> Size:
    """Build whole substations with about ``wanted`` consumers, and settle a day of them; runs in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = scenario_of(Path(folder), 0.0, "all")
    design_kw, state, selection = build_grid(scenario)
    at = np.bincount(state.feeders.pss, weights=state.feeders.n_consumers, minlength=len(state.pss.code))
    order = np.argsort(np.abs(at - np.median(at)), kind="stable")
    substations = max(int(np.searchsorted(np.cumsum(at[order]), wanted)), 1)
    owned = np.sort(order[:substations]).astype(np.int32)
    small = owned[:1]
    for chosen in (small, owned):  # the first compiles
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        cpu = time.thread_time()
        population = build_population(state, selection, chosen, design_kw, owns_ehv=False)
        annual_kwh(scenario.seed, population, scenario.dates[0].year)
        build_s = time.thread_time() - cpu
        day_s = _settle_day(scenario, population, len(chosen))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    n = len(population.consumers)
    return Size(n, substations, 1e6 * build_s / n, 1e9 * day_s / (n * STEPS), grown / n)


def _settle_day(scenario: Scenario, population: Any, substations: int) -> float:
    """CPU seconds of a day of one arm: the first round, the following ones, verification."""
    plan, solver = plans(scenario)[0], BlockSolver(population, STEPS)
    world = open_world(plan, 0, population)
    meters = MeterState.begin(plan, np.zeros((len(population.consumers), plan.zones.n_zones)))
    block = BlockState.begin(world, meters, 0, solver)
    cpu = time.thread_time()
    for turn in range(1 + FOLLOWING):
        v = np.full((1, substations, STEPS), 1.0 + 1e-3 * turn)
        solver.solve(block, BlockQuestion(0, (0,), v, turn == 0, WIDE_LIMIT_PU))
    solver.scale_energies(block.arms[0])
    verify_sample(solver, block, v[0])
    return time.thread_time() - cpu


def curve(largest: int) -> Iterator[Size]:
    """Cost by size, each in a process of its own."""
    for wanted in (size for size in SIZES if size <= largest):
        yield in_a_process(measure_size, wanted)


def in_a_process(work: Callable[..., Result], *args: Any) -> Result:
    """Do something in a process of its own: memory, compiled kernels and Ray's token are new there."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


@ray.remote(num_cpus=0)
class Echo:
    """Answers as large as a shard's, without the work."""

    def answer(self, v_pss_pu: Any) -> Any:
        """Numbers of some substations."""
        return np.zeros((N_Q, *v_pss_pu.shape))


def round_trip_s(shards: int, substations: int) -> float:
    """Median wall time of a round's messages."""
    actors = [Echo.remote() for _ in range(shards)]  # type: ignore[attr-defined]
    parts = np.array_split(np.ones((substations, STEPS)), shards)
    seconds = []
    for _ in range(30):
        began = time.perf_counter()
        ray.get([actor.answer.remote(part) for actor, part in zip(actors, parts, strict=True)])
        seconds.append(time.perf_counter() - began)
    for actor in actors:
        ray.kill(actor)
    return float(np.median(seconds[5:]))


def message_costs() -> tuple[float, float]:
    """Microseconds per shard, and per substation, of a round's messages."""
    ray.init(address="local", include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        few, many = round_trip_s(1, 10), round_trip_s(9, 10)
        large = round_trip_s(1, STATE_PSS)
    finally:
        ray.shutdown()
    return 1e6 * max(many - few, 0.0) / 8, 1e6 * max(large - few, 0.0) / (STATE_PSS - 10)


def whole_run(scenario: Scenario, folder: Path, where: str, shards: int) -> dict[str, Any]:
    """Manifest of a run in one process (``local``), on Ray, or on Ray ``nodes`` with a CPU each."""
    out = folder / f"{where}{shards}"
    backend = "local" if where == "local" else "ray"
    with several_nodes(shards) if where == "nodes" else nullcontext() as address:
        options = RunOptions(out=str(out), backend=backend, shards=shards, address=address, command="benchmark")
        run_scenario(scenario, options)
    return dict(open_run(str(out)).manifest)


@contextmanager
def several_nodes(count: int) -> Iterator[str]:
    """A Ray cluster of a head without CPUs and nodes with one each, all on this machine; gives its address."""
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(count):
            cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        ray.shutdown()
        cluster.shutdown()


def workers_s(manifest: dict[str, Any]) -> float:
    """CPU seconds of the shards in blocks, writing apart."""
    levels = manifest["levels_s"]
    return float(sum(value for name, value in levels.items() if name not in ("33kv_and_above", "write")))


def imbalance_of(scenario: Scenario, shards: int) -> float:
    """Consumers of the largest shard over the mean, with the whole state resolved."""
    _, state, _ = build_grid(scenario)
    selection = choose(state, "all", scenario.seed)
    at = np.bincount(state.feeders.pss, weights=state.feeders.n_consumers, minlength=len(state.pss.code))
    parts = [float(at[rows].sum()) for rows in partition(state, selection, shards)]
    return max(parts) * len(parts) / sum(parts)


def main() -> None:
    """Measure, fit and print."""
    parser = argparse.ArgumentParser(description="How cost grows, and what the model makes of it.")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="consumers of the largest size")
    sizes = []
    print("consumers  substations  build us each  day ns per step  bytes each", flush=True)
    for size in curve(parser.parse_args().largest):
        sizes.append(size)
        print(f"{size.consumers:9,d}  {size.substations:11d}  {size.build_us:13.2f}  {size.step_ns:15.1f}", end="")
        print(f"  {size.bytes_each:10.0f}", flush=True)
    message_us, answer_us = message_costs()
    print(f"messages of a round: {message_us:.0f} us per shard, {answer_us:.1f} us per substation", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = scenario_of(folder, 0.02)
        _runs(scenario, folder, sizes, message_us, answer_us)
        print(f"two bare processes of the kernels against one: {_bare_gain(scenario):.2f} times", flush=True)


def _runs(scenario: Scenario, folder: Path, sizes: list[Size], message_us: float, answer_us: float) -> None:
    whole_run(scenario, folder, "local", 3)  # compiles
    manifests = {key: in_a_process(whole_run, scenario, folder, *key) for key in RUNS}
    one = manifests["local", 1]
    rounds = one["rounds"]["mean"]
    case_days = one["consumer_steps"] / one["consumers"] / STEPS
    above_us = 1e6 * one["levels_s"]["33kv_and_above"] / (rounds * case_days * STATE_PSS)
    costs = Costs(
        sizes[-1].build_us, workers_s(one) * 1e9 / one["consumer_steps"], above_us, message_us, answer_us, rounds
    )
    print(f"in a run with two arms: {costs.step_ns:.1f} ns per consumer-step, {rounds:.1f} rounds, "
          f"{above_us:.0f} us per substation and round above")  # fmt: skip
    print("run        workers CPU s (predicted)  wall s of simulation (predicted, without overlap)")
    for (where, shards), manifest in manifests.items():
        work_s = manifest["consumer_steps"] * costs.step_ns * 1e-9
        day = costs.day_s(manifest["consumers"], STATE_PSS, 1 if where == "local" else shards, 1.0)
        wall_s = case_days * sum(day.values())
        print(f"{where:5s} {shards:3d}  {workers_s(manifest):13.1f} ({work_s:.1f})  "
              f"{manifest['wall_s']['simulate']:20.1f} ({wall_s:.1f})", flush=True)  # fmt: skip
    gain = manifests["ray", 1]["wall_s"]["simulate"] / manifests["ray", 2]["wall_s"]["simulate"]
    print(f"two Ray shards against one: {gain:.2f} times", flush=True)
    _predictions(scenario, costs, sizes[-1].step_ns)


def _predictions(scenario: Scenario, costs: Costs, flat_ns: float) -> None:
    """A day of one arm without response, where nothing overlaps."""
    flat = Costs(costs.build_us, flat_ns, costs.above_us, costs.message_us, costs.answer_us, costs.rounds)
    print("a day of one arm         cores  build s  shards s  messages s  grid above s  largest shard over mean")
    for what, times in (("Bihar", 1.0), ("India", INDIA_CONSUMERS / STATE_CONSUMERS)):
        for cores in (2, 64, 1000):
            # India's substations are taken as Bihar's, many times over.
            uneven = imbalance_of(scenario, max(round(cores / times), 1))
            consumers = STATE_CONSUMERS * times
            day = flat.day_s(consumers, STATE_PSS * times, cores, uneven)
            build_s = consumers * flat.build_us * 1e-6 / cores * uneven
            print(f"{what:6s} {consumers:14,.0f}  {cores:6d}  {build_s:7.1f}  {day['shards']:8.2f}", end="")
            print(f"  {day['messages']:10.2f}  {day['grid above']:12.2f}  {uneven:.2f}", flush=True)


if __name__ == "__main__":
    main()
