"""How a pilot draws transformers: balanced within classes of feeders, never farms, the same wherever one looks."""

import numpy as np
import pytest

from tests.planning_day import planned_state
from twin.errors import ScenarioError
from twin.grid.strata import choose
from twin.grid.tables import FEEDER_CLASSES
from twin.scenario.load import parse_scenario
from twin.simulation.assignment import OUTSIDE, draw_pilot, pilot_arms
from twin.simulation.plan import plans

TEXT = """
name: pilot
seed: 3
grid: {state: bihar, resolve: {fraction: 0.02}}
time: {start: 2026-06-01, days: 1, step_minutes: 60}
tariff: bihar-2026-27
experiment:
  arms:
    flat: {}
    mild: {tariff: {time_of_day: {applies_to: gross, peak: {hours: "17-23", multiplier: 1.2}}}}
    steep: {tariff: {time_of_day: {applies_to: gross, peak: {hours: "17-23", multiplier: 2.0}}}}
"""


@pytest.fixture(scope="module")
def grid():
    state = planned_state()
    return state, choose(state, 0.02, 3)


def plan_of(dts_per_arm=None, districts=None):
    lines = [f"    dts_per_arm: {dts_per_arm}"] if dts_per_arm else []
    lines += [f"    districts: [{', '.join(districts)}]"] if districts else []
    pilot = "".join(f"{line}\n" for line in ["  pilot:", *lines]) if lines else ""
    return plans(parse_scenario(f"{TEXT}  design: pilot\n{pilot}"))[0]


def test_arms_are_balanced_in_every_class_and_farms_are_left_alone(grid):
    state, selection = grid
    draw = draw_pilot(plan_of(), state, selection, 0)
    eligible = selection.simulated & (state.feeders.feeder_class != FEEDER_CLASSES.index("agricultural"))
    assert len(draw.dt_id) == len(np.unique(draw.dt_id)) == state.feeders.n_dts[eligible].sum()
    assert (np.diff(draw.dt_id) > 0).all()
    assert eligible[draw.feeder].all()
    assert (draw.stratum == state.feeders.feeder_class[draw.feeder]).all()
    first = state.feeders.first_dt[draw.feeder]
    assert ((draw.dt_id >= first) & (draw.dt_id < first + state.feeders.n_dts[draw.feeder])).all()
    for stratum in np.unique(draw.stratum):
        counts = np.bincount(draw.arm[draw.stratum == stratum] + 1, minlength=4)
        assert counts[1] == counts[2] == counts[3] > 0
        assert counts[0] < 3  # what three arms of one size leave over


def test_a_pilot_of_a_given_size_takes_each_class_by_its_share(grid):
    state, selection = grid
    draw = draw_pilot(plan_of(dts_per_arm=40), state, selection, 0)
    assert np.bincount(draw.arm + 1).tolist() == [len(draw.arm) - 120, 40, 40, 40]
    drawn = draw.stratum[draw.arm != OUTSIDE]
    n_classes = len(FEEDER_CLASSES)
    shares = [np.bincount(part, minlength=n_classes) / len(part) for part in (drawn, draw.stratum)]
    assert np.abs(shares[0] - shares[1]).max() <= 1 / 40 + 1e-9


def test_districts_limit_who_is_eligible(grid):
    state, selection = grid
    draw = draw_pilot(plan_of(districts=("Patna", "Gaya")), state, selection, 0)
    codes = {state.districts.name.index(name) for name in ("Patna", "Gaya")}
    assert set(state.feeders.district[draw.feeder].tolist()) == codes


def test_replicates_draw_anew_and_a_replicate_draws_the_same_again(grid):
    state, selection = grid
    first, again, other = (draw_pilot(plan_of(), state, selection, replicate) for replicate in (0, 0, 1))
    assert (first.arm == again.arm).all()
    assert 0.3 < (first.arm == other.arm).mean() < 0.4  # of three arms, by chance
    overlap = draw_pilot(plan_of(dts_per_arm=40), state, selection, 0)
    assert (overlap.dt_id == first.dt_id).all()


def test_a_shard_finds_the_arms_of_its_own_consumers(grid):
    state, selection = grid
    draw = draw_pilot(plan_of(dts_per_arm=40), state, selection, 0)
    dt_id = np.r_[-1, np.repeat(np.arange(int(draw.dt_id.max()) + 3), 2)]
    whole = pilot_arms(draw, dt_id)
    parts = [pilot_arms(draw, part) for part in np.array_split(dt_id, 7)]
    assert (np.concatenate(parts) == whole).all()
    known = dict(zip(draw.dt_id.tolist(), draw.arm.tolist(), strict=True))
    assert whole.tolist() == [max(known.get(dt, 0), 0) for dt in dt_id.tolist()]


def test_a_pilot_larger_than_the_grid_is_refused(grid):
    state, selection = grid
    with pytest.raises(ScenarioError, match=r"needs 100,000 transformers in every arm, and there are [\d,]+ "):
        draw_pilot(plan_of(dts_per_arm=100_000), state, selection, 0)
