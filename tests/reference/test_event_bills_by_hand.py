"""Bills of critical-peak prices, rebates of events and the day-ahead shape, worked out by hand, exact to the paisa.

Rural shop, 2026-27: 7.79 a unit less 4.39 subsidy, 60 per kW and month, duty 6 % of the charge before subsidy, 25 paise
a unit back for a smart meter. Rural home: the first 125 units are free of everything.
"""

from datetime import date

import numpy as np
import pytest

from twin.datapack import categories
from twin.economics.arms import apply_arm, common_zones
from twin.economics.billing import OPTED_OUT, SMART, BillColumns, BillOut, bill_month, bill_out, whole_month
from twin.economics.prices import WITHIN_BLOCK, consumer_prices, consumer_state_prices
from twin.economics.rates import rate_table
from twin.economics.tariffs import load_tariff
from twin.economics.worked_bill import MonthToDate, component_paise, worked_bill
from twin.errors import ScenarioError

CODE = {row.category: row.code for row in categories()}
TARIFF = load_tariff("bihar-2026-27")
JUNE, DECEMBER = date(2026, 6, 1), date(2026, 12, 1)
EVENTS = [date(2026, 6, 10), date(2026, 6, 24)]
TOD = {"applies_to": "gross", "peak": {"hours": "17-23", "multiplier": 1.20}}
CRITICAL = {"time_of_day": TOD, "critical_peak": {"hours": "19-22", "dates": EVENTS, "multiplier": 4.0}}
REBATE = {"peak_rebate": {"hours": "19-22", "dates": EVENTS, "inr_per_kwh": 5.0}}


def bill(settings, category, kwh_by_zone, *, on=JUNE, days=30, month_days=30, flags=SMART, kw=1.0):
    """Components in rupees; the worked bill must say the same."""
    arm = apply_arm(TARIFF, settings)
    zones = common_zones([apply_arm(TARIFF), arm], 96)
    assert zones.n_zones == len(kwh_by_zone)
    columns = BillColumns(
        np.array([CODE[category]], np.uint8), np.array([kw], np.float32), np.zeros(1, np.float32),
        np.array([flags], np.uint8), np.ones(1, np.float32),
    )  # fmt: skip
    wh, out = np.array([[round(1000 * kwh) for kwh in kwh_by_zone]], np.int64), bill_out(1)
    rates = rate_table(arm, zones, on)
    bill_month(rates, columns, wh, whole_month(1, days, month_days), out)
    lines = worked_bill(arm, rates, zones, columns, MonthToDate(wh[0], days, month_days, month_days))
    assert component_paise(lines) == dict(zip(BillOut._fields, (int(part[0]) for part in out), strict=True))
    return BillOut(*(part[0] / 100 for part in out))


def day_ahead_zones(morning=0.0, day=0.0, evening=0.0, night=0.0):
    """The tariff's own windows cut the day at 9 and 17 too: night, 6 to 9, 9 to 10, 10 to 17, evening."""
    return [night, morning, 0.0, day, evening]


def test_a_critical_peak_takes_the_place_of_the_peak():
    """Zones: normal, 9 to 17 (the tariff's own), peak, event: 100 + 20 x 1.2 + 5 x 4 = 144 units at 7.79."""
    got = bill(CRITICAL, "nds1", [60, 40, 20, 5])
    assert got.energy == 1121.76
    assert got.subsidy == 548.75  # 125 at 4.39
    assert got.duty == 67.31  # 67.3056
    assert got.total == pytest.approx(1121.76 + 60 + 67.31 - 31.25 - 548.75, abs=1e-9)
    dumb = bill(CRITICAL, "nds1", [60, 40, 20, 5], flags=0)
    assert dumb.energy == 973.75  # 125 at 7.79: only for smart meters


def test_other_arms_pay_for_event_hours_as_for_any_other():
    arm = apply_arm(TARIFF, {"time_of_day": TOD})
    zones = common_zones([arm, apply_arm(TARIFF, CRITICAL)], 96)
    rates = rate_table(arm, zones, JUNE)
    assert rates.multiplier[CODE["nds1"], 2].tolist() == [10_000, 10_000, 12_000, 12_000]


def test_a_rebate_reaches_homes_within_the_free_block():
    """30 kWh in 19 to 22 on 28 usual days: 2.142 in two events; 1.5 were used: 0.642 at Rs 5 are 3.21, paid out."""
    use = [40, 20, 9, 30, 1.5]  # normal, 9 to 17, peak, its 19 to 22, events
    assert bill(REBATE, "ds1", use).total == -3.21
    assert bill(REBATE, "ds1", [40, 20, 9, 30, 2.143]).total == 0.0
    assert bill(REBATE, "ds1", use, flags=0).total == 0.0
    assert bill(REBATE, "ds1", use, flags=SMART | OPTED_OUT).total == 0.0
    assert bill(REBATE, "irrigation_rural", [0, 0, 0, 30, 0]).rebate == 0.0


def test_a_rebate_counts_the_days_so_far():
    """After 9 days no event; after 12 one, against 11 usual days: 11 kWh / 11 = 1 less 0.4 is 0.6; before, nothing."""
    assert bill(REBATE, "ds1", [10, 5, 4, 9, 0.0], days=9).rebate == 0.0
    assert bill(REBATE, "ds1", [10, 5, 4, 11, 0.4], days=12).rebate == 3.0
    assert bill(REBATE, "ds1", [10, 5, 4, 23, 0.4], days=24).rebate == pytest.approx(8.45)  # 23 x 2 / 22 = 2.090
    assert bill(REBATE, "ds1", [10, 5, 4, 23, 0.4], on=date(2026, 7, 1), days=24).rebate == 0.0  # no event in July


def test_an_event_on_the_first_day_has_no_usual_before_it():
    first = {"peak_rebate": {"hours": "19-22", "dates": [date(2026, 6, 1)], "inr_per_kwh": 5.0}}
    assert bill(first, "ds1", [3, 2, 1, 0.0, 0.0], days=1).rebate == 0.0


def test_the_day_ahead_shape_by_season():
    """December: bands 1.15, 0.75, 1.36, 0.85 over 4, 7, 6, 7 hours have the mean 23.96 / 24, so 1.1519, 0.7513, 1.3623,
    0.8514. Half of it passed through in the evening: 1.1811.
    """
    whole = {"day_ahead": {"applies_to": "gross", "pass_through": 1.0}}
    half = {"day_ahead": {"applies_to": "gross", "pass_through": 0.5}}
    for use, multiplier in [({"morning": 100}, 1.1519), ({"day": 100}, 0.7513), ({"evening": 100}, 1.3623),
                            ({"night": 100}, 0.8514)]:  # fmt: skip
        got = bill(whole, "nds1", day_ahead_zones(**use), on=DECEMBER, days=31, month_days=31)
        assert got.energy == pytest.approx(round(779 * multiplier, 2), abs=0.011)
    evening = bill(half, "nds1", day_ahead_zones(evening=100), on=DECEMBER, days=31, month_days=31)
    assert evening.energy == pytest.approx(920.08, abs=0.006)
    june = bill(whole, "nds1", day_ahead_zones(evening=100))
    assert june.energy != evening.energy
    flat = bill(whole, "nds1", [70, 30, 10, 70, 60], on=DECEMBER, days=31, month_days=31)  # a flat load, 10 kWh an hour
    assert flat.energy == pytest.approx(240 * 7.79, rel=1e-4)


def test_prices_of_events_reach_within_the_free_block_only_as_a_rebate():
    for settings, expected in [(REBATE, 5.0), (CRITICAL, 0.0)]:
        arm = apply_arm(TARIFF, settings)
        zones = common_zones([arm], 96)
        rates = rate_table(arm, zones, JUNE)
        columns = BillColumns(
            np.array([CODE["ds1"]], np.uint8), np.ones(1, np.float32), np.zeros(1, np.float32),
            np.array([SMART], np.uint8), np.ones(1, np.float32),
        )  # fmt: skip
        event = next(zone for zone in range(zones.n_zones) if zones.under[zone])
        states = consumer_state_prices(rates, columns)
        assert states[WITHIN_BLOCK, 0, event] == expected
        assert states[WITHIN_BLOCK, 0].sum() == expected
        seen, state = np.empty((1, zones.n_zones)), np.empty(1, np.uint8)
        consumer_prices(rates, columns, np.full((1, zones.n_zones), 10_000, np.int64), seen, state)
        assert seen[0, event] == expected


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"critical_peak": CRITICAL["critical_peak"]}, "critical_peak needs time_of_day or day_ahead"),
        ({"time_of_day": TOD, "day_ahead": {"applies_to": "gross", "pass_through": 1.0}}, "cannot stand in the same"),
        ({"peak_rebate": {**REBATE["peak_rebate"], "dates": [JUNE, JUNE]}}, "names a date twice"),
        ({"peak_rebate": {**REBATE["peak_rebate"], "hours": "19-19"}}, "is empty"),
        ({"day_ahead": {"applies_to": "gross", "pass_through": 1.5}}, "less than or equal to 1"),
    ],
)
def test_settings_that_cannot_be(settings, words):
    with pytest.raises(ScenarioError, match=words):
        apply_arm(TARIFF, settings)
