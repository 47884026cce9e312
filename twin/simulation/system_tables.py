"""Tables that the driver writes for a block: the state's balance, grid substations, events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.economics.purchase import load_purchase, purchase_inr
from twin.powerflow.upper import STATUS, UpperResult
from twin.results.schema import arrow_schema
from twin.results.storage import FileRecord, Storage
from twin.simulation.border import StateLoad
from twin.simulation.messages import Failure, Q
from twin.simulation.own_border import SourcesAnswer
from twin.simulation.plan import PointPlan
from twin.units import KW_PER_MW, MINUTES_PER_DAY

if TYPE_CHECKING:
    from twin.simulation.settling import Settled


def interval_starts(date: dt.date, steps: int) -> NDArray[np.datetime64]:
    """Wall-clock starts of a day's intervals. Shape (steps,)."""
    minutes = np.arange(steps) * (MINUTES_PER_DAY // steps)
    return np.datetime64(date, "us") + minutes.astype("timedelta64[m]")


def clock_at(since: dt.date, microseconds: NDArray[np.float64]) -> NDArray[np.datetime64]:
    """Wall clock so long after a date's midnight, to the nearest microsecond."""
    return np.datetime64(since, "us") + np.rint(microseconds).astype("timedelta64[us]")


def case_path(table: str, case: int, stem: str, attempt: int) -> str:
    """Where a block's rows of a case go."""
    return f"tables/{table}/case={case}/{stem}-a{attempt:06d}.parquet"


def system_rows(
    case: int, date: dt.date, load: StateLoad, result: UpperResult | SourcesAnswer, contracted_mw: float | None = None
) -> pa.Table:
    """The state's balance step by step for one case. ``contracted_mw``: see `purchase_inr`."""
    steps = load.pss.shape[2]
    direct_mw = (load.ht33_kw.sum(axis=0) + load.ehv_kw.sum(axis=0)) / KW_PER_MW

    def total_mw(quantity: Q) -> NDArray[np.float64]:
        return load.pss[quantity].sum(axis=0) / KW_PER_MW

    unserved_mw = total_mw(Q.UNSERVED)
    if load.ehv_unserved_kw is not None:
        unserved_mw += load.ehv_unserved_kw / KW_PER_MW
    columns = {
        "case": np.full(steps, case, np.int32),
        "interval_start": interval_starts(date, steps),
        "sent_mw": result.sent_mw,
        "used_mw": total_mw(Q.USED) + direct_mw,
        "loss_ehv_mw": result.loss_ehv_mw,
        "loss_33kv_mw": result.loss_33kv_mw,
        "loss_11kv_mw": total_mw(Q.LOSS_11KV),
        "loss_dt_mw": total_mw(Q.LOSS_DT),
        "loss_lv_mw": total_mw(Q.LOSS_LV),
        "unserved_mw": unserved_mw,
        "purchase_inr": purchase_inr(result.sent_mw, date, load_purchase(), contracted_mw),
    }
    return pa.table(columns, schema=arrow_schema("system"))


def substation_rows(case: int, date: dt.date, result: UpperResult, stations: dict[str, list[Any]]) -> pa.Table:
    """Loading and voltage of every grid substation step by step for one case. ``stations``: fixed columns."""
    n, steps = result.gss_p_mw.shape
    fixed = {name: np.repeat(np.asarray(values, dtype=object), steps) for name, values in stations.items()}
    columns = {
        "case": np.full(n * steps, case, np.int32),
        "interval_start": np.tile(interval_starts(date, steps), n),
        **fixed,
        "p_mw": result.gss_p_mw.ravel(),
        "q_mvar": result.gss_q_mvar.ravel(),
        "vm_pu": result.gss_vm_pu.ravel(),
        "loading_percent": result.gss_loading_percent.ravel(),
    }
    return pa.table(columns, schema=arrow_schema("grid_substations"))


def upper_failures(result: UpperResult | SourcesAnswer) -> list[Failure]:
    """Steps that the grid at 33 kV and above did not solve, with their cause."""
    return [Failure("upper", int(step), STATUS[int(result.status[step])]) for step in np.flatnonzero(result.status)]


def event_rows(case: int, date: dt.date, steps: int, failures: Sequence[Failure]) -> pa.Table:
    """Failed solves of one case as events."""
    starts = interval_starts(date, steps)
    columns = {
        "case": [case] * len(failures),
        "interval_start": [starts[failure.step] for failure in failures],
        "entity": [failure.entity for failure in failures],
        "event": [failure.cause for failure in failures],
        "detail": [failure.detail for failure in failures],
    }
    return pa.table(columns, schema=arrow_schema("events"))


def write_system_tables(
    storage: Storage, attempt: int, stem: str, point: PointPlan, replicate: int, block: int, settled: Settled,
    stations: dict[str, list[Any]], contracted_mw: float | None = None,
) -> list[FileRecord]:  # fmt: skip
    """Write the driver's tables of a block for every arm."""
    records, date = [], point.dates[block]
    for arm in range(len(point.arms)):
        case, result = point.case(arm, replicate), settled.upper[arm]
        rows = {"system": system_rows(case, date, settled.loads[arm], result, contracted_mw)}
        if stations:
            rows["grid_substations"] = substation_rows(case, date, result, stations)
        failures = [failure for answer in settled.accepted[arm] for failure in answer.failures]
        failures += upper_failures(result)
        if failures:
            rows["events"] = event_rows(case, date, point.steps, failures)
        for table, data in rows.items():
            records.append(storage.write_table(case_path(table, case, stem, attempt), table, data))
    return records
