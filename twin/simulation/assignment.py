"""Which arm's tariff each consumer is on: by transformer in a pilot's world, by choice where an arm has enrolment.

Everything here is a pure function of scenario, replicate and grid, so that any number of shards, and a resumed
run, find the same. Choices rest on the bill at unchanged use: those who would gain join, those who would lose leave,
both with noise (selection on gains).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.errors import Problem, ScenarioError
from twin.grid.apportion import largest_remainder
from twin.grid.state import StateGrid
from twin.grid.strata import Selection
from twin.grid.tables import FEEDER_CLASSES
from twin.simulation.billing_month import month_bill
from twin.simulation.plan import PointPlan, month_end
from twin.simulation.response import BASELINE, rows_of
from twin.streams import Stream, normals, replicate_seed, uniforms
from twin.units import PAISE_PER_INR

if TYPE_CHECKING:
    from twin.simulation.block import BlockSolver
    from twin.simulation.replicate import ReplicateWorld

NEVER_DRAWN = "agricultural"
"""Class of feeders whose DTs are not eligible: farms are exempt from time-of-use tariffs."""
OUTSIDE = -1
"""Arm of an eligible DT that was not drawn; its consumers are on the first arm's tariff."""
FEWEST_PER_ARM = 2
"""With one DT in an arm no error can be stated."""
CHUNK = 1 << 16


@dataclass(frozen=True)
class PilotDraw:
    """Every eligible DT of a replicate's pilot. Arrays of shape (n_dts,), rising in ``dt_id``."""

    dt_id: NDArray[np.int64]
    feeder: NDArray[np.int64]
    stratum: NDArray[np.int64]
    """Class of its feeder."""
    arm: NDArray[np.int64]
    """`OUTSIDE` where it was not drawn."""


def draw_pilot(plan: PointPlan, state: StateGrid, selection: Selection, replicate: int) -> PilotDraw:
    """Randomise DTs to arms, stratified by the class of their feeder.

    Every arm gets the same number of DTs of a class: its share of ``dts_per_arm`` by the eligible ones, at
    most as many as there are for all arms. Which ones is a matter of the replicate's own stream.

    Raises
    ------
    ScenarioError
        If there are fewer eligible DTs than the pilot needs.
    """
    feeders, settings = state.feeders, plan.scenario.experiment.pilot
    taken = selection.simulated & (feeders.feeder_class != list(FEEDER_CLASSES).index(NEVER_DRAWN))
    if settings is not None and settings.districts is not None:
        codes = [list(state.districts.name).index(name) for name in settings.districts]
        taken &= np.isin(feeders.district, codes)
    rows = np.flatnonzero(taken)
    counts = feeders.n_dts[rows]
    feeder = np.repeat(rows, counts)
    within = np.arange(len(feeder)) - np.repeat(np.cumsum(counts) - counts, counts)
    dt_id, stratum = feeders.first_dt[feeder] + within, feeders.feeder_class[feeder].astype(np.int64)
    lot = uniforms(replicate_seed(plan.scenario.seed, replicate), Stream.PILOT, dt_id)
    order, n_arms = np.lexsort([dt_id, lot, stratum]), len(plan.tariff_arms)
    eligible = np.bincount(stratum, minlength=len(FEEDER_CLASSES))
    each = _dts_per_arm(eligible // n_arms, settings.dts_per_arm if settings is not None else None)
    place = np.arange(len(order)) - (np.cumsum(eligible) - eligible)[stratum[order]]
    arm = np.full(len(order), OUTSIDE)
    size = each[stratum[order]]
    arm[order] = np.where(place < size * n_arms, place // np.maximum(size, 1), OUTSIDE)
    rising = np.argsort(dt_id)
    return PilotDraw(dt_id[rising], feeder[rising], stratum[rising], arm[rising])


def _dts_per_arm(most: NDArray[np.int64], wanted: int | None) -> NDArray[np.int64]:
    """DTs of every arm by class, of ``most`` that there are for each arm; as many as there are if None is wanted."""
    there, needed = int(most.sum()), FEWEST_PER_ARM if wanted is None else wanted
    if there < needed:
        what = f"needs {needed:,} transformers in every arm, and there are {there:,} that are simulated and eligible"
        fix = "resolve more of the grid, or ask for fewer in `dts_per_arm`, or for more districts"
        raise ScenarioError([Problem("scenario", "experiment.pilot", what, fix)])
    return most if wanted is None else np.minimum(most, largest_remainder(wanted, most.astype(np.float64)))


def settle_tariffs(world: ReplicateWorld, state: StateGrid, selection: Selection, solver: BlockSolver) -> None:
    """Tell a world's response who is on which tariff, where that is not the same for all.

    Overwrites the solver's working memory where somebody has a choice.
    """
    plan, consumers = world.plan, world.population.consumers
    choices = {
        arm: enrolled(world, arm, solver)
        for arm, settings in enumerate(plan.scenario.arms)
        if settings.enrolment is not None and arm != BASELINE
    }
    for arm, joined in choices.items():
        world.response.on_tariff[arm] = np.where(joined, arm, BASELINE).astype(np.int8)
    if plan.pilot_world is None:
        return
    on = pilot_arms(draw_pilot(plan, state, selection, world.replicate), consumers.dt_id)
    for arm, joined in choices.items():
        on = np.where((on == arm) & ~joined, BASELINE, on)
    world.response.on_tariff[plan.pilot_world] = on.astype(np.int8)


def pilot_arms(draw: PilotDraw, dt_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Arm of the consumers of some DTs (-1: HT, on none) in a pilot: the first for all not drawn. Shape (n,)."""
    ids = np.append(draw.dt_id, np.iinfo(np.int64).max)
    place = np.searchsorted(ids, dt_id)
    arm = np.append(draw.arm, OUTSIDE)[place]
    return np.where((ids[place] == dt_id) & (arm != OUTSIDE), arm, BASELINE)


def enrolled(world: ReplicateWorld, arm: int, solver: BlockSolver) -> NDArray[np.bool_]:
    """Who of a shard's consumers is on an arm's tariff that one may join or leave. Shape (n,).

    Of those whom the tariff reaches a share looks at it. With ``g`` the fall of the bill of an expected month at
    unchanged use, hassle ``h`` and noise ``e`` (normal), all in INR a month: opt-in, they join if ``g + e > h``;
    opt-out, they leave if ``-g + e > h``.
    """
    plan, consumers, values = world.plan, world.population.consumers, world.parameters
    settings = plan.scenario.arms[arm].enrolment
    assert settings is not None, "the arm has enrolment"
    date = plan.tariff_start
    expected_kwh, days = world.expected_day_kwh(solver, date), month_end(date).day
    rates, base_rates = plan.rates(arm, date), plan.rates(BASELINE, date)
    looks = uniforms(world.seed, Stream.ENROLMENT, consumers.consumer_id) < values[f"enrol_consider_{settings.mode}"]
    noise_inr = normals(world.seed, Stream.ENROLMENT, consumers.consumer_id, 1) * values["enrol_noise_inr"]
    out = np.zeros(len(consumers), bool)
    for start in range(0, len(out), CHUNK):
        rows = slice(start, min(start + CHUNK, len(out)))
        columns = rows_of(world.response.columns, rows)
        month_kwh = expected_kwh[rows] * days
        before = month_bill(base_rates, columns, month_kwh, days).total
        after = month_bill(rates, columns, month_kwh, days).total
        gain_inr = (before - after) / PAISE_PER_INR
        sign = 1.0 if settings.mode == "opt_in" else -1.0
        moves = looks[rows] & (sign * gain_inr + noise_inr[rows] > values["enrol_hassle_inr"])
        reached = world.response.reached(base_rates, rates, columns)
        out[rows] = reached & (moves if settings.mode == "opt_in" else ~moves)
    return out
