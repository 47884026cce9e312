"""Effects on load, energy and losses, for the state and for resolved districts, paired by replicate.

The state's rows come from the table ``system`` (the whole state, all levels); a district's from its 11 kV feeders'
heads, so its losses are those at 11 kV and below. Sampling errors of the state's rows speak of the sampled feeders:
what they add above 11 kV is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.analysis.design import Experiment, clock_hours, hours_per_step
from twin.analysis.effect_rows import EffectRows
from twin.analysis.frames import Feeders, areas, rows_of
from twin.analysis.tables import RunTables, read_case
from twin.analysis.thresholds import threshold
from twin.errors import Problem, RunFolderError
from twin.units import KW_PER_MW

FloatArray = NDArray[np.float64]
STATE_LOSSES = ("loss_ehv_mw", "loss_33kv_mw", "loss_11kv_mw", "loss_dt_mw", "loss_lv_mw")
FEEDER_LOSSES = ("loss_11kv_kw", "loss_dt_kw", "loss_lv_kw")
MWH_PER_GWH = 1000.0


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


def read_network_case(run: RunTables, feeders: Feeders, case: int) -> NetworkCase:
    """Load of one case by area and of every sampled feeder."""
    system = read_case(run, "system", case, ["interval_start", "sent_mw", "used_mw", "purchase_inr", *STATE_LOSSES])
    hours = clock_hours(system["interval_start"])
    columns = {"sent": ("sent_kw",), "used": ("used_kw",), "loss": FEEDER_LOSSES}
    state = {"sent": system["sent_mw"], "used": system["used_mw"], "loss": _total(system, STATE_LOSSES)}
    by_area: dict[str, FloatArray] = {}
    sampled: dict[str, FloatArray] = {}
    if feeders.districts or feeders.represented:
        heads, row = _feeder_columns(run, feeders, case, len(hours))
        place = np.full(len(feeders.feeder_id), -1)
        place[row] = np.arange(len(row))
        for part, names in columns.items():
            load_mw = _total(heads, names) / KW_PER_MW
            members = [load_mw[:, feeders.district[row] == code].sum(axis=1) for code in range(len(feeders.districts))]
            by_area[part] = np.stack([state[part], *members])
            sampled[part] = np.ascontiguousarray(load_mw[:, place[feeders.sampled_rows]].T)
    else:
        by_area = {part: values[None, :] for part, values in state.items()}
        sampled = {part: np.zeros((0, len(hours))) for part in columns}
    evening = (hours >= threshold("evening_start")) & (hours < threshold("evening_end"))
    return NetworkCase(
        step_h=hours_per_step(run),
        evening=evening,
        sent_mw=by_area["sent"],
        used_mw=by_area["used"],
        loss_mw=by_area["loss"],
        purchase_inr=float(system["purchase_inr"].sum()),
        sampled_sent_mw=sampled["sent"],
        sampled_used_mw=sampled["used"],
        sampled_loss_mw=sampled["loss"],
    )


def _total(columns: dict[str, NDArray], names: tuple[str, ...]) -> FloatArray:
    total = np.zeros(columns[names[0]].shape)
    for name in names:
        total += columns[name]
    return total


def _feeder_columns(run: RunTables, feeders: Feeders, case: int, steps: int) -> tuple[dict[str, FloatArray], NDArray]:
    """Columns of the table ``feeders`` as (steps, n) matrices, and the row of each feeder in ``feeders``."""
    names = ["sent_kw", "used_kw", *FEEDER_LOSSES]
    rows = read_case(run, "feeders", case, ["feeder_id", *names])
    ids = rows["feeder_id"]
    count = len(ids) // steps
    if len(ids) != count * steps or not np.array_equal(ids, np.tile(ids[:count], steps)):
        what = f"case {case}: {len(ids)} rows are not the same feeders in each of {steps} steps"
        raise RunFolderError([Problem("tables/feeders", "feeder_id", what, "the run is damaged; run it again")])
    return {name: rows[name].reshape(steps, count) for name in names}, rows_of(feeders, ids[:count])


def moved(difference: FloatArray, step_h: float) -> FloatArray:
    """Energy moved between steps, along the last axis of a load difference [MW]: what rose somewhere and fell
    elsewhere. [MWh]

    Half the sum of absolute differences after the saved (or added) part is removed:
    (sum |d| - |sum d|) / 2 = min(sum of rises, sum of falls). A pure saving moves nothing; energy moved and energy
    saved do not overlap.
    """
    return (np.abs(difference).sum(axis=-1) - np.abs(difference.sum(axis=-1))) * (step_h / 2.0)


def peak(load: FloatArray, window: NDArray[np.bool_]) -> FloatArray:
    """Highest value within a window of steps, along the last axis."""
    return np.where(window, load, -np.inf).max(axis=-1)


def peak_step(load: FloatArray, window: NDArray[np.bool_]) -> int:
    """First step of the highest value of one series within a window."""
    return int(np.argmax(np.where(window, load, -np.inf)))


def outcomes(base: NetworkCase, arm: NetworkCase) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Change and the baseline's own value of each outcome by area, both of shape (n_areas,).

    Peaks in MW, energies in MWh, the loss share in percent of energy sent (its change in percentage points). For
    energy moved and saved (positive: the arm uses less) the second value is the baseline's used energy.
    """
    everywhen = np.ones(len(base.evening), dtype=bool)
    used_mwh = base.used_mw.sum(axis=1) * base.step_h
    difference = arm.used_mw - base.used_mw
    loss_mwh = [one.loss_mw.sum(axis=1) * one.step_h for one in (base, arm)]
    share = [100.0 * one.loss_mw.sum(axis=1) / one.sent_mw.sum(axis=1) for one in (base, arm)]
    result = {
        "energy_moved": (moved(difference, base.step_h), used_mwh),
        "energy_saved": (-difference.sum(axis=1) * base.step_h + 0.0, used_mwh),
        "technical_loss": (loss_mwh[1] - loss_mwh[0], loss_mwh[0]),
        "technical_loss_share": (share[1] - share[0], share[0]),
    }
    for name, window in (("evening_peak", base.evening), ("peak_any", everywhen)):
        own = peak(base.sent_mw, window)
        result[name] = (peak(arm.sent_mw, window) - own, own)
    return result


def linearised(base: NetworkCase, arm: NetworkCase) -> dict[str, FloatArray]:
    """Each sampled feeder's part in the state's change, to first order; arrays of shape (n_sampled,), units as
    `outcomes`.

    A peak's change is the load at the arm's peak step minus that at the baseline's (the peak's step is stationary);
    energy moved weighs each step by the sign of the state's change there.
    """
    change = arm.used_mw[0] - base.used_mw[0]
    sign = (np.sign(change) - np.sign(change.sum())) * (base.step_h / 2.0)
    feeder_change = arm.sampled_used_mw - base.sampled_used_mw
    lost = [one.sampled_loss_mw.sum(axis=1) * one.step_h for one in (base, arm)]
    everywhen = np.ones(len(base.evening), dtype=bool)
    result = {
        "energy_moved": (feeder_change * sign).sum(axis=1),
        "energy_saved": -feeder_change.sum(axis=1) * base.step_h,
        "technical_loss": lost[1] - lost[0],
        "technical_loss_share": _share_part(arm) - _share_part(base),
    }
    for name, window in (("evening_peak", base.evening), ("peak_any", everywhen)):
        at_arm, at_base = peak_step(arm.sent_mw[0], window), peak_step(base.sent_mw[0], window)
        result[name] = arm.sampled_sent_mw[:, at_arm] - base.sampled_sent_mw[:, at_base]
    return result


def _share_part(one: NetworkCase) -> FloatArray:
    """Linearised loss share of the state: (loss_f - share x sent_f) / sent of the state. [percent]"""
    sent = one.sent_mw[0].sum()
    share = one.loss_mw[0].sum() / sent
    return 100.0 * (one.sampled_loss_mw.sum(axis=1) - share * one.sampled_sent_mw.sum(axis=1)) / sent


def unit_of(outcome: str, area: str) -> tuple[str, float]:
    """Unit of an outcome in an area, and what to divide MW or MWh by to get it."""
    if outcome in ("evening_peak", "peak_any"):
        return "MW", 1.0
    if outcome == "technical_loss_share":
        return "percentage points", 1.0
    if outcome in ("energy_moved", "energy_saved") and area == "state":
        return "GWh", MWH_PER_GWH
    return "MWh", 1.0


def add_network_effects(run: RunTables, experiment: Experiment, feeders: Feeders, point: int, rows: EffectRows) -> None:
    """Append the load, energy, loss and purchase rows of every arm but the first at one sweep point."""
    n_arms, n_replicates = experiment.case.shape[1:]
    found: list[list] = [[] for _ in range(n_arms)]
    parts: list[list] = [[] for _ in range(n_arms)]
    cost: list[list] = [[] for _ in range(n_arms)]
    for replicate in range(n_replicates):
        base = read_network_case(run, feeders, experiment.case[point, 0, replicate])
        for arm in range(1, n_arms):
            other = read_network_case(run, feeders, experiment.case[point, arm, replicate])
            found[arm].append(outcomes(base, other))
            parts[arm].append(linearised(base, other) if feeders.represented else {})
            cost[arm].append((other.purchase_inr - base.purchase_inr, base.purchase_inr))
    for arm in range(1, n_arms):
        label = experiment.label(point, arm)
        for outcome in found[arm][0]:
            error = None
            if feeders.represented:
                error = feeders.sample.error(np.mean([one[outcome] for one in parts[arm]], axis=0))
            for place, area in enumerate(areas(feeders)):
                unit, scale = unit_of(outcome, area)
                change = np.array([one[outcome][0][place] for one in found[arm]]) / scale
                own = np.array([one[outcome][1][place] for one in found[arm]]) / scale
                sampling = (error[0] / scale, error[1]) if error is not None and place == 0 else None
                rows.add((label, outcome, area, "all"), unit, change, own, sampling)
        change, own = np.array(cost[arm]).T
        rows.add((label, "purchase_cost", "state", "all"), "INR", change, own)
