"""What every bill promises, on use nobody chose."""

from datetime import date
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.bill_oracle import bill as second_bill
from twin.datapack import categories
from twin.economics.arms import apply_arm, common_zones
from twin.economics.billing import SMART, BillColumns, bill_month, bill_out, bill_window, whole_month
from twin.economics.rates import rate_table
from twin.economics.tariffs import load_tariff

JUNE = date(2026, 6, 1)
TOD = {"solar": {"hours": "09-17", "multiplier": 0.8}, "peak": {"hours": "17-23", "multiplier": 1.2}}
SETTINGS = {
    "flat": None,
    "gross": {"time_of_day": {"applies_to": "gross", **TOD}},
    "net": {"time_of_day": {"applies_to": "after_subsidy", **TOD}},
    "weighted": {"time_of_day": {"applies_to": "gross", **TOD}, "free_units": {"weight": "time_of_day"}},
    "limited": {"time_of_day": {"applies_to": "gross", **TOD}, "free_units": {"per_period": {"peak": 25}}},
    "rebate": {"free_units": {"rebate": {"inr_per_kwh": 0.8}}},
}
TARIFFS = [load_tariff(name) for name in ("bihar-2025-26", "bihar-2026-27")]
ARMS = {(t.name, name): apply_arm(t, arm) for t in TARIFFS for name, arm in SETTINGS.items()}
ZONES = common_zones(list(ARMS.values()), 96)
RATES = {key: rate_table(arm, ZONES, JUNE) for key, arm in ARMS.items()}

arms = st.sampled_from(sorted(ARMS))
monthly = st.lists(st.integers(0, 150_000), min_size=3, max_size=3)
category_codes = st.integers(0, 15)


def consumer(code, kw, smart, pf=1.0):
    return BillColumns(
        np.array([code], np.uint8), np.array([kw], np.float32), np.zeros(1, np.float32),
        np.array([SMART * smart], np.uint8), np.array([pf], np.float32),
    )  # fmt: skip


def one(key, columns, wh, days=30):
    out = bill_out(1)
    bill_month(RATES[key], columns, np.array([wh], np.int64), whole_month(1, days, 30), out)
    return out


@settings(deadline=None)
@given(
    arms,
    category_codes,
    st.sampled_from([0.5, 2.0, 15.0]),
    st.booleans(),
    monthly,
    st.integers(0, 2),
    st.integers(0, 50_000),
)
def test_more_use_never_costs_less(key, code, kw, smart, wh, zone, extra):
    columns = consumer(code, kw, smart)
    more = list(wh)
    more[zone] += extra
    slack = {"limited": 3, "rebate": 0}.get(key[1], 2)  # paise: components are rounded apart, free units to the Wh
    assert one(key, columns, more).total[0] >= one(key, columns, wh).total[0] - slack


@settings(deadline=None)
@given(
    arms,
    category_codes,
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 30), monthly), min_size=2, max_size=6),
    st.floats(0.7, 1),
)
def test_windows_add_up_exactly(key, code, smart, points, pf):
    columns = consumer(code, 3.0, smart, pf)
    days = sorted(day for day, _ in points)
    to_date = np.cumsum([[0, 0, 0], *(wh for _, wh in points[1:])], axis=0)
    edges = [(np.array([wh], np.int64), whole_month(1, day, 30)) for wh, day in zip(to_date, days, strict=True)]
    pieces = [bill_window(RATES[key], columns, *a, *b) for a, b in zip(edges, edges[1:], strict=False)]
    whole = bill_window(RATES[key], columns, *edges[0], *edges[-1])
    for name in whole._fields:
        assert sum(int(getattr(piece, name)[0]) for piece in pieces) == int(getattr(whole, name)[0])


@settings(deadline=None)
@given(arms, category_codes, st.booleans(), monthly, st.integers(0, 30))
def test_what_is_charged_is_paid_by_someone(key, code, smart, wh, days):
    out = one(key, consumer(code, 2.0, smart), wh, days)
    energy, fixed, duty, rebate, subsidy, total = (int(part[0]) for part in out)
    assert energy + fixed + duty == total + rebate + subsidy
    assert 0 <= subsidy <= energy
    assert min(energy, fixed, duty, rebate) >= 0


@settings(deadline=None)
@given(
    arms,
    category_codes,
    st.booleans(),
    monthly,
    st.integers(0, 30),
    st.integers(1, 30),
    st.sampled_from([0.75, 0.875, 1.0]),
)
def test_agrees_with_a_second_calculation(key, code, smart, wh, days, slab_days, pf):
    columns, out = consumer(code, 2.5, smart, pf), bill_out(1)
    period = whole_month(1, days, 30)._replace(slab_days=np.array([slab_days], np.int32))
    bill_month(RATES[key], columns, np.array([wh], np.int64), period, out)
    expected = second_bill(
        ARMS[key],
        ZONES,
        JUNE,
        categories()[code].category,
        Fraction(5, 2),
        0,
        smart,
        Fraction(pf),
        wh,
        days,
        slab_days,
        30,
    )
    assert tuple(int(part[0]) for part in out) == expected


@pytest.mark.parametrize("key", sorted(ARMS))
def test_nothing_used_costs_the_fixed_charge_alone(key):
    for code in range(16):
        out = one(key, consumer(code, 2.0, smart=False), [0, 0, 0])
        assert (out.energy[0], out.duty[0], out.subsidy[0]) == (0, 0, 0)
        assert out.total[0] == out.fixed[0]
