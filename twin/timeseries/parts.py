"""The network in parts that can be solved apart: what hangs together once it is cut at the sources."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from twin.errors import NetworkError, Problem
from twin.powerflow.branch_model import Branches, IntArray, merged
from twin.powerflow.branch_tree import Forest, plant
from twin.timeseries.compiled import Case
from twin.timeseries.defects import NOT_A_NUMBER, Defect

SWEEP, NEWTON, NONE = "radial sweep", "newton (lightsim2grid)", "none"
SHOWN = 5


@dataclass
class Part:
    """Buses whose voltages depend on each other, with the branches to their sources."""

    number: int
    buses: IntArray
    branches: IntArray
    """Rows of ``Case.branches``."""
    sources: IntArray
    """Source buses that it touches."""
    solver: str
    reason: str = ""
    """Why it is not solved by the sweep."""
    defects: list[Defect] = field(default_factory=list)
    """If any, it is not solved at all."""
    suspects: list[Defect] = field(default_factory=list)
    tree: int = -1
    """Its tree in the forest."""


@dataclass(frozen=True)
class Cut:
    """The whole network in parts."""

    parts: list[Part]
    forest: Forest
    dead_branches: NDArray[np.bool_]
    """Branches with a defect: what flows in them is unknown. (n_branches,)"""
    dead_sources: IntArray
    """Sources that contradict each other."""


def cut(case: Case, solver: str) -> Cut:
    """Cut a network into parts and choose a solver for each.

    Raises
    ------
    NetworkError
        If ``solver`` is ``radial`` and a part is not.
    """
    branches = case.branches
    label = _labels(case)
    of_branch = np.maximum(label[branches.f_bus], label[branches.t_bus])
    dead, by_branch = _branch_defects(case, branches)
    suspects = _by_row(case, case.defects.suspects)
    by_part = _grouped(of_branch, int(label.max(initial=-1)) + 1)
    by_bus = _grouped(label, len(by_part))
    parts: list[Part] = []
    trees: list[Branches] = []
    for number, (rows, buses) in enumerate(zip(by_part, by_bus, strict=True)):
        ends = np.concatenate([branches.f_bus[rows], branches.t_bus[rows]])
        part = Part(number, buses, rows, np.unique(ends[case.fixed[ends]]), SWEEP)
        part.defects = [defect for row in rows if row in by_branch for defect in by_branch[row]]
        part.defects += [d for bus in (*part.sources, *buses) for d in case.defects_at.get(int(bus), ())]
        part.suspects = [defect for row in rows if row in suspects for defect in suspects[row]]
        tree = None if part.defects else _tree(case, part)
        if part.defects:
            part.solver = NONE
        elif tree is None or solver == "newton":
            part.solver, part.reason = NEWTON, part.reason or "asked for"
        else:
            part.tree = len(trees)
            trees.append(tree)
        parts.append(part)
    forest = _plant(case, parts, trees)
    _refuse_meshed(case, parts, solver)
    slack_dead = np.array([bus for bus in case.defects_at if bus >= 0 and case.fixed[bus]], dtype=np.int64)
    return Cut(parts, forest, dead, slack_dead)


def _labels(case: Case) -> IntArray:
    """The part of each bus; -1 for sources."""
    f, t, free = case.branches.f_bus, case.branches.t_bus, ~case.fixed
    inner = free[f] & free[t]
    graph = coo_matrix((np.ones(int(inner.sum())), (f[inner], t[inner])), shape=(case.n_buses, case.n_buses))
    _, label = connected_components(graph, directed=False)
    label = np.where(free, label, -1)
    _, first, dense = np.unique(label, return_index=True, return_inverse=True)
    shift = int(len(first) > 0 and label[first[0]] == -1)
    return (dense.ravel() - shift).astype(np.int64)


def _grouped(label: IntArray, n: int) -> list[IntArray]:
    """The positions of each label from 0 to n - 1."""
    order = np.argsort(label, kind="stable")
    edges = np.searchsorted(label[order], np.arange(n + 1))
    return [order[edges[k] : edges[k + 1]] for k in range(n)]


def _tree(case: Case, part: Part) -> Branches | None:
    """The part as a tree of single branches, or None with the reason in ``part.reason``."""
    if case.holds[part.buses].any():
        part.reason = "a generator holds a voltage"
        return None
    single = merged(case.branches.rows(part.branches))
    if single is None:
        part.reason = "parallel transformers of different ratio"
        return None
    at_source = case.fixed[single.f_bus] | case.fixed[single.t_bus]
    if len(single.f_bus) != len(part.buses) or int(at_source.sum()) != 1:
        part.reason = "meshed" if len(part.sources) == 1 else "between several sources"
        return None
    return single


def _plant(case: Case, parts: list[Part], trees: list[Branches]) -> Forest:
    """One forest of all trees; those with a resonance go to Newton."""
    while True:
        all_branches = (
            Branches(*(np.concatenate(columns) for columns in zip(*trees, strict=True))) if trees else _none(case)
        )
        head = np.flatnonzero(case.fixed[all_branches.f_bus] | case.fixed[all_branches.t_bus])
        f_fixed = case.fixed[all_branches.f_bus[head]]
        root = np.where(f_fixed, all_branches.f_bus[head], all_branches.t_bus[head])
        forest, sound = plant(all_branches, case.y_bus, np.where(case.fixed, case.v_start, 0), head, root)
        if sound.all():
            return forest
        radial = [part for part in parts if part.tree >= 0]
        trees = [tree for tree, good in zip(trees, sound, strict=True) if good]
        for part, good, number in zip(radial, sound, np.cumsum(sound) - 1, strict=True):
            part.tree = int(number) if good else -1
            if not good:
                part.solver, part.reason = NEWTON, "resonance of its shunts"


def _none(case: Case) -> Branches:
    return case.branches.rows(np.zeros(0, dtype=np.int64))


def _branch_defects(case: Case, branches: Branches) -> tuple[NDArray[np.bool_], dict[int, list[Defect]]]:
    """Which branches have a defect, and which: found in the tables, or not a number after compilation."""
    found = _by_row(case, case.defects.branches)
    finite = np.ones(len(branches.f_bus), dtype=bool)
    for column in (branches.y_f, branches.y_t, branches.shunt_f, branches.shunt_t, branches.ratio):
        finite &= np.isfinite(column)
    for row in np.flatnonzero(~finite):
        table, index = element_of_row(case, int(case.branch_rows[row]))
        found.setdefault(int(row), []).append(Defect(NOT_A_NUMBER, table, index))
    dead = ~finite
    dead[list(found)] = True
    return dead, found


def _by_row(case: Case, defects: list[Defect]) -> dict[int, list[Defect]]:
    """Defects by row of ``case.branches``; those of branches that are not in service drop out."""
    position = np.full(len(case.ppc["branch"]), -1, dtype=np.int64)
    position[case.branch_rows] = np.arange(len(case.branch_rows))
    rows: dict[int, list[Defect]] = {}
    for defect in defects:
        for row in rows_of_element(case, defect.table, defect.index):
            if position[row] >= 0:
                rows.setdefault(int(position[row]), []).append(defect)
    return rows


def rows_of_element(case: Case, table: str, index: int) -> list[int]:
    """Rows of pandapower's branches that an element became: three for a three-winding transformer."""
    begin, end = case.net._pd2ppc_lookups["branch"][table]
    row, size = int(case.net[table].index.get_loc(index)), len(case.net[table])
    return list(range(begin + row, end, size))


def element_of_row(case: Case, row: int) -> tuple[str, int]:
    """The table and index that became a row of pandapower's branches."""
    for table, (begin, end) in case.net._pd2ppc_lookups["branch"].items():
        if begin <= row < end:
            at = (row - begin) % max(len(case.net[table]), 1)
            return table, int(case.net[table].index[at])
    raise AssertionError(f"branch row {row} belongs to no table")


def _refuse_meshed(case: Case, parts: list[Part], solver: str) -> None:
    problems = []
    for part in parts if solver == "radial" else []:
        if part.solver == NEWTON:
            where = f"part {part.number} (buses {names_of(case, part.buses)})"
            problems.append(Problem("network", where, f"is not radial: {part.reason}", "use solver auto or newton"))
    if problems:
        raise NetworkError(problems)


def names_of(case: Case, buses: NDArray[Any]) -> str:
    """A few of the buses, as ``net.bus`` numbers them."""
    shown = sorted({case.net_bus(int(bus)) for bus in buses[:SHOWN]} - {-1})
    return ", ".join(map(str, shown)) + (", ..." if len(buses) > SHOWN else "")
