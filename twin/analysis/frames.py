"""The static side of a run as columns: feeders with their strata, consumers with their weight, cell and district.

A *cell* is (category, income class): the finest group of consumers that results speak of. Cell = category code x 6 +
class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twin import datapack
from twin.analysis.design import resolved_districts
from twin.analysis.sampling import Sample, collapse
from twin.analysis.tables import RunTables, read
from twin.datapack import CLASSES
from twin.errors import Problem, RunFolderError

HT_FEEDER = -1
"""Feeder number of consumers on 11 kV and above, who hang on no 11 kV feeder of the list."""


@dataclass(frozen=True)
class Feeders:
    """Simulated feeders, rising by id; arrays of shape (n_feeders,) unless said otherwise.

    ``district`` and ``discom`` are rows of ``districts`` and ``discoms``; district -1 is one that is not resolved, or
    a feeder that stands for its stratum. ``sampled_rows`` are the rows that ``sample`` holds.
    """

    feeder_id: NDArray[np.int64]
    districts: tuple[str, ...]
    district: NDArray[np.int64]
    discoms: tuple[str, ...]
    discom: NDArray[np.int64]
    weight: NDArray[np.float64]
    sampled_rows: NDArray[np.int64]
    sample: Sample
    discom_of: Mapping[str, int] = field(default_factory=dict)
    """Row in ``discoms`` of every district of the list: whose are consumers that hang on no feeder."""

    @property
    def represented(self) -> bool:
        """Do sampled feeders stand for others, so that state figures have a sampling error?"""
        return len(self.sampled_rows) > 0


def read_feeders(run: RunTables) -> Feeders:
    """Feeders of a run that are simulated: resolved, sampled, or both."""
    names = ["feeder_id", "district", "discom", "stratum", "resolved", "sampled", "weight", "consumers"]
    rows = read(run, "feeder_list", names)
    districts = resolved_districts(run, rows)
    pairs = set(zip(rows["district"].tolist(), rows["discom"].tolist(), strict=True))
    keep = rows["resolved"].astype(bool) | rows["sampled"].astype(bool)
    rows = {name: values[keep] for name, values in rows.items()}
    sampled = rows["sampled"].astype(bool) & (rows["weight"] > 1.0)
    itself = rows["resolved"].astype(bool)
    district = _codes(rows["district"], districts)
    discoms = tuple(sorted(set(rows["discom"].tolist())))
    picked = np.flatnonzero(sampled)
    stratum = rows["stratum"][picked].astype(np.int64)
    sample = Sample(
        collapse(stratum, stratum % 4),
        rows["consumers"][picked].astype(np.float64),
        rows["weight"][picked].astype(np.float64),
    )
    return Feeders(
        rows["feeder_id"].astype(np.int64),
        districts,
        np.where(itself, district, -1),
        discoms,
        _codes(rows["discom"], discoms),
        rows["weight"].astype(np.float64),
        picked,
        sample,
        {str(name): discoms.index(discom) for name, discom in sorted(pairs) if discom in discoms},
    )


def no_feeders() -> Feeders:
    """Nothing: for results of the state alone, where a run did not write what its feeders did."""
    none, nothing = np.zeros(0, np.int64), np.zeros(0)
    return Feeders(none, (), none, (), none, nothing, none, Sample(none, nothing, nothing))


def rows_of(feeders: Feeders, feeder_id: NDArray[np.integer]) -> NDArray[np.int64]:
    """Row of each feeder id in ``feeders``; -1 for `HT_FEEDER`.

    Raises
    ------
    RunFolderError
        If an id is in no row of the feeder list.
    """
    wanted = feeder_id.astype(np.int64)
    row = np.searchsorted(feeders.feeder_id, wanted)
    row = np.minimum(row, len(feeders.feeder_id) - 1)
    found = feeders.feeder_id[row] == wanted
    if np.any(~found & (wanted != HT_FEEDER)):
        lost = int(wanted[~found & (wanted != HT_FEEDER)][0])
        what = f"feeder {lost} is not a simulated feeder of tables/feeder_list"
        raise RunFolderError([Problem("tables", "feeder_id", what, "the run is damaged; run it again")])
    return np.where(found, row, -1)


@dataclass(frozen=True)
class Consumers:
    """Simulated consumers, rising by id; arrays of shape (n_consumers,).

    ``sampled_row`` is the row of the consumer's feeder in `Feeders.sample`, -1 if it stands for itself; ``discom`` a
    row of `Feeders.discoms`, -1 if none is simulated.
    """

    consumer_id: NDArray[np.int64]
    categories: tuple[str, ...]
    cell: NDArray[np.int64]
    weight: NDArray[np.float64]
    district: NDArray[np.int64]
    sampled_row: NDArray[np.int64]
    discom: NDArray[np.int64]

    @property
    def n_cells(self) -> int:
        """Number of cells, empty ones included."""
        return len(self.categories) * CLASSES


def read_consumers(run: RunTables, feeders: Feeders) -> Consumers:
    """Consumers of a run with the groups, areas and strata that results need."""
    names = ["consumer_id", "feeder_id", "district", "category", "income_class", "resolved", "weight"]
    rows = read(run, "consumers", names)
    categories, cell = _cells(rows, "consumers")
    feeder = rows_of(feeders, rows["feeder_id"])
    itself = rows["resolved"].astype(bool) | (feeder < 0)
    return Consumers(
        rows["consumer_id"].astype(np.int64),
        categories,
        cell,
        rows["weight"].astype(np.float64),
        np.where(itself, _codes(rows["district"], feeders.districts), -1),
        _sampled_rows(feeders)[feeder],
        consumer_discoms(feeders, feeder, rows["district"]),
    )


def consumer_discoms(feeders: Feeders, feeder: NDArray[np.int64], district: NDArray) -> NDArray[np.int64]:
    """Row in ``feeders.discoms`` of each consumer: its feeder's, without a feeder (row -1) that of its district."""
    names, code = np.unique(district.astype(str), return_inverse=True)
    by_district = np.array([feeders.discom_of.get(str(name), -1) for name in names], np.int64)[code]
    return np.where(feeder < 0, by_district, feeders.discom[feeder])


@dataclass(frozen=True)
class Population:
    """Simulated consumers by feeder and cell (at 11 kV and above by PSS and district); arrays of shape (n_groups,).

    Each consumer of a group stands for ``weight`` of the state; ``within_free`` of them have a billed monthly average
    within the free block of a home. ``sampled_row`` as in `Consumers`.
    """

    categories: tuple[str, ...]
    cell: NDArray[np.int64]
    weight: NDArray[np.float64]
    sampled_row: NDArray[np.int64]
    consumers: NDArray[np.int64]
    within_free: NDArray[np.int64]


def read_population(run: RunTables, feeders: Feeders) -> Population:
    """Counts of a run's consumers, which every run holds."""
    names = ["feeder_id", "category", "income_class", "weight", "consumers", "billed_within_free"]
    rows = read(run, "population", names)
    categories, cell = _cells(rows, "population")
    return Population(
        categories,
        cell,
        rows["weight"].astype(np.float64),
        _sampled_rows(feeders)[rows_of(feeders, rows["feeder_id"])],
        rows["consumers"].astype(np.int64),
        rows["billed_within_free"].astype(np.int64),
    )


def _cells(rows: dict[str, NDArray], table: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of all categories, and the cell of each row."""
    categories = tuple(category.category for category in datapack.categories())
    category = _codes(rows["category"], categories)
    if (category < 0).any():
        name = str(rows["category"][category < 0][0])
        what = f"category {name!r} is not in twin/data/categories.csv"
        raise RunFolderError(
            [Problem(f"tables/{table}", "category", what, "read the run with the version that made it")]
        )
    return categories, category * CLASSES + rows["income_class"].astype(np.int64)


def _sampled_rows(feeders: Feeders) -> NDArray[np.int64]:
    """Of each row of ``feeders`` its row in ``feeders.sample``, -1 if it has none; the last entry serves feeder -1."""
    place = np.full(len(feeders.feeder_id) + 1, -1, dtype=np.int64)
    place[feeders.sampled_rows] = np.arange(len(feeders.sampled_rows))
    return place


def _codes(names: NDArray, known: tuple[str, ...]) -> NDArray[np.int64]:
    """Position of each name in ``known``, -1 where it is not there."""
    values, inverse = np.unique(names.astype(str), return_inverse=True)
    table = {name: position for position, name in enumerate(known)}
    return np.array([table.get(str(value), -1) for value in values], dtype=np.int64)[inverse]


def by_code(code: NDArray[np.int64], values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Sums of ``values`` by code 0..size-1 in row order; code -1 is left out."""
    return np.bincount(code + 1, weights=values, minlength=size + 1)[1:].astype(np.float64, copy=False)


Groups = tuple[tuple[str, NDArray[np.int64]], ...]


def groups(consumers: Consumers) -> Groups:
    """Names of groups and the cells in each: all, all homes, their income classes, every category, every income class
    of the homes in it. Empty groups are left out.
    """
    present = np.unique(consumers.cell)
    result = [("all", present)]
    homes = present[present % CLASSES > 0]
    if len(homes):
        result.append(("homes", homes))
        result += [(f"class/{k}", homes[homes % CLASSES == k]) for k in np.unique(homes % CLASSES).tolist()]
    for code, name in enumerate(consumers.categories):
        cells = present[present // CLASSES == code]
        if len(cells):
            result.append((f"category/{name}", cells))
            result += [(f"category/{name}/class/{c % CLASSES}", np.array([c])) for c in cells if c % CLASSES]
    return tuple(result)


def areas(feeders: Feeders) -> tuple[str, ...]:
    """Names of the areas of results: the state first, then the resolved districts."""
    return ("state", *(f"district:{name}" for name in feeders.districts))


def bill_areas(feeders: Feeders) -> tuple[str, ...]:
    """Names of the areas of bills and money: those of `areas`, then the discoms, estimated by weights."""
    return (*areas(feeders), *(f"discom:{name}" for name in feeders.discoms))
