"""The report of a run whose scenario leaves tables out says what is missing and why, and nothing that is not so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.report_fixture import Made, make_run
from twin.report.catalogue import Catalogue
from twin.report.causes import cause
from twin.report.comparison.members import open_members
from twin.report.facts import Facts
from twin.report.figures.prices import home_share_at_zero
from twin.report.page import render
from twin.results.commits import read_commits, write_commit
from twin.results.reader import Run, open_run

BILLS = {"revenue", "subsidy", "duty", "consumer_payment", "bill_unchanged", "bill_response", "surplus"}


def run_without(folder: Path, made: Made, *tables: str) -> Run:
    """A made run without some tables, of which the scenario says so."""
    asked = [name for name in ("consumers", "bills", "feeders", "transformers") if name not in tables]
    made.scenario = {"output": {"tables": [*asked, "system"]}}
    make_run(folder, made)
    run = open_run(str(folder))
    gone = {*tables, *(("gains",) if "bills" in tables else ())}
    (commit,) = read_commits(run.storage)
    files = tuple(record for record in commit.files if record.table not in gone)
    if "bills" in tables:
        rows = run.query(f"select * from effects where outcome not in {tuple(sorted(BILLS))}")  # noqa: S608
        effects = run.storage.write_table("tables/effects/rest.parquet", "effects", rows)
        files = (*(record for record in files if record.table != "effects"), effects)
    write_commit(run.storage, type(commit)(commit.key, commit.attempt + 1, files))
    return open_run(str(folder))


def words(page: str) -> str:
    body = page[page.index("<main>") :]
    body = re.sub(r"<script.*?</script>", "", body, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def section(page: str, name: str) -> str:
    start = page.index(f'<section class="part" id="{name}"')
    return words("<main>" + page[start : page.index("</section>", start)])


def test_a_run_without_bills_says_so_where_bills_would_stand(tmp_path: Path) -> None:
    page = render(run_without(tmp_path / "run", Made(days=1, replicates=2), "consumers", "bills"))
    text = words(page)
    answer = text[: text.index("Key figures")]
    assert "its scenario does not ask for bills" in answer
    assert "this run does not hold" not in answer
    tiles = text[text.index("Key figures") : text.index("Figure 1")]
    assert tiles.count("not written: output.tables") == 2
    assert "output.tables of its scenario leaves out: consumers, bills" in section(page, "gains")
    assert "Figure" not in section(page, "gains")
    assert "output.tables" not in section(page, "stress")


def test_a_run_that_holds_all_says_nothing_of_it(tmp_path: Path) -> None:
    make_run(tmp_path / "run", Made(days=1, replicates=2))
    text = words(render(open_run(str(tmp_path / "run"))))
    assert "output.tables" not in text


def test_a_run_without_transformers_and_feeders_says_so_under_stress(tmp_path: Path) -> None:
    run = run_without(tmp_path / "run", Made(days=1, replicates=1), "transformers", "feeders")
    found = section(render(run), "stress")
    assert "leaves out: transformers" in found
    assert "leaves out: feeders" in found
    assert "Figure" not in found


def test_one_arm_has_no_bills_to_miss(tmp_path: Path) -> None:
    made = Made(days=1, replicates=1, arms=("flat",), strength=(0.0,))
    page = render(run_without(tmp_path / "run", made, "consumers", "bills"))
    assert "output.tables" not in words(page)
    assert 'id="gains"' not in page


@pytest.mark.parametrize("gone", [(), ("consumers", "bills")])
def test_homes_are_weighed_by_the_population_with_bills_or_without(tmp_path: Path, gone: tuple[str, ...]) -> None:
    facts = Facts(run_without(tmp_path / "run", Made(days=1, replicates=1), *gone), Catalogue())
    rows = facts.rows(
        "select share_at_zero as share, weight * consumers as n from population join "
        "(select category, income_class, min(share_at_zero) as share_at_zero from prices where arm = 'flat' "
        "group by all) "
        "using (category, income_class) where income_class > 0"
    )
    mean = sum(row["share"] * row["n"] for row in rows) / sum(row["n"] for row in rows)
    plain = sum(row["share"] for row in rows) / len(rows)
    assert home_share_at_zero(facts, facts.reference) == pytest.approx(mean)
    assert abs(mean - plain) > 0.005, "the made population tells weighed from not weighed"


def test_an_unknown_sampling_error_is_not_called_none(tmp_path: Path) -> None:
    row: dict[str, Any] = {"id": "C02", "value": 7000.0, "target_low": 8303.0, "target_high": 8428.0}
    row |= {"low": None, "high": None, "unit": "MW"}
    texts = []
    for name, gone in (("all", ()), ("no", ("feeders",))):
        facts = Facts(run_without(tmp_path / name, Made(days=1, replicates=1), *gone), Catalogue())
        texts.append(cause(facts, row, 0))
    assert "It has no sampling error" in texts[0]
    assert "Its sampling error is not known" in texts[1]


def test_runs_of_other_people_are_told_apart_without_a_row_per_consumer(tmp_path: Path) -> None:
    """Fewer draws are the same people; one consumer more of a group, or another use, is not."""
    runs = [("a", run_without(tmp_path / "a", Made(days=1, replicates=1), "consumers", "bills"))]
    runs.append(("b", run_without(tmp_path / "b", Made(days=1, replicates=2), "consumers", "bills")))
    other = run_without(tmp_path / "c", Made(days=1, replicates=3), "consumers", "bills")
    rows = other.table("population").to_pylist()
    rows[3]["annual_kwh"] += 1.0
    schema = other.table("population").schema
    record = other.storage.write_table(
        "tables/population/other.parquet", "population", schema.empty_table().from_pylist(rows, schema=schema)
    )
    commit = read_commits(other.storage)[0]
    files = (*(r for r in commit.files if r.table != "population"), record)
    write_commit(other.storage, type(commit)(commit.key, commit.attempt + 1, files))
    runs.append(("c", open_run(str(tmp_path / "c"))))
    first, same, another = open_members(runs, Catalogue())
    assert first.population == same.population
    assert first.population[0] > 0
    assert first.population != another.population
