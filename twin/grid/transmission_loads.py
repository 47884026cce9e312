"""Loads of the upper grid from the columns of the state: per GSS at peak and trough, per consumer at 132 kV and above."""

from __future__ import annotations

import numpy as np

from twin.grid.state import StateGrid
from twin.grid.transmission import EhvLoads, GssLoads
from twin.grid.transmission_data import assumed_value
from twin.grid.transmission_full import PssColumns
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
    peak = np.bincount(pss.gss, (pss.design_kw + pss.design_33kv_kw) / KW_PER_MW, minlength=n_gss)
    tan_phi = float(np.tan(np.arccos(float(assumed_value("sizing", "load_power_factor")))))
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
    """Consumers at 132 kV and above, in the order of ``state.ht``; that is the order of ``ehv_p_mw`` in `UpperGrid.solve`."""
    ht = state.ht
    rows = [row for row, bus in enumerate(ht.ehv_bus) if bus]
    fraction = float(assumed_value("sizing", "ehv_contract_fraction"))
    tan_phi = float(np.tan(np.arccos(float(assumed_value("sizing", "load_power_factor")))))
    mw = tuple(fraction * float(ht.sanctioned_kw[row]) / KW_PER_MW for row in rows)
    mvar = tuple(tan_phi * value for value in mw)
    return EhvLoads(tuple(ht.ehv_bus[row] for row in rows), tuple(float(ht.kv[row]) for row in rows), mw, mw, mvar, mvar)
