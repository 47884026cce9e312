"""Change of consumer surplus when prices change: what a consumer is better or worse off, in money.

Positive is a gain to the consumer. All energies are of the same period (a month), all money is INR.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def adjustment_gain_inr(
    price_before: NDArray[np.float64],
    price_after: NDArray[np.float64],
    kwh_before: NDArray[np.float64],
    kwh_after: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What a consumer gains by moving use to where it has become cheaper: the rule of a half.

    ``1/2 * sum over zones of (p0 - p1) * (q1 - q0)``

    Arguments have shape (..., zones): marginal prices [INR/kWh] and energies [kWh]. Not below zero where every zone's
    use answers its own price, and exactly zero without a response. Result of shape (...). [INR]
    """
    return 0.5 * np.sum((price_before - price_after) * (kwh_after - kwh_before), axis=-1)


def surplus_change_inr(
    bill_change_at_unchanged_use: NDArray[np.float64],
    price_before: NDArray[np.float64],
    price_after: NDArray[np.float64],
    kwh_before: NDArray[np.float64],
    kwh_after: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Change of consumer surplus between two tariffs.

    ``dCS = -(B1(q0) - B0(q0)) + 1/2 * sum over zones of (p0 - p1) * (q1 - q0)``

    With use chosen so that marginal utility equals marginal price, ``U(q1) - U(q0)`` is the integral of the inverse
    demand from q0 to q1, taken as the trapezoid ``1/2 * sum (p0 + p1) * (q1 - q0)``; bills are linear between q0 and
    q1 at the new marginal price. Fixed charges and all other inframarginal parts of a block tariff stand in the bill
    change at unchanged use, which is exact.

    Parameters
    ----------
    bill_change_at_unchanged_use : array, shape (...)
        New tariff's bill of the old use less the old tariff's. [INR]
    price_before, price_after : array, shape (..., zones)
        Marginal price of each zone under the old tariff at the old use, under the new at the new use. [INR/kWh]
    kwh_before, kwh_after : array, shape (..., zones)
        Energy of each zone. [kWh]

    Returns
    -------
    change_inr : array, shape (...)
        Positive: the consumer is better off. [INR]

    Notes
    -----
    For constant-elasticity demand the trapezoid is off by third-order terms in the price change: below 1 % of the
    adjustment gain for elasticities up to 0.15 and prices within a factor of 1.5. Income effects are neglected [2]_. A
    price of zero on both sides gives no gain. Where a consumer crosses the end of a free block between q0 and q1, bills
    are not linear between them and the gain is approximate. Effort and discomfort count only as far as demand shows.

    References
    ----------
    .. [1] A. C. Harberger, Three basic postulates for applied welfare economics, J. Econ. Literature 9 (1971).
    .. [2] R. D. Willig, Consumer's surplus without apology, American Economic Review 66 (1976).
    """
    gain = adjustment_gain_inr(price_before, price_after, kwh_before, kwh_after)
    return gain - bill_change_at_unchanged_use
