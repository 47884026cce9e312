"""Tables that do not change with time: cases, feeders, prices."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from twin.grid.state import StateGrid
from twin.grid.strata import Selection
from twin.grid.tables import DISCOMS, FEEDER_CLASSES
from twin.results.schema import arrow_schema
from twin.simulation.assignment import draw_pilot
from twin.simulation.plan import PointPlan
from twin.simulation.replicate import drawn_parameters
from twin.simulation.shard_tables import feeder_weights, named


def cases_table(points: list[PointPlan]) -> pa.Table:
    """One row per case: arm, replicate, swept values, drawn parameters."""
    rows = []
    for point in points:
        parameters = drawn_parameters(point)
        swept = json.dumps(dict(point.swept), sort_keys=True, default=str)
        for arm, name in enumerate(point.arms):
            for replicate in range(point.replicates):
                drawn = json.dumps(parameters[replicate], sort_keys=True)
                rows.append((point.case(arm, replicate), name, replicate, swept, drawn))
    rows.sort()
    columns = list(zip(*rows, strict=True))
    return pa.table([list(column) for column in columns], schema=arrow_schema("cases"))


def pilot_table(points: list[PointPlan], state: StateGrid, selection: Selection) -> pa.Table:
    """The draw of every pilot: one row per case of a pilot's world and eligible DT.

    Raises
    ------
    ScenarioError
        If there are fewer eligible DTs than the pilot needs.
    """
    parts = []
    for point in points:
        assert point.pilot_world is not None, "the scenario has a pilot"
        names = np.array([*point.tariff_arms, ""], dtype=object)  # OUTSIDE is the last one
        for replicate in range(point.replicates):
            draw = draw_pilot(point, state, selection, replicate)
            n = len(draw.dt_id)
            columns = {
                "case": np.full(n, point.case(point.pilot_world, replicate), np.int32),
                "dt_id": draw.dt_id,
                "feeder_id": draw.feeder.astype(np.int32),
                "feeder_class": named(draw.stratum, list(FEEDER_CLASSES)),
                "arm": names[draw.arm],
                "start": np.full(n, np.datetime64(point.tariff_start, "D")),
            }
            parts.append(pa.table(columns, schema=arrow_schema("pilot")))
    return pa.concat_tables(sorted(parts, key=lambda part: part.column("case")[0].as_py()))


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
