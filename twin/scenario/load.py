"""Loading a scenario: from a file and ``--set`` overrides to a frozen `Scenario`, or every problem at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from twin.errors import Problem, ScenarioError
from twin.scenario.problems import place_of, problems_of
from twin.scenario.schema import Scenario
from twin.scenario.sweeps import moves_hours, points, set_value
from twin.scenario.yaml_text import Document, KeyPath, dotted, parse_document, parse_value, printable, read_document
from twin.scenario.zones import zone_problems

STEP_MINUTES = (15, 30, 60)
ONE_OF = ("resolve", "free_units")
"""Mappings that hold exactly one of their keys."""


def load_scenario(path: str | Path, overrides: Iterable[str] = ()) -> Scenario:
    """The scenario in a YAML file, with ``path=value`` overrides applied last.

    Raises
    ------
    ScenarioError
        With every problem of the file and the overrides, each with ``file:line``, path, value and fix.
    """
    file = Path(path)
    return _build(read_document(file), overrides, file.parent)


def parse_scenario(text: str, name: str = "scenario.yaml", overrides: Iterable[str] = ()) -> Scenario:
    """As `load_scenario`, from text; ``name`` stands for the file in messages, paths are of the working folder.

    Raises
    ------
    ScenarioError
        With every problem.
    """
    return _build(parse_document(text, name), overrides, Path())


def _build(document: Document, overrides: Iterable[str], folder: Path) -> Scenario:
    problems = list(document.problems)
    for override in overrides:
        problems += _override(document, override)
    if not document.readable:
        raise ScenarioError(problems)
    problems += _include_mapping(document, folder)
    context = {"folder": folder, "step_minutes": _step_minutes(document.data)}
    skip = {problem.path for problem in problems if problem.path}
    scenario = None
    try:
        scenario = Scenario.model_validate(document.data, context=context)
    except ValidationError as error:
        problems += problems_of(error, document.places, skip)
    if scenario is not None:
        problems += _across(scenario, document)
    if problems or scenario is None:
        raise ScenarioError(problems)
    return scenario


def _include_mapping(document: Document, folder: Path) -> list[Problem]:
    """Put the content of a YAML file that ``grid.mapping`` names in its place, with its own lines; its problems."""
    grid = document.data.get("grid")
    name = grid.get("mapping") if isinstance(grid, dict) else None
    if not isinstance(grid, dict) or not isinstance(name, str) or not name.lower().endswith((".yaml", ".yml")):
        return []
    included = read_document(folder / name)
    grid["mapping"] = included.data
    document.places.update({("grid", "mapping", *path): place for path, place in included.places.items() if path})
    return [replace(problem, path=problem.path or "grid.mapping") for problem in included.problems]


def _step_minutes(data: dict[str, Any]) -> int | None:
    """The step length if it is a possible one; hours are checked against it while everything else is checked."""
    time = data.get("time")
    minutes = time.get("step_minutes", STEP_MINUTES[0]) if isinstance(time, dict) else None
    return minutes if type(minutes) is int and minutes in STEP_MINUTES else None


def _override(document: Document, override: str) -> list[Problem]:
    """Apply one ``path=value``; the problems of its text."""
    place = f"--set {printable(override, 80)}"
    key, equals, text = override.partition("=")
    keys = [part.strip() for part in key.strip().split(".")]
    if not equals or not all(keys):
        return [Problem(place, "", "is not of the form path=value", "write for example --set time.days=2")]
    if keys[0] == "sweep" and len(keys) > 1:  # keys of a sweep are dotted paths themselves
        keys = ["sweep", ".".join(keys[1:])]
    value = parse_value(text, place)
    if value.problems:
        return [Problem(place, ".".join(keys), problem.what, problem.fix) for problem in value.problems]
    if document.readable:
        _drop_alternatives(document.data, keys)
        set_value(document.data, keys, value.data["value"])
        _note_override(document, tuple(keys), place)
    return []


def _drop_alternatives(data: dict[str, Any], keys: list[str]) -> None:
    """Where exactly one of several keys may stand, setting one replaces the others."""
    for depth, key in enumerate(keys[:-1]):
        below = data.get(key)
        if not isinstance(below, dict):
            return
        data = below
        if key in ONE_OF:
            for other in [other for other in data if other != keys[depth + 1]]:
                del data[other]


def _note_override(document: Document, target: KeyPath, place: str) -> None:
    """What was set stands in ``--set``; what holds it stands in the file, with the override."""
    for path in [path for path in document.places if path[: len(target)] == target]:
        del document.places[path]
    for depth in range(1, len(target)):
        above = target[:depth]
        holds_more = any(len(path) > depth and path[:depth] == above for path in document.places)
        document.places[above] = f"{document.places[above]} with {place}" if holds_more else place
    document.places[target] = place


def _across(scenario: Scenario, document: Document) -> list[Problem]:
    """Problems that show only in the whole: sweep points, a network with its consumers, and tariff zones."""
    problems = _sweep_problems(scenario, document)
    if scenario.grid.is_own:
        from twin.scenario.own_grid import own_grid_problems  # pandapower takes seconds to import

        problems += own_grid_problems(scenario, document.places)
    if problems:
        return problems
    cases = [("experiment", "arms", scenario)]
    if any(moves_hours(path) for path in scenario.sweep):
        cases += [("sweep", "", point) for _, point in scenario.points()]
    for top, below, point in cases:
        path = (top, below) if below else (top,)
        for what, fix in zone_problems(point):
            problems.append(Problem(place_of(path, document.places), dotted(path), what, fix))
    return list(dict.fromkeys(problems))


def _sweep_problems(scenario: Scenario, document: Document) -> list[Problem]:
    """Each swept value tried by itself, so that a bad one is named; then all points, to the first bad one."""
    problems: list[Problem] = []
    for path, values in scenario.sweep.items():
        for number, value in enumerate(values):
            place = place_of(("sweep", path, number), document.places)
            problems += _tried(scenario, {path: value}, place, f"sweep.{path}[{number}]")
    if problems:
        return problems
    for point in points(scenario.sweep, scenario.sweep_design):
        found = _tried(scenario, point, place_of(("sweep",), document.places), "sweep") if len(point) > 1 else []
        if found:
            return found
    return []


def _tried(scenario: Scenario, values: dict[str, Any], place: str, path: str) -> list[Problem]:
    try:
        scenario.with_values(values)
    except ValidationError as error:
        found = problems_of(error, {(): place}, set())
        return [Problem(place, path, p.what if p.path in path else f"{p.path}: {p.what}", p.fix) for p in found]
    return []
