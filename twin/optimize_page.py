"""What ``twin optimize`` shows of the designs it tried: the trade-off curve as a table, CSV and page."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go
from rich.console import Console
from rich.table import Table

from twin.hours import NORMAL
from twin.optimize import Design, Found
from twin.optimize_space import PEAK

CSV_HEADER = (
    "generation", "run", "arm", "solar_hours", "solar_multiplier", "peak_hours", "peak_multiplier", "free_peak_kwh",
    "free_normal_kwh", "evening_peak_percent", "peak_any_percent", "purchase_cost_percent", "revenue_percent",
    "worst_bill_percent", "worst_group", "feasible", "on_trade_off",
)  # fmt: skip
NEAREST_SHOWN = 5
PEAK_WORDS = {"evening_peak": "evening peak", "peak_any": "highest load"}


def write_designs(found: Found, out: Path) -> tuple[Path, Path]:
    """Write every design that was tried as ``designs.csv``, and the curve as a page that opens with no network."""
    table, page = out / "designs.csv", out / "designs.html"
    front = found.trade_off
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(CSV_HEADER)
        for design in found.designs:
            one = design.candidate
            free = ["" if units is None else units for units in (one.free_in(PEAK), one.free_in(NORMAL))]
            values: Sequence[object] = (
                design.generation, design.run, design.arm, one.solar_hours, one.solar, one.peak_hours, one.peak, *free,
                design.evening_peak, design.peak_any, design.purchase_cost, design.revenue, design.worst_bill,
                design.worst_group, design.excess(found.search) == 0.0, design in front,
            )  # fmt: skip
            writer.writerow(values)
    page.write_text(trade_off_figure(found).to_html(include_plotlyjs=True, full_html=True), encoding="utf-8")
    return table, page


def trade_off_figure(found: Found) -> go.Figure:
    """Peak against purchase cost of every design; the trade-off curve joins those within the limits that none beats."""
    peak, front = found.search.peak_outcome, found.trade_off
    beyond = [design for design in found.designs if design.excess(found.search) > 0.0]
    figure = go.Figure()
    for name, designs, look in (
        ("beyond the limits", beyond, {"mode": "markers", "marker": {"symbol": "x-thin", "line": {"width": 1}}}),
        ("within the limits", found.feasible, {"mode": "markers"}),
        ("trade-off", front, {"mode": "lines+markers", "marker": {"size": 10}}),
    ):
        figure.add_scatter(
            x=[getattr(design, peak) for design in designs], y=[design.purchase_cost for design in designs],
            name=name, text=[_words(design) for design in designs], hovertemplate="%{text}<br>%{x:.2f} %, %{y:.2f} %",
            **look,
        )  # fmt: skip
    figure.update_xaxes(title=f"change of the {PEAK_WORDS[peak]}, percent")
    figure.update_yaxes(title="change of the purchase cost, percent")
    figure.update_layout(title=f"Designs of a time of day: {_limits(found)}; synthetic", template="simple_white")
    return figure


def show_designs(found: Found, console: Console) -> None:
    """Print the trade-off curve, or the designs nearest to the limits where none is within them."""
    search, front = found.search, found.trade_off
    shown = front or sorted(found.designs, key=lambda design: design.excess(search))[:NEAREST_SHOWN]
    title = "Trade-off of designs within the limits" if front else "No design within the limits; the nearest"
    table = Table(title=title, title_justify="left")
    names = ("design", PEAK_WORDS[search.peak_outcome], "purchase cost", "revenue", "worst mean bill", "of")
    for name in names:
        table.add_column(name, justify="left" if name in ("design", "of") else "right")
    for design in shown:
        peak = getattr(design, search.peak_outcome)
        changes = (peak, design.purchase_cost, design.revenue, design.worst_bill)
        table.add_row(_words(design), *(f"{value:+.2f} %" for value in changes), design.worst_group)
    console.print(table, highlight=False)
    tried = f"{len(found.designs)} designs tried in {found.runs} runs, {len(found.feasible)} within {_limits(found)}"
    if found.left_out:
        tried += f"; {len(found.left_out)} more would need more registers than a meter has"
    console.print(f"{tried}.", highlight=False)


def _limits(found: Found) -> str:
    return f"revenue ±{found.search.revenue_tolerance:g} % and bills +{found.search.bill_cap:g} %"


def _words(design: Design) -> str:
    one = design.candidate
    words = f"{one.solar_hours} x {one.solar:.2f}, {one.peak_hours} x {one.peak:.2f}"
    free = [f"{units:g} kWh in {period}" for period, units in one.free_kwh]
    return f"{words}; free {', '.join(free)}" if free else words
