"""Who gains and who loses: the distribution over consumers of the monthly change, by category and income class (table
``gains``).

Shares, percentiles and means weigh consumers by how many of the state they stand for. Over replicates the statistics
are averaged, not the consumers, so that a distribution keeps the spread between consumers of one world.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.analysis.frames import Consumers, by_code
from twin.datapack import CLASSES, threshold

FloatArray = NDArray[np.float64]
PERCENTILES = {"p10": 0.10, "p50": 0.50, "p90": 0.90}


def weighted_quantiles(values: FloatArray, weights: FloatArray, at: FloatArray) -> FloatArray:
    """Smallest values below or at which at least the shares ``at`` of the weight lie (inverse of the weighted
    distribution).

    Parameters
    ----------
    values, weights : float64[n]
        Weights are above 0.
    at : float64[k]
        Shares from 0 to 1.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    place = np.searchsorted(reached, at * reached[-1], side="left")
    return values[order][np.minimum(place, len(values) - 1)]


def cell_statistics(
    cell: NDArray[np.int64], weight: FloatArray, change: FloatArray, n_cells: int
) -> dict[str, FloatArray]:
    """Shares, percentiles and mean of ``change`` [INR/month] by cell; every array has shape (n_cells,).

    Consumers of weight 0 are left out. A cell without consumers is nan throughout, one of fewer consumers than
    ``group_least`` has no percentiles (nan). "More" and "less" speak of the change itself: a higher bill, or for
    surplus a gain.
    """
    inside = weight > 0
    cell, weight, change = cell[inside], weight[inside], change[inside]
    total = by_code(cell, weight, n_cells)
    same, large = threshold("bill_same"), threshold("bill_large")
    marks = {
        "share_more_50": change > large,
        "share_more": change > same,
        "share_same": np.abs(change) <= same,
        "share_less": change < -same,
        "share_less_50": change < -large,
    }
    result: dict[str, FloatArray] = {"consumers": total}
    for name, mark in marks.items():
        result[name] = _ratio(by_code(cell, weight * mark, n_cells), total)
    result["mean_inr"] = _ratio(by_code(cell, weight * change, n_cells), total)
    quantiles = np.full((len(PERCENTILES), n_cells), np.nan)
    order = np.argsort(cell.astype(np.int16), kind="stable")  # 16 bits: sorted by counting, in linear time
    bounds = np.searchsorted(cell[order], np.arange(n_cells + 1))
    for code in np.flatnonzero(np.diff(bounds) >= threshold("group_least")):
        rows = order[bounds[code] : bounds[code + 1]]
        quantiles[:, code] = weighted_quantiles(change[rows], weight[rows], np.array(list(PERCENTILES.values())))
    return {**result, **dict(zip(PERCENTILES, quantiles, strict=True))}


def _ratio(part: FloatArray, total: FloatArray) -> FloatArray:
    return np.divide(part, total, out=np.full(len(total), np.nan), where=total > 0)


def gain_rows(
    label: str, measure: str, consumers: Consumers, drawn: list[dict[str, FloatArray]]
) -> list[dict[str, Any]]:
    """Rows of ``gains`` for one arm and measure from the cell statistics of each replicate."""
    mean = {name: np.mean([one[name] for one in drawn], axis=0) for name in drawn[0]}
    return [
        {
            "arm": label,
            "measure": measure,
            "category": consumers.categories[code // CLASSES],
            "income_class": int(code % CLASSES),
            **{name: None if np.isnan(values[code]) else float(values[code]) for name, values in mean.items()},
        }
        for code in np.flatnonzero(mean["consumers"] > 0)
    ]
