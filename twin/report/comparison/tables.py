"""Tables of the compare page: differences between runs, published figures and ledgers side by side."""

from __future__ import annotations

from collections.abc import Sequence

from twin.analysis.calibration import is_met
from twin.analysis.ledger import LedgerRow, ledger_rows
from twin.report import numbers
from twin.report.catalogue import Catalogue, clean
from twin.report.comparison.differences import Difference
from twin.report.comparison.members import Member
from twin.report.comparison.words import spread_cells, value_cell
from twin.report.figures import base
from twin.report.figures import calibration as figure11

CSV = ("quantity", "arm", "run", "unit", "first_run_value", "own_value", "difference", "low", "high", "kind", "draws")
ARM_LIMIT = 60
"""Most characters of an arm's name in a cell."""


def differences(
    members: Sequence[Member], number: str, key: str, found: Sequence[Difference], signed: bool
) -> base.Figure | None:
    """Differences against the first run with their kind of interval; None if there are none.

    ``signed``: the runs' own values are changes and show their sign.
    """
    if not found:
        return None
    facts, t = members[0].facts, members[0].facts.t
    header = [t.text("column.outcome"), t.text("column.arm"), t.text("column.run")]
    header += [t.text("compare.column.first", run=members[0].label), t.text("compare.column.own")]
    header += [t.text(f"column.{name}") for name in ("difference", "interval", "kind")]
    lines = []
    for one in found:
        cells = [
            value_cell(facts, value, one.unit, signed) or t.text("compare.not_in_run") for value in (one.first, one.own)
        ]
        known = next(member.facts for member in (members[0], one.member) if one.arm in member.arm_names)
        outcome, arm = t.name("outcome", one.outcome), clean(known.arm(one.arm).label, ARM_LIMIT)
        lines.append((outcome, arm, one.member.label, *cells, *spread_cells(facts, one)))
    return base.Figure(
        number=number,
        title=t.text(f"{key}.title", run=members[0].label),
        subtitle=t.text(f"{key}.subtitle", run=members[0].label, area=members[0].facts.area_name("state")),
        alt="",
        help=[t.text("compare.difference.help")],
        table=base.Table(t.text(f"{key}.title", run=members[0].label), header, lines, frozenset({3, 4, 5, 6})),
        csv_header=CSV,
        csv_rows=[_csv(one) for one in found],
    )


def _csv(one: Difference) -> tuple[object, ...]:
    spread = one.spread
    lead = (one.outcome, one.arm, one.member.label, one.unit, one.first, one.own)
    return (*lead, spread.value, spread.low, spread.high, spread.kind, spread.draws)


def calibration(members: Sequence[Member], number: str) -> base.Figure | None:
    """Published figures beside each run's value; None where no run holds any."""
    facts, t = members[0].facts, members[0].facts.t
    by_run = [{row["id"]: row for row in m.facts.rows("select * from calibration order by id")} for m in members]
    ids = sorted({row_id for own in by_run for row_id in own})
    if not ids:
        return None
    lines, values = [], []
    for row_id in ids:
        known = next(own[row_id] for own in by_run if row_id in own)
        decimals = max(numbers.decimals_for_figures(max(abs(known["target_high"]), 1e-9)), 0)
        ends = [figure11.shown(known, known[name], decimals) for name in ("target_low", "target_high")]
        published = ends[0] if ends[0] == ends[1] else t.text("number.span", low=ends[0], high=ends[1])
        cells = []
        for member, own in zip(members, by_run, strict=True):
            row = own.get(row_id)
            verdict = t.text("calibration.met" if row and is_met(row) else "calibration.missed")
            value = figure11.shown(row, row["value"], decimals) if row else ""
            cells.append(t.text("compare.cell", value=value, verdict=verdict) if row else t.text("compare.not_in_run"))
            values.append((row_id, member.label, row["value"] if row else None))
        lines.append((facts.t.data(known["quantity"]), figure11.unit_words(facts, known), published, *cells))
    header = [t.text(f"column.{name}") for name in ("quantity", "unit", "published")]
    numeric = frozenset(range(2, 3 + len(members)))
    return base.Figure(
        number=number,
        title=t.text("compare.calibration.title"),
        subtitle=t.text("fig11.subtitle", area=members[0].facts.area_name("state")),
        alt="",
        help=[],
        table=base.Table(
            t.text("compare.calibration.title"), [*header, *(member.label for member in members)], lines, numeric
        ),
        csv_header=("id", "run", "value"),
        csv_rows=values,
    )


def ledger(members: Sequence[Member], number: str) -> base.Figure:
    """Closure, or border mismatch where that is what a line measures, of every level in every run."""
    t = members[0].facts.t
    by_run = [{line.level: line for line in ledger_rows(member.facts.manifest)} for member in members]
    levels = list(dict.fromkeys(level for own in by_run for level in own))
    lines = [
        (
            t.name("level", level),
            *(_ledger_cell(t, own.get(level)) for own in by_run),
        )
        for level in levels
    ]
    failed = [numbers.number(len(member.facts.manifest.get("failed_solves") or [])) for member in members]
    lines.append((t.text("compare.failed"), *failed))
    return base.Figure(
        number=number,
        title=t.text("compare.ledger.title"),
        subtitle=t.text("ledger.subtitle"),
        alt="",
        help=[],
        table=base.Table(
            t.text("compare.ledger.title"),
            [t.text("column.level"), *(member.label for member in members)],
            lines,
            frozenset(range(1, 1 + len(members))),
        ),
    )


def _ledger_cell(t: Catalogue, line: LedgerRow | None) -> str:
    values = [] if line is None else [value for value in (line.closure, line.border_mismatch) if value is not None]
    if line is None or not values:
        return t.text("compare.not_in_run")
    shown = "; ".join(numbers.scientific(value) for value in values)
    return t.text("compare.cell", value=shown, verdict=t.name("ledger", line.verdict))
