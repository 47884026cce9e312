"""A fit finds known factors, stays within bounds, and gives the same again; factors act on what they name."""

import datetime as dt

import numpy as np
import pytest
import yaml

from twin import calibrate
from twin.calibrated import Factor, factors, fitted, in_use, use, using
from twin.calibration_fit import Aim, Knob, fit
from twin.calibration_model import Anchor, make_model
from twin.demand.levels import day_by_level, make_panel
from twin.demand.weather import NormalWeather
from twin.errors import ScenarioError
from twin.scenario import parse_scenario

LOADS = {"evening": {"home": 4.0, "shop": 1.0, "ht": 1.0}, "noon": {"home": 2.0, "shop": 3.0, "ht": 1.0}}
LOADS |= {"night": {"home": 2.0, "shop": 0.2, "ht": 1.0}}
ONES = {"home": 1.0, "shop": 1.0, "ht": 1.0}
LOOSE = [Knob(name, 10.0, 0.2, 5.0) for name in ONES]
YEAR = """
name: a-year
seed: 3
grid: {state: bihar, resolve: {fraction: 0.01}}
time: {start: 2024-04-01, days: 365, step_minutes: 60}
tariff: bihar-2024-25
experiment: {arms: {base: {}}, replicates: 1}
"""


def linear(at):
    return {name: sum(load[level] * at[level] for level in load) for name, load in LOADS.items()}


def test_known_factors_are_found():
    truth = {"home": 1.1, "shop": 0.7, "ht": 1.4}
    aims = [Aim(name, value, value, 1e-3) for name, value in linear(truth).items()]
    assert fit(linear, LOOSE, aims, ONES) == pytest.approx(truth, abs=1e-3)


def test_the_prior_holds_what_no_aim_asks_for():
    aims = [Aim("evening", 6.6, 6.6, 1e-3), Aim("not estimated", 1.0, 1.0, 1e-3)]
    stiff = [Knob("home", 0.01, 0.2, 5.0), Knob("shop", 1.0, 0.2, 5.0)]
    found = fit(linear, stiff, aims, ONES)
    assert found["ht"] == 1.0  # no knob
    assert found["home"] == pytest.approx(1.0, abs=2e-3)
    assert linear(found)["evening"] == pytest.approx(6.6, rel=1e-3)


def test_inside_the_ranges_nothing_moves():
    aims = [Aim(name, value - 0.1, value + 0.1, 0.01) for name, value in linear(ONES).items()]
    assert fit(linear, LOOSE, aims, ONES) == ONES


def test_bounds_hold_and_the_fit_repeats_itself():
    aims = [Aim("evening", 60.0, 60.0, 0.1)]
    found = fit(linear, LOOSE, aims, ONES)
    assert all(0.2 <= value <= 5.0 for value in found.values())
    assert found["home"] == pytest.approx(5.0, abs=2e-3)
    assert fit(linear, LOOSE, aims, ONES) == found


def test_factors_of_a_process_are_put_back():
    before = in_use()
    with using({"ht": 2.0}):
        assert fitted("ht") == 2.0
        with using(None):
            assert in_use() == before
        assert fitted("ht") == 2.0
    assert in_use() == before
    use({"ht": 3.0})
    use(None)
    assert in_use() == before


@pytest.fixture(scope="module")
def model():
    return make_model(parse_scenario(YEAR), members=4)


def anchor_at(values):
    estimates = {
        "peak_mw": 8000.0, "winter_peak_mw": 4500.0, "billing_efficiency_percent": 88.0, "atc_state_percent": 14.0,
        "homes_in_free_block_percent": 86.0, "purchase_inr_per_kwh": 5.4,
    }  # fmt: skip
    return Anchor(values, estimates, loss=0.09, theft=0.03, rest=0.003, collection=0.98)


def test_nothing_is_predicted_to_change_at_the_anchor_s_own_factors(model):
    ones = dict.fromkeys(factors(), 1.0)
    found = model.predicted(anchor_at(ones), ones)
    efficiency = 0.91 * (1 - 0.033)
    expected = anchor_at(ones).estimates | {
        "billing_efficiency_percent": 100 * efficiency, "atc_state_percent": 100 * (1 - 0.98 * efficiency),
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_each_factor_moves_what_it_is_fitted_to(model):
    """Up: more load at the peaks; more theft and more unpaid bills; fewer homes within the free block."""
    ones = dict.fromkeys(factors(), 1.0)
    base = model.predicted(anchor_at(ones), ones)
    signs = {
        "home_cooling": {"peak_mw": 1, "winter_peak_mw": 0, "homes_in_free_block_percent": -1},
        "home_heating": {"peak_mw": 0, "winter_peak_mw": 1},
        "home_other": {"peak_mw": 1, "winter_peak_mw": 1, "homes_in_free_block_percent": -1},
        "shop": {"peak_mw": 1, "winter_peak_mw": 1, "homes_in_free_block_percent": 0},
        "ht": {"peak_mw": 1, "winter_peak_mw": 1, "billing_efficiency_percent": 1},
        "theft": {"billing_efficiency_percent": -1, "atc_state_percent": 1, "peak_mw": 0},
        "unpaid": {"atc_state_percent": 1, "billing_efficiency_percent": 0},
    }
    for name, expected in signs.items():
        moved = model.predicted(anchor_at(ones), {**ones, name: 1.2})
        for estimate, sign in expected.items():
            change = moved[estimate] - base[estimate]
            assert np.sign(change if abs(change) > 1e-3 * base[estimate] else 0.0) == sign, (name, estimate)


def test_levels_do_not_hang_on_the_factors_in_use():
    date, weather = dt.date(2024, 12, 20), NormalWeather()
    base = day_by_level(make_panel(3, 4), date, weather)
    with using({"ht": 1.5, "home_other": 0.9, "home_heating": 1.2}):
        again = day_by_level(make_panel(3, 4), date, weather)
    assert again.level_mw == pytest.approx(base.level_mw, rel=5e-3, abs=1e-3)  # powers are stored as whole numbers
    assert again.rest_mw == pytest.approx(base.rest_mw, rel=5e-3)


@pytest.mark.parametrize(
    ("line", "runs", "word"),
    [
        ("", 1, "--runs"),
        ("experiment: {arms: {base: {}, other: {}}, replicates: 1}", 3, "2 cases"),
    ],
)
def test_what_cannot_be_fitted_is_refused(line, runs, word):
    text = YEAR if not line else YEAR[: YEAR.index("experiment")] + line
    with pytest.raises(ScenarioError, match=word):
        calibrate.check(parse_scenario(text), runs)


def test_the_written_file_reads_as_the_pack_s_own():
    after = {name: round(one.factor * 1.01, 3) for name, one in factors().items()}
    data = yaml.safe_load(calibrate.factors_text(after, "twin calibrate x", dt.date(2026, 1, 2)))
    assert (data["source"], data["date"]) == ("fitted: twin calibrate x", dt.date(2026, 1, 2))
    read = {name: Factor.model_validate(entry) for name, entry in data["factors"].items()}
    assert {name: one.factor for name, one in read.items()} == after
    assert {one.confidence for one in read.values()} == {"fitted"}
    assert {name: one.fitted_to for name, one in read.items()} == {n: one.fitted_to for n, one in factors().items()}
