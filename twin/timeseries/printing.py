"""What ``twin powerflow`` says at the end."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

MOST_FAILURES = 10
SHOWN_STEPS = 3


def print_summary(summary: dict[str, Any], console: Console) -> None:
    """Parts, solvers, steps, extremes and failures of a time series."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, text in _lines(summary):
        table.add_row(name, text)
    console.print(table)
    failures = summary["failures"]
    if not failures:
        return
    shown = Table(title=f"{len(failures)} failures", title_justify="left", box=None, pad_edge=False)
    for column in ("part", "cause", "steps", "detail"):
        shown.add_column(column, justify="left")
    for row in failures[:MOST_FAILURES]:
        some = ", ".join(map(str, row["steps"][:SHOWN_STEPS])) + (", ..." if row["n_steps"] > SHOWN_STEPS else "")
        shown.add_row(str(row["part"]), row["cause"], f"{row['n_steps']} ({some})", row["detail"])
    console.print(shown)
    if len(failures) > MOST_FAILURES:
        console.print(f"... and {len(failures) - MOST_FAILURES} more in summary.json", highlight=False)


def _lines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    counts = Counter(part["solver"] for part in summary["parts"])
    solvers = ", ".join(f"{n} by {solver}" for solver, n in counts.most_common())
    lines = [
        ("parts", f"{len(summary['parts'])}: {solvers}"),
        ("steps", f"{summary['n_steps']}, of which {summary['failed_steps']} failed"),
        ("newton", summary["newton_check"]),
    ]
    if summary["vm_min_pu"] is not None:
        lines.append(("voltage", f"{summary['vm_min_pu']:.4f} to {summary['vm_max_pu']:.4f} pu"))
        lines.append(("highest loading", f"{summary['loading_max_percent']:.1f} %"))
    if summary["loss_mean_mw"] is not None:
        lines.append(("mean loss", f"{summary['loss_mean_mw']:.4g} MW in lines and transformers"))
    lines.append(("time", ", ".join(f"{name} {value:.2f} s" for name, value in summary["wall_s"].items())))
    return lines
