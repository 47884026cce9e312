"""Names that a scenario may use, from the data pack, and what to suggest for a name that is not among them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files

from pydantic_core import PydanticCustomError

from twin.calibrated import factors
from twin.datapack import Row, categories, read_rows, read_yaml, scenario_parameters
from twin.errors import ScenarioError
from twin.grid.places import resolve_district
from twin.scenario.yaml_text import printable

AGRICULTURAL = "agricultural"
ALL = "all"
BY_DISTRICT = "by_district"
BIHAR_NORMAL = "bihar-normal"


class _Table(Row):
    table: str


def refuse(what: str, fix: str) -> PydanticCustomError:
    """The error that a validator raises: what is wrong with the value and how to repair it."""
    return PydanticCustomError("twin", "{what}", {"what": printable(what, 240), "fix": fix})


def suggestion(name: str, known: Iterable[str], listing: str = "use one of") -> str:
    """``did you mean 'x'?`` when something known is near, else a list of what is known."""
    known = list(known)
    lower = {entry.lower(): entry for entry in known}
    near = get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{lower[near[0]]}'?"
    if not known:
        return "remove it"
    return f"use '{known[0]}'" if len(known) == 1 else f"{listing} {', '.join(known)}"


@lru_cache(maxsize=1)
def table_names() -> tuple[str, ...]:
    """Names of the result tables, in the order of the table dictionary."""
    return tuple(dict.fromkeys(row.table for row in read_rows("tables", _Table)))


@lru_cache(maxsize=1)
def category_names() -> tuple[str, ...]:
    """Billing categories in the order of their codes."""
    return tuple(row.category for row in categories())


@lru_cache(maxsize=1)
def time_of_day_categories() -> tuple[str, ...]:
    """Categories that a time-of-day tariff covers unless an arm names others: all but agricultural."""
    return tuple(row.category for row in categories() if row.smart_share_group != AGRICULTURAL)


def _pack_files(folder: str) -> tuple[str, ...]:
    place = files("twin").joinpath("data", folder)
    if not place.is_dir():
        return ()
    return tuple(sorted(entry.name[:-5] for entry in place.iterdir() if entry.name.endswith(".yaml")))


def tariff_names() -> tuple[str, ...]:
    """Tariffs of the data pack: the files of ``twin/data/tariffs``."""
    return _pack_files("tariffs")


def vendor_names() -> tuple[str, ...]:
    """Meter datasheets of the data pack: the files of ``twin/data/devices``."""
    return _pack_files("devices")


def default_smart_share(group: str) -> float:
    """Share of a group's consumers with a smart meter where the scenario does not say. [-]"""
    return float(read_yaml("scenario_defaults")["smart_share"][group]["value"])


def default_wallet(section: str, name: str) -> float:
    """A number of prepaid wallets where the scenario does not say."""
    return float(read_yaml("wallets")[section][name]["value"])


def known_district(name: str) -> str:
    """The canonical name of a district written in any of its spellings."""
    try:
        return resolve_district(name)
    except ScenarioError as error:
        problem = error.problems[0]
        raise refuse(problem.what, problem.fix) from error


def known_tariff(name: str) -> str:
    """``name`` if it is a tariff of the data pack."""
    if name in tariff_names():
        return name
    raise refuse(f"there is no tariff '{name}'", suggestion(name, tariff_names()))


def known_category(name: str) -> str:
    """``name`` if it is a billing category."""
    if name in category_names():
        return name
    raise refuse(f"there is no category '{name}'", suggestion(name, category_names()))


def known_table(name: str) -> str:
    """``name`` if it is a result table."""
    if name == ALL or name in table_names():
        return name
    raise refuse(f"there is no table '{name}'", suggestion(name, table_names()))


def known_parameter(name: str) -> str:
    """``name`` if it is an uncertain parameter of behaviour that has a prior."""
    if name in scenario_parameters():
        return name
    raise refuse(f"there is no parameter '{name}'", suggestion(name, scenario_parameters()))


def known_factor(name: str) -> str:
    """``name`` if it is a fitted factor of the data pack."""
    if name in factors():
        return name
    raise refuse(f"there is no fitted factor '{name}'", suggestion(name, factors()))


def known_vendors(name: str) -> str:
    """``by_district``, or a datasheet of the data pack."""
    if name == BY_DISTRICT or name in vendor_names():
        return name
    raise refuse(f"there is no meter datasheet '{name}'", suggestion(name, (BY_DISTRICT, *vendor_names())))
