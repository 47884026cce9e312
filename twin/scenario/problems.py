"""Validation errors as problems that a person can act on: the line, the path as written, the value, the repair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from twin.errors import Problem
from twin.scenario.names import suggestion
from twin.scenario.schema import Scenario
from twin.scenario.yaml_text import KeyPath, dotted, shown

NAME_RULE = "use lower-case letters, digits, '-' and '_', starting with a letter or digit, at most 64"

TYPES = {
    "int_type": ("a whole number", "write digits without quotes, such as 7"),
    "int_from_float": ("a whole number", "write digits without a decimal point"),
    "float_type": ("a number", "write a number without quotes, such as 0.8"),
    "string_type": ("text", "write text, in quotes if it looks like a number or a date"),
    "bool_type": ("true or false", "write true or false"),
    "date_type": ("a date", "write a date as YYYY-MM-DD, without quotes"),
    "dict_type": ("a mapping of settings", "write `key: value` lines, or {} for none"),
    "model_type": ("a mapping of settings", "write `key: value` lines, or {} for none"),
    "tuple_type": ("a list", "write a list in [brackets]"),
    "finite_number": ("a finite number", "write a number"),
    "int_parsing_size": ("a smaller whole number", "write a smaller number"),
}
LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def problems_of(error: ValidationError, places: Mapping[KeyPath, str], skip: set[str]) -> list[Problem]:
    """One problem per error, in the order of the schema, without paths in ``skip`` (already reported)."""
    found = []
    for detail in error.errors(include_url=False):
        path = written_path(detail["loc"])
        counted_after_errors = detail["type"] == "too_short" and len(detail["input"]) > 0
        if dotted(path) not in skip and not counted_after_errors:
            what, fix = _message(detail, path)
            found.append(Problem(place_of(path, places), dotted(path), what, fix))
    return found


def written_path(loc: KeyPath) -> KeyPath:
    """The path as the user writes it: without the schema's own steps for periods and for keys."""
    path = tuple(part for part in loc if part != "[key]")
    if "time_of_day" in path:
        after = path.index("time_of_day") + 1
        if path[after : after + 1] == ("periods",):
            path = path[:after] + path[after + 1 :]
    return path


def place_of(path: KeyPath, places: Mapping[KeyPath, str]) -> str:
    """Where ``path`` stands in the text, or the nearest mapping around it."""
    while path and path not in places:
        path = path[:-1]
    return places[path]


def _message(detail: ErrorDetails, path: KeyPath) -> tuple[str, str]:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "twin":
        return context["what"], context["fix"]
    if kind == "missing":
        return "has no value and no default", f"add `{path[-1]}: ...`" if path else "add it"
    if kind == "extra_forbidden":
        return f"no such setting (its value is {shown(value)})", _did_you_mean(path)
    if kind in TYPES:
        what, fix = TYPES[kind]
        return f"must be {what}, got {shown(value)}", fix
    if kind in LIMITS:
        key, words = LIMITS[kind]
        rule = f"{words} {context[key]:,}" if isinstance(context[key], int) else f"{words} {context[key]:g}"
        return f"must be {rule}, got {shown(value)}", f"use a value {rule}"
    if kind == "literal_error":
        near = suggestion(str(value), [option.strip("'") for option in _options(context["expected"])])
        return f"must be {context['expected']}, got {shown(value)}", near
    if kind == "string_pattern_mismatch":
        return f"{shown(value)} is not a name", NAME_RULE
    if kind == "too_short":
        return "is empty", "give at least one"
    if kind == "string_too_long":
        return f"is longer than {context['max_length']:,} characters", "shorten it"
    return f"{detail['msg']}, got {shown(value)}", "see `twin schema`"


def _options(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").split(", ")


def _did_you_mean(path: KeyPath) -> str:
    siblings = list(known_keys(path[:-1]))
    name = str(path[-1])
    elsewhere = [dotted(where) for where in _all_paths(Scenario) if where[-1] == name]
    return f"did you mean '{elsewhere[0]}'?" if elsewhere else suggestion(name, siblings)


def known_keys(path: KeyPath) -> Iterator[str]:
    """The settings that may stand in the mapping at ``path``; nothing where names are the user's own."""
    model: type[BaseModel] | None = Scenario
    remaining = list(path)
    while remaining and model is not None:
        part = str(remaining.pop(0))
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part not in fields and "periods" in fields:
            model = _model_in(fields["periods"].annotation)
        elif part not in fields:
            model = None
        else:
            if _is_mapping(fields[part].annotation) and remaining:
                remaining.pop(0)
            model = _model_in(fields[part].annotation)
    if model is not None:
        yield from (field.alias or name for name, field in model.model_fields.items() if name not in _HIDDEN)


_HIDDEN = {"periods", "everything"}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        if (found := _model_in(part)) is not None:
            return found
    return None


def _is_mapping(annotation: Any) -> bool:
    origin = getattr(annotation, "__origin__", annotation)
    return isinstance(origin, type) and issubclass(origin, dict)


def _all_paths(model: type[BaseModel], above: KeyPath = ()) -> Iterator[KeyPath]:
    for name, field in model.model_fields.items():
        if name in _HIDDEN:
            continue
        path = (*above, field.alias or name)
        yield path
        below = _model_in(field.annotation)
        if below is not None and not _is_mapping(field.annotation):
            yield from _all_paths(below, path)
