"""What ``twin optimize`` does: search a time of day for the lowest peak or purchase cost within limits.

The search is scipy's differential evolution, over multipliers, windows and the free block's shape. A generation is one
run, in which every candidate is an arm beside the scenario's first arm: all share the grid, the population, the draws
and the workers. Candidates whose windows would together need more registers than a meter has are divided among as few
runs as hold them. Such runs draw the same chances for the same people, so that their effects are comparable too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from rich.console import Console
from scipy.optimize import differential_evolution

from twin.errors import Problem, ScenarioError
from twin.hours import HoursError, minutes_of
from twin.optimize_space import Candidate, FloatArray, Space, problems_of_arms, shared_runs, with_arms
from twin.results.reader import Run, open_run
from twin.runner import RunOptions, run_scenario
from twin.scenario.schema import Scenario

Objective = Literal["evening_peak", "peak_any", "purchase_cost"]
PENALTY = 100.0
"""Percent of the objective that a percent beyond a limit costs: more than any design gains."""
NOT_METERED = 100.0 * PENALTY
"""Score of a design that no meter could bill, above that of any other. [percent]"""
FEWEST_CANDIDATES = 5


@dataclass(frozen=True)
class Search:
    """What is looked for, and within which limits (percent of the first arm's)."""

    objective: Objective = "evening_peak"
    revenue_tolerance: float = 0.5
    bill_cap: float = 5.0
    """Most that the mean bill of a category, or of an income class of homes, may rise."""
    solar: str = "09-17"
    peak: str = "17-23"
    shape_free: bool = False
    """Are the free units searched that may fall into the peak and into normal hours?"""
    windows: bool = False
    """Are start and length of both periods searched, instead of given by ``solar`` and ``peak``?"""
    generations: int = 4
    candidates: int = 8
    seed: int = 0

    @property
    def space(self) -> Space:
        """The designs that are searched."""
        return Space(self.solar, self.peak, self.windows, self.shape_free)

    @property
    def peak_outcome(self) -> str:
        """The peak on one axis of the trade-off curve: the evening's, unless another is the objective."""
        return "peak_any" if self.objective == "peak_any" else "evening_peak"


@dataclass(frozen=True)
class Design:
    """One candidate and what it does, percent of the first arm's values."""

    generation: int
    run: str
    """Folder of its run."""
    arm: str
    candidate: Candidate
    evening_peak: float
    """Highest load from 17:00 to 23:00, whatever the design's own peak hours are."""
    peak_any: float
    """Highest load at any hour."""
    purchase_cost: float
    revenue: float
    worst_bill: float
    worst_group: str

    def excess(self, search: Search) -> float:
        """How far it is beyond the limits. [percent]"""
        over_revenue = max(abs(self.revenue) - search.revenue_tolerance, 0.0)
        return over_revenue + max(self.worst_bill - search.bill_cap, 0.0)

    def score(self, search: Search) -> float:
        """What the search makes small. [percent]"""
        return float(getattr(self, search.objective)) + PENALTY * self.excess(search)


@dataclass
class Found:
    """All designs that were tried, in the order of the runs."""

    search: Search
    designs: list[Design] = field(default_factory=list)
    left_out: list[Candidate] = field(default_factory=list)
    """Designs that would need more registers than a meter has."""
    runs: int = 0

    @property
    def feasible(self) -> list[Design]:
        """Designs within the limits, the best first."""
        inside = [design for design in self.designs if design.excess(self.search) == 0.0]
        return sorted(inside, key=lambda design: design.score(self.search))

    @property
    def trade_off(self) -> list[Design]:
        """Feasible designs that no other beats in both peak and purchase cost, by peak."""
        peak = self.search.peak_outcome
        front: list[Design] = []
        for design in sorted(self.feasible, key=lambda one: (getattr(one, peak), one.purchase_cost)):
            if not front or design.purchase_cost < front[-1].purchase_cost:
                front.append(design)
        return front


def problems_of(search: Search) -> list[Problem]:
    """What is impossible about a search."""
    default = Search()
    fixed = (search.solar, search.peak) == (default.solar, default.peak)
    objectives = get_args(Objective)
    found = []
    for name, good, rule in (
        ("--objective", search.objective in objectives, f"{', '.join(objectives[:-1])} or {objectives[-1]}"),
        ("--generations", search.generations >= 1, "1 or more"),
        ("--candidates", search.candidates >= FEWEST_CANDIDATES, "5 or more, which differential evolution needs"),
        ("--revenue-tolerance", search.revenue_tolerance > 0, "above 0 percent"),
        ("--bill-cap", search.bill_cap >= 0, "0 percent or more"),
        ("--windows", fixed or not search.windows, "without --solar and --peak, whose hours it searches"),
    ):
        if not good:
            found.append(Problem("optimize", name, f"must be {rule}", f"give {rule}"))
    for name, hours in (("--solar", search.solar), ("--peak", search.peak)):
        try:
            minutes_of(hours)
        except HoursError as error:
            found.append(Problem("optimize", name, error.what, error.fix))
    return found


def optimize(scenario: Scenario, search: Search, out: Path, options: RunOptions, console: Console | None) -> Found:
    """Search; every generation is a run under ``out``, and a search that was stopped goes on with the same settings.

    Raises
    ------
    ScenarioError
        If the search is impossible, or its windows do not fit the scenario.
    """
    if problems := problems_of(search):
        raise ScenarioError(problems)
    space = search.space
    for extreme in space.extremes():  # before any run is made
        if problems := problems_of_arms(scenario, [extreme]):
            raise ScenarioError(problems)
    found, numbers = Found(search), iter(range(search.generations))

    def generation(points: FloatArray) -> FloatArray:
        """Scores of a generation, shape (candidates,), of points of shape (parameters, candidates)."""
        candidates = [space.candidate(point) for point in points.T]
        scores = np.full(len(candidates), NOT_METERED)
        for place, design in _tried(scenario, candidates, next(numbers), found, out, options, console):
            scores[place] = design.score(search)
        return scores

    rng = np.random.default_rng(search.seed)
    bounds = list(space.bounds.values())
    low, high = np.array(bounds).T
    start = low + (high - low) * rng.random((search.candidates, len(bounds)))
    differential_evolution(
        generation, bounds, maxiter=search.generations - 1, init=start, rng=rng, vectorized=True,
        updating="deferred", polish=False, tol=0.0, integrality=space.integrality,
    )  # fmt: skip
    return found


def _tried(
    scenario: Scenario, candidates: list[Candidate], number: int, found: Found, out: Path, options: RunOptions,
    console: Console | None,
) -> list[tuple[int, Design]]:  # fmt: skip
    """Run a generation; its designs by their place, which ``found`` is told of too, in their order."""
    runs, left_out = shared_runs(scenario, candidates)
    designs: list[tuple[int, Design]] = []
    for part, places in enumerate(runs):
        name = f"generation-{number:02d}" + (f"-{part + 1}" if len(runs) > 1 else "")
        arms = {f"c{place:02d}": candidates[place] for place in places}
        own = replace(options, out=str(out / name), resume=True)
        run = open_run(run_scenario(with_arms(scenario, arms), own, console).path)
        changes = [(place, arm, _changes(run, arm)) for place, arm in zip(places, arms, strict=True)]
        designs += [(place, _design(number, name, arm, arms[arm], change)) for place, arm, change in changes]
    found.designs += [design for _, design in sorted(designs, key=lambda one: one[0])]
    found.left_out += [candidates[place] for place in left_out]
    found.runs += len(runs)
    return designs


def _changes(run: Run, arm: str) -> dict[tuple[str, str], float]:
    """What an arm does to the state, percent of the first arm's value, by outcome and group."""
    where = f"arm = '{arm}' AND area = 'state'"  # rows of one outcome and group differ in their interval only
    return {
        (row["outcome"], row["group"]): 100.0 * row["value"] / row["reference"]
        for row in run.table("effects", where=where).to_pylist()
        if row["reference"]
    }


def _design(number: int, run: str, arm: str, candidate: Candidate, change: dict[tuple[str, str], float]) -> Design:
    bills = {
        group: value for (outcome, group), value in change.items() if outcome == "bill_response" and group != "all"
    }
    worst = max(bills, key=lambda group: bills[group])
    return Design(
        number, run, arm, candidate, change["evening_peak", "all"], change["peak_any", "all"],
        change["purchase_cost", "all"], change["revenue", "all"], bills[worst], worst,
    )  # fmt: skip
