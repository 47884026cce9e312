"""Is everything supplied, and is it radial? Orders, subtrees and checks on graphs, for pandapower nets and our trees.

Checks return problems; whoever calls them decides whether they stop the run.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import networkx as nx
import numpy as np
import pandapower as pp
import pandapower.topology as pp_topology
from numpy.typing import NDArray

from twin.errors import NetworkError, Problem
from twin.grid.state import StateGrid
from twin.powerflow.lv_tiles import LvTiles
from twin.powerflow.radial import RadialTree


class FeederNetwork(Protocol):
    """What a check of a feeder needs; `FeederStatic` has it."""

    @property
    def lv(self) -> LvTiles:
        """The DTs with their LV networks."""

    @property
    def tree(self) -> RadialTree:
        """The 11 kV line."""

    @property
    def node_of_dt(self) -> NDArray[np.int32]:
        """11 kV node of every DT."""


class RadialOrder(NamedTuple):
    """Buses of a radial net, a bus after its feeding one; ``parent`` is a position in ``bus``, -1 for a source."""

    bus: NDArray[np.int64]
    parent: NDArray[np.int64]


def tree_graph(parent: NDArray[Any]) -> nx.DiGraph:
    """The tree of a parent array, edges away from node 0; ``parent[0]`` is not read."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(parent)))
    graph.add_edges_from((int(up), node) for node, up in enumerate(parent) if node > 0)
    return graph


def subtree(parent: NDArray[Any], node: int) -> NDArray[np.int64]:
    """``node`` and everything below it, in rising order."""
    return np.array(sorted({node} | nx.descendants(tree_graph(parent), node)), np.int64)


def net_graph(net: pp.pandapowerNet) -> nx.MultiGraph:
    """Buses in service and the closed, in-service branches between them."""
    return pp_topology.create_nxgraph(net, respect_switches=True, multi=True)


def source_buses(net: pp.pandapowerNet) -> set[int]:
    """Buses that hold a voltage: external grids and slack generators in service."""
    slack = net.gen[net.gen.in_service & net.gen.slack] if len(net.gen) else net.gen
    return set(net.ext_grid.bus[net.ext_grid.in_service]) | set(slack.bus)


def supplied_buses(net: pp.pandapowerNet) -> set[int]:
    """Buses with a path to a source."""
    graph = net_graph(net)
    sources = source_buses(net) & set(graph)
    return set().union(*(nx.node_connected_component(graph, source) for source in sources))


def is_radial(net: pp.pandapowerNet) -> bool:
    """True if every supplied part of the net is a tree with one source."""
    graph, sources = net_graph(net), source_buses(net)
    parts = [graph.subgraph(part) for part in nx.connected_components(graph) if part & sources]
    return all(len(sources & set(part)) == 1 and part.number_of_edges() == part.number_of_nodes() - 1 for part in parts)


def radial_order(net: pp.pandapowerNet) -> RadialOrder:
    """The supplied buses from the sources outwards.

    Raises
    ------
    NetworkError
        If the net is not radial.
    """
    if not is_radial(net):
        raise NetworkError(
            [Problem(net.name or "network", "", "it has a loop or two sources in one part", "open a switch")]
        )
    graph = net_graph(net)
    bus: list[int] = []
    parent: list[int] = []
    for source in sorted(source_buses(net) & set(graph)):
        place = {source: len(bus)}
        bus.append(source)
        parent.append(-1)
        for up, down in nx.bfs_edges(graph, source, sort_neighbors=sorted):
            place[down] = len(bus)
            bus.append(down)
            parent.append(place[up])
    return RadialOrder(np.array(bus, np.int64), np.array(parent, np.int64))


def check_net(net: pp.pandapowerNet) -> list[Problem]:
    """Loads that no source reaches, and a net without a source."""
    where = net.name or "network"
    if not source_buses(net):
        return [Problem(where, "ext_grid", "the network has no source", "add an ext_grid or a slack generator")]
    supplied = supplied_buses(net)
    dark = [int(row) for row, load in net.load.iterrows() if load.in_service and load.bus not in supplied]
    if not dark:
        return []
    return [Problem(where, "load", f"{_some(dark)} have no supply", "connect their buses or take them out of service")]


def check_feeder(net: FeederNetwork, feeder: int) -> list[Problem]:
    """Is the 11 kV line a tree from the PSS's bus, has every DT a node of its own, and is every LV network a tree?"""
    where, problems = f"feeder {feeder}", []
    graph = tree_graph(net.tree.parent)
    if not nx.is_arborescence(graph):
        problems.append(Problem(where, "tree", "the 11 kV line is not a tree from node 0", "repair its parents"))
    reached = {0} | nx.descendants(graph, 0)
    dark = [k for k, node in enumerate(net.node_of_dt) if int(node) not in reached]
    if dark:
        problems.append(Problem(where, "node_of_dt", f"DTs {_some(dark)} have no supply", "repair the 11 kV line"))
    if len(np.unique(net.node_of_dt)) != len(net.node_of_dt) or (net.node_of_dt == 0).any():
        problems.append(Problem(where, "node_of_dt", "DTs share a node or stand on the PSS's bus", "one node each"))
    bad = _lv_not_trees(net.lv)
    if bad:
        problems.append(
            Problem(where, "lv", f"the LV networks of DTs {_some(bad)} are not trees", "repair their parents")
        )
    return problems


def _lv_not_trees(lv: LvTiles) -> list[int]:
    """DTs whose poles do not all lead to the busbar: a pole's parent must be a pole before it."""
    first = lv.dt_pole_ptr[:-1]
    dt = np.repeat(np.arange(len(first)), np.diff(lv.dt_pole_ptr))
    own = np.arange(len(lv.parent)) - first[dt]
    good = np.where(own == 0, lv.parent == -1, (lv.parent >= 0) & (lv.parent < own))
    return [int(k) for k in np.unique(dt[~good])]


def check_state(state: StateGrid) -> list[Problem]:
    """Does every PSS reach a GSS, every feeder have DTs and consumers, and do all numbers run on without a gap?"""
    problems = []
    graph = nx.DiGraph(
        (int(up) if up >= 0 else f"gss {g}", row)
        for row, (up, g) in enumerate(zip(state.pss.parent, state.pss.gss, strict=True))
    )
    roots = [node for node in graph if isinstance(node, str)]
    reached = set().union(*(nx.descendants(graph, root) for root in roots))
    dark = [row for row in range(len(state.pss.code)) if row not in reached]
    if dark:
        problems.append(Problem("33 kV", "pss.parent", f"PSSs {_some(dark)} have no supply", "repair their parents"))
    place = np.empty(len(state.pss.order), np.int64)
    place[state.pss.order] = np.arange(len(place))
    late = np.flatnonzero((state.pss.parent >= 0) & (place[state.pss.parent] >= place))
    if len(late):
        problems.append(
            Problem("33 kV", "pss.order", f"PSSs {_some(late.tolist())} stand before their parent", "sort them")
        )
    feeders = state.feeders
    empty = np.flatnonzero((feeders.n_consumers < 1) | (feeders.n_dts < 1) | (feeders.n_dts > feeders.n_consumers))
    if len(empty):
        problems.append(
            Problem(
                "feeders",
                "n_dts",
                f"feeders {_some(empty.tolist())} have no DT, or DTs without consumers",
                "share out again",
            )
        )
    for name in ("consumer", "dt"):
        first, counts = getattr(feeders, f"first_{name}"), getattr(feeders, f"n_{name}s")
        if not np.array_equal(first, np.cumsum(counts) - counts):
            problems.append(Problem("feeders", f"first_{name}", "ids have a gap or overlap", "take prefix sums"))
    return problems


def _some(items: list[int]) -> str:
    return ", ".join(map(str, items[:5])) + (f" and {len(items) - 5} more" if len(items) > 5 else "")
