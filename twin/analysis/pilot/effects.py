"""Table ``pilot_effects``: what the pilot of a run estimates, beside the truth that its other worlds hold.

Three numbers stand side by side for every arm, outcome and way of estimating:

- ``effect``: from the pilot's own world, where arms share feeders and substations
- ``effect_apart``: the same estimate if every drawn DT had behaved as in the whole world of its arm. What the two
  differ by is ``interference``: what DTs of one arm do to those of another
- ``truth``: the mean effect over all eligible DTs, drawn or not, when all of them are in the arm (intention to treat)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.analysis.design import Experiment
from twin.analysis.pilot.estimators import ESTIMATORS, Estimator, estimate
from twin.analysis.pilot.outcomes import OUTCOMES, outcome_panels
from twin.analysis.pilot.randomisation import draws_within, randomisation_test
from twin.analysis.tables import RunTables, asked_for, build, read_case
from twin.errors import Problem, RunFolderError

FloatArray = NDArray[np.float64]
LEVEL = 0.95
DRAWS = 999
"""Other draws that a randomisation p-value rests on; its smallest value is 1 / (draws + 1)."""
MOST_CELLS = 50_000_000
"""Most draws x DTs at once; above it fewer draws are made."""


@dataclass(frozen=True)
class PilotOutcomes:
    """One replicate's pilot and one outcome: means of every eligible DT over the days before and after the start.

    ``worlds_after`` has the shape (arms, n_dts), all else (n_dts,). ``before`` is None without days before.
    """

    assigned: NDArray[np.int64]
    """Arm by number; -1: eligible and not drawn."""
    stratum: NDArray[np.int64]
    before: FloatArray | None
    after: FloatArray
    worlds_after: FloatArray


def pilot_effects_table(run: RunTables, experiment: Experiment) -> pa.Table:
    """Rows by arm, replicate, outcome and estimator; empty without a pilot or without table ``transformers``.

    Raises
    ------
    RunFolderError
        If the run lacks transformers that its pilot has drawn.
    """
    if experiment.pilot_case is None or not asked_for(run.scenario, "transformers"):
        return build("pilot_effects", [])
    rows = []
    for point in range(len(experiment.points)):
        for position, replicate in enumerate(experiment.replicates):
            for outcome in OUTCOMES:
                pilot = pilot_outcomes(run, experiment, outcome, position, point)
                for arm in range(1, len(experiment.arms)):
                    key = {"arm": experiment.label(point, arm), "replicate": replicate, "outcome": outcome}
                    rows += [key | row for row in arm_rows(pilot, arm, seed=replicate)]
    return build("pilot_effects", rows)


def pilot_outcomes(
    run: RunTables, experiment: Experiment, outcome: str, replicate: int, point: int = 0
) -> PilotOutcomes:
    """One replicate's pilot, by position of replicate and sweep point."""
    assert experiment.pilot_case is not None, "the run has a pilot"
    case = int(experiment.pilot_case[point, replicate])
    drawn = read_case(run, "pilot", case, ["dt_id", "feeder_class", "arm", "start"])
    worlds = [*experiment.case[point, :, replicate], case]
    ids, values = outcome_panels(run, [int(world) for world in worlds], outcome)
    place = np.minimum(np.searchsorted(ids, drawn["dt_id"]), len(ids) - 1)
    if not np.array_equal(ids[place], drawn["dt_id"]):
        what = "lacks transformers that the pilot could draw"
        raise RunFolderError([Problem("tables/transformers", "dt_id", what, "finish the run with --resume")])
    days = np.unique(read_case(run, "transformers", case, ["date"])["date"])
    n_before = int(np.count_nonzero(days < drawn["start"][0]))
    own = values[:, place]
    after = own[:, :, n_before:].mean(axis=2)
    before = own[-1, :, :n_before].mean(axis=1) if n_before else None
    number = {name: arm for arm, name in enumerate(experiment.arms)}
    assigned = np.array([number.get(name, -1) for name in drawn["arm"].tolist()], np.int64)
    stratum = np.unique(drawn["feeder_class"].astype(str), return_inverse=True)[1].astype(np.int64)
    return PilotOutcomes(assigned, stratum, before, after[-1], after[:-1])


def arm_rows(pilot: PilotOutcomes, arm: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """What a pilot finds for one arm against the first, by each way of estimating that its days allow."""
    drawn = np.flatnonzero((pilot.assigned == arm) | (pilot.assigned == 0))
    treated, stratum = pilot.assigned[drawn] == arm, pilot.stratum[drawn]
    before = None if pilot.before is None else pilot.before[drawn]
    after = pilot.after[drawn]
    apart = np.where(treated, pilot.worlds_after[arm, drawn], pilot.worlds_after[0, drawn])
    draws = draws_within(np.random.default_rng(seed), treated, stratum, min(DRAWS, MOST_CELLS // len(drawn)))
    for estimator in ESTIMATORS if before is not None else ESTIMATORS[:1]:
        level = np.zeros(len(drawn)) if before is None else before
        found = estimate(estimator, level, after, treated, stratum)
        low, high = found.interval(LEVEL)
        alone = float(estimate(estimator, level, apart, treated, stratum).effect[0])
        by_draw = randomisation_test(_compared(estimator, level, after, stratum), treated, draws, LEVEL)
        effect = float(found.effect[0])
        yield {
            "estimator": estimator, "dts_treated": int(treated.sum()), "dts_control": int((~treated).sum()),
            "effect": effect, "error": float(found.error[0]), "low": float(low[0]), "high": float(high[0]),
            "p_value": float(found.p_value()[0]), "p_randomisation": by_draw.p_value,
            "effect_apart": alone, "interference": effect - alone,
            "truth": float(np.mean(pilot.worlds_after[arm] - pilot.worlds_after[0])),
            "control_mean": float(after[~treated].mean()),
        }  # fmt: skip


def _compared(estimator: Estimator, before: FloatArray, after: FloatArray, stratum: NDArray[np.int64]) -> FloatArray:
    """What randomisation inference takes the difference in means of.

    For ``adjusted`` it is what the level before leaves unexplained, without looking at who is treated
    (P. R. Rosenbaum, Covariance adjustment in randomized experiments, Statistical Science 17, 2002).
    """
    if estimator == "means":
        return after
    if estimator == "did":
        return after - before
    design = np.column_stack([before, *(stratum == level for level in np.unique(stratum))]).astype(np.float64)
    return np.asarray(after - design @ np.linalg.lstsq(design, after)[0])
