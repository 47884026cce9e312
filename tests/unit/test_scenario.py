"""What a scenario holds after loading: defaults, order of priority, sweeps, cases, identity."""

import json
import pickle
from datetime import date
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

import twin
from twin.datapack import scenario_parameters
from twin.errors import ScenarioError
from twin.scenario import Scenario, dump_resolved, load_scenario, parse_scenario, scenario_hash
from twin.scenario.hours import minutes_of, period_at
from twin.scenario.json_schema import scenario_schema

ROOT = Path(twin.__file__).parents[1]
SHIPPED = sorted((ROOT / "scenarios").glob("*.yaml"))

SMALL = """\
name: small
grid: {resolve: all}
time: {start: 2026-06-09, days: 3}
tariff: bihar-2026-27
experiment:
  replicates: 4
  arms:
    flat: {}
    tod: {tariff: {time_of_day: {applies_to: gross, peak: {hours: "17-23", multiplier: 1.2}}}}
"""
PEAK = "experiment.arms.tod.tariff.time_of_day.peak.multiplier"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_load_ask_a_question_and_come_back(path: Path) -> None:
    text = path.read_text()
    comment = text.splitlines()[0]
    assert comment.startswith("# ")
    assert comment.endswith("?")
    scenario = load_scenario(path)
    assert scenario.description.endswith("?")
    assert parse_scenario(dump_resolved(scenario)) == scenario


def test_defaults_fill_what_the_file_leaves_out() -> None:
    scenario = parse_scenario(SMALL)
    assert (scenario.seed, scenario.steps, scenario.grid.state) == (0, 96, "bihar")
    assert scenario.weather.year == "bihar-normal"
    assert 0 < scenario.meters.smart_share.domestic < 1
    tod = scenario.arms[1].tariff.time_of_day
    assert tod is not None
    assert (tod.min_kw, tod.requires_smart_meter) == (0.0, True)
    assert "ds1" in tod.categories
    assert not {"irrigation_rural", "irrigation_urban"} & set(tod.categories)
    assert scenario.output.wants("bills")


def test_days_arms_and_cases_are_in_file_order() -> None:
    scenario = parse_scenario(SMALL)
    assert scenario.dates == (date(2026, 6, 9), date(2026, 6, 10), date(2026, 6, 11))
    assert scenario.arm_names == ("flat", "tod")
    assert scenario.n_cases == 8
    assert [scenario.case(arm, r) for arm in range(2) for r in range(4)] == list(range(8))


def test_the_command_line_wins_over_the_file() -> None:
    scenario = parse_scenario(SMALL, overrides=["time.days=1", "grid.resolve.fraction=0.5", "time.days=2", "seed=9"])
    assert (scenario.time.days, scenario.seed) == (2, 9)
    assert (scenario.grid.resolve.everything, scenario.grid.resolve.fraction) == (False, 0.5)


def test_an_override_may_hold_a_mapping_or_begin_a_section() -> None:
    overrides = [
        "grid.resolve={districts: [Patna, Gaya, Patna]}",
        "output.readings.consumers=7",
        "weather.heat_wave=null",
    ]
    scenario = parse_scenario(SMALL, overrides=overrides)
    assert scenario.grid.resolve.districts == ("Patna", "Gaya")
    assert scenario.output.readings.consumers == 7
    assert scenario.weather.heat_wave is None


def test_districts_are_known_in_any_spelling() -> None:
    scenario = parse_scenario(SMALL, overrides=["grid.resolve={districts: [Purba Champaran, motihari, Purnea]}"])
    assert scenario.grid.resolve.districts == ("East Champaran", "Purnia")


def test_a_sweep_makes_every_combination_the_last_path_fastest() -> None:
    sweep = f"sweep: {{{PEAK}: [1.1, 2], meters.smart_share.domestic: [0, 1]}}\n"
    scenario = parse_scenario(SMALL + sweep)
    points = scenario.points()
    assert [tuple(values.values()) for values, _ in points] == [(1.1, 0), (1.1, 1), (2, 0), (2, 1)]
    assert scenario.n_cases == 4 * 8
    assert scenario.case(1, 3, point=3) == 31
    last = points[-1][1]
    tod = last.arms[1].tariff.time_of_day
    assert tod is not None
    assert tod.periods["peak"].multiplier == 2.0
    assert last.meters.smart_share.domestic == 1.0
    assert not last.sweep


def test_one_at_a_time_moves_each_path_from_the_middle() -> None:
    sweep = f"sweep: {{{PEAK}: [1.5, 1.1, 2], meters.smart_share.domestic: [0, 1]}}\nsweep_design: one_at_a_time\n"
    scenario = parse_scenario(SMALL + sweep)
    points = scenario.points()
    assert [tuple(values.values()) for values, _ in points] == [(1.5, 0), (1.1, 0), (2, 0), (1.5, 1)]
    assert scenario.n_cases == 4 * 8
    tod = points[2][1].arms[1].tariff.time_of_day
    assert tod is not None
    assert tod.periods["peak"].multiplier == 2.0
    assert scenario.resolved()["sweep_design"] == "one_at_a_time"
    assert {point.sweep_design for _, point in points} == {"combinations"}  # points have no sweep of their own


def test_one_at_a_time_needs_something_to_move() -> None:
    with pytest.raises(ScenarioError, match="`sweep_design` is about a sweep"):
        parse_scenario(SMALL, overrides=["sweep_design=one_at_a_time"])


def test_one_at_a_time_grows_with_the_paths_only() -> None:
    parameters = [name for name in scenario_parameters() if name.startswith(("daily", "substitution"))]
    swept = ", ".join(f"experiment.parameters.{name}: [0, 0.0, -0.0]" for name in parameters)
    assert parse_scenario(SMALL + f"sweep: {{{swept}}}\nsweep_design: one_at_a_time\n").n_cases == 8
    low = {name: scenario_parameters()[name].least for name in parameters}
    swept = ", ".join(f"experiment.parameters.{name}: [{low[name]}, 0.001]" for name in low if low[name] == 0)
    scenario = parse_scenario(SMALL + f"sweep: {{{swept}}}\nsweep_design: one_at_a_time\n")
    assert scenario.n_cases == 8 * (1 + sum(value == 0 for value in low.values()))


def test_without_a_sweep_the_only_point_is_the_scenario_itself() -> None:
    scenario = parse_scenario(SMALL)
    assert scenario.points() == [({}, scenario)]


def test_too_many_cases_are_refused() -> None:
    with pytest.raises(ScenarioError, match="cases"):
        parse_scenario(SMALL, overrides=["experiment.replicates=1000", f"sweep.{PEAK}={list(range(1, 10))}"])
    values = list(range(1, 60))
    both = [f"sweep.{PEAK}={values}", f"sweep.experiment.parameters.daily_farm={[-0.01 * n for n in range(59)]}"]
    with pytest.raises(ScenarioError, match="3,481 sweep points"):
        parse_scenario(SMALL, overrides=both)


def test_nothing_in_a_scenario_can_be_changed() -> None:
    scenario = parse_scenario(SMALL)
    with pytest.raises(ValidationError):
        scenario.seed = 5  # type: ignore[misc]
    with pytest.raises(TypeError, match="frozen"):
        scenario.experiment.arms["new"] = scenario.arms[0]


def test_a_scenario_travels_between_processes() -> None:
    scenario = parse_scenario(SMALL)
    copy = pickle.loads(pickle.dumps(scenario))
    assert copy == scenario
    assert hash(copy) == hash(scenario)


def test_the_resolved_file_is_ordinary_yaml(tmp_path: Path) -> None:
    scenario = parse_scenario(
        SMALL,
        overrides=[
            "description='yes: no'",
            "experiment.parameters={substitution_shop: 1e-7, substitution_farm: [0, 1]}",
        ],
    )
    text = dump_resolved(scenario)
    plain = yaml.safe_load(text)
    assert plain["description"] == "yes: no"
    assert plain["experiment"]["parameters"] == {"substitution_shop": 1e-7, "substitution_farm": [0.0, 1.0]}
    (tmp_path / "scenario.yaml").write_text(text)
    assert load_scenario(tmp_path / "scenario.yaml") == scenario


def test_the_hash_is_of_content_alone(tmp_path: Path) -> None:
    scenario = parse_scenario(SMALL)
    spelled_out = parse_scenario("# a comment\n" + SMALL.replace('"17-23"', '"17:00-23:00"') + "seed: 0\n")
    assert scenario_hash(spelled_out) == scenario_hash(scenario)
    assert scenario_hash(parse_scenario(SMALL, overrides=["seed=1"])) != scenario_hash(scenario)
    reordered = SMALL.replace("    flat: {}\n", "") + "    flat: {}\n"
    assert scenario_hash(parse_scenario(reordered)) != scenario_hash(scenario), "the first arm is the baseline"


def test_a_weather_file_counts_by_content_not_by_path(tmp_path: Path) -> None:
    hashes = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "weather.csv").write_text("t\n1\n")
        (tmp_path / folder / "s.yaml").write_text(SMALL + "weather: {year: weather.csv}\n")
        scenario = load_scenario(tmp_path / folder / "s.yaml")
        assert Path(scenario.weather.year).is_absolute()
        assert parse_scenario(dump_resolved(scenario)) == scenario
        hashes.add(scenario_hash(scenario))
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("hours", "minutes"),
    [
        ("09-17", (540, 1020)),
        ("9 - 17", (540, 1020)),
        ("06:30-10:00", (390, 600)),
        ("22-06", (1320, 1800)),
        ("00-24", (0, 1440)),
        ("17-24", (1020, 1440)),
        ("24-06", (0, 360)),
        ("17-00", (1020, 1440)),
    ],
)
def test_hours_as_minutes(hours: str, minutes: tuple[int, int]) -> None:
    assert minutes_of(hours) == minutes


def test_a_window_over_midnight_holds_both_sides() -> None:
    periods = {"night": "22-06"}
    assert [period_at(periods, hour * 60) for hour in (21, 22, 0, 5, 6)] == [
        "normal",
        "night",
        "night",
        "night",
        "normal",
    ]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_json_schema_accepts_what_is_shipped(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(scenario_schema())
    validator.check_schema(scenario_schema())
    for text in (path.read_text(), dump_resolved(load_scenario(path))):
        data = json.loads(json.dumps(yaml.safe_load(text), default=str))
        assert [error.message for error in validator.iter_errors(data)] == []
        data["sede"] = 1
        data["time"]["days"] = 0
        assert len(list(validator.iter_errors(data))) == 2


def test_every_setting_of_the_schema_is_described() -> None:
    assert all(section.__doc__ for section in Scenario.__subclasses__() or [Scenario])
    json.dumps(scenario_schema())
