"""`twin verify`: what counts as passed, what is shown, how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import twin
from twin.cli import app
from twin.errors import InputError, NetworkError, Problem
from twin.verification import registry
from twin.verification.case import Case, Row
from twin.verification.compare import Against
from twin.verification.outcome import FAILED, NOT_RUN, PASSED, all_passed, run_case, run_cases
from twin.verification.registry import all_cases, chosen_cases
from twin.verification.show import as_json, count_line, print_outcomes

DOCS = Path(twin.__file__).parent.parent / "docs" / "verification.md"


def row(ours: float, reference: float = 1.0, tolerance: float = 0.1) -> Row:
    return Row("a-case", "voltage", ours, reference, tolerance, "pu", "by hand")


def case(*rows: Row, needs: tuple[str, ...] = (), name: str = "a-case") -> Case:
    return Case(name, "a group", "ours against a hand solution", lambda: rows, needs)


GOOD, BAD = case(row(1.05), name="good"), case(row(1.0), row(1.2), name="bad")
ABSENT = case(row(1.0), needs=("no_such_package_anywhere",), name="absent")


def fails() -> list[Row]:
    raise NetworkError([Problem("net", "", "no solution", "less load")])


BROKEN = Case("broken", "a group", "has no solution", fails)


@pytest.mark.parametrize(
    ("ours", "reference", "passed"),
    [(1.1, 1.0, False), (1.09, 1.0, True), (0.91, 1.0, True), (0.89, 1.0, False), (np.nan, 1.0, False),
     (1.0, np.nan, False), (np.nan, np.nan, False), (np.inf, np.inf, False)],
)  # fmt: skip
def test_a_row_passes_within_its_tolerance_and_never_without_a_number(
    ours: float, reference: float, passed: bool
) -> None:
    assert row(ours, reference, 0.095).passed is passed


def test_a_row_on_the_edge_of_its_tolerance_passes() -> None:
    assert row(18, 18, 0).passed
    assert not row(17, 18, 0).passed


def test_the_worst_place_stands_for_an_array_and_a_missing_number_is_the_worst() -> None:
    against = Against("a-case", "by hand")
    worst = against.worst("voltage", [[1.0, 0.9], [1.0, 1.01]], [[1.0, 1.0], [1.02, 1.0]], 0.2, "pu")
    assert (worst.ours, worst.reference, worst.passed) == (0.9, 1.0, True)
    assert worst.quantity.endswith("worst of 4")
    assert not against.worst("voltage", [1.0, np.nan, 0.9], [1.0, 1.0, 1.0], 0.2, "pu").passed
    with pytest.raises(ValueError, match="nothing to compare"):
        against.worst("voltage", [1.0, 1.0], [1.0], 0.2, "pu")
    with pytest.raises(ValueError, match="nothing to compare"):
        against.worst("voltage", [], [], 0.2, "pu")
    assert against.share("loss", 99.0, -100.0, 0.01, "kW").tolerance == pytest.approx(1.0)


def test_a_case_passes_only_with_rows_that_all_pass() -> None:
    assert run_case(GOOD).status == PASSED
    assert run_case(BAD).status == FAILED
    assert run_case(case()).status == FAILED
    broken = run_case(BROKEN)
    assert broken.status == FAILED
    assert "no solution" in broken.error


def test_a_case_without_its_package_is_not_run_and_never_counts_as_passed() -> None:
    absent = run_case(ABSENT)
    assert absent.status == NOT_RUN
    assert absent.rows == ()
    assert all_passed([run_case(GOOD), absent])
    assert not all_passed([absent])
    assert not all_passed([run_case(GOOD), run_case(BAD)])
    assert "1 not run for want of no_such_package_anywhere" in count_line([run_case(GOOD), absent])


def test_what_is_printed_shows_both_figures_and_the_verdict() -> None:
    console = Console(width=120, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    heard: list[str] = []
    outcomes = run_cases(
        [GOOD, BAD, ABSENT, BROKEN], lambda done, total, one: heard.append(f"{done}/{total} {one.case.name}")
    )
    print_outcomes(outcomes, console)
    console.file.close()
    text = console.export_text()
    assert re.search(r"voltage +1\.2 +1 +2\.0e-01 +1\.0e-01 +pu +FAIL", text)
    assert re.search(r"voltage +1\.05 +1 +5\.0e-02 +1\.0e-01 +pu +pass", text)
    assert "reference: by hand" in text
    assert "not run: needs no_such_package_anywhere" in text
    assert "1 cases passed, 2 failed; 2 of 3 figures within tolerance" in text
    assert heard == ["1/4 good", "2/4 bad", "3/4 absent", "4/4 broken"]


def test_json_holds_everything_and_null_for_what_is_no_number() -> None:
    found = as_json(run_cases([case(row(np.nan)), GOOD, ABSENT]))
    text = json.loads(json.dumps(found, allow_nan=False))
    assert text["passed"] is False
    assert [one["status"] for one in text["cases"]] == [FAILED, PASSED, NOT_RUN]
    assert text["cases"][0]["rows"][0]["ours"] is None
    good = text["cases"][1]["rows"][0]
    assert (good["ours"], good["reference"], good["tolerance"], good["unit"]) == (1.05, 1.0, 0.1, "pu")
    assert good["passed"] is True
    assert good["source"] == "by hand"
    assert text["cases"][2]["missing"] == ["no_such_package_anywhere"]
    assert text["versions"]["pandapower"][0].isdigit()


def invoke(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["verify", *args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.mark.parametrize(("cases", "code"), [((GOOD,), 0), ((GOOD, BAD), 1), ((GOOD, ABSENT), 0), ((BROKEN,), 1)])
def test_the_exit_code_says_whether_all_passed(
    monkeypatch: pytest.MonkeyPatch, cases: tuple[Case, ...], code: int
) -> None:
    monkeypatch.setattr(registry, "all_cases", lambda: cases)
    assert invoke()[0] == code


def test_nothing_that_can_be_run_is_an_error_of_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "all_cases", lambda: (GOOD, ABSENT))
    with pytest.raises(InputError, match="needs no_such_package_anywhere; pip install"):
        invoke("--case", "absent")


def test_a_real_case_through_the_command_line() -> None:
    code, text = invoke("--json", "--case", "two-bus-power", "--case", "33-bus-base")
    found = json.loads(text)
    assert code == 0
    assert [one["name"] for one in found["cases"]] == ["two-bus-power", "33-bus-base"]
    loss = found["cases"][1]["rows"][0]
    assert loss["reference"] == 202.68
    assert loss["ours"] == pytest.approx(202.677, abs=5e-4)


def test_an_unknown_case_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError) as caught:
        chosen_cases(["two-bus-power", "nonsense", "rubbish"])
    assert [problem.what for problem in caught.value.problems] == [
        "no case is called 'nonsense'", "no case is called 'rubbish'"
    ]  # fmt: skip
    assert "33-bus-base" in caught.value.problems[0].fix


def test_cases_have_names_of_their_own_and_stand_in_the_documentation() -> None:
    names = [one.name for one in all_cases()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) for name in names)
    documented = set(re.findall(r"^\| `([a-z0-9-]+)` \|", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert documented == set(names)


def test_groups_stand_together() -> None:
    groups = [one.group for one in all_cases()]
    assert sum(a != b for a, b in zip(groups, groups[1:], strict=False)) == len(set(groups)) - 1
