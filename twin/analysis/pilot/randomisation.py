"""Randomisation inference: p-values and intervals from the draw of who is treated, and nothing else.

The interval holds every constant effect that the draw does not reject (R. A. Fisher's sharp hypothesis, inverted;
G. W. Imbens, D. B. Rubin, Causal Inference, 2015, chapter 5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class RandomisationResult(NamedTuple):
    """Difference in means with the p-value of no effect for anybody and an interval of constant effects."""

    effect: float
    p_value: float
    low: float
    high: float


def randomisation_test(
    outcome: FloatArray, treated: NDArray[np.bool_], draws: NDArray[np.bool_], level: float = 0.95
) -> RandomisationResult:
    """Difference in means against those that other draws of the same design would have shown.

    Parameters
    ----------
    outcome : float64 array, shape (n,)
        Of each DT: after the start, or its change from before.
    treated : bool array, shape (n,)
        As drawn.
    draws : bool array, shape (draws, n)
        Other draws of the same design, each with as many treated.
    level : float
        Of the interval; ``1 / (draws + 1)`` must be below ``1 - level``.

    Notes
    -----
    Under a constant effect ``t`` the outcomes without treatment are ``y - t T``, so that draw ``P`` would have shown
    ``d_P(y) + t (1 - d_P(T))``, with ``d`` a difference in means. The deviation from ``t`` is ``d_P(y) - t d_P(T)``,
    and the drawn one ``d(y) - t``. Each end is found by halving.
    """
    if 1.0 / (1 + len(draws)) >= 1.0 - level:
        raise ValueError(f"{len(draws)} draws cannot reject anything at level {level:g}")
    effect = float(_difference(outcome, treated[None])[0])
    shown = _difference(outcome, draws)
    overlap = _difference(treated.astype(np.float64), draws)

    def p_value(constant: float) -> float:
        own = abs(effect - constant)
        beyond = np.abs(shown - constant * overlap) >= own * (1.0 - 1e-12)
        return float((1 + np.count_nonzero(beyond)) / (1 + len(draws)))

    reach = 1.0 + 10.0 * float(np.abs(shown - effect * overlap).max()) + abs(effect)
    ends = [_edge(p_value, effect, effect + side * reach, 1.0 - level) for side in (-1.0, 1.0)]
    return RandomisationResult(effect, p_value(0.0), ends[0], ends[1])


def _difference(outcome: FloatArray, draws: NDArray[np.bool_]) -> FloatArray:
    """Treated less control mean of each draw, shape (draws,)."""
    n_treated = draws.sum(axis=1)
    sums = draws @ outcome
    return np.asarray(sums / n_treated - (outcome.sum() - sums) / (draws.shape[1] - n_treated))


def _edge(p_value: Callable[[float], float], inside: float, outside: float, alpha: float) -> float:
    """Where the p-value falls to ``alpha`` between an effect that is not rejected and one that is."""
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        if p_value(middle) > alpha:
            inside = middle
        else:
            outside = middle
    return inside


def draws_within(
    rng: np.random.Generator, treated: NDArray[np.bool_], stratum: NDArray[np.integer], n_draws: int
) -> NDArray[np.bool_]:
    """Other draws with as many treated in every stratum. Shape (n_draws, n)."""
    drawn = np.empty((n_draws, len(treated)), bool)
    for level in np.unique(stratum):  # classes of feeders: a handful
        own = np.flatnonzero(stratum == level)
        drawn[:, own] = rng.permuted(np.broadcast_to(treated[own], (n_draws, len(own))), axis=1)
    return drawn
