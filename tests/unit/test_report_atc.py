"""Figures 9b and 9c: the AT&C loss built up from its parts; parts add to the total, and what is missing is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report_fixture import Made, make_run
from twin.report.catalogue import Catalogue
from twin.report.facts import Facts
from twin.report.figures import atc, losses, utility
from twin.report.numbers import NBSP
from twin.report.page import render
from twin.results.reader import open_run

WHOLE = Made(days=1, replicates=2, atc=True, months_complete=True, scenario={"meters": {"devices": True}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("atc") / "run", WHOLE)


def facts_of(folder: Path) -> Facts:
    return Facts(open_run(str(folder)), Catalogue())


def plain(lines: object) -> str:
    return " ".join(str(line) for line in lines).replace(NBSP, " ")  # type: ignore[attr-defined]


@given(st.lists(st.floats(-5, 30), min_size=10, max_size=10), st.floats(0.5, 1.2))
def test_steps_end_at_the_total_whatever_the_parts(sizes: list[float], efficiency: float) -> None:
    """With closure the parts of a table add up to the input; then the last step ends where the total does."""
    shares = dict(zip(list(atc.FILLS)[:8], sizes, strict=False))
    billed = 86.0
    shares |= {"billed": billed, "closure": 100.0 - billed - sum(shares.values())}
    shares |= {"collected": billed * min(efficiency, 1.0), "uncollected": billed * (1.0 - efficiency)}
    shares["over_collected"] = billed * max(efficiency - 1.0, 0.0)
    steps = atc.waterfall(shares)
    assert steps.end == pytest.approx(steps.total, abs=1e-9)
    for place, start in enumerate(steps.starts):
        assert start == pytest.approx(sum(steps.sizes[:place]), abs=1e-9)


def test_without_payments_the_total_is_what_is_not_billed() -> None:
    steps = atc.waterfall({"loss_lv": 8.0, "theft": 5.0, "closure": 0.5, "billed": 86.5, "input": 100.0})
    assert steps.parts == ("loss_lv", "theft", "closure")
    assert (steps.total, steps.end) == (13.5, 13.5)


def test_the_chart_holds_the_table_and_a_published_line(folder: Path) -> None:
    state, discoms = atc.build(facts_of(folder))
    (chart,) = state.charts
    bars = chart.data[0]
    assert bars["x"][-1] == pytest.approx(100 - 0.97 * 86.45, abs=1e-3)
    assert sum(bars["x"][:-1]) == pytest.approx(bars["x"][-1], abs=0.02)
    assert bars["x"][chart.layout["yaxis"]["ticktext"].index("Meter error")] == -0.15
    assert [shape["x0"] for shape in chart.layout["shapes"]] == [15.5]
    assert [shape["x0"] for own in discoms.charts for shape in own.layout["shapes"]] == [14.5, 17.0]
    assert len({tuple(own.layout["xaxis"]["range"]) for own in discoms.charts}) == 1, "panels share one scale"
    assert state.keys[0].words == "published AT&C loss, FY2024-25"


def test_words_say_what_is_billed_and_paid_and_what_arms_change(folder: Path) -> None:
    state, discoms = atc.build(facts_of(folder))
    assert state.title.replace(NBSP, " ") == "AT&C loss is 16.1 % of the energy taken in"
    text = plain(state.help)
    assert "Of 100 units taken in, 86.5 are billed and 83.9 are paid for: the AT&C loss is 16.1 %." in text
    assert "Published for the state: 15.5 % in FY2024-25." in text
    assert "Mean of 2 draws" in text
    assert "tod changes the total by exactly nothing." in text
    assert "Meters are exact" not in text
    assert discoms.title.startswith("NBPDCL loses most: 15.0")


def test_what_a_discom_estimates_stands_beside_the_truth(folder: Path) -> None:
    facts = facts_of(folder)
    figure = utility.build(facts)
    assert figure is not None
    assert figure.title == "From its own data a discom sees 2.9 points of non-technical loss; 5.0 are true"
    text = plain(figure.help)
    assert "It takes 11 % of what comes in for technical loss" in text
    assert "Estimate less truth: \u22122.11 points, of which +1.00 are errors" in text
    assert "\u22123.11 is technical loss" in text
    assert [row[0] for row in figure.table.rows] == ["Bihar", "NBPDCL", "SBPDCL"]
    _, discoms = atc.build(facts)
    for chart in discoms.charts:
        (mark,) = [trace for trace in chart.data if trace["type"] == "scatter"]
        assert mark["x"] == [16.5]
        assert chart.layout["yaxis"]["ticktext"][mark["y"][0]] == "Total"
    assert "what the discom would estimate from its own data" in [key.words for key in discoms.keys]


def test_every_area_of_the_table_adds_up(folder: Path) -> None:
    for figure in atc.build(facts_of(folder)):
        shares: dict[tuple[object, object], dict[object, float]] = {}
        for arm, area, part, _, share in figure.csv_rows:
            shares.setdefault((arm, area), {})[part] = share
        assert shares
        for own in shares.values():
            steps = atc.waterfall(own)  # type: ignore[arg-type]
            assert steps.end == pytest.approx(steps.total, abs=1e-9)
            assert sum(steps.sizes) + own["collected"] == pytest.approx(own["input"], abs=1e-9)


def test_runs_without_a_whole_month_or_bills_say_so_and_show_none(tmp_path: Path) -> None:
    short = facts_of(make_run(tmp_path / "short", Made(days=1, replicates=1)))
    assert atc.build(short) == []
    assert "not reported for runs under one billing month" in plain(losses.build(short).help)  # type: ignore[union-attr]
    bare = facts_of(make_run(tmp_path / "bare", Made(days=1, replicates=1, months_complete=True)))
    assert atc.build(bare) == []
    assert "AT&C loss is not in this run" in plain(losses.build(bare).help)  # type: ignore[union-attr]


def test_exact_meters_are_said_to_be_so(tmp_path: Path) -> None:
    made = Made(days=1, replicates=1, atc=True, months_complete=True)
    state, _ = atc.build(facts_of(make_run(tmp_path / "run", made)))
    assert "Meters are exact in this run" in plain(state.help)


def test_the_page_holds_both_figures(folder: Path) -> None:
    page = render(open_run(str(folder)))
    assert page.index('id="fig09"') < page.index('id="fig09b"') < page.index('id="fig09c"')
    assert "AT&amp;C loss stands in figure 9b." in page
