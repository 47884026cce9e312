"""A network of the user's, compiled once and solved for all steps of a day with the demand of the consumers behind it.

The loads that stand for consumers leave the network's tables; what they draw is handed in step by step as the exact
sum of their consumers' voltage laws. The solver of `twin.timeseries` takes fixed shares of constant power, current and
impedance by bus; where consumers' mix differs from them in a step, its powers are brought to the exact law at the
solved voltage and solved again, until they agree (`SETTLED_PU`). Steps that agree are frozen.
"""

from __future__ import annotations

import copy
import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.grid.imported import LV_KV
from twin.powerflow.branch_model import two_ports
from twin.powerflow.branch_sweep import ZipShares
from twin.powerflow.lanes import aligned
from twin.simulation.own_grid import OwnGrid
from twin.timeseries.compiled import compile_network
from twin.timeseries.failures import island_text, islands
from twin.timeseries.injections import Injections, inject, room
from twin.timeseries.parts import cut
from twin.timeseries.profiles import TABLE_COLUMNS, ElementProfile, Profiles
from twin.timeseries.solver import Solver
from twin.units import KW_PER_MW, LV_BASE_V, LV_NOMINAL_PU

FloatArray = NDArray[np.float64]
SETTLED_PU = 1e-9
"""Largest change of a voltage between two solutions with powers of the exact law."""
MOST_ROUNDS = 30
UNSETTLED = "the loads' voltage dependence does not settle"
SIMBENCH_YEAR = 2016
"""SimBench's profiles are of this year, a leap year of quarter hours."""
QUARTERS_PER_DAY = 96


@dataclass(frozen=True)
class Flows:
    """A solved day. Voltages and powers are NaN where a part has no solution."""

    v: NDArray[np.complex128]
    """Shape (n_buses + 1, steps); the last row is NaN. [pu]"""
    into_f: NDArray[np.complex128]
    """Power into either end of each branch, shape (n_branches, steps). [kVA]"""
    into_t: NDArray[np.complex128]
    rest_kw: FloatArray
    """Drawn at each bus by all but the consumers (generation below zero), shape (n_buses, steps)."""
    generated_kw: FloatArray
    """By generators that hold a voltage, likewise."""
    failed: NDArray[np.bool_]
    """Parts without a solution, shape (n_parts, steps)."""
    causes: list[tuple[int, int, str, str]]
    """Part, step, cause and detail of each."""


class OwnNetwork:
    """The compiled network; solves one day at a time."""

    def __init__(self, grid: OwnGrid, steps: int, shares: FloatArray) -> None:
        """Compile. ``shares``, shape (n_loads, 6): each load's expected law, in the order of `add_law`."""
        self.grid, self.steps, net = grid, steps, grid.net
        self.loads = grid.loads
        work = copy.deepcopy(net)
        work.load.loc[self.loads, "in_service"] = False
        self._year = profiles_of_year(work, self.loads) if grid.simbench_profiles else {}
        elements = {
            name: ElementProfile(index, *(np.zeros((len(index), steps)) for _ in range(2)))
            for name, (index, _, _) in self._year.items()
        }
        self.profiles = Profiles(np.arange(steps), elements)
        case = compile_network(work, self.profiles)
        rows = net.bus.index.get_indexer(net.load.bus.loc[self.loads])
        self.load_bus = case.bus_of_net[rows]
        self.to_230v = _over_nominal(net.bus.vn_kv.to_numpy(np.float64)[rows])
        self.rest_zips = case.zips
        self.case = replace(case, zips=_mixed(case.zips, self.load_bus, shares))
        self.cut = cut(self.case, "auto")
        self.solver = Solver(self.case, self.cut, self.profiles, fallback=True)
        self.ports = two_ports(self.case.branches)
        self.part_of_bus = np.full(self.case.n_buses, -1)
        for part in self.cut.parts:
            self.part_of_bus[part.buses] = part.number

    def described(self) -> dict[str, Any]:
        """The network in numbers, for the manifest."""
        net = self.grid.net
        return {
            "buses": int(net.bus.in_service.sum()),
            "lines": int(net.line.in_service.sum()),
            "transformers": int(net.trafo.in_service.sum() + net.trafo3w.in_service.sum()),
            "loads_with_consumers": len(self.loads),
            "sources": len(self.grid.source_bus),
            "parts": [{"solver": part.solver, "buses": len(part.buses)} for part in self.cut.parts],
            "unsupplied": [island_text(island) for island in islands(self.case)],
        }

    def solve(self, date: dt.date, law: FloatArray) -> Flows:
        """All steps of a date with the loads' law, shape (n_loads, 6, steps): see `add_law`."""
        self._take_profiles(date)
        case, steps = self.case, self.steps
        rest = room(case, self.profiles, steps)
        inject(case, self.profiles, 0, steps, rest)
        asked = room(case, self.profiles, steps)._replace(p_gen=rest.p_gen)
        asked.p[:], asked.q[:] = rest.p, rest.q
        shape = (case.n_buses + 1, rest.p.shape[1])
        v_re, v_im, before = aligned(shape, np.float64), aligned(shape, np.float64), np.ones((case.n_buses, steps))
        moving: NDArray[np.bool_] = np.ones(steps, bool)
        for _ in range(MOST_ROUNDS):
            self._ask(rest, law, before, moving, asked)
            self.solver.restart()
            self.solver.solve(asked, 0, steps, v_re, v_im)
            now = np.hypot(v_re[:-1, :steps], v_im[:-1, :steps])
            now = np.where(np.isfinite(now), now, before)
            moving = np.asarray((np.abs(now - before) > SETTLED_PU).any(axis=0))
            before = now
            if not moving.any():
                break
        return self._flows(rest, v_re[:, :steps] + 1j * v_im[:, :steps], moving)

    def _ask(
        self, rest: Injections, law: FloatArray, v_pu: FloatArray, moving: NDArray[np.bool_], asked: Injections
    ) -> None:
        """Powers at 1 pu that, under the solver's fixed shares, draw the exact law at ``v_pu`` in steps that move."""
        base, zips = self.case.base_mva * KW_PER_MW, self.case.zips
        drawn_kw, drawn_kvar = drawn(law, self.load_volts(v_pu))
        for total, alone, exact, mine, own in (
            (asked.p, rest.p, drawn_kw, zips[:3], self.rest_zips[:3]),
            (asked.q, rest.q, drawn_kvar, zips[3:], self.rest_zips[3:]),
        ):
            power = alone[:, : self.steps] * _factor(own, v_pu)
            np.add.at(power, self.load_bus, exact / base)
            power /= _factor(mine, v_pu)
            total[:, : self.steps] = np.where(moving, power, total[:, : self.steps])

    def load_volts(self, v_pu: FloatArray) -> FloatArray:
        """Voltage at the loads over 230 V from the buses' magnitudes, shape (n_loads, steps)."""
        return v_pu[self.load_bus] * self.to_230v[:, None]

    def _flows(self, rest: Injections, v: NDArray[np.complex128], moving: NDArray[np.bool_]) -> Flows:
        case, steps = self.case, self.steps
        base, branches = case.base_mva * KW_PER_MW, case.branches
        causes = [
            (row["part"], int(step), row["cause"], row["detail"])
            for row in self.solver.failures.as_rows()
            for step in row["steps"]
        ]
        failed = np.zeros((len(self.cut.parts), steps), bool)
        for part, step, _, _ in causes:
            failed[part, step] = True
        for step in np.flatnonzero(moving).tolist():
            for part in np.flatnonzero(~failed[:, step]).tolist():
                causes.append((part, step, UNSETTLED, f"{MOST_ROUNDS} rounds"))
                failed[part, step] = True
        lost = failed[self.part_of_bus] & (self.part_of_bus >= 0)[:, None]
        v = v.copy()
        v[:-1][lost] = np.nan
        v_f, v_t = v[branches.f_bus], v[branches.t_bus]
        ports = [column[:, None] for column in self.ports]
        into_f = v_f * np.conj(ports[0] * v_f + ports[1] * v_t) * base
        into_t = v_t * np.conj(ports[2] * v_f + ports[3] * v_t) * base
        vm = np.abs(v[:-1])
        rest_kw = rest.p[:, :steps] * _factor(self.rest_zips[:3], vm) * base
        rest_kw += case.y_bus.real[:, None] * vm**2 * base
        generated = np.broadcast_to(rest.p_gen, rest.p.shape)[:, :steps] * base if rest.p_gen.any() else 0.0 * vm
        return Flows(v, into_f, into_t, rest_kw, generated, failed, causes)

    def _take_profiles(self, date: dt.date) -> None:
        """SimBench's values of the same day of its year, averaged to the run's steps."""
        day = (date.replace(year=SIMBENCH_YEAR) - dt.date(SIMBENCH_YEAR, 1, 1)).days
        rows = slice(day * QUARTERS_PER_DAY, (day + 1) * QUARTERS_PER_DAY)
        for name, (_, p_mw, q_mvar) in self._year.items():
            profile = self.profiles.elements[name]
            for target, year in ((profile.p_mw, p_mw), (profile.q_mvar, q_mvar)):
                target[:] = year[rows].reshape(self.steps, -1, year.shape[1]).mean(axis=1).T


def drawn(law: FloatArray, volts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Active and reactive power of loads at a voltage over 230 V, shapes (n_loads, steps). [kW, kvar]"""
    square = volts * volts
    p = law[:, 0] * square + law[:, 1] * volts + law[:, 2]
    return p, law[:, 3] * square + law[:, 4] * volts + law[:, 5]


def _factor(shares: tuple[FloatArray, ...], v_pu: FloatArray) -> FloatArray:
    """What shares of constant power, current and impedance draw at a voltage over 1 pu, shape (n_buses, steps)."""
    power, current, impedance = (share[:, None] for share in shares)
    return power + v_pu * (current + v_pu * impedance)


def _over_nominal(vn_kv: FloatArray) -> FloatArray:
    """What 1 pu of a load's bus is over the consumers' 230 V.

    At low voltage by the bus's rated voltage; above, the consumers stand behind transformers that the network leaves
    out (``own_grid.yaml``).
    """
    nominal_v = LV_NOMINAL_PU * LV_BASE_V
    above = read_yaml("own_grid")["above_low_voltage"]["consumers_pu"]["value"]
    return np.where(vn_kv < LV_KV, vn_kv * 1e3 / np.sqrt(3.0) / nominal_v, above)


def _mixed(rest: ZipShares, load_bus: NDArray[np.int64], shares: FloatArray) -> ZipShares:
    """The rest's shares, and at buses with consumers theirs. ``shares``: (n_loads, 6), z, i and p of P, then of Q."""
    columns = [column.copy() for column in rest]
    weight = np.zeros(len(columns[0]))
    np.add.at(weight, load_bus, shares[:, :3].sum(axis=1))
    mine = weight > 0
    for first in (0, 3):
        total = np.zeros(len(weight))
        np.add.at(total, load_bus, shares[:, first : first + 3].sum(axis=1))
        for k, column in enumerate((2, 1, 0)):  # power, current, impedance against z, i, p
            own = np.zeros(len(weight))
            np.add.at(own, load_bus, shares[:, first + column])
            usable = mine & (total > 0)
            columns[first + k][usable] = own[usable] / total[usable]
    return ZipShares(*columns)


def profiles_of_year(
    net: Any, mapped: NDArray[np.int64]
) -> dict[str, tuple[NDArray[np.int64], FloatArray, FloatArray]]:
    """SimBench's profiles of what stands beside the consumers: index, MW and Mvar (quarter hours, elements)."""
    import simbench

    values = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    found = {}
    for name in ("load", "sgen", "gen", "storage"):
        p_mw = values.get((name, "p_mw"))
        if p_mw is None:
            continue
        p_mw = p_mw[[index for index in p_mw.columns if name != "load" or index not in mapped]]
        if not p_mw.size:
            continue
        index = p_mw.columns.to_numpy(np.int64)
        q_mvar = values.get((name, "q_mvar"))
        reactive = TABLE_COLUMNS[name][1]
        fixed = net[name][list(reactive)].loc[index].sum(axis=1).to_numpy(np.float64)
        q = q_mvar[index].to_numpy(np.float64) if q_mvar is not None else np.tile(fixed, (len(p_mw), 1))
        found[name] = (index, p_mw.to_numpy(np.float64), q)
    return found
