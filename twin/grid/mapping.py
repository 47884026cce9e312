"""Which loads of a network are how many consumers of what category: read from CSV, every problem with its line."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from twin.datapack import categories
from twin.errors import Problem

COLUMNS = ("load", "consumers", "category")
OPTIONAL = "sanctioned_kw"
MOST_PROBLEMS = 20


@dataclass(frozen=True)
class MappingRow:
    """So many consumers of one category behind one load, and where that stands."""

    load: int
    consumers: int
    """0: by the rule."""
    category: int
    sanctioned_kw: float | None
    where: str
    path: str


def read_mapping(path: str) -> tuple[list[MappingRow], list[Problem]]:
    """The rows of a file, as far as they are right, and what is wrong with the others.

    Columns ``load`` (index in ``net.load``), ``consumers``, ``category`` and, if wanted, ``sanctioned_kw``.
    """
    rows: list[MappingRow] = []
    problems: list[Problem] = []
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            have = reader.fieldnames or ()
            for column in (name for name in COLUMNS if name not in have):
                fix = f"use the columns {', '.join(COLUMNS)} and, if wanted, {OPTIONAL}"
                problems.append(Problem(f"{path}:1", column, "column missing", fix))
            for column in (name for name in have if name not in (*COLUMNS, OPTIONAL)):
                problems.append(Problem(f"{path}:1", column, "no such column", f"use {', '.join(COLUMNS)}, {OPTIONAL}"))
            for record in () if problems else reader:
                row = _row(f"{path}:{reader.line_num}", record, problems)
                rows += [row] if row else []
                if len(problems) >= MOST_PROBLEMS:
                    break
    except (UnicodeDecodeError, csv.Error) as error:
        problems.append(Problem(path, "", f"is not a CSV file of UTF-8 text ({error})", "save it as CSV, UTF-8"))
    if not rows and not problems:
        problems.append(Problem(path, "", "holds no rows", "add one row per load and category"))
    return rows, problems


def _row(where: str, record: dict[str, str], problems: list[Problem]) -> MappingRow | None:
    before = len(problems)
    load = _whole(where, "load", record, 0, problems)
    consumers = _whole(where, "consumers", record, 1, problems)
    codes = {row.category: row.code for row in categories()}
    name = (record["category"] or "").strip()
    if name not in codes:
        problems.append(Problem(where, "category", f"there is no category '{name}'", f"use one of {', '.join(codes)}"))
    text, sanctioned = (record.get(OPTIONAL) or "").strip(), None
    if text:
        try:
            sanctioned = float(text)
        except ValueError:
            sanctioned = 0.0
        if not 0 < sanctioned < float("inf"):
            problems.append(Problem(where, OPTIONAL, f"must be more than 0, got '{text}'", "give kW, or nothing"))
    if len(problems) > before:
        return None
    return MappingRow(load, consumers, codes[name], sanctioned, where, "load")


def _whole(where: str, column: str, record: dict[str, str], least: int, problems: list[Problem]) -> int:
    text = (record[column] or "").strip()
    if text.isdecimal() and int(text) >= least:
        return int(text)
    problems.append(Problem(where, column, f"must be a whole number from {least}, got '{text}'", "write digits"))
    return -1
