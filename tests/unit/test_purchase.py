"""What the energy taken in costs."""

from datetime import date

import numpy as np
import pytest

from twin.economics.purchase import (
    Purchase,
    assumed_purchase_numbers,
    band_shape,
    exchange_price,
    load_purchase,
    purchase_inr,
)

PURCHASE = load_purchase()
SUMMER, MONSOON, WINTER = date(2026, 6, 8), date(2026, 8, 8), date(2026, 1, 8)


def test_found_days_keep_their_ratios():
    """3 July 2024: 2.97, 2.20, 7.02, 4.65 with an hour-weighted mean of 101.95 / 24 = 4.248."""
    shape = band_shape(PURCHASE.exchange, PURCHASE.exchange.days["2024-07-03"])
    assert shape * 101.95 / 24 == pytest.approx([2.97, 2.20, 7.02, 4.65])


def test_a_missing_band_follows_from_the_days_mean():
    """3 May 2024: 5.76 * 24 - 4 * 3.11 - 6 * 8.08 - 7 * 7.63 = 23.91 over seven hours."""
    shape = band_shape(PURCHASE.exchange, PURCHASE.exchange.days["2024-05-03"])
    assert shape[1] * 5.76 == pytest.approx(23.91 / 7)


@pytest.mark.parametrize("on", [SUMMER, MONSOON, WINTER])
def test_day_mean_is_the_seasons_level(on):
    season = next(part for part in PURCHASE.exchange.seasons.values() if on.month in part.months)
    hourly = exchange_price(PURCHASE, on, 24)
    assert hourly.mean() == pytest.approx(3.83 * season.level.value)
    assert exchange_price(PURCHASE, on, 96)[::4].tolist() == hourly.tolist()
    assert hourly[19] > 1.4 * hourly[12]


def test_levels_average_to_one_over_the_year():
    levels = [part.level.value * len(part.months) for part in PURCHASE.exchange.seasons.values()]
    assert sum(levels) / 12 == pytest.approx(1.0, abs=1e-9)


def test_contracted_energy_costs_its_average():
    flat = np.full(96, PURCHASE.contracted_mw)
    per_kwh = purchase_inr(flat, SUMMER, PURCHASE).sum() / (PURCHASE.contracted_mw * 1000 * 24)
    assert per_kwh == pytest.approx(5.44)


def test_a_shifted_mwh_is_priced_at_the_exchange_of_its_hours():
    """10 MWh from the evening to noon save ten times the difference of the two exchange prices, not zero."""
    base = np.full(24, 6000.0)
    arm = base.copy()
    arm[20] -= 10
    arm[12] += 10
    price = exchange_price(PURCHASE, SUMMER, 24)
    expected = 10_000 * (price[12] - price[20])
    change = purchase_inr(arm, SUMMER, PURCHASE).sum() - purchase_inr(base, SUMMER, PURCHASE).sum()
    assert change == pytest.approx(expected)
    assert expected < -20_000


def test_surplus_is_sold_at_the_exchange():
    low = purchase_inr(np.full(24, 4000.0), SUMMER, PURCHASE)
    price = exchange_price(PURCHASE, SUMMER, 24)
    spare = PURCHASE.contracted_mw - 4000
    assert low == pytest.approx(1000 * (PURCHASE.contracted_mw * 5.44 - spare * price))


def test_other_networks_bring_their_own_contracted_power():
    assert purchase_inr(np.array([[0.1] * 24]), SUMMER, PURCHASE, contracted_mw=0.1).sum() == pytest.approx(
        0.1 * 24 * 5440
    )


def test_assumed_numbers_are_listed():
    listed = assumed_purchase_numbers(PURCHASE)
    assert {"purchase.capacity.inr_per_kw_year", "purchase.contracted.share_of_mean"} <= {row.name for row in listed}
    assert "found" not in {row.confidence for row in listed}


def test_gaps_in_the_data_are_refused():
    data = PURCHASE.model_dump()
    data["exchange"]["seasons"]["winter"]["months"] = (11, 12, 1)
    with pytest.raises(ValueError, match="every month once"):
        Purchase.model_validate(data)
    data = PURCHASE.model_dump()
    data["exchange"]["days"]["2024-05-03"]["morning"] = None
    with pytest.raises(ValueError, match="only one band"):
        Purchase.model_validate(data)
