"""How many of everything, where: consumers, PSSs, feeders and DTs, shared out top-down so that all totals are exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.datapack import categories, category_kinds, kinds
from twin.grid.apportion import apportion_groups, dirichlet, largest_remainder, prefix, with_minimum
from twin.grid.settings import synthesis
from twin.grid.tables import FEEDER_CLASSES, blocks, districts
from twin.streams import Stream, normals

Counts = NDArray[np.int64]
Weights = NDArray[np.float64]

RURAL_MIXED, URBAN, INDUSTRIAL, AGRICULTURAL = range(4)
_FALLBACK = (RURAL_MIXED, URBAN, INDUSTRIAL, AGRICULTURAL)
"""Where consumers hang whose own class of feeder is missing at their PSS: the first class that is there."""
_FLOOR = 1e-12
"""Smallest weight of a feeder that may take consumers: a drawn share can be zero in floating point."""


def category_codes(*feeder_class: str) -> NDArray[np.int64]:
    """Codes of the categories that prefer one of the feeder classes (or "direct")."""
    return np.array([row.code for row in categories() if row.feeder_class in feeder_class])


def lv_categories() -> NDArray[np.int64]:
    """Codes of the categories supplied at low voltage, thus from feeders."""
    return category_codes(*FEEDER_CLASSES)


def category_totals() -> Counts:
    """Consumers of every category at full scale, shape (n_categories,)."""
    return np.array([round(row.consumers_million * 1e6) for row in categories()], np.int64)


def kind_mix() -> Weights:
    """Share of every kind within every category, shape (n_categories, n_kinds); rows sum to one."""
    names = {row.name: code for code, row in enumerate(kinds())}
    codes = {row.category: row.code for row in categories()}
    mix = np.zeros((len(codes), len(names)))
    for row in category_kinds():
        mix[codes[row.category], names[row.kind]] += row.share
    return mix / mix.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Land:
    """What the categories follow, per block."""

    district: NDArray[np.int32]
    rural_households: Weights
    urban_households: Weights
    all_households: Weights
    rural_area: Weights

    def weights(self, follows: str) -> Weights:
        """Weights of the blocks for a category that follows ``follows``."""
        return {
            "rural_households": self.rural_households,
            "urban_households": self.urban_households,
            "all_households": self.all_households,
            "rural_area": self.rural_area,
        }[follows]


def land() -> Land:
    """Households and rural land of all blocks. Rural land is what towns leave; none where nobody lives rurally."""
    codes = {row.name: code for code, row in enumerate(districts())}
    rural = np.array([row.rural_households_2011 for row in blocks()], float)
    urban = np.array([row.urban_households_2011 for row in blocks()], float)
    area = np.array([row.area_km2 for row in blocks()])
    open_km2 = np.maximum(area - urban / synthesis().places.urban_homes_per_km2, 0.0)
    return Land(
        district=np.array([codes[row.district] for row in blocks()], np.int32),
        rural_households=rural,
        urban_households=urban,
        all_households=rural + urban,
        rural_area=np.where(rural > 0, open_km2, 0.0),
    )


def block_counts(place: Land) -> Counts:
    """Consumers of every block and category, shape (n_blocks, n_categories); EHV columns stay zero."""
    first = prefix(np.bincount(place.district))
    out = np.zeros((len(place.district), len(categories())), np.int64)
    for row, total in zip(categories(), category_totals(), strict=True):
        if row.follows == "ehv":
            continue
        weights = place.weights(row.follows)
        by_district = largest_remainder(total, np.add.reduceat(weights, first[:-1]))
        out[:, row.code] = apportion_groups(by_district, first, weights)
    return out


def pss_per_block(place: Land, load_kw: Weights) -> Counts:
    """PSSs of every block, by load, at least one each, top-down through the districts."""
    n_blocks = np.bincount(place.district)
    first = prefix(n_blocks)
    by_district = with_minimum(synthesis().counts.pss, np.add.reduceat(load_kw, first[:-1]), n_blocks)
    parts = [
        with_minimum(int(total), load_kw[a:b], np.ones(b - a, np.int64))
        for total, a, b in zip(by_district, first[:-1], first[1:], strict=True)
    ]
    return np.concatenate(parts)


@dataclass(frozen=True)
class PssShares:
    """Which part of its block a PSS serves: town first, then village, cut into pieces of drawn size."""

    block: NDArray[np.int32]
    town: Weights
    village: Weights


def pss_shares(seed: int, n_pss: Counts, town_kw: Weights, village_kw: Weights) -> PssShares:
    """Cut the load of every block, town first, into as many pieces as it has PSSs. (n_blocks,) to (n_pss,)."""
    first = prefix(n_pss)
    rows = np.arange(first[-1])
    block = np.repeat(np.arange(len(n_pss)), n_pss).astype(np.int32)
    size = np.exp(synthesis().places.pss_size_log_sd * normals(seed, Stream.PSS_PLACE, rows, 2))
    ends = np.cumsum(size)
    before = (ends - size)[first[:-1]]
    whole = ends[first[1:] - 1] - before
    high = (ends - before[block]) / whole[block]
    low = (ends - size - before[block]) / whole[block]
    high[first[1:] - 1], low[first[:-1]] = 1.0, 0.0
    edge = np.divide(town_kw, town_kw + village_kw)[block]
    town = np.minimum(high, edge) - np.minimum(low, edge)
    return PssShares(block=block, town=town, village=np.maximum(high - low - town, 0.0))


def pss_counts(blocks_counts: Counts, n_pss: Counts, share: PssShares, industrial_feeders: Counts) -> Counts:
    """Consumers of every PSS and category, shape (n_pss, n_categories)."""
    first = prefix(n_pss)
    out = np.zeros((len(share.block), blocks_counts.shape[1]), np.int64)
    whole = share.town + share.village
    drawn = np.add.reduceat(industrial_feeders, first[:-1])[share.block]
    pull = synthesis().mix.industrial_area_share
    base = {
        "rural_households": share.village,
        "urban_households": share.town,
        "all_households": whole,
        "rural_area": share.village,
    }
    for row in categories():
        if row.follows == "ehv":
            continue
        weights = base[row.follows]
        if row.smart_share_group == "industrial" and row.follows != "rural_area":
            total = np.add.reduceat(weights, first[:-1])[share.block]
            share_of = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
            at_sites = np.divide(industrial_feeders, drawn, out=np.zeros_like(weights), where=drawn > 0)
            weights = np.where(drawn > 0, (1.0 - pull) * share_of + pull * at_sites, share_of)
        out[:, row.code] = apportion_groups(blocks_counts[:, row.code], first, weights)
    return out


def industrial_feeders(seed: int, town_kw: Weights) -> Counts:
    """Industrial feeders of every PSS: drawn to towns, some to others of their size by chance."""
    luck = np.exp(normals(seed, Stream.FEEDER_MIX, np.arange(len(town_kw)), 1))
    return largest_remainder(synthesis().counts.feeders_industrial, (town_kw + 1.0) * luck)


def feeders_per_pss(counts: Counts, category_kw: Weights, industrial: Counts) -> Counts:
    """Feeders of every PSS and class, shape (n_pss, 4). ``category_kw``: expected peak of one consumer."""
    total = synthesis().counts
    load = {name: counts[:, category_codes(name)] @ category_kw[category_codes(name)] for name in FEEDER_CLASSES}
    out = np.zeros((len(counts), 4), np.int64)
    out[:, INDUSTRIAL] = industrial
    in_town = load["urban"] >= synthesis().mix.least_town_kw
    out[in_town, URBAN] = with_minimum(total.feeders_urban, load["urban"][in_town], np.ones(in_town.sum(), np.int64))
    rural = counts[:, category_codes("rural_mixed")].sum(axis=1) > 0
    rural |= ~in_town & (counts[:, lv_categories()].sum(axis=1) > 0)
    weight = load["rural_mixed"][rural] + 1.0
    out[rural, RURAL_MIXED] = with_minimum(total.feeders_rural_mixed, weight, np.ones(rural.sum(), np.int64))
    pumps = counts[:, category_codes("agricultural")].sum(axis=1)
    farm = pumps >= synthesis().mix.least_farm_pumps
    out[farm, AGRICULTURAL] = with_minimum(
        total.feeders_agricultural, load["agricultural"][farm], np.ones(farm.sum(), np.int64)
    )
    return out


@dataclass(frozen=True)
class FeederCounts:
    """Feeders in PSS order, and by class within a PSS."""

    pss: NDArray[np.int32]
    feeder_class: NDArray[np.int8]
    by_category: NDArray[np.int32]


def feeder_counts(seed: int, pss: Counts, block: NDArray[np.int32], per_class: Counts) -> FeederCounts:
    """Share the consumers of every PSS among its feeders.

    The mix of categories of a feeder is a Dirichlet draw around its block's mix for feeders of its class; its size is
    lognormal. Both only weigh: the counts of a PSS add up exactly.
    """
    rule = synthesis().mix
    n_pss, n_categories = pss.shape
    of_pss = np.repeat(np.arange(n_pss), per_class.sum(axis=1))
    of_class = np.repeat(np.tile(np.arange(4), n_pss), per_class.ravel())
    serves = _serving_class(per_class, n_categories)
    mean = _block_mix(pss, block, serves)[block[of_pss], of_class]
    rows = np.arange(len(of_pss))
    mix = dirichlet(seed, Stream.FEEDER_MIX, rows, mean, rule.feeder_concentration)
    size = np.exp(rule.feeder_size_log_sd * normals(seed, Stream.FEEDER_MIX, rows, 2))
    first = prefix(per_class.sum(axis=1))
    out = np.zeros((len(rows), n_categories), np.int32)
    for c in lv_categories():
        weights = np.where(serves[of_pss, c] == of_class, size * mix[:, c] + _FLOOR, 0.0)
        out[:, c] = apportion_groups(pss[:, c], first, weights)
    return FeederCounts(of_pss.astype(np.int32), of_class.astype(np.int8), out)


def _serving_class(per_class: Counts, n_categories: int) -> NDArray[np.int8]:
    """Class of the feeders that serve a category at a PSS, shape (n_pss, n_categories); -1: not from feeders."""
    there = per_class > 0
    fallback = np.array(_FALLBACK)[there[:, _FALLBACK].argmax(axis=1)]
    out = np.full((len(per_class), n_categories), -1, np.int8)
    for row in categories():
        if row.feeder_class in FEEDER_CLASSES:
            own = FEEDER_CLASSES.index(row.feeder_class)
            out[:, row.code] = np.where(there[:, own], own, fallback)
    return out


def _block_mix(pss: Counts, block: NDArray[np.int32], serves: NDArray[np.int8]) -> Weights:
    """Mean mix of categories on the feeders of each class of each block, shape (n_blocks, 4, n_categories)."""
    out = np.zeros((int(block.max()) + 1, 4, pss.shape[1]))
    for feeder_class in range(4):
        np.add.at(out[:, feeder_class], block, np.where(serves == feeder_class, pss, 0))
    whole = out.sum(axis=2, keepdims=True)
    return np.divide(out, whole, out=np.zeros_like(out), where=whole > 0)


def dts_per_feeder(feeder_class: NDArray[np.int8], n_consumers: Counts, load_kw: Weights) -> Counts:
    """DTs of every feeder, by expected load within its class, at least one and at most one per consumer."""
    total = synthesis().counts
    others = total.dts - total.dts_farm
    town = [total.dt_share_urban, total.dt_share_industrial]
    share = np.array([1.0 - sum(town), *town])
    by_class = [*largest_remainder(others, share), total.dts_farm]
    out = np.zeros(len(feeder_class), np.int64)
    for code, dts in enumerate(by_class):
        rows = np.flatnonzero(feeder_class == code)
        out[rows] = _bounded(int(dts), load_kw[rows], n_consumers[rows])
    return out


def _bounded(total: int, weights: Weights, most: Counts) -> Counts:
    """As `with_minimum` with one each, and at most ``most``."""
    full = np.zeros(len(weights), bool)
    while True:
        out = np.where(full, most, 0)
        out[~full] = with_minimum(total - int(most[full].sum()), weights[~full], np.minimum(most[~full], 1))
        over = ~full & (out > most)
        if not over.any():
            return out
        full |= over
