"""What ``twin grid`` shows: counts per level, checks, and loadings beside the bands they should lie in."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from twin.analysis.bands import band_table, inside
from twin.calibrated import using
from twin.cluster.backend import LocalBackend
from twin.errors import NetworkError, Problem
from twin.grid.export import export_feeder
from twin.grid.export_opendss_feeder import export_feeder_script
from twin.grid.feeder import build_feeder
from twin.grid.strata import stratum_name
from twin.grid.topology import check_feeder, check_net, check_state
from twin.grid.transmission_report import QUANTILES, distributions
from twin.loading import Loading, loading_values, peak_day, settle_day, year_loss_values
from twin.powerflow.upper_ehv import OK
from twin.results.storage import Storage
from twin.scenario import Scenario
from twin.simulation.prepare import Prepared, Workers, build_grid, prepare
from twin.simulation.runfolder import RunFolder
from twin.simulation.shard_tables import feeder_weights

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
JSON, DSS = ".json", ".dss"
"""Formats of an exported feeder."""
MOST_PROBLEMS = 20
"""Problems of the checks that are printed."""


def describe_grid(scenario: Scenario, console: Console) -> None:
    """Build the scenario's grid, solve its highest expected evening, and print what came out."""
    _refuse_own(scenario)
    with using(scenario.calibrated):
        _describe(scenario, console)


def _describe(scenario: Scenario, console: Console) -> None:
    folder = RunFolder(Storage(os.devnull), 0, [])
    built = prepare(scenario, folder, Workers(1), LocalBackend, tables=())
    try:
        _print_counts(built, console)
        _print_strata(built, console)
        year = built.points[0].dates[0].year
        peak = peak_day(scenario.seed, year)
        day = settle_day(built, peak.date, peak.weather)
        weights = feeder_weights(built.state, built.selection)
        values = loading_values(built.state, weights, day)
        values |= year_loss_values(built, year, day.v_pss_pu)
        console.print(
            f"highest expected June evening: {peak.date} {peak.hour:05.2f} h, {peak.meters_mw:,.0f} MW at meters, "
            f"{np.nanmax(day.upper.sent_mw):,.0f} MW at the state's boundary; settled in {day.rounds} rounds",
            highlight=False,
        )
        _print_bands(values, console)
        _print_distributions(built, day, console)
        _print_checks(built, day, console)
    finally:
        built.close()


def _refuse_own(scenario: Scenario) -> None:
    if scenario.grid.is_own:
        fix = "see it with pandapower, or solve it with `twin powerflow`"
        raise NetworkError([Problem("scenario", "grid", "a network of your own is not built by the twin", fix)])


def _print_counts(built: Prepared, console: Console) -> None:
    table = Table("level", "number", title="Built (132 kV connections and everything below are synthetic)")
    above = dict(built.network)
    added = {f"added {name}": count for name, count in above.pop("reinforcements").items()}
    for level, number in {**built.state.counts(), **above, **added}.items():
        table.add_row(str(level), f"{number:,}" if isinstance(number, int) else str(number))
    console.print(table)


def _print_strata(built: Prepared, console: Console) -> None:
    selection = built.selection
    table = Table("stratum", "feeders", "resolved", "sampled", "consumers", title="Strata")
    for code, feeders in enumerate(selection.feeders_in_stratum):
        member = built.state.feeders.stratum == code
        table.add_row(
            stratum_name(code), f"{feeders:,}", f"{(selection.resolved & member).sum():,}",
            f"{(selection.sampled & member).sum():,}", f"{selection.consumers_in_stratum[code]:,}",
        )  # fmt: skip
    console.print(table)


def _print_bands(values: dict[tuple[str, str], float], console: Console) -> None:
    table = Table("quantity", "statistic", "value", "band", "verdict", title="Loadings beside their bands")
    for row in band_table(values).to_pylist():
        verdict = "inside" if inside(row) else "OUTSIDE"
        table.add_row(
            row["quantity"], row["statistic"], f"{row['value']:.3g}", f"{row['low']:g} to {row['high']:g}", verdict
        )
    console.print(table)


def _print_distributions(built: Prepared, day: Loading, console: Console) -> None:
    table = Table("quantity", *(f"p{p}" for p in PERCENTILES), title="Distributions on that evening: 11 kV and below")
    rows: dict[str, NDArray[np.float64]] = {
        "DT loading, percent": day.dt_loading_percent,
        "LV end voltage, pu of 433 V": day.lv_end_pu,
        "11 kV end voltage, pu": day.feeder_end_pu,
        "PSS 11 kV bus, lowest of the day, pu": day.v_pss_pu.min(axis=1),
    }
    for name, values in rows.items():
        table.add_row(name, *(f"{value:.3f}" for value in np.nanpercentile(values, PERCENTILES)))
    console.print(table)
    _print_upper(built, day, console)


def _print_upper(built: Prepared, day: Loading, console: Console) -> None:
    """The grid at 33 kV and above in its heaviest hour that has a solution."""
    solved = day.upper.status == OK
    if not solved.any():
        console.print("no hour of that evening has a solution at 33 kV and above")
        return
    step = int(np.argmax(np.where(solved, day.upper.sent_mw, -np.inf)))
    heads = [f"p{100 * quantile:g}" for quantile in QUANTILES]
    title = f"Distributions at {step * 24 // len(solved):02d}:00: 33 kV and above"
    table = Table("quantity", "unit", "number", *heads, title=title)
    assert built.above is not None, "the state's grid has one"
    for row in distributions(built.above.grid, day.upper, step):
        table.add_row(row.quantity, row.unit, f"{row.count:,}", *(f"{value:.3f}" for value in row.quantiles))
    console.print(table)


def _print_checks(built: Prepared, day: Loading, console: Console) -> None:
    """Is everything supplied, radial where it should be, numbered without a gap, and solved?"""
    feeders = built.backend.shards[0].population.feeders
    assert built.above is not None, "the state's grid has one"
    checks = {
        "state: PSSs reach a GSS, feeders have DTs, numbers have no gap": check_state(built.state),
        "33 kV and above: every load has a path to a source": check_net(built.above.net),
        f"{len(feeders):,} feeders: 11 kV and LV are trees, every DT is supplied": [
            problem for part in feeders for problem in check_feeder(part.net, part.feeder)
        ],
    }
    table = Table("check", "problems", title="Checks")
    for name, problems in checks.items():
        table.add_row(name, f"{len(problems):,}")
    unsolved = int((day.upper.status != OK).sum())
    table.add_row("33 kV and above: hours of the evening's day without a solution", f"{unsolved:,}")
    console.print(table)
    for problem in [problem for problems in checks.values() for problem in problems][:MOST_PROBLEMS]:
        console.print(f"  {problem}", highlight=False, markup=False)


def export_feeder_file(scenario: Scenario, code: str, path: Path) -> str:
    """Write one 11 kV feeder with its LV, by the name of the file as pandapower JSON or as an OpenDSS script.

    Returns a line that says what was written.

    Raises
    ------
    NetworkError
        If there is no such feeder, or the file's name ends otherwise.
    """
    _refuse_own(scenario)
    kind = path.suffix.lower()
    if kind not in (JSON, DSS):
        fix = f"end the name in {JSON} (pandapower) or {DSS} (OpenDSS)"
        raise NetworkError([Problem("--export", "", f"{path.name} names no format", fix)])
    design_kw, state, _ = build_grid(scenario)
    if code not in state.feeders.code:
        fix = f"give a code from {state.feeders.code[0]} to {state.feeders.code[-1]}"
        raise NetworkError([Problem("--feeder", "", f"no feeder is called '{code}'", fix)])
    row = state.feeders.code.index(code)
    if kind == DSS:
        static = build_feeder(state, row, design_kw, state.seed)
        export_feeder_script(static, design_kw, code, path)
        return f"{path}: feeder {code}, {len(static.dt_id)} DTs, {len(static.kind):,} consumers (synthetic network)"
    net = export_feeder(state, row, design_kw, path)
    return f"{path}: feeder {code}, {len(net.bus)} buses, {len(net.load)} loads (synthetic network)"
