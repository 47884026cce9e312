"""The runs of a comparison: refused where nothing can be said, and judged where something can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from twin.errors import Problem, RunFolderError
from twin.report.catalogue import Catalogue, clean
from twin.report.facts import Arm, Facts, RunTables

PAIRED, UNPAIRED, NOT_COMPARABLE = "paired", "unpaired", "not_comparable"
POPULATION = "feeder_id, pss_id, district, category, income_class, consumers, annual_kwh, billed_within_free"
GRID = "feeder_id, code, pss_id, gss_id, district, feeder_class, resolved, sampled, weight, consumers, dts"
"""Columns that say which people and which feeders a run simulates; meters are a treatment, not a population. What all
consumers of a feeder, category and class use in a year together tells other people apart."""
FEWEST = 2


class Member:
    """One run of a comparison."""

    def __init__(self, position: int, path: str, facts: Facts) -> None:
        self.position, self.path, self.facts = position, path, facts
        self.label = facts.t.text("compare.run", n=position + 1)
        self.name = clean(str(facts.scenario.get("name", "")), 64)

    @cached_property
    def population(self) -> tuple[Any, ...]:
        """Fingerprint of the simulated consumers; equal in two runs that simulate the same people."""
        return self._fingerprint("population", POPULATION)

    @cached_property
    def grid(self) -> tuple[Any, ...]:
        """Fingerprint of the feeders and of what they stand for."""
        return self._fingerprint("feeder_list", GRID)

    @property
    def arm_names(self) -> frozenset[str]:
        """Names of all arms in the run's tables."""
        return frozenset(arm.name for arm in self.facts.arms)

    @property
    def first_arm(self) -> Any:
        """Settings of the first arm, against which all effects of the run are."""
        arms = (self.facts.scenario.get("experiment") or {}).get("arms") or {}
        return arms.get(self.facts.reference.base)

    def _fingerprint(self, table: str, columns: str) -> tuple[Any, ...]:
        sql = f'select count(*) as n, sum(hash({columns})::hugeint) as total from "{table}"'  # noqa: S608
        row = self.facts.rows(sql)[0]
        return row["n"], row["total"]

    @property
    def version(self) -> str:
        """Version of the twin that made the run."""
        return clean(str((self.facts.manifest.get("versions") or {}).get("twin", "")))


@dataclass(frozen=True)
class Judgement:
    """How a run stands to the first: paired, unpaired or not comparable, and why."""

    kind: str
    reasons: Sequence[str]


def open_members(runs: Sequence[tuple[str, RunTables]], catalogue: Catalogue) -> list[Member]:
    """The runs as members, in the order given.

    Parameters
    ----------
    runs : sequence of (str, RunTables)
        Path as the user gave it, and the open run.
    catalogue : Catalogue
        Words of the page.

    Raises
    ------
    RunFolderError
        All problems at once: fewer than two runs, a run given twice, a run without a simulated day or without
        effects to compare.
    """
    problems: list[Problem] = []
    if len(runs) < FEWEST:
        problems.append(Problem("twin compare", "", f"got {len(runs)} run", "give two or more run folders"))
    members: list[Member] = []
    for position, (path, run) in enumerate(runs):
        try:
            members.append(Member(position, path, Facts(run, catalogue)))
        except RunFolderError as error:
            problems += [replace(problem, where=f"{path}/{problem.where}") for problem in error.problems]
    seen: dict[str, str] = {}
    for member in members:
        problems += _problems(member, seen)
    if problems:
        raise RunFolderError(problems)
    return members


def _problems(member: Member, seen: dict[str, str]) -> list[Problem]:
    found = []
    digest = member.facts.digest
    if digest in seen:
        what = f"is the same run as {seen[digest]}: their hashes are equal"
        found.append(Problem(member.path, "", what, "name each run once"))
    seen[digest] = member.path
    if member.facts.treatments and not member.facts.effects:
        fix = "finish the run with --resume, then compare it"
        found.append(Problem(member.path, "tables/effects", "holds no effects yet", fix))
    return found


def judge(first: Member, other: Member) -> Judgement:
    """Judge a run against the first of the comparison."""
    t = first.facts.t
    unlike = [t.text(f"compare.unlike.{name}") for name, key in STUDY.items() if key(first) != key(other)]
    if unlike:
        return Judgement(NOT_COMPARABLE, unlike)
    apart = [t.text(f"compare.apart.{name}") for name, key in DRAWS.items() if key(first) != key(other)]
    return Judgement(UNPAIRED, apart) if apart else Judgement(PAIRED, [])


def _at(path: str) -> Any:
    """A function that reads a dotted path of a member's scenario."""
    keys = path.split(".")

    def read(member: Member) -> Any:
        value: Any = member.facts.scenario
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    return read


def _area(member: Member) -> tuple[Any, ...]:
    grid = member.facts.scenario.get("grid") or {}
    return tuple(grid.get(key) for key in ("state", "network", "simbench"))


STUDY = {
    "area": _area,
    "period": lambda member: (member.facts.first_day, member.facts.days, member.facts.step_hours),
    "tariff": _at("tariff"),
}
"""What must be equal for any difference to mean something."""
DRAWS = {
    "seed": _at("seed"),
    "population": lambda member: member.population,
    "grid": lambda member: member.grid,
    "version": lambda member: member.version,
}
"""What must be equal for a difference to be an effect: then both runs draw the same chances for the same people."""


def differing_settings(members: Sequence[Member]) -> list[tuple[str, list[str]]]:
    """Scenario settings that are not equal in all runs: dotted path, and the value in each run."""
    flat = [dict(_leaves(member.facts.scenario)) for member in members]
    paths = dict.fromkeys(path for own in flat for path in own)
    missing = members[0].facts.t.text("compare.unset")
    rows = []
    for path in paths:
        values = [own.get(path) for own in flat]
        if any(value != values[0] for value in values) and path not in ("name", "description"):
            rows.append((clean(path), [missing if value is None else clean(value) for value in values]))
    return rows


def _leaves(settings: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(settings, Mapping) and settings:
        inner = [(f"{path}.{name}" if path else str(name), value) for name, value in settings.items()]
        return [leaf for own, value in inner for leaf in _leaves(value, own)]
    if isinstance(settings, list | tuple):
        return [(path, ", ".join(str(value) for value in settings))]
    return [(path, str(settings))]


def arms_of(members: Sequence[Member]) -> list[list[Arm]]:
    """Treatments of each run that are drawn, with the run as marker and label; an arm's name keeps its colour."""
    names = list(dict.fromkeys(arm.base for member in members for arm in member.facts.treatments))
    index = {name: position + 1 for position, name in enumerate(names)}
    return [
        [
            replace(arm, label=f"{member.label} {arm.label}", index=index[arm.base], run=member.position)
            for arm in member.facts.listed
        ]
        for member in members
    ]
