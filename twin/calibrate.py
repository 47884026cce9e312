"""What ``twin calibrate`` does: run a scenario, fit the factors of ``calibrated.yaml`` to published figures, confirm.

Each run is the anchor of a prediction (`twin.calibration_model`), from which the next factors are fitted
(`twin.calibration_fit`); the last run confirms them. The table shows the first and the last run, not predictions.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from twin.analysis.calibration import Target, Use, is_met, split
from twin.calibrated import Factor, factors
from twin.calibration_fit import Aim, Knob, fit
from twin.calibration_model import MEMBERS, Anchor, make_model
from twin.datapack import Row, read_rows, read_yaml
from twin.errors import Problem, ScenarioError
from twin.results.reader import Run, open_run
from twin.runner import RunOptions, predict, run_scenario
from twin.scenario.schema import Scenario

TABLES = ("cases", "system", "feeders", "population", "bills", "consumers", "meter_balance", "atc", "calibration")
"""What a fit reads of a run."""
LEAST_RUNS = 2
WALL_AT, WALL_STEEPNESS = 0.9, 20.0
"""Where a limit's wall begins [of the limit], and how many standard deviations a whole limit beyond it is."""
ROWS = "calibration.csv"
CSV_HEADER = (
    "id", "quantity", "unit", "use", "published_low", "published_high", "before", "after", "after_low", "after_high",
    "tolerance", "tolerance_kind", "verdict",
)  # fmt: skip


class Keep(Row):
    """A range of ``calibration_keep.csv`` that a fit must not leave."""

    name: str
    low: float
    high: float
    scale: float
    unit: str
    confidence: str
    source: str


@dataclass(frozen=True)
class Calibration:
    """A finished fit."""

    before: Mapping[str, float]
    after: Mapping[str, float]
    """Factors of the first and of the last run, by name."""
    runs: tuple[Run, ...]
    kept: tuple[Mapping[str, float], Mapping[str, float]]
    """What ``calibration_keep.csv`` names at both, in expected demand."""


def aims() -> list[Aim]:
    """Fitted figures, then the ranges that are kept.

    A figure at its limit lies two standard deviations off, and close to its limit it meets a wall: a second aim, of a
    range a little within the limits, that costs much more to leave.
    """
    published = {row.id: row for row in read_rows("calibration", Target)}
    found = []
    for use in split().values():
        if use.use == "fitted" and use.estimate is not None:
            target = published[use.id]
            limit = use.tolerance * (target.value_low if use.tolerance_kind == "relative" else 1.0)
            found.append(Aim(use.estimate, target.value_low, target.value_high, limit / 2.0))
            inside = WALL_AT * limit
            wall = Aim(use.estimate, target.value_low - inside, target.value_high + inside, limit / WALL_STEEPNESS)
            found.append(wall)
    return found + [Aim(row.name, row.low, row.high, row.scale) for row in read_rows("calibration_keep", Keep)]


def knobs() -> list[Knob]:
    """The factors with priors and bounds."""
    return [Knob(name, one.log_sd, one.least, one.most) for name, one in factors().items()]


def calibrate(
    scenario: Scenario, out: Path, options: RunOptions, runs: int = 3, members: int = MEMBERS,
    console: Console | None = None,
) -> Calibration:  # fmt: skip
    """Fit; every run lies under ``out``, and a fit that was stopped goes on with the same settings.

    Parameters
    ----------
    scenario : Scenario
        Its factors (``calibrated``, else the data pack's) are the start. Figures that its run does not estimate are
        not fitted.
    out : Path
        Folder of the runs.
    options : RunOptions
        How to run; folder and resumption are set here.
    runs : int
        The first run, and one after each fit; 2 or more.
    members : int
        Consumers of a kind of the prediction.

    Raises
    ------
    ScenarioError
        If ``runs`` is too few, the scenario has more than one case, or is about a network of the user's.
    """
    check(scenario, runs)
    model, names = make_model(scenario, members), {use.id: str(use.estimate) for use in split().values()}
    now = {name: one.factor for name, one in factors().items()} | dict(scenario.calibrated or {})
    begin, done, anchors = dict(now), list[Run](), list[Anchor]()
    for number in range(runs):
        if anchors:
            now = fit(lambda at: model.predicted(anchors[-1], at), knobs(), aims(), now)
        asked = scenario.with_values({"calibrated": now, "output": {"tables": list(_tables(scenario))}})
        own = replace(options, out=str(out / f"run-{number}"), resume=True)
        done.append(open_run(run_scenario(asked, own, console).path))
        anchors.append(Anchor.of(done[-1], names))
    kept = tuple(model.predicted(anchor, anchor.factors) for anchor in (anchors[0], anchors[-1]))
    return Calibration(begin, now, tuple(done), (kept[0], kept[1]))


def check(scenario: Scenario, runs: int = LEAST_RUNS) -> None:
    """Refuse what cannot be fitted; see `calibrate`."""
    found = []
    if runs < LEAST_RUNS:
        found.append(Problem("calibrate", "--runs", f"{runs} is too few", "give 2 or more, one after a fit"))
    if scenario.n_cases > 1:
        what = f"has {scenario.n_cases} cases (arms x replicates x sweep points); a fit needs one"
        found.append(Problem("scenario", "experiment", what, "leave one arm and one replicate, and no sweep"))
    if scenario.grid.is_own:
        what = "is about a network of your own, of which nothing is published"
        found.append(Problem("scenario", "grid", what, "use `grid.state`"))
    if found:
        raise ScenarioError(found)


def _tables(scenario: Scenario) -> Sequence[str]:
    return (*TABLES, "payments") if scenario.payments is not None else TABLES


def rows_of(result: Calibration) -> list[dict[str, Any]]:
    """The table of published figures, in the columns of `CSV_HEADER`."""
    first, last = (
        {row["id"]: row for row in run.table("calibration").to_pylist()} for run in (result.runs[0], result.runs[-1])
    )
    return [_row(use, row, first.get(use.id)) for use in split().values() if (row := last.get(use.id)) is not None]


def _row(use: Use, row: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    values = (
        use.id, row["quantity"], row["unit"], use.use, row["target_low"], row["target_high"],
        None if before is None else before["value"], row["value"], row["low"], row["high"], use.tolerance,
        use.tolerance_kind, "met" if is_met(row) else "missed",
    )  # fmt: skip
    return dict(zip(CSV_HEADER, values, strict=True))


def write(result: Calibration, out: Path, command: str) -> list[Path]:
    """Write the table, and the factors as a new ``calibrated.yaml`` of today."""
    table = out / ROWS
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, CSV_HEADER)
        writer.writeheader()
        writer.writerows(rows_of(result))
    target = out / "calibrated.yaml"
    target.write_text(factors_text(result.after, command, dt.date.today()), encoding="utf-8")
    return [table, target]


def factors_text(after: Mapping[str, float], command: str, today: dt.date) -> str:
    """``calibrated.yaml`` with other factors, each marked as fitted."""
    lines = [
        f"about: |\n{_indented(read_yaml('calibrated')['about'])}",
        f"source: {yaml.safe_dump(f'fitted: {command}', width=1000).splitlines()[0]}",
        f"date: {today}",
        "factors:",
    ]
    for name, one in factors().items():
        entry = one.model_copy(update={"factor": after[name], "confidence": "fitted"})
        lines.append(f"  {name}: {_entry(entry)}")
    return "\n".join(lines) + "\n"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())


def _entry(one: Factor) -> str:
    text: str = yaml.safe_dump(one.model_dump(mode="json"), default_flow_style=True, sort_keys=False, width=1000)
    return text.strip()


def show(result: Calibration, console: Console) -> None:
    """Print the figures, what is kept, and the factors."""
    console.print(_figures(result), _keeps(result), _factors(result), highlight=False)


def calibrate_to_folder(
    scenario: Scenario, out: Path | None, options: RunOptions, runs: int, members: int, shown: Console,
    progress: Console,
) -> None:  # fmt: skip
    """The command: fit, print the result, write it into a folder and name the files."""
    folder = out or Path("runs") / f"{scenario.name}-calibration"
    result = calibrate(scenario, folder, options, runs, members, progress)
    show(result, shown)
    for path in write(result, folder, options.command):
        shown.print(str(path), highlight=False, markup=False)


def _figures(result: Calibration) -> Table:
    table = Table(title="Published figures before and after the fit", title_justify="left")
    for name in ("", "quantity", "unit", "use", "published", "before", "after", "sampling", "limit", "verdict"):
        table.add_column(name, justify="right" if name in ("published", "before", "after", "sampling") else "left")
    for row in rows_of(result):
        low, high = row["published_low"], row["published_high"]
        sampling = "" if row["after_low"] is None else f"{row['after_low']:,.4g} to {row['after_high']:,.4g}"
        relative = row["tolerance_kind"] == "relative"
        limit = f"{100 * row['tolerance']:g} %" if relative else f"{row['tolerance']:g} {row['tolerance_kind']}"
        before = "" if row["before"] is None else f"{row['before']:,.4g}"
        published = f"{low:,.5g}" if low == high else f"{low:,.5g} to {high:,.5g}"
        table.add_row(
            row["id"], row["quantity"], row["unit"], row["use"].replace("_", " "), published, before,
            f"{row['after']:,.4g}", sampling, limit, row["verdict"],
        )  # fmt: skip
    return table


def _keeps(result: Calibration) -> Table:
    table = Table(title="Kept, in expected demand", title_justify="left")
    for name in ("name", "unit", "range", "before", "after", "confidence"):
        table.add_column(name)
    for row in read_rows("calibration_keep", Keep):
        values = (f"{kept[row.name]:.4g}" for kept in result.kept)
        table.add_row(row.name, row.unit, f"{row.low:g} to {row.high:g}", *values, row.confidence)
    return table


def _factors(result: Calibration) -> Table:
    table = Table(title="Factors", title_justify="left")
    for name in ("factor", "before", "after", "bounds", "prior log sd", "of", "fitted to"):
        table.add_column(name)
    for name, one in factors().items():
        bounds, fitted_to = f"{one.least:g} to {one.most:g}", ", ".join(one.fitted_to)
        values = (f"{values[name]:.3f}" for values in (result.before, result.after))
        table.add_row(name, *values, bounds, f"{one.log_sd:g}", one.of, fitted_to)
    return table


def show_plan(scenario: Scenario, runs: int, shards: int | None, console: Console) -> None:
    """What a fit would do: its aims, its factors, and what each run takes."""
    check(scenario, runs)
    table = Table(title=f"Aims of a fit with {runs} runs", title_justify="left")
    for name in ("estimate", "low", "high", "one standard deviation"):
        table.add_column(name)
    for aim in aims():
        table.add_row(aim.name, f"{aim.low:g}", f"{aim.high:g}", f"{aim.scale:g}")
    begin = {name: one.factor for name, one in factors().items()} | dict(scenario.calibrated or {})
    console.print(table, highlight=False)
    for knob in knobs():
        console.print(f"{knob.name:16s} {begin[knob.name]:.3f}, {knob.least:g} to {knob.most:g}", highlight=False)
    for name, value in predict(scenario, shards).items():
        console.print(f"each run: {name:24s} {value}", highlight=False)
