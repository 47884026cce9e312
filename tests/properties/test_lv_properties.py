"""What the low-voltage solver promises on feeders and demands that nobody chose."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.powerflow_cases import LvCase, lv_case
from twin.powerflow import lv

SETTINGS = settings(max_examples=25, deadline=None)
SHARES = st.sampled_from([(0.0, 0.0, 1.0), (0.35, 0.25, 0.40), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)])
STRESS = st.floats(0.02, 4.0)


@st.composite
def cases(draw: st.DrawFn, steps: int = 32) -> LvCase:
    """A DT of 5 to 60 consumers with 0.02 to 4 times its rating of demand."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return lv_case(
        rng,
        consumers=draw(st.integers(5, 60)),
        poles=draw(st.integers(4, 25)),
        branches=draw(st.integers(1, 3)),
        dt_kw=100 * draw(STRESS),
        steps=steps,
        three_phase_frac=draw(st.floats(0, 1)),
        zip_shares=draw(SHARES),
    )


def assert_same(a: lv.TileOut, b: lv.TileOut, of_a: np.ndarray, of_b: np.ndarray) -> None:
    """The very same bits in the columns ``of_a`` and ``of_b``."""
    for name in lv.TileOut._fields:
        np.testing.assert_array_equal(getattr(a, name)[:, of_a], getattr(b, name)[:, of_b], err_msg=name)


@SETTINGS
@given(case=cases(), v=st.floats(0.9, 1.08))
def test_sent_is_used_plus_losses_and_losses_are_not_negative(case: LvCase, v: float) -> None:
    out, kwh = case.solve(v)
    assert (out.status == lv.OK).all()
    assert lv.tile_closure(out).max() <= 1e-5
    assert (out.loss_lv_kw >= 0).all()
    assert (out.loss_dt_kw >= out.iron_kw).all()
    assert (out.v_min_pu <= out.v0_pu + 1e-6).all()
    assert (out.v_min_pu > 0).all()
    np.testing.assert_allclose(kwh.sum(), out.used_kw.sum(), rtol=1e-5)


@SETTINGS
@given(case=cases(), bad=st.sampled_from([np.nan, np.inf, 1e30, 5e4]), step=st.integers(0, 31), who=st.integers(0, 4))
def test_a_bad_state_changes_no_bit_of_its_neighbours(case: LvCase, bad: float, step: int, who: int) -> None:
    good, good_kwh = case.solve()
    kw = case.kw.copy()
    kw[who, step] = bad
    out, _ = case.with_kw(kw).solve()
    others = np.delete(np.arange(32), step)
    assert_same(good, out, others, others)
    if not np.isfinite(bad):
        assert out.status[0, step] == lv.NOT_FINITE
    assert np.isfinite(good_kwh).all()


@SETTINGS
@given(case=cases(), order=st.permutations(range(32)))
def test_permuting_steps_permutes_results(case: LvCase, order: list[int]) -> None:
    v = np.linspace(0.93, 1.05, 32)[None]
    out, _ = case.solve(v)
    moved, _ = case.with_kw(case.kw[:, order]).solve(v[:, order])
    assert_same(out, moved, np.array(order), np.arange(32))


@SETTINGS
@given(case=cases(), step=st.integers(0, 31), steps=st.integers(1, 31))
def test_one_step_alone_and_any_shorter_block_give_the_same_bits(case: LvCase, step: int, steps: int) -> None:
    out, _ = case.solve()
    alone, _ = case.with_kw(case.kw[:, [step]]).solve(steps=1)
    assert_same(out, alone, np.array([step]), np.array([0]))
    shorter, _ = case.solve(steps=steps)
    assert_same(out, shorter, np.arange(steps), np.arange(steps))


@SETTINGS
@given(seed=st.integers(0, 2**32 - 1), v=st.floats(0.95, 1.0))
def test_impedances_scale_with_the_voltage_squared(seed: int, v: float) -> None:
    case = lv_case(np.random.default_rng(seed), dt_kw=20, zip_shares=(1.0, 0.0, 0.0), n_dt=2)
    one, _ = case.solve(1.0, tolerance=1e-6)
    other, _ = case.solve(v, tolerance=1e-6)
    for name in ("sent_kw", "sent_kvar", "used_kw", "loss_lv_kw", "loss_dt_kw"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name) * v**2, rtol=2e-5)
    np.testing.assert_allclose(other.v_min_pu, one.v_min_pu * v, rtol=1e-5)
    np.testing.assert_allclose(one.n_used, 2.0, rtol=1e-5)


@SETTINGS
@given(seed=st.integers(0, 2**32 - 1))
def test_the_same_twice_is_the_same(seed: int) -> None:
    case = lv_case(np.random.default_rng(seed), n_dt=2)
    first, kwh = case.solve()
    again, kwh_again = case.solve()
    assert_same(first, again, np.arange(16), np.arange(16))
    np.testing.assert_array_equal(kwh, kwh_again)
