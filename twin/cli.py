"""The command line: every command of the twin, thin shells around functions that Python users call too."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from twin import __version__
from twin.errors import TwinError

app = typer.Typer(
    name="twin",
    help="The digital twin of a state's electricity grid: scenario runs, grid checks, reports.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
PLAIN_WIDTH = 120
"""Columns of tables where no terminal says how wide it is."""


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=PLAIN_WIDTH)


OUT, ERR = _console(), _console(stderr=True)

ScenarioPath = Annotated[Path, typer.Argument(help="scenario YAML file", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="override one setting, applied last; repeatable")
]


def _show_version(wanted: bool) -> None:
    if wanted:
        OUT.print(f"twin {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="print the version and leave")
    ] = False,
) -> None:
    """The digital twin of a state's electricity grid."""


FleetCount = Annotated[
    int | None,
    typer.Option(
        min=1, help="sets of all shards, to work on several replicates at once; each needs the population's memory"
    ),
]


@app.command()
def run(
    scenario: ScenarioPath,
    overrides: Overrides = None,
    out: Annotated[str | None, typer.Option(help="output folder or URI [default: runs/<name>]")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to join, e.g. auto")] = None,
    backend: Annotated[str, typer.Option(help="ray, or local: everything in this process")] = "ray",
    shards: Annotated[int | None, typer.Option(min=1, help="number of workers [default: CPU cores]")] = None,
    fleets: FleetCount = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue the run that is in the folder")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="predict time, memory and output; run nothing")] = False,
) -> None:
    """Run a scenario: simulate every arm, compare them, write tables and the report."""
    from twin.runner import RunOptions, predict, run_scenario
    from twin.scenario.load import load_scenario

    if backend not in ("ray", "local"):
        raise typer.BadParameter(f"'{backend}' is neither ray nor local", param_hint="--backend")
    loaded = load_scenario(scenario, tuple(overrides or ()))
    if dry_run:
        for name, value in predict(loaded, shards, fleets).items():
            OUT.print(f"{name:24s} {value}", highlight=False)
        return
    command = "twin " + " ".join(sys.argv[1:])
    options = RunOptions(out, address, backend, shards, fleets, resume, command)
    summary = run_scenario(loaded, options, console=ERR)
    OUT.print(summary.text, highlight=False, markup=False)
    raise typer.Exit(summary.exit_code)


@app.command()
def validate(
    scenarios: Annotated[list[Path], typer.Argument(help="scenario files", show_default=False)],
    overrides: Overrides = None,
) -> None:
    """Check scenario files and list all problems of all of them."""
    from twin.errors import InputError, Problem
    from twin.scenario.load import load_scenario
    from twin.simulation.meter_variants import check_models
    from twin.simulation.replicate import check_weather

    problems: list[Problem] = []
    for path in scenarios:
        try:
            scenario = load_scenario(path, tuple(overrides or ()))
            check_weather(scenario)
            check_models(scenario)
            OUT.print(f"{path}: ok", highlight=False, markup=False)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)


@app.command()
def report(
    run_folder: Annotated[str, typer.Argument(metavar="RUN", help="run folder", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="file to write [default: RUN/report.html]")] = None,
) -> None:
    """Write the report of a run again."""
    from twin.report.page import write_report
    from twin.results.reader import open_run

    target = out or Path(run_folder) / "report.html"
    OUT.print(str(write_report(open_run(run_folder), target)), highlight=False, markup=False)


@app.command()
def compare(
    run_folders: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="run folders", show_default=False)],
    out: Annotated[Path, typer.Option(help="file to write")] = Path("compare.html"),
) -> None:
    """Set two or more runs side by side: what differs, whether differences are effects, and how large they are."""
    from twin.report.comparison.page import write_comparison
    from twin.results.reader import open_run

    runs = [(folder, open_run(folder)) for folder in run_folders]
    OUT.print(str(write_comparison(runs, out)), highlight=False, markup=False)


@app.command()
def digest(
    run_folder: Annotated[str, typer.Argument(metavar="RUN", help="run folder", show_default=False)],
) -> None:
    """Print the content hash of every table, and of the run last."""
    from twin.results.reader import open_run

    for name, value in open_run(run_folder).digests().items():
        OUT.print(f"{name} {value}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def timeline(
    run_folder: Annotated[str, typer.Argument(metavar="RUN", help="run folder", show_default=False)],
    block: Annotated[int, typer.Option(help="day of the run, from 0")] = 0,
    replicate: Annotated[int, typer.Option(help="replicate, from 0")] = 0,
    point: Annotated[int, typer.Option(help="sweep point, from 0")] = 0,
) -> None:
    """Show when shards and the grid above worked in a block, arm by arm, and how much of it overlapped."""
    from twin.results.reader import open_run
    from twin.timeline import timeline as lines_of

    for line in lines_of(open_run(run_folder), point=point, replicate=replicate, block=block):
        OUT.print(line, highlight=False, markup=False, no_wrap=True, overflow="ignore", crop=False)


@app.command()
def bill(
    run_folder: Annotated[str, typer.Argument(metavar="RUN", help="run folder", show_default=False)],
    consumer: Annotated[int, typer.Argument(metavar="CONSUMER", help="consumer_id", show_default=False)],
    arm: Annotated[str | None, typer.Option(help="arm of the experiment [default: the first]")] = None,
    replicate: Annotated[int, typer.Option(help="replicate, from 0")] = 0,
    point: Annotated[int, typer.Option(help="sweep point, from 0")] = 0,
) -> None:
    """Show a consumer's bill line by line, checked to the paisa against the run's table of bills."""
    from twin.consumer_bill import consumer_bill, show_bill
    from twin.results.reader import open_run

    show_bill(consumer_bill(open_run(run_folder), consumer, arm, replicate, point), OUT)


@app.command()
def meter(
    run_folder: Annotated[str, typer.Argument(metavar="RUN", help="run folder", show_default=False)],
    consumer: Annotated[int, typer.Argument(metavar="CONSUMER", help="consumer_id", show_default=False)],
    case: Annotated[int, typer.Option(help="case of the run")] = 0,
    out: Annotated[Path | None, typer.Option(help="page with its figures [default: meter-<CONSUMER>.html]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON; no page unless --out asks for it")] = False,
) -> None:
    """Show one meter's life: profile, supply, switch, clock, reads, bills, wallet (runs with meters as devices)."""
    from twin.meter_story_figure import tell_meter
    from twin.results.reader import open_run

    tell_meter(open_run(run_folder), consumer, case, out, OUT, json_wanted=as_json)


@app.command(name="pilot-size")
def pilot_size(
    scenario: ScenarioPath,
    overrides: Overrides = None,
    effect: Annotated[float, typer.Option(help="effect to be seen, percent of the control mean")] = 2.0,
    power: Annotated[float, typer.Option(help="probability of seeing it")] = 0.8,
    significance: Annotated[float, typer.Option(help="probability of seeing what is not there")] = 0.05,
    baseline_weeks: Annotated[int, typer.Option(help="weeks of readings before the start")] = 4,
    outcome: Annotated[
        str, typer.Option(help="evening_peak_kw or sent_kwh, by transformer and day")
    ] = "evening_peak_kw",
    out: Annotated[Path | None, typer.Option(help="folder [default: runs/<name>-size]")] = None,
    backend: Annotated[str, typer.Option(help="ray, or local: everything in this process")] = "ray",
    shards: Annotated[int | None, typer.Option(min=1, help="number of workers [default: CPU cores]")] = None,
) -> None:
    """How many transformers and weeks would a pilot need? Runs the scenario, or takes the run that is in the folder."""
    from twin import pilot_size as sizing
    from twin.errors import ScenarioError
    from twin.runner import RunOptions
    from twin.scenario.load import load_scenario

    wish = sizing.Wish(effect, power, significance, baseline_weeks, outcome)
    if problems := sizing.problems_of(wish):
        raise ScenarioError(problems)
    loaded = load_scenario(scenario, tuple(overrides or ()))
    folder = out or Path("runs") / f"{loaded.name}-size"
    options = RunOptions(backend=backend, shards=shards, command="twin " + " ".join(sys.argv[1:]))
    result = sizing.pilot_size(sizing.run_for_size(loaded, folder, options, ERR), wish)
    sizing.show_size(result, OUT)
    for path in sizing.write_size(result, folder):
        OUT.print(str(path), highlight=False, markup=False)


@app.command()
def optimize(
    scenario: ScenarioPath,
    overrides: Overrides = None,
    objective: Annotated[str, typer.Option(help="evening_peak, peak_any or purchase_cost")] = "evening_peak",
    revenue_tolerance: Annotated[float, typer.Option(help="how far revenue may move, percent")] = 0.5,
    bill_cap: Annotated[float, typer.Option(help="most that a group's mean bill may rise, percent")] = 5.0,
    solar: Annotated[str, typer.Option(help="hours of the cheap period")] = "09-17",
    peak: Annotated[str, typer.Option(help="hours of the dear period")] = "17-23",
    windows: Annotated[bool, typer.Option("--windows", help="search start and length of both periods too")] = False,
    shape_free: Annotated[
        bool, typer.Option("--shape-free", help="search the free units in the peak and in normal hours too")
    ] = False,
    generations: Annotated[int, typer.Option(help="runs of the search")] = 4,
    candidates: Annotated[int, typer.Option(help="designs in a run, beside the first arm")] = 8,
    out: Annotated[Path | None, typer.Option(help="folder [default: runs/<name>-search]")] = None,
    backend: Annotated[str, typer.Option(help="ray, or local: everything in this process")] = "ray",
    shards: Annotated[int | None, typer.Option(min=1, help="number of workers [default: CPU cores]")] = None,
) -> None:
    """Search a time of day for the lowest peak or purchase cost within limits on revenue and bills."""
    from twin import optimize as searching
    from twin.optimize_page import show_designs, write_designs
    from twin.runner import RunOptions
    from twin.scenario.load import load_scenario

    loaded = load_scenario(scenario, tuple(overrides or ()))
    folder = out or Path("runs") / f"{loaded.name}-search"
    search = searching.Search(
        objective,  # type: ignore[arg-type]
        revenue_tolerance, bill_cap, solar, peak, shape_free, windows, generations, candidates,
    )  # fmt: skip
    options = RunOptions(backend=backend, shards=shards, command="twin " + " ".join(sys.argv[1:]))
    found = searching.optimize(loaded, search, folder, options, ERR)
    show_designs(found, OUT)
    for path in write_designs(found, folder):
        OUT.print(str(path), highlight=False, markup=False)


@app.command()
def calibrate(
    scenario: ScenarioPath,
    overrides: Overrides = None,
    runs: Annotated[int, typer.Option(help="runs: the first, and one after each fit")] = 3,
    out: Annotated[Path | None, typer.Option(help="folder [default: runs/<name>-calibration]")] = None,
    backend: Annotated[str, typer.Option(help="ray, or local: everything in this process")] = "ray",
    shards: Annotated[int | None, typer.Option(min=1, help="number of workers [default: CPU cores]")] = None,
    members: Annotated[int, typer.Option(min=1, help="consumers of a kind that the fit predicts with")] = 256,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show aims, factors and the time of a run")] = False,
) -> None:
    """Fit factors of assumed numbers to published figures, and confirm them by a run; the data pack is not changed."""
    from twin import calibrate as calibrating
    from twin.runner import RunOptions
    from twin.scenario.load import load_scenario

    loaded = load_scenario(scenario, tuple(overrides or ()))
    options = RunOptions(backend=backend, shards=shards, command="twin " + " ".join(sys.argv[1:]))
    if dry_run:
        calibrating.show_plan(loaded, runs, shards, OUT)
    else:
        calibrating.calibrate_to_folder(loaded, out, options, runs, members, OUT, ERR)


@app.command()
def grid(
    scenario: ScenarioPath,
    overrides: Overrides = None,
    feeder: Annotated[str | None, typer.Option(help="code of one 11 kV feeder, e.g. F-00001")] = None,
    export: Annotated[
        Path | None, typer.Option(help="write that feeder with its LV: .json for pandapower, .dss for OpenDSS")
    ] = None,
) -> None:
    """Show what is built for a scenario: counts, checks, and loadings beside the bands they should lie in."""
    from twin.calibrated import using
    from twin.grid_report import describe_grid, export_feeder_file
    from twin.scenario.load import load_scenario

    loaded = load_scenario(scenario, tuple(overrides or ()))
    if (feeder is None) != (export is None):
        raise typer.BadParameter("give --feeder and --export together", param_hint="--feeder")
    if feeder is not None and export is not None:
        with using(loaded.calibrated):
            OUT.print(export_feeder_file(loaded, feeder, export), highlight=False, markup=False)
        return
    describe_grid(loaded, OUT)


@app.command()
def powerflow(
    network: Annotated[
        str,
        typer.Argument(metavar="NET", help="pandapower JSON, Excel, MATPOWER, or a SimBench code", show_default=False),
    ],
    profiles: Annotated[
        Path | None, typer.Option(help="Parquet or CSV: step, element, index, p_mw, q_mvar [default: table values]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder for the result tables, new or empty")] = None,
    solver: Annotated[str, typer.Option(help="auto, radial or newton")] = "auto",
) -> None:
    """Power flow of any pandapower network for every step of its profiles."""
    from twin.progress import reporter
    from twin.timeseries.printing import print_summary
    from twin.timeseries.run import run_quietly, run_to_folder

    progress = reporter(ERR)
    progress.phase("power flow")

    def advance(done: int, total: int, steps: int) -> None:
        progress.advance(done, total, f"{steps} steps")

    try:
        if out is None:
            summary = run_quietly(network, profiles, solver=solver, progress=advance)
        else:
            summary = run_to_folder(network, profiles, out, solver=solver, progress=advance)
    finally:
        progress.close()
    print_summary(summary, OUT)
    if out is not None:
        OUT.print(str(out), highlight=False, markup=False)
    raise typer.Exit(3 if summary["failures"] else 0)


@app.command()
def verify(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of tables")] = False,
    case: Annotated[list[str] | None, typer.Option(metavar="NAME", help="run only this case; repeatable")] = None,
) -> None:
    """Run the reference cases: ours, reference, difference, tolerance, pass."""
    from twin.verification.command import verify_cases

    raise typer.Exit(verify_cases(tuple(case or ()), OUT, ERR, json_wanted=as_json))


@app.command()
def bench(
    as_json: Annotated[bool, typer.Option("--json", help="print figures and machine as JSON")] = False,
    fraction: Annotated[float, typer.Option(min=0.001, max=1.0, help="share of Bihar's feeders to measure on")] = 0.004,
) -> None:
    """Measure speed and memory on this machine, per level and end to end; takes some minutes."""
    from twin import bench as benchmark

    figures = []
    for figure in benchmark.run_bench(fraction):
        figures.append(figure)
        if not as_json:
            OUT.print(f"{figure.level:16s} {figure.what:54s} {figure.value:10.3g} {figure.unit}", highlight=False)
    if as_json:
        OUT.print_json(json.dumps(benchmark.as_json(figures)))


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from twin.scenario.json_schema import scenario_schema

    OUT.print_json(json.dumps(scenario_schema()))


def main() -> None:
    """Entry point: a user's error becomes a message and an exit code, never a traceback."""
    try:
        app()
    except TwinError as error:
        ERR.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
