"""Datasheets of meters: one file a maker in ``twin/data/devices``, every number with its source.

A file names models; a model is made of named parts (``devices/parts``, in order) and of what it has otherwise, section
by section and number by number. A section that is null does not exist in the model: a meter without communication, or
without a switch. Adding a maker means adding one file (``docs/meters.md``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Any, NamedTuple, TypeVar

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, ValidationError

from twin.errors import DataPackError, Problem
from twin.meters.datasheet_sections import SOURCE, Model, Number, Part

SMART_MODELS = ("single_phase", "three_phase")
"""Models that every maker's file must have."""
FOLDERS = {"": "smart", "system": "system", "legacy": "legacy"}
"""Folders of datasheets, and the role of what lies in them."""


class _File(Part):
    label: str
    source: Annotated[str, StringConstraints(pattern=SOURCE)]
    models: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]


class Datasheet(NamedTuple):
    """A type of meter as the data pack describes it."""

    name: str
    """``<file>.<model>``, such as ``secure.single_phase``."""
    maker: str
    role: str
    """smart, system or legacy."""
    model: Model
    file: Traversable


Params = TypeVar("Params", bound=tuple[Any, ...])


class Catalogue:
    """All types of meter; a type's code is its position."""

    def __init__(self, sheets: list[Datasheet], parts: list[Traversable]) -> None:
        self.sheets, self.parts = sheets, parts
        self.names = [sheet.name for sheet in sheets]

    def __len__(self) -> int:
        return len(self.sheets)

    def code(self, maker: str, model: str) -> int:
        """Code of a maker's model.

        Raises
        ------
        KeyError
            If there is none.
        """
        name = f"{maker}.{model}"
        if name not in self.names:
            raise KeyError(f"no type of meter named {name!r}")
        return self.names.index(name)

    @property
    def makers(self) -> list[str]:
        """Makers of smart meters."""
        return list(dict.fromkeys(sheet.maker for sheet in self.sheets if sheet.role == "smart"))

    def has(self, section: str) -> NDArray[np.bool_]:
        """Which types have a section, shape (n_types,)."""
        return np.array([getattr(sheet.model, section) is not None for sheet in self.sheets])

    def params(self, kind: type[Params], section: str) -> Params:
        """A section as one array a number, shape (n_types,); zero in types that do not have it.

        ``kind`` is a named tuple whose fields are names of the section's numbers.
        """
        parts = [getattr(sheet.model, section) for sheet in self.sheets]
        fields: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
        columns = [[0.0 if part is None else getattr(part, field).value for part in parts] for field in fields]
        return kind(*(np.array(column, np.float64) for column in columns))

    def marked_numbers(self) -> Iterator[tuple[str, float, str]]:
        """Every number with its source: name, value, source. Made once for each type that has it."""
        for sheet in self.sheets:
            for section, content in sheet.model:
                for field, number in content or () if not isinstance(content, int) else ():
                    if isinstance(number, Number):
                        yield f"{sheet.name}.{section.rstrip('_')}.{field}", number.value, number.source
                    elif isinstance(number, dict):
                        for name, own in number.items():
                            yield f"{sheet.name}.{section}.{name}", own.value, own.source


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The types of meter of the data pack."""
    return read_catalogue(files("twin").joinpath("data", "devices"))


def read_catalogue(folder: Traversable) -> Catalogue:
    """Read all datasheets of a folder.

    Raises
    ------
    DataPackError
        With every problem of every file.
    """
    problems: list[Problem] = []
    files_of_parts = _yaml_files(folder.joinpath("parts"))
    parts = {_stem(entry): _read(entry, problems) for entry in files_of_parts}
    sheets: list[Datasheet] = []
    for below, role in FOLDERS.items():
        for entry in _yaml_files(folder.joinpath(below) if below else folder):
            sheets += _sheets(entry, role, parts, problems)
    if problems:
        raise DataPackError(problems)
    return Catalogue(sheets, files_of_parts)


def _yaml_files(folder: Traversable) -> list[Traversable]:
    if not folder.is_dir():
        return []
    return sorted((entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name)


def _stem(entry: Traversable) -> str:
    return entry.name.removesuffix(".yaml")


def _read(entry: Traversable, problems: list[Problem]) -> dict[str, Any]:
    try:
        data = yaml.safe_load(entry.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f":{error.problem_mark.line + 1}"
        problems.append(Problem(f"{entry}{line}", "", f"is no YAML: {error.problem}", "repair the line"))
        return {}
    if not isinstance(data, dict):
        problems.append(Problem(str(entry), "", "must hold keys and values", "see docs/meters.md"))
        return {}
    return data


def _sheets(
    entry: Traversable, role: str, parts: Mapping[str, dict[str, Any]], problems: list[Problem]
) -> list[Datasheet]:
    data = _read(entry, problems)
    if not data:
        return []
    try:
        content = _File.model_validate(data)
    except ValidationError as error:
        problems += _problems(entry, "", error)
        return []
    missing = [name for name in SMART_MODELS if role == "smart" and name not in content.models]
    for name in missing:
        problems.append(Problem(str(entry), f"models.{name}", "is missing", "every maker needs it; add the model"))
    sheets = []
    for name, given in content.models.items():
        merged = _with_parts(entry, f"models.{name}", given, parts, problems)
        try:
            sheets.append(Datasheet(f"{_stem(entry)}.{name}", _stem(entry), role, Model.model_validate(merged), entry))
        except ValidationError as error:
            problems += _problems(entry, f"models.{name}", error)
    return sheets


def _with_parts(
    entry: Traversable, path: str, given: Mapping[str, Any], parts: Mapping[str, dict[str, Any]],
    problems: list[Problem], above: tuple[str, ...] = (),
) -> dict[str, Any]:  # fmt: skip
    """What is given laid over its parts; a part may be made of parts itself."""
    merged: dict[str, Any] = {}
    for base in given.get("base", []):
        if base not in parts or base in above:
            what = "is made of itself" if base in above else "is not a part"
            problems.append(Problem(str(entry), f"{path}.base", f"'{base}' {what}", f"use {', '.join(sorted(parts))}"))
            continue
        _lay_over(merged, _with_parts(entry, path, parts[base], parts, problems, (*above, base)))
    _lay_over(merged, {key: value for key, value in given.items() if key != "base"})
    return merged


def _lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            below[key] = {**below[key], **value}
        else:
            below[key] = value


def _problems(entry: Traversable, path: str, error: ValidationError) -> list[Problem]:
    out = []
    for detail in error.errors():
        where = ".".join([*([path] if path else []), *(str(part) for part in detail["loc"])])
        fix = "name a source: found, derived, recalled or assumed" if where.endswith("source") else "see docs/meters.md"
        out.append(Problem(str(entry), where, f"{detail['msg']} (got {detail['input']!r})", fix))
    return out
