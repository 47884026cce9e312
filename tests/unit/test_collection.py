"""Payments of bills: by hand, by count, and the same draws whoever asks."""

import copy

import numpy as np
import pytest

from tests.runs import TINY
from twin.analysis.collection import (
    FULL,
    LATE,
    NEVER,
    PARTLY,
    collect,
    habit_shares,
    load_collection,
    outcomes,
    parse_collection,
)
from twin.datapack import read_yaml
from twin.errors import DataPackError, ScenarioError
from twin.scenario import load_scenario

MONTH = 12 * 57 + 1


def everyone(n, never=0.0, partly=0.0, late=0.0):
    return np.tile([never, partly, late], (n, 1))


def test_each_outcome_by_hand():
    """Bills of Rs 100.01, nothing, a credit of Rs 5, and Rs 60."""
    due, who = np.array([[10_001, 0, -500, 6_000]]), np.array([7])
    cases = [
        (everyone(1), [10_001, 0, -500, 6_000], [0, 0, 0, 0]),
        # a bill of nothing and a credit are settled at once; last month's bill was late too, at this month's amount
        (everyone(1, late=1.0), [10_001, 10_001, -500, 0], [10_001, 0, 0, 6_000]),
        (everyone(1, partly=1.0), [5_000, 0, -500, 3_000], [5_001, 5_001, 5_001, 8_001]),
        (everyone(1, never=1.0), [0, 0, -500, 0], [10_001, 10_001, 10_001, 16_001]),
    ]
    for shares, paid, arrears in cases:
        got = collect(due, who, MONTH, shares, 5, 0.5)
        assert (got.paid[0].tolist(), got.arrears[0].tolist()) == (paid, arrears)


def test_outcomes_come_as_often_as_their_shares_and_months_are_apart():
    who = np.arange(40_000)
    first, second = (outcomes(11, who, month, everyone(len(who), 0.05, 0.1, 0.2)) for month in (MONTH, MONTH + 1))
    for what, share in ((NEVER, 0.05), (PARTLY, 0.1), (LATE, 0.2), (FULL, 0.65)):
        assert np.mean(first == what) == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / len(who)))
    both = np.mean((first == LATE) & (second == LATE))
    assert both == pytest.approx(0.04, abs=0.005)


def test_a_draw_hangs_on_replicate_consumer_and_month_alone():
    """So any split into shards, any order, any arm sees the same."""
    who, shares = np.arange(1000), everyone(1000, 0.1, 0.2, 0.3)
    whole = outcomes(3, who, MONTH, shares)
    assert np.array_equal(outcomes(3, who[::-1], MONTH, shares)[::-1], whole)
    assert np.array_equal(outcomes(3, who[400:], MONTH, shares[400:]), whole[400:])
    assert not np.array_equal(outcomes(4, who, MONTH, shares), whole)


def test_owed_is_what_was_billed_and_not_paid():
    rng = np.random.default_rng(2)
    due = rng.integers(-2_000, 90_000, (500, 12))
    got = collect(due, np.arange(500), MONTH, everyone(500, 0.05, 0.1, 0.3), 9, 0.4)
    steps = np.diff(got.arrears, axis=1)
    assert np.array_equal(steps, (due - got.paid)[:, 1:])
    before = got.arrears[:, 0] - (due - got.paid)[:, 0]
    assert set(np.unique(before[due[:, 0] > 0] / due[due[:, 0] > 0, 0])) == {0.0, 1.0}
    assert (got.arrears >= 0).all()


def test_a_late_payer_costs_a_run_nothing_on_average():
    """What was late before the run comes in as what will be late goes out: efficiency is 1 within chance."""
    due = np.full((40_000, 1), 10_000)
    got = collect(due, np.arange(40_000), MONTH, everyone(40_000, late=0.3), 1, 0.5)
    assert got.paid.sum() / due.sum() == pytest.approx(1.0, abs=5 * np.sqrt(2 * 0.3 * 0.7 / 40_000))


def test_shares_by_category_district_and_meter():
    data = dict(read_yaml("collection")) | {"districts": {"Gaya": 2.0}}
    habits = parse_collection(data)
    own = habits.categories["ds1"]
    got = habit_shares(
        habits, np.array(["ds1", "ds1", "ds1", "hts1"]), np.array(["Patna", "Gaya", "Patna", "Patna"]),
        np.array([False, False, True, True]),
    )  # fmt: skip
    assert got[0].tolist() == [own.never, own.partly, own.late]
    assert got[1] == pytest.approx(2 * got[0])
    assert got[2, 0] == habits.prepaid.never
    assert got[3, 0] == habits.categories["hts1"].never  # not prepaid, though smart


def test_the_packs_file_holds_and_all_problems_are_told():
    assert load_collection().subsidy_received == 1.0
    broken = copy.deepcopy(dict(read_yaml("collection")))
    del broken["categories"]["ds2"]
    broken |= {"districts": {"Paris": 9.0}, "prepaid_categories": ["ds9"]}
    with pytest.raises(DataPackError) as caught:
        parse_collection(broken)
    told = [problem.what for problem in caught.value.problems]
    assert told[:3] == ["category 'ds2' has no row", "there is no district 'Paris'", "category 'ds9' does not exist"]
    assert "above 1" in told[3]


def test_wrong_types_are_told_with_their_path():
    broken = copy.deepcopy(dict(read_yaml("collection")))
    broken |= {"partly_paid": 1.5, "prepaid": {"late": "much", "partly": 0.0, "never": 0.0}}
    with pytest.raises(DataPackError) as caught:
        parse_collection(broken)
    told = {problem.path: problem.what for problem in caught.value.problems}
    assert set(told) == {"partly_paid", "prepaid.late"}
    assert "(got 1.5)" in told["partly_paid"]
    assert {problem.where for problem in caught.value.problems} == {"twin/data/collection.yaml"}


def test_a_scenario_asks_for_payments():
    assert "payments" not in load_scenario(TINY).resolved()
    assert load_scenario(TINY, ("payments={}",)).resolved()["payments"] == {}
    with pytest.raises(ScenarioError) as caught:
        load_scenario(TINY, ("payments.subsidy_received=1.5", "payments.late=0.1"))
    assert {problem.path for problem in caught.value.problems} == {"payments.subsidy_received", "payments.late"}
