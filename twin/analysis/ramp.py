"""How fast load moves when a command opens or closes many switches (model M12).

``dP(t) = -P n(t)``: n switches that have moved by t (table ``commands``), each with the same mean load P: what the
unserved demand (table ``system``) changes by from the step before to the step after, per switch. A run's steps need not
be short for it, since seconds come from when meters carried the command out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.results.reader import Run

MOST = 0.9
"""Share of a campaign's switches after which its load is taken as moved: the rest waits for later tries."""


@dataclass(frozen=True)
class Ramp:
    """One campaign in one case."""

    case: int
    campaign: int
    command: str
    switches: int
    mw: float
    """Load that its switches carry: positive where it goes. [MW]"""
    spread_s: float
    """Time in which nine tenths of them move. [s]"""
    steepest_mw_per_s: float
    """Fastest change within a window. [MW/s]"""


def steepest_per_s(times_s: NDArray[np.float64], window_s: float) -> float:
    """Most switches within any window of a length, over that length. ``times_s`` rises. [1/s]"""
    inside = np.searchsorted(times_s, times_s + window_s, side="left") - np.arange(len(times_s))
    return float(inside.max()) / window_s


def ramps(run: Run, window_s: float = 1.0) -> list[Ramp]:
    """Every campaign of a run that moved switches, case by case."""
    rows = run.query(
        'SELECT "case", campaign, command, epoch(executed) AS at FROM commands'
        " WHERE result = 'executed' AND command IN ('disconnect', 'connect') ORDER BY ALL"
    ).to_pandas()
    system = run.query(
        'SELECT "case", epoch(interval_start) AS start, unserved_mw FROM system ORDER BY ALL'
    ).to_pandas()
    found = []
    for (case, campaign, command), mine in rows.groupby(["case", "campaign", "command"]):
        times = np.sort(mine["at"].to_numpy())
        mine_mw = system[system["case"] == case]
        start, mw = mine_mw["start"].to_numpy(), mine_mw["unserved_mw"].to_numpy()
        most_by = times[int(np.ceil(MOST * len(times))) - 1]
        before = max(int(np.searchsorted(start, times[0], side="right")) - 2, 0)
        after = min(int(np.searchsorted(start, most_by, side="left")), len(start) - 1)
        moved = int(np.searchsorted(times, start[after], side="right"))
        change = float(abs(mw[after] - mw[before]))
        steepest = steepest_per_s(times, window_s) * change / max(moved, 1)
        found.append(Ramp(int(case), int(campaign), str(command), moved, change, float(most_by - times[0]), steepest))
    return found
