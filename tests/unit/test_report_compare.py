"""The compare page: which runs are refused, how the others are judged, and differences that add up to the tables."""

from __future__ import annotations

import base64
import csv
import html
import io
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.report_fixture import Made, make_run, read_embedded
from twin.cli import app
from twin.errors import InputError, RunFolderError
from twin.report.catalogue import Catalogue
from twin.report.comparison import meters
from twin.report.comparison.differences import Difference, Spread, effect_differences, level_differences
from twin.report.comparison.members import (
    NOT_COMPARABLE,
    PAIRED,
    UNPAIRED,
    Member,
    differing_settings,
    judge,
    open_members,
)
from twin.report.comparison.page import render, write_comparison
from twin.report.comparison.words import spread_cells
from twin.report.facts import RUN_MARKERS
from twin.report.numbers import MINUS, NBSP
from twin.results.reader import Run, open_run

EVIL = "<script>window.bad=1</script>{{7*7}}\u202e"

SWEPT = tuple(f'{{"experiment.parameters.substitution_shop": {value}}}' for value in (0.0, 0.3))
MADE = {
    "base": Made(),
    "stronger": Made(name="stronger", strength=(0.0, 0.7, 1.6)),
    "seeded": Made(name="seeded", scenario={"seed": 7}),
    "longer": Made(name="longer", days=3),
    "fewer": Made(name="fewer", arms=("flat", "tod"), strength=(0.0, 0.4), replicates=3),
    "levels": Made(name="levels", arms=("flat",), strength=(0.0,)),
    "other-levels": Made(name="other-levels", arms=("flat",), strength=(0.0,), scenario={"seed": 7}),
    "one-draw": Made(name="one-draw", replicates=1),
    "unfinished": Made(name="unfinished", analysed=False),
    "empty": Made(name="empty", simulated=False),
    "other-first": Made(name="other-first", scenario={"experiment": {"arms": {"flat": {"tariff": {"day_ahead": {}}}}}}),
    "swept": Made(name="swept", points=SWEPT),
    "swept-stronger": Made(name="swept-stronger", strength=(0.0, 0.7, 1.6), points=SWEPT),
    "elsewhere": Made(name="elsewhere", feeder_weight=300.0),
    "metered": Made(name="metered", meters=True, scenario={"meters": {"devices": True}}),
    "swept-meters": Made(name="swept-meters", meters=True, scenario={"meters": {"devices": True}}, points=SWEPT),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


def opened(folder: Path, *names: str) -> list[tuple[str, Run]]:
    """Runs of `MADE`, each made once."""
    for name in names:
        if not (folder / name).exists():
            make_run(folder / name, MADE[name])
    return [(name, open_run(str(folder / name))) for name in names]


def members(folder: Path, *names: str) -> list[Member]:
    return open_members(opened(folder, *names), Catalogue())


def page(folder: Path, *names: str) -> str:
    return render(opened(folder, *names))


def judged(folder: Path, *names: str) -> tuple[str, list[str]]:
    first, other = members(folder, *names)
    found = judge(first, other)
    return found.kind, list(found.reasons)


def test_same_seed_people_and_grid_are_paired(folder: Path) -> None:
    assert judged(folder, "base", "stronger") == (PAIRED, [])


@pytest.mark.parametrize(
    ("other", "kind", "reason"),
    [
        ("seeded", UNPAIRED, "different seed"),
        ("elsewhere", UNPAIRED, "different feeders or sample"),
        ("longer", NOT_COMPARABLE, "different period or step"),
    ],
)
def test_what_stands_in_the_way_is_named(folder: Path, other: str, kind: str, reason: str) -> None:
    assert judged(folder, "base", other) == (kind, [reason])


def test_all_refusals_come_at_once_with_a_fix(folder: Path) -> None:
    runs = opened(folder, "base", "base", "unfinished", "empty")
    with pytest.raises(RunFolderError) as caught:
        open_members(runs, Catalogue())
    said = [str(problem) for problem in caught.value.problems]
    assert len(said) == 3
    assert any("empty/tables/system: holds no simulated day yet; continue the run" in line for line in said)
    assert any("base: is the same run as base: their hashes are equal; name each run once" in line for line in said)
    assert any("unfinished: tables/effects: holds no effects yet; finish the run" in line for line in said)


def test_one_run_is_refused(folder: Path) -> None:
    runs = opened(folder, "base")
    with pytest.raises(RunFolderError, match="got 1 run; give two or more run folders"):
        open_members(runs, Catalogue())


def test_paired_differences_are_those_of_each_draw(folder: Path) -> None:
    own = members(folder, "base", "stronger")
    found = effect_differences(own, [judge(own[0], own[1])])
    one = next(d for d in found if (d.outcome, d.arm) == ("evening_peak", "shaped"))
    sql = (
        "select ca.replicate as r, max(case when ca.arm = 'shaped' then sent_mw end) - "
        "max(case when ca.arm = 'flat' then sent_mw end) as mw from system s join cases ca using (\"case\") "
        "where hour(interval_start) >= 17 and hour(interval_start) < 23 group by ca.replicate order by r"
    )
    changes = [[row["mw"] for row in member.facts.rows(sql)] for member in own]
    by_draw = [b - a for a, b in zip(*changes, strict=True)]
    assert (one.spread.kind, one.spread.draws) == ("range", 5)
    assert one.spread.value == pytest.approx(sum(by_draw) / 5)
    assert (one.spread.low, one.spread.high) == (pytest.approx(min(by_draw)), pytest.approx(max(by_draw)))
    assert one.spread.low <= one.spread.value <= one.spread.high


def test_an_outcome_without_values_per_draw_has_no_interval(folder: Path) -> None:
    own = members(folder, "base", "stronger")
    found = effect_differences(own, [judge(own[0], own[1])])
    one = next(d for d in found if (d.outcome, d.arm) == ("revenue", "shaped"))
    effects = [member.facts.effect("revenue", "shaped") for member in own]
    assert one.spread.value == pytest.approx(effects[1].value - effects[0].value)
    assert (one.spread.low, one.spread.high, one.spread.kind) == (None, None, "not_estimated")


def test_unpaired_differences_carry_both_intervals(folder: Path) -> None:
    own = members(folder, "base", "seeded")
    one = effect_differences(own, [judge(own[0], own[1])])[0]
    ends = [member.facts.effect(one.outcome, one.arm).of_draws for member in own]
    assert one.spread.kind == "both"
    assert one.spread.low == pytest.approx(ends[1].low - ends[0].high)
    assert one.spread.high == pytest.approx(ends[1].high - ends[0].low)


@pytest.mark.parametrize(
    ("spread", "cells"),
    [
        (Spread(1.5e5, 67_493.0, 2.3e5, "both"), ("Rs +1.5 lakh", "+0.7 to +2.3", "both intervals")),
        (Spread(-6e6, -1.6e7, 3e6, "both"), (f"Rs {MINUS}0.6 crore", f"{MINUS}1.6 to +0.3", "both intervals")),
        (Spread(-4.2e7), (f"{MINUS}Rs 4.2 crore", "", "not estimated")),
        (Spread(0.0, 0.0, 0.0, "range", 5), ("exactly zero", "", "paired, range of 5 draws")),
        (Spread(None), ("not in this run", "", "")),
    ],
)
def test_money_and_its_interval_share_one_unit(folder: Path, spread: Spread, cells: tuple[str, str, str]) -> None:
    first, other = members(folder, "base", "stronger")
    one = Difference("revenue", "tod", other, "INR", -1e7, -2e7, spread)
    assert tuple(cell.replace(NBSP, " ") for cell in spread_cells(first.facts, one)) == cells


def test_runs_that_cannot_be_compared_have_no_difference(folder: Path) -> None:
    own = members(folder, "base", "longer")
    verdicts = [judge(own[0], own[1])]
    assert effect_differences(own, verdicts) == []
    assert level_differences(own, verdicts) == []
    text = page(folder, "base", "longer")
    assert "R2 against R1: not comparable</b> (different period or step)" in text
    assert "Effects: difference from" not in text
    assert "Effects of every run, on one scale" in text


def test_one_draw_has_no_interval(folder: Path) -> None:
    own = members(folder, "base", "one-draw")
    found = effect_differences(own, [judge(own[0], own[1])])
    one = next(d for d in found if (d.outcome, d.arm) == ("evening_peak", "shaped"))
    assert (one.spread.low, one.spread.high, one.spread.kind) == (None, None, "one_draw")


def test_only_shared_draws_pair(folder: Path) -> None:
    own = members(folder, "base", "fewer")
    found = effect_differences(own, [judge(own[0], own[1])])
    one = next(d for d in found if (d.outcome, d.arm) == ("evening_peak", "tod"))
    assert one.spread.draws == 3


def test_an_outcome_missing_in_a_run_is_said_and_never_zero(folder: Path) -> None:
    own = members(folder, "base", "fewer")
    found = effect_differences(own, [judge(own[0], own[1])])
    one = next(d for d in found if (d.outcome, d.arm) == ("evening_peak", "shaped"))
    assert one.own is None
    assert one.spread.value is None
    text = page(folder, "base", "fewer")
    assert "Not in R2: Evening peak, Technical loss, DT overload hours of shaped." in html.unescape(text)
    row = re.search(r'<th scope="row">Evening peak</th><td>shaped</td><td>R2</td>(.*?)</tr>', text)
    assert row is not None
    assert row[1].count("not in this run") == 2


def test_runs_of_one_arm_are_compared_by_level(folder: Path) -> None:
    text = page(folder, "levels", "other-levels")
    assert "the evening peak of Bihar under <b>flat</b> is" in text
    assert "Levels under the first arm: difference from R1" in text
    assert "Effects of every run" not in text


def test_the_answer_says_what_the_arm_does_in_both_runs(folder: Path) -> None:
    text = html.unescape(page(folder, "base", "stronger")).replace(NBSP, " ")
    lead = re.search(
        r"<b>shaped</b> changes the evening peak of Bihar by (.*?) in R1 and by (.*?) in R2: a difference", text
    )
    assert lead is not None
    assert lead[1].startswith(f"{MINUS}2.3 %")
    assert "range of 5 draws" in lead[2]
    assert "paired, range of 5 draws" in text
    assert "[assumed]" in text


def test_an_arm_keeps_its_colour_and_the_run_is_the_marker(folder: Path) -> None:
    charts = read_embedded(page(folder, "base", "stronger"), "figures")
    dots = [
        t for t in charts["fig01-chart1"]["data"] if t["mode"] == "markers" and "name" in t and t["name"] != "draws"
    ]
    look = {t["name"]: (t["marker"]["line"]["color"], t["marker"]["symbol"]) for t in dots if t["name"].startswith("R")}
    assert look["R1 shaped"][0] == look["R2 shaped"][0] != look["R1 tod"][0]
    assert (look["R1 shaped"][1], look["R2 shaped"][1]) == RUN_MARKERS[:2]


def test_settings_that_differ_are_listed_by_path(folder: Path) -> None:
    own = members(folder, "base", "fewer")
    rows = dict(differing_settings(own))
    assert rows["experiment.replicates"] == ["5", "3"]
    assert rows["experiment.arms.shaped.tariff.time_of_day.peak.multiplier"] == ["1.2", "not set"]
    assert "name" not in rows


def test_each_of_several_runs_is_judged_and_set_against_the_first(folder: Path) -> None:
    own = members(folder, "base", "stronger", "seeded", "longer", "fewer")
    judgements = [judge(own[0], other) for other in own[1:]]
    assert [one.kind for one in judgements] == [PAIRED, UNPAIRED, NOT_COMPARABLE, PAIRED]
    found = effect_differences(own, judgements)
    peaks = {(d.member.label, d.arm): d for d in found if d.outcome == "evening_peak"}
    assert set(peaks) == {(run, arm) for run in ("R2", "R3", "R5") for arm in ("tod", "shaped")}
    for (run, arm), one in peaks.items():
        alone = effect_differences([own[0], one.member], [judge(own[0], one.member)])
        (same,) = [d for d in alone if (d.outcome, d.arm) == ("evening_peak", arm)]
        assert one == same, (run, arm)  # further runs change nothing
    assert {d.member.label for d in level_differences(own, judgements)} == {"R2", "R3", "R5"}
    text = html.unescape(page(folder, "base", "stronger", "seeded", "longer", "fewer")).replace(NBSP, " ")
    assert "Comparison of 5 runs" in text
    for run, verdict in {"R2": "paired", "R3": "unpaired", "R4": "not comparable", "R5": "paired"}.items():
        assert f"{run} against R1: {verdict}" in text
    assert "R4 answers another question than R1" in text
    charts = read_embedded(text, "figures")
    names = {trace["name"] for trace in charts["fig01-chart1"]["data"] if str(trace.get("name")).startswith("R")}
    assert names == {f"R{n} {arm}" for n in (1, 2, 3, 4) for arm in ("tod", "shaped")} | {"R5 tod"}


def test_effects_against_another_first_arm_are_not_set_against_each_other(folder: Path) -> None:
    own = members(folder, "base", "stronger", "other-first")
    judgements = [judge(own[0], other) for other in own[1:]]
    assert [one.kind for one in judgements] == [PAIRED, PAIRED]
    assert {d.member.label for d in effect_differences(own, judgements)} == {"R2"}
    assert {d.member.label for d in level_differences(own, judgements)} == {"R2", "R3"}
    text = page(folder, "base", "stronger", "other-first")
    assert "Effects in R3 are against another first arm than in R1" in text


def test_arms_of_a_sweep_are_named_for_people(folder: Path) -> None:
    text = html.unescape(page(folder, "swept", "swept-stronger")).replace(NBSP, " ")
    rows = re.findall(r'<th scope="row">Evening peak</th><td>([^<]*)</td><td>R2</td>', text)
    assert rows[:2] == ["tod at 0", "shaped at 0"]
    assert "tod at 0.3" in rows


def test_over_six_runs_numbers_stand_in_place_of_charts(folder: Path) -> None:
    names = []
    for number in range(7):
        names.append(f"many-{number}")
        made = Made(name=f"many-{number}", strength=(0.0, 0.1 * (number + 1), 1.0), replicates=1, days=1)
        make_run(folder / names[-1], made)
    text = render([(name, open_run(str(folder / name))) for name in names])
    assert read_embedded(text, "figures") == {}
    assert "R7 tod" in text


def test_same_runs_same_bytes_and_csvs_hold_the_tables(folder: Path) -> None:
    text = page(folder, "base", "stronger")
    assert text == page(folder, "base", "stronger")
    links = re.findall(
        r'download="(compare_fig\d\d_synthetic.csv)" href="data:text/csv;charset=utf-8;base64,([^"]+)"', text
    )
    assert len(links) == len({name for name, _ in links}) == 7
    content = base64.b64decode(html.unescape(dict(links)["compare_fig01_synthetic.csv"])).decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(content)))
    own = members(folder, "base", "stronger")[1].facts.effect("evening_peak", "shaped")
    written = next(
        line for line in lines
        if (line["run"], line["arm"], line["outcome"], line["kind"]) == ("R2", "shaped", "evening_peak", "range")
    )  # fmt: skip
    assert float(written["value"]) == own.value


def test_meters_are_told_run_by_run_and_world_by_world(folder: Path) -> None:
    """A run without devices holds none of it; at the second point of a sweep 200 of 1,000 meters fewer come in."""
    figure = meters.outcomes(members(folder, "base", "metered", "swept-meters"), "7")
    assert figure is not None
    assert list(figure.table.header) == ["Outcome", "R1", "R2", "R3: 0.0", "R3: 0.3"]
    rows = {row[0]: list(row[1:]) for row in figure.table.rows}
    assert rows["Read by 8 h after midnight, %"] == ["not in this run", "96.0", "96.0", "76.0"]
    assert rows["The same on the worst day, %"] == ["not in this run", "95.5", "95.5", "75.5"]
    assert rows["Bills that rest on estimates"] == ["not in this run", "1", "1", "1"]
    assert rows["Missed by meters and bills, % of used"] == ["not in this run", "2.90", "2.90", "3.50"]
    assert rows["Last gasps that arrive, %"] == ["not in this run", "25.0", "25.0", "12.5"]
    assert [line[:3] for line in figure.help[1:]] == ["R3:"]
    assert ("read", "flat", "R1", None) in figure.csv_rows
    assert meters.outcomes(members(folder, "base", "stronger"), "7") is None


def test_user_text_is_inert(folder: Path) -> None:
    make_run(folder / "evil", Made(name="evil", description=EVIL, arms=("flat", EVIL), strength=(0.0, 0.5), place=EVIL))
    text = render([*opened(folder, "base"), ("evil", open_run(str(folder / "evil")))])
    own = text[: text.index("/**\n* plotly.js")]
    assert "<script>window" not in own
    assert "{{7*7}}" in html.unescape(own)
    assert "\u202e" not in own
    for chart in read_embedded(text, "figures").values():
        assert "<script" not in str(chart)


def test_command_writes_the_page_and_refuses_in_words(folder: Path, tmp_path: Path) -> None:
    opened(folder, "base", "stronger")
    target = tmp_path / "out.html"
    runs = [str(folder / "base"), str(folder / "stronger")]
    done = CliRunner().invoke(app, ["compare", *runs, "--out", str(target)])
    assert done.exit_code == 0
    assert "Comparison of 2 runs" in target.read_text(encoding="utf-8")
    failed = CliRunner().invoke(app, ["compare", runs[0], str(tmp_path / "nowhere")])
    assert isinstance(failed.exception, RunFolderError)
    assert failed.exception.exit_code == 2


def test_a_folder_that_is_not_there_is_a_users_error(folder: Path, tmp_path: Path) -> None:
    runs = opened(folder, "base", "stronger")
    with pytest.raises(InputError, match="its folder does not exist; make the folder"):
        write_comparison(runs, tmp_path / "nowhere" / "x.html")
    with pytest.raises(InputError, match="it is a folder; give the name of a file"):
        write_comparison(runs, tmp_path)
