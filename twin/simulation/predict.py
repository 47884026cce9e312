"""What a run will take: counts from the scenario, times rates measured on a reference machine."""

from __future__ import annotations

from twin.datapack import read_yaml
from twin.scenario.schema import Scenario
from twin.simulation.prepare import build_grid, specs_for

MIB = 2**20


def prediction(scenario: Scenario, n_shards: int) -> dict[str, str]:
    """Time, memory and output of a run, as text by name."""
    numbers = predicted_numbers(scenario, n_shards)
    return {
        "consumers simulated": f"{numbers['consumers']:,.0f}",
        "consumer-steps": f"{numbers['consumer_steps']:,.0f}",
        "cases": f"{numbers['cases']:,.0f}",
        "shards": f"{numbers['shards']:,.0f}",
        "wall time": f"about {numbers['wall_s']:.0f} s after compilation",
        "memory": f"about {numbers['memory_bytes'] / MIB:,.0f} MiB in all processes",
        "output": f"about {numbers['output_bytes'] / MIB:,.0f} MiB",
    }


def predicted_numbers(scenario: Scenario, n_shards: int) -> dict[str, float]:
    """The same as numbers."""
    rates = read_yaml("rates")
    _, state, selection = build_grid(scenario)
    shards = len(specs_for(state, selection, n_shards))
    consumers = float(state.feeders.n_consumers[selection.simulated].sum() + len(state.ht))
    blocks = len(scenario.dates) * scenario.experiment.replicates * len(scenario.points())
    arms = len(scenario.arm_names)
    steps = consumers * blocks * arms * scenario.steps
    cases = float(arms * scenario.experiment.replicates * len(scenario.points()))
    wall = rates["build_s"]["value"] + rates["upper_s_per_case_day"]["value"] * blocks * arms
    wall += steps * rates["ns_per_consumer_step"]["value"] * 1e-9 / shards
    memory = rates["process_bytes"]["value"] * (shards + 1)
    memory += consumers * (rates["bytes_per_consumer"]["value"] + rates["state_bytes_per_arm"]["value"] * arms)
    output = cases * consumers * rates["bill_bytes"]["value"] + consumers * rates["consumer_row_bytes"]["value"]
    return {
        "consumers": consumers, "consumer_steps": steps, "cases": cases, "shards": float(shards), "wall_s": wall,
        "memory_bytes": memory, "output_bytes": output,
    }  # fmt: skip
