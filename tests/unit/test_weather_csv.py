import datetime as dt

import numpy as np
import pytest

from twin.demand.climate import places
from twin.demand.weather import DAY_STEPS, PAD, saturation_hpa
from twin.demand.weather_csv import CsvWeather
from twin.errors import InputError

START = dt.datetime(2026, 6, 1)
HEADER = "district,timestamp,t_c,rh_pct,rain_mm\n"


def rows(district, hours=48, step=1):
    out = ""
    for h in range(0, hours, step):
        time = START + dt.timedelta(hours=h)
        out += f"{district},{time.isoformat()},{25 + 10 * np.sin(np.pi * (h % 24) / 24):.3f},60,{1 if h == 30 else 0}\n"
    return out


def write(tmp_path, text):
    path = tmp_path / "weather.csv"
    path.write_text(text)
    return path


def test_values_come_back(tmp_path):
    weather = CsvWeather.read(write(tmp_path, HEADER + rows("all")))
    weather.check_covers(dt.date(2026, 6, 1), 2)
    day = weather.day(dt.date(2026, 6, 2))
    noon = PAD + DAY_STEPS // 2
    assert np.allclose(day.outdoor_c[:, noon], 35.0)
    assert np.allclose(day.humidity_pct[:, noon], 60.0)
    assert np.allclose(day.rain_mm, 1.0)
    indoor = day.indoor_c[0, noon]
    assert np.isclose(day.apparent_c[0, noon], indoor + 0.33 * 0.6 * saturation_hpa(np.array([35.0]))[0] - 4)
    assert np.isnan(day.storm_h).all()


def test_named_districts(tmp_path):
    text = HEADER + "".join(rows(name, 48, 3) for name in places().name)
    assert CsvWeather.read(write(tmp_path, text)).day(dt.date(2026, 6, 1)).outdoor_c.shape[0] == 38


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("district,timestamp,t_c,rain_mm\n", ":1", "column missing"),
        (HEADER + "Atlantis,2026-06-01T00:00,30,50,0\n", ":2", "no such district"),
        (HEADER + "all,yesterday,30,50,0\n", ":2", "no time"),
        (HEADER + "all,2026-06-01T00:00+05:30,30,50,0\n", ":2", "has a time zone"),
        (HEADER + "all,2026-06-01T00:00,hot,50,0\n", ":2", "no number"),
        (HEADER + "all,2026-06-01T00:00,,50,0\n", ":2", "no number"),
        (HEADER + "all,2026-06-01T00:00,80,50,0\n", ":2", "impossible"),
        (HEADER + "all,2026-06-01T00:00,30,nan,0\n", ":2", "impossible"),
        (HEADER + "all,2026-06-01T00:00,30,50,0\nall,2026-06-01T00:00,30,50,0\n", ":3", "again"),
        (HEADER, "", "no rows"),
        (HEADER + rows("Patna"), "", "no rows for"),
        (HEADER + rows("all") + rows("Patna"), "", "beside named districts"),
        (HEADER + rows("all", 48, 6), "", "gap from"),
    ],
)
def test_bad_files_say_where_and_what(tmp_path, text, where, what):
    with pytest.raises(InputError) as caught:
        CsvWeather.read(write(tmp_path, text))
    problem = caught.value.problems[0]
    assert what in problem.what
    assert problem.where.endswith(f"weather.csv{where}")
    assert problem.fix


def test_all_problems_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        CsvWeather.read(write(tmp_path, HEADER + "X,never,hot,wet,no\n"))
    assert len(caught.value.problems) == 5


def test_missing_file_and_missing_days(tmp_path):
    with pytest.raises(InputError, match="no such weather file"):
        CsvWeather.read(tmp_path / "none.csv")
    weather = CsvWeather.read(write(tmp_path, HEADER + rows("all")))
    with pytest.raises(InputError, match="not covered"):
        weather.day(dt.date(2026, 6, 3))
    with pytest.raises(InputError, match="not covered"):
        weather.check_covers(dt.date(2026, 6, 1), 3)
