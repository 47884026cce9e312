"""Which case is which arm, replicate and sweep point. The first arm in the file is the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.analysis.tables import RunTables, read
from twin.errors import Problem, RunFolderError

PILOT = "pilot"
"""The design with a world in which transformers are randomised."""


@dataclass(frozen=True)
class Experiment:
    """The cases of a run.

    ``case[p, a, r]`` is the number of the case of sweep point p, arm a, replicate r. Arms stand in file order, arm 0
    is the baseline; a run without a sweep has the one point ``{}``.
    """

    points: tuple[str, ...]
    arms: tuple[str, ...]
    replicates: tuple[int, ...]
    case: NDArray[np.int64]
    pilot_case: NDArray[np.int64] | None = None
    """Case of the pilot's own world by sweep point and replicate; None: there is no pilot."""

    def label(self, point: int, arm: int) -> str:
        """Name of an arm in result tables; with a sweep the swept values follow the arm's name."""
        return self.arms[arm] if len(self.points) == 1 else f"{self.arms[arm]} {self.points[point]}"


def read_experiment(run: RunTables) -> Experiment:
    """Cases of a run by sweep point, arm and replicate; the world of a pilot stands beside them.

    Raises
    ------
    RunFolderError
        If there are no cases, or an arm misses a replicate that another has (the pairs would not be pairs).
    """
    rows = read(run, "cases", ["case", "arm", "replicate", "sweep"])
    order = np.argsort(rows["case"], kind="stable")
    arm, sweep = rows["arm"][order], rows["sweep"][order]
    case, replicate = rows["case"][order], rows["replicate"][order]
    points, arms = tuple(dict.fromkeys(sweep.tolist())), tuple(dict.fromkeys(arm.tolist()))
    replicates = tuple(sorted(set(replicate.tolist())))
    table = np.full((len(points), len(arms), len(replicates)), -1, dtype=np.int64)
    place = (
        np.array([points.index(value) for value in sweep.tolist()]),
        np.array([arms.index(value) for value in arm.tolist()]),
        np.array([replicates.index(value) for value in replicate.tolist()]),
    )
    table[place] = case
    if (table < 0).any() or len(case) != table.size:
        shape = f"{len(points)} sweep points x {len(arms)} arms x {len(replicates)} replicates"
        what = f"{len(case)} cases do not fill {shape}"
        raise RunFolderError([Problem("tables/cases", "case", what, "finish the run with --resume")])
    if run.scenario.get("experiment", {}).get("design") == PILOT:  # then it is the last world
        return Experiment(points, arms[:-1], replicates, table[:, :-1], table[:, -1])
    return Experiment(points, arms, replicates, table)


def is_own_network(scenario: Mapping[str, Any]) -> bool:
    """Is a resolved scenario about a network of the user's, and not about the state's grid?"""
    grid = scenario.get("grid") or {}
    return "network" in grid or "simbench" in grid


def resolved_districts(run: RunTables, feeder_list: dict[str, NDArray]) -> tuple[str, ...]:
    """Districts of which every feeder is simulated, by the scenario's ``grid.resolve``; sorted by name."""
    resolve = run.scenario.get("grid", {}).get("resolve", {})
    if resolve == "all":
        return tuple(sorted(set(feeder_list["district"].tolist())))
    if isinstance(resolve, dict) and resolve.get("districts"):
        return tuple(sorted(resolve["districts"]))
    return ()


def hours_per_step(run: RunTables) -> float:
    """Length of a step of the run. [h]"""
    return float(run.scenario["time"]["step_minutes"]) / 60.0


def clock_hours(interval_start: NDArray[np.int64]) -> NDArray[np.float64]:
    """Wall-clock hour of the day of instants in microseconds since 1970-01-01, from 0 up to 24. [h]"""
    day_us = np.int64(86_400_000_000)
    return (interval_start % day_us) / 3.6e9
