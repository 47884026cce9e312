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
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from twin.errors import DataPackError, Problem

SOURCE = r"\b(found|derived|recalled|assumed)\b"
SMART_MODELS = ("single_phase", "three_phase")
"""Models that every maker's file must have."""
FOLDERS = {"": "smart", "system": "system", "legacy": "legacy"}
"""Folders of datasheets, and the role of what lies in them."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _Number(_Part):
    value: float
    source: Annotated[str, StringConstraints(pattern=SOURCE)]


class _Positive(_Number):
    value: Annotated[float, Field(gt=0)]


class _NotNegative(_Number):
    value: Annotated[float, Field(ge=0)]


class _Share(_Number):
    value: Annotated[float, Field(ge=0, le=1)]


class _Count(_Number):
    value: Annotated[int, Field(gt=0)]


class _Replaceable(_Part):
    """A section whose model a user's function may replace: `twin.meters.variants`."""

    model: str | None = None
    """Name of the registered function; None: the built-in model."""
    numbers: dict[str, _Number] = {}
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
    temperature_percent_per_k2: _Number
    ageing_mean_percent_per_year: _Number
    ageing_sd_percent_per_year: _NotNegative


class _Digits(_Number):
    value: Annotated[int, Field(ge=1, le=9)]


class Register(_Part):
    """Last digit, and digits before the point: `twin.meters.register`."""

    resolution_wh: _Count
    digits: _Digits


class Clock(_Replaceable):
    """Crystal, battery and synchronisation: `twin.meters.clock`."""

    crystal_sd_ppm: _NotNegative
    parabola_ppm_per_k2: _Number
    residual_frac: _Share
    ageing_ppm_per_year: _Number
    sync_threshold_s: _Positive
    sync_residual_s: _NotNegative
    battery_years: _Positive
    battery_log_sd: _NotNegative
    battery_off_years: _Positive


class Memory(_Part):
    """The ring of profile rows: `twin.meters.memory`."""

    depth_days: _Count
    row_bytes: _Count
    sector_cycles: _Count
    sectors: _Count


class Communication(_Part):
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


class LastGasp(_Part):
    """The message of a dying supply: `twin.meters.gasp`."""

    hold: _Share
    frame_s: _Positive
    sends: _Count
    window_s: _Positive


class Relay(_Part):
    """The load switch: `twin.meters.relay`."""

    fault_probability: _Share
    wear_cycles: _Positive
    weld_share: _Share
    weld_on_overload: _Share


class LoadLimit(_Part):
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


class Firmware(_Part):
    """Transfer of an image: `twin.meters.firmware`."""

    image_kb: _Positive
    block_bytes: _Count
    block_s: _Positive
    daily_success: _Share
    never_share: _Share
    other_log_number: _Count


class TheftFlags(_Part):
    """Probability that the meter logs a kind of tampering: `twin.meters.theft`."""

    hooking: _Share
    bypass: _Share
    shunt: _Share
    magnet: _Share
    neutral_missing: _Share


class Model(_Part):
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
    theft_flags: TheftFlags | None = None


class _File(_Part):
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
                    if isinstance(number, _Number):
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
