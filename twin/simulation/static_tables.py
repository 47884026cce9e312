"""Tables that do not change with time: cases, feeders, prices."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from twin.grid.state import StateGrid
from twin.grid.strata import Selection
from twin.grid.tables import DISCOMS, FEEDER_CLASSES
from twin.results.schema import arrow_schema
from twin.simulation.plan import PointPlan
from twin.simulation.replicate import drawn_parameters
from twin.simulation.shard_tables import feeder_weights, named


def cases_table(points: list[PointPlan]) -> pa.Table:
    """One row per case: arm, replicate, swept values, drawn parameters."""
    rows = []
    for point in points:
        parameters = drawn_parameters(point)
        swept = json.dumps(dict(point.swept), sort_keys=True)
        for arm, name in enumerate(point.arms):
            for replicate in range(point.replicates):
                drawn = json.dumps(parameters[replicate], sort_keys=True)
                rows.append((point.case(arm, replicate), name, replicate, swept, drawn))
    rows.sort()
    columns = list(zip(*rows, strict=True))
    return pa.table([list(column) for column in columns], schema=arrow_schema("cases"))


def feeder_list_table(state: StateGrid, selection: Selection) -> pa.Table:
    """Every simulated feeder of the state with what it stands for."""
    rows = np.flatnonzero(selection.resolved | selection.sampled)
    feeders, pss = state.feeders, state.pss
    district = feeders.district[rows]
    columns = {
        "feeder_id": rows.astype(np.int32),
        "code": [feeders.code[row] for row in rows],
        "pss_id": feeders.pss[rows].astype(np.int32),
        "gss_id": named(pss.gss[feeders.pss[rows]], list(state.gss.id)),
        "district": named(district, list(state.districts.name)),
        "discom": named(state.districts.discom[district], list(DISCOMS)),
        "feeder_class": named(feeders.feeder_class[rows], list(FEEDER_CLASSES)),
        "stratum": feeders.stratum[rows].astype(np.int8),
        "resolved": selection.resolved[rows],
        "sampled": selection.sampled[rows],
        "weight": feeder_weights(state, selection)[rows],
        "consumers": feeders.n_consumers[rows].astype(np.int32),
        "dts": feeders.n_dts[rows].astype(np.int32),
    }
    return pa.table(columns, schema=arrow_schema("feeder_list"))
