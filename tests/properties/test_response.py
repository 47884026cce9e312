import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.demand.response import ces_factors, probability_over

prices = st.lists(st.floats(0.0, 30.0), min_size=4, max_size=4)
energies = st.lists(st.floats(0.0, 50.0), min_size=4, max_size=4)


def factors(kwh, base, arm, sigma, daily, max_shift=0.3):
    out = np.empty((1, len(kwh)))
    rows = (np.array([values], dtype=float) for values in (kwh, base, arm))
    ces_factors(*rows, np.zeros(1, np.int64), np.array([sigma]), np.array([daily]), max_shift, 0.25, out)
    return out[0]


@settings(max_examples=300, deadline=None)
@given(energies, prices, prices, st.floats(0.0, 2.0))
def test_energy_is_conserved_without_daily_elasticity(kwh, base, arm, sigma):
    out = factors(kwh, base, arm, sigma, 0.0)
    assert (out >= 0).all()
    assert np.isclose(out @ kwh, np.sum(kwh), rtol=1e-12, atol=1e-12)


@settings(max_examples=300, deadline=None)
@given(energies, prices, prices, st.floats(0.0, 5.0), st.floats(0.0, 0.5))
def test_the_moved_share_is_capped(kwh, base, arm, sigma, cap):
    out = factors(kwh, base, arm, sigma, 0.0, cap)
    if np.sum(kwh) > 1e-9:
        assert 0.5 * np.abs(out - 1) @ kwh <= cap * np.sum(kwh) * (1 + 1e-9) + 1e-9


@settings(max_examples=200, deadline=None)
@given(energies, prices, st.floats(0.0, 2.0), st.floats(-0.5, 0.0))
def test_same_prices_give_one_exactly(kwh, base, sigma, daily):
    assert (factors(kwh, base, base, sigma, daily) == 1.0).all()


@settings(max_examples=200, deadline=None)
@given(energies, prices, prices, st.floats(0.0, 1.0), st.floats(-0.5, 0.0), st.permutations(range(4)))
def test_zones_have_no_order(kwh, base, arm, sigma, daily, order):
    plain = factors(kwh, base, arm, sigma, daily)
    mixed = factors(*([values[k] for k in order] for values in (kwh, base, arm)), sigma, daily)
    assert np.allclose(mixed, plain[list(order)], rtol=1e-10)


@settings(max_examples=200, deadline=None)
@given(energies, st.floats(0.5, 20.0), prices, st.floats(0.01, 0.5))
def test_use_moves_towards_the_cheaper_zones(kwh, base, arm, sigma):
    out = factors(kwh, [base] * 4, arm, sigma, 0.0)
    floored = np.maximum(arm, 0.25)
    order = np.argsort(floored, kind="stable")
    assert (np.diff(out[order]) <= 1e-12).all()


@settings(max_examples=200, deadline=None)
@given(energies, prices, prices, st.floats(0.0, 0.5), st.floats(-0.5, 0.0), st.floats(0.1, 100.0))
def test_scale_of_the_energies_does_not_matter(kwh, base, arm, sigma, daily, scale):
    plain = factors(kwh, base, arm, sigma, daily)
    scaled = factors(np.array(kwh) * scale, base, arm, sigma, daily)
    if np.sum(kwh) > 1e-9:
        assert np.allclose(plain, scaled, rtol=1e-9)


@given(st.floats(0, 300), st.floats(0, 300), st.floats(1, 300), st.floats(0.01, 0.5))
def test_probability_is_one_and_rises_with_use(mtd, rest, free, cv):
    p = probability_over(mtd, rest, free, cv)
    assert 0.0 <= p <= 1.0
    assert probability_over(mtd + 5, rest, free, cv) >= p
    assert probability_over(mtd, rest + 5, free, cv) >= p - 1e-12
