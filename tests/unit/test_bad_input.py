"""Bad scenario files: every problem names where it stands, the path, the value and the repair, and nothing is written."""
# ruff: noqa: E501 (the table of cases reads best with one case a line)

import os
import time
from pathlib import Path

import pytest

from twin.errors import Problem, ScenarioError
from twin.scenario import load_scenario, yaml_text

GOOD = """\
name: good
seed: 1
grid:
  resolve: {districts: [Sheohar]}
time:
  start: 2026-06-09
  days: 2
weather:
  heat_wave: {from: 2026-06-10, to: 2026-06-11, rise_c: 3}
meters:
  smart_share: {domestic: 0.35}
tariff: bihar-2026-27
experiment:
  arms:
    flat: {}
    tod:
      tariff:
        time_of_day:
          applies_to: gross
          solar: {hours: "09-17", multiplier: 0.80}
          peak: {hours: "17-23", multiplier: 1.20}
        free_units: {per_period: {peak: 25}}
  replicates: 2
sweep:
  experiment.arms.tod.tariff.time_of_day.peak.multiplier: [1.1, 1.5]
output: {readings: {consumers: 5}, tables: all}
"""
TOD = "experiment.arms.tod.tariff.time_of_day"
SWEPT = f"{TOD}.peak.multiplier"

# (what is replaced, by what, line, path, words of the problem, words of the fix)
CASES = {
    "unknown key at the top": ("seed: 1", "sede: 1", 2, "sede", "no such setting (its value is 1)", "'seed'"),
    "unknown key below": ("days: 2", "dayz: 2", 7, "time.dayz", "no such setting", "'days'"),
    "key of another place": ("seed: 1", "days: 1", 2, "days", "no such setting", "'time.days'"),
    "unknown key of time_of_day": ("applies_to", "aplies_to", 19, f"{TOD}.aplies_to", "'gross'", "'applies_to'"),
    "unknown key of a period": ("multiplier: 1.2", "factor: 1.2", 21, f"{TOD}.peak.factor", "1.2", "multiplier"),
    "missing setting": ("  days: 2\n", "", 5, "time.days", "no value and no default", "add `days: ...`"),
    "missing section": ("tariff: bihar-2026-27\n", "", 1, "tariff", "no value", "add `tariff: ...`"),
    "text for a number": ("seed: 1", "seed: one", 2, "seed", "whole number, got 'one'", "digits"),
    "true for a number": ("seed: 1", "seed: true", 2, "seed", "whole number, got True", "digits"),
    "true for a decimal": ("0.35", "true", 11, "meters.smart_share.domestic", "number, got True", "0.8"),
    "quoted number": ("days: 2", "days: '2'", 7, "time.days", "whole number, got '2'", "without quotes"),
    "decimal for a whole number": ("days: 2", "days: 2.5", 7, "time.days", "whole number, got 2.5", "digits"),
    "number for text": ("name: good", "name: 5", 1, "name", "text, got 5", "quotes"),
    "list for a mapping": (
        "grid:\n  resolve: {districts: [Sheohar]}",
        "grid: [1]\n",
        3,
        "grid",
        "mapping",
        "key: value",
    ),
    "mapping for a list": ("[1.1, 1.5]", "{a: 1}", 25, f"sweep.{SWEPT}", "list", "brackets"),
    "nothing for an arm": ("flat: {}", "flat:", 15, "experiment.arms.flat", "mapping of settings, got None", "{}"),
    "days too few": ("days: 2", "days: 0", 7, "time.days", "at least 1, got 0", "at least 1"),
    "days too many": ("days: 2", "days: 3661", 7, "time.days", "at most 3,660, got 3661", "at most"),
    "step that does not exist": (
        "days: 2",
        "days: 2\n  step_minutes: 20",
        8,
        "time.step_minutes",
        "got 20",
        "15, 30, 60",
    ),
    "negative seed": ("seed: 1", "seed: -1", 2, "seed", "at least 0, got -1", "at least 0"),
    "huge number": ("seed: 1", f"seed: {'9' * 50}", 2, "seed", "too long or too large", "smaller"),
    "huge exponent": ("0.80", "1e999", 20, f"{TOD}.solar.multiplier", "too large", "smaller"),
    "share above one": ("0.35", "1.35", 11, "meters.smart_share.domestic", "at most 1, got 1.35", "at most 1"),
    "share below zero": ("0.35", "-0.1", 11, "meters.smart_share.domestic", "at least 0, got -0.1", "at least 0"),
    "fraction above one": (
        "{districts: [Sheohar]}",
        "{fraction: 1.5}",
        4,
        "grid.resolve.fraction",
        "at most 1",
        "at most",
    ),
    "multiplier too high": ("0.80", "50", 20, f"{TOD}.solar.multiplier", "at most 20, got 50", "at most 20"),
    "free units beyond any block": (
        "{peak: 25}",
        "{peak: 2500}",
        22,
        "experiment.arms.tod.tariff.free_units.per_period.peak",
        "at most 1000",
        "at most",
    ),
    "multiplier of zero": ("0.80", "0", 20, f"{TOD}.solar.multiplier", "more than 0, got 0", "more than 0"),
    "NaN": ("0.80", ".nan", 20, f"{TOD}.solar.multiplier", "finite number, got .nan", "number"),
    "infinite": ("rise_c: 3", "rise_c: -.inf", 9, "weather.heat_wave.rise_c", "finite number, got -.inf", "number"),
    "duplicate key": ("seed: 1", "seed: 1\nseed: 2", 3, "seed", "twice, first at line 2", "keep one"),
    "date that does not exist": ("2026-06-09", "2026-06-31", 6, "time.start", "no date 2026-06-31", "YYYY-MM-DD"),
    "word for a date": ("2026-06-09", "tomorrow", 6, "time.start", "a date, got 'tomorrow'", "YYYY-MM-DD"),
    "quoted date": ("2026-06-09", "'2026-06-09'", 6, "time.start", "a date, got '2026-06-09'", "without quotes"),
    "time for a date": ("2026-06-09", "2026-06-09T10:00:00", 6, "time.start", "a date, got", "YYYY-MM-DD"),
    "date of another age": ("2026-06-09", "1526-06-09", 6, "time.start", "1526-06-09 is out of range", "2000-01-01"),
    "heat wave backwards": ("to: 2026-06-11", "to: 2026-06-01", 9, "weather.heat_wave", "ends 2026-06-01", "swap"),
    "overlapping hours": ('"09-17"', '"09-18"', 18, TOD, "solar (09:00-18:00) and peak (17:00-23:00)", "one period"),
    "overlap over midnight": ('"17-23"', '"17-10"', 18, TOD, "overlap", "one period"),
    "hours that are none": ('"09-17"', '"nine"', 20, f"{TOD}.solar.hours", "'nine' is not a window", "09-17"),
    "hours beyond the day": ('"09-17"', '"09-25"', 20, f"{TOD}.solar.hours", "'09-25' leaves the day", "24:00"),
    "empty hours": ('"09-17"', '"09-09"', 20, f"{TOD}.solar.hours", "'09-09' is empty", "00-24"),
    "hours between steps": ('"09-17"', '"09:10-17"', 20, f"{TOD}.solar.hours", "15-minute steps", "step boundary"),
    "number for hours": ('"09-17"', "17", 20, f"{TOD}.solar.hours", "text, got 17", "quotes"),
    "period called normal": ("solar:", "normal:", 18, TOD, "'normal' is the name", "another name"),
    "period of no arm": ("{peak: 25}", "{peek: 25}", 17, "experiment.arms.tod.tariff", "period 'peek'", "'peak'"),
    "free units both ways": (
        "{per_period: {peak: 25}}",
        "{weight: time_of_day, per_period: {peak: 25}}",
        22,
        "experiment.arms.tod.tariff.free_units",
        "exactly one",
        "keep one",
    ),
    "unknown district": ("Sheohar", "Sheohr", 4, "grid.resolve.districts[0]", "'Sheohr'", "'Sheohar'"),
    "no district": ("[Sheohar]", "[]", 4, "grid.resolve.districts", "is empty", "at least one"),
    "unknown tariff": ("bihar-2026-27", "bihar-2026-72", 12, "tariff", "no tariff 'bihar-2026-72'", "'bihar-2026-27'"),
    "unknown table": ("tables: all", "tables: [sistem]", 26, "output.tables[0]", "no table 'sistem'", "'system'"),
    "unknown vendor": (
        "meters:",
        "meters:\n  vendors: by_distrct",
        11,
        "meters.vendors",
        "'by_distrct'",
        "'by_district'",
    ),
    "unknown weather": (
        "weather:",
        "weather:\n  year: bihar-norml",
        9,
        "weather.year",
        "bihar-norml",
        "'bihar-normal'",
    ),
    "weather file not there": ("weather:", "weather:\n  year: no.csv", 9, "weather.year", "'no.csv'", "relative"),
    "unknown category": ("gross", "gross\n          categories: [ds9]", 20, f"{TOD}.categories[0]", "'ds9'", "'ds2'"),
    "unknown choice": (
        "gross",
        "grosss",
        19,
        f"{TOD}.applies_to",
        "'gross' or 'after_subsidy', got 'grosss'",
        "'gross'",
    ),
    "unknown state": ("grid:", "grid:\n  state: bihr", 4, "grid.state", "'bihar', got 'bihr'", "'bihar'"),
    "two ways to resolve": ("{districts:", "{fraction: 0.1, districts:", 4, "grid.resolve", "exactly one", "fraction"),
    "no way to resolve": ("{districts: [Sheohar]}", "most", 4, "grid.resolve", "got 'most'", "`all`"),
    "own network": ("grid:", "grid:\n  network: net.json", 4, "grid.network", "'net.json'", "relative"),
    "pilot of one": (
        "  replicates: 2",
        "  pilot: {dts_per_arm: 1}\n  design: pilot",
        23,
        "experiment.pilot.dts_per_arm",
        "at least 2, got 1",
        "at least 2",
    ),
    "pilot without its design": (
        "  replicates: 2",
        "  pilot: {dts_per_arm: 9}",
        13,
        "experiment",
        "`pilot` is for `design: pilot`",
        "remove",
    ),
    "pilot from the middle of a month": (
        "  replicates: 2",
        "  pilot: {start: 2026-06-12}\n  design: pilot",
        1,
        "",
        "pilot.start 2026-06-12 is neither",
        "billing month",
    ),
    "bad name": ("name: good", "name: Good One", 1, "name", "'Good One' is not a name", "lower-case"),
    "bad name of an arm": ("flat: {}", "Flat!: {}", 15, "experiment.arms.Flat!", "not a name", "lower-case"),
    "no replicate": ("replicates: 2", "replicates: 0", 23, "experiment.replicates", "at least 1, got 0", "at least 1"),
    "draws cut": ("replicates: 2", "replicates: 2\n  seeds_per_draw: 3", 13, "experiment", "2 replicates", "multiple"),
    "range upside down": (
        "replicates: 2",
        "parameters: {daily_farm: [-0.1, -0.2]}",
        23,
        "experiment.parameters.daily_farm",
        "[-0.1, -0.2]",
        "low <= high",
    ),
    "unknown parameter": (
        "replicates: 2",
        "parameters: {daily_frm: -0.1}",
        23,
        "experiment.parameters.daily_frm",
        "no parameter 'daily_frm'",
        "'daily_farm'",
    ),
    "parameter beyond its kind": (
        "replicates: 2",
        "parameters: {daily_farm: 0.1}",
        23,
        "experiment.parameters",
        "from -2 to 0, got 0.1",
        "-2 to 0",
    ),
    "sweep of no parameter": (
        f"{SWEPT}: [1.1, 1.5]",
        "experiment.parameters.dily_farm: [-0.1]",
        25,
        "sweep.experiment.parameters.dily_farm[0]",
        "no parameter",
        "'daily_farm'",
    ),
    "swept value impossible": ("1.5]", "-1]", 25, f"sweep.{SWEPT}[1]", "more than 0, got -1", "more than 0"),
    "sweep of the grid": (
        "sweep:",
        "sweep:\n  time.days: [1, 2]",
        24,
        "sweep",
        "'time.days' cannot be swept",
        "weather",
    ),
    "sweep of nothing": ("[1.1, 1.5]", "[]", 25, f"sweep.{SWEPT}", "is empty", "at least one"),
    "tag": ("seed: 1", "seed: !!python/object:os.system 1", 2, "seed", "YAML tag", "remove the tag"),
    "merge key": ("seed: 1", "<<: {seed: 1}", 2, "<<", "merge keys", "write the settings out"),
    "key that is a list": ("seed: 1", "[a]: 1", 2, "", "a key must be plain text", "key: value"),
    "unknown alias": ("seed: 1", "seed: *x", 2, "", "*x has no anchor", "&x"),
    "alias of itself": ("seed: 1", "seed: &x [*x]", 2, "", "*x has no anchor", "&x"),
    "syntax": ("flat: {}", "flat: {", 17, "", "begun at line 15", "repair"),
    "tab": ("  days: 2", "\tdays: 2", 7, "", "not valid YAML", "spaces"),
    "two documents": ("seed: 1", "---\nseed: 1", None, "", "more than one YAML document", "keep one"),
    "too deep": ("seed: 1", "seed: " + "[" * 50 + "]" * 50, 2, "", "deeper than 32", "flatten"),
    "escape sequence": ("seed: 1", r'"\e[31m": 1', 2, r"\x1b[31m", "is not plain text", "printable"),
    "lone surrogate": ("seed: 1", 'seed: "\\ud800"', 2, "seed", "is not plain text", "printable"),
}


def problems_in(path: Path, *overrides: str) -> list[Problem]:
    before = sorted(path.parent.iterdir())
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, overrides)
    assert sorted(path.parent.iterdir()) == before, "loading must not write"
    assert caught.value.exit_code == 2
    problems = caught.value.problems
    assert problems
    assert all(problem.what and problem.fix for problem in problems)
    assert all("twin schema" not in problem.fix for problem in problems), "a problem without words of its own"
    return problems


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


def test_the_good_scenario_is_good(file: Path) -> None:
    assert load_scenario(file).name == "good"


@pytest.mark.parametrize("case", CASES)
def test_every_problem_says_where_what_and_the_fix(file: Path, case: str) -> None:
    old, new, line, path, what, fix = CASES[case]
    assert GOOD.count(old) >= 1
    file.write_text(GOOD.replace(old, new, 1))
    problems = problems_in(file)
    where = f"{file}:{line}" if line else str(file)
    match = [p for p in problems if p.where == where and p.path == path and what in p.what and fix in p.fix]
    assert len(match) == 1, "\n".join(map(str, problems))


def test_all_problems_come_at_once_and_none_twice(file: Path) -> None:
    text = GOOD.replace("seed: 1", "seed: true").replace("Sheohar", "Sheohr").replace("0.80", ".nan")
    file.write_text(text.replace("days: 2", "dayz: 2").replace("bihar-2026-27", "bihar").replace('"17-23"', '"17-99"'))
    paths = [problem.path for problem in problems_in(file, "output.readings.consumers=-1", "nonsense")]
    solar, peak = f"{TOD}.solar.multiplier", f"{TOD}.peak.hours"
    districts = "grid.resolve.districts[0]"
    expected = ["", "seed", districts, "time.days", "time.dayz", "tariff", solar, peak, "output.readings.consumers"]
    assert sorted(paths) == sorted(expected)


@pytest.mark.parametrize("arms", ["{}", "[]", "null", ""])
def test_an_experiment_needs_arms(file: Path, arms: str) -> None:
    file.write_text(f"{GOOD.split('experiment:')[0]}experiment:\n  arms: {arms}\n")
    (problem,) = problems_in(file)
    assert (problem.where, problem.path) == (f"{file}:14", "experiment.arms")


@pytest.mark.parametrize(
    ("override", "path", "what"),
    [
        ("time.days=0", "time.days", "at least 1, got 0"),
        ("time.dys=1", "time.dys", "no such setting"),
        ("time.days=true", "time.days", "got True"),
        ("time.days=[1", "time.days", "not valid YAML"),
        ("time.days=!!int 1", "time.days", "YAML tag"),
        ("time.days=.nan", "time.days", "finite"),
        ("time.start=2026-02-30", "time.start", "no date 2026-02-30"),
        ("time=1", "time", "mapping"),
        ("time.days.hours=1", "time.days", "whole number"),
        ("grid.resolve.districts=[Patnaa]", "grid.resolve.districts[0]", "'Patnaa'"),
        (f"{TOD}.peak.hours=x", f"{TOD}.peak.hours", "'x' is not a window"),
        (f"sweep.{SWEPT}=[0]", f"sweep.{SWEPT}[0]", "more than 0, got 0"),
        ("tariff=", "tariff", "text, got None"),
        ("days", "", "not of the form"),
        ("=1", "", "not of the form"),
        ("a..b=1", "", "not of the form"),
        ("", "", "not of the form"),
    ],
)
def test_a_bad_override_is_named(file: Path, override: str, path: str, what: str) -> None:
    (problem,) = problems_in(file, override)
    assert problem.where == f"--set {override}"
    assert problem.path == path
    assert what in problem.what


def test_an_override_that_clashes_with_the_file_names_both(file: Path) -> None:
    (problem,) = problems_in(file, "weather.heat_wave.to=2026-06-01")
    assert problem.where == f"{file}:9 with --set weather.heat_wave.to=2026-06-01"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"---\n...\n", "must be a mapping"),
        (b"just words", "must be a mapping of settings, got 'just words'"),
        (b"- a\n- b\n", "must be a mapping of settings, got a list"),
        (b"null", "must be a mapping"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "is not UTF-8 text (byte 0 is 0x89)"),
        (b"\x7fELF\x02\x01\x01\x00", "is a binary file"),
        (b"name: \x07bell", "character that YAML does not allow"),
        ("name: x".encode("utf-16"), "is not UTF-8 text"),
        (b"%YAML 9.9\n---\nname: x", "not valid YAML"),
        (b'name: "\\UFFFFFFFF"', "not valid YAML"),
        (b"[" * 100_000, "nested deeper"),
        (b"x: [" + b"1," * 200_000 + b"]", "more than 50,000 values"),
    ],
)
def test_files_that_are_no_scenario(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    problems = problems_in(path)
    assert problems[0].where.startswith(str(path))
    assert what in problems[0].what


def test_an_alias_bomb_is_defused_fast(tmp_path: Path) -> None:
    rows = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    rows += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(rows))
    started = time.perf_counter()
    (problem,) = problems_in(path)
    assert "once its aliases are expanded" in problem.what
    assert time.perf_counter() - started < 5


def test_honest_aliases_are_welcome(file: Path) -> None:
    text = GOOD.replace("tod:\n      tariff:", "tod: &tod\n      tariff:").replace(
        "  replicates", "    again: *tod\n  replicates"
    )
    file.write_text(text)
    scenario = load_scenario(file)
    assert scenario.arms[1] == scenario.arms[2]


def test_a_file_of_100_mb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as handle:
        handle.truncate(100_000_000)
    started = time.perf_counter()
    (problem,) = problems_in(path)
    assert "100,000,000 bytes" in problem.what
    assert time.perf_counter() - started < 1


def test_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (problem,) = problems_in(tmp_path / "folder.yaml")
    assert "is a directory" in problem.what


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (problem,) = problems_in(tmp_path / "pipe.yaml")
    assert "not an ordinary file" in problem.what


def test_a_missing_file_is_suggested(file: Path) -> None:
    (problem,) = problems_in(file.parent / "god.yaml")
    assert problem.what == "no such file"
    assert str(file) in problem.fix


@pytest.mark.parametrize("name", ["a" * 5000 + ".yaml", "zero\0byte.yaml"])
def test_names_that_no_file_has(tmp_path: Path, name: str) -> None:
    (problem,) = problems_in(tmp_path / name)
    assert "cannot be read" in problem.what


@pytest.mark.parametrize("old", ["seed: 1", "{districts: [Sheohar]}", "Sheohar", "bihar-2026-27", '"09-17"', "gross"])
def test_a_long_value_is_shown_short(file: Path, old: str) -> None:
    file.write_text(GOOD.replace(old, f"{old.partition(' ')[0] if old.startswith('seed') else ''} {'long ' * 5000}"))
    for problem in problems_in(file):
        assert len(problem.what) < 400


def test_problems_survive_the_trip_between_processes() -> None:
    import pickle

    error = ScenarioError([Problem("a.yaml:1", "seed", "must be a whole number, got 'x'", "write digits")])
    assert pickle.loads(pickle.dumps(error)).problems == error.problems


def test_limits_are_generous_enough_for_a_real_scenario() -> None:
    assert 100 * len(GOOD) <= yaml_text.MAX_BYTES
