"""Figure 8: DT loading and voltage beside the bands expected of an Indian utility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.analysis.bands import inside
from twin.report import numbers
from twin.report.catalogue import chart_label
from twin.report.facts import Facts, exact_sum
from twin.report.figures import base

HEIGHT = 260
AGRICULTURAL = "agricultural"
Band = Mapping[str, Any]


@dataclass(frozen=True)
class Quantity:
    """One distribution: its name in table ``bands``, where it is read, and how wide its classes are."""

    name: str
    sql: str
    bin: float
    above: bool
    """Is the curve the share above a value (loading), or below it (voltage)?"""
    shown: tuple[float, float]
    decimals: int


QUANTITIES = (
    Quantity(
        "dt_loading_percent",
        'select "case", dt_id, feeder_id, max(loading_percent) as v from transformers group by all',
        1.0,
        True,
        (0.0, 160.0),
        0,
    ),
    Quantity(
        "lv_end_voltage_pu",
        'select "case", dt_id, feeder_id, min(v_end_p5_pu) as v from transformers group by all',
        0.001,
        False,
        (0.80, 1.0),
        3,
    ),
    Quantity(
        "feeder_end_voltage_pu",
        'select "case", feeder_id, min(v_min_pu) as v from feeders group by all',
        0.001,
        False,
        (0.80, 1.02),
        3,
    ),
)


@dataclass(frozen=True)
class Curve:
    """Share of the weight above (or below) each value, in per cent."""

    value: NDArray[np.float64]
    share: NDArray[np.float64]

    def quantile(self, share: float) -> float:
        """Value at which the curve passes ``share``, by straight lines."""
        order = np.argsort(self.share, kind="stable")
        return float(np.interp(share, self.share[order], self.value[order]))


def build(facts: Facts) -> base.Figure | None:
    """Three curves with the bands they must cross; None if the run has neither transformers nor bands."""
    bands = _bands(facts)
    curves = {quantity.name: _curves(facts, quantity) for quantity in QUANTITIES}
    if not any(curves.values()):
        return None
    met = sum(inside(band) for band in bands)
    key = "fig8.title" if bands else "fig8.title.none"
    return base.Figure(
        number="8",
        title=facts.t.text(key, met=met, all=len(bands)),
        subtitle=facts.t.text("fig8.subtitle"),
        alt=_alt(facts, curves, bands),
        help=[facts.t.text("fig8.help"), *(_band_words(facts, band) for band in bands)],
        table=_table(facts, bands) if bands else _curve_table(facts, curves),
        csv_header=("quantity", "arm", "value", "share_percent"),
        csv_rows=[
            (name, arm, float(value), float(share))
            for name, by_arm in curves.items()
            for arm, curve in by_arm.items()
            for value, share in zip(curve.value, curve.share, strict=True)
        ],
        csv_table="transformers",
        charts=[
            _chart(facts, quantity, curves[quantity.name], bands) for quantity in QUANTITIES if curves[quantity.name]
        ],
        keys=[
            *(
                base.Key(base.line_sample(arm.colour, arm.svg_dash), arm.label)
                for arm in [facts.reference, *facts.overlaid]
            ),
            *([base.Key(base.line_sample(base.INK, "", 5), facts.t.text("key.band"))] if bands else []),
        ],
        columns=3,
    )


def _curves(facts: Facts, quantity: Quantity) -> dict[str, Curve]:
    """Curve by arm over all its draws, outside agricultural feeders, weighted by what each feeder stands for."""
    found = facts.columns(
        f'select "case", floor(v / {quantity.bin})::bigint as bin, {exact_sum("weight")} as weight '
        f"from ({quantity.sql}) join feeder_list using (feeder_id) "
        f"where feeder_class <> '{AGRICULTURAL}' and weight > 0 and not isnan(v) group by all order by all"
    )
    curves: dict[str, Curve] = {}
    for arm in [facts.reference, *facts.overlaid]:
        cases = [row["case"] for row in facts.cases if facts.arm_name(row["arm"], row["sweep"]) == arm.name]
        own = np.isin(found["case"], cases)
        if own.any():
            curves[arm.name] = _cumulate(found["bin"][own], found["weight"][own], quantity)
    return curves


def _cumulate(bins: NDArray[Any], weight: NDArray[np.float64], quantity: Quantity) -> Curve:
    values, place = np.unique(bins, return_inverse=True)
    total = np.bincount(place, weights=weight)
    below = np.r_[0.0, np.cumsum(total)] / total.sum() * 100
    edges = np.r_[values, values[-1] + 1] * quantity.bin
    return Curve(edges, 100 - below if quantity.above else below)


def _chart(facts: Facts, quantity: Quantity, curves: Mapping[str, Curve], bands: Sequence[Band]) -> base.Chart:
    low, high = quantity.shown
    data = []
    for name, curve in curves.items():
        arm = facts.arm(name)
        inside_view = (curve.value >= low) & (curve.value <= high)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": base.rounded(curve.value[inside_view].tolist(), 4),
                "y": base.rounded(curve.share[inside_view].tolist(), 2),
                "line": {"color": arm.colour, "dash": arm.dash, "width": 2},
                "name": chart_label(arm.label),
                "hoverinfo": "x+y",
            }
        )
    data = [trace for trace in data if trace["x"]]
    x = base.axis(facts.t.text(f"axis.{quantity.name}"), range=[low, high], nticks=5)
    y = base.axis(facts.t.text("axis.share_above" if quantity.above else "axis.share_below"), range=[0, 100], nticks=6)
    shapes = [shape for band in bands if band["quantity"] == quantity.name for shape in _bracket(band)]
    title = facts.t.text(f"fig8.panel.{quantity.name}")
    look = base.layout((46, 10, 14, 42), xaxis=x, yaxis=y, shapes=shapes)
    return base.Chart(data, look, HEIGHT, {}, HEIGHT, title, print_height=210)


def _bracket(band: Band) -> list[dict[str, Any]]:
    """The band as a heavy bracket with end strokes, at the share its statistic names."""
    look = {"line": {"color": base.INK, "width": 3}, "layer": "above"}
    ends = {"line": {"color": base.INK, "width": 1.5}, "layer": "above"}
    if band["statistic"] == "share over 100":
        low, high, x = band["low"], band["high"], 100.0
        return [
            base.rule(x, x, low, high, **look),
            *(base.rule(x - 5, x + 5, end, end, **ends) for end in (low, high)),
        ]
    level = {"median": 50.0, "5th percentile": 5.0}.get(band["statistic"])
    if level is None:
        return []
    low, high = band["low"], band["high"]
    return [
        base.rule(low, high, level, level, **look),
        *(base.rule(end, end, level - 3, level + 3, **ends) for end in (low, high)),
    ]


def band_cells(facts: Facts, band: Band) -> tuple[str, str, str, str]:
    """Quantity with statistic, band, value, and verdict as words."""
    decimals = 2 if band["high"] < 2 else 0
    name = facts.t.text(
        "band.row",
        quantity=facts.t.name("band", band["quantity"]),
        statistic=facts.t.name("statistic", band["statistic"]),
    )
    verdict = facts.t.text("band.inside" if inside(band) else "band.outside")
    span = numbers.span(band["low"], band["high"], decimals)
    return name, span, numbers.number(band["value"], decimals + 1), verdict


def _band_words(facts: Facts, band: Band) -> str:
    name, span, value, verdict = band_cells(facts, band)
    confidence = facts.t.name("confidence", band["confidence"])
    return facts.t.text("fig8.band", name=name, value=value, span=span, verdict=verdict, confidence=confidence)


def band_table(facts: Facts) -> base.Table | None:
    """Bands beside the twin's values, for data quality; None if the run has none."""
    bands = _bands(facts)
    return _table(facts, bands) if bands else None


def _bands(facts: Facts) -> list[dict[str, Any]]:
    return facts.rows("select * from bands order by quantity, statistic")


def _table(facts: Facts, bands: Sequence[Band]) -> base.Table:
    header = [facts.t.text(f"column.{name}") for name in ("quantity", "band", "twin", "verdict", "confidence")]
    rows = [(*band_cells(facts, band), facts.t.name("confidence", band["confidence"])) for band in bands]
    return base.Table(facts.t.text("fig8.caption"), header, rows, frozenset({1, 2}))


def _curve_table(facts: Facts, curves: Mapping[str, Mapping[str, Curve]]) -> base.Table:
    """Where there are no bands: the value of each curve at the share by which a band would be stated."""
    arms = list(dict.fromkeys(name for by_arm in curves.values() for name in by_arm))
    rows = []
    for quantity in QUANTITIES:
        if by_arm := curves[quantity.name]:
            share = 50.0 if quantity.above else 5.0
            values = [numbers.number(by_arm[arm].quantile(share), quantity.decimals) for arm in arms]
            name = facts.t.text("fig8.row", quantity=facts.t.name("band", quantity.name), share=f"{share:g}")
            rows.append((name, *values))
    header = [facts.t.text("column.quantity"), *(facts.arm(arm).label for arm in arms)]
    return base.Table(facts.t.text("fig8.caption.none"), header, rows, frozenset(range(1, len(header))))


def _alt(facts: Facts, curves: Mapping[str, Mapping[str, Curve]], bands: Sequence[Band]) -> str:
    parts = []
    for quantity in QUANTITIES:
        for name, curve in curves[quantity.name].items():
            share = 50.0 if quantity.above else 5.0
            value = numbers.number(curve.quantile(share), quantity.decimals)
            parts.append(
                facts.t.text(
                    "fig8.alt",
                    quantity=facts.t.name("band", quantity.name),
                    arm=facts.arm(name).label,
                    share=f"{share:g}",
                    value=value,
                )
            )
    outside = [band_cells(facts, band)[0] for band in bands if not inside(band)]
    if outside:
        parts.append(facts.t.text("fig8.alt.outside", names="; ".join(outside)))
    return " ".join(parts)
