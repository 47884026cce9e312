"""What an arm costs beside one arm alone, and what a sweep of a district's week costs.

    python -m benchmarks.arms [--arms 1 2 3 5] [--days 2] [--rounds 2] [--skip-sweep]

The arms: the quickstart's district in one process, so that CPU seconds are those of its thread and other work on the
machine counts little; the fewest seconds of the rounds stand. The first arm is the base tariff, the others are times of
day, every second one with a shaped free block. Cost per arm relative to one arm is cost(n arms) / (n x cost(one arm)).

The sweep: ten peak multipliers, two arms each (20 cases), a week of the district on two Ray shards; wall time.
Run it once before, so that kernels are compiled. State the load of the machine with the figures: it is printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from twin.results.reader import open_run
from twin.runner import RunOptions, run_scenario
from twin.scenario import Scenario, load_scenario

QUICKSTART = Path(__file__).parents[1] / "scenarios" / "quickstart.yaml"
NOT_SHARDS = ("33kv_and_above", "write")
TABLES = "output={tables: [consumers, bills, feeders]}"
PEAK = "experiment.arms.tod.tariff.time_of_day.peak.multiplier"


def time_of_day(multiplier: float, *, shaped: bool) -> dict[str, Any]:
    """An arm of the quickstart's windows."""
    periods = {"solar": {"hours": "09-17", "multiplier": 0.8}, "peak": {"hours": "17-23", "multiplier": multiplier}}
    tariff: dict[str, Any] = {"time_of_day": {"applies_to": "gross", **periods}}
    if shaped:
        tariff["free_units"] = {"per_period": {"peak": 25.0}}
    return {"tariff": tariff}


def with_arms(count: int, days: int) -> Scenario:
    """The quickstart with so many arms and one replicate."""
    base = load_scenario(QUICKSTART, (f"time.days={days}", "experiment.replicates=1", TABLES))
    others = {f"arm{place}": time_of_day(1.1 + place / 10, shaped=place % 2 == 0) for place in range(1, count)}
    return base.with_values({"experiment.arms": {"flat": {}, **others}})


def sweep_of_a_week() -> Scenario:
    """Ten sweep points of two arms."""
    values = [round(1.1 + place / 10, 1) for place in range(10)]
    arms = "{flat: {}, tod: {tariff: {time_of_day: {applies_to: gross, solar: {hours: '09-17', multiplier: 0.8}, "
    arms += "peak: {hours: '17-23', multiplier: 1.2}}}}}"
    settings = ("time.days=7", "experiment.replicates=1", f"experiment.arms={arms}", f"sweep={{{PEAK}: {values}}}")
    return load_scenario(QUICKSTART, (*settings, TABLES))


def manifest_of(scenario: Scenario, backend: str, shards: int) -> dict[str, Any]:
    """Run it in a folder that goes; its manifest."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "run")
        run_scenario(scenario, RunOptions(out=out, backend=backend, shards=shards, command="benchmark"))
        return dict(open_run(out).manifest)


def in_a_process(scenario: Scenario, backend: str, shards: int) -> dict[str, Any]:
    """The same in a process of its own, so that nothing is left over from the run before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(manifest_of, scenario, backend, shards).result()


def costs(manifest: dict[str, Any]) -> dict[str, float]:
    """CPU seconds: of the shards in the days, the same with writing and the grid above, and of the whole run."""
    levels = manifest["levels_s"]
    shards = sum(value for name, value in levels.items() if name not in NOT_SHARDS)
    return {"shards in the days": shards, "days": sum(levels.values()), "whole run": manifest["cpu_s"]}


def rounds_of(counts: list[int], days: int, rounds: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Manifests by number of arms, alternating, so that a slow spell of the machine hits all."""
    for _ in range(rounds):
        for count in counts:
            yield count, in_a_process(with_arms(count, days), "local", 1)


def show_arms(counts: list[int], days: int, rounds: int) -> None:
    """Cost per arm relative to one arm, and where it goes."""
    fewest: dict[int, dict[str, float]] = {}
    levels: dict[int, dict[str, float]] = {}
    for count, manifest in rounds_of(counts, days, rounds):
        own = costs(manifest)
        if count not in fewest or own["days"] < fewest[count]["days"]:
            levels[count] = manifest["levels_s"]
        known = fewest.setdefault(count, own)
        fewest[count] = {name: min(value, known[name]) for name, value in own.items()}
        print(f"{count} arms: " + ", ".join(f"{name} {value:.1f} s" for name, value in own.items()), flush=True)
    print("\narms  " + "  ".join(f"{name:>28s}" for name in fewest[counts[0]]) + "   (CPU s; per arm beside one)")
    for count, own in fewest.items():
        cells = [
            f"{value:16.1f} ({value / count / fewest[counts[0]][name] * counts[0]:9.2f})" for name, value in own.items()
        ]
        print(f"{count:4d}  " + "  ".join(f"{cell:>28s}" for cell in cells))
    print("\nCPU s by level and arm")
    for count, own in levels.items():
        print(f"{count:4d}  " + ", ".join(f"{name} {value / count:.2f}" for name, value in own.items()))


def show_sweep() -> None:
    """Time of a sweep of 20 cases."""
    scenario = sweep_of_a_week()
    manifest = in_a_process(scenario, "ray", 2)
    wall, steps = manifest["wall_s"], manifest["consumer_steps"]
    print(
        f"\n{scenario.n_cases} cases of {manifest['consumers']:,} consumers, {scenario.time.days} days, "
        f"{steps / 1e6:,.0f} million consumer-steps: {wall['total']:.0f} s, of which build {wall['build']:.0f}, "
        f"simulate {wall['simulate']:.0f}, write {wall['write']:.0f}, report {wall['report']:.0f}; "
        f"CPU {manifest['cpu_s']:.0f} s; {manifest['peak_rss_bytes'] / 2**30:.1f} GiB; "
        f"{wall['total'] / scenario.n_cases:.1f} s a case, {steps / wall['simulate'] / 1e6:.1f} million steps/s; "
        f"predicted {manifest['prediction']}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What arms and sweeps cost.")
    parser.add_argument("--arms", type=int, nargs="+", default=[1, 2, 3, 5], help="numbers of arms, the first is 1")
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--skip-sweep", action="store_true")
    asked = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    show_arms(asked.arms, asked.days, asked.rounds)
    if not asked.skip_sweep:
        show_sweep()
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
