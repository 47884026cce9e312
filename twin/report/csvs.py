"""The data of a figure as a CSV file inside the page: RFC 4180, UTF-8 with BOM, safe to open in a spreadsheet."""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

LARGEST_BYTES = 200_000
"""Above this the page names the table in the run folder instead."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """The file's bytes; numbers in full precision, times as IST with +05:30, text guarded against formulas."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([cell(name) for name in header])
    writer.writerows([cell(value) for value in row] for row in rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8")


def cell(value: Any) -> str:
    """One cell. Text that a spreadsheet would run as a formula gets a leading apostrophe; numbers do not."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds") + "+05:30"
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def data_uri(content: bytes) -> str:
    """The bytes as a link target that works without network and without script."""
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(content).decode("ascii")
