"""Everything that the analysis makes of a finished run, table by table."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from twin.analysis.calibration import calibration_table
from twin.analysis.design import read_experiment
from twin.analysis.effects import effects_and_gains
from twin.analysis.frames import read_consumers, read_feeders
from twin.analysis.loads import CaseLoads
from twin.analysis.losses import loss_table
from twin.analysis.sensitivity import sensitivity_table
from twin.analysis.tables import RunTables


def analyse(run: RunTables, estimates: Mapping[str, float]) -> dict[str, pa.Table]:
    """Tables ``effects gains losses calibration sensitivity`` of a run, each with exactly the dictionary's columns.

    Parameters
    ----------
    run : RunTables
        A finished run, as `twin.results.reader.open_run` opens it. Read case by case.
    estimates : mapping
        What cannot be read from the run's tables: see `twin.analysis.calibration.HANDED_IN`.

    Returns
    -------
    dict of pyarrow.Table
        Reduced in entity order: the same run gives the same bits, in whatever order its rows are stored.

    Raises
    ------
    RunFolderError
        If a table that this needs is missing, empty, or of cases that do not pair.
    """
    experiment = read_experiment(run)
    loads = CaseLoads(run, read_feeders(run))
    consumers = read_consumers(run, loads.feeders)
    effects, gains = effects_and_gains(loads, experiment, consumers)
    return {
        "effects": effects,
        "gains": gains,
        "losses": loss_table(loads, experiment),
        "calibration": calibration_table(loads, experiment, consumers, estimates),
        "sensitivity": sensitivity_table(experiment, effects),
    }
