"""The border between shards and the grid above: feeder answers in, PSS voltages out.

Unresolved feeders carry their stratum's mean per-consumer profile, step by step, so the grid above always carries the
whole state and a treatment reaches it too. The profile answers the voltage of the PSS that it is carried to, as the
sampled feeders answer theirs. All sums run in PSS and feeder order, whatever the number of shards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.upper import UpperGrid, UpperResult
from twin.simulation.messages import N_Q, ArmAnswer, Q
from twin.simulation.own_border import FixedSources, SourcesAnswer
from twin.units import KW_PER_MW

N_STRATA = 8
BORDER_TOLERANCE_PU = 1e-4
"""A block is accepted when every feeder was settled this close to its PSS's final voltage. [pu]"""
MOST_ROUNDS = 8
FREE_ROUNDS = 1
"""Rounds in which taps and capacitors above may move; then they stay, or one at its edge could hunt for ever. The first
round's loads answer voltage, so the positions found on them are those of the settled day but for edges of deadbands."""
WIDE_LIMIT_PU, EXACT_LIMIT_PU = 0.02, 5e-5
"""How far a DT's node may be from the voltage its LV network was solved at: with equivalents, and to be exact.

At 0.02 pu equivalents err by 2e-6 pu and 0.02 % of losses at peak. A tap's step is 0.0125; it should cost no solution.
"""
ABOVE_TOLERANCE_PU = 1e-6
"""Within a round trees and mesh above agree this closely, a hundredth of what the border asks for."""


@dataclass(frozen=True)
class Layout:
    """Which rows each shard answers for, and what is left to feeders that stand for a stratum. Built once per run."""

    n_pss: int
    owned_pss: list[NDArray[np.int32]]
    sampled_feeders: list[NDArray[np.int64]]
    owned_ehv: list[NDArray[np.int64]]
    n_ehv: int
    sampled_order: NDArray[np.int64]
    """All sampled feeders, rising."""
    sampled_stratum: NDArray[np.int64]
    sampled_pss: NDArray[np.int64]
    sampled_consumers: NDArray[np.int64]
    unresolved_consumers: NDArray[np.float64]
    """LV consumers of feeders that are not asked, shape (n_pss, N_STRATA)."""


@dataclass(frozen=True)
class StateLoad:
    """The whole state's load as the grid above sees it, for one arm. Shapes (n_pss, steps) unless said."""

    pss: NDArray[np.float64]
    """Shape (N_Q, n_pss, steps)."""
    ht33_kw: NDArray[np.float64]
    ht33_kvar: NDArray[np.float64]
    ehv_kw: NDArray[np.float64]
    ehv_kvar: NDArray[np.float64]
    stratum_mean: NDArray[np.float64]
    """Mean per LV consumer, shape (N_Q, N_STRATA, steps)."""
    above_kw: NDArray[np.float64] | None = None
    """Losses above the feeders' levels that shards have solved themselves: of a network of the user's."""
    ehv_unserved_kw: NDArray[np.float64] | None = None
    """As `Q.UNSERVED`, of consumers at 132 kV and above, shape (steps,); None where no switch is open."""


def stratum_means(
    sampled: NDArray[np.float64], stratum: NDArray[np.int64], consumers: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Ratio estimate per consumer and stratum: sum of the sampled feeders over sum of their consumers.

    ``sampled`` has shape (N_Q, n_sampled, steps) in feeder order; the result (N_Q, N_STRATA, steps). A stratum without
    sampled feeders is zero and must have no unresolved consumers (checked when the sample is chosen).
    """
    steps = sampled.shape[2]
    means = np.zeros((N_Q, N_STRATA, steps))
    for k in range(N_STRATA):
        rows = np.flatnonzero(stratum == k)
        if len(rows):
            total = np.zeros((N_Q, steps))
            for row in rows:
                total += sampled[:, row]
            means[:, k] = total / consumers[rows].sum()
    return means


def compose(layout: Layout, answers: list[ArmAnswer], v_pss_pu: NDArray[np.float64]) -> StateLoad:
    """Put the shards' answers of one arm together and add the unresolved feeders.

    ``v_pss_pu``, shape (n_pss, steps): the voltages for which the shards answered.
    """
    steps = answers[0].pss.shape[2]
    pss = np.zeros((N_Q, layout.n_pss, steps))
    ht33_kw, ht33_kvar = np.zeros((layout.n_pss, steps)), np.zeros((layout.n_pss, steps))
    ehv_kw, ehv_kvar = np.zeros((layout.n_ehv, steps)), np.zeros((layout.n_ehv, steps))
    sampled = np.zeros((N_Q, len(layout.sampled_order), steps))
    for shard, answer in enumerate(answers):
        rows = layout.owned_pss[shard]
        pss[:, rows] = answer.pss
        ht33_kw[rows], ht33_kvar[rows] = answer.ht33_kw, answer.ht33_kvar
        ehv_kw[layout.owned_ehv[shard]] = answer.ehv_kw
        ehv_kvar[layout.owned_ehv[shard]] = answer.ehv_kvar
        sampled[:, np.searchsorted(layout.sampled_order, layout.sampled_feeders[shard])] = answer.sampled
    means = stratum_means(sampled, layout.sampled_stratum, layout.sampled_consumers)
    for k in range(N_STRATA):
        consumers = layout.unresolved_consumers[:, k]
        if consumers.any():
            v_mean = _mean_voltage(sampled[Q.P], v_pss_pu[layout.sampled_pss], layout.sampled_stratum == k)
            pss += _carried(means[:, k], v_pss_pu / v_mean) * consumers[None, :, None]
    ehv_unserved = [answer.ehv_unserved_kw for answer in answers if answer.ehv_unserved_kw is not None]
    unserved_kw = np.sum(ehv_unserved, axis=0) if ehv_unserved else None
    return StateLoad(pss, ht33_kw, ht33_kvar, ehv_kw, ehv_kvar, means, answers[0].above_kw, unserved_kw)


def _mean_voltage(p_kw: NDArray[np.float64], v_pu: NDArray[np.float64], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean head voltage of a stratum's sampled feeders, weighted by power where there is any. Shape (steps,)."""
    weight = np.maximum(p_kw[rows], 0.0)
    total = weight.sum(axis=0)
    plain = v_pu[rows].mean(axis=0)
    return np.divide((weight * v_pu[rows]).sum(axis=0), total, out=plain, where=total > 0)


def _carried(mean: NDArray[np.float64], ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """A stratum's mean profile at other voltages, shape (N_Q, n_pss, steps).

    ``mean`` has shape (N_Q, steps); ``ratio`` (n_pss, steps) is the PSS's voltage over that of the sampled feeders.
    Used power and losses all follow the elasticity of what is sent, so that they still add up. What is not served is
    told at nominal voltage and stays.
    """
    zero = np.zeros(mean.shape[1])
    n_p = np.divide(mean[Q.SLOPE_P], mean[Q.P], out=zero.copy(), where=mean[Q.P] > 0)
    n_q = np.divide(mean[Q.SLOPE_Q], mean[Q.QVAR], out=zero.copy(), where=mean[Q.QVAR] > 0)
    by_p, by_q = ratio**n_p, ratio**n_q
    reactive = [Q.QVAR, Q.SLOPE_Q]
    out = mean[:, None, :] * by_p[None]
    out[reactive] = mean[reactive][:, None, :] * by_q[None]
    out[Q.UNSERVED] = mean[Q.UNSERVED]
    return out


def solve_above(
    upper: UpperGrid | FixedSources, load: StateLoad, v0_pu: NDArray[np.float64], before: Any, *, hold: bool
) -> UpperResult | SourcesAnswer:
    """Solve the grid above with the state's load, which was stated at the PSS voltages ``v0_pu`` (n_pss, steps).

    ``before`` is the answer of the round before, which is started from; with ``hold`` its taps and capacitors stay, and
    so does the count of those that did not settle there.
    """
    if isinstance(upper, FixedSources):
        return upper.answer(load)
    n_p, n_q = slopes(load)
    held = before if hold else None
    result = upper.solve(
        load.pss[Q.P],
        load.pss[Q.QVAR],
        n_p,
        n_q,
        v0_pu,
        load.ehv_kw / KW_PER_MW,
        load.ehv_kvar / KW_PER_MW,
        p33_kw=load.ht33_kw,
        q33_kvar=load.ht33_kvar,
        hold=held.positions_by_step if held is not None else None,
        start=before.state if before is not None else None,
        tolerance_pu=ABOVE_TOLERANCE_PU,
    )
    return result if held is None else replace(result, controls_unsettled=held.controls_unsettled)


def slopes(load: StateLoad) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Elasticities n in P = P0 (V/V0)**n of P and Q at each PSS, from the summed slopes. Shapes (n_pss, steps)."""
    p, q = load.pss[Q.P], load.pss[Q.QVAR]
    n_p = np.divide(load.pss[Q.SLOPE_P], p, out=np.zeros_like(p), where=p > 0.0)
    n_q = np.divide(load.pss[Q.SLOPE_Q], q, out=np.zeros_like(q), where=q > 0.0)
    return n_p, n_q
