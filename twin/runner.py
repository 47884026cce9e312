"""Running a scenario from file to report: what ``twin run`` does, for Python users too."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from twin import __version__
from twin.analysis import analyse
from twin.analysis.design import read_experiment
from twin.analysis.left_out import left_out
from twin.analysis.sensitivity import middle_point
from twin.calibrated import using
from twin.cluster.backend import Workplace, workplace
from twin.errors import FencedError, RunInterrupted, StorageError, TwinError
from twin.loading import mean_field_study
from twin.progress import Reporter, Silent, reporter
from twin.recovery import Loss, keep_going
from twin.report.page import write_report
from twin.results.commits import BlockKey, Commit, check_not_fenced, write_commit
from twin.results.reader import Run, open_run
from twin.results.schema import arrow_schema
from twin.results.storage import Storage
from twin.scenario import Scenario, dump_resolved, scenario_hash
from twin.scenario.experiment import PILOT
from twin.simulation.engine import Engine
from twin.simulation.manifest import Manifest, Stopwatch, Usage, process_usage
from twin.simulation.meter_variants import check_models
from twin.simulation.predict import comparison, measured_numbers, predicted_numbers, prediction
from twin.simulation.prepare import Prepared, Workers, prepare, wanted_tables
from twin.simulation.price_tables import group_weights, prices_table
from twin.simulation.replicate import check_weather
from twin.simulation.runfolder import RunFolder, claim, default_out, next_attempt
from twin.simulation.static_tables import cases_table, feeder_list_table, pilot_table
from twin.stopping import Interruptible, stop_signals
from twin.units import KW_PER_MW

LOG = logging.getLogger("twin")
EXIT_DONE, EXIT_FAILED_SOLVES = 0, 3


@dataclass(frozen=True)
class RunOptions:
    """How to run, as opposed to what: nothing here changes a result."""

    out: str | None = None
    address: str | None = None
    backend: str = "ray"
    shards: int | None = None
    """Workers in all; None: as many as there are CPUs."""
    fleets: int | None = None
    """Whole sets of shards to divide the workers into; None: one, unless that cuts the substations too small."""
    resume: bool = False
    command: str = "twin.run(...)"


@dataclass(frozen=True)
class RunSummary:
    """The end of a run: where it is, how it went, and the headline."""

    path: str
    status: str
    exit_code: int
    text: str
    wall_s: float = 0.0
    headline: dict[str, Any] = field(default_factory=dict)


def run_scenario(scenario: Scenario, options: RunOptions | None = None, console: Console | None = None) -> RunSummary:
    """Run a scenario and write its tables, manifest and report.

    Raises
    ------
    TwinError
        For everything the user can repair: input, folder, cluster; and RunInterrupted after Ctrl-C or a stop signal,
        when the run can be resumed.
    """
    options = options or RunOptions()
    began, before = time.perf_counter(), process_usage()
    check_weather(scenario)
    check_models(scenario)
    identity = scenario_hash(scenario)
    out = options.out or default_out(scenario.name)
    folder = claim(out, identity, resume=options.resume, shards=options.shards)
    if folder.completed:
        return RunSummary(out, "complete", EXIT_DONE, f"{out} is already complete; nothing to do")
    folder.storage.write_bytes("scenario.yaml", dump_resolved(scenario).encode())
    manifest = Manifest(scenario.name, identity, scenario.seed, options.command)
    manifest.attempts, manifest.backend = folder.attempt, options.backend
    job = _Job(scenario, options, out, folder, manifest, reporter(console) if console else Silent(), began, before)
    go_on = options.command.removesuffix(" --resume").replace(" --resume ", " ").replace(f" --out {out}", "")
    with _logging_to(out), stop_signals() as stop, using(scenario.calibrated):
        job.progress = Interruptible(job.progress, stop)
        try:
            manifest.write(folder.storage)
            return job.run()
        except KeyboardInterrupt:
            _note_interruption(job)
            raise RunInterrupted(f"interrupted; continue with: {go_on} --resume --out {out}") from None
        except FencedError:
            raise
        except TwinError as error:
            _note_interruption(job)
            if error.exit_code != RunInterrupted.exit_code:
                raise
            raise type(error)(f"{error}; continue with: {go_on} --resume --out {out}") from error
        finally:
            job.progress.close()


def _note_interruption(job: _Job) -> None:
    """Say in the manifest that the run stopped, unless a newer attempt owns the folder or nothing can be written."""
    job.manifest.status = "interrupted"
    try:
        job.manifest.write(job.folder.storage)
    except (FencedError, StorageError) as error:
        LOG.warning("the manifest is left as it is: %s", error)


@dataclass
class _Job:
    """A run under way, attempt after attempt."""

    scenario: Scenario
    options: RunOptions
    out: str
    folder: RunFolder
    manifest: Manifest
    progress: Reporter
    began: float
    before: Usage

    def run(self) -> RunSummary:
        """Run to the end; where workers die on the way, go on with those that are left."""
        place = workplace(self.options.backend, self.options.address)
        try:
            return keep_going(self.folder.storage, lambda loss: self._attempt(place, loss), self.progress.phase)
        finally:
            place.leave()

    def _attempt(self, place: Workplace, loss: Loss | None) -> RunSummary:
        if loss is not None:
            self._take_over()
        shards = place.n_shards(self.options.shards)
        if self.options.shards and shards < self.options.shards:
            self.progress.phase(f"{shards} shards: there are no CPUs for the {self.options.shards} asked for")
        if loss is not None:
            committed = len(self.folder.commits)
            note = {"lost": loss.what, "attempt": self.folder.attempt, "commits": committed, "shards": shards}
            self.manifest.recoveries.append(note)
        return _run(
            self.scenario, place, Workers(shards, self.options.fleets), self.out, self.folder, self.manifest,
            self.progress, self.began, self.before,
        )  # fmt: skip

    def _take_over(self) -> None:
        """Fence off the attempt that lost workers, and begin the manifest's sums anew."""
        check_not_fenced(self.folder.storage, self.folder.attempt)
        self.folder = next_attempt(self.folder.storage, self.manifest.identity, self.options.shards)
        old = self.manifest
        self.manifest = Manifest(old.name, old.identity, old.seed, old.command)
        self.manifest.attempts, self.manifest.backend = self.folder.attempt, old.backend
        self.manifest.wall_s, self.manifest.recoveries = old.wall_s, old.recoveries


def _run(
    scenario: Scenario, place: Workplace, workers: Workers, out: str, folder: RunFolder, manifest: Manifest,
    progress: Reporter, began: float, before: Usage,
) -> RunSummary:  # fmt: skip
    storage = folder.storage
    progress.phase(f"building the grid and the population of {scenario.name}")
    with Stopwatch(manifest.wall_s, "build"):
        prepared = prepare(scenario, folder, workers, place.open, wanted_tables(scenario))
    try:
        if workers.n > 1 and not prepared.is_state:
            progress.phase("a network of your own is one shard, on one worker")
        _note_population(manifest, prepared)
        with Stopwatch(manifest.wall_s, "build"):
            _commit_static(storage, folder, prepared)
        each = f" in each of {manifest.fleets} fleets" if manifest.fleets > 1 else ""
        progress.phase(f"simulating {manifest.consumers:,} consumers on {manifest.shards} shards{each}")
        engine = Engine(
            points=prepared.points, fleets=prepared.fleets, upper=prepared.upper, layout=prepared.layout,
            scouts=prepared.scouts, contracted_mw=prepared.contracted_mw, storage=storage,
            attempt=folder.attempt, manifest=manifest, progress=progress,
            reading_ids=prepared.reading_ids, stations=prepared.stations,
            done={commit.key: commit for commit in folder.commits if commit.key.kind == "1block"},
        )  # fmt: skip
        engine.run()
        estimates, bands = _study(prepared, manifest, progress)
    except BaseException:
        prepared.abandon()
        raise
    manifest.note_usage(before, [*prepared.close(), process_usage()])
    progress.phase("comparing the arms")
    with Stopwatch(manifest.wall_s, "report"):
        _commit_analysis(storage, folder, out, manifest, estimates, bands)
    return _finish(out, folder, manifest, progress, began)


def _study(prepared: Prepared, manifest: Manifest, progress: Reporter) -> tuple[dict[str, float], pa.Table | None]:
    """Calibration and bands, which speak of the state: nothing for a network of the user's."""
    if not prepared.is_state:
        return {}, None
    progress.phase("calibration and bands in the mean field")
    with Stopwatch(manifest.wall_s, "report"):
        return mean_field_study(prepared, manifest)


def _note_population(manifest: Manifest, prepared: Prepared) -> None:
    manifest.consumers = prepared.consumers
    manifest.shards, manifest.fleets = prepared.backend.n_shards, len(prepared.fleets)
    manifest.population = prepared.population
    manifest.network |= prepared.network
    manifest.assumed = prepared.assumed
    manifest.synthetic = prepared.synthetic
    manifest.months_complete = prepared.months_complete
    manifest.prediction = predicted_numbers(
        prepared.scenario, prepared.state, prepared.selection, manifest.shards, manifest.fleets
    )


def _commit_static(storage: Storage, folder: RunFolder, prepared: Prepared) -> None:
    """Tables that do not change with time: consumers (from the shards), feeders, cases, prices."""
    tables = {
        "cases": cases_table(prepared.points),
        "feeder_list": feeder_list_table(prepared.state, prepared.selection),
    }
    if prepared.scenario.experiment.design == PILOT:
        tables["pilot"] = pilot_table(prepared.points, prepared.state, prepared.selection)
    if prepared.scenario.output.wants("prices"):
        counts = prepared.backend.call("count_prices", [()] * prepared.backend.n_shards, "the table of prices")
        tables["prices"] = prices_table(prepared.points[0], counts, group_weights(prepared.state, prepared.selection))
    files = list(prepared.static_files)
    for name, rows in tables.items():
        files.append(storage.write_table(f"tables/{name}/all-a{folder.attempt:06d}.parquet", name, rows))
    write_commit(storage, Commit(BlockKey("0static"), folder.attempt, tuple(files)))


def _commit_analysis(
    storage: Storage,
    folder: RunFolder,
    out: str,
    manifest: Manifest,
    estimates: dict[str, Any],
    bands: pa.Table | None,
) -> None:
    run = open_run(out)
    manifest.left_out = {part.name: part.as_dict() for part in left_out(run.scenario)}
    manifest.write(storage)
    tables = analyse(run, estimates) | ({} if bands is None else {"bands": bands})
    files = []
    for name, rows in tables.items():
        if rows.num_rows:
            path = f"tables/{name}/all-a{folder.attempt:06d}.parquet"
            files.append(storage.write_table(path, name, rows.cast(arrow_schema(name))))
    write_commit(storage, Commit(BlockKey("2analysis"), folder.attempt, tuple(files)))


def _finish(out: str, folder: RunFolder, manifest: Manifest, progress: Reporter, began: float) -> RunSummary:
    storage = folder.storage
    for path in storage.list("checkpoints"):
        storage.delete(path)
    manifest.status = "complete_with_failures" if manifest.failed_solves else "complete"
    manifest.digest = open_run(out).digests()
    manifest.write(storage)
    progress.phase("writing the report")
    with Stopwatch(manifest.wall_s, "report"):
        report = write_report(open_run(out), Path(out) / "report.html") if "://" not in out else None
    wall = time.perf_counter() - began
    manifest.wall_s["total"] = wall
    manifest.measured = measured_numbers(manifest, open_run(out).commits)
    manifest.write(storage)
    code = EXIT_FAILED_SOLVES if manifest.failed_solves else EXIT_DONE
    return RunSummary(out, manifest.status, code, _closing_text(out, report, manifest, wall), wall)


def _closing_text(out: str, report: Path | None, manifest: Manifest, wall_s: float) -> str:
    run = open_run(out)
    lines = [f"{manifest.name}: {manifest.consumers:,} consumers simulated, {wall_s:.0f} s, {manifest.status}"]
    if manifest.failed_solves:
        first = manifest.failed_solves[0]
        lines.append(f"{len(manifest.failed_solves)} failed solves, first: {first['feeder']} {first['cause']}")
    lines += headline(run)
    lines.append(comparison(manifest.prediction, manifest.measured))
    lines += [f"run    {manifest.digest['run']}", f"report {report or out}"]
    return "\n".join(lines)


def headline(run: Run) -> list[str]:
    """One line per arm: what it does to the evening peak of the state, or of a network of the user's.

    With one replicate the sampling error is all that is known of it.
    """
    where = "outcome = 'evening_peak' AND area = 'state' AND \"group\" = 'all'"
    rows = run.table("effects", where=where).to_pylist()
    wider = {row["arm"] for row in rows if row["kind"] != "sampling"}
    words, lines = _labels(run), []
    for row in rows:
        if row["kind"] == "sampling" and row["arm"] in wider:
            continue
        share = 100.0 * row["value"] / row["reference"]
        unit, scale = ("MW", 1.0) if abs(row["reference"]) >= 1.0 else ("kW", KW_PER_MW)
        value, low, high = (None if row[name] is None else row[name] * scale for name in ("value", "low", "high"))
        spread = f" ({low:+.1f} to {high:+.1f} {unit}, {row['kind']})" if low is not None else ""
        lines.append(f"{words[row['arm']]}: evening peak {value:+.1f} {unit} ({share:+.2f} %){spread}")
    return lines


def _labels(run: Run) -> dict[str, str]:
    """Names of arms in result tables for people: of a sweep's point, what it moves."""
    experiment = read_experiment(run)
    points = [json.loads(point) for point in experiment.points]
    centre = middle_point(points) if run.scenario.get("sweep_design") == "one_at_a_time" else {}
    found = {}
    for place, point in enumerate(points):
        moved = {path: value for path, value in point.items() if path not in centre or value != centre[path]}
        words = ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in moved.items())
        for arm, name in enumerate(experiment.arms):
            found[experiment.label(place, arm)] = f"{name} at {words or 'the middle'}" if point else name
    return found


def predict(scenario: Scenario, shards: int | None = None, fleets: int | None = None) -> dict[str, str]:
    """Time, memory and output that a run of this scenario will take, from its counts and stored rates."""
    check_weather(scenario)
    check_models(scenario)
    with using(scenario.calibrated):
        return prediction(scenario, Workers(shards or os.cpu_count() or 1, fleets))


def run(scenario: Scenario | str | Path, **options: Any) -> Run:
    """Run a scenario (or the file of one) and open the result. Options are those of `RunOptions`."""
    from twin.scenario import load_scenario

    loaded = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
    return open_run(run_scenario(loaded, RunOptions(**options)).path)


class _QuietFile(logging.FileHandler):
    """A log file whose own failures (a full disk) do not cover the message of the run."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Lose the line."""


@contextmanager
def _logging_to(out: str) -> Iterator[None]:
    """Send the twin's log lines to ``log.txt`` of a run folder on disk."""
    if "://" in out:
        yield
        return
    handler = _QuietFile(Path(out) / "log.txt")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.info("twin %s, %s", __version__, json.dumps({"out": out, "numpy": np.__version__}))
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        handler.close()
