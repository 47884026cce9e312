"""Limits and definitions of the analysis, read from ``twin/data/analysis.csv``: none is written in code."""

from __future__ import annotations

from functools import lru_cache

from twin.datapack import Row, read_rows


class Threshold(Row):
    """One number that a result rests on by definition."""

    name: str
    value: float
    unit: str


@lru_cache(maxsize=1)
def _all() -> dict[str, float]:
    return {row.name: row.value for row in read_rows("analysis", Threshold)}


def threshold(name: str) -> float:
    """Value of the row ``name``, in the unit that the row states.

    Raises
    ------
    KeyError
        If there is no such row (a defect of the caller).
    """
    return _all()[name]
