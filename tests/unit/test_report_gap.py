"""Figure 6b: what a unit costs and what comes in for it; what is not included is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report_fixture import Made, make_run
from tests.unit.test_report_atc import plain
from twin.report.catalogue import Catalogue
from twin.report.facts import Facts
from twin.report.figures import gap, money
from twin.report.numbers import NBSP
from twin.results.reader import open_run


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    made = Made(days=1, replicates=2, atc=True, months_complete=True)
    return Facts(open_run(str(make_run(tmp_path_factory.mktemp("gap") / "run", made))), Catalogue())


STATE = {
    "purchase_inr_per_kwh_input": 5.2, "purchase_inr_per_kwh": 6.5, "revenue_inr_per_kwh": 8.0,
    "subsidy_inr_per_kwh": 3.0, "collected_inr_per_kwh": 7.5,
}  # fmt: skip


@pytest.mark.parametrize("collected", [7.5, None])
def test_pieces_add_up_to_cost_and_revenue(collected: float | None) -> None:
    bars = dict(gap.pieces(STATE | {"collected_inr_per_kwh": collected}))
    assert sum(size for _, size in bars["cost"]) == pytest.approx(6.5)
    assert dict(bars["cost"])["losses"] == pytest.approx(1.3)
    assert sum(size for _, size in bars["revenue"]) == pytest.approx(8.0)
    assert ("collected" in bars) == (collected is not None)


def test_the_figure_says_the_gap_and_what_is_not_in_it(facts: Facts) -> None:
    figure = gap.build(facts)
    assert figure is not None
    assert figure.title.replace(NBSP, " ") == "A unit billed leaves Rs 1.00 after the purchase of energy"
    text = plain(figure.help)
    assert "Not in it: wires, staff, interest, depreciation and transmission charges" in text
    assert (
        "The regulator approved Rs 8.30 per unit for all costs of supply (FY2023-24): revenue is Rs 0.30 below" in text
    )
    assert "shaped changes the gap by +2.0 paise per kWh billed (+1.0 to +3.0; range of 2 draws)." in text
    assert "tod changes the gap by +0.7 paise" in text
    assert "does not model payments" not in text
    (chart,) = figure.charts
    assert [shape["x0"] for shape in chart.layout["shapes"]] == [8.3]
    ends = [trace["base"][0] + trace["x"][0] for trace in chart.data]
    assert ends == pytest.approx([5.2, 6.5, 5.0, 8.0, 7.5])
    assert [row[:2] for row in figure.table.rows][:3] == [("Bihar", arm) for arm in ("flat", "tod", "shaped")]


def test_the_money_figure_no_longer_misses_the_gap(facts: Facts, tmp_path: Path) -> None:
    with_gap = money.build(facts)
    assert with_gap is not None
    assert "Gap per kWh" not in plain(with_gap.help)
    short = Facts(open_run(str(make_run(tmp_path / "run", Made(days=1, replicates=2)))), Catalogue())
    without = money.build(short)
    assert without is not None
    assert "Gap per kWh" in plain(without.help)
    assert gap.build(short) is None
