"""`twin.run_timeseries` beside power-grid-model and pandapower, conversion of inputs and outputs included, one thread
each.

    python -m benchmarks.timeseries_peers [--nodes 60 1000] [--states 35040] [--rounds 3]

In: the same pandapower network and the same long table (``step, element, index, p_mw, q_mvar``). Out: the same two
Arrow tables (voltages and angles of all buses; powers, losses and loadings of all lines). For power-grid-model the
conversion is written here as fast as numpy allows, knowing that the table is whole and sorted, which
`twin.run_timeseries` has to find out. pandapower runs `PANDAPOWER_STATES` states and writes into memory.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from power_grid_model import CalculationMethod, ComponentType

import twin
from benchmarks.radial_peers import (
    AGREEMENT_PU,
    MAX_KA,
    PANDAPOWER_STATES,
    Feeder,
    feeder,
    pandapower,
    pandapower_net,
    pgm_solve,
    pgm_update,
    power_grid_model,
)

PERCENT = 100.0
Tables = tuple[pa.Table, pa.Table]


def long_table(case: Feeder) -> pa.Table:
    rows = case.states * case.nodes
    element = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["load"])
    return pa.table(
        {
            "step": np.repeat(np.arange(case.states), case.nodes),
            "element": element,
            "index": np.tile(np.arange(case.nodes), case.states),
            "p_mw": case.p_mw.ravel(),
            "q_mvar": case.q_mvar.ravel(),
        }
    )


def ours(net: Any, table: pa.Table) -> Tables:
    result = twin.run_timeseries(net, table)
    return result.res_bus, result.res_line


def pgm(case: Feeder, table: pa.Table, method: CalculationMethod) -> Tables:
    """Power-grid-model from the long table to the result tables."""
    shape = case.states, case.nodes
    p_mw, q_mvar = (table.column(name).to_numpy().reshape(shape) for name in ("p_mw", "q_mvar"))
    given = Feeder(case.parent, p_mw, q_mvar)
    wanted = {
        ComponentType.node: ["u_pu", "u_angle"],
        ComponentType.line: ["p_from", "q_from", "p_to", "i_from", "i_to"],
    }
    out = pgm_solve(power_grid_model(given), pgm_update(given), method, wanted)
    node, line = out[ComponentType.node], out[ComponentType.line]
    loading = np.maximum(line["i_from"], line["i_to"]) * (PERCENT / (1e3 * MAX_KA))
    buses = {"vm_pu": node["u_pu"], "va_degree": np.degrees(node["u_angle"])}
    lines = {
        "p_from_mw": line["p_from"] * 1e-6,
        "q_from_mvar": line["q_from"] * 1e-6,
        "pl_mw": (line["p_from"] + line["p_to"]) * 1e-6,
        "loading_percent": loading,
    }
    return _long("bus", buses), _long("line", lines)


def _long(element: str, values: dict[str, Any]) -> pa.Table:
    states, n = next(iter(values.values())).shape
    labels = {"step": np.repeat(np.arange(states), n), element: np.tile(np.arange(n), states)}
    return pa.table(labels | {name: np.ravel(value) for name, value in values.items()})


def largest_differences(ours: Tables, theirs: Tables) -> dict[str, float]:
    return {
        name: float(np.abs(a.column(name).to_numpy() - b.column(name).to_numpy()).max())
        for a, b in zip(ours, theirs, strict=True)
        for name in a.column_names[2:]
    }


def compare(nodes: int, states: int, rounds: int) -> None:
    case = feeder(nodes, states)
    net, table = pandapower_net(case), long_table(case)
    engines: dict[str, Callable[[], Tables]] = {"twin.run_timeseries": lambda: ours(net, table)}
    for method in (CalculationMethod.iterative_current, CalculationMethod.newton_raphson):
        engines[f"power-grid-model {method.name}"] = partial(pgm, case, table, method)
    few = case.first(min(PANDAPOWER_STATES, states))
    by_pandapower = pandapower(few)
    ours(net, table.slice(0, 8 * nodes))  # compiles
    by_pandapower()
    spent: dict[str, list[float]] = {name: [] for name in (*engines, "pandapower.run_timeseries")}
    differences: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        first: Tables | None = None
        for name, run in engines.items():
            begun = time.perf_counter()
            answer = run()
            spent[name].append(1e6 * (time.perf_counter() - begun) / states)
            if first is None:
                first = answer
            elif name not in differences:
                differences[name] = largest_differences(first, answer)
                assert differences[name]["vm_pu"] < AGREEMENT_PU
            del answer
        begun = time.perf_counter()
        v = by_pandapower()
        spent["pandapower.run_timeseries"].append(1e6 * (time.perf_counter() - begun) / few.states)
        assert first is not None
        row = (few.states - 1) * (nodes + 1) + 1
        same = first[0].column("vm_pu").slice(row, nodes).to_numpy()
        differences["pandapower.run_timeseries"] = {"vm_pu": float(np.abs(v - same).max())}
    medians = {name: float(np.median(times)) for name, times in spent.items()}
    print(f"{nodes} nodes, {states} states, tables in and out")
    for name, us in medians.items():
        ratio = us / medians["twin.run_timeseries"]
        said = ", ".join(f"{what} {value:.0e}" for what, value in differences.get(name, {}).items())
        print(f"  {name:40s} {us:12.1f} us per state, {ratio:7.1f} times ours{'; differs by ' + said if said else ''}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[60, 1000])
    parser.add_argument("--states", type=int, nargs="+", default=[35040])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for nodes in given.nodes:
        for states in given.states:
            compare(nodes, states, given.rounds)


if __name__ == "__main__":
    main()
