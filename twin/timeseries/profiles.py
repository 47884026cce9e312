"""Profiles in long form: ``step, element, index, p_mw, q_mvar``, one row per element and step, checked all at once.

Powers have the sign of pandapower's tables: consumption of a load or a charging storage, generation of an sgen or gen.
An element without rows keeps its table value, and so does one in a step for which it has none. NaN is no error of the
file: that step fails with "not a number" where the element stands, and the others go on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from twin.errors import InputError, Problem
from twin.timeseries.profile_rows import FloatArray, IntArray, count_rows, fill, is_whole

COLUMNS = ("step", "element", "index", "p_mw", "q_mvar")
PHASES = ("a", "b", "c")
TABLE_COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "load": (("p_mw",), ("q_mvar",)),
    "sgen": (("p_mw",), ("q_mvar",)),
    "storage": (("p_mw",), ("q_mvar",)),
    "gen": (("p_mw",), ()),
    "ward": (("ps_mw",), ("qs_mvar",)),
    "xward": (("ps_mw",), ("qs_mvar",)),
    "asymmetric_load": (tuple(f"p_{x}_mw" for x in PHASES), tuple(f"q_{x}_mvar" for x in PHASES)),
    "asymmetric_sgen": (tuple(f"p_{x}_mw" for x in PHASES), tuple(f"q_{x}_mvar" for x in PHASES)),
}
"""Columns of pandapower's tables that a profile replaces, active and reactive; those of three phases by their sum."""
SHOWN = 5


@dataclass(frozen=True)
class ElementProfile:
    """Power of the elements of one table that have rows: ``index`` (n,), ``p_mw`` and ``q_mvar`` (n, steps)."""

    index: IntArray
    p_mw: FloatArray
    q_mvar: FloatArray


@dataclass(frozen=True)
class Profiles:
    """All profiles: labels of the steps, ascending, and the elements by table."""

    steps: IntArray
    elements: dict[str, ElementProfile] = field(default_factory=dict)


@dataclass(frozen=True)
class _Rows:
    """The file's columns: code of the element's name (-1: none), and the rest. All of shape (n_rows,)."""

    names: list[str]
    code: NDArray[np.int32]
    step: IntArray
    index: IntArray
    p_mw: FloatArray
    q_mvar: FloatArray

    @property
    def by_step(self) -> bool:
        """Whether the rows come step by step rather than element by element: the dense arrays are laid out likewise."""
        return len(self.step) < 2 or bool(self.step[0] == self.step[1])


def read_profiles(source: Any, net: Any) -> Profiles:
    """Read and check profiles against a network.

    Parameters
    ----------
    source : None, path, pandas.DataFrame or pyarrow.Table
        Long form with `COLUMNS`; a path ends in ``.parquet`` or ``.csv``. None: one step, 0, with the table values.
    net : pandapowerNet
        The network whose elements it names.

    Raises
    ------
    InputError
        With all problems: missing or wrong columns, unknown elements or indices, rows that are there twice.
    """
    if source is None:
        return Profiles(np.zeros(1, dtype=np.int64))
    where, table = _table(source)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        have = ", ".join(map(str, table))
        raise InputError(
            [
                Problem(where, name, f"there is no such column among {have}", f"give {', '.join(COLUMNS)}")
                for name in missing
            ]
        )
    rows = _rows(table, where)
    if not len(rows.step):
        raise InputError([Problem(where, "", "holds no rows", "leave the profiles out to solve the table values")])
    problems: list[Problem] = []
    steps, step_ids, place = _steps(rows.step)
    elements = {}
    for code, name in enumerate(rows.names):
        if name not in TABLE_COLUMNS:
            known = ", ".join(TABLE_COLUMNS)
            problems.append(Problem(where, "element", f"'{name}' cannot have a profile", f"use one of {known}"))
        else:
            elements[name] = _element(name, code, rows, step_ids, place, net, len(steps), where, problems)
    if problems:
        raise InputError(problems)
    return Profiles(steps, {name: profile for name, profile in elements.items() if profile is not None})


def _table(source: Any) -> tuple[str, dict[str, Any]]:
    """What to call the source in messages, and its columns."""
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise InputError([Problem(str(path), "", "there is no such file", "give a Parquet or CSV file")])
        where, source = str(path), _read(path)
    else:
        where = "profiles"
    if isinstance(source, pa.Table):
        return where, {name: source.column(name) for name in source.column_names}
    if isinstance(source, pd.DataFrame):
        return where, {str(name): source[name] for name in source.columns}
    raise InputError(
        [Problem(where, "", f"are a {type(source).__name__}", "give a path, a DataFrame or an Arrow table")]
    )


def _read(path: Path) -> pa.Table:
    try:
        if path.suffix.lower() == ".csv":
            return pyarrow.csv.read_csv(path)
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError([Problem(str(path), "", f"cannot be read: {error}", "give a Parquet or CSV file")]) from error


def _rows(table: dict[str, Any], where: str) -> _Rows:
    """The columns as arrays of the right type."""
    problems: list[Problem] = []
    code, names = _names(table["element"])
    if (code < 0).any():
        problems.append(_at(where, "element", np.flatnonzero(code < 0), "is empty", "name a table of the network"))
    whole = [_numbers(table[name], name, where, np.int64, problems) for name in ("step", "index")]
    real = [_numbers(table[name], name, where, np.float64, problems) for name in ("p_mw", "q_mvar")]
    if problems:
        raise InputError(problems)
    return _Rows(names, code, *whole, *real)


def _names(column: Any) -> tuple[NDArray[np.int32], list[str]]:
    if isinstance(column, pa.ChunkedArray):
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        column = column.unify_dictionaries().combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # no chunk at all
            return np.zeros(0, dtype=np.int32), []
        code = column.indices.cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False)
        return np.ascontiguousarray(code), [str(name) for name in column.dictionary.to_pylist()]
    code, names = pd.factorize(column)
    return code.astype(np.int32), [str(name) for name in names]


def _numbers(column: Any, name: str, where: str, dtype: type, problems: list[Problem]) -> NDArray[Any]:
    """A column as float64, or as int64 where every value must be a whole number."""
    fix = "give whole numbers" if dtype is np.int64 else "give numbers"
    if isinstance(column, pa.ChunkedArray):
        kind = column.type
        fits = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)
        values = column.cast(pa.float64()) if fits and (column.null_count or not pa.types.is_integer(kind)) else column
        array = values.to_numpy() if fits else None
    else:
        fits = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        array = column.to_numpy(dtype=np.float64 if dtype is np.float64 or column.hasnans else None) if fits else None
    if array is None:
        problems.append(Problem(where, name, "is no column of numbers", fix))
        return np.zeros(0, dtype=dtype)
    if dtype is np.int64 and array.dtype.kind == "f":
        bad = np.flatnonzero(~(np.floor(array) == array) | ~np.isfinite(array))
        if len(bad):
            problems.append(_at(where, name, bad, "is no whole number", fix))
            return np.zeros(0, dtype=dtype)
    return np.ascontiguousarray(array, dtype=dtype)


def _at(where: str, column: str, rows: NDArray[np.int64], what: str, fix: str) -> Problem:
    shown = ", ".join(map(str, rows[:SHOWN].tolist())) + (", ..." if len(rows) > SHOWN else "")
    return Problem(where, column, f"{what} in {len(rows)} rows (from 0: {shown})", fix)


def _steps(step: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Labels of all steps, an id of each row's step from 0, and where the step of an id stands among the labels."""
    low, high = int(step.min()), int(step.max())
    if high - low > 4 * len(step) + 1000:
        labels, ids = np.unique(step, return_inverse=True)
        return labels, ids.astype(np.int64), np.arange(len(labels))
    ids = step - low
    there = np.zeros(high - low + 1, dtype=bool)
    there[ids] = True
    return np.flatnonzero(there) + low, ids, np.cumsum(there) - 1


def _element(
    name: str, code: int, rows: _Rows, step_ids: IntArray, place: IntArray, net: Any, n_steps: int, where: str,
    problems: list[Problem],
) -> ElementProfile | None:  # fmt: skip
    """The profile of one table's elements; None where its rows are wrong, or all of them belong to others."""
    table = net[name]
    index = table.index.to_numpy(dtype=np.int64)
    low = int(index.min()) if len(index) else 0
    row_of = np.full((int(index.max()) - low + 1) if len(index) else 0, -1, dtype=np.int64)
    row_of[index - low] = np.arange(len(index))
    counts = np.zeros(len(index), dtype=np.int64)
    unknown = count_rows(rows.code, code, rows.index, row_of, low, counts)
    if len(unknown):
        values = np.unique(rows.index[unknown])
        shown = ", ".join(map(str, values[:SHOWN].tolist())) + (", ..." if len(values) > SHOWN else "")
        what = f"{name} has no row {shown} ({len(unknown)} rows name {len(values)} such elements)"
        problems.append(Problem(where, "index", what, f"use the index of net.{name}, or leave them out"))
        return None
    used = np.flatnonzero(counts)
    if not len(used):
        return None
    n = len(used)
    if len(rows.step) == n * n_steps and is_whole(rows.code, code, step_ids, rows.index, n):
        # Whole and in order, as most profiles are: the columns are the dense arrays.
        columns = (column.reshape(n_steps, n).T for column in (rows.p_mw, rows.q_mvar))
        return ElementProfile(rows.index[:n].copy(), *columns)
    active, reactive = TABLE_COLUMNS[name]
    shape, order = (len(used), n_steps), "F" if rows.by_step else "C"
    p_mw, q_mvar = (np.empty(shape, order=order) for _ in range(2))  # type: ignore[call-overload]
    p_mw[:] = table_sum(table, active)[used, None]
    q_mvar[:] = table_sum(table, reactive)[used, None]
    position = np.full(len(index), -1, dtype=np.int64)
    position[used] = np.arange(len(used))
    seen = np.zeros(shape, dtype=np.uint8, order=order)  # type: ignore[call-overload]
    twice = fill(
        rows.code, code, step_ids, place, rows.index, row_of, low, position, rows.p_mw, rows.q_mvar, p_mw, q_mvar, seen
    )
    if len(twice):
        first = twice[0]
        what = f"{len(twice)} rows are there twice, first step {rows.step[first]}, {name} {rows.index[first]}"
        problems.append(Problem(where, "step", what, "give one row per step and element"))
        return None
    return ElementProfile(index[used], p_mw, q_mvar)


def table_sum(table: Any, columns: tuple[str, ...]) -> FloatArray:
    """The columns' sum by row: what a table says about its elements' power."""
    values = np.zeros(len(table))
    for column in columns:
        values = values + table[column].to_numpy(dtype=np.float64)
    return values


def from_simbench(net: Any, steps: IntArray | None = None) -> pa.Table:
    """Profiles of a SimBench network in long form.

    Parameters
    ----------
    net : pandapowerNet
        From `read_network` on a SimBench code.
    steps : int array, optional
        Quarter hours of SimBench's year; all 35,136 if left out.
    """
    import simbench

    values = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    tables = []
    for name in ("load", "sgen", "gen", "storage"):
        p_mw = values.get((name, "p_mw"))
        if p_mw is None or not p_mw.size:
            continue
        rows = np.arange(len(p_mw)) if steps is None else np.asarray(steps)
        q_mvar = values.get((name, "q_mvar"))
        index = p_mw.columns.to_numpy(dtype=np.int64)
        q = (
            q_mvar[index].to_numpy()[rows]
            if q_mvar is not None
            else np.tile(table_sum(net[name], TABLE_COLUMNS[name][1]), (len(rows), 1))
        )
        tables.append(
            pa.table(
                {
                    "step": np.repeat(rows, len(index)),
                    "element": pa.DictionaryArray.from_arrays(np.zeros(len(rows) * len(index), np.int32), [name]),
                    "index": np.tile(index, len(rows)),
                    "p_mw": p_mw.to_numpy()[rows].ravel(),
                    "q_mvar": q.ravel(),
                }
            )
        )
    return pa.concat_tables(tables).unify_dictionaries()
