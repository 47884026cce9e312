"""Shards: which worker owns which PSSs. A PSS is never cut, and no result depends on where the cuts are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.grid.state import StateGrid
from twin.grid.strata import Selection

_PSS_COST = 20
"""Cost of a PSS without simulated feeders (its HT consumers and sums), in consumers."""


def partition(state: StateGrid, selection: Selection, n_shards: int) -> list[NDArray[np.int32]]:
    """Cut the PSSs into ``n_shards`` runs of neighbours of about equal work.

    Returns
    -------
    list of int32 arrays
        PSS rows of every shard: each row exactly once, in order, no shard empty. There are never more shards than PSSs.

    Raises
    ------
    ValueError
        If ``n_shards`` is below one.
    """
    if n_shards < 1:
        raise ValueError(f"n_shards must be at least 1, got {n_shards}")
    n_pss = len(state.pss.code)
    n_shards = min(n_shards, n_pss)
    simulated = selection.simulated
    consumers = np.bincount(state.feeders.pss[simulated], state.feeders.n_consumers[simulated], minlength=n_pss)
    done = np.cumsum(consumers + _PSS_COST)
    wanted = done[-1] * np.arange(1, n_shards) / n_shards
    cuts = np.searchsorted(done - (consumers + _PSS_COST) / 2, wanted)
    shard = np.arange(1, n_shards)
    cuts = np.maximum.accumulate(np.maximum(cuts, shard) - shard) + shard  # strictly rising: none empty
    cuts = np.minimum(cuts, n_pss - n_shards + shard)
    return [rows.astype(np.int32) for rows in np.split(np.arange(n_pss), cuts)]
