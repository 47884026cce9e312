"""Table ``prices``: what one more unit costs, by category and class, and for what share of consumers it is zero.

Shards count consumers in whole numbers by what they stand for; the driver weighs the counts, so that the table does not
depend on how the state was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.datapack import categories, kinds
from twin.economics.prices import PriceCounts, count_prices, price_counts, price_rows
from twin.grid.state import N_STRATA, StateGrid
from twin.grid.strata import Selection
from twin.results.schema import arrow_schema
from twin.simulation.plan import PointPlan, month_end
from twin.simulation.response import rows_of
from twin.simulation.shard_tables import feeder_weights
from twin.units import WH_PER_KWH

if TYPE_CHECKING:
    from twin.simulation.block import BlockSolver
    from twin.simulation.replicate import ReplicateWorld

N_GROUPS = 1 + N_STRATA
"""Consumers that stand for themselves, then those of each stratum's sample."""
CHUNK = 1 << 16
"""Consumers counted at once, so that their prices stay in the processor's cache."""


def weight_group(state: StateGrid, selection: Selection, feeder: NDArray[np.int32]) -> NDArray[np.int64]:
    """Which of `N_GROUPS` each consumer belongs to, from its feeder (-1: HT, itself). Shape (n,)."""
    by_feeder = np.where(selection.sampled, 1 + state.feeders.stratum, 0).astype(np.int64)
    return np.append(by_feeder, 0)[feeder]


def group_weights(state: StateGrid, selection: Selection) -> NDArray[np.float64]:
    """Weight of a consumer in each group, shape (N_GROUPS,)."""
    weights = np.ones(N_GROUPS)
    by_feeder = feeder_weights(state, selection)
    for stratum in range(N_STRATA):
        rows = np.flatnonzero(selection.sampled & (state.feeders.stratum == stratum))
        if len(rows):
            weights[1 + stratum] = by_feeder[rows[0]]
    return weights


def count_shard(world: ReplicateWorld, solver: BlockSolver, group: NDArray[np.int64]) -> list[list[PriceCounts]]:
    """Whole-number counts by arm and group, at each consumer's expected normal month."""
    plan, consumers = world.plan, world.population.consumers
    date = plan.tariff_start
    expected_kwh, days = world.expected_day_kwh(solver, date), month_end(date).day
    columns = world.response.columns
    income = np.array([row.income_class for row in kinds()], np.int64)
    rates = [plan.rates(arm, date) for arm in range(len(plan.tariff_arms))]
    counts = [[price_counts(len(categories()), plan.zones.n_zones) for _ in range(N_GROUPS)] for _ in rates]
    for start in range(0, len(consumers), CHUNK):
        chunk = slice(start, start + CHUNK)
        month_wh = np.rint(expected_kwh[chunk] * (days * WH_PER_KWH)).astype(np.int64)
        own, income_class = rows_of(columns, chunk), income[consumers.kind[chunk]]
        for arm, into in enumerate(counts):
            count_prices(rates[arm], own, income_class, month_wh, group[chunk], into)
    return counts


def prices_table(plan: PointPlan, shards: list[list[list[PriceCounts]]], weights: NDArray[np.float64]) -> pa.Table:
    """The table of a plan from every shard's counts."""
    rows = []
    for arm, name in enumerate(plan.tariff_arms):
        rates = plan.rates(arm, plan.tariff_start)
        total = price_counts(len(categories()), plan.zones.n_zones)
        for code in range(N_GROUPS):
            whole = [shard[arm][code] for shard in shards]
            total.weight[:] += weights[code] * sum(part.weight for part in whole)
            total.zero[:] += weights[code] * sum(part.zero for part in whole)
        rows += price_rows(name, plan.arm_tariffs[arm], rates, plan.zones, total)
    columns = [list(column) for column in zip(*rows, strict=True)]
    return pa.table(columns, schema=arrow_schema("prices"))
