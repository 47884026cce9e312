"""Compiled loops over the rows of a profile: from long form to elements x steps, and from elements to buses."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
TILE = 8
"""Steps taken together, so that both layouts of a profile stay in the cache."""


@nb.njit(cache=True)
def count_rows(
    code: NDArray[np.int32], wanted: int, index: IntArray, row_of: IntArray, low: int, counts: IntArray
) -> IntArray:
    """Count the rows of each element of one table; returns the rows that name an element the table does not have.

    ``row_of[index - low]`` is the element's row in its table, -1 where there is none.
    """
    bad = 0
    for k in range(len(code)):
        if code[k] == wanted:
            at = index[k] - low
            if 0 <= at < len(row_of) and row_of[at] >= 0:
                counts[row_of[at]] += 1
            else:
                bad += 1
    unknown = np.empty(bad, dtype=np.int64)
    found = 0
    if bad > 0:
        for k in range(len(code)):
            if code[k] == wanted:
                at = index[k] - low
                if not (0 <= at < len(row_of) and row_of[at] >= 0):
                    unknown[found] = k
                    found += 1
    return unknown


@nb.njit(cache=True)
def is_whole(code: NDArray[np.int32], wanted: int, step_id: IntArray, index: IntArray, n: int) -> bool:
    """Whether the rows are ``n`` elements of one table, step by step in ascending order, always in the same order.

    The caller knows that there are as many rows as elements times steps, so that none is missing or there twice.
    """
    for k in range(len(code)):
        if code[k] != wanted or index[k] != index[k % n]:
            return False
        if k >= n and step_id[k] <= step_id[k - n] or step_id[k] != step_id[k - k % n]:
            return False
    return True


@nb.njit(cache=True)
def fill(
    code: NDArray[np.int32], wanted: int, step_id: IntArray, place: IntArray, index: IntArray, row_of: IntArray,
    low: int, position: IntArray, p: FloatArray, q: FloatArray, p_out: FloatArray, q_out: FloatArray,
    seen: NDArray[np.uint8],
) -> IntArray:  # fmt: skip
    """Write the rows of one table's elements into ``p_out`` and ``q_out`` (n, steps); returns rows that came twice."""
    count = 0
    for k in range(len(code)):
        if code[k] == wanted:
            element, step = position[row_of[index[k] - low]], place[step_id[k]]
            count += seen[element, step]
            seen[element, step] = 1
            p_out[element, step], q_out[element, step] = p[k], q[k]
    twice = np.empty(count, dtype=np.int64)
    if count > 0:
        seen[:] = 0
        found = 0
        for k in range(len(code)):
            if code[k] == wanted:
                element, step = position[row_of[index[k] - low]], place[step_id[k]]
                if seen[element, step]:
                    twice[found] = k
                    found += 1
                seen[element, step] = 1
    return twice


@nb.njit(cache=True)
def add_elements(
    bus: IntArray, factor: FloatArray, values: FloatArray, first: int, steps: int, out: FloatArray
) -> None:
    """``out[bus[e], t] += factor[e] * values[e, first + t]`` for elements that stand on a bus (``bus >= 0``)."""
    for begin in range(0, steps, TILE):
        end = min(begin + TILE, steps)
        for e in range(len(bus)):
            if bus[e] >= 0:
                for t in range(begin, end):
                    out[bus[e], t] += factor[e] * values[e, first + t]
