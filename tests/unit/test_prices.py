"""What one more kWh costs."""

import csv
from importlib.resources import files

import numpy as np
import pytest

from tests.unit.test_billing import ARM, CODE, JUNE, RATES, TARIFF, TOD, ZONES, consumers
from twin.economics.arms import apply_arm
from twin.economics.billing import OPTED_OUT, SMART, bill_month, bill_out, whole_month
from twin.economics.prices import (
    ABOVE_BLOCK,
    OVER_LIMIT,
    WITHIN_BLOCK,
    PriceRow,
    above_block_prices,
    consumer_prices,
    consumer_state_prices,
    count_prices,
    marginal_prices,
    plans,
    price_counts,
    price_rows,
    state_prices,
)
from twin.economics.rates import PLAN_ARM, PLAN_BASE, PLAN_FLAT, rate_table

DS1 = CODE["ds1"]


def prices_at(rates, columns, kwh):
    wh = (np.asarray(kwh, float) * 1000).astype(np.int64)
    seen, state = np.empty(wh.shape), np.empty(len(wh), np.uint8)
    consumer_prices(rates, columns, wh, seen, state)
    return seen, state.tolist()


def test_a_rural_home_sees_097_against_393_or_196_against_294():
    gross = marginal_prices(RATES)
    assert gross.seen[DS1].tolist() == pytest.approx([2.45, 0.966, 3.934])
    assert gross.gross[DS1].tolist() == pytest.approx([7.42, 5.936, 8.904])
    assert gross.subsidy[DS1].tolist() == pytest.approx([4.97] * 3)
    net = marginal_prices(
        rate_table(apply_arm(TARIFF, {"time_of_day": {**TOD, "applies_to": "after_subsidy"}}), ZONES, JUNE)
    )
    assert net.seen[DS1].tolist() == pytest.approx([2.45, 1.96, 2.94])
    assert net.subsidy[DS1].tolist() == pytest.approx([4.97, 3.976, 5.964])


def test_within_the_free_block_the_price_is_exactly_zero_in_every_period():
    seen, state = prices_at(RATES, consumers(["ds1", "ds1"]), [[40, 40, 40], [0, 0, 0]])
    assert (seen == 0.0).all()
    assert state == [WITHIN_BLOCK, WITHIN_BLOCK]


def test_free_units_dilute_the_spread_above_the_block():
    """250 kWh, 125 free: half of each period's spread around the mean price is left."""
    seen, state = prices_at(RATES, consumers(["ds1"]), [[100, 75, 75]])
    mean = (100 * 2.45 + 75 * 0.966 + 75 * 3.934) / 250
    diluted = [mean + 0.5 * (price - mean) for price in (2.45, 0.966, 3.934)]
    assert seen[0] == pytest.approx(diluted, abs=0.01)  # one whole kWh more, not the limit of none
    assert state == [ABOVE_BLOCK]


def test_a_limit_in_the_peak_bites_within_the_block():
    limited = rate_table(
        apply_arm(TARIFF, {"time_of_day": TOD, "free_units": {"per_period": {"peak": 25}}}), ZONES, JUNE
    )
    seen, state = prices_at(limited, consumers(["ds1"] * 3), [[30, 30, 24], [30, 30, 40], [100, 100, 60]])
    assert state == [WITHIN_BLOCK, OVER_LIMIT, ABOVE_BLOCK]
    assert seen[0].tolist() == [0, 0, 0]
    assert seen[1].tolist() == pytest.approx([0, 0, 3.934])
    assert seen[2, 2] == pytest.approx(3.934, abs=0.01)
    # 140 kWh, 47 of them in the peak: 93 + 25 may be free, so that the other hours still cost nothing
    seen, state = prices_at(limited, consumers(["ds1"]), [[46, 47, 47]])
    assert (seen[0].tolist(), state) == (pytest.approx([0, 0, 3.934]), [OVER_LIMIT])
    assert state_prices(limited)[:, DS1].tolist() == [
        pytest.approx([0, 0, 0]), pytest.approx([0, 0, 3.934]), pytest.approx([2.45, 0.966, 3.934]),
    ]  # fmt: skip


def test_a_rebate_gives_the_free_block_a_price():
    paid = rate_table(apply_arm(TARIFF, {"free_units": {"rebate": {"inr_per_kwh": 1.5}}}), ZONES, JUNE)
    seen, state = prices_at(paid, consumers(["ds1", "ds1"], flags=[SMART, 0]), [[30, 30, 24], [30, 30, 24]])
    assert seen.tolist() == [[1.5] * 3, [0.0] * 3]
    assert state == [WITHIN_BLOCK, WITHIN_BLOCK]
    assert state_prices(paid, PLAN_FLAT)[:, DS1, 0].tolist() == pytest.approx([1.5, 1.5, 2.45])


def test_state_prices_of_consumers_know_who_has_the_shape():
    limited = rate_table(
        apply_arm(TARIFF, {"time_of_day": TOD, "free_units": {"per_period": {"peak": 25}}}), ZONES, JUNE
    )
    by_state = consumer_state_prices(limited, consumers(["ds1", "ds1"], flags=[SMART, 0]))
    assert by_state[OVER_LIMIT].tolist() == [pytest.approx([0, 0, 3.934]), [0, 0, 0]]
    assert by_state[ABOVE_BLOCK].tolist() == [pytest.approx([2.45, 0.966, 3.934]), pytest.approx([2.45] * 3)]
    paid = rate_table(apply_arm(TARIFF, {"free_units": {"rebate": {"inr_per_kwh": 1.5}}}), ZONES, JUNE)
    by_state = consumer_state_prices(paid, consumers(["ds1"] * 3, flags=[SMART, 0, SMART | OPTED_OUT]))
    assert by_state[WITHIN_BLOCK].tolist() == [[1.5] * 3, [0] * 3, [0] * 3]


@pytest.mark.parametrize("shape", [None, {"weight": "time_of_day"}, {"per_period": {"peak": 25}}])
def test_prices_if_the_month_passes_the_block(shape):
    settings = {"time_of_day": TOD} | ({"free_units": shape} if shape else {})
    rates = rate_table(apply_arm(TARIFF, settings), ZONES, JUNE)
    columns = consumers(["ds1"] * 3)
    wh = np.array([[40_000, 30_000, 30_000], [0, 0, 0], [100_000, 75_000, 75_000]])
    seen = above_block_prices(rates, columns, wh, 0.12)
    assert seen[2].tolist() == prices_at(rates, columns, wh / 1000)[0][2].tolist()  # already above
    assert (seen > 0).all()
    assert (seen[:, 2] > seen[:, 0]).all()
    assert (seen[:, 0] > seen[:, 1]).all()
    if shape is None:  # 140 kWh, 125 free: 15/140 of the spread
        assert seen[0, 2] - seen[0, 1] == pytest.approx(15 / 140 * (3.934 - 0.966), rel=0.1)


def test_prices_per_kwh_used_where_kvah_are_billed():
    seen, state = prices_at(RATES, consumers(["lt_industry"], kw=20, pf=0.8), [[1000, 1000, 1000]])
    assert seen[0] == pytest.approx(np.array([7.79, 6.232, 9.348]) / 0.8 - 1.34 / 0.8, abs=1e-6)
    assert state == [ABOVE_BLOCK]


@pytest.mark.parametrize("shape", [None, {"weight": "time_of_day"}, {"per_period": {"peak": 25}}])
def test_prices_are_what_bills_charge(shape):
    """Without duty, rebate and fixed charge, one more kWh costs the difference of two bills."""
    settings = {"time_of_day": TOD} | ({"free_units": shape} if shape else {})
    rates = rate_table(apply_arm(TARIFF, settings), ZONES, JUNE)
    rng = np.random.default_rng(3)
    columns = consumers(["kutir_jyoti", "ds1", "ds2", "nds1"] * 50)
    wh = rng.integers(0, 110_000, (200, 3))
    seen, state = np.empty((200, 3)), np.empty(200, np.uint8)
    consumer_prices(rates, columns, wh, seen, state)
    before, after = bill_out(200), bill_out(200)
    bill_month(rates, columns, wh, whole_month(200, 30, 30), before)
    for zone in range(3):
        more = wh.copy()
        more[:, zone] += 1000
        bill_month(rates, columns, more, whole_month(200, 30, 30), after)
        change = (after.energy - after.subsidy) - (before.energy - before.subsidy)
        assert np.abs(change / 100 - seen[:, zone]).max() < 0.021  # four roundings to the paisa


def test_plans_of_consumers():
    columns = consumers(["ds1", "ds1", "irrigation_rural", "hts1"], flags=[SMART, 0, SMART, SMART])
    out = np.empty(4, np.uint8)
    plans(RATES, columns, out)
    assert out.tolist() == [PLAN_ARM, PLAN_FLAT, PLAN_FLAT, PLAN_ARM]
    plans(rate_table(apply_arm(TARIFF), ZONES, JUNE), columns, out)
    assert out.tolist() == [PLAN_FLAT, PLAN_FLAT, PLAN_FLAT, PLAN_BASE]


def test_rows_of_the_prices_table():
    columns = consumers(["ds1"] * 4 + ["irrigation_rural"], flags=[SMART, SMART, SMART, 0, 0])
    kwh = np.array([[30, 30, 24], [30, 30, 24], [100, 100, 60], [10, 10, 10], [100, 100, 0]])
    income = np.array([1, 1, 1, 1, 0])
    alike = np.repeat(np.arange(5), [10, 20, 30, 40, 5])
    both, halves = price_counts(16, 3), price_counts(16, 3)
    wh = kwh * 1000

    def count(rows, group, into):
        piece = type(columns)(*(column[rows] for column in columns))
        count_prices(RATES, piece, income[rows], wh[rows], np.broadcast_to(group, len(rows)), into)

    count(alike, 0, [both])
    for part in (alike[:30], alike[30:]):
        count(part, 0, [halves])
    assert all((a == b).all() for a, b in zip(both, halves, strict=True))
    groups = [price_counts(16, 3), price_counts(16, 3)]
    count(np.arange(5), np.array([0, 1, 0, 1, 1]), groups)
    alone = price_counts(16, 3)
    count(np.array([0, 2]), 0, [alone])
    assert all((a == b).all() for a, b in zip(groups[0], alone, strict=True))
    assert groups[1].weight.sum() == 3.0
    rows = price_rows("tod", ARM, RATES, ZONES, both)
    homes = [row for row in rows if row.category == "ds1"]
    assert [(row.period, row.start, row.end) for row in homes] == [
        ("solar", "09:00", "17:00"), ("peak", "17:00", "23:00"), ("normal", "23:00", "09:00"),
    ]  # fmt: skip
    assert [row.share_at_zero for row in homes] == [0.7, 0.7, 0.7]
    assert [row.seen_inr_per_kwh for row in homes] == pytest.approx([0.966, 3.934, 2.45])
    farm = [row for row in rows if row.category == "irrigation_rural"]
    assert [(row.start, row.end, row.share_at_zero) for row in farm] == [("00:00", "24:00", 0.0)]
    assert farm[0].seen_inr_per_kwh == pytest.approx(0.55)


def test_rows_have_the_columns_of_the_table():
    with files("twin").joinpath("data/tables.csv").open() as handle:
        columns = [row["column"] for row in csv.DictReader(handle) if row["table"] == "prices"]
    assert list(PriceRow._fields) == columns
