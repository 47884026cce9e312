"""The grid at 132 kV and above with the grid substations (GSS), as one pandapower network built from the data pack.

The tables are the truth: every station and link of them is in the network, those not in service switched off and marked.
What the tables lack comes from ``transmission_assumed.yaml``; what the load needs beyond them is added by
`twin.grid.transmission_reinforce` and counted in the columns ``added_circuits`` and ``added_units``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandapower as pp
from numpy.typing import NDArray

from twin.grid.transmission_data import (
    EXTERNAL,
    IN_SERVICE,
    Link,
    assumed,
    assumed_value,
    levels_kv,
    line_constants,
    links,
)
from twin.grid.tables import Station, stations

FREQUENCY_HZ = 50.0
GSS_KV = 33.0


@dataclass(frozen=True)
class GssLoads:
    """Load of every grid substation at peak and trough, and its transformers. All arrays have shape (n_gss,).

    ``id`` are station ids of ``transmission.csv``; P and Q are those at the 33 kV bus before its capacitors.
    ``n_units`` of 0 leaves number and size to the data pack.
    """

    id: tuple[str, ...]
    peak_mw: NDArray[np.float64]
    trough_mw: NDArray[np.float64]
    peak_mvar: NDArray[np.float64]
    trough_mvar: NDArray[np.float64]
    n_units: NDArray[np.int64]
    unit_mva: NDArray[np.float64]


@dataclass(frozen=True)
class EhvLoads:
    """Loads at 132 kV and above (traction, EHT consumers). All arrays have shape (n,)."""

    bus_id: tuple[str, ...] = ()
    kv: tuple[float, ...] = ()
    peak_mw: tuple[float, ...] = ()
    trough_mw: tuple[float, ...] = ()
    peak_mvar: tuple[float, ...] = ()
    trough_mvar: tuple[float, ...] = ()


def gss_stations() -> tuple[Station, ...]:
    """Stations in service with a 33 kV level, in file order."""
    return tuple(station for station in stations() if station.status in IN_SERVICE and GSS_KV in levels_kv(station))


def bus_name(station_id: str, kv: float) -> str:
    """Name of a station's bus at one voltage level, as in ``net.bus.name``."""
    return f"{station_id}@{kv:g}"


def new_transmission(loads: GssLoads, ehv: EhvLoads | None = None) -> pp.pandapowerNet:
    """The grid exactly as the tables say, with the assumed numbers, before any reinforcement.

    Loads stand at their peak; `twin.grid.transmission_dispatch.set_operating_point` moves them.

    Raises
    ------
    NetworkError
        If a link names a conductor without constants.
    """
    net = pp.create_empty_network(name="Bihar, 33 kV and above (links below 220 kV are assumed)", f_hz=FREQUENCY_HZ, sn_mva=100.0)
    _add_buses(net)
    _add_lines(net)
    bus = {name: index for index, name in net.bus.name.items()}
    _add_transformers(net, bus, loads)
    _add_plants(net, bus)
    _add_ties(net, bus)
    _add_loads(net, bus, loads, ehv or EhvLoads())
    add_reactors(net)
    return net


def _add_buses(net: pp.pandapowerNet) -> None:
    rows: list[tuple[str, float, str, bool, str, tuple[float, float] | None]] = []
    for station in stations():
        place = (station.longitude, station.latitude)
        rows += [(station.id, kv, station.district, station.status in IN_SERVICE, station.status, place) for kv in levels_kv(station)]
    known = {(row[0], row[1]) for row in rows}
    for link in links():
        for end in (link.from_id, link.to_id):
            if (end, link.voltage_kv) not in known and end.startswith(EXTERNAL):
                known.add((end, link.voltage_kv))
                used = any(other.in_service for other in links() if end in (other.from_id, other.to_id))
                rows.append((end, link.voltage_kv, "", used, "beyond the border", None))
    # a level that only a link not in service names (Banka at 220 kV) exists, switched off
    for link in links():
        for end in (link.from_id, link.to_id):
            if (end, link.voltage_kv) not in known:
                known.add((end, link.voltage_kv))
                rows.append((end, link.voltage_kv, "", False, f"level of a link: {link.status}", None))
    pp.create_buses(
        net,
        len(rows),
        vn_kv=[row[1] for row in rows],
        name=[bus_name(row[0], row[1]) for row in rows],
        in_service=[row[3] for row in rows],
        station=[row[0] for row in rows],
        district=[row[2] for row in rows],
        status=[row[4] for row in rows],
        longitude=[row[5][0] if row[5] else np.nan for row in rows],
        latitude=[row[5][1] if row[5] else np.nan for row in rows],
    )


def _add_lines(net: pp.pandapowerNet) -> None:
    bus = {name: index for index, name in net.bus.name.items()}
    default_km = float(assumed_value("lines", "missing_length_km"))
    table = links()
    constants = [line_constants(link) for link in table]
    ends = [(bus[bus_name(link.from_id, link.voltage_kv)], bus[bus_name(link.to_id, link.voltage_kv)]) for link in table]
    alive = [link.in_service and bool(net.bus.in_service[a]) and bool(net.bus.in_service[b]) for link, (a, b) in zip(table, ends, strict=True)]
    pp.create_lines_from_parameters(
        net,
        [a for a, _ in ends],
        [b for _, b in ends],
        length_km=[link.suggested_route_km or default_km for link in table],
        r_ohm_per_km=[row.r_ohm_km for row in constants],
        x_ohm_per_km=[row.x_ohm_km for row in constants],
        c_nf_per_km=[row.b_us_km * 1e3 / (2 * np.pi * FREQUENCY_HZ) for row in constants],
        max_i_ka=[row.rating_a / 1e3 for row in constants],
        name=[f"{link.from_id}-{link.to_id} {link.voltage_kv:g} kV" for link in table],
        parallel=[link.circuits for link in table],
        in_service=alive,
        std_type=[row.conductor for row in constants],
        table_circuits=[link.circuits for link in table],
        added_circuits=0,
        length_assumed=[link.suggested_route_km is None for link in table],
        confidence=[link.confidence or "" for link in table],
        remark=[_line_remark(link, on) for link, on in zip(table, alive, strict=True)],
    )


def _line_remark(link: Link, alive: bool) -> str:
    if alive:
        return ""
    return "a station at its end is not in service" if link.in_service else link.status


def _add_transformers(net: pp.pandapowerNet, bus: dict[str, int], loads: GssLoads) -> None:
    given = {name: (int(n), float(mva)) for name, n, mva in zip(loads.id, loads.n_units, loads.unit_mva, strict=True)}
    for station in stations():
        levels = levels_kv(station)
        for high, low in zip(levels, levels[1:], strict=False):
            units = given.get(station.id, (0, 0.0)) if low == GSS_KV else (0, 0.0)
            _add_transformer(net, bus, station, high, low, units)


def _add_transformer(
    net: pp.pandapowerNet, bus: dict[str, int], station: Station, high: float, low: float, given: tuple[int, float]
) -> None:
    settings, key = assumed()["transformers"], f"{high:g}/{low:g}"
    level = settings["levels"][key]
    named = settings["station_units"].get(station.id, {}).get(key)
    unit_mva, n_units = named or (level["unit_mva"], level["units"])
    if given[0] > 0:
        n_units, unit_mva = given
    size = "gss" if low == GSS_KV else "ehv"
    vk = float(level["vk_percent"])
    x_over_r = float(settings["x_over_r"][size]["value"])
    no_load = float(settings["no_load_percent"][size]["value"])
    most = int(assumed_value("taps", "max_steps"))
    pp.create_transformer_from_parameters(
        net,
        bus[bus_name(station.id, high)],
        bus[bus_name(station.id, low)],
        sn_mva=float(unit_mva),
        vn_hv_kv=high,
        vn_lv_kv=low,
        vk_percent=vk,
        vkr_percent=vk / np.hypot(1.0, x_over_r),
        pfe_kw=10.0 * no_load * unit_mva,
        i0_percent=float(settings["magnetising_percent"][size]["value"]),
        tap_side="hv",
        tap_neutral=0,
        tap_min=-most,
        tap_max=most,
        tap_step_percent=float(assumed_value("taps", "step_percent")),
        tap_pos=0,
        tap_changer_type="Ratio",
        name=f"{station.id} {key} kV",
        parallel=int(n_units),
        in_service=station.status in IN_SERVICE,
        station=station.id,
        kind=size,
        table_units=int(n_units),
        added_units=0,
    )


def _add_plants(net: pp.pandapowerNet, bus: dict[str, int]) -> None:
    plants = assumed()["plants"]
    for unit in plants["units"]:
        share = float(unit["share_mw"])
        pp.create_gen(
            net,
            bus[bus_name(unit["id"], unit["kv"])],
            p_mw=share * float(assumed_value("dispatch", "peak_fraction")),
            vm_pu=float(plants["vm_pu"]["value"]),
            sn_mva=float(unit["installed_mw"]),
            min_q_mvar=share * float(plants["min_mvar_per_mw"]["value"]),
            max_q_mvar=share * float(plants["max_mvar_per_mw"]["value"]),
            name=unit["id"],
            type="plant",
            slack=False,
            slack_weight=0.0,
            share_mw=share,
        )


def _add_ties(net: pp.pandapowerNet, bus: dict[str, int]) -> None:
    """One generator per external bus (never an ``ext_grid``: solvers drop it from a distributed slack); Nepal as loads."""
    ties = assumed()["ties"]
    exports = {bus_name(row["id"], row["kv"]): float(row["mw"]) for row in ties["nepal"]["export_mw"]}
    tan_phi = float(np.tan(np.arccos(ties["nepal"]["power_factor"]["value"])))
    for name, index in bus.items():
        if not name.startswith(EXTERNAL):
            continue
        kv = float(net.bus.vn_kv[index])
        at_bus = net.line.in_service & ((net.line.from_bus == index) | (net.line.to_bus == index))
        circuits = int(net.line.table_circuits[at_bus].sum())
        if name in exports:
            mw = exports[name]
            pp.create_load(net, index, p_mw=mw, q_mvar=mw * tan_phi, name=name, type="export", in_service=bool(net.bus.in_service[index]))
            continue
        reach = circuits * float(ties["mvar_per_circuit"]["value"])
        pp.create_gen(
            net,
            index,
            p_mw=0.0,
            vm_pu=float(ties["vm_pu"][int(kv)]["value"]),
            min_q_mvar=-reach,
            max_q_mvar=reach,
            name=name,
            type="tie",
            slack=True,
            slack_weight=circuits * kv,
            share_mw=0.0,
        )


def _add_loads(net: pp.pandapowerNet, bus: dict[str, int], loads: GssLoads, ehv: EhvLoads) -> None:
    step = float(assumed_value("capacitors", "step_mvar"))
    share = float(assumed_value("capacitors", "peak_share"))
    for name, p_mw, q_mvar in zip(loads.id, loads.peak_mw, loads.peak_mvar, strict=True):
        at = bus[bus_name(name, GSS_KV)]
        pp.create_load(net, at, p_mw=float(p_mw), q_mvar=float(q_mvar), name=name, type="gss")
        steps = max(int(np.ceil(share * q_mvar / step)), 0)
        pp.create_shunt(net, at, q_mvar=-step, vn_kv=GSS_KV, step=steps, max_step=steps, name=name, kind="capacitor", line=-1)
    for name, kv, p, q in zip(ehv.bus_id, ehv.kv, ehv.peak_mw, ehv.peak_mvar, strict=True):
        pp.create_load(net, bus[bus_name(name, kv)], p_mw=p, q_mvar=q, name=bus_name(name, kv), type="ehv")


def add_reactors(net: pp.pandapowerNet) -> None:
    """Put the reactors of all long high-voltage lines in service, half at each end; replaces those that are there.

    ``Q = fraction * omega C V^2 / 2`` per end, for all circuits of the line.
    """
    settings = assumed()["lines"]
    fraction, from_kv = float(settings["reactor_fraction"]["value"]), float(settings["reactor_from_kv"]["value"])
    if len(net.shunt):
        net.shunt = net.shunt[net.shunt.kind != "reactor"]
    for index, line in net.line[net.line.in_service].iterrows():
        kv = float(net.bus.vn_kv[line.from_bus])
        if kv < from_kv:
            continue
        charging = 2 * np.pi * FREQUENCY_HZ * line.c_nf_per_km * 1e-9 * line.length_km * kv**2 * line.parallel
        for end in (line.from_bus, line.to_bus):
            extra: dict[str, Any] = {"kind": "reactor", "line": index}
            pp.create_shunt(net, int(end), q_mvar=fraction * charging / 2, vn_kv=kv, name=f"reactor of {line['name']}", **extra)
