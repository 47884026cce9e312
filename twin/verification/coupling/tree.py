"""One grid substation of the synthesised state with all below it, in a balanced version, and its drawn demand.

Balanced, so that one single-phase-equivalent network can hold all of it: every consumer draws alike on three phases at
its pole (services left out), and LV lines are transposed. All else is the twin's own: network, consumers, voltage laws.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandapower as pp
from numpy.typing import NDArray
from pandapower.toolbox import select_subnet

from twin.datapack import read_yaml
from twin.demand.columns import draw_columns_and_zip
from twin.demand.draw import DayTables, day_tables, draw_tile, padded
from twin.demand.weather import DAY_STEPS, GeneratedWeather
from twin.grid.feeder import FeederStatic, build_feeder
from twin.grid.state import StateGrid
from twin.grid.tables import FEEDER_CLASSES
from twin.grid.transmission import GSS_KV, bus_name, new_transmission
from twin.grid.transmission_full import PssColumns
from twin.grid.transmission_loads import gss_loads, pss_columns
from twin.powerflow.lanes import aligned
from twin.powerflow.lv import LANES
from twin.powerflow.lv_tiles import LvTiles
from twin.simulation.feeder_block import FeederNet
from twin.simulation.population import feeder_net
from twin.verification.synthetic import SEED, planning_kw, state_grid

DATE = dt.date(2026, 6, 10)
HOURS = (5.0, 13.0, 20.5)
"""Looked at: a light hour, farm pumps at work, the evening peak."""
LEAST_AT_BUS = 2
SOURCE_KV, SOURCE_PU = 132.0, 1.0


@dataclass(frozen=True)
class BalancedFeeder:
    """One 11 kV feeder, its consumers' demand and voltage laws."""

    code: str
    pss: int
    """Position among the tree's PSSs."""
    static: FeederStatic
    net: FeederNet
    kw: NDArray[np.float32]
    """At 230 V, shape (n_consumers, padded steps). [kW]"""
    zips: NDArray[np.float32]
    """Shape (n_consumers, 6), as for `twin.powerflow.lv.solve_tile`."""


@dataclass(frozen=True)
class Tree:
    """A GSS fed from a stiff 132 kV bus, its PSSs and their feeders."""

    name: str
    above: pp.pandapowerNet
    """The 132 kV bus with a slack, GSS transformer, 33 kV bus and its capacitors."""
    pss: PssColumns
    feeders: list[BalancedFeeder]

    @property
    def steps(self) -> int:
        """States looked at."""
        return len(HOURS)


def choose_gss(state: StateGrid) -> int:
    """The GSS with the fewest DTs of those with farm and village feeders, two PSSs at its bus, one behind another."""
    dts = np.bincount(state.feeders.pss, weights=state.feeders.n_dts, minlength=len(state.pss.code))
    n_gss, behind, gss_of_feeder = len(state.gss.id), state.pss.parent >= 0, state.pss.gss[state.feeders.pss]
    size = np.bincount(state.pss.gss, weights=dts, minlength=n_gss)
    n_behind = np.bincount(state.pss.gss[behind], minlength=n_gss)
    n_at_bus = np.bincount(state.pss.gss[~behind], minlength=n_gss)
    fits = (n_at_bus >= LEAST_AT_BUS) & (n_behind >= 1)
    for name in ("agricultural", "rural_mixed"):
        of_class = state.feeders.feeder_class == FEEDER_CLASSES.index(name)
        fits &= np.bincount(gss_of_feeder[of_class], minlength=n_gss) >= 1
    return int(np.where(fits, size, np.inf).argmin())


@lru_cache(maxsize=1)
def build_tree() -> Tree:
    """Synthesise the tree and draw its demand; kept for the cases that look at it, and not to be changed by them."""
    state, design_kw = state_grid(), planning_kw()
    gss = choose_gss(state)
    rows = np.flatnonzero(state.pss.gss == gss)
    return Tree(state.gss.name[gss], _above(state, gss), _columns(state, gss, rows), _feeders(state, rows, design_kw))


def _above(state: StateGrid, gss: int) -> pp.pandapowerNet:
    """The GSS as the state's own transmission network has it, cut off above its 132 kV bus."""
    whole = new_transmission(gss_loads(state))
    by_name = {name: bus for bus, name in whole.bus.name.items()}
    source, low = (by_name[bus_name(state.gss.id[gss], kv)] for kv in (SOURCE_KV, GSS_KV))
    net = select_subnet(whole, [source, low])
    net.gen = net.gen.iloc[:0]
    pp.create_gen(net, source, p_mw=0.0, vm_pu=SOURCE_PU, slack=True, slack_weight=1.0, name="source")
    return net


def _columns(state: StateGrid, gss: int, rows: NDArray[np.int64]) -> PssColumns:
    whole = pss_columns(state)
    position = np.full(len(whole.gss), -1, np.int32)
    position[rows] = np.arange(len(rows))
    parent = whole.parent[rows]
    return PssColumns(
        gss_id=(state.gss.id[gss],),
        gss=np.zeros(len(rows), np.int32),
        parent=np.where(parent < 0, -1, position[np.maximum(parent, 0)]).astype(np.int32),
        line_km=whole.line_km[rows],
        conductor=whole.conductor[rows],
        circuits=whole.circuits[rows],
        unit_mva=whole.unit_mva[rows],
        n_units=whole.n_units[rows],
    )


def _feeders(state: StateGrid, rows: NDArray[np.int64], design_kw: NDArray[np.float64]) -> list[BalancedFeeder]:
    weather = GeneratedWeather(read_yaml("demand/panel")["design"]["weather_seed"])
    mine = np.flatnonzero(np.isin(state.feeders.pss, rows))
    districts = np.unique(state.feeders.district[mine]).astype(np.int64)
    day = day_tables(SEED, weather, DATE, DAY_STEPS, districts)
    out = []
    for row in mine:
        static = build_feeder(state, int(row), design_kw, SEED)
        net = feeder_net(static)._replace(lv=balanced_tiles(static))
        kw, zips = drawn_demand(static, day)
        pss = int(np.searchsorted(rows, state.feeders.pss[row]))
        out.append(BalancedFeeder(state.feeders.code[row], pss, static, net, kw, zips))
    return out


def drawn_demand(static: FeederStatic, day: DayTables) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Demand of a feeder's consumers at `HOURS`, padded to whole lanes, and their voltage laws."""
    n = len(static.consumer_id)
    district, feeder = np.full(n, static.district, np.int16), np.full(n, static.feeder, np.int64)
    traits, zips = draw_columns_and_zip(SEED, static.consumer_id, static.kind, district, feeder)
    drawn = np.empty((n, padded(DAY_STEPS)), np.float32)
    draw_tile(traits, 0, n, day, drawn)
    kw = aligned((n, LANES), np.float32)
    kw[:, : len(HOURS)] = drawn[:, [int(hour * DAY_STEPS / 24) for hour in HOURS]]
    return kw, zips


def balanced_tiles(static: FeederStatic) -> LvTiles:
    """The LV of a feeder with every consumer on three phases at its pole, no services, and transposed lines."""
    lv, n = static.lv, len(static.dt)
    pole = lv.dt_pole_ptr[static.dt] + static.pole
    phase = np.tile(np.arange(3), n)
    order = np.lexsort((np.repeat(np.arange(n), 3), phase, np.repeat(pole, 3)))
    legs = np.repeat(np.arange(n), 3)[order]
    groups = np.bincount(3 * pole[legs] + phase[order], minlength=3 * len(static.span_m))
    z_pu = lv.z_pu.copy()
    own, mutual = np.array([0, 6, 10]), np.array([2, 4, 8])
    for part in (0, 1):
        z_pu[:, own + part] = lv.z_pu[:, own + part].mean(axis=1, dtype=np.float64)[:, None]
        z_pu[:, mutual + part] = lv.z_pu[:, mutual + part].mean(axis=1, dtype=np.float64)[:, None]
    return lv._replace(
        dt_leg_ptr=3 * lv.dt_consumer_ptr,
        z_pu=z_pu,
        group_ptr=np.concatenate([[0], np.cumsum(groups)]).astype(np.int32),
        leg_consumer=legs.astype(np.int32),
        leg_share=np.full(3 * n, 1 / 3, np.float32),
        service_pu=np.zeros((3 * n, 2), np.float32),
    )
