"""A network of the user's with its consumers: read, checked all at once, and laid out as loads, DTs and feeders.

A feeder is what hangs together once the network is cut at the buses of its sources (external grids and slack
generators). A DT feeds the loads that hang together with its low side once all DTs are taken out; where several do, the
one with the lowest index. Loads without a DT stand at medium or high voltage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandapower.topology as topology
from networkx import connected_components
from numpy.typing import NDArray

from twin.errors import InputError, NetworkError, Problem
from twin.grid.mapping import MappingRow
from twin.timeseries.compiled import compile_network
from twin.timeseries.network import read_network
from twin.timeseries.pandapower_runs import why_pandapower
from twin.timeseries.parts import cut
from twin.timeseries.profiles import Profiles
from twin.timeseries.run import check_newton
from twin.timeseries.solver import Solver

LV_KV = 1.0
"""Below it a voltage is low: a definition."""
SHOWN = 5


@dataclass(frozen=True)
class Request:
    """What a scenario asks for."""

    source: str
    """File of a network, or a SimBench code."""
    is_simbench: bool
    mapping: tuple[MappingRow, ...]
    rule: int | None
    """Category of loads that no row names."""
    keep_unmapped: bool
    transformers: tuple[int, ...] | None
    simbench_profiles: bool


@dataclass(frozen=True)
class ImportedGrid:
    """A network and who stands behind its loads. Nothing of the network is changed. Arrays (n_rows,) by mapped row."""

    name: str
    net: Any
    load: NDArray[np.int64]
    """Index in ``net.load``."""
    consumers: NDArray[np.int64]
    """0: as many as the load's kW holds expected peaks of one of them."""
    category: NDArray[np.uint8]
    sanctioned_kw: NDArray[np.float64]
    """Of each consumer; NaN: drawn."""
    transformers: NDArray[np.int64]
    """Distribution transformers in service, index in ``net.trafo``, rising."""
    simbench_profiles: bool

    @property
    def load_kw(self) -> NDArray[np.float64]:
        """What the network's table says of each row's load. [kW]"""
        table = self.net.load.loc[self.load]
        return (table.p_mw * table.scaling).to_numpy(np.float64) * 1000.0


@lru_cache(maxsize=4)
def _read(source: str, _version: tuple[int, int] | None) -> Any:
    return read_network(source)


def read(source: str, is_simbench: bool) -> Any:
    """The network; read once per process and version of its file. Not to be changed.

    Raises
    ------
    NetworkError
        If it cannot be read, or what reads it is not installed.
    """
    if is_simbench:
        return _read(source, None)
    info = Path(source).stat()
    return _read(source, (info.st_mtime_ns, info.st_size))


def import_grid(request: Request, where: str) -> ImportedGrid:
    """Read a network and check that everything a run needs of it is there.

    Raises
    ------
    InputError
        With every problem. ``where``: the scenario, for problems that stand in no row of the mapping.
    """
    key = "grid.simbench" if request.is_simbench else "grid.network"
    try:
        net = read(request.source, request.is_simbench)
    except NetworkError as error:
        told = [Problem(where, key, f"{Path(p.where).name}: {p.what}", p.fix) for p in error.problems]
        raise InputError(told) from error
    try:
        problems = [Problem(where, key, what, fix) for what, fix in _network_problems(net)]
    except NetworkError as error:
        raise InputError([Problem(where, key, p.what, p.fix) for p in error.problems]) from error
    if problems:
        raise InputError(problems)
    supplied = _supplied_loads(net)
    rows = _rows(request, net, supplied, where, problems)
    transformers = _transformers(request, net, where, problems)
    if request.simbench_profiles and "profiles" not in net:
        problems.append(Problem(where, "grid.profiles", "the network has none", "remove it"))
    if problems:
        raise InputError(problems)
    return ImportedGrid(
        name=request.source if request.is_simbench else Path(request.source).stem,
        net=net,
        load=np.array([row.load for row in rows], np.int64),
        consumers=np.array([row.consumers for row in rows], np.int64),
        category=np.array([row.category for row in rows], np.uint8),
        sanctioned_kw=np.array([np.nan if row.sanctioned_kw is None else row.sanctioned_kw for row in rows]),
        transformers=transformers,
        simbench_profiles=request.simbench_profiles,
    )


def _network_problems(net: Any) -> Iterable[tuple[str, str]]:
    """What makes the network itself useless for a run."""
    sources = int(net.ext_grid.in_service.sum()) + int((net.gen.in_service & net.gen.slack.astype(bool)).sum())
    if not sources:
        yield "no source is in service", "put an ext_grid, or a gen with slack=True, in service"
    if not len(net.load):
        yield "has no loads, so that consumers have nowhere to stand", "give a network with a table of loads"
    reason = why_pandapower(net) or (_why_not(net) if sources else "")
    if reason:
        yield f"only pandapower itself can solve it: {reason}", "take that out for a run, or use `twin powerflow`"


def _why_not(net: Any) -> str:
    """Why the twin's own solvers cannot take a network, as its tables stand; empty if they can."""
    profiles = Profiles(np.zeros(1, np.int64))
    case = compile_network(net, profiles)
    return check_newton(net, profiles, case, Solver(case, cut(case, "auto"), profiles, fallback=True))[1]


def _supplied_loads(net: Any) -> dict[int, str]:
    """Why a load cannot have consumers, by its index; empty text: it can."""
    dead = topology.unsupplied_buses(net)
    bus_on, load = net.bus.in_service, net.load
    found = {}
    for index, bus, on in zip(load.index, load.bus, load.in_service, strict=True):
        if not on:
            found[int(index)] = "is out of service"
        elif not bus_on.get(bus, False):
            found[int(index)] = f"stands on bus {bus}, which is out of service"
        else:
            found[int(index)] = f"stands on bus {bus}, which no source supplies" if bus in dead else ""
    return found


def _rows(
    request: Request, net: Any, supplied: dict[int, str], where: str, problems: list[Problem]
) -> list[MappingRow]:
    """The mapping's rows and, by the rule, one for each load that they do not name."""
    seen: dict[tuple[int, int], MappingRow] = {}
    for row in request.mapping:
        if row.load not in supplied:
            what = f"the network has no load {row.load}"
            problems.append(Problem(row.where, row.path, what, f"use the index of net.load: {_few(supplied)}"))
        elif supplied[row.load]:
            fix = "put it in service, or take it out of the mapping"
            problems.append(Problem(row.where, row.path, f"load {row.load} {supplied[row.load]}", fix))
        elif (row.load, row.category) in seen:
            what = f"load {row.load} has this category twice (first at {seen[row.load, row.category].where})"
            problems.append(Problem(row.where, row.path, what, "keep one row, with the sum of the consumers"))
        seen.setdefault((row.load, row.category), row)
    named = {row.load for row in request.mapping}
    left = [load for load, why in supplied.items() if not why and load not in named]
    if request.rule is not None:
        table = net.load.loc[left]
        empty = [load for load, kw in zip(left, table.p_mw * table.scaling, strict=True) if not kw > 0]
        if empty:
            what = f"the rule needs loads with a positive p_mw; {_few(empty)} have none"
            problems.append(Problem(where, "grid.mapping.rule", what, "name their consumers in rows"))
        return [*request.mapping, *(MappingRow(load, 0, request.rule, None, where, "") for load in left)]
    if left and not request.keep_unmapped:
        what = f"{len(left)} of {len(supplied)} loads are not mapped: {_few(left)}"
        fix = "add rows, a rule, or `unmapped: keep`, which leaves them their table values without consumers"
        problems.append(Problem(where, "grid.mapping", what, fix))
    return list(request.mapping)


def _transformers(request: Request, net: Any, where: str, problems: list[Problem]) -> NDArray[np.int64]:
    on = net.trafo.index[net.trafo.in_service.astype(bool)]
    if request.transformers is None:
        low = net.bus.vn_kv.loc[net.trafo.lv_bus.loc[on]].to_numpy(np.float64) < LV_KV
        return np.sort(on.to_numpy(np.int64)[low])
    unknown = [index for index in request.transformers if index not in on]
    if unknown:
        what = f"the network has no transformer {_few(unknown)} in service"
        fix = f"use the index of net.trafo: {_few(on)}" if len(on) else "leave it out"
        problems.append(Problem(where, "grid.mapping.transformers", what, fix))
    return np.unique(np.array([index for index in request.transformers if index in on], np.int64))


def _few(values: Iterable[Any]) -> str:
    shown = [str(value) for value in values]
    return ", ".join(shown[:SHOWN]) + (", ..." if len(shown) > SHOWN else "")


def dt_of_bus(grid: ImportedGrid) -> dict[int, int]:
    """The DT that feeds each bus that has one."""
    net = grid.net
    taken = [("trafo", int(index)) for index in net.trafo.index]
    graph = topology.create_nxgraph(net, include_trafos=True)
    dts = {int(index) for index in grid.transformers}
    cut = [
        (u, v, key)
        for u, v, key in graph.edges(keys=True)
        if key in taken and int(key[1]) in dts  # keys of edges are (table, index)
    ]
    graph.remove_edges_from(cut)
    area = {bus: number for number, buses in enumerate(connected_components(graph)) for bus in buses}
    feeding: dict[int, int] = {}
    for index in grid.transformers.tolist():
        feeding.setdefault(area[net.trafo.at[index, "lv_bus"]], index)
    return {int(bus): feeding[number] for bus, number in area.items() if number in feeding}
