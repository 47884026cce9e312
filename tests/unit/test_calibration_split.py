"""The split of published figures into fitted and held out is complete, and factors act on what they name."""

import datetime as dt

import numpy as np
import pytest

from twin.analysis.calibration import SPOKEN_TO, Target, split
from twin.calibrated import factors
from twin.datapack import read_rows
from twin.demand.levels import DEMAND_LEVELS, day_by_level, make_panel
from twin.demand.panel import kind_counts, kind_mean_kw, panel_columns
from twin.demand.weather import NormalWeather


def test_every_found_figure_of_the_base_years_is_fitted_or_held_out():
    found = {
        row.id for row in read_rows("calibration", Target) if row.purpose in SPOKEN_TO and row.confidence == "found"
    }
    assert set(split()) == found


def test_factors_name_published_figures_that_are_fitted():
    fitted = {name for name, use in split().items() if use.use == "fitted"}
    for factor in factors().values():
        assert set(factor.fitted_to) <= fitted


def test_demand_by_level_adds_up_to_expected_demand():
    date, weather, members = dt.date(2026, 6, 10), NormalWeather(), 8
    day = day_by_level(make_panel(1, members), date, weather)
    whole = kind_counts() @ kind_mean_kw(0, date, weather, members, panel_columns(1, members)) / 1e3
    now = np.array([factors()[name].factor for name in DEMAND_LEVELS])
    assert day.total_mw(now) == pytest.approx(whole, rel=1e-5)
    assert (day.level_mw.sum(axis=1) > 0).all()
