"""The section ``grid``: the state's grid and where to look closely, or a network of the user's with its consumers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_serializer, model_validator

from twin.scenario import names
from twin.scenario.parts import Many, Section
from twin.scenario.yaml_text import shown

District = Annotated[str, AfterValidator(names.known_district)]
Category = Annotated[str, AfterValidator(names.known_category)]
MISSING = "has no value and no default"
OWN = ("network", "simbench")


def existing_file(value: str, info: ValidationInfo, endings: tuple[str, ...], what: str) -> str:
    """The absolute path of a file that a scenario names relative to itself."""
    if not value.lower().endswith(endings):
        raise names.refuse(f"{shown(value)} is no {what}", f"name a file ending in {' or '.join(endings)}")
    path = (info.context or {}).get("folder", Path()) / value
    try:
        found = path.is_file()
    except (OSError, ValueError):  # a name too long or with characters that no file name has
        found = False
    if not found:
        raise names.refuse(f"there is no file {shown(value)}", "give a path relative to the scenario file")
    return str(path.resolve())


class Resolve(Section):
    """Where the twin looks closely: exactly one of the three."""

    districts: Annotated[tuple[District, ...], Many, Field(min_length=1)] | None = None
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    everything: Annotated[bool, Field(exclude=True)] = False
    """Written ``resolve: all``."""

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        fix = "write `all`, `{districts: [...]}` or `{fraction: 0.01}`"
        if value == "all":
            return {"everything": True}
        if not isinstance(value, dict):
            raise names.refuse(f"must say where to look closely, got {shown(value)}", fix)
        if "everything" in value or {"districts", "fraction"} <= value.keys() or not value:
            raise names.refuse("must hold exactly one way of choosing", fix)
        return value

    @field_validator("districts")
    @classmethod
    def _once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _one(self) -> Resolve:
        if not self.everything and self.districts is None and self.fraction is None:
            raise names.refuse("must hold exactly one way of choosing", "give districts or fraction, or write `all`")
        return self

    @model_serializer(mode="plain")
    def _as_written(self) -> Any:
        if self.everything:
            return "all"
        return {"districts": list(self.districts)} if self.districts is not None else {"fraction": self.fraction}


class MappedLoad(Section):
    """So many consumers of one category stand behind one load of the network; a load may have several such rows."""

    load: Annotated[int, Field(ge=0)]
    """Index in ``net.load``."""
    consumers: Annotated[int, Field(ge=1, le=1_000_000)]
    category: Category
    sanctioned_kw: Annotated[float, Field(gt=0)] | None = None
    """Of each of them; drawn by the kind of consumer if left out. [kW]"""


class LoadRule(Section):
    """Every load that no row names stands for as many consumers as its kW holds expected peaks of one of them."""

    category: Category


class Mapping(Section):
    """Which loads are how many consumers of what category, and which transformers are DTs. Rows stand in the scenario
    (``loads``) or in a CSV file (``file``, columns ``load, consumers, category`` and, if wanted, ``sanctioned_kw``).
    """

    file: str | None = None
    loads: Annotated[tuple[MappedLoad, ...], Many, Field(min_length=1)] | None = None
    rule: LoadRule | None = None
    unmapped: Literal["refuse", "keep"] = "refuse"
    """``keep``: a load in service that no row names keeps the power of the network's table, without consumers."""
    transformers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Many] | None = None
    """Indices in ``net.trafo`` of the distribution transformers; left out: all with a low side below 1 kV."""

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        """A text is the name of a CSV file."""
        if isinstance(value, str):
            return {"file": value}
        if isinstance(value, dict) and not value.keys() & {"file", "loads", "rule"}:
            fix = "give `file: loads.csv`, `loads: [...]` or `rule: {category: ds1}`"
            raise names.refuse("does not say which loads are which consumers", fix)
        return value

    @field_validator("file")
    @classmethod
    def _found(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else existing_file(value, info, (".csv",), "mapping file")


class Grid(Section):
    """Which grid: the state's and where to look closely, or a network of the user's with what its loads are."""

    state: Literal["bihar"] | None = None
    network: str | None = None
    """A pandapower network: JSON, Excel, or MATPOWER through pandapower's converters."""
    simbench: str | None = None
    """A SimBench code."""
    resolve: Annotated[Resolve | None, Field(validate_default=True)] = None
    district: Annotated[District | None, Field(validate_default=True)] = None
    """Whose weather, habits and discom the consumers of a network of the user's have."""
    mapping: Annotated[Mapping | None, Field(validate_default=True)] = None
    profiles: Literal["simbench"] | None = None
    """``simbench``: loads that are not mapped, generators and storages follow SimBench's own profiles; left out: they
    keep the values of the network's tables."""

    @model_validator(mode="before")
    @classmethod
    def _state(cls, value: Any) -> Any:
        if isinstance(value, dict) and not value.keys() & {"state", *OWN}:
            return {"state": "bihar", **value}
        return value

    @field_validator(*OWN)
    @classmethod
    def _one_grid(cls, value: str | None, info: ValidationInfo) -> str | None:
        other = next((name for name in ("state", *OWN) if name != info.field_name and info.data.get(name)), None)
        if value is not None and other is not None:
            raise names.refuse(f"cannot stand beside `{other}`", "keep one of state, network and simbench")
        if value is not None and info.field_name == "network":
            return existing_file(value, info, (".json", ".xlsx", ".m", ".mat"), "network file")
        return value

    @field_validator("resolve")
    @classmethod
    def _of_the_state(cls, value: Resolve | None, info: ValidationInfo) -> Resolve | None:
        if "state" not in info.data:  # its own problem is reported
            return value
        if value is None and info.data["state"]:
            raise names.refuse(MISSING, "add `resolve: ...`")
        if value is not None and not info.data["state"]:
            raise names.refuse("is for the state's grid; a network is simulated as a whole", "remove it")
        return value

    @field_validator("district", "mapping", "profiles")
    @classmethod
    def _of_a_network(cls, value: Any, info: ValidationInfo) -> Any:
        if "state" not in info.data:  # its own problem is reported
            return value
        if value is not None and info.data["state"]:
            raise names.refuse("is for a network of your own", "remove it, or give `network` or `simbench`")
        if value is None and not info.data["state"] and info.field_name != "profiles":
            fix = {
                "district": "add `district: Patna`, whose weather and discom the consumers have",
                "mapping": "add `mapping: loads.csv` with the columns load, consumers, category, or a rule",
            }[str(info.field_name)]
            raise names.refuse(MISSING, fix)
        if value is not None and info.field_name == "profiles" and info.data.get("network"):
            raise names.refuse("SimBench's profiles belong to a SimBench network", "remove it, or give `simbench`")
        return value

    @property
    def is_own(self) -> bool:
        """Is it a network of the user's?"""
        return self.state is None


class Demand(Section):
    """The user's own consumers' demand instead of archetypes; only with a network of the user's."""

    profiles: str
    """Parquet or CSV in long form: ``interval_start``, ``load`` or ``consumer`` (its number in the mapping's order,
    from 0), ``kw``."""

    @field_validator("profiles")
    @classmethod
    def _found(cls, value: str, info: ValidationInfo) -> str:
        return existing_file(value, info, (".parquet", ".csv"), "file of profiles")
