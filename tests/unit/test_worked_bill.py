"""A worked bill adds up, to the paisa, to the bill that the kernels make; and its lines are those of the tariff."""

from datetime import date
from fractions import Fraction

import numpy as np
import pytest

from tests.tariff_cases import with_surcharge
from twin.datapack import categories
from twin.economics.arms import apply_arm, common_zones
from twin.economics.billing import SMART, BillColumns, BillDays, BillOut, bill_month, bill_out
from twin.economics.rates import rate_table
from twin.economics.tariffs import load_tariff, tariff_names
from twin.economics.worked_bill import MonthToDate, component_paise, worked_bill

CODE = {row.category: row.code for row in categories()}
TOD = {"solar": {"hours": "09-17", "multiplier": 0.80}, "peak": {"hours": "17-23", "multiplier": 1.20}}
GROSS = {"time_of_day": {"applies_to": "gross", **TOD}}
ARMS = [
    None,
    GROSS,
    {"time_of_day": {"applies_to": "after_subsidy", **TOD}, "free_units": {"per_period": {"peak": 20, "normal": 40}}},
    {**GROSS, "free_units": {"weight": "time_of_day"}},
    {"free_units": {"rebate": {"inr_per_kwh": 0.8}}},
]
DATES = {"bihar-2024-25": date(2024, 6, 1), "bihar-2025-26": date(2025, 8, 1), "bihar-2026-27": date(2026, 6, 1)}


def one(columns, row):
    return BillColumns(*(part[row : row + 1] for part in columns))


@pytest.mark.parametrize("name", tariff_names())
def test_lines_add_up_to_every_component_of_the_bill(name):
    under = [apply_arm(load_tariff(name), arm) for arm in ARMS]
    fuelled = with_surcharge(name, {DATES[name].isoformat(): 0.37}, exempt=["ds2"])
    under += [apply_arm(fuelled, arm) for arm in ARMS[:2]]
    zones = common_zones(under, 96)
    rng = np.random.default_rng(11)
    n = 16 * 8
    columns = BillColumns(
        np.repeat(np.arange(16), 8).astype(np.uint8),
        rng.choice([0.25, 1, 2.5, 10, 10.5, 60], n).astype(np.float32),
        np.where(rng.random(n) < 0.5, 0, rng.choice([50, 118.5], n)).astype(np.float32),
        rng.integers(0, 2, n).astype(np.uint8),
        rng.choice([0.75, 0.875, 0.913, 1.0], n).astype(np.float32),
    )
    wh = (rng.choice([0, 500, 14_000, 42_000, 400_000], (n, 1)) * rng.random((n, zones.n_zones))).astype(np.int64)
    wh[::9] = 125_000 // zones.n_zones  # at the edge of the free block
    days = BillDays(rng.integers(0, 32, n).astype(np.int32), rng.choice([31, 31, 17], n).astype(np.int32), 31)
    for arm in under:
        rates, out = rate_table(arm, zones, DATES[name]), bill_out(n)
        bill_month(rates, columns, wh, days, out)
        for i in range(n):
            month = MonthToDate(wh[i], int(days.fixed_days[i]), int(days.slab_days[i]), 31)
            lines = worked_bill(arm, rates, zones, one(columns, i), month)
            expected = dict(zip(BillOut._fields, (int(part[i]) for part in out), strict=True))
            assert component_paise(lines) == expected


def test_the_fuel_surcharge_has_a_line_of_its_own():
    """200 kWh of a rural home in June 2026 at 35 paise: 70.00 on all units, of which the state bears 125 free ones."""
    tariff = with_surcharge("bihar-2026-27", {"2026-06-01": 0.35}, exempt=[])
    arm = apply_arm(tariff, None)
    zones = common_zones([arm], 96)
    wh = np.zeros(zones.n_zones, np.int64)
    wh[0] = 200_000
    columns = BillColumns(
        np.array([CODE["ds1"]], np.uint8), np.ones(1, np.float32), np.zeros(1, np.float32), np.zeros(1, np.uint8),
        np.ones(1, np.float32),
    )  # fmt: skip
    lines = worked_bill(arm, rate_table(arm, zones, date(2026, 6, 1)), zones, columns, MonthToDate(wh, 30, 30, 30))
    assert [(line.what, line.quantity, line.rate_inr, line.paise) for line in lines[:4]] == [
        ("energy", 200, Fraction("7.42"), 148_400),
        ("energy: fuel and power-purchase adjustment (FPPCA)", 200, Fraction("0.35"), 7_000),
        ("free units, 125 kWh a month, borne by the state", 125, None, -125 * 777),
        ("state subsidy", 75, Fraction("-4.97"), -37_275),
    ]


def test_lines_of_an_urban_home_of_two_slabs():
    """2025-26, 200 kWh, smart, 2 kW: 125 free; 75 at 8.95 less 3.43; 6 % duty on 671.25; 25 paise a unit back."""
    arm = apply_arm(load_tariff("bihar-2025-26"), None)
    zones = common_zones([arm], 96)
    wh = np.zeros(zones.n_zones, np.int64)
    wh[0] = 200_000
    columns = BillColumns(
        np.array([CODE["ds2"]], np.uint8), np.array([2], np.float32), np.zeros(1, np.float32),
        np.array([SMART], np.uint8), np.ones(1, np.float32),
    )  # fmt: skip
    lines = worked_bill(arm, rate_table(arm, zones, date(2025, 8, 1)), zones, columns, MonthToDate(wh, 31, 31, 31))
    found = [(line.what, line.quantity, line.rate_inr, line.paise) for line in lines]
    assert found == [
        ("energy: 0 to 100 kWh", 100, Fraction("7.42"), 74_200),
        ("energy: above 100 kWh", 100, Fraction("8.95"), 89_500),
        ("free units, 125 kWh a month, borne by the state", 125, None, -(74_200 + 25 * 895)),
        ("state subsidy: above 100 kWh", 75, Fraction("-3.43"), -25_725),
        ("fixed charge, 31 of 31 days", 2, 80, 16_000),
        (
            "electricity duty on the billed units' energy charge before subsidy",
            Fraction("671.25"),
            Fraction("0.06"),
            4028,
        ),
        ("prepaid rebate", 75, Fraction("-0.25"), -1875),
    ]
    assert component_paise(lines)["total"] == 41_400 + 16_000 + 4028 - 1875


def test_lines_of_thirds_of_a_paisa_still_add_up():
    """1 Wh in each of four zones, two of them solar: 0.742, 1.187 and 0.890 paise run up to 0.742, 1.929, 2.820."""
    under = [apply_arm(load_tariff("bihar-2024-25"), None), apply_arm(load_tariff("bihar-2024-25"), GROSS)]
    zones = common_zones(under, 96)
    rates = rate_table(under[1], zones, date(2024, 6, 1))
    columns = BillColumns(
        np.array([CODE["ds1"]], np.uint8), np.ones(1, np.float32), np.zeros(1, np.float32),
        np.array([SMART], np.uint8), np.ones(1, np.float32),
    )  # fmt: skip
    month = MonthToDate(np.ones(zones.n_zones, np.int64), 0, 30, 30)
    energy = [line.paise for line in worked_bill(under[1], rates, zones, columns, month) if line.component == "energy"]
    assert energy == [1, 1, 1]
