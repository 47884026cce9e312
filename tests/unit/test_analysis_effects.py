"""Effects of a run that can be followed with a pencil (`tests.analysis_fixture.hand_run`).

State, flat: used 100 100 200 180 MW, losses 5 x 2 MW. Arm tod: used 110 105 180 170 MW, losses 5 x 1.8 MW; hours 12,
13, 18, 22.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from tests.analysis_fixture import CONSUMERS, arrow, bill_row, cases, feeder_rows, hand_run, system_rows
from twin.analysis.design import read_experiment
from twin.analysis.effect_rows import over_replicates
from twin.analysis.effects import effects_and_gains
from twin.analysis.frames import read_feeders
from twin.analysis.loads import CaseLoads
from twin.analysis.network_effects import moved
from twin.errors import RunFolderError
from twin.results.schema import arrow_schema


def effects_of(run):
    feeders = read_feeders(run)
    return effects_and_gains(CaseLoads(run, feeders), read_experiment(run), feeders)


def rows_of(table, **key):
    return [row for row in table.to_pylist() if all(row[name] == value for name, value in key.items())]


def one(table, **key):
    (row,) = rows_of(table, **key)
    return row


@pytest.fixture(scope="module")
def hand():
    return effects_of(hand_run())


def test_columns_are_those_of_the_dictionary(hand):
    effects, gains = hand
    assert effects.schema.equals(arrow_schema("effects"))
    assert gains.schema.equals(arrow_schema("gains"))


@pytest.mark.parametrize(
    ("outcome", "value", "reference", "unit"),
    [
        ("evening_peak", 189 - 210, 210, "MW"),
        ("peak_any", 189 - 210, 210, "MW"),
        ("energy_moved", 0.015, 0.580, "GWh"),  # changes 10 5 -20 -10: (45 - 15) / 2
        ("energy_saved", 0.015, 0.580, "GWh"),
        ("technical_loss", 36 - 40, 40, "MWh"),
        ("technical_loss_share", 100 * 36 / 601 - 100 * 40 / 620, 100 * 40 / 620, "percentage points"),
        ("purchase_cost", -400, 4000, "INR"),
        ("capacity_value", (189 - 210) * 3e6 * 4 / 8760, 210 * 3e6 * 4 / 8760, "INR"),  # Rs 3,000/kW a year, 4 hours
        ("dt_overload_hours", (0.5 + 10) - (2 + 30), 32, "h"),
        # DT weights 1 1 10 10 5 5; below 0.94 x 0.92 = 0.8648 pu: flat DTs 1 and 5, tod DT 5
        ("voltage_violations", 100 * 5 / 32 - 100 * 6 / 32, 100 * 6 / 32, "percentage points"),
    ],
)
def test_state_outcomes(hand, outcome, value, reference, unit):
    row = one(hand[0], outcome=outcome, area="state", group="all")
    assert (row["value"], row["reference"]) == (pytest.approx(value), pytest.approx(reference))
    assert (row["unit"], row["replicates"]) == (unit, 1)


@pytest.mark.parametrize(
    ("outcome", "value", "reference", "unit"),
    [
        # Feeders 1 and 2, each with 3 x 1 kW of losses under flat and 3 x 0.5 under tod
        ("evening_peak", (380 + 3 - 406) / 1000, 0.406, "MW"),
        ("energy_moved", 0.015, 1.1, "MWh"),  # changes 10 5 -20 -5 kW: (40 - 10) / 2
        ("energy_saved", 0.010, 1.1, "MWh"),
        ("technical_loss", -0.012, 0.024, "MWh"),
        ("dt_overload_hours", -1.5, 2.0, "h"),
        ("voltage_violations", -50, 50, "percentage points"),
    ],
)
def test_district_outcomes(hand, outcome, value, reference, unit):
    row = one(hand[0], outcome=outcome, area="district:Sheohar", group="all")
    assert (row["value"], row["reference"]) == (pytest.approx(value), pytest.approx(reference))
    assert (row["unit"], row["kind"], row["low"], row["high"]) == (unit, "none", None, None)


def test_the_worst_transformer_may_be_another_one(hand):
    row = one(hand[0], area="dt:worst")
    assert (row["outcome"], row["unit"], row["value"], row["reference"]) == ("evening_peak", "kW", -5.0, 90.0)


def test_sampling_error_by_hand(hand):
    """Energy saved: stratum 0 has R = 9 / 5 kWh, residuals +-0.4, X = 50, xbar = 2.5, f = 0.1:
    v = (50 / 2.5)**2 (1 - 0.1) / 2 * 0.32 = 57.6 kWh2; stratum 5 saves in proportion to consumers: 0. One degree of
    freedom.
    """
    row = one(hand[0], outcome="energy_saved", area="state")
    assert row["kind"] == "sampling"
    t_of_the_expansion = 6.0057037  # Student's t, 95 %, one degree of freedom (exact 6.3138)
    reach_gwh = t_of_the_expansion * np.sqrt(57.6) / 1e6
    assert row["high"] - row["value"] == pytest.approx(reach_gwh)
    assert row["value"] - row["low"] == pytest.approx(reach_gwh)


def test_what_has_no_feeder_data_has_no_sampling_row(hand):
    assert one(hand[0], outcome="purchase_cost")["kind"] == "none"
    assert one(hand[0], area="dt:worst")["kind"] == "none"


@pytest.mark.parametrize(
    ("group", "value"),
    [
        ("category/kutir_jyoti", 0.0),
        ("category/ds1", 10.0),
        ("category/ds1/class/3", 10.0),
        ("category/ds2/class/5", -60.0),
        ("category/nds2", 100.0),
        # weights: kutir 21, ds1 31, ds2 10, nds2 6, hts1 1
        ("all", (31 * 10 - 10 * 60 + 6 * 100 + 5000) / 69),
    ],
)
def test_bill_changes_by_group(hand, group, value):
    response = one(hand[0], outcome="bill_response", area="state", group=group)
    unchanged = one(hand[0], outcome="bill_unchanged", area="state", group=group)
    surplus = one(hand[0], outcome="surplus", area="state", group=group)
    assert response["value"] == pytest.approx(value)
    assert unchanged["value"] == pytest.approx(2 * value)
    assert surplus["value"] == pytest.approx(-value)
    assert {row["reference"] for row in (response, unchanged, surplus)} == {200.0}
    assert response["unit"] == "INR/month"


def test_a_district_counts_its_own_consumers_once(hand):
    row = one(hand[0], outcome="bill_response", area="district:Sheohar", group="all")
    assert row["value"] == pytest.approx((0 + 10 + 100 + 5000) / 4)


def test_money_of_the_window(hand):
    """69 consumers; revenue 35.00 under flat, and 0.50 less plus the gain in paise under tod."""
    gain = (31 * 10 - 10 * 60 + 6 * 100 + 5000) / 100
    revenue = one(hand[0], outcome="revenue", area="state")
    assert revenue["reference"] == pytest.approx(69 * 35)
    assert revenue["value"] == pytest.approx(gain - 69 * 0.5)
    assert one(hand[0], outcome="subsidy", area="state")["value"] == pytest.approx(69)
    assert one(hand[0], outcome="duty", area="state")["value"] == 0.0
    assert one(hand[0], outcome="consumer_payment", area="state")["value"] == pytest.approx(gain - 69 * 1.5)


def test_bills_of_two_months_are_averaged_by_days():
    run = hand_run()
    bills = []
    for case, first, second in ((0, 100, 100), (1, 130, 190)):
        early = bill_row(case, 10, first, first, 0)
        late = bill_row(case, 10, second, second, 0)
        bills += [
            {**early, "period_start": date(2026, 6, 29), "period_end": date(2026, 6, 30)},
            {**late, "period_start": date(2026, 7, 1), "period_end": date(2026, 7, 1)},
        ]
    effects, _ = effects_of(run.replaced(bills=arrow("bills", bills)))
    row = one(effects, outcome="bill_response", area="state", group="all")
    assert row["value"] == pytest.approx((2 * 30 + 90) / 3)


def test_moved_leaves_out_what_is_saved():
    assert moved(np.array([-10.0, -20.0, 0.0]), 1.0) == 0.0
    assert moved(np.array([8.0, -8.0]), 0.25) == 2.0
    assert moved(np.array([5.0, -8.0]), 1.0) == 5.0


def test_intervals_by_number_of_replicates():
    assert over_replicates([3.0]).kind == "none"
    few = over_replicates([3.0, -1.0, 2.0])
    assert (few.low, few.high, few.kind) == (-1.0, 3.0, "range")
    assert over_replicates(np.arange(18.0)).kind == "range"
    many = over_replicates(np.arange(19.0))
    assert (many.low, many.high, many.kind) == (0.0, 18.0, "draws_and_parameters")  # k / (n + 1) = 5 and 95 %
    more = over_replicates(np.arange(99.0))
    assert (more.low, more.high) == (pytest.approx(4.0), pytest.approx(94.0))


def test_replicates_are_paired_and_the_sampling_row_stands_beside_the_range():
    run = hand_run()
    used = {f: [100.0, 100.0, 200.0, 150.0] for f in range(1, 7)}
    system, feeders, dts, bills = [], [], [], []
    for case, lift in enumerate((0.0, 50.0, -10.0, 30.0)):  # flat 0, flat 1, tod 0, tod 1
        system += system_rows(case, [100 + lift, 100, 200 + lift, 180], 2.0, 0.0)
        feeders += feeder_rows(case, used, 1.0)
        dts += [{**row, "case": case} for row in run.tables["transformers"].to_pylist() if row["case"] == 0]
        bills += [{**row, "case": case} for row in run.tables["bills"].to_pylist() if row["case"] == 0]
    run = run.replaced(
        cases=cases(("flat", "tod"), 2),
        system=arrow("system", system),
        feeders=arrow("feeders", feeders),
        transformers=arrow("transformers", dts),
        bills=arrow("bills", bills),
    )
    effects, _ = effects_of(run)
    spread, sampling = sorted(rows_of(effects, outcome="evening_peak", area="state"), key=lambda row: row["kind"])
    assert (spread["kind"], spread["low"], spread["high"], spread["value"]) == ("range", -20.0, -10.0, -15.0)
    assert spread["reference"] == 235.0
    assert (sampling["kind"], sampling["value"]) == ("sampling", -15.0)
    assert sampling["low"] == sampling["high"] == -15.0  # no feeder changed


def test_a_run_of_all_feeders_has_no_sampling_rows():
    run = hand_run()
    rows = [{**row, "resolved": True, "sampled": False, "weight": 1.0} for row in run.tables["feeder_list"].to_pylist()]
    run = run.replaced(feeder_list=arrow("feeder_list", rows[:6]))
    run.scenario = {**run.scenario, "grid": {"resolve": "all"}}
    effects, _ = effects_of(run)
    assert set(effects.column("kind").to_pylist()) == {"none"}
    assert "district:Patna" in effects.column("area").to_pylist()


def test_one_arm_gives_empty_tables():
    run = hand_run()
    effects, gains = effects_of(run.replaced(cases=cases(("flat",), 1)))
    assert (effects.num_rows, gains.num_rows) == (0, 0)
    assert effects.schema.equals(arrow_schema("effects"))


@pytest.mark.parametrize("table", ["system", "feeders", "transformers", "bills"])
def test_a_missing_table_is_named(table):
    run = hand_run()
    with pytest.raises(RunFolderError, match=f'tables/{table}: has no rows where "case" = 0'):
        effects_of(run.replaced(**{table: arrow_schema(table).empty_table()}))


def test_an_unfinished_experiment_is_refused():
    run = hand_run()
    with pytest.raises(RunFolderError, match="3 cases do not fill 1 sweep points x 2 arms x 2 replicates"):
        effects_of(run.replaced(cases=cases(("flat", "tod"), 2).slice(0, 3)))


def test_bills_of_other_consumers_are_refused():
    run = hand_run()
    bills = [row for row in run.tables["bills"].to_pylist() if (row["case"], row["consumer_id"]) != (1, 13)]
    with pytest.raises(RunFolderError, match="case 1 bills other consumers"):
        effects_of(run.replaced(bills=arrow("bills", bills)))


def test_gains_by_hand():
    """ds1 class 3: weights 1, 10, 10; the changes of one consumer each are set to 60, 0.5, -2 Rs a month."""
    run = hand_run()
    change = {11: 60.0, 14: 0.5, 16: -2.0}
    bills = [bill_row(case, c, 200 + case * change.get(c, 0.0), 200, 0.0) for c, *_ in CONSUMERS for case in (0, 1)]
    _, gains = effects_of(run.replaced(bills=arrow("bills", bills)))
    row = one(gains, measure="response", category="ds1", income_class=3)
    assert row["consumers"] == 21.0
    shares = [row[f"share_{name}"] for name in ("more_50", "more", "same", "less", "less_50")]
    assert shares == pytest.approx([1 / 21, 1 / 21, 10 / 21, 10 / 21, 0.0])
    assert row["mean_inr"] == pytest.approx((60 + 5 - 20) / 21)
    assert row["p50"] is None  # three simulated consumers are too few
    assert one(gains, measure="unchanged", category="ds1", income_class=3)["share_same"] == 1.0
    assert {r["measure"] for r in gains.to_pylist()} == {"unchanged", "response", "surplus"}


def test_bills_of_discoms_by_hand(hand):
    """NBPDCL: 54 consumers by weight with the HT one of its district: six homes of ds1 and shops 12, hts1 30; no change
    for kutir_jyoti. SBPDCL: ten ds2 homes and five shops.
    """
    north = one(hand[0], outcome="bill_response", area="discom:NBPDCL", group="all")
    assert north["value"] == pytest.approx((31 * 10 + 100 + 5000) / 54)
    assert north["reference"] == pytest.approx(200)
    south = one(hand[0], outcome="bill_response", area="discom:SBPDCL", group="all")
    assert south["value"] == pytest.approx((10 * -60 + 5 * 100) / 15)
    assert south["kind"] == "sampling"
    assert south["low"] < south["value"] < south["high"]


def test_money_of_discoms_is_that_of_the_state(hand):
    """Every consumer belongs to one of them; sampled feeders of one discom add nothing to the other's error."""
    for outcome in ("revenue", "subsidy", "duty", "consumer_payment"):
        own = [one(hand[0], outcome=outcome, area=f"discom:{name}", group="all") for name in ("NBPDCL", "SBPDCL")]
        state = one(hand[0], outcome=outcome, area="state", group="all")
        for key in ("value", "reference"):
            assert sum(row[key] for row in own) == pytest.approx(state[key])
        widths = [row["high"] - row["low"] for row in (*own, state)]
        assert max(widths[:2]) >= widths[2] * 0.5


def test_income_classes_hold_homes_of_all_categories(hand):
    homes = one(hand[0], outcome="bill_response", area="state", group="homes")
    assert homes["value"] == pytest.approx((31 * 10 + 10 * -60) / (21 + 31 + 10))
    for klass, change in ((1, 0.0), (3, 10.0), (4, 10.0), (5, -60.0)):
        assert one(hand[0], outcome="bill_response", area="state", group=f"class/{klass}")["value"] == pytest.approx(
            change
        )
    assert rows_of(hand[0], outcome="bill_response", group="class/0") == []
