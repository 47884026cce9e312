"""The answer's templates: one test per row of the guide's table, and the verdicts behind them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report_fixture import Made, make_run
from twin.errors import RunFolderError
from twin.report.answer import answer, judged, lead_effect
from twin.report.catalogue import Catalogue
from twin.report.effects import Effect, Interval, Verdict, read_effects, verdict
from twin.report.facts import Facts
from twin.report.numbers import MINUS, NBSP
from twin.results.reader import open_run

MODEL = "In this model, with price response [assumed] and network design [assumed],"


def effect(value: float, low: float | None = None, high: float | None = None, kind: str = "range") -> Effect:
    intervals = () if low is None or high is None else (Interval(kind, low, high, 5),)
    return Effect("tod", "evening_peak", "state", "all", "%", value, 100.0, intervals, 5 if intervals else 1)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (effect(-2.4, -3.9, -0.9), Verdict.CLEAR),
        (effect(-0.3, -0.9, 0.4), Verdict.HOLDS_ZERO),
        (effect(-0.02, -0.05, 0.01), Verdict.UNDER_FLOOR),
        (effect(-0.3, -0.6, -0.02), Verdict.PARTLY_UNDER_FLOOR),
        (effect(0.0, 0.0, 0.0), Verdict.EXACTLY_ZERO),
        (effect(0.0), Verdict.EXACTLY_ZERO),
        (effect(-0.02), Verdict.UNDER_FLOOR),
        (effect(-2.4), Verdict.ONE_DRAW),
        (effect(-2.4, -3.0, -1.8, "sampling"), Verdict.ONE_DRAW),
    ],
)
def test_verdicts_tell_the_three_kinds_of_nothing_apart(made: Effect, expected: str) -> None:
    assert verdict(made, 0.1) == expected


def plain(facts: Facts) -> list[str]:
    return [sentence.striptags().replace(NBSP, " ") for sentence in answer(facts)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run folders by what was made, each made once."""
    made = {
        "five": Made(),
        "one": Made(replicates=1),
        "swept": Made(sensitivity=True),
        "one arm": Made(arms=("flat",), strength=(0.0,)),
    }
    folder = tmp_path_factory.mktemp("runs")
    return {name: make_run(folder / name.replace(" ", "-"), what) for name, what in made.items()}


def facts_of(folder: Path, effects: list[Effect] | None = None) -> Facts:
    facts = Facts(open_run(str(folder)), Catalogue())
    if effects is not None:
        facts.__dict__["effects"] = effects
    return facts


def peak(arm: str, value: float, low: float | None, high: float | None, kind: str = "draws_and_parameters") -> Effect:
    intervals = () if low is None or high is None else (Interval(kind, low, high, 40),)
    return Effect(arm, "evening_peak", "state", "all", "MW", value, 8305.0, intervals, 40)


def test_clear(runs: dict[str, Path]) -> None:
    facts = facts_of(runs["five"], [peak("tod", -20.0, -60.0, 10.0), peak("shaped", -199.0, -324.0, -75.0)])
    first = plain(facts)[0]
    assert first == (
        f"{MODEL} shaped lowers the evening peak of Bihar by 2.4 % (0.9 to 3.9 %; draws and parameters, 90 %), "
        "about 200 of 8,305 MW."
    )


def test_every_sentence_marks_the_assumed_numbers_it_rests_on(runs: dict[str, Path]) -> None:
    sentences = answer(facts_of(runs["swept"]))
    assert all("[assumed]" in sentence for sentence in sentences)
    anchors = re.findall(r'href="#([\w-]+)"', "".join(sentences))
    assert {"assumed-response", "assumed-network", "assumed-tariff"} <= set(anchors)


def test_nothing_is_marked_that_the_manifest_does_not_list(tmp_path: Path) -> None:
    facts = facts_of(make_run(tmp_path / "run", Made(replicates=1, manifest={"assumed": []})))
    assert not any("[assumed]" in sentence for sentence in answer(facts))
    assert plain(facts)[0].startswith("In this model, shaped lowers")


def test_a_resolved_district_is_named_where_its_own_effect_is_clear(runs: dict[str, Path]) -> None:
    own = Effect("shaped", "evening_peak", "district:Sheohar", "all", "MW", -0.6, 50.0, (), 40)
    clear = replace(own, intervals=(Interval("draws_and_parameters", -0.9, -0.3, 40),))
    unsure = replace(own, intervals=(Interval("draws_and_parameters", -0.9, 0.3, 40),))
    state = peak("shaped", -199.0, -324.0, -75.0)
    assert "and that of Sheohar by 1.2 % (0.6 to 1.8 %)" in plain(facts_of(runs["five"], [state, clear]))[0]
    assert "Sheohar" not in plain(facts_of(runs["five"], [state, unsure]))[0]
    assert "Sheohar" not in plain(facts_of(runs["five"], [state, own]))[0]


def test_raises_has_its_own_verb(runs: dict[str, Path]) -> None:
    facts = facts_of(runs["five"], [peak("shaped", 199.0, 75.0, 324.0)])
    assert "raises the evening peak of Bihar by 2.4 % (0.9 to 3.9 %" in plain(facts)[0]


def test_interval_holds_zero(runs: dict[str, Path]) -> None:
    facts = facts_of(runs["five"], [peak("tod", -20.0, -75.0, 33.0)])
    assert plain(facts)[0] == (
        f"{MODEL} we cannot say whether tod lowers or raises the evening peak of Bihar: "
        f"{MINUS}0.9 to +0.4 % (draws and parameters, 90 %)."
    )


def test_under_the_floor(runs: dict[str, Path]) -> None:
    facts = facts_of(runs["five"], [peak("tod", -2.0, -5.0, 1.0)])
    assert plain(facts)[0] == f"{MODEL} tod changes the evening peak of Bihar by less than 0.1 %."


def test_partly_under_the_floor(runs: dict[str, Path]) -> None:
    facts = facts_of(runs["five"], [peak("tod", -40.0, -80.0, -2.0)])
    assert "the small end of that interval is below what this report calls a change" in plain(facts)[0]


def test_exactly_zero_because_every_price_is_zero(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    facts = facts_of(runs["five"], [peak("tod", 0.0, 0.0, 0.0)])
    monkeypatch.setattr("twin.report.answer._all_see_zero", lambda *_: True)
    expected = f"{MODEL} tod changes nothing: every home it covers faces a marginal price of zero."
    assert plain(facts)[0] == expected


def test_exactly_zero_without_that_reason_does_not_claim_it(runs: dict[str, Path]) -> None:
    facts = facts_of(runs["five"], [peak("tod", 0.0, 0.0, 0.0)])
    assert plain(facts)[0] == f"{MODEL} tod changes the evening peak of Bihar by exactly nothing."


def test_one_replicate(runs: dict[str, Path]) -> None:
    facts = facts_of(runs["one"], [peak("shaped", -199.0, None, None)])
    assert plain(facts)[0] == (
        f"{MODEL} shaped lowers the evening peak of Bihar by 2.4 % in the one draw that was run, about 200 of "
        "8,305 MW; how far it could move is not known from this run."
    )


def test_sampling_or_draws_alone_say_that_parameters_were_fixed(runs: dict[str, Path]) -> None:
    facts = facts_of(runs["five"], [peak("shaped", -199.0, -324.0, -75.0, "simulation")])
    assert "Parameters were held fixed: the true doubt is larger." in plain(facts)[0]


def test_range_names_the_number_of_draws(runs: dict[str, Path]) -> None:
    facts = facts_of(runs["five"])
    assert "range of 5 draws" in plain(facts)[0]
    assert "95" not in plain(facts)[0]


def test_leads_with_the_largest_clear_effect(runs: dict[str, Path]) -> None:
    unclear = peak("tod", -400.0, -900.0, 100.0)
    facts = facts_of(runs["five"], [unclear, peak("shaped", -199.0, -324.0, -75.0)])
    lead = lead_effect(facts)
    assert lead is not None
    assert lead.arm == "shaped"
    assert judged(unclear) == Verdict.HOLDS_ZERO


def test_second_sentence_says_who_in_the_days_simulated(runs: dict[str, Path]) -> None:
    second = plain(facts_of(runs["five"]))[1]
    assert second.endswith("in the 2 days simulated, prorated.")
    assert f"revenue changes by {MINUS}Rs 40 crore ({MINUS}Rs 400 million) and subsidy by +Rs 9 crore" in second
    assert "of homes see no change of their bill (with tariff rates [assumed]); of the rest 60 % pay more" in second


def test_third_sentence_names_the_assumption_that_matters_most(runs: dict[str, Path]) -> None:
    facts = facts_of(runs["swept"])
    third = str(answer(facts)[2])
    assert '<a class="assumed" href="#assumed-1">' in third
    assert "[assumed]" in third
    assert "between 0.02 and 0.2 the cut runs from 0.7 to 4.0" in plain(facts)[2]


def test_third_sentence_without_a_sweep_gives_the_command(runs: dict[str, Path]) -> None:
    third = plain(facts_of(runs["five"]))[2]
    assert third.startswith("This run does not say which assumption matters most")
    assert "twin run SCENARIO --set" in third


def test_one_arm_describes_and_does_not_compare(runs: dict[str, Path]) -> None:
    sentences = plain(facts_of(runs["one arm"]))
    assert sentences[0].startswith("In this model, with network design [assumed]")
    assert "under flat the load of Bihar peaks at" in sentences[0]
    assert "nothing is compared" in sentences[1]


def row(**changed: object) -> dict[str, object]:
    given: dict[str, object] = {"arm": "tod", "outcome": "evening_peak", "area": "state", "group": "all", "value": -1.0}
    given |= {"reference": 100.0, "low": -2.0, "high": 0.0, "kind": "range", "unit": "MW", "replicates": 5}
    return given | changed


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"kind": "none"}, "no kind of uncertainty"),
        ({"kind": None}, "no kind of uncertainty"),
        ({"kind": "confidence"}, "unknown kind"),
        ({"high": None}, "one end"),
    ],
)
def test_an_interval_without_a_kind_stops_the_report(changed: dict[str, object], what: str) -> None:
    with pytest.raises(RunFolderError, match=what):
        read_effects([row(**changed)])


def test_rows_of_one_effect_are_its_kinds_of_uncertainty() -> None:
    (joined,) = read_effects([row(), row(kind="sampling", low=-1.5, high=-0.5)])
    assert [part.kind for part in joined.intervals] == ["range", "sampling"]
    assert joined.best is not None
    assert joined.best.kind == "range"
