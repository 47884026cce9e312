"""The upper grid of a synthesised state: its loads from the columns of the state, its network, and its solver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandapower as pp

from twin.errors import NetworkError, Problem
from twin.grid.state import StateGrid
from twin.grid.transmission import EhvLoads, GssLoads
from twin.grid.transmission_check import BlockInputs, checked
from twin.grid.transmission_data import assumed_value
from twin.grid.transmission_full import PssColumns
from twin.grid.transmission_reinforce import build_transmission
from twin.grid.transmission_upper import upper_grid
from twin.powerflow.upper import STATUS, UpperGrid
from twin.powerflow.upper_ehv import OK
from twin.units import KW_PER_MW


def pss_columns(state: StateGrid) -> PssColumns:
    """The columns of the PSS that the upper grid needs."""
    pss = state.pss
    return PssColumns(
        gss_id=state.gss.id,
        gss=pss.gss.astype(np.int32),
        parent=pss.parent.astype(np.int32),
        line_km=pss.line_km,
        conductor=pss.conductor.astype(np.int32),
        circuits=pss.circuits.astype(np.int64),
        unit_mva=pss.unit_mva,
        n_units=pss.n_units.astype(np.int64),
    )


def gss_loads(state: StateGrid) -> GssLoads:
    """Expected peak of every GSS, the sum over its PSS, and the same shape at trough."""
    pss, n_gss = state.pss, len(state.gss.id)
    peak = np.zeros(n_gss)
    np.add.at(peak, pss.gss, (pss.design_kw + pss.design_33kv_kw) / KW_PER_MW)
    tan_phi = float(np.tan(np.arccos(float(assumed_value("sizing", "gss_power_factor")))))
    fall = float(assumed_value("sizing", "trough_mw")) / float(assumed_value("sizing", "peak_mw"))
    return GssLoads(
        id=state.gss.id,
        peak_mw=peak,
        trough_mw=fall * peak,
        peak_mvar=tan_phi * peak,
        trough_mvar=tan_phi * fall * peak,
        n_units=state.gss.n_units.astype(np.int64),
        unit_mva=state.gss.unit_mva,
    )


def ehv_loads(state: StateGrid) -> EhvLoads:
    """Consumers at 132 kV and above in the order of ``state.ht``: that of ``ehv_p_mw`` in `UpperGrid.solve`."""
    ht = state.ht
    rows = [row for row, bus in enumerate(ht.ehv_bus) if bus]
    fraction = float(assumed_value("sizing", "ehv_contract_fraction"))
    tan_phi = float(np.tan(np.arccos(float(assumed_value("sizing", "pss_power_factor")))))
    mw = tuple(fraction * float(ht.sanctioned_kw[row]) / KW_PER_MW for row in rows)
    mvar = tuple(tan_phi * value for value in mw)
    return EhvLoads(
        tuple(ht.ehv_bus[row] for row in rows), tuple(float(ht.kv[row]) for row in rows), mw, mw, mvar, mvar
    )


@dataclass(frozen=True)
class UpperState:
    """The upper grid of a state: its network, what the network was built from, and its solver."""

    net: pp.pandapowerNet
    pss: PssColumns
    ehv: EhvLoads
    grid: UpperGrid
    difference_pu: float
    """Largest difference from pandapower at the design peak and trough. [pu]"""


def build_upper(state: StateGrid) -> UpperState:
    """Network and solver of ``state``'s upper grid, checked against pandapower at the expected peak and trough.

    Raises
    ------
    NetworkError
        If no reinforcement by the stated rule makes the grid carry the expected peak and trough.
    """
    ehv, pss = ehv_loads(state), pss_columns(state)
    net = build_transmission(gss_loads(state), ehv)
    grid, result, difference = checked(net, pss, upper_grid(net, pss, ehv), design_block(state))
    if (result.status != OK).any():
        reasons = sorted({STATUS[int(status)] for status in result.status if status != OK})
        raise NetworkError([Problem("transmission grid", "design block", why, "reinforce more") for why in reasons])
    return UpperState(net, pss, ehv, grid, difference)


def design_block(state: StateGrid) -> BlockInputs:
    """Two steps, the expected peak and the trough, with all loads at constant power; sums as in ``sizing``."""
    pss, ehv = state.pss, ehv_loads(state)
    own = float(pss.design_kw.sum() + pss.design_33kv_kw.sum()) / KW_PER_MW + sum(ehv.peak_mw)
    peak_mw, trough_mw = float(assumed_value("sizing", "peak_mw")), float(assumed_value("sizing", "trough_mw"))
    scale = np.array([peak_mw, trough_mw]) / own
    tan_phi = float(np.tan(np.arccos(float(assumed_value("sizing", "pss_power_factor")))))
    p_kw, p33_kw = pss.design_kw[:, None] * scale, pss.design_33kv_kw[:, None] * scale
    ehv_mw = np.array(ehv.peak_mw)[:, None] * scale
    zeros, ones = np.zeros_like(p_kw), np.ones_like(p_kw)
    return BlockInputs(p_kw, p_kw * tan_phi, zeros, zeros, ones, ehv_mw, ehv_mw * tan_phi, p33_kw, p33_kw * tan_phi)
