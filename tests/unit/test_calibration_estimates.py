"""Estimates beside published figures: by hand on made runs, and only from runs that hold the period."""

import datetime as dt

import numpy as np
import pytest

from tests.analysis_fixture import CONSUMERS, arrow, feeder_list
from tests.unit.test_atc import USED_KWH, made_run, with_payments
from twin.analysis.atc import atc_tables
from twin.analysis.calibration import parse_window, windows
from twin.analysis.calibration_season import EPOCH, days_of_window, season_peaks
from twin.analysis.calibration_year import _slopes, year_estimates
from twin.analysis.design import read_experiment
from twin.analysis.frames import read_feeders
from twin.analysis.loads import CaseLoads

WEIGHT = {consumer: weight for consumer, *_, weight in CONSUMERS}


def days_from(first, n):
    start = (first - EPOCH).days
    return np.arange(start, start + n, dtype=np.int32)


def a_year(run):
    run.scenario["time"] |= {"days": 365}
    return run


def estimates_of(run):
    return year_estimates(CaseLoads(run, read_feeders(run)), read_experiment(run))


def test_a_window_is_held_only_with_all_of_its_days():
    window = parse_window("09-01 to 09-30")
    held = days_of_window(window, days_from(dt.date(2024, 4, 1), 365))
    assert (held[0], held[-1]) == ((dt.date(2024, 9, 1) - EPOCH).days, (dt.date(2024, 9, 30) - EPOCH).days)
    assert days_of_window(window, days_from(dt.date(2024, 9, 2), 394)) is not None  # the next year's
    assert days_of_window(window, days_from(dt.date(2024, 9, 2), 200)) is None
    assert days_of_window(window, np.delete(days_from(dt.date(2024, 9, 1), 30), 12)) is None


def test_windows_of_the_split_are_those_of_season_peaks():
    assert set(windows()) == {"september_peak_mw", "winter_peak_mw"}


@pytest.mark.parametrize("text", ["September", "09-01", "09-01 to 09", "09-01-24 to 09-30-24"])
def test_other_windows_are_refused(text):
    with pytest.raises(ValueError, match="unpack|literal"):
        parse_window(text)


def test_a_season_s_peak_is_the_highest_intake_of_its_days():
    """The made run is 8 June, with 35 MW at its highest step and 10 kW on each sampled feeder's three losses."""
    run = made_run()
    loads = CaseLoads(run, read_feeders(run))
    june = {"june_peak_mw": parse_window("06-08 to 06-08"), "may_peak_mw": parse_window("05-08 to 05-08")}
    peaks = season_peaks(loads, [0], june)
    assert set(peaks) == {"june_peak_mw"}
    assert peaks["june_peak_mw"].value == 35.0
    sampled = loads.case(0).sampled_sent_mw[:, 2]
    assert (peaks["june_peak_mw"].error, peaks["june_peak_mw"].freedom) == loads.feeders.sample.error(sampled)


def test_other_runs_than_a_year_have_no_year_s_figures():
    assert estimates_of(made_run()) == {}
    assert estimates_of(a_year(made_run(complete=False))) == {}


def test_money_of_a_year_by_hand():
    """69 consumers by weight: each pays Rs 27 and has Rs 10 of subsidy in the made run's only bill."""
    run = a_year(made_run())
    rows = [row | {"total_paise": 2700, "subsidy_paise": 1000} for row in run.tables["bills"].to_pylist()]
    found = estimates_of(run.replaced(bills=arrow("bills", rows)))
    assert found["revenue_crore"].value == pytest.approx(69 * 27 / 1e7)
    assert found["subsidy_crore"].value == pytest.approx(69 * 10 / 1e7)
    # one bill each: proportional to the number of consumers, which is the auxiliary variable itself
    assert found["revenue_crore"].error == pytest.approx(0.0, abs=1e-15)


def test_efficiencies_are_those_of_the_table_of_losses():
    run = a_year(with_payments(made_run(metered_share=0.8, jitter=0.3), total_paise=10_000))
    feeders = read_feeders(run)
    loads = CaseLoads(run, feeders)
    table = {row["part"]: row for row in atc_tables(loads, read_experiment(run), feeders)[0].to_pylist()}
    found = estimates_of(run)
    assert found["billing_efficiency_percent"].value == pytest.approx(table["billed"]["percent_of_input"])
    assert found["atc_state_percent"].value == pytest.approx(100 - table["collected"]["percent_of_input"])
    for name in ("billing_efficiency_percent", "atc_state_percent", "atc_nbpdcl_percent", "atc_sbpdcl_percent"):
        assert found[name].error > 0


def test_a_discom_counts_its_ht_consumers():
    """With 80 % of use on registers and payments in full, a discom's loss is 1 - 0.8 used / (scaled) input."""
    run = a_year(with_payments(made_run(metered_share=0.8)))
    found = estimates_of(run)
    used = {discom: 0.0 for discom in ("NBPDCL", "SBPDCL")}
    discom_of = {row["feeder_id"]: row["discom"] for row in feeder_list().to_pylist()}
    discom_of[-1] = "NBPDCL"  # the HT consumer is of Sheohar
    for consumer, feeder, *_ in CONSUMERS:
        used[discom_of[feeder]] += WEIGHT[consumer] * USED_KWH[consumer] / 1e3
    heads = {"NBPDCL": 22, "SBPDCL": 10}  # feeders by weight, of which each loses 3 x 10 kW in four hours
    taken = {discom: used[discom] + heads[discom] * 0.12 for discom in used}
    state_input = 120.0 - 4.0  # MWh: 100 used and five losses of 1 MW in four hours, less the one above
    for discom in used:
        efficiency = 0.8 * used[discom] / (taken[discom] * state_input / sum(taken.values()))
        ce = 1 - (found[f"atc_{discom.lower()}_percent"].value / 100 - 1 + efficiency) / efficiency
        assert 0.5 < ce <= 1.0 + 1e-9


def test_a_feeder_s_energy_is_priced_at_its_hour():
    """Within a group: 5 INR/kWh of the first 20 MWh and 3 of what is above; where intake stands still, the mean."""
    sent = np.array([21.0, 23.0, 26.0, 30.0, 30.0])
    cost = np.array([103.0, 109.0, 118.0, 120.0, 120.0])
    assert _slopes(sent, cost, np.array([0, 0, 0, 1, 1])) == pytest.approx([3.0, 4.0])
