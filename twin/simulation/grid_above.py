"""The grid at 33 kV and above for a state: sized for the planning day, and its solver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandapower as pp
from numpy.typing import NDArray

from twin.datapack import categories, category_kinds, kinds
from twin.demand.columns import draw_columns_and_zip
from twin.grid.state import StateGrid
from twin.grid.transmission import EhvLoads, GssLoads
from twin.grid.transmission_full import PssColumns
from twin.grid.transmission_reinforce import build_transmission
from twin.grid.transmission_upper import upper_grid
from twin.powerflow.upper import UpperGrid
from twin.simulation.population import ehv_rows
from twin.units import KW_PER_MW

PANEL = 64
FIRST_PANEL_ID = 1 << 41


@dataclass(frozen=True)
class Above:
    """The grid above the PSS."""

    net: pp.pandapowerNet
    """132 kV and above with the GSS transformers, reinforced."""
    columns: PssColumns
    upper: UpperGrid
    summary: dict[str, Any]


def build_above(state: StateGrid, design_kw: NDArray[np.float64]) -> Above:
    """Build, reinforce and compile the grid above for the planning day's demand."""
    kw, kvar = planning_loads(state, design_kw)
    gss_loads = _gss_loads(state, kw, kvar)
    ehv = _ehv_loads(state, design_kw)
    net = build_transmission(gss_loads, ehv)
    columns = pss_columns(state)
    upper = upper_grid(net, columns, ehv)
    lines, trafos = net.line[net.line.in_service], net.trafo[net.trafo.in_service]
    summary = {
        "buses_132kv_and_above": int((net.bus.in_service & (net.bus.vn_kv > 100)).sum()),
        "lines": len(lines),
        "transformers": len(trafos),
        "engine": upper.engine,
    }
    return Above(net, columns, upper, summary)


def pss_columns(state: StateGrid) -> PssColumns:
    """The state's power substations as the grid above takes them."""
    pss = state.pss
    return PssColumns(
        gss_id=state.gss.id, gss=pss.gss, parent=pss.parent, line_km=pss.line_km, conductor=pss.conductor.astype(np.int32),
        circuits=pss.circuits.astype(np.int64), unit_mva=pss.unit_mva, n_units=pss.n_units.astype(np.int64),
    )  # fmt: skip


def category_kw(design_kw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected demand per consumer of each category on the planning day, shape (n_categories, 96). [kW]"""
    codes = {row.category: row.code for row in categories()}
    kind_codes = {row.name: row.kind for row in kinds()}
    out = np.zeros((len(codes), design_kw.shape[1]))
    for row in category_kinds():
        out[codes[row.category]] += row.share * design_kw[kind_codes[row.kind]]
    return out


def planning_loads(state: StateGrid, design_kw: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected demand below every PSS, its HT consumers included, on the planning day. Shapes (n_pss, 96). [kW], [kvar]"""
    by_category, tangent = category_kw(design_kw), kind_tangent(state.seed)
    category_kvar = category_kw(design_kw * tangent[:, None])
    counts = state.feeders.consumers_by_category.astype(np.float64)
    n_pss = len(state.pss.code)
    totals = np.zeros((n_pss, counts.shape[1]))
    np.add.at(totals, state.feeders.pss, counts)
    kw, kvar = totals @ by_category, totals @ category_kvar
    at_pss = np.flatnonzero(state.ht.pss >= 0)
    np.add.at(kw, state.ht.pss[at_pss], design_kw[state.ht.kind[at_pss]])
    np.add.at(kvar, state.ht.pss[at_pss], (design_kw * tangent[:, None])[state.ht.kind[at_pss]])
    return kw, kvar


def kind_tangent(seed: int) -> NDArray[np.float64]:
    """Reactive over active power of each kind at nominal voltage, from a panel's load laws. Shape (n_kinds,)."""
    kind = np.repeat(np.arange(len(kinds())), PANEL).astype(np.uint8)
    ids = FIRST_PANEL_ID + np.arange(len(kind))
    _, zips = draw_columns_and_zip(seed, ids, kind, np.zeros(len(kind), np.int16))
    return zips[:, 3:].sum(axis=1, dtype=np.float64).reshape(-1, PANEL).mean(axis=1)


def _gss_loads(state: StateGrid, kw: NDArray[np.float64], kvar: NDArray[np.float64]) -> GssLoads:
    """Shape of the load over the grid substations at the planning day's highest and lowest step."""
    total = kw.sum(axis=0)
    peak, trough = int(total.argmax()), int(total.argmin())
    n_gss = len(state.gss.id)

    def at(values: NDArray[np.float64], step: int) -> NDArray[np.float64]:
        return np.bincount(state.pss.gss, weights=values[:, step], minlength=n_gss) / KW_PER_MW

    return GssLoads(
        id=state.gss.id, peak_mw=at(kw, peak), trough_mw=at(kw, trough), peak_mvar=at(kvar, peak),
        trough_mvar=at(kvar, trough), n_units=state.gss.n_units.astype(np.int64), unit_mva=state.gss.unit_mva,
    )  # fmt: skip


def _ehv_loads(state: StateGrid, design_kw: NDArray[np.float64]) -> EhvLoads:
    """Consumers at 132 kV and above, in the order of `ehv_rows`, at their planning day's mean: they run day and night."""
    rows = ehv_rows(state)
    tangent = kind_tangent(state.seed)
    mw = design_kw.mean(axis=1)[state.ht.kind[rows]] / KW_PER_MW
    mvar = mw * tangent[state.ht.kind[rows]]
    return EhvLoads(
        bus_id=tuple(state.ht.ehv_bus[row] for row in rows),
        kv=tuple(float(state.ht.kv[row]) for row in rows),
        peak_mw=tuple(mw), trough_mw=tuple(mw), peak_mvar=tuple(mvar), trough_mvar=tuple(mvar),
    )  # fmt: skip
