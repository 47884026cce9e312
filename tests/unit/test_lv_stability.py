"""Real tiles of the twin from light to far beyond the nose, one-sided, generating and capacitive: solved, or said so.

The rule: below 0.8 of nominal a load is a constant impedance, so that every passive demand has a solution; sweeps are
damped when they do not settle, and what they leave is solved by elimination. A solution beyond the nose is the clamped
one, and its voltage tells.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from tests.planning_day import planned_state, planning_kw
from twin.grid.feeder import FeederStatic, build_feeder
from twin.grid.tables import FEEDER_CLASSES
from twin.powerflow import lv
from twin.powerflow.lanes import aligned, padded

TIMES_RATING = np.array([0.6, 1.0, 1.5, 2.4, 3.6, 6.0, 10.0, 18.0])
GENERATION = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8])
LAWS = {
    "P": (0.0, 0.0, 1.0, 0.0, 0.0, 0.4),
    "ZIP": (0.35, 0.25, 0.40, 0.14, 0.10, 0.16),
    "Z": (1.0, 0.0, 0.0, 0.4, 0.0, 0.0),
    "capacitive": (0.0, 0.3, 0.7, 0.0, 0.0, -0.6),
}
ELIMINATIONS = 30
"""Passes of elimination that any of these needs at most."""


@lru_cache(maxsize=1)
def statics() -> tuple[FeederStatic, ...]:
    """A rural, an urban and a farm feeder."""
    state, kinds = planned_state(), [FEEDER_CLASSES.index(name) for name in ("rural_mixed", "urban", "agricultural")]
    rows = [int(np.flatnonzero(state.feeders.feeder_class == kind)[1]) for kind in kinds]
    return tuple(build_feeder(state, row, planning_kw(), 1) for row in rows)


def demand(static: FeederStatic, times: np.ndarray, one_phase: bool = False) -> np.ndarray:
    """Consumers by sanctioned load, scaled to a multiple of their DT's rating in every step."""
    weight = static.sanctioned_kw.astype(float)
    if one_phase:
        weight = weight * ((static.phase == 0) & (static.phases == 1)) + 1e-9
    by_dt = np.bincount(static.dt, weights=weight, minlength=len(static.dt_id))
    kw = weight[:, None] * (static.rating_kva / by_dt)[static.dt][:, None] * times
    out = aligned((len(kw), padded(len(times), lv.LANES)), np.float32)
    out[:, : len(times)] = kw
    return out


def solve(
    static: FeederStatic, kw: np.ndarray, law: tuple[float, ...], steps: int, **options: int
) -> tuple[lv.TileOut, np.ndarray]:
    n_dt, zones, chosen = len(static.dt_id), np.zeros(steps, np.uint8), lv.lv_options(**options)
    out, scratch, kwh = lv.tile_out(n_dt, steps), lv.lv_scratch(static.lv), np.zeros((len(kw), 1))
    zips = np.tile(np.array(law, np.float32), (len(kw), 1))
    for k in range(n_dt):
        lv.solve_tile(static.lv, k, kw, zips, np.full(steps, 0.97), zones, 0.25, chosen, scratch, out, kwh)
    return out, kwh


def assert_solved(out: lv.TileOut, kwh: np.ndarray) -> None:
    assert (out.status == lv.OK).all()
    assert out.passes.max() <= lv.lv_options().most + ELIMINATIONS
    assert out.residual.max() <= lv.lv_options().tolerance * (1 + 1e-6)
    assert lv.tile_closure(out).max() < 1e-5
    assert np.isfinite(kwh).all()
    for name in ("sent_kw", "used_kw", "n_used", "n_loss", "n_q", "v_min_pu", "v_end_pu"):
        assert np.isfinite(getattr(out, name)).all(), name


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("one_phase", [False, True], ids=["spread", "one phase"])
def test_from_light_to_far_beyond_the_nose(law: str, one_phase: bool) -> None:
    for static in statics():
        out, kwh = solve(static, demand(static, TIMES_RATING, one_phase), LAWS[law], len(TIMES_RATING))
        assert_solved(out, kwh)
        assert (np.diff(out.v_min_pu, axis=1) < 1e-5).all(), "more load, less voltage"


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("one_phase", [False, True], ids=["spread", "one phase"])
def test_generation_flows_back(law: str, one_phase: bool) -> None:
    for static in statics():
        out, kwh = solve(static, demand(static, -GENERATION, one_phase), LAWS[law], len(GENERATION))
        assert_solved(out, kwh)
        assert (out.used_kw < 0).all()
        assert (kwh <= 0).all()
        if not one_phase:  # else the neutral's current lowers the other phases
            assert (out.v_min_pu > 0.95).all()


def test_generation_of_three_times_the_rating_at_constant_power() -> None:
    times = -np.linspace(0.5, 3.0, 8)
    for static in statics():
        out, kwh = solve(static, demand(static, times), LAWS["P"], len(times))
        assert_solved(out, kwh)


def test_lanes_beyond_the_nose_change_no_bit_of_their_neighbours() -> None:
    """Whether a neighbour is solved by sweeps, by elimination or not at all."""
    static = statics()[0]
    steps = len(TIMES_RATING)
    together, _ = solve(static, demand(static, TIMES_RATING), LAWS["P"], steps)
    assert {(out > lv.lv_options().most).any() for out in together.passes.T} == {False, True}
    for step in range(steps):
        alone, _ = solve(static, demand(static, TIMES_RATING[step : step + 1]), LAWS["P"], 1)
        for name in lv.TileOut._fields:
            np.testing.assert_array_equal(getattr(together, name)[:, step], getattr(alone, name)[:, 0], err_msg=name)


def test_one_without_a_solution_in_time_is_a_status_beside_good_ones() -> None:
    static = statics()[0]
    out, _ = solve(static, demand(static, np.array([0.05, 18.0, 0.05])), LAWS["P"], 3, most=6, eliminations=0)
    assert (out.status[:, [0, 2]] == lv.OK).all()
    assert (out.status[:, 1] == lv.NOT_CONVERGED).all()
    assert (out.passes[:, 1] == 6).all()
    assert (out.residual[:, 1] > lv.lv_options().tolerance).all()
    assert lv.tile_closure(out)[:, [0, 2]].max() < 1e-5
