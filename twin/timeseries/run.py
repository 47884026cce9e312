"""The time series: read, compile, cut, solve block by block, say what happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from twin.errors import InputError, Problem
from twin.timeseries.compiled import Case, compile_network
from twin.timeseries.failures import ISLAND, Failures, island_text, islands
from twin.timeseries.network import read_network
from twin.timeseries.outputs import Extremes, Outputs
from twin.timeseries.pandapower_runs import PANDAPOWER, PandapowerSolver, voltages_of_first_step, why_pandapower
from twin.timeseries.parts import NEWTON, NONE, Cut, cut, names_of
from twin.timeseries.profiles import Profiles, read_profiles
from twin.timeseries.result import MemorySink, ParquetSink, Sink, TimeseriesResult, empty_folder, write_summary
from twin.timeseries.solver import Solver

SOLVERS = ("auto", "radial", "newton")
AGREEMENT_PU = 1e-6
"""Largest difference of Newton's first step to pandapower's; beyond it, pandapower solves all steps."""

Progress = Callable[[int, int, int], None]
"""Told after each block: blocks done, all blocks, steps done."""


def run_timeseries(net: Any, profiles: Any = None, *, solver: str = "auto") -> TimeseriesResult:
    """Power flow of a pandapower network for every step of its profiles.

    Parameters
    ----------
    net : pandapowerNet, path or str
        A network, or what `twin.timeseries.network.read_network` reads: pandapower JSON, Excel, MATPOWER, a SimBench
        code. It is not changed.
    profiles : path, pandas.DataFrame or pyarrow.Table, optional
        Long form with the columns ``step, element, index, p_mw, q_mvar``; see `twin.timeseries.profiles`. Left out: one
        step, 0, with the values of the network's tables.
    solver : str
        ``auto``: sweeps for radial parts, Newton for the others. ``radial``: sweeps only, an error if a part is not
        radial. ``newton``: Newton for all.

    Returns
    -------
    TimeseriesResult
        Tables as Arrow, and the summary. A step that cannot be solved is a row in ``summary["failures"]`` and NaN in
        the tables, never an exception.

    Raises
    ------
    InputError
        If the network or the profiles are wrong, with all problems of the profiles at once.

    Examples
    --------
    >>> import pandapower.networks
    >>> result = run_timeseries(pandapower.networks.case33bw())
    >>> result.res_bus.num_rows
    33
    """
    job = _prepare(net, profiles, solver)
    sink = MemorySink(len(job.profiles.steps))
    summary = _run(job, sink, None)
    three = sink.table("res_trafo3w")
    return TimeseriesResult(
        sink.table("res_bus"), sink.table("res_line"), sink.table("res_trafo"), summary,
        three if three.num_rows else None,
    )  # fmt: skip


def run_to_folder(
    net: Any, profiles: Any, folder: str | Path, *, solver: str = "auto", progress: Progress | None = None
) -> dict[str, Any]:
    """As `run_timeseries`, written as it comes, so that memory does not grow with the number of steps; the summary."""
    job = _prepare(net, profiles, solver)
    target = empty_folder(folder)
    sink = ParquetSink(target)
    summary = _run(job, sink, progress)
    write_summary(target, summary)
    return summary


def run_quietly(net: Any, profiles: Any, *, solver: str = "auto", progress: Progress | None = None) -> dict[str, Any]:
    """The summary alone; the tables are thrown away block by block."""

    class Nowhere(MemorySink):
        def room(self, table: str, index: Any, first: int, steps: Any) -> Any:
            self._n_steps = len(steps)
            self._values.pop(table, None)
            return super().room(table, index, 0, steps)

    return _run(_prepare(net, profiles, solver), Nowhere(0), progress)


@dataclass
class _Job:
    """What is to be done, and since when."""

    net: Any
    profiles: Profiles
    solver: str
    wall_s: dict[str, float] = field(default_factory=dict)
    _mark: float = field(default_factory=time.perf_counter)

    def lap(self, name: str) -> None:
        """Book the time since the last call under a name."""
        now = time.perf_counter()
        self.wall_s[name] = round(self.wall_s.get(name, 0.0) + now - self._mark, 6)
        self._mark = now


@dataclass
class _Seen:
    """Extremes and losses of all blocks."""

    vm_min_pu: float = np.nan
    vm_max_pu: float = np.nan
    loading_max_percent: float = 0.0
    loss_sum_mw: float = 0.0
    steps: int = 0

    def add(self, block: Extremes) -> None:
        """Take in a block."""
        self.vm_min_pu = float(np.fmin(self.vm_min_pu, block.vm_min_pu))
        self.vm_max_pu = float(np.fmax(self.vm_max_pu, block.vm_max_pu))
        self.loading_max_percent = max(self.loading_max_percent, block.loading_max_percent)
        self.loss_sum_mw += float(block.loss_mw.sum())
        self.steps += len(block.loss_mw)

    def as_row(self) -> dict[str, float | None]:
        """For the summary; None where there is nothing."""
        mean = self.loss_sum_mw / self.steps if self.steps else None
        row = {
            "vm_min_pu": self.vm_min_pu,
            "vm_max_pu": self.vm_max_pu,
            "loading_max_percent": self.loading_max_percent,
        }
        return {name: None if np.isnan(value) else value for name, value in row.items()} | {"loss_mean_mw": mean}


def _prepare(net: Any, profiles: Any, solver: str) -> _Job:
    if solver not in SOLVERS:
        raise InputError([Problem("solver", "", f"'{solver}' is none", f"use one of {', '.join(SOLVERS)}")])
    began = time.perf_counter()
    network = read_network(net)
    read = read_profiles(profiles, network)
    job = _Job(network, read, solver)
    job.wall_s["read"] = round(time.perf_counter() - began, 6)
    return job


def _run(job: _Job, sink: Sink, progress: Progress | None) -> dict[str, Any]:
    reason = why_pandapower(job.net)
    if not reason:
        case = compile_network(job.net, job.profiles)
        cuts = cut(case, job.solver)
        solver = Solver(case, cuts, job.profiles, fallback=job.solver != "radial")
        job.lap("compile")
        checked, reason = check_newton(job.net, job.profiles, case, solver, job.solver)
        job.lap("check")
    if reason:
        return _by_pandapower(job, reason, sink, progress)
    seen = _Seen()
    outputs = Outputs(case, cuts)
    n_blocks = -(-len(job.profiles.steps) // solver.block_steps)
    for done, (first, labels, v_re, v_im) in enumerate(solver.blocks(), start=1):
        job.lap("solve")
        seen.add(outputs.write(v_re, v_im, first, labels, sink))
        job.lap("write")
        if progress:
            progress(done, n_blocks, first + len(labels))
    sink.close()
    job.lap("write")
    unsupplied = islands(case)
    for k, island in enumerate(unsupplied):
        solver.failures.add(len(cuts.parts) + k, ISLAND, island_text(island), job.profiles.steps.tolist())
    parts = _part_rows(case, cuts, solver)
    for k, island in enumerate(unsupplied):
        parts.append({"part": len(cuts.parts) + k, "solver": NONE, "buses": len(island.buses), "reason": ISLAND})
    return _summary(job, parts, solver.failures, solver.failed, seen, checked)


def check_newton(net: Any, profiles: Profiles, case: Case, solver: Solver, asked: str = "auto") -> tuple[str, str]:
    """How Newton was checked on the first step, and why pandapower must solve all, if it must."""
    if not any(part.solver == NEWTON for part in solver.cut.parts):
        return "not needed: all parts are radial", ""
    reference = voltages_of_first_step(net, profiles)
    if reference is None:
        return "pandapower finds no solution for the first step", ""
    known = case.bus_of_net >= 0
    ours = np.full(len(reference), np.nan, dtype=np.complex128)
    ours[known] = solver.first_step()[case.bus_of_net[known]]
    difference = float(np.nanmax(np.abs(ours - reference), initial=0.0))
    if difference > AGREEMENT_PU and asked == "auto":
        return "", f"Newton differs from pandapower by {difference:.1e} pu in the first step"
    return f"first step within {difference:.1e} pu of pandapower", ""


def _by_pandapower(job: _Job, reason: str, sink: Sink, progress: Progress | None) -> dict[str, Any]:
    """All steps by pandapower itself."""
    if job.solver != "auto":
        fix = "use solver auto"
        raise InputError([Problem("network", "", f"only pandapower itself can solve it: {reason}", fix)])
    solver, n = PandapowerSolver(job.net, job.profiles), len(job.profiles.steps)
    for step in range(n):
        solver.solve(step, sink)
        if progress:
            progress(step + 1, n, step + 1)
    sink.close()
    job.lap("solve")
    parts = [{"part": 0, "solver": PANDAPOWER, "buses": len(job.net.bus), "reason": reason}]
    return _summary(job, parts, solver.failures, solver.failed, _Seen(), "pandapower itself")


def _part_rows(case: Case, cuts: Cut, solver: Solver) -> list[dict[str, Any]]:
    rows = []
    for part in cuts.parts:
        row: dict[str, Any] = {"part": part.number, "solver": part.solver, "buses": len(part.buses)}
        row["branches"] = len(part.branches)
        row["source_buses"] = [case.net_bus(int(bus)) for bus in part.sources]
        row["some_buses"] = names_of(case, part.buses)
        if part.reason:
            row["reason"] = part.reason
        if solver.fallbacks[part.number]:
            row["states_left_to_newton"] = int(solver.fallbacks[part.number])
        rows.append(row)
    return rows


def _summary(
    job: _Job, parts: list[dict[str, Any]], failures: Failures, failed: Any, seen: _Seen, checked: str
) -> dict[str, Any]:
    steps = job.profiles.steps
    return {
        "solver": job.solver,
        "n_steps": len(steps),
        "solved_steps": int((~failed).sum()),
        "failed_steps": int(failed.sum()),
        "parts": parts,
        "newton_check": checked,
        "failures": failures.as_rows(),
        **seen.as_row(),
        "wall_s": job.wall_s,
        "steps": steps.tolist(),
        "status": ["failed" if bad else "solved" for bad in failed],
    }
