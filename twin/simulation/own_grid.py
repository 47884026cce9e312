"""A network of the user's laid out for a run: a state of a few feeders, all resolved, with consumers behind its loads.

The state's columns are filled as far as a run reads them, so that consumers, bills, responses and tables are those of
the synthesised state. A feeder is a part of the network between its sources; a substation is a source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.datapack import categories
from twin.demand.own_profiles import ConsumerProfiles
from twin.errors import InputError, Problem
from twin.grid.apportion import prefix
from twin.grid.bulk import HtConsumers
from twin.grid.imported import ImportedGrid, dt_of_bus
from twin.grid.population import kind_mix
from twin.grid.state import N_STRATA, Blocks, Feeders, Gss, Pss, StateGrid, all_districts
from twin.grid.strata import Selection
from twin.grid.tables import FEEDER_CLASSES
from twin.timeseries.compiled import compile_network
from twin.timeseries.parts import cut
from twin.timeseries.profiles import Profiles
from twin.units import KW_PER_MW

NONE = -1
DIRECT_CLASS = "industrial"
"""Class of a feeder whose commonest category is of consumers that have no 11 kV feeder in the state."""


@dataclass(frozen=True)
class OwnGrid:
    """What shards need of a network of the user's. Arrays by load have the order of ``loads``."""

    net: Any
    simbench_profiles: bool
    profiles: ConsumerProfiles | None
    loads: NDArray[np.int64]
    """Loads with consumers, index in ``net.load``, in the order of the mapping."""
    feeder_of_load: NDArray[np.int64]
    """-1: at the bus of a source."""
    source_of_load: NDArray[np.int64]
    """Source whose bus it stands on; -1: it is on a feeder."""
    dt_of_load: NDArray[np.int64]
    """Index in ``net.trafo``; -1: none."""
    rows: NDArray[np.int64]
    """Mapping, shape (n_rows, 3): position in ``loads``, consumers, category. Feeder by feeder, sources' own buses
    last; consumers are numbered row by row."""
    sanctioned_kw: NDArray[np.float64]
    """By row; NaN: drawn."""
    dts: NDArray[np.int64]
    """Distribution transformers, index in ``net.trafo``, feeder by feeder."""
    dt_feeder: NDArray[np.int64]
    feeder_pss: NDArray[np.int64]
    """Source of each feeder (the first, where several feed it)."""
    source_bus: NDArray[np.int64]
    """Sources: index in ``net.bus``."""
    source_pu: NDArray[np.float64]
    """Their voltages. [pu]"""

    @property
    def load_row(self) -> NDArray[np.int64]:
        """Position in ``loads`` of every consumer."""
        return np.repeat(self.rows[:, 0], self.rows[:, 1])


def layout_own(grid: ImportedGrid, profiles: ConsumerProfiles | None, design_kw: NDArray[np.float64]) -> OwnGrid:
    """Lay out a network. ``design_kw``, shape (n_kinds, 96): expected demand; its peaks are what a rule counts by."""
    case = compile_network(grid.net, Profiles(np.zeros(1, np.int64)))
    parts = cut(case, "auto").parts
    if not parts:
        fix = "give a network in which lines or transformers hang on its sources"
        raise InputError([Problem("scenario", "grid", "nothing hangs on the network's sources", fix)])
    of_bus = np.full(case.n_buses + 1, NONE)
    for part in parts:
        of_bus[part.buses] = part.number
    sources = np.flatnonzero(case.fixed)
    net_bus = grid.net.bus.index

    def feeder_at(buses: Any) -> NDArray[np.int64]:
        return of_bus[case.bus_of_net[net_bus.get_indexer(buses)]]

    loads = np.array(list(dict.fromkeys(grid.load.tolist())), np.int64)
    position = {int(load): place for place, load in enumerate(loads)}
    peak_kw = (kind_mix() @ design_kw).max(axis=1)
    counted = np.maximum(np.rint(grid.load_kw / peak_kw[grid.category]), 1).astype(np.int64)
    consumers = np.where(grid.consumers > 0, grid.consumers, counted)
    feeding = dt_of_bus(grid)
    trafo = grid.net.trafo.loc[grid.transformers]
    dt_feeder = np.maximum(feeder_at(trafo.lv_bus), feeder_at(trafo.hv_bus))
    order = np.lexsort((grid.transformers, dt_feeder))
    order = order[dt_feeder[order] >= 0]  # a transformer that no source reaches carries nothing
    load_bus = grid.net.load.bus.loc[loads]
    rows = np.stack([[position[int(load)] for load in grid.load], consumers, grid.category.astype(np.int64)], axis=1)
    feeder_of_load = feeder_at(load_bus)
    by_feeder = np.argsort(np.where(feeder_of_load >= 0, feeder_of_load, len(parts))[rows[:, 0]], kind="stable")
    load_at = case.bus_of_net[net_bus.get_indexer(load_bus)]
    first = np.cumsum(consumers) - consumers
    number = np.concatenate([first[row] + np.arange(consumers[row]) for row in by_feeder])
    return OwnGrid(
        net=grid.net,
        simbench_profiles=grid.simbench_profiles,
        profiles=None if profiles is None else profiles.shared_by(np.repeat(grid.load, consumers)[number], number),
        loads=loads,
        feeder_of_load=feeder_of_load,
        source_of_load=np.where(case.fixed[load_at], np.searchsorted(sources, load_at), NONE),
        dt_of_load=np.array([feeding.get(int(bus), NONE) for bus in load_bus], np.int64),
        rows=rows[by_feeder],
        sanctioned_kw=grid.sanctioned_kw[by_feeder],
        dts=grid.transformers[order],
        dt_feeder=dt_feeder[order],
        feeder_pss=np.array([np.searchsorted(sources, part.sources[0]) for part in parts], np.int64),
        source_bus=np.array([case.net_bus(int(bus)) for bus in sources], np.int64),
        source_pu=np.abs(case.v_start[sources]),
    )


def own_state(grid: OwnGrid, seed: int, district: str) -> tuple[StateGrid, Selection]:
    """The network as a state whose feeders are all resolved."""
    districts = all_districts()
    code = districts.name.index(district)
    counts = _counts(grid)
    feeders = _feeders(grid, counts, code, int(districts.discom[code]))
    no_ids, no_kw = np.zeros(0, np.int64), np.zeros(0)
    ht = HtConsumers(
        no_ids, no_ids.astype(np.uint8), no_ids.astype(np.uint8), no_ids.astype(np.int16), no_ids.astype(np.int32),
        (), no_kw, no_kw, no_kw,
    )  # fmt: skip
    blocks = Blocks((), no_ids.astype(np.int16), no_kw, no_kw, no_kw, no_ids, no_ids)
    gss, pss = _sources(grid, code, districts.latitude[code], districts.longitude[code])
    state = StateGrid(seed, districts, blocks, gss, pss, feeders, ht)
    everywhere = np.ones(len(feeders.code), bool)
    total = np.bincount(feeders.stratum, weights=feeders.n_consumers, minlength=N_STRATA).astype(np.int64)
    none = np.zeros(N_STRATA, np.int64)
    selection = Selection(
        resolved=everywhere, sampled=~everywhere, scouts=~everywhere,
        feeders_in_stratum=np.bincount(feeders.stratum, minlength=N_STRATA), consumers_in_stratum=total,
        unresolved_consumers=none, sampled_consumers=none,
    )  # fmt: skip
    return state, selection


def _counts(grid: OwnGrid) -> NDArray[np.int64]:
    """Consumers by feeder and category; those at the bus of a source are on no feeder."""
    counts = np.zeros((len(grid.feeder_pss) + 1, len(categories())), np.int64)
    np.add.at(counts, (grid.feeder_of_load[grid.rows[:, 0]], grid.rows[:, 2]), grid.rows[:, 1])
    return counts[:-1]


def _feeders(grid: OwnGrid, counts: NDArray[np.int64], district: int, discom: int) -> Feeders:
    n = len(counts)
    names = [row.feeder_class if row.feeder_class in FEEDER_CLASSES else DIRECT_CLASS for row in categories()]
    of_category = np.array([FEEDER_CLASSES.index(name) for name in names])
    feeder_class = of_category[counts.argmax(axis=1)].astype(np.int8) if n else np.zeros(0, np.int8)
    n_consumers = counts.sum(axis=1)
    n_dts = np.bincount(grid.dt_feeder, minlength=n).astype(np.int64)
    return Feeders(
        code=tuple(f"part {row}" for row in range(n)),
        pss=grid.feeder_pss.astype(np.int32),
        feeder_class=feeder_class,
        stratum=(discom * len(FEEDER_CLASSES) + feeder_class).astype(np.int8),
        district=np.full(n, district, np.int16),
        consumers_by_category=counts.astype(np.int32),
        n_consumers=n_consumers,
        first_consumer=prefix(n_consumers)[:-1],
        n_dts=n_dts,
        first_dt=prefix(n_dts)[:-1],
        design_kw=np.zeros(n),
    )


def _sources(grid: OwnGrid, district: int, latitude: float, longitude: float) -> tuple[Gss, Pss]:
    """Each source as a grid substation with one power substation; nothing but its name and bus is read of it."""
    n = len(grid.source_bus)
    name = tuple(f"bus {bus}" for bus in grid.source_bus)
    rows, zero = np.arange(n, dtype=np.int32), np.zeros(n)
    at = np.full(n, latitude), np.full(n, longitude)
    districts, ones = np.full(n, district, np.int16), np.ones(n, np.int8)
    kv = grid.net.bus.vn_kv.loc[grid.source_bus].to_numpy(np.float64)
    gss = Gss(name, name, *at, districts, kv, ones, zero)
    pss = Pss(
        code=name, district=districts, block=rows, gss=rows, latitude=at[0], longitude=at[1],
        parent=np.full(n, NONE, np.int32), order=rows, line_km=zero, conductor=np.zeros(n, np.int16), circuits=ones,
        unit_mva=zero, n_units=ones, transformer_mva=zero, design_kw=zero, design_33kv_kw=zero,
        first_feeder=np.searchsorted(grid.feeder_pss, rows).astype(np.int32),
    )  # fmt: skip
    return gss, pss


def rating_kva(grid: OwnGrid) -> NDArray[np.float64]:
    """Nameplate of the DTs, parallel units together. Shape (n_dts,). [kVA]"""
    trafo = grid.net.trafo.loc[grid.dts]
    return (trafo.sn_mva * trafo.parallel).to_numpy(np.float64) * KW_PER_MW
