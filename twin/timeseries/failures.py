"""Why a state has no solution: the cause has a name, for each part and step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandapower.pypower.idx_brch import BR_STATUS, F_BUS, T_BUS
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from twin.powerflow.branch_model import ComplexArray, FloatArray
from twin.powerflow.branch_newton import NewtonPart
from twin.timeseries.compiled import Case
from twin.timeseries.defects import COLLAPSE, ISLAND, NO_SOLUTION, NOT_A_NUMBER
from twin.timeseries.parts import Part
from twin.timeseries.profiles import TABLE_COLUMNS, Profiles

PROBES = 6
"""How often the power is halved before a state without solution counts as hopeless."""
SHOWN = 5
CONSUMERS = (*(name for name in TABLE_COLUMNS if name != "gen"), "gen", "motor")


@dataclass
class Failures:
    """Failures by part and cause, with the steps they hold for."""

    entries: dict[tuple[int, str], tuple[str, list[int]]] = field(default_factory=dict)

    def add(self, part: int, cause: str, detail: str, steps: list[int]) -> None:
        """Note a failure of ``part`` in ``steps`` (labels); the first detail of a part and cause is kept."""
        self.entries.setdefault((part, cause), (detail, []))[1].extend(steps)

    def as_rows(self) -> list[dict[str, Any]]:
        """For the summary: part, cause, detail, number of steps and the steps."""
        rows = []
        for (part, cause), (detail, steps) in sorted(self.entries.items()):
            rows.append({"part": part, "cause": cause, "detail": detail, "n_steps": len(steps), "steps": sorted(steps)})
        return rows


def collapse_or_not(solver: NewtonPart, load: ComplexArray, generated: FloatArray, part: Part) -> tuple[str, str]:
    """The cause and its detail of a state that Newton does not solve.

    The rule: if the same state is solved with all its power halved, or halved again up to `PROBES` times, the network
    is sound and asked for too much, so it is a voltage collapse. If not even then, the reason lies elsewhere.
    """
    share = 1.0
    for _ in range(PROBES):
        share /= 2
        if solver.solve(load * share, generated * share) is not None:
            return COLLAPSE, f"a solution exists at {share:g} of the step's power"
    if part.suspects:
        return part.suspects[0].cause, ", ".join(map(str, part.suspects[:SHOWN]))
    return NO_SOLUTION, f"not even at {share:g} of the step's power"


def not_a_number(case: Case, profiles: Profiles, part: Part, step: int) -> tuple[str, str]:
    """The cause, and the elements of a part whose power in a step is not a number."""
    names = []
    for name, profile in profiles.elements.items():
        here = np.isin(case.elements[name].bus, part.buses)
        good = np.isfinite(profile.p_mw[:, step])
        if name != "gen":  # a generator's reactive power is what the voltage takes
            good &= np.isfinite(profile.q_mvar[:, step])
        bad = here & ~good
        names += [f"{name} {index}" for index in profile.index[bad]]
    for defect in case.defects.powers:
        row = case.net.bus.index.get_loc(case.net[defect.table].at[defect.index, "bus"])
        if case.bus_of_net[row] in part.buses:
            names.append(str(defect))
    return NOT_A_NUMBER, ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


@dataclass(frozen=True)
class Island:
    """Buses in service that no source supplies, with the elements in service on them."""

    buses: NDArray[np.int64]
    elements: list[str]


def islands(case: Case) -> list[Island]:
    """Islands on which something stands that wants supply; dead sections without any are no failure."""
    net = case.net
    dead = (case.bus_of_net < 0) & net.bus.in_service.to_numpy(bool)
    if not dead.any():
        return []
    label = _dead_labels(case)[net._pd2ppc_lookups["bus"][net.bus.index.to_numpy()]]
    standing: dict[int, list[str]] = {}
    for name in CONSUMERS:
        table = net[name]
        rows = net.bus.index.get_indexer(table["bus"]) if len(table) else np.zeros(0, dtype=np.int64)
        for row, index in zip(rows, table.index, strict=True):
            if dead[row] and table.at[index, "in_service"]:
                standing.setdefault(int(label[row]), []).append(f"{name} {index}")
    buses = net.bus.index.to_numpy()
    return [Island(buses[dead & (label == island)], names) for island, names in sorted(standing.items())]


def _dead_labels(case: Case) -> NDArray[np.int64]:
    """Which island each bus of pandapower's case belongs to, by branches between buses out of service."""
    branch, n = case.ppc["branch"], len(case.ppc["bus"])
    f, t = branch[:, F_BUS].real.astype(np.int64), branch[:, T_BUS].real.astype(np.int64)
    on = (branch[:, BR_STATUS].real > 0) & (f >= case.n_buses) & (t >= case.n_buses)
    graph = coo_matrix((np.ones(int(on.sum())), (f[on], t[on])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def island_text(island: Island) -> str:
    """Its elements and buses in a few words."""
    shown = ", ".join(island.elements[:SHOWN]) + (", ..." if len(island.elements) > SHOWN else "")
    buses = ", ".join(map(str, island.buses[:SHOWN])) + (", ..." if len(island.buses) > SHOWN else "")
    return f"{shown} on buses {buses}"


__all__ = ["ISLAND", "Failures", "Island", "collapse_or_not", "island_text", "islands", "not_a_number"]
