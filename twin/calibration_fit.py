"""The fit of a calibration: factors that bring estimates to published figures, held near 1 by a prior and by bounds.

Least squares in x = ln(factor), by scipy's trust-region routine within bounds. With v the estimate of a fitted figure:

    minimise  sum (gap(v) / (t / 2))^2  +  sum (gap(k) / scale)^2  +  sum (x / log_sd)^2

where gap is the distance to the published range or to the range that is kept, 0 inside; t is the figure's limit of
``calibration_split.csv``, so that a figure at its limit weighs as two standard deviations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

FloatArray = NDArray[np.float64]
DIGITS = 3
"""Decimals of a fitted factor, in the file and in the runs that confirm it."""
STEP = 1e-4
"""Of x, for the finite differences of the Jacobian: expected demand is smooth in it."""


@dataclass(frozen=True)
class Aim:
    """A range that an estimate should lie in, and how far outside costs as much as one standard deviation."""

    name: str
    low: float
    high: float
    scale: float

    def gap(self, value: float) -> float:
        """Signed distance to the range in units of ``scale``; 0 inside."""
        return (max(value - self.high, 0.0) + min(value - self.low, 0.0)) / self.scale


@dataclass(frozen=True)
class Knob:
    """A factor to be fitted: the standard deviation of its logarithm about 1, and its bounds."""

    name: str
    log_sd: float
    least: float
    most: float


def fit(
    predict: Callable[[Mapping[str, float]], Mapping[str, float]],
    knobs: Sequence[Knob],
    aims: Sequence[Aim],
    start: Mapping[str, float],
) -> dict[str, float]:
    """Fitted factors, rounded to `DIGITS`; the same from the same input.

    Parameters
    ----------
    predict : callable
        Estimates by name at given factors.
    knobs : sequence of Knob
        What may move; other names of ``start`` stay.
    aims : sequence of Aim
        What is aimed at. Aims of which ``predict`` gives no estimate are left out.
    start : mapping
        Factors to begin with.
    """
    known = predict(start)
    used = [aim for aim in aims if aim.name in known]
    spread = np.array([knob.log_sd for knob in knobs])

    def factors(x: FloatArray) -> dict[str, float]:
        return {**start, **{knob.name: float(np.exp(value)) for knob, value in zip(knobs, x, strict=True)}}

    def residuals(x: FloatArray) -> FloatArray:
        estimates = predict(factors(x))
        return np.concatenate([[aim.gap(estimates[aim.name]) for aim in used], x / spread])

    low, high = (np.log([getattr(knob, end) for knob in knobs]) for end in ("least", "most"))
    x0 = np.clip(np.log([start[knob.name] for knob in knobs]), low + STEP, high - STEP)
    found = least_squares(residuals, x0, bounds=(low, high), diff_step=STEP, x_scale=spread, method="trf")
    return {name: round(value, DIGITS) for name, value in factors(found.x).items()}
