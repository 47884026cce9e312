"""Estimators of a treatment's mean effect, with standard errors that hold for few transformers.

All are regressions on one row per transformer (DT): DTs are what is randomised. In a balanced panel of DTs and days
that loses nothing: the coefficient and its cluster-robust error equal those of the regression on DT-days.

- ``means``: after the start, treated less control
- ``did``: the same on the change from before the start (difference in differences)
- ``adjusted``: after the start on treatment and the DT's own level before (analysis of covariance)

References
----------
.. [1] R. M. Bell, D. F. McCaffrey, Bias reduction in standard errors for linear regression with multi-stage samples,
   Survey Methodology 28 (2002): the CR2 correction and its degrees of freedom.
.. [2] J. E. Pustejovsky, E. Tipton, Small-sample methods for cluster-robust variance estimation, J. Business & Economic
   Statistics 36 (2018).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Estimator = Literal["means", "did", "adjusted"]
ESTIMATORS: tuple[Estimator, ...] = ("means", "did", "adjusted")
FloatArray = NDArray[np.float64]

_TREATED = 1
"""Column of the treatment in a design matrix."""


class Estimate(NamedTuple):
    """Effect with its standard error and degrees of freedom; numbers, or arrays of shape (draws,)."""

    effect: FloatArray
    error: FloatArray
    freedom: FloatArray

    def interval(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Two-sided interval by Student's t."""
        half = stats.t.ppf(0.5 + level / 2.0, self.freedom) * self.error
        return self.effect - half, self.effect + half

    def p_value(self) -> FloatArray:
        """Two-sided p-value of no effect. [-]"""
        return np.asarray(2.0 * stats.t.sf(np.abs(self.effect) / self.error, self.freedom))


def estimate(
    estimator: Estimator, before: FloatArray, after: FloatArray, treated: NDArray[np.bool_],
    stratum: NDArray[np.integer] | None = None,
) -> Estimate:  # fmt: skip
    """The effect on the treated mean, for one pilot or many.

    Parameters
    ----------
    estimator : str
        See the module.
    before, after : float64 array, shape (draws, n) or (n,)
        Outcome of each DT before and after the start. ``means`` does not look at ``before``.
    treated : bool array, same shape
        Which DTs are treated.
    stratum : int array, shape (n,), optional
        Strata within which DTs were drawn: each has a level of its own. Where all have the same share of treated
        DTs, the estimate is that without strata, and the error is smaller.

    Returns
    -------
    Estimate
        Arrays of shape (draws,). Errors are HC2 with Bell-McCaffrey degrees of freedom, which for two groups are the
        unpooled t-test's error and, in place of Welch's, degrees of freedom that do not depend on the outcomes.
    """
    pre, y, arm = (np.atleast_2d(np.asarray(part, np.float64)) for part in (before, after, treated))
    columns = [np.ones_like(y), arm]
    if estimator == "did":
        y = y - pre
    elif estimator == "adjusted":
        columns.append(pre - pre.mean(axis=1, keepdims=True))
    if stratum is not None:
        levels = np.unique(stratum)[1:]
        columns += [np.broadcast_to(stratum == level, y.shape) for level in levels]
    return hc2(np.stack(columns, axis=2).astype(np.float64), y)


def hc2(design: FloatArray, y: FloatArray) -> Estimate:
    """Coefficient of column 1 with its HC2 error, for many regressions at once.

    ``V = sum of c_i^2 e_i^2 / (1 - h_i)``, ``f = (sum of c_i^2)^2 / sum over i, j of a_i a_j M_ij^2`` with
    ``a_i = c_i^2 / (1 - h_i)``, ``M = I - H``.

    Parameters
    ----------
    design : float64 array, shape (draws, n, k)
        With a constant in column 0.
    y : float64 array, shape (draws, n)
    """
    crossed = np.linalg.inv(np.einsum("rik,ril->rkl", design, design))
    solver = np.einsum("rkl,ril->rki", crossed, design)  # (X'X)^-1 X'
    beta = np.einsum("rki,ri->rk", solver, y)
    residual = y - np.einsum("rik,rk->ri", design, beta)
    left = 1.0 - np.einsum("rik,rki->ri", design, solver)
    weight = solver[:, _TREATED] ** 2 / left
    variance = np.einsum("ri,ri->r", weight, residual**2)
    # M_ij = -H_ij off the diagonal and 1 - h_i on it; the sum of a_i a_j H_ij^2 is the trace of (C G)^2 with
    # C = (X'X)^-1 and G = sum of a_i x_i x_i', so that no array of n x n is held.
    crossed_weight = crossed @ np.einsum("rik,ri,ril->rkl", design, weight, design)
    spread = np.einsum("rkl,rlk->r", crossed_weight, crossed_weight)
    spread += np.einsum("ri,ri->r", weight**2, 2.0 * left - 1.0)
    freedom = np.einsum("ri,ri->r", weight, left) ** 2 / spread
    return Estimate(beta[:, _TREATED], np.sqrt(variance), freedom)


def cr2(design: FloatArray, y: FloatArray, cluster: NDArray[np.integer]) -> Estimate:
    """Coefficient of column 1 with its cluster-robust CR2 error and Satterthwaite degrees of freedom.

    Working model: independent errors of one variance, under which CR2 has no bias. Clusters may be DTs of a panel of
    days, or feeders where whole feeders are randomised.

    Parameters
    ----------
    design : float64 array, shape (n, k)
    y : float64 array, shape (n,)
    cluster : int array, shape (n,)

    Raises
    ------
    ValueError
        With fewer than two clusters.
    """
    names = np.unique(cluster)
    if len(names) < 2:  # noqa: PLR2004
        raise ValueError("a cluster-robust error needs at least two clusters")
    solver = np.linalg.pinv(design)
    maker = np.eye(len(y)) - design @ solver
    residual = maker @ y
    parts = np.zeros((len(names), len(y)))
    for row, name in enumerate(names):  # pilots have hundreds of clusters at most
        inside = np.flatnonzero(cluster == name)
        parts[row] = (solver[_TREATED, inside] @ _inverse_root(maker[np.ix_(inside, inside)])) @ maker[inside]
    gram = parts @ parts.T
    variance = float(np.sum((parts @ residual) ** 2))  # M is a projection: M M y = M y
    freedom = float(np.trace(gram) ** 2 / np.sum(gram**2))
    return Estimate(solver[_TREATED] @ y, np.sqrt(np.asarray(variance)), np.asarray(freedom))


def _inverse_root(matrix: FloatArray) -> FloatArray:
    """Symmetric inverse square root; directions without variance are left out, as Bell and McCaffrey do."""
    values, vectors = np.linalg.eigh(matrix)
    keep = values > 1e-10 * max(float(values[-1]), 1.0)
    return np.asarray((vectors[:, keep] / np.sqrt(values[keep])) @ vectors[:, keep].T)
