"""What a run will take: counts from the scenario, times rates measured on a reference machine, and how it came out."""

from __future__ import annotations

from twin.datapack import read_yaml
from twin.grid.state import StateGrid
from twin.grid.strata import Selection
from twin.results.commits import Commit
from twin.scenario.schema import Scenario
from twin.scenario.zones import tariff_zones
from twin.simulation.manifest import Manifest
from twin.simulation.plan import month_end
from twin.simulation.prepare import Workers, build_grid, specs_for

MIB = 2**20


def prediction(scenario: Scenario, workers: Workers) -> dict[str, str]:
    """Time, memory and output of a run, as text by name: what the dry run prints."""
    _, state, selection = build_grid(scenario)
    n_fleets, n_each = (1, 1) if scenario.grid.is_own else workers.divided(scenario, selection, state)
    numbers = predicted_numbers(scenario, state, selection, len(specs_for(state, selection, n_each)), n_fleets)
    return {
        "consumers simulated": f"{numbers['consumers']:,.0f}",
        "consumer-steps": f"{numbers['consumer_steps']:,.0f}",
        "cases": f"{numbers['cases']:,.0f}",
        "shards": f"{numbers['shards']:,.0f}" + (f" in each of {n_fleets} fleets" if n_fleets > 1 else ""),
        "wall time": f"about {numbers['wall_s']:,.0f} s after compilation",
        "memory": f"about {numbers['memory_bytes'] / MIB:,.0f} MiB in all processes",
        "output": f"about {numbers['output_bytes'] / MIB:,.0f} MiB",
    }


def predicted_numbers(
    scenario: Scenario, state: StateGrid, selection: Selection, n_shards: int, n_fleets: int
) -> dict[str, float]:
    """The same as numbers, for a grid that is built: what the manifest keeps. Rates are in ``twin/data/rates.yaml``."""
    rates = {name: entry["value"] for name, entry in read_yaml("rates").items()}
    consumers = float(state.feeders.n_consumers[selection.simulated].sum() + len(state.ht))
    points, arms = len(scenario.points()), len(scenario.world_names)
    cases = float(scenario.n_cases)
    case_days = cases * len(scenario.dates)
    steps = consumers * case_days * scenario.steps
    per_shard = consumers * rates["build_ns_per_consumer"] + steps * rates["ns_per_consumer_step"] / n_fleets
    if scenario.meters.devices:
        per_shard += steps * rates["meter_ns_per_consumer_step"] / n_fleets
    is_own = scenario.grid.is_own
    once = rates["own_once_s" if is_own else "once_s"] + rates["once_s_per_case"] * cases
    above_s = 0.0 if is_own else rates["upper_s_per_case_day"] * case_days
    memory = rates["process_bytes"] * (n_shards * n_fleets + 1)
    memory += n_fleets * consumers * (rates["bytes_per_consumer"] + rates["state_bytes_per_arm"] * arms)
    if scenario.meters.devices:
        meters = scenario.meters
        switched = arms * rates["relay_bytes"] if meters.commands or meters.prepaid or meters.load_limit else 0.0
        later = month_end(scenario.dates[0]) < scenario.dates[-1]  # displays then have a state, the window's start none
        registers = rates["register_bytes"] * tariff_zones(scenario).n_zones * (2 * arms if later else arms + 1)
        memory += n_fleets * consumers * (rates["meter_bytes"] + registers + switched)
    return {
        "consumers": consumers,
        "consumer_steps": steps,
        "cases": cases,
        "shards": float(n_shards),
        "wall_s": once + above_s + per_shard * 1e-9 / n_shards,
        "memory_bytes": memory,
        "output_bytes": sum(
            rows * rates[f"{table}_row_bytes"]
            for table, rows in _rows(scenario, state, selection, points * scenario.experiment.replicates).items()
        ),
    }


def _rows(scenario: Scenario, state: StateGrid, selection: Selection, worlds: int) -> dict[str, float]:
    """Rows of the large tables that the scenario asks for; ``worlds``: sweep points times replicates."""
    dates, arms = scenario.dates, len(scenario.world_names)
    days = worlds * arms * len(dates)
    simulated = selection.simulated
    consumers = float(state.feeders.n_consumers[simulated].sum() + len(state.ht))
    bills = sum(date in (month_end(date), dates[-1]) for date in dates)
    rows = {
        "consumers": consumers,
        "bills": consumers * worlds * arms * bills,
        "registers": consumers * worlds * arms * bills * tariff_zones(scenario).n_zones,
        "feeders": float(simulated.sum()) * days * scenario.steps,
        "transformers": float(state.feeders.n_dts[simulated].sum()) * days,
        "grid_substations": float(len(state.gss.id)) * days * scenario.steps,
        "readings": float(scenario.output.readings.consumers) * days * scenario.steps,
    }
    if scenario.grid.is_own:
        del rows["grid_substations"]
    if scenario.meters.devices:
        rows |= _meter_rows(scenario, rows, float(simulated.sum()), days)
    always = ("grid_substations",)
    named = {"displays": "registers"}
    return {
        table: number
        for table, number in rows.items()
        if table in always or scenario.output.wants(named.get(table, table))
    }


def _meter_rows(scenario: Scenario, rows: dict[str, float], feeders: float, case_days: int) -> dict[str, float]:
    """Rows of the tables of meters as devices; what load limits and commands add is left out.

    ``displays``: what ``registers`` takes more where it holds displayed readings.
    """
    rates = {name: entry["value"] for name, entry in read_yaml("rates").items()}
    dt_days = rows["transformers"]
    return {
        "meter_balance": dt_days,
        "dt_meters": dt_days * float(read_yaml("meter_fleet")["dt_meter_share"]["value"]),
        "feeder_meters": feeders * case_days,
        "meter_reads": feeders * case_days * rates["meter_types_per_feeder"],
        "meter_power": feeders * case_days if scenario.outages is not None else 0.0,
        "displays": rows["registers"],
        "meter_days": rows["readings"] / scenario.steps,
        "meter_events": rows["consumers"] * case_days * rates["meter_events_per_day"],
        "estimates": rows["bills"] * rates["estimated_share"],
    }


def measured_numbers(manifest: Manifest, commits: list[Commit]) -> dict[str, float]:
    """What the same figures of a finished run were, from its manifest and commit records; compilation is within."""
    return {
        "consumers": float(manifest.consumers),
        "consumer_steps": float(manifest.consumer_steps),
        "shards": float(manifest.shards),
        "wall_s": manifest.wall_s["total"],
        "compile_s": manifest.wall_s["compile"],
        "memory_bytes": float(manifest.peak_rss_bytes),
        "output_bytes": float(sum(record.bytes for commit in commits for record in commit.files)),
    }


def comparison(prediction: dict[str, float], measured: dict[str, float]) -> str:
    """One line: what came out beside what was predicted."""
    parts = [
        ("time", "wall_s", "s", 1.0),
        ("memory", "memory_bytes", "MiB", MIB),
        ("tables", "output_bytes", "MiB", MIB),
    ]
    words = [
        f"{name} {measured[key] / scale:,.0f} {unit} ({prediction[key] / scale:,.0f})"
        for name, key, unit, scale in parts
    ]
    return f"took (predicted): {', '.join(words)}"
