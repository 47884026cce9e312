"""Traits that hang on a meter's kind (smart, static, electromechanical): who steals past it, how old it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.calibrated import fitted
from twin.datapack import categories, read_yaml
from twin.meters.datasheets import Catalogue
from twin.meters.failure import YEAR_DAYS
from twin.meters.fleet import Fleet
from twin.meters.theft import KINDS, TheftParams
from twin.simulation.meter_stress import age_ranges, sort_of
from twin.simulation.population import Population
from twin.streams import Stream, uniforms


def theft_params() -> TheftParams:
    """Shares of thieves by kind, and what of their use is recorded."""
    spec = read_yaml("meter_fleet")["theft"]
    rows = [spec[name] for name in KINDS[1:]]
    low, high = zip(*(row["factor"] for row in rows), strict=True)
    return TheftParams(np.array([row["share"] * fitted("theft") for row in rows]), np.array(low), np.array(high))


def theft_flags(types: Catalogue) -> NDArray[np.float64]:
    """Probability that each type of meter sees each kind of theft, shape (n_types, n_kinds); 0 for none."""
    parts = [sheet.model.theft_flags for sheet in types.sheets]
    rows = [[0.0 if part is None else getattr(part, kind).value for kind in KINDS[1:]] for part in parts]
    return np.pad(np.array(rows), ((0, 0), (1, 0)))


def theft_multiple(population: Population, kind: NDArray[np.uint8], types: Catalogue) -> NDArray[np.float32]:
    """What multiplies the shares of thieves: by kind of meter, zero outside the groups that steal."""
    spec = read_yaml("meter_fleet")
    by_type = np.array(
        [spec["theft_multiple"][sort_of(types, code)]["value"] for code in range(len(types))], np.float32
    )
    may = np.array([row.smart_share_group in spec["theft_groups"]["value"] for row in categories()])
    return by_type[kind] * may[population.consumers.category]


def installed_days(seed: int, fleet: Fleet, types: Catalogue, day: int) -> NDArray[np.int32]:
    """Day on which each meter was put up, from an even spread of ages. Shape (n,)."""
    low, high = age_ranges(types)
    u = uniforms(seed, Stream.METER_AGE, fleet.ids)
    age = low[fleet.kind] + u * (high - low)[fleet.kind]
    return (day - 1 - np.floor(age * YEAR_DAYS)).astype(np.int32)
