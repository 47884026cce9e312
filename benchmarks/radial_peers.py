"""The radial sweep beside other engines: microseconds per state, one thread each, prepared arrays in and voltages out.

    python -m benchmarks.radial_peers [--nodes 60 1000] [--states 96 35040] [--rounds 5]

The same random 11 kV feeder and states for all: lines with charging, every node a load, states between 30 and 100 % of
the peak, at which the lowest voltage is about 0.91 pu. Every engine solves to 1e-8 (ours: of what is left of the error;
the others: of the last change). Rounds alternate between the engines; medians, and the largest difference of a voltage.

OpenDSS is asked through its own time series mode (load shapes, no monitors), which is the fastest way it has, with at
most `OPENDSS_STATES` states; pandapower's `run_timeseries` with `PANDAPOWER_STATES`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import opendssdirect as dss
import pandapower as pp
import pandas as pd
from numpy.typing import NDArray
from pandapower.control import ConstControl
from pandapower.timeseries import DFData, OutputWriter
from pandapower.timeseries import run_timeseries as pandapower_timeseries
from power_grid_model import (
    CalculationMethod,
    ComponentType,
    DatasetType,
    LoadGenType,
    PowerGridModel,
    initialize_array,
)

from twin.powerflow.branch_model import Branches
from twin.powerflow.branch_sweep import SweepOptions, W, ZipShares, sweep, sweep_scratch
from twin.powerflow.branch_tree import plant
from twin.powerflow.lanes import aligned, padded

KV, V_SOURCE_PU, HZ = 11.0, 1.02, 50.0
LENGTH_KM, R_OHM_KM, X_OHM_KM, C_NF_KM, MAX_KA = 30.0, 0.3, 0.35, 10.0, 0.3
FEEDER_MW, TAN_PHI = 4.8, 0.4
"""Sum of the largest loads of all nodes."""
TOLERANCE = 1e-8
OPENDSS_STATES, PANDAPOWER_STATES = 96, 24
AGREEMENT_PU = 1e-6
LEAST_S = 0.2
BLOCK_VALUES = 2**18
"""Nodes times states of a block of prepared arrays, as `twin.timeseries` makes them."""


@dataclass(frozen=True)
class Feeder:
    """A feeder and its states: bus 0 the source, bus i on branch i - 1 to ``parent[i]``; loads (states, nodes)."""

    parent: NDArray[np.int64]
    p_mw: NDArray[np.float64]
    q_mvar: NDArray[np.float64]

    @property
    def nodes(self) -> int:
        return len(self.parent) - 1

    @property
    def states(self) -> int:
        return len(self.p_mw)

    @property
    def length_km(self) -> float:
        return LENGTH_KM / self.nodes

    def first(self, states: int) -> Feeder:
        return Feeder(self.parent, self.p_mw[:states], self.q_mvar[:states])


def feeder(nodes: int, states: int) -> Feeder:
    rng = np.random.default_rng(1)
    n = nodes + 1
    parent = np.array([0] + [max(0, i - 1 - min(int(rng.geometric(0.55)) - 1, i - 1)) for i in range(1, n)])
    level = rng.uniform(0.3, 1.0, (states, 1))
    p_mw = level * rng.uniform(0.5, 1.0, (states, nodes)) * FEEDER_MW / nodes
    return Feeder(parent, p_mw, TAN_PHI * p_mw)


Run = Callable[[], NDArray[np.float64]]
"""Solves all states; returns the voltages of the last one without the source. (nodes,) [pu]"""


def ours(case: Feeder) -> Run:
    n, block = case.nodes + 1, padded(min(case.states, BLOCK_VALUES // case.nodes), W)
    blocks = -(-case.states // block)
    z = (R_OHM_KM + 1j * X_OHM_KM) * case.length_km / KV**2
    charging = 1j * 2 * np.pi * HZ * C_NF_KM * 1e-9 * case.length_km * KV**2
    m = case.nodes
    shunt, one = np.full(m, charging / 2), np.ones(m, dtype=np.complex128)
    branches = Branches(case.parent[1:], np.arange(1, n), one / z, one / z, shunt, shunt, one)
    heads = np.flatnonzero(case.parent[1:] == 0)
    source = np.zeros(n, dtype=np.complex128)
    source[0] = V_SOURCE_PU
    forest, _ = plant(branches, np.zeros(n, dtype=np.complex128), source, heads, np.zeros(len(heads), dtype=np.int64))
    p, q, v_re, v_im = (aligned((blocks, n, block), np.float64) for _ in range(4))
    for power, given in ((p, case.p_mw), (q, case.q_mvar)):
        for k in range(blocks):
            some = given[k * block : (k + 1) * block]
            power[k, 1:, : len(some)] = some.T
    zips = ZipShares(np.ones(n), np.zeros(n), np.zeros(n), np.ones(n), np.zeros(n), np.zeros(n))
    status = np.zeros((blocks, len(heads), block), dtype=np.uint8)
    constant, options, scratch = np.zeros(len(heads), dtype=bool), SweepOptions(TOLERANCE), sweep_scratch(forest)

    def run() -> NDArray[np.float64]:
        for k in range(blocks):
            sweep(forest, p[k], q[k], zips, constant, options, scratch, v_re[k], v_im[k], status[k])
        assert not status.any()
        return np.hypot(v_re[-1], v_im[-1])[1:, (case.states - 1) % block]

    return run


def power_grid_model(case: Feeder) -> PowerGridModel:
    n, m, km = case.nodes + 1, case.nodes, case.length_km
    node = initialize_array(DatasetType.input, ComponentType.node, n)
    node["id"], node["u_rated"] = np.arange(n), KV * 1e3
    line = initialize_array(DatasetType.input, ComponentType.line, m)
    line["id"], line["from_node"], line["to_node"] = n + np.arange(m), case.parent[1:], np.arange(1, n)
    line["from_status"] = line["to_status"] = 1
    line["r1"], line["x1"], line["c1"] = R_OHM_KM * km, X_OHM_KM * km, C_NF_KM * 1e-9 * km
    line["tan1"], line["i_n"] = 0.0, MAX_KA * 1e3
    load = initialize_array(DatasetType.input, ComponentType.sym_load, m)
    load["id"], load["node"], load["status"], load["type"] = load_ids(case), np.arange(1, n), 1, LoadGenType.const_power
    load["p_specified"] = load["q_specified"] = 0.0
    source = initialize_array(DatasetType.input, ComponentType.source, 1)
    source["id"], source["node"], source["status"], source["u_ref"], source["sk"] = 3 * n, 0, 1, V_SOURCE_PU, 1e20
    parts = {ComponentType.node: node, ComponentType.line: line, ComponentType.sym_load: load}
    return PowerGridModel(parts | {ComponentType.source: source}, system_frequency=HZ)


def load_ids(case: Feeder) -> NDArray[np.int64]:
    return 2 * (case.nodes + 1) + np.arange(case.nodes)


def pgm_update(case: Feeder) -> Any:
    update = initialize_array(DatasetType.update, ComponentType.sym_load, case.p_mw.shape)
    update["id"] = load_ids(case)
    update["p_specified"], update["q_specified"] = case.p_mw * 1e6, case.q_mvar * 1e6
    return update


def pgm_solve(model: PowerGridModel, update: Any, method: CalculationMethod, wanted: dict[Any, Any]) -> Any:
    return model.calculate_power_flow(
        update_data={ComponentType.sym_load: update}, calculation_method=method, error_tolerance=TOLERANCE,
        max_iterations=100, threading=-1, output_component_types=wanted,
    )  # fmt: skip


def pgm(case: Feeder, method: CalculationMethod) -> Run:
    model, update = power_grid_model(case), pgm_update(case)

    def run() -> NDArray[np.float64]:
        out = pgm_solve(model, update, method, {ComponentType.node: ["u_pu", "u_angle"]})
        return np.asarray(out[ComponentType.node]["u_pu"][-1, 1:])

    return run


def opendss(case: Feeder) -> Run:
    km = case.length_km
    dss.Basic.ClearAll()
    dss.Text.Command(f"set defaultbasefrequency={HZ:g}")
    dss.Text.Command(f"new circuit.c basekv={KV} pu={V_SOURCE_PU} bus1=n0 mvasc3=1e9 mvasc1=1e9")
    for i in range(1, case.nodes + 1):
        dss.Text.Command(
            f"new line.l{i} bus1=n{case.parent[i]} bus2=n{i} length={km} units=km r1={R_OHM_KM} x1={X_OHM_KM} "
            f"r0={R_OHM_KM} x0={X_OHM_KM} c1={C_NF_KM} c0={C_NF_KM}"
        )
        p_kw, q_kvar = (1e3 * power[:, i - 1] for power in (case.p_mw, case.q_mvar))
        dss.Text.Command(f"new loadshape.s{i} npts={case.states} interval=1 useactual=yes")
        dss.LoadShape.Name(f"s{i}")
        dss.LoadShape.PMult(p_kw.tolist())
        dss.LoadShape.QMult(q_kvar.tolist())
        dss.Text.Command(
            f"new load.d{i} bus1=n{i} kv={KV} model=1 vminpu=0.5 vmaxpu=1.5 kw=1 kvar=1 status=variable yearly=s{i}"
        )
    dss.Text.Command(f"set voltagebases=[{KV}]")
    dss.Text.Command("calcvoltagebases")
    dss.Text.Command(f"set tolerance={TOLERANCE:g} maxiterations=100 controlmode=off")

    def run() -> NDArray[np.float64]:
        dss.Text.Command(f"set mode=yearly stepsize=1h hour=0 number={case.states}")
        dss.Solution.Solve()
        assert dss.Solution.Converged()
        names, found = dss.Circuit.AllBusNames(), np.asarray(dss.Circuit.AllBusMagPu()).reshape(-1, 3)[:, 0]
        at = {name: k for k, name in enumerate(names)}
        return found[[at[f"n{i}"] for i in range(1, case.nodes + 1)]]

    return run


def pandapower_net(case: Feeder) -> pp.pandapowerNet:
    net = pp.create_empty_network(f_hz=HZ)
    buses = pp.create_buses(net, case.nodes + 1, KV)
    pp.create_ext_grid(net, buses[0], vm_pu=V_SOURCE_PU)
    ends = buses[case.parent[1:]], buses[1:]
    pp.create_lines_from_parameters(net, *ends, case.length_km, R_OHM_KM, X_OHM_KM, C_NF_KM, MAX_KA)
    pp.create_loads(net, buses[1:], 0.0, 0.0)
    return net


def pandapower(case: Feeder) -> Run:
    net = pandapower_net(case)
    for name, values in (("p_mw", case.p_mw), ("q_mvar", case.q_mvar)):
        source = DFData(pd.DataFrame(values, columns=net.load.index))
        ConstControl(net, "load", name, net.load.index, data_source=source, profile_name=net.load.index.tolist())
    writer = OutputWriter(net, range(case.states), output_path=None)
    for table, name in (("res_bus", "vm_pu"), ("res_bus", "va_degree"), ("res_line", "loading_percent")):
        writer.log_variable(table, name)

    def run() -> NDArray[np.float64]:
        pandapower_timeseries(net, range(case.states), verbose=False, tolerance_mva=TOLERANCE)
        return np.asarray(writer.output["res_bus.vm_pu"])[-1, 1:]

    return run


def medians_us(engines: dict[str, tuple[Run, int]], rounds: int) -> dict[str, tuple[float, NDArray[np.float64]]]:
    """Median time per state, and the answer, of each engine (with its number of states); rounds alternate.

    What takes less than `LEAST_S` is repeated within a round.
    """
    spent: dict[str, list[float]] = {name: [] for name in engines}
    answers, repeats = {}, {}
    for name, (run, _) in engines.items():
        run()
        begun = time.perf_counter()
        answers[name] = run()
        repeats[name] = 1 + int(LEAST_S / (time.perf_counter() - begun))
    for _ in range(rounds):
        for name, (run, states) in engines.items():
            begun = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            spent[name].append(1e6 * (time.perf_counter() - begun) / (states * repeats[name]))
    return {name: (float(np.median(times)), answers[name]) for name, times in spent.items()}


def compare(nodes: int, states: int, rounds: int) -> None:
    case = feeder(nodes, states)
    methods = CalculationMethod.iterative_current, CalculationMethod.newton_raphson
    engines = {"twin": (ours(case), states)}
    engines |= {f"power-grid-model {method.name}": (pgm(case, method), states) for method in methods}
    found = medians_us(engines, rounds)
    short = {"OpenDSS": (opendss, OPENDSS_STATES), "pandapower.run_timeseries": (pandapower, PANDAPOWER_STATES)}
    reference = {name: states for name in engines}
    for name, (build, most) in short.items():
        few = case.first(min(most, states))
        found |= medians_us({name: (build(few), few.states)}, min(rounds, 3))
        reference[name] = few.states
    ours_us = found["twin"][0]
    lowest = f"lowest voltage of the last one {found['twin'][1].min():.3f} pu"
    print(f"{nodes} nodes, {states} states, {lowest}", flush=True)
    for name, (us, answer) in found.items():
        same = found["twin"][1] if reference[name] == states else ours(case.first(reference[name]))()
        difference = float(np.abs(answer - same).max())
        assert difference < AGREEMENT_PU, f"{name} differs by {difference:.1e} pu"
        times = "" if name == "twin" else f", {us / ours_us:7.1f} times ours"
        print(f"  {name:40s} {us:12.2f} us per state{times}, within {difference:.0e} pu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[60, 1000])
    parser.add_argument("--states", type=int, nargs="+", default=[96, 35040])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    for nodes in given.nodes:
        for states in given.states:
            compare(nodes, states, given.rounds)


if __name__ == "__main__":
    main()
