"""The designs that ``twin optimize`` looks among, and which of them fit the registers of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from twin.datapack import read_yaml
from twin.errors import DataPackError, Problem
from twin.hours import NORMAL, has_normal_hours
from twin.scenario.schema import Scenario
from twin.scenario.zones import zone_problems

FloatArray = NDArray[np.float64]
SOLAR, PEAK = "solar", "peak"
HOURS_PER_DAY = 24
TABLES = ("consumers", "bills", "feeders")
"""What a run of the search writes: no more than its effects need."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Multipliers(_Part):
    """Bounds of the multipliers on the energy charge. [-]"""

    solar: tuple[float, float]
    peak: tuple[float, float]


class FreeUnits(_Part):
    """Bounds of the free units a month that may fall into a period. [kWh]"""

    peak: tuple[float, float]
    normal: tuple[float, float]


class Windows(_Part):
    """Bounds of the start and length of both periods. [h]"""

    solar_start: tuple[int, int]
    solar_hours: tuple[int, int]
    peak_start: tuple[int, int]
    peak_hours: tuple[int, int]

    @model_validator(mode="after")
    def _apart(self) -> Windows:
        if self.solar_start[1] + self.solar_hours[0] > self.peak_start[0]:
            raise ValueError("the shortest solar hours may end after the earliest peak begins")
        if self.peak_start[1] + self.peak_hours[1] > HOURS_PER_DAY + self.solar_start[0]:
            raise ValueError("the latest peak may end after the next day's solar hours begin")
        if self.solar_hours[1] + self.peak_hours[1] >= HOURS_PER_DAY:
            raise ValueError("the longest periods leave no normal hours")
        return self


class SearchBounds(_Part):
    """The file ``search.yaml``: lowest and highest of everything that is searched."""

    source: str
    multiplier: Multipliers
    free_kwh: FreeUnits
    windows: Windows

    @model_validator(mode="after")
    def _rising(self) -> SearchBounds:
        for part in (self.multiplier, self.free_kwh, self.windows):
            for name, (low, high) in part.model_dump().items():
                if not low < high:
                    raise ValueError(f"{name} must rise from its lowest to its highest")
        return self


@lru_cache(maxsize=1)
def search_bounds() -> SearchBounds:
    """Bounds of the search.

    Raises
    ------
    DataPackError
        With all problems of ``search.yaml``.
    """
    try:
        return SearchBounds.model_validate(read_yaml("search"))
    except ValidationError as error:
        raise DataPackError(
            [
                Problem("twin/data/search.yaml", ".".join(map(str, item["loc"])), item["msg"], "repair the file")
                for item in error.errors()
            ]
        ) from error


@dataclass(frozen=True)
class Candidate:
    """A time of day with a solar and a peak period, as a tariff could state it."""

    solar: float
    """Multiplier of the solar hours. [-]"""
    peak: float
    solar_hours: str
    peak_hours: str
    free_kwh: tuple[tuple[str, float], ...] = ()
    """Free units a month that may fall into a period; a period that is not named has no limit. [kWh]"""

    @property
    def tariff(self) -> dict[str, Any]:
        """The arm's tariff."""
        periods = {
            SOLAR: {"hours": self.solar_hours, "multiplier": self.solar},
            PEAK: {"hours": self.peak_hours, "multiplier": self.peak},
        }
        tariff: dict[str, Any] = {"time_of_day": {"applies_to": "gross", **periods}}
        if self.free_kwh:
            tariff["free_units"] = {"per_period": dict(self.free_kwh)}
        return tariff

    def free_in(self, period: str) -> float | None:
        """Free units that may fall into a period; None: no limit of its own. [kWh]"""
        return dict(self.free_kwh).get(period)


@dataclass(frozen=True)
class Space:
    """What is searched: multipliers always, windows and the free block's shape where asked for."""

    solar_hours: str
    peak_hours: str
    moves_windows: bool = False
    shapes_free: bool = False

    @cached_property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest of each coordinate, by name, in the order of a point."""
        all_bounds = search_bounds()
        found: dict[str, tuple[float, float]] = dict(all_bounds.multiplier.model_dump())
        if self.shapes_free:
            found["free_peak"] = all_bounds.free_kwh.peak
            if self.moves_windows or has_normal_hours({SOLAR: self.solar_hours, PEAK: self.peak_hours}):
                found["free_normal"] = all_bounds.free_kwh.normal
        if self.moves_windows:
            found |= all_bounds.windows.model_dump()
        return found

    @property
    def integrality(self) -> NDArray[np.bool_]:
        """Which coordinates are whole numbers: all but multipliers."""
        return np.array([name not in (SOLAR, PEAK) for name in self.bounds])

    def candidate(self, point: FloatArray) -> Candidate:
        """The design at a point, shape (coordinates,): multipliers to 0.01, hours and free units whole.

        Solar hours end where the peak begins at the latest, and the peak is no longer than they are.
        """
        at = dict(zip(self.bounds, (float(value) for value in point), strict=True))
        free = tuple((period, float(round(at[key]))) for period, key in FREE_KEYS.items() if key in at)
        solar_hours, peak_hours = self.solar_hours, self.peak_hours
        if self.moves_windows:
            start, peak_start = round(at["solar_start"]), round(at["peak_start"])
            end = min(start + round(at["solar_hours"]), peak_start)
            length = min(round(at["peak_hours"]), end - start)
            solar_hours, peak_hours = _window(start, end), _window(peak_start, peak_start + length)
        return Candidate(round(at[SOLAR], 2), round(at[PEAK], 2), solar_hours, peak_hours, free)

    def extremes(self) -> list[Candidate]:
        """Designs at the corners of the windows' bounds; with fixed windows the one in the middle."""
        middle = {name: (low + high) / 2 for name, (low, high) in self.bounds.items()}
        corners = search_bounds().windows.model_dump() if self.moves_windows else {}
        points = [{**middle, **dict(zip(corners, ends, strict=True))} for ends in product(*corners.values())]
        return [self.candidate(np.array(list(point.values()))) for point in points]


FREE_KEYS = {PEAK: "free_peak", NORMAL: "free_normal"}
"""Periods whose free units are searched, and the coordinate of each."""


def _window(start: int, end: int) -> str:
    return f"{start:02d}:00-{(end - 1) % HOURS_PER_DAY + 1:02d}:00"


def with_arms(scenario: Scenario, candidates: Mapping[str, Candidate]) -> Scenario:
    """The scenario with its first arm and an arm for each candidate; sweep, pilot and readings are left out.

    Raises
    ------
    pydantic.ValidationError
        If the arms do not fit the scenario.
    """
    experiment = scenario.resolved()["experiment"]
    first = scenario.arm_names[0]
    arms = {first: experiment["arms"][first]} | {name: {"tariff": one.tariff} for name, one in candidates.items()}
    own = {key: value for key, value in experiment.items() if key != "pilot"} | {"arms": arms}
    own["design"] = "counterfactual"
    return scenario.with_values({"experiment": own, "output": {"tables": list(TABLES)}})


def problems_of_arms(scenario: Scenario, candidates: Sequence[Candidate]) -> list[Problem]:
    """Why the candidates cannot be arms of one run; none: they can."""
    try:
        asked = with_arms(scenario, {f"c{place:02d}": one for place, one in enumerate(candidates)})
    except ValidationError as error:
        fix = 'write hours as "09-17" on the scenario\'s steps, the two apart'
        return [Problem("optimize", _option(item["loc"]), item["msg"], fix) for item in error.errors()]
    return [Problem("optimize", "--solar, --peak", what, fix) for what, fix in zone_problems(asked)]


def _option(loc: tuple[int | str, ...]) -> str:
    return "--solar, --peak" if loc[:2] == ("experiment", "arms") else ".".join(map(str, loc))


def shared_runs(scenario: Scenario, candidates: Sequence[Candidate]) -> tuple[list[list[int]], list[int]]:
    """Positions of candidates by the run they share, and those that not even a run of their own can hold.

    Arms of a run share its zones, and meters keep eight registers: a candidate goes into the first run whose zones
    still suffice with its windows.
    """
    runs: list[list[int]] = []
    left_out: list[int] = []
    for place, one in enumerate(candidates):
        for run in runs:
            if _hold(scenario, [candidates[other] for other in run], one):
                run.append(place)
                break
        else:
            if problems_of_arms(scenario, [one]):
                left_out.append(place)
            else:
                runs.append([place])
    return runs, left_out


def _hold(scenario: Scenario, others: Sequence[Candidate], one: Candidate) -> bool:
    if any((one.solar_hours, one.peak_hours) == (other.solar_hours, other.peak_hours) for other in others):
        return True  # the same windows make no further zones
    return not problems_of_arms(scenario, [*others, one])
