"""From solved voltages to the rows of the result tables, by pandapower's definitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pandapower.pypower.idx_brch import F_BUS, T_BUS

from twin.powerflow.branch_model import Branches, FloatArray, IntArray, TwoPorts, two_ports
from twin.powerflow.branch_results import Ends, FlowColumns, branch_flows, by_step, magnitudes, packed
from twin.powerflow.branch_sweep import W
from twin.powerflow.lanes import aligned
from twin.timeseries.compiled import Case, base_kv
from twin.timeseries.parts import Cut
from twin.timeseries.result import Sink

SQRT3 = np.sqrt(3.0)
PERCENT = 100.0


@dataclass(frozen=True)
class Extremes:
    """What a block's results say at a glance; NaN if it has none."""

    vm_min_pu: float
    vm_max_pu: float
    loading_max_percent: float
    loss_mw: FloatArray
    """Loss of lines and transformers together by step. [MW] (steps,)"""


class Outputs:
    """Writes the result tables of one network."""

    def __init__(self, case: Case, cut: Cut) -> None:
        self._case, net = case, case.net
        self._by_power = case.net._options["trafo_loading"] == "power"
        self._lane = aligned(4 * W, np.float64)
        self._bus = np.where(case.bus_of_net < 0, case.n_buses, case.bus_of_net)
        self._ends = {}
        for table, loading in (("line", _line_loading), ("trafo", _trafo_loading), ("trafo3w", _trafo3w_loading)):
            if len(net[table]):
                self._ends[table] = _ends(case, cut, table, *loading(case, self._by_power))
        self._unrated = net.line.max_i_ka.to_numpy(float) * net.line.df.to_numpy(float) == 0

    def write(self, v_re: FloatArray, v_im: FloatArray, first: int, steps: IntArray, sink: Sink) -> Extremes:
        """Write the block that begins at step number ``first``, voltages (n_buses + 1, whole bundles of steps)."""
        lowest, highest = self._write_buses(v_re, v_im, first, steps, sink)
        loss, loading = np.zeros(len(steps)), 0.0
        for table in self._ends:
            lost, loaded = (self._write_three if table == "trafo3w" else self._write_branches)(
                table, v_re, v_im, first, steps, sink
            )
            loss += lost
            loading = max(loading, loaded)
        return Extremes(lowest, highest, loading, loss)

    def _write_buses(
        self, v_re: FloatArray, v_im: FloatArray, first: int, steps: IntArray, sink: Sink
    ) -> tuple[float, float]:
        index = self._case.net.bus.index.to_numpy(dtype=np.int64)
        vm, va = sink.room("res_bus", index, first, steps)
        values = np.empty_like(v_re)
        magnitudes(v_re, v_im, values)
        by_step(self._bus, values, vm)
        np.arctan2(v_im, v_re, out=values)
        values *= 180.0 / np.pi
        by_step(self._bus, values, va)
        sink.take("res_bus", index, steps)
        return float(np.fmin.reduce(vm, axis=None)), float(np.fmax.reduce(vm, axis=None))

    def _flows(self, table: str, v_re: FloatArray, v_im: FloatArray, columns: list[FloatArray]) -> None:
        by_power = self._by_power and table != "line"
        ends, base = self._ends[table], self._case.base_mva
        branch_flows(ends, v_re, v_im, base, by_power, self._lane, FlowColumns(*columns))

    def _write_branches(
        self, table: str, v_re: FloatArray, v_im: FloatArray, first: int, steps: IntArray, sink: Sink
    ) -> tuple[FloatArray, float]:
        index = self._case.net[table].index.to_numpy(dtype=np.int64)
        columns = sink.room(f"res_{table}", index, first, steps)
        self._flows(table, v_re, v_im, columns)
        if table == "line" and self._unrated.any():
            columns[3][:, self._unrated] = np.inf
        sink.take(f"res_{table}", index, steps)
        return np.nansum(columns[2], axis=1), _highest(columns[3])

    def _write_three(
        self, table: str, v_re: FloatArray, v_im: FloatArray, first: int, steps: IntArray, sink: Sink
    ) -> tuple[FloatArray, float]:
        """Three rows of branches make one of the table: terminals first, the star point behind them."""
        index = self._case.net.trafo3w.index.to_numpy(dtype=np.int64)
        three = [np.empty((len(steps), 3 * len(index))) for _ in FlowColumns._fields]
        self._flows(table, v_re, v_im, three)
        p, q, _, loading = (column.reshape(len(steps), 3, len(index)) for column in three)
        columns = sink.room("res_trafo3w", index, first, steps)
        for side in range(3):
            columns[2 * side][:], columns[2 * side + 1][:] = p[:, side], q[:, side]
        columns[6][:], columns[7][:] = p.sum(axis=1), loading.max(axis=1)
        sink.take("res_trafo3w", index, steps)
        return np.nansum(columns[6], axis=1), _highest(columns[7])


def _highest(loading: FloatArray) -> float:
    """The highest finite loading; 0 if there is none."""
    highest = float(np.fmax.reduce(loading, axis=None)) if loading.size else 0.0
    if np.isinf(highest):
        highest = float(np.max(loading, initial=0.0, where=np.isfinite(loading)))
    return highest if np.isfinite(highest) else 0.0


def _ends(case: Case, cut: Cut, table: str, load_f: FloatArray, load_t: FloatArray) -> Ends:
    """The rows of a table as two-ports; a three-winding transformer's are turned, the terminal as the from end."""
    begin, end = case.net._pd2ppc_lookups["branch"][table]
    rows = np.arange(begin, end)
    position = np.full(len(case.ppc["branch"]), -1, dtype=np.int64)
    position[case.branch_rows] = np.arange(len(case.branch_rows))
    at = position[rows]
    on = at >= 0
    f, t = (case.ppc["branch"][rows, column].real.astype(np.int64) for column in (F_BUS, T_BUS))
    f, t = np.where(f < case.n_buses, f, case.n_buses), np.where(t < case.n_buses, t, case.n_buses)
    own = Branches(*(np.where(on, column[at], 0) for column in case.branches)) if len(case.branches.f_bus) else None
    ports = [np.zeros(len(rows), dtype=np.complex128) for _ in TwoPorts._fields]
    if own is not None:
        whole = two_ports(own._replace(ratio=np.where(on, own.ratio, 1)))
        ports = [np.where(on, column, 0) for column in whole]
        dead = on & cut.dead_branches[at]
        for column in ports:
            column[dead] = np.nan
    if table == "trafo3w":
        turn = np.arange(len(rows)) >= len(rows) // 3
        f, t = np.where(turn, t, f), np.where(turn, f, t)
        ff, ft, tf, tt = ports
        ports = [np.where(turn, tt, ff), np.where(turn, tf, ft), np.where(turn, ft, tf), np.where(turn, ff, tt)]
    return Ends(f, t, on, packed(TwoPorts(*ports)), load_f, load_t)


def _kv(case: Case, table: str) -> tuple[FloatArray, FloatArray]:
    begin, end = case.net._pd2ppc_lookups["branch"][table]
    f, t = (case.ppc["branch"][begin:end, column].real.astype(np.int64) for column in (F_BUS, T_BUS))
    kv = base_kv(case)
    return kv[f], kv[t]


def _line_loading(case: Case, _by_power: bool) -> tuple[FloatArray, FloatArray]:
    """Current over ``max_i_ka * df * parallel``."""
    line = case.net.line
    most_ka = line.max_i_ka.to_numpy(float) * line.df.to_numpy(float) * line.parallel.to_numpy(float)
    most_ka = np.where(most_ka == 0, 1.0, most_ka)  # `Outputs` writes inf there, as pandapower does
    f_kv, t_kv = _kv(case, "line")
    return tuple(PERCENT * case.base_mva / (SQRT3 * kv * most_ka) for kv in (f_kv, t_kv))


def _trafo_loading(case: Case, by_power: bool) -> tuple[FloatArray, FloatArray]:
    """Current, or power, of either side over its rated one, by ``parallel`` and ``df``."""
    trafo = case.net.trafo
    rated_mva = trafo.sn_mva.to_numpy(float) * trafo.parallel.to_numpy(float) * trafo.df.to_numpy(float)
    share = PERCENT * case.base_mva / rated_mva
    if by_power:
        return share, share
    f_kv, t_kv = _kv(case, "trafo")
    return share * trafo.vn_hv_kv.to_numpy(float) / f_kv, share * trafo.vn_lv_kv.to_numpy(float) / t_kv


def _trafo3w_loading(case: Case, by_power: bool) -> tuple[FloatArray, FloatArray]:
    """As for two windings, of the terminal of each of the three rows; nothing for the star point."""
    trafo, (f_kv, t_kv) = case.net.trafo3w, _kv(case, "trafo3w")
    n = len(trafo)
    terminal_kv = np.concatenate([f_kv[:n], t_kv[n:]])
    rated_mva = np.concatenate([trafo[f"sn_{side}_mva"].to_numpy(float) for side in ("hv", "mv", "lv")])
    rated_kv = np.concatenate([trafo[f"vn_{side}_kv"].to_numpy(float) for side in ("hv", "mv", "lv")])
    share = PERCENT * case.base_mva / rated_mva
    return (share if by_power else share * rated_kv / terminal_kv), np.zeros(3 * n)
