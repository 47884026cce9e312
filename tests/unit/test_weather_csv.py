import datetime as dt

import numpy as np
import pytest

from tests.runs import TINY
from twin.demand.climate import places
from twin.demand.weather import DAY_STEPS, PAD, HeatWave, saturation_hpa
from twin.demand.weather_csv import CsvWeather
from twin.errors import InputError
from twin.runner import RunOptions, run_scenario
from twin.scenario import load_scenario
from twin.simulation.replicate import check_weather

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
    weather.check_covers(dt.date(2026, 6, 1), dt.date(2026, 6, 2))
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
        weather.check_covers(dt.date(2026, 6, 1), dt.date(2026, 6, 3))
    with pytest.raises(InputError, match="2026-05-31 is not covered"):
        weather.check_covers(dt.date(2026, 5, 31), dt.date(2026, 6, 2))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", HEADER.encode() + b"all,2026-06-01T00:00,\xb0,1,1\n"])
def test_a_file_that_is_no_text_is_refused(tmp_path, content):
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a CSV file of UTF-8 text"):
        CsvWeather.read(path)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes(b"\xef\xbb\xbf" + (HEADER + rows("all")).encode())
    CsvWeather.read(path).check_covers(dt.date(2026, 6, 1), dt.date(2026, 6, 2))


def test_a_heat_wave_warms_its_days_and_leaves_the_vapour(tmp_path):
    path = write(tmp_path, HEADER + rows("all"))
    second = dt.date(2026, 6, 2)
    plain = CsvWeather.read(path).day(second)
    warm = CsvWeather.read(path, HeatWave(second, second, 3.0)).day(second)
    today = slice(PAD, PAD + DAY_STEPS)
    assert np.allclose(warm.outdoor_c[:, today] - plain.outdoor_c[:, today], 3.0)
    assert np.allclose(warm.outdoor_c[:, :PAD], plain.outdoor_c[:, :PAD])

    def vapour(day):
        return day.humidity_pct[:, today] / 100 * saturation_hpa(day.outdoor_c[:, today])

    assert np.allclose(vapour(warm), vapour(plain))


def test_a_run_needs_its_days_and_the_month_before_them(tmp_path):
    """Meters start from the month to date, which is drawn in the run's own weather."""
    write(tmp_path, HEADER + rows("all", 24 * 9))
    text = TINY.read_text().replace("bihar-normal", "weather.csv")
    path = tmp_path / "own.yaml"
    path.write_text(text)
    check_weather(load_scenario(path))
    with pytest.raises(InputError, match="2026-06-10 is not covered"):
        check_weather(load_scenario(path, ["time.days=2"]))
    with pytest.raises(InputError, match="2026-05-01 is not covered"):
        check_weather(load_scenario(path, ["time.start=2026-05-31"]))
    out = tmp_path / "out"
    with pytest.raises(InputError, match="not covered"):
        run_scenario(load_scenario(path, ["time.days=2"]), RunOptions(out=str(out), backend="local"))
    assert not out.exists()
