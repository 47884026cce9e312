"""Pilot estimators against hand solutions, algebra and brute force; coverage and size against simulation."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from twin.analysis.pilot.coverage import coverage, draw_pilots
from twin.analysis.pilot.effects import PilotOutcomes, arm_rows
from twin.analysis.pilot.estimators import ESTIMATORS, cr2, estimate, hc2
from twin.analysis.pilot.randomisation import draws_within, randomisation_test
from twin.analysis.pilot.size import Noise, dts_needed, fit_noise, power


def test_means_by_hand():
    """Treated 3, 5, 7; control 1, 2, 2, 3: effect 5 - 2 = 3, variance 4/3 + (2/3)/4 = 1.5.

    Degrees of freedom (1/3 + 1/4)^2 / (1/(9*2) + 1/(16*3)) = 0.340278 / 0.076389 = 4.4545.
    """
    after = np.array([3.0, 5, 7, 1, 2, 2, 3])
    found = estimate("means", np.zeros(7), after, np.arange(7) < 3)
    assert found.effect[0] == pytest.approx(3.0)
    assert found.error[0] ** 2 == pytest.approx(1.5)
    assert found.freedom[0] == pytest.approx(4.454545, rel=1e-6)
    low, high = found.interval(0.95)
    half = stats.t.ppf(0.975, 4.454545) * 1.5**0.5
    assert (low[0], high[0]) == pytest.approx((3 - half, 3 + half), rel=1e-6)


def test_change_from_before_by_hand():
    """Changes: treated 1, 3; control 0, 1, 2: effect 2 - 1 = 1, variance 2/2 + 1/3."""
    found = estimate("did", np.array([10.0, 20, 5, 6, 7]), np.array([11.0, 23, 5, 7, 9]), np.arange(5) < 2)
    assert found.effect[0] == pytest.approx(1.0)
    assert found.error[0] ** 2 == pytest.approx(4 / 3)


def test_adjusting_takes_out_what_the_level_before_explains_exactly():
    before = np.array([1.0, 4, 2, 9, 5, 7])
    treated = np.arange(6) % 2 == 0
    after = 2.0 + 3.0 * before - 0.5 * treated
    found = estimate("adjusted", before, after, treated)
    assert found.effect[0] == pytest.approx(-0.5)
    assert found.error[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_cr2_with_a_row_per_cluster_is_hc2(columns):
    rng = np.random.default_rng(columns)
    design = np.column_stack([np.ones(12), rng.random(12) < 0.5, rng.random((12, columns - 2))])
    y = rng.random(12)
    one, other = hc2(design[None], y[None]), cr2(design, y, np.arange(12))
    for ours, theirs in zip(one, other, strict=True):
        assert ours[0] == pytest.approx(float(theirs), rel=1e-9)


def test_strata_of_equal_shares_change_the_error_and_not_the_estimate():
    """Two strata 100 apart: within them treated less control is 1 and 3, of 4 and 8 DTs: (4 x 1 + 8 x 3) / 12."""
    stratum = np.repeat([0, 1], [4, 8])
    treated = np.tile([True, False], 6)
    after = np.where(stratum == 0, 100.0, 0.0) + np.where(treated, np.where(stratum == 0, 1.0, 3.0), 0.0)
    plain, own = (estimate("means", after, after, treated, by) for by in (None, stratum))
    assert plain.effect[0] == pytest.approx(28 / 12)
    assert own.effect[0] == pytest.approx(28 / 12)
    assert own.error[0] < 1.0 < plain.error[0]


def test_other_draws_keep_the_number_treated_in_every_stratum():
    stratum, treated = np.array([2, 0, 2, 0, 2, 0, 1, 1]), np.array([1, 1, 0, 0, 1, 0, 0, 1], bool)
    draws = draws_within(np.random.default_rng(0), treated, stratum, 4000)
    for level, most in ((0, 1), (1, 1), (2, 2)):
        assert (draws[:, stratum == level].sum(axis=1) == most).all()
    assert draws.mean(axis=0) == pytest.approx([2 / 3, 1 / 3, 2 / 3, 1 / 3, 2 / 3, 1 / 3, 1 / 2, 1 / 2], abs=0.03)


def test_a_pilot_beside_its_truth_by_hand():
    """Six eligible DTs, two in each arm. The arm takes 1 off all of them, and 0.5 leaks to the first arm's DTs."""
    assigned = np.array([0, 1, -1, 0, 1, -1])
    base = np.array([5.0, 6, 7, 8, 9, 10])
    worlds = np.stack([base, base - 1.0])
    after = np.where(assigned == 1, base - 1.0, np.where(assigned == 0, base - 0.5, base))
    before = base + np.array([0.2, 0.1, 0, -0.2, -0.1, 0])
    pilot = PilotOutcomes(assigned, np.zeros(6, np.int64), before, after, worlds)
    rows = {row["estimator"]: row for row in arm_rows(pilot, 1)}
    assert list(rows) == ["means", "did", "adjusted"]
    assert {row["truth"] for row in rows.values()} == {-1.0}
    # means: (5 + 8) / 2 - (4.5 + 7.5) / 2 = 0.5, apart (5 + 8) / 2 - (5 + 8) / 2 = 0
    assert rows["means"]["effect"] == pytest.approx(0.5)
    assert rows["means"]["effect_apart"] == pytest.approx(0.0)
    # did: changes -1.1, -0.9 less -0.7, -0.3 is -0.5, apart -1.1, -0.9 less -0.2, 0.2 is -1
    assert rows["did"]["effect"] == pytest.approx(-0.5)
    assert rows["did"]["effect_apart"] == pytest.approx(-1.0)
    assert all(row["interference"] == pytest.approx(0.5) for row in rows.values())
    # of the six draws of two of four, the drawn one and its mirror show as much: p about 1/3
    assert rows["did"]["p_randomisation"] == pytest.approx(1 / 3, abs=0.06)
    no_days_before = PilotOutcomes(assigned, np.zeros(6, np.int64), None, after, worlds)
    assert [row["estimator"] for row in arm_rows(no_days_before, 1)] == ["means"]


def test_cr2_has_no_bias_under_its_working_model():
    """Its expectation, as a quadratic form in independent errors of variance 1, is the coefficient's variance."""
    rng = np.random.default_rng(5)
    cluster = np.repeat(np.arange(7), [2, 5, 1, 3, 4, 2, 6])
    design = np.column_stack([np.ones(23), cluster % 2, rng.random(23)]).astype(float)
    expected = np.sum([float(cr2(design, unit, cluster).error) ** 2 for unit in np.eye(23)])
    assert expected == pytest.approx(np.linalg.inv(design.T @ design)[1, 1], rel=1e-9)


def test_a_balanced_panel_of_days_says_what_its_transformers_means_say():
    rng = np.random.default_rng(2)
    panel = rng.normal(size=(9, 5)) + rng.normal(size=(9, 1)) + rng.normal(size=(1, 5))
    treated = np.arange(9) < 4
    days = np.tile(np.eye(5)[:, 1:], (9, 1))
    design = np.column_stack([np.ones(45), np.repeat(treated, 5), days])
    whole = cr2(design, panel.ravel(), np.repeat(np.arange(9), 5))
    means = estimate("means", np.zeros(9), panel.mean(axis=1), treated)
    assert float(whole.effect) == pytest.approx(means.effect[0], rel=1e-9)
    assert float(whole.error) == pytest.approx(means.error[0], rel=1e-6)


def test_one_cluster_is_refused():
    with pytest.raises(ValueError, match="at least two clusters"):
        cr2(np.ones((3, 2)), np.ones(3), np.zeros(3, int))


def test_randomisation_by_enumeration():
    """Of the 35 pairs of sets of 3 of 7, only the drawn one reaches the drawn difference: p = 2/36 at most."""
    outcome, treated = np.array([9.0, 8, 9, 1, 2, 1, 2]), np.arange(7) < 3
    draws = np.zeros((35, 7), bool)
    for row, chosen in enumerate(combinations(range(7), 3)):
        draws[row, list(chosen)] = True
    found = randomisation_test(outcome, treated, draws, 0.9)
    assert found.effect == pytest.approx(26 / 3 - 1.5)
    assert found.p_value == pytest.approx(2 / 36)
    inside = np.linspace(found.low, found.high, 21)[1:-1]
    for constant in inside:  # no effect within the interval is rejected, those outside are
        assert randomisation_test(outcome - constant * treated, treated, draws, 0.9).p_value > 0.1
    for constant in (found.low - 1e-3, found.high + 1e-3):
        assert randomisation_test(outcome - constant * treated, treated, draws, 0.9).p_value <= 0.1


def test_too_few_draws_for_a_level_are_refused():
    with pytest.raises(ValueError, match="cannot reject"):
        randomisation_test(np.arange(4.0), np.arange(4) < 2, np.ones((9, 4), bool), 0.95)


@pytest.fixture(scope="module")
def village():
    """2,000 DTs of very different size, days with a memory, an effect in proportion to size that varies."""
    rng = np.random.default_rng(8)
    size = 20 * np.exp(0.5 * rng.normal(size=2000))
    noise = np.empty((2000, 28))
    noise[:, 0] = rng.normal(size=2000)
    for day in range(1, 28):
        noise[:, day] = 0.6 * noise[:, day - 1] + 0.8 * rng.normal(size=2000)
    panel = size[:, None] * (1.0 + 0.1 * noise + 0.05 * rng.normal(size=28))
    effect = -size * (0.03 + 0.02 * rng.normal(size=2000))
    return panel, effect


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("dts_per_arm", [8, 20, 60])
def test_intervals_hold_the_truth_as_often_as_they_say(village, estimator, dts_per_arm):
    panel, effect = village
    before, after = panel[:, :14].mean(axis=1), panel[:, 14:].mean(axis=1)
    found = coverage(estimator, before, after, after + effect, dts_per_arm, draws=1000, seed=3)
    assert abs(found.bias) < 4 * found.spread / 1000**0.5
    assert 0.95 - 3 * found.binomial_error <= found.covered <= 0.98


def test_each_pilot_takes_other_transformers_once():
    chosen, treated = draw_pilots(np.random.default_rng(0), 30, 10, 50)
    assert chosen.shape == treated.shape == (50, 20)
    assert all(len(set(row)) == 20 for row in chosen.tolist())
    assert (treated.sum(axis=1) == 10).all()
    assert len({tuple(sorted(row)) for row in chosen.tolist()}) == 50


def test_noise_foretells_the_spread_of_what_estimators_compare(village):
    panel, _ = village
    noise = fit_noise(panel)
    before, after = panel[:, :14].mean(axis=1), panel[:, 14:].mean(axis=1)
    assert noise.mean == pytest.approx(panel.mean())
    assert noise.variance("means", 14, 14) == pytest.approx(after.var(), rel=0.05)
    assert noise.variance("did", 14, 14) == pytest.approx((after - before).var(), rel=0.1)
    left = after - np.polyval(np.polyfit(before, after, 1), before)
    assert noise.variance("adjusted", 14, 14) == pytest.approx(left.var(), rel=0.1)


def test_noise_with_one_memory_is_found_again():
    rng = np.random.default_rng(6)
    panel = np.empty((4000, 30))
    panel[:, 0] = rng.normal(size=4000)
    for day in range(1, 30):
        panel[:, day] = 0.8 * panel[:, day - 1] + 0.6 * rng.normal(size=4000)
    found = fit_noise(100.0 + 5.0 * rng.normal(size=(4000, 1)) + 2.0 * panel)
    true = Noise(100.0, 25.0, (4.0,), (0.8,))
    for estimator in ("did", "adjusted"):
        for days in [(7, 7), (7, 21), (14, 14)]:
            assert found.variance(estimator, *days) == pytest.approx(true.variance(estimator, *days), rel=0.05)
    assert found.variance("means", 7, 7) == pytest.approx(true.variance("means", 7, 7), rel=0.05)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_pilot_of_the_size_found_sees_the_effect_as_often_as_asked(estimator):
    noise = Noise(mean=20.0, permanent=16.0, passing=(4.0,), memory=(0.5,))
    rng = np.random.default_rng(1)
    n, baseline, days = 3000, 14, 14
    panel = np.empty((n, baseline + days))
    panel[:, 0] = rng.normal(size=n)
    for day in range(1, panel.shape[1]):
        panel[:, day] = 0.5 * panel[:, day - 1] + 0.75**0.5 * rng.normal(size=n)
    panel = 20.0 + 4.0 * rng.normal(size=(n, 1)) + 2.0 * panel
    effect = -1.0
    needed = dts_needed(effect, noise.variance(estimator, baseline, days), 0.8, 0.05)
    before, after = panel[:, :baseline].mean(axis=1), panel[:, baseline:].mean(axis=1)
    found = coverage(estimator, before, after, after + effect, needed, draws=1000, seed=4)
    assert found.detected == pytest.approx(0.8, abs=0.04)


def test_power_is_that_of_the_t_test_and_size_its_inverse():
    assert power(0.0, 1.0, 10, 0.05) == pytest.approx(0.05)
    # J. Cohen, Statistical Power Analysis, 1988, table 2.3.5: two groups of 64, d = 0.5, 5 %: power 0.80
    assert power(0.5, 1.0, 64, 0.05) == pytest.approx(0.801, abs=1e-3)
    assert dts_needed(0.5, 1.0, 0.8, 0.05) == 64
    assert dts_needed(1e-9, 1.0, 0.8, 0.05) is None
