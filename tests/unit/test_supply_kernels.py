"""Kernels of interrupted supply against the plain formulas: they leave out only what would change no bit."""

from __future__ import annotations

import numpy as np
import pytest

from twin.simulation.supply import NOT_ASKED, Supply, add_lost, interrupt
from twin.simulation.switching import Unserved

STEPS, STRIDE = 12, 16
PTR = np.array([0, 3, 4, 4, 9], np.int32)
PLACE = np.array([2, NOT_ASKED, 0, 1])


@pytest.fixture
def day() -> tuple[np.ndarray, Supply]:
    """Demand of nine consumers in four groups, and three places with interruptions in the middle of the day."""
    rng = np.random.default_rng(5)
    kw = rng.gamma(2.0, 0.3, (9, STRIDE)).astype(np.float32)
    share, factor = np.ones((3, STEPS)), np.ones((3, STEPS), np.float32)
    share[1, 4:6], factor[1, 4:9] = (0.25, 0.0), (0.25, 0.0, 1.5, 1.25, 1.125)
    share[2, 0], share[2, 11], factor[2, 0], factor[2, 11] = 0.5, 0.0, 0.5, 0.0
    return kw, Supply(PTR, PLACE, share, factor)


def by_consumer(supply: Supply) -> np.ndarray:
    return np.repeat(supply.place, np.diff(supply.ptr))


def test_demand_is_multiplied_where_supply_is_interrupted_and_nowhere_else(day):
    kw, supply = day
    got, place = kw.copy(), by_consumer(supply)
    interrupt(got, supply.ptr, supply.place, supply.factor)
    want = kw.copy()
    asked = place != NOT_ASKED
    want[asked, :STEPS] *= supply.factor[place[asked]]
    assert np.array_equal(got, want)
    assert not np.array_equal(got, kw)


def test_what_is_lost_is_added_by_row_of_the_answer_in_the_consumers_order(day):
    kw, supply = day
    rows, place = np.arange(9) % 2, by_consumer(supply)
    got, want = np.zeros((2, STEPS)), np.zeros((2, STEPS))
    add_lost(kw, supply.ptr, supply.place, supply.share, Unserved(got, rows))
    for i in np.flatnonzero(place != NOT_ASKED):
        want[rows[i]] += kw[i, :STEPS].astype(float) * (1.0 - supply.share[place[i]])
    assert np.array_equal(got, want)
    assert got.any(axis=1).all()


def test_groups_that_are_not_asked_about_are_left_alone(day):
    kw, supply = day
    some = supply.of_some(np.array([False, True, False, True]))
    assert some.place.tolist() == [NOT_ASKED, NOT_ASKED, NOT_ASKED, 1]
    got = kw.copy()
    interrupt(got, some.ptr, some.place, some.factor)
    assert np.array_equal(got[:4], kw[:4])
    assert not np.array_equal(got[4:], kw[4:])
