"""Figure 9d: what a discom would estimate from its own data, beside the truth of the same run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twin.datapack import threshold
from twin.report import numbers
from twin.report.facts import Facts
from twin.report.figures import base

Row = Mapping[str, Any]
ENERGIES = (
    "input_mwh", "input_metered_mwh", "billed_mwh", "technical_mwh", "technical_normative_mwh", "non_technical_mwh",
    "non_technical_estimated_mwh",
)  # fmt: skip
CSV = ("arm", "area", *ENERGIES, "atc_percent", "atc_estimated_percent")
COLUMNS = (
    "input", "input_metered", "technical", "technical_normative", "non_technical", "non_technical_estimated", "atc",
    "atc_estimated",
)  # fmt: skip


def rows_by_area(facts: Facts, arm: str) -> dict[str, Row]:
    """Rows of table ``utility`` for an arm, the state first, then discoms and districts; single feeders left out."""
    rows = facts.rows(
        "select * from utility where not starts_with(area, 'feeder:') "
        "order by arm, area <> 'state', not starts_with(area, 'discom:'), area"
    )
    return {row["area"]: row for row in rows if row["arm"] == arm}


def build(facts: Facts) -> base.Figure | None:
    """A table of truth and estimate by area in the first arm; None where discoms have no meters at feeders' heads."""
    rows = rows_by_area(facts, facts.reference.name)
    if "state" not in rows:
        return None
    state = rows["state"]
    seen, true = (_points(state, state[name]) for name in ("non_technical_estimated_mwh", "non_technical_mwh"))
    return base.Figure(
        number="9d",
        title=facts.t.text("fig9d.title", seen=numbers.number(seen, 1), true=numbers.number(true, 1)),
        subtitle=facts.t.text("fig9d.subtitle", arm=facts.reference.label),
        alt="",
        help=[facts.t.text("fig9d.help", share=_percent(threshold("normative_technical"))), _gap(facts, state)],
        table=base.Table(
            facts.t.text("fig9d.caption"),
            [facts.t.text("column.area"), *(facts.t.text(f"utility.{name}") for name in COLUMNS)],
            [(facts.area_name(area), *_cells(row)) for area, row in rows.items()],
            frozenset(range(1, len(COLUMNS) + 1)),
        ),
        csv_header=CSV,
        csv_rows=_csv(facts),
        csv_table="utility",
    )


def _csv(facts: Facts) -> Sequence[Sequence[Any]]:
    rows = facts.rows("select * from utility where not starts_with(area, 'feeder:') order by arm, area")
    return [tuple(row[name] for name in CSV) for row in rows]


def _points(row: Row, energy_mwh: float) -> float:
    """Energy in points of the true input."""
    return 100.0 * energy_mwh / row["input_mwh"] if row["input_mwh"] else 0.0


def _percent(share: float) -> str:
    return numbers.with_unit(f"{100 * share:g}", "%")


def _cells(row: Row) -> list[str]:
    gwh = [numbers.number(row[name] / 1e3, 2) for name in ("input_mwh", "input_metered_mwh")]
    parts = ("technical_mwh", "technical_normative_mwh", "non_technical_mwh", "non_technical_estimated_mwh")
    losses = (row["atc_percent"], row["atc_estimated_percent"])
    points = [numbers.number(_points(row, row[name]), 2) for name in parts]
    return [*gwh, *points, *("" if loss is None else numbers.number(loss, 2) for loss in losses)]


def _gap(facts: Facts, state: Row) -> str:
    """Why estimate and truth differ: boundary meters, and technical loss that is not the normative one."""
    meters = _points(state, state["input_metered_mwh"] - state["input_mwh"])
    technical = _points(state, state["technical_mwh"] - state["technical_normative_mwh"])
    whole = _points(state, state["non_technical_estimated_mwh"] - state["non_technical_mwh"])
    words = {name: numbers.number(value, 2, signed=True) for name, value in (("meters", meters), ("whole", whole))}
    return facts.t.text("fig9d.gap", technical=numbers.number(technical, 2, signed=True), **words)
