"""Reading the data pack `twin/data`: tables and settings of which every row says where it comes from.

Anyone in the twin may read the pack through this module; nobody opens its files otherwise.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from twin.errors import DataPackError, Problem


class Row(BaseModel):
    """Base of a table's row model. Unknown columns are ignored (sources and notes stay in the file)."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)


RowType = TypeVar("RowType", bound=Row)


def read_records(table: str) -> list[dict[str, str]]:
    """All rows of ``twin/data/<table>.csv`` as text by column."""
    text = files("twin").joinpath("data", f"{table}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def read_rows(table: str, model: type[RowType]) -> list[RowType]:
    """All rows of ``twin/data/<table>.csv`` as ``model``; an empty cell is None.

    Raises
    ------
    DataPackError
        With every malformed cell, by file and line.
    """
    rows, problems = [], []
    for line, record in enumerate(read_records(table), start=2):
        try:
            rows.append(model.model_validate({key: value or None for key, value in record.items()}))
        except ValidationError as error:
            problems += [_problem(table, line, detail) for detail in error.errors()]
    if problems:
        raise DataPackError(problems)
    return rows


def _problem(table: str, line: int, detail: Any) -> Problem:
    column = ".".join(str(part) for part in detail["loc"])
    what = f"{detail['msg']} (got {detail['input']!r})"
    return Problem(f"twin/data/{table}.csv:{line}", column, what, "repair the cell")


@lru_cache(maxsize=32)
def read_yaml(name: str) -> Any:
    """The settings file ``twin/data/<name>.yaml``. Treat the result as read-only."""
    return parse_yaml(files("twin").joinpath("data", f"{name}.yaml").read_text(encoding="utf-8"))


def parse_yaml(text: str) -> Any:
    """A file of ours as plain data, by libyaml where PyYAML was built with it: ten times as fast, and the same data.

    Raises
    ------
    yaml.YAMLError
        If it is no YAML.
    """
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506


Path = tuple[str | int, ...]
"""Where something stands in a settings file: keys and positions from the top."""
Model = TypeVar("Model", bound=BaseModel)


def validated(
    model: type[Model], data: Any, where: str, *, further: Callable[[Model], Iterable[tuple[Path, str]]] | None = None,
    text: str = "", fix: str = "repair the file",
) -> Model:  # fmt: skip
    """Settings as a model, checked by its types and then by what ``further`` finds: path and what is wrong.

    ``where`` is the file, and ``text`` its content, which gives problems their line numbers.

    Raises
    ------
    DataPackError
        With all that is wrong at once; with the types' problems alone where there are any.
    """
    try:
        made = model.model_validate(data)
    except ValidationError as error:
        found = [(tuple(item["loc"]), _type_problem(item)) for item in error.errors()]
    else:
        found = [] if further is None else list(further(made))
        if not found:
            return made
    node = yaml.compose(text, Loader=yaml.SafeLoader) if text else None
    problems = [Problem(f"{where}{_line(node, path)}", ".".join(map(str, path)), what, fix) for path, what in found]
    raise DataPackError(problems)


def _type_problem(item: Any) -> str:
    """Words for one of pydantic's errors, with the value unless it is a whole section."""
    what = item["msg"].removeprefix("Value error, ")
    return what if isinstance(item["input"], dict) else f"{what} (got {item['input']!r:.60})"


def _line(node: yaml.Node | None, path: Path) -> str:
    """``:line`` of the deepest part of ``path`` that the file has."""
    if node is None:
        return ""
    for part in path:
        if isinstance(node, yaml.MappingNode):
            below = next((value for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            below = node.value[part]
        else:
            below = None
        if below is None:
            break
        node = below
    return f":{node.start_mark.line + 1}"


URBAN_FEEDER_CLASSES = ("urban", "industrial")
"""Classes of 11 kV feeders that count as town's where villages and towns are told apart; the others are villages'."""


class Category(Row):
    """One billing category: its tariff row, smart-meter share group, voltage and count at full scale."""

    code: int
    category: str
    label: str
    tariff_row: str
    smart_share_group: str
    voltage_kv: float
    consumers_million: float
    follows: str
    feeder_class: str


class Kind(Row):
    """One archetype of consumer."""

    kind: int
    name: str
    label: str
    income_class: int
    area: str
    group: str


CLASSES = 6
"""Income classes: 1 to 5 of homes, and 0 for everybody else."""


class CategoryKind(Row):
    """Share of an archetype within a category."""

    category: str
    kind: str
    share: float


@lru_cache(maxsize=1)
def categories() -> tuple[Category, ...]:
    """Billing categories; the position is the category code used everywhere."""
    return tuple(read_rows("categories", Category))


@lru_cache(maxsize=1)
def kinds() -> tuple[Kind, ...]:
    """Archetypes; the position is the kind code used everywhere."""
    return tuple(read_rows("kinds", Kind))


class Parameter(NamedTuple):
    """One uncertain parameter of behaviour: its prior, uniform from low to high, and the limits of what it can be."""

    low: float
    high: float
    least: float
    most: float


@lru_cache(maxsize=1)
def uncertain_parameters() -> dict[str, Parameter]:
    """The uncertain parameters by name, such as ``substitution_urban_home``, in the order of ``priors.yaml``."""
    spec = read_yaml("priors")
    return {
        f"{quantity}_{group}": Parameter(float(low), float(high), float(least), float(most))
        for quantity, (least, most) in spec["limits"].items()
        for group, (low, high) in spec[quantity].items()
    }


@lru_cache(maxsize=1)
def behaviour_parameters() -> dict[str, Parameter]:
    """Parameters of how a response comes about, which are drawn only where an arm asks for them; by name."""
    return {
        name: Parameter(*map(float, (*entry["range"], *entry["limits"])))
        for name, entry in read_yaml("priors")["behaviour"].items()
    }


def scenario_parameters() -> dict[str, Parameter]:
    """Every parameter that a scenario may set."""
    return {**uncertain_parameters(), **behaviour_parameters()}


@lru_cache(maxsize=1)
def category_kinds() -> tuple[CategoryKind, ...]:
    """The mix of archetypes within each category."""
    return tuple(read_rows("category_kinds", CategoryKind))


class Threshold(Row):
    """One number that a result rests on by definition."""

    name: str
    value: float
    unit: str


@lru_cache(maxsize=1)
def _thresholds() -> dict[str, float]:
    return {row.name: row.value for row in read_rows("analysis", Threshold)}


def threshold(name: str) -> float:
    """Limit or definition ``name`` of results (``analysis.csv``: none is written in code), in the row's unit.

    Raises
    ------
    KeyError
        If there is no such row (a defect of the caller).
    """
    return _thresholds()[name]
