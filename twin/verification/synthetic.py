"""The synthesised state that several cases take a part of, built once per process."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from twin.demand.panel import design_kind_kw
from twin.grid.state import StateGrid, build_state

SEED = 2026


@lru_cache(maxsize=1)
def planning_kw() -> NDArray[np.float64]:
    """Expected demand of every kind through the planning day, (n_kinds, 96). [kW]"""
    return design_kind_kw(SEED)


@lru_cache(maxsize=1)
def state_grid() -> StateGrid:
    """The state's columns."""
    return build_state(SEED, planning_kw())
