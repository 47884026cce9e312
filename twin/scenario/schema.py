"""The scenario: what a run is asked to do. Frozen, complete and strict; every setting's meaning and default is here.

Order of priority: ``--set`` on the command line, then the file, then the defaults below. Validators get a context with
``step_minutes`` (int or None) and ``folder`` (of the scenario file), so that all problems are found in one pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_validator,
)

from twin.scenario import names, sweeps
from twin.scenario.arms import Arm
from twin.scenario.experiment import PILOT, Experiment
from twin.scenario.grid import Demand, Grid
from twin.scenario.meters import Commands, GatewayFailure, LoadLimit, Module
from twin.scenario.outages import Outages
from twin.scenario.parts import FrozenDict, Many, Name, Section
from twin.scenario.prepaid import Prepaid
from twin.scenario.yaml_text import shown
from twin.units import MINUTES_PER_DAY

FIRST_START, LAST_START = date(2000, 1, 1), date(2100, 1, 1)
"""Demand counts its random time from 2000-01-01."""
MAX_CASES, MAX_POINTS = 10_000, 1_000

Share = Annotated[float, Field(ge=0, le=1)]
Tariff = Annotated[str, AfterValidator(names.known_tariff)]
Factors = FrozenDict[Annotated[str, AfterValidator(names.known_factor)], Annotated[float, Field(gt=0, le=20)]]


class Time(Section):
    """The simulated days. Wall clock of Bihar (Asia/Kolkata)."""

    start: date
    days: Annotated[int, Field(ge=1, le=3660)]
    step_minutes: Literal[15, 30, 60] = 15

    @field_validator("start")
    @classmethod
    def _near(cls, value: date) -> date:
        if not FIRST_START <= value <= LAST_START:
            raise names.refuse(f"{value} is out of range", f"use a date from {FIRST_START} to {LAST_START}")
        return value


class HeatWave(Section):
    """Warmer days: ``rise_c`` is added to the temperature of each day ``from`` to ``to``, both included. [K]"""

    first: Annotated[date, Field(alias="from")]
    last: Annotated[date, Field(alias="to")]
    rise_c: Annotated[float, Field(ge=-20, le=20)]

    @model_validator(mode="after")
    def _order(self) -> HeatWave:
        if self.last < self.first:
            raise names.refuse(f"ends {self.last} before it starts {self.first}", "swap `from` and `to`")
        return self


class Weather(Section):
    """Climatological normals of Bihar with day-to-day noise, or a user's CSV file."""

    year: str = names.BIHAR_NORMAL
    heat_wave: HeatWave | None = None

    @field_validator("year")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        if value == names.BIHAR_NORMAL:
            return value
        if not value.lower().endswith(".csv"):
            fix = names.suggestion(value, [names.BIHAR_NORMAL], "or name a .csv file; use")
            raise names.refuse(f"there is no weather year {shown(value)}", fix)
        path = (info.context or {}).get("folder", Path()) / value
        try:
            found = path.is_file()
        except (OSError, ValueError):  # a name too long or with characters that no file name has
            found = False
        if not found:
            raise names.refuse(f"there is no file {shown(value)}", "give a path relative to the scenario file")
        return str(path.resolve())


class SmartShare(Section):
    """Share of each group's consumers with a smart meter. [-]"""

    domestic: Share = Field(default_factory=partial(names.default_smart_share, "domestic"))
    non_domestic: Share = Field(default_factory=partial(names.default_smart_share, "non_domestic"))
    industrial: Share = Field(default_factory=partial(names.default_smart_share, "industrial"))
    agricultural: Share = Field(default_factory=partial(names.default_smart_share, "agricultural"))


class Meters(Section):
    """Who has which meter."""

    smart_share: SmartShare = Field(default_factory=SmartShare)
    vendors: Annotated[str, AfterValidator(names.known_vendors)] = names.BY_DISTRICT
    """Makers of the smart meters: those of the districts, or one datasheet of ``twin/data/devices`` for all."""
    devices: bool = False
    """Meters are devices with errors, clocks, failures, communication and theft; else registers show the true use."""
    commands: Commands = ()
    """Campaigns of the head-end; they need devices."""
    gateway_failure: GatewayFailure | None = None
    load_limit: LoadLimit | None = None
    """Smart meters disconnect above a limit; they need devices."""
    prepaid: Prepaid | None = None
    """Left out: nobody is disconnected for a balance. Wallets need devices."""
    models: Annotated[tuple[Module, ...], Many] = ()
    """Modules of the user's that register models of meters (``docs/meters.md``); every worker imports them."""

    @model_validator(mode="after")
    def _devices(self) -> Meters:
        if (self.commands or self.gateway_failure or self.load_limit) and not self.devices:
            what = "has commands, a gateway failure or a load limit, but meters are no devices"
            raise names.refuse(what, "set `devices: true`")
        return self

    @model_validator(mode="after")
    def _prepaid_devices(self) -> Meters:
        if self.prepaid is not None and not self.devices:
            raise names.refuse("has prepaid wallets, but meters are no devices", "set `devices: true`")
        return self


class Payments(Section):
    """Bills are paid fully, late, in part or not (``twin/data/collection.yaml``); results are told for whole months."""

    subsidy_received: Share | None = None
    """Part of the billed subsidy that the state pays; left out: the data pack's. [-]"""


class Readings(Section):
    """Interval readings are written for this many consumers, chosen from the resolved ones."""

    consumers: Annotated[int, Field(ge=0)] = 0


Tables = Annotated[
    tuple[Annotated[str, AfterValidator(names.known_table)], ...],
    Many,
    Field(min_length=1),
    BeforeValidator(lambda value: [names.ALL] if value == names.ALL else value),
    PlainSerializer(lambda value: names.ALL if value == (names.ALL,) else list(value)),
]


class Output(Section):
    """What is written besides what every run writes."""

    readings: Readings = Readings()
    tables: Tables = (names.ALL,)

    def wants(self, table: str) -> bool:
        """Whether ``table`` is to be written."""
        return self.tables == (names.ALL,) or table in self.tables


def _swept(value: Any) -> Any:
    if isinstance(value, dict | list | tuple):
        raise names.refuse(f"a swept value must be a single value, got {shown(value)}", "sweep one setting by its path")
    return value


Sweep = FrozenDict[str, Annotated[tuple[Annotated[Any, AfterValidator(_swept)], ...], Many, Field(min_length=1)]]


class PowerFlow(Section):
    """How closely the low-voltage networks follow the grid above."""

    border: Literal["equivalent", "exact"] = "equivalent"
    """``equivalent``: every low-voltage network is solved once a day and arm, and its second-order equivalent follows
    the voltage above; it is solved again where that moves by more than 0.02 pu. ``exact``: solved again until both
    agree."""


class Scenario(Section):
    """One study: a grid, a time, and an experiment on it."""

    name: Name
    description: Annotated[str, Field(max_length=2000)] = ""
    """The question, as the report's title shows it."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    grid: Grid
    demand: Demand | None = None
    """Left out: archetypes."""
    time: Time
    weather: Weather = Weather()
    meters: Meters = Field(default_factory=Meters)
    power_flow: PowerFlow = PowerFlow()
    tariff: Tariff
    """What everyone pays unless an arm says otherwise: a file of ``twin/data/tariffs``."""
    payments: Payments | None = None
    """Left out: everything billed is taken for paid."""
    outages: Outages | None = None
    """Left out: supply is never interrupted."""
    calibrated: Factors | None = None
    """Factors in place of the fitted ones of ``twin/data/calibrated.yaml``; left out: those of the file."""
    experiment: Experiment
    sweep: Sweep = FrozenDict()
    """Values by dotted path; together they make sweep points."""
    sweep_design: sweeps.Design = "combinations"
    """``combinations``: of all values; ``one_at_a_time``: one path is moved, the others stay at their middle value."""
    output: Output = Output()

    @field_validator("demand")
    @classmethod
    def _of_a_network(cls, value: Demand | None, info: ValidationInfo) -> Demand | None:
        if value is not None and "grid" in info.data and not info.data["grid"].is_own:
            what = "consumers of the state's grid are drawn from archetypes"
            raise names.refuse(what, "remove it, or give `grid.network` or `grid.simbench`")
        return value

    @field_validator("outages")
    @classmethod
    def _of_the_state(cls, value: Outages | None, info: ValidationInfo) -> Outages | None:
        if value is not None and "grid" in info.data and info.data["grid"].is_own:
            what = "interruptions are modelled on the state's feeders only"
            raise names.refuse(what, "remove it, or use `grid.state`")
        return value

    @field_validator("sweep")
    @classmethod
    def _possible(cls, value: FrozenDict[str, Any]) -> FrozenDict[str, Any]:
        for path in value:
            if not sweeps.sweepable(path):
                what = f"{shown(path)} cannot be swept, since sweep points share grid, population and time"
                raise names.refuse(what, f"sweep a setting under {', '.join(sweeps.SWEEPABLE)}")
        return value

    @model_validator(mode="after")
    def _pilot_possible(self) -> Scenario:
        pilot = self.experiment.pilot
        if self.experiment.design == PILOT and self.grid.is_own:
            raise names.refuse("a pilot is drawn among the state's transformers", "use `grid.state`")
        if pilot is None or pilot.start is None or pilot.start == self.time.start:
            return self
        if pilot.start not in self.dates or pilot.start.day != 1:
            what = f"experiment.pilot.start {pilot.start} is neither the run's first day nor a 1st of a month within it"
            raise names.refuse(what, "tariffs change with a billing month: move `time.start` or `pilot.start`")
        return self

    @model_validator(mode="after")
    def _outage_within(self) -> Scenario:
        outage = None if self.meters.prepaid is None else self.meters.prepaid.debit_outage
        if outage is not None and not self.dates[0] <= outage.first <= outage.last <= self.dates[-1]:
            what = f"meters.prepaid.debit_outage {outage.first} to {outage.last} is not within the run's days"
            raise names.refuse(what, f"use days from {self.dates[0]} to {self.dates[-1]}")
        return self

    @model_validator(mode="after")
    def _design_of_a_sweep(self) -> Scenario:
        if self.sweep_design != "combinations" and not self.sweep:
            raise names.refuse("`sweep_design` is about a sweep, and there is none", "add `sweep`, or remove it")
        return self

    @model_validator(mode="after")
    def _few_cases(self) -> Scenario:
        if (points := sweeps.count(self.sweep, self.sweep_design)) > MAX_POINTS:
            raise names.refuse(f"makes {points:,} sweep points, more than {MAX_POINTS:,}", "sweep fewer values")
        if self.n_cases > MAX_CASES:
            what = f"makes {self.n_cases:,} cases (sweep points x arms x replicates), more than {MAX_CASES:,}"
            raise names.refuse(what, "use fewer swept values or replicates")
        return self

    @property
    def steps(self) -> int:
        """Metering intervals in a day, which is a block."""
        return MINUTES_PER_DAY // self.time.step_minutes

    @property
    def dates(self) -> tuple[date, ...]:
        """The simulated days."""
        return tuple(self.time.start + timedelta(days=day) for day in range(self.time.days))

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Arms in file order; the first is the baseline."""
        return tuple(self.experiment.arms)

    @property
    def world_names(self) -> tuple[str, ...]:
        """Arms in file order, and last the world of a pilot, where there is one: what is simulated."""
        return (*self.arm_names, PILOT) if self.experiment.design == PILOT else self.arm_names

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Arms in file order; the first is the baseline."""
        return tuple(self.experiment.arms.values())

    @property
    def n_cases(self) -> int:
        """Worlds to simulate: sweep points x arms (a pilot's own world among them) x replicates."""
        return sweeps.count(self.sweep, self.sweep_design) * len(self.world_names) * self.experiment.replicates

    def case(self, arm: int, replicate: int, point: int = 0) -> int:
        """Number of a case: (point x arms + arm) x replicates + replicate, all in file order."""
        return (point * len(self.world_names) + arm) * self.experiment.replicates + replicate

    def points(self) -> list[tuple[dict[str, Any], Scenario]]:
        """Sweep points in order: the swept values by path, and the scenario with them and without a sweep.

        Raises
        ------
        pydantic.ValidationError
            If a swept value is impossible (`load_scenario` has tried them all).
        """
        if not self.sweep:
            return [({}, self)]
        return [(values, self.with_values(values)) for values in sweeps.points(self.sweep, self.sweep_design)]

    def with_values(self, values: Mapping[str, Any]) -> Scenario:
        """The scenario without its sweep and with other values at dotted paths, validated anew."""
        data = self.resolved()
        data.pop("sweep", None)
        data.pop("sweep_design", None)
        for path, value in values.items():
            sweeps.set_value(data, path.split("."), value)
        return Scenario.model_validate(data, context={"step_minutes": self.time.step_minutes})

    def resolved(self) -> dict[str, Any]:
        """Every setting as plain data (defaults filled in), in the order of this file; validates to this scenario."""
        return self.model_dump(by_alias=True, exclude_none=True)
