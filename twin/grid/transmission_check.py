"""The upper grid against pandapower: one step as a full network, the largest difference, pandapower as the engine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandapower as pp
from numpy.typing import NDArray

from twin.grid.transmission_arrays import EhvIndex, ehv_model, meshed_part
from twin.grid.transmission_controls import switched_reactors
from twin.grid.transmission_full import PssColumns, full_net
from twin.powerflow.upper import PANDAPOWER, UpperGrid, UpperResult
from twin.powerflow.upper_ehv import OK, EhvSolver, Pattern
from twin.units import KW_PER_MW

AGREEMENT_PU = 1e-6
"""Above this difference the meshed grid is solved by pandapower itself. [pu]"""
MAX_ITERATIONS = 40


@dataclass(frozen=True)
class BlockInputs:
    """The arguments of `UpperGrid.solve`, named as there."""

    p_kw: NDArray[np.float64]
    q_kvar: NDArray[np.float64]
    slope_p: NDArray[np.float64]
    slope_q: NDArray[np.float64]
    v0_pu: NDArray[np.float64]
    ehv_p_mw: NDArray[np.float64] | None = None
    ehv_q_mvar: NDArray[np.float64] | None = None
    p33_kw: NDArray[np.float64] | None = None
    q33_kvar: NDArray[np.float64] | None = None

    def solved_by(self, grid: UpperGrid) -> UpperResult:
        """The block solved from resting positions."""
        return grid.solve(**vars(self))


def net_at_step(
    net: pp.pandapowerNet, pss: PssColumns, grid: UpperGrid, inputs: BlockInputs, result: UpperResult, step: int
) -> pp.pandapowerNet:
    """The full network at one solved step: loads at their solved power, taps, capacitors, plants as there.

    A generator at its reactive limit is a static generator with its solved power. Run it with
    ``pandapower.runpp(net, distributed_slack=True, init="dc")``.
    """
    _, index = ehv_model(net)
    p_11 = inputs.p_kw[:, step] * (result.v_pss_pu[:, step] / inputs.v0_pu[:, step]) ** inputs.slope_p[:, step]
    q_11 = inputs.q_kvar[:, step] * (result.v_pss_pu[:, step] / inputs.v0_pu[:, step]) ** inputs.slope_q[:, step]
    full = full_net(net, pss, p_11 / KW_PER_MW, q_11 / KW_PER_MW)
    if inputs.p33_kw is not None and inputs.q33_kvar is not None:
        pp.create_loads(
            full,
            full.pss.bus_33.to_numpy(),
            p_mw=inputs.p33_kw[:, step] / KW_PER_MW,
            q_mvar=inputs.q33_kvar[:, step] / KW_PER_MW,
        )
    full.load.loc[full.load["type"] == "ehv", "in_service"] = False
    if inputs.ehv_p_mw is not None and inputs.ehv_q_mvar is not None:
        on = full.bus.index[full.bus.in_service & (index.bus_of(full.bus.index) >= 0)].to_numpy()
        at = on[grid.wiring.ehv_bus]
        pp.create_loads(full, at, p_mw=inputs.ehv_p_mw[:, step], q_mvar=inputs.ehv_q_mvar[:, step])
    _set_positions(full, pss, result, step)
    _set_generators(full, index, grid, result, step)
    return full


def _set_positions(full: pp.pandapowerNet, pss: PssColumns, result: UpperResult, step: int) -> None:
    order = {name: row for row, name in enumerate(pss.gss_id)}
    gss = full.trafo.index[(full.trafo.kind == "gss") & full.trafo.in_service]
    rows = np.array([order[name] for name in full.trafo.station[gss]])
    full.trafo["tap_pos"] = full.trafo.tap_pos.astype(np.float64)
    full.trafo.loc[gss, "tap_pos"] = result.positions_by_step.gss_tap[rows, step].astype(np.float64)
    full.trafo.loc[full.pss.trafo, "tap_pos"] = result.positions_by_step.pss_tap[:, step].astype(np.float64)
    capacitors = full.shunt.index[full.shunt.kind == "capacitor"]
    rows = np.array([order[name] for name in full.shunt.name[capacitors]])
    full.shunt.loc[capacitors, "step"] = result.positions_by_step.capacitor[rows, step].astype(np.int64)
    reactors = switched_reactors(full).index
    full.shunt.loc[reactors, "step"] = result.positions_by_step.reactor[:, step].astype(np.int64)


def _set_generators(full: pp.pandapowerNet, index: EhvIndex, grid: UpperGrid, result: UpperResult, step: int) -> None:
    held = result.generators_at_limit[:, step] != 0
    for position, row in enumerate(index.gens):
        full.gen.loc[row, "p_mw"] = result.schedule_mw[position, step]
        if held[position]:
            full.gen.loc[row, "in_service"] = False
            pp.create_sgen(
                full,
                int(full.gen.bus[row]),
                p_mw=float(result.generator_mw[position, step]),
                q_mvar=float(result.generator_mvar[position, step]),
            )


def check_against_pandapower(
    net: pp.pandapowerNet, pss: PssColumns, grid: UpperGrid, inputs: BlockInputs, result: UpperResult, steps: list[int]
) -> float:
    """Largest difference of any voltage, from 11 to 765 kV, from ``pandapower.runpp`` on the full network. [pu]

    Steps that are not solved are passed over; NaN if none is left.
    """
    _, index = ehv_model(net)
    worst = np.nan
    for step in steps:
        if result.status[step] != OK:
            continue
        full = net_at_step(net, pss, grid, inputs, result, step)
        pp.runpp(
            full,
            distributed_slack=True,
            init="dc",
            lightsim2grid=False,
            numba=False,  # pandapower compiles anew in every process, which takes longer than these few solutions
            max_iteration=MAX_ITERATIONS,
            tolerance_mva=1e-7,
        )
        vm = full.res_bus.vm_pu
        on = full.bus.index[(index.bus_of(full.bus.index) >= 0)]
        gss = full.trafo[(full.trafo.kind == "gss") & full.trafo.in_service].set_index("station").loc[list(pss.gss_id)]
        differences = [
            vm[on].to_numpy() - result.vm_ehv_pu[:, step],
            vm[gss.lv_bus].to_numpy() - result.gss_vm_pu[:, step],
            vm[full.pss.bus_11].to_numpy() - result.v_pss_pu[:, step],
        ]
        worst = float(np.fmax(worst, max(np.abs(part).max() for part in differences)))
    return worst


def checked(
    net: pp.pandapowerNet, pss: PssColumns, grid: UpperGrid, inputs: BlockInputs
) -> tuple[UpperGrid, UpperResult, float]:
    """Solve a first block, compare its highest and lowest step with pandapower, and fall back to its Newton if need be.

    Returns the grid to go on with (its ``engine`` says which), the result, and the difference found before. [pu]
    """
    result = inputs.solved_by(grid)
    total = inputs.p_kw.sum(axis=0)
    steps = sorted({int(np.argmax(total)), int(np.argmin(total))})
    difference = check_against_pandapower(net, pss, grid, inputs, result, steps)
    if difference > AGREEMENT_PU:
        grid = replace(grid, solver=EhvSolver(grid.model, PandapowerNewton(net)), engine=PANDAPOWER)
        result = inputs.solved_by(grid)
    return grid, result, difference


class PandapowerNewton:
    """pandapower's own Newton in the place of lightsim2grid's, a hundred times slower; see `upper_ehv.Newton`."""

    def __init__(self, net: pp.pandapowerNet) -> None:
        self._part = meshed_part(net)
        _, index = ehv_model(net)
        self._buses = self._part.bus.index[index.bus_of(self._part.bus.index) >= 0]
        self._part["gen"] = net.gen.copy()
        self._gens = index.gens
        self._part.load["in_service"] = False
        kv = self._part.bus.vn_kv[self._buses].to_numpy()
        self._loads = pp.create_loads(self._part, self._buses, p_mw=0.0, q_mvar=0.0)
        self._shunts = pp.create_shunts(self._part, self._buses, q_mvar=0.0, p_mw=0.0, vn_kv=kv, kind="slope", line=-1)

    def reset(self) -> None:
        """Nothing is kept between calls."""

    def __call__(
        self,
        pattern: Pattern,
        guess: NDArray[np.complex128],
        injected: NDArray[np.complex128],
        shunt: NDArray[np.complex128],
    ) -> tuple[NDArray[np.complex128] | None, int]:
        """Voltages from ``runpp`` (its own start, whatever ``guess``), or None."""
        part, base = self._part, self._part.sn_mva
        part.load.loc[self._loads, ["p_mw", "q_mvar"]] = -base * np.column_stack([injected.real, injected.imag])
        part.shunt.loc[self._shunts, ["p_mw", "q_mvar"]] = base * np.column_stack([shunt.real, -shunt.imag])
        part.gen.loc[self._gens, "in_service"] = pattern.free
        part.gen["p_mw"] = 0.0
        try:
            pp.runpp(
                part,
                distributed_slack=True,
                init="flat",
                lightsim2grid=False,
                numba=False,  # pandapower compiles anew in every process, which takes longer than these few solutions
                max_iteration=MAX_ITERATIONS,
                tolerance_mva=1e-7,
            )
        except pp.LoadflowNotConverged:
            return None, MAX_ITERATIONS
        found = part.res_bus.loc[self._buses]
        return (found.vm_pu * np.exp(1j * np.radians(found.va_degree))).to_numpy(), int(part._ppc["iterations"])
