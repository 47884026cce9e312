"""Table ``dt_residuals``: energy that a DT's meter sent and its consumers' registers do not show, in standard errors.

    r = E (1 - l) - M,    z = r / sigma
    sigma^2 = (s_loss E)^2 + (s_dt E)^2 + (s_meter^2 + s_map^2) M^2 / n

E is what the DT's meter recorded over the run, M what the registers of the n consumers mapped to it gained on the same
days, l the usual share that is lost or not recorded without theft. ``s_loss`` is the spread of that share between DTs,
``s_dt`` and ``s_meter`` are those of meters' errors, and ``s_map = sqrt(2 w (1 + c^2))`` is what a share w of consumers
who are mapped wrongly does: w n of a DT's own are missing and as many others are there, each as a Poisson count, of a
size that spreads by c. Errors are independent, hence their squares add up (the AMI facts, model M10, add the errors
themselves, which is wider). All numbers are in ``twin/data/analysis.csv``. Days on which the DT's meter had failed are
left out on both sides. Nothing in the table is truth: theft shows as a large z, and so would a consumer who draws
though the utility holds him for disconnected and leaves his register out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.analysis.design import Experiment
from twin.analysis.frames import by_code
from twin.analysis.left_out import has_devices
from twin.analysis.tables import RunTables, asked_for, build, read_case
from twin.datapack import threshold
from twin.results.schema import arrow_schema

FloatArray = NDArray[np.float64]


class Usual(NamedTuple):
    """What a utility takes for usual at its DTs without theft."""

    loss: float
    loss_sd: float
    dt_meter_sd: float
    meter_sd: float
    wrong_mapping: float
    size_cv: float


def usual() -> Usual:
    """The data pack's numbers."""
    return Usual(*(threshold(f"residual_{name}") for name in Usual._fields))


def residuals(
    sent_kwh: FloatArray, mapped_kwh: FloatArray, meters: NDArray[np.int32], of: Usual
) -> tuple[FloatArray, FloatArray]:
    """Residual and its standard error, shape (n,) each; zero error where nothing was sent and mapped. [kWh]

    Parameters
    ----------
    sent_kwh, mapped_kwh : array, shape (n,)
        What DTs' meters recorded, and what the registers of the consumers gained who are mapped to them. [kWh]
    meters : array, shape (n,)
        How many consumers are mapped to each.
    """
    mapping = 2.0 * of.wrong_mapping * (1.0 + of.size_cv**2)
    of_sent = (of.loss_sd**2 + of.dt_meter_sd**2) * sent_kwh**2
    of_mapped = (of.meter_sd**2 + mapping) * mapped_kwh**2 / np.maximum(meters, 1)
    return sent_kwh * (1.0 - of.loss) - mapped_kwh, np.sqrt(of_sent + of_mapped)


def dt_residuals_table(run: RunTables, experiment: Experiment) -> pa.Table:
    """Table ``dt_residuals``: a row for each case and DT with a meter; empty where meters are not devices."""
    if not has_devices(run.scenario) or not asked_for(run.scenario, "dt_meters"):
        return build("dt_residuals", [])
    cases = [int(case) for case in np.sort(experiment.case.ravel())]
    # a network of the user's may have no DTs
    told = [case for case in cases if run.table("dt_meters", columns=["dt_id"], where=f'"case" = {case}').num_rows]
    return pa.concat_tables([build("dt_residuals", []), *(_case_rows(run, case, usual()) for case in told)])


def _case_rows(run: RunTables, case: int, of: Usual) -> pa.Table:
    names = ["dt_id", "sent_metered_kwh", "mapped_meters", "mapped_metered_kwh"]
    found = read_case(run, "dt_meters", case, names)
    dt_id, place = np.unique(found["dt_id"], return_inverse=True)
    n, there = len(dt_id), np.isfinite(found["sent_metered_kwh"].astype(np.float64))
    sent, mapped = (by_code(place[there], found[name][there], n) for name in (names[1], names[3]))
    meters = np.zeros(n, np.int32)
    meters[place] = found["mapped_meters"]
    residual, error = residuals(sent, mapped, meters, of)
    columns = {
        "case": np.full(n, case, np.int32),
        "dt_id": dt_id,
        "days": by_code(place, there * 1.0, n).astype(np.int32),
        "mapped_meters": meters,
        "sent_metered_kwh": sent,
        "mapped_metered_kwh": mapped,
        "residual_kwh": residual,
        "error_kwh": error,
        "z": pa.array(residual / np.where(error > 0.0, error, 1.0), mask=error == 0.0),
    }
    return pa.table(columns, schema=arrow_schema("dt_residuals"))
