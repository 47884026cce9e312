"""What an arm of an experiment changes: energy charges by time, prices and rebates of events, the free block."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_serializer, model_validator
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from twin.economics.arms import HIGHEST_MULTIPLIER, MOST_FREE_KWH
from twin.economics.purchase import load_purchase
from twin.scenario import hours as hours_
from twin.scenario import names
from twin.scenario.parts import FrozenDict, Many, Name, Section
from twin.units import MINUTES_PER_DAY

Category = Annotated[str, AfterValidator(names.known_category)]


class Period(Section):
    """Hours with a multiplier on the energy charge. Hours in no period are `normal`, with multiplier 1."""

    hours: Annotated[str, AfterValidator(hours_.canonical_hours)]
    multiplier: Annotated[float, Field(gt=0, le=HIGHEST_MULTIPLIER)]

    @field_validator("hours")
    @classmethod
    def _on_steps(cls, value: str, info: ValidationInfo) -> str:
        if step := (info.context or {}).get("step_minutes"):
            hours_.check_step_boundaries(value, step)
        return value


class TimeOfDay(Section):
    """A time-of-day energy charge; every key besides the first four is the name of a period."""

    applies_to: Literal["gross", "after_subsidy"]
    categories: Annotated[tuple[Category, ...], Many, Field(min_length=1)] = Field(
        default_factory=names.time_of_day_categories
    )
    min_kw: Annotated[float, Field(ge=0)] = 0.0
    """Sanctioned load from which a consumer is covered. [kW]"""
    requires_smart_meter: bool = True
    periods: Annotated[FrozenDict[Name, Period], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        own = cls.model_fields.keys() - {"periods"}
        inside = {key for key, entry in value.items() if key not in own and (entry is None or isinstance(entry, dict))}
        rest = {key: entry for key, entry in value.items() if key not in inside}
        return {**rest, "periods": {key: value[key] for key in value if key in inside}}

    @field_validator("periods")
    @classmethod
    def _apart(cls, value: FrozenDict[str, Period]) -> FrozenDict[str, Period]:
        windows = {name: period.hours for name, period in value.items()}
        if hours_.NORMAL in windows:
            raise names.refuse(f"'{hours_.NORMAL}' is the name of uncovered hours", "give the period another name")
        if overlap := hours_.first_overlap(windows):
            first, second = overlap
            raise names.refuse(
                f"hours overlap: {first} ({windows[first]}) and {second} ({windows[second]})",
                "let each minute belong to one period",
            )
        return value

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> Any:
        data = handler(self)
        return {**{key: value for key, value in data.items() if key != "periods"}, **data["periods"]}

    @property
    def hours(self) -> dict[str, str]:
        """Hours of each period, by name."""
        return {name: period.hours for name, period in self.periods.items()}


class DayAhead(Section):
    """An energy charge with the shape of the day-ahead market, season by season, in place of a time of day.

    Bands are those of the market's data: ``morning`` 06-10, ``day`` 10-17, ``evening`` 17-23, ``night`` 23-06.
    """

    applies_to: Literal["gross", "after_subsidy"]
    pass_through: Annotated[float, Field(gt=0, le=1)]
    """Share of the market's deviation from its daily mean that the consumer sees. [-]"""
    categories: Annotated[tuple[Category, ...], Many, Field(min_length=1)] = Field(
        default_factory=names.time_of_day_categories
    )
    min_kw: Annotated[float, Field(ge=0)] = 0.0
    """Sanctioned load from which a consumer is covered. [kW]"""
    requires_smart_meter: bool = True


class Events(Section):
    """Hours of called days."""

    hours: Annotated[str, AfterValidator(hours_.canonical_hours)]
    dates: Annotated[tuple[date, ...], Many, Field(min_length=1)]
    """Days with an event, within the run."""
    notice_hours: Annotated[float, Field(ge=0, le=168)] = 24.0
    """How long before an event its consumers know. [h]"""

    @field_validator("hours")
    @classmethod
    def _on_steps(cls, value: str, info: ValidationInfo) -> str:
        if step := (info.context or {}).get("step_minutes"):
            hours_.check_step_boundaries(value, step)
        return value

    @field_validator("dates")
    @classmethod
    def _once(cls, value: tuple[date, ...]) -> tuple[date, ...]:
        for day in value:
            if value.count(day) > 1:
                raise names.refuse(f"names {day} twice", "name each day once")
        return value


class CriticalPeak(Events):
    """A multiplier on the energy charge in event hours, in place of the period's own."""

    multiplier: Annotated[float, Field(gt=0, le=HIGHEST_MULTIPLIER)]


class PeakRebate(Events):
    """Payment to smart meters for each unit below the usual in event hours.

    The usual is the mean of the same hours on the month's days without an event so far.
    """

    inr_per_kwh: Annotated[float, Field(gt=0, le=1000)]
    categories: Annotated[tuple[Category, ...], Many, Field(min_length=1)] = Field(
        default_factory=names.time_of_day_categories
    )


class Rebate(Section):
    """Payment for each unit of the free block that is not used. [INR/kWh]"""

    inr_per_kwh: Annotated[float, Field(gt=0, le=1000)]


class FreeUnits(Section):
    """How an arm shapes the free block: exactly one of the three."""

    weight: Literal["time_of_day"] | None = None
    per_period: FrozenDict[Name, Annotated[float, Field(ge=0, le=MOST_FREE_KWH)]] | None = None
    """Free units a month that may fall in a period, by its name; other periods have no limit of their own. [kWh]"""
    rebate: Rebate | None = None

    @model_validator(mode="after")
    def _one(self) -> FreeUnits:
        if sum(value is not None for value in (self.weight, self.per_period, self.rebate)) != 1:
            raise names.refuse("must hold exactly one way of shaping", "keep one of weight, per_period, rebate")
        return self

    @field_validator("per_period")
    @classmethod
    def _some(cls, value: FrozenDict[str, float] | None) -> FrozenDict[str, float] | None:
        if value is not None and not value:
            raise names.refuse("limits no period", "write for example `per_period: {peak: 25}`")
        return value


class ArmTariff(Section):
    """What an arm changes in the tariff."""

    time_of_day: TimeOfDay | None = None
    day_ahead: DayAhead | None = None
    critical_peak: CriticalPeak | None = None
    peak_rebate: PeakRebate | None = None
    free_units: FreeUnits | None = None

    @property
    def periods(self) -> tuple[str, ...] | None:
        """Names of the periods of the arm's time of day, ``normal`` among them; None without one."""
        if self.day_ahead is not None:
            return tuple(load_purchase().exchange.bands)
        if self.time_of_day is None:
            return None
        rest = (hours_.NORMAL,) if hours_.has_normal_hours(self.time_of_day.hours) else ()
        return (*self.time_of_day.periods, *rest)

    @property
    def event_dates(self) -> dict[str, tuple[date, ...]]:
        """Days with an event, by the setting that calls them."""
        named = {"critical_peak": self.critical_peak, "peak_rebate": self.peak_rebate}
        return {name: part.dates for name, part in named.items() if part is not None}

    @model_validator(mode="after")
    def _one_plan(self) -> ArmTariff:
        if self.day_ahead is not None and self.time_of_day is not None:
            raise names.refuse("day_ahead and time_of_day cannot stand in the same arm", "keep one of them")
        if self.critical_peak is not None and self.periods is None:
            what = "critical_peak is for the consumers of a time_of_day or day_ahead in the same arm"
            raise names.refuse(what, "add time_of_day; with `multiplier: 1` it changes nothing but the events")
        return self

    @model_validator(mode="after")
    def _periods_exist(self) -> ArmTariff:
        free, known = self.free_units, self.periods
        if free is None or free.rebate is not None:
            return self
        if known is None:
            what = "free_units shaped by time need time_of_day or day_ahead in the same arm"
            raise names.refuse(what, "add time_of_day")
        for name in free.per_period or ():
            if name not in known:
                fix = names.suggestion(name, known)
                raise names.refuse(f"free_units.per_period names a period '{name}' that the arm lacks", fix)
        return self


class Enrolment(Section):
    """Who of those whom an arm's tariff is for is on it. Left out: all of them."""

    mode: Literal["opt_in", "opt_out"]
    """``opt_in``: only those who join, who expect to gain; ``opt_out``: all but those who leave, who expect to lose."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Uncertain parameters that it rests on."""
        return (f"enrol_consider_{self.mode}", "enrol_hassle_inr", "enrol_noise_inr")


class Behaviour(Section):
    """How the response comes about. Left out: at once, in full, events all alike, and consumers of a kind too."""

    learning: bool = False
    """The response grows over weeks from the tariff's first day."""
    fatigue: bool = False
    """The response to events falls from one to the next."""
    snap_back: bool = False
    """Part of what is moved out of an event is used in the hours right after it."""
    differences: bool = False
    """Consumers of a kind differ, and so do income classes."""
    technology_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of AC homes, shops, industry and water works with a device that answers for them. [-]"""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Uncertain parameters that it rests on."""
        used = {
            ("learning_start", "learning_weeks"): self.learning,
            ("event_retention",): self.fatigue,
            ("snap_back_share",): self.snap_back,
            ("response_spread", "response_income_slope"): self.differences,
            ("technology_gain",): self.technology_share > 0,
        }
        return tuple(name for group, asked in used.items() if asked for name in group)


class Arm(Section):
    """One treatment. An empty arm is the base tariff as it is."""

    tariff: ArmTariff = ArmTariff()
    enrolment: Enrolment | None = None
    behaviour: Behaviour | None = None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Uncertain parameters of behaviour that the arm asks for."""
        return tuple(name for part in (self.enrolment, self.behaviour) if part is not None for name in part.parameters)

    @model_validator(mode="after")
    def _about_a_tariff(self) -> Arm:
        if (self.enrolment or self.behaviour) and self.tariff == ArmTariff():
            raise names.refuse("enrolment and behaviour are about the arm's tariff, and it has none", "add `tariff`")
        has_events = bool(self.tariff.event_dates)
        for name in ("fatigue", "snap_back"):
            if self.behaviour is not None and getattr(self.behaviour, name) and not has_events:
                raise names.refuse(f"behaviour.{name} is about events, and the arm calls none", f"remove {name}")
        return self

    @model_validator(mode="after")
    def _hours_to_snap_back_in(self) -> Arm:
        if self.behaviour is None or not self.behaviour.snap_back:
            return self
        for name, part in {"critical_peak": self.tariff.critical_peak, "peak_rebate": self.tariff.peak_rebate}.items():
            if part is not None and hours_.minutes_of(part.hours)[1] >= MINUTES_PER_DAY:
                what = f"behaviour.snap_back is about the hours after an event, and {name} ends with its day"
                raise names.refuse(what, "let the event end before 24:00, or remove snap_back")
        return self

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        data = handler(self)
        return data if data["tariff"] else {}
