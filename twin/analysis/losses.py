"""Table ``losses``: energy sent, used and lost by level, per arm and area, over the run's days."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from twin.analysis.design import Experiment
from twin.analysis.loads import CaseLoads
from twin.analysis.tables import build


def loss_table(loads: CaseLoads, experiment: Experiment) -> pa.Table:
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
            drawn = [loads.summary(int(case)).energy_mwh for case in experiment.case[point, arm]]
            for area in drawn[0]:
                mean = {part: float(np.mean([one[area][part] for one in drawn])) for part in drawn[0][area]}
                label = experiment.label(point, arm)
                rows += [_row(label, area, part, value, mean["sent"]) for part, value in mean.items()]
    return build("losses", rows)


def _row(label: str, area: str, part: str, energy_mwh: float, sent_mwh: float) -> dict[str, Any]:
    percent = 100.0 * energy_mwh / sent_mwh if sent_mwh else None
    return {"arm": label, "area": area, "part": part, "energy_mwh": energy_mwh, "percent_of_sent": percent}
