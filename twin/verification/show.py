"""Outcomes as a table for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table

from twin import __version__
from twin.verification.case import Row
from twin.verification.outcome import NOT_RUN, Outcome, all_passed, versions

STYLE = {"passed": "green", "failed": "bold red", NOT_RUN: "yellow"}


def print_outcomes(outcomes: Sequence[Outcome], console: Console) -> None:
    """One table per case under its group, and a count last."""
    for group, members in groupby(outcomes, key=lambda one: one.case.group):
        console.print(f"\n[bold]{group}[/bold]", highlight=False)
        for one in members:
            _print_case(one, console)
    console.print()
    console.print(count_line(outcomes), highlight=False, markup=False)


def _print_case(one: Outcome, console: Console) -> None:
    console.print(f"\n{one.case.name} - {one.case.about}", highlight=False, markup=False)
    if one.missing:
        console.print(f"  not run: needs {', '.join(one.missing)}", style=STYLE[NOT_RUN], highlight=False, markup=False)
        return
    if one.error:
        console.print(f"  failed: {one.error}", style=STYLE["failed"], highlight=False, markup=False)
        return
    for source, rows in groupby(one.rows, key=lambda row: row.source):
        console.print(f"  reference: {source}", style="dim", highlight=False, markup=False)
        console.print(_table(list(rows)))


def _table(rows: list[Row]) -> Table:
    table = Table("quantity", box=None, pad_edge=True, padding=(0, 1))
    for name in ("ours", "reference", "difference", "tolerance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        verdict, style = ("pass", STYLE["passed"]) if row.passed else ("FAIL", STYLE["failed"])
        table.add_row(
            row.quantity, f"{row.ours:.8g}", f"{row.reference:.8g}", f"{row.difference:.1e}", f"{row.tolerance:.1e}",
            row.unit, f"[{style}]{verdict}[/{style}]",
        )  # fmt: skip
    return table


def count_line(outcomes: Sequence[Outcome]) -> str:
    """How many cases and rows passed, failed, and were not run."""
    rows = [row for one in outcomes for row in one.rows]
    by_status = {name: [one for one in outcomes if one.status == name] for name in STYLE}
    text = (
        f"{len(by_status['passed'])} cases passed, {len(by_status['failed'])} failed; "
        f"{sum(row.passed for row in rows)} of {len(rows)} figures within tolerance"
    )
    if by_status[NOT_RUN]:
        needed = sorted({package for one in by_status[NOT_RUN] for package in one.missing})
        text += f"; {len(by_status[NOT_RUN])} not run for want of {', '.join(needed)} (pip install 'gridtwin[test]')"
    return text


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All of it in plain types; a figure that is not a number is null."""
    return {
        "twin": __version__,
        "versions": versions(),
        "passed": all_passed(outcomes),
        "cases": [
            {
                "name": one.case.name, "group": one.case.group, "about": one.case.about, "status": one.status,
                "missing": list(one.missing), "error": one.error, "seconds": round(one.seconds, 2),
                "rows": [_row(row) for row in one.rows],
            }
            for one in outcomes
        ],
    }  # fmt: skip


def _row(row: Row) -> dict[str, Any]:
    figures = {name: getattr(row, name) for name in ("ours", "reference", "difference", "tolerance")}
    finite = {name: value if math.isfinite(value) else None for name, value in figures.items()}
    return {"quantity": row.quantity, **finite, "unit": row.unit, "passed": row.passed, "source": row.source}
