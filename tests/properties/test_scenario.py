"""Promises of scenario loading, on inputs that nobody chose."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from twin.datapack import uncertain_parameters
from twin.errors import ScenarioError
from twin.scenario import Scenario, dump_resolved, load_scenario, parse_scenario, scenario_hash
from twin.scenario.hours import canonical_hours, minutes_of, period_at
from twin.scenario.names import category_names, tariff_names
from twin.simulation.plan import plans

NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,12}", fullmatch=True)
PERIODS = NAMES.filter(lambda name: name not in {"normal", "applies_to", "categories", "min_kw"})
FINITE = st.floats(1e-6, 100, allow_nan=False)
SUBSTITUTION = st.sampled_from([name for name in uncertain_parameters() if name.startswith("substitution")])
SHIFTS = st.floats(0, 2)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


def outcome(load: Callable[[], Scenario]) -> Scenario | ScenarioError:
    """What loading gives; anything but the two fails the test."""
    try:
        return load()
    except ScenarioError as error:
        return error


def check(result: Scenario | ScenarioError) -> None:
    """A refusal says what and how to repair it, in words of its own; a scenario can be written back."""
    if isinstance(result, ScenarioError):
        assert result.problems
        assert str(result).encode()
        assert all(problem.what and problem.fix for problem in result.problems)
        assert all("twin schema" not in problem.fix for problem in result.problems)
    else:
        assert parse_scenario(dump_resolved(result)) == result


@given(st.binary(max_size=300))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_are_a_scenario_or_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(raw)
    check(outcome(lambda: load_scenario(path)))


@given(st.text(alphabet=st.sampled_from("ab:-{}[]&*!|>'\"%@`#,? \n\t\\0.~<=\u2028\x85\ufeffé"), max_size=80))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("? a\n: b")
@example("&a : *a")
@example("'': ''\n? ''\n")
@example("%YAML 99999999999999999999999.1\n---\na: b")
def test_text_is_a_scenario_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(text, encoding="utf-8")
    check(outcome(lambda: load_scenario(path)))


GOOD = yaml.safe_load("""\
name: any
grid: {resolve: {districts: [Sheohar]}}
time: {start: 2026-06-09, days: 2}
weather: {heat_wave: {from: 2026-06-10, to: 2026-06-11, rise_c: 3}}
meters: {smart_share: {domestic: 0.35}}
tariff: bihar-2026-27
experiment:
  arms:
    flat: {}
    tod:
      tariff:
        time_of_day: {applies_to: gross, peak: {hours: "17-23", multiplier: 1.2}}
        free_units: {weight: time_of_day}
sweep: {experiment.arms.tod.tariff.time_of_day.peak.multiplier: [1.1, 2]}
output: {readings: {consumers: 1}, tables: all}
""")
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXT,
    st.dates(),
    st.sampled_from(["09-17", "all", 10**30, -0.0]),
)
VALUES = st.recursive(
    LEAVES, lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3), max_leaves=6
)


def mutate(data: Any, choices: Any) -> Any:
    """``data`` with one value somewhere replaced, or a key added."""
    if isinstance(data, dict) and data and choices(st.integers(0, 5)):
        key = choices(st.sampled_from(sorted(data)))
        return {**data, key: mutate(data[key], choices)}
    if isinstance(data, dict) and choices(st.booleans()):
        return {**data, choices(TEXT): choices(VALUES)}
    return choices(VALUES)


@given(st.data())
@settings(max_examples=300)
def test_a_good_scenario_with_anything_in_it_is_a_scenario_or_refused(data: st.DataObject) -> None:
    mutated = GOOD
    for _ in range(data.draw(st.integers(1, 3))):
        mutated = mutate(mutated, data.draw)
    text = yaml.safe_dump(mutated, allow_unicode=True)
    check(outcome(lambda: parse_scenario(text)))


@given(st.lists(TEXT | st.sampled_from(["time.days=1", "grid=1", "sweep.a=1", "a.b.c={}", "=", "."]), max_size=3))
@settings(max_examples=200)
def test_overrides_are_applied_or_refused(overrides: list[str]) -> None:
    check(outcome(lambda: parse_scenario(yaml.safe_dump(GOOD), overrides=overrides)))


@st.composite
def windows(draw: Any, step: int) -> dict[str, str]:
    """One or two periods that do not overlap, perhaps over midnight; with the base tariff at most eight zones."""
    count = draw(st.integers(1, 2))
    edges = sorted(
        draw(st.lists(st.integers(0, 1440 // step - 1), min_size=2 * count, max_size=2 * count, unique=True))
    )
    shift = draw(st.integers(0, 1))
    edges = edges[shift:] + edges[:shift]
    found = draw(st.lists(PERIODS, min_size=count, max_size=count, unique=True))
    clock = [f"{edge * step // 60:02d}:{edge * step % 60:02d}" for edge in edges]
    return {name: f"{clock[2 * i]}-{clock[2 * i + 1]}" for i, name in enumerate(found)}


@st.composite
def arms(draw: Any, step: int) -> dict[str, Any]:
    hours = draw(windows(step))
    tod: dict[str, Any] = {"applies_to": draw(st.sampled_from(["gross", "after_subsidy"]))}
    if draw(st.booleans()):
        some = st.lists(st.sampled_from(category_names()), min_size=1, unique=True)
        tod |= {"categories": draw(some), "min_kw": draw(st.floats(0, 50)), "requires_smart_meter": draw(st.booleans())}
    tod |= {name: {"hours": window, "multiplier": draw(st.floats(1e-4, 20))} for name, window in hours.items()}
    shape = draw(st.sampled_from(["none", "weight", "per_period", "rebate"]))
    first = next(iter(hours))
    shapes = {
        "weight": {"weight": "time_of_day"},
        "per_period": {"per_period": {first: draw(st.floats(0, 200))}},
        "rebate": {"rebate": {"inr_per_kwh": draw(FINITE)}},
    }
    free = {} if shape == "none" else {"free_units": shapes[shape]}
    return {"tariff": {"time_of_day": tod, **free}}


@st.composite
def scenarios(draw: Any) -> Scenario:
    step = draw(st.sampled_from([15, 30, 60]))
    start = draw(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
    ways = ["all", {"fraction": draw(st.floats(1e-6, 1))}, {"districts": ["Sheohar", "Purba Champaran"]}]
    replicates = draw(st.integers(1, 20))
    data: dict[str, Any] = {
        "name": draw(NAMES),
        "description": draw(TEXT),
        "seed": draw(st.integers(0, 2**63 - 1)),
        "grid": {"resolve": draw(st.sampled_from(ways))},
        "time": {"start": start, "days": draw(st.integers(1, 3660)), "step_minutes": step},
        "tariff": draw(st.sampled_from(tariff_names())),
        "experiment": {
            "arms": {"flat": {}, draw(NAMES.filter(lambda name: name != "flat")): draw(arms(step))},
            "replicates": replicates,
            "seeds_per_draw": draw(st.sampled_from([n for n in range(1, replicates + 1) if replicates % n == 0])),
            "parameters": draw(st.dictionaries(SUBSTITUTION, SHIFTS | SHIFTS.map(lambda x: [0.0, x]), max_size=3)),
        },
        "output": {
            "readings": {"consumers": draw(st.integers(0, 10**6))},
            "tables": draw(st.sampled_from(["all", ["bills"]])),
        },
    }
    if draw(st.booleans()):
        data["meters"] = {"smart_share": {"domestic": draw(st.floats(0, 1))}}
    return Scenario.model_validate(data)


@given(scenarios())
@settings(max_examples=60)
def test_what_is_written_back_loads_to_the_same_scenario(scenario: Scenario) -> None:
    again = parse_scenario(dump_resolved(scenario))
    assert again == scenario
    assert dump_resolved(again) == dump_resolved(scenario)
    assert scenario_hash(again) == scenario_hash(scenario)


@given(scenarios())
@settings(max_examples=60)
def test_zones_refine_every_window(scenario: Scenario) -> None:
    (plan,) = plans(scenario)
    zones = plan.zones
    minutes = np.arange(scenario.steps) * scenario.time.step_minutes
    assert set(zones.zone_of_step) == set(range(zones.n_zones))
    assert zones.n_zones <= 8
    assert plan.evening[zones.zone_of_step].tolist() == [(17 * 60 <= m < 23 * 60) for m in minutes]
    for arm in scenario.arms:
        hours = arm.tariff.time_of_day.hours if arm.tariff.time_of_day else {}
        by_zone: dict[int, set[str]] = {}
        for zone, minute in zip(zones.zone_of_step.tolist(), minutes.tolist(), strict=True):
            by_zone.setdefault(zone, set()).add(period_at(hours, minute))
        assert all(len(names) == 1 for names in by_zone.values())


@pytest.mark.parametrize("step", [15])
@given(data=st.data())
def test_hours_written_in_full_mean_the_same(step: int, data: st.DataObject) -> None:
    for window in data.draw(windows(step)).values():
        assert minutes_of(canonical_hours(window)) == minutes_of(window)
