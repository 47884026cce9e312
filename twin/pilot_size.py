"""What ``twin pilot-size`` does: run a scenario, take its transformers' noise, say how large a pilot must be."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import plotly.io
from markupsafe import Markup, escape
from rich.console import Console
from rich.table import Table

from twin.analysis.design import read_experiment
from twin.analysis.pilot.coverage import Coverage, coverage
from twin.analysis.pilot.estimators import ESTIMATORS, Estimator
from twin.analysis.pilot.outcomes import OUTCOMES, PotentialOutcomes, potential_outcomes
from twin.analysis.pilot.size import (
    DAYS_PER_WEEK,
    LEAST_DAYS,
    LEAST_DTS,
    Noise,
    dts_needed,
    fit_noise,
    power,
)
from twin.errors import Problem, RunFolderError, ScenarioError
from twin.report.figures import base
from twin.results.reader import Run, open_run
from twin.runner import RunOptions, run_scenario
from twin.scenario.schema import Scenario

WEEKS = (1, 2, 4, 8, 13, 26, 52)
"""Lengths of a pilot after its start. [weeks]"""
DRAWS = 1000
LEVEL = 0.95
"""Of the intervals that are tried."""
CHECK_DTS = (10, 20, 40)
"""DTs per arm at which the intervals are tried on the run's own potential outcomes."""
CSV_HEADER = ("estimator", "weeks", "baseline_weeks", "effect_percent", "power", "significance", "dts_per_arm")
WORDS = {
    "means": "compare after the start",
    "did": "compare the change from before",
    "adjusted": "adjust for the level before",
}
_COLOURS = {"means": "#595959", "did": "#0B5CAD", "adjusted": "#B3530B"}
_DASH = {"means": "dot", "did": "dash", "adjusted": "solid"}


@dataclass(frozen=True)
class Wish:
    """What the pilot is asked to see. Effect in percent of the control mean; shares between 0 and 1."""

    effect_percent: float = 2.0
    power: float = 0.8
    significance: float = 0.05
    baseline_weeks: int = 4
    outcome: str = "evening_peak_kw"


@dataclass(frozen=True)
class SizeRow:
    """Transformers per arm that a pilot of so many weeks needs; None: more than there are in the state."""

    estimator: Estimator
    weeks: int
    dts_per_arm: int | None


@dataclass(frozen=True)
class Check:
    """Pilots of one size drawn over the run's own worlds, and the power that the noise foretells for them. [-]"""

    found: Coverage
    foretold_power: float


@dataclass(frozen=True)
class PilotSize:
    """The answer with what it rests on."""

    wish: Wish
    noise: Noise
    eligible_dts: int
    days: int
    rows: tuple[SizeRow, ...]
    checks: tuple[Check, ...]
    """Pilots drawn from the run's own worlds, of the last arm against the first."""
    arm: str
    truth_percent: float | None
    """Mean effect of that arm in the run. None with one arm."""


def problems_of(wish: Wish) -> list[Problem]:
    """What is impossible about a wish."""
    found = []
    for name, value, good, rule in (
        ("--effect", wish.effect_percent, 0.0 < abs(wish.effect_percent) < 100.0, "between 0 and 100 percent"),
        ("--power", wish.power, wish.significance < wish.power < 1.0, "between the significance and 1"),
        ("--significance", wish.significance, 0.0 < wish.significance < 0.5, "between 0 and 0.5"),
        ("--baseline-weeks", wish.baseline_weeks, wish.baseline_weeks >= 1, "1 or more"),
        ("--outcome", wish.outcome, wish.outcome in OUTCOMES, f"one of {', '.join(OUTCOMES)}"),
    ):
        if not good:
            found.append(Problem("pilot-size", name, f"must be {rule}, got {value}", f"give a value that is {rule}"))
    return found


def run_for_size(scenario: Scenario, out: Path, options: RunOptions, console: Console | None) -> Run:
    """The scenario's run under ``out/run``; a complete one is used again, an interrupted one goes on."""
    folder = str(out / "run")
    summary = run_scenario(scenario, replace(options, out=folder, resume=True), console)
    return open_run(summary.path)


def pilot_size(run: Run, wish: Wish) -> PilotSize:
    """How many DTs and weeks a pilot needs, from the potential outcomes of a run.

    Raises
    ------
    ScenarioError
        If the wish is impossible.
    RunFolderError
        If the run has too few days or DTs, or no table ``transformers``.
    """
    if problems := problems_of(wish):
        raise ScenarioError(problems)
    experiment = read_experiment(run)
    outcomes = potential_outcomes(run, experiment, wish.outcome)
    try:
        noise = fit_noise(outcomes.values[0])
    except ValueError as error:
        fix = f"run at least {LEAST_DAYS} days and {LEAST_DTS} transformers outside agricultural feeders"
        raise RunFolderError([Problem("pilot-size", "time.days", str(error), fix)]) from error
    effect = noise.mean * wish.effect_percent / 100.0
    rows = []
    for estimator in ESTIMATORS:
        for weeks in WEEKS:
            days = (wish.baseline_weeks * DAYS_PER_WEEK, weeks * DAYS_PER_WEEK)
            needed = dts_needed(effect, noise.variance(estimator, *days), wish.power, wish.significance)
            rows.append(SizeRow(estimator, weeks, needed))
    arm = len(outcomes.arms) - 1
    return PilotSize(
        wish=wish,
        noise=noise,
        eligible_dts=len(outcomes.dt_id),
        days=outcomes.days,
        rows=tuple(rows),
        checks=_checks(outcomes, noise, arm),
        arm=outcomes.arms[arm],
        truth_percent=_truth_percent(outcomes, arm),
    )


def _truth_percent(outcomes: PotentialOutcomes, arm: int) -> float | None:
    if arm == 0:
        return None
    control, treated = outcomes.values[0].mean(), outcomes.values[arm].mean()
    return float(100.0 * (treated - control) / control)


def _checks(outcomes: PotentialOutcomes, noise: Noise, arm: int) -> tuple[Check, ...]:
    """Pilots drawn again and again from the run's worlds: half its days before the start, half after."""
    if arm == 0:
        return ()
    before_days = outcomes.days // 2
    parts = outcomes.before_after(arm, before_days)
    checks = []
    for estimator in ESTIMATORS:
        variance = noise.variance(estimator, before_days, outcomes.days - before_days)
        for size in (size for size in CHECK_DTS if 2 * size <= len(outcomes.dt_id)):
            found = coverage(estimator, *parts, dts_per_arm=size, draws=DRAWS, seed=size)
            checks.append(Check(found, power(found.truth, variance, size, 1.0 - LEVEL)))
    return tuple(checks)


def write_size(result: PilotSize, out: Path) -> tuple[Path, Path]:
    """Write the curve as CSV and as a self-contained page; their paths."""
    out.mkdir(parents=True, exist_ok=True)
    wish, table, page = result.wish, out / "pilot_size.csv", out / "pilot_size.html"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(CSV_HEADER)
        for row in result.rows:
            size = "" if row.dts_per_arm is None else row.dts_per_arm
            writer.writerow(
                [
                    row.estimator,
                    row.weeks,
                    wish.baseline_weeks,
                    wish.effect_percent,
                    wish.power,
                    wish.significance,
                    size,
                ]
            )
    page.write_text(_page(result), encoding="utf-8")
    return table, page


def _page(result: PilotSize) -> str:
    """A page with the curve, what it rests on, and the tables."""
    chart = plotly.io.to_html(_figure(result), full_html=False, include_plotlyjs=True, config={"displayModeBar": False})
    sizes = [(WORDS[row.estimator], str(row.weeks), _size_words(row)) for row in result.rows]
    parts = [_html_table(("estimator", "weeks", "DTs per arm"), sizes)]
    if result.checks:
        parts += [Markup("<h2>{}</h2>").format(_check_title(result)), _html_table(CHECK_HEADER, check_rows(result))]
    style = f"body{{font-family:{base.FONT};color:{base.INK};max-width:720px;margin:2em auto;padding:0 1em}}"
    style += "th,td{text-align:right;padding:0.2em 0.7em}th:first-child,td:first-child{text-align:left}"
    head = Markup('<!doctype html><html lang="en"><meta charset="utf-8"><title>Pilot size</title><style>{}</style>')
    body = Markup("<h1>{}</h1>{}<p>{}</p>{}</html>")
    words = " ".join(sentences(result))
    page = head.format(Markup(style))
    return str(page + body.format(_title(result.wish), Markup(chart), words, Markup("").join(parts)))


def _html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    top = Markup("").join(Markup("<th>{}</th>").format(name) for name in header)
    lines = [Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row) for row in rows]
    return Markup("<table><tr>{}</tr>{}</table>").format(
        top, Markup("").join(Markup("<tr>{}</tr>").format(line) for line in lines)
    )


def _title(wish: Wish) -> str:
    return (
        f"Transformers per arm to see {wish.effect_percent:g} % of {wish.outcome.rpartition('_')[0].replace('_', ' ')}"
    )


def _figure(result: PilotSize) -> dict[str, object]:
    data = []
    for estimator in ESTIMATORS:
        rows = [row for row in result.rows if row.estimator == estimator and row.dts_per_arm is not None]
        data.append(
            {
                "type": "scatter", "mode": "lines+markers", "name": str(escape(WORDS[estimator])),
                "x": [row.weeks for row in rows], "y": [row.dts_per_arm for row in rows],
                "line": {"color": _COLOURS[estimator], "dash": _DASH[estimator], "width": 2},
            }
        )  # fmt: skip
    look = base.layout(
        (70, 14, 12, 50), showlegend=True, legend={"orientation": "h", "y": -0.2},
        xaxis=base.axis("weeks after the start", type="log", tickvals=list(WEEKS)),
        yaxis=base.axis("DTs per arm", type="log"),
        height=420,
    )  # fmt: skip
    return {"data": data, "layout": look}


def _size_words(row: SizeRow) -> str:
    return "more than a million" if row.dts_per_arm is None else f"{row.dts_per_arm:,}"


def sentences(result: PilotSize) -> list[str]:
    """What the answer rests on."""
    wish, noise = result.wish, result.noise
    unit = OUTCOMES[wish.outcome]
    found = [
        f"Power {wish.power:g}, significance {wish.significance:g}, {wish.baseline_weeks} weeks before the start.",
        f"From {result.eligible_dts:,} synthetic transformers over {result.days} days: mean {noise.mean:.3g} {unit}, "
        f"lasting spread {noise.permanent**0.5:.3g} {unit}, passing spread {sum(noise.passing) ** 0.5:.3g} {unit} "
        f"(of one day: {noise.passing[0] ** 0.5:.3g} {unit}).",
        "Effects of the season on the spread are not in it: weeks are taken to be like the run's days.",
    ]
    if result.truth_percent is not None:
        found.append(f"In this run arm {result.arm} changes the mean by {result.truth_percent:+.2f} %.")
    return found


def show_size(result: PilotSize, console: Console) -> None:
    """Print the table and what it rests on."""
    table = Table(title=_title(result.wish), title_justify="left")
    table.add_column("weeks", justify="right")
    for estimator in ESTIMATORS:
        table.add_column(WORDS[estimator], justify="right")
    by_key = {(row.weeks, row.estimator): row for row in result.rows}
    for weeks in WEEKS:
        table.add_row(str(weeks), *(_size_words(by_key[weeks, estimator]) for estimator in ESTIMATORS))
    console.print(table, highlight=False)
    for sentence in sentences(result):
        console.print(sentence, highlight=False, markup=False)
    if result.checks:
        console.print(_check_table(result), highlight=False)


CHECK_HEADER = ("estimator", "DTs per arm", "95 % intervals with the truth", "effect seen", "foretold")


def check_rows(result: PilotSize) -> list[tuple[str, ...]]:
    """How pilots over the run's own worlds did, as text in the order of `CHECK_HEADER`."""
    return [
        (
            WORDS[check.found.estimator],
            f"{check.found.dts_per_arm}",
            f"{100 * check.found.covered:.1f} %",
            f"{100 * check.found.detected:.1f} %",
            f"{100 * check.foretold_power:.1f} %",
        )
        for check in result.checks
    ]


def _check_title(result: PilotSize) -> str:
    n = result.checks[0].found.draws
    return f"{n:,} pilots each, drawn over this run's worlds, half of its days before the start"


def _check_table(result: PilotSize) -> Table:
    table = Table(title=_check_title(result), title_justify="left")
    for place, name in enumerate(CHECK_HEADER):
        table.add_column(name, justify="right" if place else "left")
    for row in check_rows(result):
        table.add_row(*row)
    return table
