"""How the analysis reads a run and builds its own tables: columns as numpy arrays, rows in key order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twin.errors import Problem, RunFolderError
from twin.results.schema import KEYS, arrow_schema

ALL = "all"


class RunTables(Protocol):
    """What the analysis needs of a run; `twin.results.reader.Run` is one."""

    @property
    def manifest(self) -> dict[str, Any]:
        """The run's manifest."""
        ...

    @property
    def scenario(self) -> dict[str, Any]:
        """The resolved scenario as plain data."""
        ...

    def table(self, name: str, columns: list[str] | None = None, where: str | None = None) -> pa.Table:
        """Rows of one table; ``where`` is a SQL condition."""
        ...


def asked_for(scenario: Mapping[str, Any], table: str) -> bool:
    """Does a resolved scenario let its run write a table? ``output.tables`` may leave out the large ones."""
    tables = scenario.get("output", {}).get("tables", ALL)
    return tables == ALL or table in tables


def read(run: RunTables, table: str, columns: list[str], where: str | None = None) -> dict[str, NDArray]:
    """Columns of a table as arrays, in key order whatever order the rows were stored in.

    Key columns that are not asked for are read to sort by and dropped. Times become int64 microseconds, dates int32
    days since 1970-01-01, text object arrays.

    Raises
    ------
    RunFolderError
        If the table has no such rows.
    """
    keys = [key for key in KEYS[table] if key not in ("case",)] or list(KEYS[table])
    wanted = list(dict.fromkeys(columns + keys))
    rows = run.table(table, columns=wanted, where=where)
    if rows.num_rows == 0:
        detail = f" where {where}" if where else ""
        fix = "finish the run with --resume, or run it again with `output: {tables: all}`"
        raise RunFolderError([Problem(f"tables/{table}", "", f"has no rows{detail}", fix)])
    found = {name: _array(rows.column(name)) for name in wanted}
    if not _in_order([found[key] for key in keys]):
        order = np.lexsort([found[key] for key in reversed(keys)])
        found = {name: values[order] for name, values in found.items()}
    return {name: found[name] for name in columns}


def read_case(run: RunTables, table: str, case: int, columns: list[str]) -> dict[str, NDArray]:
    """`read` for the rows of one case."""
    return read(run, table, columns, where=f'"case" = {int(case)}')


def _array(column: pa.ChunkedArray) -> NDArray:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    elif pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    elif pa.types.is_dictionary(column.type):
        column = pc.cast(column, pa.string())
    return column.to_numpy()


def _in_order(keys: list[NDArray]) -> bool:
    """Are rows already sorted by ``keys``, first key first?"""
    tied = np.ones(len(keys[0]) - 1, dtype=bool)
    for key in keys:
        if np.any(tied & (key[1:] < key[:-1])):
            return False
        tied &= key[1:] == key[:-1]
    return True


def build(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    """An Arrow table with exactly the dictionary's columns of ``table`` from a few rows."""
    return pa.Table.from_pylist(rows, schema=arrow_schema(table))
