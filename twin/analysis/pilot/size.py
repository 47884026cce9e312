"""How large a pilot must be: the smallest number of DTs per arm that sees an effect, by weeks and estimator.

The noise is that of the run's own DTs: what a DT differs from others for good, and what comes and goes with memories of
days, ``covariance(day i, day j) = permanent + sum over k of passing_k * memory_k^|i - j|``, with the days' common mean
taken out (both arms see the same days). What passes is fitted to the variogram, the variance over DTs of the change
between two days, ``V(h) = 2 * sum over k of passing_k * (1 - memory_k^h)``: what differs for good is not in it, so that
its size does not drown the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import nnls

from twin.analysis.pilot.estimators import Estimator

FloatArray = NDArray[np.float64]
DAYS_PER_WEEK = 7
LEAST_DAYS = 5
"""Days that a run needs so that what is permanent can be told from what passes."""
LEAST_DTS = 10
MOST_DTS_PER_ARM = 1_000_000
MEMORIES = np.array([0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99])
"""Memories per day that noise is a mixture of; the last fade over a hundred days. [-]"""


@dataclass(frozen=True)
class Noise:
    """Variance of a DT's daily outcome about the day's mean. [unit squared]"""

    mean: float
    permanent: float
    passing: tuple[float, ...]
    """By memory."""
    memory: tuple[float, ...]
    """What is left of it a day later. [-]"""

    def covariance(self, first: int, second: int, gap: int) -> float:
        """Passing covariance of the means of ``first`` days and of ``second`` days that begin ``gap`` days later."""
        lag = np.abs(gap + np.arange(second)[None, :] - np.arange(first)[:, None])
        return float(sum(part * np.mean(kept**lag) for part, kept in zip(self.passing, self.memory, strict=True)))

    def variance(self, estimator: Estimator, baseline_days: int, days: int) -> float:
        """Variance of what an estimator compares between DTs, after what it takes out."""
        after = self.covariance(days, days, 0)
        if estimator == "means":
            return self.permanent + after
        before = self.covariance(baseline_days, baseline_days, 0)
        both = self.covariance(baseline_days, days, baseline_days)
        if estimator == "did":
            return before + after - 2.0 * both
        return self.permanent + after - (self.permanent + both) ** 2 / (self.permanent + before)


def fit_noise(panel: FloatArray) -> Noise:
    """Noise of a panel of daily outcomes, shape (n_dts, days), of DTs that no arm treats.

    Parts are not below zero (non-negative least squares on the variogram). A memory longer than the panel cannot be
    told from what lasts, and is left to that.

    Raises
    ------
    ValueError
        If there are too few days or DTs.
    """
    n_dts, days = panel.shape
    if days < LEAST_DAYS or n_dts < LEAST_DTS:
        raise ValueError(f"{n_dts} transformers and {days} days are too few; take {LEAST_DTS} and {LEAST_DAYS} or more")
    apart = panel - panel.mean(axis=0)
    cross = apart.T @ apart / (n_dts - 1)
    own = np.diag(cross)
    variogram = own[:, None] + own[None, :] - 2.0 * cross
    early, late = np.triu_indices(days, 1)
    memories = MEMORIES[np.exp(-1.0 / days) >= MEMORIES]
    design = 2.0 * (1.0 - memories[None, :] ** (late - early)[:, None])
    passing, _ = nnls(design, variogram[early, late])
    permanent = max(float(own.mean() - passing.sum()), 0.0)
    return Noise(float(panel.mean()), permanent, tuple(passing.tolist()), tuple(memories.tolist()))


def power(effect: float, variance: float, dts_per_arm: int, significance: float) -> float:
    """Probability that a two-sided t-test on ``dts_per_arm`` treated and as many control DTs sees ``effect``. [-]

    Exact for normal outcomes of one variance (non-central t with ``2 m - 2`` degrees of freedom).
    """
    freedom = 2 * dts_per_arm - 2
    shift = abs(effect) / np.sqrt(2.0 * variance / dts_per_arm)
    edge = stats.t.ppf(1.0 - significance / 2.0, freedom)
    return float(stats.nct.sf(edge, freedom, shift) + stats.nct.cdf(-edge, freedom, shift))


def dts_needed(effect: float, variance: float, wanted_power: float, significance: float) -> int | None:
    """Smallest number of DTs per arm with at least ``wanted_power``; None above `MOST_DTS_PER_ARM`."""
    low, high = 1, 2
    while power(effect, variance, high, significance) < wanted_power:
        low, high = high, 2 * high
        if high > MOST_DTS_PER_ARM:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if power(effect, variance, middle, significance) < wanted_power:
            low = middle
        else:
            high = middle
    return high
