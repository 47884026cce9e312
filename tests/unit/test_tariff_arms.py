"""Arms, zones of the day and rate tables."""

from datetime import date

import numpy as np
import pytest

from twin.datapack import categories
from twin.economics.arms import apply_arm, common_zones
from twin.economics.rates import (
    FREE_PER_PERIOD,
    FREE_RULE,
    ONE,
    PLAN_ARM,
    PLAN_BASE,
    PLAN_ON,
    RATE_PER_INR,
    SHAPE_NEEDS_SMART,
    UNUSED_RATE,
    plan_hours,
    rate_table,
)
from twin.economics.tariffs import load_tariff
from twin.economics.windows import refine, stretches
from twin.errors import ScenarioError
from twin.hours import minutes_of, period_at

TARIFF = load_tariff("bihar-2026-27")
JUNE = date(2026, 6, 8)
CODE = {row.category: row.code for row in categories()}
TOD = {
    "applies_to": "gross",
    "solar": {"hours": "09-17", "multiplier": 0.8},
    "peak": {"hours": "17-23", "multiplier": 1.2},
}


def test_hours_and_periods():
    assert minutes_of("09-17") == (540, 1020)
    assert minutes_of("06:30-10:00") == (390, 600)
    assert minutes_of("22-06") == (1320, 1800)
    assert minutes_of("00-24") == (0, 1440)
    periods = {"night": "22-06", "day": "09-17"}
    assert [period_at(periods, 60 * hour) for hour in (23, 5, 6, 9, 17)] == [
        "night",
        "night",
        "normal",
        "day",
        "normal",
    ]
    for text in ("9", "9-9", "00-00", "08-25", "eight"):
        with pytest.raises(ValueError, match="window|day"):
            minutes_of(text)


def test_zones_are_the_common_refinement():
    zones = refine([{"solar": "09-17", "peak": "17-23"}, {"evening": "18-22"}], 24)
    assert zones.zone_of_step.tolist() == [0] * 9 + [1] * 8 + [2] + [3] * 4 + [2] + [0]
    assert (zones.n_zones, zones.steps, zones.first_minute(3)) == (4, 24, 18 * 60)
    with pytest.raises(ValueError, match="60-minute steps"):
        refine([{"peak": "17:30-23:00"}], 24)
    with pytest.raises(ValueError, match="10 zones"):
        refine([{f"p{k}": f"{2 * k:02d}-{2 * k + 1:02d}" for k in range(9)}], 24)


def test_stretches_run_round_the_clock():
    labels = ["normal"] * 9 + ["solar"] * 8 + ["peak"] * 6 + ["normal"]
    assert stretches(labels) == [("solar", "09:00", "17:00"), ("peak", "17:00", "23:00"), ("normal", "23:00", "09:00")]
    assert stretches(["normal"] * 24) == [("normal", "00:00", "24:00")]
    assert stretches(["a"] * 12 + ["b"] * 12) == [("a", "00:00", "12:00"), ("b", "12:00", "24:00")]


def test_zones_hold_the_tariffs_own_hours_and_marks():
    empty = apply_arm(TARIFF)
    assert common_zones([empty], 96).n_zones == 3  # HT and large LT are on 09-17 and 17-23 anyway
    assert common_zones([empty], 96, marks={"evening": {"evening": "18-22"}}).n_zones == 4
    other = apply_arm(TARIFF, {"time_of_day": {"applies_to": "gross", "peak": {"hours": "18-22", "multiplier": 1.5}}})
    assert common_zones([empty, other], 96).n_zones == 4
    assert common_zones([apply_arm(load_tariff("bihar-2024-25"))], 96).n_zones == 3
    with pytest.raises(ScenarioError, match="15-minute"):
        common_zones(
            [apply_arm(TARIFF, {"time_of_day": {"applies_to": "gross", "p": {"hours": "18:05-22", "multiplier": 2}}})],
            96,
        )


def test_periods_may_be_loose_or_gathered():
    loose = apply_arm(TARIFF, {"time_of_day": TOD})
    gathered = {"applies_to": "gross", "periods": {key: TOD[key] for key in ("solar", "peak")}}
    assert apply_arm(TARIFF, {"time_of_day": gathered}).settings == loose.settings
    tod = loose.settings.time_of_day
    assert tod.min_kw == 0
    assert tod.requires_smart_meter
    assert set(tod.categories) == {row.category for row in categories()} - {"irrigation_rural", "irrigation_urban"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"time_of_day": {**TOD, "applies_to": "net"}}, "applies_to"),
        ({"time_of_day": {**TOD, "late": {"hours": "22-24", "multiplier": 1.1}}}, "overlap"),
        ({"time_of_day": {**TOD, "categories": ["homes"]}}, "no such billing category: homes"),
        ({"time_of_day": {**TOD, "peak": {"hours": "17-23", "multiplier": 0}}}, "greater than 0"),
        ({"time_of_day": {**TOD, "peak": {"hours": "17-23", "multiplier": 21.0}}}, "less than or equal to 20"),
        ({"time_of_day": {"applies_to": "gross"}}, "periods"),
        ({"time_of_day": {**TOD, "normal": {"hours": "01-02", "multiplier": 1.1}}}, "uncovered hours"),
        ({"free_units": {"per_period": {"peak": 25}}}, "need time_of_day"),
        ({"time_of_day": TOD, "free_units": {"per_period": {"noon": 25}}}, "lacks: noon"),
        ({"time_of_day": TOD, "free_units": {"weight": "time_of_day", "rebate": {"inr_per_kwh": 1}}}, "exactly one"),
        ({"discount": 1}, "discount"),
    ],
)
def test_impossible_arms_are_refused(settings, says):
    with pytest.raises(ScenarioError, match=says):
        apply_arm(TARIFF, settings, "arm tod")


def test_rates_of_a_rural_home_by_zone():
    arm = apply_arm(TARIFF, {"time_of_day": TOD})
    zones = common_zones([arm], 96)
    rates = rate_table(arm, zones, JUNE)
    ds1 = CODE["ds1"]
    assert rates.gross_rate[ds1, PLAN_ARM, 0].tolist() == [7_420_000, 5_936_000, 8_904_000]
    assert rates.subsidy_rate[ds1, PLAN_ARM, 0].tolist() == [4_970_000] * 3
    net = rate_table(apply_arm(TARIFF, {"time_of_day": {**TOD, "applies_to": "after_subsidy"}}), zones, JUNE)
    assert net.subsidy_rate[ds1, PLAN_ARM, 0].tolist() == [4_970_000, 3_976_000, 5_964_000]
    assert net.gross_rate[ds1, PLAN_ARM, 0].tolist() == [7_420_000, 5_936_000, 8_904_000]
    assert (rates.by_plan[CODE["irrigation_rural"], PLAN_ARM] == 0).all()
    assert rates.by_plan[CODE["irrigation_rural"], PLAN_BASE, PLAN_ON] == 0


def test_subsidy_never_exceeds_the_rate():
    deep = {"applies_to": "gross", "solar": {"hours": "09-17", "multiplier": 0.5}}
    arm = apply_arm(TARIFF, {"time_of_day": deep})
    rates = rate_table(arm, common_zones([arm], 24), JUNE)
    assert (rates.subsidy_rate <= rates.gross_rate).all()
    assert rates.subsidy_rate[CODE["ds1"], PLAN_ARM, 0].min() == 3_710_000  # half of 7.42, below the 4.97 granted


def test_who_has_the_free_block_shaped():
    limited = apply_arm(TARIFF, {"time_of_day": TOD, "free_units": {"per_period": {"peak": 25}}})
    zones = common_zones([limited], 96)
    rates = rate_table(limited, zones, JUNE)
    assert rates.by_plan[CODE["ds1"], :, FREE_RULE].tolist() == [0, 0, FREE_PER_PERIOD]
    assert rates.limit_group.tolist() == [-1, -1, 0]
    assert rates.limit_wh.tolist() == [25_000]
    paid = rate_table(apply_arm(TARIFF, {"free_units": {"rebate": {"inr_per_kwh": 1.5}}}), zones, JUNE)
    assert paid.by_plan[CODE["ds1"], :, UNUSED_RATE].tolist() == [1.5 * RATE_PER_INR] * 2 + [0]
    assert paid.by_plan[CODE["ds1"], 0, SHAPE_NEEDS_SMART] == 1


def test_multipliers_are_held_to_four_decimals():
    arm = apply_arm(TARIFF, {"time_of_day": {"applies_to": "gross", "peak": {"hours": "17-23", "multiplier": 4 / 3}}})
    rates = rate_table(arm, common_zones([arm], 24), JUNE)
    assert set(np.unique(rates.multiplier[CODE["ds1"], PLAN_ARM])) == {ONE, 13333}


def test_plan_hours():
    arm = apply_arm(TARIFF, {"time_of_day": {**TOD, "categories": ["ds1"]}})
    assert plan_hours(arm, "ds1", PLAN_ARM) == {"solar": "09-17", "peak": "17-23"}
    assert plan_hours(arm, "hts1", PLAN_ARM) == {}
    assert plan_hours(arm, "hts1", PLAN_BASE) == {"solar": "09-17", "peak": "17-23"}
    assert plan_hours(arm, "ds1", 0) == {}


def test_a_model_that_dumps_to_a_mapping_is_an_arm_too():
    arm = apply_arm(TARIFF, {"time_of_day": TOD})
    again = apply_arm(TARIFF, arm.settings)
    assert again.settings == arm.settings
