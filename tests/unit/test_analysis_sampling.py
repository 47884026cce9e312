"""The ratio estimator: by hand, at its edges, and its intervals on populations whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from twin.analysis.sampling import Sample, collapse, half_width, ratio_total, t_quantile


def test_by_hand():
    """x = 2 3, y = 4 5, so R = 1.8 and residuals +0.4 -0.4: s2 = 0.32. X = 50 of which 5 are sampled, f = 0.1:
    total 90, variance (50 / 2.5)**2 * 0.9 / 2 * 0.32 = 57.6.
    """
    total, variance = ratio_total(np.array([4.0, 5.0]), np.array([2.0, 3.0]), 50.0, 0.1)
    assert total == pytest.approx(90.0)
    assert variance == pytest.approx(57.6)


def test_textbook_form():
    """With xbar equal to the population's mean the variance is Cochran's (6.13): N**2 (1 - f) / n * s_e**2."""
    x, y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 7.0])
    n, population = 3, 12
    residual = y - y.sum() / x.sum() * x
    expected = population**2 * (1 - n / population) / n * np.sum(residual**2) / (n - 1)
    _, variance = ratio_total(y, x, population * x.mean(), n / population)
    assert variance == pytest.approx(expected)


def test_a_census_has_no_error():
    assert ratio_total(np.array([4.0, 9.0]), np.array([1.0, 1.0]), 2.0, 1.0) == (13.0, 0.0)


def test_one_unit_does_not_show_its_spread():
    total, variance = ratio_total(np.array([4.0]), np.array([2.0]), 10.0, 0.2)
    assert total == 20.0
    assert np.isnan(variance)


def test_strata_add():
    y = np.array([4.0, 5.0, 1.0, 2.0, 6.0])
    x = np.array([2.0, 3.0, 1.0, 1.0, 2.0])
    sample = Sample(np.array([0, 0, 3, 3, 3]), x, np.array([10.0, 10.0, 4.0, 4.0, 4.0]))
    _, first = ratio_total(y[:2], x[:2], 50.0, 0.1)
    _, second = ratio_total(y[2:], x[2:], 16.0, 0.25)
    error, freedom = sample.error(y)
    assert error == pytest.approx(np.sqrt(first + second))
    assert freedom == pytest.approx((first + second) ** 2 / (first**2 / 1 + second**2 / 2))


def test_no_sample_no_error():
    empty = Sample(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    assert np.isnan(empty.error(np.zeros(0))).all()
    lonely = Sample(np.array([2]), np.array([3.0]), np.array([10.0]))
    assert np.isnan(lonely.error(np.ones(1))).all()


def test_lonely_strata_join_their_class_then_the_largest():
    stratum = np.array([0, 0, 1, 5, 2, 2])
    assert collapse(stratum, stratum % 4).tolist() == [0, 0, 1, 1, 2, 2]
    stratum = np.array([0, 0, 0, 3, 2, 2])
    assert collapse(stratum, stratum % 4).tolist() == [0, 0, 0, 0, 2, 2]
    assert len(set(collapse(np.array([0, 1, 2]), np.array([0, 1, 2])).tolist())) == 1


@pytest.mark.parametrize(
    ("freedom", "exact"), [(2, 2.919986), (3, 2.353363), (5, 2.015048), (10, 1.812461), (30, 1.697261), (1e9, 1.644854)]
)
def test_student_t(freedom, exact):
    """Exact values from printed tables (Abramowitz and Stegun, table 26.10), 95 %."""
    assert t_quantile(0.95, freedom) == pytest.approx(exact, rel=4e-3)
    assert half_width(2.0, freedom, 0.90) == pytest.approx(2 * exact, rel=4e-3)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Two strata of 300 and 120 feeders with y about proportional to x, 8 and 4 sampled, 4,000 samples.

    Nominal 90 %. With 4,000 repeats the binomial standard error is 0.5 points; small samples of ratio residuals cover
    a little less or (by Student's t) more, so 86 to 94 % passes. The estimator's bias must be below a tenth of its
    standard error.
    """
    rng = np.random.default_rng(7)
    sizes, taken = (300, 120), (8, 4)
    x = [rng.gamma(6.0, 500.0, n) for n in sizes]
    y = [rate * own * rng.lognormal(0.0, 0.3, len(own)) for rate, own in zip((0.02, 0.05), x, strict=True)]
    truth = sum(own.sum() for own in y)
    hits, estimates, errors = 0, [], []
    for _ in range(4000):
        drawn = [rng.permutation(n)[:k] for n, k in zip(sizes, taken, strict=True)]
        parts = [(own[pick], base[pick], base.sum()) for own, base, pick in zip(y, x, drawn, strict=True)]
        estimate = sum(a.sum() / b.sum() * total for a, b, total in parts)
        sample = Sample(
            np.repeat([0, 1], taken),
            np.concatenate([b for _, b, _ in parts]),
            np.concatenate([np.full(len(b), total / b.sum()) for _, b, total in parts]),
        )
        error, freedom = sample.error(np.concatenate([a for a, _, _ in parts]))
        hits += abs(estimate - truth) <= half_width(error, freedom, 0.90)
        estimates.append(estimate)
        errors.append(error)
    assert 0.86 <= hits / 4000 <= 0.94
    assert abs(np.mean(estimates) - truth) < 0.1 * np.std(estimates)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(estimates), rel=0.1)
