"""Taking a settled feeder's results out of working memory: its totals per step, its DTs' day, what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.powerflow.lv import NOT_CONVERGED, NOT_FINITE, OK, TileOut
from twin.simulation.feeder_block import FeederWork
from twin.simulation.messages import ArmAnswer, Failure, MeanFieldAnswer, Q
from twin.simulation.population import FeederPart, Population

if TYPE_CHECKING:
    from twin.simulation.block import ArmBlock, BlockState

DT_COLUMNS = (
    "peak_kva", "peak_step", "loading_percent", "overload_hours", "evening_peak_kw", "v_end_min_pu", "v_end_p5_pu",
    "sent_kwh",
)  # fmt: skip
"""Rows of `ArmBlock.dt_day`."""

CAUSES = {NOT_CONVERGED: "no solution found: voltage collapse", NOT_FINITE: "input or result is not a number"}


def harvest_feeder(
    work: FeederWork, part: FeederPart, position: int, hours: float, evening_steps: NDArray[np.int64], result: ArmBlock
) -> None:
    """Write a feeder's results of a block into the shard's tentative results."""
    n_dt, n_nodes = len(part.net.node_of_dt), len(part.net.tree.parent)
    tiles = TileOut._make(column[:n_dt] for column in work.tiles)
    _quantities(work, tiles, n_dt, result.quantities[:, position])
    with np.errstate(invalid="ignore"):
        result.v_min_pu[position] = work.line.v_pu[:n_nodes].min(axis=0)
    _dt_day(work, tiles, n_dt, part, hours, evening_steps, result.dt_day[:, part.dts])
    _closure(work, tiles, position, result)
    failures = _failures(work, tiles, part)
    if failures:
        result.failures[position] = failures
    else:
        result.failures.pop(position, None)


def _quantities(work: FeederWork, tiles: TileOut, n_dt: int, out: NDArray[np.float64]) -> None:
    """Totals per step. Where the line has no solution its tiles' sums stand in, without line loss; it is reported."""
    final, line = work.final, work.line
    out[Q.P], out[Q.QVAR] = line.p_head_kw, line.q_head_kvar
    out[Q.LOSS_11KV] = line.loss_kw[0]
    out[Q.USED] = final.used_kw[:n_dt].sum(axis=0)
    out[Q.LOSS_DT] = final.loss_dt_kw[:n_dt].sum(axis=0)
    out[Q.LOSS_LV] = final.loss_lv_kw[:n_dt].sum(axis=0)
    copper = tiles.loss_lv_kw + tiles.loss_dt_kw - tiles.iron_kw
    out[Q.SLOPE_P] = (tiles.used_kw * tiles.n_used + copper * tiles.n_loss + 2.0 * tiles.iron_kw).sum(axis=0)
    other = tiles.sent_kvar - tiles.magnetising_kvar
    out[Q.SLOPE_Q] = (other * tiles.n_q + 2.0 * tiles.magnetising_kvar).sum(axis=0)
    bad = line.status != OK
    if bad.any():
        stand_in = {
            Q.P: tiles.sent_kw, Q.QVAR: tiles.sent_kvar, Q.USED: tiles.used_kw, Q.LOSS_DT: tiles.loss_dt_kw,
            Q.LOSS_LV: tiles.loss_lv_kw,
        }  # fmt: skip
        out[:, bad] = 0.0
        for quantity, column in stand_in.items():
            out[quantity, bad] = np.nansum(column[:, bad], axis=0)


def _dt_day(
    work: FeederWork, tiles: TileOut, n_dt: int, part: FeederPart, hours: float, evening_steps: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:  # fmt: skip
    sent_kw = np.nan_to_num(work.final.sent_kw[:n_dt])
    kva = np.hypot(sent_kw, np.nan_to_num(work.final.sent_kvar[:n_dt]))
    peak_step = kva.argmax(axis=1)
    rows = np.arange(n_dt)
    out[0] = kva[rows, peak_step]
    out[1] = peak_step
    out[2] = 100.0 * out[0] / part.rating_kva
    out[3] = (kva > part.rating_kva[:, None]).sum(axis=1) * hours
    out[4] = sent_kw[:, evening_steps].max(axis=1)
    out[5] = np.nan_to_num(tiles.v_min_pu, nan=0.0).min(axis=1)
    out[6] = np.nan_to_num(tiles.v_end_pu, nan=0.0)[rows, peak_step]
    out[7] = sent_kw.sum(axis=1) * hours


def _closure(work: FeederWork, tiles: TileOut, position: int, result: ArmBlock) -> None:
    gap = np.abs(tiles.sent_kw - tiles.used_kw - tiles.loss_lv_kw - tiles.loss_dt_kw)
    good = (tiles.status == OK) & (np.abs(tiles.sent_kw) > 0)
    result.closure_lv[position] = (gap[good] / np.abs(tiles.sent_kw[good])).max(initial=0.0)
    line = work.line
    solved = line.status == OK
    quantities = result.quantities[:, position]
    losses = quantities[Q.LOSS_11KV] + quantities[Q.LOSS_DT] + quantities[Q.LOSS_LV]
    gap = np.abs(quantities[Q.P] - quantities[Q.USED] - losses)
    carried = solved & (np.abs(quantities[Q.P]) > 0)
    result.closure_11kv[position] = (gap[carried] / np.abs(quantities[Q.P][carried])).max(initial=0.0)


def _failures(work: FeederWork, tiles: TileOut, part: FeederPart) -> list[Failure]:
    """One entry per step of the line without a solution, and one per DT with the steps it failed in."""
    failures = [
        Failure(f"feeder:{part.feeder}", int(step), CAUSES[int(work.line.status[step])])
        for step in np.flatnonzero(work.line.status != OK)
    ]
    for k in np.flatnonzero((tiles.status != OK).any(axis=1)):
        steps = np.flatnonzero(tiles.status[k] != OK)
        cause = CAUSES[int(tiles.status[k, steps[0]])]
        failures.append(Failure(f"dt:{int(part.dt_id[k])}", int(steps[0]), cause, f"{len(steps)} steps"))
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
