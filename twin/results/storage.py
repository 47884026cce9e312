"""A run folder on a disk or in an object store, through ``pyarrow.fs``. Files are written once; nothing is renamed."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from twin.results.schema import arrow_schema


@dataclass(frozen=True)
class FileRecord:
    """A finished file: path relative to the run folder, table, row count, size and SHA-256 of its bytes."""

    path: str
    table: str
    rows: int
    bytes: int
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """Plain form for commit records."""
        return asdict(self)


class HashedStream(io.RawIOBase):
    """A stream that counts and hashes what is written through it, so that a large file need not be held to be hashed.

    Closing it leaves the stream below open.
    """

    def __init__(self, below: pa.NativeFile) -> None:
        self._below = below
        self.bytes = 0
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        """It takes bytes."""
        return True

    def write(self, data: Any) -> int:
        """Pass bytes on."""
        self._below.write(data)
        self.sha256.update(data)
        size = memoryview(data).nbytes
        self.bytes += size
        return size

    def tell(self) -> int:
        """Bytes written so far."""
        return self.bytes


class Storage:
    """Reads and writes files below one root, given as a path or a URI (``s3://``, ``gs://``, ``file://``)."""

    def __init__(self, root: str) -> None:
        self.uri = root if "://" in root else str(Path(root).absolute())
        self.fs: fs.FileSystem = fs.LocalFileSystem()
        self.base: str = self.uri
        if "://" in root:
            self.fs, self.base = fs.FileSystem.from_uri(self.uri)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.uri,)

    def full(self, path: str) -> str:
        """Path of a file within the file system."""
        return f"{self.base.rstrip('/')}/{path}"

    def write_bytes(self, path: str, data: bytes, table: str = "", rows: int = 0) -> FileRecord:
        """Write one file in one go, making its folder where the store has folders."""
        full = self.full(path)
        self.fs.create_dir(full.rpartition("/")[0], recursive=True)
        with self.fs.open_output_stream(full) as stream:
            stream.write(data)
        return FileRecord(path, table, rows, len(data), hashlib.sha256(data).hexdigest())

    def write_table(self, path: str, table: str, data: pa.Table) -> FileRecord:
        """Write an Arrow table as Parquet (zstd, dictionary for strings only) and return its record."""
        sink = pa.BufferOutputStream()
        pq.write_table(data, sink, row_group_size=1 << 18, **_look(data.schema))
        return self.write_bytes(path, sink.getvalue().to_pybytes(), table, data.num_rows)

    def write_chunks(self, path: str, table: str, chunks: Iterable[pa.Table]) -> FileRecord:
        """Write a large table piece by piece, a row group each, without ever holding more than one; its record.

        The chunks have the table's own schema.
        """
        full, schema, rows = self.full(path), arrow_schema(table), 0
        self.fs.create_dir(full.rpartition("/")[0], recursive=True)
        with self.fs.open_output_stream(full) as stream:
            hashed = HashedStream(stream)
            with pq.ParquetWriter(hashed, schema, **_look(schema)) as writer:
                for chunk in chunks:
                    writer.write_table(chunk, row_group_size=max(chunk.num_rows, 1))
                    rows += chunk.num_rows
        return FileRecord(path, table, rows, hashed.bytes, hashed.sha256.hexdigest())

    def write_json(self, path: str, content: Any) -> FileRecord:
        """Write a JSON document, keys in order as given."""
        return self.write_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())

    def read_bytes(self, path: str) -> bytes:
        """Whole content of a file; FileNotFoundError if it is not there."""
        with self.fs.open_input_stream(self.full(path)) as stream:
            return stream.read()

    def read_json(self, path: str) -> Any:
        """Parse a JSON document."""
        return json.loads(self.read_bytes(path))

    def read_checked(self, record: FileRecord) -> bytes:
        """Content of a recorded file.

        Raises
        ------
        ValueError
            If the file's bytes are not those recorded: it is damaged or half written.
        """
        data = self.read_bytes(record.path)
        if hashlib.sha256(data).hexdigest() != record.sha256:
            raise ValueError(f"{self.full(record.path)} does not have its recorded content (damaged or half written)")
        return data

    def read_table(self, record: FileRecord) -> pa.Table:
        """Read one Parquet file back; ValueError as in `read_checked`."""
        return pq.read_table(pa.BufferReader(self.read_checked(record)))

    def exists(self, path: str) -> bool:
        """Is there such a file?"""
        return self.fs.get_file_info(self.full(path)).type == fs.FileType.File

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """Relative paths of the files directly in a folder, sorted; empty when there is no such folder."""
        selector = fs.FileSelector(self.full(folder), allow_not_found=True, recursive=False)
        names = [info.base_name for info in self.fs.get_file_info(selector) if info.type == fs.FileType.File]
        return sorted(f"{folder}/{name}" for name in names if name.endswith(suffix))

    def is_empty(self) -> bool:
        """True when the root does not exist or holds nothing."""
        selector = fs.FileSelector(self.base, allow_not_found=True, recursive=False)
        return not self.fs.get_file_info(selector)

    def delete(self, path: str) -> None:
        """Remove one file; nothing happens if it is already gone."""
        if self.exists(path):
            self.fs.delete_file(self.full(path))


def _look(schema: pa.Schema) -> dict[str, Any]:
    """How Parquet files are written: zstd, dictionary for strings only."""
    strings = [field.name for field in schema if pa.types.is_string(field.type)]
    return {"compression": "zstd", "use_dictionary": strings or False}
