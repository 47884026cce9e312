"""Low-voltage networks of reference cases as tiles of the twin, and their solution pole by pole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from twin.errors import NetworkError, Problem
from twin.powerflow.impedance import LV_BASE_OHM, PAIRS, dt_row
from twin.powerflow.lanes import aligned
from twin.powerflow.lv import LANES, OK, LvTiles, lv_options, lv_scratch, solve_tile, tile_out
from twin.units import KW_PER_MW, LV_BASE_V

EXACT = 2e-7
"""Tolerance of reference cases: little above what float32 can tell apart. [pu]"""
NO_CLAMP_PU = 0.1
"""Other programs follow the load's law all the way down: here ours does so too."""
PHASES = "abc"


@dataclass(frozen=True)
class LvSolution:
    """One state of one tile; voltages from phase to neutral in pu of 250 V, angles against the DT's phase a."""

    pole_pu: NDArray[np.complex128]
    """[n_poles, 3]"""
    leg_pu: NDArray[np.complex128]
    """At the consumers, leg by leg. [n_legs]"""
    used_kw: float
    used_kvar: float
    loss_lv_kw: float
    copper_dt_kw: float
    sent_kw: float
    """Without no-load power, as ``sent_kvar``."""
    sent_kvar: float
    leg_kw: NDArray[np.float64]
    """[n_legs]"""


def solve(lv: LvTiles, k: int, kw: NDArray[Any], zips: NDArray[Any], v_dt_pu: float = 1.0) -> LvSolution:
    """Solve DT k for one step; ``kw`` (n_consumers,) at 230 V, ``zips`` (n_consumers, 6) as for `solve_tile`.

    Raises
    ------
    NetworkError
        If the state has no solution.
    """
    demand = aligned((len(kw), LANES), np.float32)
    demand[:, 0] = kw
    out, scratch, kwh = tile_out(k + 1, 1), lv_scratch(lv), np.zeros((len(kw), 1))
    options, zone = lv_options(tolerance=EXACT, clamp_pu=NO_CLAMP_PU), np.zeros(1, np.uint8)
    solve_tile(lv, k, demand, np.asarray(zips, np.float32), np.array([v_dt_pu]), zone, 1.0, options, scratch, out, kwh)
    if out.status[k, 0] != OK:
        raise NetworkError([Problem("LV case", f"DT {k}", f"status {out.status[k, 0]}", "look at its voltages")])
    poles, legs = (int(pointer[k + 1] - pointer[k]) for pointer in (lv.dt_pole_ptr, lv.dt_leg_ptr))
    voltage = scratch.voltage.reshape(-1, 3, 2, LANES)[1 : poles + 1, :, :, 0].astype(float)
    pole = voltage[..., 0] + 1j * voltage[..., 1]
    current = scratch.current.reshape(-1, 2, LANES)[:legs, :, 0].astype(float)
    service = lv.service_pu[lv.dt_leg_ptr[k] : lv.dt_leg_ptr[k + 1]].astype(float)
    group = scratch.leg_slot[:legs] // (2 * LANES) - 3
    at_pole = pole.reshape(-1)[group]
    return LvSolution(
        pole_pu=pole,
        leg_pu=at_pole - (service[:, 0] + 1j * service[:, 1]) * (current[:, 0] + 1j * current[:, 1]),
        used_kw=float(out.used_kw[k, 0]),
        used_kvar=float(out.used_kvar[k, 0]),
        loss_lv_kw=float(out.loss_lv_kw[k, 0]),
        copper_dt_kw=float(out.loss_dt_kw[k, 0] - out.iron_kw[k, 0]),
        sent_kw=float(out.sent_kw[k, 0] - out.iron_kw[k, 0]),
        sent_kvar=float(out.sent_kvar[k, 0] - out.magnetising_kvar[k, 0]),
        leg_kw=scratch.used.reshape(-1, LANES)[:legs, 0].astype(float),
    )


def radial_tile(
    parent: NDArray[np.int32],
    dt_pu: complex,
    segments_pu: NDArray[np.complex128],
    legs: list[tuple[int, int]],
    service_pu: NDArray[np.complex128] | None = None,
) -> LvTiles:
    """A tile of one DT without no-load power, one consumer on every leg.

    Parameters
    ----------
    parent : array, shape (n_poles,)
        Pole nearer to the busbar, -1 for the busbar itself, which comes first.
    dt_pu : complex
        Series impedance of the DT.
    segments_pu : array, shape (n_poles, 3, 3)
        Neutral-reduced matrices; the busbar's is not read.
    legs : list of (pole, phase)
        In this order; the consumers' columns have it too.
    service_pu : array, shape (n_legs,), optional
        Loop impedance of the services.
    """
    z = np.stack([part for p, q in PAIRS for part in (segments_pu[:, p, q].real, segments_pu[:, p, q].imag)], axis=1)
    z[0] = dt_row(dt_pu.real, dt_pu.imag)[0]
    group = np.array([3 * pole + phase for pole, phase in legs])
    order = np.argsort(group, kind="stable")
    service = np.zeros(len(legs), complex) if service_pu is None else service_pu[order]
    return LvTiles(
        dt_pole_ptr=np.array([0, len(parent)], np.int32),
        dt_leg_ptr=np.array([0, len(legs)], np.int32),
        dt_consumer_ptr=np.array([0, len(legs)], np.int32),
        parent=parent,
        z_pu=z.astype(np.float32),
        group_ptr=np.searchsorted(group[order], np.arange(3 * len(parent) + 1)).astype(np.int32),
        leg_consumer=order.astype(np.int32),
        leg_share=np.ones(len(legs), np.float32),
        service_pu=np.stack([service.real, service.imag], axis=1).astype(np.float32),
        iron_kw=np.zeros(1),
        magnetising_kvar=np.zeros(1),
    )


@dataclass(frozen=True)
class NetTile:
    """A pandapower network behind one transformer as a tile."""

    lv: LvTiles
    kw: NDArray[np.float64]
    zips: NDArray[np.float64]
    bus: NDArray[np.int64]
    """Bus of every pole."""
    v_dt_pu: float
    """No-load voltage at the transformer's LV side. [pu of 250 V]"""


def tile_of_net(net: Any) -> NetTile:
    """Transformer 0 of a pandapower network with its radial LV side and asymmetric star loads of constant power.

    The transformer is a plain series impedance, the same in all sequences; lines have their matrices from positive and
    zero sequence, ``(2 z1 + z0) / 3`` and ``(z0 - z1) / 3``. Charging and the grid's own impedance are left out.
    """
    trafo = net.trafo.iloc[0]
    graph = nx.Graph()
    for line in net.line.itertuples():
        z1 = complex(line.r_ohm_per_km, line.x_ohm_per_km) * line.length_km / LV_BASE_OHM
        z0 = complex(line.r0_ohm_per_km, line.x0_ohm_per_km) * line.length_km / LV_BASE_OHM
        graph.add_edge(line.from_bus, line.to_bus, z=(z1, z0))
    edges = list(nx.bfs_edges(graph, trafo.lv_bus))
    bus = np.array([trafo.lv_bus, *(child for _, child in edges)])
    place = {b: i for i, b in enumerate(bus)}
    parent = np.array([-1, *(place[up] for up, _ in edges)], np.int32)
    segments = np.zeros((len(bus), 3, 3), complex)
    for up, down in edges:
        z1, z0 = graph.edges[up, down]["z"]
        segments[place[down]] = np.full((3, 3), (z0 - z1) / 3) + np.eye(3) * z1
    legs, kw, kvar = [], [], []
    for load in net.asymmetric_load.itertuples():
        for phase, name in enumerate(PHASES):
            p, q = getattr(load, f"p_{name}_mw") * load.scaling, getattr(load, f"q_{name}_mvar") * load.scaling
            if p != 0:
                legs.append((place[load.bus], phase))
                kw.append(p * KW_PER_MW)
                kvar.append(q * KW_PER_MW)
    zips = np.zeros((len(legs), 6))
    zips[:, 2], zips[:, 5] = 1.0, np.array(kvar) / np.array(kw)
    base = 1000.0 * trafo.vn_lv_kv**2 / (trafo.sn_mva * KW_PER_MW) / LV_BASE_OHM
    r = trafo.vkr_percent / 100
    dt = base * complex(r, np.sqrt((trafo.vk_percent / 100) ** 2 - r**2))
    lv_pu = 1000.0 * trafo.vn_lv_kv / np.sqrt(3.0) / LV_BASE_V
    return NetTile(
        lv=radial_tile(parent, dt, segments, legs),
        kw=np.array(kw),
        zips=zips,
        bus=bus,
        v_dt_pu=float(net.ext_grid.vm_pu.iloc[0] * lv_pu),
    )
