"""From a solved network to what a run reads of it: feeders' totals and losses by level, DTs' days, loads' voltages."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.grid.imported import LV_KV
from twin.simulation.harvest import DT_COLUMNS
from twin.simulation.messages import N_Q, Q
from twin.simulation.own_grid import rating_kva
from twin.simulation.own_network import Flows, OwnNetwork
from twin.timeseries.compiled import base_kv
from twin.timeseries.parts import element_of_row, rows_of_element
from twin.units import LV_BASE_V

FloatArray = NDArray[np.float64]


class Level(IntEnum):
    """Where a branch's loss is booked."""

    LV = 0
    DT = 1
    MV = 2
    """Column ``loss_11kv``."""
    SUB = 3
    """Column ``loss_33kv``."""
    EHV = 4


BOOKED = {Level.LV: Q.LOSS_LV, Level.DT: Q.LOSS_DT, Level.MV: Q.LOSS_11KV}


class Readout:
    """What is where in a network, worked out once. Feeders are its parts; one row more is the sources' own buses."""

    def __init__(self, network: OwnNetwork, is_evening: NDArray[np.bool_], hours: float) -> None:
        self.network, self.is_evening, self.hours = network, is_evening, hours
        case, branches = network.case, network.case.branches
        self.n_feeders = len(network.cut.parts)
        self.feeder_of_bus = np.where(network.part_of_bus < 0, self.n_feeders, network.part_of_bus)
        f, t = network.part_of_bus[branches.f_bus], network.part_of_bus[branches.t_bus]
        self.feeder_of_branch = np.where(np.maximum(f, t) < 0, self.n_feeders, np.maximum(f, t))
        self.from_source, self.to_source = case.fixed[branches.f_bus], case.fixed[branches.t_bus]
        self.level = self._levels()
        self.row_of_dt = self._dt_rows()
        self.rating_kva = rating_kva(network.grid)
        self.kv = network.grid.net.bus.vn_kv.to_numpy(np.float64)
        bus_row = network.grid.net.bus.index.get_indexer(network.grid.net.load.bus.loc[network.loads])
        self.load_kv = self.kv[bus_row]

    def _levels(self) -> NDArray[np.int64]:
        """Level of each branch: DTs apart, others by their higher voltage; limits in ``own_grid.yaml``."""
        case, limits = self.network.case, read_yaml("own_grid")["levels"]
        kv = base_kv(case)
        highest = np.maximum(kv[case.branches.f_bus], kv[case.branches.t_bus])
        edges = [LV_KV, limits["medium_below_kv"]["value"], limits["sub_below_kv"]["value"]]
        level = np.array([Level.LV, Level.MV, Level.SUB, Level.EHV])[np.searchsorted(edges, highest, side="right")]
        dts = set(self.network.grid.dts.tolist())
        for branch, row in enumerate(case.branch_rows):
            table, index = element_of_row(case, int(row))
            if table == "trafo" and index in dts:
                level[branch] = Level.DT
        return level

    def _dt_rows(self) -> NDArray[np.int64]:
        case = self.network.case
        rows = [rows_of_element(case, "trafo", int(index))[0] for index in self.network.grid.dts]
        return np.searchsorted(case.branch_rows, np.array(rows, np.int64))

    def totals(self, flows: Flows, load_kw: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        """Totals of feeders (and the sources' own buses), their losses above, and the largest relative gap.

        Parameters
        ----------
        load_kw : shape (n_loads, steps)
            Drawn by the loads with consumers. [kW]

        Returns
        -------
        quantities : shape (N_Q, n_feeders + 1, steps)
            ``Q.P`` is what the feeder takes in from sources and from generators within it: sent = used + losses.
        above_kw : shape (2, n_feeders + 1, steps)
            Losses at the levels ``SUB`` and ``EHV``.
        gap : float
            Of sent - used - losses over what goes through the feeder, over feeders and steps.
        """
        network, steps = self.network, load_kw.shape[1]
        quantities = np.zeros((N_Q, self.n_feeders + 1, steps))
        loss = np.zeros((len(Level), self.n_feeders + 1, steps))
        np.add.at(loss, (self.level, self.feeder_of_branch), flows.into_f.real + flows.into_t.real)
        for rows, into in ((self.from_source, flows.into_f), (self.to_source, flows.into_t)):
            np.add.at(quantities[Q.P], self.feeder_of_branch[rows], into.real[rows])
            np.add.at(quantities[Q.QVAR], self.feeder_of_branch[rows], into.imag[rows])
        rest, generated = flows.rest_kw, np.maximum(-flows.rest_kw, 0.0) + flows.generated_kw
        np.add.at(quantities[Q.USED], self.feeder_of_bus, np.maximum(rest, 0.0))
        np.add.at(quantities[Q.USED], self.feeder_of_bus[network.load_bus], load_kw)
        np.add.at(quantities[Q.P], self.feeder_of_bus, generated)
        at_source = quantities[:, -1]
        at_source[Q.P] += at_source[Q.USED] - _own(flows, network, generated)  # what sources give at their own buses
        gap = self._gap(quantities, loss)
        for level, row in BOOKED.items():
            quantities[row] = loss[level]
        self._stand_in(flows, quantities, loss, load_kw)
        return quantities, loss[Level.SUB :], gap

    def _gap(self, quantities: FloatArray, loss: FloatArray) -> float:
        through = np.maximum(np.abs(quantities[Q.P]), np.abs(quantities[Q.USED]))[: self.n_feeders]
        gap = np.abs(quantities[Q.P] - quantities[Q.USED] - loss.sum(axis=0))[: self.n_feeders]
        relative = np.divide(gap, through, out=np.zeros_like(gap), where=np.isfinite(gap) & (through > 0))
        return float(np.nanmax(relative, initial=0.0))

    def _stand_in(self, flows: Flows, quantities: FloatArray, loss: FloatArray, load_kw: FloatArray) -> None:
        """Where a feeder has no solution its consumers' demand at nominal voltage stands in, without losses."""
        nominal = np.zeros((self.n_feeders + 1, load_kw.shape[1]))
        np.add.at(nominal, self.feeder_of_bus[self.network.load_bus], load_kw)
        for feeder, step in np.argwhere(flows.failed):
            quantities[:, feeder, step], loss[:, feeder, step] = 0.0, 0.0
            quantities[[Q.P, Q.USED], feeder, step] = nominal[feeder, step]

    def voltages(self, flows: Flows) -> tuple[FloatArray, FloatArray]:
        """Head and lowest voltage of each feeder, shapes (n_feeders, steps). [pu]"""
        vm, case = np.abs(flows.v), self.network.case
        head = np.repeat([[abs(case.v_start[part.sources[0]])] for part in self.network.cut.parts], vm.shape[1], axis=1)
        lowest = np.stack([vm[part.buses].min(axis=0) for part in self.network.cut.parts])
        return head, lowest

    def dt_day(self, flows: Flows) -> NDArray[np.float32]:
        """Figures of the day of each DT, shape (len(DT_COLUMNS), n_dts); of the steps that are solved."""
        into = flows.into_f[self.row_of_dt]
        solved = np.isfinite(into.real)
        kva, kw = np.where(solved, np.abs(into), 0.0), np.where(solved, into.real, 0.0)
        peak_step = kva.argmax(axis=1) if len(kva) else np.zeros(0, np.int64)
        each = np.arange(len(kva))
        ends = self._ends(flows)
        day = {
            "peak_kva": kva[each, peak_step],
            "peak_step": peak_step,
            "loading_percent": 100.0 * kva[each, peak_step] / self.rating_kva,
            "overload_hours": (kva > self.rating_kva[:, None]).sum(axis=1) * self.hours,
            "evening_peak_kw": np.where(self.is_evening, kw, -np.inf).max(axis=1),
            "v_end_min_pu": np.where(solved, ends, np.inf).min(axis=1, initial=np.inf),
            "v_end_p5_pu": ends[each, peak_step],
            "sent_kwh": kw.sum(axis=1) * self.hours,
        }
        out = np.stack([day[name] for name in DT_COLUMNS]).astype(np.float32)
        return np.where(np.isfinite(out), out, np.float32(0.0))

    def _ends(self, flows: Flows) -> FloatArray:
        """Lowest voltage at the loads of each DT, else at its low side, shape (n_dts, steps). [pu of 250 V]"""
        network, vm = self.network, np.abs(flows.v)
        net, case = network.grid.net, network.case
        load_v = vm[network.load_bus] * (self.load_kv * 1e3 / np.sqrt(3.0) / LV_BASE_V)[:, None]
        trafo = net.trafo.loc[network.grid.dts]
        rows = net.bus.index.get_indexer(trafo.lv_bus)
        ends = vm[case.bus_of_net[rows]] * (self.kv[rows] * 1e3 / np.sqrt(3.0) / LV_BASE_V)[:, None]
        for k, dt in enumerate(network.grid.dts):
            mine = network.grid.dt_of_load == dt
            if mine.any():
                ends[k] = load_v[mine].min(axis=0)
        return ends


def _own(flows: Flows, network: OwnNetwork, generated: FloatArray) -> FloatArray:
    """Generation at the buses of sources, which is in their row already. Shape (steps,)"""
    return np.asarray(generated[network.case.fixed].sum(axis=0), np.float64)
