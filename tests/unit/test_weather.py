import datetime as dt
import pickle

import numpy as np
import pytest

from twin.demand.climate import normals, places, through_months
from twin.demand.sun import darkness, elevation_deg, sunrise_h
from twin.demand.weather import DAY_STEPS, PAD, WIDTH, GeneratedWeather, HeatWave, NormalWeather
from twin.errors import InputError

JUNE = dt.date(2026, 6, 10)
PATNA = places().name.index("Patna")


@pytest.fixture(scope="module")
def weather():
    return GeneratedWeather(7)


def test_places_and_normals_cover_38_districts():
    assert len(places()) == 38
    assert normals().tmax_c.shape == (38, 12)
    assert abs(normals().tmax_c[PATNA, 4] - 38.0) < 0.3  # Patna's own station carries its district


def test_through_months_passes_the_middles_and_closes_the_year():
    monthly = np.arange(12.0)
    monthly[6:] = monthly[:6][::-1]
    daily = through_months(monthly)
    assert abs(daily[15] - monthly[0]) < 0.1
    assert abs(daily[365] - daily[0]) < 0.1


def test_a_day_does_not_depend_on_what_was_asked_before(weather):
    fresh = GeneratedWeather(7)
    fresh.day(dt.date(2031, 1, 5))
    a, b = fresh.day(JUNE), weather.day(JUNE)
    assert np.array_equal(a.outdoor_c, b.outdoor_c)
    assert np.array_equal(a.apparent_c, b.apparent_c)
    assert np.array_equal(a.rain_mm, b.rain_mm)


def test_neighbouring_days_agree_in_their_margins(weather):
    today, tomorrow = weather.day(JUNE), weather.day(JUNE + dt.timedelta(days=1))
    assert np.array_equal(today.outdoor_c[:, -2 * PAD :], tomorrow.outdoor_c[:, : 2 * PAD])
    # the indoor lag starts afresh a day before: what is left of its start after 21 h is exp(-21/5) of a few kelvin
    assert np.allclose(today.indoor_c[:, -2 * PAD :], tomorrow.indoor_c[:, : 2 * PAD], atol=0.25)


def test_replicates_differ_and_survive_pickling(weather):
    assert not np.array_equal(weather.day(JUNE).outdoor_c, GeneratedWeather(8).day(JUNE).outdoor_c)
    data = pickle.dumps(weather)
    assert len(data) < 500
    assert np.array_equal(pickle.loads(data).day(JUNE).outdoor_c, weather.day(JUNE).outdoor_c)


def test_shapes_and_ranges(weather):
    day = weather.day(JUNE)
    for field in (day.outdoor_c, day.indoor_c, day.apparent_c, day.humidity_pct):
        assert field.shape == (38, WIDTH)
        assert np.isfinite(field).all()
    assert day.humidity_pct.min() > 5
    assert day.humidity_pct.max() <= 100
    assert (day.rain_mm >= 0).all()


def test_heat_wave_lifts_only_its_days():
    plain, hot = GeneratedWeather(3), GeneratedWeather(3, HeatWave(JUNE, JUNE + dt.timedelta(days=1), 3.0))
    inside = slice(PAD + 28, PAD + 60)  # from sunrise to the peak only the day's own extremes count
    gain = hot.day(JUNE).outdoor_c - plain.day(JUNE).outdoor_c
    assert np.allclose(gain[:, inside], 3.0, atol=1e-5)
    before = JUNE - dt.timedelta(days=2)
    assert np.array_equal(hot.day(before).outdoor_c[:, :DAY_STEPS], plain.day(before).outdoor_c[:, :DAY_STEPS])


def test_normal_day_is_the_curve_through_the_normals():
    day = NormalWeather().day(dt.date(2026, 6, 15))
    local = day.outdoor_c[PATNA, PAD : PAD + DAY_STEPS]
    assert abs(local.max() - 36.6) < 0.5
    assert abs(local.min() - 26.8) < 0.5
    assert abs(local[88] - 28.4) < 0.7  # demand facts 7.2: near 28.4 C at 22:00 on a normal June day


@pytest.mark.parametrize(
    ("date", "rise", "fall"), [((1, 15), 6.62, 17.33), ((6, 15), 4.97, 18.70), ((11, 15), 6.13, 17.02)]
)
def test_sun_times_of_patna(date, rise, fall):
    """climate.csv: sunrise 06:37, 04:58, 06:08; sunset 17:20, 18:42, 17:01; within four minutes."""
    day = dt.date(2026, *date).timetuple().tm_yday
    lat, lon = np.array([25.6]), np.array([85.1])
    assert abs(sunrise_h(lat, lon, day)[0] - rise) < 4 / 60
    hours = np.linspace(12, 20, 8 * 60 + 1)
    set_h = hours[np.argmax(elevation_deg(lat, lon, day, hours)[0] < -0.833)]
    assert abs(set_h - fall) < 4 / 60


def test_the_east_is_dark_sixteen_minutes_before_the_west():
    hours = np.linspace(12, 20, 8 * 60 + 1)
    elevation = elevation_deg(np.array([25.5, 25.5]), np.array([84.0, 88.0]), 166, hours)
    west, east = (hours[np.argmax(row < 0)] for row in elevation)
    assert abs((west - east) * 60 - 16) <= 1


def test_darkness_is_a_ramp():
    assert np.allclose(darkness(np.array([5.0, 0.5, -1.25, -3.0, -10.0]), -3.0, 0.5), [0, 0, 0.5, 1, 1])


@pytest.mark.parametrize("date", [dt.date(2000, 1, 1), dt.date(1999, 5, 1), dt.date(2300, 1, 1)])
def test_dates_out_of_range_are_the_users_problem(weather, date):
    with pytest.raises(InputError, match="outside the generator's range"):
        weather.day(date)
