"""The assumed numbers of the synthesis, `twin/data/synthesis.yaml`, as typed and validated settings."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from twin.datapack import read_yaml, validated

PerClass = Annotated[tuple[float, ...], Field(min_length=4, max_length=4)]
"""One number for each feeder class: rural mixed, urban, industrial, agricultural."""
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Counts(_Section):
    """Sizes of the grid at full scale."""

    pss: int = Field(gt=0)
    feeders_rural_mixed: int = Field(gt=0)
    feeders_urban: int = Field(gt=0)
    feeders_industrial: int = Field(gt=0)
    feeders_agricultural: int = Field(gt=0)
    dts: int = Field(gt=0)
    dts_farm: int = Field(gt=0)
    dt_share_urban: Share
    dt_share_industrial: Share

    @property
    def feeders(self) -> tuple[int, int, int, int]:
        """Feeders by class code."""
        return self.feeders_rural_mixed, self.feeders_urban, self.feeders_industrial, self.feeders_agricultural


class Places(_Section):
    """How points are laid out."""

    urban_homes_per_km2: Positive
    block_spread: Share
    block_jitter: Share
    pss_spread: Share
    pss_size_log_sd: Positive


class Mix(_Section):
    """How neighbours differ."""

    feeder_concentration: Positive
    dt_concentration: Positive
    feeder_size_log_sd: Positive
    dt_size_log_sd: Positive
    least_town_kw: Positive
    industrial_area_share: Share
    least_farm_pumps: int


class GssRules(_Section):
    """Transformers of a grid substation."""

    units: int = Field(gt=0)
    most_units: int = Field(gt=0)
    unit_mva: Positive
    loading: Share


class Line33(_Section):
    """The radial 33 kV level."""

    detour: Positive
    least_km: Positive
    most_km: Positive
    loss_allowance: Positive
    power_factor: Share
    chain_detour: Positive
    most_chain: int = Field(gt=0)
    third_pss_share: Share
    chain_most_mva: Positive
    drop_limit: Share
    ampacity_share: Share
    choices: tuple[str, ...]


class PssRules(_Section):
    """Transformers of a power substation: (unit MVA, units), smallest first."""

    choices_mva: tuple[tuple[Positive, int], ...]
    loading: Share


class HtRules(_Section):
    """Contract demand of HT, EHT and traction consumers by kind: median kVA, log sd, most kVA."""

    least_kva: Positive
    contract: dict[str, tuple[Positive, Positive, Positive]]
    power_factor: Share


class FeederRules(_Section):
    """The 11 kV tree."""

    least_km: PerClass
    most_km: PerClass
    typical_dts: PerClass
    trunk_share: PerClass
    spur_most: PerClass
    head_weight: PerClass
    trunk_weight: Positive
    place_noise: Annotated[float, Field(ge=0)]
    short_share: Share
    trunk_choices: Annotated[tuple[tuple[str, ...], ...], Field(min_length=4, max_length=4)]
    spur_conductor: Annotated[tuple[str, ...], Field(min_length=4, max_length=4)]
    drop_limit: PerClass
    drop_log_sd: Positive
    ampacity_share: Share
    loss_allowance: Positive
    power_factor: Share
    farm_coincidence: Share
    farm_input: Positive
    farm_power_factor: Share


class DtRules(_Section):
    """Distribution transformers."""

    ratings_kva: tuple[Positive, ...]
    utilisation_median: Positive
    utilisation_log_sd: Positive
    load_when_sized: Positive
    old_stock_share: Share
    old_iron_factor: Positive
    meter_w: Annotated[float, Field(ge=0)]
    magnetising_share: Share


class LvRules(_Section):
    """Low-voltage lines, poles and services."""

    poles_scale: PerClass
    poles_exponent: Positive
    most_poles: int = Field(gt=0)
    span_m: PerClass
    span_spread: Share
    spur_share: Share
    bare_share: Share
    choices: Annotated[tuple[tuple[str, ...], ...], Field(min_length=4, max_length=4)]
    neutral_ratio: Positive
    bare_spacing_m: Positive
    frequency_hz: Positive
    bare_reference_m: Positive
    power_factor: Share
    drop_limit: PerClass
    drop_log_sd: Positive
    consumer_spread: Positive
    least_drop: Positive
    least_shrink: Share
    ampacity_share: Share
    random_phase_share: Share
    service_least_m: Positive
    service_most_m: Positive
    joint_single_ohm: Annotated[float, Field(ge=0)]
    joint_three_ohm: Annotated[float, Field(ge=0)]
    service_single: tuple[tuple[str, Positive], ...]
    service_three: tuple[tuple[str, Positive], ...]


class Sample(_Section):
    """The sample that represents unresolved feeders."""

    per_class: Annotated[tuple[int, ...], Field(min_length=4, max_length=4)]


class Vendors(_Section):
    """Who made the meters."""

    names: tuple[str, ...]
    urban: str
    urban_share: Share


class Synthesis(_Section):
    """All settings of the synthesis."""

    counts: Counts
    places: Places
    mix: Mix
    gss: GssRules
    line_33kv: Line33
    pss: PssRules
    ht: HtRules
    feeder: FeederRules
    dt: DtRules
    lv: LvRules
    sanctioned_kw: dict[str, tuple[Positive, Positive, Positive, Positive, Positive, float]]
    vendors: Vendors
    sample: Sample


@lru_cache(maxsize=1)
def synthesis() -> Synthesis:
    """The validated settings.

    Raises
    ------
    DataPackError
        With every malformed or missing entry.
    """
    return validated(Synthesis, _values(read_yaml("synthesis")), "twin/data/synthesis.yaml")


def assumed_numbers() -> list[tuple[str, Any, str]]:
    """(name, value, reason) of every entry: what a run on a synthetic grid rests on."""
    return list(_entries("synthesis", read_yaml("synthesis")))


def _values(node: dict[str, Any]) -> Any:
    """The settings without their reasons."""
    return node["value"] if "value" in node else {key: _values(child) for key, child in node.items()}


def _entries(name: str, node: dict[str, Any]) -> Any:
    if "value" in node:
        yield name, node["value"], node["why"]
    else:
        for key, child in node.items():
            yield from _entries(f"{name}.{key}", child)
