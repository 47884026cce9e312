"""Table ``atc``: the aggregate technical and commercial loss, taken apart, by feeder, district, discom and state.

``AT&C = 1 - BE x CE``, with BE = billed / input energy. The input of a feeder, and of the areas made of feeders, is
what its head sends; that of the state is what leaves the transmission grid (sent less the loss at 132 kV and above).
``1 - BE`` falls apart into losses by level, what is used and not billed (theft, meter error with its sign, what meters
did not record, registers less what was estimated for them), and ``closure``, the numerical gap of the ledger. All parts
and ``billed`` add up to the input exactly, so that a missing part would show.

``AT&C = (1 - BE) + BE (1 - CE)``. With ``payments`` in the scenario, what is billed falls apart once more: collected
(CE, no more than 1), uncollected (1 - CE, negative where more came in than was billed), and what the cap cuts off. Then
AT&C is the input less the part collected. Else CE is 1. Nothing is written for runs under one billing month.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.analysis.design import Experiment, hours_per_step
from twin.analysis.frames import HT_FEEDER, Feeders, by_code, rows_of
from twin.analysis.loads import FEEDER_LOSSES, STATE_LOSSES, CaseLoads
from twin.analysis.payments import efficiency_by_area, is_collected
from twin.analysis.tables import RunTables, asked_for, build, read, read_case
from twin.analysis.utility import NON_TECHNICAL, has_boundary_meters, metered_input_mwh, sum_of_discoms, utility_row
from twin.units import KW_PER_MW

FloatArray = NDArray[np.float64]
NEEDS = ("feeders", "consumers", "bills")
"""Tables without which billed energy cannot be told by feeder."""
METERED_INPUT = "metered_input"
"""What the meters at the heads of feeders recorded: no part of the input, and no row of ``atc``."""
ESTIMATED_INPUT = "estimated_input"
"""What of it stands in for days on which they had failed."""
SEEN = (METERED_INPUT, ESTIMATED_INPUT)
Parts = dict[str, FloatArray]
"""Energies by part, an entry per area. [MWh]"""


def atc_tables(loads: CaseLoads, experiment: Experiment, feeders: Feeders) -> tuple[pa.Table, pa.Table]:
    """Tables ``atc`` and ``utility`` of a run: means over replicates. [MWh, percent of input]

    Empty where the run does not hold whole billing months, or leaves out a table of `NEEDS`; ``utility`` also where
    there are no meters at feeders' heads.
    """
    run = loads.run
    if not run.manifest.get("months_complete") or not all(asked_for(run.scenario, table) for table in NEEDS):
        return build("atc", []), build("utility", [])
    codes = read(run, "feeder_list", ["feeder_id", "code"])
    named = dict(zip(codes["feeder_id"].tolist(), codes["code"].tolist(), strict=True))
    feeder_names = [f"feeder:{named[feeder]}" for feeder in feeders.feeder_id.tolist()]
    whose = read(run, "consumers", ["consumer_id", "feeder_id", "dt_id"])
    rows: list[dict[str, Any]] = []
    estimated: list[dict[str, Any]] = []
    for point in range(len(experiment.points)):
        for arm in range(len(experiment.arms)):
            pairs = zip(experiment.case[point, arm], experiment.replicates, strict=True)
            drawn = [_drawn(loads, feeders, feeder_names, whose, int(case), replicate) for case, replicate in pairs]
            label = experiment.label(point, arm)
            mean = {area: _mean([one[area] for one in drawn]) for area in drawn[0]}
            for area, parts in mean.items():
                rows += _rows(label, area, {part: value for part, value in parts.items() if part not in SEEN})
            estimated += _estimated_rows(label, mean)
    return build("atc", rows), build("utility", estimated)


def _drawn(
    loads: CaseLoads, feeders: Feeders, feeder_names: list[str], whose: dict[str, NDArray], case: int, replicate: int
) -> dict[str, dict[str, float]]:
    """Parts of every area of one case, what is billed taken apart by what comes in where payments are modelled."""
    areas = case_areas(loads, feeders, feeder_names, whose, case)
    if is_collected(loads.run):
        efficiency = efficiency_by_area(loads.run, feeders, feeder_names, whose, case, replicate)
        areas = {name: parts | collected(parts["billed"], efficiency[name]) for name, parts in areas.items()}
    return areas


def _mean(drawn: list[dict[str, float]]) -> dict[str, float]:
    return {part: float(np.mean([one[part] for one in drawn])) for part in drawn[0]}


def _estimated_rows(label: str, areas: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Rows of table ``utility``; none without meters at feeders' heads."""
    own = {area: parts for area, parts in areas.items() if METERED_INPUT in parts}
    if own:
        own["state"] = sum_of_discoms(own)
    return [utility_row(label, area, parts, *(parts[name] for name in SEEN)) for area, parts in own.items()]


def collected(billed: float, efficiency: float) -> dict[str, float]:
    """Parts of billed energy by a collection efficiency that is not capped; they add up to ``billed``. [MWh]"""
    return {
        "collected": billed * min(efficiency, 1.0),
        "uncollected": billed * (1.0 - efficiency),
        "over_collected": billed * max(efficiency - 1.0, 0.0),
    }


def _rows(label: str, area: str, energy_mwh: Mapping[str, float]) -> list[dict[str, Any]]:
    total = energy_mwh["input"]
    return [
        {
            "arm": label,
            "area": area,
            "part": part,
            "energy_mwh": value,
            "percent_of_input": 100.0 * value / total if total else None,
        }
        for part, value in energy_mwh.items()
    ]


def case_areas(
    loads: CaseLoads, feeders: Feeders, feeder_names: list[str], whose: dict[str, NDArray], case: int
) -> dict[str, dict[str, float]]:
    """Parts of the input of every area of one case. [MWh]

    ``feeder_names`` in the order of ``feeders``; ``whose`` holds consumers with their feeder and DT, by consumer_id.
    """
    used, metered = _billed_energy(loads.run, feeders, whose, case)
    own = _feeder_parts(loads.run, feeders, whose, used, metered, case)
    if has_boundary_meters(loads.run):
        own[METERED_INPUT], own[ESTIMATED_INPUT] = metered_input_mwh(loads.run, feeders, case)
    areas: dict[str, dict[str, float]] = {}
    for place, name in enumerate(feeder_names):
        areas[name] = {part: float(values[place]) for part, values in own.items()}
    for kind, names, code, weight in (
        ("district", feeders.districts, feeders.district, np.ones(len(feeder_names))),
        ("discom", feeders.discoms, feeders.discom, feeders.weight),
    ):
        sums = {part: by_code(code, weight * values, len(names)) for part, values in own.items()}
        for place, name in enumerate(names):
            areas[f"{kind}:{name}"] = {part: float(values[place]) for part, values in sums.items()}
    areas["state"] = _state_parts(loads, feeders, own, used, metered, case)
    return areas


def _feeder_parts(
    run: RunTables, feeders: Feeders, whose: dict[str, NDArray], used: FloatArray, metered: FloatArray, case: int
) -> Parts:
    """Parts of the energy that each feeder's head sent, shape (n_feeders,). [MWh]"""
    n, to_mwh = len(feeders.feeder_id), hours_per_step(run) / KW_PER_MW
    columns = ["sent_kw", *(f"{name}_kw" for name in FEEDER_LOSSES)]
    heads = read_case(run, "feeders", case, ["feeder_id", *columns])
    place = rows_of(feeders, heads["feeder_id"])
    total = {name: by_code(place, heads[f"{name}_kw"] * to_mwh, n) for name in ("sent", *FEEDER_LOSSES)}
    theft, unrecorded = _past_the_meters(run, feeders, whose, case)
    estimate = _estimates(run, feeders, whose, case) if has_estimates(run) else None
    parts: Parts = {"input": total["sent"]} | {name: total[name] for name in FEEDER_LOSSES}
    parts |= {"theft": theft, "unrecorded": unrecorded, "meter_error": used[:n] - metered[:n] - theft - unrecorded}
    if estimate is not None:
        parts["meter_error"] -= estimate
        parts["estimate"] = estimate
    parts["billed"] = metered[:n]
    parts["closure"] = parts["input"] - sum(values for name, values in parts.items() if name != "input")
    return parts


def _billed_energy(
    run: RunTables, feeders: Feeders, whose: dict[str, NDArray], case: int
) -> tuple[FloatArray, FloatArray]:
    """Used and billed energy by feeder, HT consumers last, shape (n_feeders + 1,). [MWh]"""
    n = len(feeders.feeder_id)
    bills = read_case(run, "bills", case, ["consumer_id", "used_kwh", "metered_kwh"])
    feeder = whose["feeder_id"][np.searchsorted(whose["consumer_id"], bills["consumer_id"])]
    place = np.where(feeder == HT_FEEDER, n, rows_of(feeders, feeder))
    used, metered = (by_code(place, bills[name] / KW_PER_MW, n + 1) for name in ("used_kwh", "metered_kwh"))
    return used, metered


def _past_the_meters(
    run: RunTables, feeders: Feeders, whose: dict[str, NDArray], case: int
) -> tuple[FloatArray, FloatArray]:
    """Energy stolen, and not recorded by meters, by feeder; zeros where meters are not devices. [MWh]"""
    n = len(feeders.feeder_id)
    devices = (run.scenario.get("meters") or {}).get("devices", False)
    if not devices or not asked_for(run.scenario, "meter_balance"):
        return np.zeros(n), np.zeros(n)
    dt, first = np.unique(whose["dt_id"], return_index=True)
    rows = read_case(run, "meter_balance", case, ["dt_id", "theft_kwh", "unrecorded_kwh"])
    at = np.minimum(np.searchsorted(dt, rows["dt_id"]), len(dt) - 1)
    known = dt[at] == rows["dt_id"]  # a DT without consumers has nothing to steal
    place = rows_of(feeders, whose["feeder_id"][first[at[known]]])
    theft, unrecorded = (by_code(place, rows[name][known] / KW_PER_MW, n) for name in ("theft_kwh", "unrecorded_kwh"))
    return theft, unrecorded


def has_estimates(run: RunTables) -> bool:
    """Whether some of the run's bills rest on estimates, and table ``estimates`` tells which."""
    return bool((run.scenario.get("meters") or {}).get("devices", False)) and asked_for(run.scenario, "estimates")


def _estimates(run: RunTables, feeders: Feeders, whose: dict[str, NDArray], case: int) -> FloatArray:
    """What registers showed less what was billed for them, by feeder: positive where estimates are too low. [MWh]"""
    n = len(feeders.feeder_id)
    rows = read_case(run, "estimates", case, ["consumer_id", "metered_kwh", "billed_kwh"])
    feeder = whose["feeder_id"][np.searchsorted(whose["consumer_id"], rows["consumer_id"])]
    place = np.where(feeder == HT_FEEDER, n, rows_of(feeders, feeder))
    return by_code(place, (rows["metered_kwh"] - rows["billed_kwh"]) / KW_PER_MW, n + 1)[:n]


def _state_parts(
    loads: CaseLoads, feeders: Feeders, own: Parts, used: FloatArray, metered: FloatArray, case: int
) -> dict[str, float]:
    """Parts of the state's input. What is used is the ledger's; what of it is billed follows from the simulated
    consumers by their weights (a ratio estimator), HT consumers among them.
    """
    energy = loads.summary(case).energy_mwh["state"]
    weight = np.append(feeders.weight, 1.0)
    whole = float(np.sum(weight * used))
    shares: dict[str, float] = {
        name: float(np.sum(feeders.weight * own[name])) / whole
        for name in ("theft", "unrecorded", "estimate")
        if name in own
    }
    shares["billed"] = float(np.sum(weight * metered)) / whole
    shares["meter_error"] = 1.0 - sum(shares.values())
    parts = {"input": energy["sent"] - energy["loss_ehv"]}
    parts |= {name: energy[name] for name in STATE_LOSSES if name != "loss_ehv"}
    parts |= {name: energy["used"] * shares[name] for name in (*NON_TECHNICAL, "billed") if name in shares}
    parts["closure"] = parts["input"] - sum(value for name, value in parts.items() if name != "input")
    return parts
