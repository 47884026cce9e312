"""JSON Schema of the scenario file, so that an editor completes settings and marks mistakes while one types."""

from __future__ import annotations

from typing import Any

from twin.calibrated import factors
from twin.datapack import scenario_parameters
from twin.grid.places import district_names
from twin.scenario import names
from twin.scenario.schema import Scenario

DIALECT = "https://json-schema.org/draft/2020-12/schema"
HOURS = r"^\s*\d{1,2}(:\d{2})?\s*-\s*\d{1,2}(:\d{2})?\s*$"


def scenario_schema() -> dict[str, Any]:
    """The schema as plain data, with the names that the data pack knows as choices."""
    schema = Scenario.model_json_schema(by_alias=True)
    parts = schema["$defs"]
    parts["Resolve"] = _resolve()
    parts["Grid"]["anyOf"] = _kinds_of_grid()
    for row in ("MappedLoad", "LoadRule"):
        parts[row]["properties"]["category"]["enum"] = list(names.category_names())
    parts["Mapping"] = {"anyOf": [{"type": "string", "description": "a CSV or YAML file"}, parts["Mapping"]]}
    _let_periods_stand_beside_settings(parts["TimeOfDay"])
    parts["Period"]["properties"]["hours"] |= {"pattern": HOURS, "examples": ["09-17", "06:30-10:00", "22-06"]}
    parts["TimeOfDay"]["properties"]["categories"]["items"] = {"enum": list(names.category_names())}
    parts["Output"]["properties"]["tables"] = _tables(parts["Output"]["properties"]["tables"])
    _at_least_one(parts["Experiment"]["properties"]["arms"])
    parameters = parts["Experiment"]["properties"]["parameters"]
    parameters["additionalProperties"] = _parameter()
    parameters["propertyNames"] = {"enum": list(scenario_parameters())}
    parts["Meters"]["properties"]["vendors"]["enum"] = [names.BY_DISTRICT, *names.vendor_names()]
    calibrated, _none = schema["properties"]["calibrated"]["anyOf"]
    calibrated["propertyNames"] = {"enum": list(factors())}
    schema["properties"]["tariff"]["enum"] = list(names.tariff_names())
    return {"$schema": DIALECT, **schema}


def _kinds_of_grid() -> list[dict[str, Any]]:
    """What must stand beside what: the state's grid wants ``resolve``, a network of the user's its consumers."""
    own = ["district", "mapping"]
    return [
        {"required": ["resolve"]},
        {"required": ["network", *own], "not": {"required": ["resolve"]}},
        {"required": ["simbench", *own], "not": {"required": ["resolve"]}},
    ]


def _resolve() -> dict[str, Any]:
    districts = {"type": "array", "minItems": 1, "items": {"type": "string", "examples": district_names()}}
    fraction = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    return {
        "description": "Where the twin looks closely: all, some districts, or a stratified fraction of feeders.",
        "oneOf": [{"const": names.ALL}, _only("districts", districts), _only("fraction", fraction)],
    }


def _only(key: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}


def _let_periods_stand_beside_settings(time_of_day: dict[str, Any]) -> None:
    periods = time_of_day["properties"].pop("periods")
    time_of_day["required"].remove("periods")
    ((pattern, period),) = periods["patternProperties"].items()
    time_of_day["additionalProperties"], time_of_day["propertyNames"] = period, {"pattern": pattern}
    time_of_day["minProperties"] = len(time_of_day["required"]) + 1


def _at_least_one(mapping: dict[str, Any]) -> None:
    """A mapping's least number of entries has a keyword of its own."""
    mapping["minProperties"] = mapping.pop("minLength")
    mapping["additionalProperties"] = False


def _tables(tables: dict[str, Any]) -> dict[str, Any]:
    some = {"type": "array", "minItems": 1, "items": {"enum": list(names.table_names())}}
    return {"title": tables["title"], "default": names.ALL, "anyOf": [{"const": names.ALL}, some]}


def _parameter() -> dict[str, Any]:
    pair = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    return {"anyOf": [{"type": "number"}, pair]}
