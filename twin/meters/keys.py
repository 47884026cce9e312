"""Keys that meters share (model M12): who steals one holds exactly the meters of its group.

Meters of a maker that were put up in the same ``lot_months`` share a key, counted from January 2000: 6 makes two lots a
year, a large number one key for all. With 0 each has its own (AMI facts, sections 1.6 and 8.3).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OWN = -1
"""Lot of a meter that shares its key with nobody."""
_FIRST = np.datetime64("2000-01-01")


class KeyParams(NamedTuple):
    """Datasheet numbers, shape (n_types,); zero where a type has no key that it shares."""

    lot_months: NDArray[np.float64]


def lots(installed_day: NDArray[np.int32], lot_months: NDArray[np.float64]) -> NDArray[np.int64]:
    """Lot of each meter among those of its maker, or `OWN`. Shape (n,).

    Parameters
    ----------
    installed_day : array, shape (n,)
        Days since 2000-01-01.
    lot_months : array, shape (n,)
        Months whose meters share a key; 0: none do.
    """
    month = (_FIRST + installed_day.astype("timedelta64[D]")).astype("datetime64[M]").astype(np.int64)
    month -= _FIRST.astype("datetime64[M]").astype(np.int64)
    shares = lot_months > 0.0
    return np.where(shares, np.floor_divide(month, np.where(shares, lot_months, 1.0)).astype(np.int64), OWN)
