"""Figure 6c: arms and outcomes in one table, every cell with its interval and its kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report_fixture import Made, make_run
from tests.unit.test_report_atc import facts_of, plain
from twin.report.facts import Facts
from twin.report.figures import compared
from twin.report.figures.gains import too_few_groups
from twin.report.numbers import MINUS, NBSP


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return facts_of(make_run(tmp_path_factory.mktemp("compared") / "run", Made(days=1, replicates=2)))


def table_of(facts: Facts) -> dict[tuple[str, str], list[str]]:
    figure = compared.build(facts)
    assert figure is not None
    return {(row[0], row[1]): [str(cell).replace(NBSP, " ") for cell in row[2:]] for row in figure.table.rows}


def test_cells_hold_value_interval_and_kind(facts: Facts) -> None:
    rows = table_of(facts)
    own, tod, shaped = rows["Money", "Revenue of the discoms"]
    assert own == "Rs 620 crore"
    assert shaped == f"Rs {MINUS}41 crore ({MINUS}62 to {MINUS}20; range of 2 draws)"
    assert tod.startswith(f"Rs {MINUS}14 crore")
    assert rows["Network", "DT overload hours"][0] == "61,000 h"
    peak = rows["Network", "Evening peak"][2]
    assert "MW (" in peak
    assert peak.endswith("range of 2 draws)")


def test_discoms_classes_and_homes_are_rows(facts: Facts) -> None:
    rows = table_of(facts)
    assert rows["NBPDCL", "Mean bill, Rs a month"][2] == "+0.8 (+0.4 to +1.2; range of 2 draws)"
    assert rows["NBPDCL", "Revenue of the discoms"][0] == "Rs 300 crore"
    head = "Mean bill, Bihar, Rs a month"
    assert rows[head, "Homes of income class 3"][0] == "150.00"
    assert (head, "Rural homes (DS-I)") in rows
    homes = {name: cells for (first, name), cells in rows.items() if first == "Homes"}
    assert set(homes) == {"pay over Rs 1 a month more", "pay the same", "pay over Rs 1 a month less"}
    assert homes["pay the same"][0] == ""


def test_small_groups_show_no_number(facts: Facts) -> None:
    assert "category/hts1" in too_few_groups(facts)
    assert "category/ds1" not in too_few_groups(facts)


def test_nothing_is_exactly_zero_in_words_and_one_arm_is_not_compared(tmp_path: Path) -> None:
    made = Made(days=1, replicates=2, arms=("flat", "tod"), strength=(0.0, 0.0))
    rows = table_of(facts_of(make_run(tmp_path / "zero", made)))
    assert rows["Network", "Evening peak"][1] == "exactly zero"
    alone = facts_of(make_run(tmp_path / "one", Made(days=1, replicates=1, arms=("flat",), strength=(0.0,))))
    assert compared.build(alone) is None


def test_one_draw_is_said_to_be_one(tmp_path: Path) -> None:
    single = facts_of(make_run(tmp_path / "run", Made(days=1, replicates=1)))
    assert table_of(single)["Money", "Power purchase cost"][2].endswith("(one draw, not estimated)")
    figure = compared.build(single)
    assert figure is not None
    assert "who gains, who loses" in plain(figure.help)
    assert {row[1] for row in figure.csv_rows} >= {"evening_peak", "revenue", "bill_response"}


def test_who_is_on_a_tariff_that_one_may_choose(facts: Facts, tmp_path: Path) -> None:
    """30 of 100 homes that stand for two each join the last arm, and none of 100 shops: 60 of 300."""
    head = "On the tariff, of those it is for"
    chosen = table_of(facts_of(make_run(tmp_path / "run", Made(days=1, replicates=2, joined=0.3))))
    assert chosen[head, "All consumers"] == ["", "", "20 %"]
    assert chosen[head, "Homes of income class 3"] == ["", "", "30 %"]
    assert (head, "Homes of income class 4") not in chosen
    assert not any(first == head for first, _ in table_of(facts))
