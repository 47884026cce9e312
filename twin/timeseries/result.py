"""Results of a time series: Arrow tables and a summary, in memory or written as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twin.errors import Problem, RunFolderError
from twin.powerflow.branch_model import FloatArray, IntArray

TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "res_bus": ("bus", ("vm_pu", "va_degree")),
    "res_line": ("line", ("p_from_mw", "q_from_mvar", "pl_mw", "loading_percent")),
    "res_trafo": ("trafo", ("p_hv_mw", "q_hv_mvar", "pl_mw", "loading_percent")),
    "res_trafo3w": (
        "trafo3w",
        ("p_hv_mw", "q_hv_mvar", "p_mv_mw", "q_mv_mvar", "p_lv_mw", "q_lv_mvar", "pl_mw", "loading_percent"),
    ),
}
"""Result tables: the column that names the element, and those of its results, with pandapower's names."""
SUMMARY_FILE = "summary.json"
ROWS_OF_INDEX = 2**16
"""About how many rows of a table's index column are really there; the others point to them."""


def schema_of(table: str) -> pa.Schema:
    """Columns of a result table."""
    element, values = TABLES[table]
    whole, real = ((name, pa.int64()) for name in ("step", element)), ((name, pa.float64()) for name in values)
    return pa.schema([*whole, *real])


@dataclass(frozen=True)
class TimeseriesResult:
    """What a time series gives: long Arrow tables, sorted by step, and how it was found.

    Where a part of the network has no solution, or no supply, its values are NaN, and ``summary["failures"]`` says why.
    """

    res_bus: pa.Table
    """``step, bus, vm_pu, va_degree``"""
    res_line: pa.Table
    """``step, line, p_from_mw, q_from_mvar, pl_mw, loading_percent``"""
    res_trafo: pa.Table
    """``step, trafo, p_hv_mw, q_hv_mvar, pl_mw, loading_percent``"""
    summary: dict[str, Any]
    """Solver per part, status per step, failures with their cause per part and step, extremes, times."""
    res_trafo3w: pa.Table | None = None
    """As ``res_trafo`` with all three sides; None if the network has no three-winding transformer."""

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """The tables with their names."""
        for name in TABLES:
            table = getattr(self, name)
            if table is not None:
                yield name, table

    def write(self, folder: str | Path) -> Path:
        """Write the tables as Parquet, and ``summary.json``, into a folder that is new or empty."""
        target = empty_folder(folder)
        for name, table in self.tables():
            pq.write_table(table, target / f"{name}.parquet", **PARQUET)
        write_summary(target, self.summary)
        return target


PARQUET: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "use_dictionary": False}
"""Step and element columns are runs, which zstd packs well without a dictionary."""


def empty_folder(folder: str | Path) -> Path:
    """The folder, made if it is not there.

    Raises
    ------
    RunFolderError
        If it holds anything.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RunFolderError([Problem(str(target), "", "is not empty", "give a new folder, or empty this one")])
    target.mkdir(parents=True, exist_ok=True)
    return target


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    """Write ``summary.json``."""
    (folder / SUMMARY_FILE).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


class Sink(Protocol):
    """Takes results block by block."""

    def room(self, table: str, index: IntArray, first: int, steps: IntArray) -> list[FloatArray]:
        """Arrays (steps, elements), one per result column, to be filled for the steps from ``first`` on."""
        ...

    def take(self, table: str, index: IntArray, steps: IntArray) -> None:
        """The arrays that `room` gave last are full."""
        ...

    def close(self) -> None:
        """All blocks are done."""
        ...


class MemorySink:
    """Keeps everything. The columns of its tables are the very arrays that were filled."""

    def __init__(self, n_steps: int) -> None:
        self._n_steps = n_steps
        self._values: dict[str, list[FloatArray]] = {}
        self._labels: dict[str, tuple[IntArray, list[IntArray]]] = {}

    def room(self, table: str, index: IntArray, first: int, steps: IntArray) -> list[FloatArray]:
        """See `Sink`."""
        if table not in self._values:
            self._values[table] = [np.empty((self._n_steps, len(index))) for _ in TABLES[table][1]]
            self._labels[table] = (index, [])
        return [column[first : first + len(steps)] for column in self._values[table]]

    def take(self, table: str, index: IntArray, steps: IntArray) -> None:
        """See `Sink`."""
        self._labels[table][1].append(steps)

    def close(self) -> None:
        """Nothing to end."""

    def table(self, name: str) -> pa.Table:
        """A finished table; without rows if there is no such element."""
        if name not in self._values:
            return schema_of(name).empty_table()
        index, blocks = self._labels[name]
        return _table(name, np.concatenate(blocks), index, self._values[name])


class ParquetSink:
    """Writes each block as a row group, so that memory does not grow with the number of steps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._values: dict[str, list[FloatArray]] = {}

    def room(self, table: str, index: IntArray, first: int, steps: IntArray) -> list[FloatArray]:
        """See `Sink`."""
        shape = (len(steps), len(index))
        if table not in self._values or self._values[table][0].shape != shape:
            self._values[table] = [np.empty(shape) for _ in TABLES[table][1]]
        return self._values[table]

    def take(self, table: str, index: IntArray, steps: IntArray) -> None:
        """See `Sink`."""
        self._writer(table).write_table(_table(table, steps, index, self._values[table]))

    def _writer(self, table: str) -> pq.ParquetWriter:
        if table not in self._writers:
            self._writers[table] = pq.ParquetWriter(self._folder / f"{table}.parquet", schema_of(table), **PARQUET)
        return self._writers[table]

    def close(self) -> None:
        """Close the files; those of elements that the network does not have are there too, without rows."""
        for name in ("res_bus", "res_line", "res_trafo"):
            self._writer(name)
        for writer in self._writers.values():
            writer.close()


def _table(name: str, steps: IntArray, index: IntArray, values: list[FloatArray]) -> pa.Table:
    """A long table; the values are not copied, and the index column is one array over and over."""
    label = np.empty((len(steps), len(index)), dtype=np.int64)
    label[:] = steps[:, None]
    rows, once = label.size, max(1, ROWS_OF_INDEX // len(index))
    tile = pa.array(np.tile(index, min(once, len(steps))))
    chunks = [tile] * (rows // len(tile)) + [tile.slice(0, rows % len(tile))]
    columns = [pa.array(label.ravel()), pa.chunked_array(chunks), *(pa.array(column.ravel()) for column in values)]
    return pa.Table.from_arrays(columns, schema=schema_of(name))
