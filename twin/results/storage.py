"""A run folder on a disk or in an object store, through ``pyarrow.fs``. Files are written once.

Calls that fail are made again a few times; what still fails is a `StorageError` that names the file.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from twin.errors import StorageError, TwinError
from twin.results.schema import arrow_schema

LOG = logging.getLogger(__name__)

T = TypeVar("T")
RETRY_AFTER_S = (0.5, 2.0, 5.0)
"""Waits before the second and later tries of a storage call that failed."""
NOT_PASSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
"""Failures that do not go away by themselves."""
FULL = {errno.ENOSPC, errno.EDQUOT}
HASH_PIECE = 1 << 22
"""Bytes read at once to hash a file."""


class DamagedFile(ValueError):
    """A recorded file's bytes are not those recorded: it is damaged, half written or gone."""


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
        self.retries = 0
        """Calls made again so far, by this object."""

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.uri,)

    def full(self, path: str) -> str:
        """Path of a file within the file system."""
        return f"{self.base.rstrip('/')}/{path}"

    def _try(self, path: str, what: str, call: Callable[[], T]) -> T:
        """Make a storage call, again after a while if it fails in a way that may pass.

        Raises
        ------
        FileNotFoundError
            If a file to read is not there.
        StorageError
            If it keeps failing, or cannot work: access refused, disk full.
        """
        for wait_s in (*RETRY_AFTER_S, None):
            try:
                return call()
            except FileNotFoundError:
                raise
            except OSError as error:
                if wait_s is None or error.errno in FULL or isinstance(error, NOT_PASSING):
                    raise self._storage_error(path, what, error) from error
                self.retries += 1
                LOG.warning("cannot %s %s (%s); trying again in %.1f s", what, self.full(path), error, wait_s)
                time.sleep(wait_s)
        raise AssertionError("the last try returns or raises")

    def _storage_error(self, path: str, what: str, error: OSError) -> StorageError:
        if error.errno in FULL:
            fix = "make room and resume the run"
        elif isinstance(error, PermissionError):
            fix = "grant access to it and resume the run"
        else:
            fix = "see that the store is reachable and resume the run"
        return StorageError(f"cannot {what} {self.full(path)}: {' '.join(str(error).split())}; {fix}")

    def _open_new(self, path: str) -> pa.NativeFile:
        full = self.full(path)
        self.fs.create_dir(full.rpartition("/")[0], recursive=True)
        return self.fs.open_output_stream(full)

    def write_bytes(self, path: str, data: bytes, table: str = "", rows: int = 0) -> FileRecord:
        """Write one file in one go, making its folder where the store has folders; StorageError if it cannot be."""

        def write() -> None:
            with self._open_new(path) as stream:
                stream.write(data)

        self._try(path, "write", write)
        return FileRecord(path, table, rows, len(data), hashlib.sha256(data).hexdigest())

    def write_table(self, path: str, table: str, data: pa.Table) -> FileRecord:
        """Write an Arrow table as Parquet (zstd, dictionary for strings only) and return its record."""
        sink = pa.BufferOutputStream()
        pq.write_table(data, sink, row_group_size=1 << 18, **_look(data.schema))
        return self.write_bytes(path, sink.getvalue().to_pybytes(), table, data.num_rows)

    def write_chunks(self, path: str, table: str, chunks: Callable[[], Iterable[pa.Table]]) -> FileRecord:
        """Write a large table piece by piece, a row group each, without ever holding more than one; its record.

        ``chunks`` begins the pieces, anew for every try; they have the table's own schema.
        """
        schema = arrow_schema(table)

        def write() -> FileRecord:
            rows = 0
            with self._open_new(path) as stream:
                hashed = HashedStream(stream)
                with pq.ParquetWriter(hashed, schema, **_look(schema)) as writer:
                    for chunk in chunks():
                        writer.write_table(chunk, row_group_size=max(chunk.num_rows, 1))
                        rows += chunk.num_rows
            return FileRecord(path, table, rows, hashed.bytes, hashed.sha256.hexdigest())

        return self._try(path, "write", write)

    def write_json(self, path: str, content: Any) -> FileRecord:
        """Write a JSON document, keys in order as given."""
        return self.write_bytes(path, _json_bytes(content))

    def replace_json(self, path: str, content: Any, may: Callable[[], None]) -> None:
        """Write a JSON document in place of an older one, which a reader or a kill never finds half written.

        Object stores put whole objects; a disk needs the detour by a file of another name. ``may`` is called last
        before the old document goes, and raises if it must stay.
        """
        if not isinstance(self.fs, fs.LocalFileSystem):
            may()
            self.write_json(path, content)
            return
        beside = f"{path}.{os.getpid()}"
        try:
            self.write_bytes(beside, _json_bytes(content))
            may()
            self._try(path, "write", lambda: self.fs.move(self.full(beside), self.full(path)))
        except TwinError:
            self.delete(beside)
            raise

    def read_bytes(self, path: str) -> bytes:
        """Whole content of a file; FileNotFoundError if it is not there."""

        def read() -> bytes:
            with self.fs.open_input_stream(self.full(path)) as stream:
                return bytes(stream.read())

        return self._try(path, "read", read)

    def read_json(self, path: str) -> Any:
        """Parse a JSON document."""
        return json.loads(self.read_bytes(path))

    def read_checked(self, record: FileRecord) -> bytes:
        """Content of a recorded file.

        Raises
        ------
        DamagedFile
            If the file is not there or its bytes are not those recorded.
        """
        try:
            data = self.read_bytes(record.path)
        except FileNotFoundError:
            raise DamagedFile(f"{self.full(record.path)} is missing") from None
        if hashlib.sha256(data).hexdigest() != record.sha256:
            raise DamagedFile(f"{self.full(record.path)} does not have its recorded content (damaged or half written)")
        return data

    def is_intact(self, record: FileRecord) -> bool:
        """Does a recorded file have its recorded size and hash? Reads it piece by piece."""

        def hash_file() -> str:
            found = hashlib.sha256()
            with self.fs.open_input_stream(self.full(record.path)) as stream:
                while piece := stream.read(HASH_PIECE):
                    found.update(piece)
            return found.hexdigest()

        try:
            return (
                self._size(record.path) == record.bytes and self._try(record.path, "read", hash_file) == record.sha256
            )
        except FileNotFoundError:
            return False

    def _size(self, path: str) -> int | None:
        info = self._try(path, "look for", lambda: self.fs.get_file_info(self.full(path)))
        return info.size if info.type == fs.FileType.File else None

    def read_table(self, record: FileRecord) -> pa.Table:
        """Read one Parquet file back; DamagedFile as in `read_checked`."""
        return pq.read_table(pa.BufferReader(self.read_checked(record)))

    def exists(self, path: str) -> bool:
        """Is there such a file?"""
        return self._size(path) is not None

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """Relative paths of the files directly in a folder, sorted; empty when there is no such folder."""
        selector = fs.FileSelector(self.full(folder), allow_not_found=True, recursive=False)
        found = self._try(folder, "list", lambda: self.fs.get_file_info(selector))
        names = [info.base_name for info in found if info.type == fs.FileType.File]
        return sorted(f"{folder}/{name}" for name in names if name.endswith(suffix))

    def is_empty(self) -> bool:
        """True when the root does not exist or holds nothing."""
        selector = fs.FileSelector(self.base, allow_not_found=True, recursive=False)
        return not self._try("", "list", lambda: self.fs.get_file_info(selector))

    def delete(self, path: str) -> None:
        """Remove one file; nothing happens if it is already gone."""
        try:
            self._try(path, "delete", lambda: self.fs.delete_file(self.full(path)))
        except FileNotFoundError:
            LOG.debug("%s was gone already", self.full(path))


def _json_bytes(content: Any) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def _look(schema: pa.Schema) -> dict[str, Any]:
    """How Parquet files are written: zstd, dictionary for strings only."""
    strings = [field.name for field in schema if pa.types.is_string(field.type)]
    return {"compression": "zstd", "use_dictionary": strings or False}
