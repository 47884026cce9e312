"""Potential outcomes of transformers: what each would have done in every arm, from a counterfactual run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.analysis.design import Experiment
from twin.analysis.tables import RunTables, read, read_case
from twin.errors import Problem, RunFolderError

FloatArray = NDArray[np.float64]
OUTCOMES = {"evening_peak_kw": "kW", "sent_kwh": "kWh"}
"""Columns of table ``transformers`` that a pilot may look at, with their unit, by DT and day."""
NOT_ELIGIBLE = "agricultural"
"""Class of feeders whose DTs no pilot of a time-of-use tariff takes: farms are exempt from it."""


@dataclass(frozen=True)
class PotentialOutcomes:
    """One replicate's outcome of every eligible DT, by arm and day. Same draws of demand in all arms."""

    outcome: str
    arms: tuple[str, ...]
    dt_id: NDArray[np.int64]
    values: FloatArray
    """Shape (arms, n_dts, days). The first arm is the baseline."""

    @property
    def days(self) -> int:
        """Days of the run."""
        return int(self.values.shape[2])

    def before_after(self, arm: int, baseline_days: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Mean outcome of each DT before the start (first arm), and after it without and with the arm; (n_dts,)."""
        base, own = self.values[0], self.values[arm]
        before = base[:, :baseline_days].mean(axis=1) if baseline_days else np.zeros(len(base))
        return before, base[:, baseline_days:].mean(axis=1), own[:, baseline_days:].mean(axis=1)


def potential_outcomes(
    run: RunTables, experiment: Experiment, outcome: str = "evening_peak_kw", replicate: int = 0, point: int = 0
) -> PotentialOutcomes:
    """Outcomes of all eligible DTs of a run.

    Raises
    ------
    RunFolderError
        If the run has no table ``transformers``, or its cases hold other DTs or days.
    """
    ids, values = outcome_panels(run, [int(case) for case in experiment.case[point, :, replicate]], outcome)
    return PotentialOutcomes(outcome, experiment.arms, ids, values)


def outcome_panels(run: RunTables, cases: list[int], outcome: str) -> tuple[NDArray[np.int64], FloatArray]:
    """Numbers of all DTs on feeders that are not agricultural, and their outcome, shape (cases, n_dts, days).

    Raises
    ------
    RunFolderError
        As `potential_outcomes`.
    """
    feeders = read(run, "feeder_list", ["feeder_id", "feeder_class"])
    taken = feeders["feeder_id"][feeders["feeder_class"] != NOT_ELIGIBLE]
    panels, ids = [], None
    for case in cases:
        rows = read_case(run, "transformers", case, ["date", "dt_id", "feeder_id", outcome])
        keep = np.isin(rows["feeder_id"], taken)
        days, own = np.unique(rows["date"][keep]), rows["dt_id"][keep]
        n_dts = len(own) // max(len(days), 1)
        own = own.reshape(len(days), n_dts) if len(days) * n_dts == len(own) else own[None, :0]
        ids = own[0] if ids is None else ids
        if own.size == 0 or not np.array_equal(own, np.broadcast_to(ids, own.shape)):
            what = f"case {case} does not hold the same transformers on every day and in every arm"
            raise RunFolderError([Problem("tables/transformers", "dt_id", what, "finish the run with --resume")])
        panels.append(rows[outcome][keep].astype(np.float64).reshape(own.shape).T)
    if ids is None or len({panel.shape for panel in panels}) != 1:
        what = "its cases cover different days"
        raise RunFolderError([Problem("tables/transformers", "date", what, "finish the run with --resume")])
    return ids.astype(np.int64), np.stack(panels)
