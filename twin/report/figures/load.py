"""Figure 2: daily load by arm, with the difference below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.report import numbers
from twin.report.catalogue import chart_label, clean
from twin.report.effects import SMALL_RUN
from twin.report.facts import Arm, Facts, exact_sum, literal
from twin.report.figures import base
from twin.report.settings import setting
from twin.units import KW_PER_MW

FloatArray = NDArray[np.float64]
HEIGHT, NARROW_HEIGHT, PRINT_HEIGHT = 440, 420, 300
MARGIN = (64, 74, 24, 44)
WINDOW_FILLS = {"low": "#EAF3E6", "high": "#F7EBDD"}
BAND_FILL = "rgba(89,89,89,0.18)"
LABEL_GAP_PX = 15


@dataclass(frozen=True)
class Curves:
    """Mean-day or peak-day load of every arm and replicate: ``mw[arm]`` is float64[replicates, steps]. [MW]"""

    hours: FloatArray
    mw: Mapping[str, FloatArray]


def build(facts: Facts) -> list[base.Figure]:
    """The mean day of the state, of resolved districts, and the state's peak day in runs of several days."""
    figures = [_figure(facts, "2", "mean", state_curves(facts, None), facts.area_name("state"))]
    extra: list[tuple[str, Curves, str]] = []
    if facts.days > 1:
        day = facts.rows("select interval_start::date as day from system order by sent_mw desc, 1 limit 1")[0]["day"]
        extra.append(("peak", state_curves(facts, day), facts.area_name("state")))
    for district in facts.resolved_districts[:2]:
        curves = _district(facts, district)
        if curves.mw:
            extra.append(("district", curves, clean(district)))
    letters = "bcd"
    figures += [_figure(facts, f"2{letters[i]}", kind, curves, area) for i, (kind, curves, area) in enumerate(extra)]
    return figures


def state_curves(facts: Facts, day: Any) -> Curves:
    """Load at the state's boundary: one day, or the mean over all days step by step."""
    where = f"where interval_start::date = date '{day}'" if day else ""
    order = f'{where} order by "case", hour(interval_start), minute(interval_start), interval_start'
    found = facts.columns(f'select "case", sent_mw from system {order}')
    steps = round(24 / facts.step_hours)
    loads = {case: found["sent_mw"][found["case"] == case].reshape(steps, -1) for case in np.unique(found["case"])}
    return _curves(facts, {int(case): values.mean(axis=1) for case, values in loads.items()})


def _district(facts: Facts, district: str) -> Curves:
    """Load of a resolved district's 11 kV feeders, mean over all days."""
    found = facts.columns(
        f'select "case", hour(interval_start) as h, minute(interval_start) as m, {exact_sum("sent_kw")} as kw '
        "from feeders "
        f"where feeder_id in (select feeder_id from feeder_list where resolved and district = {literal(district)}) "
        "group by all order by all"
    )
    mw = found["kw"] / facts.days / KW_PER_MW
    return _curves(facts, {int(case): mw[found["case"] == case] for case in np.unique(found["case"])})


def _curves(facts: Facts, by_case: Mapping[int, FloatArray]) -> Curves:
    mw: dict[str, list[FloatArray]] = {}
    for row in facts.cases:
        if row["case"] in by_case:
            mw.setdefault(facts.arm_name(row["arm"], row["sweep"]), []).append(by_case[row["case"]])
    steps = round(24 / facts.step_hours)
    hours = np.arange(steps, dtype=np.float64) * facts.step_hours
    return Curves(hours, {name: np.array(values) for name, values in mw.items()})


def paired_band(differences: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Band of paired differences over replicates: range up to 18, 5th to 95th percentile from 19, none for one."""
    if len(differences) < 2:
        return None
    if len(differences) <= SMALL_RUN:
        return differences.min(axis=0), differences.max(axis=0)
    low, high = np.quantile(differences, [0.05, 0.95], axis=0)
    return low, high


def _figure(facts: Facts, number: str, kind: str, curves: Curves, area: str) -> base.Figure:
    arms = [facts.reference, *facts.overlaid]
    mean = {arm.name: curves.mw[arm.name].mean(axis=0) for arm in arms}
    changes = {arm: curves.mw[arm.name] - curves.mw[facts.reference.name] for arm in facts.overlaid}
    chart = _chart(facts, curves.hours, mean, changes)
    label = {
        "area": area,
        "reference": facts.reference.label,
        "days": facts.counted("days", facts.days),
        "draws": facts.counted("draws", facts.replicates),
    }
    return base.Figure(
        number=number,
        title=_title(facts, kind, curves.hours, changes, area),
        subtitle=facts.t.text(f"fig2.subtitle.{kind}" if changes else f"fig2.subtitle.{kind}.one_arm", **label),
        alt=_alt(facts, curves.hours, mean, changes),
        help=_help(facts, changes) if kind == "mean" else [],
        table=_table(facts, curves.hours, mean, changes, area),
        csv_header=("time_ist", "arm", "replicate", "sent_mw"),
        csv_rows=[
            (clock(hour), arm.name, replicate, float(values[step]))
            for arm in arms
            for replicate, values in enumerate(curves.mw[arm.name])
            for step, hour in enumerate(curves.hours)
        ],
        charts=[chart],
        keys=_keys(facts, arms, changes),
    )


def _chart(
    facts: Facts, hours: FloatArray, mean: Mapping[str, FloatArray], changes: Mapping[Arm, FloatArray]
) -> base.Chart:
    top = max(float(values.max()) for values in mean.values())
    data = [load_line(facts.arm(name), hours, values, "y", 1) for name, values in mean.items()]
    scale = float(setting("least_difference_axis")) / 100 * float(mean[facts.reference.name].max())
    low, high = -scale, scale
    for arm, difference in changes.items():
        band = paired_band(difference)
        if band is not None:
            data.append(band_trace(arm, hours, band))
            low, high = min(low, float(band[0].min())), max(high, float(band[1].max()))
        average = difference.mean(axis=0)
        low, high = min(low, float(average.min())), max(high, float(average.max()))
        data.append(load_line(arm, hours, average, "y2", 3 if scale < 100 else 1))
    low, high = base.nice_range(low, high, scale)
    shapes, labels, short = tariff_windows(facts)
    if changes:
        shapes.append(base.rule(0, 24, 0, 0, xref="x", yref="y2"))
    ends = _end_labels(changes, low, high)
    flat = [
        base.note(facts.t.text("fig2.no_change"), 12, 0, xref="x", yref="y2", yshift=14)
        for values in [list(changes.values())]
        if values and not any(np.any(value) for value in values)
    ]
    x = base.axis(
        facts.t.text("axis.hour"),
        range=[0, 24],
        tickvals=list(range(0, 25, 3)),
        ticktext=[f"{hour:02d}" for hour in range(0, 25, 3)],
        anchor="y2" if changes else "y",
    )
    y = base.axis(facts.t.text("axis.mw"), range=[0, top * 1.08], nticks=6, domain=[0.56, 1] if changes else [0, 1])
    look = base.layout(MARGIN, xaxis=x, yaxis=y, shapes=shapes, annotations=labels + ends + flat)
    if changes:
        look["yaxis2"] = base.axis(
            facts.t.text("axis.change_mw"), range=[low, high], nticks=6, domain=[0, 0.47], anchor="x"
        )
    narrow = {"annotations": short + ends + flat, "margin": look["margin"] | {"l": 56, "r": 58}}
    height, small = (HEIGHT, NARROW_HEIGHT) if changes else (300, 280)
    return base.Chart(data, look, height, narrow, small, print_height=PRINT_HEIGHT)


def load_line(arm: Arm, hours: FloatArray, values: FloatArray, axis: str, decimals: int) -> dict[str, Any]:
    """A curve over the hours of a day in the look of its arm, held to 24:00."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": base.rounded([*hours, 24.0], 4),
        "y": base.rounded([*values, values[-1]], decimals),
        "yaxis": axis,
        "name": chart_label(arm.label),
        "line": {"color": arm.colour, "dash": arm.dash, "width": 2.5},
        "hoverinfo": "y",
    }


def band_trace(arm: Arm, hours: FloatArray, band: tuple[FloatArray, FloatArray]) -> dict[str, Any]:
    """A pale band in the colour of its arm."""
    low, high = band
    red, green, blue = (int(arm.colour[i : i + 2], 16) for i in (1, 3, 5))
    return {
        "type": "scatter",
        "mode": "lines",
        "x": base.rounded([*hours, *hours[::-1]], 4),
        "y": base.rounded([*low, *high[::-1]], 2),
        "yaxis": "y2",
        "fill": "toself",
        "fillcolor": f"rgba({red},{green},{blue},0.20)",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "name": chart_label(arm.label),
    }


def tariff_windows(facts: Facts) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Tariff windows of the first treatment that has any: shading, labels, and labels for narrow screens."""
    shapes, labels, short = [], [], []
    for window in facts.windows:
        fill = WINDOW_FILLS["low" if window.multiplier < 1 else "high"]
        for start, end in window.spans:
            shapes.append(base.box(start, end, 0, 1, fill, xref="x", yref="paper"))
        start, end = max(window.spans, key=lambda span: span[1] - span[0])
        place = {"xref": "x", "yref": "paper", "yanchor": "bottom"}
        factor = f"\u00d7{window.multiplier:.2f}"
        name = chart_label(facts.t.name("window", window.name))
        labels.append(base.note(f"{name} {factor}", (start + end) / 2, 1, **place))
        short.append(base.note(factor, (start + end) / 2, 1, **place))
    return shapes, labels, short


def _end_labels(changes: Mapping[Arm, FloatArray], low: float, high: float) -> list[dict[str, Any]]:
    """Arm names at the right end of their difference lines, moved apart where they would touch on paper."""
    panel_px = 0.47 * (PRINT_HEIGHT - MARGIN[2] - MARGIN[3])
    ends = [(float(difference.mean(axis=0)[-1]), arm) for arm, difference in changes.items()]
    ends.sort(key=lambda end: (end[0], end[1].index))
    notes, last = [], -1e9
    for value, arm in ends:
        level = max((value - low) / (high - low) * panel_px, last + LABEL_GAP_PX)
        last = level
        shift = level - (value - low) / (high - low) * panel_px
        place = {"xref": "paper", "yref": "y2", "xanchor": "left", "xshift": 6, "yshift": shift}
        notes.append(base.note(chart_label(clean(arm.label, 8)), 1, value, **place))
    return notes


def _keys(facts: Facts, arms: Sequence[Arm], changes: Mapping[Arm, FloatArray]) -> list[base.Key]:
    keys = [base.Key(base.line_sample(arm.colour, arm.svg_dash), arm.label) for arm in arms]
    if facts.replicates > 1 and changes:
        kind = "range" if facts.replicates <= SMALL_RUN else "draws_and_parameters"
        keys.append(base.Key(base.bar_sample("#D4D4D4"), facts.t.text(f"fig2.band.{kind}", n=facts.replicates)))
    if facts.windows:
        keys.append(base.Key(base.bar_sample(WINDOW_FILLS["high"], "#C9A97A"), facts.t.text("key.window_high")))
        keys.append(base.Key(base.bar_sample(WINDOW_FILLS["low"], "#9DBB8E"), facts.t.text("key.window_low")))
    return keys


def _title(facts: Facts, kind: str, hours: FloatArray, changes: Mapping[Arm, FloatArray], area: str) -> str:
    if not changes:
        return facts.t.text(f"fig2.title.{kind}.one_arm", area=area)
    arm, difference = max(changes.items(), key=lambda item: float(np.abs(item[1].mean(axis=0)).max()))
    average = difference.mean(axis=0)
    step = int(np.abs(average).argmax())
    if not average[step]:
        return facts.t.text("fig2.title.none", area=area)
    key = "fig2.title.lower" if average[step] < 0 else "fig2.title.higher"
    return facts.t.text(key, arm=arm.label, size=mw_words(abs(average[step])), time=clock(hours[step]), area=area)


def _help(facts: Facts, changes: Mapping[Arm, FloatArray]) -> list[str]:
    lines = [facts.t.text("fig2.help" if changes else "fig2.help.one_arm")]
    if changes and facts.replicates == 1:
        lines.append(facts.t.text("help.one_draw"))
    if len(facts.treatments) > len(facts.overlaid):
        lines.append(facts.t.text("help.not_all_arms", shown=len(facts.overlaid), all=len(facts.treatments)))
    return lines


def _alt(facts: Facts, hours: FloatArray, mean: Mapping[str, FloatArray], changes: Mapping[Arm, FloatArray]) -> str:
    flat = mean[facts.reference.name]
    high, low = int(flat.argmax()), int(flat.argmin())
    parts = [
        facts.t.text(
            "fig2.alt",
            arm=facts.reference.label,
            high=mw_words(flat[high]),
            high_time=clock(hours[high]),
            low=mw_words(flat[low]),
            low_time=clock(hours[low]),
        )
    ]
    for arm, difference in changes.items():
        average = difference.mean(axis=0)
        down, up = int(average.argmin()), int(average.argmax())
        parts.append(
            facts.t.text(
                "fig2.alt.change",
                arm=arm.label,
                down=mw_words(average[down], signed=True),
                down_time=clock(hours[down]),
                up=mw_words(average[up], signed=True),
                up_time=clock(hours[up]),
            )
        )
    return " ".join(parts)


def _table(
    facts: Facts,
    hours: FloatArray,
    mean: Mapping[str, FloatArray],
    changes: Mapping[Arm, FloatArray],
    area: str,
) -> base.Table:
    """Hourly values; every step stands in the CSV file."""
    every = max(round(1 / facts.step_hours), 1)
    header = [facts.t.text("column.hour"), *(f"{facts.arm(name).label}, MW" for name in mean)]
    header += [facts.t.text("column.change_of", arm=arm.label) for arm in changes]
    lines = []
    most = max(float(values.max()) for values in mean.values())
    decimals = max(numbers.decimals_for_figures(most), 1)
    for step in range(0, len(hours), every):
        levels = [
            numbers.number(float(values[step]), decimals if values.max() < 1000 else 0) for values in mean.values()
        ]
        moved = [numbers.number(float(d.mean(axis=0)[step]), decimals, signed=True) for d in changes.values()]
        lines.append((clock(hours[step]), *levels, *moved))
    numeric = frozenset(range(1, len(header)))
    return base.Table(facts.t.text("fig2.caption", area=area), header, lines, numeric)


def mw_words(value: float, signed: bool = False) -> str:
    """A load with its unit, two figures below 100 MW."""
    decimals = min(max(numbers.decimals_for_figures(value, 2), 0), 6) if abs(value) < 100 else 0
    return numbers.with_unit(numbers.number(float(value), decimals, signed), "MW")


def clock(hour: float) -> str:
    """``21:45`` of an hour of the day."""
    return f"{int(hour):02d}:{round(hour % 1 * 60):02d}"
