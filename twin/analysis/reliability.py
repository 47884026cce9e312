"""Table ``reliability``: what consumers lived through without supply, as a regulator counts it.

By area and kind of feeder. Means over consumers, from table ``supply``: SAIFI is interruptions longer than 5 minutes
per consumer, SAIDI their hours, MAIFI the shorter ones (IEEE 1366's indices with the threshold of Bihar's supply code),
all over the run's days. Consumers of low voltage only: those at 11 kV and above are not counted by feeder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.analysis.design import Experiment
from twin.analysis.estimate import Estimate, mean_estimate
from twin.analysis.frames import Feeders, by_code
from twin.analysis.tables import RunTables, asked_for, build, read, read_case
from twin.datapack import URBAN_FEEDER_CLASSES

FloatArray = NDArray[np.float64]
UNITS = {
    "saifi": "interruptions", "maifi": "interruptions", "saidi": "h", "supplied": "h/day", "unserved": "kWh/consumer",
}  # fmt: skip
"""Measures: per consumer and run, but ``supplied``, which is per day."""
ROUNDING = 1e-9
COLUMNS = {"saifi": "interruptions", "maifi": "momentary", "saidi": "counted_h", "supplied": "supplied_h"}


@dataclass(frozen=True)
class Lived:
    """What feeders' consumers lived through, shape (n_feeders,) in the order of `Feeders`; nothing is weighted."""

    consumers: FloatArray
    measures: dict[str, FloatArray]
    """Per consumer."""


def is_interrupted(run: RunTables) -> bool:
    """Does a run model interruptions, and hold what its consumers lived through?"""
    return run.scenario.get("outages") is not None and asked_for(run.scenario, "supply")


def reliability_table(run: RunTables, experiment: Experiment, feeders: Feeders) -> pa.Table:
    """Table ``reliability``: means over replicates; the state's with the sampling error of the first one.

    Empty where supply is never interrupted.
    """
    if not is_interrupted(run):
        return build("reliability", [])
    feeder_class = read(run, "feeder_list", ["feeder_id", "feeder_class"])
    place = np.searchsorted(feeder_class["feeder_id"].astype(np.int64), feeders.feeder_id)
    is_urban = np.isin(feeder_class["feeder_class"][place].astype(str), URBAN_FEEDER_CLASSES)
    rows: list[dict[str, Any]] = []
    for point in range(len(experiment.points)):
        for arm in range(len(experiment.arms)):
            drawn = [lived_through(run, feeders, int(case)) for case in experiment.case[point, arm]]
            rows += _rows(feeders, is_urban, experiment.label(point, arm), drawn)
    return build("reliability", rows)


def lived_through(run: RunTables, feeders: Feeders, case: int) -> Lived:
    """Sums over the days of a case, by feeder; supply as the mean of its days."""
    rows = read_case(run, "supply", case, ["feeder_id", "date", "consumers", *COLUMNS.values(), "unserved_kwh"])
    place = np.searchsorted(feeders.feeder_id, rows["feeder_id"].astype(np.int64))
    size, days = len(feeders.feeder_id), len(np.unique(rows["date"]))
    sums = {name: by_code(place, rows[column].astype(np.float64), size) for name, column in COLUMNS.items()}
    consumers = by_code(place, rows["consumers"].astype(np.float64), size) / days
    sums["supplied"] = sums["supplied"] / days
    unserved = by_code(place, rows["unserved_kwh"].astype(np.float64), size)
    sums["unserved"] = np.divide(unserved, consumers, out=np.zeros(size), where=consumers > 0)
    return Lived(consumers, sums)


def _rows(feeders: Feeders, is_urban: NDArray[np.bool_], label: str, drawn: list[Lived]) -> list[dict[str, Any]]:
    areas = {"state": np.ones(len(is_urban), bool)}
    areas |= {f"discom:{name}": feeders.discom == code for code, name in enumerate(feeders.discoms)}
    areas |= {f"district:{name}": feeders.district == code for code, name in enumerate(feeders.districts)}
    kinds = {"all": np.ones(len(is_urban), bool), "rural": ~is_urban, "urban": is_urban}
    rows = []
    for area, inside in areas.items():
        for kind, of_kind in kinds.items():
            mask = (inside & of_kind).astype(np.float64)
            weight = mask if area.startswith("district:") else mask * feeders.weight
            if not (weight * drawn[0].consumers).any():
                continue
            for measure, unit in UNITS.items():
                means = [Estimate(_mean(one, measure, weight)) for one in drawn]
                if area == "state":
                    means = [_state_mean(feeders, one, measure, mask) for one in drawn]
                value = mean_estimate(means)
                low, high = value.bounds()
                rows.append({
                    "arm": label, "area": area, "feeders": kind, "measure": measure, "value": value.value, "low": low,
                    "high": high, "unit": unit,
                })  # fmt: skip
    return rows


def _mean(lived: Lived, measure: str, weight: FloatArray) -> float:
    people = weight * lived.consumers
    return float(np.sum(people * lived.measures[measure]) / np.sum(people))


def _state_mean(feeders: Feeders, lived: Lived, measure: str, mask: FloatArray) -> Estimate:
    """Mean over the state's consumers with its sampling error: a ratio of two estimated totals, linearised."""
    mean = _mean(lived, measure, mask * feeders.weight)
    if not feeders.represented:
        return Estimate(mean)
    people = mask * lived.consumers
    part = people * (lived.measures[measure] - mean) / float(np.sum(people * feeders.weight))
    error, freedom = feeders.sample.error(part[feeders.sampled_rows])
    if error <= ROUNDING * abs(mean):  # feeders that only stand for their stratum have its mean: nothing to err in
        return Estimate(mean)
    return Estimate(mean, error, freedom)


def supply_hours(run: RunTables, feeders: Feeders, case: int) -> Estimate:
    """Hours of supply a day of the state's consumers of low voltage in a case."""
    return _state_mean(feeders, lived_through(run, feeders, case), "supplied", np.ones(len(feeders.feeder_id)))
