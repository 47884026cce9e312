"""What a datasheet of a meter may say: its sections, number by number, each number with its source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SOURCE = r"\b(found|derived|recalled|assumed)\b"


class Part(BaseModel):
    """Base of all sections: strict and frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Number(Part):
    """A value and where it comes from."""

    value: float
    source: Annotated[str, StringConstraints(pattern=SOURCE)]


class _Positive(Number):
    value: Annotated[float, Field(gt=0)]


class _NotNegative(Number):
    value: Annotated[float, Field(ge=0)]


class _Share(Number):
    value: Annotated[float, Field(ge=0, le=1)]


class _Count(Number):
    value: Annotated[int, Field(gt=0)]


class _Replaceable(Part):
    """A section whose model a user's function may replace: `twin.meters.variants`."""

    model: str | None = None
    """Name of the registered function; None: the built-in model."""
    numbers: dict[str, Number] = {}
    """What the function takes, by name."""


class Metrology(_Replaceable):
    """Errors and starting current: `twin.meters.metrology`."""

    accuracy_class: _Positive
    base_current_a: _Positive
    max_current_a: _Positive
    starting_current_frac: _NotNegative
    gain_sd_percent: _NotNegative
    low_load_sd_percent: _NotNegative
    phase_sd_mrad: _NotNegative
    temperature_sd_percent_per_k: _NotNegative
    temperature_percent_per_k2: Number
    ageing_mean_percent_per_year: Number
    ageing_sd_percent_per_year: _NotNegative


class _Digits(Number):
    value: Annotated[int, Field(ge=1, le=9)]


class Register(Part):
    """Last digit, and digits before the point: `twin.meters.register`."""

    resolution_wh: _Count
    digits: _Digits


class Clock(_Replaceable):
    """Crystal, battery and synchronisation: `twin.meters.clock`."""

    crystal_sd_ppm: _NotNegative
    parabola_ppm_per_k2: Number
    residual_frac: _Share
    ageing_ppm_per_year: Number
    sync_threshold_s: _Positive
    sync_residual_s: _NotNegative
    battery_years: _Positive
    battery_log_sd: _NotNegative
    battery_off_years: _Positive


class Memory(Part):
    """The ring of profile rows: `twin.meters.memory`."""

    depth_days: _Count
    row_bytes: _Count
    sector_cycles: _Count
    sectors: _Count


class Communication(Part):
    """Links, hops, gateways and latency: `twin.meters.communication`."""

    technology: Literal["cellular", "mesh"]
    link_alpha: _Positive
    link_beta: _Positive
    hop_stop: _Share
    most_hops: _Count
    sends: _Count
    spread_h: _NotNegative
    retry_h: _Positive
    chronic_share: _Share
    chronic_link: _Share
    chronic_never_share: _Share
    latency_first_s: _Positive
    latency_hop_s: _NotNegative
    latency_log_sd: _NotNegative
    join_median_min: _Positive
    join_warm_h: _NotNegative
    join_warm_median_min: _Positive
    join_log_sd: _NotNegative
    join_hop_min: _NotNegative
    gateway_meters: _Count
    gateway_mtbf_days: _Positive
    gateway_mttr_h: _Positive
    gateway_messages_per_s: _Positive


class LastGasp(Part):
    """The message of a dying supply: `twin.meters.gasp`."""

    hold: _Share
    frame_s: _Positive
    sends: _Count
    window_s: _Positive


class Relay(Part):
    """The load switch: `twin.meters.relay`."""

    fault_probability: _Share
    wear_cycles: _Positive
    weld_share: _Share
    weld_on_overload: _Share


class LoadLimit(Part):
    """Persistence, retries and lock-out: `twin.meters.load_limit`."""

    persistence_s: _Count
    retry_s: _Count
    tries: _Count
    lockout_s: _Count
    calm_s: _Count


class Failure(_Replaceable):
    """Infant, random and wear-out failures, and repair: `twin.meters.failure`."""

    infant_share: _Share
    infant_years: _Positive
    random_per_year: _NotNegative
    wear_years: _Positive
    wear_shape: _Positive
    frailty_cv: _NotNegative
    repair_median_days: _Positive
    repair_log_sd: _NotNegative
    crew_swaps_per_year: _Positive


class Firmware(Part):
    """Transfer of an image: `twin.meters.firmware`."""

    image_kb: _Positive
    block_bytes: _Count
    block_s: _Positive
    daily_success: _Share
    never_share: _Share
    older_share: _Share
    other_log_number: _Count


class Keys(Part):
    """Who shares a key: `twin.meters.keys`."""

    lot_months: _NotNegative


class TheftFlags(Part):
    """Probability that the meter logs a kind of tampering: `twin.meters.theft`."""

    hooking: _Share
    bypass: _Share
    shunt: _Share
    magnet: _Share
    neutral_missing: _Share


class Model(Part):
    """One type of meter."""

    phases: Literal[1, 3]
    metrology: Metrology
    register_: Annotated[Register, Field(alias="register")]
    clock: Clock
    memory: Memory
    failure: Failure
    communication: Communication | None = None
    last_gasp: LastGasp | None = None
    relay: Relay | None = None
    load_limit: LoadLimit | None = None
    firmware: Firmware | None = None
    keys: Keys | None = None
    theft_flags: TheftFlags | None = None
