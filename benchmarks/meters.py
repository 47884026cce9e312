"""What meters as devices cost: bytes a meter, and CPU nanoseconds per consumer-step of a settled day's work.

    python -m benchmarks.meters
    python -m benchmarks.meters --day      # what they add to the state's day: see `benchmarks.meters_day`

One arm, a sample of the state's feeders, smart shares as a scenario has them. The day's work is everything between a
solved block and its tables: devices, reads, registers, estimates, interruptions. Load limits work in the block, before
networks, and are timed on drawn demand: as set, and far from everybody.
"""

from __future__ import annotations

import argparse
import time
from datetime import timedelta
from pathlib import Path

import numpy as np

from benchmarks.meters_day import show_day
from twin.demand.panel import design_kind_kw
from twin.grid.state import build_state
from twin.grid.strata import choose
from twin.scenario import load_scenario
from twin.simulation.block import BlockSolver, BlockState
from twin.simulation.meter_devices import MeterDevices
from twin.simulation.meter_state import MeterState, start_of_month
from twin.simulation.plan import PointPlan, plans
from twin.simulation.population import build_population
from twin.simulation.replicate import open_world
from twin.simulation.supply import Outages

SCENARIO = Path(__file__).parents[1] / "scenarios" / "ci_tiny.yaml"
FRACTION, DAYS = 0.02, 7
ONE_ARM = "experiment.arms={flat: {}}"
COMMAND = "{command: disconnect, day: 2026-06-10, hour: 11.0, share: 0.02, queue_min: 60}"
MODELS = {
    "devices": (),
    "and interruptions": ("outages={}",),
    "and commands": ("outages={}", f"meters.commands=[{COMMAND}]"),
}
LIMITS = {"as set": "meters.load_limit={multiple: 1.1}", "far from all": "meters.load_limit={multiple: 100}"}


def plan_of(overrides: tuple[str, ...]) -> PointPlan:
    """A week of one arm with meters as devices."""
    return plans(load_scenario(SCENARIO, ("meters.devices=true", ONE_ARM, f"time.days={DAYS}", *overrides)))[0]


def main() -> None:
    """The day's work of the meters alone, or within the state's day."""
    parser = argparse.ArgumentParser(description="What meters as devices cost.")
    parser.add_argument("--day", action="store_true", help="within the state's day, with and without interruptions")
    parser.add_argument("--share", type=float, default=0.05, help="of the state's substations, with --day")
    parser.add_argument("--rounds", type=int, default=5, help="with --day; medians over them")
    parser.add_argument("--tables", default="scenario", help="with --day: all, or those of the scenario")
    parser.add_argument("--memory", action="store_true", help="with --day: measure memory too")
    asked = parser.parse_args()
    if asked.day:
        show_day(asked.share, asked.rounds, asked.tables, with_memory=asked.memory)
    else:
        show_models()


def show_models() -> None:
    """Build the sample once and time each set of models on it."""
    design_kw = design_kind_kw(1)
    state = build_state(1, design_kw)
    selection = choose(state, FRACTION, 1)
    pss = np.unique(state.feeders.pss[selection.simulated]).astype(np.int32)
    population = build_population(state, selection, pss, design_kw, owns_ehv=True)
    n, plan = len(population.consumers), plan_of(())
    solver = BlockSolver(population, plan.steps)
    print(f"{n:,} consumers")

    def opened(overrides: tuple[str, ...]) -> tuple[MeterState, MeterDevices]:
        chosen = plan_of(overrides)
        world = open_world(chosen, 0, population)
        if chosen.scenario.outages is not None:
            world.outages = Outages(world, state, selection)
        devices = MeterDevices(world)
        return MeterState.begin(chosen, start_of_month(world, solver, chosen.dates[0]), devices), devices

    for name, overrides in MODELS.items():
        meters, devices = opened(overrides)
        world = open_world(plan, 0, population)
        used = np.zeros((n, plan.zones.n_zones))
        world.add_energy(solver, plan.dates[0], used, mean_field=False)
        assert meters.recorded_kwh is not None
        spent = []
        for day in range(DAYS):
            if devices.outages is not None:  # the outage model draws a day once, for networks and for meters
                devices.outages.outages.on(plan.dates[0] + timedelta(days=day + 1))
            began = time.process_time()
            devices.advance(plan.dates[0] + timedelta(days=day), [used], meters.recorded_kwh, np.zeros(0, np.int64))
            spent.append(time.process_time() - began)
        assert meters.recorded_start_kwh is not None
        registers = (meters.recorded_kwh.nbytes + meters.recorded_start_kwh.nbytes) / n
        ns = 1e9 * float(np.median(spent[1:])) / (n * plan.steps)
        size = devices.bytes_per_meter + registers
        print(f"{name}: {ns:.1f} ns per consumer-step; {size:.1f} bytes a meter, {registers:.0f} of them registers")
    for name, setting in LIMITS.items():
        meters, _ = opened((setting,))
        block = BlockState.begin(open_world(plan_of((setting,)), 0, population), meters, 0, solver)
        spent_s = [0.0, 0.0]
        for part in population.feeders:
            for turn in range(2):
                kw = solver.draw(block, part.rows)
                began = time.process_time()
                solver.after_response(block, 0, part.rows, kw)
                spent_s[turn] += time.process_time() - began
        first, again = (1e9 * seconds / (n * plan.steps) for seconds in spent_s)
        print(
            f"load limits {name}: {first:.2f} ns per consumer-step in the first round, {again:.2f} in each further one"
        )


if __name__ == "__main__":
    main()
