"""Table ``meter_losses``: energy that meters did not show or that was billed wrongly, and what it is worth.

Used = metered + error + theft + unrecorded by DT and day (table ``meter_balance``); what registers showed less what was
billed for them by consumer and window (table ``estimates``). Energy of a DT is valued at what its consumers are charged
on average for a unit billed in the run, before subsidy and without fixed charges: what the discom would have billed,
at an average price. Consumers on 11 kV and above, who hang on no DT, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.analysis.design import Experiment
from twin.analysis.frames import Consumers, Feeders, areas, by_code, read_consumers
from twin.analysis.left_out import METER_LOSSES_NEED, has_devices
from twin.analysis.tables import RunTables, asked_for, build, read, read_case
from twin.units import KW_PER_MW, PAISE_PER_INR

FloatArray = NDArray[np.float64]
PARTS = ("used", "theft", "unrecorded", "error", "estimate")
NO_DT = -1


@dataclass(frozen=True)
class Dts:
    """DTs with consumers, rising by id; arrays of shape (n_dts,). ``of_consumer`` is each consumer's row, -1 for HT."""

    dt_id: NDArray[np.int64]
    weight: FloatArray
    district: NDArray[np.int64]
    of_consumer: NDArray[np.int64]


def meter_losses_table(run: RunTables, experiment: Experiment, feeders: Feeders) -> pa.Table:
    """Table ``meter_losses``: means over replicates, by arm and area; empty where meters are not devices."""
    if not has_devices(run.scenario) or not all(asked_for(run.scenario, table) for table in METER_LOSSES_NEED):
        return build("meter_losses", [])
    consumers = read_consumers(run, feeders)
    dts = read_dts(run, consumers)
    if len(dts.dt_id) == 0:  # a network of the user's may have no DTs
        return build("meter_losses", [])
    rows: list[dict[str, Any]] = []
    for point in range(len(experiment.points)):
        for arm in range(len(experiment.arms)):
            drawn = [case_losses(run, consumers, dts, int(case)) for case in experiment.case[point, arm]]
            mean = {part: np.mean([one[part] for one in drawn], axis=0) for part in PARTS}
            for place, (area, code) in enumerate(zip(areas(feeders), range(-1, len(feeders.districts)), strict=True)):
                inside = dts.weight if place == 0 else (dts.district == code) * 1.0
                rows += _rows(experiment.label(point, arm), area, {p: (inside * mean[p]).sum(axis=1) for p in PARTS})
    return build("meter_losses", rows)


def read_dts(run: RunTables, consumers: Consumers) -> Dts:
    """DTs of a run with the weight and the district of their consumers."""
    dt = read(run, "consumers", ["consumer_id", "dt_id"])["dt_id"].astype(np.int64)
    known, first, code = np.unique(dt, return_index=True, return_inverse=True)
    lv = known != NO_DT
    row = np.cumsum(lv) - 1
    of_consumer = np.where(lv[code], row[code], -1)
    return Dts(known[lv], consumers.weight[first[lv]], consumers.district[first[lv]], of_consumer)


def case_losses(run: RunTables, consumers: Consumers, dts: Dts, case: int) -> dict[str, FloatArray]:
    """Energy [MWh] and its worth [INR] by part and DT, shape (2, n_dts) each."""
    n = len(dts.dt_id)
    price = _inr_per_kwh(run, consumers, dts, case)
    rows = read_case(run, "meter_balance", case, ["dt_id", *(f"{part}_kwh" for part in PARTS[:-1])])
    at = np.minimum(np.searchsorted(dts.dt_id, rows["dt_id"]), n - 1)
    place = np.where(dts.dt_id[at] == rows["dt_id"], at, -1)  # a DT without consumers has nothing to lose
    kwh = {part: by_code(place, rows[f"{part}_kwh"], n) for part in PARTS[:-1]}
    kwh["estimate"] = _estimates(run, consumers, dts, case)
    return {part: np.stack([values / KW_PER_MW, values * price]) for part, values in kwh.items()}


def _inr_per_kwh(run: RunTables, consumers: Consumers, dts: Dts, case: int) -> FloatArray:
    """Energy charge before subsidy per unit billed, by DT; where nothing is billed, that of all. [INR/kWh]"""
    bills = read_case(run, "bills", case, ["consumer_id", "metered_kwh", "energy_paise"])
    place = dts.of_consumer[np.searchsorted(consumers.consumer_id, bills["consumer_id"])]
    n = len(dts.dt_id)
    inr = by_code(place, bills["energy_paise"] / PAISE_PER_INR, n)
    kwh = by_code(place, bills["metered_kwh"].astype(np.float64), n)
    whole = float(inr.sum() / kwh.sum()) if kwh.sum() else 0.0
    return np.divide(inr, kwh, out=np.full(n, whole), where=kwh > 0)


def _estimates(run: RunTables, consumers: Consumers, dts: Dts, case: int) -> FloatArray:
    """What registers showed less what was billed for them, by DT; without rows all is billed as read. [kWh]"""
    names = ["consumer_id", "metered_kwh", "billed_kwh"]
    rows = run.table("estimates", columns=names, where=f'"case" = {case}')
    if rows.num_rows == 0:
        return np.zeros(len(dts.dt_id))
    found = read_case(run, "estimates", case, names)
    place = dts.of_consumer[np.searchsorted(consumers.consumer_id, found["consumer_id"])]
    return by_code(place, found["metered_kwh"] - found["billed_kwh"], len(dts.dt_id))


def _rows(label: str, area: str, sums: Mapping[str, FloatArray]) -> list[dict[str, Any]]:
    used = float(sums["used"][0])
    return [
        {
            "arm": label,
            "area": area,
            "part": part,
            "energy_mwh": float(values[0]),
            "percent_of_used": 100.0 * float(values[0]) / used if used else None,
            "value_inr": None if part == "used" else float(values[1]),
        }
        for part, values in sums.items()
    ]
