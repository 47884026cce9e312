"""A settled feeder's results: its totals per step, its DTs' day, what failed; at the voltages of its last sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lv import NOT_CONVERGED, NOT_FINITE
from twin.powerflow.radial import OK, RadialOut, equivalent_kw
from twin.powerflow.tile_book import TileBook, carried_low_pu
from twin.simulation.feeder_block import FeederNet
from twin.simulation.messages import ArmAnswer, Failure, MeanFieldAnswer, Q
from twin.simulation.population import FeederPart, Population

if TYPE_CHECKING:
    from twin.simulation.block import BlockState

DT_COLUMNS = (
    "peak_kva", "peak_step", "loading_percent", "overload_hours", "evening_peak_kw", "v_end_min_pu", "v_end_p5_pu",
    "sent_kwh",
)  # fmt: skip
"""Rows of `ArmBlock.dt_day`."""

CAUSES = {NOT_CONVERGED: "no solution found: voltage collapse", NOT_FINITE: "input or result is not a number"}
P, QVAR, USED = int(Q.P), int(Q.QVAR), int(Q.USED)
LOSS_11KV, LOSS_DT, LOSS_LV = int(Q.LOSS_11KV), int(Q.LOSS_DT), int(Q.LOSS_LV)
SLOPE_P, SLOPE_Q = int(Q.SLOPE_P), int(Q.SLOPE_Q)


@nb.njit(cache=True, error_model="numpy")
def feeder_results(
    net: FeederNet,
    book: TileBook,
    line: RadialOut,
    zone_of_step: NDArray[np.uint8],
    is_evening: NDArray[np.bool_],
    rating_kva: NDArray[np.float64],
    hours: float,
    quantities: NDArray[np.float64],
    v_min_pu: NDArray[np.float64],
    dt_day: NDArray[np.float32],
    factor: NDArray[np.float64],
    share: NDArray[np.float64] | None = None,
) -> float:
    """Write a feeder's results; returns the largest relative gap of sent - used - losses over its steps.

    Parameters
    ----------
    net, book, line
        The feeder, its tiles' equivalents, its line as last swept.
    zone_of_step, is_evening : shape (steps,)
        Register zones, and the steps of the evening.
    rating_kva : shape (n_dt,)
    hours : float
        Length of a step. [h]
    quantities : shape (N_Q, steps)
        Totals (`messages.Q`), but for the slopes. Where the line has no solution its tiles' sums at the voltages of
        their own solutions stand in, without line loss; it is reported.
    v_min_pu : shape (steps,)
        Lowest voltage of the line. [pu]
    dt_day : shape (len(DT_COLUMNS), n_dt)
    factor : shape (n_dt, n_zones)
        Used energy at the final voltage over that of the solution: multiplying consumers' energies by it makes the
        tile's sums exact; a consumer's day is off by 0.02 % at most where every step is 0.01 pu off the same way.
    share : shape (n_dt, steps)
        Of each step in which a DT is supplied; None: all of it. Where none of the line is, nothing flows and no
        voltage is told.
    """
    for row in (P, QVAR, USED, LOSS_11KV, LOSS_DT, LOSS_LV):
        quantities[row, :] = 0.0
    for k in range(len(net.node_of_dt)):
        _dt_results(
            net, book, line, k, zone_of_step, is_evening, rating_kva[k], hours, quantities, dt_day, factor[k], share
        )
    gap = 0.0
    for t in range(quantities.shape[1]):
        v_min_pu[t] = np.inf
        for i in range(len(net.tree.parent)):
            v_min_pu[t] = min(v_min_pu[t], line.v_pu[i, t]) if line.status[t] == OK else np.nan
        if share is not None and not share[:, t].any():
            quantities[P, t], quantities[QVAR, t], quantities[LOSS_11KV, t], v_min_pu[t] = 0.0, 0.0, 0.0, np.nan
            continue
        below = quantities[USED, t] + quantities[LOSS_DT, t] + quantities[LOSS_LV, t]
        if line.status[t] != OK:
            quantities[P, t] = below
            continue
        quantities[P, t], quantities[QVAR, t] = line.p_head_kw[t], line.q_head_kvar[t]
        quantities[LOSS_11KV, t] = line.loss_kw[0, t]
        sent = abs(quantities[P, t])
        if sent > 0:
            gap = max(gap, abs(quantities[P, t] - below - quantities[LOSS_11KV, t]) / sent)
    return gap


@nb.njit(cache=True, error_model="numpy")
def _dt_results(
    net: FeederNet,
    book: TileBook,
    line: RadialOut,
    k: int,
    zone_of_step: NDArray[np.uint8],
    is_evening: NDArray[np.bool_],
    rating_kva: float,
    hours: float,
    quantities: NDArray[np.float64],
    dt_day: NDArray[np.float32],
    factor: NDArray[np.float64],
    share: NDArray[np.float64] | None,
) -> None:
    """Add DT k to the totals, and write its day and its factors by zone, shape (n_zones,)."""
    before = np.zeros(len(factor))
    factor[:] = 0.0
    peak_kva, peak_step, over, evening_kw, sent_kwh = -1.0, 0, 0, 0.0, 0.0
    lowest, at_peak = np.inf, 0.0 if share is None or share[k].any() else np.nan
    for t in range(len(zone_of_step)):
        solved = np.float64(book.used_kw[k, t])
        if not np.isfinite(solved):
            continue
        v0 = np.float64(book.v0_pu[k, t])
        v = line.v_pu[net.node_of_dt[k], t] if line.status[t] == OK else v0
        x, s = v / v0 - 1, np.float64(book.s[k, t])
        n_used, n_loss = np.float64(book.n_used[k, t]), np.float64(book.n_loss[k, t])
        used, loss_lv = equivalent_kw(solved, np.float64(book.loss_lv_kw[k, t]), n_used, n_loss, s, x)
        _, loss_dt = equivalent_kw(0.0, np.float64(book.copper_kw[k, t]), n_used, n_loss, s, x)
        supplied = 1.0 if share is None else share[k, t]
        loss_dt += net.lv.iron_kw[k] * v * v * supplied
        q = np.float64(book.q_kvar[k, t]) * (1 + x * (book.n_q[k, t] + s * x))
        q += net.lv.magnetising_kvar[k] * v * v * supplied
        sent = used + loss_lv + loss_dt
        quantities[USED, t] += used
        quantities[LOSS_LV, t] += loss_lv
        quantities[LOSS_DT, t] += loss_dt
        if line.status[t] != OK:
            quantities[QVAR, t] += q
        before[zone_of_step[t]] += solved
        factor[zone_of_step[t]] += used
        kva = np.sqrt(sent * sent + q * q)
        over += kva > rating_kva
        sent_kwh += sent * hours
        if supplied == 0.0:
            continue
        lowest = min(lowest, carried_low_pu(np.float64(book.v_min_pu[k, t]), v0, np.float64(book.n_min[k, t]), v))
        if is_evening[t]:
            evening_kw = max(evening_kw, sent)
        if kva > peak_kva:
            peak_kva, peak_step = kva, t
            at_peak = carried_low_pu(np.float64(book.v_end_pu[k, t]), v0, np.float64(book.n_end[k, t]), v)
    for zone in range(len(factor)):
        factor[zone] = factor[zone] / before[zone] if before[zone] != 0 else 1.0
    dt_day[0, k], dt_day[1, k], dt_day[2, k] = max(peak_kva, 0.0), peak_step, 100.0 * max(peak_kva, 0.0) / rating_kva
    dt_day[3, k], dt_day[4, k] = over * hours, evening_kw
    if not np.isfinite(lowest):  # not solved, or never supplied
        lowest = at_peak
    dt_day[5, k], dt_day[6, k], dt_day[7, k] = lowest, at_peak, sent_kwh


@nb.njit(cache=True, error_model="numpy")
def feeder_slopes(line: RadialOut, moved_share: float, quantities: NDArray[np.float64]) -> None:
    """Slopes of P and Q against the logarithm of the head's voltage, from a line swept at ``1 + moved_share`` times it.

    Zero for a state without a solution. ``quantities``: shape (N_Q, steps), P and Q as `feeder_results` left them.
    """
    scale = 1 / np.log(1 + moved_share)
    for t in range(quantities.shape[1]):
        quantities[SLOPE_P, t], quantities[SLOPE_Q, t] = 0.0, 0.0
        if line.status[t] == OK:
            quantities[SLOPE_P, t] = (line.p_head_kw[t] - quantities[P, t]) * scale
            quantities[SLOPE_Q, t] = (line.q_head_kvar[t] - quantities[QVAR, t]) * scale


def feeder_failures(line: RadialOut, book: TileBook, part: FeederPart) -> list[Failure]:
    """One entry per step of the line without a solution, and one per DT with the steps it failed in."""
    failures = [
        Failure(f"feeder:{part.feeder}", int(step), CAUSES[int(line.status[step])])
        for step in np.flatnonzero(line.status != OK)
    ]
    for k in np.flatnonzero(book.bad_steps):
        cause = CAUSES[int(book.bad_status[k])]
        failures.append(Failure(f"dt:{int(part.dt_id[k])}", int(book.bad_step[k]), cause, f"{book.bad_steps[k]} steps"))
    return failures


def mean_field_answer(population: Population, block: BlockState, answer: ArmAnswer, hours: float) -> MeanFieldAnswer:
    """How a day of expected demand loads the shard's feeders and DTs."""
    result, parts = block.arms[0], population.feeders
    counts = [len(part.dt_id) for part in parts]
    feeder = np.array([part.feeder for part in parts], np.int64)
    quantities = result.quantities
    losses = quantities[Q.LOSS_11KV] + quantities[Q.LOSS_DT] + quantities[Q.LOSS_LV]
    return MeanFieldAnswer(
        arm=answer,
        feeder=feeder,
        feeder_end_pu=result.v_min_pu.min(axis=1) if len(parts) else np.zeros(0),
        loss_kwh=losses.sum(axis=1) * hours,
        sent_kwh=quantities[Q.P].sum(axis=1) * hours,
        dt_feeder=np.repeat(feeder, counts),
        dt_loading_percent=result.dt_day[DT_COLUMNS.index("loading_percent")].astype(np.float64),
        lv_end_pu=result.dt_day[DT_COLUMNS.index("v_end_p5_pu")].astype(np.float64),
    )
