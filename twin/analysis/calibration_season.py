"""Highest load of a season, from runs that hold all of its days (``window`` of ``calibration_split.csv``)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from twin.analysis.estimate import Estimate, mean_estimate
from twin.analysis.loads import CaseLoads
from twin.analysis.tables import read_case

Window = tuple[tuple[int, int], tuple[int, int]]
"""First and last (month, day), both included; within one calendar year."""
EPOCH = dt.date(1970, 1, 1)
DAY_US = np.int64(86_400_000_000)


def days_of_window(window: Window, dates: NDArray[np.int32]) -> NDArray[np.int64] | None:
    """Days of a window in the first year of which ``dates`` hold them all; None where no year has them all.

    ``dates`` are days since 1970-01-01, whole days of a run. A window that ends on 29 February needs a leap year.
    """
    (first_month, first_day), (last_month, last_day) = window
    years = sorted({(EPOCH + dt.timedelta(days=int(day))).year for day in (dates.min(), dates.max())})
    for year in range(years[0], years[-1] + 1):
        first = (dt.date(year, first_month, first_day) - EPOCH).days
        days = np.arange(first, (dt.date(year, last_month, last_day) - EPOCH).days + 1)
        if np.isin(days, dates).all():
            return days
    return None


def season_peaks(loads: CaseLoads, cases: list[int], windows: Mapping[str, Window]) -> dict[str, Estimate]:
    """Highest intake of each window that the run holds, with the sampling error of that step. [MW]

    The mean over replicates. Table ``feeders`` is read only where a window is held and feeders stand for others.
    """
    drawn = [_case_peaks(loads, case, windows) for case in cases]
    return {name: mean_estimate([one[name] for one in drawn]) for name in drawn[0]}


def _case_peaks(loads: CaseLoads, case: int, windows: Mapping[str, Window]) -> dict[str, Estimate]:
    system = read_case(loads.run, "system", case, ["interval_start", "sent_mw"])
    date = (system["interval_start"] // DAY_US).astype(np.int32)
    held = {name: days_of_window(window, np.unique(date)) for name, window in windows.items()}
    steps = {
        name: int(np.argmax(np.where(np.isin(date, days), system["sent_mw"], -np.inf)))
        for name, days in held.items()
        if days is not None
    }
    if not steps:
        return {}
    sampled = loads.case(case).sampled_sent_mw if loads.feeders.represented else None
    found = {}
    for name, step in steps.items():
        error = (float("nan"), float("nan")) if sampled is None else loads.feeders.sample.error(sampled[:, step])
        found[name] = Estimate(float(system["sent_mw"][step]), *error)
    return found
