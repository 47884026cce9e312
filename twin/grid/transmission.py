"""The grid at 132 kV and above with the grid substations (GSS), as one pandapower network built from the data pack.

The tables are the truth: every station and link of them is in the network, those not in service switched off and
marked. What the tables lack comes from ``transmission_assumed.yaml``; what the load needs beyond them is added by
`twin.grid.transmission_reinforce` and counted in the columns ``added_circuits`` and ``added_units``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandapower as pp
from numpy.typing import NDArray

from twin.grid.tables import stations
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

FREQUENCY_HZ = 50.0
GSS_KV = 33.0
SIZE_RULES = ("x_over_r", "no_load_percent", "magnetising_percent")


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


def bus_name(station_id: str, kv: float) -> str:
    """Name of a station's bus at one voltage level, as in ``net.bus.name``."""
    return f"{station_id}@{kv:g}"


def new_transmission(loads: GssLoads, ehv: EhvLoads | None = None) -> pp.pandapowerNet:
    """The grid exactly as the tables say, with the assumed numbers, before any reinforcement.

    Loads stand at their peak.

    Raises
    ------
    NetworkError
        If a link names a conductor without constants.
    """
    net = pp.create_empty_network(
        name="Bihar, 33 kV and above (links below 220 kV are assumed)", f_hz=FREQUENCY_HZ, sn_mva=100.0
    )
    _add_buses(net)
    _add_lines(net)
    bus = {name: index for index, name in net.bus.name.items()}
    _add_transformers(net, bus, loads)
    _add_plants(net, bus)
    _add_ties(net, bus)
    _add_loads(net, bus, loads, ehv or EhvLoads())
    _add_switched_reactors(net)
    add_reactors(net)
    return net


def _add_buses(net: pp.pandapowerNet) -> None:
    rows: list[tuple[str, float, str, bool, str, tuple[float, float] | None]] = []
    for station in stations():
        place = (station.longitude, station.latitude)
        rows += [
            (station.id, kv, station.district, station.status in IN_SERVICE, station.status, place)
            for kv in levels_kv(station)
        ]
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
    ends = [
        (bus[bus_name(link.from_id, link.voltage_kv)], bus[bus_name(link.to_id, link.voltage_kv)]) for link in table
    ]
    alive = [
        link.in_service and bool(net.bus.in_service[a]) and bool(net.bus.in_service[b])
        for link, (a, b) in zip(table, ends, strict=True)
    ]
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
    given = {
        name: (float(mva), int(n))
        for name, n, mva in zip(loads.id, loads.n_units, loads.unit_mva, strict=True)
        if n > 0
    }
    settings, rows = assumed()["transformers"], []
    for station in stations():
        kv = levels_kv(station)
        for high, low in zip(kv, kv[1:], strict=False):
            key, size = f"{high:g}/{low:g}", "gss" if low == GSS_KV else "ehv"
            level = settings["levels"][key]
            named = settings["station_units"].get(station.id, {}).get(key) or (level["unit_mva"], level["units"])
            unit_mva, n_units = given.get(station.id, named) if size == "gss" else named
            rows.append((station, high, low, key, size, float(unit_mva), int(n_units), float(level["vk_percent"])))
    by_size = {name: {size: float(settings[name][size]["value"]) for size in ("ehv", "gss")} for name in SIZE_RULES}
    most, vk = int(assumed_value("taps", "max_steps")), np.array([row[7] for row in rows])
    pp.create_transformers_from_parameters(
        net,
        [bus[bus_name(row[0].id, row[1])] for row in rows],
        [bus[bus_name(row[0].id, row[2])] for row in rows],
        sn_mva=[row[5] for row in rows],
        vn_hv_kv=[row[1] for row in rows],
        vn_lv_kv=[row[2] for row in rows],
        vk_percent=vk,
        vkr_percent=vk / np.hypot(1.0, np.array([by_size["x_over_r"][row[4]] for row in rows])),
        pfe_kw=[10.0 * by_size["no_load_percent"][row[4]] * row[5] for row in rows],
        i0_percent=[by_size["magnetising_percent"][row[4]] for row in rows],
        tap_side="hv",
        tap_neutral=0,
        tap_min=-most,
        tap_max=most,
        tap_step_percent=float(assumed_value("taps", "step_percent")),
        tap_pos=0,
        tap_changer_type="Ratio",
        name=[f"{row[0].id} {row[3]} kV" for row in rows],
        parallel=[row[6] for row in rows],
        in_service=[row[0].status in IN_SERVICE for row in rows],
        station=[row[0].id for row in rows],
        kind=[row[4] for row in rows],
        table_units=[row[6] for row in rows],
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
    """One generator per external bus (an ``ext_grid`` would be dropped from a distributed slack); Nepal as loads."""
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
            pp.create_load(
                net,
                index,
                p_mw=mw,
                q_mvar=mw * tan_phi,
                name=name,
                type="export",
                in_service=bool(net.bus.in_service[index]),
            )
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
    step, share = float(assumed_value("capacitors", "step_mvar")), float(assumed_value("capacitors", "peak_share"))
    at = [bus[bus_name(name, GSS_KV)] for name in loads.id]
    pp.create_loads(net, at, p_mw=loads.peak_mw, q_mvar=loads.peak_mvar, name=list(loads.id), type="gss")
    steps = np.maximum(np.ceil(share * loads.peak_mvar / step), 0).astype(np.int64)
    pp.create_shunts(
        net,
        at,
        q_mvar=-step,
        p_mw=0.0,
        vn_kv=GSS_KV,
        step=steps,
        max_step=steps,
        name=list(loads.id),
        kind="capacitor",
        line=-1,
    )
    if ehv.bus_id:
        names = [bus_name(name, kv) for name, kv in zip(ehv.bus_id, ehv.kv, strict=True)]
        pp.create_loads(
            net, [bus[name] for name in names], p_mw=ehv.peak_mw, q_mvar=ehv.peak_mvar, name=names, type="ehv"
        )


def _add_switched_reactors(net: pp.pandapowerNet) -> None:
    """Bus reactors, all switched off, at the stations in service that feed the level where they stand from above."""
    settings = assumed()["reactors"]
    kv, step_mvar = float(settings["kv"]["value"]), float(settings["step_mvar"]["value"])
    feeding = net.trafo[net.trafo.in_service & (net.bus.vn_kv.reindex(net.trafo.lv_bus).to_numpy() == kv)]
    at = np.unique(feeding.lv_bus.to_numpy())
    pp.create_shunts(
        net,
        at,
        q_mvar=step_mvar,
        p_mw=0.0,
        vn_kv=kv,
        step=0,
        max_step=int(settings["steps"]["value"]),
        name=[f"bus reactor of {net.bus.name[bus]}" for bus in at],
        kind="switched reactor",
        line=-1,
    )


def add_reactors(net: pp.pandapowerNet) -> None:
    """Put the reactors of all long high-voltage lines in service, half at each end; replaces those that are there.

    ``Q = fraction * omega C V^2 / 2`` per end, for all circuits of the line.
    """
    settings = assumed()["lines"]
    fraction, from_kv = float(settings["reactor_fraction"]["value"]), float(settings["reactor_from_kv"]["value"])
    net.shunt = net.shunt[net.shunt.kind != "reactor"]
    kv = net.bus.vn_kv.reindex(net.line.from_bus).to_numpy()
    rows = net.line[net.line.in_service.to_numpy() & (kv >= from_kv)]
    kv = net.bus.vn_kv.reindex(rows.from_bus).to_numpy()
    charging = 2 * np.pi * FREQUENCY_HZ * 1e-9 * (rows.c_nf_per_km * rows.length_km * rows.parallel).to_numpy() * kv**2
    names = [f"reactor of {name}" for name in rows.name]
    for ends in (rows.from_bus, rows.to_bus):
        pp.create_shunts(
            net,
            ends.to_numpy(),
            q_mvar=fraction * charging / 2,
            p_mw=0.0,
            vn_kv=kv,
            name=names,
            kind="reactor",
            line=rows.index,
        )
