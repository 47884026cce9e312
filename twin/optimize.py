"""What ``twin optimize`` does: search the multipliers and the free block of a time of day for the lowest peak or cost.

The search is scipy's differential evolution. A generation is one run, in which every candidate is an arm beside the
scenario's first arm: all share the grid, the population, the draws and the workers. Windows stay as given, since arms
with other windows would need more registers than a meter has.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from scipy.optimize import differential_evolution

from twin.errors import Problem, ScenarioError
from twin.results.reader import Run, open_run
from twin.runner import RunOptions, run_scenario
from twin.scenario.schema import Scenario
from twin.scenario.zones import zone_problems

FloatArray = NDArray[np.float64]
Objective = Literal["evening_peak", "purchase_cost"]
SOLAR_BOUNDS, PEAK_BOUNDS, FREE_BOUNDS = (0.5, 1.0), (1.0, 2.5), (0.0, 125.0)
"""Multipliers of the two periods [-], free units a month that may fall into the peak [kWh]."""
PENALTY = 100.0
"""Percent of the objective that a percent beyond a limit costs: more than any design gains."""
CSV_HEADER = (
    "generation", "solar_multiplier", "peak_multiplier", "free_peak_kwh", "evening_peak_percent",
    "purchase_cost_percent", "revenue_percent", "worst_bill_percent", "worst_group", "feasible",
)  # fmt: skip


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
    """Is the free block's share in the peak searched too?"""
    generations: int = 4
    candidates: int = 8
    seed: int = 0


@dataclass(frozen=True)
class Design:
    """One candidate and what it does, percent of the first arm's values."""

    generation: int
    solar: float
    peak: float
    free_peak_kwh: float | None
    evening_peak: float
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

    @property
    def feasible(self) -> list[Design]:
        """Designs within the limits, the best first."""
        inside = [design for design in self.designs if design.excess(self.search) == 0.0]
        return sorted(inside, key=lambda design: design.score(self.search))

    @property
    def trade_off(self) -> list[Design]:
        """Feasible designs that no other beats in both evening peak and purchase cost, by evening peak."""
        front: list[Design] = []
        for design in sorted(self.feasible, key=lambda one: (one.evening_peak, one.purchase_cost)):
            if not front or design.purchase_cost < front[-1].purchase_cost:
                front.append(design)
        return front


def problems_of(search: Search) -> list[Problem]:
    """What is impossible about a search."""
    found = []
    for name, good, rule in (
        ("--objective", search.objective in ("evening_peak", "purchase_cost"), "evening_peak or purchase_cost"),
        ("--generations", search.generations >= 1, "1 or more"),
        ("--candidates", search.candidates >= 5, "5 or more, which differential evolution needs"),  # noqa: PLR2004
        ("--revenue-tolerance", search.revenue_tolerance > 0, "above 0 percent"),
        ("--bill-cap", search.bill_cap >= 0, "0 percent or more"),
    ):
        if not good:
            found.append(Problem("optimize", name, f"must be {rule}", f"give {rule}"))
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
    found = Found(search)
    bounds = [SOLAR_BOUNDS, PEAK_BOUNDS, *([FREE_BOUNDS] if search.shape_free else [])]
    _check_windows(scenario, search, np.mean(bounds, axis=1))

    def generation(points: FloatArray) -> FloatArray:
        """Scores of a generation, shape (candidates,), of points of shape (parameters, candidates)."""
        number = len(found.designs) // search.candidates
        folder = str(out / f"generation-{number:02d}")
        asked = _with_arms(scenario, search, points.T)
        own = replace(options, out=folder, resume=True)
        run = open_run(run_scenario(asked, own, console).path)
        designs = [_design(run, search, number, f"c{row:02d}", point) for row, point in enumerate(points.T)]
        found.designs += designs
        return np.array([design.score(search) for design in designs])

    rng = np.random.default_rng(search.seed)
    low, high = np.array(bounds).T
    start = low + (high - low) * rng.random((search.candidates, len(bounds)))
    differential_evolution(
        generation, bounds, maxiter=search.generations - 1, init=start, rng=rng, vectorized=True,
        updating="deferred", polish=False, tol=0.0,
    )  # fmt: skip
    return found


def _check_windows(scenario: Scenario, search: Search, point: FloatArray) -> None:
    """Refuse windows that no run could have, before any run is made."""
    try:
        asked = _with_arms(scenario, search, point[None])
        problems = [Problem("optimize", "--solar, --peak", what, fix) for what, fix in zone_problems(asked)]
    except ValidationError as error:
        fix = 'write hours as "09-17" on the scenario\'s steps, the two apart'
        problems = [Problem("optimize", "--solar, --peak", item["msg"], fix) for item in error.errors()]
    if problems:
        raise ScenarioError(problems)


def _with_arms(scenario: Scenario, search: Search, points: FloatArray) -> Scenario:
    """The scenario with its first arm and one arm for each point; sweep and readings are left out."""
    first = scenario.arm_names[0]
    arms: dict[str, Any] = {first: scenario.resolved()["experiment"]["arms"][first]}
    for row, point in enumerate(points):
        solar, peak, free = _rounded(point)
        periods = {
            "solar": {"hours": search.solar, "multiplier": solar},
            "peak": {"hours": search.peak, "multiplier": peak},
        }
        arms[f"c{row:02d}"] = {"tariff": {"time_of_day": {"applies_to": "gross", **periods}}}
        if free is not None:
            arms[f"c{row:02d}"]["tariff"]["free_units"] = {"per_period": {"peak": free}}
    tables = ["consumers", "bills", "feeders"]
    return scenario.with_values({"experiment.arms": arms, "output": {"tables": tables}})


def _rounded(point: FloatArray) -> tuple[float, float, float | None]:
    """A point as a tariff could state it: multipliers to 0.01, free units to the kWh."""
    free = float(round(point[2])) if len(point) > 2 else None  # noqa: PLR2004
    return round(float(point[0]), 2), round(float(point[1]), 2), free


def _design(run: Run, search: Search, number: int, arm: str, point: FloatArray) -> Design:
    where = f"arm = '{arm}' AND area = 'state'"  # rows of one outcome and group differ in their interval only
    change = {
        (row["outcome"], row["group"]): 100.0 * row["value"] / row["reference"]
        for row in run.table("effects", where=where).to_pylist()
        if row["reference"]
    }
    bills = {
        group: value for (outcome, group), value in change.items() if outcome == "bill_response" and group != "all"
    }
    worst = max(bills, key=lambda group: bills[group])
    solar, peak, free = _rounded(point)
    return Design(
        number, solar, peak, free, change["evening_peak", "all"], change["purchase_cost", "all"],
        change["revenue", "all"], bills[worst], worst,
    )  # fmt: skip


def write_designs(found: Found, path: Path) -> Path:
    """Write every design that was tried."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(CSV_HEADER)
        for design in found.designs:
            free = "" if design.free_peak_kwh is None else design.free_peak_kwh
            values: Sequence[object] = (
                design.generation, design.solar, design.peak, free, design.evening_peak, design.purchase_cost,
                design.revenue, design.worst_bill, design.worst_group, design.excess(found.search) == 0.0,
            )  # fmt: skip
            writer.writerow(values)
    return path


def show_designs(found: Found, console: Console) -> None:
    """Print the trade-off curve, or the designs nearest to the limits where none is within them."""
    search, front = found.search, found.trade_off
    shown = front or sorted(found.designs, key=lambda design: design.excess(search))[:5]
    title = "Trade-off of designs within the limits" if front else "No design within the limits; the nearest"
    table = Table(title=title, title_justify="left")
    names = ("solar", "peak", "free in peak", "evening peak", "purchase cost", "revenue", "worst mean bill", "of")
    for name in names:
        table.add_column(name, justify="left" if name == "of" else "right")
    for design in shown:
        free = "" if design.free_peak_kwh is None else f"{design.free_peak_kwh:g} kWh"
        changes = (design.evening_peak, design.purchase_cost, design.revenue, design.worst_bill)
        table.add_row(
            f"{design.solar:.2f}", f"{design.peak:.2f}", free, *(f"{value:+.2f} %" for value in changes),
            design.worst_group,
        )  # fmt: skip
    console.print(table, highlight=False)
    console.print(
        f"{len(found.designs)} designs tried, {len(found.feasible)} within revenue ±{search.revenue_tolerance:g} % and "
        f"bills +{search.bill_cap:g} %; solar {search.solar}, peak {search.peak}.",
        highlight=False,
    )
