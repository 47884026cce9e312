"""How often a pilot's interval holds the truth: the same pilot, drawn again and again over stored outcomes.

The truth is the mean effect of the arm over all eligible DTs, taken from the counterfactual worlds. A pilot draws some
of these DTs at random, treats half of them and estimates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.analysis.pilot.estimators import Estimator, estimate

FloatArray = NDArray[np.float64]
_CHUNK_CELLS = 4_000_000
"""Entries of the largest array (draws x DTs x DTs) that is held at once."""


@dataclass(frozen=True)
class Coverage:
    """What many pilots of one design found. Effects in the outcome's unit."""

    estimator: Estimator
    dts_per_arm: int
    draws: int
    truth: float
    bias: float
    """Mean estimate less the truth."""
    spread: float
    """Standard deviation of the estimates."""
    mean_error: float
    """Root mean square of the stated standard errors."""
    covered: float
    """Share of intervals that hold the truth. [-]"""
    detected: float
    """Share of intervals that leave out zero: the power. [-]"""

    @property
    def binomial_error(self) -> float:
        """Standard error of ``covered`` if the true share were 95 %. [-]"""
        return float(np.sqrt(0.95 * 0.05 / self.draws))


def draw_pilots(
    rng: np.random.Generator, n_dts: int, dts_per_arm: int, draws: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """DTs of each pilot and which of them are treated (the first half), both of shape (draws, 2 x dts_per_arm)."""
    size = 2 * dts_per_arm
    chosen = np.argsort(rng.random((draws, n_dts)), axis=1)[:, :size]
    treated = np.broadcast_to(np.arange(size) < dts_per_arm, (draws, size))
    return chosen, treated


def coverage(
    estimator: Estimator,
    before: FloatArray,
    after_control: FloatArray,
    after_treated: FloatArray,
    dts_per_arm: int,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Coverage:
    """Draw a pilot of ``dts_per_arm`` treated and as many control DTs ``draws`` times and estimate each.

    ``before``, ``after_control``, ``after_treated`` hold every eligible DT, shape (n_dts,); see
    `twin.analysis.pilot.outcomes.PotentialOutcomes.before_after`.

    Raises
    ------
    ValueError
        If there are fewer eligible DTs than the pilot needs.
    """
    size = 2 * dts_per_arm
    if size > len(before):
        raise ValueError(f"a pilot of {size} transformers cannot be drawn from {len(before)}")
    truth = float(np.mean(after_treated - after_control))
    chosen, treated = draw_pilots(np.random.default_rng(seed), len(before), dts_per_arm, draws)
    after = np.where(treated, after_treated[chosen], after_control[chosen])
    step = max(_CHUNK_CELLS // (size * size), 1)
    found = [
        estimate(estimator, before[chosen[k : k + step]], after[k : k + step], treated[k : k + step])
        for k in range(0, draws, step)
    ]
    effect = np.concatenate([one.effect for one in found])
    error = np.concatenate([one.error for one in found])
    bounds = [one.interval(level) for one in found]
    low, high = (np.concatenate([pair[side] for pair in bounds]) for side in (0, 1))
    return Coverage(
        estimator, dts_per_arm, draws, truth, float(effect.mean()) - truth, float(effect.std(ddof=1)),
        float(np.sqrt(np.mean(error**2))), float(np.mean((low <= truth) & (truth <= high))),
        float(np.mean((low > 0.0) | (high < 0.0))),
    )  # fmt: skip
