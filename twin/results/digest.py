"""Content hashes of tables: independent of paths, file layout, row groups and the order of writing.

Rows are hashed in key order, column by column, as one stream per column: where a table is cut for reading changes
nothing. It is cut by the first key after ``case`` where the statistics of its row groups show that a piece would grow
too long, so that a table of the whole population is never in memory as a whole.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from twin.results.schema import KEYS, arrow_schema, table_names

if TYPE_CHECKING:
    from twin.results.reader import Run

ANALYSIS_LAST = "run"
PIECE_ROWS = 1 << 19
"""Rows that are read and sorted at once, as far as the table's row groups are themselves in key order."""


class ColumnHash:
    """Hash of one column: name, type, nulls and values, whatever pieces it comes in."""

    def __init__(self, field: pa.Field) -> None:
        self.head = f"{field.name}:{field.type};"
        self.nulls, self.lengths, self.values = (hashlib.sha256() for _ in range(3))

    def update(self, array: pa.Array) -> None:
        """Add values."""
        self.nulls.update(array.is_null().cast(pa.uint8()).to_numpy().tobytes())
        if pa.types.is_string(array.type):
            filled = pc.fill_null(array, "")
            self.lengths.update(pc.binary_length(filled).to_numpy().tobytes())
            self.values.update(_text(filled))
            return
        plain = array.view(_plain(array.type)) if _plain(array.type) != array.type else array
        filled = pc.fill_null(plain, _zero(plain.type))
        self.values.update(filled.to_numpy(zero_copy_only=False).tobytes())

    def digest(self) -> bytes:
        """Of everything that was added."""
        parts = hashlib.sha256(self.head.encode())
        for one in (self.nulls, self.lengths, self.values):
            parts.update(one.digest())
        return parts.digest()


def hash_rows(rows: pa.Table, table: str) -> str:
    """SHA-256 of rows in key order: names, types, nulls and values of every column."""
    return hash_pieces([_in_key_order(rows, table)], rows.schema)


def hash_pieces(pieces: Iterable[pa.Table], schema: pa.Schema) -> str:
    """SHA-256 of rows that come in key order, in pieces of any length."""
    columns = [ColumnHash(field) for field in schema]
    for rows in pieces:
        for column, own in zip(columns, rows.columns, strict=True):
            for array in own.chunks:
                column.update(array)
    whole = hashlib.sha256()
    for column in columns:
        whole.update(column.digest())
    return whole.hexdigest()


def _in_key_order(rows: pa.Table, table: str) -> pa.Table:
    return rows.sort_by([(key, "ascending") for key in KEYS[table]])


def _text(filled: pa.Array) -> bytes:
    """All texts of an array without nulls, one after the other."""
    offsets = np.frombuffer(filled.buffers()[1], np.int32)[filled.offset : filled.offset + len(filled) + 1]
    data = filled.buffers()[2]
    return b"" if data is None or len(filled) == 0 else data.slice(offsets[0], offsets[-1] - offsets[0]).to_pybytes()


def _plain(dtype: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(dtype):
        return pa.int64()
    if pa.types.is_date32(dtype):
        return pa.int32()
    return dtype


def _zero(dtype: pa.DataType) -> pa.Scalar:
    return pa.scalar(False if pa.types.is_boolean(dtype) else 0, dtype)


def digest_tables(run: Run) -> dict[str, str]:
    """Hash per table that has rows, and ``run`` last."""
    digests = {}
    for table in table_names():
        if run.files(table):
            dataset = run.dataset(table)
            digests[table] = hash_pieces(_pieces(dataset, table), arrow_schema(table))
    whole = hashlib.sha256("".join(f"{name}:{value};" for name, value in digests.items()).encode())
    return {**digests, ANALYSIS_LAST: whole.hexdigest()}


def _pieces(dataset: ds.Dataset, table: str) -> Iterator[pa.Table]:
    """A table's rows in key order: case by case, and within a case by ranges of the next key."""
    keys = list(KEYS[table])
    cases = _values(dataset, keys.pop(0)) if len(keys) > 1 and keys[0] == "case" else [None]
    for case in cases:
        of_case = None if case is None else pc.field("case") == case
        for part in _ranges(dataset, of_case, keys[0]):
            both = [one for one in (of_case, part) if one is not None]
            chosen = both[0] & both[1] if len(both) > 1 else both[0] if both else None
            yield _in_key_order(dataset.to_table(filter=chosen), table)


def _values(dataset: ds.Dataset, column: str) -> list[Any]:
    """Distinct values of a column, rising."""
    found: set[Any] = set()
    for batch in dataset.to_batches(columns=[column]):
        found.update(pc.unique(batch.column(0)).to_pylist())
    return sorted(found)


def _ranges(dataset: ds.Dataset, of_case: pc.Expression | None, key: str) -> list[pc.Expression | None]:
    """Conditions that cut rows into ranges of ``key``, rising, of about `PIECE_ROWS` each; no condition for few rows.

    Cuts are least keys of row groups. They shape the memory that is used, never the hash.
    """
    groups = []
    for fragment in dataset.get_fragments(filter=of_case):
        chosen = fragment if of_case is None else fragment.subset(of_case, schema=dataset.schema)
        groups += [(group.statistics[key]["min"], group.num_rows) for group in chosen.row_groups if group.num_rows]
    cuts: list[Any] = []
    rows = 0
    for least, n_rows in sorted(groups):
        if rows and rows + n_rows > PIECE_ROWS and (not cuts or least > cuts[-1]):
            cuts.append(least)
            rows = 0
        rows += n_rows
    if not cuts:
        return [None]
    field = pc.field(key)
    middle = [(field >= low) & (field < high) for low, high in itertools.pairwise(cuts)]
    return [field < cuts[0], *middle, (field >= cuts[-1]) | field.is_null()]
