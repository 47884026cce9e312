"""Figure 1c: many treatments as numbers, arm by tariff period: curves of more than five would not be told apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from twin.datapack import threshold
from twin.report import numbers
from twin.report.facts import MOST_LISTED, Facts
from twin.report.figures import base, load

FloatArray = NDArray[np.float64]
NORMAL, EVENING = "normal", "evening"


def build(facts: Facts) -> base.Figure | None:
    """A table without a chart: the sign must be read, not guessed from a colour. None with five treatments or fewer."""
    if len(facts.treatments) <= MOST_LISTED:
        return None
    day = load.state_curves(facts, None)
    periods = _periods(facts, day.hours)
    lines, csv_rows = [], []
    for arm in facts.treatments:
        change = day.mw[arm.name] - day.mw[facts.reference_of(arm).name]
        means = {name: change[:, held].mean(axis=1) for name, held in periods.items()}
        lines.append((arm.label, *(_cell(values) for values in means.values())))
        csv_rows += [
            (arm.name, name, replicate, float(value))
            for name, values in means.items()
            for replicate, value in enumerate(values)
        ]
    names = [facts.t.name("window", name) for name in periods]
    return base.Figure(
        number="1c",
        title=facts.t.text("fig1c.title"),
        subtitle=facts.t.text("fig1c.subtitle", area=facts.area_name("state"), reference=facts.reference.base),
        alt="",
        help=[facts.t.text("fig1c.help.one" if facts.replicates == 1 else "fig1c.help", n=facts.replicates)],
        table=base.Table(
            facts.t.text("fig1c.title"),
            [facts.t.text("column.arm"), *names],
            lines,
            frozenset(range(1, 1 + len(names))),
        ),
        csv_header=("arm", "period", "replicate", "change_mw"),
        csv_rows=csv_rows,
    )


def _cell(values: FloatArray) -> str:
    """Mean over draws, and their range where there are several."""
    mean, low, high = (float(part) for part in (values.mean(), values.min(), values.max()))
    if len(values) == 1 or low == high:
        return numbers.number(mean, max(numbers.decimals_for_figures(mean, 2), 0), signed=True)
    decimals = numbers.decimals_for(mean, low, high)
    return f"{numbers.number(mean, decimals, signed=True)} ({numbers.span(low, high, decimals, signed=True)})"


def _periods(facts: Facts, hours: FloatArray) -> Mapping[str, NDArray[np.bool_]]:
    """Steps of every tariff period and of the rest of the day; the evening and the rest where no period is stated."""
    held: dict[str, NDArray[np.bool_]] = {}
    for window in facts.windows:
        steps = [(hours >= first) & (hours < last) for first, last in window.spans]
        held[window.name] = np.logical_or.reduce(steps)
    if not held:
        held[EVENING] = (hours >= threshold("evening_start")) & (hours < threshold("evening_end"))
    rest = ~np.logical_or.reduce(list(held.values()))
    return held | {NORMAL: rest} if rest.any() else held
