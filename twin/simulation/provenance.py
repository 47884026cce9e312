"""What a run rests on: the numbers that are not known, and the parts that are made by rule.

Every file of the data pack that marks numbers as assumed, recalled or derived is read here: settings are listed number
by number, tables of facts by how many of their rows are how sure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from twin.calibrated import factors
from twin.datapack import read_records, read_yaml
from twin.demand.response import parameter_bounds
from twin.economics.purchase import assumed_purchase_numbers, load_purchase
from twin.economics.tariffs import assumed_numbers as assumed_tariff_numbers
from twin.economics.tariffs import load_tariff
from twin.grid.settings import assumed_numbers as assumed_synthesis_numbers
from twin.grid.settings import synthesis
from twin.grid.transmission_data import assumed_numbers as assumed_transmission_numbers
from twin.meters.datasheets import catalogue
from twin.scenario.names import BY_DISTRICT, default_smart_share
from twin.scenario.schema import Scenario
from twin.simulation.plan import PointPlan

SYNTHETIC = (
    "132 kV connections and everything below: substations' feeders, transformers, lines, poles and consumers",
    "positions of blocks and power substations within their district",
    "reinforcements of 132 kV lines and transformers, reactive support and tap changers",
    "weather: normals of the climate table with drawn deviations, no measured year",
)

SYNTHETIC_OWN = (
    "consumers behind the network's loads: drawn from archetypes by the mapping",
    "weather: normals of the climate table with drawn deviations, no measured year",
)
SYNTHETIC_PROFILES = ("traits of the consumers behind the network's loads: drawn from archetypes by the mapping",)
"""Where the user's network, or his consumers' demand too, stands in the state's place."""

SURE = ("found", "derived", "recalled", "assumed")
"""How sure a number is, best first; a mark that names several counts as the worst."""

MARKED_SETTINGS = {
    "calendar": "demand.calendar",
    "demand/archetypes": "demand.archetypes",
    "demand/homes": "demand.homes",
    "demand/panel": "demand.panel",
    "demand/signals": "demand.signals",
    "demand/weather": "demand.weather",
}
"""Settings whose ``source`` says what holds for the whole file and ``marks`` what differs, and the names' start."""


class MarkedTable(NamedTuple):
    """A table of facts with its columns of marks; ``label`` names a row."""

    file: str
    name: str
    marks: tuple[str, ...]
    label: str


MARKED_TABLES = (
    MarkedTable("analysis", "analysis", ("confidence",), "name"),
    MarkedTable("bands", "analysis.bands", ("confidence",), "quantity"),
    MarkedTable("appliances", "appliances", ("confidence",), "name"),
    MarkedTable("categories", "categories", ("confidence",), "category"),
    MarkedTable("category_kinds", "categories.kinds", ("confidence",), "kind"),
    MarkedTable(
        "climate",
        "demand.climate",
        ("confidence_temperature", "confidence_humidity_wind_sun", "confidence_rain"),
        "station",
    ),
    MarkedTable("conductors", "grid.conductors", ("r_confidence", "ampacity_confidence", "x_confidence"), "name"),
    MarkedTable(
        "districts",
        "grid.districts",
        ("discom_confidence", "census_confidence", "coordinate_confidence", "vendor_confidence"),
        "name",
    ),
    MarkedTable("transformers", "grid.transformers", ("confidence",), "type"),
    MarkedTable("transmission", "transmission.stations", ("confidence",), "id"),
    MarkedTable("transmission_lines", "transmission.lines", ("confidence",), "from_id"),
)
OF_THE_STATE = (
    "transmission", "grid.", "analysis.bands", "synthesis.counts", "synthesis.places", "synthesis.gss",
    "synthesis.line_33kv", "synthesis.pss", "synthesis.feeder", "synthesis.dt", "synthesis.lv",
)  # fmt: skip
"""Starts of the names of numbers that make the state's grid, which a network of the user's replaces."""
OF_DRAWN_DEMAND = ("demand.weather", "demand.climate", "demand.signals", "demand.calendar")
"""Likewise of demand that is drawn, where the user gives it."""
READ_ELSEWHERE = (
    "calibrated",
    "collection",
    "meter_classes",
    "meter_fleet",
    "outages",
    "own_grid",
    "priors",
    "purchase",
    "registers",
    "scenario_defaults",
    "synthesis",
    "transmission_assumed",
    "wallets",
)
"""Marked settings of other forms, each with a function below; tariffs too."""


def assumed_numbers(points: list[PointPlan]) -> list[dict[str, Any]]:
    """Every number behind the run that is not marked found, as plain rows: name, value, confidence, source."""
    scenario = points[0].scenario
    rows = list(_prices(points))
    rows += _behaviour(scenario)
    rows += _own_grid() if scenario.grid.is_own else []
    rows += [_row(name, value, "assumed", why) for name, value, why in assumed_synthesis_numbers()]
    rows += [
        _row(f"transmission.{name}", f"{value:g}", "assumed", why)
        for name, value, why in assumed_transmission_numbers()
    ]
    rows += [*_meters(scenario), *_devices(points), *_calibrated(scenario)]
    for file, start in MARKED_SETTINGS.items():
        rows += settings_numbers(read_yaml(file), start)
    if scenario.payments is not None:
        rows += settings_numbers(read_yaml("collection"), "collection")
    if any(point.scenario.outages is not None for point in points):
        rows += _outages()
    rows += _wallets(scenario)
    for table in MARKED_TABLES:
        rows += table_marks(table, read_records(table.file))
    return [row for row in rows if not row["name"].startswith(_without_part(scenario))]


def _without_part(scenario: Scenario) -> tuple[str, ...]:
    """Starts of the names of numbers that have no part in a run."""
    return () if not scenario.grid.is_own else (*OF_THE_STATE, *(OF_DRAWN_DEMAND if scenario.demand else ()))


def _outages() -> Iterator[dict[str, Any]]:
    """What is not known about interruptions of supply."""
    for section, entries in read_yaml("outages").items():
        if isinstance(entries, dict):
            for name, entry in entries.items():
                if entry["confidence"] != SURE[0]:
                    yield _row(f"outages.{section}.{name}", entry["value"], entry["confidence"], entry["source"])


def _own_grid() -> Iterator[dict[str, Any]]:
    """What is assumed about a network of the user's."""
    for section, entries in read_yaml("own_grid").items():
        for name, entry in entries.items():
            mark = worst_mark(entry["source"])
            yield _row(f"own_grid.{section}.{name}", entry["value"], mark, entry["source"])


def _prices(points: list[PointPlan]) -> Iterator[dict[str, Any]]:
    """Numbers of every tariff of the run, and of the purchase of energy."""
    for name in dict.fromkeys(point.scenario.tariff for point in points):
        yield from (_row(*number) for number in assumed_tariff_numbers(load_tariff(name)))
    yield from (_row(*number) for number in assumed_purchase_numbers(load_purchase()))


def _behaviour(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Bounds of the drawn parameters, and the fixed numbers of the price response."""
    settings, spec = scenario.experiment.parameters, read_yaml("priors")
    asked = {name for arm in scenario.arms for name in arm.parameters}
    for name, (low, high) in parameter_bounds(settings, asked).items():
        yield _row(name, f"{low:g} to {high:g}", "assumed", "scenario" if name in settings else "prior of priors.yaml")
    for name in ("max_shift_frac", "price_floor_inr_per_kwh", "forecast_cv"):
        yield _row(f"response.{name}", spec[name], spec["source"], "twin/data/priors.yaml")


def _meters(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Shares of smart meters that the scenario left at their defaults, and what registers resolve."""
    for group, share in scenario.meters.smart_share:
        if share == default_smart_share(group):
            source = read_yaml("scenario_defaults")["smart_share"][group]["source"]
            yield _row(f"categories.smart_share.{group}", share, worst_mark(source), source)
    for meter, entry in read_yaml("registers").items():
        name = f"registers.{meter}.resolution_wh"
        yield _row(name, entry["resolution_wh"], entry["confidence"], entry["source"])


def _calibrated(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Fitted factors in use, which multiply assumed numbers that are listed with their own marks."""
    asked, source = dict(scenario.calibrated or {}), read_yaml("calibrated")["source"]
    for name, one in factors().items():
        if name in asked:
            yield _row(f"calibrated.{name}", asked[name], "assumed", f"scenario: factor of the {one.of}")
        elif one.factor != 1.0:
            sure = "derived" if one.confidence == "fitted" else "assumed"
            yield _row(f"calibrated.{name}", one.factor, sure, f"factor of the {one.of}; {source}")


def _devices(points: list[PointPlan]) -> Iterator[dict[str, Any]]:
    """Numbers of the datasheets in use, of the accuracy classes and of who has which meter.

    A number that several types share is told once, under the first of them.
    """
    chosen = {point.scenario.meters.vendors for point in points if point.scenario.meters.devices}
    if not chosen:
        return
    makers = chosen | set(synthesis().vendors.names if BY_DISTRICT in chosen else ())
    used = {sheet.name for sheet in catalogue().sheets if sheet.role != "smart" or sheet.maker in makers}
    types: dict[tuple[str, float, str], list[str]] = defaultdict(list)
    for name, value, source in catalogue().marked_numbers():
        maker, model, path = name.split(".", 2)
        if f"{maker}.{model}" in used and worst_mark(source) != SURE[0]:
            types[path, value, source].append(f"{maker}.{model}")
    for (path, value, source), names in types.items():
        others = f" (and {len(names) - 1} more types)" if len(names) > 1 else ""
        yield _row(f"devices.{names[0]}.{path}", f"{value:g}", worst_mark(source), source + others)
    classes = read_yaml("meter_classes")
    yield _row("meter_classes.classes", "limits of routine tests", worst_mark(classes["source"]), classes["source"])
    parts = dict(read_yaml("meter_fleet"))
    for group in ("age_years", "theft", "theft_multiple", "failure_stress_by_place"):
        parts |= {f"{group}.{name}": entry for name, entry in parts.pop(group).items()}
    for name, entry in (parts | {"reference_c": classes["reference_c"]}).items():
        value = entry.get("value", {key: entry[key] for key in entry if key != "source"})
        if worst_mark(entry["source"]) != SURE[0]:
            yield _row(f"meter_fleet.{name}", value, worst_mark(entry["source"]), entry["source"])


def _wallets(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Numbers of prepaid wallets that are not found, but for those that the scenario changes."""
    settings = scenario.meters.prepaid
    if settings is None:
        return
    asked = {**dict(settings), **dict(settings.recharge), "prepaid_share": settings.share}
    for section, entries in read_yaml("wallets").items():
        for name, entry in entries.items():
            if entry["confidence"] != SURE[0] and asked.get(name, entry["value"]) == entry["value"]:
                yield _row(f"wallets.{section}.{name}", entry["value"], entry["confidence"], entry["source"])


def settings_numbers(settings: dict[str, Any], start: str) -> list[dict[str, Any]]:
    """Every number, and list of numbers, of a settings file that is not found.

    The file's ``source`` holds for all of it; where a number differs, ``marks`` says how sure it is, by its path.
    """
    marks: dict[str, str] = settings.get("marks", {})
    rows = []
    for path, value in _numbers({key: part for key, part in settings.items() if key not in ("source", "marks")}, ()):
        above = (".".join(path[:depth]) for depth in range(len(path), 0, -1))
        text = next((marks[name] for name in above if name in marks), settings["source"])
        if worst_mark(text) != SURE[0]:
            rows.append(_row(".".join((start, *path)), value, worst_mark(text), text))
    return rows


def _numbers(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Numbers and lists of numbers with their path; entries of a list go by their name, signal or position."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _numbers(value, (*path, str(key)))
    elif isinstance(node, list) and not all(_is_number(entry) for entry in node):
        for name, entry in zip(_names(node), node, strict=True):
            yield from _numbers(entry, (*path, name))
    elif _is_number(node) or (isinstance(node, list) and node):
        yield path, node


def _names(entries: list[Any]) -> list[str]:
    """What each entry of a list goes by, no two alike."""
    own = [entry if isinstance(entry, dict) else {} for entry in entries]
    names = [str(entry.get("name", entry.get("signal", place))) for place, entry in enumerate(own)]
    return [name if names.count(name) == 1 else f"{name}_{place}" for place, name in enumerate(names)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table_marks(table: MarkedTable, records: list[dict[str, str]]) -> list[dict[str, Any]]:
    """How many rows of a table are how sure, one entry per column of marks and degree below found."""
    rows = []
    for column in table.marks:
        labels: dict[str, list[str]] = defaultdict(list)
        for record in records:
            if record[column]:
                labels[worst_mark(record[column])].append(record[table.label])
        for sure in SURE[1:]:
            if found := labels[sure]:
                named = ", ".join(dict.fromkeys(found))
                value = f"{len(found)} of {sum(map(len, labels.values()))} rows"
                name = f"{table.name}.{column}.{sure}".replace("confidence_", "").replace("_confidence", "")
                rows.append(_row(name.replace(".confidence", ""), value, sure, f"twin/data/{table.file}.csv: {named}"))
    return rows


def worst_mark(text: str) -> str:
    """The least sure word that a mark holds; a mark without any is assumed."""
    return next((sure for sure in reversed(SURE) if sure in text.lower()), SURE[-1])


def _row(name: str, value: Any, confidence: str, source: str) -> dict[str, Any]:
    return {"name": name, "value": str(value), "confidence": confidence, "source": source}
