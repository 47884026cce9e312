"""What an arm of an experiment does to a tariff.

Time of day, or the day-ahead market's shape in its place; a critical-peak price on top; a rebate for using less than
usual in event hours; the shape of the free block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from twin.datapack import categories
from twin.economics.purchase import load_purchase, month_shape
from twin.economics.tariffs import AppliesTo, Tariff
from twin.economics.windows import Programme, Zones, refine
from twin.errors import Problem, ScenarioError
from twin.hours import NORMAL, first_overlap, has_normal_hours, minutes_of

HIGHEST_MULTIPLIER = 20.0
"""Above this a large consumer's monthly charge may not fit 64 bits (see `twin.economics.rates`)."""
_ANY_DAY = date(2026, 1, 1)  # where only the hours of a plan matter
MOST_FREE_KWH = 1000.0
"""More free units a month in one period than any home's block holds. [kWh]"""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _all_but_agricultural() -> tuple[str, ...]:
    return tuple(row.category for row in categories() if row.smart_share_group != "agricultural")


class ArmPeriod(_Part):
    """Hours with a multiplier on the energy charge; it is held to four decimals."""

    hours: str
    multiplier: Annotated[float, Field(gt=0, le=HIGHEST_MULTIPLIER)]


class ArmTimeOfDay(_Part):
    """A time-of-day energy charge. A mapping under an unknown key is a period of that name."""

    applies_to: AppliesTo
    categories: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(default_factory=_all_but_agricultural)
    min_kw: Annotated[float, Field(ge=0)] = 0.0
    """Sanctioned load from which a consumer is covered. [kW]"""
    requires_smart_meter: bool = True
    periods: Annotated[Mapping[str, ArmPeriod], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        loose = {key: part for key, part in value.items() if key not in cls.model_fields and isinstance(part, Mapping)}
        rest = {key: part for key, part in value.items() if key not in loose}
        return {**rest, "periods": {**rest.get("periods", {}), **loose}} if loose else rest

    @model_validator(mode="after")
    def _consistent(self) -> ArmTimeOfDay:
        for hours in self.hours.values():
            minutes_of(hours)
        if overlap := first_overlap(self.hours):
            raise ValueError(f"periods {overlap[0]} and {overlap[1]} overlap")
        if NORMAL in self.periods:
            raise ValueError(f"'{NORMAL}' is the name of uncovered hours")
        known = {row.category for row in categories()}
        if unknown := [name for name in self.categories if name not in known]:
            raise ValueError(f"no such billing category: {', '.join(unknown)}")
        return self

    @property
    def hours(self) -> dict[str, str]:
        """Hours of each period, by name."""
        return {name: period.hours for name, period in self.periods.items()}

    @property
    def has_normal_hours(self) -> bool:
        """Whether some minute of the day is in no period."""
        return has_normal_hours(self.hours)


class ArmDayAhead(_Part):
    """An energy charge that follows the day-ahead market: each band's price over the day's mean, season by season.

    ``multiplier = 1 + pass_through * (band / mean - 1)``, so that a flat load pays what it paid before.
    """

    applies_to: AppliesTo
    pass_through: Annotated[float, Field(gt=0, le=1)]
    """Share of the market's deviation from its mean that the consumer sees. [-]"""
    categories: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(default_factory=_all_but_agricultural)
    min_kw: Annotated[float, Field(ge=0)] = 0.0
    """Sanctioned load from which a consumer is covered. [kW]"""
    requires_smart_meter: bool = True

    def on(self, day: date) -> ArmTimeOfDay:
        """The time of day that this is in the month of a day."""
        bands = load_purchase().exchange.bands
        periods = {
            name: {"hours": hours, "multiplier": round(1.0 + self.pass_through * (float(share) - 1.0), 4)}
            for (name, hours), share in zip(bands.items(), month_shape(load_purchase(), day), strict=True)
        }
        return ArmTimeOfDay.model_validate({**self.model_dump(exclude={"pass_through"}), "periods": periods})


class _Events(_Part):
    """Hours of called days, and how long before its consumers know."""

    hours: str
    dates: Annotated[tuple[date, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
    notice_hours: Annotated[float, Field(ge=0, le=168)] = 24.0
    """From the call to the event. [h]"""

    @model_validator(mode="after")
    def _once(self) -> _Events:
        minutes_of(self.hours)
        if len(set(self.dates)) != len(self.dates):
            raise ValueError("names a date twice")
        return self

    @property
    def programme(self) -> Programme:
        """The hours and days, as zones know them."""
        return Programme(self.hours, frozenset(self.dates))


class CriticalPeak(_Events):
    """A multiplier on the energy charge in event hours, in place of the period's own."""

    multiplier: Annotated[float, Field(gt=0, le=HIGHEST_MULTIPLIER)]


class PeakRebate(_Events):
    """Payment to smart meters for each unit below the usual in event hours.

    The usual is the mean of the same hours on the month's days without an event, so far. A month's events are settled
    together: using more in one takes from another, but never from the rest of the bill.
    """

    inr_per_kwh: Annotated[float, Field(gt=0, le=1000)]
    categories: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(default_factory=_all_but_agricultural)


class UnusedRebate(_Part):
    """Payment for each unit of the free block that is not used. [INR/kWh]"""

    inr_per_kwh: Annotated[float, Field(gt=0, le=1000)]


class ArmFreeUnits(_Part):
    """How the free block is shaped: exactly one of the three."""

    weight: Literal["time_of_day"] | None = None
    per_period: Mapping[str, Annotated[float, Field(ge=0, le=MOST_FREE_KWH)]] | None = None
    """Free units a month that may fall into a period, by name. [kWh]"""
    rebate: UnusedRebate | None = None

    @model_validator(mode="after")
    def _one(self) -> ArmFreeUnits:
        if sum(part is not None for part in (self.weight, self.per_period, self.rebate)) != 1:
            raise ValueError("must hold exactly one of weight, per_period, rebate")
        return self


class ArmSettings(_Part):
    """An arm's tariff part, as a scenario writes it."""

    time_of_day: ArmTimeOfDay | None = None
    day_ahead: ArmDayAhead | None = None
    critical_peak: CriticalPeak | None = None
    peak_rebate: PeakRebate | None = None
    free_units: ArmFreeUnits | None = None

    def plan(self, day: date | None = None) -> ArmTimeOfDay | None:
        """The time of day of the month of a day, from whichever setting it is; its hours never change."""
        return self.day_ahead.on(day or _ANY_DAY) if self.day_ahead is not None else self.time_of_day

    @property
    def changes_anything(self) -> bool:
        """Whether the arm does anything to the tariff."""
        return self != ArmSettings()

    @property
    def events(self) -> tuple[CriticalPeak | PeakRebate, ...]:
        """Settings that call events."""
        return tuple(part for part in (self.critical_peak, self.peak_rebate) if part is not None)

    @model_validator(mode="after")
    def _one_plan(self) -> ArmSettings:
        if self.day_ahead is not None and self.time_of_day is not None:
            raise ValueError("day_ahead and time_of_day cannot stand in the same arm")
        if self.critical_peak is not None and self.plan() is None:
            raise ValueError("critical_peak needs time_of_day or day_ahead in the same arm, whose consumers it is for")
        return self

    @model_validator(mode="after")
    def _periods_exist(self) -> ArmSettings:
        free, tod = self.free_units, self.plan()
        if free is None or free.rebate is not None:
            return self
        if tod is None:
            raise ValueError("free_units shaped by time need time_of_day in the same arm")
        known = {*tod.periods, *([NORMAL] if tod.has_normal_hours else [])}
        if unknown := [name for name in free.per_period or () if name not in known]:
            raise ValueError(f"free_units.per_period names periods that time_of_day lacks: {', '.join(unknown)}")
        return self


@dataclass(frozen=True)
class ArmTariff:
    """A tariff under an arm. ``settings`` is empty for an arm that leaves the tariff as it is."""

    tariff: Tariff
    settings: ArmSettings


def apply_arm(tariff: Tariff, settings: Mapping[str, Any] | BaseModel | None = None, name: str = "arm") -> ArmTariff:
    """A tariff under an arm's ``tariff`` settings (a mapping, a model that dumps to one, or nothing).

    Raises
    ------
    ScenarioError
        With all problems of the settings.
    """
    values = settings.model_dump() if isinstance(settings, BaseModel) else dict(settings or {})
    try:
        return ArmTariff(tariff, ArmSettings.model_validate(values))
    except ValidationError as error:
        raise ScenarioError(
            [
                Problem(
                    name,
                    ".".join(map(str, ("tariff", *item["loc"]))),
                    item["msg"].removeprefix("Value error, "),
                    "repair the arm's tariff",
                )
                for item in error.errors()
            ]
        ) from error


def common_zones(
    arms: Sequence[ArmTariff], steps: int, marks: Mapping[str, Mapping[str, str]] | None = None,
    apart: Sequence[Programme] = (),
) -> Zones:  # fmt: skip
    """The fewest zones of the day within which no arm's tariff changes, nor the base tariff's own time of day.

    Parameters
    ----------
    arms : sequence of ArmTariff
        All arms of the experiment, so that all worlds keep the same registers.
    steps : int
        Steps of a day: 96, 48 or 24.
    marks : mapping, optional
        Further sets of periods to keep apart, for example ``{"evening": {"evening": "17-23"}}``.
    apart : sequence of Programme, optional
        Further hours of certain days to keep apart: those after events.

    Raises
    ------
    ScenarioError
        If a window cuts a step, or there are more zones than a meter has registers.
    """
    windows: list[Mapping[str, str]] = [row.hours for arm in arms[:1] for row in arm.tariff.time_of_day]
    windows += [row.hours for arm in arms[1:] if arm.tariff is not arms[0].tariff for row in arm.tariff.time_of_day]
    windows += [plan.hours for arm in arms if (plan := arm.settings.plan()) is not None]
    windows += [{"usual": part.hours} for arm in arms if (part := arm.settings.peak_rebate) is not None]
    windows += (marks or {}).values()
    programmes = dict.fromkeys((*(part.programme for arm in arms for part in arm.settings.events), *apart))
    try:
        return refine(windows, steps, tuple(programmes))
    except ValueError as error:
        fix = "move the hours to step boundaries, or use fewer distinct windows"
        raise ScenarioError([Problem("experiment.arms", "tariff.time_of_day", str(error), fix)]) from error
