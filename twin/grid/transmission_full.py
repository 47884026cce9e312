"""The grid down to the 11 kV bus of every PSS as one pandapower network, for users, checks and the solvers' arrays."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import pandapower as pp
import pandas as pd
from numpy.typing import NDArray

from twin.grid.tables import conductors
from twin.grid.transmission import FREQUENCY_HZ, GSS_KV, bus_name
from twin.grid.transmission_data import assumed, assumed_value, pss_transformer_percent

PSS_KV = 11.0
DYN11_SHIFT_DEGREE = -30.0


@dataclass(frozen=True)
class PssColumns:
    """All power substations; arrays of shape (n_pss,).

    ``gss`` is a position in ``gss_id``; ``parent`` the PSS upstream on the same 33 kV feeder, or -1 at the GSS;
    ``conductor`` a row of ``conductors.csv``, ``circuits`` of it in parallel; ``unit_mva`` times ``n_units`` is the
    rating of a PSS.
    """

    gss_id: tuple[str, ...]
    gss: NDArray[np.int32]
    parent: NDArray[np.int32]
    line_km: NDArray[np.float64]
    conductor: NDArray[np.int32]
    circuits: NDArray[np.int64]
    unit_mva: NDArray[np.float64]
    n_units: NDArray[np.int64]


def full_net(
    net: pp.pandapowerNet,
    pss: PssColumns,
    p_mw: NDArray[np.float64] | None = None,
    q_mvar: NDArray[np.float64] | None = None,
) -> pp.pandapowerNet:
    """``net`` with every 33 kV line, PSS transformer and 11 kV bus; GSS loads give way to those of the PSS.

    Rows of the added tables are in PSS order: bus ``33 kV`` then bus ``11 kV``, one line, one transformer, one load
    each; their network indices are in ``net.pss`` (a table of its own).

    Parameters
    ----------
    net : pandapowerNet
        Down to the GSS, from `twin.grid.transmission_reinforce.build_transmission`; it is not changed.
    pss : PssColumns
        What hangs below its GSS.
    p_mw, q_mvar : array, shape (n_pss,), optional
        Load at the 11 kV buses; zero by default. [MW], [Mvar]
    """
    full = copy.deepcopy(net)
    n = len(pss.gss)
    zeros = np.zeros(n)
    by_name = {name: bus for bus, name in full.bus.name.items()}
    head = np.array([by_name[bus_name(name, GSS_KV)] for name in pss.gss_id], dtype=np.int64)
    full.load.loc[(full.load["type"] == "gss"), "in_service"] = False
    codes = [f"PSS-{row + 1:04d}" for row in range(n)]
    bus_33 = pp.create_buses(
        full, n, vn_kv=GSS_KV, name=[f"{code}@33" for code in codes], station=codes, status="synthesised"
    )
    bus_11 = pp.create_buses(
        full, n, vn_kv=PSS_KV, name=[f"{code}@11" for code in codes], station=codes, status="synthesised"
    )
    up = np.where(pss.parent < 0, head[pss.gss], np.asarray(bus_33)[np.maximum(pss.parent, 0)])
    lines = _create_lines(full, pss, up, np.asarray(bus_33), codes)
    trafos = _create_transformers(full, pss, np.asarray(bus_33), np.asarray(bus_11), codes)
    loads = pp.create_loads(
        full,
        bus_11,
        p_mw=zeros if p_mw is None else p_mw,
        q_mvar=zeros if q_mvar is None else q_mvar,
        name=codes,
        type="pss",
    )
    table = np.column_stack([bus_33, bus_11, lines, trafos, loads])
    full["pss"] = pd.DataFrame(table, columns=["bus_33", "bus_11", "line", "trafo", "load"])
    return full


def _create_lines(
    full: pp.pandapowerNet, pss: PssColumns, up: NDArray[np.int64], bus_33: NDArray[np.int64], codes: list[str]
) -> NDArray[np.int64]:
    rows = [conductors()[row] for row in pss.conductor.tolist()]
    c_nf = float(assumed_value("lines", "b33_us_km")) * 1e3 / (2 * np.pi * FREQUENCY_HZ)
    made = pp.create_lines_from_parameters(
        full,
        up,
        bus_33,
        length_km=pss.line_km,
        r_ohm_per_km=[row.r_working_ohm_km for row in rows],
        x_ohm_per_km=[row.x_ohm_km for row in rows],
        c_nf_per_km=np.full(len(rows), c_nf),
        max_i_ka=[row.ampacity_a / 1e3 for row in rows],
        name=codes,
        std_type=[row.name for row in rows],
        parallel=pss.circuits,
        table_circuits=0,
        added_circuits=0,
        length_assumed=True,
        confidence="synthesised",
        remark="",
    )
    return np.asarray(made)


def _create_transformers(
    full: pp.pandapowerNet, pss: PssColumns, bus_33: NDArray[np.int64], bus_11: NDArray[np.int64], codes: list[str]
) -> NDArray[np.int64]:
    settings = assumed()["transformers"]
    sizes = {size: pss_transformer_percent(size) for size in np.unique(pss.unit_mva).tolist()}
    vk = np.array([sizes[size] for size in pss.unit_mva.tolist()])
    most = int(assumed_value("taps", "max_steps"))
    made = pp.create_transformers_from_parameters(
        full,
        bus_33,
        bus_11,
        sn_mva=pss.unit_mva,
        vn_hv_kv=GSS_KV,
        vn_lv_kv=PSS_KV,
        vk_percent=vk,
        vkr_percent=vk / np.hypot(1.0, float(settings["x_over_r"]["pss"]["value"])),
        pfe_kw=10.0 * float(settings["no_load_percent"]["pss"]["value"]) * pss.unit_mva,
        i0_percent=float(settings["magnetising_percent"]["pss"]["value"]),
        shift_degree=DYN11_SHIFT_DEGREE,
        tap_side="hv",
        tap_neutral=0,
        tap_min=-most,
        tap_max=most,
        tap_step_percent=float(assumed_value("taps", "step_percent")),
        tap_pos=0,
        tap_changer_type="Ratio",
        parallel=pss.n_units,
        name=codes,
        station=codes,
        kind="pss",
        table_units=pss.n_units,
        added_units=0,
    )
    return np.asarray(made)
