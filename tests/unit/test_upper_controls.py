"""When taps and capacitors move, and what a small hand-made grid does with them in time order."""

import numpy as np
import pytest

from tests.upper_cases import small_block, small_grid
from twin.powerflow.controls import moves


def test_capacitor_band_is_wider_than_a_step_and_tap_band_than_half_a_step():
    controls = small_grid()[2].controls
    for group, width in (
        (controls.capacitors.steppers, controls.capacitors.step_pu),
        (controls.gss_taps, controls.tap_step),
        (controls.pss_taps, controls.tap_step),
        (controls.reactors.steppers, -controls.reactors.steppers.effect),
    ):
        assert (group.high - group.low > width).all()


@pytest.mark.parametrize(
    ("q", "expected"), [(3.5, 0), (3.6, 1), (8.5, 1), (8.6, 2), (-3.5, 0), (-3.6, -1), (-8.6, -2), (0.0, 0)]
)
def test_capacitors_switch_whole_steps(q, expected):
    assert moves(q, -3.5, 3.5, -5.0) == expected


@pytest.fixture(scope="module")
def grid():
    return small_grid()[2]


def test_voltages_settle_in_their_bands_and_capacitors_hold_the_flow(grid):
    rise = np.linspace(2000.0, 14000.0, 13)
    result = small_block([rise, 0.5 * rise]).solved_by(grid)
    assert (result.status == 0).all()
    assert result.controls_unsettled == 0
    margin = 0.0125 + 0.002 + 1e-9
    assert np.abs(result.gss_vm_pu - 1.02).max() <= margin
    assert np.abs(result.v_pss_pu - 1.015).max() <= margin
    caps = result.positions_by_step.capacitor[0]
    assert (np.diff(caps) >= 0).all()
    assert result.gss_q_mvar[0, caps < 4].max() <= 3.5 + 0.5 + 1e-6


def test_positions_have_memory_within_the_band(grid):
    """Up and down through the same load: hysteresis may leave another position, but never one out of band."""
    there = np.array([2000.0, 9000.0, 14000.0, 9000.0, 2000.0])
    result = small_block([there, 0.5 * there]).solved_by(grid)
    taps = result.positions_by_step.pss_tap[0]
    assert taps[0] >= taps[1] >= taps[2]  # more load, a lower tap: more voltage
    assert np.abs(result.v_pss_pu - 1.015).max() <= 0.0145 + 1e-9


def test_a_block_goes_on_from_the_positions_of_the_one_before(grid):
    both = small_block([[4000.0, 9000.0, 12000.0, 6000.0]] * 2)
    whole = both.solved_by(grid)
    first = small_block([[4000.0, 9000.0]] * 2)
    second = small_block([[12000.0, 6000.0]] * 2)
    a = first.solved_by(grid)
    b = grid.solve(**vars(second), before=a.positions)
    np.testing.assert_array_equal(a.positions.pss_tap[:, 0], whole.positions_by_step.pss_tap[:, 1])
    np.testing.assert_array_equal(b.positions.pss_tap, whole.positions.pss_tap)
    np.testing.assert_allclose(b.v_pss_pu, whole.v_pss_pu[:, 2:], atol=1e-8)
