"""The search for a time of day: its space, limits, scores, the trade-off curve, and what it refuses."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runs import TINY
from twin.economics.windows import MAX_ZONES
from twin.errors import DataPackError, ScenarioError
from twin.hours import first_overlap, has_normal_hours, minutes_of
from twin.optimize import PENALTY, Design, Found, Search, optimize, problems_of
from twin.optimize_page import CSV_HEADER, trade_off_figure, write_designs
from twin.optimize_space import Candidate, Space, search_bounds, shared_runs, with_arms
from twin.runner import RunOptions
from twin.scenario import load_scenario
from twin.scenario.zones import tariff_zones

SEARCH = Search(revenue_tolerance=0.5, bill_cap=5.0)
PLAIN = Candidate(0.8, 1.2, "09-17", "17-23")
EVERYTHING = Space("09-17", "17-23", moves_windows=True, shapes_free=True)


def design(evening_peak, purchase_cost, revenue=0.0, worst_bill=1.0, peak_any=0.0, candidate=PLAIN):
    changes = (evening_peak, peak_any, purchase_cost, revenue, worst_bill)
    return Design(0, "generation-00", "c00", candidate, *changes, "category/ds1")


def test_what_is_beyond_a_limit_costs_more_than_it_gains():
    inside, outside = design(-0.3, 0.0, revenue=-0.5, worst_bill=5.0), design(-3.0, 0.0, revenue=0.6, worst_bill=7.0)
    assert inside.excess(SEARCH) == 0.0
    assert inside.score(SEARCH) == -0.3
    assert outside.excess(SEARCH) == pytest.approx(0.1 + 2.0)
    assert outside.score(SEARCH) == pytest.approx(-3.0 + PENALTY * 2.1)


def test_the_trade_off_holds_what_no_other_design_beats():
    a, b, c = design(-2.0, -0.1), design(-1.0, -0.5, peak_any=-3.0), design(-1.5, 0.2)
    out = design(-9.0, -9.0, revenue=3.0)
    found = Found(SEARCH, [c, out, b, a])
    assert found.trade_off == [a, b]
    assert found.feasible == [a, c, b]
    by_cost = Found(Search(objective="purchase_cost"), [c, b, a])
    assert by_cost.feasible == [b, a, c]
    assert Found(Search(objective="peak_any"), [c, out, b, a]).trade_off == [b]


def test_every_design_is_written_and_the_curve_drawn(tmp_path):
    shaped = Candidate(0.7, 1.5, "08:00-15:00", "18:00-22:00", (("peak", 20.0), ("normal", 90.0)))
    found = Found(SEARCH, [design(-2.0, -0.1), design(-9.0, 0.0, revenue=3.0, candidate=shaped)])
    table, page = write_designs(found, tmp_path)
    with table.open() as stream:
        plain, other = csv.DictReader(stream)
    assert tuple(plain) == CSV_HEADER
    assert (plain["free_peak_kwh"], plain["feasible"], plain["on_trade_off"]) == ("", "True", "True")
    assert (other["solar_hours"], other["free_normal_kwh"], other["feasible"]) == ("08:00-15:00", "90.0", "False")
    curve = trade_off_figure(found).data[2]
    assert (tuple(curve.x), tuple(curve.y)) == ((-2.0,), (-0.1,))
    assert "Plotly" in page.read_text(encoding="utf-8")


def test_a_search_looks_where_it_is_asked_to():
    assert list(Space("09-17", "17-23").bounds) == ["solar", "peak"]
    assert list(Space("09-17", "17-23", shapes_free=True).bounds) == ["solar", "peak", "free_peak", "free_normal"]
    assert list(Space("23-17", "17-23", shapes_free=True).bounds) == ["solar", "peak", "free_peak"]  # no hour is normal
    assert len(EVERYTHING.bounds) == len(EVERYTHING.integrality) == 8
    assert EVERYTHING.integrality.tolist() == [False, False] + [True] * 6


@given(st.lists(st.floats(0.0, 1.0), min_size=8, max_size=8))
def test_any_point_is_a_tariff_within_bounds(place):
    low, high = np.array(list(EVERYTHING.bounds.values())).T
    one = EVERYTHING.candidate(low + np.array(place) * (high - low))
    hours = {"solar": one.solar_hours, "peak": one.peak_hours}
    assert first_overlap(hours) is None
    assert has_normal_hours(hours)
    windows = search_bounds().windows
    lengths = {}
    for name, text in hours.items():
        start, end = minutes_of(text)
        assert start % 60 == end % 60 == 0
        lengths[name] = (end - start) // 60
        least, most = getattr(windows, f"{name}_start")
        assert least <= start // 60 <= most
    assert lengths["peak"] <= lengths["solar"] <= windows.solar_hours[1]
    assert windows.peak_hours[0] <= lengths["peak"] <= windows.peak_hours[1]
    assert 0 <= one.free_in("peak") <= 125
    assert one.free_in("solar") is None


def test_candidates_are_arms_beside_the_first():
    scenario = load_scenario(TINY, ("experiment.design=pilot",))
    space = Space("09-17", "17-23", shapes_free=True)
    asked = with_arms(scenario, {"c00": space.candidate(np.array([0.804, 1.2, 24.6, 100.0]))})
    assert asked.world_names == ("flat", "c00")
    own = asked.arms[1].tariff
    assert own.time_of_day.periods["solar"].multiplier == 0.8
    assert own.free_units.per_period == {"peak": 25.0, "normal": 100.0}
    assert asked.arms[0] == scenario.arms[0]
    assert asked.seed == scenario.seed


def test_candidates_share_a_run_as_far_as_registers_go():
    scenario = load_scenario(TINY)
    windows = [("07-13", "16-20"), ("08-12", "18-24"), ("09-17", "17-23"), ("07-13", "16-20"), ("10-15", "20-01")]
    candidates = [Candidate(0.8, 1.2 + place / 10, *hours) for place, hours in enumerate(windows)]
    runs, left_out = shared_runs(scenario, candidates)
    assert left_out == []
    assert sorted(place for run in runs for place in run) == [0, 1, 2, 3, 4]
    assert len(runs) > 1  # together they need more than eight
    assert any({0, 3} <= set(run) for run in runs)  # the same windows
    for run in runs:
        asked = with_arms(scenario, {f"c{place:02d}": candidates[place] for place in run})
        assert tariff_zones(asked).n_zones <= MAX_ZONES
    same = [Candidate(0.5 + place / 100, 1.2, "09-17", "17-23") for place in range(20)]
    assert shared_runs(scenario, same) == ([list(range(20))], [])


def test_a_design_that_no_meter_could_bill_is_left_out():
    many = ", ".join(f"p{hour}: {{hours: '{hour:02d}-{hour + 1:02d}', multiplier: 1.1}}" for hour in (1, 3, 5, 7))
    arms = f"experiment.arms={{flat: {{tariff: {{time_of_day: {{applies_to: gross, {many}}}}}}}}}"
    scenario = load_scenario(TINY, (arms,))
    plain, fine = Candidate(0.8, 1.2, "09-17", "17-23"), Candidate(0.8, 1.2, "11-14", "19-22")
    assert shared_runs(scenario, [fine, plain]) == ([[1]], [0])


@pytest.mark.parametrize(
    ("search", "words"),
    [
        (Search(solar="09-18", peak="17-23"), "overlap"),
        (Search(solar="09:05-17"), "09:05"),
        (Search(solar="nine", shape_free=True), "--solar: 'nine' is not a window of hours"),
        (Search(candidates=4), "--candidates: must be 5 or more"),
        (Search(objective="peak"), "--objective: must be evening_peak, peak_any or purchase_cost"),
        (Search(windows=True, peak="18-22"), "--windows: must be without --solar and --peak"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_any_run(search, words, tmp_path):
    with pytest.raises(ScenarioError, match=words):
        optimize(load_scenario(TINY), search, tmp_path, RunOptions(backend="local"), None)
    assert list(tmp_path.iterdir()) == []


def test_all_problems_are_told_at_once():
    wrong = Search(generations=0, candidates=0, bill_cap=-1.0, revenue_tolerance=0.0, solar="x", peak="y")
    assert len(problems_of(wrong)) == 6


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("peak_start", [10, 20], "solar hours may end after"),
        ("peak_hours", [2, 12], "next day's solar hours|normal hours"),
        ("solar_start", [9, 9], "must rise"),
    ],
)
def test_bounds_that_cannot_be_are_a_defect_of_the_data(part, value, words, monkeypatch):
    data = {
        "source": "assumed",
        **{name: dict(own) for name, own in search_bounds().model_dump(exclude={"source"}).items()},
    }
    data["windows"][part] = value
    monkeypatch.setattr("twin.optimize_space.read_yaml", lambda name: data)
    search_bounds.cache_clear()
    with pytest.raises(DataPackError, match=words):
        search_bounds()
    search_bounds.cache_clear()
