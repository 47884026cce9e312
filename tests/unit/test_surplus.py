"""Consumer surplus against the exact integral under constant-elasticity demand."""

import numpy as np
import pytest

from twin.economics.surplus import adjustment_gain_inr, surplus_change_inr

P0 = np.array([2.45, 2.45, 2.45])
P1 = np.array([2.45, 1.96, 2.94])
Q0 = np.array([20.0, 20.0, 30.0])


def ces_kwh(price, sigma):
    """Use under CES with elasticity ``sigma`` and income effects left out (compensated)."""
    share = Q0 * P0 / np.sum(Q0 * P0)
    index = np.sum(share * (price / P0) ** (1 - sigma)) ** (1 / (1 - sigma))
    return Q0 * (price / P0) ** -sigma * index**sigma


@pytest.mark.parametrize("sigma", [0.02, 0.04, 0.15])
def test_within_one_percent_of_the_exact_area(sigma):
    path = P0 + (P1 - P0) * np.linspace(0, 1, 4001)[:, None]
    demand = np.array([ces_kwh(price, sigma) for price in path])
    area = -np.sum((demand[1:] + demand[:-1]) / 2 * np.diff(path, axis=0))
    bill_change = float(np.sum((P1 - P0) * Q0))
    got = surplus_change_inr(np.float64(bill_change), P0, P1, Q0, demand[-1])
    assert got == pytest.approx(area, abs=0.01 * (area + bill_change))
    assert area + bill_change > 0  # adjusting is never worse than not


def test_signs():
    """Cheaper with unchanged use: better off by the bill. No response: the bill change alone."""
    assert surplus_change_inr(np.array([-12.0, 12.0]), P0, P1, Q0, Q0).tolist() == [12.0, -12.0]


def test_moving_use_to_cheap_hours_gains_half_the_price_change():
    moved = Q0 + np.array([0.0, 2.0, -2.0])
    assert adjustment_gain_inr(P0, P1, Q0, moved) == pytest.approx(0.5 * (0.49 * 2 + 0.49 * 2))


def test_a_price_of_zero_on_both_sides_gives_no_gain():
    zero = np.zeros((4, 3))
    assert surplus_change_inr(np.zeros(4), zero, zero, np.ones((4, 3)), np.full((4, 3), 2.0)).tolist() == [0.0] * 4
