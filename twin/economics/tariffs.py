"""Tariffs as data: what each billing category pays, since when, and how sure each number is.

A tariff is a file ``twin/data/tariffs/<name>.yaml``. Money is INR; energy rates stand before the state's subsidy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from twin.datapack import categories, read_yaml, validated
from twin.errors import DataPackError, Problem
from twin.hours import NORMAL, first_overlap, minutes_of
from twin.units import PAISE_PER_INR

Confidence = Literal["found", "recalled", "derived", "assumed"]
Basis = Literal["connection", "kw", "kva", "hp"]
AppliesTo = Literal["gross", "after_subsidy"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]


class Number(_Part):
    """A number with how sure it is and where it is from (a key of the tariff's ``sources``)."""

    value: Annotated[float, Field(ge=0)]
    confidence: Confidence
    source: str


class Slab(_Part):
    """Units of a month up to a limit; the last slab is open. [kWh], [INR/kWh], [INR/kWh]"""

    up_to_kwh: Annotated[int, Field(gt=0, le=100_000)] | None
    energy: Number
    subsidy: Number


class FixedCharge(_Part):
    """Fixed or demand charge of a month, per connection, kW, kVA or horsepower."""

    inr_per_month: Number
    basis: Basis
    basis_confidence: Confidence


class CategoryTariff(_Part):
    """What one billing category pays. Slabs are per kWh, or per kVAh where ``unit`` says so."""

    tariff_row: str
    unit: Literal["kWh", "kVAh"]
    fixed: FixedCharge
    slabs: Annotated[tuple[Slab, ...], BeforeValidator(_as_tuple), Field(min_length=1)]


class Period(_Part):
    """Hours with a multiplier on the energy charge."""

    hours: str
    multiplier: Number


class BaseTimeOfDay(_Part):
    """Time of day that the tariff itself carries. Hours in no period are normal, with multiplier 1."""

    categories: Names
    above_kw: Number
    """Covered are sanctioned loads above this. [kW]"""
    requires_smart_meter: bool
    applies_to: AppliesTo
    periods: Mapping[str, Period]

    @property
    def hours(self) -> dict[str, str]:
        """Hours of each period, by name."""
        return {name: period.hours for name, period in self.periods.items()}


class FreeUnits(_Part):
    """Units of a month that cost nothing, from a date on. [kWh]"""

    start: date
    kwh: Number
    categories: Names


class FuelSurcharge(_Part):
    """Fuel and power-purchase cost adjustment (FPPCA) per unit, from the first of a month until the next row. [INR/kWh]

    It is part of the energy charge, after any multiplier: a free unit's is borne by the state, duty is levied on it.
    """

    start: date
    inr_per_kwh: Number
    exempt: Names


class Duty(_Part):
    """Electricity duty on the energy charge of the billed units. [%]"""

    percent: Number
    base: Literal["energy_before_subsidy", "energy_after_subsidy"]
    exempt: Names


class PrepaidRebate(_Part):
    """Rebate for smart prepaid meters: a share of the energy charge before subsidy, or an amount per billed unit."""

    percent_of_energy: Number | None
    inr_per_kwh: Number | None
    categories: Names


class Tariff(_Part):
    """All that one tariff file says. Frozen."""

    name: str
    start: date
    sources: Mapping[str, str]
    assumptions: Names
    duty: Duty
    prepaid_rebate: PrepaidRebate
    free_units: Annotated[tuple[FreeUnits, ...], BeforeValidator(_as_tuple)]
    fuel_surcharge: Annotated[tuple[FuelSurcharge, ...], BeforeValidator(_as_tuple)]
    time_of_day: Annotated[tuple[BaseTimeOfDay, ...], BeforeValidator(_as_tuple)]
    categories: Mapping[str, CategoryTariff]

    def free_kwh(self, category: str, on: date) -> float:
        """Free units a month of a category on a date. [kWh]"""
        found = [row for row in self.free_units if category in row.categories and row.start <= on]
        return max(found, key=lambda row: row.start).kwh.value if found else 0.0

    def surcharge_inr_per_kwh(self, category: str, on: date) -> float:
        """Fuel surcharge of a category in the month of a date; 0 before the first row. [INR/kWh]"""
        begun = [row for row in self.fuel_surcharge if row.start <= on]
        row = max(begun, key=lambda row: row.start, default=None)
        return 0.0 if row is None or category in row.exempt else row.inr_per_kwh.value

    def base_time_of_day(self, category: str) -> BaseTimeOfDay | None:
        """The time of day that the tariff itself carries for a category, if any."""
        return next((row for row in self.time_of_day if category in row.categories), None)


class UncertainNumber(NamedTuple):
    """A number that is not `found`, as the report lists it."""

    name: str
    value: float
    confidence: str
    source: str


def tariff_names() -> tuple[str, ...]:
    """Tariffs of the data pack, sorted."""
    folder = files("twin").joinpath("data", "tariffs")
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


@lru_cache(maxsize=16)
def load_tariff(name: str) -> Tariff:
    """The tariff ``twin/data/tariffs/<name>.yaml``.

    Raises
    ------
    DataPackError
        If there is no such tariff, or with everything that is wrong in the file.
    """
    if name not in tariff_names():
        near = get_close_matches(name, tariff_names(), n=1)
        fix = f"did you mean '{near[0]}'?" if near else f"use one of {', '.join(tariff_names())}"
        raise DataPackError([Problem("twin/data/tariffs", "tariff", f"there is no tariff '{name}'", fix)])
    text = files("twin").joinpath("data", "tariffs", f"{name}.yaml").read_text(encoding="utf-8")
    return parse_tariff(read_yaml(f"tariffs/{name}"), f"twin/data/tariffs/{name}.yaml", text)


def parse_tariff(data: Any, where: str, text: str = "") -> Tariff:
    """A tariff from parsed YAML; ``text`` (the same file) gives problems their line numbers.

    Raises
    ------
    DataPackError
        With all problems at once.
    """
    return validated(Tariff, data, where, further=_inconsistencies, text=text, fix="repair the tariff file")


def _inconsistencies(tariff: Tariff) -> Iterator[tuple[tuple[Any, ...], str]]:
    """What types cannot say: (path, problem)."""
    known = {row.category: row for row in categories()}
    for name in sorted(known.keys() - tariff.categories.keys()):
        yield ("categories",), f"category '{name}' has no rates"
    for name, category in tariff.categories.items():
        if name not in known:
            yield ("categories", name), "no such billing category"
        elif category.tariff_row != known[name].tariff_row:
            yield ("categories", name, "tariff_row"), f"categories.csv says '{known[name].tariff_row}'"
        yield from _slab_problems(("categories", name, "slabs"), category.slabs)
    lists = [("duty",), ("prepaid_rebate",), *(("free_units", k) for k in range(len(tariff.free_units)))]
    groups: list[Names] = [tariff.duty.exempt, tariff.prepaid_rebate.categories]
    groups += [row.categories for row in tariff.free_units]
    lists += [("time_of_day", k) for k in range(len(tariff.time_of_day))]
    lists += [("fuel_surcharge", k) for k in range(len(tariff.fuel_surcharge))]
    groups += [row.categories for row in tariff.time_of_day]
    groups += [row.exempt for row in tariff.fuel_surcharge]
    for path, group in zip(lists, groups, strict=True):
        for name in sorted(set(group) - known.keys()):
            yield path, f"no such billing category '{name}'"
    for k, row in enumerate(tariff.free_units):
        if row.kwh.value != int(row.kwh.value) or row.kwh.value > 1000:
            yield ("free_units", k, "kwh"), "must be whole kWh, at most 1000"
    yield from _surcharge_problems(tariff)
    yield from _time_of_day_problems(tariff)
    for path, number in numbers_of(tariff):
        if number.source not in tariff.sources:
            yield path, f"source '{number.source}' is not listed under sources"
    if (tariff.prepaid_rebate.percent_of_energy is None) == (tariff.prepaid_rebate.inr_per_kwh is None):
        yield ("prepaid_rebate",), "must hold exactly one of percent_of_energy and inr_per_kwh"


def _slab_problems(path: tuple[Any, ...], slabs: tuple[Slab, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    ends = [slab.up_to_kwh for slab in slabs]
    bounds = [end for end in ends[:-1] if end is not None]
    if ends[-1] is not None or len(bounds) < len(ends) - 1:
        yield path, "the last slab, and only the last, must be open (up_to_kwh: null)"
    elif bounds != sorted(set(bounds)):
        yield path, "slabs must rise"
    for k, slab in enumerate(slabs):
        if slab.subsidy.value > slab.energy.value:
            yield (*path, k, "subsidy"), "subsidy is above the energy rate"
        for key, number in (("energy", slab.energy), ("subsidy", slab.subsidy)):
            if abs(number.value * PAISE_PER_INR - round(number.value * PAISE_PER_INR)) > 1e-6:
                yield (*path, k, key), "rates are whole paise"


def _surcharge_problems(tariff: Tariff) -> Iterator[tuple[tuple[Any, ...], str]]:
    starts = [row.start for row in tariff.fuel_surcharge]
    for k, start in enumerate(starts):
        if start.day != 1:
            yield ("fuel_surcharge", k, "start"), "must be the first of a month"
        if start in starts[:k]:
            yield ("fuel_surcharge", k, "start"), f"{start} has two rows"


def _time_of_day_problems(tariff: Tariff) -> Iterator[tuple[tuple[Any, ...], str]]:
    seen: set[str] = set()
    for k, row in enumerate(tariff.time_of_day):
        for name in sorted(seen.intersection(row.categories)):
            yield ("time_of_day", k, "categories"), f"category '{name}' has two time-of-day rows"
        seen.update(row.categories)
        try:
            for hours in row.hours.values():
                minutes_of(hours)
            if overlap := first_overlap(row.hours):
                yield ("time_of_day", k, "periods"), f"periods {overlap[0]} and {overlap[1]} overlap"
        except ValueError as error:
            yield ("time_of_day", k, "periods"), str(error)
        if NORMAL in row.periods:
            yield ("time_of_day", k, "periods"), f"'{NORMAL}' is the name of uncovered hours"


def numbers_of(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Number]]:
    """All numbers below a part of a tariff with their path, in file order."""
    if isinstance(part, Number):
        yield path, part
    elif isinstance(part, BaseModel):
        for key in type(part).model_fields:
            yield from numbers_of(getattr(part, key), (*path, key))
    elif isinstance(part, Mapping):
        for key, value in part.items():
            yield from numbers_of(value, (*path, key))
    elif isinstance(part, tuple):
        for place, value in enumerate(part):
            yield from numbers_of(value, (*path, place))


def assumed_numbers(tariff: Tariff) -> list[UncertainNumber]:
    """Every number of the tariff that is not `found`: (name, value, confidence, source)."""
    return [
        UncertainNumber(
            f"tariff.{tariff.name}." + ".".join(map(str, path)),
            number.value,
            number.confidence,
            tariff.sources[number.source],
        )
        for path, number in numbers_of(tariff)
        if number.confidence != "found"
    ]
