"""GSS, PSS and the radial 33 kV level between them."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.grid.places import Points, distance_km, resolve_district
from twin.grid.settings import synthesis
from twin.grid.tables import Station, conductor_code, conductors, stations
from twin.streams import Stream, uniforms

IN_SERVICE = "in service"
KV_33 = 33.0


def grid_stations() -> list[Station]:
    """Stations in service with a 33 kV level, in table order: the GSSs."""
    return [row for row in stations() if row.status == IN_SERVICE and "33" in row.levels]


def ehv_stations(kv: str) -> list[Station]:
    """Stations in service with a bus of ``kv`` ("132", "220"), in table order."""
    return [row for row in stations() if row.status == IN_SERVICE and kv in row.levels]


def station_district(row: Station) -> str:
    """The district of a station, in this pack's spelling."""
    return resolve_district(row.district)


@nb.njit(cache=True, error_model="numpy")
def _nearest_with_room(
    order: NDArray[np.int64], n_gss: int, load_mva: NDArray[np.float64], room_mva: NDArray[np.float64]
) -> NDArray[np.int32]:
    """Go through all (PSS, GSS) pairs, nearest first; a PSS takes the first GSS that still has room for it."""
    out = np.full(len(load_mva), -1, np.int32)
    for pair in order:
        pss, gss = pair // n_gss, pair % n_gss
        if out[pss] < 0 and load_mva[pss] <= room_mva[gss]:
            out[pss] = gss
            room_mva[gss] -= load_mva[pss]
    return out


def nearest_gss(pss: Points, gss: Points, load_mva: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """GSS of every PSS, and the transformers every GSS then needs.

    Capacity: ``units`` transformers at the planned loading, one more (``most_units``) before load spills over to the
    next nearest GSS. ``load_mva``: of the PSS at its 33 kV side.
    """
    rule = synthesis().gss
    away = distance_km(pss, gss)
    order = np.argsort(away.ravel(), kind="stable")
    room = np.full(len(gss), rule.most_units * rule.unit_mva * rule.loading)
    chosen = _nearest_with_room(order, len(gss), load_mva, room)
    if (chosen < 0).any():
        raise ValueError("the grid substations together have no room for all power substations")
    load = np.bincount(chosen, weights=load_mva, minlength=len(gss))
    needed = np.ceil(load / (rule.unit_mva * rule.loading) - 1e-9)
    return chosen, np.maximum(needed, rule.units).astype(np.int8)


@dataclass(frozen=True)
class Lines33:
    """The 33 kV section that feeds each PSS. All arrays of shape (n_pss,); ``order`` has parents before children."""

    parent: NDArray[np.int32]
    line_km: NDArray[np.float64]
    conductor: NDArray[np.int16]
    circuits: NDArray[np.int8]
    order: NDArray[np.int32]


def lines_33kv(
    seed: int, pss: Points, gss: Points, of_gss: NDArray[np.int32], load_mva: NDArray[np.float64]
) -> Lines33:
    """String the PSSs of every GSS on radial 33 kV feeders of one, two or three."""
    rule = synthesis().line_33kv
    n = len(pss)
    parent, straight = np.full(n, -1, np.int32), np.zeros(n)
    wants_third = uniforms(seed, Stream.PSS_PLACE, np.arange(n), 3) < rule.third_pss_share
    order: list[int] = []
    for g in range(len(gss)):
        rows = np.flatnonzero(of_gss == g)
        away = distance_km(pss[rows], gss[g : g + 1])[:, 0]
        between = distance_km(pss[rows], pss[rows])
        ranked = np.argsort(away, kind="stable")
        chain = _chains(ranked, away, between, load_mva[rows], wants_third[rows])
        parent[rows] = np.where(chain >= 0, rows[chain], -1)
        straight[rows] = np.where(chain >= 0, between[np.arange(len(rows)), chain], away)
        order.extend(rows[ranked])
    km = np.clip(rule.detour * straight, rule.least_km, rule.most_km)
    ordered = np.array(order, np.int32)
    conductor, circuits = _conductors(parent, km, load_mva, ordered)
    return Lines33(parent, km, conductor, circuits, ordered)


def _chains(
    ranked: NDArray[np.int64],
    away: NDArray[np.float64],
    between: NDArray[np.float64],
    load_mva: NDArray[np.float64],
    wants_third: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Upstream PSS (position within the GSS) of every PSS, or -1 for the GSS itself. Nearest PSSs are placed first."""
    rule = synthesis().line_33kv
    up = np.full(len(away), -1)
    depth, is_end, load = np.ones(len(away), int), np.ones(len(away), bool), load_mva.copy()
    placed = np.zeros(len(away), bool)
    for p in ranked:
        most = rule.most_chain if wants_third[p] else 2
        ok = placed & is_end & (depth < most) & (load + load_mva[p] <= rule.chain_most_mva)
        ok &= away + between[:, p] <= rule.chain_detour * away[p]
        if ok.any():
            u = int(np.where(ok, between[:, p], np.inf).argmin())
            up[p], depth[p], load[p], is_end[u] = u, depth[u] + 1, load[u] + load_mva[p], False
        placed[p] = True
    return up


def _conductors(
    parent: NDArray[np.int32], km: NDArray[np.float64], load_mva: NDArray[np.float64], order: NDArray[np.int32]
) -> tuple[NDArray[np.int16], NDArray[np.int8]]:
    """The cheapest conductor and circuits of every 33 kV feeder that keeps current and voltage drop within the plan.

    ``drop = sum over sections of (P R + Q X) / (circuits V^2)``; one choice for all sections of a feeder.
    """
    rule = synthesis().line_33kv
    choices = [_parse_choice(text) for text in rule.choices]
    flow, moment, root = load_mva.copy(), np.zeros(len(km)), np.arange(len(km))
    for p in order[::-1]:
        if parent[p] >= 0:
            flow[parent[p]] += flow[p]
    for p in order:
        moment[p] = flow[p] * km[p]
        if parent[p] >= 0:
            moment[p] += moment[parent[p]]
            root[p] = root[parent[p]]
    worst = np.zeros(len(km))
    np.maximum.at(worst, root, moment)
    p_share, q_share = rule.power_factor, np.sqrt(1.0 - rule.power_factor**2)
    picked = np.full(len(km), len(choices) - 1)
    for number, (code, circuits) in reversed(list(enumerate(choices))):
        row = conductors()[code]
        drop = worst * (p_share * row.r_working_ohm_km + q_share * row.x_ohm_km) / (circuits * KV_33**2)
        most_mva = np.sqrt(3.0) * KV_33 * row.ampacity_a * circuits / 1000.0
        fits = (drop <= rule.drop_limit) & (flow <= rule.ampacity_share * most_mva)
        picked[fits] = number
    picked = picked[root]
    codes, numbers = np.array(choices).T
    return codes[picked].astype(np.int16), numbers[picked].astype(np.int8)


def _parse_choice(text: str) -> tuple[int, int]:
    """``"ACSR Dog x2"`` is the conductor's code and two circuits."""
    name, _, circuits = text.rpartition(" x")
    return conductor_code(name), int(circuits)


def pss_transformers(load_mva: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Unit rating and number of transformers of every PSS: the smallest set that holds the load as planned."""
    rule = synthesis().pss
    units = np.array([n for _, n in rule.choices_mva])
    mva = np.array([m for m, _ in rule.choices_mva])
    fits = load_mva[:, None] <= rule.loading * (mva * units)[None, :]
    picked = np.where(fits.any(axis=1), fits.argmax(axis=1), len(mva) - 1)
    return mva[picked].astype(np.float64), units[picked].astype(np.int8)
