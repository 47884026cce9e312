"""Whatever is held up, used or set, wallets of a run lose no paisa, and nobody is cut when he must not be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planning_day import planned_state
from tests.prepaid_cases import Village
from tests.unit.test_meter_devices import population


@pytest.fixture(scope="module")
def people():
    return population(planned_state(1), 1)


@settings(max_examples=5, deadline=None)
@given(
    seed=st.integers(0, 2**31), start=st.integers(10, 28), first=st.integers(0, 11), length=st.integers(1, 8),
    credit=st.integers(0, 300), use=st.floats(0.1, 4.0),
)  # fmt: skip
def test_money_is_kept_and_rules_hold(people, seed, start, first, length, credit, use):
    outage = f"{{from: 2025-05-{start + first}, to: 2025-05-{start + first + length}}}"
    begin = "2025-05-01"
    if start + first + length > 31:
        outage = f"{{from: 2025-05-{start}, to: 2025-05-{start + 1}}}"
        begin = f"2025-05-{start}"
    village = Village(
        people, f"time.start={begin}", "time.days=35", f"seed={seed}",
        f"meters.prepaid={{emergency_credit_inr: {credit}, debit_outage: {outage}}}", use=use,
    )  # fmt: skip
    wallets, settings_of = village.wallets, village.wallets.settings
    start_paise, sums = wallets.balance.copy(), np.zeros_like(wallets.balance)
    for date, _ in village.live():
        for arm, day in enumerate(wallets.prepare(date)):
            sums[arm] += day.wallets.recharge_paise - day.wallets.debit_paise
            np.testing.assert_array_equal(day.evening_paise, start_paise[arm] + sums[arm])
            cut = day.wallets.opened_minute >= 0
            assert np.all(day.morning_paise[cut] < -100 * credit)
            assert not (cut.any() and date.weekday() == 6)
            out = settings_of.debit_outage
            assert not (cut.any() and out.first <= date < out.cuts_again)
            if out.first <= date <= out.last:
                assert not day.wallets.debit_paise.any()
    for before, after in zip(village.periods, village.periods[1:], strict=False):
        for mine, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(other.start, mine.start + mine.recharged - mine.billed)
            np.testing.assert_array_equal(other.start, mine.balance - mine.held)
