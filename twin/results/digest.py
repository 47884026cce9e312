"""Content hashes of tables: independent of paths, file layout, row groups and the order of writing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twin.results.schema import KEYS, arrow_schema, table_names

if TYPE_CHECKING:
    from twin.results.reader import Run

ANALYSIS_LAST = "run"


def hash_rows(rows: pa.Table, table: str) -> str:
    """SHA-256 of rows in key order: names, types, nulls and values of every column."""
    digest = hashlib.sha256()
    _update(digest, _in_key_order(rows, table))
    return digest.hexdigest()


def _in_key_order(rows: pa.Table, table: str) -> pa.Table:
    return rows.sort_by([(key, "ascending") for key in KEYS[table]]).combine_chunks()


def _update(digest: hashlib._Hash, rows: pa.Table) -> None:
    for field in rows.schema:
        digest.update(f"{field.name}:{field.type};".encode())
        column = rows.column(field.name)
        array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        digest.update(np.packbits(array.is_null().to_numpy(zero_copy_only=False)).tobytes())
        if pa.types.is_string(field.type):
            filled = pc.fill_null(array, "")
            digest.update(pc.binary_length(filled).to_numpy(zero_copy_only=False).tobytes())
            digest.update("".join(filled.to_pylist()).encode())
        else:
            plain = array.view(_plain(field.type)) if _plain(field.type) != field.type else array
            digest.update(pc.fill_null(plain, _zero(plain.type)).to_numpy(zero_copy_only=False).tobytes())


def _plain(dtype: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(dtype):
        return pa.int64()
    if pa.types.is_date32(dtype):
        return pa.int32()
    return dtype


def _zero(dtype: pa.DataType) -> pa.Scalar:
    return pa.scalar(False if pa.types.is_boolean(dtype) else 0, dtype)


def digest_tables(run: Run) -> dict[str, str]:
    """Hash per table that has rows, and ``run`` last. A table with cases is hashed case by case to bound memory."""
    digests = {}
    for table in table_names():
        if not run.files(table):
            continue
        digest = hashlib.sha256()
        dataset = run.dataset(table)
        if "case" in arrow_schema(table).names:
            cases = sorted(set(dataset.to_table(columns=["case"]).column("case").to_pylist()))
            for case in cases:
                rows = dataset.to_table(filter=pc.field("case") == case)
                _update(digest, _in_key_order(rows, table))
        else:
            _update(digest, _in_key_order(dataset.to_table(), table))
        digests[table] = digest.hexdigest()
    whole = hashlib.sha256("".join(f"{name}:{value};" for name, value in digests.items()).encode())
    return {**digests, ANALYSIS_LAST: whole.hexdigest()}
