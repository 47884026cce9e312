"""Table ``losses``: energy sent, used and lost by level, per arm and area, over the run's days."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.analysis.design import Experiment, hours_per_step
from twin.analysis.frames import Feeders, by_code, rows_of
from twin.analysis.tables import RunTables, build, read_case
from twin.units import KW_PER_MW

FloatArray = NDArray[np.float64]
STATE_PARTS = ("sent", "used", "loss_ehv", "loss_33kv", "loss_11kv", "loss_dt", "loss_lv")
FEEDER_PARTS = ("sent", "used", "loss_11kv", "loss_dt", "loss_lv")


def loss_table(run: RunTables, experiment: Experiment, feeders: Feeders) -> pa.Table:
    """Table ``losses``: the mean over replicates of each part, and its share of the energy sent. [MWh, percent]

    The state covers all levels and every consumer. Districts (resolved ones) and discoms are seen from the heads of
    their 11 kV feeders, so their parts are those at 11 kV and below, without HT consumers; a discom is estimated from
    its simulated feeders by their weights.

    Raises
    ------
    RunFolderError
        If ``system`` or ``feeders`` has no rows for a case.
    """
    rows: list[dict[str, Any]] = []
    for point in range(len(experiment.points)):
        for arm in range(len(experiment.arms)):
            drawn = [case_energy(run, feeders, int(case)) for case in experiment.case[point, arm]]
            for area in drawn[0]:
                mean = {part: float(np.mean([one[area][part] for one in drawn])) for part in drawn[0][area]}
                label = experiment.label(point, arm)
                rows += [_row(label, area, part, value, mean["sent"]) for part, value in mean.items()]
    return build("losses", rows)


def _row(label: str, area: str, part: str, energy_mwh: float, sent_mwh: float) -> dict[str, Any]:
    percent = 100.0 * energy_mwh / sent_mwh if sent_mwh else None
    return {"arm": label, "area": area, "part": part, "energy_mwh": energy_mwh, "percent_of_sent": percent}


def case_energy(run: RunTables, feeders: Feeders, case: int) -> dict[str, dict[str, float]]:
    """Energy of one case by area and part. [MWh]"""
    step_h = hours_per_step(run)
    system = read_case(run, "system", case, [f"{part}_mw" for part in STATE_PARTS])
    result = {"state": {part: float(system[f"{part}_mw"].sum()) * step_h for part in STATE_PARTS}}
    rows = read_case(run, "feeders", case, ["feeder_id", *(f"{part}_kw" for part in FEEDER_PARTS)])
    row = rows_of(feeders, rows["feeder_id"])
    for part in FEEDER_PARTS:
        energy = by_code(row, rows[f"{part}_kw"], len(feeders.feeder_id)) * (step_h / KW_PER_MW)
        districts = by_code(feeders.district, energy, len(feeders.districts))
        discoms = by_code(feeders.discom, feeders.weight * energy, len(feeders.discoms))
        for kind, names, values in (
            ("district", feeders.districts, districts),
            ("discom", feeders.discoms, discoms),
        ):
            for name, value in zip(names, values, strict=True):
                result.setdefault(f"{kind}:{name}", {})[part] = float(value)
    return result
