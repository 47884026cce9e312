"""The reference: everything from the 132 kV bus to the last pole as one pandapower network, solved by one Newton."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandapower as pp
from numpy.typing import NDArray

from twin.grid.export import add_feeder
from twin.grid.transmission_full import full_net
from twin.powerflow.upper_trees import Positions
from twin.units import KW_PER_MW, LV_NOMINAL_PU
from twin.verification.coupling.tree import BalancedFeeder, Tree

TOLERANCE_MVA = 1e-9
MOST_ITERATIONS = 30
SAME_PU = 1e-11
MOST_TURNS = 10


@dataclass(frozen=True)
class FeederRows:
    """Where a feeder is in the merged network."""

    nodes: NDArray[np.int64]
    """Buses of the 11 kV nodes; the first is the PSS's."""
    poles: NDArray[np.int64]
    """Buses of the poles."""
    loaded: NDArray[np.int64]
    """Poles with consumers; their loads (constant power) and shunts (constant impedance) are in the same order."""
    loads: NDArray[np.int64]
    shunts: NDArray[np.int64]


@dataclass(frozen=True)
class Merged:
    """The merged network and where everything is in it."""

    net: pp.pandapowerNet
    feeders: list[FeederRows]


@dataclass(frozen=True)
class MergedResult:
    """One solved step."""

    vm_pu: NDArray[np.float64]
    """By bus index; 1 for an index without a bus. [pu]"""
    loss_kw: dict[str, float]
    """By level: ``33 kV`` (with both its transformers), ``11 kV``, ``DT``, ``LV``."""
    sent_kw: float
    """From the source."""


def merge(tree: Tree) -> Merged:
    """Build the network, without loads' values."""
    net = full_net(tree.above, tree.pss)
    net.line = net.line.drop(columns="length_assumed")  # a truth column that the feeders' lines do not have
    net.load["in_service"] = False  # the PSSs' own: here their feeders stand in their place
    rows = [_add(net, feeder, int(net.pss.bus_11.iloc[feeder.pss])) for feeder in tree.feeders]
    return Merged(net, rows)


def _add(net: pp.pandapowerNet, feeder: BalancedFeeder, head: int) -> FeederRows:
    """A feeder on its PSS; the DTs' no-load power at their 11 kV side, where the twin has it."""
    static, first = feeder.static, len(net.trafo)
    nodes, poles = add_feeder(net, static, feeder.code, head)
    dts = net.trafo.index[first:]
    net.trafo.loc[dts, ["pfe_kw", "i0_percent"]] = 0.0
    pp.create_shunts(
        net, nodes[static.node_of_dt], q_mvar=static.lv.magnetising_kvar / KW_PER_MW,
        p_mw=static.lv.iron_kw / KW_PER_MW, name="no-load",
    )  # fmt: skip
    pole = static.lv.dt_pole_ptr[static.dt] + static.pole
    loaded = np.unique(pole)
    loads = np.asarray(pp.create_loads(net, poles[loaded], p_mw=0.0, q_mvar=0.0, type="lv"))
    shunts = np.asarray(pp.create_shunts(net, poles[loaded], q_mvar=0.0, p_mw=0.0, name="consumers"))
    return FeederRows(nodes, poles, loaded, loads, shunts)


def solve_step(merged: Merged, tree: Tree, positions: Positions, step: int) -> MergedResult:
    """Solve one step at the given positions of taps and capacitors.

    pandapower 3.5 takes the mean of the voltage laws of a bus unweighted and refuses parts above 100 %, so the laws go
    in as shunts and constant power. A constant current ``p v`` is its tangent ``p (v0 / 2 + v**2 / (2 v0))`` about the
    last solution, which is solved again until no voltage moves.
    """
    net = merged.net
    net.trafo["tap_pos"] = net.trafo.tap_pos.astype(np.float64)
    net.trafo.loc[net.trafo.kind == "gss", "tap_pos"] = float(positions.gss_tap[0, step])
    net.trafo.loc[net.pss.trafo, "tap_pos"] = positions.pss_tap[:, step].astype(np.float64)
    net.shunt.loc[net.shunt.kind == "capacitor", "step"] = int(positions.capacitor[0, step])
    parts = [
        pole_parts(feeder, rows.loaded, len(rows.poles), step)
        for feeder, rows in zip(tree.feeders, merged.feeders, strict=True)
    ]
    vm_pu = np.ones(int(net.bus.index.max()) + 1)
    for turn in range(MOST_TURNS):
        for rows, part in zip(merged.feeders, parts, strict=True):
            _set_loads(net, rows, part, vm_pu[rows.poles[rows.loaded]])
        pp.runpp(
            net, tolerance_mva=TOLERANCE_MVA, max_iteration=MOST_ITERATIONS, init="dc" if turn == 0 else "results",
            voltage_depend_loads=False, lightsim2grid=False,
        )  # fmt: skip
        before, vm_pu = vm_pu, vm_pu.copy()
        vm_pu[net.bus.index] = net.res_bus.vm_pu
        if np.abs(vm_pu - before).max() <= SAME_PU:
            return MergedResult(vm_pu, _losses(net), KW_PER_MW * float(net.res_gen.p_mw.sum()))
    raise ArithmeticError(f"merged network: voltages still move after {MOST_TURNS} solutions")


def pole_parts(feeder: BalancedFeeder, loaded: NDArray[np.int64], n_poles: int, step: int) -> NDArray[np.float64]:
    """Constant impedance, current and power of P, then of Q, at the loaded poles' 1 pu. (6, n_loaded), [kW], [kvar]"""
    static, kw = feeder.static, feeder.kw[:, step].astype(np.float64)
    pole = static.lv.dt_pole_ptr[static.dt] + static.pole
    laws = feeder.zips.astype(np.float64) / LV_NOMINAL_PU ** np.array([2, 1, 0, 2, 1, 0])
    return np.array([np.bincount(pole, weights=kw * law, minlength=n_poles) for law in laws.T])[:, loaded]


def _set_loads(net: pp.pandapowerNet, rows: FeederRows, parts: NDArray[np.float64], v0_pu: NDArray[np.float64]) -> None:
    for table, index, (p, q) in (
        (net.load, rows.loads, parts[[2, 5]] + parts[[1, 4]] * v0_pu / 2),
        (net.shunt, rows.shunts, parts[[0, 3]] + parts[[1, 4]] / (2 * v0_pu)),
    ):
        table.loc[index, "p_mw"], table.loc[index, "q_mvar"] = p / KW_PER_MW, q / KW_PER_MW


def _losses(net: pp.pandapowerNet) -> dict[str, float]:
    """Active losses by level, from pandapower's results. [kW]"""
    line_kv = net.bus.vn_kv.reindex(net.line.from_bus).to_numpy()
    line, trafo = net.res_line.pl_mw.to_numpy(), net.res_trafo.pl_mw.to_numpy()
    is_dt = net.trafo.vn_lv_kv.to_numpy() < 1.0
    no_load = net.res_shunt.p_mw[net.shunt.name == "no-load"].sum()
    return {
        "33 kV": KW_PER_MW * float(line[line_kv > 20.0].sum() + trafo[~is_dt].sum()),
        "11 kV": KW_PER_MW * float(line[(line_kv > 1.0) & (line_kv < 20.0)].sum()),
        "DT": KW_PER_MW * float(trafo[is_dt].sum() + no_load),
        "LV": KW_PER_MW * float(line[line_kv < 1.0].sum()),
    }
