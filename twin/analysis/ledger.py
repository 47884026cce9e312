"""The energy ledger of a run's manifest as rows with verdicts: does every level close, inside and at its borders?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CLOSED = "closed"
OPEN = "not closed"
UNKNOWN = "not measured"


@dataclass(frozen=True)
class LedgerRow:
    """One level: relative closure at the solved voltage, mismatch at its border, their limits (None: not measured),
    and verdict.
    """

    level: str
    closure: float | None
    closure_limit: float | None
    border_mismatch: float | None
    border_limit: float | None
    verdict: str


def ledger_rows(manifest: Mapping[str, Any]) -> list[LedgerRow]:
    """Rows by level in manifest order. A number that is not finite, or comes without its limit, is never closed."""
    return [_row(level, line) for level, line in (manifest.get("energy_balance") or {}).items()]


def is_closed(rows: list[LedgerRow]) -> bool:
    """Is there a ledger, and does every level of it close?"""
    return bool(rows) and all(row.verdict == CLOSED for row in rows)


def _row(level: str, line: Mapping[str, Any]) -> LedgerRow:
    closure, border = line.get("closure"), line.get("border_mismatch")
    limits = line.get("closure_limit"), line.get("border_limit")
    measured = [(value, limit) for value, limit in zip((closure, border), limits, strict=True) if value is not None]
    if not measured:
        verdict = UNKNOWN
    elif all(limit is not None and abs(value) <= limit for value, limit in measured):
        verdict = CLOSED
    else:
        verdict = OPEN
    return LedgerRow(level, closure, limits[0], border, limits[1], verdict)
