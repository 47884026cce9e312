"""Reading a run: only files that a commit record lists are seen."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import yaml

from twin.errors import Problem, RunFolderError
from twin.results.commits import Commit, read_commits
from twin.results.digest import digest_tables
from twin.results.schema import KEYS, arrow_schema, table_names
from twin.results.storage import FileRecord, Storage


class Run:
    """A run folder, opened for reading."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.storage = Storage(path)
        if not self.storage.exists("manifest.json"):
            fix = "give the folder that `twin run` printed"
            raise RunFolderError([Problem(path, "", "is not a run folder: it holds no manifest.json", fix)])

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The run's manifest as last written."""
        return dict(self.storage.read_json("manifest.json"))

    @cached_property
    def scenario(self) -> dict[str, Any]:
        """The resolved scenario as plain data."""
        return dict(yaml.safe_load(self.storage.read_bytes("scenario.yaml")))

    @cached_property
    def commits(self) -> list[Commit]:
        """Committed blocks in run order."""
        return read_commits(self.storage)

    def files(self, table: str) -> list[FileRecord]:
        """Committed files of a table."""
        return [record for commit in self.commits for record in commit.files if record.table == table]

    def dataset(self, table: str) -> ds.Dataset:
        """The committed rows of a table as an Arrow dataset; empty where nothing was written."""
        schema = arrow_schema(table)
        paths = [self.storage.full(record.path) for record in self.files(table)]
        if not paths:
            return ds.InMemoryDataset(schema.empty_table())
        return ds.dataset(paths, schema=schema, filesystem=self.storage.fs, format="parquet")

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A duckdb connection in which every table is a view."""
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        for name in table_names():
            connection.register(name, self.dataset(name))
        return connection

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        """The connection of `query`, opened once: opening one takes longer than most queries."""
        return self.connect()

    def query(self, sql: str) -> pa.Table:
        """Rows of a SQL query over the run's tables. Let SQL select and sort: its parallel sums need not repeat."""
        return self._connection.sql(sql).to_arrow_table()

    def table(self, name: str, columns: list[str] | None = None, where: str | None = None) -> pa.Table:
        """Rows of one table, sorted by its key columns. ``where`` is a SQL condition."""
        chosen = ", ".join(f'"{column}"' for column in columns) if columns else "*"
        keys = ", ".join(f'"{column}"' for column in KEYS[name])
        condition = f" WHERE {where}" if where else ""
        return self.query(f'SELECT {chosen} FROM "{name}"{condition} ORDER BY {keys}')  # noqa: S608

    def digests(self) -> dict[str, str]:
        """Content hash of every table that has rows."""
        return digest_tables(self)

    def digest(self) -> str:
        """Content hash of the whole run."""
        return self.digests()["run"]


def open_run(path: str) -> Run:
    """Open a run folder (a path or a URI).

    Raises
    ------
    RunFolderError
        If there is no manifest.
    """
    return Run(str(path))
