"""Numbers of the outage model as the kernels take them, from ``twin/data/outages.yaml``."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_yaml
from twin.units import DAYS_PER_YEAR, HOURS_PER_DAY, HOURS_PER_YEAR

RURAL, URBAN = 0, 1
AREAS = ("rural", "urban")
CAUSES = ("trip", "planned", "relief", "substation", "dt_fault", "dt_burnout")
"""Causes by code: at the feeder's head (the first three), at its substation, at one DT."""
TRIP, PLANNED, RELIEF, SUBSTATION, DT_FAULT, DT_BURNOUT = range(len(CAUSES))
_TAILS = 5.0
"""Pick-up is followed for so many of its time constants: what is left then is under a hundredth of it."""


class OutageParams(NamedTuple):
    """Rates, times and durations. Arrays of shape (2,) are by area: `RURAL`, `URBAN`; of shape (12,) by month."""

    feeder_cv: float
    season: NDArray[np.float64]
    storm_multiple: float
    storm_h: float
    trip_per_h: NDArray[np.float64]
    trip_day_multiple: float
    trip_day_h: NDArray[np.float64]
    transient_share: float
    transient_h: NDArray[np.float64]
    trip_median_h: float
    trip_log_sd: float
    trip_most_h: float
    planned_per_day: NDArray[np.float64]
    planned_start_h: NDArray[np.float64]
    planned_h: NDArray[np.float64]
    planned_until: float
    relief_per_day: float
    relief_evening: float
    relief_day_h: NDArray[np.float64]
    relief_evening_h: NDArray[np.float64]
    relief_h: NDArray[np.float64]
    substation_per_h: NDArray[np.float64]
    substation_median_h: float
    substation_log_sd: float
    substation_most_h: float
    fault_per_day: NDArray[np.float64]
    fault_median_h: NDArray[np.float64]
    fault_log_sd: float
    fault_most_h: float
    burnout_per_day: NDArray[np.float64]
    burnout_season: NDArray[np.float64]
    burnout_median_h: NDArray[np.float64]
    burnout_log_sd: float
    burnout_most_h: float
    lost_h: float
    regained_h: float

    @property
    def tail_h(self) -> float:
        """Pick-up is over so long after an interruption. [h]"""
        return _TAILS * self.regained_h

    def days_back(self, most_h: float) -> int:
        """Days before a day whose interruptions, at most ``most_h`` long, may matter on it."""
        return math.ceil((most_h + self.tail_h) / HOURS_PER_DAY)


def pick_up_k(feeder_class: str, month: int) -> float:
    """Extra demand, over the usual, just after a very long interruption in a month (1 to 12). [-]"""
    return float(read_yaml("outages")["pick_up"]["k_by_month"]["value"][feeder_class][month - 1])


def least_counted_h() -> float:
    """Interruptions up to this count for MAIFI only. [h]"""
    return float(read_yaml("outages")["counting"]["least_min"]["value"]) / 60.0


def outage_params(causes: tuple[str, ...] = CAUSES, rate: float = 1.0, duration: float = 1.0) -> OutageParams:
    """The data pack's numbers; ``rate`` multiplies how often, ``duration`` how long repairs take.

    Causes that are not among ``causes`` never happen. Planned work and load relief last as long as they are planned.
    """
    spec = _values()

    def often(cause: str, value: Any) -> Any:
        return np.asarray(value) * (rate if cause in causes else 0.0)

    trip, planned, relief, substation = spec["trip"], spec["planned"], spec["relief"], spec["substation"]
    fault, burnout, storm, pick_up = spec["dt_fault"], spec["dt_burnout"], spec["storm"], spec["pick_up"]
    return OutageParams(
        feeder_cv=spec["spread"]["feeder_cv"], season=spec["season"]["by_month"],
        storm_multiple=storm["multiple"], storm_h=storm["hours"],
        trip_per_h=often("trip", trip["per_hour"]), trip_day_multiple=trip["day_multiple"],
        trip_day_h=trip["day_hours"], transient_share=trip["transient_share"], transient_h=trip["transient_h"],
        trip_median_h=trip["median_h"] * duration, trip_log_sd=trip["log_sd"], trip_most_h=trip["most_h"] * duration,
        planned_per_day=often("planned", planned["per_day"]), planned_start_h=planned["start_hours"],
        planned_h=planned["hours"], planned_until=planned["until"],
        relief_per_day=float(often("relief", relief["per_day"])), relief_evening=relief["evening_share"],
        relief_day_h=relief["day_hours"], relief_evening_h=relief["evening_hours"], relief_h=relief["hours"],
        substation_per_h=often("substation", substation["per_year"]) / HOURS_PER_YEAR,
        substation_median_h=substation["median_h"] * duration, substation_log_sd=substation["log_sd"],
        substation_most_h=substation["most_h"] * duration,
        fault_per_day=often("dt_fault", fault["per_year"]) / DAYS_PER_YEAR,
        fault_median_h=fault["median_h"] * duration, fault_log_sd=fault["log_sd"],
        fault_most_h=fault["most_h"] * duration,
        burnout_per_day=often("dt_burnout", burnout["per_year"]) / DAYS_PER_YEAR, burnout_season=burnout["by_month"],
        burnout_median_h=burnout["median_h"] * duration, burnout_log_sd=burnout["log_sd"],
        burnout_most_h=burnout["most_h"] * duration,
        lost_h=pick_up["lost_h"], regained_h=pick_up["regained_h"],
    )  # fmt: skip


@lru_cache(maxsize=1)
def _values() -> dict[str, dict[str, Any]]:
    """The values of the file by section; lists and areas as arrays."""
    sections = {name: part for name, part in read_yaml("outages").items() if isinstance(part, dict)}
    return {
        section: {name: _plain(entry["value"]) for name, entry in entries.items()}
        for section, entries in sections.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == set(AREAS):
        return np.array([float(value[area]) for area in AREAS])
    return np.array(value, np.float64) if isinstance(value, list) else value
