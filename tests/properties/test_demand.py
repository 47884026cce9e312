import datetime as dt

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.demand.columns import DemandColumns, draw_columns
from twin.demand.draw import day_tables, draw_tile, mean_tile, padded
from twin.demand.sun import elevation_deg
from twin.demand.weather import NormalWeather

N = 31 * 4
COLUMNS = draw_columns(1, np.arange(N), (np.arange(N) % 31).astype(np.uint8), np.full(N, 27, np.int16))
DAY = day_tables(1, NormalWeather(), dt.date(2026, 7, 1), districts=np.array([27]))


def tile(columns, start, stop, day=DAY, function=draw_tile):
    kw = np.empty((stop - start, padded(day.steps)), np.float32)
    function(columns, start, stop, day, kw)
    return kw


WHOLE = tile(COLUMNS, 0, N)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, N), st.integers(0, N))
def test_any_range_gives_the_same_bits(a, b):
    start, stop = sorted((a, b))
    assert np.array_equal(tile(COLUMNS, start, stop), WHOLE[start:stop])


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(N)))
def test_any_order_gives_the_same_bits(order):
    order = np.array(order)
    assert np.array_equal(tile(DemandColumns(*(field[order] for field in COLUMNS)), 0, N), WHOLE[order])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 364), st.sampled_from([96, 48, 24]))
def test_power_is_finite_and_not_negative(seed, day, steps):
    date = dt.date(2026, 1, 1) + dt.timedelta(days=day)
    tables = day_tables(seed, NormalWeather(), date, steps, districts=np.array([27]))
    for function in (draw_tile, mean_tile):
        kw = tile(COLUMNS, 0, N, tables, function)
        assert np.isfinite(kw).all()
        assert (kw >= 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**62), st.lists(st.integers(0, 2**50), min_size=1, max_size=20, unique=True))
def test_traits_are_a_function_of_seed_and_id(seed, ids):
    ids = np.array(ids)
    kind = (ids % 31).astype(np.uint8)
    district = np.zeros(len(ids), np.int16)
    together = draw_columns(seed, ids, kind, district)
    for k in range(len(ids)):
        alone = draw_columns(seed, ids[k : k + 1], kind[k : k + 1], district[k : k + 1])
        assert all(np.array_equal(field[0], whole[k]) for field, whole in zip(alone, together, strict=True))


@given(st.integers(1, 366), st.floats(24, 28), st.floats(83, 89))
def test_the_sun_is_highest_near_noon(day, latitude, longitude):
    hours = np.linspace(0, 24, 97)
    elevation = elevation_deg(np.array([latitude]), np.array([longitude]), day, hours)[0]
    assert 11 <= hours[elevation.argmax()] <= 13
    assert elevation.min() < 0 < elevation.max() <= 90
