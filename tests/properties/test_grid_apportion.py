import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twin.grid.apportion import apportion_groups, largest_remainder, prefix, with_minimum

weights = st.lists(st.floats(0.0, 1e6), min_size=1, max_size=40).filter(lambda w: sum(w) > 1e-3)
totals = st.integers(0, 10**9)


@given(totals, weights)
def test_shares_add_up_and_stay_within_one_of_their_quota(total, weight):
    w = np.array(weight)
    shares = largest_remainder(total, w)
    assert shares.sum() == total
    assert (shares >= 0).all()
    assert (np.abs(shares - total * (w / w.sum())) < 1.0 + 1e-6).all()


@given(weights, st.integers(0, 10**6), st.integers(0, 50))
def test_minimum_holds(weight, extra, least):
    w, floor = np.array(weight), np.full(len(weight), least)
    shares = with_minimum(int(floor.sum()) + extra * bool((w > 0).all()), w, floor)
    assert (shares >= least).all()
    assert shares.sum() == floor.sum() + extra * bool((w > 0).all())


@given(st.lists(st.tuples(st.integers(0, 10**5), st.lists(st.floats(0.01, 1e3), min_size=1, max_size=9)), max_size=12))
def test_groups_equal_their_groups_alone(groups):
    total = np.array([t for t, _ in groups], np.int64)
    start = prefix(np.array([len(w) for _, w in groups], np.int64))
    flat = np.array([x for _, w in groups for x in w])
    out = apportion_groups(total, start, flat)
    for g, (t, w) in enumerate(groups):
        assert np.array_equal(out[start[g] : start[g + 1]], largest_remainder(t, np.array(w)))
