"""Load of each case, read once: by area for effects, by level for losses, by sampled feeder for sampling errors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twin.analysis.design import clock_hours, hours_per_step
from twin.analysis.frames import Feeders, by_code, rows_of
from twin.analysis.tables import RunTables, read_case
from twin.datapack import threshold
from twin.errors import Problem, RunFolderError
from twin.units import KW_PER_MW

FloatArray = NDArray[np.float64]
STATE_LOSSES = ("loss_ehv", "loss_33kv", "loss_11kv", "loss_dt", "loss_lv")
FEEDER_LOSSES = ("loss_11kv", "loss_dt", "loss_lv")
UNSERVED = "unserved"
"""Of the state: demand that interruptions and open switches leave unserved, no part of what is sent."""
NOON_H = 12.0
DAY_H = 24.0


@dataclass(frozen=True)
class NetworkCase:
    """Load of one case. ``sent_mw used_mw loss_mw`` have shape (n_areas, steps), the state first.

    ``sampled_*_mw`` have shape (n_sampled, steps): the heads of the sampled feeders; ``evening`` (steps,) marks the
    evening window.
    """

    step_h: float
    evening: NDArray[np.bool_]
    sent_mw: FloatArray
    used_mw: FloatArray
    loss_mw: FloatArray
    purchase_inr: float
    sampled_sent_mw: FloatArray
    sampled_used_mw: FloatArray
    sampled_loss_mw: FloatArray


@dataclass(frozen=True)
class CaseSummary:
    """What stays of a case: energy by area and part [MWh], and its highest intake with what the sampled feeders drew
    then.

    ``peak_hour`` is the wall-clock hour at which that step starts, counted from noon on (12 up to 36).
    """

    energy_mwh: dict[str, dict[str, float]]
    peak_mw: float
    peak_hour: float
    sampled_at_peak_mw: FloatArray


@dataclass
class CaseLoads:
    """Loads of a run's cases. Every case is read from storage once; only its summary is kept.

    With no feeders (`twin.analysis.frames.no_feeders`) there are loads of the state alone, and the table ``feeders`` is
    not read.
    """

    run: RunTables
    feeders: Feeders
    summaries: dict[int, CaseSummary] = field(default_factory=dict)

    def case(self, number: int) -> NetworkCase:
        """Read one case.

        Raises
        ------
        RunFolderError
            If its rows are missing, or its feeders are not those of the feeder list.
        """
        feeders = self.feeders
        parts = [f"{part}_mw" for part in ("sent", "used", *STATE_LOSSES, UNSERVED)]
        system = read_case(self.run, "system", number, ["interval_start", "purchase_inr", *parts])
        hours = clock_hours(system["interval_start"])
        heads = self._heads(number, len(hours))
        step_h = hours_per_step(self.run)
        totals = {name: heads[f"{name}_kw"] for name in ("sent", "used")}
        totals["loss"] = _total(heads, [f"{name}_kw" for name in FEEDER_LOSSES])
        state = {name: system[f"{name}_mw"] for name in ("sent", "used")}
        state["loss"] = _total(system, [f"{name}_mw" for name in STATE_LOSSES])
        by_area = {name: np.stack([state[name], *_districts(feeders, load)]) for name, load in totals.items()}
        sampled = {name: load[:, feeders.sampled_rows].T / KW_PER_MW for name, load in totals.items()}
        evening = (hours >= threshold("evening_start")) & (hours < threshold("evening_end"))
        peak = int(np.argmax(state["sent"]))
        self.summaries[number] = CaseSummary(
            energy_mwh=_energy(feeders, system, heads, step_h),
            peak_mw=float(state["sent"][peak]),
            peak_hour=float(hours[peak] + (DAY_H if hours[peak] < NOON_H else 0.0)),
            sampled_at_peak_mw=sampled["sent"][:, peak].copy(),
        )
        return NetworkCase(
            step_h=step_h,
            evening=evening,
            sent_mw=by_area["sent"],
            used_mw=by_area["used"],
            loss_mw=by_area["loss"],
            purchase_inr=float(system["purchase_inr"].sum()),
            sampled_sent_mw=sampled["sent"],
            sampled_used_mw=sampled["used"],
            sampled_loss_mw=sampled["loss"],
        )

    def summary(self, number: int) -> CaseSummary:
        """What stays of a case, which is read now if it was not before."""
        if number not in self.summaries:
            self.case(number)
        return self.summaries[number]

    def _heads(self, number: int, steps: int) -> dict[str, FloatArray]:
        """Columns of the table ``feeders`` as matrices (steps, n_feeders) in the order of the feeder list."""
        names = [f"{name}_kw" for name in ("sent", "used", *FEEDER_LOSSES)]
        count = len(self.feeders.feeder_id)
        if count == 0:
            return {name: np.zeros((steps, 0)) for name in names}
        rows = read_case(self.run, "feeders", number, ["feeder_id", *names])
        ids = rows["feeder_id"]
        rows_of(self.feeders, ids)
        if len(ids) != count * steps or not np.array_equal(ids, np.tile(self.feeders.feeder_id, steps)):
            what = f"case {number}: {len(ids)} rows are not the {count} simulated feeders in each of {steps} steps"
            raise RunFolderError([Problem("tables/feeders", "feeder_id", what, "the run is damaged; run it again")])
        return {name: rows[name].reshape(steps, count) for name in names}


def _districts(feeders: Feeders, load_kw: FloatArray) -> list[FloatArray]:
    """Sum of the feeders of each resolved district by step. [MW]"""
    codes = range(len(feeders.districts))
    return [load_kw[:, feeders.district == code].sum(axis=1) / KW_PER_MW for code in codes]


def _energy(
    feeders: Feeders, system: dict[str, NDArray], heads: dict[str, FloatArray], step_h: float
) -> dict[str, dict[str, float]]:
    """Energy by area and part: the state, resolved districts, and discoms estimated by the feeders' weights. [MWh]"""
    parts = ("sent", "used", *STATE_LOSSES)
    result = {"state": {part: float(system[f"{part}_mw"].sum()) * step_h for part in parts}}
    if unserved_mw := float(system[f"{UNSERVED}_mw"].sum()):
        result["state"][UNSERVED] = unserved_mw * step_h
    for part in ("sent", "used", *FEEDER_LOSSES):
        energy = heads[f"{part}_kw"].sum(axis=0) * (step_h / KW_PER_MW)
        sums = {
            "district": (feeders.districts, by_code(feeders.district, energy, len(feeders.districts))),
            "discom": (feeders.discoms, by_code(feeders.discom, feeders.weight * energy, len(feeders.discoms))),
        }
        for kind, (names, values) in sums.items():
            for name, value in zip(names, values, strict=True):
                result.setdefault(f"{kind}:{name}", {})[part] = float(value)
    return result


def _total(columns: dict[str, NDArray], names: list[str]) -> FloatArray:
    total = np.zeros(columns[names[0]].shape)
    for name in names:
        total += columns[name]
    return total
