import datetime as dt

import numpy as np
import pytest

from twin.datapack import category_kinds, kinds, read_yaml
from twin.demand.archetypes import N_CHANNELS, catalogue, stock
from twin.demand.calendar import (
    FESTIVAL,
    HOLIDAY,
    SATURDAY,
    SUNDAY,
    WORKING,
    day_type,
    event_factor,
    group_factor,
    is_holiday,
)
from twin.demand.columns import DemandColumns, draw_columns, draw_columns_and_zip, has_ac
from twin.demand.draw import day_tables, draw_tile, mean_tile, padded
from twin.demand.panel import kind_counts, kind_mean_kw, panel_columns, typical_days
from twin.demand.signals import roster
from twin.demand.weather import DAY_STEPS, PAD, GeneratedWeather, NormalWeather

N = 31 * 20
JUNE = dt.date(2026, 6, 10)


@pytest.fixture(scope="module")
def weather():
    return GeneratedWeather(5)


@pytest.fixture(scope="module")
def columns():
    kind = (np.arange(N) % 31).astype(np.uint8)
    return draw_columns(5, np.arange(N), kind, (np.arange(N) % 38).astype(np.int16))


def tile(columns, day, function=draw_tile, start=0, stop=None):
    stop = len(columns.key) if stop is None else stop
    kw = np.full((stop - start, padded(day.steps)), np.nan, np.float32)
    function(columns, start, stop, day, kw)
    return kw


def test_columns_are_small(columns):
    assert sum(field.nbytes for field in columns) <= 48 * N


def test_every_kind_has_a_program_and_draws_power(columns, weather):
    kw = tile(columns, day_tables(1, weather, dt.date(2026, 1, 14)), mean_tile).mean(axis=1)
    by_kind = np.bincount(columns.kind, weights=kw)
    assert (by_kind > 0).all()
    assert len(catalogue().program_of_kind) == len(kinds())


def test_traits_depend_on_seed_id_and_kind_alone(columns):
    some = np.array([500, 3, 77])
    again = draw_columns(5, some, columns.kind[some], columns.district[some])
    for field, whole in zip(again, columns, strict=True):
        assert np.array_equal(field, whole[some])
    other = draw_columns(6, some, columns.kind[some], columns.district[some])
    assert not np.array_equal(other.power, again.power)


def test_bits_do_not_depend_on_range_order_or_districts(columns, weather):
    """Demand facts 8.6, test 23."""
    whole = tile(columns, day_tables(9, weather, JUNE))
    assert np.array_equal(tile(columns, day_tables(9, weather, JUNE), start=100, stop=163), whole[100:163])
    order = np.random.default_rng(1).permutation(N)
    shuffled = DemandColumns(*(field[order] for field in columns))
    assert np.array_equal(tile(shuffled, day_tables(9, weather, JUNE)), whole[order])
    few = columns.district == 4
    part = DemandColumns(*(field[few] for field in columns))
    alone = day_tables(9, GeneratedWeather(5), JUNE, districts=np.array([4]))
    assert np.array_equal(tile(part, alone), whole[few])


def test_replicates_and_days_differ(columns, weather):
    day = tile(columns, day_tables(9, weather, JUNE))
    assert not np.array_equal(day, tile(columns, day_tables(10, weather, JUNE)))
    assert not np.array_equal(day, tile(columns, day_tables(9, weather, JUNE + dt.timedelta(days=1))))


@pytest.mark.parametrize("function", [draw_tile, mean_tile])
@pytest.mark.parametrize("steps", [48, 24])
def test_longer_steps_are_means_of_quarter_hours(columns, weather, function, steps):
    fine = tile(columns, day_tables(9, weather, JUNE), function)
    coarse = tile(columns, day_tables(9, weather, JUNE, steps), function)
    assert coarse.shape[1] % 16 == 0
    assert (coarse[:, steps:] == 0).all()
    expected = fine[:, :DAY_STEPS].reshape(N, steps, -1).mean(axis=2)
    assert np.allclose(coarse[:, :steps], expected, rtol=1e-5, atol=1e-7)


def test_other_steps_are_refused(weather):
    with pytest.raises(ValueError, match="96, 48 or 24"):
        day_tables(1, weather, JUNE, 95)


def test_zip_sums_to_one_and_follows_power_factor():
    kind = np.repeat(np.arange(31), 50).astype(np.uint8)
    ids = np.arange(len(kind))
    columns, zips = draw_columns_and_zip(3, ids, kind, np.zeros(len(kind), np.int16))
    assert zips.dtype == np.float32
    assert np.allclose(zips[:, :3].sum(axis=1), 1.0, atol=1e-5)
    pump = columns.kind == next(k.kind for k in kinds() if k.name == "farm_pump")
    pf = 1 / np.sqrt(1 + zips[pump, 3:].sum(axis=1) ** 2)
    assert np.allclose(pf, 0.80, atol=0.001)


def test_farm_pumps_of_a_feeder_share_their_roster():
    n = 300
    kind = np.full(n, 21, np.uint8)
    feeder = np.arange(n) // 10
    columns = draw_columns(3, np.arange(n), kind, np.zeros(n, np.int16), feeder)
    programs = columns.program.reshape(-1, 10)
    assert (programs == programs[:, :1]).all()
    share = np.bincount(programs[:, 0] - catalogue().program_of_kind[21], minlength=3) / 30
    assert (np.abs(share - [0.40, 0.30, 0.30]) < 4 * np.sqrt(0.24 / 30)).all()


def test_rosters_give_eight_hours_and_swap():
    for group in "ABC":
        assert roster(group, JUNE)[PAD : PAD + DAY_STEPS].sum() == 32
    later = JUNE + dt.timedelta(days=15)
    assert np.array_equal(roster("A", JUNE), roster("B", later))
    assert np.array_equal(roster("C", JUNE), roster("C", later))


def test_farm_pumps_run_only_within_their_roster(weather):
    n = 500
    columns = draw_columns(3, np.arange(n), np.full(n, 21, np.uint8), np.zeros(n, np.int16))
    kw = tile(columns, day_tables(2, weather, JUNE))
    group = columns.program - catalogue().program_of_kind[21]
    for g, name in enumerate("ABC"):
        outside = roster(name, JUNE)[PAD : PAD + DAY_STEPS] == 0
        assert (kw[group == g][:, :DAY_STEPS][:, outside] == 0).all()


def test_air_conditioners_belong_to_homes_and_grow_with_class():
    kind = np.repeat(np.arange(31), 400).astype(np.uint8)
    columns = draw_columns(3, np.arange(len(kind)), kind, np.zeros(len(kind), np.int16))
    share = has_ac(columns).reshape(31, 400).mean(axis=1)
    assert (share[10:] == 0).all()
    assert share[0] < 0.02
    assert 0.45 < share[9] < 0.68  # 26 % fixed speed and 42 % inverter, independent: 57 %


def test_street_lights_burn_by_night_only():
    columns = draw_columns(3, np.arange(50), np.full(50, 24, np.uint8), np.full(50, 27, np.int16))
    kw = tile(columns, day_tables(2, NormalWeather(), dt.date(2026, 1, 14)), mean_tile).sum(axis=0)
    assert kw[48] < 0.15 * kw[0]
    on_h = (kw[:DAY_STEPS] > 0.5 * kw[0]).sum() / 4
    assert abs(on_h - 12.5) < 0.3  # civil dusk to dawn in Patna, January (climate.csv)


def test_day_types():
    assert day_type(dt.date(2026, 6, 10)) == WORKING
    assert day_type(dt.date(2026, 6, 13)) == SATURDAY
    assert day_type(dt.date(2026, 6, 14)) == SUNDAY
    assert day_type(dt.date(2026, 8, 15)) == HOLIDAY
    assert day_type(dt.date(2026, 11, 8)) == FESTIVAL
    assert is_holiday(dt.date(2026, 6, 14))
    assert not is_holiday(dt.date(2026, 6, 13))
    assert group_factor("office", dt.date(2026, 6, 14)) < 0.4
    hours = np.array([12.0, 19.0])
    assert np.array_equal(event_factor("light", dt.date(2026, 11, 8), hours) > 1, [False, True])
    assert (event_factor("light", JUNE, hours) == 1).all()


def test_no_weekday_effect_in_homes():
    """Demand facts 8.6, test 11: under 3 %; by design homes know no weekday."""
    sunday, monday = (kind_mean_kw(1, dt.date(2026, 6, d), NormalWeather(), 32)[:10].sum() for d in (14, 15))
    assert abs(sunday / monday - 1) < 0.03


def test_category_mixes_close_and_counts_match():
    totals = {}
    for row in category_kinds():
        totals[row.category] = totals.get(row.category, 0.0) + row.share
    assert all(abs(total - 1) < 1e-9 for total in totals.values())
    assert abs(kind_counts().sum() / 21.2e6 - 1) < 0.01


def test_typical_days_are_wednesdays_that_make_a_year():
    days = typical_days(2026)
    assert [day.month for day, _ in days] == list(range(1, 13))
    assert all(day.weekday() == 2 for day, _ in days)
    assert sum(n for _, n in days) == 365


def test_panel_lists_kinds_in_order():
    columns = panel_columns(1, 4)
    assert np.array_equal(columns.kind, np.repeat(np.arange(31), 4))


def test_the_pack_names_its_sources():
    for name in (
        "demand/weather",
        "demand/signals",
        "demand/homes",
        "demand/archetypes",
        "demand/panel",
        "calendar",
        "priors",
    ):
        assert "assumed" in read_yaml(name)["source"]


def test_all_archetypes_fit_the_channels():
    assert stock().share.shape[1] == N_CHANNELS
    assert (catalogue().programs.hold >= 0).all()
