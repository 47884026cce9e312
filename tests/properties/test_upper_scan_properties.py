"""Any load profile, any delay: what the devices settle on is a fixed point and inside its bands."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.upper_cases import scanned_again, small_block, small_grid
from twin.powerflow.controls import FOLLOW, REMEMBER, scan, steppers

STEP, STEPS = 0.0125, 24
GRID = small_grid()[2]
profiles = st.lists(st.floats(0.93, 1.07), min_size=STEPS, max_size=STEPS)


def settled(free_pu: np.ndarray, gain: float, delay_min: float) -> tuple[np.ndarray, np.ndarray, bool]:
    """Two taps in series, the second seeing ``gain`` of the first's step; positions, values, and whether it settled."""
    device = steppers(2, 1.0075, 1.0325, -STEP, -8, 8, delay_min, 0.002)
    at, zero, free = np.zeros((2, STEPS), np.int8), np.zeros(2, np.int8), np.ones(2, bool)
    lost, waits = np.zeros((2, STEPS), bool), np.zeros(2, np.int16)
    for turn in range(20):
        value = free_pu - STEP * at
        value[1] -= gain * STEP * at[0]
        now = at.copy()
        memory = FOLLOW if turn == 0 else REMEMBER
        moved = scan(device, free, value, at, lost, zero, waits, True, 15.0, memory, now, waits.copy())
        if not moved.any():
            return at, value, True
        at = now
    return at, value, False


@given(st.tuples(profiles, profiles), st.floats(0.0, 1.0), st.sampled_from([0.0, 14.0, 20.0, 46.0]))
@settings(max_examples=60, deadline=None)
def test_two_taps_in_series_settle_within_the_rounds(pair, gain, delay_min):
    at, value, done = settled(np.array(pair), gain, delay_min)
    assert done
    inside = (value >= 1.0075 - 0.002 - 1e-12) & (value <= 1.0325 + 0.002 + 1e-12)
    at_end = np.abs(at) == 8
    if delay_min < 15.0:
        assert (inside | at_end).all()
    else:  # nowhere outside for longer than the delay without a move
        wait = int(delay_min / 15.0)
        for row, fine in zip(at, inside | at_end, strict=True):
            for t in range(wait, STEPS):
                still = (row[t - wait : t + 1] == row[t]).all()
                assert not still or fine[t - wait : t + 1].any() or _both_sides(value, t, wait)


def _both_sides(value: np.ndarray, t: int, wait: int) -> bool:
    """Above and below in turn: neither lasted."""
    return any((row[t - wait : t + 1] > 1.02).any() and (row[t - wait : t + 1] < 1.02).any() for row in value)


@given(st.lists(st.floats(1000.0, 14000.0), min_size=6, max_size=6), st.floats(0.0, 2.0))
@settings(max_examples=25, deadline=None)
def test_a_settled_block_is_a_fixed_point_of_another_scan(load_kw, exponent):
    """Solved again with its positions held, and scanned: nothing moves; and every voltage is within band and memory."""
    inputs = small_block([load_kw, [0.5 * value for value in load_kw]], exponent)
    result = inputs.solved_by(GRID)
    assert (result.status == 0).all()
    assert result.controls_unsettled == 0
    margin = 0.0125 + 0.002 + 1e-9
    assert np.abs(result.gss_vm_pu - 1.02).max() <= margin
    assert np.abs(result.v_pss_pu - 1.015).max() <= margin
    held = GRID.solve(**vars(inputs), hold=result.positions_by_step)
    np.testing.assert_allclose(held.v_pss_pu, result.v_pss_pu, atol=1e-9)
    assert not scanned_again(GRID, held).any()


@given(st.permutations(range(6)), st.floats(0.0, 2.0))
@settings(max_examples=10, deadline=None)
def test_a_held_step_is_solved_by_itself(order, exponent):
    """Steps in another order, and alone: the same bits."""
    p = np.linspace(3000.0, 13000.0, 6)
    whole = small_block([p, 0.5 * p], exponent)
    hold = GRID.resting_positions()
    positions = type(hold)(*(np.repeat(part, 6, axis=1) for part in hold))
    straight = GRID.solve(**vars(whole), hold=positions)
    mixed = small_block([p[list(order)], 0.5 * p[list(order)]], exponent)
    turned = GRID.solve(**vars(mixed), hold=positions)
    np.testing.assert_array_equal(turned.v_pss_pu, straight.v_pss_pu[:, list(order)])
    alone = GRID.solve(**vars(small_block([p[2:3], 0.5 * p[2:3]], exponent)), hold=type(hold)(*hold))
    np.testing.assert_array_equal(alone.v_pss_pu[:, 0], straight.v_pss_pu[:, 2])
