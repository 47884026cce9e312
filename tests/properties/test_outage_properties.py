"""Promises of interruptions on intervals that nobody chose."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.outages.shares import PickUp, count_day, day_supply, merged

INTERVAL = st.tuples(st.floats(-60, 23.9), st.floats(0.001, 40.0))
LAW = PickUp(0.8, 0.7)


def joined(intervals):
    start = np.array([a for a, _ in intervals])
    end = start + np.array([d for _, d in intervals])
    return merged(1, np.zeros(len(intervals), np.int64), start, end)


def supplied(times, k, steps=96):
    share, factor = np.empty(steps), np.empty(steps, np.float32)
    day_supply(times.from_h, times.until_h, k, LAW, share, factor)
    return share, factor


@settings(deadline=None)
@given(st.lists(INTERVAL, min_size=1, max_size=8))
def test_a_day_s_shares_hold_exactly_the_time_without_supply(intervals):
    """Joined intervals against a ruler of seconds, where overlaps count once."""
    times = joined(intervals)
    assert np.all(times.until_h > times.from_h)
    assert np.all(times.from_h[1:] > times.until_h[:-1])
    second = (np.arange(86400) + 0.5) / 3600
    dark = np.zeros(86400, bool)
    for start, long in intervals:
        dark |= (second >= start) & (second < start + long)
    share, _ = supplied(times, 0.0)
    assert math.isclose((1 - share).sum() / 4, dark.sum() / 3600, abs_tol=len(intervals) * 2 / 3600)
    assert math.isclose(count_day(times.from_h, times.until_h, 0.0).off_h, (1 - share).sum() / 4, abs_tol=1e-9)
    assert np.all((share >= 0) & (share <= 1))


@settings(deadline=None)
@given(st.lists(INTERVAL, min_size=1, max_size=8), st.floats(0, 1.5))
def test_demand_is_between_what_is_supplied_and_that_with_the_whole_pick_up(intervals, k):
    share, factor = supplied(joined(intervals), k)
    assert np.all(factor >= share - 1e-6)
    assert np.all(factor <= share * (1 + k) + 1e-6)


@settings(deadline=None)
@given(st.lists(INTERVAL, min_size=1, max_size=8), st.floats(0, 1.5))
def test_an_hour_is_the_mean_of_its_quarters(intervals, k):
    """How a day is cut into steps changes no energy."""
    times = joined(intervals)
    for fine, coarse in zip(supplied(times, k, 96), supplied(times, k, 24), strict=True):
        assert np.allclose(fine.reshape(24, 4).mean(axis=1), coarse, atol=1e-6)


@settings(deadline=None)
@given(st.lists(INTERVAL, min_size=1, max_size=8), INTERVAL)
def test_a_further_interruption_never_adds_supply(intervals, more):
    before, _ = supplied(joined(intervals), 0.3)
    after, _ = supplied(joined([*intervals, more]), 0.3)
    assert np.all(after <= before + 1e-9)
