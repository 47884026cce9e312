"""What bookkeeping promises of the analysis, on numbers nobody chose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.analysis_fixture import random_run
from twin.analysis import analyse
from twin.analysis.gains import cell_statistics, weighted_quantiles
from twin.analysis.network_effects import moved

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = st.integers(0, 2**31 - 1)
LOADS = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=60)


@settings(FEW, max_examples=10)
@given(seed=SEEDS, order=SEEDS)
def test_the_order_of_stored_rows_changes_no_bit(seed, order):
    run = random_run(seed)
    for name, table in analyse(run, {"peak_mw": 8400.0}).items():
        assert table.equals(analyse(run.shuffled(order), {"peak_mw": 8400.0})[name]), name


@FEW
@given(seed=SEEDS, replicates=st.sampled_from([1, 3]))
def test_an_arm_equal_to_the_first_has_exactly_no_effect(seed, replicates):
    tables = analyse(random_run(seed, replicates, treated=False), {})
    for row in tables["effects"].to_pylist():
        assert row["value"] == 0.0, row
        assert row["low"] in (None, 0.0), row
        assert row["high"] in (None, 0.0), row
    for row in tables["gains"].to_pylist():
        assert (row["share_same"], row["mean_inr"]) == (1.0, 0.0)


@FEW
@given(seed=SEEDS, replicates=st.sampled_from([1, 2]))
def test_what_consumers_pay_is_revenue_and_duty_less_subsidy(seed, replicates):
    """Exact in paise row by row; sums of weighted INR agree to 1e-9 of the money that changes hands."""
    effects = analyse(random_run(seed, replicates), {})["effects"].to_pylist()
    for area in ("state", "district:Sheohar"):
        for column in ("value", "reference"):
            money = {row["outcome"]: row[column] for row in effects if row["area"] == area and row["group"] == "all"}
            expected = money["revenue"] + money["duty"] - money["subsidy"]
            assert money["consumer_payment"] == pytest.approx(expected, abs=1e-6)


@FEW
@given(seed=SEEDS)
def test_means_of_groups_add_up_to_the_whole(seed):
    """Weights of the categories: kutir_jyoti 21, ds1 31, ds2 10, nds2 6, hts1 1."""
    weight = {"kutir_jyoti": 21, "ds1": 31, "ds2": 10, "nds2": 6, "hts1": 1}
    effects = analyse(random_run(seed), {})["effects"].to_pylist()
    for outcome in ("bill_unchanged", "bill_response", "surplus"):
        value = {row["group"]: row["value"] for row in effects if row["outcome"] == outcome and row["area"] == "state"}
        parts = sum(size * value[f"category/{name}"] for name, size in weight.items())
        assert parts / 69 == pytest.approx(value["all"], abs=1e-9)


@FEW
@given(seed=SEEDS)
def test_intervals_hold_their_value_and_name_their_kind(seed):
    for row in analyse(random_run(seed), {})["effects"].to_pylist():
        assert row["kind"] in {"range", "sampling"}
        slack = 1e-9 * max(abs(row["value"]), 1.0)
        assert row["low"] - slack <= row["value"] <= row["high"] + slack


@given(load=LOADS)
def test_energy_moved_is_the_smaller_of_rises_and_falls(load):
    change = np.array(load)
    rises, falls = change[change > 0].sum(), -change[change < 0].sum()
    assert moved(change, 1.0) == pytest.approx(min(rises, falls), abs=1e-9 * np.abs(change).sum() + 1e-9)


@given(load=LOADS, data=st.data())
def test_weighted_quantiles_are_values_and_rise(load, data):
    values = np.array(load)
    weights = np.array(data.draw(st.lists(st.floats(0.1, 50.0), min_size=len(load), max_size=len(load))))
    found = weighted_quantiles(values, weights, np.array([0.1, 0.5, 0.9]))
    assert set(found) <= set(values)
    assert np.all(np.diff(found) >= 0)
    assert np.sum(weights[values <= found[1]]) >= 0.5 * weights.sum() * (1 - 1e-12)


@given(load=LOADS)
def test_shares_of_who_gains_add_up(load):
    change = np.array(load)
    found = cell_statistics(np.zeros(len(change), np.int64), np.ones(len(change)), change, 1)
    total = found["share_more"] + found["share_same"] + found["share_less"]
    assert total[0] == pytest.approx(1.0)
    assert found["share_more_50"][0] <= found["share_more"][0]
    assert found["share_less_50"][0] <= found["share_less"][0]
