"""From a pandapower network to arrays, through pandapower's own per-unit model. Nothing of the network is changed."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandapower as pp
from numpy.typing import NDArray
from pandapower.auxiliary import _add_auxiliary_elements, _init_runpp_options
from pandapower.pd2ppc import _pd2ppc
from pandapower.pypower.bustypes import bustypes
from pandapower.pypower.idx_brch import (
    BR_B,
    BR_B_ASYM,
    BR_G,
    BR_G_ASYM,
    BR_R,
    BR_R_ASYM,
    BR_X,
    BR_X_ASYM,
    F_BUS,
    SHIFT,
    T_BUS,
    TAP,
)  # fmt: skip
from pandapower.pypower.idx_bus import BASE_KV, BS, CID_P, CID_Q, CZD_P, CZD_Q, GS, PD, QD, VA, VM
from pandapower.pypower.idx_gen import GEN_BUS, GEN_STATUS, PG, VG

from twin.errors import NetworkError, Problem
from twin.powerflow.branch_model import Branches, ComplexArray, FloatArray, IntArray
from twin.powerflow.branch_sweep import ZipShares
from twin.timeseries.defects import Defect, Defects, repair
from twin.timeseries.profiles import TABLE_COLUMNS, Profiles, table_sum

TOLERANCE_MVA = 1e-10
"""Of pandapower's own solutions that ours are checked against."""
WHAT_PANDAPOWER_RAISES = (UserWarning, ValueError, KeyError, IndexError, NotImplementedError, FloatingPointError)


@dataclass(frozen=True)
class Element:
    """Where elements with a profile stand: bus (-1: out of service), and what takes their MW to per unit drawn."""

    bus: IntArray
    factor: FloatArray
    table_mw: FloatArray
    """What the network's own table says, and the same in Mvar."""
    table_mvar: FloatArray


@dataclass(frozen=True)
class Case:
    """The network in per unit. Buses are those in service, in pandapower's internal order; -1 stands for any other."""

    net: Any
    """A working copy after compilation; its lookups tell where tables went."""
    ppc: dict[str, Any]
    base_mva: float
    bus_of_net: IntArray
    """Bus of each row of ``net.bus``."""
    branches: Branches
    """Branches in service."""
    branch_rows: IntArray
    """Their rows in ``ppc["branch"]``."""
    y_bus: ComplexArray
    p_load: FloatArray
    """Drawn at 1 pu by all without a profile. (n_buses,)"""
    q_load: FloatArray
    zips: ZipShares
    fixed: NDArray[np.bool_]
    """Buses of sources. (n_buses,)"""
    holds: NDArray[np.bool_]
    """Buses whose magnitude a generator holds. (n_buses,)"""
    v_start: ComplexArray
    """Voltage of sources, magnitude of generators' buses, pandapower's start elsewhere. (n_buses,)"""
    p_gen: FloatArray
    """Generators without a profile. (n_buses,)"""
    elements: dict[str, Element]
    defects: Defects
    defects_at: dict[int, list[Defect]]
    """Defects of sources and generators by the bus whose voltage they hold."""

    @property
    def n_buses(self) -> int:
        """Buses in service."""
        return len(self.y_bus)

    def net_bus(self, bus: int) -> int:
        """The lowest ``net.bus`` index that this bus stands for; -1 for one that pandapower has added."""
        rows = np.flatnonzero(self.bus_of_net == bus)
        return int(self.net.bus.index[rows].min()) if len(rows) else -1


def options(net: Any) -> None:
    """Set ``net._options`` as `pandapower.runpp` does with all its defaults, the user's own options included."""
    passed = {"tolerance_mva": TOLERANCE_MVA} if net.user_pf_options else None
    _init_runpp_options(
        net, algorithm="nr", calculate_voltage_angles=True, init="auto", max_iteration="auto",
        tolerance_mva=TOLERANCE_MVA, trafo_model="t", trafo_loading="current", enforce_p_lims=False,
        enforce_q_lims=False, check_connectivity=True, voltage_depend_loads=True, passed_parameters=passed,
    )  # fmt: skip


def compile_network(net: pp.pandapowerNet, profiles: Profiles) -> Case:
    """Compile a network.

    Raises
    ------
    NetworkError
        If there is no source, or pandapower cannot build its model of the network.
    """
    sources = int(net.ext_grid.in_service.sum()) + int((net.gen.in_service & net.gen.slack.astype(bool)).sum())
    if not sources:
        what, fix = "no source is in service", "put an ext_grid, or a gen with slack=True, in service"
        raise NetworkError([Problem("network", "ext_grid", what, fix)])
    work = copy.deepcopy(net)
    for name, profile in profiles.elements.items():
        for column in (column for columns in TABLE_COLUMNS[name] for column in columns):
            work[name][column] = work[name][column].astype(np.float64)  # Excel leaves whole numbers
            work[name].loc[profile.index, column] = 0.0
    defects = repair(work)
    try:
        ppc, ppci = _compile(work, defects)
    except WHAT_PANDAPOWER_RAISES as error:
        what = f"pandapower cannot build its model: {error}"
        raise NetworkError([Problem("network", "", what, "see pandapower.diagnostic(net)")]) from error
    return _case(net, work, ppc, ppci, profiles, defects)


def _compile(work: Any, defects: Defects) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pandapower's case; where sources at one bus contradict each other, they are noted and made to agree."""
    try:
        return _pandapower(work)
    except UserWarning as error:
        if "setpoints" not in str(error):
            raise
    trial = copy.deepcopy(work)
    trial.ext_grid["va_degree"] = 0.0
    for table in (trial.ext_grid, trial.gen):
        table["vm_pu"] = 1.0
    _pandapower(trial)
    defects.reconcile(work, trial._pd2ppc_lookups["bus"])
    return _pandapower(work)


def _pandapower(net: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    options(net)
    net["converged"] = False
    _add_auxiliary_elements(net)
    ac, none = ("bus", "ext_grid", "gen", "branch"), np.array([], dtype=np.int64)
    net._pd2ppc_lookups = {name: none for name in (*ac, "bus_dc", "branch_dc")}
    with np.errstate(all="ignore"):
        return _pd2ppc(net)


def _branches(rows: NDArray[np.complex128]) -> Branches:
    """Pandapower's branch rows, as `pandapower.pypower.makeYbus.branch_vectors` reads them."""
    r, x = rows[:, BR_R], rows[:, BR_X]
    with np.errstate(all="ignore"):
        y_f = 1 / (r + 1j * x)
        y_t = 1 / (r + rows[:, BR_R_ASYM] + 1j * (x + rows[:, BR_X_ASYM]))
    charging = rows[:, BR_G] + 1j * rows[:, BR_B]
    tap = rows[:, TAP].real
    ratio = np.where(tap == 0, 1.0, tap) * np.exp(1j * np.deg2rad(rows[:, SHIFT].real))
    return Branches(
        rows[:, F_BUS].real.astype(np.int64), rows[:, T_BUS].real.astype(np.int64), y_f, y_t, charging / 2,
        (charging + rows[:, BR_G_ASYM] + 1j * rows[:, BR_B_ASYM]) / 2, ratio,
    )  # fmt: skip


def _case(net: Any, work: Any, ppc: dict[str, Any], ppci: dict[str, Any], profiles: Profiles, defects: Defects) -> Case:
    base, bus, gen = float(ppci["baseMVA"]), ppci["bus"], ppci["gen"]
    n = len(bus)
    lookup = work._pd2ppc_lookups["bus"][work.bus.index.to_numpy()]
    on = ppci["internal"]["branch_is"]
    ref, pv, _ = bustypes(bus, gen)
    v = bus[:, VM] * np.exp(1j * np.deg2rad(bus[:, VA]))
    running = gen[:, GEN_STATUS] > 0
    gen_bus = gen[running, GEN_BUS].astype(np.int64)
    v[gen_bus] *= gen[running, VG] / np.abs(v[gen_bus])
    fixed, holds, p_gen = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool), np.zeros(n)
    fixed[ref], holds[pv] = True, True
    np.add.at(p_gen, gen_bus, gen[running, PG] / base)
    shares = {"p": (bus[:, CID_P], bus[:, CZD_P]), "q": (bus[:, CID_Q], bus[:, CZD_Q])}
    if not work._options["voltage_depend_loads"]:
        shares = {name: (np.zeros(n), np.zeros(n)) for name in shares}
    zips = ZipShares(*(column for i, z in shares.values() for column in (1 - i - z, np.ascontiguousarray(i), z.copy())))
    rows = np.flatnonzero(on)
    bus_of_net = np.where((lookup >= 0) & (lookup < n), lookup, -1)
    p_load = bus[:, PD] / base
    p_load[[at for at in _standing(work, bus_of_net, defects.powers) if at >= 0]] = np.nan
    defects_at: dict[int, list[Defect]] = {}
    for defect, at in zip(defects.sources, _standing(work, bus_of_net, defects.sources), strict=True):
        defects_at.setdefault(at, []).append(defect)
    return Case(
        net=work, ppc=ppc, base_mva=base,
        bus_of_net=bus_of_net,
        branches=_branches(ppc["branch"][rows]), branch_rows=rows,
        y_bus=(bus[:, GS] + 1j * bus[:, BS]) / base, p_load=p_load, q_load=bus[:, QD] / base,
        zips=zips, fixed=fixed, holds=holds, v_start=v, p_gen=p_gen,
        elements={name: _element(net, work, name, of.index, n, base) for name, of in profiles.elements.items()},
        defects=defects, defects_at=defects_at,
    )  # fmt: skip


def _standing(work: Any, bus_of_net: IntArray, defects: list[Defect]) -> list[int]:
    """The bus of the case on which each element with a defect stands; -1 out of service."""
    at = [work.bus.index.get_loc(work[defect.table].at[defect.index, "bus"]) for defect in defects]
    return [int(bus_of_net[row]) for row in at]


def _element(net: Any, work: Any, name: str, index: IntArray, n: int, base: float) -> Element:
    """Where elements of a table stand, by pandapower's own signs and scaling."""
    table = work[name]
    rows = table.index.get_indexer(index)
    bus = work._pd2ppc_lookups["bus"][table["bus"].to_numpy(dtype=np.int64)[rows]]
    active = np.asarray(work._is_elements[name], dtype=bool)[rows]
    scaling = table["scaling"].to_numpy(dtype=np.float64)[rows] if "scaling" in table else np.ones(len(rows))
    sign = -1.0 if name in ("sgen", "asymmetric_sgen") else 1.0
    own = net[name].index.get_indexer(index)
    table_mw, table_mvar = (table_sum(net[name], columns)[own] for columns in TABLE_COLUMNS[name])
    return Element(np.where(active & (bus >= 0) & (bus < n), bus, -1), sign * scaling / base, table_mw, table_mvar)


def base_kv(case: Case) -> FloatArray:
    """Rated voltage of every bus of pandapower's case, those out of service last. [kV]"""
    return case.ppc["bus"][:, BASE_KV]
