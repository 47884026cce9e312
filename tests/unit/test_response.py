import numpy as np
import pytest

from twin.datapack import read_yaml
from twin.demand.columns import draw_columns
from twin.demand.response import (
    behaviour_groups,
    ces_factors,
    consumer_elasticities,
    draw_parameters,
    parameter_bounds,
    probabilities_over,
    probability_over,
)
from twin.streams import replicate_seed


def factors(kwh, base, arm, sigma, daily=0.0, max_shift=0.3, floor=0.25):
    kwh = np.atleast_2d(np.asarray(kwh, float))
    out = np.empty_like(kwh)
    n = len(kwh)
    ces_factors(
        kwh, np.atleast_2d(np.asarray(base, float)), np.atleast_2d(np.asarray(arm, float)), np.zeros(n, np.int64),
        np.full(n, float(sigma)), np.full(n, float(daily)), max_shift, floor, out,
    )  # fmt: skip
    return out


def test_hand_solution():
    """Two zones of 1 kWh, price ratios 1/2 and 2, sigma 0.1: s = r^-0.1 * 2 / (2^0.1 + 2^-0.1)."""
    out = factors([1, 1], [4, 4], [2, 8], 0.1)[0]
    scale = 2 / (2**0.1 + 2**-0.1)
    assert np.allclose(out, [2**0.1 * scale, 2**-0.1 * scale], rtol=1e-14)
    assert np.log(out[0] / out[1]) == pytest.approx(0.1 * np.log(4))  # the definition of sigma


def test_daily_elasticity_acts_on_the_price_index():
    out = factors([3, 1], [5, 5], [5, 10], 0.0, -0.1)[0]
    assert np.allclose(out, (25 / 20) ** -0.1, rtol=1e-14)


def test_equal_prices_change_nothing_at_all():
    assert (factors([3, 1, 2], [5, 7, 4], [5, 7, 4], 0.1, -0.1) == 1.0).all()
    assert (factors([3, 1, 2], [0, 0, 0], [0, 0, 0], 0.1, -0.1) == 1.0).all()


def test_a_uniform_rise_moves_nothing_but_saves():
    out = factors([3, 1], [5, 8], [10, 16], 0.1, -0.05)
    assert np.allclose(out, 2**-0.05, rtol=1e-14)


def test_zero_use_and_zero_prices():
    assert (factors([0, 0], [5, 5], [4, 6], 0.1, -0.1) == 1.0).all()
    out = factors([1, 1], [0, 0], [0, 5], 0.05)
    assert np.allclose(out, factors([1, 1], [0.25, 0.25], [0.25, 5], 0.05))


def test_the_shift_is_capped():
    out = factors([1, 1, 1], [5, 5, 5], [1, 5, 25], 3.0)
    assert 0.5 * np.abs(out - 1).sum() / 3 == pytest.approx(0.3)
    assert out.sum() == pytest.approx(3)


def test_prices_by_row():
    kwh, out = np.ones((2, 2)), np.empty((2, 2))
    base, arm = np.full((2, 2), 5.0), np.array([[5.0, 5.0], [4.0, 6.0]])
    ces_factors(kwh, base, arm, np.array([1, 0]), np.full(2, 0.1), np.zeros(2), 0.3, 0.25, out)
    assert out[0, 0] > 1 > out[0, 1]
    assert (out[1] == 1).all()


def test_probability_over():
    assert probability_over(130.0, 10.0, 125.0, 0.12) == 1.0
    assert probability_over(50.0, 0.0, 125.0, 0.12) == 0.0
    assert probability_over(50.0, 76.0, 125.0, 0.0) == 1.0
    sd = np.sqrt(np.log(1 + 0.12**2))
    assert probability_over(50.0, 75.0 * np.exp(sd**2 / 2), 125.0, 0.12) == pytest.approx(0.5)  # median at the kink
    draws = 70 * np.exp(sd * np.random.default_rng(1).standard_normal(200_000) - sd**2 / 2)
    assert probability_over(50.0, 70.0, 125.0, 0.12) == pytest.approx((50 + draws > 125).mean(), abs=4 * 0.5 / 447)
    out = np.empty(2)
    probabilities_over(np.array([130.0, 50.0]), np.array([1.0, 70.0]), np.full(2, 125.0), 0.12, out)
    assert out[0] == 1.0
    assert out[1] == probability_over(50.0, 70.0, 125.0, 0.12)


def test_parameters_stay_within_their_bounds_and_differ_by_replicate():
    draws = [draw_parameters(replicate_seed(1, r)) for r in range(50)]
    for name, (low, high) in parameter_bounds().items():
        values = [draw[name] for draw in draws]
        assert all(low <= value <= high for value in values)
        assert high == low or len(set(values)) == 50
    assert draws[0] == draw_parameters(replicate_seed(1, 0))


def test_an_override_moves_no_other_draw():
    plain = draw_parameters(3)
    set_one = draw_parameters(3, {"substitution_shop": 0.05, "daily_shop": (-0.2, -0.1)})
    assert set_one["substitution_shop"] == 0.05
    assert -0.2 <= set_one["daily_shop"] <= -0.1
    assert all(plain[name] == set_one[name] for name in plain if not name.endswith("_shop"))


def test_a_name_that_is_no_parameter_is_not_taken_silently():
    with pytest.raises(ValueError, match="no such parameter: substitution_shops"):
        draw_parameters(3, {"substitution_shops": 0.1})


def test_elasticities_follow_groups():
    kind = np.repeat(np.arange(31), 60).astype(np.uint8)
    columns = draw_columns(1, np.arange(len(kind)), kind, np.zeros(len(kind), np.int16))
    parameters = {name: float(k + 1) for k, name in enumerate(parameter_bounds())}
    sigma, daily = consumer_elasticities(columns, parameters)
    groups = behaviour_groups(columns)
    names = read_yaml("priors")["groups"]
    assert set(groups[kind == 0]) <= {names.index("rural_home"), names.index("ac_home")}
    assert names.index("ac_home") in set(groups[kind == 9])
    assert set(groups[kind == 21]) == {names.index("farm")}
    for name in ("street_light", "traction"):
        code = {"street_light": 24, "traction": 30}[name]
        assert (sigma[kind == code] == 0).all()
        assert (daily[kind == code] == 0).all()
    assert (sigma[groups == names.index("shop")] == parameters["substitution_shop"]).all()
