"""A scenario's network of the user's: read, with its mapping and profiles, and checked at the lines of the files."""

from __future__ import annotations

from collections.abc import Mapping

from twin.datapack import categories
from twin.demand.own_profiles import ConsumerProfiles, read_consumer_profiles
from twin.errors import InputError, Problem
from twin.grid.imported import ImportedGrid, Request, import_grid
from twin.grid.mapping import MappingRow, read_mapping
from twin.scenario.problems import place_of
from twin.scenario.schema import Scenario
from twin.scenario.yaml_text import KeyPath, dotted

MAPPING: KeyPath = ("grid", "mapping")
NOWHERE: Mapping[KeyPath, str] = {(): "scenario"}


def own_grid_problems(scenario: Scenario, places: Mapping[KeyPath, str]) -> list[Problem]:
    """Everything that is wrong with the network, its mapping and its profiles."""
    problems: list[Problem] = []
    grid = _import(scenario, places, problems)
    if grid is not None and scenario.demand is not None:
        _profiles(scenario, grid, problems)
    return problems


def import_own_grid(scenario: Scenario) -> tuple[ImportedGrid, ConsumerProfiles | None]:
    """The network and the profiles of a scenario.

    Raises
    ------
    InputError
        With every problem; `load_scenario` has reported them with their lines.
    """
    problems: list[Problem] = []
    grid, profiles = _import(scenario, NOWHERE, problems), None
    if grid is not None and scenario.demand is not None:
        profiles = _profiles(scenario, grid, problems)
    if grid is None or problems:
        raise InputError(problems)
    return grid, profiles


def _import(scenario: Scenario, places: Mapping[KeyPath, str], problems: list[Problem]) -> ImportedGrid | None:
    rows = _rows(scenario, places, problems)
    section = scenario.grid
    assert section.mapping is not None, "the schema asks for one"
    codes = {row.category: row.code for row in categories()}
    request = Request(
        source=str(section.simbench or section.network),
        is_simbench=section.simbench is not None,
        mapping=tuple(rows),
        rule=codes[section.mapping.rule.category] if section.mapping.rule else None,
        # rows that could not be read are reported by themselves, not as loads without a row
        keep_unmapped=section.mapping.unmapped == "keep" or bool(problems),
        transformers=section.mapping.transformers,
        simbench_profiles=section.profiles is not None,
    )
    try:
        grid = import_grid(request, place_of(("grid",), places))
    except InputError as error:
        problems += [_placed(problem, places) for problem in error.problems]
        return None
    return None if problems else grid


def _rows(scenario: Scenario, places: Mapping[KeyPath, str], problems: list[Problem]) -> list[MappingRow]:
    """Rows of the file, then those of the scenario."""
    mapping = scenario.grid.mapping
    assert mapping is not None, "the schema asks for one"
    rows: list[MappingRow] = []
    if mapping.file is not None:
        rows, found = read_mapping(mapping.file)
        problems += found
    codes = {row.category: row.code for row in categories()}
    for number, row in enumerate(mapping.loads or ()):
        path = (*MAPPING, "loads", number)
        where = place_of(path, places)
        rows.append(MappingRow(row.load, row.consumers, codes[row.category], row.sanctioned_kw, where, dotted(path)))
    return rows


def _placed(problem: Problem, places: Mapping[KeyPath, str]) -> Problem:
    """A problem of a setting at the setting's own line; one of a row has its line."""
    if not problem.path.startswith("grid.") or "[" in problem.path:
        return problem
    return Problem(place_of(tuple(problem.path.split(".")), places), problem.path, problem.what, problem.fix)


def _profiles(scenario: Scenario, grid: ImportedGrid, problems: list[Problem]) -> ConsumerProfiles | None:
    assert scenario.demand is not None, "asked for only where there are profiles"
    try:
        return read_consumer_profiles(
            scenario.demand.profiles, scenario.dates, scenario.steps, grid.load, grid.consumers
        )
    except InputError as error:
        problems += error.problems
        return None
