"""The register (model M2) counts whole digits, carries its residual, and rolls over."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twin.meters.register import (
    SLACK_WH,
    displayed_wh,
    gained_wh,
    gained_with_swap_wh,
    is_plausible,
    opening_wh,
    register_wh,
    rollover_wh,
    row_gained_wh,
)

RESOLUTIONS = st.sampled_from([1, 10, 100])
DAYS_KWH = st.lists(st.floats(0, 50), min_size=1, max_size=40)


def one(*values):
    """Readings of one register, shape (1, n)."""
    return np.array([values], np.int64)


def test_a_hand_reading():
    reading = register_wh(np.array([[0.1239, 2.0], [0.1, 0.0999]]), np.array([10, 100]))
    assert reading.tolist() == [[120, 2000], [100, 0]]


@given(DAYS_KWH, RESOLUTIONS)
def test_no_energy_is_lost_between_daily_readings(days_kwh, resolution):
    """Register and residual are the exact integral, the residual is below one digit, and no reading falls."""
    cumulative = np.cumsum(days_kwh)[:, None]
    readings = register_wh(cumulative, np.full(len(days_kwh), resolution))[:, 0]
    assert np.all(np.diff(readings) >= 0)
    assert np.all(readings % resolution == 0)
    residual_wh = cumulative[:, 0] * 1000 - readings
    assert np.all(residual_wh < resolution)
    assert np.all(residual_wh >= -2 * SLACK_WH)


@given(st.lists(st.floats(0, 0.6), min_size=96, max_size=96), RESOLUTIONS)
def test_blocks_add_up_to_days_and_days_to_the_bill(blocks_kwh, resolution):
    """Energy of a block is a difference of two readings, so that any sums of them meet."""
    cumulative = np.concatenate([[0.0], np.cumsum(np.tile(blocks_kwh, 3))])[:, None]
    readings = register_wh(cumulative, np.full(len(cumulative), resolution))[:, 0]
    blocks, days = np.diff(readings), np.diff(readings[::96])
    assert np.array_equal(blocks.reshape(3, 96).sum(axis=1), days)
    assert days.sum() == readings[-1] - readings[0]


def test_a_float32_register_would_lose_what_ours_counts():
    """At 10,000 kWh a float32 moves in steps of 1 Wh: it stands still under blocks of 0.4 Wh, and we count them all."""
    blocks, start = 10_000, 10_000.0
    assert np.spacing(np.float32(start)) * 1000 > 0.9
    small, ours = np.float32(start), start
    for _ in range(blocks):
        small, ours = np.float32(small + np.float32(0.0004)), ours + 0.0004
    assert small == np.float32(start)
    shown = register_wh(np.array([[ours]]), np.array([10]))[0, 0]
    assert shown - 10_000_000 == 4000
    # stored as float32 it would still be right to half a Wh, well below a digit
    assert abs(float(np.float32(ours)) - ours) * 1000 < 0.5


def test_a_roll_over_by_hand():
    """999 999.99 kWh and 3.21 more are 3.20 on six digits; five digits have rolled over ten times by then."""
    six, five = rollover_wh(np.array([6])), rollover_wh(np.array([5]))
    before, after = one(999_999_990), one(999_999_990 + 3_210)
    assert displayed_wh(before, six).tolist() == [[999_999_990]]
    assert displayed_wh(after, six).tolist() == [[3_200]]
    assert gained_wh(one(999_999_990), one(3_200), six).tolist() == [[3_210]]
    assert displayed_wh(after, five).tolist() == [[3_200]]
    assert displayed_wh(one(1_000_000_000), six).tolist() == [[0]]


@given(st.integers(1, 7), RESOLUTIONS, st.floats(0, 3e7), st.lists(st.floats(0, 0.999), min_size=1, max_size=12))
def test_differences_with_roll_over_are_the_energy_to_a_digit(digits, resolution, opening_kwh, shares):
    """As long as a window is below 10^digits; a display falls only where it rolls over."""
    rollover = rollover_wh(np.array([digits]))
    windows_kwh = np.array(shares) * 10.0**digits
    cumulative = opening_kwh + np.concatenate([[0.0], np.cumsum(windows_kwh)])
    counted = register_wh(cumulative[None], np.array([resolution]))
    shown = displayed_wh(counted, rollover)
    assert np.all((shown >= 0) & (shown < rollover))
    gained = gained_wh(shown[:, :-1], shown[:, 1:], rollover)[0]
    assert np.all(np.abs(gained - windows_kwh * 1000) < resolution + 0.1)
    assert gained.sum() == counted[0, -1] - counted[0, 0]
    fell = shown[0, 1:] < shown[0, :-1]
    passed = counted[0, 1:] // rollover > counted[0, :-1] // rollover
    assert np.array_equal(fell, passed)


def test_a_swapped_meter_s_energy_is_that_of_both():
    """The old one rolled over on its way from 99 998 to 1.5, the new one counted 7."""
    five = rollover_wh(np.array([5]))
    assert gained_with_swap_wh(one(99_998_000), one(1_500), one(7_000), five).tolist() == [[10_500]]


def test_a_fall_is_plausible_up_to_the_load_around_the_clock():
    gained = np.array([[47_900, 48_100], [0, 96_000]])
    assert is_plausible(gained, np.array([2.0, 4.0]), 24.0).tolist() == [[True, False], [True, True]]


def test_an_opening_reading_is_age_times_use_cut_and_rolled_over():
    """27 years at 10.2 kWh a day are 100 521.0 kWh: a five-digit counter has just rolled over."""
    age = np.array([9855, 100])
    daily = np.array([[10.2], [0.12345]])
    opening = opening_wh(daily, age, np.array([100, 10]), rollover_wh(np.array([5, 6])))
    assert opening.tolist() == [[521_000], [12_340]]


def test_a_row_of_the_table_gives_its_energy():
    """Plain, rolled over, swapped, and where something else was billed; a register without digits never rolls over."""
    row = {"start_wh": 99_998_000, "end_wh": 1_500, "digits": 5, "removed_wh": None, "billed_wh": None}
    assert row_gained_wh(row) == 3_500
    assert row_gained_wh(row | {"removed_wh": 99_999_000}) == 2_500
    assert row_gained_wh(row | {"removed_wh": 200}) == 3_700
    assert row_gained_wh(row | {"billed_wh": 0}) == 0
    assert row_gained_wh(row | {"digits": None, "end_wh": 99_999_000}) == 1_000
