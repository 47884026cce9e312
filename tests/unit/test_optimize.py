"""The search for a time of day: limits, scores, the trade-off curve, and what it refuses."""

import pytest

from tests.runs import TINY
from twin.errors import ScenarioError
from twin.optimize import PENALTY, Design, Found, Search, _with_arms, optimize, problems_of
from twin.runner import RunOptions
from twin.scenario import load_scenario

SEARCH = Search(revenue_tolerance=0.5, bill_cap=5.0)


def design(evening_peak, purchase_cost, revenue=0.0, worst_bill=1.0):
    return Design(0, 0.8, 1.2, None, evening_peak, purchase_cost, revenue, worst_bill, "category/ds1")


def test_what_is_beyond_a_limit_costs_more_than_it_gains():
    inside, outside = design(-0.3, 0.0, revenue=-0.5, worst_bill=5.0), design(-3.0, 0.0, revenue=0.6, worst_bill=7.0)
    assert inside.excess(SEARCH) == 0.0
    assert inside.score(SEARCH) == -0.3
    assert outside.excess(SEARCH) == pytest.approx(0.1 + 2.0)
    assert outside.score(SEARCH) == pytest.approx(-3.0 + PENALTY * 2.1)


def test_the_trade_off_holds_what_no_other_design_beats():
    a, b, c = design(-2.0, -0.1), design(-1.0, -0.5), design(-1.5, 0.2)
    out = design(-9.0, -9.0, revenue=3.0)
    found = Found(SEARCH, [c, out, b, a])
    assert found.trade_off == [a, b]
    assert found.feasible == [a, c, b]
    by_cost = Found(Search(objective="purchase_cost"), [c, b, a])
    assert by_cost.feasible == [b, a, c]


def test_candidates_are_arms_beside_the_first():
    scenario = load_scenario(TINY)
    asked = _with_arms(scenario, Search(shape_free=True), [[0.804, 1.2, 24.6], [0.7, 1.5, 0.0]])
    assert asked.arm_names == ("flat", "c00", "c01")
    first = asked.arms[1].tariff
    assert first.time_of_day.periods["solar"].multiplier == 0.8
    assert first.free_units.per_period["peak"] == 25.0
    assert asked.arms[0] == scenario.arms[0]
    assert asked.seed == scenario.seed


@pytest.mark.parametrize(
    ("search", "words"),
    [
        (Search(solar="09-18", peak="17-23"), "overlap"),
        (Search(solar="09:05-17"), "09:05"),
        (Search(solar="nine"), "nine"),
        (Search(candidates=4), "--candidates: must be 5 or more"),
        (Search(objective="peak"), "--objective: must be evening_peak or purchase_cost"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_any_run(search, words, tmp_path):
    with pytest.raises(ScenarioError, match=words):
        optimize(load_scenario(TINY), search, tmp_path, RunOptions(backend="local"), None)
    assert list(tmp_path.iterdir()) == []


def test_all_problems_are_told_at_once():
    assert len(problems_of(Search(generations=0, candidates=0, bill_cap=-1.0, revenue_tolerance=0.0))) == 4
