"""What figures say beside their charts: causes of misses, notices, assumed marks, arms in words, prices, losses."""

from __future__ import annotations

import base64
import json
import re
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.report_fixture import TOD, Made, make_run, read_embedded
from twin.report import arms, causes, quality
from twin.report.catalogue import Catalogue
from twin.report.effects import Effect, Interval
from twin.report.facts import Facts
from twin.report.figures import (
    calibration,
    gains_share,
    glance,
    losses,
    matrix,
    money,
    prices,
    sensitivity,
    stress,
    supply,
)
from twin.report.front import front_page
from twin.report.numbers import MINUS, NBSP, rupees
from twin.report.page import render
from twin.results.reader import open_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("figures") / "run", Made(sensitivity=True))


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return render(open_run(str(folder)))


@pytest.fixture
def facts(folder: Path) -> Facts:
    return Facts(open_run(str(folder)), Catalogue())


def published(**changed: Any) -> dict[str, Any]:
    row = {"id": "C02", "quantity": "Peak demand met", "unit": "MW", "target_low": 8303.0, "target_high": 8428.0}
    return row | {"value": 7963.0, "low": 7559.0, "high": 8368.0, "confidence": "found", "fitted": True} | changed


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "The sampling interval (7,559 to 8,368) reaches the published range"),
        ({"high": 8100.0}, "The sampling interval (7,559 to 8,100) does not reach the published range"),
        ({"low": None, "high": None}, "It has no sampling error"),
        ({}, "Likely cause, not tested: the value is the highest of 30 expected June evenings"),
        ({"value": 9000.0, "low": 8400.0, "high": 9600.0}, "reaches the published range"),
        ({"value": 9000.0, "low": 8400.0, "high": 9600.0}, "what was not served on that evening is not in it"),
        ({"id": "C99"}, "No cause is known."),
        ({"id": "C23"}, "an assumed split of totals that do not close by themselves [assumed]"),
    ],
)
def test_a_figure_outside_its_range_says_why(facts: Facts, changed: dict[str, Any], words: str) -> None:
    assert words in causes.cause(facts, published(**changed), 0)


def test_every_miss_has_a_sentence_and_other_figures_are_named(facts: Facts) -> None:
    figure = calibration.build(facts)
    assert figure is not None
    lines = [str(line).replace(NBSP, " ") for line in figure.help]
    missed = [line for line in lines if line.startswith("Missed: ")]
    near = [line for line in lines if line.endswith("within their limits; see the table.")]
    assert [line.split(": ")[1] for line in missed] == ["AT&C loss, state", "Homes within 125 kWh"]
    assert "Homes within 125 kWh: the twin gives 14.9 million, below the published 16.8 million" in missed[1]
    assert [line.split(": ")[0] for line in near] == ["Later 2025 record"]
    assert all("Likely cause" in line or "No cause is known." in line for line in missed)
    assert lines[-1].endswith("inside the published range.")
    assert figure.title.replace(NBSP, " ") == ("Figures within limits: 2 of 2 fitted, 3 of 5 held out")
    limits = {row[0]: row[7] for row in figure.table.rows}
    assert limits["AT&C loss state"].replace(NBSP, " ") == "0.5 points"
    assert limits["Hour of the peak"].replace(NBSP, " ") == "1 h"
    assert limits["Later 2025 record"].replace(NBSP, " ") == "10 %"


def test_hours_are_read_as_clock_times(facts: Facts) -> None:
    figure = calibration.build(facts)
    assert figure is not None
    row = next(line for line in figure.table.rows if line[0] == "Hour of the peak")
    assert (row[2], row[3], row[4]) == ("IST", "21:45 to 22:30", "21:54")


def test_every_chart_carries_the_notice_in_the_block_that_is_kept_together(page: str) -> None:
    blocks = re.findall(r'<section class="figure".*?<div class="notes">', page, re.S)
    assert len(blocks) >= 12
    for block in blocks:
        assert "Model result on a synthetic network; no real feeder, DT or consumer is shown." in block


def test_figures_and_tiles_mark_the_assumed_numbers_they_rest_on(page: str) -> None:
    load = page[page.index('id="fig02"') : page.index('id="fig02-table"')]
    assert '<a class="assumed" href="#assumed-response">price response [assumed]</a>' in load
    tiles = page[page.index('class="tiles"') : page.index("</ul>", page.index('class="tiles"'))]
    assert tiles.count("[assumed]") == 5
    assert tiles.rindex("[assumed]") < tiles.index("Energy ledger")


def test_every_link_inside_the_page_has_a_target(page: str) -> None:
    targets = set(re.findall(r'href="#([\w-]+)"', page))
    assert {"assumed-response", "assumed-tariff", "assumed-network"} <= targets
    assert targets <= set(re.findall(r'\bid="([\w-]+)"', page))


def test_assumed_numbers_are_listed_once_by_what_they_act_on(facts: Facts) -> None:
    groups = {group.anchor: [row.name for row in group.rows] for group in quality.assumed_groups(facts)}
    assert groups["assumed-response"] == ["substitution_urban_home", "daily_urban_home"]
    assert groups["assumed-tariff"] == ["tariff.bihar-2026-27.prepaid_rebate.inr_per_kwh"]
    assert sum(len(names) for names in groups.values()) == len(facts.assumed)


def test_long_lists_stay_out_of_the_print_and_conventions_are_listed_once(tmp_path: Path) -> None:
    entry = {"value": "1", "confidence": "assumed", "source": "x"}
    names = [f"demand.x{i}" for i in range(61)] + ["tariff.x", "analysis.billed_of_used"]
    made = Made(replicates=1, days=1, manifest={"assumed": [{"name": name, **entry} for name in names]})
    text = render(open_run(str(make_run(tmp_path / "run", made))))
    assert '<details class="long-table" id="assumed-consumers-table">' in text
    assert '<details class="figure-table" id="assumed-tariff-table">' in text
    assert text.count("billed_of_used") == 1
    assert "rests on 62 numbers" in text


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("substitution_rural_home", "response"),
        ("tariff.bihar.duty.percent", "tariff"),
        ("synthesis.lv.span_m", "network"),
        ("something.new", "other"),
    ],
)
def test_numbers_are_grouped_by_the_start_of_their_names(name: str, group: str) -> None:
    assert quality.group_of(name) == group


def test_conventions_of_the_study_are_listed_with_their_standing(facts: Facts) -> None:
    rows = {row.name.split(" (")[0]: row for row in quality.conventions(facts)}
    assert rows["evening_start"].value == "17 h"
    assert rows["floor_evening_peak"].value == "0.1 %"
    assert rows["lv_floor"].confidence == "recalled"


EVENTS = {"hours": "19:00-22:00", "dates": [date(2026, 6, 10), date(2026, 6, 11)], "notice_hours": 6.0}


def arm_line(tmp_path: Path, settings: dict[str, Any]) -> str:
    scenario = {"tariff": "bihar-2026-27", "experiment": {"arms": {"flat": {}, "tod": settings}, "replicates": 1}}
    made = Made(arms=("flat", "tod"), strength=(0.0, 0.4), replicates=1, days=1, scenario=scenario)
    words = arms.arm_words(Facts(open_run(str(make_run(tmp_path / "run", made))), Catalogue()))
    assert words[0][1] == "the tariff bihar-2026-27 as it is"
    return words[1][1].replace(NBSP, " ")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"tariff": {"time_of_day": TOD}},
            "energy charge before subsidy ×0.80 in 09:00 to 17:00 (solar hours), ×1.20 in 17:00 to 23:00 (peak hours)",
        ),
        (
            {"tariff": {"time_of_day": {"applies_to": "after_subsidy", "min_kw": 10.0, "requires_smart_meter": True,
                                        "categories": ["ds1", "ds2"], "night": {"hours": "22-06", "multiplier": 0.9}}}},
            "energy charge after subsidy ×0.90 in 22:00 to 06:00 (night), for 2 of 16 categories, "
            "from 10 kW of sanctioned load, with a smart meter",
        ),
        (
            {"tariff": {"free_units": {"per_period": {"peak": 25.0}}}},
            "of the free units at most 25 kWh in peak hours a month",
        ),
        ({"tariff": {"free_units": {"rebate": {"inr_per_kwh": 2.5}}}}, "unused free units are paid Rs 2.50 per kWh"),
        (
            {"tariff": {"free_units": {"weight": "time_of_day"}}},
            "a unit uses up the free block by the multiplier of its hour",
        ),
        (
            {"tariff": {"day_ahead": {"applies_to": "gross", "pass_through": 0.5, "categories": ["ds1"]}}},
            "energy charge before subsidy follows the day-ahead market, 50 % of its deviation from the mean, "
            "for 1 of 16 categories",
        ),
        (
            {"tariff": {"time_of_day": TOD, "critical_peak": {**EVENTS, "multiplier": 4.0}}},
            "energy charge before subsidy ×0.80 in 09:00 to 17:00 (solar hours), ×1.20 in 17:00 to 23:00 (peak hours); "
            "×4.00 in 19:00 to 22:00 on called days (2), known 6 h ahead",
        ),
        (
            {"tariff": {"peak_rebate": {**EVENTS, "inr_per_kwh": 12.5}}},
            "Rs 12.50 per kWh below the usual in 19:00 to 22:00 on called days (2), known 6 h ahead, "
            "with a smart meter",
        ),
        ({"rollout": {"plan": "fast"}}, "rollout.plan = fast"),
        ({f"s{i}": i for i in range(8)}, "s0 = 0; s1 = 1; s2 = 2; s3 = 3; s4 = 4; s5 = 5; 2 more settings"),
    ],
)  # fmt: skip
def test_arms_are_told_in_words(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    assert arm_line(tmp_path, settings) == words


def test_figure_1_draws_what_fits_on_page_one_and_its_table_holds_all(facts: Facts) -> None:
    figure = glance.build(facts)
    assert figure is not None
    drawn = [note["text"] for chart in figure.charts for note in chart.layout["annotations"] if "<b>" in note["text"]]
    assert drawn == [
        "<b>Evening peak, Bihar</b>", "<b>Evening peak, Sheohar</b>", "<b>Technical loss, Bihar</b>",
        "<b>DT overload hours, Bihar</b>",
    ]  # fmt: skip
    assert len(figure.table.rows) == 2 * len(drawn) + 2
    assert "2 more effects (other districts, the worst DT) stand in the table." in figure.help


def test_the_table_gives_every_interval_its_own_ends(facts: Facts) -> None:
    figure = glance.build(facts)
    assert figure is not None
    row = next(row for row in figure.table.rows if (row[0], row[1]) == ("Evening peak, Bihar", "shaped"))
    effect = facts.effect("evening_peak", "shaped")
    assert effect is not None
    assert row[4].replace(NBSP, " ") == "range of 5 draws; sampling, 90 %"
    ends = [float(end.replace(MINUS, "-")) for span in row[3].split("; ") for end in span.split(" to ")]
    relative = effect.in_percent()
    assert relative is not None
    assert ends == pytest.approx([end for part in relative.intervals for end in (part.low, part.high)], abs=0.06)


def price(klass: int, period: str, start: str, end: str, seen: float, zero: float, consumers: float) -> dict[str, Any]:
    row = {"arm": "flat", "category": "ds1", "income_class": klass, "period": period, "start": start, "end": end}
    prices_ = {"gross_inr_per_kwh": 7.42, "subsidy_inr_per_kwh": 4.97, "seen_inr_per_kwh": seen}
    return row | prices_ | {"share_at_zero": zero, "consumers": consumers}


def test_classes_with_another_shape_of_day_do_not_mix_into_the_line() -> None:
    """Rural homes under the tariff in force: four classes on one rate all day, the largest homes on time of day."""
    all_day = [price(k, "normal", "00:00", "24:00", 2.45, share, n) for k, share, n in ((2, 0.7, 50.0), (3, 0.4, 40.0))]
    large = [
        price(5, "normal", "23:00", "09:00", 2.45, 0.1, 10.0),
        price(5, "solar", "09:00", "17:00", 0.97, 0.1, 10.0),
        price(5, "peak", "17:00", "23:00", 3.93, 0.1, 10.0),
    ]
    joined = prices._joined({2: all_day[:1], 3: all_day[1:], 5: large})
    assert [(row["period"], row["seen"]) for row in joined] == [("normal", 2.45)]
    assert joined[0]["at_zero"] == pytest.approx((0.7 * 50 + 0.4 * 40 + 0.1 * 10) / 100)


def test_one_more_unit_costs_nothing_at_the_share_the_table_gives(facts: Facts) -> None:
    figure = prices.build(facts)
    assert figure is not None
    rows = [row for row in figure.csv_rows if (row[0], row[2]) == ("ds1", "flat")]
    assert {row[1] for row in rows} == {2, 3, 4, 5}
    found = re.match(r"One more unit costs (\d+)", figure.title)
    assert found is not None
    gains = facts.rows(
        "select category, income_class, max(consumers) as n from gains where income_class > 0 group by all"
    )
    weights = {(row["category"], row["income_class"]): row["n"] for row in gains}
    shares = {
        (row["category"], row["income_class"]): row["share_at_zero"]
        for row in facts.rows("select * from prices where arm = 'flat' and income_class > 0")
    }
    mean = sum(weights[key] * shares[key] for key in weights) / sum(weights.values())
    assert int(found[1]) == round(100 * mean)


@pytest.mark.parametrize(
    ("change", "low", "high", "words"),
    [
        (0.0, 0.0, 0.0, "changes the total by exactly nothing"),
        (0.001, -0.002, 0.004, "changes the total by less than 0.01 points"),
        (-0.022, -0.039, -0.006, f"{MINUS}0.022 points ({MINUS}0.039 to {MINUS}0.006; range of 5 draws)"),
        (-0.022, None, None, f"changes the total by {MINUS}0.022 points (one draw, not estimated)"),
    ],
)  # fmt: skip
def test_loss_differences_tell_nothing_from_little(
    facts: Facts, change: float, low: float | None, high: float | None, words: str
) -> None:
    intervals = () if low is None or high is None else (Interval("range", low, high, 5),)
    effect = Effect("tod", "technical_loss_share", "state", "all", "percentage points", change, 12.5, intervals, 5)
    facts.__dict__["effects"] = [effect]
    assert words in losses._difference(facts, facts.arm("tod"), change)


def test_titles_lead_with_homes_and_with_the_discoms(facts: Facts) -> None:
    share, bears = gains_share.build(facts), money.build(facts)
    assert share is not None
    assert bears is not None
    assert re.fullmatch(r"Under shaped [\d.]+ % of homes pay more, [\d.]+ % pay less", share.title.replace(NBSP, " "))
    assert bears.title.replace(NBSP, " ") == "Under shaped the discoms receive Rs 41 crore less"
    assert "Not in this run: Capacity value, Gap per kWh." in bears.help


def test_bands_say_how_sure_they_are(facts: Facts) -> None:
    figure = stress.build(facts)
    assert figure is not None
    assert any("band 0.90 to 0.95 [recalled]: outside." in str(line) for line in figure.help)


def test_the_first_arm_keeps_its_colour_in_every_figure(page: str) -> None:
    charts = read_embedded(page, "figures")
    for name in ("fig02-chart1", "fig03-chart1", "fig08-chart1"):
        own = [trace for trace in charts[name]["data"] if trace.get("name") == "flat"]
        assert own
        assert {(trace["line"]["color"], trace["line"]["dash"]) for trace in own} == {("#595959", "dot")}


def test_large_references_are_written_in_lakh(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", Made(overload_hours=463_512.0))
    assert "flat: 4.64 lakh h" in unescape(render(open_run(str(run)))).replace(NBSP, " ")


def test_the_scenario_can_be_saved_and_is_the_resolved_one(folder: Path, page: str) -> None:
    link = re.search(r'download="scenario.yaml" href="data:application/yaml;charset=utf-8;base64,([^"]+)"', page)
    assert link is not None
    assert yaml.safe_load(base64.b64decode(unescape(link[1]))) == open_run(str(folder)).scenario


def test_more_than_five_treatments_stand_as_numbers_by_tariff_period(tmp_path: Path) -> None:
    points = tuple(f'{{"experiment.parameters.substitution_shop": {value}}}' for value in (0.02, 0.05, 0.08))
    made = Made(replicates=2, days=1, points=points)
    facts = Facts(open_run(str(make_run(tmp_path / "run", made))), Catalogue())
    figure = matrix.build(facts)
    assert figure is not None
    assert len(figure.table.rows) == 6
    assert list(figure.table.header) == ["Arm", "peak hours", "solar hours", "normal hours"]
    sql = (
        'select avg(a.sent_mw - b.sent_mw) as mw from system a join cases ca on a."case" = ca."case" '
        'join cases cb on ca.replicate = cb.replicate and ca.sweep = cb.sweep join system b on b."case" = cb."case" '
        "and a.interval_start = b.interval_start where ca.arm = 'shaped' and cb.arm = 'flat' "
        "and ca.sweep like '%0.08%' and hour(a.interval_start) >= 17 and hour(a.interval_start) < 23"
    )
    own = [row[3] for row in figure.csv_rows if row[0].startswith("shaped") and "0.08" in row[0] and row[1] == "peak"]
    assert len(own) == 2
    assert sum(own) / 2 == pytest.approx(facts.rows(sql)[0]["mw"])
    assert figure.table.rows[-1][1].startswith(MINUS)
    assert figure.table.rows[-1][3] == "0"


def test_bars_of_sensitivity_start_at_the_middle_of_the_sweep(tmp_path: Path) -> None:
    """Not at the median of the effects: the fixture's middle point, the first, has the smallest."""
    path = "experiment.parameters.substitution_shop"
    points = tuple(json.dumps({path: value}) for value in (0.05, 0.02, 0.08))
    ends = {"evening_peak": (-300.0, -500.0), "purchase_cost": (-3.0e8, -5.5e8), "subsidy": (1.0, 2.0)}
    rows = [
        {"outcome": outcome, "arm": "shaped", "parameter": path, "low": 0.02, "high": 0.08}
        | {"value_low": low, "value_high": high, "confidence": "assumed"}
        for outcome, (low, high) in ends.items()
    ]
    made = Made(days=1, points=points, extra={"sensitivity": rows})
    facts = Facts(open_run(str(make_run(tmp_path / "run", made))), Catalogue())
    figure = sensitivity.build(facts)
    assert figure is not None
    peak, cost = figure.charts
    assert (peak.caption, cost.caption) == ("Evening peak, MW", "Power purchase cost, Rs crore")
    middle = facts.effect("evening_peak", f"shaped {points[0]}")
    assert middle is not None
    for trace, end in zip(peak.data, ends["evening_peak"], strict=True):
        assert trace["base"] == [pytest.approx(middle.value, abs=1e-3)]
        assert trace["base"][0] + trace["x"][0] == pytest.approx(end, abs=1e-3)
    assert cost.data[1]["base"][0] + cost.data[1]["x"][0] == pytest.approx(-55.0)
    assert [row[0] for row in figure.table.rows] == ["Evening peak, MW", "Power purchase cost, Rs crore"]
    assert [line[5:7] for line in figure.csv_rows] == [(-300.0, -500.0), (-3.0e8, -5.5e8)]


def test_up_to_five_treatments_have_no_matrix(facts: Facts) -> None:
    assert matrix.build(facts) is None


def test_one_arm_fills_all_six_tiles_with_levels(tmp_path: Path) -> None:
    made = Made(arms=("flat",), strength=(0.0,), replicates=1, days=1)
    facts = Facts(open_run(str(make_run(tmp_path / "run", made))), Catalogue())
    names = [tile.name for tile in front_page(facts).tiles]
    assert names == [
        "Highest load, Bihar", "Energy taken in", "Technical losses", "Power purchase cost, one day",
        "Homes at a price of zero", "Energy ledger",
    ]  # fmt: skip
    cost = facts.rows("select sum(purchase_inr) as inr from system")[0]["inr"]
    assert front_page(facts).tiles[3].values == [rupees(cost).indian]


def test_a_run_of_every_feeder_says_that_there_is_no_sampling(tmp_path: Path) -> None:
    made = Made(replicates=2, days=1, sampling=False, scenario={"grid": {"state": "bihar", "resolve": "all"}})
    text = render(open_run(str(make_run(tmp_path / "run", made))))
    assert "<dd>Bihar, every feeder</dd>" in text
    assert "Sampling: none, every feeder is simulated." in text


def test_without_script_the_page_says_what_is_missing(page: str) -> None:
    assert '<noscript><p class="notice">The charts need JavaScript; their tables do not.</p></noscript>' in page


def test_interruptions_are_told_where_there_are_any(tmp_path: Path, facts: Facts) -> None:
    assert supply.build(facts) is None
    rows = [
        {"arm": "flat", "area": "state", "feeders": kind, "measure": measure, "value": value + shift, "low": None,
         "high": None, "unit": "h"}
        for kind, shift in (("all", 0.2), ("rural", 0.0), ("urban", 1.0))
        for measure, value in (("supplied", 22.3), ("saifi", 5.0), ("saidi", 9.0), ("maifi", 3.0), ("unserved", 2.0))
    ]  # fmt: skip
    folder = make_run(tmp_path / "run", Made(replicates=1, days=1, extra={"reliability": rows}))
    figure = supply.build(Facts(open_run(str(folder)), Catalogue()))
    assert figure is not None
    assert figure.title == "Supply of 22.3 h a day in villages and 23.3 h in towns"
    assert len(figure.table.rows) == 15
    assert figure.table.rows[0][-1] == "22.50"
    assert "Under flat consumers have 22.50 h of supply a day" in str(figure.help[2]).replace(NBSP, " ")
    assert len(figure.charts[0].data) == 1
