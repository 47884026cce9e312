"""One 11 kV feeder with everything below it, from the seed and the state's columns alone: about a millisecond."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.grid import lv_consumers, lv_network
from twin.grid.population import INDUSTRIAL, URBAN
from twin.grid.rules import BASE_OHM_11KV, KV_11, TreeRules, consumer_rules, lv_rules, tree_rules
from twin.grid.settings import synthesis
from twin.grid.state import StateGrid
from twin.powerflow.lv_tiles import LvTiles
from twin.powerflow.radial import RadialTree
from twin.streams import Stream, key64, normal, uniform, uniforms

_FEEDER_TREE = int(Stream.FEEDER_TREE)
_PLACE_DRAW = 1 << 20
"""Offset of the draws that place DTs among a feeder's draws."""


class FeederStatic(NamedTuple):
    """A feeder's columns; consumers are sorted by (DT, pole, phase), and row i has id ``first_consumer + i``."""

    feeder: int
    """Row of the state's feeders."""
    feeder_class: int
    district: int
    consumer_id: NDArray[np.int64]
    dt: NDArray[np.int32]
    """The consumer's DT, counted within the feeder."""
    category: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    phases: NDArray[np.uint8]
    """1 or 3."""
    phase: NDArray[np.uint8]
    """0, 1, 2; 0 for three-phase consumers."""
    pole: NDArray[np.int32]
    """Counted within the DT; 0 is the LV busbar."""
    sanctioned_kw: NDArray[np.float32]
    service_m: NDArray[np.float32]
    smart_rank: NDArray[np.float32]
    """Uniform: the meter is smart where the rank is below the category's share."""
    vendor: NDArray[np.uint8]
    """Position in `synthesis().vendors.names`."""
    dt_id: NDArray[np.int64]
    rating_kva: NDArray[np.float64]
    old_stock: NDArray[np.uint8]
    dt_design_kw: NDArray[np.float64]
    """Expected peak of the DT's consumers."""
    node_of_dt: NDArray[np.int32]
    """11 kV node of the DT; node 0 is the PSS's 11 kV bus."""
    lv_conductor: NDArray[np.int16]
    """Row of conductors.csv, by DT."""
    span_m: NDArray[np.float32]
    """Length of the segment to the parent, by pole; 0 for busbars."""
    lv: LvTiles
    tree: RadialTree
    line_km: NDArray[np.float64]
    """Length of the section to the parent, by 11 kV node; 0 for node 0."""
    conductor: NDArray[np.int16]
    """Row of conductors.csv, by 11 kV node."""


class _Consumers(NamedTuple):
    """A feeder's consumers by (DT, pole, phase), as `FeederStatic` holds them, and the pointers of its DTs."""

    dt: NDArray[np.int32]
    category: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    sanctioned_kw: NDArray[np.float32]
    phases: NDArray[np.uint8]
    pole: NDArray[np.int32]
    phase: NDArray[np.uint8]
    service_m: NDArray[np.float32]
    consumer_ptr: NDArray[np.int32]
    pole_ptr: NDArray[np.int32]


class _Dts(NamedTuple):
    """A feeder's DTs: expected peak [kW], position of the rating, old stock or new; and its consumers' kW then."""

    peak_kw: NDArray[np.float64]
    rating: NDArray[np.int64]
    old: NDArray[np.uint8]
    planned_kw: NDArray[np.float32]


class _Line(NamedTuple):
    """The 11 kV line as `plan_tree` makes it."""

    parent: NDArray[np.int32]
    km: NDArray[np.float64]
    conductor: NDArray[np.int16]
    drop_pu: NDArray[np.float64]
    node_of_dt: NDArray[np.int32]


def build_feeder(state: StateGrid, feeder_row: int, design_kw: NDArray[np.float64], seed: int) -> FeederStatic:
    """Synthesise one feeder.

    Parameters
    ----------
    state : StateGrid
        The state's columns.
    feeder_row : int
        Which feeder.
    design_kw : array, shape (n_kinds, 96)
        Expected demand of one consumer of every kind through the planning day, as for `build_state`. [kW]
    seed : int
        The scenario's seed, as for `build_state`.

    Returns
    -------
    FeederStatic
        A pure function of the arguments: the same bits wherever and in whatever company it is built.
    """
    feeders, rule = state.feeders, lv_rules()
    feeder_class, n_dts = int(feeders.feeder_class[feeder_row]), int(feeders.n_dts[feeder_row])
    first, first_dt = int(feeders.first_consumer[feeder_row]), int(feeders.first_dt[feeder_row])
    own = _consumers(state, feeder_row, np.uint64(seed))
    dts = _Dts(
        *lv_consumers.rate_dts(
            np.uint64(seed), first_dt, own.dt, own.kind, own.sanctioned_kw, design_kw, n_dts, consumer_rules(), rule
        )
    )
    rating_kva = rule.ratings_kva[dts.rating]
    line = _Line(*plan_tree(np.uint64(seed), feeder_row, feeder_class, dts.peak_kw, rating_kva, tree_rules()))
    tiles, lv_conductor, span_m = _lv_networks(np.uint64(seed), first_dt, feeder_class, own, dts, line)
    ids = first + np.arange(len(own.dt))
    return FeederStatic(
        feeder=feeder_row,
        feeder_class=feeder_class,
        district=int(feeders.district[feeder_row]),
        consumer_id=ids,
        dt=own.dt,
        category=own.category,
        kind=own.kind,
        phases=own.phases,
        phase=own.phase,
        pole=own.pole,
        sanctioned_kw=own.sanctioned_kw,
        service_m=own.service_m,
        smart_rank=uniforms(seed, Stream.METER, ids).astype(np.float32),
        vendor=_vendors(state, feeder_row, seed, ids),
        dt_id=first_dt + np.arange(n_dts),
        rating_kva=rating_kva,
        old_stock=dts.old,
        dt_design_kw=dts.peak_kw,
        node_of_dt=line.node_of_dt,
        lv_conductor=lv_conductor,
        span_m=span_m,
        lv=tiles,
        tree=tree_per_unit(line.parent, line.km, line.conductor, tree_rules()),
        line_km=line.km,
        conductor=line.conductor,
    )


def _consumers(state: StateGrid, feeder_row: int, seed: np.uint64) -> _Consumers:
    """Who hangs on the feeder: drawn by DT and category, placed on poles and phases, sorted."""
    feeders, rule, lv_rule = state.feeders, consumer_rules(), lv_rules()
    first, first_dt = int(feeders.first_consumer[feeder_row]), int(feeders.first_dt[feeder_row])
    n_dts, by_category = int(feeders.n_dts[feeder_row]), feeders.consumers_by_category[feeder_row]
    counts = lv_consumers.dt_counts(seed, first_dt, n_dts, by_category, rule)
    dt, category, kind = lv_consumers.draw_kinds(seed, feeder_row, first_dt, counts, rule)
    n_poles = lv_consumers.pole_counts(counts, int(feeders.feeder_class[feeder_row]), lv_rule)
    drawn = lv_consumers.place_consumers(seed, first, dt, kind, n_poles, rule)
    order = np.argsort((dt * np.int64(lv_rule.most_poles + 1) + drawn[2]) * 4 + drawn[3], kind="stable")
    sanctioned_kw, phases, pole, phase, service_m = (column[order] for column in drawn)
    return _Consumers(
        dt=dt,  # sorted by DT already
        category=category[order],
        kind=kind[order],
        sanctioned_kw=sanctioned_kw,
        phases=phases,
        pole=pole,
        phase=phase,
        service_m=service_m,
        consumer_ptr=_pointers(counts.sum(axis=1)),
        pole_ptr=_pointers(n_poles),
    )


def _lv_networks(
    seed: np.uint64, first_dt: int, feeder_class: int, own: _Consumers, dts: _Dts, line: _Line
) -> tuple[LvTiles, NDArray[np.int16], NDArray[np.float32]]:
    """The LV networks of a feeder's DTs; conductor of every DT, span of every pole [m]."""
    rule = lv_rules()
    drop_above = line.drop_pu[line.node_of_dt]
    parent, span_m, conductor, z_pu = lv_network.lv_lines(
        seed, first_dt, feeder_class, own.pole_ptr, own.dt, own.pole, own.phases, own.phase, dts.planned_kw,
        drop_above, dts.rating, dts.old, rule,
    )  # fmt: skip
    leg_ptr, group_ptr, leg_consumer, leg_share, service_pu = lv_network.connect(
        own.pole_ptr, own.consumer_ptr, own.phases, own.phase, own.pole, own.sanctioned_kw, own.service_m,
        consumer_rules(),
    )  # fmt: skip
    tiles = LvTiles(
        dt_pole_ptr=own.pole_ptr,
        dt_leg_ptr=leg_ptr,
        dt_consumer_ptr=own.consumer_ptr,
        parent=parent,
        z_pu=z_pu,
        group_ptr=group_ptr,
        leg_consumer=leg_consumer,
        leg_share=leg_share,
        service_pu=service_pu,
        iron_kw=rule.iron_kw[dts.old, dts.rating] + rule.meter_kw * np.diff(own.consumer_ptr),
        magnetising_kvar=rule.magnetising_kvar[dts.old, dts.rating],
    )
    return tiles, conductor, span_m


def _pointers(counts: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


def _vendors(state: StateGrid, feeder_row: int, seed: int, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The district's meter vendor, or on town feeders mostly the urban one."""
    rule = synthesis().vendors
    own = state.districts.vendor[state.feeders.district[feeder_row]]
    if state.feeders.feeder_class[feeder_row] not in (URBAN, INDUSTRIAL):
        return np.full(len(ids), own)
    is_urban = uniforms(seed, Stream.METER, ids, 1) < rule.urban_share
    return np.where(is_urban, np.uint8(rule.names.index(rule.urban)), own)


@nb.njit(cache=True, error_model="numpy")
def plan_tree(
    seed: int,
    feeder: int,
    feeder_class: int,
    dt_kw: NDArray[np.float64],
    rating_kva: NDArray[np.float64],
    rule: TreeRules,
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int16], NDArray[np.float64], NDArray[np.int32]]:
    """Parent, length [km], conductor and planned drop [pu] of every 11 kV node, and the node of every DT.

    Node 0 is the PSS's bus, every other node a DT. The first nodes form the trunk, the others spurs of a few. A higher
    loaded DT stands nearer to the PSS, with some chance: overloaded ones were replaced first where the voltage
    was low. Feeders were extended until their ends complained: the total length is what a drawn limit of the
    drop to the farthest end allows, up to the class's longest. The trunk's
    conductor is the lightest that carries the current and lets the feeder reach the class's least length; if even the
    heaviest does not, the feeder was split and is shorter.
    """
    n, key = len(dt_kw), key64(seed, _FEEDER_TREE, feeder)
    trunk = max(1, int(math.ceil(rule.trunk_share[feeder_class] * n)))
    parent, weight = np.zeros(n + 1, np.int32), np.zeros(n + 1)
    left = 0
    for i in range(1, n + 1):
        weight[i] = 0.5 + uniform(key, 8 * i)
        if i <= trunk:
            parent[i] = i - 1
            weight[i] *= rule.head_weight[feeder_class] if i == 1 else rule.trunk_weight
        elif left > 0:
            parent[i] = i - 1
            left -= 1
        else:
            parent[i] = 1 + int(uniform(key, 8 * i + 1) * trunk)
            left = int(uniform(key, 8 * i + 2) * rule.spur_most[feeder_class])
    whole = 0.0
    for i in range(n + 1):
        whole += weight[i]
    km = weight / whole
    limit = rule.drop_limit[feeder_class] * math.exp(rule.drop_log_sd * normal(key, 1))
    least = rule.least_km[feeder_class] * min(1.0, math.sqrt(n / rule.typical_dts[feeder_class]))
    node = _nodes(key, parent, km, dt_kw / rating_kva, rule.place_noise)
    node_kw = np.zeros(n + 1)
    for k in range(n):
        node_kw[node[k]] = dt_kw[k]
    code, drop, worst = _trunk_conductor(feeder_class, parent, km, node_kw, trunk, limit / least, rule)
    longest = rule.most_km[feeder_class] * (1.0 - rule.short_share * uniform(key, 0))
    total = min(limit / worst, longest)
    conductor = np.empty(n + 1, np.int16)
    for i in range(n + 1):
        conductor[i] = code if i <= trunk else rule.spur_conductor[feeder_class]
    return parent, total * km, conductor, total * drop, node


@nb.njit(cache=True, error_model="numpy")
def _nodes(
    key: int, parent: NDArray[np.int32], km: NDArray[np.float64], loading: NDArray[np.float64], noise: float
) -> NDArray[np.int32]:
    """Node of every DT: nodes by the drop that equal DTs would make, DTs by falling loading with lognormal chance."""
    n = len(parent)
    flow, drop = np.ones(n), np.zeros(n)
    for i in range(n - 1, 0, -1):
        flow[parent[i]] += flow[i]
    for i in range(1, n):
        drop[i] = drop[parent[i]] + flow[i] * km[i]
    score = np.empty(n - 1)
    for k in range(n - 1):
        score[k] = -math.log(loading[k]) + noise * normal(key, _PLACE_DRAW + k)
    out, dts, nodes = np.empty(n - 1, np.int32), np.argsort(score, kind="mergesort"), np.argsort(drop, kind="mergesort")
    for k in range(n - 1):  # node 0, the PSS's bus, has no drop and comes first
        out[dts[k]] = nodes[k + 1]
    return out


@nb.njit(cache=True, error_model="numpy")
def _trunk_conductor(
    feeder_class: int,
    parent: NDArray[np.int32],
    km: NDArray[np.float64],
    node_kw: NDArray[np.float64],
    trunk: int,
    limit: float,
    rule: TreeRules,
) -> tuple[int, NDArray[np.float64], float]:
    """The lightest trunk conductor within the limits, else the heaviest; the planned drop with it, and the largest.

    ``km``: lengths of a feeder of one kilometre; ``limit`` and drop are per kilometre of it. [pu]
    """
    n, tan = len(parent), rule.tan_phi[feeder_class]
    flow, worst = node_kw * rule.loss_allowance, 0.0
    for i in range(n - 1, 0, -1):
        flow[parent[i]] += flow[i]
    ampere = flow[0] * math.sqrt(1.0 + tan * tan) / (math.sqrt(3.0) * KV_11)
    spur = rule.spur_conductor[feeder_class]
    per_spur = (rule.r_ohm_km[spur] + rule.x_ohm_km[spur] * tan) / (1000.0 * BASE_OHM_11KV)
    code, drop = rule.trunk_choices[feeder_class, 0], np.zeros(n)
    for k in range(rule.trunk_choices.shape[1]):
        code = rule.trunk_choices[feeder_class, k]
        per_trunk = (rule.r_ohm_km[code] + rule.x_ohm_km[code] * tan) / (1000.0 * BASE_OHM_11KV)
        worst = 0.0
        for i in range(1, n):
            drop[i] = drop[parent[i]] + flow[i] * km[i] * (per_trunk if i <= trunk else per_spur)
            worst = max(worst, drop[i])
        if worst <= limit and ampere <= rule.ampacity_share * rule.ampacity_a[code]:
            break
    return code, drop, worst


def tree_per_unit(
    parent: NDArray[np.int32], km: NDArray[np.float64], conductor: NDArray[np.int16], rule: TreeRules
) -> RadialTree:
    """The 11 kV tree on 11 kV and 1 MVA; half of each section's charging stands at each of its ends."""
    charging = 0.5e-6 * rule.b_us_km[conductor] * km * BASE_OHM_11KV
    b_pu = charging.copy()
    np.add.at(b_pu, parent[1:], charging[1:])
    return RadialTree(
        parent=parent,
        r_pu=rule.r_ohm_km[conductor] * km / BASE_OHM_11KV,
        x_pu=rule.x_ohm_km[conductor] * km / BASE_OHM_11KV,
        b_pu=b_pu,
        g_pu=np.zeros(len(parent)),
    )
