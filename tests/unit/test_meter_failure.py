"""Model M9: drawn lives follow the law, whatever the step."""

from math import erf

import numba as nb
import numpy as np

from tests.meter_cases import IDS, below_dkw, near_mean, near_share
from twin.meters.datasheets import catalogue
from twin.meters.failure import (
    YEAR_DAYS,
    FailureParams,
    cumulative_hazard,
    draw_frailties,
    fails_on,
    fails_today,
    fails_within,
    highest_rates,
    repair_days,
)

PARAMS = catalogue().params(FailureParams, "failure")
KIND = catalogue().names.index("genus.single_phase")


def test_hand_hazard_and_the_trial_s_shares():
    trial = FailureParams(*(np.array([x]) for x in (0.01, 0.35, 0.0095, 22.0, 4.5, 0.0, 3.0, 0.6, 0.03)))
    shares = [1 - np.exp(-cumulative_hazard(years, 0, trial)) for years in (1.0, 5.0, 10.0)]
    assert cumulative_hazard(1.0, 0, trial) == np.float64(0.01 * (1 - np.exp(-1 / 0.35)) + 0.0095 + (1 / 22) ** 4.5)
    assert np.allclose(shares, [0.019, 0.059, 0.130], atol=0.006), "cumulative 1.9, 5.9 and 13.0 % in the facts' trial"


def test_any_cut_of_time_gives_the_same_law():
    hourly = np.linspace(0.0, 1.0, 24 * 365 + 1)
    daily = hourly[::24]
    for frailty in (0.4, 1.7):
        survive = [
            np.prod([1 - fails_within(a, b, frailty, 1.3, KIND, PARAMS) for a, b in zip(ages, ages[1:], strict=False)])
            for ages in (hourly, daily, np.array([0.0, 1.0]))
        ]
        assert np.allclose(survive, survive[0], rtol=1e-10)


def test_drawn_lives_follow_the_marginal_law():
    """Day by day over 30 years with steps of 90 days; survival with Gamma frailty is (1 + cv^2 H)^(-1 / cv^2)."""
    ids = IDS[:20_000]
    frailty = draw_frailties(11, ids, np.full(len(ids), KIND, np.uint8), PARAMS).astype(float)
    cv = PARAMS.frailty_cv[KIND]
    assert near_mean(frailty, 1.0, cv)
    edges = np.arange(0, 30 * YEAR_DAYS, 90.0)
    hazard = np.array([cumulative_hazard(day / YEAR_DAYS, KIND, PARAMS) for day in edges])
    alive = np.ones(len(ids), bool)
    failed = []
    for step in range(1, len(edges)):
        p = 1 - np.exp(-frailty * (hazard[step] - hazard[step - 1]))
        hit = alive & np.array([fails_on(11, int(i), step, float(q)) for i, q in zip(ids, p, strict=True)])
        alive &= ~hit
        failed.append((~alive).mean())
    expected = 1 - (1 + cv**2 * hazard[1:]) ** (-1 / cv**2)
    assert np.abs(np.array(failed) - expected).max() < 0.02
    assert near_share((~alive).sum(), len(ids), expected[-1])


def test_a_day_s_failures_are_binomial():
    hits = sum(fails_on(4, int(i), 9000, 0.01) for i in IDS)
    assert near_share(hits, len(IDS), 0.01)


def test_repairs_are_lognormal():
    ids = IDS[:50_000]
    days = np.sort([repair_days(2, int(i), 9000, KIND, PARAMS) for i in ids])
    z = np.log(days / PARAMS.repair_median_days[KIND]) / PARAMS.repair_log_sd[KIND]
    cdf = 0.5 * (1 + np.vectorize(erf)(z / np.sqrt(2)))
    assert below_dkw(days, cdf)


def test_without_hazards_nothing_fails():
    none = FailureParams(*(np.zeros(len(catalogue())) for _ in PARAMS))._replace(
        infant_years=PARAMS.infant_years, wear_years=np.full(len(catalogue()), np.inf), wear_shape=PARAMS.wear_shape
    )
    assert fails_within(0.0, 50.0, 5.0, 3.0, KIND, none) == 0.0
    assert np.all(draw_frailties(1, IDS[:9], np.zeros(9, np.uint8), none) == 1.0)


def test_lives_without_frailty_follow_the_hazard_itself_day_by_day():
    """Kaplan-Meier of lives drawn every day for four years, without any censoring: within 2 % of 1 - exp(-H)."""
    bad = catalogue().names.index("bad_batch.single_phase")  # enough failures to tell laws apart
    n, days, highest = 20_000, 4 * 365, highest_rates(PARAMS)[bad]
    life = drawn_lives(IDS[:n], days, bad, PARAMS, highest)
    for day in (30, 180, 365, 730, days):
        want = 1 - np.exp(-cumulative_hazard(day / YEAR_DAYS, bad, PARAMS))
        assert near_share(np.sum(life < day), n, want), day
        assert abs(np.mean(life < day) - want) < 0.02


@nb.njit
def drawn_lives(ids, days, kind, params, highest):
    """Day on which each of some meters, new on day 9000, fails; ``days`` if later."""
    out = np.empty(len(ids), np.int64)
    for i in range(len(ids)):
        out[i] = days
        for day in range(days):
            if fails_today(11, ids[i], 9000 + day, day / YEAR_DAYS, 1.0, 1.0, kind, params, highest):
                out[i] = day
                break
    return out


def test_the_short_cut_past_most_failures_changes_none():
    rng, rates = np.random.default_rng(4), highest_rates(PARAMS)
    hit = 0
    for _ in range(30_000):
        kind, age = int(rng.integers(len(catalogue()))), float(rng.uniform(0.0, 70.0) * rng.choice([1.0, 0.01]))
        frailty, stress = float(rng.gamma(2.0, 5.0)), float(rng.uniform(0.5, 30.0))
        args = (age, age + 1 / YEAR_DAYS, frailty, stress, kind, PARAMS)
        consumer, day = int(rng.integers(10**6)), int(rng.integers(9000, 9900))
        want = fails_on(5, consumer, day, fails_within(*args))
        assert fails_today(5, consumer, day, age, frailty, stress, kind, PARAMS, rates[kind]) == want
        hit += want
    assert hit > 300
