"""HT, EHT and traction consumers: simulated one by one, at the PSS's 11 kV bus, its 33 kV node, or a station above."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.datapack import categories, kinds
from twin.grid.population import category_totals, kind_mix
from twin.grid.settings import synthesis
from twin.grid.substations import ehv_stations, station_district
from twin.grid.tables import Station
from twin.streams import Stream, normals, uniforms


@dataclass(frozen=True)
class HtConsumers:
    """Columns of the HT, EHT and traction consumers, ordered by category, then PSS or station.

    ``pss`` is -1 for EHV consumers, ``ehv_bus`` then the station's id in the transmission table, else "".
    ``sanctioned_kw`` is the contract demand times the planned power factor.
    """

    consumer_id: NDArray[np.int64]
    category: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    district: NDArray[np.int16]
    pss: NDArray[np.int32]
    ehv_bus: tuple[str, ...]
    kv: NDArray[np.float64]
    contract_kva: NDArray[np.float64]
    sanctioned_kw: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.consumer_id)


def ht_consumers(
    seed: int, first_id: int, pss_counts: NDArray[np.int64], pss_district: NDArray[np.int16], district_names: list[str]
) -> HtConsumers:
    """Place all consumers that no feeder serves. ``pss_counts``: shape (n_pss, n_categories)."""
    direct = [row for row in categories() if row.feeder_class == "direct"]
    category, pss, bus, district = [], [], [], []
    for row in direct:
        if row.follows == "ehv":
            chosen = _stations(seed, row.code, f"{row.voltage_kv:g}", int(category_totals()[row.code]))
            pss.append(np.full(len(chosen), -1))
            bus += [station.id for station in chosen]
            district.append(np.array([district_names.index(station_district(s)) for s in chosen], np.int64))
        else:
            at = np.repeat(np.arange(len(pss_counts)), pss_counts[:, row.code])
            pss.append(at)
            bus += [""] * len(at)
            district.append(pss_district[at].astype(np.int64))
        category.append(np.full(len(pss[-1]), row.code))
    codes = np.concatenate(category)
    ids = first_id + np.arange(len(codes))
    kind = _kinds(seed, ids, codes)
    kva = contracts(seed, ids, kind)
    volts = {row.code: row.voltage_kv for row in direct}
    return HtConsumers(
        consumer_id=ids,
        category=codes.astype(np.uint8),
        kind=kind,
        district=np.concatenate(district).astype(np.int16),
        pss=np.concatenate(pss).astype(np.int32),
        ehv_bus=tuple(bus),
        kv=np.array([volts[code] for code in codes]),
        contract_kva=kva,
        sanctioned_kw=kva * synthesis().ht.power_factor,
    )


def _stations(seed: int, category: int, kv: str, n: int) -> list[Station]:
    """``n`` stations with a bus of ``kv``: a seeded permutation of them, gone through again if there are too few."""
    there = ehv_stations(kv)
    rank = np.argsort(uniforms(seed, Stream.HT_CONSUMER, np.arange(len(there)), 100 + category), kind="stable")
    return sorted((there[rank[i % len(there)]] for i in range(n)), key=there.index)


def contracts(seed: int, ids: NDArray[np.int64], kind: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Contract demand, lognormal by kind within its limits, in steps of 5 kVA. [kVA]"""
    rule = synthesis().ht
    table = np.array([rule.contract.get(row.name, (math.nan,) * 3) for row in kinds()])
    median, log_sd, most = table[kind].T
    kva = median * np.exp(log_sd * normals(seed, Stream.HT_CONSUMER, ids, 0))
    return 5.0 * np.round(np.clip(kva, rule.least_kva, most) / 5.0)


def _kinds(seed: int, ids: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Archetype of every consumer, drawn from its category's mix."""
    ladder = np.cumsum(kind_mix(), axis=1)
    u = uniforms(seed, Stream.HT_CONSUMER, ids, 1)
    return np.minimum((u[:, None] >= ladder[codes]).sum(axis=1), ladder.shape[1] - 1).astype(np.uint8)
