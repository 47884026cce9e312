"""Bills worked out by hand from the tariff's words, exact to the paisa.

Example, rural home of 1 kW in June 2026 with 126 kWh and an ordinary meter: 125 kWh are free; one kWh at 7.42 less 4.97
subsidy is 2.45; 6 % duty on 7.42 is 0.4452, that is 0.45; the fixed charge of 1 kW is 40; in all 42.90.
"""

from datetime import date
from fractions import Fraction

import numpy as np
import pytest

from tests.reference.bill_oracle import bill as second_bill
from tests.tariff_cases import with_surcharge
from twin.datapack import categories
from twin.economics.arms import apply_arm, common_zones
from twin.economics.billing import SMART, BillColumns, BillOut, bill_month, bill_out, whole_month
from twin.economics.rates import rate_table
from twin.economics.tariffs import load_tariff, tariff_names

CODE = {row.category: row.code for row in categories()}
TOD = {"solar": {"hours": "09-17", "multiplier": 0.80}, "peak": {"hours": "17-23", "multiplier": 1.20}}
GROSS = {"time_of_day": {"applies_to": "gross", **TOD}}
NET = {"time_of_day": {"applies_to": "after_subsidy", **TOD}}
NORMAL, SOLAR, PEAK = 0, 1, 2  # zones by first appearance from midnight
DATES = {"bihar-2024-25": date(2024, 6, 1), "bihar-2025-26": date(2025, 8, 1), "bihar-2026-27": date(2026, 6, 1)}


def one_bill(
    tariff, on, category, kwh_by_zone, *, kw=1.0, kva=0.0, smart=False, pf=1.0, arm=None, days=30, month_days=30
):
    """All components in rupees. ``tariff``: a name, or a tariff."""
    said = load_tariff(tariff) if isinstance(tariff, str) else tariff
    under = apply_arm(said, arm)
    zones = common_zones([under, apply_arm(said, GROSS)], 96)
    if tariff == "bihar-2024-25":  # its own hours cut the day further; only flat bills are asked for here
        kwh_by_zone = [*kwh_by_zone, 0]
    columns = BillColumns(
        np.array([CODE[category]], np.uint8),
        np.array([kw], np.float32),
        np.array([kva], np.float32),
        np.array([SMART if smart else 0], np.uint8),
        np.array([pf], np.float32),
    )
    out = bill_out(1)
    wh = np.array([[round(1000 * kwh) for kwh in kwh_by_zone]], np.int64)
    bill_month(rate_table(under, zones, on), columns, wh, whole_month(1, days, month_days), out)
    return BillOut(*(part[0] / 100 for part in out))


@pytest.mark.parametrize(
    ("tariff", "on", "category", "kw", "smart", "kwh", "total"),
    [
        # 2024-25: no free units. Below-poverty-line homes: 1.97 to 50, 2.45 above, 20 a month; duty 6 % of 7.42
        ("bihar-2024-25", (2024, 6), "kutir_jyoti", 1, False, 0, 20.00),
        ("bihar-2024-25", (2024, 6), "kutir_jyoti", 1, False, 50, 98.50 + 20 + 22.26),
        ("bihar-2024-25", (2024, 6), "kutir_jyoti", 1, False, 51, 98.50 + 2.45 + 20 + 22.71),  # duty 22.7052
        ("bihar-2024-25", (2024, 6), "kutir_jyoti", 3, False, 100, 221.00 + 20 + 44.52),  # per connection, not kW
        # rural: 2.45 to 50; above 7.96 - 5.06 = 2.90; 40 per kW
        ("bihar-2024-25", (2024, 6), "ds1", 1, False, 50, 122.50 + 40 + 22.26),
        ("bihar-2024-25", (2024, 6), "ds1", 1, False, 51, 122.50 + 2.90 + 40 + 22.74),  # duty 22.7376
        ("bihar-2024-25", (2024, 6), "ds1", 1, False, 125, 122.50 + 217.50 + 40 + 58.08),
        # urban: 4.12 to 100; 5.52 above; 80 per kW; smart: 3 % of the energy charge before subsidy
        ("bihar-2024-25", (2024, 6), "ds2", 2, False, 100, 412.00 + 160 + 44.52),
        ("bihar-2024-25", (2024, 6), "ds2", 2, False, 101, 417.52 + 160 + 45.06),
        ("bihar-2024-25", (2024, 6), "ds2", 2, False, 200, 964.00 + 160 + 98.22),
        ("bihar-2024-25", (2024, 6), "ds2", 2, True, 200, 964.00 + 160 + 98.22 - 49.11),
        # 2025-26 before August: no free units; one rural slab; smart: 25 paise per unit
        ("bihar-2025-26", (2025, 7), "ds1", 1, False, 0, 40.00),
        ("bihar-2025-26", (2025, 7), "ds1", 1, False, 100, 245.00 + 40 + 44.52),
        ("bihar-2025-26", (2025, 7), "ds1", 1, True, 100, 245.00 + 40 + 44.52 - 25),
        ("bihar-2025-26", (2025, 7), "kutir_jyoti", 1, False, 126, 98.50 + 76 * 2.45 + 20 + 56.10),  # duty 56.0952
        # from August 2025: 125 units free of every charge, then only the excess
        ("bihar-2025-26", (2025, 8), "ds1", 1, False, 0, 0.00),
        ("bihar-2025-26", (2025, 8), "ds1", 1, False, 125, 0.00),
        ("bihar-2025-26", (2025, 8), "ds1", 1, False, 126, 2.45 + 40 + 0.45),
        ("bihar-2025-26", (2025, 8), "ds1", 1, True, 126, 2.45 + 40 + 0.45 - 0.25),
        ("bihar-2025-26", (2025, 8), "kutir_jyoti", 1, False, 125, 0.00),
        ("bihar-2025-26", (2025, 8), "kutir_jyoti", 1, False, 126, 2.45 + 20 + 0.45),
        ("bihar-2025-26", (2025, 8), "ds2", 2, False, 125, 0.00),
        ("bihar-2025-26", (2025, 8), "ds2", 2, False, 126, 5.52 + 160 + 0.54),  # 8.95 * 6 % = 0.537
        ("bihar-2025-26", (2025, 8), "ds2", 2, False, 200, 414.00 + 160 + 40.28),  # duty 40.275, half up
        # 2026-27: one urban slab at the lower rate
        ("bihar-2026-27", (2026, 6), "ds2", 2, False, 200, 309.00 + 160 + 33.39),
        ("bihar-2026-27", (2026, 6), "ds1", 1, False, 126, 42.90),
        # shops: 2025-26 two slabs (mid-points of recalled rates), 2026-27 one
        ("bihar-2025-26", (2025, 8), "nds1", 1, False, 100, 340.00 + 60 + 46.74),
        ("bihar-2025-26", (2025, 8), "nds1", 1, False, 150, 340.00 + 191.00 + 60 + 71.37),
        ("bihar-2025-26", (2025, 8), "nds2", 2, False, 100, 565.00 + 500 + 46.38),
        ("bihar-2025-26", (2025, 8), "nds2", 2, False, 150, 565.00 + 315.00 + 500 + 73.17),
        ("bihar-2026-27", (2026, 6), "nds1", 1, False, 150, 510.00 + 60 + 70.11),
        ("bihar-2026-27", (2026, 6), "nds2", 2, True, 150, 847.50 + 500 + 69.57 - 37.50),
        # farms: 0.55 a unit, 100 per HP (5 HP = 3.73 kW), no duty
        ("bihar-2025-26", (2025, 8), "irrigation_rural", 3.73, False, 300, 165.00 + 500),
        ("bihar-2025-26", (2025, 8), "irrigation_urban", 3.73, True, 300, 165.00 + 500),
        # public connections: no subsidy, no known fixed charge
        ("bihar-2025-26", (2025, 8), "street_light", 5, False, 100, 903.00 + 54.18),
        ("bihar-2025-26", (2025, 8), "water_works", 5, False, 100, 972.00 + 58.32),
        ("bihar-2025-26", (2025, 8), "rural_water", 5, False, 100, 816.00 + 48.96),
    ],
)
def test_low_tension_bills(tariff, on, category, kw, smart, kwh, total):
    got = one_bill(tariff, date(*on, 1), category, [0, 0, kwh], kw=kw, smart=smart)
    assert got.total == pytest.approx(total, abs=1e-9)


def test_lt_industry_is_billed_in_kvah_and_per_kva():
    """900 kWh at 0.9 are 1000 kVAh: 7790 less 1340; 10 kW / 0.9 = 11.111 kVA at 240: 2666.64; duty 467.40."""
    got = one_bill("bihar-2025-26", date(2025, 8, 1), "lt_industry", [900, 0, 0], kw=10, pf=0.9)
    assert got == pytest.approx((7790.00, 2666.64, 467.40, 0, 1340.00, 9584.04), abs=1e-9)


@pytest.mark.parametrize(
    ("category", "rate"), [("hts1", 7.98), ("hts2", 7.92), ("hts3", 7.85), ("hts4", 7.79), ("railway", 7.85)]
)
def test_high_tension_carries_the_tariffs_own_time_of_day(category, rate):
    """3000 normal, 5000 solar, 2000 peak are worth 3000 + 4000 + 2400 = 9400 units; 100 kVA at 550."""
    got = one_bill("bihar-2025-26", date(2025, 8, 1), category, [3000, 5000, 2000], kw=90, kva=100, smart=True)
    assert got.energy == pytest.approx(9400 * rate, abs=0.005)
    assert got.fixed == 55_000
    assert got.rebate == 0  # prepaid rebate is for low tension
    assert got.total == pytest.approx(got.energy + 55_000 + round(got.energy * 0.06, 2), abs=1e-9)


def test_low_tension_above_10_kw_with_a_smart_meter_is_on_time_of_day_too():
    at_10 = one_bill("bihar-2026-27", date(2026, 6, 1), "nds2", [0, 0, 100], kw=10, smart=True)
    above = one_bill("bihar-2026-27", date(2026, 6, 1), "nds2", [0, 0, 100], kw=10.001, smart=True)
    dumb = one_bill("bihar-2026-27", date(2026, 6, 1), "nds2", [0, 0, 100], kw=20)
    assert (at_10.energy, above.energy, dumb.energy) == (773.00, 927.60, 773.00)


def test_two_ways_of_applying_time_of_day_to_a_rural_home():
    """Above the free block: 225 kWh, of which 125 free; 100 kWh are billed, in proportion to use.

    All in the peak: gross 1.2 * 7.42 - 4.97 = 3.934, after subsidy 1.2 * 2.45 = 2.94; solar: 0.966 and 1.96.
    """
    june = date(2026, 6, 1)
    for arm, zone, unit in [(GROSS, PEAK, 3.934), (GROSS, SOLAR, 0.966), (NET, PEAK, 2.94), (NET, SOLAR, 1.96)]:
        use = [0, 0, 0]
        use[zone] = 225
        got = one_bill("bihar-2026-27", june, "ds1", use, smart=True, arm=arm)
        assert got.energy - got.subsidy == pytest.approx(100 * unit, abs=1e-9)
        assert got.total == pytest.approx(100 * unit + 40 + got.duty - 25, abs=1e-9)
    mixed = one_bill("bihar-2026-27", june, "ds1", [75, 75, 75], smart=True, arm=GROSS)
    assert mixed.energy - mixed.subsidy == pytest.approx(100 * 2.45, abs=1e-9)
    dumb = one_bill("bihar-2026-27", june, "ds1", [0, 0, 225], arm=GROSS)
    assert dumb.energy - dumb.subsidy == pytest.approx(245.00, abs=1e-9)


def test_shapes_of_the_free_block():
    june, arm = date(2026, 6, 1), {**GROSS, "free_units": {"per_period": {"peak": 25}}}
    # 100 kWh, 40 of them in the peak: 15 are billed at 3.934; no fixed charge, for the month ends within the block
    got = one_bill("bihar-2026-27", june, "ds1", [30, 30, 40], smart=True, arm=arm)
    assert got.total == pytest.approx(
        59.01 + 8.01 - 3.75, abs=1e-9
    )  # duty 6 % of 15 * 8.904 = 8.0136; rebate 15 * 0.25
    # 200 kWh, 60 in the peak: 25 + 140 may be free, 125 are, in proportion
    above = one_bill("bihar-2026-27", june, "ds1", [70, 70, 60], smart=True, arm=arm)
    free = 125 / 165
    energy = (70 - 70 * free) * (2.45 + 0.966) + (60 - 25 * free) * 3.934
    assert above.energy - above.subsidy == pytest.approx(energy, abs=0.02)  # free units are cut to the Wh
    # a kWh of the peak uses 1.2 units: 100 + 30 * 1.2 = 136 of 125, so 125/136 of each period is free
    weighted = {**GROSS, "free_units": {"weight": "time_of_day"}}
    got = one_bill("bihar-2026-27", june, "ds1", [100, 0, 30], smart=True, arm=weighted)
    assert got.energy - got.subsidy == pytest.approx(11 / 136 * (100 * 2.45 + 30 * 3.934), abs=0.01)
    assert got.fixed == 40
    # 80 in solar hours use 64: all of 140 kWh are free
    assert one_bill("bihar-2026-27", june, "ds1", [60, 80, 0], smart=True, arm=weighted).total == 0
    # unused units are paid: 125 - 100 at Rs 1.50; only to smart meters
    paid = {"free_units": {"rebate": {"inr_per_kwh": 1.5}}}
    assert one_bill("bihar-2026-27", june, "ds1", [100, 0, 0], smart=True, arm=paid).total == -37.50
    assert one_bill("bihar-2026-27", june, "ds1", [100, 0, 0], arm=paid).total == 0
    assert one_bill("bihar-2026-27", june, "ds1", [130, 0, 0], smart=True, arm=paid).rebate == 1.25


FUEL = with_surcharge("bihar-2026-27", {"2026-05-01": 0.20, "2026-06-01": 0.35}, exempt=["irrigation_rural"])


@pytest.mark.parametrize(
    ("on", "category", "kw", "smart", "kwh", "subsidy", "total"),
    [
        # June 2026, 35 paise. Within the free units nothing is due: the state bears 7.42 + 0.35 of each
        ((2026, 6), "ds1", 1, False, 125, 125 * 7.77, 0.00),
        # one kWh above: 7.77 less 4.97 is 2.80; 6 % of 7.77 is 0.4662; 40 fixed
        ((2026, 6), "ds1", 1, False, 126, 125 * 7.77 + 4.97, 2.80 + 0.47 + 40),
        # April: no row has begun. May: 20 paise, 7.62 less 4.97; duty 0.4572. July: the June row still holds
        ((2026, 4), "ds1", 1, False, 126, 125 * 7.42 + 4.97, 2.45 + 0.45 + 40),
        ((2026, 5), "ds1", 1, False, 126, 125 * 7.62 + 4.97, 2.65 + 0.46 + 40),
        ((2026, 7), "ds1", 1, False, 126, 125 * 7.77 + 4.97, 2.80 + 0.47 + 40),
        # shop: 150 * (5.65 + 0.35) = 900; duty 6 % of 150 * 8.08 = 72.72; 2 kW at 250; 25 paise a unit back
        ((2026, 6), "nds2", 2, True, 150, 312.00, 900 + 72.72 + 500 - 37.50),
        # a farm of 5 HP that is exempt, and one that is not
        ((2026, 6), "irrigation_rural", 3.73, False, 300, 300 * 6.19, 165.00 + 500),
        ((2026, 6), "irrigation_urban", 3.73, False, 300, 300 * 6.62, 270.00 + 500),
    ],
)
def test_fuel_surcharge_by_month(on, category, kw, smart, kwh, subsidy, total):
    got = one_bill(FUEL, date(*on, 1), category, [0, 0, kwh], kw=kw, smart=smart)
    assert (got.subsidy, got.total) == (pytest.approx(subsidy, abs=0.005), pytest.approx(total, abs=1e-9))


def test_time_of_day_does_not_scale_the_fuel_surcharge():
    """Units at 33 kV as above are worth 9400 at 7.92; the surcharge is on all 10,000 kWh."""
    use = {"kw": 90, "kva": 100, "smart": True}
    got = one_bill(FUEL, date(2026, 6, 1), "hts2", [3000, 5000, 2000], **use)
    assert got.energy == pytest.approx(9400 * 7.92 + 3500, abs=0.005)


def test_no_fuel_surcharge_is_known():
    for name in tariff_names():
        (row,) = load_tariff(name).fuel_surcharge
        assert (row.inr_per_kwh.value, row.inr_per_kwh.confidence) == (0, "assumed")


@pytest.mark.parametrize("month_days", [28, 29, 30, 31])
def test_fixed_charges_go_by_days(month_days):
    got = one_bill("bihar-2026-27", date(2026, 6, 1), "nds1", [0, 0, 0], kw=1.5, days=10, month_days=month_days)
    assert got.total == float(round(Fraction(9000 * 10, month_days))) / 100


@pytest.mark.parametrize("name", tariff_names())
def test_every_category_against_a_second_calculation(name):
    arms = [None, GROSS, NET, {**GROSS, "free_units": {"weight": "time_of_day"}}]
    arms += [
        {**NET, "free_units": {"per_period": {"peak": 20, "normal": 40}}},
        {"free_units": {"rebate": {"inr_per_kwh": 0.8}}},
    ]
    dates = [DATES[name].replace(day=day) for day in (2, 11, 29)]
    events = {"hours": "19-22", "dates": dates}
    arms += [
        {**GROSS, "critical_peak": {**events, "multiplier": 3.5}, "free_units": {"per_period": {"peak": 20}}},
        {**NET, "critical_peak": {**events, "multiplier": 3.5}, "peak_rebate": {**events, "inr_per_kwh": 12.5}},
        {"peak_rebate": {**events, "inr_per_kwh": 7.0, "categories": ["ds1", "nds1"]}},
    ]
    under = [apply_arm(load_tariff(name), arm) for arm in arms]
    fuelled = with_surcharge(name, {DATES[name].replace(day=1).isoformat(): 0.37}, exempt=["ds2"])
    under += [apply_arm(fuelled, arm) for arm in (None, arms[2], arms[4])]
    zones = common_zones(under, 96)
    rng = np.random.default_rng(7)
    n = 16 * 12
    columns = BillColumns(
        np.repeat(np.arange(16), 12).astype(np.uint8),
        rng.choice([0.25, 1, 2.5, 10, 10.5, 60], n).astype(np.float32),
        np.where(rng.random(n) < 0.5, 0, rng.choice([50, 118.5], n)).astype(np.float32),
        rng.integers(0, 2, n).astype(np.uint8),
        rng.choice([0.75, 0.875, 1.0], n).astype(np.float32),
    )
    wh = (rng.choice([0, 500, 14_000, 42_000, 400_000], (n, 1)) * rng.random((n, zones.n_zones))).astype(np.int64)
    days = whole_month(n, 31, 31)
    days.fixed_days[:], days.slab_days[:] = rng.integers(0, 32, n), rng.choice([31, 31, 17], n)
    for arm in under:
        out = bill_out(n)
        bill_month(rate_table(arm, zones, DATES[name]), columns, wh, days, out)
        for i in range(n):
            expected = second_bill(
                arm, zones, DATES[name], categories()[columns.category[i]].category,
                *(Fraction(float(part[i])) for part in columns[1:3]), bool(columns.flags[i] & SMART),
                Fraction(float(columns.power_factor[i])), wh[i].tolist(),
                int(days.fixed_days[i]), int(days.slab_days[i]), 31,
            )  # fmt: skip
            assert tuple(int(part[i]) for part in out) == expected
