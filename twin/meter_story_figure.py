"""One meter's story as a page: profile, events, clock, arrivals and wallet on one time axis that can be zoomed."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from rich.console import Console

from twin.meter_spans import Span
from twin.meter_story import MeterStory, as_json, meter_story
from twin.meter_story_print import show_story, summary_lines
from twin.report.settings import setting
from twin.results.reader import Run
from twin.units import PAISE_PER_INR

TRUTH, MEASURED, LIMIT, WALLET = "#595959", "#332288", "#882255", "#117733"
FILL = "rgba(89, 89, 89, 0.35)"
DARK, OFF, OVERLOAD = "#BFBFBF", "#F2C99B", "#E3CBDD"
"""Shades: without supply, switched off by a command or a wallet, opened and closed by a load limit."""
EVENT_ROW_PX = 22
ROW_PX = {"profile": 300, "clock": 120, "arrival": 130, "wallet": 130}
READ_AFTER = dt.timedelta(hours=10)
"""Beyond the last day, in which its profile comes in."""
PLACES_PX = 150
"""Title, axis and keys."""


def story_figure(story: MeterStory) -> go.Figure:
    """Profile (truth, measured, limit, shaded where it could not draw), events by kind, clock, arrivals, wallet."""
    kinds = list(dict.fromkeys(row["event"] for row in story.events))
    rows = ["profile", *(["events"] if kinds else []), "clock", "arrival", *(["wallet"] if story.wallet else [])]
    heights = [ROW_PX.get(name, EVENT_ROW_PX * (len(kinds) + 1)) for name in rows]
    figure = make_subplots(
        rows=len(rows), cols=1, shared_xaxes=True, row_heights=heights, vertical_spacing=30 / sum(heights),
        subplot_titles=[TITLES[name] for name in rows],
    )  # fmt: skip
    parts = {"profile": _profile, "events": _events, "clock": _clock, "arrival": _arrival, "wallet": _wallet}
    for position, name in enumerate(rows, start=1):
        for trace in parts[name](story):
            figure.add_trace(trace, position, 1)
    figure.update_layout(shapes=_shades(story), template="simple_white", height=sum(heights) + PLACES_PX)
    device = story.days[-1]["device"]
    title = f"Meter of consumer {story.consumer_id} ({device}), case {story.case}; synthetic"
    figure.update_layout(
        title={"text": title, "font_size": 15, "y": 0.985, "yanchor": "top"},
        hovermode="closest", margin={"t": 120, "l": 60, "r": 20},
        legend={"orientation": "h", "x": 0, "y": 1 + 34 / sum(heights), "yanchor": "bottom"},
    )  # fmt: skip
    figure.update_xaxes(range=[story.begin, story.end + READ_AFTER], showgrid=True)
    buttons = [{"count": n, "step": "day", "stepmode": "todate", "label": f"{n} d"} for n in (1, 7)]
    figure.update_xaxes(
        rangeselector={"buttons": [*buttons, {"step": "all"}], "x": 1, "xanchor": "right"}, row=1, col=1
    )
    if kinds:
        figure.update_yaxes(type="category", categoryarray=kinds[::-1], automargin=True, row=2, col=1)
    figure.update_yaxes(rangemode="tozero", row=1, col=1)
    figure.update_annotations(font_size=13)
    return figure


TITLES = {
    "profile": "Energy per interval, kWh",
    "events": "Events",
    "clock": "Clock ahead, s (truth)",
    "arrival": "Profile read after midnight, h",
    "wallet": "Prepaid balance, INR",
}


def _step_h(story: MeterStory) -> float:
    return 24.0 * len(story.days) / len(story.readings)


def _profile(story: MeterStory) -> list[go.Scatter]:
    start = [row["interval_start"] for row in story.readings]
    used, metered = ([row[name] for row in story.readings] for name in ("used_kwh", "metered_kwh"))
    edge = {"shape": "hv", "color": TRUTH, "width": 0.5}
    line = {"shape": "hv", "color": MEASURED, "width": 1}
    traces = [
        go.Scatter(x=start, y=used, name="used (truth)", mode="lines", line=edge, fill="tozeroy", fillcolor=FILL),
        go.Scatter(x=start, y=metered, name="metered", mode="lines", line=line),
    ]
    if story.limits:
        kwh = story.limits[-1]["limit_kw"] * _step_h(story)
        look = {"color": LIMIT, "dash": "dash", "width": 1}
        traces.append(go.Scatter(x=[story.begin, story.end], y=[kwh, kwh], name="load limit", mode="lines", line=look))
    for name, colour, spans in _spans(story):
        if spans:
            marker = {"symbol": "square", "size": 12, "color": colour}
            traces.append(go.Scatter(x=[None], y=[None], name=name, mode="markers", marker=marker))
    return traces


def _spans(story: MeterStory) -> Sequence[tuple[str, str, Sequence[Span]]]:
    return (
        ("without supply", DARK, story.interruptions),
        ("switched off", OFF, story.switched_off),
        ("load limit opens and closes", OVERLOAD, story.overloads),
    )


def _shades(story: MeterStory) -> list[dict[str, Any]]:
    """Behind the profile, over its whole height."""
    return [
        {
            "type": "rect", "xref": "x", "yref": "y domain", "x0": span.began, "x1": span.ended, "y0": 0, "y1": 1,
            "fillcolor": colour, "opacity": 0.8, "line": {"width": 0}, "layer": "below",
        }
        for _, colour, spans in _spans(story) for span in spans
    ]  # fmt: skip


def _events(story: MeterStory) -> list[go.Scatter]:
    """A mark for each event, in the row of its kind; time and code on hover."""
    words = [
        f"{row['event']}, {row['event_time']:%Y-%m-%d %H:%M:%S}"
        + (f", IS 15959 code {row['code']}" if row["code"] else "")
        for row in story.events
    ]
    return [
        go.Scatter(
            x=[row["event_time"] for row in story.events], y=[row["event"] for row in story.events], text=words,
            hoverinfo="text", mode="markers", showlegend=False,
            marker={"symbol": "line-ns-open", "size": 12, "color": MEASURED, "line": {"width": 2}},
        )
    ]  # fmt: skip


def _clock(story: MeterStory) -> list[go.Scatter]:
    """As it stands at each day's end."""
    x = [_midnight_after(row["date"]) for row in story.days]
    y = [row["clock_s"] for row in story.days]
    look = {"color": TRUTH, "width": 1.5}
    return [go.Scatter(x=x, y=y, name="clock (truth)", mode="lines+markers", line=look, showlegend=False)]


def _arrival(story: MeterStory) -> list[go.Scatter]:
    """Where the profile of a day came in; the dashed line is what contracts ask."""
    read = [row for row in story.days if row["arrival_h"] is not None]
    not_read = [row["date"] for row in story.days if row["arrival_h"] is None]
    hour = float(setting("service_level")["hours"][0])
    come = [_midnight_after(row["date"]) + dt.timedelta(hours=row["arrival_h"]) for row in read]
    words = [f"profile of {row['date']}, {row['days_fetched']} days fetched" for row in read]
    marker = {"color": MEASURED, "size": 7}
    return [
        go.Scatter(
            x=come, y=[row["arrival_h"] for row in read], text=words, name="read", mode="markers", marker=marker,
            showlegend=False,
        ),
        go.Scatter(
            x=[_midnight_after(day) for day in not_read], y=[24.0] * len(not_read), name="not read within a day",
            text=[f"profile of {day}" for day in not_read], mode="markers", showlegend=False,
            marker={"color": LIMIT, "size": 8, "symbol": "circle-open", "line": {"width": 2}},
        ),
        go.Scatter(
            x=[story.begin, story.end], y=[hour, hour], mode="lines", name=f"contracts ask by {hour:g} h",
            line={"color": TRUTH, "dash": "dash", "width": 1}, showlegend=False,
        ),
    ]  # fmt: skip


def _wallet(story: MeterStory) -> list[go.Scatter]:
    """After the morning's batch, and after a recharge."""
    x: list[dt.datetime] = []
    y: list[float] = []
    for row in story.wallet:
        morning = dt.datetime.combine(row["date"], dt.time())
        x += [morning, row["recharged_at"] or morning + dt.timedelta(days=1)]
        y += [row["morning_paise"] / PAISE_PER_INR, row["evening_paise"] / PAISE_PER_INR]
    look = {"color": WALLET, "width": 1.5, "shape": "hv"}
    return [go.Scatter(x=x, y=y, name="balance", mode="lines", line=look, showlegend=False)]


def _midnight_after(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time()) + dt.timedelta(days=1)


def draw_story(story: MeterStory, path: Path) -> None:
    """Write the story's figure as one self-contained page, the summary above it."""
    page = story_figure(story).to_html(
        include_plotlyjs=True, full_html=True, div_id="story", config={"responsive": True}
    )
    lines = "".join(f'<p style="margin: 0">{html.escape(line)}</p>' for line in summary_lines(story))
    look = "font: 15px/1.4 system-ui, sans-serif; margin: 12px 16px; color: #1A1A1A"
    path.write_text(page.replace("<body>", f'<body><div style="{look}">{lines}</div>', 1), encoding="utf-8")


def tell_meter(
    run: Run, consumer_id: int, case: int, out: Path | None, console: Console, *, json_wanted: bool = False
) -> None:
    """Print a meter's story and draw it; as JSON, it is drawn only where ``out`` names a page."""
    story = meter_story(run, consumer_id, case)
    page = out if json_wanted else out or Path(f"meter-{consumer_id}.html")
    if page is not None:
        draw_story(story, page)
    if json_wanted:
        console.print_json(as_json(story), indent=None, highlight=False)
    else:
        show_story(story, console)
        console.print(f"figures: {page}")
