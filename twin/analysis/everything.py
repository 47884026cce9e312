"""Everything that the analysis makes of a finished run, table by table."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pyarrow as pa

from twin.analysis.atc import atc_tables
from twin.analysis.calibration import calibration_table
from twin.analysis.design import Experiment, is_own_network, read_experiment
from twin.analysis.dt_residuals import dt_residuals_table
from twin.analysis.effects import effects_and_gains
from twin.analysis.frames import Feeders, no_feeders, read_feeders, read_population
from twin.analysis.gap import gap_tables
from twin.analysis.left_out import left_out
from twin.analysis.loads import CaseLoads
from twin.analysis.losses import loss_table
from twin.analysis.meter_losses import meter_losses_table
from twin.analysis.payments import payments_table
from twin.analysis.pilot.effects import pilot_effects_table
from twin.analysis.reliability import reliability_table
from twin.analysis.sensitivity import sensitivity_table
from twin.analysis.tables import RunTables, asked_for, build

LOG = logging.getLogger(__name__)


def analyse(run: RunTables, estimates: Mapping[str, float]) -> dict[str, pa.Table]:
    """Tables that the analysis makes of a run (effects, losses, AT&C, calibration ...), by the dictionary.

    Results that need a table which the scenario's ``output.tables`` leaves out are not among them: see
    `twin.analysis.left_out`. Without bills, no table of the size of the population is read.

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
        If a table that this needs and the scenario asks for is missing, empty, or of cases that do not pair.
    """
    experiment = read_experiment(run)
    feeders = read_feeders(run)
    loads = CaseLoads(run, feeders if asked_for(run.scenario, "feeders") else no_feeders())
    for part in left_out(run.scenario):
        LOG.info("not written: output.tables leaves out %s, so there is no %s", *part.words)
    effects, gains = effects_and_gains(loads, experiment, feeders)
    gap, gap_effects = gap_tables(loads, experiment, feeders)
    effects = pa.concat_tables([effects, gap_effects])
    atc, utility = atc_tables(loads, experiment, feeders)
    return {
        "effects": effects,
        "gains": gains,
        "losses": loss_table(loads, experiment),
        "atc": atc,
        "utility": utility,
        "gap": gap,
        "meter_losses": meter_losses_table(run, experiment, feeders),
        "dt_residuals": dt_residuals_table(run, experiment),
        "payments": payments_table(run, experiment, feeders),
        "reliability": reliability_table(run, experiment, feeders),
        "calibration": _calibration(loads, experiment, feeders, estimates),
        "sensitivity": sensitivity_table(experiment, effects),
        "pilot_effects": pilot_effects_table(run, experiment),
    }


def _calibration(
    loads: CaseLoads, experiment: Experiment, feeders: Feeders, estimates: Mapping[str, float]
) -> pa.Table:
    """Table ``calibration``: published numbers speak of the state, so that a network of the user's has none."""
    run = loads.run
    if is_own_network(run.scenario):
        return build("calibration", [])
    return calibration_table(loads, experiment, feeders, read_population(run, feeders), estimates)
