"""Effects on load, energy and losses, for the state and for resolved districts, paired by replicate.

The state's rows come from the table ``system`` (the whole state, all levels); a district's from its 11 kV feeders'
heads, so its losses are those at 11 kV and below. Sampling errors of the state's rows speak of the sampled feeders:
what they add above 11 kV is left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.analysis.design import Experiment, is_own_network
from twin.analysis.effect_rows import EffectRows
from twin.analysis.frames import areas
from twin.analysis.loads import CaseLoads, NetworkCase
from twin.datapack import read_yaml
from twin.units import DAYS_PER_YEAR, HOURS_PER_DAY, KW_PER_MW

FloatArray = NDArray[np.float64]
MWH_PER_GWH = 1000.0


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


def unit_of(outcome: str, area: str, *, small: bool = False) -> tuple[str, float]:
    """Unit of an outcome in an area, and what to divide MW or MWh by to get it. ``small``: not the size of a state."""
    if outcome in ("evening_peak", "peak_any"):
        return "MW", 1.0
    if outcome == "technical_loss_share":
        return "percentage points", 1.0
    if outcome in ("energy_moved", "energy_saved") and area == "state" and not small:
        return "GWh", MWH_PER_GWH
    return "MWh", 1.0


def capacity_inr_per_mw(case: NetworkCase) -> float:
    """What a MW of the run's highest intake costs in firm capacity, for the run's days. [INR/MW]

    The yearly value of a kW at the peak (``twin/data/purchase.yaml``), by days; apart from the cost of energy.
    """
    return capacity_inr_per_mw_days(len(case.evening) * case.step_h / HOURS_PER_DAY)


def capacity_inr_per_mw_days(days: float) -> float:
    """`capacity_inr_per_mw` of a number of days."""
    per_kw_year = float(read_yaml("purchase")["capacity"]["inr_per_kw_year"]["value"])
    return per_kw_year * KW_PER_MW * days / DAYS_PER_YEAR


def add_network_effects(loads: CaseLoads, experiment: Experiment, point: int, rows: EffectRows) -> None:
    """Append the load, energy, loss, purchase and capacity rows of every arm but the first at one sweep point."""
    feeders = loads.feeders
    n_arms, n_replicates = experiment.case.shape[1:]
    found: list[list] = [[] for _ in range(n_arms)]
    parts: list[list] = [[] for _ in range(n_arms)]
    cost: list[list] = [[] for _ in range(n_arms)]
    for replicate in range(n_replicates):
        base = loads.case(int(experiment.case[point, 0, replicate]))
        for arm in range(1, n_arms):
            other = loads.case(int(experiment.case[point, arm, replicate]))
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
                unit, scale = unit_of(outcome, area, small=is_own_network(loads.run.scenario))
                change = np.array([one[outcome][0][place] for one in found[arm]]) / scale
                own = np.array([one[outcome][1][place] for one in found[arm]]) / scale
                sampling = (error[0] / scale, error[1]) if error is not None and place == 0 else None
                rows.add((label, outcome, area, "all"), unit, change, own, sampling)
        change, own = np.array(cost[arm]).T
        rows.add((label, "purchase_cost", "state", "all"), "INR", change, own)
        worth = capacity_inr_per_mw(base)
        change, own = np.array([[part[0] for part in one["peak_any"]] for one in found[arm]]).T * worth
        error = None
        if feeders.represented:
            size, freedom = feeders.sample.error(np.mean([one["peak_any"] for one in parts[arm]], axis=0))
            error = size * worth, freedom
        rows.add((label, "capacity_value", "state", "all"), "INR", change, own, error)
