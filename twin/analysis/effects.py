"""The tables ``effects`` and ``gains``: every arm against the first arm in the file, paired by replicate."""

from __future__ import annotations

import pyarrow as pa

from twin.analysis.bill_effects import add_bill_effects
from twin.analysis.design import Experiment
from twin.analysis.dt_effects import add_transformer_effects
from twin.analysis.effect_rows import EffectRows
from twin.analysis.frames import Feeders, read_consumers
from twin.analysis.left_out import holds_bills
from twin.analysis.loads import CaseLoads
from twin.analysis.network_effects import add_network_effects
from twin.analysis.tables import RunTables, asked_for, build, read


def effects_and_gains(loads: CaseLoads, experiment: Experiment, feeders: Feeders) -> tuple[pa.Table, pa.Table]:
    """Tables ``effects`` and ``gains`` of a finished run; both empty for a single arm.

    Outcomes that need a table which the scenario leaves out are left out (`twin.analysis.left_out`).

    Outcomes by unit: evening_peak, peak_any (MW; kW for area dt:worst), energy_moved, energy_saved (GWh for the state,
    MWh for a district; positive saved = less used; reference = the first arm's used energy), technical_loss (MWh),
    technical_loss_share, voltage_violations (percentage points; reference in percent), dt_overload_hours (h),
    purchase_cost, capacity_value (a change of the highest load at the yearly value of firm capacity, by days),
    revenue, duty, subsidy, consumer_payment (INR over the run's days; consumer_payment = revenue + duty - subsidy),
    bill_unchanged, bill_response, surplus (INR/month per consumer; reference = the first arm's mean monthly bill).

    Raises
    ------
    RunFolderError
        If a table that this needs and the scenario asks for has no rows, or rows of two arms do not pair.
    """
    run, rows = loads.run, EffectRows()
    gains: list[dict] = []
    if len(experiment.arms) > 1:
        consumers = read_consumers(run, feeders) if holds_bills(run.scenario) else None
        for point in range(len(experiment.points)):
            add_network_effects(loads, experiment, point, rows)
            if asked_for(run.scenario, "transformers") and _has_transformers(run):
                add_transformer_effects(run, experiment, feeders, point, rows)
            if consumers is not None:
                gains += add_bill_effects(run, experiment, feeders, consumers, point, rows)
    return build("effects", rows.rows), build("gains", gains)


def _has_transformers(run: RunTables) -> bool:
    """Does the grid have distribution transformers? A network of the user's may have none."""
    return bool(read(run, "feeder_list", ["dts"])["dts"].sum() > 0)
