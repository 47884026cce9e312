"""Control devices on hand-made trajectories: deadband, delay, hysteresis, schedule, stages, the limit of rounds."""

import numpy as np
import pytest

from twin.powerflow.controls import (
    BY_FLOW,
    BY_SCHEDULE,
    BY_VOLTAGE,
    FOLLOW,
    REMEMBER,
    Banks,
    Controls,
    moves,
    operations,
    scan,
    steppers,
)
from twin.powerflow.upper_controls import Measured, Trajectory, resting

LOW, HIGH, STEP = 1.0075, 1.0325, 0.0125


def scanned(value, was=None, *, delay_min=0.0, memory=FOLLOW, first=0, waited=0, at_rest=False, unknown=None):
    """One tap changer of band 1.02 +- 0.0125 on steps of 15 minutes; its positions, and what it has waited."""
    value = np.array(value, dtype=float)[None]
    was = np.full(value.shape, first, np.int8) if was is None else np.array(was, np.int8)[None]
    lost = np.zeros(value.shape, bool) if unknown is None else np.array(unknown)[None]
    device = steppers(1, LOW, HIGH, -STEP, -8, 8, delay_min, 0.002)
    now, after = was.copy(), np.zeros(1, np.int16)
    free, begin, waits = np.ones(1, bool), np.array([first], np.int8), np.array([waited], np.int16)
    scan(device, free, value, was, lost, begin, waits, at_rest, 15.0, memory, now, after)
    return now[0].tolist(), int(after[0])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.02, 0), (LOW, 0), (HIGH, 0), (1.0074, -1), (0.9951, -1), (0.994, -2), (1.0326, 1), (1.0451, 2)],
)
def test_a_tap_moves_as_few_steps_as_bring_it_back_into_its_band(value, expected):
    assert moves(value, LOW, HIGH, -STEP) == expected


def test_a_deadband_that_is_not_left_moves_nothing():
    assert scanned([1.008, 1.032, 1.02]) == ([0, 0, 0], 0)


def test_a_move_carries_on_and_is_undone_only_when_the_band_is_left_again():
    """After -1 every later value is a step higher: 1.025 becomes 1.0375 and needs +1; 1.02 becomes 1.0325 and stays."""
    assert scanned([1.0, 1.02, 1.025, 1.02])[0] == [-1, -1, 0, 0]


def test_positions_stop_at_the_end_of_the_drive():
    assert scanned([0.7, 0.7]) == ([-8, -8], -1)


def test_a_delay_shorter_than_a_step_gives_one_settled_position_per_step():
    assert scanned([1.0, 1.02], delay_min=14.9) == scanned([1.0, 1.02])


def test_a_longer_delay_must_have_passed_without_a_break():
    """31 minutes are more than two steps: the third outside in a row moves. A step inside starts the count again."""
    low, fine = 1.0, 1.02
    assert scanned([low, low, low, fine], delay_min=31.0)[0] == [0, 0, -1, -1]
    assert scanned([low, low, fine, low, low], delay_min=31.0) == ([0, 0, 0, 0, 0], -2)


def test_the_wait_goes_on_into_the_next_block():
    _, waited = scanned([1.02, 1.0, 1.0], delay_min=31.0)
    assert waited == -2
    assert scanned([1.0, 1.0], delay_min=31.0, waited=waited)[0] == [-1, -1]


def test_a_block_at_rest_settles_its_first_step_at_once():
    assert scanned([1.0, 1.0], delay_min=31.0, at_rest=True)[0] == [-1, -1]


def test_a_step_without_solution_is_as_if_it_were_not_there():
    with_it = scanned([1.0, np.nan, 1.0, 1.0], delay_min=31.0, unknown=[False, True, False, False])[0]
    without = scanned([1.0, 1.0, 1.0], delay_min=31.0)[0]
    assert [with_it[0], *with_it[2:]] == without


def test_what_was_done_stands_within_the_hysteresis():
    """The move at step 1 was made on 1.0074; the settled grid says 1.009 without and 1.0215 with it: it stands."""
    assert scanned([1.02, 1.009 + STEP], was=[0, -1], memory=REMEMBER)[0] == [0, -1]
    assert scanned([1.02, 1.010 + STEP], was=[0, -1], memory=REMEMBER)[0] == [0, 0]
    assert scanned([1.02, 1.006], was=[0, 0], memory=REMEMBER)[0] == [0, 0]
    assert scanned([1.02, 1.005], was=[0, 0], memory=REMEMBER)[0] == [0, -1]


def test_two_devices_at_their_edges_do_not_hunt():
    """Each lifts the other by a tenth of its own step: without memory the second would follow every rescan."""
    loads = np.array([1.0074, 1.0076, 1.0074, 1.0076])
    device = steppers(2, LOW, HIGH, -STEP, -8, 8, 0.0, 0.002)
    at, zero, free = np.zeros((2, 4), np.int8), np.zeros(2, np.int8), np.ones(2, bool)
    for turn in range(5):
        value = loads - STEP * at - 0.1 * STEP * at[::-1]
        memory = FOLLOW if turn == 0 else REMEMBER
        lost, waits, now = np.zeros((2, 4), bool), np.zeros(2, np.int16), at.copy()
        moved = scan(device, free, value, at, lost, zero, waits, True, 15.0, memory, now, waits.copy())
        at = now
    assert not moved.any()


def test_operations_are_steps_moved_after_the_first():
    taps = np.array([[-3, -2, -2, 0], [1, 1, 1, 1]], np.int8)
    assert operations(taps).tolist() == [3, 0]
    assert operations(taps, np.array([[0], [1]], np.int8)).tolist() == [6, 0]


def small_controls(kind=BY_FLOW, max_rounds=20):
    """One GSS with four capacitor steps and two PSS."""
    one = steppers(1, -0.035, 0.035, -0.05, 0, 4, 5.0, 0.005)
    if kind == BY_VOLTAGE:
        one = steppers(1, 0.985, 1.055, 0.008, 0, 4, 5.0, 0.002)
    evening = np.zeros((1, 24), np.int8)
    evening[0, 17:23] = 3
    none = steppers(0, 0.0, 1.0, 1.0, 0, 0, 0.0, 0.0)
    return Controls(
        reactors=Banks(-0.25, np.zeros(0, np.int8), none, np.zeros((0, 24), np.int8)),
        capacitors=Banks(0.05, np.array([kind], np.int8), one, evening),
        gss_taps=steppers(1, LOW, HIGH, -STEP, -8, 8, 1.0, 0.002),
        pss_taps=steppers(2, 1.0025, 1.0275, -STEP, -8, 8, 1.0, 0.002),
        tap_step=STEP,
        max_rounds=max_rounds,
    )


def track(controls, steps=24):
    return Trajectory(
        controls, np.zeros(2, np.int64), resting(controls), None, 1440.0 / steps, 1440.0 / steps * np.arange(steps),
        np.array([0.004]),
    )  # fmt: skip


def test_a_capacitor_follows_its_schedule_and_nothing_else():
    found = track(small_controls(BY_SCHEDULE))
    assert found.at.capacitor[0].tolist() == [0] * 17 + [3] * 6 + [0]
    shown = Measured(np.full((1, 24), 1.02), np.full((1, 24), 9.9), np.full((2, 24), 1.015), np.zeros((0, 24)))
    assert not found.rescan(shown, np.zeros((1, 24), bool), first=True, with_reactors=False).any()


def test_a_capacitor_by_voltage_has_a_band_of_its_own():
    found, v = track(small_controls(BY_VOLTAGE), 4), np.array([[0.98, 0.99, 1.06, 1.02]])
    shown = Measured(v, np.zeros((1, 4)), np.full((2, 4), 1.015), np.zeros((0, 4)))
    found.rescan(shown, np.zeros((1, 4), bool), first=True, with_reactors=False)
    assert found.at.capacitor[0].tolist() == [1, 1, 0, 0]


def test_a_lower_stage_acts_on_what_the_stage_above_it_leaves():
    """The GSS's tap raises 33 kV by two steps, and with it 11 kV into its band: the PSS need not move."""
    found = track(small_controls(), 2)
    v_33, v_11 = np.array([[0.985, 0.985]]), np.array([[0.985, 0.985], [0.95, 0.985]])
    shown = Measured(v_33, np.zeros((1, 2)), v_11, np.zeros((0, 2)))
    changed = found.rescan(shown, np.zeros((1, 2), bool), first=True, with_reactors=False)
    assert found.at.gss_tap[0].tolist() == [-2, -2]
    assert found.at.pss_tap.tolist() == [[0, 0], [-3, -1]]  # 0.95 becomes 0.974: three steps to 1.0025
    assert changed.all()


def test_a_scan_of_what_it_settled_changes_nothing():
    found = track(small_controls(), 2)
    shown = Measured(np.full((1, 2), 1.02), np.zeros((1, 2)), np.full((2, 2), 1.015), np.zeros((0, 2)))
    assert not found.rescan(shown, np.zeros((1, 2), bool), first=False, with_reactors=False).any()
