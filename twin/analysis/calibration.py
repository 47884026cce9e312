"""Table ``calibration``: what the twin gives for the state beside what was published, like with like.

Rows of ``twin/data/calibration.csv`` to which ``calibration_split.csv`` gives one of the estimates below; that file
also says which are fitted and which held out. Counts and shares of
consumers come from the table ``population``, with the sampling error of the run's sample; the peak is handed in
(highest mean-field evening of the season), its hour is the run's. Peaks of other seasons and figures of a year are
estimated only from runs that hold all of their days (`calibration_season`, `calibration_year`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twin.analysis.calibration_season import Window, season_peaks
from twin.analysis.calibration_year import year_estimates
from twin.analysis.design import Experiment
from twin.analysis.estimate import Estimate
from twin.analysis.frames import Feeders, Population, by_code
from twin.analysis.loads import CaseLoads
from twin.analysis.tables import build
from twin.datapack import CLASSES, Row, read_rows, threshold

FloatArray = NDArray[np.float64]
SPOKEN_TO = ("base_2025_26", "base_2024_25")
MILLION = 1e6
Tolerance = Literal["relative", "points", "hours"]
HANDED_IN = ("peak_mw",)
"""What the caller may hand in: the season's highest mean-field peak [MW]."""


class Target(Row):
    """One published number."""

    id: str
    purpose: str
    quantity: str
    period: str
    unit: str
    value_low: float
    value_high: float
    confidence: str


class Use(Row):
    """What a published number is used for, decided before anything was fitted."""

    id: str
    use: Literal["fitted", "held_out"]
    estimate: str | None = None
    tolerance: float
    tolerance_kind: Tolerance
    window: str | None = None
    """Days that the figure speaks of, "MM-DD to MM-DD", where it is the peak of a season."""


@lru_cache(maxsize=1)
def split() -> dict[str, Use]:
    """Published numbers that are fitted or held out, by id."""
    return {row.id: row for row in read_rows("calibration_split", Use)}


def windows() -> dict[str, Window]:
    """Days of the estimates that are a season's peak, by name of the estimate."""
    return {use.estimate: parse_window(use.window) for use in split().values() if use.estimate and use.window}


def parse_window(text: str) -> Window:
    """First and last (month, day) of "MM-DD to MM-DD"; a `ValueError` for anything else."""
    first, last = (tuple(int(part) for part in day.split("-")) for day in text.split(" to "))
    (month, day), (last_month, last_day) = first, last
    return (month, day), (last_month, last_day)


def calibration_table(
    loads: CaseLoads, experiment: Experiment, feeders: Feeders, population: Population, estimates: Mapping[str, float]
) -> pa.Table:
    """Table ``calibration``. Without ``estimates["peak_mw"]`` the peak's row is left out: a short run's own peak is
    not the season's.

    The keys of ``estimates`` are those of `HANDED_IN`.

    Raises
    ------
    ValueError
        For another key (a defect of the caller).
    """
    unknown = sorted(set(estimates) - set(HANDED_IN))
    if unknown:
        raise ValueError(f"estimates {unknown} are not known; use {', '.join(HANDED_IN)}")
    cases = [int(case) for case in experiment.case[0, 0]]
    found = {
        **_counts(feeders, population),
        **_peak(loads, experiment, estimates),
        **season_peaks(loads, cases, windows()),
        **year_estimates(loads, experiment),
    }
    rows = []
    for target in read_rows("calibration", Target):
        use = split().get(target.id)
        if use is not None and use.estimate in found and target.purpose in SPOKEN_TO:
            rows.append(_row(target, found[use.estimate], use))
    return build("calibration", rows)


def _row(target: Target, estimate: Estimate, use: Use) -> dict[str, Any]:
    low, high = estimate.bounds()
    names = ("id", "quantity", "period", "unit", "confidence")
    return {
        **{name: getattr(target, name) for name in names},
        "target_low": target.value_low,
        "target_high": target.value_high,
        "value": estimate.value,
        "low": low,
        "high": high,
        "fitted": use.use == "fitted",
    }


def _counts(feeders: Feeders, population: Population) -> dict[str, Estimate]:
    """Consumers by group in millions, and the share of homes whose billed annual average lies within the free block."""
    count = population.consumers.astype(np.float64)
    homes = population.cell % CLASSES > 0
    category = population.cell // CLASSES
    groups = {"consumers_million": np.ones_like(homes), "homes_million": homes}
    for name, prefix in (("kutir_jyoti_million", "kutir_jyoti"), ("farm_million", "irrigation")):
        codes = [code for code, one in enumerate(population.categories) if one.startswith(prefix)]
        groups[name] = np.isin(category, codes)
    found = {name: _total(feeders, population, count * mark / MILLION) for name, mark in groups.items()}
    within = homes * population.within_free
    all_homes = found["homes_million"].value * MILLION
    share = float(np.sum(population.weight * within)) / all_homes
    part = _total(feeders, population, (within - share * homes * count) * (100.0 / all_homes))
    return {
        **found,
        "homes_in_free_block_percent": Estimate(100.0 * share, part.error, part.freedom),
        "homes_in_free_block_million": _total(feeders, population, within / MILLION),
    }


def _total(feeders: Feeders, population: Population, values: FloatArray) -> Estimate:
    """State total of ``values``, sums over each group's consumers, with its sampling error."""
    total = float(np.sum(population.weight * values))
    if not feeders.represented:
        return Estimate(total)
    by_feeder = by_code(population.sampled_row, values, len(feeders.sampled_rows))
    return Estimate(total, *feeders.sample.error(by_feeder))


def _peak(loads: CaseLoads, experiment: Experiment, estimates: Mapping[str, float]) -> dict[str, Estimate]:
    """The season's peak, with the relative sampling error of the run's own peak, and the hour of the run's peak.

    Both speak of the first arm. The hour is the mean over replicates; a peak after midnight counts on from 24.
    """
    drawn = [loads.summary(int(case)) for case in experiment.case[0, 0]]
    found = {"peak_hour": Estimate(float(np.mean([one.peak_hour for one in drawn])))}
    if "peak_mw" in estimates:
        error, freedom = float("nan"), float("nan")
        if loads.feeders.represented:
            error, freedom = loads.feeders.sample.error(drawn[0].sampled_at_peak_mw)
            error *= estimates["peak_mw"] / drawn[0].peak_mw
        found["peak_mw"] = Estimate(float(estimates["peak_mw"]), error, freedom)
    return found


def miss(row: Mapping[str, Any]) -> float:
    """How far a row of ``calibration`` lies outside the published range, 0 inside: in the row's unit where its limit is
    in hours or points, else relative to the nearer end.
    """
    low, high, value = float(row["target_low"]), float(row["target_high"]), float(row["value"])
    outside = max(low - value, value - high, 0.0)
    if tolerance(row)[1] != "relative":
        return outside
    return outside / abs(low if value < low else high)


def tolerance(row: Mapping[str, Any]) -> tuple[float, Tolerance]:
    """How far a row of ``calibration`` may lie outside the published range, and in what that is told.

    Decided for each published number in ``calibration_split.csv``. Numbers that the split does not name (recalled ones
    of runs made before it) have the limits of ``analysis.csv``, which are the widest of the split's.
    """
    use = split().get(str(row["id"]))
    if use is not None:
        return use.tolerance, use.tolerance_kind
    if row["unit"] == "h":
        return threshold("calibration_hour_within"), "hours"
    return threshold("calibration_within"), "relative"


def is_met(row: Mapping[str, Any]) -> bool:
    """Is a row of ``calibration`` within its own `tolerance` of what was published?"""
    return miss(row) <= tolerance(row)[0]
