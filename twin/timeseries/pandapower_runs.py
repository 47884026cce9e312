"""Steps solved by pandapower itself: to check Newton against, and for networks whose elements only it models."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandapower as pp
from pandapower.auxiliary import LoadflowNotConverged

from twin.powerflow.branch_model import ComplexArray
from twin.timeseries.compiled import TOLERANCE_MVA, WHAT_PANDAPOWER_RAISES
from twin.timeseries.defects import COLLAPSE, NO_SOLUTION, NOT_A_NUMBER
from twin.timeseries.failures import PROBES, Failures
from twin.timeseries.profiles import TABLE_COLUMNS, Profiles
from twin.timeseries.result import TABLES, Sink

FACTS = ("svc", "tcsc", "ssc", "vsc", "vsc_stacked", "vsc_bipolar")
OPTIONS = ("enforce_q_lims", "enforce_p_lims", "distributed_slack", "tdpf")
PANDAPOWER = "pandapower"
DEFAULT_TOLERANCE_MVA = 1e-8
"""Of `pandapower.runpp`."""


def why_pandapower(net: Any) -> str:
    """What of a network only pandapower solves; empty if nothing."""
    for table in FACTS:
        if table in net and len(net[table]) and net[table].in_service.any():
            return f"{table} in service"
    for option in OPTIONS:
        if net.user_pf_options.get(option):
            return f"user_pf_options asks for {option}"
    return ""


def set_step(net: Any, profiles: Profiles, step: int) -> None:
    """Write one step's powers into the tables of a working copy; three phases take a third each."""
    for name, profile in profiles.elements.items():
        for columns, values in zip(TABLE_COLUMNS[name], (profile.p_mw, profile.q_mvar), strict=True):
            for column in columns:
                net[name][column] = net[name][column].astype(np.float64)  # Excel leaves whole numbers
                net[name].loc[profile.index, column] = values[:, step] / len(columns)


def solve_one(net: Any) -> bool:
    """Run pandapower's power flow with its own defaults, but to 1e-10 MVA; False if it finds no solution.

    Where rounding keeps a strong network from reaching that, to pandapower's own tolerance.
    """
    for tolerance_mva in (TOLERANCE_MVA, DEFAULT_TOLERANCE_MVA):
        try:
            with np.errstate(all="ignore"):
                pp.runpp(net, tolerance_mva=tolerance_mva)
            return True
        except (LoadflowNotConverged, *WHAT_PANDAPOWER_RAISES):
            continue
    return False


def voltages_of_first_step(net: Any, profiles: Profiles) -> ComplexArray | None:
    """Pandapower's voltages by row of ``net.bus``; None if it finds no solution."""
    work = copy.deepcopy(net)
    set_step(work, profiles, 0)
    if not solve_one(work):
        return None
    found = work.res_bus
    return np.asarray(found.vm_pu * np.exp(1j * np.deg2rad(found.va_degree)), dtype=np.complex128)


class PandapowerSolver:
    """The whole network as one part, one `pandapower.runpp` a step: slow, for what nothing else here models."""

    def __init__(self, net: Any, profiles: Profiles) -> None:
        self.net, self.profiles = copy.deepcopy(net), profiles
        self.failures = Failures()
        self.failed = np.zeros(len(profiles.steps), dtype=bool)

    def solve(self, step: int, sink: Sink) -> None:
        """Solve one step and write it; NaN where there is no solution."""
        set_step(self.net, self.profiles, step)
        if not solve_one(self.net):
            self.failed[step] = True
            self.failures.add(0, *self._why(step), [int(self.profiles.steps[step])])
        label = self.profiles.steps[step : step + 1]
        for table, (element, names) in TABLES.items():
            index = self.net[element].index.to_numpy(dtype=np.int64)
            if not len(index):
                continue
            for column, name in zip(sink.room(table, index, step, label), names, strict=True):
                column[0] = np.nan if self.failed[step] else self.net[table][name].to_numpy(dtype=float)
            sink.take(table, index, label)

    def _why(self, step: int) -> tuple[str, str]:
        """The rule of `failures.collapse_or_not`, with pandapower as the solver."""
        for name, profile in self.profiles.elements.items():
            good = np.isfinite(profile.p_mw[:, step]) & (np.isfinite(profile.q_mvar[:, step]) | (name == "gen"))
            if not good.all():
                return NOT_A_NUMBER, ", ".join(f"{name} {index}" for index in profile.index[~good][:PROBES])
        probe, share = copy.deepcopy(self.net), 1.0
        for _ in range(PROBES):
            share /= 2
            for name, pair in TABLE_COLUMNS.items():
                for column in (column for columns in pair for column in columns):
                    probe[name][column] = self.net[name][column] * share
            if solve_one(probe):
                return COLLAPSE, f"a solution exists at {share:g} of the step's power"
        return NO_SOLUTION, f"not even at {share:g} of the step's power"
