"""State totals from sampled feeders, and how far they may be off: the separate ratio estimator.

The auxiliary variable x is a feeder's number of consumers, known for the whole stratum. With n of N feeders of a
stratum sampled by simple random sampling and R = sum(y) / sum(x) over the sample,

    Y = X R                                                                                  total of the stratum
    v(Y) = (X / xbar)**2 (1 - f) / n * s_e**2,   s_e**2 = sum((y - R x)**2) / (n - 1)        its variance

where xbar is the sample's mean of x and f the sampled fraction. Strata are independent, so totals and variances add.
A quantity that is not a total (a ratio, a peak) enters as its linearised variable.

Source: W. G. Cochran, Sampling Techniques, 3rd ed. (Wiley 1977): ratio estimator 6.2 to 6.4 with the variance form that
keeps the sample's own mean of x, (6.13) divided by the square of xbar/Xbar; separate estimator 6.10; collapsed strata
5A.12; degrees of freedom (5.16). f is the sampled share of consumers, 1 / weight: the factor of the ratio model of
section 6.7, equal to n / N where sampled feeders are of mean size.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def ratio_total(y: FloatArray, x: FloatArray, total_x: float, fraction: float) -> tuple[float, float]:
    """Estimated total and its variance in one stratum.

    Parameters
    ----------
    y, x : float64[n]
        Study and auxiliary variable of the sampled units; sum(x) > 0.
    total_x : float
        Sum of x over the whole stratum.
    fraction : float
        Sampled fraction f of the stratum, above 0 up to 1. At 1 the variance is exactly 0.

    Returns
    -------
    total, variance : float
        Variance is nan for one unit with fraction below 1: a single unit does not show its spread.
    """
    n = len(y)
    ratio = float(np.sum(y) / np.sum(x))
    if fraction >= 1.0:
        return total_x * ratio, 0.0
    if n < 2:
        return total_x * ratio, float("nan")
    residual = y - ratio * x
    spread = float(np.sum(residual * residual)) / (n - 1)
    expansion = total_x / float(np.mean(x))
    return total_x * ratio, expansion * expansion * (1.0 - fraction) / n * spread


def collapse(stratum: NDArray[np.integer], feeder_class: NDArray[np.integer]) -> NDArray[np.int64]:
    """Strata in which a variance can be computed: single-feeder strata join others (collapsed strata, conservative).

    A stratum with one sampled feeder joins the strata of the same feeder class; if that is one feeder still,
    everything that is left alone joins the largest stratum.

    Parameters
    ----------
    stratum, feeder_class : int[n]
        Codes of each sampled feeder.

    Returns
    -------
    int64[n]
        New codes; equal codes are one stratum. All feeders in one stratum at worst.
    """
    codes = np.asarray(stratum, dtype=np.int64).copy()
    for value in np.unique(codes):
        if np.count_nonzero(codes == value) == 1:
            here = codes == value
            codes[feeder_class == feeder_class[here][0]] = value
    values, counts = np.unique(codes, return_counts=True)
    if len(values) > 1 and counts.min() == 1:
        codes[np.isin(codes, values[counts == 1])] = values[np.argmax(counts)]
    return codes


@dataclass(frozen=True)
class Sample:
    """The sampled feeders of a run, in feeder order; arrays of shape (n,).

    ``weight`` is the number of stratum consumers per sampled consumer. Feeders that stand for themselves are not in
    here: they add nothing to the sampling error.
    """

    stratum: NDArray[np.int64]
    consumers: FloatArray
    weight: FloatArray

    def error(self, y: FloatArray) -> tuple[float, float]:
        """Standard error of the estimated total of ``y`` [n], and its degrees of freedom.

        Both are nan where they cannot be estimated: fewer than two sampled feeders that stand for others.
        """
        variances, freedoms = [], []
        for value in np.unique(self.stratum):
            inside = self.stratum == value
            x, weight = self.consumers[inside], self.weight[inside]
            total_x = float(np.sum(weight * x))
            _, variance = ratio_total(y[inside], x, total_x, float(np.sum(x)) / total_x)
            variances.append(variance)
            freedoms.append(max(int(inside.sum()) - 1, 1))
        variance = float(np.sum(variances))
        if not np.isfinite(variance) or not variances:
            return float("nan"), float("nan")
        shares = np.array(variances) ** 2 / np.array(freedoms)
        freedom = variance * variance / float(np.sum(shares)) if variance > 0 else float(np.sum(freedoms))
        return float(np.sqrt(variance)), freedom


def half_width(error: float, freedom: float, level: float) -> float:
    """Half the width of a two-sided interval of coverage ``level`` from a standard error, by Student's t."""
    return t_quantile(0.5 + level / 2.0, freedom) * error


def t_quantile(probability: float, freedom: float) -> float:
    """Quantile of Student's t with ``freedom`` (>= 1, need not be whole).

    Expansion about the normal quantile, Abramowitz and Stegun 26.7.5: within 0.4 % for probability 0.95 from 2 degrees
    of freedom on.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4.0,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96.0,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384.0,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160.0,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))
