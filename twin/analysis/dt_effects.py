"""Effects on distribution transformers: hours above the rating, ends below the permitted voltage, the worst evening
peak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.analysis.design import Experiment
from twin.analysis.effect_rows import EffectRows
from twin.analysis.frames import Feeders, areas, by_code, rows_of
from twin.analysis.tables import RunTables, read_case
from twin.datapack import threshold
from twin.units import LV_NOMINAL_PU

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class TransformerCase:
    """One case's DTs over the whole run. Arrays of shape (n_areas,), the state first and weighted, or (n_sampled,)."""

    overload_h: FloatArray
    below: FloatArray
    count: FloatArray
    worst_evening_kw: float
    sampled_overload_h: FloatArray
    sampled_below: FloatArray
    sampled_count: FloatArray

    @property
    def share_below(self) -> FloatArray:
        """Share of DTs whose lowest consumer voltage falls below the permitted one. [percent], nan for an area without
        DTs
        """
        return np.divide(100.0 * self.below, self.count, out=np.full(len(self.count), np.nan), where=self.count > 0)


def read_transformer_case(run: RunTables, feeders: Feeders, case: int) -> TransformerCase:
    """Reduce the daily DT rows of one case to areas and sampled feeders."""
    names = ["dt_id", "feeder_id", "overload_hours", "evening_peak_kw", "v_end_min_pu"]
    rows = read_case(run, "transformers", case, names)
    order = np.argsort(rows["dt_id"], kind="stable")  # rows come by day; days of a DT stay in order
    rows = {name: values[order] for name, values in rows.items()}
    start = np.flatnonzero(np.r_[True, rows["dt_id"][1:] != rows["dt_id"][:-1]])
    overload_h = np.add.reduceat(rows["overload_hours"].astype(np.float64), start)
    floor_pu = threshold("lv_floor") * LV_NOMINAL_PU
    below = np.minimum.reduceat(rows["v_end_min_pu"], start).astype(np.float64) < floor_pu
    feeder = rows_of(feeders, rows["feeder_id"][start])
    marks, ones = below.astype(np.float64), np.ones(len(start))
    place = np.full(len(feeders.feeder_id), -1)
    size = len(feeders.sampled_rows)
    place[feeders.sampled_rows] = np.arange(size)
    return TransformerCase(
        overload_h=_by_area(feeders, feeder, overload_h),
        below=_by_area(feeders, feeder, marks),
        count=_by_area(feeders, feeder, ones),
        worst_evening_kw=float(rows["evening_peak_kw"].max()),
        sampled_overload_h=by_code(place[feeder], overload_h, size),
        sampled_below=by_code(place[feeder], marks, size),
        sampled_count=by_code(place[feeder], ones, size),
    )


def _by_area(feeders: Feeders, feeder: NDArray[np.int64], values: FloatArray) -> FloatArray:
    state = float(np.sum(feeders.weight[feeder] * values))
    return np.r_[state, by_code(feeders.district[feeder], values, len(feeders.districts))]


def add_transformer_effects(
    run: RunTables, experiment: Experiment, feeders: Feeders, point: int, rows: EffectRows
) -> None:
    """Append the DT rows of every arm but the first at one sweep point."""
    n_arms, n_replicates = experiment.case.shape[1:]
    cases = [
        [
            read_transformer_case(run, feeders, experiment.case[point, arm, replicate])
            for replicate in range(n_replicates)
        ]
        for arm in range(n_arms)
    ]
    for arm in range(1, n_arms):
        pairs = list(zip(cases[0], cases[arm], strict=True))
        label = experiment.label(point, arm)
        hours_error, share_error = _errors(feeders, pairs)
        for place, area in enumerate(areas(feeders)):
            own = np.array([base.overload_h[place] for base, _ in pairs])
            change = np.array([one.overload_h[place] - base.overload_h[place] for base, one in pairs])
            rows.add((label, "dt_overload_hours", area, "all"), "h", change, own, hours_error if place == 0 else None)
            own = np.array([base.share_below[place] for base, _ in pairs])
            change = np.array([one.share_below[place] for _, one in pairs]) - own
            key = (label, "voltage_violations", area, "all")
            rows.add(key, "percentage points", change, own, share_error if place == 0 else None)
        own = np.array([base.worst_evening_kw for base, _ in pairs])
        change = np.array([one.worst_evening_kw for _, one in pairs]) - own
        rows.add((label, "evening_peak", "dt:worst", "all"), "kW", change, own)


Error = tuple[float, float] | None


def _errors(feeders: Feeders, pairs: list[tuple[TransformerCase, TransformerCase]]) -> tuple[Error, Error]:
    """Standard errors with degrees of freedom of the change of overload hours and of the share below the permitted
    voltage.
    """
    if not feeders.represented:
        return None, None
    hours = np.mean([one.sampled_overload_h - base.sampled_overload_h for base, one in pairs], axis=0)
    shares = np.mean([_share_part(one) - _share_part(base) for base, one in pairs], axis=0)
    return feeders.sample.error(hours), feeders.sample.error(shares)


def _share_part(case: TransformerCase) -> FloatArray:
    """Each sampled feeder's linearised part in the state's share: (below_f - share x count_f) / count. [percent]"""
    share = case.below[0] / case.count[0]
    return 100.0 * (case.sampled_below - share * case.sampled_count) / case.count[0]
